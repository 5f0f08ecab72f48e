//! Message IDs that were seen, and what was answered (RFC 7252 §4.5).
//!
//! Two queues in order of time. One holds what may be forgotten early: responses and idempotent requests, which the
//! leave of RFC 7252 §4.5 allows to be run again. The other holds requests that must not be run twice; these stay
//! for EXCHANGE_LIFETIME. A byte budget bounds both: when it is used up the first queue gives way, oldest first, and
//! when nothing is left of it there is no room for more.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::hash::BuildHasher;
use core::net::IpAddr;
use core::time::Duration;
use hashbrown::HashTable;

use coracle_wire::MessageId;

use crate::limits::{FORGET_PER_CALL, SEEN_OVERHEAD};
use crate::path::{Path, Peer};
use crate::slab::{Key, Slab};
use crate::time::Instant;

/// A message as RFC 7252 §4.5 tells duplicates: by its ID, its source and the endpoint of ours it came to.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Identity {
    peer: Peer,
    local: Option<IpAddr>,
    id: MessageId,
}

struct Entry {
    identity: Identity,
    /// Of the identity: hashing it again to grow the index or to forget the entry would cost more than to keep it.
    hash: u64,
    expires: Instant,
    reply: Option<Box<[u8]>>,
}

impl Entry {
    fn cost(&self) -> usize {
        SEEN_OVERHEAD + self.reply.as_ref().map_or(0, |reply| reply.len())
    }
}

pub(crate) struct Seen {
    entries: Slab<Entry>,
    index: HashTable<Key>,
    hasher: foldhash::fast::FixedState,
    /// May be forgotten early.
    lenient: VecDeque<Key>,
    /// Kept for the whole lifetime.
    strict: VecDeque<Key>,
    bytes: usize,
    budget: usize,
    lifetime: Duration,
}

/// What is known of a message.
pub(crate) enum Sight<'a> {
    /// It is new, and remembered from now on.
    New(Key),
    /// It was seen before; the answer, if one went out already.
    Again(Option<&'a [u8]>),
    /// It is new, but there is no room to remember it.
    NoRoom,
}

impl Seen {
    pub(crate) fn new(budget: usize, lifetime: Duration, seed: u64) -> Seen {
        Seen {
            entries: Slab::new(budget / SEEN_OVERHEAD),
            index: HashTable::new(),
            hasher: foldhash::fast::FixedState::with_seed(seed),
            lenient: VecDeque::new(),
            strict: VecDeque::new(),
            bytes: 0,
            budget,
            lifetime,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.index.is_empty() && self.bytes == 0
    }

    /// Looks a message up and remembers it. `keep`: it must not be run twice.
    pub(crate) fn note(&mut self, now: Instant, path: &Path, id: MessageId, keep: bool) -> Sight<'_> {
        self.forget(now);
        let identity = Identity {
            peer: path.peer(),
            local: path.local,
            id,
        };
        let hash = self.hasher.hash_one(identity);
        let known = self.index.find(hash, |key| {
            self.entries
                .get(*key)
                .is_some_and(|entry| entry.identity == identity)
        });
        if let Some(key) = known.copied() {
            return Sight::Again(self.entries.get(key).and_then(|entry| entry.reply.as_deref()));
        }
        if !self.make_room(SEEN_OVERHEAD) {
            return Sight::NoRoom;
        }
        let entry = Entry {
            identity,
            hash,
            expires: now + self.lifetime,
            reply: None,
        };
        let Ok(key) = self.entries.insert(entry) else {
            return Sight::NoRoom;
        };
        let entries = &self.entries;
        self.index
            .insert_unique(hash, key, |key| entries.get(*key).map_or(0, |entry| entry.hash));
        self.bytes += SEEN_OVERHEAD;
        if keep {
            self.strict.push_back(key)
        } else {
            self.lenient.push_back(key)
        }
        Sight::New(key)
    }

