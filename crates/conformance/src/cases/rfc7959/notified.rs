//! Notifications in blocks, and bodies in both directions, for clients (§2.6, §2.7).

use coracle_wire::{MessageType, OptionNumber, Status};

use super::requests::{give, go_on, large, next, next_if_any, well_formed};
use crate::case::{Case, client};
use crate::cases::plugtest::client_blocks::{Large, body, final_response, take_in};
use crate::host::Host;
use crate::message::{Message, Received};
use crate::template::Stimulus;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    client(
        "RFC7959-2.6-fetches-the-rest",
        "RFC 7959 §2.6",
        "The client fetches the rest of a notification that brings the first block",
        fetches_the_rest,
    )
    .within(60)
    .steps(&[
        "The client observes; the response has block 0 of 64 bytes, and it fetches the others.",
        "A notification has block 0 of another representation.",
        "The client fetches the others by GET with Block2, and shows the whole.",
    ]),
    client(
        "RFC7959-2.6-etag-changes",
        "RFC 7959 §2.6, §2.4",
        "A notification's blocks with different ETags are not put together",
        etag_changes,
    )
    .within(60)
    .steps(&[
        "The client observes; a notification has block 0, and block 1 comes with another ETag.",
        "The client does not show a body made of both.",
    ]),
    client(
        "RFC7959-2.7-answer-in-order",
        "RFC 7959 §2.7",
        "After a body in blocks, the blocks of the answer are fetched in order, without Block1 and payload",
        answer_in_order,
    )
    .within(60)
    .steps(&[
        "The client POSTs 1300 bytes, or as many blocks as it likes; the last is answered with block 0 of 64 bytes.",
        "It asks for blocks 1, 2, 3 and 4 by POST with Block2, without Block1 and payload, and shows the whole.",
    ]),
];

/// Lets the client observe, and gives it a first representation.
fn observe(host: &mut Host) -> Judged<Received> {
    let text = body("first", 200);
    let whole = large(&text, b"first");
    let first = host.provoke(&Stimulus::get("/obs-large").observe())?;
    let response = host.response_to(&first, Status::CONTENT).observe(1);
    host.answer(&first, &whole.block(response, 0, whole.szx));
    let next = next(host)?;
    fetched(host, next, &whole)?;
    Ok(first)
}

/// Gives all blocks behind the first as they are asked for.
fn fetched(host: &mut Host, mut request: Received, whole: &Large<'_>) -> Judged {
    loop {
        give(host, &request, whole);
        let end = |block: coracle_wire::BlockOption| (block.num() as usize + 1) * block.size();
        if request.block2_value().map_or(0, end) >= whole.text.len() {
            return Ok(());
        }
        request = next(host)?;
    }
}

/// Sends block 0 of a notification; gives the request that it leads to. A client may leave its observation, or want
/// nothing but the first block.
fn notify(host: &mut Host, registration: &Received, whole: &Large<'_>) -> Judged<Received> {
    let notification = host.separate_to(registration, Status::CONTENT).observe(2);
    let notification = whole.block(notification, 0, whole.szx);
    if let Err(stop) = host.deliver(registration, &notification) {
        let reset = Message::empty(MessageType::Reset, notification.mid);
        if host.copies_of(&reset).is_empty() {
            return Err(stop);
        }
        return Err(Stop::Inconclusive(
            "the client rejects the notification".to_owned(),
        ));
    }
    let what = "the client does not fetch the rest of the notification";
    next_if_any(host)?.ok_or_else(|| Stop::Inconclusive(what.to_owned()))
}

fn fetches_the_rest(host: &mut Host) -> Judged {
    let registration = observe(host)?;
    let text = body("second", 200);
    let whole = large(&text, b"second");
    let request = notify(host, &registration, &whole)?;
    request.has(OptionNumber::BLOCK2)?;
    fetched(host, request, &whole)?;
    host.expect_shown(&text)?;
    host.end();
    well_formed(host)
}

fn etag_changes(host: &mut Host) -> Judged {
    let registration = observe(host)?;
    let (old, new) = (body("second", 200), body("third", 200));
    let request = notify(host, &registration, &large(&old, b"second"))?;
    give(host, &request, &large(&new, b"third"));
    go_on(host, &large(&new, b"third"))?;
    let of = |text: &str, from, to| text.get(from..to).unwrap_or_default().to_owned();
    let mixture = of(&old, 40, 64) + &of(&new, 64, 80);
    host.expect_not_shown(&mixture, "RFC 7959 §2.6")
}

fn answer_in_order(host: &mut Host) -> Judged {
    let (text, answer) = (body("post", 1_300), body("answer", 300));
    let first = host.provoke(&Stimulus::new("post", "/large-post").text(&text))?;
    let last = take_in(host, first, &text, 6)?;
    let whole = Large {
        code: Status::CHANGED,
        ..large(&answer, b"one")
    };
    let response = final_response(host, &last, Status::CHANGED);
    let szx = last
        .block2_value()
        .map_or(whole.szx, |asked| asked.szx().min(whole.szx));
    host.answer(&last, &whole.block(response, 0, szx));
    whole.hand_out_rest(host, &last, szx, last.block2_value().is_some())?;
    host.finish()?;
    well_formed(host)?;
    host.expect_shown(&answer)
}
