//! TD_COAP_BLOCK for servers.

use coracle_wire::{BlockOption, Method, OptionNumber, Status};

use super::server_steps::offered;
use crate::case::{Case, Judge};
use crate::message::{Message, Received};
use crate::plugtests::plugtest;
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    plugtest("TD_COAP_BLOCK_01", Judge::Server(block_01)).needs(&["/large"]),
    plugtest("TD_COAP_BLOCK_02", Judge::Server(block_02)).needs(&["/large"]),
    plugtest("TD_COAP_BLOCK_03", Judge::Server(block_03))
        .needs(&["/large-update"])
        .locks(&["/large-update"]),
    plugtest("TD_COAP_BLOCK_04", Judge::Server(block_04)).needs(&["/large-create"]),
    plugtest("TD_COAP_BLOCK_05", Judge::Server(block_05)).needs(&["/large-post"]),
    plugtest("TD_COAP_BLOCK_06", Judge::Server(block_06)).needs(&["/large"]),
];

/// SZX of the blocks that the judge prefers, where a test does not say: 256 bytes.
const SZX: u8 = 4;

fn block_01(probe: &mut Probe) -> Judged {
    early(probe, SZX)
}

/// There are so many blocks that a gateway that loses every third datagram would hold them up for minutes: behind it,
/// one is lost in each direction.
fn block_06(probe: &mut Probe) -> Judged {
    if probe.is_lossy() {
        probe.lose(1, 1);
    }
    early(probe, 0)
}

/// The client asks for small blocks at once.
fn early(probe: &mut Probe, szx: u8) -> Judged {
    let request = probe.get("/large").block2(0, false, szx);
    let response = probe.ask(&request)?;
    response.code(Status::CONTENT)?.answers(&request)?;
    let block = first_block(&response, szx)?;
    let body = fetch(probe, &request, &response, 1, block.szx())?;
    is_whole(probe, &response, &body)
}

/// The client learns from the first response that there are blocks, and goes on with smaller ones.
fn block_02(probe: &mut Probe) -> Judged {
    let request = probe.get("/large");
    let response = probe.ask(&request)?;
    response.code(Status::CONTENT)?.answers(&request)?;
    let block = first_block(&response, 6)?;
    let szx = block.szx().min(2);
    let body = fetch(probe, &request, &response, 1 << (block.szx() - szx), szx)?;
    is_whole(probe, &response, &body)
}

/// Block 0 with more to come, of this size at most; if the body fits into it, there is nothing to judge.
fn first_block(response: &Received, szx: u8) -> Judged<BlockOption> {
    let Some(block) = response.block2_value() else {
        if response.payload.len() <= 16 << szx {
            return Err(needs_no_blocks());
        }
        response.has(OptionNumber::BLOCK2)?;
        return Err(Stop::fail_at(
            response.index,
            "expected a Block2 that can be read",
            "RFC 7959 §2.2",
        ));
    };
    if block.num() == 0 && !block.more() {
        return Err(needs_no_blocks());
    }
    response.expect(
        block.num() == 0 && block.szx() <= szx && response.payload.len() == block.size(),
        format!("block 0, full, of at most {} bytes", 16 << szx),
        "RFC 7959 §2.2, §2.4",
    )?;
    Ok(block)
}

fn needs_no_blocks() -> Stop {
    Stop::Skip("the server's resource needs no blocks".to_owned())
}

/// The blocks from this one on, behind those that the first response has already.
fn fetch(probe: &mut Probe, first: &Message, response: &Received, from: u32, szx: u8) -> Judged<Vec<u8>> {
    let mut body = response.payload.clone();
    for num in from.. {
        let mut request = first.clone().mid(probe.fresh_mid()).token(&probe.fresh_token());
        request.options.remove(OptionNumber::BLOCK1);
        request.options.remove(OptionNumber::BLOCK2);
        request.payload.clear();
        let request = request.block2(num, false, szx);
        let answer = probe.ask(&request)?;
        answer.expect(answer.code == response.code, format!("{}", response.code), None)?;
        answer.answers(&request)?;
        let block = probe.check_block(&answer, num, szx)?;
        body.extend_from_slice(&answer.payload);
        if !block.more() {
            break;
        }
        if body.len() > 1 << 20 {
            return Err(Stop::Inconclusive("the body has more than a MiB".to_owned()));
        }
    }
    Ok(body)
}

/// It is what another client gets in the largest blocks.
fn is_whole(probe: &mut Probe, response: &Received, body: &[u8]) -> Judged {
    let mut other = probe.another()?;
    let request = other.get("/large").block2(0, false, 6);
    let (reference, expected) = other.fetch_body(&request)?;
    if body != expected && reference.first_etag() != response.first_etag() {
        return Err(Stop::Inconclusive(
            "the server's /large has changed meanwhile".to_owned(),
        ));
    }
    let whole = "blocks that are those of the representation in larger blocks";
    response.expect(body == expected, whole, "RFC 7959 §2.4")?;
    Ok(())
}

