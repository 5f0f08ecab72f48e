//! Blocks of large bodies, through the engine: handed over one by one, never held as a whole.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use coracle_engine::{
    Body, BodyPolicy, Config, Endpoint, Instant, Path, Received, ResponseRef, Window, limits,
};
use coracle_wire::{Code, Message, Method, OptionNumber, Options, OptionsBuf, Status};

use super::Operation;
use crate::datagrams::request;

/// Bytes of a block, and its SZX (RFC 7959 §2.2).
const SIZE: usize = 1024;
const SZX: u64 = 6;

/// Blocks of a body.
const BLOCKS: u32 = 1_000;

/// Between two requests: so long that their message IDs do not repeat within EXCHANGE_LIFETIME (RFC 7252 §4.4).
const STEP: Duration = Duration::from_millis(5);

/// Every body is streamed.
struct Streaming;

impl BodyPolicy for Streaming {
    fn body(&self, _: Method, _: Options<'_>) -> Body {
        Body::Stream
    }
}

/// An endpoint and a peer that sends one request after the other.
struct Pair {
    endpoint: Endpoint,
    path: Path,
    now: Instant,
    id: u16,
    /// What the endpoint wants to see before it sends more than it got (RFC 9175 §2).
    echo: Vec<u8>,
    /// The last answer asked for it.
    is_challenged: bool,
    request: [u8; limits::MAX_DATAGRAM],
    request_len: usize,
    answer: [u8; limits::MAX_DATAGRAM],
    answer_len: usize,
}

impl Pair {
    fn new() -> Pair {
        let mut config = Config::default();
        config.body_policy = Some(Arc::new(Streaming));
        let peer = SocketAddr::from((Ipv4Addr::new(127, 1, 0, 1), 5683));
        Pair {
            endpoint: Endpoint::new(config, [7; 32]),
            path: Path {
                local: Some(Ipv4Addr::LOCALHOST.into()),
                ..Path::to(peer)
            },
            now: Instant::ZERO,
            id: 0,
            echo: Vec::new(),
            is_challenged: false,
            request: [0; limits::MAX_DATAGRAM],
            request_len: 0,
            answer: [0; limits::MAX_DATAGRAM],
            answer_len: 0,
        }
    }

    /// Writes the peer's next request; its payload is a block, or nothing.
    fn write(&mut self, method: Method, option: OptionNumber, block: u64, payload: &[u8]) {
        self.id = self.id.wrapping_add(1);
        let mut options = OptionsBuf::new();
        let fits = options.push_str(OptionNumber::URI_PATH, "body");
        options.push_uint(option, block);
        assert_eq!(fits, Ok(()));
        if !self.echo.is_empty() {
            let fits = options.insert(OptionNumber::ECHO, &self.echo);
            assert_eq!(fits, Ok(()));
        }
        let token = [0, 0, 0, 1];
        let options = options.as_options();
        self.request_len = request(method, self.id, token, options, payload, &mut self.request);
        self.answer_len = 0;
    }

    /// Hands the request to the endpoint.
    fn hand_in(&mut self) -> Received<'_> {
        self.now = self.now + STEP;
        while self
            .endpoint
            .poll_deadline()
            .is_some_and(|deadline| deadline.at <= self.now)
        {
            self.endpoint.handle_timeout(self.now);
        }
        let datagram = self.request.get(..self.request_len).unwrap_or_default();
        self.endpoint.handle_datagram(self.now, self.path, datagram)
    }

    fn take_answer(&mut self) {
        let transmit = self.endpoint.poll_transmit(self.now, &mut self.answer);
        self.answer_len = transmit.map_or(0, |transmit| transmit.len);
    }

    /// The code and the length of the payload of the answer.
    fn read(&mut self) -> (Code, usize) {
        let Ok(answer) = Message::parse(self.answer.get(..self.answer_len).unwrap_or_default()) else {
            return (Code::EMPTY, 0);
        };
        let echo = answer.options.get(OptionNumber::ECHO);
        self.is_challenged = echo.is_some();
        if let Some(echo) = echo {
            self.echo = echo.to_vec();
        }
        (answer.code, answer.payload.len())
    }
}

/// A peer that reads a body, block by block and again and again.
pub(super) struct Download {
    pair: Pair,
    block: Vec<u8>,
    next: u32,
}

impl Download {
    pub(super) fn new() -> Download {
        let mut download = Download {
            pair: Pair::new(),
            block: vec![7; SIZE],
            next: 0,
        };
        // Before its address is proved the peer may get less than it asks for.
        download.prepare();
        download.run();
        let _ = download.pair.read();
        download
    }
}

impl Operation for Download {
    fn prepare(&mut self) {
        let block = u64::from(self.next << 4) | SZX;
        self.pair.write(Method::GET, OptionNumber::BLOCK2, block, &[]);
    }

    fn run(&mut self) {
        if let Received::Request(id, _) = self.pair.hand_in() {
            let window = Window {
                offset: u64::from(self.next) * SIZE as u64,
                total: u64::from(BLOCKS) * SIZE as u64,
            };
            let response = ResponseRef::new(Status::CONTENT, Options::empty(), &self.block);
            let response = response.with_window(Some(window));
            let answered = self.pair.endpoint.respond(self.pair.now, id, response);
            assert_eq!(answered, Ok(()));
        }
        self.pair.take_answer();
    }

    fn finish(&mut self) -> u32 {
        let (code, len) = self.pair.read();
        assert_eq!(code, Code::from(Status::CONTENT));
        // An hour after the last proof of the address there is less, until the Echo value that came with it is back.
        let is_whole = len == SIZE;
        assert!(is_whole || self.pair.is_challenged);
        self.next = (self.next + u32::from(is_whole)) % BLOCKS;
        1
    }
}

/// A peer that writes a body, block by block and again and again.
pub(super) struct Upload {
    pair: Pair,
    block: Vec<u8>,
    next: u32,
}

impl Upload {
    pub(super) fn new() -> Upload {
        Upload {
            pair: Pair::new(),
            block: vec![7; SIZE],
            next: 0,
        }
    }

    fn more(&self) -> bool {
        self.next + 1 < BLOCKS
    }
}

impl Operation for Upload {
    fn prepare(&mut self) {
        let block = u64::from(self.next << 4) | u64::from(self.more()) << 3 | SZX;
        self.pair
            .write(Method::PUT, OptionNumber::BLOCK1, block, &self.block);
    }

    fn run(&mut self) {
        let id = match self.pair.hand_in() {
            Received::Request(id, _) | Received::Body(id, _) => id,
            Received::Assembled(..) | Received::Nothing => return,
        };
        if self.more() {
            self.pair.endpoint.continue_body(self.pair.now, id);
        } else {
            let response = ResponseRef::new(Status::CHANGED, Options::empty(), &[]);
            let answered = self.pair.endpoint.respond(self.pair.now, id, response);
            assert_eq!(answered, Ok(()));
        }
        self.pair.take_answer();
    }

    fn finish(&mut self) -> u32 {
        let status = if self.more() {
            Status::CONTINUE
        } else {
            Status::CHANGED
        };
        assert_eq!(self.pair.read(), (Code::from(status), 0));
        self.next = (self.next + 1) % BLOCKS;
        1
    }
}
