//! Two machines and a link between them that loses, copies, holds back: all drawn from a seed, which is printed.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "helpers of tests, of which each file uses its own part"
)]

pub mod keys;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use coracle_dtls::{Config, Connect, Dtls, Event, Failure, Path, Received, SessionId};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

pub const IDENTITY: &[u8] = b"device-1";
pub const KEY: &[u8] = b"correct horse battery staple";

pub fn client_address() -> SocketAddr {
    ([192, 0, 2, 1], 40_000).into()
}

pub fn server_address() -> SocketAddr {
    ([198, 51, 100, 1], 5684).into()
}

/// What the link does, in hundredths.
#[derive(Clone, Copy, Default)]
pub struct Faults {
    pub lost: u32,
    pub copied: u32,
    pub held_back: u32,
}

pub struct Node {
    pub dtls: Dtls,
    pub address: SocketAddr,
    pub sessions: Vec<SessionId>,
    pub resumed: Vec<bool>,
    pub failures: Vec<Failure>,
    pub closed: Vec<SessionId>,
    pub moved: Vec<(Path, Path)>,
    pub replaced: Vec<SessionId>,
    pub received: Vec<Vec<u8>>,
    /// Answers look-ups at once when set.
    pub key: Option<Option<Vec<u8>>>,
    pub lookups: Vec<(coracle_dtls::LookupId, Vec<u8>)>,
}

impl Node {
    pub fn new(config: Config, address: SocketAddr, seed: u8) -> Node {
        Node {
            dtls: Dtls::new(config, [seed; 32]),
            address,
            sessions: Vec::new(),
            resumed: Vec::new(),
            failures: Vec::new(),
            closed: Vec::new(),
            moved: Vec::new(),
            replaced: Vec::new(),
            received: Vec::new(),
            key: Some(Some(KEY.to_vec())),
            lookups: Vec::new(),
        }
    }

    pub fn note_events(&mut self, now: Duration) {
        while let Some(event) = self.dtls.poll_event() {
            match event {
                Event::Connected { session, resumed } => {
                    self.sessions.push(session);
                    self.resumed.push(resumed);
                }
                Event::PskWanted { lookup, identity, .. } => match &self.key {
                    Some(key) => self.dtls.provide_psk(now, lookup, key.as_deref()),
                    None => self.lookups.push((lookup, identity)),
                },
                Event::Failed { failure, .. } => self.failures.push(*failure),
                Event::Closed { session } => self.closed.push(session),
                Event::Moved { from, to, .. } => self.moved.push((from, to)),
                Event::Replaced { session, .. } => self.replaced.push(session),
                other => panic!("an event that no test knows: {other:?}"),
            }
        }
    }
}

/// A datagram on its way: to, from, bytes.
pub type Datagram = (SocketAddr, SocketAddr, Vec<u8>);

pub struct World {
    pub now: Duration,
    pub nodes: Vec<Node>,
    pub faults: Faults,
    rng: ChaCha20Rng,
    /// By the time of arrival and the order of sending.
    under_way: BTreeMap<(Duration, u64), Datagram>,
    count: u64,
    /// All that was sent, also what got lost.
    pub log: Vec<Datagram>,
    pub largest: usize,
}

impl World {
    pub fn new(server: Config, client: Config, seed: u64) -> World {
        println!("seed {seed}");
        World {
            now: Duration::ZERO,
            nodes: vec![
                Node::new(server, server_address(), seed.to_le_bytes()[0]),
                Node::new(client, client_address(), seed.to_le_bytes()[0] ^ 0xFF),
            ],
            faults: Faults::default(),
            rng: ChaCha20Rng::seed_from_u64(seed),
            under_way: BTreeMap::new(),
            count: 0,
            log: Vec::new(),
            largest: 0,
        }
    }

    pub fn server(&mut self) -> &mut Node {
        &mut self.nodes[0]
    }

    pub fn client(&mut self) -> &mut Node {
        &mut self.nodes[1]
    }

    pub fn connect(&mut self, connect: Connect) -> SessionId {
        let now = self.now;
        let id = self
            .client()
            .dtls
            .connect(now, Path::to(server_address()), connect);
        let id = id.unwrap();
        self.collect();
        id
    }

    fn happens(&mut self, hundredths: u32) -> bool {
        self.rng.next_u32() % 100 < hundredths
    }

