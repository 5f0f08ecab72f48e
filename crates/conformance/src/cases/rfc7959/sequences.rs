//! Bodies of requests in blocks, for servers: what belongs together and when it takes effect (§2.3, §2.5, §2.7, §2.10).

use coracle_wire::{OptionNumber, Status};

use super::bodies::{Upload, body_of, collected, is_there, own_text};
use crate::case::{Case, server};
use crate::message::{Message, Received};
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC7959-2.5-nothing-before-the-last",
        "RFC 7959 §2.5, §2.3",
        "Who says 2.31 to blocks changes nothing before the last one",
        nothing_before_the_last,
    )
    .needs(&["/large-update"])
    .locks(&["/large-update"])
    .steps(&[
        "PUT blocks 0 and 1 of three to /large-update: 2.31.",
        "GET gives what it gave before.",
        "PUT the last block: 2.04, and GET gives the whole body.",
    ]),
    server(
        "RFC7959-2.5-fresh-tokens",
        "RFC 7959 §2.5, §3.2; RFC 7252 §5.3.1",
        "Blocks are assembled whatever their tokens are",
        fresh_tokens,
    )
    .needs(&["/large-update"])
    .locks(&["/large-update"])
    .steps(&[
        "PUT a body to /large-update in blocks with a new token each, then without tokens.",
        "Each time GET gives the whole body.",
    ]),
    server(
        "RFC7959-2.5-new-body-replaces-old",
        "RFC 7959 §2.5",
        "A new block 0 begins a new body; what came before is forgotten",
        new_body_replaces_old,
    )
    .needs(&["/large-update"])
    .locks(&["/large-update"])
    .steps(&[
        "PUT blocks 0 and 1 of three to /large-update, and then all blocks of another, shorter body.",
        "GET gives the other body.",
        "The last block of the first body gets 4.08, and changes nothing.",
    ]),
    server(
        "RFC7959-2.5-two-endpoints",
        "RFC 7959 §2.5",
        "Bodies of two endpoints for one resource do not mix",
        two_endpoints,
    )
    .needs(&["/large-update"])
    .locks(&["/large-update"])
    .steps(&[
        "Two sockets PUT a body each to /large-update, block by block in turn.",
        "After each last block GET gives the body of that endpoint.",
    ]),
    server(
        "RFC7959-2.5-two-uris",
        "RFC 7959 §2.5",
        "Bodies of one endpoint for two URIs do not mix",
        two_uris,
    )
    .needs(&["/large-post"])
    .steps(&[
        "POST a body each to /large-post?a and /large-post?b, block by block in turn.",
        "No response is made of both.",
    ]),
    server(
        "RFC7959-2.5-copies-of-blocks",
        "RFC 7959 §2.5; RFC 7252 §4.5",
        "Blocks that arrive twice stand in the body once",
        copies_of_blocks,
    )
    .needs(&["/large-update"])
    .locks(&["/large-update"])
    .without_gateway()
    .steps(&[
        "PUT a body to /large-update in blocks, each as the same datagram twice.",
        "Each is answered; GET gives the body once.",
    ]),
    server(
        "RFC7959-2.5-copy-of-last-block",
        "RFC 7959 §2.5; RFC 7252 §4.5",
        "A last block that arrives twice makes one resource",
        copy_of_last_block,
    )
    .needs(&["/large-create"])
    .without_gateway()
    .steps(&[
        "POST a body to /large-create in blocks, the last as the same datagram twice.",
        "Both answers name the same resource (SHOULD).",
    ]),
    server(
        "RFC7959-2.7-answer-in-blocks",
        "RFC 7959 §2.7, §3.3",
        "A body in blocks may be answered with a body in blocks",
        answer_in_blocks,
    )
    .needs(&["/large-post"])
    .within(60)
    .steps(&[
        "POST 200 bytes to /large-post in blocks of 64 bytes, the last with Block2 0 of 64 bytes.",
        "Its response has block 0 of the answer, and Block1 without M if at all.",
        "The others are fetched by POST with Block2 and without Block1 and payload: the whole in capitals.",
    ]),
    server(
        "RFC7959-2.10-if-none-match-unmet",
        "RFC 7959 §2.10; RFC 7252 §5.10.8.2",
        "If-None-Match in the first block holds for the body",
        if_none_match_unmet,
    )
    .needs(&["/validate"])
    .locks(&["/validate"])
    .steps(&[
        "PUT a body to /validate, which is there, in blocks, the first with If-None-Match.",
        "It is refused, at the latest with the last block; GET gives what it gave before.",
    ]),
    server(
        "RFC7959-2.10-if-none-match-met",
        "RFC 7959 §2.10; RFC 7252 §5.10.8.2",
        "A first block with If-None-Match and others without it are one body",
        if_none_match_met,
    )
    .locks(&["/create1"])
    .steps(&[
        "DELETE /create1, and PUT a body there in blocks, the first with If-None-Match.",
        "The last block gets 2.01; GET gives the body.",
    ]),
    server(
        "RFC7959-2.5-if-match",
        "RFC 7959 §2.5; RFC 7252 §5.10.8.1",
        "If-Match holds for a body in blocks",
        if_match,
    )
    .needs(&["/validate"])
    .locks(&["/validate"])
    .steps(&[
        "PUT a body to /validate in blocks, all with an If-Match that no ETag has.",
        "It is refused, at the latest with the last block; GET gives what it gave before.",
    ]),
];

