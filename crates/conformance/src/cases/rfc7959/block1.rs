//! Block1 options one by one, for servers: their form, their order, what is said to them (§2.1 to §2.5).

use coracle_wire::{ContentFormat, OptionNumber, Status};

use super::bodies::{Upload, body_of, collected, is_refused, is_there, own_text};
use crate::case::{Case, server};
use crate::message::Received;
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC7959-2.3-continue-echoes",
        "RFC 7959 §2.3, §2.5, §2.9.1",
        "Each block but the last is answered with 2.31 and its Block1, and nothing else",
        continue_echoes,
    )
    .needs(&["/large-update"])
    .locks(&["/large-update"])
    .steps(&[
        "PUT 60 bytes to /large-update in blocks of 16 bytes.",
        "The first three get 2.31 with their number, M, no larger size, no Block2 and no payload.",
        "The last gets 2.04 with its number and no M; GET gives the body.",
    ]),
    server(
        "RFC7959-2.3-continue-without-block2",
        "RFC 7959 §2.3",
        "A 2.31 has no Block2, though the request has one",
        continue_without_block2,
    )
    .needs(&["/large-update"])
    .locks(&["/large-update"])
    .steps(&["PUT block 0 of three to /large-update, with a Block2 0 of 64 bytes.", "2.31 comes without Block2."]),
    server(
        "RFC7959-2.1-block1-is-processed",
        "RFC 7959 §2.1, §2.3",
        "A block is not taken for a whole body",
        block1_is_processed,
    )
    .steps(&[
        "PUT a block 0 with M to a resource.",
        "A success has Block1; or the block is refused.",
    ]),
    server(
        "RFC7959-2.2-block1-szx-7",
        "RFC 7959 §2.2",
        "A Block1 with the reserved size exponent 7 is answered with 4.00 and not applied",
        block1_szx_7,
    )
    .needs(&["/large-update"])
    .locks(&["/large-update"])
    .steps(&[
        "PUT to /large-update with Block1 0 with SZX 7, with M and without.",
        "4.00 comes each time, and GET gives what it gave before.",
    ]),
    server(
        "RFC7959-2.1-block1-twice",
        "RFC 7959 §2.1; RFC 7252 §5.4.5, §5.4.1",
        "A second Block1 option counts as an unknown critical one: 4.02",
        block1_twice,
    )
    .needs(&["/large-update"])
    .locks(&["/large-update"])
    .steps(&["PUT to /large-update with two Block1 options.", "4.02 comes, and nothing is changed."]),
    server(
        "RFC7959-2.2-block1-too-long",
        "RFC 7959 §2.2; RFC 7252 §5.4.3, §5.4.1",
        "A Block1 of four bytes counts as an unknown critical option: 4.02",
        block1_too_long,
    )
    .needs(&["/large-update"])
    .locks(&["/large-update"])
    .steps(&["PUT to /large-update with a Block1 of four bytes.", "4.02 comes, and nothing is changed."]),
    server(
        "RFC7959-2.5-gap",
        "RFC 7959 §2.5",
        "A last block before which one is missing gets 4.08, and nothing is changed",
        gap,
    )
    .needs(&["/large-update"])
    .locks(&["/large-update"])
    .steps(&[
        "PUT blocks 0 and 2 of three to /large-update.",
        "The last one gets 4.08; GET gives what it gave before.",
    ]),
    server(
        "RFC7959-2.5-starts-at-5",
        "RFC 7959 §2.5",
        "A last block without any before it gets 4.08, whatever its number",
        starts_at_5,
    )
    .needs(&["/large-update"])
    .locks(&["/large-update"])
    .steps(&[
        "PUT block 5 with M and block 6 without to /large-update, then block 1048575 alone.",
        "Block 5 does not get 2.04; the last ones get 4.08; GET gives what it gave before.",
    ]),
    server(
        "RFC7959-2.3-block-not-full",
        "RFC 7959 §2.3, §2.5",
        "A block with M that is shorter than its size leaves a gap",
        block_not_full,
    )
    .needs(&["/large-update"])
    .locks(&["/large-update"])
    .steps(&[
        "PUT a block 0 of 16 bytes with M that has but 10 bytes, and a last block 1.",
        "One of both is refused, and GET gives what it gave before.",
    ]),
    server(
        "RFC7959-2.3-other-content-format",
        "RFC 7959 §2.3",
        "Blocks with different Content-Formats are not assembled",
        other_content_format,
    )
    .needs(&["/large-update"])
    .locks(&["/large-update"])
    .steps(&[
        "PUT block 0 to /large-update as text, and block 1, the last, as octets.",
        "The last is refused (4.08); GET gives what it gave before.",
    ]),
    server(
        "RFC7959-7-misleading-size1",
        "RFC 7959 §7, §4, §2.9.3",
        "A server stands a Size1 that no body has",
        misleading_size1,
    )
    .needs(&["/large-update"])
    .locks(&["/large-update"])
    .steps(&[
        "PUT block 0 with M and Size1 4294967295 to /large-update.",
        "4.13 with at most one Size1, which is smaller; or 2.31 or another error. The server goes on to answer.",
    ]),
];

