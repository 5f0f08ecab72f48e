//! Any sequence of operations on an endpoint, decoded from bytes: what the property test and the fuzz target share.
//!
//! Whatever the sequence, nothing panics, all that is sent can be parsed and answers somebody, no request that is not
//! idempotent runs twice, every request ends, time is never waited for in vain, the bounds of the configuration hold,
//! and when everything is ended nothing remains.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "helpers of tests"
)]

mod choices;
mod ledger;
mod peers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use coracle_engine::{
    Body, BodyPolicy, Config, Endpoint, Event, ExchangeId, Instant, Path, Received, RequestRef, ResponseRef,
    StreamedBody, Topic, Window, limits,
};
use coracle_wire::{Message, Method, OptionNumber, Options, OptionsBuf, Status};

use self::choices::{Cursor, METHODS, STATUSES};
use self::ledger::Ledger;

struct Streams;

impl BodyPolicy for Streams {
    fn body(&self, method: Method, _options: Options<'_>) -> Body {
        match method {
            Method::PATCH => Body::Stream,
            _ => Body::Collect { limit: 256 },
        }
    }
}

const TOPICS: u64 = 3;
const MAX_REQUESTS: usize = 8;
const MAX_EXCHANGES: usize = 16;
const MAX_QUEUE: usize = 4;

/// All requests of ours end within this time when nobody answers: those to one peer wait for each other, and a
/// non-confirmable one waits until PROBING_RATE permits it (RFC 7252 §4.7).
const PATIENCE: Duration = Duration::from_secs(4 * 3600);

/// Few enough that the bounds are reached.
fn config() -> Config {
    let mut config = Config::constrained();
    config.block_szx = 1;
    config.max_body = 512;
    config.max_requests = MAX_REQUESTS;
    config.max_exchanges = MAX_EXCHANGES;
    config.max_queue_per_peer = MAX_QUEUE;
    config.seen_bytes = 4096;
    config.body_policy = Some(Arc::new(Streams));
    config
}

/// A request or ping of ours.
#[derive(Clone, Copy)]
struct Asked {
    id: ExchangeId,
    /// Who may answer; everybody if it went to a group.
    of: Option<SocketAddr>,
    /// It may last as long as nobody ends it: an observation, or a body in parts.
    lasts: bool,
}

struct World {
    endpoint: Endpoint,
    now: Instant,
    asked: Vec<Asked>,
    /// Requests of peers that the application works on.
    pending: Vec<ExchangeId>,
    /// What the endpoint sent last, and where to.
    sent: Vec<(Path, Vec<u8>)>,
    received: Vec<(Path, Vec<u8>)>,
    ledger: Ledger,
    closed: bool,
    /// What each peer transfers block by block: how, and which block is next.
    transfers: [(Method, u32); 4],
    /// The last message ID of a transfer.
    transfer_id: u16,
}

/// Runs the operations that the bytes tell.
pub fn run(bytes: &[u8]) {
    let mut world = World {
        endpoint: Endpoint::new(config(), [7; 32]),
        now: Instant::from_micros(1_000_000),
        asked: Vec::new(),
        pending: Vec::new(),
        sent: Vec::new(),
        received: Vec::new(),
        ledger: Ledger::default(),
        closed: false,
        transfers: [(Method::PUT, 0); 4],
        transfer_id: 0x4000,
    };
    let mut cursor = Cursor(bytes);
    while !cursor.0.is_empty() {
        world.operate(&mut cursor);
        world.settle();
        world.is_within_bounds();
    }
    if bytes.len().is_multiple_of(2) {
        world.wait();
    }
    world.end();
}

impl World {
    fn operate(&mut self, cursor: &mut Cursor<'_>) {
        match cursor.byte() % 21 {
            0 => {
                let len = usize::from(cursor.byte() % 48);
                let bytes = cursor.slice(len).to_vec();
                self.receive(path(cursor.byte()), bytes);
            }
            1..=4 => self.receive_message(cursor),
            5 | 6 => self.receive_answer(cursor),
            7 => self.receive_again(cursor),
            8 | 9 => self.request(cursor),
            10 => {
                let path = path(cursor.byte());
                if let Ok(id) = self.endpoint.ping(self.now, &path) {
                    self.begins(id, &path, false);
                }
            }
            11 => {
                if let Some(asked) = pick(&self.asked, cursor) {
                    self.endpoint.cancel(self.now, asked.id);
                    self.asked.retain(|other| other.id != asked.id);
                }
            }
            12 | 13 => self.respond(cursor),
            14 => {
                if let Some(id) = pick(&self.pending, cursor) {
                    self.endpoint.continue_body(self.now, id);
                }
            }
            15 => self.endpoint.changed(Topic(u64::from(cursor.byte()) % TOPICS)),
            16 => self.pass(cursor),
            17 | 18 => self.receive_block(cursor),
            19 => self.receive_good_answer(cursor),
            _ => self.meet_trouble(cursor),
        }
    }

