//! The one that asks: many peers in a closed loop, each with at most one request outstanding, and at most a window of
//! requests outstanding in all. Who was answered waits until all others that wait have had their turn.
//!
//! A peer is a source address in 127/8, all behind one socket, so that requests and answers move in batches and the
//! load costs less than any server. Message IDs of a peer count up; before they could repeat within EXCHANGE_LIFETIME
//! (RFC 7252 §4.4) the peer goes on under an address that was never used.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use coracle_engine::Path;
use coracle_net::{BindOptions, RecvBatch, SendBatch, UdpSocket};
use coracle_wire::{Code, Message, MessageId, MessageType, Method, OptionsBuf, Status};

use crate::datagrams::{path, request};
use crate::latency::Latency;

/// Requests under one address, fewer than there are message IDs.
pub(crate) const REQUESTS_PER_ADDRESS: u16 = 60_000;

/// The first source address; the others follow.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);

/// A request is sent again when its answer is not there by then. Shorter than ACK_TIMEOUT, because on one machine
/// nothing takes that long, and a peer that waits is load that is missing.
const RETRANSMIT_AFTER: Duration = Duration::from_millis(200);

/// A server that says nothing for so long is dead.
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);

/// What is asked, by whom.
pub(crate) struct Plan<'a> {
    pub(crate) path: &'a str,
    pub(crate) peers: u16,
    /// Requests outstanding in all, at most as many as there are peers.
    pub(crate) window: u16,
    /// Leaves its core to others while nothing comes; otherwise it looks again at once, so that the server does not pay
    /// for waking it.
    pub(crate) sleeps: bool,
}

/// When a run is over.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    Answered(u64),
    Passed(Duration),
}

/// What came of a run.
pub(crate) struct Tally {
    pub(crate) elapsed: Duration,
    pub(crate) latency: Latency,
    pub(crate) retransmissions: u64,
    /// Datagrams that answer no outstanding request, or wrongly.
    pub(crate) strays: u64,
}

impl Tally {
    fn new() -> Tally {
        Tally {
            elapsed: Duration::ZERO,
            latency: Latency::new(),
            retransmissions: 0,
            strays: 0,
        }
    }

    pub(crate) fn answered(&self) -> u64 {
        self.latency.count()
    }
}

/// The runtime of the one that asks.
pub(crate) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

struct Peer {
    address: Ipv4Addr,
    id: u16,
    /// Its place among the peers, then a count of requests.
    token: [u8; 4],
    /// When the request that is outstanding was sent.
    sent: Option<Instant>,
}

pub(crate) struct Load {
    socket: UdpSocket,
    received: RecvBatch,
    asking: Asking,
    sleeps: bool,
}

/// What makes requests; apart from the received batch, from which answers are borrowed meanwhile.
struct Asking {
    server: SocketAddr,
    options: OptionsBuf,
    peers: Vec<Peer>,
    /// Those whose turn comes, the next one first.
    waiting: VecDeque<usize>,
    next_address: Ipv4Addr,
    sending: SendBatch,
}

impl Load {
    /// Peers of `server`, as many of which as the window holds have sent their first request. To be called within a
    /// tokio runtime.
    pub(crate) async fn start(server: SocketAddr, plan: &Plan<'_>) -> io::Result<Load> {
        let asking = Asking {
            server,
            options: path(plan.path),
            peers: Vec::new(),
            waiting: VecDeque::new(),
            next_address: FIRST_ADDRESS,
            sending: SendBatch::new(),
        };
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0).into(), &BindOptions::default())?;
        let mut load = Load {
            socket,
            received: RecvBatch::new(),
            asking,
            sleeps: plan.sleeps,
        };
        (0..plan.peers).for_each(|place| load.asking.enter(place));
        for _ in 0..plan.window {
            load.asking.ask_next(Instant::now());
            load.send().await?;
        }
        Ok(load)
    }

    /// Asks until the end and returns what came; the outstanding requests belong to the next run.
    pub(crate) async fn run(&mut self, until: Until) -> io::Result<Tally> {
        let mut tally = Tally::new();
        let started = Instant::now();
        let (mut heard, mut looked) = (started, started);
        loop {
            let count = self.receive()?;
            let now = Instant::now();
            for datagram in self.received.datagrams() {
                match self.asking.answered(now, &datagram.path, datagram.payload) {
                    Some(latency) => tally.latency.record(latency),
                    None => tally.strays += 1,
                }
            }
            self.send().await?;
            tally.elapsed = now - started;
            let over = match until {
                Until::Answered(count) => tally.answered() >= count,
                Until::Passed(time) => tally.elapsed >= time,
            };
            if over {
                return Ok(tally);
            }
            if now - looked >= RETRANSMIT_AFTER / 8 {
                looked = now;
                tally.retransmissions += self.retransmit(now).await?;
            }
            if count > 0 {
                heard = now;
            } else if now - heard >= GIVE_UP_AFTER {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the server answers no longer",
                ));
            } else if self.sleeps {
                let _ = tokio::time::timeout(RETRANSMIT_AFTER / 8, self.socket.readable()).await;
            } else {
                tokio::task::yield_now().await;
            }
        }
    }

    fn receive(&mut self) -> io::Result<usize> {
        if let Some((remote, error)) = self.socket.try_recv_error() {
            return Err(io::Error::new(error.kind(), format!("{remote}: {error}")));
        }
        match self.socket.try_recv_batch(&mut self.received) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }

    async fn retransmit(&mut self, now: Instant) -> io::Result<u64> {
        let mut count = 0;
        for place in 0..self.asking.peers.len() {
            let late = |peer: &Peer| {
                let waits = peer.sent.map(|sent| now.saturating_duration_since(sent));
                waits.is_some_and(|waits| waits >= RETRANSMIT_AFTER)
            };
            if self.asking.peers.get(place).is_some_and(late) {
                self.asking.ask(now, place);
                self.send().await?;
                count += 1;
            }
        }
        Ok(count)
    }

    async fn send(&mut self) -> io::Result<()> {
        while !self.asking.sending.is_empty() {
            match self.socket.try_send_batch(&mut self.asking.sending) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.socket.writable().await?,
                result => drop(result?),
            }
        }
        Ok(())
    }
}

