//! Datagrams that are not messages (§3, §3.1, §4.1). As a confirmable response they are rejected with a Reset, as a
//! non-confirmable one with a Reset or in silence, and as an acknowledgement in silence, so that the request is
//! repeated (§4.2, §4.3).

use super::steps::{
    ACK, CON, NON, RST, WRONG, asked, concludes, concludes_untouched, drops, goes_on, ignores, raw, raw_with,
    resets, token_length,
};
use crate::case::{Case, client};
use crate::host::Host;
use crate::message::Received;
use crate::verdict::Judged;

/// The cases.
pub(super) const CASES: &[Case] = &[
    client(
        "RFC7252-3-version",
        "RFC 7252 §3",
        "A message with another version than 1 is ignored in silence",
        version,
    )
    .within(60)
    .steps(&[
        "The client GETs, and gets the response with version 0, 2 and 3: in the acknowledgement, by CON and by NON.",
        "No acknowledgement and no Reset comes, and the request again; the response with version 1 is taken.",
    ]),
    malformed(
        "RFC7252-3-token-length-15",
        "RFC 7252 §3, §4.2, §4.3",
        "A token length of 15 is a message format error",
        token_length_15,
    ),
    client(
        "RFC7252-3-token-length-9",
        "RFC 7252 §3, §4.2, §4.3; RFC 8974 §2.1",
        "A response with a token of nine bytes, which nobody sent, is rejected",
        token_length_9,
    )
    .within(60)
    .steps(&[
        "The client GETs, and gets a response with a token of nine bytes in the acknowledgement, to which nothing comes.",
        "It gets one by CON, which it rejects with a Reset, and one by NON, with a Reset or in silence.",
        "It shows none of them; the response that follows is taken.",
    ]),
    malformed(
        "RFC7252-3-token-truncated",
        "RFC 7252 §3, §4.2, §4.3",
        "A message that ends within its token is malformed",
        token_truncated,
    ),
    malformed(
        "RFC7252-3-marker-without-payload",
        "RFC 7252 §3, §4.2, §4.3",
        "A payload marker with nothing behind it is a message format error",
        marker_without_payload,
    ),
    malformed(
        "RFC7252-3.1-option-delta-15",
        "RFC 7252 §3.1, §4.2, §4.3",
        "An option delta of 15 that is no payload marker is a message format error",
        delta_15,
    ),
    malformed(
        "RFC7252-3.1-option-length-15",
        "RFC 7252 §3.1, §4.2, §4.3",
        "An option length of 15 is a message format error",
        length_15,
    ),
    malformed(
        "RFC7252-3.1-option-truncated",
        "RFC 7252 §3.1, §4.2, §4.3",
        "An option that runs over the end of the datagram is malformed",
        option_truncated,
    ),
    client(
        "RFC7252-4.1-empty-with-bytes",
        "RFC 7252 §4.1, §4.2, §4.3",
        "An empty message with bytes behind its Message ID is a message format error",
        empty_with_bytes,
    )
    .within(90)
    .steps(&[
        "The client GETs, and gets an acknowledgement and a Reset that are empty but for a token and a payload.",
        "It sends the request again each time, as if they had not come.",
        "It gets such a message by CON, which it rejects with a Reset, and by NON.",
        "The response is taken.",
    ]),
];

/// A case about one form that is malformed.
const fn malformed(
    id: &'static str,
    references: &'static str,
    objective: &'static str,
    judge: fn(&mut Host) -> Judged,
) -> Case {
    client(id, references, objective, judge).within(60).steps(&[
        "The client GETs, and gets such a response in the acknowledgement, which it ignores: it sends the request again.",
        "It gets one by CON, which it rejects with a Reset, and one by NON, with a Reset or in silence.",
        "It shows none of them; the response that follows is taken.",
    ])
}

/// 2.05 (Content).
const CONTENT: u8 = 0x45;

/// The request is answered with a malformed response in each way, and then with a proper one. `form` makes the token
/// length and what follows the Message ID out of the client's token.
fn rejects(host: &mut Host, form: impl Fn(&[u8]) -> (u8, Vec<u8>)) -> Judged {
    let request = asked(host)?;
    let (length, rest) = form(&request.token);
    let piggybacked = raw_with(request.mid, ACK | length, CONTENT, &rest);
    ignored_as_reply(host, &request, &piggybacked)?;
    host.acknowledge(&request);
    rejects_separately(host, &request, length, &rest)
}

