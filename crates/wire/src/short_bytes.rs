//! Bytes that need no memory of their own while they are few.

use alloc::vec::Vec;

/// How many bytes need no memory of their own: the options of most requests and responses.
pub(crate) const INLINE: usize = 38;

/// Bytes that grow at their end; up to [`INLINE`] of them lie within the value itself.
#[derive(Clone)]
pub(crate) enum ShortBytes {
    Inline { len: u8, bytes: [u8; INLINE] },
    Heap(Vec<u8>),
}

impl ShortBytes {
    #[inline]
    pub(crate) const fn new() -> ShortBytes {
        ShortBytes::Inline {
            len: 0,
            bytes: [0; INLINE],
        }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            ShortBytes::Inline { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            ShortBytes::Heap(bytes) => bytes,
        }
    }

    /// Adds bytes at the end.
    #[inline]
    pub(crate) fn extend(&mut self, more: &[u8]) {
        if !self.extend_inline(more) {
            self.extend_heap(more);
        }
    }

    /// Whether there was room.
    #[inline]
    fn extend_inline(&mut self, more: &[u8]) -> bool {
        let ShortBytes::Inline { len, bytes } = self else {
            return false;
        };
        let start = usize::from(*len);
        let end = start + more.len();
        let (Some(room), Ok(new_len)) = (bytes.get_mut(start..end), u8::try_from(end)) else {
            return false;
        };
        match (&mut *room, more) {
            // Most often an option's header, or the value of a zero, which are not worth a call.
            ([slot], [byte]) => *slot = *byte,
            ([], []) => {}
            _ => room.copy_from_slice(more),
        }
        *len = new_len;
        true
    }

    #[cold]
    fn extend_heap(&mut self, more: &[u8]) {
        if let ShortBytes::Heap(bytes) = self {
            bytes.extend_from_slice(more);
        } else {
            let old = self.as_slice();
            // Options come one by one, so that more are likely to follow.
            let mut bytes = Vec::with_capacity((old.len() + more.len()).max(2 * INLINE));
            bytes.extend_from_slice(old);
            bytes.extend_from_slice(more);
            *self = ShortBytes::Heap(bytes);
        }
    }

    /// Forgets the bytes and keeps the memory.
    pub(crate) fn clear(&mut self) {
        match self {
            ShortBytes::Inline { len, .. } => *len = 0,
            ShortBytes::Heap(bytes) => bytes.clear(),
        }
    }
}

impl Default for ShortBytes {
    fn default() -> Self {
        ShortBytes::new()
    }
}

impl From<&[u8]> for ShortBytes {
    #[inline]
    fn from(bytes: &[u8]) -> Self {
        let mut short = ShortBytes::new();
        if !short.extend_inline(bytes) {
            short = ShortBytes::Heap(bytes.to_vec());
        }
        short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_bytes_need_no_memory() {
        let mut bytes = ShortBytes::from(&[7; INLINE - 1][..]);
        bytes.extend(b"!");
        assert!(matches!(bytes, ShortBytes::Inline { .. }));
        assert_eq!(bytes.as_slice(), [&[7; INLINE - 1][..], b"!"].concat());
    }

    #[test]
    fn many_bytes_have_all_that_was_there() {
        let mut bytes = ShortBytes::from(&[7; INLINE][..]);
        bytes.extend(b"!");
        assert!(matches!(bytes, ShortBytes::Heap(_)));
        assert_eq!(bytes.as_slice(), [&[7; INLINE][..], b"!"].concat());
        assert!(matches!(
            ShortBytes::from(&[7; INLINE + 1][..]),
            ShortBytes::Heap(_)
        ));
    }

    #[test]
    fn clearing_forgets_the_bytes_and_keeps_the_memory() {
        let mut short = ShortBytes::from(&b"ab"[..]);
        short.clear();
        short.extend(b"c");
        assert_eq!(short.as_slice(), b"c");
        let mut long = ShortBytes::from(&[7; 100][..]);
        long.clear();
        long.extend(b"c");
        assert!(matches!(long, ShortBytes::Heap(_)));
        assert_eq!(long.as_slice(), b"c");
    }
}