impl Asking {
    /// A new peer, whose turn comes.
    fn enter(&mut self, place: u16) {
        let [high, low] = place.to_be_bytes();
        let address = self.new_address();
        self.peers.push(Peer {
            address,
            id: 0,
            token: [high, low, 0, 0],
            sent: None,
        });
        self.waiting.push_back(place.into());
    }

    fn new_address(&mut self) -> Ipv4Addr {
        let address = self.next_address;
        self.next_address = Ipv4Addr::from_bits(address.to_bits() + 1);
        address
    }

    /// Takes an answer in and sends the request of the peer whose turn is next. `None`: nobody waits for it, or it is wrong.
    fn answered(&mut self, now: Instant, path: &Path, datagram: &[u8]) -> Option<Duration> {
        let answer = Message::parse(datagram).ok()?;
        let [high, low, ..] = *<&[u8; 4]>::try_from(answer.token).ok()?;
        let place = usize::from(u16::from_be_bytes([high, low]));
        let new_address = self.next_address;
        let peer = self.peers.get_mut(place)?;
        let expected = path.local == Some(IpAddr::V4(peer.address))
            && path.remote == self.server
            && answer.message_type == MessageType::Acknowledgement
            && answer.message_id == MessageId(peer.id)
            && answer.token == peer.token
            && answer.code == Code::from(Status::CONTENT)
            && !answer.payload.is_empty();
        if !expected {
            return None;
        }
        let latency = now - peer.sent.take()?;
        peer.id += 1;
        let [.., b1, b0] = peer.id.to_be_bytes();
        peer.token = [high, low, b1, b0];
        if peer.id == REQUESTS_PER_ADDRESS {
            peer.id = 0;
            peer.address = new_address;
            self.new_address();
        }
        self.waiting.push_back(place);
        self.ask_next(now);
        Some(latency)
    }

    fn ask_next(&mut self, now: Instant) {
        if let Some(place) = self.waiting.pop_front() {
            self.ask(now, place);
        }
    }

    /// Queues the request that the peer has outstanding. There is room: every batch that is received is answered by
    /// at most as many requests, and then sent.
    fn ask(&mut self, now: Instant, place: usize) {
        let Some((peer, slot)) = self.peers.get_mut(place).zip(self.sending.slot()) else {
            return;
        };
        let len = request(
            Method::GET,
            peer.id,
            peer.token,
            self.options.as_options(),
            &[],
            slot,
        );
        let path = Path {
            local: Some(peer.address.into()),
            ..Path::to(self.server)
        };
        self.sending.push(&path, len);
        peer.sent = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket as StdSocket;

    use super::*;
    use crate::subjects::raw;

    fn plan(peers: u16, window: u16) -> Plan<'static> {
        Plan {
            path: "temp",
            peers,
            window,
            sleeps: false,
        }
    }

    fn localhost() -> (StdSocket, SocketAddr) {
        let socket = StdSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    #[tokio::test]
    async fn every_request_is_answered_and_peers_change_in_time() {
        let (socket, server) = localhost();
        std::thread::spawn(move || raw::respond(&socket));
        let mut load = Load::start(server, &plan(2, 2)).await.unwrap();
        let enough = 2 * u64::from(REQUESTS_PER_ADDRESS) + 10;
        let tally = load.run(Until::Answered(enough)).await.unwrap();
        assert!(tally.answered() >= enough);
        let addresses = load.asking.peers.iter().map(|peer| peer.address);
        assert!(addresses.max() > Some(Ipv4Addr::from_bits(FIRST_ADDRESS.to_bits() + 1)));
    }

    #[tokio::test]
    async fn all_peers_have_their_turn_in_a_small_window() {
        let (socket, server) = localhost();
        std::thread::spawn(move || raw::respond(&socket));
        let mut load = Load::start(server, &plan(100, 2)).await.unwrap();
        load.run(Until::Answered(300)).await.unwrap();
        let peers = &load.asking.peers;
        assert!(peers.iter().all(|peer| peer.id >= 2));
        assert_eq!(peers.iter().filter(|peer| peer.sent.is_some()).count(), 2);
    }

    #[tokio::test]
    async fn wrong_answers_count_as_strays_and_the_request_is_sent_again() {
        let (socket, server) = localhost();
        std::thread::spawn(move || {
            let mut buf = [0; 64];
            let mut answers = [
                &b"\x64\x45\x00\x01\0\0\0\0\xff1"[..],
                b"\x64\x84\x00\x00\0\0\0\0\xff2",
                b"\x64\x45\x00\x00\0\0\0\0\xff3",
            ]
            .into_iter();
            while let (Ok((_, from)), Some(answer)) = (socket.recv_from(&mut buf), answers.next()) {
                socket.send_to(answer, from).unwrap();
            }
        });
        let mut load = Load::start(server, &plan(1, 1)).await.unwrap();
        let tally = load.run(Until::Answered(1)).await.unwrap();
        assert_eq!((tally.answered(), tally.strays), (1, 2));
        assert!(tally.retransmissions >= 2);
    }
}
