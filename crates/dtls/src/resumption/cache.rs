//! A table of what may be resumed: so many entries at most, each for so long.

use alloc::collections::VecDeque;
use core::hash::Hash;
use core::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Entries in the order in which they came, in which the oldest give way.
pub(crate) struct Cache<K, V> {
    entries: HashMap<K, Entry<V>, FixedState>,
    /// Each entry by its number; also some that were removed or replaced since.
    order: VecDeque<(u64, K)>,
    next: u64,
    capacity: usize,
    lifetime: Duration,
}

struct Entry<V> {
    number: u64,
    value: V,
    until: Duration,
}

impl<K: Clone + Eq + Hash, V> Cache<K, V> {
    /// With `capacity` 0 nothing is kept. The seed is secret, because strangers choose some keys.
    pub(crate) fn new(capacity: usize, lifetime: Duration, seed: u64) -> Cache<K, V> {
        Cache {
            entries: HashMap::with_hasher(FixedState::with_seed(seed)),
            order: VecDeque::new(),
            next: 0,
            capacity,
            lifetime,
        }
    }

    /// Keeps a value for the lifetime of the cache, in place of what the key had. The oldest gives way when there are
    /// too many.
    pub(crate) fn insert(&mut self, now: Duration, key: K, value: V) {
        self.insert_until(now, now.saturating_add(self.lifetime), key, value);
    }

    /// As [`insert`](Self::insert), for something that ends earlier by itself.
    pub(crate) fn insert_until(&mut self, now: Duration, until: Duration, key: K, value: V) {
        self.expire(now);
        if self.capacity == 0 {
            return;
        }
        if !self.entries.contains_key(&key) {
            self.make_room();
        }
        if self.order.len() >= 2 * self.capacity {
            // At least half of them are gone: once in as many insertions.
            let entries = &self.entries;
            self.order.retain(|(number, key)| is_entry(entries, *number, key));
        }
        let number = self.next;
        self.next += 1;
        self.order.push_back((number, key.clone()));
        let until = until.min(now.saturating_add(self.lifetime));
        let entry = Entry { number, value, until };
        self.entries.insert(key, entry);
    }

    pub(crate) fn get(&self, now: Duration, key: &K) -> Option<&V> {
        let entry = self.entries.get(key)?;
        (now < entry.until).then_some(&entry.value)
    }

    /// Forgets an entry: a session that ended with a fatal alert is not resumed (RFC 5246 §7.2.2).
    pub(crate) fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }

    /// How many entries there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn make_room(&mut self) {
        while self.entries.len() >= self.capacity
            && let Some((number, oldest)) = self.order.pop_front()
        {
            if is_entry(&self.entries, number, &oldest) {
                self.entries.remove(&oldest);
            }
        }
    }

    /// Forgets the oldest that are over, or were removed before.
    fn expire(&mut self, now: Duration) {
        while let Some((number, oldest)) = self.order.front() {
            if is_entry(&self.entries, *number, oldest) {
                if self.entries.get(oldest).is_some_and(|entry| now < entry.until) {
                    break;
                }
                self.entries.remove(oldest);
            }
            self.order.pop_front();
        }
    }
}

/// Whether a key still stands for what it did when it got this number.
fn is_entry<K: Eq + Hash, V>(entries: &HashMap<K, Entry<V>, FixedState>, number: u64, key: &K) -> bool {
    entries.get(key).is_some_and(|entry| entry.number == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    #[test]
    fn an_entry_lives_its_time() {
        let mut cache = Cache::new(10, HOUR, 1);
        cache.insert(at(0), "a", 1);
        cache.insert_until(at(0), at(30), "b", 2);
        cache.insert_until(at(0), at(600), "c", 3);
        assert_eq!(cache.get(at(29), &"b"), Some(&2));
        assert_eq!(cache.get(at(30), &"b"), None);
        assert_eq!(
            (cache.get(at(59), &"a"), cache.get(at(59), &"c")),
            (Some(&1), Some(&3))
        );
        assert_eq!((cache.get(at(60), &"a"), cache.get(at(60), &"c")), (None, None));
        cache.insert(at(60), "d", 4);
        assert_eq!(cache.len(), 1, "what is over is forgotten");
    }

    #[test]
    fn the_oldest_gives_way() {
        let mut cache = Cache::new(2, HOUR, 1);
        cache.insert(at(0), "a", 1);
        cache.insert(at(1), "b", 2);
        cache.insert(at(2), "a", 3);
        cache.insert(at(3), "c", 4);
        assert_eq!(cache.get(at(4), &"b"), None);
        assert_eq!(
            (cache.get(at(4), &"a"), cache.get(at(4), &"c")),
            (Some(&3), Some(&4))
        );
    }

    #[test]
    fn what_was_removed_is_gone_and_takes_no_room_for_long() {
        let mut cache = Cache::new(4, HOUR, 1);
        cache.insert(at(0), 5000, 1);
        for n in 0..1000 {
            cache.insert(at(0), n, n);
            cache.remove(&n);
            assert_eq!(cache.get(at(0), &n), None);
            assert!(cache.order.len() <= 8);
        }
        assert_eq!(
            cache.get(at(1), &5000),
            Some(&1),
            "others are not pushed out by it"
        );
        assert_eq!(cache.len(), 1);
        cache.remove(&7);
    }

    #[test]
    fn a_key_that_comes_and_goes_is_as_young_as_it_was_last() {
        let mut cache = Cache::new(2, HOUR, 1);
        for n in 0..100 {
            cache.insert(at(0), "a", n);
            cache.remove(&"a");
        }
        cache.insert(at(0), "b", 1);
        cache.insert(at(1), "a", 2);
        cache.insert(at(2), "c", 3);
        assert_eq!(cache.get(at(3), &"b"), None);
        assert_eq!(
            (cache.get(at(3), &"a"), cache.get(at(3), &"c")),
            (Some(&2), Some(&3))
        );
    }

    #[test]
    fn a_cache_for_nothing_keeps_nothing() {
        let mut cache = Cache::new(0, HOUR, 1);
        cache.insert(at(0), "a", 1);
        assert_eq!((cache.get(at(0), &"a"), cache.len()), (None, 0));
    }
}
