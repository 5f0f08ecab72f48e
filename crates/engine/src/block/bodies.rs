//! Bodies of responses that go in blocks (RFC 7959 §2.4): the first block is cut from the application's answer, the
//! others from what was kept of it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use hashbrown::HashMap;

use coracle_wire::{BlockOption, Method, OptionNumber, OptionsBuf, Status};

use crate::block::block_at;
use crate::context::Context;
use crate::exchange::admission::Refusal;
use crate::exchange::reply::Reply;
use crate::exchange::server::Ask;
use crate::limits;
use crate::path::Peer;
use crate::slab::{Key, Slab};
use crate::stats::DropReason;
use crate::tables::GiveBack;
use crate::time::Instant;
use crate::timers::TimerKey;
use crate::values::Window;

struct Stored {
    peer: Peer,
    cache_key: u64,
    payload_key: Option<u64>,
    status: Status,
    options: OptionsBuf,
    body: Vec<u8>,
}

impl Stored {
    fn cost(&self) -> usize {
        limits::BODY_OVERHEAD + self.options.as_options().as_bytes().len() + self.body.len()
    }
}

/// To whom a body goes, for which request, and what part of it is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) peer: Peer,
    pub(crate) cache_key: u64,
    /// Tells the payloads of FETCH requests apart.
    pub(crate) payload_key: Option<u64>,
    pub(crate) block2: Option<BlockOption>,
    /// The request carries a block of its own body, so that it asks for no block kept.
    pub(crate) sends: bool,
}

impl Asked {
    /// What a request asks for.
    pub(crate) fn of(ask: &Ask) -> Asked {
        Asked {
            peer: ask.path.peer(),
            cache_key: ask.cache_key,
            payload_key: ask.payload_key,
            block2: ask.blocks.block2,
            sends: ask.blocks.block1.is_some(),
        }
    }
}

/// The bodies kept for further blocks. Short of room, the oldest is forgotten.
pub(crate) struct Bodies {
    table: Slab<Stored>,
    index: HashMap<(Peer, u64), Key, foldhash::fast::FixedState>,
    by_age: VecDeque<Key>,
    bytes: usize,
}

impl Bodies {
    pub(crate) fn new(context: &mut Context) -> Bodies {
        Bodies {
            table: Slab::new(context.config.response_body_bytes / limits::BODY_OVERHEAD),
            index: HashMap::with_hasher(foldhash::fast::FixedState::with_seed(context.random_u64())),
            by_age: VecDeque::new(),
            bytes: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty() && self.index.is_empty() && self.bytes == 0
    }

    /// Stage 4 of the way out: cuts the block that is asked for, and keeps the body when more will be.
    pub(crate) fn outbound(
        &mut self,
        context: &mut Context,
        now: Instant,
        asked: &Asked,
        reply: &mut Reply<'_>,
        window: Option<Window>,
    ) {
        let offset_of_payload = window.map_or(0, |window| window.offset);
        let total = window.map_or(reply.payload.len() as u64, |window| window.total);
        let szx = asked.block2.map_or(context.config.block_szx, |block| {
            block.szx().min(context.config.block_szx)
        });
        let offset = asked.block2.map_or(0, BlockOption::offset);
        let size = 16_u64 << szx;
        let wanted = asked.block2.is_some() && reply.status.is_success();
        if offset == 0 {
            // A new answer: whatever was kept of the one before is out of date.
            self.forget(context, asked);
        }
        if !wanted && total <= size {
            return;
        }
        if offset > 0 && offset >= total {
            return reply.replace(Status::BAD_REQUEST, "there is no such block");
        }
        let end = total.min(offset + size);
        let Some(slice) = part(reply.payload, offset_of_payload, offset, end) else {
            return reply.replace(Status::INTERNAL_SERVER_ERROR, "the block was not given");
        };
        // A body whose last block has no number is refused with its first, not after a gigabyte.
        let last = block_at(total.saturating_sub(1), false, szx);
        let Some((block, _)) = block_at(offset, end < total, szx).zip(last) else {
            return reply.replace(Status::INTERNAL_SERVER_ERROR, "too long for block-wise transfer");
        };
        if block.more() || block.num() > 0 {
            tag(reply, window.is_none());
        }
        if window.is_none() && block.more() {
            self.keep(context, now, asked, reply);
        }
        reply.payload = slice;
        mark(reply, block, total);
    }

    /// Stage 5 of the way in: a further block of a body that was kept. `None`: the application is asked.
    pub(crate) fn inbound(
        &mut self,
        context: &mut Context,
        now: Instant,
        asked: &Asked,
    ) -> Option<Reply<'_>> {
        let block2 = asked.block2.filter(|block| block.num() > 0 && !asked.sends)?;
        let key = *self.index.get(&(asked.peer, asked.cache_key))?;
        let differs =
            |stored: &&Stored| asked.payload_key.is_some() && asked.payload_key != stored.payload_key;
        let stored = self.table.get(key).filter(|stored| !differs(stored))?;
        context
            .timers
            .arm(TimerKey::Body(key), now + context.config.block_lifetime);
        let szx = block2.szx().min(context.config.block_szx);
        let (total, offset) = (stored.body.len() as u64, block2.offset());
        let end = total.min(offset + (16_u64 << szx));
        let slice = part(&stored.body, 0, offset, end).filter(|slice| !slice.is_empty());
        let block = block_at(offset, end < total, szx);
        let Some((slice, block)) = slice.zip(block) else {
            return Some(Reply::new(Status::BAD_REQUEST, b"there is no such block"));
        };
        let mut reply = Reply::with_options(stored.status, stored.options.as_options(), slice);
        mark(&mut reply, block, total);
        Some(reply)
    }

