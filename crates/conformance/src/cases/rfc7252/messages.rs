//! §4.2 to §4.4: message types and what is rejected.

use coracle_wire::{MessageType, Status};

use super::rejected::{drops, ignores, resets, silence_after};
use crate::case::{Case, server};
use crate::message::Message;
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC7252-4.2-ping",
        "RFC 7252 §4.2, §4.3",
        "An empty confirmable message is rejected with an empty Reset that has its Message ID",
        ping,
    )
    .steps(&["Send an empty CON", "An empty Reset of four bytes with the same Message ID comes"]),
    server(
        "RFC7252-4.2-ack-echoes-mid",
        "RFC 7252 §4.2, §4.4",
        "A confirmable request is acknowledged: its Message ID comes back in an ACK that is empty or has the response",
        ack_echoes_mid,
    )
    .steps(&["Send confirmable requests with several Message IDs", "An ACK with the same Message ID comes for each"]),
    server(
        "RFC7252-4.2-reserved-class-con",
        "RFC 7252 §4.2",
        "A confirmable message with a code of class 1, 6 or 7 is rejected with a Reset",
        reserved_class_con,
    )
    .steps(&["Send CON with codes of the reserved classes and the path of a resource", "A Reset comes for each"]),
    server(
        "RFC7252-4.3-reserved-class-non",
        "RFC 7252 §4.3",
        "A non-confirmable message with a code of class 1, 6 or 7 is rejected",
        reserved_class_non,
    )
    .steps(&["Send NON with codes of the reserved classes and the path of a resource", "A Reset or nothing comes"]),
    server(
        "RFC7252-4.3-empty-non",
        "RFC 7252 §4.3",
        "An empty non-confirmable message is rejected",
        empty_non,
    )
    .steps(&["Send an empty NON", "A Reset or nothing comes"]),
    server(
        "RFC7252-4.2-ack-with-request",
        "RFC 7252 §4.2",
        "An acknowledgement with a request or a reserved code is ignored in silence",
        ack_with_request,
    )
    .steps(&["Send ACK with GET, PUT and codes of the reserved classes", "Nothing comes"])
    .within(60),
    server(
        "RFC7252-4.2-reset-not-empty",
        "RFC 7252 §4.2",
        "A Reset that is not empty is ignored in silence",
        reset_not_empty,
    )
    .steps(&["Send RST with a GET, with a response and with a reserved code", "Nothing comes"]),
    server(
        "RFC7252-4.2-unexpected-ack",
        "RFC 7252 §4.2",
        "Acknowledgements and Resets of nothing are not answered",
        unexpected_ack,
    )
    .steps(&[
        "Send an empty ACK, an empty RST, and ACK with 2.05 and with 4.04, that belong to nothing",
        "Nothing comes",
    ]),
    server(
        "RFC7252-4.2-unexpected-con-response",
        "RFC 7252 §4.2, §5.3.2",
        "A confirmable response that nobody asked for is rejected with a Reset",
        unexpected_con_response,
    )
    .steps(&["Send CON with 2.05, 4.04, 5.03, and response codes that are not registered", "A Reset comes for each"]),
    server(
        "RFC7252-4.3-unexpected-non-response",
        "RFC 7252 §4.3, §5.3.2",
        "A non-confirmable response that nobody asked for is rejected",
        unexpected_non_response,
    )
    .steps(&["Send NON with 2.05, 4.04 and a code that is not registered", "A Reset or nothing comes"]),
    server(
        "RFC7252-4.3-non-not-acknowledged",
        "RFC 7252 §4.3",
        "A non-confirmable request is not acknowledged",
        non_not_acknowledged,
    )
    .steps(&[
        "GET a resource that is there and one that is not, by NON",
        "What comes is CON or NON, no ACK",
    ]),
    server(
        "RFC7252-5.2.3-non-for-non",
        "RFC 7252 §5.2.3",
        "A non-confirmable request is answered by a non-confirmable response",
        non_for_non,
    )
    .steps(&["GET by NON", "The response is NON (SHOULD)"]),
];

/// Behind the header: Uri-Path "test", for those who look at it although they should not.
const TEST: &[u8] = b"\xb4test";

/// As [`TEST`], and a token before it.
const TOKEN_AND_TEST: &[u8] = b"t\xb4test";

/// 1.00, 1.01, 6.00, 6.01, 7.01 and 7.31.
const RESERVED: [u8; 6] = [0x20, 0x21, 0xc0, 0xc1, 0xe1, 0xff];

fn ping(probe: &mut Probe) -> Judged {
    resets(probe, 0x40, 0x00, b"")
}

