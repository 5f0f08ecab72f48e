//! Our own bodies: cutting a request's, collecting a response's.

use alloc::vec::Vec;

use coracle_wire::{BlockOption, Message, OptionNumber, Options, OptionsBuf, Status};

use crate::block::{block_at, is_full};
use crate::exchange::admission::Blocks;
use crate::values::ExchangeError;

/// The body of a request on its way in blocks: the block that is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upload {
    offset: usize,
    szx: u8,
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
    pub(crate) fn new(szx: u8) -> Upload {
        Upload { offset: 0, szx }
    }

    /// The same body from its beginning.
    pub(crate) fn again(self) -> Upload {
        Upload { offset: 0, ..self }
    }

    /// The bytes of the block under way and the option that tells about it.
    pub(crate) fn block<'a>(&self, body: &'a [u8]) -> Option<(&'a [u8], BlockOption)> {
        let end = body.len().min(self.offset + self.size());
        let block = block_at(self.offset as u64, end < body.len(), self.szx)?;
        Some((body.get(self.offset..end)?, block))
    }

    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    fn size(&self) -> usize {
        16 << self.szx
    }

    /// Takes the response to the block under way (RFC 7959 §2.3, §2.9).
    pub(crate) fn respond(&mut self, status: Status, block1: Option<BlockOption>, total: usize) -> Uploaded {
        let is_last = self.offset + self.size() >= total;
        match block1 {
            Some(block)
                if status == Status::REQUEST_ENTITY_TOO_LARGE
                    && self.offset == 0
                    && block.szx() < self.szx =>
            {
                self.szx = block.szx();
                Uploaded::Next
            }
            Some(block) if status.is_success() && !is_last => {
                if block.num() as usize != self.offset / self.size() {
                    return Uploaded::Broken;
                }
                self.offset += self.size();
                self.szx = self.szx.min(block.szx());
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
    pub(crate) body: Vec<u8>,
    szx: u8,
    limit: usize,
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
    /// Begins with the first block. `None`: the response is whole as it is.
    pub(crate) fn begin(
        message: &Message<'_>,
        status: Status,
        blocks: Blocks,
        limit: usize,
    ) -> Option<Result<Download, ExchangeError>> {
        let block = blocks.block2?;
        if block.num() == 0 && !block.more() {
            return None;
        }
        let mut download = Download {
            status,
            options: OptionsBuf::new(),
            body: Vec::new(),
            szx: block.szx(),
            limit,
        };
        Some(download.take(message, status, blocks).map(|_| download))
    }

    /// The Block2 option that asks for the next block.
    pub(crate) fn wanted(&self) -> Option<BlockOption> {
        block_at(self.body.len() as u64, false, self.szx)
    }

    /// The size of the whole body, where the peer told it (RFC 7959 §4).
    pub(crate) fn total(&self) -> Option<u64> {
        self.options.get_uint(OptionNumber::SIZE2)
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
        if !self.body.is_empty() && etag(self.options.as_options()) != etag(message.options) {
            return Ok(Downloaded::Changed);
        }
        if !is_full(block, message.payload.len()) || block.offset() != self.body.len() as u64 {
            return Err(ExchangeError::BlockOption);
        }
        if self.body.len() + message.payload.len() > self.limit {
            return Err(ExchangeError::BodyTooLong { limit: self.limit });
        }
        if self.body.is_empty() {
            self.status = status;
            self.options = OptionsBuf::from(message.options);
        }
        self.body.extend_from_slice(message.payload);
        self.szx = self.szx.min(block.szx());
        Ok(if block.more() {
            Downloaded::Next
        } else {
            Downloaded::Whole
        })
    }

    /// From the first block on again.
    pub(crate) fn begin_again(&mut self) {
        self.body.clear();
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
        let mut upload = Upload::new(3);
        assert_eq!(
            upload.block(&body).map(|(part, block)| (part.len(), block.num())),
            Some((128, 0))
        );
        assert_eq!(upload.respond(Status::CONTINUE, echo(0, 1), 512), Uploaded::Next);
        assert_eq!(
            upload.block(&body).map(|(part, block)| (part.len(), block.num())),
            Some((32, 4))
        );
    }

    #[test]
    fn too_large_with_a_smaller_size_begins_again() {
        let mut upload = Upload::new(6);
        let smaller = echo(0, 2);
        assert_eq!(
            upload.respond(Status::REQUEST_ENTITY_TOO_LARGE, smaller, 4096),
            Uploaded::Next
        );
        assert_eq!(upload.block(&[0; 4096]).map(|(part, _)| part.len()), Some(64));
        assert_eq!(
            upload.respond(Status::REQUEST_ENTITY_TOO_LARGE, smaller, 4096),
            Uploaded::Final
        );
    }

    #[test]
    fn continue_after_the_last_block_breaks_the_rules() {
        let mut upload = Upload::new(6);
        assert_eq!(
            upload.respond(Status::CONTINUE, echo(0, 6), 1024),
            Uploaded::Broken
        );
        assert_eq!(upload.respond(Status::CHANGED, echo(0, 6), 1024), Uploaded::Final);
    }

    #[test]
    fn a_success_before_the_last_block_has_to_say_which_block_it_is_about() {
        let mut upload = Upload::new(6);
        assert_eq!(upload.respond(Status::CHANGED, None, 4096), Uploaded::Broken);
        assert_eq!(upload.respond(Status::FORBIDDEN, None, 4096), Uploaded::Final);
        assert_eq!(upload.respond(Status::CHANGED, None, 1024), Uploaded::Final);
    }

    #[test]
    fn an_answer_to_another_block_breaks_the_rules() {
        let mut upload = Upload::new(6);
        assert_eq!(
            upload.respond(Status::CONTINUE, echo(1, 6), 4096),
            Uploaded::Broken
        );
    }
}
