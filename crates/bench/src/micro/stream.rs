//! Requests on connections: as frames, through the engine, and all that the server does.

use std::hint::black_box;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use coracle_engine::{Config, ConnectionId, Endpoint, Instant, Path, Received, ResponseRef};
use coracle_runtime::Endpoint as Server;
use coracle_wire::{
    Code, Framing, Message, MessageId, MessageType, Method, OptionNumber, OptionsBuf, Signal, Status,
    frame_len,
};
use tokio::runtime::Runtime;

use super::Operation;
use super::codec::options;
use crate::process;
use crate::subjects::coracle;

/// Connections that ask in turn, as in the rounds.
const CONNECTIONS: u8 = 64;

/// Requests that are outstanding on each, as in the rounds that are judged.
const DEPTH: u32 = 8;

/// Between two requests.
const STEP: Duration = Duration::from_micros(5);

/// Turns of the server in which no answer comes, before it counts as dead.
const PATIENCE: u32 = 1_000;

/// The request that all cases make.
fn request(options: &OptionsBuf, token: [u8; 4], frame: &mut Vec<u8>) {
    frame.clear();
    append(Code::from(Method::GET), &token, options, frame);
}

fn append(code: Code, token: &[u8], options: &OptionsBuf, bytes: &mut Vec<u8>) {
    let message = Message {
        message_type: MessageType::NonConfirmable,
        code,
        message_id: MessageId(0),
        token,
        options: options.as_options(),
        payload: &[],
    };
    let appended = message.append_frame(Framing::Tcp, bytes);
    assert!(appended.is_some());
}

/// An empty CSM.
fn csm() -> Vec<u8> {
    let mut bytes = Vec::new();
    append(Code::from(Signal::CSM), &[], &OptionsBuf::new(), &mut bytes);
    bytes
}

pub(super) fn parse() -> impl FnMut() {
    let mut frame = Vec::new();
    request(&options(), *b"toke", &mut frame);
    move || {
        let bytes = black_box(frame.as_slice());
        let len = frame_len(bytes).ok().flatten().unwrap_or_default();
        let frame = usize::try_from(len).ok().and_then(|len| bytes.get(..len));
        let message = Message::parse_frame(Framing::Tcp, frame.unwrap_or_default());
        let options = message.map(|message| {
            message
                .options
                .iter()
                .map(|option| option.value.len())
                .sum::<usize>()
        });
        let _ = black_box(options);
    }
}

pub(super) fn encode() -> impl FnMut() {
    let options = options();
    let mut frame = Vec::with_capacity(64);
    move || request(black_box(&options), black_box(*b"toke"), &mut frame)
}

/// An endpoint and peers that ask in turn, each on its connection.
pub(super) struct Exchanges {
    endpoint: Endpoint,
    now: Instant,
    options: OptionsBuf,
    answer_options: OptionsBuf,
    connections: Vec<ConnectionId>,
    turn: usize,
    frame: Vec<u8>,
}

impl Exchanges {
    pub(super) fn new() -> Exchanges {
        let mut answer_options = OptionsBuf::new();
        answer_options.push_uint(OptionNumber::CONTENT_FORMAT, 0);
        let mut exchanges = Exchanges {
            endpoint: Endpoint::new(Config::default(), [7; 32]),
            now: Instant::ZERO,
            options: options(),
            answer_options,
            connections: Vec::new(),
            turn: 0,
            frame: Vec::new(),
        };
        (0..CONNECTIONS).for_each(|number| exchanges.connect(number));
        exchanges
    }

    fn connect(&mut self, number: u8) {
        let path = Path {
            local: Some(Ipv4Addr::LOCALHOST.into()),
            ..Path::to(SocketAddr::from((Ipv4Addr::new(127, 1, 0, number), 5683)))
        };
        let id = self.endpoint.connected(self.now, path, Framing::Tcp);
        self.connections.extend(id);
        if let Some(id) = id {
            let _ = self.endpoint.handle_stream(self.now, id, &mut csm().as_slice());
            self.take_output();
        }
        while self.endpoint.poll_event().is_some() {}
    }

