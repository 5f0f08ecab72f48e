//! How the memory of what must not be run twice is shared out, so that nobody takes all of it.

use alloc::boxed::Box;
use alloc::vec;

use crate::limits;

/// Bytes in use, by peer and by those together whose address is not proved.
///
/// Peers are counted in a table of fixed size at a place chosen by a seeded hash. Peers that share a place share its
/// bound; as places are many times as many as can be at their bound at once, hardly any peer meets one that is.
pub(super) struct Shares {
    of_peers: Box<[u32]>,
    of_peer_at_most: u32,
    unproved: usize,
    unproved_at_most: usize,
}

impl Shares {
    pub(super) fn new(budget: usize) -> Shares {
        let places = (budget / limits::SEEN_BYTES_PER_PLACE)
            .clamp(limits::SEEN_PLACES_AT_LEAST, limits::SEEN_PLACES_AT_MOST)
            .next_power_of_two();
        Shares {
            of_peers: vec![0; places].into_boxed_slice(),
            of_peer_at_most: u32::try_from(budget / limits::SEEN_SHARE_OF_PEER).unwrap_or(u32::MAX),
            unproved: 0,
            unproved_at_most: budget / limits::SEEN_SHARE_OF_UNPROVED,
        }
    }

    fn of_peer(&mut self, peer: u64) -> Option<&mut u32> {
        let places = self.of_peers.len().max(1);
        // The upper bits, which are mixed best.
        let place = (peer >> 32) as usize % places;
        self.of_peers.get_mut(place)
    }

    /// Whether one more message of a peer may be remembered, where `peer` is the hash of its address.
    pub(super) fn admit(&mut self, peer: u64, proved: bool) -> bool {
        let most = self.of_peer_at_most;
        (proved || self.unproved < self.unproved_at_most)
            && self.of_peer(peer).is_some_and(|used| *used < most)
    }

    pub(super) fn take(&mut self, peer: u64, proved: bool, bytes: usize) {
        if !proved {
            self.unproved += bytes;
        }
        if let Some(used) = self.of_peer(peer) {
            *used = used.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
    }

    pub(super) fn give_back(&mut self, peer: u64, proved: bool, bytes: usize) {
        if !proved {
            self.unproved = self.unproved.saturating_sub(bytes);
        }
        if let Some(used) = self.of_peer(peer) {
            *used = used.saturating_sub(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.unproved == 0 && self.of_peers.iter().all(|used| *used == 0)
    }
}
