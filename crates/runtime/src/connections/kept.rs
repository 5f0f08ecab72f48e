//! How much is kept of messages that are not whole yet, of all connections of a driver together.

use std::collections::BTreeMap;

use coracle_engine::ConnectionId;

use super::open::Open;

#[derive(Debug)]
pub(super) struct Kept {
    bytes: usize,
    bound: usize,
    /// Those that keep something, in the order in which they began to.
    since: BTreeMap<u64, ConnectionId>,
    next: u64,
}

impl Kept {
    pub(super) fn new(bound: usize) -> Kept {
        Kept {
            bytes: 0,
            bound,
            since: BTreeMap::new(),
            next: 0,
        }
    }

    /// Counts what a connection keeps now. As long as a part of its bytes is kept it has begun when it had.
    /// Tells whether there was anything to count.
    pub(super) fn count(&mut self, id: ConnectionId, open: &mut Open) -> bool {
        let now = open.kept();
        match (&mut open.counted, now) {
            (None, 0) => return false,
            (None, _) => {
                self.since.insert(self.next, id);
                open.counted = Some((self.next, now));
                self.next += 1;
                self.bytes += now;
            }
            (Some((since, before)), 0) => {
                self.since.remove(since);
                self.bytes -= *before;
                open.counted = None;
            }
            (Some((_, before)), _) => {
                self.bytes = self.bytes - *before + now;
                *before = now;
            }
        }
        true
    }

    /// The one that has kept something for the longest time, if too much is kept.
    pub(super) fn excess(&self) -> Option<ConnectionId> {
        let is_excess = self.bytes > self.bound;
        self.since.values().next().copied().filter(|_| is_excess)
    }
}
