//! Bodies of responses in blocks, for servers (§2.2 to §2.4).

use coracle_wire::{OptionNumber, Status};

use super::bodies::is_refused;
use crate::case::{Case, server};
use crate::message::Received;
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC7959-2.4-size-honoured",
        "RFC 7959 §2.4, §2.2",
        "A block is no larger than the client asked for, for each size",
        size_honoured,
    )
    .anywhere()
    .needs(&["/large"])
    .steps(&[
        "GET /large with Block2 0 of 16, 32, … 1024 bytes.",
        "Each response has block 0 of that size or a smaller one, and if more follow a payload of exactly its size.",
    ]),
    server(
        "RFC7959-2.4-same-size-in-all-blocks",
        "RFC 7959 §2.4, §2.3",
        "All blocks have one size, but for the last, and together are the body that larger blocks give",
        same_size_in_all_blocks,
    )
    .anywhere()
    .needs(&["/large"])
    .within(60)
    .steps(&[
        "GET /large in blocks of 64 bytes, then in blocks of 1024 bytes.",
        "Each block has the number and size that were asked for and M but for the last; both bodies are the same.",
    ]),
    server(
        "RFC7959-2.4-m-ignored",
        "RFC 7959 §2.4, §2.2",
        "The M bit of a Block2 in a request changes nothing",
        m_ignored,
    )
    .anywhere()
    .needs(&["/large"])
    .steps(&[
        "GET blocks 0 and 1 of /large with M zero, then with M set.",
        "The responses are the same.",
    ]),
    server(
        "RFC7959-2.3-number-tells-the-block",
        "RFC 7959 §2.3",
        "A block that is asked for out of order is the one that its number says, or is refused",
        number_tells_the_block,
    )
    .anywhere()
    .needs(&["/large"])
    .within(60)
    .steps(&[
        "GET /large; then another client GETs block 3, the last, block 1 and block 3 again, and no others.",
        "Each 2.05 has the number asked for and the bytes that stand there; M is set but in the last.",
    ]),
    server(
        "RFC7959-2.3-past-the-end",
        "RFC 7959 §2.3",
        "A block that there is not is not answered with one that there is",
        past_the_end,
    )
    .anywhere()
    .needs(&["/large"])
    .steps(&[
        "GET the block behind the last one of /large, a block far behind it, and one of the highest number.",
        "4.00 or another error comes, or at most an empty block of that number.",
    ]),
    server(
        "RFC7959-2.1-block2-of-short-body",
        "RFC 7959 §2.1, §2.3",
        "Block2 is not ignored by a resource that fits into one message",
        block2_of_short_body,
    )
    .anywhere()
    .steps(&[
        "GET a short resource with Block2 0 of 16 bytes, then with Block2 9 of 1024 bytes.",
        "The first payload is at most 16 bytes; the second request gets an error, or at most an empty block 9.",
    ]),
    server(
        "RFC7959-2.2-zero-is-empty",
        "RFC 7959 §2.2; RFC 7252 §3.2",
        "Block2 without bytes asks for 16 bytes, and zeros in front of a value change nothing",
        zero_is_empty,
    )
    .anywhere()
    .needs(&["/large"])
    .steps(&[
        "GET /large with a Block2 of no bytes, of 00 and of 00 00 00.",
        "Each time block 0 of 16 bytes comes, the same.",
    ]),
    server(
        "RFC7959-2.2-block2-szx-7",
        "RFC 7959 §2.2",
        "A Block2 with the reserved size exponent 7 is answered with 4.00",
        block2_szx_7,
    )
    .needs(&["/large"])
    .steps(&["GET /large with Block2 0 and 1 with SZX 7.", "4.00 comes each time."]),
    server(
        "RFC7959-2.1-block2-twice",
        "RFC 7959 §2.1; RFC 7252 §5.4.5, §5.4.1",
        "A second Block2 option counts as an unknown critical one: 4.02",
        block2_twice,
    )
    .anywhere()
    .needs(&["/large"])
    .steps(&["GET /large with two Block2 options.", "4.02 comes."]),
    server(
        "RFC7959-2.2-block2-too-long",
        "RFC 7959 §2.2; RFC 7252 §5.4.3, §5.4.1",
        "A Block2 of four bytes counts as an unknown critical option: 4.02",
        block2_too_long,
    )
    .anywhere()
    .needs(&["/large"])
    .steps(&["GET /large with a Block2 of four bytes.", "4.02 comes."]),
    server(
        "RFC7959-4-size2-asked-for",
        "RFC 7959 §4",
        "A request for the size is served as one without, and Size2 comes at most once",
        size2_asked_for,
    )
    .anywhere()
    .needs(&["/large"])
    .steps(&[
        "GET /large in blocks of 64 bytes without and with Size2 0.",
        "2.05 comes each time with the same payload, with at most one Size2.",
    ]),
    server(
        "RFC7959-2.1-no-option-twice",
        "RFC 7959 §2.1, §4",
        "No response has a Block or Size option twice",
        no_option_twice,
    )
    .anywhere()
    .needs(&["/large"])
    .steps(&[
        "GET /large without options, with Block2, and with Block2 and Size2.",
        "Block1, Block2, Size1 and Size2 stand in no response twice.",
    ]),
];