/// 16 bytes: no server can ask for smaller ones.
const SZX: u8 = 0;

fn upload(probe: &mut Probe, length: usize) -> (Upload, String) {
    let text = own_text(probe, length);
    let request = probe.put("/large-update", "");
    (Upload::new(request, &text, SZX), text)
}

fn changed(response: &Received) -> Judged {
    response.code_in(&[Status::CHANGED, Status::CREATED])?;
    Ok(())
}

fn nothing_before_the_last(probe: &mut Probe) -> Judged {
    let before = body_of(probe, "/large-update")?;
    let (upload, text) = upload(probe, 40);
    upload.begin(probe)?;
    let mut other = probe.another()?;
    is_there(&mut other, "/large-update", &before)?;
    changed(&upload.send(probe, upload.last())?)?;
    is_there(&mut other, "/large-update", text.as_bytes())
}

fn fresh_tokens(probe: &mut Probe) -> Judged {
    for fresh in [true, false] {
        let (upload, text) = upload(probe, 60);
        for num in 0..=upload.last() {
            let token = if fresh { probe.fresh_token() } else { Vec::new() };
            let request = upload.block(probe, num).token(&token);
            let response = probe.ask(&request)?;
            if num < upload.last() {
                collected(&response, num, SZX)?;
            } else {
                changed(&response)?;
            }
        }
        is_there(probe, "/large-update", text.as_bytes())?;
    }
    Ok(())
}

fn new_body_replaces_old(probe: &mut Probe) -> Judged {
    let (first, _) = upload(probe, 60);
    first.send_early(probe, 0)?;
    first.send_early(probe, 1)?;
    let (second, text) = upload(probe, 40);
    changed(&second.send_all(probe)?)?;
    is_there(probe, "/large-update", text.as_bytes())?;
    let late = first.send(probe, first.last())?;
    late.code(Status::REQUEST_ENTITY_INCOMPLETE)?;
    is_there(probe, "/large-update", text.as_bytes())
}

fn two_endpoints(probe: &mut Probe) -> Judged {
    let mut other = probe.another()?;
    let (mine, my_text) = upload(probe, 60);
    let (theirs, their_text) = upload(&mut other, 60);
    for num in 0..mine.last() {
        mine.send_early(probe, num)?;
        theirs.send_early(&mut other, num)?;
    }
    changed(&mine.send(probe, mine.last())?)?;
    is_there(probe, "/large-update", my_text.as_bytes())?;
    changed(&theirs.send(&mut other, theirs.last())?)?;
    is_there(probe, "/large-update", their_text.as_bytes())
}

