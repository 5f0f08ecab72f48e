//! Cutting one block out of a body that goes out (RFC 7959 §2.2, §2.4).

use coracle_wire::{BlockOption, OptionNumber, Status};

use crate::amplification::Echo;
use crate::block::block_at;
use crate::block::size::BlockSize;
use crate::exchange::reply::Reply;

/// A body, or what is at hand of it.
#[derive(Clone, Copy)]
pub(super) struct Source<'b> {
    pub(super) bytes: &'b [u8],
    /// Where these bytes begin in the body.
    pub(super) at: u64,
    /// The length of the whole body.
    pub(super) total: u64,
    /// Its blocks get an ETag of the content, where the application gave none. They all have one, or none has.
    pub(super) tags: bool,
    /// Its length is asked for. With the first block it is told in any case (RFC 7959 §4).
    pub(super) sized: bool,
}

impl<'b> Source<'b> {
    /// Where the block at `offset` ends. One of BERT need not be as long as it may be where less of the body is at hand.
    fn end_of(&self, offset: u64, size: BlockSize) -> u64 {
        let end = self.total.min(offset + size.bytes() as u64);
        let at_hand = self.at + self.bytes.len() as u64;
        if size.szx() < BlockOption::SZX_BERT || at_hand >= end {
            return end;
        }
        let unit = BlockSize::of(BlockOption::SZX_BERT).bytes() as u64;
        let blocks = at_hand.saturating_sub(offset) / unit;
        offset + blocks.max(1) * unit
    }

    /// The bytes from `from` to `to` of the body.
    fn part(&self, from: u64, to: u64) -> Option<&'b [u8]> {
        let start = usize::try_from(from.checked_sub(self.at)?).ok()?;
        let end = usize::try_from(to.checked_sub(self.at)?).ok()?;
        self.bytes.get(start..end)
    }
}

/// How long a reply may be.
#[derive(Clone, Copy)]
pub(super) struct Limit<'e> {
    /// Bytes of options and payload with its marker.
    pub(super) bytes: usize,
    /// Makes the value to ask for a proof of the address with, where the reply may ask.
    pub(super) echo: Option<&'e dyn Fn() -> Echo>,
}

/// Why there is no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Uncut {
    /// The body ends before it.
    Beyond,
    /// The application did not give these bytes.
    Missing,
    /// The last block of the body has no number.
    TooLong,
    /// The request does not pay for the smallest block (RFC 9175 §2.4).
    TooDear,
}

/// Puts the block at `offset` of the body into the reply. Where that does not fit into the
/// room there is, the block is smaller and comes with an Echo option, so that a client that answers it has larger ones.
pub(super) fn cut<'a>(
    reply: &mut Reply<'a>,
    body: Source<'a>,
    (offset, size): (u64, BlockSize),
    limit: Option<Limit<'_>>,
) -> Result<BlockOption, Uncut> {
    let uncut = limit.map(|limit| (limit, reply.clone()));
    let block = slice(reply, body, offset, size)?;
    if body.tags && (block.more() || block.num() > 0) {
        tag(reply, body.bytes);
    }
    mark(reply, block, body);
    match uncut {
        Some((limit, uncut)) if reply.len() > limit.bytes => {
            *reply = uncut.clone();
            squeeze(reply, body, (offset, size.szx()), limit).inspect_err(|_| *reply = uncut)
        }
        _ => Ok(block),
    }
}

/// The largest block that fits. What is given up for it, in this order: Size2, the size of the block, an ETag of ours,
/// the Echo option.
fn squeeze<'a>(
    reply: &mut Reply<'a>,
    body: Source<'a>,
    (offset, szx): (u64, u8),
    limit: Limit<'_>,
) -> Result<BlockOption, Uncut> {
    let rest = body.total.saturating_sub(offset);
    // The smaller the blocks, the longer their numbers.
    let smallest = block_at(offset, true, 0).ok_or(Uncut::TooDear)?;
    reply.set(OptionNumber::BLOCK2, &smallest.encode());
    let tagged = body.tags && tag(reply, body.bytes);
    let echo = limit
        .echo
        .filter(|_| !reply.options().contains(OptionNumber::ECHO));
    if let Some(echo) = echo {
        reply.set(OptionNumber::ECHO, &echo());
    }
    let largest = |reply: &Reply<'_>| {
        let left = limit.bytes.checked_sub(reply.options().as_bytes().len() + 1)?;
        (0..=szx).rev().find(|szx| rest.min(16 << szx) <= left as u64)
    };
    let mut found = largest(reply);
    if found.is_none() && tagged {
        reply.remove(OptionNumber::ETAG);
        found = largest(reply);
    }
    if found.is_none() && echo.is_some() {
        reply.remove(OptionNumber::ECHO);
        found = largest(reply);
    }
    let size = BlockSize::of(found.ok_or(Uncut::TooDear)?);
    let block = slice(reply, body, offset, size).map_err(|_| Uncut::TooDear)?;
    mark(reply, block, body);
    if reply.len() > limit.bytes {
        reply.remove(OptionNumber::SIZE2);
    }
    Ok(block)
}

