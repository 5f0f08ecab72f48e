//! A flood from a million addresses (a fifth of them where the engine is not optimized), of all that makes an endpoint remember something. When the lifetimes are over, what
//! it holds from the system is at most twice what it held before.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "common/allocator.rs"]
mod allocator;

use std::net::SocketAddr;
use std::time::Duration;

use allocator::held;
use coracle_engine::{
    Config, Endpoint, Event, ExchangeId, Instant, Path, Received, ResponseRef, Topic, limits,
};
use coracle_wire::{Code, Message, MessageId, MessageType, Method, OptionNumber, OptionsBuf, Status};

const FLOOD: u32 = if cfg!(debug_assertions) {
    200_000
} else {
    1_000_000
};

/// Between two datagrams of the flood.
const STEP: Duration = Duration::from_micros(10);

/// Peers that ask before the flood and after it.
const REGULARS: u32 = 64;

/// What is asked for.
#[derive(Clone, Copy)]
enum Kind {
    /// Answered at once.
    Get,
    /// Answered at once, under a message ID of the endpoint's.
    Non,
    Post,
    /// Answered too late, so that it is acknowledged by itself and its response sent again and again.
    Slow,
    /// Answered in blocks of which only the first is asked for.
    Long,
    Observe,
    /// The first block of a body that never goes on.
    Upload,
}

const KINDS: [Kind; 7] = [
    Kind::Get,
    Kind::Non,
    Kind::Post,
    Kind::Slow,
    Kind::Long,
    Kind::Observe,
    Kind::Upload,
];

struct Flooded {
    endpoint: Endpoint,
    now: Instant,
    waiting: Vec<ExchangeId>,
    peak: usize,
}

impl Flooded {
    fn new() -> Flooded {
        Flooded {
            endpoint: Endpoint::new(Config::default(), [7; 32]),
            now: Instant::ZERO,
            waiting: Vec::new(),
            peak: 0,
        }
    }

    fn ask(&mut self, kind: Kind, peer: u32, id: u16) {
        let [_, a, b, c] = peer.to_be_bytes();
        let path = Path::to(SocketAddr::from(([10, a, b, c], 5683)));
        let datagram = request(kind, id);
        if let Received::Request(exchange, _) = self.endpoint.handle_datagram(self.now, path, &datagram) {
            match kind {
                Kind::Slow => self.waiting.push(exchange),
                _ => self.answer(exchange, kind),
            }
        }
        self.drain();
    }

    fn answer(&mut self, exchange: ExchangeId, kind: Kind) {
        let payload: &[u8] = if matches!(kind, Kind::Long) {
            &[b'x'; 1500]
        } else {
            b"21.5"
        };
        let options = OptionsBuf::new();
        let mut response = ResponseRef::new(Status::CONTENT, options.as_options(), payload);
        if matches!(kind, Kind::Observe) {
            response = response.with_observe(Some(Topic(1)));
        }
        let _ = self.endpoint.respond(self.now, exchange, response);
    }

    fn drain(&mut self) {
        let mut buf = [0; limits::MAX_DATAGRAM];
        while self.endpoint.poll_transmit(self.now, &mut buf).is_some() {}
        while let Some(event) = self.endpoint.poll_event() {
            if let Event::Refresh { id, .. } = event {
                self.answer(id, Kind::Observe);
            }
        }
        self.peak = self.peak.max(held());
    }

    /// The regulars ask and are answered, for a while.
    fn regulars(&mut self) {
        for id in 0..30 {
            for peer in 0..REGULARS {
                let kind = [Kind::Get, Kind::Non, Kind::Post][usize::from(id % 3)];
                self.ask(kind, peer, id);
            }
        }
    }

    /// Lets the endpoint do what is due within `time`.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self
            .endpoint
            .poll_deadline()
            .filter(|deadline| deadline.at <= end)
        {
            self.now = self.now.max(deadline.at);
            self.endpoint.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }
}

fn request(kind: Kind, id: u16) -> Vec<u8> {
    let mut options = OptionsBuf::new();
    if matches!(kind, Kind::Observe) {
        options.set(OptionNumber::OBSERVE, &[]).unwrap();
    }
    options.push_str(OptionNumber::URI_PATH, "temp").unwrap();
    let upload = [b'x'; 1024];
    let is_upload = matches!(kind, Kind::Upload);
    if is_upload {
        options.set(OptionNumber::BLOCK1, &[0x0e]).unwrap();
    }
    let message = Message {
        message_type: if matches!(kind, Kind::Non) {
            MessageType::NonConfirmable
        } else {
            MessageType::Confirmable
        },
        code: Code::from(match kind {
            Kind::Post => Method::POST,
            Kind::Upload => Method::PUT,
            _ => Method::GET,
        }),
        message_id: MessageId(id),
        token: b"toke",
        options: options.as_options(),
        payload: if is_upload { &upload } else { &[] },
    };
    let mut bytes = vec![0; message.encoded_len()];
    message.encode(&mut bytes).unwrap();
    bytes
}

#[test]
fn what_a_flood_took_is_given_back() {
    let mut flooded = Flooded::new();
    flooded.regulars();
    let before = held();
    for (peer, kind) in (1000..1000 + FLOOD).zip(KINDS.into_iter().cycle()) {
        flooded.ask(kind, peer, 7);
        flooded.now = flooded.now + STEP;
    }
    let peak = flooded.peak;
    flooded.pass(Duration::from_secs(10));
    for exchange in std::mem::take(&mut flooded.waiting) {
        flooded.answer(exchange, Kind::Slow);
    }
    flooded.drain();
    flooded.endpoint.changed(Topic(1));
    flooded.drain();
    // Until the last observer is given up, and its last message ID is old enough.
    flooded.pass(Duration::from_secs(2000));
    flooded.regulars();
    let after = held();
    println!("{before} bytes before, {peak} at most, {after} after");
    assert!(peak > 50 * before, "{peak} bytes at most, {before} before");
    assert!(after <= 2 * before, "{after} bytes after, {before} before");
    flooded.pass(Duration::from_secs(1000));
    assert!(flooded.endpoint.is_pristine());
}
