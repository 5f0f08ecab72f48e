//! Bodies of responses in blocks, for clients (§2.2 to §2.4, §4).

use coracle_wire::{ContentFormat, OptionNumber, Status};

use super::requests::{give, go_on, large, next, next_if_any, requests, well_formed};
use crate::case::{Case, client};
use crate::cases::plugtest::client_blocks::{Large, body};
use crate::host::Host;
use crate::message::Received;
use crate::template::Stimulus;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    client(
        "RFC7959-2.4-asks-for-the-rest",
        "RFC 7959 §2.4, §4",
        "The client fetches all blocks in the size of the first, with the options of its request and M zero",
        asks_for_the_rest,
    )
    .within(60)
    .steps(&[
        "The client is told to GET with a query and Accept; 300 bytes come in blocks of 64, without Size2.",
        "Each further request has Block2 with the next number, the same size and M zero, and the options of the first.",
        "The client shows the whole body.",
    ]),
    client(
        "RFC7959-2.4-takes-over-the-smaller-size",
        "RFC 7959 §2.3, §2.4",
        "A client that asked for larger blocks goes on with the size that it got",
        takes_over_the_smaller_size,
    )
    .within(60)
    .steps(&[
        "The client is told to GET in blocks of 512 bytes; blocks of 64 bytes come.",
        "Block 1 of 64 bytes is asked for next, and so on.",
    ]),
    client(
        "RFC7959-2.4-etag-changes",
        "RFC 7959 §2.4",
        "Blocks with different ETags are not put together",
        etag_changes,
    )
    .within(60)
    .steps(&[
        "The client GETs; blocks 0 and 1 are of one representation, all further ones of another, with another ETag.",
        "The client does not show a body made of both.",
    ]),
    client(
        "RFC7959-2.3-not-the-block-asked-for",
        "RFC 7959 §2.3",
        "A block with another number than the one asked for does not take its place",
        not_the_block_asked_for,
    )
    .within(60)
    .steps(&[
        "The client GETs; its request for block 1 is answered with block 2.",
        "The client does not show block 2 right behind block 0.",
    ]),
    client(
        "RFC7959-2.3-block-not-full",
        "RFC 7959 §2.3, §2.2",
        "A block with M that is shorter than its size is not followed by the next one as if it were whole",
        block_not_full,
    )
    .within(60)
    .steps(&[
        "The client GETs; block 0 of 64 bytes with M has but 40 bytes.",
        "The client does not show block 1 right behind them.",
    ]),
    client(
        "RFC7959-2.2-szx-7-in-answer",
        "RFC 7959 §2.2",
        "The reserved size exponent 7 is not sent, even after it was received",
        szx_7_in_answer,
    )
    .within(60)
    .steps(&[
        "The client GETs, and gets a block 0 with M and SZX 7.",
        "No further request has SZX 7; it may end.",
    ]),
    client(
        "RFC7959-2.1-block2-twice-in-answer",
        "RFC 7959 §2.1; RFC 7252 §5.4.5, §5.4.1",
        "A response with two Block2 options is rejected",
        block2_twice_in_answer,
    )
    .steps(&["The client GETs, and gets a text with two Block2 options.", "It does not show the text."]),
    client(
        "RFC7959-2.2-block2-too-long-in-answer",
        "RFC 7959 §2.2; RFC 7252 §5.4.3, §5.4.1",
        "A response with a Block2 of four bytes is rejected",
        block2_too_long_in_answer,
    )
    .steps(&["The client GETs, and gets a text with a Block2 of four bytes.", "It does not show the text."]),
    client(
        "RFC7959-4-misleading-size2",
        "RFC 7959 §4",
        "A Size2 that is wrong does not end the transfer",
        misleading_size2,
    )
    .within(60)
    .steps(&[
        "The client GETs; 300 bytes come in blocks of 64, the first with Size2 64.",
        "The client asks for all blocks.",
    ]),
];

/// The first request of a GET.
fn get(host: &mut Host) -> Judged<Received> {
    host.provoke(&Stimulus::get("/large"))
}

fn asks_for_the_rest(host: &mut Host) -> Judged {
    let text = body("large", 300);
    let stimulus = Stimulus::get("/large?first=1&second=2").with("accept", 0);
    let first = host.provoke(&stimulus)?;
    large(&text, b"one").hand_out(host, &first)?;
    host.finish()?;
    well_formed(host)?;
    for (index, request) in requests(host) {
        let (sent, same) = (lasting(&request), lasting(&first));
        if sent != same {
            let what = format!("expected the options of the first request, but got {request}");
            return Err(Stop::fail_at(index, what, None));
        }
    }
    host.expect_shown(&text)
}

/// The options of a request that each further request has to have too.
fn lasting(request: &crate::message::Message) -> coracle_wire::OptionsBuf {
    let mut options = request.options.clone();
    options.remove(OptionNumber::BLOCK2);
    options.remove(OptionNumber::SIZE2);
    options
}

