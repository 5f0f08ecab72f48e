//! A table whose keys carry a generation, so that a reused place is never mistaken for what stood there before.
//!
//! The places lie in chunks, the first ones are used first, and a chunk that nothing is left in is given back: a table
//! that was large once does not stay so.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::num::NonZeroU32;

/// A place in a [`Slab`], valid until its value is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    index: u32,
    generation: NonZeroU32,
}

impl Key {
    /// Before all others.
    pub(crate) const FIRST: Key = Key {
        index: 0,
        generation: NonZeroU32::MIN,
    };
    /// After all others.
    pub(crate) const LAST: Key = Key {
        index: u32::MAX,
        generation: NonZeroU32::MAX,
    };
}

/// Places in a chunk; as many as the bits that tell which are in use.
const CHUNK: u32 = u64::BITS;

struct Chunk<T> {
    used: u64,
    places: Vec<Place<T>>,
}

/// The generation stands beside the value, not within the option, so that a value moves in and out at once.
struct Place<T> {
    generation: NonZeroU32,
    value: Option<T>,
}

impl<T> Chunk<T> {
    const EMPTY: Chunk<T> = Chunk {
        used: 0,
        places: Vec::new(),
    };

    fn is_full(&self) -> bool {
        self.used == u64::MAX
    }
}

pub(crate) struct Slab<T> {
    chunks: Vec<Chunk<T>>,
    len: usize,
    capacity: usize,
    /// The chunks that have room, each once, and some that are gone; the first one is used first.
    with_room: BinaryHeap<Reverse<u32>>,
    /// The empty chunk that keeps its memory for the next value.
    spare: Option<u32>,
    /// Of the value that was inserted last.
    generation: NonZeroU32,
}

impl<T> Slab<T> {
    /// An empty table that never holds more than `capacity` values.
    pub(crate) fn new(capacity: usize) -> Slab<T> {
        Slab {
            chunks: Vec::new(),
            len: 0,
            capacity: capacity.min(u32::MAX as usize),
            with_room: BinaryHeap::new(),
            spare: None,
            generation: NonZeroU32::MAX,
        }
    }

    /// The same with generations that count on from this one, so that its keys are not those of other tables.
    pub(crate) fn counting_from(self, generation: u32) -> Slab<T> {
        let generation = NonZeroU32::new(generation).unwrap_or(NonZeroU32::MAX);
        Slab { generation, ..self }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len >= self.capacity
    }

    /// The key of the new value, or the value back when the table is full.
    pub(crate) fn insert(&mut self, value: T) -> Result<Key, T> {
        match self.vacant() {
            Some(key) => {
                self.fill(key, value);
                Ok(key)
            }
            None => Err(value),
        }
    }

    /// The key of the next value; `None` when the table is full. Nothing else may come or go before it is
    /// [filled](Self::fill), but it need not be.
    #[inline]
    pub(crate) fn vacant(&mut self) -> Option<Key> {
        if self.is_full() {
            return None;
        }
        let generation = self.generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        let (first, chunk) = self.first_with_room()?;
        let index = first * CHUNK + chunk.used.trailing_ones();
        self.generation = generation;
        Some(Key { index, generation })
    }

    /// Puts a value in the place of the key that was [vacant](Self::vacant).
    pub(crate) fn fill(&mut self, key: Key, value: T) {
        let (at, place) = (key.index / CHUNK, key.index % CHUNK);
        let Some(chunk) = self.chunks.get_mut(at as usize) else {
            return;
        };
        let filled = Place {
            generation: key.generation,
            value: Some(value),
        };
        match chunk.places.get_mut(place as usize) {
            Some(free) => *free = filled,
            None => chunk.places.push(filled),
        }
        chunk.used |= 1 << place;
        if chunk.is_full() {
            // It is the first of them, and comes back when it has room again.
            self.with_room.pop();
        }
        self.len += 1;
        if self.spare == Some(at) {
            self.spare = None;
        }
    }

    /// The first chunk with room, made when there is none.
    fn first_with_room(&mut self) -> Option<(u32, &mut Chunk<T>)> {
        while let Some(Reverse(first)) = self.with_room.peek().copied() {
            let has_room = |chunk: &Chunk<T>| !chunk.is_full();
            if self.chunks.get(first as usize).is_some_and(has_room) {
                return Some((first, self.chunks.get_mut(first as usize)?));
            }
            self.with_room.pop();
        }
        let last = u32::try_from(self.chunks.len()).ok()?;
        self.chunks.push(Chunk::EMPTY);
        self.with_room.push(Reverse(last));
        Some((last, self.chunks.last_mut()?))
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let chunk = self.chunks.get((key.index / CHUNK) as usize)?;
        let place = chunk.places.get((key.index % CHUNK) as usize)?;
        let is_it = place.generation == key.generation;
        if is_it { place.value.as_ref() } else { None }
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let chunk = self.chunks.get_mut((key.index / CHUNK) as usize)?;
        let place = chunk.places.get_mut((key.index % CHUNK) as usize)?;
        let is_it = place.generation == key.generation;
        if is_it { place.value.as_mut() } else { None }
    }

