//! Long messages, whose parts are handed on without a copy of them, and the memory that they lie in, which is used again.

use std::mem;

use bytes::{Buf, Bytes};

/// The longest buffer that is kept for the next long message.
const MAX_SPARE: usize = 2 << 20;

/// Bytes that came on a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Came<'a> {
    pub(crate) bytes: &'a [u8],
    /// The same, if parts of them may be kept.
    lent: Option<&'a Lent>,
}

impl<'a> From<&'a [u8]> for Came<'a> {
    fn from(bytes: &'a [u8]) -> Came<'a> {
        Came { bytes, lent: None }
    }
}

impl Came<'_> {
    /// A part of these bytes to keep: a share of them, or a copy if it is not at least half of the memory that the share
    /// would hold.
    pub(crate) fn keep(&self, part: &[u8]) -> Bytes {
        let lent = self.lent.filter(|lent| part.len() >= lent.capacity / 2);
        let share = lent.and_then(|lent| {
            let start = part.as_ptr().addr().checked_sub(lent.bytes.as_ptr().addr())?;
            let end = start.checked_add(part.len())?;
            (end <= lent.bytes.len()).then(|| lent.bytes.slice(start..end))
        });
        share.unwrap_or_else(|| Bytes::copy_from_slice(part))
    }
}

/// A buffer with a long message, of which others may have shares.
#[derive(Debug, Default)]
pub(super) struct Lent {
    bytes: Bytes,
    capacity: usize,
}

impl Lent {
    pub(super) fn new(buffer: Vec<u8>) -> Lent {
        Lent {
            capacity: buffer.capacity(),
            bytes: buffer.into(),
        }
    }

    pub(super) fn came(&self) -> Came<'_> {
        Came {
            bytes: &self.bytes,
            lent: Some(self),
        }
    }

    /// What follows so many bytes.
    pub(super) fn rest(&self, taken: usize) -> &[u8] {
        self.bytes.get(taken..).unwrap_or_default()
    }

    /// What follows so many bytes, in the same memory if nobody has a share of it.
    pub(super) fn into_rest(mut self, taken: usize) -> Vec<u8> {
        self.bytes.advance(taken.min(self.bytes.len()));
        self.bytes.into()
    }

    /// The memory, if nobody has a share of it any more.
    fn into_buffer(self) -> Option<Vec<u8>> {
        let mut bytes = self.bytes.try_into_mut().ok()?;
        bytes.clear();
        Some(bytes.into())
    }
}

/// The memory of the last long message.
#[derive(Debug, Default)]
pub(super) struct Spare(Lent);

impl Spare {
    /// It, or new memory if shares are left.
    pub(super) fn take(&mut self) -> Vec<u8> {
        mem::take(&mut self.0).into_buffer().unwrap_or_default()
    }

    pub(super) fn give(&mut self, used: Lent) {
        if used.capacity <= MAX_SPARE && used.capacity > self.0.capacity {
            self.0 = used;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_message_is_used_again_when_its_parts_are_gone() {
        let mut spare = Spare::default();
        let lent = Lent::new(vec![b'x'; 10_000]);
        let memory = lent.bytes.as_ptr();
        let part = lent.came().keep(lent.rest(16));
        assert_eq!(part.as_ptr().addr(), memory.addr() + 16, "it is no copy");
        spare.give(lent);
        drop(part);
        let buffer = spare.take();
        assert_eq!(
            (buffer.as_ptr(), buffer.len(), buffer.capacity()),
            (memory, 0, 10_000)
        );
        assert_eq!(spare.take().capacity(), 0);
    }

    #[test]
    fn memory_of_which_a_part_is_kept_stays_as_it_is() {
        let mut spare = Spare::default();
        let lent = Lent::new(vec![b'x'; 10_000]);
        let part = lent.came().keep(lent.rest(0));
        spare.give(lent);
        assert_eq!(spare.take().capacity(), 0);
        assert_eq!(&part[..], [b'x'; 10_000]);
    }

    #[test]
    fn a_short_part_is_copied_and_so_are_bytes_that_lie_elsewhere() {
        let lent = Lent::new(vec![b'x'; 10_000]);
        let is_copied = |part: &[u8]| lent.came().keep(part).as_ptr() != part.as_ptr();
        assert!(is_copied(lent.rest(5_001)) && !is_copied(lent.rest(5_000)));
        assert!(is_copied(&[b'y'; 9_000]));
    }

    #[test]
    fn the_rest_of_a_message_stays_where_it_is_if_nobody_has_a_share() {
        let lent = Lent::new(vec![b'x'; 10_000]);
        let memory = lent.bytes.as_ptr();
        let rest = lent.into_rest(4_000);
        assert_eq!((rest.as_ptr(), rest.len()), (memory, 6_000));
        let lent = Lent::new(rest);
        let part = lent.came().keep(lent.rest(0));
        let rest = lent.into_rest(0);
        assert_ne!(rest.as_ptr(), part.as_ptr());
    }
}
