//! Option values of format `uint` (RFC 7252 §3.2): big-endian, as short as possible, zero is empty.

use core::fmt;
use core::ops::Deref;

/// A number encoded as an option value: 0 to 8 bytes without leading zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UintBytes {
    bytes: [u8; 8],
    skip: usize,
}

impl Deref for UintBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes.get(self.skip..).unwrap_or_default()
    }
}

impl AsRef<[u8]> for UintBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for UintBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// Encodes a number in its minimal length (RFC 7252 §3.2): 0 becomes the empty value.
#[inline]
#[must_use]
pub const fn encode_uint(value: u64) -> UintBytes {
    let skip = value.leading_zeros() / 8;
    UintBytes {
        bytes: value.to_be_bytes(),
        skip: skip as usize,
    }
}

/// Decodes a number of any length; leading zeros are accepted (RFC 7252 §3.2).
///
/// `None` if more than 8 bytes are significant.
#[inline]
#[must_use]
pub fn decode_uint(bytes: &[u8]) -> Option<u64> {
    let mut value: u64 = 0;
    for &byte in bytes {
        if value > u64::MAX >> 8 {
            return None;
        }
        value = value << 8 | u64::from(byte);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_empty_and_lengths_are_minimal() {
        assert_eq!(&*encode_uint(0), b"");
        assert_eq!(&*encode_uint(1), b"\x01");
        assert_eq!(&*encode_uint(255), b"\xff");
        assert_eq!(&*encode_uint(256), b"\x01\x00");
        assert_eq!(&*encode_uint(0x0001_0000), b"\x01\x00\x00");
        assert_eq!(&*encode_uint(u64::MAX), &[0xff; 8]);
    }

    #[test]
    fn leading_zeros_are_read_and_nine_significant_bytes_are_not() {
        assert_eq!(decode_uint(b""), Some(0));
        assert_eq!(decode_uint(b"\x00\x00\x32"), Some(50));
        assert_eq!(decode_uint(&[0; 300]), Some(0));
        assert_eq!(
            decode_uint(b"\x00\xff\xff\xff\xff\xff\xff\xff\xff"),
            Some(u64::MAX)
        );
        assert_eq!(decode_uint(b"\x01\x00\x00\x00\x00\x00\x00\x00\x00"), None);
    }
}
