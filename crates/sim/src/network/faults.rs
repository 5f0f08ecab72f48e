//! What goes wrong with nodes: addresses that change, crashes, clocks that run differently.

use std::net::SocketAddr;
use std::time::Duration;

use coracle_engine::Instant;

use crate::clock::Clock;
use crate::forgery::Forgery;
use crate::ladder::{Fate, Record};
use crate::network::{Datagram, Due, Network};
use crate::node::NodeId;

/// A node that is seen elsewhere gets a port from here on.
const FIRST_NAT_PORT: u16 = 40_000;

/// Less than any datagram travels.
const FORGED_AFTER: Duration = Duration::from_micros(100);

impl Network {
    /// The time by the clock of a node.
    #[must_use]
    pub fn time_of(&self, node: NodeId) -> Instant {
        self.node(node).time(self.now)
    }

    /// Gives a node another clock. Only before it did anything: a clock must not go back.
    pub fn set_clock(&mut self, node: NodeId, clock: Clock) {
        let now = self.now;
        self.node_mut(node).set_clock(now, clock);
    }

    /// A NAT shows a node under another address from now on, which is returned. What was sent to the one before is
    /// lost, and nobody is told; what it sent before is still on its way.
    pub fn rebind(&mut self, node: NodeId) -> SocketAddr {
        self.settle();
        let before = self.address(node);
        let port = FIRST_NAT_PORT.wrapping_add(u16::try_from(self.former.len()).unwrap_or(u16::MAX));
        let address = SocketAddr::new(before.ip(), port);
        self.by_address.remove(&before);
        self.former.insert(before);
        self.by_address.insert(address, node.0);
        self.node_mut(node).address = address;
        self.note(format!("{before} is seen as {address}"));
        address
    }

    /// A node loses all its state. Until it is started again it takes nothing in, and nobody is told, but for some who
    /// have connections with it.
    pub fn crash(&mut self, node: NodeId) {
        self.settle();
        self.crash_streams(node.0);
        let seed = self.fresh_seed();
        self.node_mut(node).crash(seed);
        self.messages.crashed(node);
        self.note(format!("{} crashes", self.address(node)));
    }

    /// Starts a node again that crashed. Its application is told by [`Input::Restarted`](crate::Input::Restarted); its
    /// clock begins anew.
    pub fn restart(&mut self, node: NodeId) {
        let now = self.now;
        self.note(format!("{} starts anew", self.address(node)));
        self.node_mut(node).restart(now);
    }

    /// From now on somebody forges this about each message that a node sends.
    pub fn begin_forging(&mut self, node: NodeId, forgery: Forgery) {
        self.settle();
        self.forgers.entry(node).or_default().push(forgery);
    }

    /// That is over.
    pub fn end_forging(&mut self, node: NodeId, forgery: Forgery) {
        self.settle();
        let forgeries = self.forgers.entry(node).or_default();
        if let Some(place) = forgeries.iter().position(|other| *other == forgery) {
            forgeries.remove(place);
        }
    }

    /// What is forged about a datagram is there before any answer to it.
    pub(super) fn forge(&mut self, sender: NodeId, remote: SocketAddr, bytes: &[u8]) {
        let forgeries = self.forgers.get(&sender).into_iter().flatten();
        let forged: Vec<_> = forgeries
            .filter_map(|forgery| forgery.about(remote, bytes))
            .collect();
        for (from, datagram) in forged {
            let (to, at) = (self.address(sender), self.now + FORGED_AFTER);
            self.ladder.push(Record {
                at: self.now,
                from,
                to,
                datagram: datagram.clone(),
                fate: Fate::Forged,
            });
            self.put(at, Due::Arrival(Datagram::to_one(from, to, datagram)));
        }
    }

    /// Puts a line into the ladder.
    pub fn note(&mut self, text: String) {
        self.ladder.note(self.now, text);
    }
}
