//! How long blocks are, and what goes in blocks at all: what datagrams and connections differ in.

use coracle_wire::BlockOption;

use crate::block::block_at;
use crate::limits;

/// The length of blocks: a power of two, or with BERT some times 1,024 bytes in one message (RFC 7959 §2.2, RFC 8323 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockSize {
    szx: u8,
    bytes: usize,
}

/// What the numbers of BERT blocks count, in bytes (RFC 8323 §6).
const BERT_UNIT: usize = 1024;

impl BlockSize {
    /// The blocks of a size exponent; of 7 as long as one block of BERT.
    pub(crate) const fn of(szx: u8) -> BlockSize {
        if szx >= BlockOption::SZX_BERT {
            return BlockSize {
                szx: BlockOption::SZX_BERT,
                bytes: BERT_UNIT,
            };
        }
        BlockSize {
            szx,
            bytes: 16 << szx,
        }
    }

    /// The largest blocks whose bytes fit into `room`: of BERT where that is possible and holds more than one block, and
    /// then of `longest` bytes at most. At least 16 bytes.
    #[inline]
    pub(crate) fn within(room: usize, bert: bool, longest: usize) -> BlockSize {
        if bert && room >= 2 * BERT_UNIT {
            return BlockSize {
                szx: BlockOption::SZX_BERT,
                bytes: (room - room % BERT_UNIT).min(longest),
            };
        }
        let fits = |szx: &u8| 16 << szx <= room;
        BlockSize::of((0..BlockOption::SZX_BERT).rev().find(fits).unwrap_or(0))
    }

    pub(crate) const fn szx(self) -> u8 {
        self.szx
    }

    pub(crate) const fn bytes(self) -> usize {
        self.bytes
    }

    /// These, or smaller ones if somebody wants them.
    pub(crate) const fn at_most(self, szx: u8) -> BlockSize {
        if szx < self.szx { BlockSize::of(szx) } else { self }
    }

    /// The option that tells of a block at a byte offset. `None`: its number does not fit into 20 bits.
    pub(crate) fn at(self, offset: u64, more: bool) -> Option<BlockOption> {
        block_at(offset, more, self.szx)
    }
}

/// How long bodies may be on some way, which decides what is cut into blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// The longest body in one message, in bytes.
    pub(crate) whole: usize,
    /// The blocks that longer ones are cut into.
    pub(crate) block: BlockSize,
    /// Those of a request's body that is at hand as a whole.
    pub(crate) upload: BlockSize,
    /// The largest size exponent that is taken from the peer,
    pub(crate) taken: u8,
    /// that it is asked for,
    pub(crate) asked: u8,
    /// and that it may use where nothing is asked for.
    pub(crate) unasked: u8,
}

impl Sizes {
    /// What goes in datagrams: blocks where a body is longer than one.
    pub(crate) const fn of_datagrams(szx: u8) -> Sizes {
        let block = BlockSize::of(szx);
        Sizes {
            whole: block.bytes(),
            block,
            upload: block,
            taken: szx,
            asked: szx,
            unasked: BlockOption::SZX_BERT - 1,
        }
    }

    /// What goes on a connection whose messages have `room` for a body, in blocks of at most `szx`.
    #[inline]
    pub(crate) fn of_connection(room: usize, bert: bool, szx: u8) -> Sizes {
        let block = BlockSize::within(room, bert, limits::MAX_BERT).at_most(szx);
        let largest = BlockOption::SZX_BERT - u8::from(!bert);
        Sizes {
            whole: if szx < BlockOption::SZX_BERT {
                block.bytes()
            } else {
                room
            },
            block,
            upload: BlockSize::within(room, bert, limits::MAX_BERT_UPLOAD).at_most(szx),
            taken: szx,
            asked: largest.min(szx),
            unasked: largest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_the_largest_that_fit() {
        let within = |room, bert| {
            let size = BlockSize::within(room, bert, 262_144);
            (size.szx(), size.bytes())
        };
        assert_eq!(within(1_048_575, true), (7, 262_144));
        assert_eq!(within(100_000, true), (7, 99_328));
        assert_eq!(within(2048, true), (7, 2048));
        assert_eq!(within(2047, true), (6, 1024));
        assert_eq!(within(1_048_575, false), (6, 1024));
        assert_eq!(within(1023, true), (5, 512));
        assert_eq!(within(3, true), (0, 16));
    }

    #[test]
    fn who_wants_smaller_blocks_gets_them() {
        let bert = BlockSize::within(8192, true, 262_144);
        assert_eq!(bert.at_most(7), bert);
        assert_eq!(bert.at_most(6), BlockSize::of(6));
        assert_eq!(BlockSize::of(4).at_most(6), BlockSize::of(4));
    }
}
