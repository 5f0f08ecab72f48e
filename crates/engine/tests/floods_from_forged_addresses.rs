//! A million datagrams from addresses that are somebody else's (a tenth of them where the engine is not optimized), of
//! all kinds: no address is sent more than three times what came from it (RFC 9175 §2.4), memory keeps to its budgets,
//! and a peer that has proved its address is served all the time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "common/allocator.rs"]
mod allocator;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use allocator::held;
use coracle_engine::{
    Config, Endpoint, Event, ExchangeId, Instant, Path, Received, ResponseRef, Topic, limits,
};
use coracle_wire::{Code, Message, MessageId, MessageType, Method, OptionNumber, OptionsBuf, Status};

const FLOOD: u32 = if cfg!(debug_assertions) {
    100_000
} else {
    1_000_000
};

/// Between two datagrams of the flood.
const STEP: Duration = Duration::from_micros(10);

/// After so many datagrams of the flood the proved peer asks something, and the state of the topic changes.
const EVERY: u32 = 500;

const KINDS: u32 = 10;

/// All that the endpoint may hold with these settings, in bytes: what the budgets say and as much again for the tables
/// that have room for more than they hold.
const BUDGET: usize = 64 << 20;

fn settings() -> Config {
    let mut config = Config::default();
    config.seen_bytes = 8 << 20;
    config.response_body_bytes = 2 << 20;
    config.assembly_bytes = 2 << 20;
    config.max_exchanges = 4096;
    config.max_observers = 2048;
    config.max_peers = 8192;
    config
}

struct Flooded {
    endpoint: Endpoint,
    now: Instant,
    /// Exchanges of slow handlers, with what they will answer.
    waiting: VecDeque<(Instant, ExchangeId)>,
    /// Bytes in and out of each forged address.
    bytes: Vec<(u32, u32)>,
    /// What was sent to the peer that has proved its address.
    to_proved: Vec<Vec<u8>>,
    peak: usize,
}

fn proved() -> Path {
    Path::to(SocketAddr::from(([192, 0, 2, 1], 5683)))
}

fn forged(number: u32) -> Path {
    let [_, a, b, c] = number.to_be_bytes();
    Path::to(SocketAddr::from(([10, a, b, c], 5683)))
}

impl Flooded {
    fn receive(&mut self, path: Path, datagram: &[u8]) {
        let received = self.endpoint.handle_datagram(self.now, path, datagram);
        let Received::Request(id, request) = received else {
            return self.send();
        };
        let observes = request.options.observe() == Some(0);
        match request.options.get(OptionNumber::URI_PATH) {
            Some(b"slow") => self.waiting.push_back((self.now + Duration::from_secs(3), id)),
            Some(b"long") => self.answer(id, &[b'l'; 5000], observes),
            _ => self.answer(id, b"twenty bytes of text", observes),
        }
    }

    fn answer(&mut self, id: ExchangeId, body: &[u8], observes: bool) {
        let options = OptionsBuf::new();
        let response = ResponseRef::new(Status::CONTENT, options.as_options(), body);
        let topic = observes.then_some(Topic(1));
        let _ = self.endpoint.respond(self.now, id, response.with_observe(topic));
        self.send();
    }

    fn send(&mut self) {
        let mut buf = [0; limits::MAX_DATAGRAM];
        while let Some(out) = self.endpoint.poll_transmit(self.now, &mut buf) {
            let SocketAddr::V4(remote) = out.path.remote else {
                continue;
            };
            match remote.ip().octets() {
                [10, a, b, c] => {
                    let number = u32::from_be_bytes([0, a, b, c]);
                    self.bytes[number as usize].1 += u32::try_from(out.len).unwrap();
                }
                _ => self.to_proved.push(buf[..out.len].to_vec()),
            }
        }
        while let Some(event) = self.endpoint.poll_event() {
            if let Event::Refresh { id, .. } = event {
                return self.answer(id, b"the state is another", true);
            }
        }
        self.peak = self.peak.max(held());
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let due = self.waiting.front().map(|(at, _)| *at);
            let deadline = self.endpoint.poll_deadline().map(|deadline| deadline.at);
            let Some(next) = due.into_iter().chain(deadline).min().filter(|at| *at <= until) else {
                break;
            };
            self.now = self.now.max(next);
            if due.is_some_and(|at| at <= self.now) {
                let Some((_, id)) = self.waiting.pop_front() else {
                    break;
                };
                self.answer(id, &[b's'; 300], false);
            }
            self.endpoint.handle_timeout(self.now);
            self.send();
        }
        self.now = until;
    }

    /// The proved peer asks, and is answered with a success.
    fn ask(&mut self, method: Method, id: u16, options: &[(OptionNumber, &[u8])]) -> Vec<u8> {
        self.to_proved.clear();
        let token = u32::from(id).to_be_bytes();
        self.receive(
            proved(),
            &request(MessageType::Confirmable, method, id, &token, options, b""),
        );
        let answer = self.to_proved.pop().unwrap();
        let message = Message::parse(&answer).unwrap();
        assert_eq!((message.message_id, message.token), (MessageId(id), &token[..]));
        assert_eq!(message.code, Code::from(Status::CONTENT), "request {id}");
        answer
    }
}

