//! Single layers, in this process and without sockets.

use std::future::Future;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant as SystemInstant};

use clap::ValueEnum;
use coracle_engine::{Config, Endpoint, Instant, Path, Received, ResponseRef, limits};
use coracle_router::{Request, Router};
use coracle_wire::{Message, OptionNumber, OptionsBuf, Status};

use crate::load::{REQUESTS_PER_ADDRESS, request};
use crate::rounds::median;
use crate::served;

/// Operations before a measurement: the engine's memory of message IDs is full then.
const WARM_UP: u32 = 200_000;

/// The same under a tool that counts instructions and takes fifty times as long.
const WARM_UP_COUNTED: u32 = 8_000;

/// Bytes of that memory for as many.
const SEEN_BYTES_COUNTED: usize = 1 << 20;

/// Measurements, of which the median is told, and how long each takes.
const SAMPLES: usize = 15;
const SAMPLE: Duration = Duration::from_millis(20);

/// Peers that ask in turn, as in the rounds.
const PEERS: u32 = 64;

/// Between two requests.
const STEP: Duration = Duration::from_micros(5);

/// An operation to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    /// Read a request, with all its options
    Parse,
    /// Write it
    Encode,
    /// Through the engine: request in, response out
    Exchange,
    /// Through the router: find the handler, call it, make the response
    Route,
}

impl Case {
    pub(crate) const ALL: [Case; 4] = [Case::Parse, Case::Encode, Case::Exchange, Case::Route];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Case::Parse => "wire: parse a request",
            Case::Encode => "wire: encode a request",
            Case::Exchange => "engine: a request and its response",
            Case::Route => "router: a request to its response",
        }
    }

    /// The operation, ready to be repeated.
    fn prepare(self, seen_bytes: usize) -> Box<dyn FnMut()> {
        match self {
            Case::Parse => parse(),
            Case::Encode => encode(),
            Case::Exchange => {
                let mut exchanges = Exchanges::new(seen_bytes);
                Box::new(move || exchanges.one())
            }
            Case::Route => route(served::router()),
        }
    }
}

/// Nanoseconds of an operation.
pub(crate) fn nanoseconds(case: Case) -> f64 {
    let mut operation = case.prepare(Config::default().seen_bytes);
    repeat(&mut operation, WARM_UP);
    let mut count = 1_000;
    while time(&mut operation, count) < SAMPLE {
        count *= 2;
    }
    let samples = (0..SAMPLES).map(|_| time(&mut operation, count).as_secs_f64() * 1e9 / f64::from(count));
    median(samples.collect())
}

/// Repeats an operation `count` times after its preparation.
pub(crate) fn work(case: Case, count: u32) {
    let mut operation = case.prepare(SEEN_BYTES_COUNTED);
    repeat(&mut operation, WARM_UP_COUNTED);
    repeat(&mut operation, count);
}

fn repeat(operation: &mut dyn FnMut(), count: u32) {
    (0..count).for_each(|_| operation());
}

fn time(operation: &mut dyn FnMut(), count: u32) -> Duration {
    let started = SystemInstant::now();
    repeat(operation, count);
    started.elapsed()
}

fn options() -> OptionsBuf {
    let mut options = OptionsBuf::new();
    let fits = options.push_str(OptionNumber::URI_PATH, "temp");
    assert_eq!(fits, Ok(()));
    options
}

fn parse() -> Box<dyn FnMut()> {
    let mut datagram = [0; 64];
    let len = request(7, *b"toke", options().as_options(), &mut datagram);
    Box::new(move || {
        let message = Message::parse(black_box(&datagram).get(..len).unwrap_or_default());
        let options = message.map(|message| {
            message
                .options
                .iter()
                .map(|option| option.value.len())
                .sum::<usize>()
        });
        let _ = black_box(options);
    })
}