    pub(crate) fn contains(&self, key: Key) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.clear(key, Option::take)
    }

    /// Removes a value that is of no more use; `false` when there is none.
    pub(crate) fn discard(&mut self, key: Key) -> bool {
        // Not moved out, as that would cost more than to drop it where it lies.
        self.clear(key, |value| value.is_some().then(|| *value = None))
            .is_some()
    }

    /// Makes a place free again; `take` empties it unless it is empty.
    fn clear<R>(&mut self, key: Key, take: impl FnOnce(&mut Option<T>) -> Option<R>) -> Option<R> {
        let at = key.index / CHUNK;
        let chunk = self.chunks.get_mut(at as usize)?;
        let place = chunk.places.get_mut((key.index % CHUNK) as usize)?;
        let taken = Some(place).filter(|place| place.generation == key.generation);
        let taken = taken.and_then(|place| take(&mut place.value))?;
        if chunk.is_full() {
            self.with_room.push(Reverse(at));
        }
        chunk.used &= !(1 << (key.index % CHUNK));
        self.len -= 1;
        if chunk.used == 0 {
            self.give_back(at);
        }
        Some(taken)
    }

    /// A chunk was emptied: the first of the empty ones keeps its memory for the next value, others give it back.
    fn give_back(&mut self, emptied: u32) {
        let first = self.spare.map_or(emptied, |spare| spare.min(emptied));
        let other = self.spare.replace(first).map(|spare| spare.max(emptied));
        if let Some(chunk) = other.and_then(|other| self.chunks.get_mut(other as usize)) {
            chunk.places = Vec::new();
        }
        let is_given_back = |chunk: &Chunk<T>| chunk.used == 0 && chunk.places.capacity() == 0;
        while self.chunks.last().is_some_and(is_given_back) {
            self.chunks.pop();
        }
        if self.chunks.len() * 4 < self.chunks.capacity() {
            self.chunks.shrink_to(self.chunks.len() * 2);
            let chunks = self.chunks.len();
            self.with_room.retain(|Reverse(chunk)| (*chunk as usize) < chunks);
            self.with_room.shrink_to(chunks * 2);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        let chunks = (0_u32..).zip(&self.chunks);
        chunks.flat_map(|(first, chunk)| {
            let places = (first * CHUNK..).zip(&chunk.places);
            places.filter_map(|(index, place)| {
                let generation = place.generation;
                Some((Key { index, generation }, place.value.as_ref()?))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_place_has_another_key() {
        let mut slab = Slab::new(2);
        let first = slab.insert('a').unwrap();
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert('b').unwrap();
        assert_ne!(first, second);
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get(second), Some(&'b'));
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn a_chunk_that_is_filled_again_and_again_is_noted_once() {
        let mut slab = Slab::new(1000);
        for _ in 0..CHUNK - 1 {
            slab.insert(()).unwrap();
        }
        for _ in 0..10_000 {
            let key = slab.insert(()).unwrap();
            slab.remove(key);
        }
        assert!(slab.with_room.len() <= slab.chunks.len());
    }

    #[test]
    fn a_full_table_gives_the_value_back() {
        let mut slab = Slab::new(1);
        let key = slab.insert(1).unwrap();
        assert_eq!(slab.insert(2), Err(2));
        slab.remove(key);
        assert!(slab.insert(2).is_ok());
    }

    #[test]
    fn what_was_large_once_is_given_back() {
        let mut slab = Slab::new(100_000);
        let keys: Vec<Key> = (0..100_000).map(|value| slab.insert(value).unwrap()).collect();
        for (key, value) in keys.iter().zip(0..).skip(64) {
            assert_eq!(slab.remove(*key), Some(value));
        }
        assert!(slab.chunks.len() < 4 && slab.chunks.capacity() < 16);
        assert_eq!(slab.iter().map(|(_, value)| *value).sum::<i32>(), 64 * 63 / 2);
        let again = slab.insert(1).unwrap();
        assert_eq!((slab.get(again), slab.len()), (Some(&1), 65));
        assert!(keys.iter().skip(64).all(|key| !slab.contains(*key)));
    }

    /// One value that comes and goes at the edge of a chunk keeps its memory.
    #[test]
    fn one_empty_chunk_is_kept() {
        let mut slab = Slab::new(1000);
        let mut keys: Vec<Key> = (0..65).map(|value| slab.insert(value).unwrap()).collect();
        for _ in 0..3 {
            slab.remove(keys.pop().unwrap());
            assert_eq!((slab.chunks.len(), slab.spare), (2, Some(1)));
            keys.push(slab.insert(7).unwrap());
            assert_eq!((slab.chunks.len(), slab.spare), (2, None));
        }
        for key in keys {
            slab.remove(key);
        }
        assert!(slab.is_empty() && slab.chunks.len() <= 2);
    }
}
