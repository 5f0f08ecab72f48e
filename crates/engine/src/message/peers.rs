//! Who is sent messages: their message IDs, how many interactions are outstanding, what waits for its turn.
//!
//! ```text
//!                 enter              used in the meantime
//!  forgotten ───────────▶ remembered ◀────────────┐
//!      ▲                      │ at the front of   │
//!      └───── idle ───────────┴── the line ───────┘
//! ```

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use core::hash::BuildHasher;
use core::time::Duration;

use crate::index::Index;
use crate::limits::PEERS_PER_SWEEP;
use crate::message::ids::MessageIds;
use crate::path::Peer;
use crate::slab::{Key, Slab};
use crate::time::Instant;

/// One peer. There may be hundreds of thousands, most of them idle: what only some have is in a box.
pub(crate) struct PeerState {
    pub(crate) peer: Peer,
    pub(crate) ids: MessageIds,
    /// Confirmable messages that are not acknowledged (RFC 7252 §4.7).
    pub(crate) in_flight: u16,
    /// Non-confirmable requests since the peer was last heard.
    pub(crate) unanswered: u16,
    /// When PROBING_RATE allows the next one.
    pub(crate) probe_at: Instant,
    /// The head of the list of its observers.
    pub(crate) observers: Option<Key>,
    /// When the next non-confirmable notification may leave: one at a time, to whichever of its observers.
    pub(crate) notify_at: Instant,
    under_way: Option<Box<UnderWay>>,
    /// How many hold this peer by its key.
    pub(crate) pins: u32,
    pub(crate) last_used: Instant,
    /// When it was put in line, and who is behind it.
    in_line_since: Instant,
    behind: Option<Key>,
}

/// The messages under way to a peer.
#[derive(Default)]
struct UnderWay {
    /// Those that wait for their turn.
    queue: VecDeque<Key>,
    /// All of them.
    messages: BTreeSet<Key>,
}

impl PeerState {
    fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.pins == 0 && self.waiting().next().is_none()
    }

    /// The messages that wait for their turn, in order.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = Key> {
        let queue = self.under_way.iter().flat_map(|under_way| &under_way.queue);
        queue.copied()
    }

    pub(crate) fn waits(&self) -> usize {
        self.under_way
            .as_ref()
            .map_or(0, |under_way| under_way.queue.len())
    }

    /// All messages under way, those that wait too.
    pub(crate) fn messages(&self) -> impl Iterator<Item = Key> {
        let messages = self.under_way.iter().flat_map(|under_way| &under_way.messages);
        messages.copied()
    }

    /// Takes a message on, which waits at `place` in the queue.
    pub(crate) fn wait(&mut self, message: Key, place: usize) {
        let under_way = self.under_way.get_or_insert_default();
        under_way.messages.insert(message);
        let place = place.min(under_way.queue.len());
        under_way.queue.insert(place, message);
    }

    /// The turn of the message at `place` in the queue has come.
    pub(crate) fn leave(&mut self, place: usize) -> Option<Key> {
        self.under_way.as_mut()?.queue.remove(place)
    }

    /// A message is not under way any more.
    pub(crate) fn forget(&mut self, message: Key, waits: bool) {
        let Some(under_way) = self.under_way.as_mut() else {
            return;
        };
        under_way.messages.remove(&message);
        if waits {
            under_way.queue.retain(|waiting| *waiting != message);
        }
        if under_way.messages.is_empty() && under_way.queue.is_empty() {
            self.under_way = None;
        }
    }
}

/// The peers by address, each forgotten when nothing is outstanding and its last message ID is old enough.
pub(crate) struct Peers {
    states: Slab<PeerState>,
    index: Index<Key>,
    hasher: foldhash::fast::FixedState,
    /// The line of all peers: those not used for long are in front.
    front: Option<Key>,
    back: Option<Key>,
}

/// How many peers one call looks at to find an idle one.
const LOOKS: usize = 16;

