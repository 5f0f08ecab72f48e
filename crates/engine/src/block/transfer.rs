//! Our own bodies: cutting a request's, collecting a response's.

use alloc::vec::Vec;

use coracle_wire::{BlockOption, Message, OptionNumber, Options, OptionsBuf, Status};

use crate::block::size::BlockSize;
use crate::block::{block_at, is_full};
use crate::exchange::admission::Blocks;
use crate::limits::BODY_WANTED_BELOW;
use crate::values::ExchangeError;

/// The body of a request on its way in blocks: the block that is under way. Its bytes are the caller's: all of them, or
/// of a body that comes in parts those that are there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upload {
    offset: u64,
    size: BlockSize,
    /// Where the bytes that are there begin in the body.
    base: u64,
    /// No bytes follow those that are there.
    ended: bool,
    total: Option<u64>,
    /// The application was asked for the next part.
    asked: bool,
    /// The end came without bytes while a block was under way that says that more follow: an empty one does.
    empty_last: bool,
}

/// What a response means for a body under way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Uploaded {
    /// Send the next block.
    Next,
    /// The response is the final one.
    Final,
    /// The response breaks the rules.
    Broken,
}

impl Upload {
    /// A body that is there as a whole, of `total` bytes.
    pub(crate) fn new(size: BlockSize, total: usize) -> Upload {
        Upload {
            ended: true,
            ..Upload::streamed(size, Some(total as u64))
        }
    }

    /// A body that comes in parts, of which none is there yet.
    pub(crate) fn streamed(size: BlockSize, total: Option<u64>) -> Upload {
        Upload {
            offset: 0,
            size,
            base: 0,
            ended: false,
            total,
            asked: false,
            empty_last: false,
        }
    }

    /// Goes on in smaller blocks, if these are.
    pub(crate) fn keep_to(&mut self, size: BlockSize) {
        if size.bytes() < self.size.bytes() {
            self.size = size;
        }
    }

    /// The same body from its beginning.
    pub(crate) fn again(self) -> Upload {
        Upload { offset: 0, ..self }
    }

