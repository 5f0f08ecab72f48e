//! Representations that change while their blocks are fetched, and those that are observed, for servers (§2.4, §2.6).

use coracle_wire::{OptionNumber, Status};

use super::bodies::own_text;
use crate::case::{Case, server};
use crate::message::{Message, Received};
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC7959-2.4-etag-of-all-blocks",
        "RFC 7959 §2.4",
        "The blocks of one representation have one ETag",
        etag_of_all_blocks,
    )
    .needs(&["/large-update"])
    .locks(&["/large-update"])
    .steps(&[
        "PUT 150 bytes to /large-update, and GET them in blocks of 64 bytes.",
        "No block has another ETag than the others. (That there is one is a SHOULD.)",
    ]),
    server(
        "RFC7959-2.3-content-format-of-all-blocks",
        "RFC 7959 §2.3",
        "Blocks have the Content-Format of the whole body",
        content_format_of_all_blocks,
    )
    .needs(&["/large-update"])
    .locks(&["/large-update"])
    .steps(&[
        "PUT 150 bytes to /large-update, GET them whole and in blocks of 64 bytes.",
        "Every block has the Content-Format of the whole.",
    ]),
    server(
        "RFC7959-2.4-changed-between-blocks",
        "RFC 7959 §2.4",
        "When the representation changes between two blocks, the client can tell by the ETag",
        changed_between_blocks,
    )
    .needs(&["/large-update"])
    .locks(&["/large-update"])
    .steps(&[
        "GET block 0 of /large-update; another client PUTs a new value; GET block 1.",
        "Block 1 is the old one, or has another ETag than block 0, or is refused.",
    ]),
    server(
        "RFC7959-2.4-new-transfer-is-new",
        "RFC 7959 §2.4",
        "Block 0 is always that of the current representation",
        new_transfer_is_new,
    )
    .needs(&["/large-update"])
    .locks(&["/large-update"])
    .steps(&[
        "GET block 0 of /large-update; another client PUTs a new value; GET block 0 and the others.",
        "They are the new value.",
    ]),
    server(
        "RFC7959-2.2-body-of-whole-blocks",
        "RFC 7959 §2.2",
        "A body that fills its blocks has no empty block behind them",
        body_of_whole_blocks,
    )
    .needs(&["/large-update"])
    .locks(&["/large-update"])
    .steps(&[
        "PUT 128 bytes to /large-update, and GET them in blocks of 64 and of 128 bytes.",
        "Block 1 of 64 bytes and block 0 of 128 bytes are full and have no M.",
    ]),
    server(
        "RFC7959-2.6-notified-in-blocks",
        "RFC 7959 §2.6; RFC 7641 §3.1",
        "A notification has the first block only, and the others are no notifications",
        notified_in_blocks,
    )
    .needs(&["/obs-large"])
    .shares(&["/obs-large"])
    .steps(&[
        "Register at /obs-large with Block2 0 of 64 bytes.",
        "The response and a notification have block 0, in the same size or a smaller one.",
        "GET block 1: it has no Observe.",
    ]),
];

/// 64 bytes.
const SZX: u8 = 2;

/// Puts a text, which one message can hold.
fn put(probe: &mut Probe, text: &str) -> Judged {
    let request = probe.put("/large-update", text);
    let response = probe.ask(&request)?;
    match response.status() {
        Some(Status::CHANGED | Status::CREATED) => Ok(()),
        Some(status) if status.is_client_error() => {
            Err(Stop::Skip("the server's /large-update takes no PUT".to_owned()))
        }
        _ => response.code(Status::CHANGED).map(drop),
    }
}

fn block(probe: &mut Probe, num: u32, szx: u8) -> Judged<Received> {
    let request = probe.get("/large-update").block2(num, false, szx);
    probe.ask(&request)
}

/// A block that is there, in the size that was asked for.
fn given(probe: &mut Probe, num: u32, szx: u8) -> Judged<Received> {
    let response = block(probe, num, szx)?;
    response.code(Status::CONTENT)?;
    if num == 0 && response.block2_value().is_some_and(|block| block.szx() < szx) {
        return Err(Stop::Skip("the server prefers smaller blocks".to_owned()));
    }
    probe.check_block(&response, num, szx)?;
    Ok(response)
}

fn etag_of_all_blocks(probe: &mut Probe) -> Judged {
    let text = own_text(probe, 150);
    put(probe, &text)?;
    let first = given(probe, 0, SZX)?;
    for num in [1, 2] {
        let next = given(probe, num, SZX)?;
        if let (Some(first), Some(next_etag)) = (first.first_etag(), next.first_etag()) {
            next.expect(next_etag == first, "the ETag of block 0", None)?;
        }
        if next.first_etag().is_none() || first.first_etag().is_none() {
            let what = "a block has no ETag (SHOULD, RFC 7959 §2.4)";
            return Err(Stop::Inconclusive(what.to_owned()));
        }
    }
    Ok(())
}