impl Peers {
    pub(crate) fn new(capacity: usize, seed: u64) -> Peers {
        Peers {
            states: Slab::new(capacity),
            index: Index::new(),
            hasher: foldhash::fast::FixedState::with_seed(seed),
            front: None,
            back: None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.states.is_empty() && self.index.is_empty()
    }

    #[inline]
    pub(crate) fn find(&self, peer: &Peer) -> Option<Key> {
        if self.states.is_empty() {
            return None;
        }
        self.find_by(self.hasher.hash_one(peer), peer)
    }

    fn find_by(&self, hash: u64, peer: &Peer) -> Option<Key> {
        let is_it = |key: &Key| self.states.get(*key).is_some_and(|state| state.peer == *peer);
        self.index.find(hash, is_it)
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
    pub(crate) fn enter(&mut self, now: Instant, peer: &Peer, first_id: impl FnOnce() -> u16) -> Option<Key> {
        let hash = self.hasher.hash_one(peer);
        if let Some(key) = self.find_by(hash, peer) {
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
            ids: MessageIds::new(first_id()),
            in_flight: 0,
            unanswered: 0,
            probe_at: now,
            observers: None,
            notify_at: now,
            under_way: None,
            pins: 0,
            last_used: now,
            in_line_since: now,
            behind: None,
        };
        let key = self.states.insert(state).ok()?;
        let (states, hasher) = (&self.states, &self.hasher);
        let hash_of = |key: &Key| states.get(*key).map_or(0, |state| hasher.hash_one(state.peer));
        self.index.insert(hash, key, hash_of);
        self.line_up(key, now);
        Some(key)
    }

    /// Holds a peer: it is not forgotten before each pin is taken out again.
    pub(crate) fn pin(&mut self, key: Key) {
        if let Some(state) = self.states.get_mut(key) {
            state.pins = state.pins.saturating_add(1);
        }
    }

    /// Takes a pin out.
    pub(crate) fn unpin(&mut self, key: Key) {
        if let Some(state) = self.states.get_mut(key) {
            state.pins = state.pins.saturating_sub(1);
        }
    }

    /// Puts a peer at the end of the line.
    fn line_up(&mut self, key: Key, since: Instant) {
        if let Some(state) = self.states.get_mut(key) {
            (state.in_line_since, state.behind) = (since, None);
        }
        match self.back.replace(key).and_then(|back| self.states.get_mut(back)) {
            Some(before) => before.behind = Some(key),
            None => self.front = Some(key),
        }
    }

    /// Takes the peer in front out of the line.
    fn step_out(&mut self) -> Option<(Key, &PeerState)> {
        let key = self.front?;
        let state = self.states.get(key)?;
        self.front = state.behind;
        if self.front.is_none() {
            self.back = None;
        }
        Some((key, state))
    }

    /// Forgets the first idle peer that was not used since it was put in line, or else the first idle one.
    fn forget_one_idle(&mut self) {
        let mut second_best = None;
        for _ in 0..LOOKS.min(self.states.len()) {
            let Some((key, state)) = self.step_out() else {
                break;
            };
            let (is_idle, last_used) = (state.is_idle(), state.last_used);
            if is_idle && last_used == state.in_line_since {
                if let Some((key, last_used)) = second_best {
                    self.line_up(key, last_used);
                }
                return self.remove(key);
            }
            if is_idle && second_best.is_none() {
                second_best = Some((key, last_used));
            } else {
                self.line_up(key, last_used);
            }
        }
        if let Some((key, _)) = second_best {
            self.remove(key);
        }
    }

    /// Forgets a peer that is in line no more.
    fn remove(&mut self, key: Key) {
        let Some(state) = self.states.remove(key) else {
            return;
        };
        let hash = self.hasher.hash_one(state.peer);
        let (states, hasher) = (&self.states, &self.hasher);
        self.index.remove(hash, key, |key| {
            states.get(*key).map_or(0, |state| hasher.hash_one(state.peer))
        });
    }

    /// Forgets peers that were not used for `lifetime`.
    pub(crate) fn sweep(&mut self, now: Instant, lifetime: Duration) {
        for _ in 0..PEERS_PER_SWEEP {
            if self.next_sweep(lifetime).is_none_or(|at| at > now) {
                return;
            }
            let Some((key, state)) = self.step_out() else {
                return;
            };
            match (state.is_idle(), state.last_used) {
                (true, last_used) if last_used + lifetime <= now => self.remove(key),
                (true, last_used) => self.line_up(key, last_used),
                (false, _) => self.line_up(key, now),
            }
        }
    }

    /// When there may be a peer to forget.
    pub(crate) fn next_sweep(&self, lifetime: Duration) -> Option<Instant> {
        let front = self.states.get(self.front?)?;
        Some(front.in_line_since + lifetime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::SocketAddr;

    const LIFETIME: Duration = Duration::from_secs(247);

    fn peer(port: u16) -> Peer {
        Peer::at(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    #[test]
    fn an_idle_peer_is_forgotten_after_its_lifetime() {
        let mut peers = Peers::new(8, 1);
        let start = Instant::from_micros(7);
        peers.enter(start, &peer(1), || 0).unwrap();
        let busy = peers.enter(start, &peer(2), || 0).unwrap();
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
        let busy = peers.enter(now, &peer(1), || 0).unwrap();
        peers.get_mut(busy).unwrap().in_flight = 1;
        peers.enter(now, &peer(2), || 0).unwrap();
        assert!(peers.enter(now, &peer(3), || 0).is_some());
        assert!(peers.find(&peer(1)).is_some() && peers.find(&peer(2)).is_none());
        let third = peers.find(&peer(3)).unwrap();
        peers.get_mut(third).unwrap().in_flight = 1;
        assert!(peers.enter(now, &peer(4), || 0).is_none());
    }

    #[test]
    fn a_pinned_peer_stays_until_its_last_pin_is_out() {
        let mut peers = Peers::new(1, 1);
        let start = Instant::ZERO;
        let pinned = peers.enter(start, &peer(1), || 0).unwrap();
        peers.pin(pinned);
        peers.pin(pinned);
        peers.unpin(pinned);
        peers.sweep(start + LIFETIME, LIFETIME);
        assert!(peers.get(pinned).is_some());
        assert!(peers.enter(start + LIFETIME, &peer(2), || 0).is_none());
        peers.unpin(pinned);
        assert!(peers.enter(start + LIFETIME, &peer(2), || 0).is_some());
        assert!(peers.get(pinned).is_none());
    }

    /// In a full table of idle peers of which all were used again, one still makes room.
    #[test]
    fn among_idle_peers_that_were_all_used_again_one_makes_room() {
        let mut peers = Peers::new(100, 1);
        for port in 0..100 {
            peers.enter(Instant::ZERO, &peer(port), || 0).unwrap();
        }
        for port in 0..100 {
            peers.enter(Instant::from_micros(1), &peer(port), || 0).unwrap();
        }
        for port in 100..300 {
            let now = Instant::from_micros(u64::from(port));
            assert!(peers.enter(now, &peer(port), || 0).is_some(), "{port}");
            assert!(peers.find(&peer(port)).is_some());
        }
        assert_eq!(peers.states.len(), 100);
        let mut in_line = 0;
        while let Some((key, _)) = peers.step_out() {
            peers.remove(key);
            in_line += 1;
        }
        assert_eq!(
            (in_line, peers.is_empty(), peers.index.is_empty()),
            (100, true, true)
        );
    }
}