    /// The bytes of the block under way and the option that tells about it. `None`: they are not there yet, or the
    /// number of the block does not fit into 20 bits.
    pub(crate) fn block<'a>(&self, body: &'a [u8]) -> Option<(&'a [u8], BlockOption)> {
        let rest = self.rest(body)?;
        let part = rest.get(..rest.len().min(self.size()))?;
        Some((part, self.size.at(self.offset, !self.is_last(body))?))
    }

    /// Whether the bytes of the block under way are there.
    pub(crate) fn is_ready(&self, body: &[u8]) -> bool {
        self.ended || self.rest(body).is_some_and(|rest| rest.len() >= self.size())
    }

    /// Whether the application is to be asked for the next part now. It is asked once for each.
    pub(crate) fn wants_more(&mut self, body: &[u8]) -> bool {
        let few = self
            .rest(body)
            .is_none_or(|rest| rest.len() < BODY_WANTED_BELOW.max(self.size()));
        few && !self.ended && !core::mem::replace(&mut self.asked, true)
    }

    /// Takes the next part of a body that comes in parts. What the peer has is dropped.
    pub(crate) fn supply(&mut self, body: &mut Vec<u8>, part: &[u8], more: bool) {
        if self.ended {
            return;
        }
        let done = usize::try_from(self.offset - self.base).unwrap_or(usize::MAX);
        body.drain(..done.min(body.len()));
        self.empty_last = !more && part.is_empty() && body.len() == self.size();
        self.base = self.offset;
        body.extend_from_slice(part);
        self.ended = !more;
        self.asked = false;
    }

    /// Whether the whole body is there and fits into one message.
    pub(crate) fn fits(&self, body: &[u8]) -> bool {
        self.ended && self.offset == 0 && body.len() <= self.size()
    }

    /// Whether the body has to be asked for again to begin again.
    pub(crate) fn is_streamed(&self) -> bool {
        !self.ended || self.base > 0
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The length of the body, if it is known.
    pub(crate) fn total(&self) -> Option<u64> {
        self.total
    }

    /// Where the bytes that are there end in the body.
    pub(crate) fn end(&self, body: &[u8]) -> u64 {
        self.base + body.len() as u64
    }

    fn size(&self) -> usize {
        self.size.bytes()
    }

    /// Whether the block under way is the last one.
    pub(crate) fn is_last(&self, body: &[u8]) -> bool {
        let holds_end = self.offset + self.size() as u64 >= self.end(body);
        self.ended && holds_end && !(self.empty_last && self.offset < self.end(body))
    }

    /// The bytes from the block under way on, as far as they are there.
    fn rest<'a>(&self, body: &'a [u8]) -> Option<&'a [u8]> {
        body.get(usize::try_from(self.offset.checked_sub(self.base)?).ok()?..)
    }

    /// Takes the response to the block under way (RFC 7959 §2.3, §2.9).
    pub(crate) fn respond(&mut self, status: Status, block1: Option<BlockOption>, body: &[u8]) -> Uploaded {
        let is_last = self.is_last(body);
        match block1 {
            Some(block)
                if status == Status::REQUEST_ENTITY_TOO_LARGE
                    && self.offset == 0
                    && block.szx() < self.size.szx() =>
            {
                self.size = self.size.at_most(block.szx());
                Uploaded::Next
            }
            Some(block) if status.is_success() && !is_last => {
                let sent = self.size.at(self.offset, true);
                if sent.is_none_or(|sent| sent.num() != block.num()) {
                    return Uploaded::Broken;
                }
                self.offset += self.size() as u64;
                self.size = self.size.at_most(block.szx());
                Uploaded::Next
            }
            // A success that does not say which block it is about would pass for one of the whole body.
            None if status.is_success() && !is_last => Uploaded::Broken,
            _ if status == Status::CONTINUE => Uploaded::Broken,
            _ => Uploaded::Final,
        }
    }
}

/// The body of a response that comes in blocks.
#[derive(Debug)]
pub(crate) struct Download {
    pub(crate) status: Status,
    /// The options of the first block.
    pub(crate) options: OptionsBuf,
    /// What has come and was not given out yet.
    pub(crate) body: Vec<u8>,
    /// Where in the representation the body begins.
    start: u64,
    /// Where the next block begins.
    next: u64,
    szx: u8,
    /// The length of the last block, if it was of BERT.
    stride: Option<u64>,
    limit: usize,
    /// The size of the whole body, where the peer told it (RFC 7959 §4).
    total: Option<u64>,
}

/// What a block means for a body that is being collected.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Downloaded {
    /// Ask for the next block.
    Next,
    /// The body is whole.
    Whole,
    /// An error in place of the block: it is the answer.
    Instead,
    /// The block is one of another body: the representation changed under the transfer.
    Changed,
}

impl Download {
    /// Begins with the first block, which is at `start`. `None`: the response is whole as it is.
    pub(crate) fn begin(
        message: &Message<'_>,
        status: Status,
        blocks: Blocks,
        (start, limit): (u64, usize),
    ) -> Option<Result<Download, ExchangeError>> {
        let block = blocks.block2?;
        if block.num() == 0 && !block.more() {
            return None;
        }
        let mut download = Download {
            status,
            options: OptionsBuf::new(),
            body: Vec::new(),
            start,
            next: start,
            szx: block.szx(),
            stride: None,
            limit,
            total: None,
        };
        Some(download.take(message, status, blocks).map(|_| download))
    }

    /// The Block2 option that asks for the block at `offset`.
    pub(crate) fn wanted(&self, offset: u64) -> Option<BlockOption> {
        block_at(offset, false, self.szx)
    }

    /// Where the next block begins.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// How long blocks of BERT are, by the last one.
    pub(crate) fn stride(&self) -> Option<u64> {
        self.stride
    }