fn ack_echoes_mid(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    let random = probe.fresh_mid();
    for mid in [random, random ^ 0xff00, random ^ 0x00ff, random ^ 0xffff] {
        let get = probe.get(&target).mid(mid);
        let Some(answer) = probe.demand_reply(&get.to_bytes())? else {
            return Err(Stop::fail("expected an acknowledgement, but nothing came", None));
        };
        answer.is_of(MessageType::Acknowledgement)?;
        answer.expect(answer.mid == mid, format!("Message ID {mid:#06x}"), None)?;
        let holds = answer.code.is_empty() || answer.status().is_some();
        answer.expect(holds, "an acknowledgement that is empty or has a response", None)?;
        if answer.code.is_empty() {
            answer.is_empty_of(MessageType::Acknowledgement, mid)?;
        } else {
            answer.is_piggybacked_on(&get)?;
        }
    }
    Ok(())
}

fn reserved_class_con(probe: &mut Probe) -> Judged {
    for code in RESERVED {
        resets(probe, 0x41, code, TOKEN_AND_TEST)?;
    }
    probe.expect_alive()
}

fn reserved_class_non(probe: &mut Probe) -> Judged {
    for code in RESERVED {
        drops(probe, 0x51, code, TOKEN_AND_TEST)?;
    }
    probe.expect_alive()
}

fn empty_non(probe: &mut Probe) -> Judged {
    drops(probe, 0x50, 0x00, b"")?;
    probe.expect_alive()
}

fn ack_with_request(probe: &mut Probe) -> Judged {
    // GET, PUT, an unknown method, 1.00, 6.01, 7.01.
    for code in [0x01, 0x03, 0x1f, 0x20, 0xc1, 0xe1] {
        ignores(probe, 0x61, code, TOKEN_AND_TEST)?;
    }
    probe.expect_alive()
}

fn reset_not_empty(probe: &mut Probe) -> Judged {
    // GET, 2.05, 4.04, 7.01; the last one with nothing behind the header.
    for code in [0x01, 0x45, 0x84, 0xe1] {
        ignores(probe, 0x70, code, TEST)?;
    }
    ignores(probe, 0x70, 0x01, b"")?;
    probe.expect_alive()
}

fn unexpected_ack(probe: &mut Probe) -> Judged {
    for message_type in [MessageType::Acknowledgement, MessageType::Reset] {
        let empty = Message::empty(message_type, probe.fresh_mid());
        silence_after(probe, &empty.to_bytes(), "RFC 7252 §4.2")?;
    }
    for status in [Status::CONTENT, Status::NOT_FOUND] {
        let ack = Message::new(MessageType::Acknowledgement, status, probe.fresh_mid());
        let ack = ack.token(&probe.fresh_token()).payload(b"who asked?");
        silence_after(probe, &ack.to_bytes(), "RFC 7252 §4.2")?;
    }
    probe.expect_alive()
}

fn unexpected_con_response(probe: &mut Probe) -> Judged {
    // 2.05, 4.04, 5.03; 2.30, 3.01, 4.31 and 5.31 are not registered, but codes of responses all the same (§12.1).
    for code in [0x45, 0x84, 0xa3, 0x5e, 0x61, 0x9f, 0xbf] {
        resets(probe, 0x41, code, b"t\xffpayload")?;
    }
    probe.expect_alive()
}

fn unexpected_non_response(probe: &mut Probe) -> Judged {
    for code in [0x45, 0x84, 0x5e] {
        drops(probe, 0x51, code, b"t\xffpayload")?;
    }
    probe.expect_alive()
}

fn non_not_acknowledged(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    for path in [target.as_str(), "/surely/not/here"] {
        let get = probe.get(path).non();
        // An acknowledgement would come before the response, so that nothing may be skipped.
        if let Some(answer) = probe.provoke(&get.to_bytes())? {
            let acknowledges = answer.message_type == MessageType::Acknowledgement;
            answer.expect(!acknowledges, "no acknowledgement", None)?;
        }
        let get = probe.get(path).non();
        let answer = probe.ask(&get)?;
        let acknowledges = answer.message_type == MessageType::Acknowledgement;
        answer.expect(!acknowledges, "no acknowledgement", None)?;
    }
    Ok(())
}

fn non_for_non(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    let get = probe.get(&target).non();
    let answer = probe.ask(&get)?;
    if answer.message_type != MessageType::NonConfirmable {
        return Err(Stop::Inconclusive(format!(
            "the response to a NON is a {} (SHOULD be NON, RFC 7252 §5.2.3)",
            answer.message_type
        )));
    }
    Ok(())
}