fn two_uris(probe: &mut Probe) -> Judged {
    let mut uploads = Vec::new();
    for uri in ["/large-post?a", "/large-post?b"] {
        let text = own_text(probe, 40);
        let request = probe.post(uri, "");
        uploads.push((Upload::new(request, &text, SZX), text));
    }
    let mut forgotten = false;
    for num in 0..=2 {
        for (upload, text) in &uploads {
            let response = upload.send(probe, num)?;
            if response.status() == Some(Status::REQUEST_ENTITY_INCOMPLETE) {
                forgotten = true;
            } else if num < upload.last() {
                collected(&response, num, SZX)?;
            } else {
                response.code_in(&[Status::CHANGED, Status::CONTENT, Status::CREATED])?;
                response.payload_is(text.to_ascii_uppercase().as_bytes())?;
            }
        }
    }
    if forgotten {
        let what = "the server forgets one body when another begins";
        return Err(Stop::Inconclusive(what.to_owned()));
    }
    Ok(())
}

/// Sends the same datagram twice and takes what comes for each.
fn twice(probe: &mut Probe, message: &Message) -> Judged<Vec<Received>> {
    probe.set_raw(true);
    let mut answers = Vec::new();
    for _ in 0..2 {
        match probe.provoke(&message.to_bytes())? {
            Some(answer) => answers.push(answer),
            None => {
                return Err(Stop::fail(
                    "expected an answer to each copy, but nothing came",
                    "RFC 7252 §4.2",
                ));
            }
        }
    }
    probe.set_raw(false);
    Ok(answers)
}

fn copies_of_blocks(probe: &mut Probe) -> Judged {
    let (upload, text) = upload(probe, 60);
    for num in 0..upload.last() {
        let request = upload.block(probe, num);
        let answers = twice(probe, &request)?;
        if let Some(first) = answers.first() {
            collected(first, num, SZX)?;
        }
    }
    let request = upload.block(probe, upload.last());
    if let Some(first) = twice(probe, &request)?.first() {
        changed(first)?;
    }
    is_there(probe, "/large-update", text.as_bytes())
}

fn copy_of_last_block(probe: &mut Probe) -> Judged {
    let text = own_text(probe, 40);
    let request = probe.post("/large-create", "");
    let upload = Upload::new(request, &text, SZX);
    upload.begin(probe)?;
    let request = upload.block(probe, upload.last());
    let answers = twice(probe, &request)?;
    let [first, second] = answers.as_slice() else {
        return Ok(());
    };
    first.code(Status::CREATED)?;
    let same = second.code == first.code && second.location_path() == first.location_path();
    // It is not needed any more.
    let delete = probe.delete(&first.location_path());
    probe.ask(&delete)?;
    if !same {
        let what = "the copy of the last block is answered otherwise (SHOULD be the same, RFC 7252 §4.5)";
        return Err(Stop::Inconclusive(what.to_owned()));
    }
    Ok(())
}