fn block_03(probe: &mut Probe) -> Judged {
    let body = text(probe, 1280);
    let request = probe.put("/large-update", "");
    let last = upload(probe, &request, &body, &[Status::CONTINUE, Status::CHANGED])?;
    last.code(Status::CHANGED)?;
    // The server shows that the new representation is complete.
    let get = probe.get("/large-update");
    is_there(probe, &get, &body)
}

fn block_04(probe: &mut Probe) -> Judged {
    let body = text(probe, 1280);
    let request = probe.post("/large-create", "");
    let last = upload(probe, &request, &body, &[Status::CONTINUE])?;
    last.code(Status::CREATED)?;
    let options = last.options.as_options();
    let location: Vec<&[u8]> = options.get_all(OptionNumber::LOCATION_PATH).collect();
    let (below, id) = location
        .split_at_checked(location.len().saturating_sub(1))
        .unwrap_or_default();
    let factory = request.options.as_options();
    last.expect(
        factory.get_all(OptionNumber::URI_PATH).eq(below.iter().copied())
            && id.iter().all(|id| !id.is_empty() && !id.contains(&b'/')),
        format!("a Location-Path of {} and one more segment", request.uri_path()),
        "RFC 7252 §5.10.7",
    )?;
    let mut get = Message::new(request.message_type, Method::GET, probe.fresh_mid());
    get.token = probe.fresh_token();
    for segment in &location {
        get = get.option(OptionNumber::URI_PATH, segment);
    }
    is_there(probe, &get, &body)?;
    // It is not needed any more.
    let mut delete = get.mid(probe.fresh_mid()).token(&probe.fresh_token());
    delete.code = Method::DELETE.into();
    probe.ask(&delete)?;
    Ok(())
}

fn block_05(probe: &mut Probe) -> Judged {
    let body = text(probe, 2048);
    let request = probe.post("/large-post", "");
    let last = upload(probe, &request, &body, &[Status::CONTINUE])?;
    last.code(Status::CHANGED)?;
    let block = first_block(&last, 6)?;
    let szx = block.szx().min(SZX);
    fetch(probe, &request, &last, 1 << (block.szx() - szx), szx)?;
    Ok(())
}

/// Sends a text block by block, in smaller ones if the server asks for them; `codes` are those before the last.
/// Gives the last response.
fn upload(probe: &mut Probe, first: &Message, body: &[u8], codes: &[Status]) -> Judged<Received> {
    let method = first
        .method()
        .map(|method| method.to_string())
        .unwrap_or_default();
    let what = format!("{method} of {}", first.uri_path());
    let (mut offset, mut szx) = (0, SZX);
    loop {
        let size = 16usize << szx;
        let rest = body.get(offset..).unwrap_or_default();
        let payload = rest.get(..size).unwrap_or(rest);
        let (num, more) = (
            u32::try_from(offset / size).unwrap_or(u32::MAX),
            rest.len() > size,
        );
        let request = first.clone().mid(probe.fresh_mid()).token(&probe.fresh_token());
        let request = request.payload(payload).block1(num, more, szx);
        let response = probe.ask(&request)?;
        let response = offered(response, &what)?;
        response.answers(&request)?;
        if more {
            response.code_in(codes)?;
        }
        let accepted = accepted(&response, num, more, szx)?;
        if !more {
            return Ok(response);
        }
        // Smaller ones go on behind what was sent already, as they count it (RFC 7959 §2.5).
        offset += size;
        szx = accepted;
    }
}

/// The Block1 of a response: the block that was sent, of this size or, for the first, a smaller one. Gives the size
/// to go on with.
fn accepted(response: &Received, num: u32, more: bool, szx: u8) -> Judged<u8> {
    response.has(OptionNumber::BLOCK1)?;
    let block = response.block1_value();
    let holds = block.is_some_and(|block| {
        let size_fits = block.szx() == szx || (num == 0 && block.szx() < szx);
        let continues = more && response.status() == Some(Status::CONTINUE);
        block.num() == num && size_fits && block.more() == continues
    });
    response.expect(
        holds,
        format!(
            "Block1 {num}, of at most {} bytes, with M as its code says",
            16 << szx
        ),
        "RFC 7959 §2.3",
    )?;
    Ok(block.map_or(szx, |block| block.szx()))
}

/// A GET gives this body.
fn is_there(probe: &mut Probe, get: &Message, body: &[u8]) -> Judged {
    let (response, found) = probe.fetch_body(get)?;
    response.code(Status::CONTENT)?;
    response.expect(found == body, "the body that was sent, whole", None)?;
    Ok(())
}

/// A text of some length, in lines that tell where they belong; another one each time.
fn text(probe: &mut Probe, length: usize) -> Vec<u8> {
    let name = probe.fresh_mid();
    let text: String = (0..length)
        .map(|line| format!("text {name}, line {line}\n"))
        .collect();
    text.into_bytes().into_iter().take(length).collect()
}
