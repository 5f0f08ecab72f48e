//! The network: nodes, datagrams under way, and the clock.

mod faults;
mod flow;
mod streams;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use coracle_engine::{
    Config, Endpoint, Event, ExchangeId, Instant, Path, RequestError, RequestRef, Stats, limits,
};
use coracle_wire::Message;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::forgery::Forgery;
use crate::frames::Frames;
use crate::ladder::{Fate, Ladder, Record};
use crate::link::{Link, LinkState, Travel};
use crate::messages::Messages;
use crate::node::{Application, Input, Io, Node, NodeId};
use crate::stream::{Happens, Side, Streams};
use crate::traffic::Traffic;

/// What a filter decides about a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The link decides.
    Pass,
    /// It is lost.
    Lose,
}

type Filter = Box<dyn FnMut(&Record, Option<&Message<'_>>) -> Verdict>;

/// A node that never lets time go on has a busy loop: it is stopped after this many rounds at one instant.
const ROUNDS_AT_ONE_INSTANT: usize = 20_000;

/// The port of every node.
const PORT: u16 = 5683;

pub(crate) struct Datagram {
    from: SocketAddr,
    to: SocketAddr,
    multicast: bool,
    bytes: Vec<u8>,
}

impl Datagram {
    fn to_one(from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) -> Datagram {
        Datagram {
            from,
            to,
            multicast: false,
            bytes,
        }
    }
}

/// What the network does at a time.
pub(crate) enum Due {
    Arrival(Datagram),
    /// The sender is told that nobody has the address.
    Unreachable(NodeId, SocketAddr),
    /// Something happens to an end of a connection.
    Stream(usize, Side, Happens),
}

/// A deterministic network of endpoints.
///
/// Call [`request`](Self::request) or use [`endpoint`](Self::endpoint), then let time pass by a `run_*` method. When
/// it is dropped by a panic it prints its seed and the end of its log.
pub struct Network {
    seed: u64,
    now: Instant,
    random: ChaCha8Rng,
    link: Link,
    /// The links that differ from `link`, by sender and receiver.
    links: BTreeMap<(NodeId, NodeId), Link>,
    link_states: BTreeMap<(Option<NodeId>, usize), LinkState>,
    nodes: Vec<Node>,
    by_address: BTreeMap<SocketAddr, usize>,
    /// Addresses under which a node was seen once.
    former: BTreeSet<SocketAddr>,
    groups: BTreeMap<IpAddr, BTreeSet<usize>>,
    traffic: Traffic,
    pub(crate) messages: Messages,
    streams: Streams,
    pub(crate) frames: Frames,
    /// What is forged about the messages of which node.
    forgers: BTreeMap<NodeId, Vec<Forgery>>,
    under_way: BTreeMap<(Instant, u64), Due>,
    sent: u64,
    filter: Option<Filter>,
    ladder: Ladder,
    rounds: usize,
}

impl Network {
    /// A network without nodes, with a perfect link. All its chance comes from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Network {
        Network {
            seed,
            // Not at zero, so that nothing depends on the clock's beginning.
            now: Instant::from_micros(1_000_000_000),
            random: ChaCha8Rng::seed_from_u64(seed),
            link: Link::perfect(),
            links: BTreeMap::new(),
            link_states: BTreeMap::new(),
            nodes: Vec::new(),
            by_address: BTreeMap::new(),
            former: BTreeSet::new(),
            groups: BTreeMap::new(),
            traffic: Traffic::default(),
            messages: Messages::default(),
            streams: Streams::new(),
            frames: Frames::default(),
            forgers: BTreeMap::new(),
            under_way: BTreeMap::new(),
            sent: 0,
            filter: None,
            ladder: Ladder::default(),
            rounds: 0,
        }
    }

    /// Sets how datagrams are treated from now on, everywhere.
    pub fn set_link(&mut self, link: Link) {
        self.link = link;
        self.links.clear();
        self.link_states.clear();
    }

    /// Sets how datagrams from one node to another are treated from now on.
    pub fn set_link_between(&mut self, from: NodeId, to: NodeId, link: Link) {
        self.links.insert((from, to), link);
    }

    /// Decides about single datagrams, before the link does; the message is there when it can be parsed.
    pub fn set_filter(&mut self, filter: impl FnMut(&Record, Option<&Message<'_>>) -> Verdict + 'static) {
        self.filter = Some(Box::new(filter));
    }

    /// The link decides alone again.
    pub fn clear_filter(&mut self) {
        self.filter = None;
    }

    /// A node whose events and requests are kept until [`take_events`](Self::take_events) or
    /// [`take_inbox`](Self::take_inbox).
    pub fn add_client(&mut self) -> NodeId {
        self.add_node(Config::default(), None)
    }

    /// A node with an application.
    pub fn add_server(&mut self, application: impl FnMut(&mut Io<'_>, Input) + 'static) -> NodeId {
        self.add_node(Config::default(), Some(Box::new(application)))
    }

    /// A node with settings of its own.
    pub fn add_node(&mut self, config: Config, application: Option<Application>) -> NodeId {
        let index = self.nodes.len();
        let host = u16::try_from(index + 1).unwrap_or(u16::MAX).to_be_bytes();
        let [high, low] = host;
        let address = SocketAddr::from(([10, 0, high, low], PORT));
        let seed = self.fresh_seed();
        self.nodes
            .push(Node::new(address, config, seed, self.now, application));
        self.by_address.insert(address, index);
        NodeId(index)
    }

    fn fresh_seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.random.fill_bytes(&mut seed);
        seed
    }

    /// Lets a node receive what is sent to a group.
    pub fn join(&mut self, node: NodeId, group: IpAddr) {
        self.groups.entry(group).or_default().insert(node.0);
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// All datagrams so far, as far as they are kept.
    pub fn log(&self) -> impl DoubleEndedIterator<Item = &Record> + ExactSizeIterator {
        self.ladder.records()
    }

    /// How many datagrams were sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.ladder.sent() as u64
    }

    /// The end of the log for people.
    #[must_use]
    pub fn ladder(&self) -> String {
        self.ladder.print(Instant::from_micros(u64::MAX))
    }

    /// The log up to a time for people, from not too long before.
    #[must_use]
    pub fn ladder_until(&self, at: Instant) -> String {
        self.ladder.print(at)
    }

    #[allow(clippy::expect_used, reason = "the name of a node comes from this network")]
    fn node(&self, node: NodeId) -> &Node {
        self.nodes.get(node.0).expect("a node of this network")
    }

    #[allow(clippy::expect_used, reason = "the name of a node comes from this network")]
    fn node_mut(&mut self, node: NodeId) -> &mut Node {
        self.nodes.get_mut(node.0).expect("a node of this network")
    }

    /// The address under which a node is seen.
    #[must_use]
    pub fn address(&self, node: NodeId) -> SocketAddr {
        self.node(node).address
    }

    /// The way to a node.
    #[must_use]
    pub fn path_to(&self, node: NodeId) -> Path {
        Path::to(self.address(node))
    }

    /// The endpoint of a node; what is done to it takes effect when time goes on.
    pub fn endpoint(&mut self, node: NodeId) -> &mut Endpoint {
        &mut self.node_mut(node).endpoint
    }

    /// The counters of a node.
    #[must_use]
    pub fn stats(&self, node: NodeId) -> &Stats {
        self.node(node).endpoint.stats()
    }

    /// Sends a request from one node to another.
    ///
    /// # Errors
    /// As [`Endpoint::request`].
    pub fn request(
        &mut self,
        from: NodeId,
        to: NodeId,
        request: RequestRef<'_>,
    ) -> Result<ExchangeId, RequestError> {
        let (now, path) = (self.time_of(from), self.path_to(to));
        self.traffic.asked(from, path.remote);
        self.endpoint(from).request(now, &path, request)
    }

    /// The worst ratio of bytes sent to an address over bytes received from it, at any time, of the addresses that
    /// only ask: how far a node lets itself be used as an amplifier by whoever forges addresses (RFC 7252 §11.3).
    #[must_use]
    pub fn worst_amplification(&self) -> f64 {
        self.traffic.worst()
    }

    /// What a node without an application was given since the last call.
    pub fn take_inbox(&mut self, node: NodeId) -> Vec<Input> {
        self.settle();
        self.node_mut(node).inbox.drain(..).collect()
    }

    /// The events of a node without an application since the last call; anything else is dropped.
    pub fn take_events(&mut self, node: NodeId) -> Vec<Event> {
        let event = |input| match input {
            Input::Event(event) => Some(event),
            _ => None,
        };
        self.take_inbox(node).into_iter().filter_map(event).collect()
    }

    /// Puts a datagram on its way as if `from` had sent it; it need not be an address of a node.
    pub fn inject(&mut self, from: SocketAddr, to: NodeId, bytes: &[u8]) {
        let to = self.address(to);
        self.send(None, from, Path::to(to), bytes.to_vec());
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Lets time pass up to a point.
    pub fn run_until(&mut self, until: Instant) {
        self.settle();
        while self.next_due().is_some_and(|at| at <= until) {
            self.step();
        }
        self.advance(until.max(self.now));
    }

    /// Lets time pass until nothing is under way and nobody waits for anything, for at most `limit`; whether that
    /// came to pass.
    pub fn run_to_silence(&mut self, limit: Duration) -> bool {
        let until = self.now + limit;
        self.settle();
        while let Some(at) = self.next_due() {
            if at > until {
                return false;
            }
            self.step();
        }
        true
    }

    /// Goes to the next point in time at which something happens, and lets it happen; `false` when nothing will.
    pub fn step(&mut self) -> bool {
        self.settle();
        let Some(at) = self.next_due() else {
            return false;
        };
        self.advance(at.max(self.now));
        self.deliver();
        for node in self.nodes.iter_mut().filter(|node| !node.down) {
            node.tick(self.now);
        }
        self.settle();
        true
    }

    #[allow(clippy::panic, reason = "a busy loop is a failure of the test")]
    fn advance(&mut self, to: Instant) {
        self.rounds = if to > self.now { 0 } else { self.rounds + 1 };
        if self.rounds > ROUNDS_AT_ONE_INSTANT {
            let due: Vec<_> = self
                .nodes
                .iter()
                .map(|node| node.endpoint.poll_deadline())
                .collect();
            panic!("time stands still: {due:?}");
        }
        self.now = to;
    }

    fn next_due(&self) -> Option<Instant> {
        let under_way = self.under_way.first_key_value().map(|((at, _), _)| *at);
        let nodes = self.nodes.iter().filter_map(Node::next_due);
        nodes.chain(under_way).min()
    }

    /// Takes out all that the nodes have to send and to tell.
    fn settle(&mut self) {
        loop {
            for index in 0..self.nodes.len() {
                self.settle_node(index);
            }
            if !self.flow() {
                return;
            }
        }
    }

    /// Takes out what a node has to send in datagrams, and to tell.
    fn settle_node(&mut self, index: usize) {
        let mut buf = [0; limits::MAX_DATAGRAM];
        loop {
            let now = self.now;
            let Some(node) = self.nodes.get_mut(index) else {
                return;
            };
            let any = node.drain_events(now);
            let from = node.address;
            let Some(transmit) = node.endpoint.poll_transmit(node.time(now), &mut buf) else {
                if any { continue } else { return }
            };
            let bytes = buf.get(..transmit.len).unwrap_or_default().to_vec();
            self.send(Some(NodeId(index)), from, transmit.path, bytes);
        }
    }

    /// Lets the application of a node do something of its own accord.
    pub fn with_io<T>(&mut self, node: NodeId, does: impl FnOnce(&mut Io<'_>) -> T) -> T {
        let now = self.now;
        does(&mut self.node_mut(node).io(now))
    }

    fn send(&mut self, sender: Option<NodeId>, from: SocketAddr, path: Path, bytes: Vec<u8>) {
        if let Some(sender) = sender {
            self.traffic.sent(sender, path.remote, bytes.len());
            self.messages.sent(self.now, sender, path.remote, &bytes);
            self.forge(sender, path.remote, &bytes);
        }
        let members = self.groups.get(&path.remote.ip()).cloned().unwrap_or_default();
        let one = self.by_address.get(&path.remote).copied();
        if members.is_empty() && one.is_none() {
            // A NAT says nothing about an address that it has given up.
            if self.former.contains(&path.remote) {
                return self.record(from, path.remote, bytes, Fate::FormerAddress);
            }
            if let Some(sender) = sender {
                let due = Due::Unreachable(sender, path.remote);
                self.put(self.now + 2 * self.link.latency, due);
            }
            return self.record(from, path.remote, bytes, Fate::NoSuchAddress);
        }
        let multicast = !members.is_empty();
        for to in members.into_iter().chain(one) {
            let Some(address) = self.nodes.get(to).map(|node| node.address) else {
                continue;
            };
            let fate = self.fate(sender, to, bytes.len());
            self.travel((from, address), multicast, fate, &bytes);
        }
    }

    /// What the link makes of a datagram.
    fn fate(&mut self, sender: Option<NodeId>, to: usize, len: usize) -> Fate {
        let own = sender.and_then(|sender| self.links.get(&(sender, NodeId(to))));
        let link = *own.unwrap_or(&self.link);
        let state = self.link_states.entry((sender, to)).or_default();
        match link.travel(state, &mut self.random, len) {
            Travel::Once(travel) => Fate::Arrives(self.now + travel),
            Travel::Twice(first, second) => Fate::Doubled(self.now + first, self.now + second),
            Travel::Lost => Fate::Lost,
            Travel::TooLong => Fate::TooLong,
        }
    }

    /// Sends a datagram to one receiver.
    fn travel(&mut self, (from, to): (SocketAddr, SocketAddr), multicast: bool, fate: Fate, bytes: &[u8]) {
        let mut record = Record {
            at: self.now,
            from,
            to,
            datagram: bytes.to_vec(),
            fate,
        };
        if let Some(filter) = &mut self.filter {
            let message = Message::parse(bytes).ok();
            if filter(&record, message.as_ref()) == Verdict::Lose {
                record.fate = Fate::Lost;
            }
        }
        let arrivals = match record.fate {
            Fate::Arrives(at) => [Some(at), None],
            Fate::Doubled(first, second) => [Some(first), Some(second)],
            _ => [None, None],
        };
        self.ladder.push(record);
        for at in arrivals.into_iter().flatten() {
            let datagram = Datagram {
                from,
                to,
                multicast,
                bytes: bytes.to_vec(),
            };
            self.put(at, Due::Arrival(datagram));
        }
    }

    fn put(&mut self, at: Instant, due: Due) {
        self.sent += 1;
        self.under_way.insert((at, self.sent), due);
    }

    fn record(&mut self, from: SocketAddr, to: SocketAddr, datagram: Vec<u8>, fate: Fate) {
        let at = self.now;
        self.ladder.push(Record {
            at,
            from,
            to,
            datagram,
            fate,
        });
    }

    /// Gives the datagrams that arrive now to their receivers.
    fn deliver(&mut self) {
        while let Some(entry) = self.under_way.first_entry() {
            if entry.key().0 > self.now {
                return;
            }
            let key = *entry.key();
            match entry.remove() {
                Due::Arrival(datagram) => self.arrive(&datagram),
                Due::Unreachable(node, remote) => {
                    let now = self.time_of(node);
                    self.endpoint(node).handle_unreachable(now, remote);
                }
                Due::Stream(number, side, what) => self.stream_due(key, (number, side), what),
            }
            self.settle();
        }
    }

    fn arrive(&mut self, datagram: &Datagram) {
        let index = self.by_address.get(&datagram.to).copied();
        let node = index.and_then(|index| Some((index, self.nodes.get_mut(index)?)));
        let Some((index, node)) = node.filter(|(_, node)| !node.down) else {
            return;
        };
        self.traffic
            .received(NodeId(index), datagram.from, datagram.bytes.len());
        self.messages
            .came(self.now, NodeId(index), datagram.from, &datagram.bytes);
        let path = Path {
            local: Some(node.local),
            interface: 1,
            multicast: datagram.multicast,
            ..Path::to(datagram.from)
        };
        node.receive(self.now, path, &datagram.bytes);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the network of seed {}:\n{}", self.seed, self.ladder());
        }
    }
}