fn content_format_of_all_blocks(probe: &mut Probe) -> Judged {
    let text = own_text(probe, 150);
    put(probe, &text)?;
    let get = probe.get("/large-update");
    let whole = probe.ask(&get)?;
    let format = whole.options.as_options().content_format();
    for num in 0..3 {
        let block = given(probe, num, SZX)?;
        let same = block.options.as_options().content_format() == format;
        block.expect(same, "the Content-Format of the whole", None)?;
    }
    Ok(())
}

/// The text of `/large-update` changes between the first block and what follows; gives that block and both texts.
fn changed(probe: &mut Probe) -> Judged<(Received, String, String)> {
    let (old, new) = (own_text(probe, 150), own_text(probe, 150));
    put(probe, &old)?;
    let first = given(probe, 0, SZX)?;
    first.payload_is(old.get(..64).unwrap_or_default().as_bytes())?;
    let mut other = probe.another()?;
    put(&mut other, &new)?;
    Ok((first, old, new))
}

fn changed_between_blocks(probe: &mut Probe) -> Judged {
    let (first, old, new) = changed(probe)?;
    let second = block(probe, 1, SZX)?;
    let of = |text: &str| text.get(64..128).unwrap_or_default().as_bytes() == second.payload;
    if second.status() != Some(Status::CONTENT) {
        return super::bodies::is_refused(&second, "block 1, or an error", "RFC 7959 §2.4");
    }
    second.expect(
        of(&old) || of(&new),
        "block 1 of the old value or of the new one",
        "RFC 7959 §2.3",
    )?;
    match (first.first_etag(), second.first_etag()) {
        (None, None) if of(&new) => {
            let what =
                "block 1 is of another representation, and nothing tells (ETag is a SHOULD, RFC 7959 §2.4)";
            Err(Stop::Inconclusive(what.to_owned()))
        }
        (before, after) => {
            let told = before != after;
            second.expect(
                told || of(&old),
                "another ETag than that of block 0",
                "RFC 7252 §5.10.6",
            )?;
            Ok(())
        }
    }
}

fn new_transfer_is_new(probe: &mut Probe) -> Judged {
    let (_, _, new) = changed(probe)?;
    let request = probe.get("/large-update").block2(0, false, SZX);
    let (first, body) = probe.fetch_body(&request)?;
    first.expect(body == new.as_bytes(), format!("the new value \"{new}\""), None)?;
    Ok(())
}

fn body_of_whole_blocks(probe: &mut Probe) -> Judged {
    let text = own_text(probe, 128);
    put(probe, &text)?;
    let bytes = text.as_bytes();
    let first = given(probe, 0, SZX)?;
    let more = first.block2_value().is_some_and(|block| block.more());
    first.expect(more, "M, since block 1 follows", None)?;
    let last = given(probe, 1, SZX)?;
    last.payload_is(bytes.get(64..).unwrap_or_default())?;
    let more = last.block2_value().is_some_and(|block| block.more());
    last.expect(!more, "M unset in the last block", None)?;
    let only = block(probe, 0, SZX + 1)?;
    only.code(Status::CONTENT)?.payload_is(bytes)?;
    let more = only.block2_value().is_some_and(|block| block.more());
    only.expect(!more, "M unset, for nothing follows", None)?;
    Ok(())
}

/// It has block 0 of at most 64 bytes and more to come; gives the size.
fn is_first(response: &Received) -> Judged<u8> {
    response.code(Status::CONTENT)?.has(OptionNumber::BLOCK2)?;
    let block = response.block2_value();
    let first = block.is_some_and(|block| {
        block.num() == 0 && block.more() && block.szx() <= SZX && response.payload.len() == block.size()
    });
    response.expect(first, "block 0, full, of at most 64 bytes, with M", None)?;
    Ok(block.map_or(SZX, |block| block.szx()))
}

fn notified_in_blocks(probe: &mut Probe) -> Judged {
    let request = probe.get("/obs-large").observe(0).block2(0, false, SZX);
    let response = probe.ask(&request)?;
    if !response.options.contains(OptionNumber::OBSERVE) {
        return Err(Stop::Skip("the server's /obs-large is not observable".to_owned()));
    }
    is_first(&response)?;
    let notification = notification(probe, &request)?;
    let szx = is_first(&notification)?;
    let mut other = probe.another()?;
    let next = other.get("/obs-large").block2(1, false, szx);
    let next = other.ask(&next)?;
    if next.status() == Some(Status::CONTENT) {
        next.lacks(OptionNumber::OBSERVE)?;
        other.check_block(&next, 1, szx)?;
    }
    let cancel = probe.get("/obs-large").token(&request.token).observe(1);
    probe.ask(&cancel)?;
    Ok(())
}

/// The next notification, which is acknowledged if it asks for it.
fn notification(probe: &mut Probe, request: &Message) -> Judged<Received> {
    loop {
        let within = 2 * probe.answer_time();
        let message = probe.expect_message(within, "a notification")?;
        if message.is_con() {
            probe.acknowledge(&message);
        }
        if message.token == request.token && message.options.contains(OptionNumber::OBSERVE) {
            return Ok(message);
        }
    }
}