    /// Remembers what was answered, for duplicates to come.
    pub(crate) fn answer(&mut self, key: Key, reply: &[u8]) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let before = entry.reply.take().map_or(0, |reply| reply.len());
        self.bytes -= before;
        // An answer that there is no room for is not kept: its duplicates meet silence, but run nothing twice.
        if self.make_room(reply.len())
            && let Some(entry) = self.entries.get_mut(key)
        {
            entry.reply = Some(Box::from(reply));
            self.bytes += reply.len();
        }
    }

    /// The message noted last led to nothing: it may be forgotten early, whatever it was.
    pub(crate) fn relax(&mut self, key: Key) {
        if self.strict.back() == Some(&key) {
            self.strict.pop_back();
            self.lenient.push_back(key);
        }
    }

    /// Makes room for `wanted` bytes by forgetting what may be forgotten; `false` when that is not enough.
    fn make_room(&mut self, wanted: usize) -> bool {
        while self.bytes + wanted > self.budget {
            let Some(key) = self.lenient.pop_front() else {
                return false;
            };
            self.remove(key);
        }
        true
    }

    fn remove(&mut self, key: Key) {
        let Some(entry) = self.entries.remove(key) else {
            return;
        };
        self.bytes -= entry.cost();
        if let Ok(place) = self.index.find_entry(entry.hash, |other| *other == key) {
            place.remove();
        }
    }

    /// Forgets what is older than its lifetime.
    pub(crate) fn forget(&mut self, now: Instant) {
        for _ in 0..FORGET_PER_CALL {
            let expired = |key: &Key| self.entries.get(*key).is_none_or(|entry| entry.expires <= now);
            let key = if self.lenient.front().is_some_and(expired) {
                self.lenient.pop_front()
            } else if self.strict.front().is_some_and(expired) {
                self.strict.pop_front()
            } else {
                return;
            };
            if let Some(key) = key {
                self.remove(key);
            }
        }
    }

    /// When there will be something to forget.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let front = |queue: &VecDeque<Key>| {
            queue.front().map(|key| {
                self.entries
                    .get(*key)
                    .map_or(Instant::ZERO, |entry| entry.expires)
            })
        };
        crate::context::earliest(front(&self.lenient), front(&self.strict))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::SocketAddr;

    const LIFETIME: Duration = Duration::from_secs(247);

    fn path() -> Path {
        Path {
            local: Some(IpAddr::from([127, 0, 0, 1])),
            ..Path::to(SocketAddr::from(([127, 0, 0, 1], 9)))
        }
    }

    fn seen(entries: usize) -> Seen {
        Seen::new(entries * SEEN_OVERHEAD, LIFETIME, 3)
    }

    #[test]
    fn a_duplicate_gets_the_answer_until_its_lifetime_ends() {
        let mut seen = seen(4);
        let now = Instant::from_micros(1);
        let Sight::New(key) = seen.note(now, &path(), MessageId(7), true) else {
            panic!("new")
        };
        assert!(matches!(
            seen.note(now, &path(), MessageId(7), true),
            Sight::Again(None)
        ));
        seen.answer(key, b"ack");
        let last = now + (LIFETIME - Duration::from_micros(1));
        assert!(matches!(
            seen.note(last, &path(), MessageId(7), true),
            Sight::Again(Some(b"ack"))
        ));
        assert!(matches!(
            seen.note(now + LIFETIME, &path(), MessageId(7), true),
            Sight::New(_)
        ));
    }

    #[test]
    fn what_was_refused_makes_room_for_others() {
        let mut seen = seen(2);
        for id in 0..100 {
            let Sight::New(key) = seen.note(Instant::ZERO, &path(), MessageId(id), true) else {
                panic!("no room for message {id}")
            };
            seen.relax(key);
        }
        assert!(matches!(
            seen.note(Instant::ZERO, &path(), MessageId(99), true),
            Sight::Again(_)
        ));
    }

    #[test]
    fn another_address_of_ours_is_another_endpoint() {
        let mut seen = seen(4);
        let other = Path {
            local: Some(IpAddr::from([127, 0, 0, 2])),
            ..path()
        };
        assert!(matches!(
            seen.note(Instant::ZERO, &path(), MessageId(7), true),
            Sight::New(_)
        ));
        assert!(matches!(
            seen.note(Instant::ZERO, &other, MessageId(7), true),
            Sight::New(_)
        ));
    }

    #[test]
    fn the_budget_forgets_idempotent_requests_and_never_others() {
        let mut seen = seen(3);
        let now = Instant::ZERO;
        assert!(matches!(
            seen.note(now, &path(), MessageId(1), true),
            Sight::New(_)
        ));
        assert!(matches!(
            seen.note(now, &path(), MessageId(2), false),
            Sight::New(_)
        ));
        assert!(matches!(
            seen.note(now, &path(), MessageId(3), false),
            Sight::New(_)
        ));
        assert!(matches!(
            seen.note(now, &path(), MessageId(4), true),
            Sight::New(_)
        ));
        assert!(matches!(
            seen.note(now, &path(), MessageId(5), true),
            Sight::New(_)
        ));
        assert!(matches!(
            seen.note(now, &path(), MessageId(6), true),
            Sight::NoRoom
        ));
        for id in [1, 4, 5] {
            assert!(matches!(
                seen.note(now, &path(), MessageId(id), true),
                Sight::Again(_)
            ));
        }
        seen.forget(now + LIFETIME);
        assert!(seen.is_empty() && seen.bytes == 0 && seen.index.is_empty());
        assert_eq!(seen.next_expiry(), None);
    }

    #[test]
    fn an_answer_without_room_is_not_kept_but_its_message_is() {
        let mut seen = seen(2);
        let Sight::New(key) = seen.note(Instant::ZERO, &path(), MessageId(1), true) else {
            panic!("new")
        };
        seen.note(Instant::ZERO, &path(), MessageId(2), true);
        seen.answer(key, &[0; 1000]);
        assert!(seen.bytes <= seen.budget);
        let again = seen.note(Instant::ZERO, &path(), MessageId(1), true);
        assert!(matches!(again, Sight::Again(None)));
    }
}