    fn keep(&mut self, context: &mut Context, now: Instant, asked: &Asked, reply: &Reply<'_>) {
        self.forget(context, asked);
        let mut options = OptionsBuf::from(reply.options());
        // RFC 7959 §2.6: further blocks are no notifications.
        options.remove(OptionNumber::OBSERVE);
        let stored = Stored {
            peer: asked.peer,
            cache_key: asked.cache_key,
            payload_key: asked.payload_key,
            status: reply.status,
            options,
            body: Vec::from(reply.payload),
        };
        let cost = stored.cost();
        if cost > context.config.response_body_bytes {
            // Not kept: each block is asked of the application.
            return;
        }
        while self.bytes + cost > context.config.response_body_bytes || self.table.is_full() {
            let Some(oldest) = self.by_age.pop_front() else {
                return;
            };
            self.remove(context, oldest);
        }
        let Ok(key) = self.table.insert(stored) else {
            return;
        };
        self.index.insert((asked.peer, asked.cache_key), key);
        self.by_age.push_back(key);
        self.bytes += cost;
        context
            .timers
            .arm(TimerKey::Body(key), now + context.config.block_lifetime);
    }

    fn forget(&mut self, context: &mut Context, asked: &Asked) {
        if let Some(before) = self.index.get(&(asked.peer, asked.cache_key)).copied() {
            self.remove(context, before);
        }
    }

    pub(crate) fn remove(&mut self, context: &mut Context, key: Key) {
        let Some(stored) = self.table.remove(key) else {
            return;
        };
        context.timers.disarm(TimerKey::Body(key));
        self.index.remove(&(stored.peer, stored.cache_key));
        self.index.give_back();
        self.bytes -= stored.cost();
        let table = &self.table;
        while self.by_age.front().is_some_and(|oldest| !table.contains(*oldest)) {
            self.by_age.pop_front();
        }
        if self.by_age.len() > 2 * table.len() + 16 {
            self.by_age.retain(|key| table.contains(*key));
        }
        self.by_age.give_back();
    }
}

/// A further block of an answer that is not kept any more. Another run of a safe request gives it again; one that is
/// not safe must not be run a second time for it, and a FETCH whose body came in blocks does not come with it again
/// (RFC 7959 §2.7, §2.9.2).
pub(crate) fn lost_body(ask: &Ask, payload: &[u8]) -> Option<Refusal> {
    let further = ask.blocks.block2.is_some_and(|block| block.num() > 0);
    let incomplete = !ask.method.is_safe() || (ask.method == Method::FETCH && payload.is_empty());
    (further && ask.blocks.block1.is_none() && incomplete).then(|| {
        Refusal::new(
            Status::REQUEST_ENTITY_INCOMPLETE,
            DropReason::BlockOrder,
            "the answer is not kept any more",
        )
    })
}

/// The bytes from `from` to `to` of a body of which `payload` begins at `offset`.
fn part(payload: &[u8], offset: u64, from: u64, to: u64) -> Option<&[u8]> {
    let start = usize::try_from(from.checked_sub(offset)?).ok()?;
    let end = usize::try_from(to.checked_sub(offset)?).ok()?;
    payload.get(start..end)
}

/// The options that tell about a block (RFC 7959 §2.2, §4).
fn mark(reply: &mut Reply<'_>, block: BlockOption, total: u64) {
    reply.set(OptionNumber::BLOCK2, &block.encode());
    if block.num() == 0 && block.more() {
        reply.set_uint(OptionNumber::SIZE2, total);
    }
}

/// Gives a body in blocks an ETag of its content, so that the receiver can tell whether the blocks belong together
/// (RFC 7959 §2.4). Where the application gave one it stands.
fn tag(reply: &mut Reply<'_>, whole: bool) {
    if !whole || reply.status != Status::CONTENT || reply.options().contains(OptionNumber::ETAG) {
        return;
    }
    // 64-bit FNV-1a over words: it has to be the same after a restart, and tells versions apart, not attackers.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for chunk in reply.payload.chunks(8) {
        let mut word = [0; 8];
        word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3);
        hash ^= hash >> 32;
    }
    hash ^= reply.payload.len() as u64;
    reply.set(OptionNumber::ETAG, &hash.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_within_what_was_given() {
        assert_eq!(part(b"cdef", 2, 3, 5), Some(&b"de"[..]));
        assert_eq!(part(b"cdef", 2, 1, 3), None);
        assert_eq!(part(b"cdef", 2, 4, 7), None);
        assert_eq!(part(b"", 0, 0, 0), Some(&b""[..]));
    }
}