/// 64 bytes.
const SZX: u8 = 2;

/// The largest block number (§2.2: 20 bits).
const HIGHEST: u32 = (1 << 20) - 1;

/// Block 0 of `/large`, from a server that knows Block2.
fn known(probe: &mut Probe, szx: u8) -> Judged<Received> {
    let response = block(probe, 0, false, szx)?;
    if response.status() == Some(Status::BAD_OPTION) {
        return Err(Stop::Skip("the server does not know Block2".to_owned()));
    }
    response.code(Status::CONTENT)?;
    Ok(response)
}

/// Block 0 of `/large`, which has to have more.
fn first_block(probe: &mut Probe, szx: u8) -> Judged<Received> {
    let response = known(probe, szx)?;
    if response.payload.len() <= 16 << szx && response.block2_value().is_none_or(|block| !block.more()) {
        return Err(needs_no_blocks());
    }
    Ok(response)
}

fn needs_no_blocks() -> Stop {
    Stop::Skip("the server's /large needs no blocks".to_owned())
}

/// The whole of `/large`, in blocks of at most 2^(szx + 4) bytes.
fn large(probe: &mut Probe, szx: u8) -> Judged<(Received, Vec<u8>)> {
    let first = first_block(probe, szx)?;
    let request = probe.get("/large");
    let body = probe.fetch_rest(&request, &first)?;
    Ok((first, body))
}

fn has_changed() -> Stop {
    Stop::Inconclusive("the server's /large has changed meanwhile".to_owned())
}

/// Asks for one block of `/large`.
fn block(probe: &mut Probe, num: u32, more: bool, szx: u8) -> Judged<Received> {
    let request = probe.get("/large").block2(num, more, szx);
    probe.ask(&request)
}

fn size_honoured(probe: &mut Probe) -> Judged {
    for szx in 0..=6 {
        let response = known(probe, szx)?;
        let limit = 16 << szx;
        let expected = format!("at most {limit} bytes");
        response.expect(response.payload.len() <= limit, expected, "RFC 7959 §2.4")?;
        let Some(block) = response.block2_value() else {
            response.expect(
                response.payload.len() < limit,
                "a Block2 that can be read",
                "RFC 7959 §2.4",
            )?;
            continue;
        };
        let fits = block.num() == 0
            && block.szx() <= szx
            && (!block.more() || response.payload.len() == block.size());
        let expected = format!("block 0 of at most {limit} bytes, full if more follow");
        response.expect(fits, expected, "RFC 7959 §2.3, §2.4")?;
    }
    Ok(())
}

fn same_size_in_all_blocks(probe: &mut Probe) -> Judged {
    let (first, small) = large(probe, SZX)?;
    let mut other = probe.another()?;
    let (reference, expected) = large(&mut other, 6)?;
    if small != expected && reference.first_etag() != first.first_etag() {
        return Err(has_changed());
    }
    first.expect(
        small == expected,
        "the body that larger blocks give",
        "RFC 7959 §2.4",
    )?;
    Ok(())
}

fn m_ignored(probe: &mut Probe) -> Judged {
    first_block(probe, SZX)?;
    for num in [0, 1] {
        let plain = block(probe, num, false, SZX)?;
        let with_m = block(probe, num, true, SZX)?;
        let same = with_m.code == plain.code
            && with_m.payload == plain.payload
            && with_m.block2_value() == plain.block2_value();
        with_m.expect(
            same,
            format!("what a request without M gets: {}", plain.message),
            None,
        )?;
    }
    Ok(())
}

fn number_tells_the_block(probe: &mut Probe) -> Judged {
    // Larger blocks say what stands where, so that numbers count otherwise.
    let first = known(probe, 6)?;
    let request = probe.get("/large");
    let body = probe.fetch_rest(&request, &first)?;
    if body.len() <= 16 << SZX {
        return Err(needs_no_blocks());
    }
    let blocks: Vec<&[u8]> = body.chunks(16 << SZX).collect();
    let last = blocks.len().saturating_sub(1);
    let mut other = probe.another()?;
    for index in [3.min(last), last, 1, 3.min(last)] {
        let num = u32::try_from(index).unwrap_or(HIGHEST);
        let response = block(&mut other, num, false, SZX)?;
        if response.status() != Some(Status::CONTENT) {
            is_refused(&response, "2.05 or an error", "RFC 7959 §2.3")?;
            continue;
        }
        let given = other.check_block(&response, num, SZX)?;
        let is_it = blocks.get(index) == Some(&response.payload.as_slice());
        if !is_it && response.first_etag() != first.first_etag() {
            return Err(has_changed());
        }
        response.expect(is_it, format!("the bytes of block {num}"), "RFC 7959 §2.3")?;
        let expected = if index < last {
            "M, since more follow"
        } else {
            "M unset in the last block"
        };
        response.expect(given.more() == (index < last), expected, "RFC 7959 §2.2")?;
    }
    Ok(())
}

