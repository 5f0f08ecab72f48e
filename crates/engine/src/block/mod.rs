//! Block-wise transfer (RFC 7959): bodies longer than a datagram, in both directions and both roles.

pub(crate) mod assembly;
pub(crate) mod bodies;
pub(crate) mod size;
mod slicing;
pub(crate) mod transfer;

use core::hash::{BuildHasher, Hash, Hasher};

use coracle_wire::{BlockOption, Method, OptionNumber, OptionRef, Options};

/// What identifies a request among those of a peer: its method and cache key (RFC 7252 §5.6), which holds the
/// Request-Tag (RFC 9175 §3.3), but not what changes from block to block or with what the client knows already, nor
/// what tells about a payload that further requests do not repeat.
pub(crate) fn cache_key(hasher: &foldhash::fast::FixedState, method: Method, options: Options<'_>) -> u64 {
    let mut key = CacheKey::new(hasher, method);
    options.iter().for_each(|option| key.add(option));
    key.finish()
}

/// The same where the options are walked over anyway.
pub(crate) struct CacheKey<'h>(foldhash::fast::FoldHasher<'h>);

impl<'h> CacheKey<'h> {
    pub(crate) fn new(hasher: &'h foldhash::fast::FixedState, method: Method) -> CacheKey<'h> {
        let mut state = hasher.build_hasher();
        method.hash(&mut state);
        CacheKey(state)
    }

    #[inline]
    pub(crate) fn add(&mut self, option: OptionRef<'_>) {
        if counts(option.number) {
            self.0
                .write_u64(u64::from(option.number.0) << 32 | option.value.len() as u64);
            self.0.write(option.value);
        }
    }

    pub(crate) fn finish(self) -> u64 {
        self.0.finish()
    }
}

fn counts(number: OptionNumber) -> bool {
    const PASSING: NumberSet = NumberSet::of(&[
        OptionNumber::CONTENT_FORMAT,
        OptionNumber::BLOCK1,
        OptionNumber::BLOCK2,
        OptionNumber::OBSERVE,
        OptionNumber::ETAG,
        OptionNumber::IF_MATCH,
        // RFC 7959 §2.10: only in the first block of a body.
        OptionNumber::IF_NONE_MATCH,
        OptionNumber::HOP_LIMIT,
    ]);
    let passes =
        PASSING.contains(number) || [OptionNumber::NO_RESPONSE, OptionNumber::ECHO].contains(&number);
    !number.is_no_cache_key() && !passes
}

/// Some of the first 64 option numbers, as bits.
#[derive(Clone, Copy)]
pub(crate) struct NumberSet(u64);

impl NumberSet {
    pub(crate) const fn of(mut numbers: &[OptionNumber]) -> NumberSet {
        let mut bits = 0;
        while let [first, rest @ ..] = numbers {
            assert!(first.0 < 64, "not one of the first numbers");
            bits |= 1 << first.0;
            numbers = rest;
        }
        NumberSet(bits)
    }

    pub(crate) const fn contains(self, number: OptionNumber) -> bool {
        number.0 < 64 && self.0 >> number.0 & 1 == 1
    }
}

/// What tells the payload of a FETCH, which is part of its cache key (RFC 8132 §2.3.2), from others. `None` where there
/// is none: requests for further blocks need not repeat it.
pub(crate) fn payload_key(
    hasher: &foldhash::fast::FixedState,
    method: Method,
    payload: &[u8],
) -> Option<u64> {
    (method == Method::FETCH && !payload.is_empty()).then(|| hasher.hash_one(payload))
}

/// A block at a byte offset, which is a multiple of its size. `None`: the number does not fit into 20 bits.
pub(crate) fn block_at(offset: u64, more: bool, szx: u8) -> Option<BlockOption> {
    // BERT counts in blocks of 1,024 bytes (RFC 8323 §6).
    let num = u32::try_from(offset >> (szx.min(6) + 4)).ok()?;
    BlockOption::new(num, more, szx).ok()
}

/// Whether the content of a block agrees with what it says: all blocks but the last are full (RFC 7959 §2.2), and of BERT
/// are so many of them (RFC 8323 §6).
pub(crate) fn is_full(block: BlockOption, len: usize) -> bool {
    if block.is_bert() {
        !block.more() || (len > 0 && len.is_multiple_of(block.size()))
    } else if block.more() {
        len == block.size()
    } else {
        len <= block.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_wire::OptionsBuf;

    #[test]
    fn the_cache_key_ignores_what_changes_from_block_to_block() {
        let hasher = foldhash::fast::FixedState::with_seed(1);
        let mut first = OptionsBuf::new();
        first.push_str(OptionNumber::URI_PATH, "a").unwrap();
        let mut second = first.clone();
        second.set(OptionNumber::BLOCK1, &[0x16]).unwrap();
        second.set(OptionNumber::SIZE1, &[9]).unwrap();
        second.set(OptionNumber::CONTENT_FORMAT, &[50]).unwrap();
        second.set(OptionNumber::IF_NONE_MATCH, &[]).unwrap();
        let key = |method, options: &OptionsBuf| cache_key(&hasher, method, options.as_options());
        assert_eq!(key(Method::PUT, &first), key(Method::PUT, &second));
        assert_ne!(key(Method::PUT, &first), key(Method::POST, &first));
        second.set(OptionNumber::REQUEST_TAG, &[1]).unwrap();
        assert_ne!(key(Method::PUT, &first), key(Method::PUT, &second));
    }

    #[test]
    fn a_block_number_has_20_bits() {
        assert_eq!(block_at(1024 * 5, true, 6).map(|block| block.num()), Some(5));
        assert_eq!(block_at((1 << 20) * 1024, false, 6), None);
    }
}
