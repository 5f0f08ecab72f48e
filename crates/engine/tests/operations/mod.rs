//! Any sequence of operations on an endpoint, decoded from bytes: what the property test and the fuzz target share.
//!
//! Whatever the sequence, nothing panics, all that is sent can be parsed, time is never waited for in vain, the bounds
//! of the configuration hold, and when everything is ended nothing remains.
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

use std::sync::Arc;
use std::time::Duration;

use coracle_engine::{
    Body, BodyPolicy, Config, Endpoint, Event, ExchangeId, Instant, Path, Received, RequestRef, ResponseRef,
    Topic, Window, limits,
};
use coracle_wire::{
    Code, Message, MessageId, MessageType, Method, OptionNumber, Options, OptionsBuf, Status,
};

/// Reads numbers from bytes; zeros when they are used up.
struct Cursor<'b>(&'b [u8]);

impl<'b> Cursor<'b> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()]
    }

    fn slice(&mut self, len: usize) -> &'b [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

struct Streams;

impl BodyPolicy for Streams {
    fn body(&self, method: Method, _options: Options<'_>) -> Body {
        match method {
            Method::PATCH => Body::Stream,
            _ => Body::Collect { limit: 256 },
        }
    }
}

const TYPES: [MessageType; 4] = [
    MessageType::Confirmable,
    MessageType::NonConfirmable,
    MessageType::Acknowledgement,
    MessageType::Reset,
];
const CODES: [u8; 16] = [
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x41, 0x44, 0x45, 0x43, 0x5f, 0x80, 0x8d, 0xa0, 0x88,
];
const NUMBERS: [u16; 20] = [
    1, 3, 4, 5, 6, 6, 11, 12, 14, 15, 17, 23, 23, 27, 27, 28, 35, 60, 258, 292,
];
const STATUSES: [Status; 8] = [
    Status::CONTENT,
    Status::CONTENT,
    Status::CONTENT,
    Status::VALID,
    Status::CHANGED,
    Status::NOT_FOUND,
    Status::CONTINUE,
    Status::INTERNAL_SERVER_ERROR,
];
const METHODS: [Method; 5] = [
    Method::GET,
    Method::PUT,
    Method::POST,
    Method::FETCH,
    Method::PATCH,
];
const TOPICS: u64 = 3;

/// Few enough that the bounds are reached.
fn config() -> Config {
    let mut config = Config::constrained();
    config.block_szx = 1;
    config.max_body = 512;
    config.max_requests = 8;
    config.body_policy = Some(Arc::new(Streams));
    config
}

struct World {
    endpoint: Endpoint,
    now: Instant,
    asked: Vec<ExchangeId>,
    /// Requests of peers that the application works on.
    pending: Vec<ExchangeId>,
    /// What the endpoint sent last, and where to.
    sent: Vec<(Path, Vec<u8>)>,
    received: Vec<(Path, Vec<u8>)>,
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
    };
    let mut cursor = Cursor(bytes);
    while !cursor.0.is_empty() {
        world.operate(&mut cursor);
        world.settle();
    }
    world.end();
}