/// 16 bytes: no server can ask for smaller ones.
const SZX: u8 = 0;

/// A PUT of so many bytes in blocks.
fn upload(probe: &mut Probe, length: usize) -> (Upload, String) {
    let text = own_text(probe, length);
    let request = probe.put("/large-update", "");
    (Upload::new(request, &text, SZX), text)
}

/// What the resource holds.
fn value(probe: &mut Probe) -> Judged<Vec<u8>> {
    body_of(probe, "/large-update")
}

/// The server collects blocks and does not act on each.
fn collects(probe: &mut Probe) -> Judged {
    let mut other = probe.another()?;
    let (upload, _) = upload(&mut other, 40);
    upload.send_early(&mut other, 0)?;
    Ok(())
}

fn continue_echoes(probe: &mut Probe) -> Judged {
    let (upload, text) = upload(probe, 60);
    let last = upload.send_all(probe)?;
    last.code_in(&[Status::CHANGED, Status::CREATED])?;
    let echoes = last
        .block1_value()
        .is_none_or(|block| block.num() == upload.last() && !block.more());
    last.expect(echoes, "the number of the last block without M", "RFC 7959 §2.3")?;
    is_there(probe, "/large-update", text.as_bytes())?;
    if !last.options.contains(OptionNumber::BLOCK1) {
        let what = "the last response has no Block1, which RFC 7959 §3.2 shows but nowhere demands";
        return Err(Stop::Inconclusive(what.to_owned()));
    }
    Ok(())
}

fn continue_without_block2(probe: &mut Probe) -> Judged {
    let text = own_text(probe, 40);
    let request = probe.put("/large-update", "").block2(0, false, 2);
    let upload = Upload::new(request, &text, SZX);
    upload.send_early(probe, 0)?.lacks(OptionNumber::BLOCK2)?;
    Ok(())
}

fn block1_is_processed(probe: &mut Probe) -> Judged {
    let path = probe.target().to_owned();
    let text = own_text(probe, 40);
    let request = probe.put(&path, "");
    let response = Upload::new(request, &text, SZX).send(probe, 0)?;
    if response.status().is_some_and(Status::is_success) {
        response.has(OptionNumber::BLOCK1)?;
        let block = response.block1_value();
        response.expect(block.is_some_and(|block| block.num() == 0), "Block1 0", None)?;
        return Ok(());
    }
    is_refused(&response, "a success or an error", "RFC 7959 §2.1")
}

/// A single PUT that must get this code and change nothing.
fn refused_with(probe: &mut Probe, request: &crate::message::Message, code: Status) -> Judged {
    collects(probe)?;
    let before = value(probe)?;
    probe.ask(request)?.code(code)?;
    is_there(probe, "/large-update", &before)
}

fn block1_szx_7(probe: &mut Probe) -> Judged {
    for more in [false, true] {
        let request = probe
            .put("/large-update", "of the reserved size")
            .block1(0, more, 7);
        refused_with(probe, &request, Status::BAD_REQUEST)?;
    }
    Ok(())
}

