//! An index that grows by parts, so that no single call has to move all that it finds.
//!
//! A hash table that doubles moves everything at once, and here each move reads what is found elsewhere in memory: with
//! half a million entries that is a pause of tens of milliseconds. This is a linear hash table of hash tables. It takes
//! one part more, or one less, at a time: the last part shares out the entries of the part whose number is its own
//! without the highest bit.

use alloc::vec::Vec;
use hashbrown::HashTable;

use crate::tables::is_nearly_empty;

/// Entries of a part, on average: those of one that is about to be shared out, twice as many, still fit well into a table
/// whose size is a power of two.
const PART: usize = 200;

/// The number of parts goes down when this part of the entries is left.
const LEFT: usize = 4;

/// Finds entries by hashes that their user computes: the same one for an entry at all times.
pub(crate) struct Index<T> {
    parts: Vec<HashTable<T>>,
    len: usize,
    /// The bits of a hash that choose the part, if there is a part of that number, and else those below the highest.
    mask: usize,
    /// The bytes of all parts.
    bytes: usize,
}

impl<T: Copy + PartialEq> Index<T> {
    pub(crate) fn new() -> Index<T> {
        Index {
            parts: Vec::new(),
            len: 0,
            mask: 0,
            bytes: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of the part of a hash.
    fn part_of(&self, hash: u64) -> usize {
        // Within a part the lowest and the highest bits count.
        let part = (hash >> 24) as usize & self.mask;
        if part < self.parts.len() {
            part
        } else {
            part & (self.mask >> 1)
        }
    }

    /// The bytes that it takes from the system, those of the list of its parts aside.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The most bytes that one entry more would take.
    pub(crate) fn growth(&self, hash: u64) -> usize {
        if self.is_due() {
            // At worst the new part takes all of the one that it shares with.
            let shared = self.parts.get(halved(self.parts.len())).map_or(0, HashTable::len);
            let entries = (shared.max(4) * 8 / 7 + 1).next_power_of_two();
            return entries * (size_of::<T>() + 1) + 64;
        }
        let part = self.parts.get(self.part_of(hash));
        part.filter(|part| part.len() == part.capacity())
            .map_or(0, |part| 2 * part.allocation_size() + 64)
    }

    pub(crate) fn find(&self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<T> {
        let part = self.parts.get(self.part_of(hash))?;
        part.find(hash, is_it).copied()
    }

    /// Takes an entry in, which is not in yet.
    pub(crate) fn insert(&mut self, hash: u64, entry: T, hash_of: impl Fn(&T) -> u64) {
        if self.is_due() {
            self.add_part(&hash_of);
        }
        let part = self.part_of(hash);
        if let Some(part) = self.parts.get_mut(part) {
            if part.len() == part.capacity() {
                self.bytes -= part.allocation_size();
                part.reserve(1, &hash_of);
                self.bytes += part.allocation_size();
            }
            part.insert_unique(hash, entry, hash_of);
            self.len += 1;
        }
    }

    pub(crate) fn remove(&mut self, hash: u64, entry: T, hash_of: impl Fn(&T) -> u64) {
        let part = self.part_of(hash);
        let Some(part) = self.parts.get_mut(part) else {
            return;
        };
        let Ok(found) = part.find_entry(hash, |other| *other == entry) else {
            return;
        };
        found.remove();
        self.len -= 1;
        if is_nearly_empty(part.len(), part.capacity()) {
            self.bytes -= part.allocation_size();
            part.shrink_to(2 * part.len(), &hash_of);
            self.bytes += part.allocation_size();
        }
        if self.len * LEFT < (self.parts.len() - 1) * PART {
            self.drop_part(&hash_of);
        }
    }

    /// Gives all memory of an index back that is empty.
    pub(crate) fn give_all_back(&mut self) {
        if self.is_empty() {
            *self = Index::new();
        }
    }

    /// Whether the next entry makes a part more.
    fn is_due(&self) -> bool {
        self.len >= self.parts.len() * PART
    }

    #[cold]
    fn add_part(&mut self, hash_of: &impl Fn(&T) -> u64) {
        let last = self.parts.len();
        let mask = (last + 1).next_power_of_two() - 1;
        let mut added = HashTable::new();
        if let Some(shared) = self.parts.get_mut(halved(last)) {
            added.reserve(shared.len() / 2, hash_of);
            for entry in shared.extract_if(|entry| (hash_of(entry) >> 24) as usize & mask == last) {
                added.insert_unique(hash_of(&entry), entry, hash_of);
            }
        }
        self.bytes += added.allocation_size();
        self.parts.push(added);
        self.mask = mask;
    }

    #[cold]
    fn drop_part(&mut self, hash_of: &impl Fn(&T) -> u64) {
        let Some(dropped) = self.parts.pop() else {
            return;
        };
        let last = self.parts.len();
        if let Some(kept) = self.parts.get_mut(halved(last)) {
            self.bytes -= dropped.allocation_size() + kept.allocation_size();
            for entry in dropped {
                kept.insert_unique(hash_of(&entry), entry, hash_of);
            }
            self.bytes += kept.allocation_size();
        }
        self.parts.shrink_to(2 * last);
        self.mask = last.next_power_of_two() - 1;
    }
}

/// A part's number without the highest bit: the part that it shares entries with.
fn halved(part: usize) -> usize {
    part.checked_ilog2().map_or(0, |highest| part - (1 << highest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(entry: &u32) -> u64 {
        u64::from(*entry)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(23)
    }

    fn find(index: &Index<u32>, entry: u32) -> bool {
        index.find(hash(&entry), |other| *other == entry).is_some()
    }

    fn sizes(index: &Index<u32>) -> usize {
        index.parts.iter().map(HashTable::allocation_size).sum()
    }

    #[test]
    fn entries_are_found_while_the_index_grows_and_shrinks() {
        const ENTRIES: u32 = 50_000;
        let mut index = Index::new();
        for entry in 0..ENTRIES {
            let (before, most) = (index.bytes(), index.growth(hash(&entry)));
            index.insert(hash(&entry), entry, hash);
            assert!(index.bytes() <= before + most, "{entry}");
            assert!(find(&index, entry) && !find(&index, entry + 1));
        }
        assert_eq!(index.bytes(), sizes(&index));
        assert!((0..ENTRIES).all(|entry| find(&index, entry)));
        let full = index.bytes();
        for entry in 0..ENTRIES {
            index.remove(hash(&entry), entry, hash);
            index.remove(hash(&entry), entry, hash);
            assert!(!find(&index, entry) && (entry + 1 == ENTRIES || find(&index, entry + 1)));
        }
        assert_eq!((index.len, index.parts.len()), (0, 1));
        assert_eq!(index.bytes(), sizes(&index));
        assert!(index.bytes() < full / 100);
        index.give_all_back();
        assert_eq!((index.bytes(), index.parts.capacity()), (0, 0));
    }

    /// What one call moves stays the same, however many there are.
    #[test]
    fn one_call_moves_few_entries() {
        let moves = core::cell::Cell::new(0);
        let hash_of = |entry: &u32| {
            moves.set(moves.get() + 1);
            hash(entry)
        };
        let mut index = Index::new();
        let mut call = |most: usize, change: &mut dyn FnMut(&mut Index<u32>)| {
            moves.set(0);
            change(&mut index);
            assert!(moves.get() < most, "{} entries", moves.get());
        };
        for entry in 0..100_000 {
            call(6 * PART, &mut |index| index.insert(hash(&entry), entry, hash_of));
        }
        for entry in 0..100_000 {
            call(6 * PART, &mut |index| index.remove(hash(&entry), entry, hash_of));
        }
    }

    /// Against a set: what is in is found, what is not is not, and the bytes are those of the parts.
    #[test]
    fn any_order_of_changes_is_survived() {
        let mut random = 1_u64;
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let mut index = Index::new();
        let mut set = alloc::collections::BTreeSet::new();
        for step in 0..200_000_u32 {
            let grows = step / 8_000 % 2 == 0;
            let (chance, entry) = (next() % 10, (next() % 5_000) as u32);
            if (chance < 8) != grows {
                set.remove(&entry);
                index.remove(hash(&entry), entry, hash);
            } else if set.insert(entry) {
                let most = index.bytes() + index.growth(hash(&entry));
                index.insert(hash(&entry), entry, hash);
                assert!(index.bytes() <= most, "{step}");
            }
            assert_eq!(index.len, set.len());
            if step % 1_000 == 0 {
                assert_eq!(index.bytes(), sizes(&index));
                assert!(
                    (0..5_000).all(|entry| find(&index, entry) == set.contains(&entry)),
                    "{step}"
                );
            }
        }
    }

    /// A budget of some kilobytes has room for an index.
    #[test]
    fn the_first_entries_take_little() {
        let index: Index<u32> = Index::new();
        assert!(index.growth(0) <= 128, "{} bytes", index.growth(0));
    }
}