/// As [`rejects`], once the request is acknowledged.
fn rejects_separately(host: &mut Host, request: &Received, length: u8, rest: &[u8]) -> Judged {
    let confirmable = raw(host, CON | length, CONTENT, rest);
    resets(host, request, &confirmable)?;
    let non_confirmable = raw(host, NON | length, CONTENT, rest);
    drops(host, request, &non_confirmable)?;
    concludes_untouched(host, request, "RFC 7252 §4.2")
}

/// An acknowledgement or Reset is ignored: nothing comes back, and the request comes again.
fn ignored_as_reply(host: &mut Host, request: &Received, bytes: &[u8]) -> Judged {
    ignores(host, request, bytes, "RFC 7252 §4.2")?;
    goes_on(host, request)
}

/// A payload with its marker.
fn payload() -> Vec<u8> {
    [b"\xff", WRONG.as_bytes()].concat()
}

/// As [`rejects`], where these bytes stand behind the client's token.
fn rejects_behind_token(host: &mut Host, bytes: &[u8]) -> Judged {
    rejects(host, |token| (token_length(token), [token, bytes].concat()))
}

fn version(host: &mut Host) -> Judged {
    let request = asked(host)?;
    let rest = [&request.token[..], &payload()].concat();
    let length = token_length(&request.token);
    for version in [0x00, 0x80, 0xc0] {
        // The type and the token length stay, the two bits of the version are others.
        let first = |message_type: u8| version | (message_type & 0x3f) | length;
        let piggybacked = raw_with(request.mid, first(ACK), CONTENT, &rest);
        ignores(host, &request, &piggybacked, "RFC 7252 §3")?;
    }
    goes_on(host, &request)?;
    host.acknowledge(&request);
    for version in [0x00, 0x80, 0xc0] {
        for message_type in [CON, NON] {
            let first = version | (message_type & 0x3f) | length;
            let separate = raw(host, first, CONTENT, &rest);
            ignores(host, &request, &separate, "RFC 7252 §3")?;
        }
    }
    concludes_untouched(host, &request, "RFC 7252 §3")
}

fn token_length_15(host: &mut Host) -> Judged {
    rejects(host, |token| (15, [padded(token, 15), payload()].concat()))
}

/// A client that knows extended tokens reads it, and may take the acknowledgement for one without a response.
fn token_length_9(host: &mut Host) -> Judged {
    let request = asked(host)?;
    let rest = [padded(&request.token, 9), payload()].concat();
    let piggybacked = raw_with(request.mid, ACK | 9, CONTENT, &rest);
    ignores(host, &request, &piggybacked, "RFC 7252 §4.2")?;
    host.acknowledge(&request);
    rejects_separately(host, &request, 9, &rest)
}

/// The token, with zeros behind it.
fn padded(token: &[u8], length: usize) -> Vec<u8> {
    let mut token = token.to_vec();
    token.resize(length, 0);
    token
}

fn token_truncated(host: &mut Host) -> Judged {
    rejects(host, |token| (8, token.iter().copied().take(3).collect()))
}

fn marker_without_payload(host: &mut Host) -> Judged {
    // Content-Format 0 and the marker.
    rejects_behind_token(host, b"\xc0\xff")
}

fn delta_15(host: &mut Host) -> Judged {
    rejects_behind_token(host, &[b"\xf0", &payload()[..]].concat())
}

fn length_15(host: &mut Host) -> Judged {
    // An ETag that says it has a length of 15, and has.
    rejects_behind_token(host, &[b"\x4f123456789012345", &payload()[..]].concat())
}

fn option_truncated(host: &mut Host) -> Judged {
    // A Content-Format of two bytes, of which one is there.
    rejects_behind_token(host, b"\xc2\x00")
}

fn empty_with_bytes(host: &mut Host) -> Judged {
    const EMPTY: u8 = 0;
    let request = asked(host)?;
    let rest = [b"\x01", &payload()[..]].concat();
    for first in [ACK | 1, RST | 1] {
        let reply = raw_with(request.mid, first, EMPTY, &rest);
        ignored_as_reply(host, &request, &reply)?;
    }
    host.acknowledge(&request);
    let confirmable = raw(host, CON | 1, EMPTY, &rest);
    resets(host, &request, &confirmable)?;
    let non_confirmable = raw(host, NON | 1, EMPTY, &rest);
    drops(host, &request, &non_confirmable)?;
    concludes(host, &request)
}
