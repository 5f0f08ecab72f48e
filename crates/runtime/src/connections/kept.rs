//! How much is kept of messages that are not whole yet, of all connections of a driver together.
//!
//! Those of the address that keeps most wait when there is much, all but the first that began: as many as have room to
//! come to their end. What is beyond the bound is taken from that address, too.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use coracle_engine::ConnectionId;

use super::open::{LONG, Open};

/// What connections keep, of one address.
#[derive(Debug, Default)]
struct Keeper {
    bytes: usize,
    /// In the order in which they began to.
    since: BTreeMap<u64, ConnectionId>,
}

#[derive(Debug)]
pub(super) struct Kept {
    bytes: usize,
    bound: usize,
    /// How many of one address go on when there is much.
    go_on: usize,
    keepers: HashMap<IpAddr, Keeper>,
    /// Their addresses by how much they keep.
    by_bytes: BTreeSet<(usize, IpAddr)>,
    next: u64,
    /// Those that are not read for now, all of one address.
    waiting: HashSet<ConnectionId>,
    waits_for: Option<IpAddr>,
}

impl Kept {
    /// So much is kept of messages that are at most so long.
    pub(super) fn new(bound: usize, max_message: usize) -> Kept {
        Kept {
            bytes: 0,
            bound,
            go_on: (bound / 4 / max_message.max(1)).max(1),
            keepers: HashMap::new(),
            by_bytes: BTreeSet::new(),
            next: 0,
            waiting: HashSet::new(),
            waits_for: None,
        }
    }

    /// Counts what a connection keeps now. As long as a part of its bytes is kept it has begun when it had.
    pub(super) fn count(&mut self, id: ConnectionId, open: &mut Open) {
        let now = open.kept();
        let (since, before) = match open.counted {
            None if now == 0 => return,
            Some((_, before)) if now == before => return,
            None => (self.next, 0),
            Some(counted) => counted,
        };
        let address = open.remote().ip();
        let keeper = self.keepers.entry(address).or_default();
        self.by_bytes.remove(&(keeper.bytes, address));
        self.bytes = self.bytes - before + now;
        keeper.bytes = keeper.bytes - before + now;
        if now == 0 {
            open.counted = None;
            keeper.since.remove(&since);
            self.waiting.remove(&id);
        } else {
            open.counted = Some((since, now));
            keeper.since.insert(since, id);
            self.next = self.next.max(since + 1);
        }
        if keeper.since.is_empty() {
            self.keepers.remove(&address);
        } else {
            self.by_bytes.insert((keeper.bytes, address));
        }
    }

    /// The address that keeps most.
    fn most(&self) -> Option<(IpAddr, &Keeper)> {
        let (_, address) = self.by_bytes.last()?;
        Some((*address, self.keepers.get(address)?))
    }

    /// Whether a connection is not to be read for now. It is told by [`resumed`](Kept::resumed) when it is.
    pub(super) fn holds(&mut self, id: ConnectionId, open: &Open) -> bool {
        let Some((since, len)) = open.counted.filter(|_| self.bytes > self.bound / 4 * 3) else {
            return false;
        };
        let address = open.remote().ip();
        let is_held = self.most().is_some_and(|(most, keeper)| {
            let before = keeper.since.range(..since).take(self.go_on).count();
            most == address && len >= LONG && before == self.go_on
        });
        if is_held {
            self.waiting.insert(id);
            self.waits_for = Some(address);
        }
        is_held
    }

    /// Those that may be read again.
    pub(super) fn resumed(&mut self) -> Vec<ConnectionId> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let most = self
            .most()
            .filter(|(address, _)| Some(*address) == self.waits_for);
        let Some((_, keeper)) = most.filter(|_| self.bytes > self.bound / 2) else {
            return self.waiting.drain().collect();
        };
        let mut first: Vec<_> = keeper.since.values().take(self.go_on).copied().collect();
        first.retain(|first| self.waiting.remove(first));
        first
    }

    /// If too much is kept: of the address that keeps most, the one that began last.
    pub(super) fn excess(&self) -> Option<ConnectionId> {
        let (_, keeper) = self.most().filter(|_| self.bytes > self.bound)?;
        keeper.since.values().next_back().copied()
    }
}
