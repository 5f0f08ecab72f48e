//! Bodies of requests in blocks, for clients (§2.3, §2.5, §2.9, §2.10, §3.2).

use coracle_wire::{BlockOption, OptionNumber, Status};

use super::requests::{next_if_any, requests, well_formed};
use crate::case::{Case, client};
use crate::cases::plugtest::client_blocks::{body, final_response, take_in};
use crate::host::Host;
use crate::message::Received;
use crate::template::Stimulus;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    client(
        "RFC7959-2.3-body-in-blocks",
        "RFC 7959 §2.3, §2.5",
        "A long body goes in full blocks in order, all with the Content-Format of the whole",
        body_in_blocks,
    )
    .within(60)
    .steps(&[
        "The client is told to PUT 2500 bytes of text.",
        "Blocks 0, 1, … come with Content-Format 0, all full and with M but the last, and are the body.",
    ]),
    client(
        "RFC7959-3.2-number-scaled",
        "RFC 7959 §3.2, §2.5",
        "When the server prefers smaller blocks, the next number counts in the smaller size",
        number_scaled,
    )
    .within(90)
    .steps(&[
        "The client is told to PUT 1500 bytes; block 0 gets 2.31 with Block1 of 64 bytes.",
        "The next block begins where block 0 ended, as its number counts it, and so do all others.",
    ]),
    client(
        "RFC7959-2.10-if-none-match",
        "RFC 7959 §2.10",
        "If-None-Match stands in the first block only",
        if_none_match,
    )
    .within(60)
    .steps(&[
        "The client is told to PUT 2500 bytes with If-None-Match.",
        "Block 0 has the option; the others have not.",
    ]),
    client(
        "RFC7959-2.9.2-error-ends-the-body",
        "RFC 7959 §2.9.2, §2.9.3, §2.5",
        "A body does not go on behind a block that got 4.08 or 4.13",
        error_ends_the_body,
    )
    .within(60)
    .steps(&[
        "The client PUTs 3500 bytes; block 0 gets 2.31, the next 4.08; then the same with 4.13.",
        "The client ends, or begins again with block 0.",
    ]),
    client(
        "RFC7959-2.9.3-smaller-blocks-after-4.13",
        "RFC 7959 §2.9.3, §2.5",
        "A client that heeds the size in a 4.13 begins again with it",
        smaller_blocks_after_too_large,
    )
    .within(90)
    .steps(&[
        "The client PUTs 1500 bytes; block 0 gets 4.13 with Block1 of 64 bytes.",
        "The client ends, or sends the body from block 0 in blocks of 64 bytes or less.",
    ]),
    client(
        "RFC7959-2.9.3-blocks-after-4.13",
        "RFC 7959 §2.9.3, §2.5",
        "A client that sent a body whole and got 4.13 may send it in blocks, from the beginning",
        blocks_after_too_large,
    )
    .within(60)
    .steps(&[
        "The client PUTs 200 bytes in one message, which gets 4.13 with Block1 of 64 bytes.",
        "The client ends, or sends the body from block 0 in blocks of 64 bytes or less.",
    ]),
    client(
        "RFC7959-2.3-answered-block-by-block",
        "RFC 7959 §2.3, §3.2",
        "The client sends the rest of the body to a server that acts on each block",
        answered_block_by_block,
    )
    .within(60)
    .steps(&[
        "The client PUTs 2500 bytes; each block gets 2.04 with its Block1 without M.",
        "The client sends all blocks.",
    ]),
];

fn put(length: usize) -> (Stimulus, String) {
    let text = body("body", length);
    (Stimulus::new("put", "/large-update").text(&text), text)
}

/// Answers the last block with 2.04 and lets the client end.
fn conclude(host: &mut Host, last: &Received) -> Judged {
    let response = final_response(host, last, Status::CHANGED);
    host.answer(last, &response);
    host.finish()?;
    well_formed(host)
}

fn body_in_blocks(host: &mut Host) -> Judged {
    let (stimulus, text) = put(2_500);
    let first = host.provoke(&stimulus)?;
    let last = take_in(host, first, &text, 6)?;
    conclude(host, &last)
}