fn answer_in_blocks(probe: &mut Probe) -> Judged {
    let text = own_text(probe, 200);
    let request = probe.post("/large-post", "");
    let upload = Upload::new(request.clone(), &text, 2);
    upload.begin(probe)?;
    let last = upload.block(probe, upload.last()).block2(0, false, 2);
    let first = probe.ask(&last)?;
    first.code_in(&[Status::CHANGED, Status::CONTENT, Status::CREATED])?;
    let echoes = first
        .block1_value()
        .is_none_or(|block| block.num() == upload.last() && !block.more());
    first.expect(echoes, "Block1 of the last block without M", "RFC 7959 §2.3")?;
    let size = first
        .block2_value()
        .filter(|block| block.num() == 0 && block.szx() <= 2);
    let Some(size) = size else {
        first.expect(false, "Block2 0 of at most 64 bytes", "RFC 7959 §2.7")?;
        return Ok(());
    };
    let mut body = first.payload.clone();
    while body.len() < text.len() {
        let num = u32::try_from(body.len() / size.size()).unwrap_or(u32::MAX);
        let next = request.clone().mid(probe.fresh_mid()).token(&probe.fresh_token());
        let next = probe.ask(&next.block2(num, false, size.szx()))?;
        next.code_in(&[Status::CHANGED, Status::CONTENT, Status::CREATED])?
            .lacks(OptionNumber::BLOCK1)?;
        let given = probe.check_block(&next, num, size.szx())?;
        body.extend_from_slice(&next.payload);
        let more = body.len() < text.len();
        next.expect(given.more() == more, "M but in the last block", "RFC 7959 §2.2")?;
    }
    let whole = body == text.to_ascii_uppercase().as_bytes();
    first.expect(whole, "the body in capitals, block by block", None)?;
    Ok(())
}

/// Sends a PUT in three blocks, the first with If-None-Match.
fn put_if_none_match(probe: &mut Probe, path: &str) -> Judged<(Received, String)> {
    let text = own_text(probe, 40);
    let request = probe.put(path, "");
    let upload = Upload::new(request, &text, SZX);
    let first = upload.block(probe, 0).option(OptionNumber::IF_NONE_MATCH, &[]);
    let mut response = probe.ask(&first)?;
    for num in 1..=upload.last() {
        if response.status() != Some(Status::CONTINUE) {
            break;
        }
        response = upload.send(probe, num)?;
    }
    Ok((response, text))
}

/// The codes that refuse what is sent on a condition that is not met: also by a server that knows no conditions, for
/// their options are critical, or that cannot put together blocks with and without them.
const REFUSED: [Status; 3] = [
    Status::PRECONDITION_FAILED,
    Status::BAD_OPTION,
    Status::REQUEST_ENTITY_INCOMPLETE,
];

fn if_none_match_unmet(probe: &mut Probe) -> Judged {
    let before = body_of(probe, "/validate")?;
    let (response, _) = put_if_none_match(probe, "/validate")?;
    response.code_in(&REFUSED)?;
    is_there(probe, "/validate", &before)
}

fn if_none_match_met(probe: &mut Probe) -> Judged {
    let delete = probe.delete("/create1");
    probe
        .ask(&delete)?
        .code_in(&[Status::DELETED, Status::NOT_FOUND])?;
    let (response, text) = put_if_none_match(probe, "/create1")?;
    if response.status() == Some(Status::BAD_OPTION) {
        return Err(Stop::Skip("the server does not know If-None-Match".to_owned()));
    }
    if response.status() == Some(Status::REQUEST_ENTITY_INCOMPLETE) {
        let what = "the server does not put together blocks with and without If-None-Match";
        return Err(Stop::Inconclusive(what.to_owned()));
    }
    response.code(Status::CREATED)?;
    is_there(probe, "/create1", text.as_bytes())?;
    let delete = probe.delete("/create1");
    probe.ask(&delete)?.code(Status::DELETED)?;
    Ok(())
}

fn if_match(probe: &mut Probe) -> Judged {
    let before = body_of(probe, "/validate")?;
    let text = own_text(probe, 40);
    let request = probe
        .put("/validate", "")
        .option(OptionNumber::IF_MATCH, b"no such!");
    let upload = Upload::new(request, &text, SZX);
    for num in 0..=upload.last() {
        let response = upload.send(probe, num)?;
        if num < upload.last() && response.status() == Some(Status::CONTINUE) {
            continue;
        }
        response.code_in(&REFUSED)?;
        break;
    }
    is_there(probe, "/validate", &before)
}