/// Takes the payload of a block out of a body.
fn slice<'a>(
    reply: &mut Reply<'a>,
    body: Source<'a>,
    offset: u64,
    size: BlockSize,
) -> Result<BlockOption, Uncut> {
    if offset > 0 && offset >= body.total {
        return Err(Uncut::Beyond);
    }
    let end = body.end_of(offset, size);
    reply.payload = body.part(offset, end).ok_or(Uncut::Missing)?;
    // A body whose last block has no number is refused with its first, not after a gigabyte.
    let last = size.at(body.total.saturating_sub(1), false);
    let block = size.at(offset, end < body.total).zip(last);
    block.map(|(block, _)| block).ok_or(Uncut::TooLong)
}

/// The options that tell about a block (RFC 7959 §2.2, §4).
fn mark(reply: &mut Reply<'_>, block: BlockOption, body: Source<'_>) {
    reply.set(OptionNumber::BLOCK2, &block.encode());
    if block.num() == 0 && block.more() || body.sized {
        reply.set_uint(OptionNumber::SIZE2, body.total);
    }
}

/// The length of an ETag of ours, in bytes: the same whether each byte has to be paid for or not, because a proof of the
/// address in the middle of a transfer must not look like another representation.
const TAG: usize = 4;

/// Gives a body in blocks an ETag of its content, so that the receiver can tell whether the blocks belong together
/// (RFC 7959 §2.4). Where the application gave one it stands: `false`.
fn tag(reply: &mut Reply<'_>, body: &[u8]) -> bool {
    if reply.status != Status::CONTENT || reply.options().contains(OptionNumber::ETAG) {
        return false;
    }
    // 64-bit FNV-1a over words, the length among them: it has to be the same after a restart, and tells versions apart, not attackers.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ body.len() as u64;
    for chunk in body.chunks(8) {
        let mut word = [0; 8];
        word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3);
        hash ^= hash >> 32;
    }
    reply.set(
        OptionNumber::ETAG,
        hash.to_be_bytes().get(..TAG).unwrap_or_default(),
    );
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_within_what_was_given() {
        let source = |bytes, at| Source {
            bytes,
            at,
            total: 100,
            tags: false,
            sized: false,
        };
        assert_eq!(source(b"cdef", 2).part(3, 5), Some(&b"de"[..]));
        assert_eq!(source(b"cdef", 2).part(1, 3), None);
        assert_eq!(source(b"cdef", 2).part(4, 7), None);
        assert_eq!(source(b"", 0).part(0, 0), Some(&b""[..]));
    }

    #[test]
    fn bodies_that_differ_in_their_length_only_have_other_tags() {
        let body = [0; 2010];
        let tag_of = |len| {
            let mut reply = Reply::new(Status::CONTENT, b"");
            assert!(tag(&mut reply, &body[..len]));
            reply.options().get(OptionNumber::ETAG).map(<[u8]>::to_vec)
        };
        let tags: alloc::collections::BTreeSet<_> = (2001..=2010).map(tag_of).collect();
        assert_eq!(tags.len(), 10);
    }

    /// What is cut for each room, from the whole block down: size exponent, and which options are left.
    #[test]
    fn what_is_given_up_first_is_what_is_missed_least() {
        let body = [7; 300];
        let source = Source {
            bytes: &body,
            at: 0,
            total: 300,
            tags: true,
            sized: false,
        };
        let at = |bytes| {
            let mut reply = Reply::new(Status::CONTENT, &body);
            let echo: &dyn Fn() -> Echo = &|| [1; 6];
            let limit = Limit {
                bytes,
                echo: Some(echo),
            };
            let cut = cut(&mut reply, source, (0, BlockSize::of(6)), Some(limit));
            cut.map(|block| {
                assert!(reply.len() <= bytes, "{} of {bytes}", reply.len());
                assert_eq!(reply.payload.len(), 300.min(block.size()));
                let has = |number| reply.options().contains(number);
                let left = [OptionNumber::SIZE2, OptionNumber::ETAG, OptionNumber::ECHO].map(has);
                (block.szx(), left)
            })
        };
        // Block2 and the marker take 3 + 1 bytes; beside them Size2 takes 3, the short ETag 5, Echo 8.
        assert_eq!(at(4 + 300), Ok((6, [false, false, false])));
        assert_eq!(at(4 + 300 - 1), Ok((4, [true, true, true])));
        assert_eq!(at(4 + 256 + 5 + 8 + 3), Ok((4, [true, true, true])));
        assert_eq!(at(4 + 256 + 5 + 8 + 2), Ok((4, [false, true, true])));
        assert_eq!(at(4 + 256 + 5 + 8), Ok((4, [false, true, true])));
        assert_eq!(at(4 + 256 + 5 + 7), Ok((3, [true, true, true])));
        assert_eq!(at(4 + 16 + 5 + 8), Ok((0, [false, true, true])));
        assert_eq!(at(4 + 16 + 8), Ok((0, [false, false, true])));
        assert_eq!(at(4 + 16 + 7), Ok((0, [true, false, false])));
        assert_eq!(at(4 + 16), Ok((0, [false, false, false])));
        assert_eq!(at(4 + 15), Err(Uncut::TooDear));
    }
}
