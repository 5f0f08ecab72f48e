//! The judge's side of block-wise transfers: hands out a body, and takes one in.

use std::fmt::Write as _;

use coracle_wire::{BlockOption, ContentFormat, OptionNumber, Status};

use crate::host::Host;
use crate::message::{Message, Received};
use crate::verdict::{Judged, Stop};

/// A text of exactly so many bytes, in which each line is another: blocks cannot be mistaken for each other.
pub(in crate::cases) fn body(name: &str, length: usize) -> String {
    let mut text = String::new();
    for line in 1.. {
        if text.len() >= length {
            break;
        }
        // Nothing fails when it is written to a string.
        let _ = write!(text, "{name} {line:03}|");
    }
    text.truncate(length);
    text
}

/// The bytes in a block.
fn size(szx: u8) -> usize {
    16 << szx
}

/// A representation that is handed out in blocks of at most 2^(szx + 4) bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::cases) struct Large<'a> {
    pub(in crate::cases) code: Status,
    pub(in crate::cases) text: &'a str,
    pub(in crate::cases) etag: &'a [u8],
    pub(in crate::cases) szx: u8,
}

impl Large<'_> {
    /// Puts a block into a response.
    pub(in crate::cases) fn block(&self, response: Message, num: u32, szx: u8) -> Message {
        let blocks: Vec<&[u8]> = self.text.as_bytes().chunks(size(szx)).collect();
        let index = num as usize;
        let payload = blocks.get(index).copied().unwrap_or_default();
        response
            .etag(self.etag)
            .content(ContentFormat::TEXT, payload)
            .block2(num, index + 1 < blocks.len(), szx)
    }

    /// Answers the request that a transfer begins with.
    ///
    /// Gives the block size, and whether it is one that the client has asked for.
    fn begin(&self, host: &mut Host, request: &Received) -> Judged<(u8, bool)> {
        let asked = request.block2_value();
        if let Some(asked) = asked {
            request.expect(asked.num() == 0 && !asked.more(), "Block2 0/0", "RFC 7959 §2.4")?;
        }
        let szx = asked.map_or(self.szx, |asked| asked.szx().min(self.szx));
        let response = host.response_to(request, self.code);
        let response = self.block(response, 0, szx);
        host.answer(request, &response);
        Ok((szx, asked.is_some()))
    }

    /// Answers a request and hands out all blocks.
    pub(in crate::cases) fn hand_out(&self, host: &mut Host, request: &Received) -> Judged {
        let (szx, asked) = self.begin(host, request)?;
        self.hand_out_rest(host, request, szx, asked)
    }

    /// Hands out the blocks behind the first one, which the client has.
    ///
    /// A client that has not asked for a block size yet may now ask for a smaller one.
    pub(in crate::cases) fn hand_out_rest(
        &self,
        host: &mut Host,
        first: &Received,
        mut szx: u8,
        mut asked: bool,
    ) -> Judged {
        let mut sent = size(szx);
        while sent < self.text.len() {
            let request = host.request()?;
            let block = next_block(&request, first)?;
            let fits = block.szx() == szx || !asked && block.szx() < szx;
            let expected = format!("blocks of {} bytes", size(szx));
            request.expect(fits, expected, "RFC 7959 §2.4")?;
            (szx, asked) = (block.szx(), true);
            let in_order = block.num() as usize * size(szx) == sent;
            let expected = format!("block {}", sent / size(szx));
            request.expect(in_order, expected, "RFC 7959 §2.4")?;
            let response = host.response_to(&request, self.code);
            let response = self.block(response, block.num(), szx);
            host.answer(&request, &response);
            sent += size(szx);
        }
        Ok(())
    }
}

/// The Block2 of a request that goes on with a transfer.
fn next_block(request: &Received, first: &Received) -> Judged<BlockOption> {
    let same = request.code == first.code && request.uri_path() == first.uri_path();
    request.expect(
        same,
        "a request for the next block of the same resource",
        "RFC 7959 §2.4",
    )?;
    request.lacks(OptionNumber::BLOCK1)?;
    request.payload_is(b"")?;
    request.has(OptionNumber::BLOCK2)?;
    match request.block2_value() {
        Some(block) if !block.more() => Ok(block),
        _ => {
            request.expect(false, "Block2 with an M bit of zero", "RFC 7959 §2.4")?;
            Err(Stop::fail("the next block", "RFC 7959 §2.4"))
        }
    }
}

/// Takes the body of a request in; the answer to the first block asks for blocks of at most 2^(szx + 4) bytes.
///
/// Gives the request with the last block, which is not answered yet.
pub(in crate::cases) fn take_in(host: &mut Host, first: Received, text: &str, szx: u8) -> Judged<Received> {
    let (mut request, mut body) = (first.clone(), Vec::new());
    let mut limit = 6;
    loop {
        let Some(block) = request.block1_value() else {
            let length = text.len();
            let what = format!("the client does not send {length} bytes in blocks");
            return Err(Stop::Skip(what));
        };
        let same = request.code == first.code && request.uri_path() == first.uri_path();
        request.expect(same, "the next block for the same resource", "RFC 7959 §2.5")?;
        request.format(ContentFormat::TEXT)?;
        let expected = format!("block {}", body.len() / size(block.szx()));
        let in_order = block.num() as usize * size(block.szx()) == body.len();
        request.expect(in_order, expected, "RFC 7959 §2.3")?;
        let fits = if block.more() {
            request.payload.len() == size(block.szx())
        } else {
            request.payload.len() <= size(block.szx())
        };
        let expected = format!("a payload of {} bytes", size(block.szx()));
        request.expect(fits, expected, "RFC 7959 §2.2")?;
        if block.szx() > limit {
            let what = "the client goes on with larger blocks than it was asked for (SHOULD, RFC 7959 §2.5)";
            return Err(Stop::Inconclusive(what.to_owned()));
        }
        body.extend_from_slice(&request.payload);
        if !block.more() {
            let whole = body == text.as_bytes();
            request.expect(
                whole,
                format!("the {} bytes of the body", text.len()),
                "RFC 7959 §2.3",
            )?;
            return Ok(request);
        }
        limit = block.szx().min(szx);
        let response = host.response_to(&request, Status::CONTINUE);
        host.answer(&request, &response.block1(block.num(), true, limit));
        request = host.request()?;
    }
}

/// A response that acknowledges the last block of a request.
pub(in crate::cases) fn final_response(host: &mut Host, request: &Received, code: Status) -> Message {
    let response = host.response_to(request, code);
    match request.block1_value() {
        Some(block) => response.block1(block.num(), false, block.szx()),
        None => response,
    }
}