fn request(
    message_type: MessageType,
    method: Method,
    id: u16,
    token: &[u8],
    options: &[(OptionNumber, &[u8])],
    payload: &[u8],
) -> Vec<u8> {
    let mut list = OptionsBuf::new();
    for (number, value) in options {
        list.insert(*number, value).unwrap();
    }
    let message = Message {
        message_type,
        code: Code::from(method),
        message_id: MessageId(id),
        token,
        options: list.as_options(),
        payload,
    };
    let mut datagram = vec![0; message.encoded_len()];
    message.encode(&mut datagram).unwrap();
    datagram
}

/// One datagram of the flood.
fn forgery(kind: u32) -> Vec<u8> {
    use MessageType::{Confirmable, NonConfirmable};
    fn path(name: &[u8]) -> (OptionNumber, &[u8]) {
        (OptionNumber::URI_PATH, name)
    }
    let first = (OptionNumber::BLOCK1, &[0x0a][..]);
    let observe = (OptionNumber::OBSERVE, &[][..]);
    match kind % KINDS {
        0 => request(Confirmable, Method::GET, 1, b"", &[], b""),
        1 => request(Confirmable, Method::GET, 2, b"12345678", &[path(b"long")], b""),
        2 => request(NonConfirmable, Method::GET, 3, b"1", &[path(b"long")], b""),
        3 => request(NonConfirmable, Method::POST, 4, b"1", &[path(b"act")], b"now"),
        4 => request(Confirmable, Method::GET, 5, b"1", &[observe, path(b"t")], b""),
        5 => request(
            NonConfirmable,
            Method::GET,
            6,
            b"12",
            &[observe, path(b"long")],
            b"",
        ),
        6 => request(Confirmable, Method::PUT, 7, b"1", &[path(b"up"), first], &[0; 64]),
        7 => request(Confirmable, Method::GET, 8, b"1", &[path(b"slow")], b""),
        8 => request(Confirmable, Method::POST, 9, b"1", &[path(b"slow")], &[0; 100]),
        _ => b"\x40\x01\x00\x0a\xff".to_vec(),
    }
}

#[test]
fn forged_addresses_get_little_and_proved_ones_all() {
    let mut flooded = Flooded {
        endpoint: Endpoint::new(settings(), [7; 32]),
        now: Instant::from_micros(1_000_000_000),
        waiting: VecDeque::new(),
        bytes: vec![(0, 0); FLOOD as usize],
        to_proved: Vec::new(),
        peak: 0,
    };
    let before = held();
    let long = (OptionNumber::URI_PATH, &b"long"[..]);
    let small = flooded.ask(Method::GET, 1, &[long]);
    let small = Message::parse(&small).unwrap();
    assert_eq!(small.options.block2().unwrap().unwrap().size(), 16);
    let echo = small.options.get(OptionNumber::ECHO).unwrap().to_vec();
    let whole = flooded.ask(Method::GET, 2, &[long, (OptionNumber::ECHO, &echo)]);
    assert!(whole.len() > 1024);
    let mut id = 2;
    for number in 0..FLOOD {
        let datagram = forgery(number);
        flooded.bytes[number as usize].0 += u32::try_from(datagram.len()).unwrap();
        flooded.receive(forged(number), &datagram);
        // The same message ID again, in the shortest message that there is.
        let shorter = [0x40, 1, datagram[2], datagram[3]];
        flooded.bytes[number as usize].0 += 4;
        flooded.receive(forged(number), &shorter);
        if number % EVERY == 0 {
            flooded.endpoint.changed(Topic(1));
            id += 4;
            flooded.ask(Method::GET, id, &[]);
            flooded.ask(Method::POST, id + 1, &[]);
            let second = [(OptionNumber::BLOCK2, &[0x1e][..]), long];
            flooded.ask(Method::GET, id + 2, &[long]);
            assert!(flooded.ask(Method::GET, id + 3, &second).len() > 1024);
        }
        flooded.pass(STEP);
    }
    flooded.pass(Duration::from_secs(400));
    for (number, (came, went)) in flooded.bytes.iter().enumerate() {
        assert!(*went <= 3 * came, "datagram {number}: {went} bytes for {came}");
    }
    let stats = flooded.endpoint.stats();
    assert!(
        stats.amplification() <= 3.0 && stats.amplification() > 0.5,
        "{}",
        stats.amplification()
    );
    assert!(stats.challenges > 0 && stats.withheld > 0 && stats.proofs == 1);
    let most = flooded.peak.saturating_sub(before);
    assert!(most < BUDGET, "{most} bytes");
}