fn block1_twice(probe: &mut Probe) -> Judged {
    let request = probe.put("/large-update", "with two options");
    let request = request.block1(0, false, 2).block1(0, false, 2);
    refused_with(probe, &request, Status::BAD_OPTION)
}

fn block1_too_long(probe: &mut Probe) -> Judged {
    let request = probe.put("/large-update", "with four bytes");
    let request = request.option(OptionNumber::BLOCK1, &[1, 0, 0, 2]);
    refused_with(probe, &request, Status::BAD_OPTION)
}

fn gap(probe: &mut Probe) -> Judged {
    let before = value(probe)?;
    let (upload, _) = upload(probe, 40);
    upload.send_early(probe, 0)?;
    upload.send(probe, 2)?.code(Status::REQUEST_ENTITY_INCOMPLETE)?;
    is_there(probe, "/large-update", &before)
}

fn starts_at_5(probe: &mut Probe) -> Judged {
    collects(probe)?;
    let before = value(probe)?;
    let (upload, _) = upload(probe, 100);
    let fifth = upload.send(probe, 5)?;
    if fifth.status() != Some(Status::CONTINUE) {
        is_refused(&fifth, "4.08, or 2.31", "RFC 7959 §2.5")?;
    }
    upload.send(probe, 6)?.code(Status::REQUEST_ENTITY_INCOMPLETE)?;
    let mut other = probe.another()?;
    let request = other.put("/large-update", "behind everything");
    let request = request.block1((1 << 20) - 1, false, 6);
    other.ask(&request)?.code(Status::REQUEST_ENTITY_INCOMPLETE)?;
    is_there(probe, "/large-update", &before)
}

fn block_not_full(probe: &mut Probe) -> Judged {
    collects(probe)?;
    let before = value(probe)?;
    let request = probe.put("/large-update", "ten bytes.").block1(0, true, SZX);
    let first = probe.ask(&request)?;
    if first.status() == Some(Status::CONTINUE) {
        let last = probe.put("/large-update", "the last").token(&request.token);
        let last = probe.ask(&last.block1(1, false, SZX))?;
        is_refused(&last, "an error, for bytes are missing", "RFC 7959 §2.5")?;
    } else {
        is_refused(&first, "2.31, or an error", "RFC 7959 §2.3")?;
    }
    is_there(probe, "/large-update", &before)
}

fn other_content_format(probe: &mut Probe) -> Judged {
    let before = value(probe)?;
    let (upload, _) = upload(probe, 30);
    upload.send_early(probe, 0)?;
    let mut last = upload.block(probe, 1);
    last.options.remove(OptionNumber::CONTENT_FORMAT);
    let format = u64::from(ContentFormat::OCTET_STREAM.0);
    let last = probe.ask(&last.uint(OptionNumber::CONTENT_FORMAT, format))?;
    is_refused(&last, "4.08, or another error", "RFC 7959 §2.3")?;
    is_there(probe, "/large-update", &before)
}

fn misleading_size1(probe: &mut Probe) -> Judged {
    let text = own_text(probe, 40);
    let request = probe
        .put("/large-update", "")
        .uint(OptionNumber::SIZE1, 0xffff_ffff);
    let response = Upload::new(request, &text, SZX).send(probe, 0)?;
    if response.status() == Some(Status::REQUEST_ENTITY_TOO_LARGE) {
        is_limit(&response)?;
    } else {
        collected(&response, 0, SZX)?;
    }
    probe.expect_alive()
}

/// What it says about the size is less than what was too large.
fn is_limit(response: &Received) -> Judged {
    let sizes = response.options.as_options();
    let sizes = sizes.get_all(OptionNumber::SIZE1).count();
    response.expect(sizes <= 1, "Size1 once, or not at all", "RFC 7959 §4")?;
    let limit = response.options.get_uint(OptionNumber::SIZE1);
    let less = limit.is_none_or(|limit| limit < 0xffff_ffff);
    response.expect(less, "a Size1 that is smaller", "RFC 7959 §2.9.3")?;
    if limit.is_none() {
        let what = "4.13 without Size1 (SHOULD, RFC 7252 §5.9.2.9)";
        return Err(Stop::Inconclusive(what.to_owned()));
    }
    Ok(())
}
