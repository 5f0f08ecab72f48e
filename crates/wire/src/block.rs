//! The value of Block1, Block2, Q-Block1 and Q-Block2 (RFC 7959 §2.2, RFC 9177 §4.2).

use core::fmt;

use crate::uint::{UintBytes, decode_uint, encode_uint};

/// Which block of a body: its number, whether more follow, and the size exponent.
///
/// ```
/// use coracle_wire::BlockOption;
///
/// let block = BlockOption::decode(&[0x3a])?;
/// assert_eq!((block.num(), block.more(), block.size()), (3, true, 64));
/// assert_eq!(block.offset(), 192);
/// assert_eq!(block.to_string(), "3/1/64");
/// # Ok::<(), coracle_wire::BlockError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockOption {
    num: u32,
    more: bool,
    szx: u8,
}

impl BlockOption {
    /// The highest block number: 20 bits (RFC 7959 §2.2).
    pub const MAX_NUM: u32 = 0x000f_ffff;

    /// The size exponent of BERT, for reliable transports only (RFC 8323 §6). It decodes; the message
    /// layer of UDP, where it is reserved, refuses it with 4.00 (RFC 7959 §2.2).
    pub const SZX_BERT: u8 = 7;

    /// Puts a block option together.
    ///
    /// # Errors
    /// [`BlockError::NumTooLarge`] above [`Self::MAX_NUM`], [`BlockError::SzxTooLarge`] above 7.
    pub const fn new(num: u32, more: bool, szx: u8) -> Result<Self, BlockError> {
        if num > Self::MAX_NUM {
            return Err(BlockError::NumTooLarge(num));
        }
        if szx > Self::SZX_BERT {
            return Err(BlockError::SzxTooLarge(szx));
        }
        Ok(Self { num, more, szx })
    }

    /// Reads an option's value.
    ///
    /// # Errors
    /// [`BlockError::TooLong`] if the value has more than 3 bytes.
    pub fn decode(value: &[u8]) -> Result<Self, BlockError> {
        let decoded = if value.len() > 3 { None } else { decode_uint(value) };
        let bits = decoded
            .and_then(|bits| u32::try_from(bits).ok())
            .ok_or(BlockError::TooLong { len: value.len() })?;
        let [.., low] = bits.to_be_bytes();
        Ok(Self {
            num: bits >> 4,
            more: low & 0x08 != 0,
            szx: low & 0x07,
        })
    }

    /// The option's value, 0 to 3 bytes.
    #[must_use]
    pub fn encode(self) -> UintBytes {
        let bits = self.num << 4 | u32::from(self.more) << 3 | u32::from(self.szx);
        encode_uint(u64::from(bits))
    }

    /// The number of the block, counted in blocks of [`size`](Self::size); 20 bits.
    #[must_use]
    pub const fn num(self) -> u32 {
        self.num
    }

    /// Whether more blocks follow.
    #[must_use]
    pub const fn more(self) -> bool {
        self.more
    }

    /// The size exponent, 0 to 7.
    #[must_use]
    pub const fn szx(self) -> u8 {
        self.szx
    }

    /// Whether this is BERT, several blocks of 1024 bytes in one message (RFC 8323 §6).
    #[must_use]
    pub const fn is_bert(self) -> bool {
        self.szx == Self::SZX_BERT
    }

    /// The size of a block in bytes: 16 to 1024; 1024 for BERT.
    #[must_use]
    pub const fn size(self) -> usize {
        if self.is_bert() { 1024 } else { 16 << self.szx }
    }

    /// Where the block begins in the body, in bytes.
    #[must_use]
    pub fn offset(self) -> u64 {
        let exponent = if self.is_bert() { 10 } else { self.szx + 4 };
        u64::from(self.num) << exponent
    }
}

impl fmt::Display for BlockOption {
    /// `NUM/M/size` as the RFCs print it, for instance `3/1/64`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = u8::from(self.more);
        if self.is_bert() {
            write!(f, "{}/{more}/BERT", self.num)
        } else {
            write!(f, "{}/{more}/{}", self.num, self.size())
        }
    }
}

impl fmt::Debug for BlockOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockOption({self})")
    }
}

/// Why something is no block option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlockError {
    /// The value has more than 3 bytes.
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The block number needs more than 20 bits.
    NumTooLarge(u32),
    /// The size exponent needs more than 3 bits.
    SzxTooLarge(u8),
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { len } => write!(f, "a block option has 0 to 3 bytes, not {len} (RFC 7959 §2.1)"),
            Self::NumTooLarge(num) => write!(f, "block number {num} needs more than 20 bits (RFC 7959 §2.2)"),
            Self::SzxTooLarge(szx) => write!(f, "block size exponent {szx} is above 7 (RFC 7959 §2.2)"),
        }
    }
}

impl core::error::Error for BlockError {}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn fields_are_where_rfc_7959_puts_them() {
        let block = BlockOption::new(0x1234, true, 6).unwrap();
        assert_eq!(&*block.encode(), b"\x01\x23\x4e");
        assert_eq!(BlockOption::decode(b"\x01\x23\x4e"), Ok(block));
        assert_eq!(block.offset(), 0x1234 * 1024);
        assert_eq!(&*BlockOption::new(0, false, 0).unwrap().encode(), b"");
        assert_eq!(BlockOption::decode(b""), BlockOption::new(0, false, 0));
        assert_eq!(BlockOption::decode(b"\x00\x06"), BlockOption::new(0, false, 6));
    }

    #[test]
    fn bert_counts_in_blocks_of_1024() {
        let block = BlockOption::decode(b"\x2f").unwrap();
        assert_eq!((block.num(), block.more(), block.szx()), (2, true, 7));
        assert_eq!((block.size(), block.offset()), (1024, 2048));
        assert_eq!(block.to_string(), "2/1/BERT");
    }

    #[test]
    fn bounds_hold() {
        let last = BlockOption::new(BlockOption::MAX_NUM, true, 7).unwrap();
        assert_eq!(&*last.encode(), b"\xff\xff\xff");
        assert_eq!(last.offset(), 0x000f_ffff * 1024);
        assert_eq!(
            BlockOption::new(0x0010_0000, false, 0),
            Err(BlockError::NumTooLarge(0x0010_0000))
        );
        assert_eq!(BlockOption::new(0, false, 8), Err(BlockError::SzxTooLarge(8)));
        assert_eq!(BlockOption::decode(&[0; 4]), Err(BlockError::TooLong { len: 4 }));
    }
}