    pub fn put(&mut self, to: SocketAddr, from: SocketAddr, bytes: Vec<u8>) {
        self.log.push((to, from, bytes.clone()));
        self.largest = self.largest.max(bytes.len());
        if self.happens(self.faults.lost) {
            return;
        }
        let copies = 1 + u32::from(self.happens(self.faults.copied));
        for _ in 0..copies {
            let held = if self.happens(self.faults.held_back) {
                400
            } else {
                0
            };
            let delay = Duration::from_millis(20 + held);
            self.count += 1;
            self.under_way
                .insert((self.now + delay, self.count), (to, from, bytes.clone()));
        }
    }

    /// Takes all that the nodes want to send and tell.
    pub fn collect(&mut self) {
        let mut buf = [0; 2048];
        for index in 0..self.nodes.len() {
            let now = self.now;
            self.nodes[index].note_events(now);
            while let Some(transmit) = self.nodes[index].dtls.poll_transmit(now, &mut buf) {
                let from = self.nodes[index].address;
                self.put(transmit.path.remote, from, buf[..transmit.len].to_vec());
            }
            self.nodes[index].note_events(now);
        }
    }

    pub fn deliver(&mut self, to: SocketAddr, from: SocketAddr, mut bytes: Vec<u8>) {
        let now = self.now;
        let Some(node) = self.nodes.iter_mut().find(|node| node.address == to) else {
            return;
        };
        let mut rest = &mut bytes[..];
        while !rest.is_empty() {
            let (used, received) = node.dtls.handle_datagram(now, Path::to(from), rest);
            if let Received::Data { range, .. } = received {
                node.received.push(rest[range].to_vec());
            }
            rest = &mut rest[used..];
        }
        self.collect();
    }

    /// The next thing that happens, before `end`; false if there is none.
    pub fn step(&mut self, end: Duration) -> bool {
        let arrival = self.under_way.first_key_value().map(|((at, _), _)| *at);
        let deadline = self
            .nodes
            .iter()
            .filter_map(|node| node.dtls.poll_deadline())
            .min();
        let Some(next) = [arrival, deadline].into_iter().flatten().min() else {
            return false;
        };
        if next > end {
            return false;
        }
        self.now = self.now.max(next);
        if arrival == Some(next) {
            let (_, (to, from, bytes)) = self.under_way.pop_first().unwrap();
            self.deliver(to, from, bytes);
        } else {
            let now = self.now;
            for node in &mut self.nodes {
                node.dtls.handle_timeout(now);
            }
            self.collect();
        }
        true
    }

    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Until nothing is under way that would come within a second.
    pub fn settle(&mut self) {
        self.run_for(Duration::from_millis(999));
    }

    /// Until both sides have a session, or the time is over.
    pub fn run_until_connected(&mut self, time: Duration) {
        let end = self.now + time;
        while (self.nodes[0].sessions.is_empty() || self.nodes[1].sessions.is_empty()) && self.step(end) {}
    }

    /// Whether both sides have a session in the end. If not, it must be because too much got lost.
    pub fn ends_well(&mut self) -> bool {
        self.run_until_connected(Duration::from_secs(600));
        for node in &self.nodes {
            for failure in &node.failures {
                let is_bad_luck = matches!(failure.reason, coracle_dtls::Reason::TimedOut { .. });
                assert!(is_bad_luck, "{failure}");
            }
        }
        self.nodes.iter().all(|node| node.sessions.len() == 1)
    }

    pub fn send(&mut self, node: usize, session: SessionId, text: &[u8]) {
        let mut buf = [0; 2048];
        let now = self.now;
        let sealed = self.nodes[node]
            .dtls
            .protect(now, session, text, &mut buf)
            .unwrap();
        let from = self.nodes[node].address;
        self.put(sealed.path.remote, from, buf[..sealed.len].to_vec());
    }

    /// A message each way over the newest sessions arrives.
    pub fn talk(&mut self) {
        self.faults = Faults::default();
        let [server, client] = [0, 1].map(|node| *self.nodes[node].sessions.last().unwrap());
        let before = [0, 1].map(|node: usize| self.nodes[node].received.len());
        self.send(1, client, b"ping");
        self.settle();
        self.send(0, server, b"pong");
        self.settle();
        assert_eq!(self.nodes[0].received[before[0]..], [b"ping".to_vec()]);
        assert_eq!(self.nodes[1].received[before[1]..], [b"pong".to_vec()]);
    }
}

pub fn psk_world(seed: u64) -> World {
    World::new(Config::psk_server(), Config::default(), seed)
}

pub fn psk() -> Connect {
    Connect::with_psk(IDENTITY, KEY)
}
