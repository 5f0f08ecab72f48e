//! Who is sent messages: their message IDs, how many interactions are outstanding, what waits for its turn.

use alloc::collections::{BTreeSet, VecDeque};
use core::time::Duration;
use hashbrown::HashMap;

use crate::message::ids::MessageIds;
use crate::path::Peer;
use crate::slab::{Key, Slab};
use crate::time::Instant;

pub(crate) struct PeerState {
    pub(crate) peer: Peer,
    pub(crate) ids: MessageIds,
    /// Confirmable messages that are not acknowledged (RFC 7252 §4.7).
    pub(crate) in_flight: u16,
    /// Non-confirmable requests since the peer was last heard.
    pub(crate) unanswered: u16,
    /// When PROBING_RATE allows the next one.
    pub(crate) probe_at: Instant,
    /// Messages that wait for their turn.
    pub(crate) queue: VecDeque<Key>,
    /// All messages under way, those that wait too.
    pub(crate) messages: BTreeSet<Key>,
    last_used: Instant,
}

impl PeerState {
    fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.queue.is_empty()
    }
}

/// The peers by address, each forgotten when nothing is outstanding and its last message ID is old enough.
pub(crate) struct Peers {
    states: Slab<PeerState>,
    index: HashMap<Peer, Key, foldhash::fast::FixedState>,
    /// Every peer once, with a time at which it was still used.
    by_use: VecDeque<(Instant, Key)>,
}

/// How many peers one call looks at to find an idle one.
const LOOKS: usize = 16;

impl Peers {
    pub(crate) fn new(capacity: usize, seed: u64) -> Peers {
        Peers {
            states: Slab::new(capacity),
            index: HashMap::with_hasher(foldhash::fast::FixedState::with_seed(seed)),
            by_use: VecDeque::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.states.is_empty() && self.index.is_empty()
    }

    pub(crate) fn find(&self, peer: &Peer) -> Option<Key> {
        self.index.get(peer).copied()
    }

    pub(crate) fn get(&self, key: Key) -> Option<&PeerState> {
        self.states.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut PeerState> {
        self.states.get_mut(key)
    }

    /// The state of `peer`, made when it is new. `None` when the table is full of peers that are in use.
    ///
    /// A full table forgets the idle peer that was used longest ago; should it come back within EXCHANGE_LIFETIME,
    /// its message IDs start at another random number.
    pub(crate) fn enter(&mut self, now: Instant, peer: &Peer, first_id: u16) -> Option<Key> {
        if let Some(key) = self.find(peer) {
            if let Some(state) = self.states.get_mut(key) {
                state.last_used = now;
            }
            return Some(key);
        }
        if self.states.is_full() {
            self.forget_one_idle();
        }
        let state = PeerState {
            peer: *peer,
            ids: MessageIds::new(first_id),
            in_flight: 0,
            unanswered: 0,
            probe_at: now,
            queue: VecDeque::new(),
            messages: BTreeSet::new(),
            last_used: now,
        };
        let key = self.states.insert(state).ok()?;
        self.index.insert(*peer, key);
        self.by_use.push_back((now, key));
        Some(key)
    }

    fn forget_one_idle(&mut self) {
        for _ in 0..LOOKS.min(self.by_use.len()) {
            let Some((used, key)) = self.by_use.pop_front() else {
                return;
            };
            match self.states.get(key) {
                Some(state) if state.is_idle() && state.last_used == used => {
                    self.remove(key);
                    return;
                }
                Some(state) => self.by_use.push_back((state.last_used, key)),
                None => {}
            }
        }
        let idle = self
            .by_use
            .iter()
            .take(LOOKS)
            .position(|(_, key)| self.states.get(*key).is_some_and(PeerState::is_idle));
        if let Some((_, key)) = idle.and_then(|at| self.by_use.remove(at)) {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some(state) = self.states.remove(key) {
            self.index.remove(&state.peer);
        }
    }

    /// Forgets peers that were not used for `lifetime`.
    pub(crate) fn sweep(&mut self, now: Instant, lifetime: Duration) {
        for _ in 0..LOOKS {
            match self.by_use.front() {
                Some((used, _)) if *used + lifetime <= now => {}
                _ => return,
            }
            let Some((_, key)) = self.by_use.pop_front() else {
                return;
            };
            match self.states.get(key) {
                Some(state) if state.is_idle() && state.last_used + lifetime <= now => self.remove(key),
                Some(state) if state.is_idle() => self.by_use.push_back((state.last_used, key)),
                Some(_) => self.by_use.push_back((now, key)),
                None => {}
            }
        }
    }

    /// When there may be a peer to forget.
    pub(crate) fn next_sweep(&self, lifetime: Duration) -> Option<Instant> {
        self.by_use.front().map(|(used, _)| *used + lifetime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::SocketAddr;

    const LIFETIME: Duration = Duration::from_secs(247);

    fn peer(port: u16) -> Peer {
        Peer {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            identity: None,
        }
    }

    #[test]
    fn an_idle_peer_is_forgotten_after_its_lifetime() {
        let mut peers = Peers::new(8, 1);
        let start = Instant::from_micros(7);
        peers.enter(start, &peer(1), 0).unwrap();
        let busy = peers.enter(start, &peer(2), 0).unwrap();
        peers.get_mut(busy).unwrap().in_flight = 1;
        peers.sweep(start + (LIFETIME - Duration::from_micros(1)), LIFETIME);
        assert!(peers.find(&peer(1)).is_some());
        peers.sweep(start + LIFETIME, LIFETIME);
        assert!(peers.find(&peer(1)).is_none());
        assert!(peers.find(&peer(2)).is_some());
        peers.get_mut(busy).unwrap().in_flight = 0;
        peers.sweep(start + LIFETIME + LIFETIME, LIFETIME);
        assert!(peers.is_empty());
        assert!(peers.next_sweep(LIFETIME).is_none());
    }

    #[test]
    fn a_full_table_keeps_those_in_use() {
        let mut peers = Peers::new(2, 1);
        let now = Instant::ZERO;
        let busy = peers.enter(now, &peer(1), 0).unwrap();
        peers.get_mut(busy).unwrap().in_flight = 1;
        peers.enter(now, &peer(2), 0).unwrap();
        assert!(peers.enter(now, &peer(3), 0).is_some());
        assert!(peers.find(&peer(1)).is_some() && peers.find(&peer(2)).is_none());
        let third = peers.find(&peer(3)).unwrap();
        peers.get_mut(third).unwrap().in_flight = 1;
        assert!(peers.enter(now, &peer(4), 0).is_none());
    }
}
