//! How many bytes observations may keep: of the requests that are run again, and of states on their way to many.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::hash::BuildHasher;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::limits;
use crate::path::Peer;

/// The bytes in use, beyond those of each that are free of charge. Half of them are for requests, half for states.
pub(crate) struct Budget {
    used: Arc<Used>,
    hasher: foldhash::fast::FixedState,
    half: usize,
}

/// Peers are counted in a table of fixed size at a place chosen by a seeded hash; those that share a place share its
/// bound.
struct Used {
    states: AtomicUsize,
    requests: AtomicUsize,
    of_peers: Box<[AtomicUsize]>,
}

/// A part of the budget, which is given back when what it was taken for goes.
pub(crate) struct Charge {
    bytes: usize,
    /// The place of the peer, where it is for a request.
    of_peer: Option<usize>,
    used: Arc<Used>,
}

impl Budget {
    pub(crate) fn new(most: usize, seed: u64) -> Budget {
        let places = (most / limits::OBSERVED_BYTES_PER_PLACE)
            .clamp(limits::OBSERVED_PLACES_AT_LEAST, limits::OBSERVED_PLACES_AT_MOST);
        let of_peers = (0..places).map(|_| AtomicUsize::new(0)).collect();
        Budget {
            used: Arc::new(Used {
                states: AtomicUsize::new(0),
                requests: AtomicUsize::new(0),
                of_peers,
            }),
            hasher: foldhash::fast::FixedState::with_seed(seed),
            half: most / 2,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        let mut all = [&self.used.states, &self.used.requests]
            .into_iter()
            .chain(&self.used.of_peers);
        all.all(|used| used.load(Ordering::Relaxed) == 0)
    }

    /// For the request of an observer. Of what there is for requests one peer has an eighth, and who has not proved the
    /// address shares half of it with those who have.
    pub(crate) fn for_request(&self, bytes: usize, peer: &Peer, is_proved: bool) -> Option<Charge> {
        let bytes = bytes.saturating_sub(limits::OBSERVED_FREE);
        if bytes == 0 {
            return Some(self.charge(0, None));
        }
        let share = if is_proved { 1 } else { limits::SHARE_OF_UNPROVED };
        let place = (self.hasher.hash_one(peer) >> 32) as usize % self.used.of_peers.len().max(1);
        let of_peer = self.used.of_peers.get(place)?;
        let has_room = fits(&self.used.requests, bytes, self.half / share)
            && fits(of_peer, bytes, self.half / limits::OBSERVED_SHARE_OF_PEER);
        has_room.then(|| self.charge(bytes, Some(place)))
    }

    /// For a state that is shown.
    pub(crate) fn for_state(&self, bytes: usize) -> Option<Charge> {
        let bytes = bytes.saturating_sub(limits::OBSERVED_FREE);
        let has_room = bytes == 0 || fits(&self.used.states, bytes, self.half);
        has_room.then(|| self.charge(bytes, None))
    }

    fn charge(&self, bytes: usize, of_peer: Option<usize>) -> Charge {
        for used in self.used.of(of_peer) {
            used.fetch_add(bytes, Ordering::Relaxed);
        }
        Charge {
            bytes,
            of_peer,
            used: Arc::clone(&self.used),
        }
    }
}

fn fits(used: &AtomicUsize, bytes: usize, most: usize) -> bool {
    used.load(Ordering::Relaxed).saturating_add(bytes) <= most
}

impl Used {
    /// What counts a charge.
    fn of(&self, peer: Option<usize>) -> impl Iterator<Item = &AtomicUsize> {
        let of_all = if peer.is_some() {
            &self.requests
        } else {
            &self.states
        };
        let of_peer = peer.and_then(|place| self.of_peers.get(place));
        [of_all].into_iter().chain(of_peer)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        for used in self.used.of(self.of_peer) {
            used.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Path;
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    const FREE: usize = limits::OBSERVED_FREE;

    fn peer(port: u16) -> Peer {
        Path::to(([192, 0, 2, 1], port).into()).peer()
    }

    /// Peers that are counted apart from one another.
    fn peers(budget: &Budget) -> Vec<Peer> {
        let mut places = BTreeSet::new();
        let place = |peer: &Peer| (budget.hasher.hash_one(peer) >> 32) as usize % budget.used.of_peers.len();
        let all = (1..=999).map(peer);
        all.filter(|peer| places.insert(place(peer))).take(10).collect()
    }

    #[test]
    fn each_has_its_share_and_gives_it_back() {
        let budget = Budget::new(1600, 1);
        let peers = peers(&budget);
        let take = |peer: usize, bytes, proved| budget.for_request(FREE + bytes, &peers[peer], proved);
        let first = take(0, 100, true).unwrap();
        assert!(take(0, 1, true).is_none(), "it has an eighth");
        assert!(take(0, 0, true).is_some(), "what is short is free");
        let unproved: Vec<_> = (1..4).map(|peer| take(peer, 100, false).unwrap()).collect();
        assert!(take(4, 1, false).is_none());
        let proved: Vec<_> = (4..8).map(|peer| take(peer, 100, true).unwrap()).collect();
        assert!(take(8, 1, true).is_none());
        let state = budget.for_state(FREE + 800).unwrap();
        assert!(budget.for_state(FREE + 1).is_none());
        drop(unproved);
        assert!(take(8, 1, false).is_none(), "the proved have the share");
        drop(first);
        assert!(take(0, 100, true).is_some());
        drop((proved, state));
        assert!(budget.is_empty());
    }
}