/// A block that does not exist gets an error, or nothing that could be taken for a part of the body.
fn is_no_block(response: &Received, num: u32) -> Judged {
    if response.status() == Some(Status::CONTENT) {
        let empty = response.payload.is_empty()
            && response
                .block2_value()
                .is_some_and(|block| block.num() == num && !block.more());
        response.expect(
            empty,
            format!("an error, for there is no block {num}"),
            "RFC 7959 §2.3",
        )?;
        return Ok(());
    }
    is_refused(response, "an error", "RFC 7959 §2.3")
}

fn past_the_end(probe: &mut Probe) -> Judged {
    let (_, body) = large(probe, 5)?;
    let behind = u32::try_from(body.len().div_ceil(512)).unwrap_or(HIGHEST);
    for num in [behind, behind + 1000, HIGHEST] {
        let response = block(probe, num, false, 5)?;
        is_no_block(&response, num)?;
        let mut other = probe.another()?;
        let response = block(&mut other, num, false, 5)?;
        is_no_block(&response, num)?;
    }
    probe.expect_alive()
}

fn block2_of_short_body(probe: &mut Probe) -> Judged {
    let path = probe.target().to_owned();
    let get = probe.get(&path);
    let (_, body) = probe.fetch_body(&get)?;
    if body.len() > 9 * 1024 {
        return Err(Stop::Skip("the server has no short resource".to_owned()));
    }
    let request = probe.get(&path).block2(0, false, 0);
    let response = probe.ask(&request)?;
    if response.status() == Some(Status::CONTENT) {
        response.expect(response.payload.len() <= 16, "at most 16 bytes", "RFC 7959 §2.4")?;
    } else {
        is_refused(&response, "2.05 or an error", "RFC 7959 §2.1")?;
    }
    let request = probe.get(&path).block2(9, false, 6);
    let response = probe.ask(&request)?;
    is_no_block(&response, 9)
}

fn zero_is_empty(probe: &mut Probe) -> Judged {
    let first = first_block(probe, 0)?;
    for value in [&[][..], &[0], &[0, 0, 0]] {
        let request = probe.get("/large").option(OptionNumber::BLOCK2, value);
        let response = probe.ask(&request)?;
        response.code(Status::CONTENT)?.payload_is(&first.payload)?;
        probe.check_block(&response, 0, 0)?;
    }
    Ok(())
}

fn block2_szx_7(probe: &mut Probe) -> Judged {
    known(probe, SZX)?;
    for num in [0, 1] {
        block(probe, num, false, 7)?.code(Status::BAD_REQUEST)?;
    }
    Ok(())
}

fn block2_twice(probe: &mut Probe) -> Judged {
    known(probe, SZX)?;
    let request = probe.get("/large").block2(0, false, SZX).block2(0, false, SZX);
    probe.ask(&request)?.code(Status::BAD_OPTION)?;
    Ok(())
}

fn block2_too_long(probe: &mut Probe) -> Judged {
    let request = probe.get("/large").option(OptionNumber::BLOCK2, &[1, 0, 0, 2]);
    probe.ask(&request)?.code(Status::BAD_OPTION)?;
    Ok(())
}

/// How often an option stands in a message.
fn count(response: &Received, number: OptionNumber) -> usize {
    response.options.as_options().get_all(number).count()
}

fn size2_asked_for(probe: &mut Probe) -> Judged {
    let plain = first_block(probe, SZX)?;
    let request = probe
        .get("/large")
        .block2(0, false, SZX)
        .uint(OptionNumber::SIZE2, 0);
    let response = probe.ask(&request)?;
    response.code(Status::CONTENT)?.payload_is(&plain.payload)?;
    let once = count(&response, OptionNumber::SIZE2) <= 1;
    response.expect(once, "Size2 once, or not at all", None)?;
    Ok(())
}

fn no_option_twice(probe: &mut Probe) -> Judged {
    let plain = probe.get("/large");
    let early = probe.get("/large").block2(0, false, SZX);
    let sized = probe
        .get("/large")
        .block2(0, false, SZX)
        .uint(OptionNumber::SIZE2, 0);
    for request in [plain, early, sized] {
        let response = probe.ask(&request)?;
        for number in [
            OptionNumber::BLOCK1,
            OptionNumber::BLOCK2,
            OptionNumber::SIZE1,
            OptionNumber::SIZE2,
        ] {
            let once = count(&response, number) <= 1;
            response.expect(once, format!("option {number} once, or not at all"), None)?;
        }
    }
    Ok(())
}
