//! Steps that the cases for clients have in common.
//!
//! A client that waits for its response gets something that it must not take, which says [`WRONG`]; then the response,
//! which says [`RIGHT`].

use std::time::{Duration, Instant};

use coracle_wire::{MessageType, Status};

use crate::host::Host;
use crate::message::{Message, Received};
use crate::probe::PATIENCE;
use crate::template::Stimulus;
use crate::verdict::{Judged, Stop};

/// What no client may show.
pub(super) const WRONG: &str = "the wrong answer";

/// What every client should show.
pub(super) const RIGHT: &str = "the right answer";

/// How often a message is sent until it is replied to.
const TRIES: u32 = 5;

/// How long each time.
const TRY: Duration = Duration::from_secs(2);

/// The first byte of a message with version 1 and this type, without token (RFC 7252 §3).
pub(super) const CON: u8 = 0x40;
pub(super) const NON: u8 = 0x50;
pub(super) const ACK: u8 = 0x60;
pub(super) const RST: u8 = 0x70;

/// A GET that is not answered yet.
pub(super) fn asked(host: &mut Host) -> Judged<Received> {
    let request = host.provoke(&Stimulus::get("/test"))?;
    request.is_of(MessageType::Confirmable)?;
    Ok(request)
}

/// A GET that is acknowledged, so that the client waits for a separate response.
pub(super) fn waiting(host: &mut Host) -> Judged<Received> {
    let request = asked(host)?;
    host.acknowledge(&request);
    Ok(request)
}

/// The response comes, separately: it is acknowledged and shown.
pub(super) fn concludes(host: &mut Host, request: &Received) -> Judged {
    let response = host.separate_to(request, Status::CONTENT).text(RIGHT);
    takes(host, request, &response, RIGHT)
}

/// Nothing of what came before is shown, and the response is taken.
pub(super) fn concludes_untouched(host: &mut Host, request: &Received, section: &'static str) -> Judged {
    not_taken(host, section)?;
    concludes(host, request)?;
    not_taken(host, section)
}

/// As [`concludes_untouched`], for a client that may have given up because of what it got before.
pub(super) fn concludes_if_it_waits(host: &mut Host, request: &Received, section: &'static str) -> Judged {
    host.pause(PATIENCE)?;
    not_taken(host, section)?;
    if host.runs() {
        concludes(host, request)?;
    }
    not_taken(host, section)
}

/// A separate response is acknowledged and shown.
pub(super) fn takes(host: &mut Host, request: &Received, response: &Message, shown: &str) -> Judged {
    host.deliver(request, response)?;
    host.expect_shown(shown)
}

/// Nothing of [`WRONG`] was shown.
pub(super) fn not_taken(host: &mut Host, section: &'static str) -> Judged {
    host.expect_not_shown(WRONG, section)
}

/// A datagram with a fresh Message ID; `first` holds version, type and token length, `rest` is all that follows the
/// Message ID.
pub(super) fn raw(host: &mut Host, first: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    raw_with(host.fresh_mid(), first, code, rest)
}

/// As [`raw`], with any Message ID.
pub(super) fn raw_with(mid: u16, first: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first, code];
    bytes.extend_from_slice(&mid.to_be_bytes());
    bytes.extend_from_slice(rest);
    bytes
}

/// The length of a token, as the first byte has it.
pub(super) fn token_length(token: &[u8]) -> u8 {
    u8::try_from(token.len().min(8)).unwrap_or_default()
}

/// The Message ID of a datagram of ours.
fn mid_of(bytes: &[u8]) -> u16 {
    match bytes {
        [_, _, high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    }
}

/// The next message of the client that is `wanted`, if one comes within this time. Others wait.
fn next(host: &mut Host, within: Duration, wanted: impl Fn(&Message) -> bool) -> Judged<Option<Received>> {
    let until = Instant::now() + within;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let Some(message) = host.receive_new(left)? else {
            return Ok(None);
        };
        if wanted(&message) {
            return Ok(Some(message));
        }
        host.keep(message);
    }
}

/// Sends a datagram that the client replies to, again if need be, and gives the reply.
pub(super) fn replied(host: &mut Host, request: &Received, bytes: &[u8]) -> Judged<Option<Received>> {
    let replies = |message: &Message| {
        let types = [MessageType::Acknowledgement, MessageType::Reset];
        types.contains(&message.message_type) && message.mid == mid_of(bytes)
    };
    for _ in 0..TRIES {
        host.send_bytes(request, bytes);
        if let Some(reply) = next(host, TRY, replies)? {
            return Ok(Some(reply));
        }
    }
    Ok(None)
}

/// A confirmable message is rejected with a matching Reset. One that the lossy gateway took away counts, for a client
/// that has ended because of it cannot repeat it.
pub(super) fn resets(host: &mut Host, request: &Received, bytes: &[u8]) -> Judged {
    let reset = Message::empty(MessageType::Reset, mid_of(bytes));
    if let Some(reply) = replied(host, request, bytes)? {
        reply.is_empty_of(reset.message_type, reset.mid)?;
    } else if host.copies_of(&reset).is_empty() {
        let what = format!("expected a Reset for {}, but nothing came", line(bytes));
        return Err(Stop::fail(what, "RFC 7252 §4.2"));
    }
    Ok(())
}

/// A non-confirmable message is rejected with a Reset or in silence.
pub(super) fn drops(host: &mut Host, request: &Received, bytes: &[u8]) -> Judged {
    if let Some(reply) = answer_to_some(host, request, bytes)? {
        let rejects = reply.message_type == MessageType::Reset;
        reply.expect(rejects, "a Reset or silence", "RFC 7252 §4.3")?;
        reply.is_empty_of(MessageType::Reset, mid_of(bytes))?;
    }
    Ok(())
}

/// Nothing comes back for a message; requests may be repeated.
pub(super) fn ignores(host: &mut Host, request: &Received, bytes: &[u8], section: &'static str) -> Judged {
    if let Some(reply) = answer_to_some(host, request, bytes)? {
        reply.expect(false, format!("silence after {}", line(bytes)), section)?;
    }
    Ok(())
}

/// Sends a message that need not be answered, twice behind the lossy gateway, so that one arrives.
fn answer_to_some(host: &mut Host, request: &Received, bytes: &[u8]) -> Judged<Option<Received>> {
    for _ in 0..if host.is_lossy() { 2 } else { 1 } {
        host.send_bytes(request, bytes);
    }
    next(host, PATIENCE, |message| message.method().is_none())
}

/// The client goes on as if it had got nothing: it sends its request once more.
pub(super) fn goes_on(host: &mut Host, request: &Received) -> Judged {
    let copies = host.copies_of(request).len();
    host.await_copies(request, copies + 1)
}

/// A datagram for people.
fn line(bytes: &[u8]) -> String {
    match Message::parse(bytes) {
        Ok(message) => message.to_string(),
        Err(error) => format!("{} ({error})", crate::transcript::hex(bytes)),
    }
}