    /// What happens rarely: the end, a loss of memory, a peer that is gone.
    fn meet_trouble(&mut self, cursor: &mut Cursor<'_>) {
        match cursor.byte() {
            0xff => {
                self.endpoint.close();
                self.closed = true;
            }
            0xc0..0xf0 => {
                let Some(asked) = pick(&self.asked, cursor) else {
                    return;
                };
                let (len, more) = (usize::from(cursor.byte()), cursor.byte().is_multiple_of(2));
                self.endpoint
                    .supply_body(self.now, asked.id, &[3; 255][..len], more);
                self.endpoint.continue_body(self.now, asked.id);
            }
            0xf0..0xff => {
                let topic = Topic(u64::from(cursor.byte()) % TOPICS);
                self.endpoint.forget_observers(self.now, topic);
                assert!(!self.endpoint.is_observed(topic));
            }
            _ => {
                let remote = path(cursor.byte()).remote;
                self.endpoint.handle_unreachable(self.now, remote);
            }
        }
    }

    fn begins(&mut self, id: ExchangeId, path: &Path, lasts: bool) {
        assert!(!self.closed, "a closed endpoint began a request");
        assert!(self.asked.iter().all(|asked| asked.id != id), "{id:?} again");
        let of = (!path.multicast).then_some(path.remote);
        self.asked.push(Asked { id, of, lasts });
    }

    fn receive(&mut self, path: Path, bytes: Vec<u8>) {
        self.ledger.receives(&path, &bytes);
        let id = match self.endpoint.handle_datagram(self.now, path, &bytes) {
            Received::Request(id, _) | Received::Assembled(id, _) => {
                self.ledger.begins(id);
                Some(id)
            }
            Received::Body(id, _) => {
                assert!(self.ledger.knows(id), "a part of nothing");
                Some(id)
            }
            Received::Nothing => None,
        };
        if let Some(id) = id {
            self.ledger.hands_over(self.now, &path, &bytes);
            if !self.pending.contains(&id) {
                self.pending.push(id);
            }
        }
        // A datagram leads to an answer, to what waited for it, and to nothing for anybody else.
        let before = self.sent.len();
        self.transmit();
        assert!(
            self.sent.len() - before <= MAX_QUEUE + 2,
            "{:?}",
            &self.sent[before..]
        );
        assert!(self.sent[before..].iter().all(|(to, _)| to.remote == path.remote));
        self.received.push((path, bytes));
        if self.received.len() > 64 {
            self.received.remove(0);
        }
    }

    fn request(&mut self, cursor: &mut Cursor<'_>) {
        let mut options = OptionsBuf::new();
        match cursor.byte() % 4 {
            0 => options.push_uint(OptionNumber::OBSERVE, 0),
            1 => options.push_uint(OptionNumber::BLOCK2, u64::from(cursor.byte() & 0x71)),
            _ => {}
        }
        let payload = [2; 200];
        let method = cursor.pick(&METHODS);
        let (len, streams) = (cursor.byte(), cursor.byte());
        let streamed = (streams & 1 == 1).then_some(StreamedBody { total: None });
        let request = RequestRef::new(method, options.as_options())
            .with_payload(&payload[..usize::from(len % 200)])
            .with_streamed(streamed)
            .with_streamed_answer(streams & 2 == 2)
            .with_confirmable(!cursor.byte().is_multiple_of(3))
            .with_timeout(cursor.byte().is_multiple_of(4).then_some(Duration::from_secs(20)));
        let mut path = path(cursor.byte());
        if cursor.byte().is_multiple_of(8) {
            path = Path::to("224.0.1.187:5683".parse().unwrap());
        }
        let observes = options.as_options().observe() == Some(0);
        if let Ok(id) = self.endpoint.request(self.now, &path, request) {
            self.begins(id, &path, observes || streams & 3 != 0);
        }
    }

    fn respond(&mut self, cursor: &mut Cursor<'_>) {
        let Some(id) = pick(&self.pending, cursor) else {
            return;
        };
        let mut options = OptionsBuf::new();
        if cursor.byte().is_multiple_of(4) {
            options.push_uint(OptionNumber::CONTENT_FORMAT, u64::from(cursor.byte() % 2));
        }
        let payload = [cursor.byte(); 3000];
        let len = cursor.pick(&[0, 1, 16, 33, 100, 512, 3000]);
        let window = Window {
            offset: u64::from(cursor.byte()),
            total: u64::from(cursor.byte()),
        };
        let response = ResponseRef::new(cursor.pick(&STATUSES), options.as_options(), &payload[..len])
            .with_observe(
                (!cursor.byte().is_multiple_of(4)).then_some(Topic(u64::from(cursor.byte()) % TOPICS)),
            )
            .with_window(cursor.byte().is_multiple_of(5).then_some(window))
            .with_confirmable(cursor.pick(&[None, Some(true), Some(false)]));
        let _ = self.endpoint.respond(self.now, id, response);
        self.pending.retain(|other| *other != id);
    }

    /// Time passes: up to the next deadline, or less, or much more.
    fn pass(&mut self, cursor: &mut Cursor<'_>) {
        let next = self
            .endpoint
            .poll_deadline()
            .map_or(self.now, |deadline| deadline.at.max(self.now));
        self.now = match cursor.byte() % 4 {
            0 => self.now + Duration::from_millis(u64::from(cursor.byte())),
            1 => next + Duration::from_secs(u64::from(cursor.byte())),
            _ => next,
        };
        self.endpoint.handle_timeout(self.now);
    }

