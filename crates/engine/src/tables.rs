//! Tables that give back what a flood made them take.

use alloc::collections::VecDeque;
use core::hash::{BuildHasher, Hash};
use hashbrown::{HashMap, HashTable};

/// A table of fewer places keeps them for its next use.
const KEPT: usize = 64;

/// The part of its places that a table uses at least, or else it shrinks to twice what it uses. Far less than the half
/// from which tables grow, so that one whose load goes up and down does not move each time.
const PART: usize = 8;

/// To be called when something was removed.
pub(crate) trait GiveBack {
    /// Shrinks a table that is nearly empty.
    fn give_back(&mut self);
}

/// Whether a table has far more places than it uses.
pub(crate) fn is_nearly_empty(len: usize, capacity: usize) -> bool {
    capacity > KEPT && len < capacity / PART
}

impl<K: Eq + Hash, V, S: BuildHasher> GiveBack for HashMap<K, V, S> {
    fn give_back(&mut self) {
        if is_nearly_empty(self.len(), self.capacity()) {
            self.shrink_to(2 * self.len());
        }
    }
}

/// The same for a table that is hashed by its user.
pub(crate) fn give_back<T>(table: &mut HashTable<T>, hash: impl Fn(&T) -> u64) {
    if is_nearly_empty(table.len(), table.capacity()) {
        table.shrink_to(2 * table.len(), hash);
    }
}

impl<T> GiveBack for VecDeque<T> {
    fn give_back(&mut self) {
        if is_nearly_empty(self.len(), self.capacity()) {
            self.shrink_to(2 * self.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_nearly_empty_shrinks() {
        let mut map: HashMap<u32, u32, foldhash::fast::FixedState> = HashMap::default();
        map.extend((0..10_000).map(|number| (number, number)));
        let full = map.capacity();
        for number in 100..10_000 {
            map.remove(&number);
            map.give_back();
        }
        assert!(map.capacity() < full / 8 && map.len() == 100);
        assert!((0..100).all(|number| map.get(&number) == Some(&number)));
        let mut queue: VecDeque<u32> = (0..10_000).collect();
        queue.truncate(3);
        queue.give_back();
        assert!(queue.capacity() <= KEPT && queue.len() == 3);
    }
}