    /// The bytes that were to be written.
    fn take_output(&mut self) -> usize {
        let mut bytes = 0;
        while let Some(id) = self.endpoint.poll_stream() {
            let len = self.endpoint.stream_output(id).len();
            self.endpoint.stream_written(self.now, id, len);
            bytes += len;
        }
        bytes
    }

    pub(super) fn one(&mut self) {
        self.now = self.now + STEP;
        self.turn = (self.turn + 1) % self.connections.len().max(1);
        let Some(id) = self.connections.get(self.turn).copied() else {
            return;
        };
        request(&self.options, *b"toke", &mut self.frame);
        let received = self
            .endpoint
            .handle_stream(self.now, id, &mut self.frame.as_slice());
        let Received::Request(id, _) = black_box(received) else {
            return;
        };
        let response = ResponseRef::new(Status::CONTENT, self.answer_options.as_options(), b"21.5");
        let answered = self.endpoint.respond(self.now, id, response);
        assert!(answered.is_ok() && self.take_output() > 0);
    }
}

/// A server and the peers that ask it. They take turns in one thread, so that only the server's turns are counted.
pub(super) struct Whole {
    runtime: Runtime,
    peers: Vec<TcpStream>,
    outstanding: u32,
    idle: u32,
}

impl Whole {
    pub(super) fn start() -> Whole {
        let started = Whole::try_start();
        #[allow(clippy::expect_used, reason = "without sockets there is nothing to measure")]
        started.expect("a server and its peers on loopback")
    }

    fn try_start() -> io::Result<Whole> {
        let runtime = process::runtime()?;
        let server = runtime.block_on(async {
            let endpoint = Server::bind("coap+tcp://127.0.0.1:0").map_err(io::Error::other)?;
            let address = endpoint.local_addrs().first().copied();
            tokio::spawn(endpoint.serve(coracle::router()).into_future());
            address.ok_or_else(|| io::Error::other("no address"))
        })?;
        let peers = (0..CONNECTIONS).map(|_| peer(server));
        Ok(Whole {
            runtime,
            peers: peers.collect::<io::Result<_>>()?,
            outstanding: 0,
            idle: 0,
        })
    }

    fn ask(&mut self) -> io::Result<()> {
        let (mut frame, mut frames) = (Vec::new(), Vec::new());
        for number in 0..DEPTH {
            request(&options(), number.to_be_bytes(), &mut frame);
            frames.extend_from_slice(&frame);
        }
        for peer in &mut self.peers {
            peer.write_all(&frames)?;
            self.outstanding += DEPTH;
        }
        Ok(())
    }

    /// Takes the answers that are there, and returns how many were right.
    fn answered(&mut self) -> io::Result<u32> {
        let (mut count, mut buffer) = (0, [0; 4096]);
        for peer in &mut self.peers {
            let len = match peer.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                len => len?,
            };
            let mut rest = buffer.get(..len).unwrap_or_default();
            while let Some((frame, after)) = first_frame(rest) {
                let message = Message::parse_frame(Framing::Tcp, frame);
                count += u32::from(message.is_ok_and(|message| message.code == Code::from(Status::CONTENT)));
                rest = after;
            }
        }
        Ok(count)
    }
}

fn first_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = usize::try_from(frame_len(bytes).ok()??).ok()?;
    bytes.split_at_checked(len)
}

impl Operation for Whole {
    fn prepare(&mut self) {
        if self.outstanding == 0 {
            let asked = self.ask();
            assert!(asked.is_ok(), "{asked:?}");
        }
    }

    fn run(&mut self) {
        self.runtime.block_on(tokio::task::yield_now());
    }

    fn finish(&mut self) -> u32 {
        let answered = self.answered().unwrap_or_default();
        self.outstanding -= answered;
        self.idle = if answered == 0 { self.idle + 1 } else { 0 };
        assert!(self.idle < PATIENCE, "the server answers no longer");
        answered
    }
}

fn peer(server: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    stream.write_all(&csm())?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_on_a_connection_is_answered() {
        let mut exchanges = Exchanges::new();
        let before = exchanges.endpoint.stats().requests;
        (0..1_000).for_each(|_| exchanges.one());
        let stats = exchanges.endpoint.stats();
        assert_eq!(stats.requests - before, 1_000);
    }
}