    /// Drains what the endpoint gives, and sees to it that what is due is done within bounds.
    fn settle(&mut self) {
        for _ in 0..1000 {
            self.drain();
            match self.endpoint.poll_deadline() {
                Some(deadline) if deadline.at <= self.now => self.endpoint.handle_timeout(self.now),
                _ => return,
            }
        }
        panic!(
            "time stands still: {:?} at {:?}",
            self.endpoint.poll_deadline(),
            self.now
        );
    }

    fn drain(&mut self) {
        let mut events = 0;
        let before = self.sent.len();
        loop {
            self.transmit();
            let Some(event) = self.endpoint.poll_event() else {
                break;
            };
            self.take(event);
            events += 1;
        }
        let count = self.sent.len() - before + events;
        assert!(count < 500, "{count} datagrams and events at once");
        let old = self.sent.len().saturating_sub(16);
        self.sent.drain(..old);
    }

    fn transmit(&mut self) {
        let mut buf = [0; limits::MAX_DATAGRAM];
        while let Some(transmit) = self.endpoint.poll_transmit(self.now, &mut buf) {
            let bytes = &buf[..transmit.len];
            self.ledger.sends(self.now, &transmit.path, bytes);
            self.sent.push((transmit.path, bytes.to_vec()));
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Refresh { id, .. } => {
                assert!(self.ledger.knows(id), "an observer that never registered");
                self.pending.push(id);
            }
            Event::Ended { id } => self.pending.retain(|other| *other != id),
            Event::Response { id, response, more } => {
                let asked = self.asked(id);
                assert!(
                    asked.of.is_none_or(|of| of == response.path.remote),
                    "from elsewhere"
                );
                if !more {
                    self.asked.retain(|other| other.id != id);
                }
            }
            Event::Failed { id, .. } | Event::Pong { id } => {
                self.asked(id);
                self.asked.retain(|other| other.id != id);
            }
            Event::Body { id, more, .. } => {
                self.asked(id);
                if !more {
                    self.asked.retain(|other| other.id != id);
                }
            }
            Event::Progress { id, .. }
            | Event::Stale { id }
            | Event::BodyWanted { id }
            | Event::HeldBack { id, .. } => {
                self.asked(id);
            }
            _ => {}
        }
    }

    fn asked(&self, id: ExchangeId) -> Asked {
        let asked = self.asked.iter().find(|asked| asked.id == id);
        *asked.expect("an exchange that had ended or was cancelled")
    }

    fn is_within_bounds(&self) {
        assert!(
            self.pending.len() <= MAX_EXCHANGES,
            "{} requests of peers",
            self.pending.len()
        );
        // As many requests, and as many pings.
        assert!(
            self.asked.len() <= 2 * MAX_REQUESTS,
            "{} requests of ours",
            self.asked.len()
        );
    }

    /// Nobody answers any more: every request of ours ends, but for those that may be observations.
    fn wait(&mut self) {
        let until = self.now + PATIENCE;
        while self.asked.iter().any(|asked| !asked.lasts) {
            let deadline = self
                .endpoint
                .poll_deadline()
                .expect("a request waits for nothing");
            assert!(deadline.at <= until, "a request waits for ever: {deadline:?}");
            self.now = self.now.max(deadline.at);
            self.settle();
        }
    }

    /// Ends everything that was begun, and waits: nothing remains.
    fn end(&mut self) {
        for asked in std::mem::take(&mut self.asked) {
            self.endpoint.cancel(self.now, asked.id);
        }
        let gone = ResponseRef::new(Status::NOT_FOUND, Options::empty(), b"");
        // The first round of topics gives each observer its last notification, the others wait for what follows.
        for topic in (0..TOPICS).cycle().take(10_000) {
            self.settle();
            for id in std::mem::take(&mut self.pending) {
                let _ = self.endpoint.respond(self.now, id, gone);
            }
            self.endpoint.changed(Topic(topic));
            self.settle();
            if self.pending.is_empty() {
                match self.endpoint.poll_deadline() {
                    Some(deadline) => self.now = self.now.max(deadline.at),
                    None if topic + 1 == TOPICS => break,
                    None => {}
                }
            }
        }
        assert!(self.endpoint.is_idle(), "something waits for ever");
        assert!(self.endpoint.is_pristine(), "something is left");
    }
}

fn pick<T: Copy>(from: &[T], cursor: &mut Cursor<'_>) -> Option<T> {
    let at = usize::from(cursor.byte()).checked_rem(from.len())?;
    from.get(at).copied()
}

fn path(byte: u8) -> Path {
    Path {
        local: Some([192, 0, 2, 1].into()),
        multicast: byte & 0x3c == 0x3c,
        ..Path::to(([198, 51, 100, byte & 3], 5683).into())
    }
}

fn encode(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = vec![0; message.encoded_len()];
    message.encode(&mut bytes).unwrap();
    bytes
}