    /// The size of the blocks that are asked for (RFC 7959 §2.2).
    pub(crate) fn szx(&self) -> u8 {
        self.szx
    }

    /// Bytes that have come.
    pub(crate) fn received(&self) -> u64 {
        self.next - self.start
    }

    /// The size of the whole body, where the peer told it (RFC 7959 §4).
    pub(crate) fn total(&self) -> Option<u64> {
        self.total
    }

    /// Takes the next block (RFC 7959 §2.4).
    pub(crate) fn take(
        &mut self,
        message: &Message<'_>,
        status: Status,
        blocks: Blocks,
    ) -> Result<Downloaded, ExchangeError> {
        if !status.is_success() {
            return Ok(Downloaded::Instead);
        }
        // Without the option it is a whole body, as when a representation has become short.
        let Some(block) = blocks.block2 else {
            return Ok(Downloaded::Instead);
        };
        let etag = |options: Options<'_>| options.get(OptionNumber::ETAG).map(Vec::from);
        let is_first = self.received() == 0;
        if !is_first && etag(self.options.as_options()) != etag(message.options) {
            return Ok(Downloaded::Changed);
        }
        if !is_full(block, message.payload.len()) || block.offset() != self.next {
            return Err(ExchangeError::BlockOption);
        }
        let length = message.payload.len() as u64;
        if self.received() + length > self.limit as u64 {
            return Err(ExchangeError::BodyTooLong { limit: self.limit });
        }
        if is_first {
            self.status = status;
            self.options = OptionsBuf::from(message.options);
        }
        self.total = message.options.get_uint(OptionNumber::SIZE2).or(self.total);
        self.body.extend_from_slice(message.payload);
        self.next += length;
        self.szx = self.szx.min(block.szx());
        self.stride = block.is_bert().then_some(length);
        Ok(if block.more() {
            Downloaded::Next
        } else {
            Downloaded::Whole
        })
    }

    /// From the first block on again.
    pub(crate) fn begin_again(&mut self) {
        self.body.clear();
        self.next = self.start;
        self.total = None;
    }

