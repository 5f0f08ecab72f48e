//! What a client does with messages that are no responses to it (§4.2, §4.3).

use coracle_wire::{MessageType, Method, OptionNumber};

use super::steps::{
    ACK, CON, NON, RST, asked, concludes, concludes_untouched, drops, ignores, raw, raw_with, replied,
    resets, token_length, waiting,
};
use crate::case::{Case, client};
use crate::host::Host;
use crate::message::Message;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    client(
        "RFC7252-4.2-ping",
        "RFC 7252 §4.2, §4.1, §4.4",
        "A client answers an empty confirmable message with an empty Reset that has its Message ID",
        ping,
    )
    .steps(&[
        "The client GETs, and gets an empty acknowledgement, then an empty confirmable message.",
        "A Reset of four bytes with its Message ID comes; the response that follows is taken.",
    ]),
    client(
        "RFC7252-4.2-request-to-a-client",
        "RFC 7252 §4.2",
        "A confirmable request to a client is acknowledged or rejected",
        request_to_a_client,
    )
    .steps(&[
        "The client GETs, and gets a confirmable GET from the server while it waits.",
        "A Reset comes, or an acknowledgement that is empty or has a response.",
    ]),
    client(
        "RFC7252-4.3-empty-non",
        "RFC 7252 §4.3",
        "An empty non-confirmable message is rejected with a Reset or in silence",
        empty_non,
    )
    .steps(&[
        "The client GETs, and gets an empty non-confirmable message while it waits.",
        "A Reset comes, or nothing; the response that follows is taken.",
    ]),
    client(
        "RFC7252-4.2-reserved-class-con",
        "RFC 7252 §4.2",
        "A confirmable message of a reserved class is rejected with a Reset",
        reserved_class_con,
    )
    .within(60)
    .steps(&[
        "The client GETs, and gets confirmable messages of class 1, 6 and 7 with its token.",
        "A Reset comes for each, and none is shown; the response that follows is taken.",
    ]),
    client(
        "RFC7252-4.3-reserved-class-non",
        "RFC 7252 §4.3",
        "A non-confirmable message of a reserved class is rejected with a Reset or in silence",
        reserved_class_non,
    )
    .steps(&[
        "The client GETs, and gets non-confirmable messages of class 1, 6 and 7 with its token.",
        "A Reset comes for each, or nothing, and none is shown; the response that follows is taken.",
    ]),
    client(
        "RFC7252-4.2-ack-of-reserved-class",
        "RFC 7252 §4.2",
        "An acknowledgement of a reserved class is ignored in silence",
        ack_of_reserved_class,
    )
    .within(60)
    .steps(&[
        "The client GETs, and gets acknowledgements of class 1, 6 and 7 with its Message ID and token.",
        "Nothing comes back, and none is shown; the response that follows is taken.",
    ]),
    client(
        "RFC7252-4.2-ack-with-request",
        "RFC 7252 §4.2",
        "An acknowledgement that carries a request is ignored in silence",
        ack_with_request,
    )
    .within(60)
    .steps(&[
        "The client GETs, and gets an acknowledgement with its Message ID and token whose code is GET.",
        "Nothing comes back, and none is shown; the response that follows is taken.",
    ]),
    client(
        "RFC7252-4.2-unexpected-replies",
        "RFC 7252 §4.2",
        "Acknowledgements and Resets that nobody waits for are not answered",
        unexpected_replies,
    )
    .steps(&[
        "The client GETs, and gets an empty acknowledgement, one with a response and a Reset, all with Message IDs and \
         tokens that it has not sent.",
        "Nothing comes back; the response that follows is taken.",
    ]),
];

/// 0.01 and 2.05.
const GET: u8 = 0x01;
const CONTENT: u8 = 0x45;

/// Classes whose messages are rejected (RFC 7252 §4.2), as the bits of the code.
const RESERVED: [u8; 3] = [1 << 5, 6 << 5, 7 << 5];

fn payload(token: &[u8]) -> Vec<u8> {
    [token, b"\xff", super::steps::WRONG.as_bytes()].concat()
}

fn ping(host: &mut Host) -> Judged {
    let request = waiting(host)?;
    let ping = raw(host, CON, 0, b"");
    resets(host, &request, &ping)?;
    concludes(host, &request)
}

fn request_to_a_client(host: &mut Host) -> Judged {
    let request = waiting(host)?;
    let get = Message::new(MessageType::Confirmable, Method::GET, host.fresh_mid());
    let get = get.token(b"\x5a\x01").option(OptionNumber::URI_PATH, b"test");
    let Some(reply) = replied(host, &request, &get.to_bytes())? else {
        let what = "expected an acknowledgement or a Reset, but nothing came";
        return Err(Stop::fail(what, None));
    };
    if reply.message_type == MessageType::Reset || reply.code.is_empty() {
        reply.is_empty_of(reply.message_type, get.mid)?;
    } else {
        reply.is_piggybacked_on(&get)?;
    }
    concludes(host, &request)
}

fn empty_non(host: &mut Host) -> Judged {
    let request = waiting(host)?;
    let empty = raw(host, NON, 0, b"");
    drops(host, &request, &empty)?;
    concludes(host, &request)
}

fn reserved_class_con(host: &mut Host) -> Judged {
    let request = waiting(host)?;
    for code in RESERVED {
        let first = CON | token_length(&request.token);
        let message = raw(host, first, code, &payload(&request.token));
        resets(host, &request, &message)?;
    }
    concludes_untouched(host, &request, "RFC 7252 §4.2")
}

fn reserved_class_non(host: &mut Host) -> Judged {
    let request = waiting(host)?;
    for code in RESERVED {
        let first = NON | token_length(&request.token);
        let message = raw(host, first, code, &payload(&request.token));
        drops(host, &request, &message)?;
    }
    concludes_untouched(host, &request, "RFC 7252 §4.3")
}

fn ack_of_reserved_class(host: &mut Host) -> Judged {
    acks_ignored(host, &RESERVED)
}

fn ack_with_request(host: &mut Host) -> Judged {
    acks_ignored(host, &[GET])
}

/// Acknowledgements with these codes, which look like responses otherwise, change nothing.
fn acks_ignored(host: &mut Host, codes: &[u8]) -> Judged {
    let request = asked(host)?;
    for code in codes {
        let first = ACK | token_length(&request.token);
        let message = raw_with(request.mid, first, *code, &payload(&request.token));
        ignores(host, &request, &message, "RFC 7252 §4.2")?;
    }
    host.acknowledge(&request);
    concludes_untouched(host, &request, "RFC 7252 §4.2")
}

fn unexpected_replies(host: &mut Host) -> Judged {
    let request = waiting(host)?;
    // No MID of ours is one of the client's: its own is left out by the distance.
    let mid = request.mid.wrapping_add(0x4000);
    let forms = [
        raw_with(mid, ACK, 0, b""),
        raw_with(mid.wrapping_add(1), ACK | 2, CONTENT, &payload(b"\x5a\x02")),
        raw_with(mid.wrapping_add(2), RST, 0, b""),
    ];
    for message in forms {
        ignores(host, &request, &message, "RFC 7252 §4.2")?;
    }
    concludes_untouched(host, &request, "RFC 7252 §4.2")
}