fn number_scaled(host: &mut Host) -> Judged {
    let (stimulus, text) = put(1_500);
    let first = host.provoke(&stimulus)?;
    let last = take_in(host, first, &text, 2)?;
    conclude(host, &last)
}

fn if_none_match(host: &mut Host) -> Judged {
    let (stimulus, text) = put(2_500);
    let first = host.provoke(&stimulus.with("if-none-match", ""))?;
    first.has(OptionNumber::IF_NONE_MATCH)?;
    let last = take_in(host, first, &text, 6)?;
    for (index, request) in requests(host) {
        let later = request.block1_value().is_some_and(|block| block.num() > 0);
        if later && request.options.contains(OptionNumber::IF_NONE_MATCH) {
            let what = format!("expected no If-None-Match behind block 0, but got {request}");
            return Err(Stop::fail_at(index, what, None));
        }
    }
    conclude(host, &last)
}

/// The Block1 of a request whose body is in blocks.
fn block_of(request: &Received) -> Judged<BlockOption> {
    let what = "the client does not send the body in blocks";
    request.block1_value().ok_or_else(|| Stop::Skip(what.to_owned()))
}

fn error_ends_the_body(host: &mut Host) -> Judged {
    for code in [
        Status::REQUEST_ENTITY_INCOMPLETE,
        Status::REQUEST_ENTITY_TOO_LARGE,
    ] {
        let (stimulus, _) = put(3_500);
        let first = host.provoke(&stimulus)?;
        let block = block_of(&first)?;
        let response = host.response_to(&first, Status::CONTINUE);
        host.answer(&first, &response.block1(0, true, block.szx()));
        let second = host.request()?;
        let block = block_of(&second)?;
        let response = host.response_to(&second, code);
        host.answer(&second, &response.block1(block.num(), false, block.szx()));
        if let Some(third) = next_if_any(host)? {
            let again = third.block1_value().is_none_or(|block| block.num() == 0);
            third.expect(again, "block 0, or nothing more", None)?;
        }
        host.end();
        well_formed(host)?;
    }
    Ok(())
}

/// The client ends, or sends the whole body again in blocks of at most 64 bytes.
fn ends_or_sends_again(host: &mut Host, text: &str) -> Judged {
    let Some(again) = next_if_any(host)? else {
        host.end();
        return well_formed(host);
    };
    let block = again.block1_value();
    let begins = block.is_some_and(|block| block.num() == 0 && block.szx() <= 2);
    again.expect(begins, "block 0 of at most 64 bytes, or nothing more", None)?;
    let last = take_in(host, again, text, 2)?;
    conclude(host, &last)
}

fn smaller_blocks_after_too_large(host: &mut Host) -> Judged {
    let (stimulus, text) = put(1_500);
    let first = host.provoke(&stimulus)?;
    block_of(&first)?;
    let response = host.response_to(&first, Status::REQUEST_ENTITY_TOO_LARGE);
    host.answer(&first, &response.block1(0, false, 2));
    ends_or_sends_again(host, &text)
}

fn blocks_after_too_large(host: &mut Host) -> Judged {
    let (stimulus, text) = put(200);
    let first = host.provoke(&stimulus)?;
    if first.options.contains(OptionNumber::BLOCK1) {
        return Err(Stop::Skip("the client sends 200 bytes in blocks".to_owned()));
    }
    let response = host.response_to(&first, Status::REQUEST_ENTITY_TOO_LARGE);
    host.answer(&first, &response.block1(0, false, 2));
    ends_or_sends_again(host, &text)
}

fn answered_block_by_block(host: &mut Host) -> Judged {
    let (stimulus, text) = put(2_500);
    let mut request = host.provoke(&stimulus)?;
    let mut sent = Vec::new();
    loop {
        let block = block_of(&request)?;
        let in_order = block.num() as usize * block.size() == sent.len();
        request.expect(
            in_order,
            format!("the block that begins at byte {}", sent.len()),
            None,
        )?;
        sent.extend_from_slice(&request.payload);
        if !block.more() {
            break;
        }
        let response = host.response_to(&request, Status::CHANGED);
        host.answer(&request, &response.block1(block.num(), false, block.szx()));
        request = host.request()?;
    }
    request.expect(sent == text.as_bytes(), "the whole body", None)?;
    conclude(host, &request)
}
