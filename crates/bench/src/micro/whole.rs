//! The whole server, on a socket: all that it does outside of the kernel for a request.
//!
//! Server and peers take turns in one thread, so that only the server's turns are counted and every batch is full.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use coracle_engine::Config;
use coracle_runtime::Endpoint;
use coracle_wire::{Code, Message, MessageId, Method, Status};
use tokio::runtime::Runtime;

use super::Operation;
use super::codec::options;
use crate::datagrams::request;
use crate::process;
use crate::subjects::coracle;

/// Peers that ask at once.
const PEERS: u8 = 64;

/// Turns of the server in which no answer comes, before it counts as dead.
const PATIENCE: u32 = 1_000;

/// A server and the peers that ask it.
pub(super) struct Whole {
    runtime: Runtime,
    peers: Vec<UdpSocket>,
    id: u16,
    outstanding: u32,
    idle: u32,
}

impl Whole {
    pub(super) fn start(seen_bytes: usize) -> Whole {
        let started = Whole::try_start(seen_bytes);
        #[allow(clippy::expect_used, reason = "without sockets there is nothing to measure")]
        started.expect("a server and its peers on loopback")
    }

    fn try_start(seen_bytes: usize) -> io::Result<Whole> {
        let runtime = process::runtime()?;
        let server = runtime.block_on(async {
            let mut config = Config::default();
            config.seen_bytes = seen_bytes;
            let endpoint = Endpoint::bind("coap://127.0.0.1:0").map_err(io::Error::other)?;
            let endpoint = endpoint.with_config(config);
            let address = endpoint.local_addrs().first().copied();
            tokio::spawn(endpoint.serve(coracle::router()).into_future());
            address.ok_or_else(|| io::Error::other("no address"))
        })?;
        let peers = (1..=PEERS).map(|number| peer(server, number));
        Ok(Whole {
            runtime,
            peers: peers.collect::<io::Result<_>>()?,
            id: 0,
            outstanding: 0,
            idle: 0,
        })
    }

    fn ask(&mut self) -> io::Result<()> {
        self.id += 1;
        let mut datagram = [0; 64];
        for (peer, number) in self.peers.iter().zip(0_u32..) {
            let token = number.to_be_bytes();
            let len = request(
                Method::GET,
                self.id,
                token,
                options().as_options(),
                &[],
                &mut datagram,
            );
            peer.send(datagram.get(..len).unwrap_or_default())?;
            self.outstanding += 1;
        }
        Ok(())
    }

    /// Takes the answers that are there, and returns how many were right.
    fn answered(&self) -> io::Result<u32> {
        let mut count = 0;
        let mut datagram = [0; 64];
        for (peer, number) in self.peers.iter().zip(0_u32..) {
            let len = match peer.recv(&mut datagram) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                len => len?,
            };
            let answer = Message::parse(datagram.get(..len).unwrap_or_default());
            let is_right = answer.is_ok_and(|answer| {
                answer.code == Code::from(Status::CONTENT)
                    && answer.message_id == MessageId(self.id)
                    && answer.token == number.to_be_bytes()
            });
            count += u32::from(is_right);
        }
        Ok(count)
    }
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

fn peer(server: SocketAddr, number: u8) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 1, 0, number), 0))?;
    socket.connect(server)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