fn takes_over_the_smaller_size(host: &mut Host) -> Judged {
    let text = body("large", 300);
    let first = host.provoke(&Stimulus::get("/large").with("block", 512))?;
    if first.block2_value().is_none_or(|block| block.szx() <= 2) {
        let what = "the client does not ask for blocks of 512 bytes in its first request";
        return Err(Stop::Skip(what.to_owned()));
    }
    large(&text, b"one").hand_out(host, &first)?;
    host.finish()?;
    well_formed(host)?;
    host.expect_shown(&text)
}

/// The bytes of a text from one place to another.
fn part(text: &str, from: usize, to: usize) -> &str {
    text.get(from..to).unwrap_or_default()
}

/// Answers the first request with block 0; gives the request for block 1. Nothing is to be judged of a client that
/// prefers other sizes.
fn second(host: &mut Host, large: &Large<'_>) -> Judged<Received> {
    let first = get(host)?;
    give(host, &first, large);
    let second = next(host)?;
    match second.block2_value() {
        Some(block) if block.num() == 1 && block.szx() == large.szx => Ok(second),
        _ => Err(Stop::Skip(
            "the client does not go on in the size of the first block".to_owned(),
        )),
    }
}

fn etag_changes(host: &mut Host) -> Judged {
    let (old, new) = (body("old", 300), body("new", 300));
    let request = second(host, &large(&old, b"old"))?;
    give(host, &request, &large(&old, b"old"));
    go_on(host, &large(&new, b"new"))?;
    let mixture = [part(&old, 100, 128), part(&new, 128, 150)].concat();
    host.expect_not_shown(&mixture, "RFC 7959 §2.4")
}

fn not_the_block_asked_for(host: &mut Host) -> Judged {
    let text = body("large", 300);
    let whole = large(&text, b"one");
    let request = second(host, &whole)?;
    let response = host.response_to(&request, Status::CONTENT);
    host.answer(&request, &whole.block(response, 2, whole.szx));
    go_on(host, &whole)?;
    let mixture = [part(&text, 40, 64), part(&text, 128, 150)].concat();
    host.expect_not_shown(&mixture, "RFC 7959 §2.3")
}

fn block_not_full(host: &mut Host) -> Judged {
    let text = body("large", 300);
    let whole = large(&text, b"one");
    let first = get(host)?;
    let response = host.response_to(&first, Status::CONTENT);
    let mut response = whole.block(response, 0, whole.szx);
    response.payload.truncate(40);
    host.answer(&first, &response);
    go_on(host, &whole)?;
    let mixture = [part(&text, 20, 40), part(&text, 64, 84)].concat();
    host.expect_not_shown(&mixture, "RFC 7959 §2.3")
}

fn szx_7_in_answer(host: &mut Host) -> Judged {
    let text = body("large", 5_000);
    let first = get(host)?;
    let response = host.response_to(&first, Status::CONTENT).etag(b"one");
    let response = response.content(ContentFormat::TEXT, part(&text, 0, 1024).as_bytes());
    host.answer(&first, &response.block2(0, true, 7));
    if next_if_any(host)?.is_some() {
        host.end();
    }
    well_formed(host)
}

/// Answers a GET with a text that is not to be shown.
fn is_rejected(
    host: &mut Host,
    option: impl FnOnce(crate::message::Message) -> crate::message::Message,
) -> Judged {
    let first = get(host)?;
    let response = host.response_to(&first, Status::CONTENT).text("to be rejected");
    host.answer(&first, &option(response));
    next_if_any(host)?;
    host.end();
    host.expect_not_shown("to be rejected", "RFC 7252 §5.4.1")
}

fn block2_twice_in_answer(host: &mut Host) -> Judged {
    is_rejected(host, |response| response.block2(0, false, 2).block2(0, false, 2))
}

fn block2_too_long_in_answer(host: &mut Host) -> Judged {
    is_rejected(host, |response| {
        response.option(OptionNumber::BLOCK2, &[1, 0, 0, 2])
    })
}

fn misleading_size2(host: &mut Host) -> Judged {
    let text = body("large", 300);
    let whole = large(&text, b"one");
    let first = get(host)?;
    let response = host.response_to(&first, Status::CONTENT);
    let response = whole.block(response, 0, whole.szx).uint(OptionNumber::SIZE2, 64);
    host.answer(&first, &response);
    let mut asked = 1;
    while let Some(request) = next_if_any(host)? {
        give(host, &request, &whole);
        asked += 1;
        if request.block2_value().is_some_and(|block| block.num() >= 4) {
            host.finish()?;
            return host.expect_shown(&text);
        }
    }
    Err(Stop::fail(
        format!("expected requests for all blocks, but {asked} of 5 came"),
        None,
    ))
}
