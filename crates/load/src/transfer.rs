//! Bodies block by block, one block under way at a time (RFC 7959).

use std::hash::{DefaultHasher, Hasher};

use coracle_wire::{BlockOption, Message, OptionNumber, OptionsBuf, Status};

use crate::answers::Next;
use crate::payloads::{Payloads, Verdict};
use crate::plan::{Plan, Work};
use crate::tally::{Tally, Wrong};

/// The exponent of the largest blocks.
pub(crate) const LARGEST: u8 = 6;

/// The transfer of a slot.
pub(crate) struct Transfer {
    szx: u8,
    /// Bytes of the body that are through.
    done: u64,
    hasher: DefaultHasher,
    etag: Option<Box<[u8]>>,
}

/// A message of a transfer, or of an ordinary request, beside the options of the plan.
pub(crate) struct Part<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) block: Option<(OptionNumber, BlockOption)>,
    /// The length of the body, in its first message.
    pub(crate) size: Option<u64>,
}

impl Transfer {
    pub(crate) fn new() -> Transfer {
        Transfer {
            szx: LARGEST,
            done: 0,
            hasher: DefaultHasher::new(),
            etag: None,
        }
    }

    /// The next message's part. A body that fits one message goes without options (RFC 7959 §2.5).
    pub(crate) fn next<'a>(&self, plan: &'a Plan) -> Part<'a> {
        let body: &[u8] = &plan.request.payload;
        let whole = Part {
            payload: body,
            block: None,
            size: None,
        };
        if plan.work == Work::Download {
            let block = self.block(false);
            return Part {
                block: block.map(|block| (OptionNumber::BLOCK2, block)),
                ..whole
            };
        }
        let rest = usize::try_from(self.done).ok().and_then(|done| body.get(done..));
        let rest = rest.unwrap_or_default();
        let size = 16 << self.szx;
        if self.done == 0 && rest.len() <= size {
            return whole;
        }
        let block = self.block(rest.len() > size);
        Part {
            payload: rest.get(..size).unwrap_or(rest),
            block: block.map(|block| (OptionNumber::BLOCK1, block)),
            size: (self.done == 0).then_some(body.len() as u64),
        }
    }

    fn block(&self, more: bool) -> Option<BlockOption> {
        let number = u32::try_from(self.done >> (self.szx + 4)).ok()?;
        BlockOption::new(number, more, self.szx).ok()
    }

    /// A server may answer with smaller blocks than these.
    pub(crate) fn szx(&self) -> u8 {
        self.szx
    }

    /// Takes an answer in, and says what follows.
    pub(crate) fn answered(
        &mut self,
        message: &Message<'_>,
        status: Status,
        plan: &Plan,
        payloads: &mut Payloads,
        tally: &mut Tally,
    ) -> Next {
        match plan.work {
            Work::Download => self.downloaded(message, plan, payloads, tally),
            _ => self.uploaded(message, status, plan, tally),
        }
    }

    fn downloaded(
        &mut self,
        message: &Message<'_>,
        plan: &Plan,
        payloads: &mut Payloads,
        tally: &mut Tally,
    ) -> Next {
        let block = message.options.block2().and_then(Result::ok);
        let more = block.is_some_and(BlockOption::more);
        let fits = match block {
            None => self.done == 0,
            Some(block) => {
                let full = message.payload.len() == block.size();
                let length = full || (!more && message.payload.len() < block.size());
                block.offset() == self.done && block.szx() <= self.szx && length
            }
        };
        if !fits {
            let asked = self.done;
            let got = block.map_or("no Block2".into(), |block| format!("Block2 {block}"));
            let told = format!(
                "byte {asked} of the body was asked for, the answer has {got} and {} bytes",
                message.payload.len()
            );
            return Next::Wrong(Wrong::Block, told);
        }
        let etag = message.options.get(OptionNumber::ETAG).map(Box::from);
        if self.done == 0 {
            self.etag = etag;
        } else if self.etag != etag {
            return Next::Wrong(Wrong::Block, "the ETag changed within a transfer".into());
        }
        if let Some(block) = block {
            self.szx = block.szx();
        }
        self.hasher.write(message.payload);
        self.through(message.payload.len(), tally);
        if more {
            return Next::Again;
        }
        let digest = digest(self.done, &self.hasher);
        let done = self.done;
        match payloads.judge(&plan.expect, message, &digest) {
            Verdict::Right => Next::Right,
            Verdict::Changed(_) => {
                tally.has_changed(|| format!("a body of {done} bytes is not that of the first answer"));
                Next::Right
            }
            Verdict::Wrong(_) => {
                let told = format!("a body of {done} bytes is not the one it should be");
                Next::Wrong(Wrong::Payload, plan.expect.explained(told))
            }
        }
    }

    fn uploaded(&mut self, message: &Message<'_>, status: Status, plan: &Plan, tally: &mut Tally) -> Next {
        let part = self.next(plan);
        let Some((_, sent)) = part.block else {
            self.through(part.payload.len(), tally);
            return Next::Right;
        };
        let block = message.options.block1().and_then(Result::ok);
        // Several servers leave Block1 out of the last answer, which says by its code what it answers.
        let names_it = block.map_or(!sent.more(), |block| block.num() == sent.num());
        if !names_it || (status == Status::CONTINUE) != sent.more() {
            let got = block.map_or("no Block1".into(), |block| format!("Block1 {block}"));
            let told = format!("block {sent} was answered by {status} with {got}");
            return Next::Wrong(Wrong::Block, told);
        }
        self.through(part.payload.len(), tally);
        if let Some(block) = block {
            // RFC 7959 §2.3: the rest goes in blocks as small as the server likes.
            self.szx = self.szx.min(block.szx());
        }
        match sent.more() {
            true => Next::Again,
            false => Next::Right,
        }
    }

    /// The body, or its blocks, are too large (RFC 7959 §2.9.3): whether it is worth to begin anew with smaller ones.
    pub(crate) fn shrinks(&mut self, message: &Message<'_>) -> bool {
        let wanted = message
            .options
            .block1()
            .and_then(Result::ok)
            .map(BlockOption::szx);
        let Some(szx) = wanted.filter(|szx| *szx < self.szx) else {
            return false;
        };
        *self = Transfer {
            szx,
            ..Transfer::new()
        };
        true
    }

    fn through(&mut self, bytes: usize, tally: &mut Tally) {
        self.done += bytes as u64;
        tally.blocks += 1;
        tally.body_bytes += bytes as u64;
    }
}

/// What stands for a body that is not kept.
fn digest(length: u64, hasher: &DefaultHasher) -> Vec<u8> {
    [length.to_be_bytes(), hasher.finish().to_be_bytes()].concat()
}

/// As [`digest`], of a body at hand.
pub(crate) fn digest_of(body: &[u8]) -> Vec<u8> {
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    digest(body.len() as u64, &hasher)
}

impl Part<'_> {
    /// Adds the part's options.
    pub(crate) fn add_to(&self, options: &mut OptionsBuf) {
        if let Some((number, block)) = self.block {
            // At most three bytes.
            let _ = options.insert(number, block.encode().as_ref());
        }
        if let Some(size) = self.size {
            options.push_uint(OptionNumber::SIZE1, size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_one_digest_in_whatever_blocks_it_comes() {
        let body: Vec<u8> = (0..=255).cycle().take(5000).collect();
        for size in [16, 64, 1024] {
            let mut hasher = DefaultHasher::new();
            body.chunks(size).for_each(|block| hasher.write(block));
            assert_eq!(digest(5000, &hasher), digest_of(&body));
        }
    }
}