impl World {
    fn operate(&mut self, cursor: &mut Cursor<'_>) {
        match cursor.byte() % 18 {
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
                if let Ok(id) = self.endpoint.ping(self.now, &path(cursor.byte())) {
                    self.asked.push(id);
                }
            }
            11 => {
                if let Some(id) = pick_id(&self.asked, cursor) {
                    self.endpoint.cancel(self.now, id);
                }
            }
            12 | 13 => self.respond(cursor),
            14 => {
                if let Some(id) = pick_id(&self.pending, cursor) {
                    self.endpoint.continue_body(self.now, id);
                }
            }
            15 => self.endpoint.changed(Topic(u64::from(cursor.byte()) % TOPICS)),
            16 => self.pass(cursor),
            _ => {
                let remote = path(cursor.byte()).remote;
                self.endpoint.handle_unreachable(self.now, remote);
            }
        }
    }

    fn receive(&mut self, path: Path, bytes: Vec<u8>) {
        let id = match self.endpoint.handle_datagram(self.now, path, &bytes) {
            Received::Request(id, _) | Received::Assembled(id, _) | Received::Body(id, _) => Some(id),
            Received::Nothing => None,
        };
        self.pending.extend(id.filter(|id| !self.pending.contains(id)));
        self.received.push((path, bytes));
        if self.received.len() > 16 {
            self.received.remove(0);
        }
    }

    fn receive_message(&mut self, cursor: &mut Cursor<'_>) {
        let mut options = OptionsBuf::new();
        for _ in 0..cursor.byte() % 5 {
            let number = OptionNumber(cursor.pick(&NUMBERS));
            let len = usize::from(cursor.byte() % 4);
            options.insert(number, cursor.slice(len)).unwrap();
        }
        let token_len = cursor.pick(&[0, 1, 1, 1, 2, 8, 9, 14]);
        let payload_len = cursor.pick(&[0, 0, 1, 16, 16, 32, 32, 64, 300]);
        let message = Message {
            message_type: cursor.pick(&TYPES),
            code: Code::from_byte(cursor.pick(&CODES)),
            message_id: MessageId(u16::from(cursor.byte())),
            token: &[cursor.byte() % 4; 14][..token_len],
            options: options.as_options(),
            payload: &[cursor.byte(); 300][..payload_len],
        };
        let bytes = encode(&message);
        self.receive(path(cursor.byte()), bytes);
    }

    /// What a peer would say to something that the endpoint sent.
    fn receive_answer(&mut self, cursor: &mut Cursor<'_>) {
        if self.sent.is_empty() {
            return;
        }
        let (path, bytes) =
            self.sent[self.sent.len() - 1 - usize::from(cursor.byte()) % self.sent.len()].clone();
        let asked = Message::parse(&bytes).expect("what is sent can be parsed");
        let mut options = OptionsBuf::new();
        for _ in 0..cursor.byte() % 4 {
            let number = OptionNumber(cursor.pick(&NUMBERS));
            let len = usize::from(cursor.byte() % 4);
            options.insert(number, cursor.slice(len)).unwrap();
        }
        let payload_len = cursor.pick(&[0, 1, 16, 32]);
        let message_type = cursor.pick(&TYPES);
        let empty = message_type == MessageType::Reset || cursor.byte().is_multiple_of(4);
        let own_id = matches!(
            message_type,
            MessageType::Confirmable | MessageType::NonConfirmable
        );
        let message = Message {
            message_type,
            code: if empty {
                Code::EMPTY
            } else {
                Code::from_byte(cursor.pick(&CODES[7..]))
            },
            message_id: if own_id {
                MessageId(u16::from(cursor.byte()))
            } else {
                asked.message_id
            },
            token: if empty { &[] } else { asked.token },
            options: if empty {
                Options::empty()
            } else {
                options.as_options()
            },
            payload: if empty { &[] } else { &[1; 32][..payload_len] },
        };
        self.receive(path, encode(&message));
    }

    /// Something that was received before comes again, perhaps with a byte changed.
    fn receive_again(&mut self, cursor: &mut Cursor<'_>) {
        if self.received.is_empty() {
            return;
        }
        let (path, mut bytes) = self.received[usize::from(cursor.byte()) % self.received.len()].clone();
        let at = usize::from(cursor.byte());
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= cursor.byte();
        }
        self.receive(path, bytes);
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
        let request = RequestRef::new(method, options.as_options())
            .with_payload(&payload[..usize::from(cursor.byte() % 200)])
            .with_confirmable(!cursor.byte().is_multiple_of(3))
            .with_timeout(cursor.byte().is_multiple_of(4).then_some(Duration::from_secs(20)));
        let mut path = path(cursor.byte());
        if cursor.byte().is_multiple_of(8) {
            path = Path::to("224.0.1.187:5683".parse().unwrap());
        }
        if let Ok(id) = self.endpoint.request(self.now, &path, request) {
            self.asked.push(id);
        }
    }

    fn respond(&mut self, cursor: &mut Cursor<'_>) {
        let Some(id) = pick_id(&self.pending, cursor) else {
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
        let mut buf = [0; limits::MAX_DATAGRAM];
        let mut count = 0;
        loop {
            while let Some(transmit) = self.endpoint.poll_transmit(self.now, &mut buf) {
                let bytes = &buf[..transmit.len];
                let message = Message::parse(bytes).expect("what is sent can be parsed");
                assert!(message.payload.len() <= limits::MAX_PAYLOAD);
                self.sent.push((transmit.path, bytes.to_vec()));
                count += 1;
            }
            let Some(event) = self.endpoint.poll_event() else {
                break;
            };
            match event {
                Event::Refresh { id, .. } => self.pending.push(id),
                Event::Ended { id } => self.pending.retain(|other| *other != id),
                Event::Failed { id, .. } | Event::Response { id, more: false, .. } | Event::Pong { id } => {
                    assert!(
                        self.asked.contains(&id),
                        "an exchange that had ended or was cancelled"
                    );
                    self.asked.retain(|other| *other != id);
                }
                _ => {}
            }
            count += 1;
        }
        assert!(count < 500, "{count} datagrams and events at once");
        let old = self.sent.len().saturating_sub(16);
        self.sent.drain(..old);
    }

    /// Ends everything that was begun, and waits: nothing remains.
    fn end(&mut self) {
        for id in self.asked.clone() {
            self.endpoint.cancel(self.now, id);
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

fn pick_id(ids: &[ExchangeId], cursor: &mut Cursor<'_>) -> Option<ExchangeId> {
    let at = usize::from(cursor.byte()).checked_rem(ids.len())?;
    ids.get(at).copied()
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