fn encode() -> Box<dyn FnMut()> {
    let options = options();
    let mut datagram = [0; 64];
    Box::new(move || {
        black_box(request(
            black_box(7),
            *b"toke",
            black_box(&options).as_options(),
            &mut datagram,
        ));
    })
}

/// An endpoint and peers that each ask in turn, with a new message ID each time.
struct Exchanges {
    endpoint: Endpoint,
    now: Instant,
    options: OptionsBuf,
    answer_options: OptionsBuf,
    turn: u32,
    id: u16,
    first_peer: u32,
    datagram: [u8; 64],
    out: [u8; limits::MAX_DATAGRAM],
}

impl Exchanges {
    fn new(seen_bytes: usize) -> Exchanges {
        let mut config = Config::default();
        config.seen_bytes = seen_bytes;
        let mut answer_options = OptionsBuf::new();
        answer_options.push_uint(OptionNumber::CONTENT_FORMAT, 0);
        Exchanges {
            endpoint: Endpoint::new(config, [7; 32]),
            now: Instant::ZERO,
            options: options(),
            answer_options,
            turn: 0,
            id: 0,
            first_peer: Ipv4Addr::new(127, 1, 0, 1).to_bits(),
            datagram: [0; 64],
            out: [0; limits::MAX_DATAGRAM],
        }
    }

    fn one(&mut self) {
        self.now = self.now + STEP;
        let path = self.next_path();
        let len = request(
            self.id,
            self.turn.to_be_bytes(),
            self.options.as_options(),
            &mut self.datagram,
        );
        let datagram = self.datagram.get(..len).unwrap_or_default();
        let received = self.endpoint.handle_datagram(self.now, path, datagram);
        let Received::Request(id, _) = black_box(received) else {
            return;
        };
        let response = ResponseRef::new(Status::CONTENT, self.answer_options.as_options(), b"21.5");
        let answered = self.endpoint.respond(self.now, id, response);
        let transmit = self.endpoint.poll_transmit(self.now, &mut self.out);
        assert!(answered.is_ok() && transmit.is_some());
    }

    /// The peer whose turn it is, and the message ID of its request.
    fn next_path(&mut self) -> Path {
        self.turn = (self.turn + 1) % PEERS;
        if self.turn == 0 {
            self.id += 1;
        }
        if self.id == REQUESTS_PER_ADDRESS {
            self.id = 0;
            self.first_peer += PEERS;
        }
        let address = Ipv4Addr::from_bits(self.first_peer + self.turn);
        Path {
            local: Some(Ipv4Addr::LOCALHOST.into()),
            ..Path::to(SocketAddr::from((address, 5683)))
        }
    }
}

fn route(router: Router) -> Box<dyn FnMut()> {
    let path = Path::to(SocketAddr::from((Ipv4Addr::LOCALHOST, 5683)));
    let options = options();
    Box::new(move || {
        let request = Request::new(coracle_wire::Method::GET, path).with_options(options.clone());
        let mut future = router.call(black_box(request));
        let answer = Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(black_box(answer), Poll::Ready(answer) if answer.status == Status::CONTENT));
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exchange_is_new_to_the_engine() {
        let mut exchanges = Exchanges::new(1 << 20);
        (0..10_000).for_each(|_| exchanges.one());
        let stats = exchanges.endpoint.stats();
        assert_eq!((stats.requests, stats.datagrams_out), (10_000, 10_000));
    }

    #[test]
    fn the_router_answers() {
        Case::Route.prepare(0)();
    }

    #[test]
    fn peers_change_before_their_message_ids_repeat() {
        let mut exchanges = Exchanges::new(1 << 20);
        let mut last = Vec::new();
        for _ in 0..PEERS * u32::from(REQUESTS_PER_ADDRESS) {
            let path = exchanges.next_path();
            last.push((path.remote, exchanges.id));
        }
        let count = last.len();
        last.sort_unstable();
        last.dedup();
        assert_eq!(last.len(), count);
    }
}
