//! Bodies block by block, one block under way at a time (RFC 7959).

use std::hash::{DefaultHasher, Hasher};

use coracle_wire::{BlockOption, Csm, Message, OptionNumber, OptionsBuf, Status};

use crate::answers::Next;
use crate::limits::MAX_MESSAGE;
use crate::payloads::{Payloads, Verdict};
use crate::plan::{Plan, Work};
use crate::tally::{Tally, Wrong};

/// How large the parts of a body are, each in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    szx: u8,
    /// Bytes of a part that we send: of BERT a multiple of a block.
    bytes: usize,
}

impl Parts {
    /// Blocks of 1,024 bytes.
    pub(crate) const LARGEST_BLOCK: Parts = Parts { szx: 6, bytes: BLOCK };

    /// What fits messages of a server with this CSM, whose options have so many bytes without those of the block: BERT, if it
    /// takes more than a single block (RFC 8323 §5.3.2, §6).
    pub(crate) fn of(csm: &Csm, options: usize) -> Parts {
        let longest = csm.max_message_size.unwrap_or(Csm::BASE_MAX_MESSAGE_SIZE);
        if !csm.block_wise_transfer || longest <= Csm::BASE_MAX_MESSAGE_SIZE {
            return Parts::LARGEST_BLOCK;
        }
        let longest = usize::try_from(longest).unwrap_or(MAX_MESSAGE).min(MAX_MESSAGE);
        let blocks = longest.saturating_sub(options + BESIDE_PART) / BLOCK;
        Parts {
            szx: BlockOption::SZX_BERT,
            bytes: blocks.max(1) * BLOCK,
        }
    }

    /// The exponent of the size.
    pub(crate) fn szx(self) -> u8 {
        self.szx
    }

    fn smaller(szx: u8) -> Parts {
        Parts {
            szx,
            bytes: BLOCK.min(16 << szx),
        }
    }
}

/// The size of a block that BERT counts in.
const BLOCK: usize = 1024;

/// What a message has beside its part and the options of the plan: header, token, Echo, the options of the block, marker.
const BESIDE_PART: usize = 7 + 8 + 45 + 6 + 6 + 1;

/// The transfer of a slot.
pub(crate) struct Transfer {
    parts: Parts,
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
    pub(crate) fn new(parts: Parts) -> Transfer {
        Transfer {
            parts,
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
        let size = self.parts.bytes;
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
        let unit = BlockOption::new(0, more, self.parts.szx).ok()?.size();
        let number = u32::try_from(self.done / unit as u64).ok()?;
        BlockOption::new(number, more, self.parts.szx).ok()
    }

    /// A server may answer with smaller blocks than these.
    pub(crate) fn szx(&self) -> u8 {
        self.parts.szx
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
                block.offset() == self.done && block.szx() <= self.parts.szx && has_its_length(message, block)
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
            self.parts = Parts::smaller(block.szx());
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
            if block.szx() < self.parts.szx {
                self.parts = Parts::smaller(block.szx());
            }
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
        let Some(szx) = wanted.filter(|szx| *szx < self.parts.szx) else {
            return false;
        };
        *self = Transfer::new(Parts::smaller(szx));
        true
    }

    fn through(&mut self, bytes: usize, tally: &mut Tally) {
        self.done += bytes as u64;
        tally.blocks += 1;
        tally.body_bytes += bytes as u64;
    }
}

/// Whether the payload is as long as its Block2 says: a whole block if more follow, of BERT one or several
/// (RFC 8323 §6).
fn has_its_length(message: &Message<'_>, block: BlockOption) -> bool {
    let (len, size) = (message.payload.len(), block.size());
    match (block.more(), block.is_bert()) {
        (true, true) => len > 0 && len.is_multiple_of(size),
        (true, false) => len == size,
        (false, true) => true,
        (false, false) => len <= size,
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