    /// From the first block on again, in blocks of another size.
    pub(crate) fn begin_again_in(&mut self, szx: u8) {
        self.begin_again();
        self.szx = szx;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(num: u32, szx: u8) -> Option<BlockOption> {
        BlockOption::new(num, true, szx).ok()
    }

    /// RFC 7959 §2.3, figure 9: the server prefers a smaller size from the second block on.
    #[test]
    fn a_smaller_size_is_taken_over() {
        let body = [0; 512];
        let mut upload = Upload::new(BlockSize::of(3), 512);
        assert_eq!(
            upload.block(&body).map(|(part, block)| (part.len(), block.num())),
            Some((128, 0))
        );
        assert_eq!(
            upload.respond(Status::CONTINUE, echo(0, 1), &body),
            Uploaded::Next
        );
        assert_eq!(
            upload.block(&body).map(|(part, block)| (part.len(), block.num())),
            Some((32, 4))
        );
    }

    #[test]
    fn too_large_with_a_smaller_size_begins_again() {
        let mut upload = Upload::new(BlockSize::of(6), 4096);
        let smaller = echo(0, 2);
        assert_eq!(
            upload.respond(Status::REQUEST_ENTITY_TOO_LARGE, smaller, &[0; 4096]),
            Uploaded::Next
        );
        assert_eq!(upload.block(&[0; 4096]).map(|(part, _)| part.len()), Some(64));
        assert_eq!(
            upload.respond(Status::REQUEST_ENTITY_TOO_LARGE, smaller, &[0; 4096]),
            Uploaded::Final
        );
    }

    #[test]
    fn continue_after_the_last_block_breaks_the_rules() {
        let mut upload = Upload::new(BlockSize::of(6), 1024);
        assert_eq!(
            upload.respond(Status::CONTINUE, echo(0, 6), &[0; 1024]),
            Uploaded::Broken
        );
        assert_eq!(
            upload.respond(Status::CHANGED, echo(0, 6), &[0; 1024]),
            Uploaded::Final
        );
    }

    #[test]
    fn a_success_before_the_last_block_has_to_say_which_block_it_is_about() {
        let mut upload = Upload::new(BlockSize::of(6), 4096);
        assert_eq!(
            upload.respond(Status::CHANGED, None, &[0; 4096]),
            Uploaded::Broken
        );
        assert_eq!(
            upload.respond(Status::FORBIDDEN, None, &[0; 4096]),
            Uploaded::Final
        );
        let mut upload = Upload::new(BlockSize::of(6), 1024);
        assert_eq!(upload.respond(Status::CHANGED, None, &[0; 1024]), Uploaded::Final);
    }

    #[test]
    fn an_answer_to_another_block_breaks_the_rules() {
        let mut upload = Upload::new(BlockSize::of(6), 4096);
        assert_eq!(
            upload.respond(Status::CONTINUE, echo(1, 6), &[0; 4096]),
            Uploaded::Broken
        );
    }

    #[test]
    fn a_body_that_comes_in_parts_is_cut_at_blocks_whatever_the_parts_are() {
        let (mut upload, mut body) = (Upload::streamed(BlockSize::of(0), None), Vec::new());
        assert!(!upload.is_ready(&body));
        assert!(upload.wants_more(&body));
        assert!(!upload.wants_more(&body), "it is asked once for each part");
        upload.supply(&mut body, b"0123456789", true);
        assert!(!upload.is_ready(&body) && upload.wants_more(&body));
        upload.supply(&mut body, b"abcdef", true);
        // That more follows is known before it is there.
        let sent = |upload: &Upload, body: &[u8]| {
            let (part, block) = upload.block(body).unwrap();
            (part.to_vec(), alloc::format!("{block}"))
        };
        assert_eq!(
            sent(&upload, &body),
            (b"0123456789abcdef".to_vec(), "0/1/16".into())
        );
        assert_eq!(
            upload.respond(Status::CONTINUE, echo(0, 0), &body),
            Uploaded::Next
        );
        assert!(!upload.is_ready(&body));
        upload.supply(&mut body, b"the end", false);
        assert_eq!(body, b"the end", "what the peer has is dropped");
        assert_eq!(sent(&upload, &body), (b"the end".to_vec(), "1/0/16".into()));
        assert!(!upload.wants_more(&body));
        assert_eq!(
            upload.respond(Status::CHANGED, echo(1, 0), &body),
            Uploaded::Final
        );
    }

    #[test]
    fn a_body_that_ends_at_a_block_without_having_said_so_has_an_empty_last_one() {
        let (mut upload, mut body) = (Upload::streamed(BlockSize::of(0), None), Vec::new());
        upload.supply(&mut body, &[b'x'; 16], true);
        assert_eq!(
            upload.respond(Status::CONTINUE, echo(0, 0), &body),
            Uploaded::Next
        );
        upload.supply(&mut body, b"", false);
        let (part, block) = upload.block(&body).unwrap();
        assert_eq!((part.len(), block.num(), block.more()), (0, 1, false));
        // The same if the end comes before the answer to the block.
        let (mut upload, mut body) = (Upload::streamed(BlockSize::of(0), None), Vec::new());
        upload.supply(&mut body, &[b'x'; 16], true);
        upload.supply(&mut body, b"", false);
        assert!(upload.block(&body).unwrap().1.more());
        assert_eq!(
            upload.respond(Status::CONTINUE, echo(0, 0), &body),
            Uploaded::Next
        );
        let (part, block) = upload.block(&body).unwrap();
        assert_eq!((part.len(), block.num(), block.more()), (0, 1, false));
        assert_eq!(
            upload.respond(Status::CHANGED, echo(1, 0), &body),
            Uploaded::Final
        );
    }
}
