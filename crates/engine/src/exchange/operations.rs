//! Bodies of ours that go in blocks at the same time, told apart by Request-Tag (RFC 9175 §3.5.2).

use hashbrown::HashMap;

use coracle_wire::{Method, OptionNumber, OptionsBuf};

use crate::block::cache_key;
use crate::path::Peer;

/// What a server takes for one body: the peer, and what its cache key is made of.
type Matchable = (Peer, u64);

/// The operations under way. There are no more of them than requests.
pub(crate) struct Operations {
    under_way: HashMap<Matchable, Tags, foldhash::fast::FixedState>,
    cache_hasher: foldhash::fast::FixedState,
}

/// The tags of operations that a server could not tell apart without them.
#[derive(Default)]
struct Tags {
    /// One of them has no tag.
    absent: bool,
    /// How many have one.
    tagged: usize,
    /// The tag given last.
    last: u32,
}

/// One operation, until it is [ended](Operations::end).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    matchable: Matchable,
    tagged: bool,
}

impl Operations {
    pub(crate) fn new(seed: u64) -> Operations {
        let cache_hasher = foldhash::fast::FixedState::with_seed(seed);
        Operations {
            under_way: HashMap::with_hasher(cache_hasher.clone()),
            cache_hasher,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Begins an operation: without a tag if no other is without one, which is the shortest message.
    pub(crate) fn begin(&mut self, peer: Peer, method: Method, options: &mut OptionsBuf) -> Operation {
        let matchable = (peer, cache_key(&self.cache_hasher, method, options.as_options()));
        let tags = self.under_way.entry(matchable).or_default();
        let tagged = tags.absent;
        if tagged {
            tags.tagged += 1;
            tags.last = tags.last.wrapping_add(1);
            // Beside one of the application's own, as the option may be repeated.
            options.push_uint(OptionNumber::REQUEST_TAG, u64::from(tags.last));
        }
        tags.absent = true;
        Operation { matchable, tagged }
    }

    /// The operation is over: its tag may be used again.
    pub(crate) fn end(&mut self, operation: Operation) {
        let Some(tags) = self.under_way.get_mut(&operation.matchable) else {
            return;
        };
        if operation.tagged {
            tags.tagged -= 1;
        } else {
            tags.absent = false;
        }
        if tags.tagged == 0 && !tags.absent {
            self.under_way.remove(&operation.matchable);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use core::net::SocketAddr;

    fn peer(port: u16) -> Peer {
        Peer::at(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    fn begin(operations: &mut Operations, port: u16, path: &str) -> (Operation, Option<Vec<u8>>) {
        let mut options = OptionsBuf::new();
        options.push_str(OptionNumber::URI_PATH, path).unwrap();
        let operation = operations.begin(peer(port), Method::PUT, &mut options);
        (operation, options.get(OptionNumber::REQUEST_TAG).map(Vec::from))
    }

    #[test]
    fn only_what_a_server_could_mix_up_is_tagged() {
        let mut operations = Operations::new(1);
        let (first, tag) = begin(&mut operations, 1, "a");
        assert_eq!(tag, None);
        let (second, tag) = begin(&mut operations, 1, "a");
        assert_eq!(tag.as_deref(), Some(&[1][..]));
        let (elsewhere, tag) = begin(&mut operations, 2, "a");
        assert_eq!(tag, None);
        let (other, tag) = begin(&mut operations, 1, "b");
        assert_eq!(tag, None);
        operations.end(first);
        let (third, tag) = begin(&mut operations, 1, "a");
        assert_eq!(tag, None, "the absent option is free again");
        let (fourth, tag) = begin(&mut operations, 1, "a");
        assert_eq!(
            tag.as_deref(),
            Some(&[2][..]),
            "no tag is used again while others are"
        );
        for operation in [second, elsewhere, other, third, fourth] {
            operations.end(operation);
        }
        assert!(operations.is_empty());
    }

    #[test]
    fn a_tag_of_the_application_stays() {
        let mut operations = Operations::new(1);
        for tags in [1, 2] {
            let mut options = OptionsBuf::new();
            options.set(OptionNumber::REQUEST_TAG, b"mine").unwrap();
            operations.begin(peer(1), Method::PUT, &mut options);
            let count = options
                .iter()
                .filter(|option| option.number == OptionNumber::REQUEST_TAG);
            assert_eq!(count.count(), tags);
        }
    }
}
