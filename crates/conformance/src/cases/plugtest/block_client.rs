//! TD_COAP_BLOCK for clients.

use coracle_wire::{OptionNumber, Status};

use super::client_blocks::{Large, body, final_response, take_in};
use super::client_steps::{conclude_with, stimulate};
use crate::case::{Case, Judge};
use crate::host::Host;
use crate::plugtests::plugtest;
use crate::template::Stimulus;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    plugtest("TD_COAP_BLOCK_01", Judge::Client(block_01)).within(60),
    plugtest("TD_COAP_BLOCK_02", Judge::Client(block_02)).within(60),
    plugtest("TD_COAP_BLOCK_03", Judge::Client(block_03)).within(60),
    plugtest("TD_COAP_BLOCK_04", Judge::Client(block_04)).within(60),
    plugtest("TD_COAP_BLOCK_05", Judge::Client(block_05)).within(60),
    plugtest("TD_COAP_BLOCK_06", Judge::Client(block_06)).within(60),
];

/// Too much for one message.
const UPLOAD: usize = 2_500;

/// 64 bytes.
const SZX_64: u8 = 2;

/// 512 bytes.
const SZX_512: u8 = 5;

/// 1,024 bytes.
const SZX_1024: u8 = 6;

fn large<'a>(code: Status, text: &'a str, szx: u8) -> Large<'a> {
    Large {
        code,
        text,
        etag: b"\xb1\x0c",
        szx,
    }
}

/// The client asks for blocks of a size in its first request.
fn early(host: &mut Host, size: usize, length: usize) -> Judged {
    let get = Stimulus::get("/large").with("block", size);
    let request = stimulate(host, &get)?;
    let asked = request.block2_value().map(|block| 16 << block.szx());
    if asked != Some(size) {
        let what = format!("the client does not ask for blocks of {size} bytes in its first request");
        return Err(Stop::Skip(what));
    }
    let text = body("large", length);
    large(Status::CONTENT, &text, SZX_1024).hand_out(host, &request)?;
    host.finish()?;
    host.expect_shown(&text)
}

fn block_01(host: &mut Host) -> Judged {
    early(host, 64, 300)
}

fn block_02(host: &mut Host) -> Judged {
    let request = stimulate(host, &Stimulus::get("/large"))?;
    if request.options.contains(OptionNumber::BLOCK2) {
        let what = "the client always asks for a block size in its first request";
        return Err(Stop::Skip(what.to_owned()));
    }
    let text = body("large", 300);
    large(Status::CONTENT, &text, SZX_64).hand_out(host, &request)?;
    host.finish()?;
    host.expect_shown(&text)
}

fn block_03(host: &mut Host) -> Judged {
    let text = body("update", UPLOAD);
    let put = Stimulus::new("put", "/large-update").text(&text);
    let first = stimulate(host, &put)?;
    let last = take_in(host, first, &text, SZX_1024)?;
    let response = final_response(host, &last, Status::CHANGED).text("large-update changed");
    conclude_with(host, &last, &response, "large-update changed")
}

/// The server wants smaller blocks.
fn block_04(host: &mut Host) -> Judged {
    let text = body("create", UPLOAD);
    let post = Stimulus::new("post", "/large-create").text(&text);
    let first = stimulate(host, &post)?;
    let last = take_in(host, first, &text, SZX_512)?;
    let path = OptionNumber::LOCATION_PATH;
    let response = final_response(host, &last, Status::CREATED).text("large-create made one");
    let response = response.option(path, b"large-create").option(path, b"1");
    conclude_with(host, &last, &response, "large-create made one")
}

fn block_05(host: &mut Host) -> Judged {
    let text = body("post", UPLOAD);
    let post = Stimulus::new("post", "/large-post").text(&text);
    let first = stimulate(host, &post)?;
    let last = take_in(host, first, &text, SZX_1024)?;
    let text = body("answer", 300);
    let answer = large(Status::CHANGED, &text, SZX_64);
    let response = final_response(host, &last, Status::CHANGED);
    host.answer(&last, &answer.block(response, 0, SZX_64));
    answer.hand_out_rest(host, &last, SZX_64, false)?;
    host.finish()?;
    host.expect_shown(&text)
}

fn block_06(host: &mut Host) -> Judged {
    early(host, 16, 75)
}
