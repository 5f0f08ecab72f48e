//! What the cases for clients have in common: what any request has to be like, and whether there is another one.

use std::time::{Duration, Instant};

use coracle_wire::{OptionNumber, Status};

use crate::cases::plugtest::client_blocks::Large;
use crate::host::Host;
use crate::message::{Message, Received};
use crate::verdict::{Judged, Stop};

/// How long a client may take to go on or to end.
const NEXT: Duration = Duration::from_secs(4);

/// As above, behind the lossy gateway: four transmissions by the default parameters of RFC 7252 §4.8.
const NEXT_LOSSY: Duration = Duration::from_secs(21);

/// How often it is looked whether the command still runs.
const LOOK: Duration = Duration::from_millis(100);

/// How many blocks are handed out to a client that goes on after a fault.
const MOST_BLOCKS: usize = 60;

/// A representation in blocks of at most 64 bytes.
pub(super) fn large<'a>(text: &'a str, etag: &'a [u8]) -> Large<'a> {
    Large {
        code: Status::CONTENT,
        text,
        etag,
        szx: 2,
    }
}

/// The next request, or nothing if the command ends or does not go on.
pub(super) fn next_if_any(host: &mut Host) -> Judged<Option<Received>> {
    let until = Instant::now() + if host.is_lossy() { NEXT_LOSSY } else { NEXT };
    while Instant::now() < until {
        let ended = !host.runs();
        match host.receive(LOOK)? {
            Some(message) if message.method().is_some() => return Ok(Some(message)),
            Some(_) => {}
            // What it sent before it ended still lay in the socket.
            None if ended => return Ok(None),
            None => {}
        }
    }
    Ok(None)
}

/// The request for a further block.
pub(super) fn next(host: &mut Host) -> Judged<Received> {
    let request = host.request()?;
    request.has(OptionNumber::BLOCK2)?;
    Ok(request)
}

/// Answers a request with the block that it asks for.
pub(super) fn give(host: &mut Host, request: &Received, large: &Large<'_>) {
    let (num, szx) = request.block2_value().map_or((0, large.szx), |asked| {
        let szx = asked.szx().min(large.szx);
        (asked.num() << (asked.szx() - szx), szx)
    });
    let response = host.response_to(request, large.code);
    let response = large.block(response, num, szx);
    host.answer(request, &response);
}

/// Gives the client what it asks for, until it has had enough, and ends it.
pub(super) fn go_on(host: &mut Host, large: &Large<'_>) -> Judged {
    for _ in 0..MOST_BLOCKS {
        let Some(request) = next_if_any(host)? else {
            break;
        };
        give(host, &request, large);
    }
    host.end();
    Ok(())
}

/// All requests so far, each once: which record it is, and the message.
pub(super) fn requests(host: &Host) -> Vec<(usize, Message)> {
    let records = host.frame().transcript.records();
    let mut requests: Vec<(usize, Message)> = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let Ok(message) = Message::parse(&record.bytes) else {
            continue;
        };
        let known = requests.iter().any(|(_, known)| *known == message);
        if !record.by_judge && !known && message.method().is_some() {
            requests.push((index, message));
        }
    }
    requests
}

/// All requests so far have the form that §2.1, §2.2, §2.3 and §4 demand.
pub(super) fn well_formed(host: &Host) -> Judged {
    for (index, request) in requests(host) {
        if let Some((expected, section)) = fault(&request) {
            let what = format!("expected {expected}, but got {request}");
            return Err(Stop::fail_at(index, what, section));
        }
    }
    Ok(())
}

/// What a request should be like and is not.
fn fault(request: &Message) -> Option<(&'static str, &'static str)> {
    let options = request.options.as_options();
    let twice = |number| options.get_all(number).nth(1).is_some();
    if twice(OptionNumber::BLOCK1) || twice(OptionNumber::BLOCK2) {
        return Some(("no Block option twice", "RFC 7959 §2.1"));
    }
    if twice(OptionNumber::SIZE1) || twice(OptionNumber::SIZE2) {
        return Some(("no Size option twice", "RFC 7959 §4"));
    }
    for block in [options.block1(), options.block2()].into_iter().flatten() {
        if !block.is_ok_and(|block| block.szx() < 7) {
            return Some(("a block size that is not reserved", "RFC 7959 §2.2"));
        }
    }
    if request.block2_value().is_some_and(|block| block.more()) {
        return Some(("Block2 with an M bit of zero", "RFC 7959 §2.4, §2.3, §2.2"));
    }
    if request
        .options
        .get_uint(OptionNumber::SIZE2)
        .is_some_and(|size| size != 0)
    {
        return Some(("Size2 0", "RFC 7959 §4"));
    }
    let full = |block: coracle_wire::BlockOption| !block.more() || request.payload.len() == block.size();
    if !request.block1_value().is_none_or(full) {
        return Some(("a payload of the size that SZX says", "RFC 7959 §2.3"));
    }
    None
}
