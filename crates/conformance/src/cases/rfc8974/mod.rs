//! RFC 8974: extended tokens.

use coracle_wire::{MessageType, Status};

use crate::case::{Case, client, server};
use crate::host::Host;
use crate::message::{Message, Received};
use crate::probe::{PATIENCE, Probe};
use crate::template::Stimulus;
use crate::verdict::{Judged, Stop};

/// All, for both roles.
pub(super) fn cases() -> Vec<Case> {
    CASES.to_vec()
}

const CASES: &[Case] = &[
    server(
        "RFC8974-2.1-tkl-15",
        "RFC 8974 §2.1; RFC 7252 §4.2",
        "A confirmable message with the token length 15 is rejected as a format error",
        tkl_15,
    )
    .steps(&[
        "A confirmable GET has 15 as its token length, and enough bytes to be read as any length.",
        "A Reset with its Message ID arrives.",
    ]),
    server(
        "RFC8974-2.1-tkl-15-non",
        "RFC 8974 §2.1; RFC 7252 §4.3",
        "A non-confirmable message with the token length 15 is not served",
        tkl_15_non,
    )
    .steps(&[
        "A non-confirmable GET has 15 as its token length.",
        "Nothing arrives, or a Reset with its Message ID.",
    ]),
    server(
        "RFC8974-2.1-tkl-9-to-12",
        "RFC 8974 §2.1",
        "Tokens of 9 to 12 bytes, whose length stands in the header, are echoed",
        tkl_9_to_12,
    )
    .steps(&[
        "Confirmable GETs have tokens of 9 and of 12 bytes. A Reset means that the server does not know extended tokens.",
        "Each response has the token of its request.",
    ]),
    server(
        "RFC8974-2.1-tkl-13",
        "RFC 8974 §2.1",
        "Tokens whose length takes an extra byte are echoed",
        tkl_13,
    )
    .steps(&[
        "Confirmable GETs have tokens of 13 and of 200 bytes. A Reset means that the server does not know extended tokens.",
        "Each response has the token of its request.",
    ]),
    server(
        "RFC8974-2.2.2-too-long-is-not-rejected",
        "RFC 8974 §2.2.2",
        "A server that knows extended tokens answers a request whose token is too long for it, and does not reject it",
        too_long_is_not_rejected,
    )
    .steps(&[
        "A confirmable GET with a token of 13 bytes shows that the server knows extended tokens.",
        "Confirmable GETs have tokens of 269 and of 1,000 bytes.",
        "Each is answered with its token: with 2.05, 4.00 or 5.03, never with a Reset.",
    ]),
    client(
        "RFC8974-2.1-no-tkl-15",
        "RFC 8974 §2.1",
        "A client never sends the token length 15, and takes its answer by whatever token it chose",
        no_tkl_15,
    )
    .steps(&[
        "The client asks for a resource.",
        "Its request can be read, which one with the token length 15 cannot; the answer with its token is taken.",
    ]),
];

/// Sends a GET with a token of a length, and gives the answer, or nothing if it was rejected.
fn try_token(probe: &mut Probe, length: u8) -> Judged<Option<Received>> {
    let token: Vec<u8> = (1..=length).collect();
    try_long_token(probe, &token)
}

fn try_long_token(probe: &mut Probe, token: &[u8]) -> Judged<Option<Received>> {
    let target = probe.target().to_owned();
    let request = probe.get(&target).token(token);
    probe.send_confirmable(&request);
    let within = probe.answer_time();
    // Whoever does not reject what it does not know breaks RFC 7252 §4.2, which other cases look at.
    let Some(mut answer) = probe.receive(within)? else {
        return Ok(None);
    };
    if answer.message == Message::empty(MessageType::Acknowledgement, request.mid) {
        answer = probe.expect_message(within, "a separate response")?;
    }
    if answer.is_con() {
        probe.acknowledge(&answer);
    }
    if answer.message_type == MessageType::Reset {
        answer.is_empty_of(MessageType::Reset, request.mid)?;
        return Ok(None);
    }
    answer.answers(&request)?;
    Ok(Some(answer))
}

fn not_known() -> Stop {
    Stop::Skip("the server does not know extended tokens".to_owned())
}

/// A GET of `/` whose first byte says type and token length; both ways to read a length find enough bytes.
fn get_with_tkl_15(message_type: u8, mid: u16) -> Vec<u8> {
    let [high, low] = mid.to_be_bytes();
    let mut bytes = vec![0x40 | message_type << 4 | 15, 0x01, high, low];
    bytes.extend([0; 15]);
    bytes
}

fn tkl_15(probe: &mut Probe) -> Judged {
    let mid = probe.fresh_mid();
    match probe.demand(&get_with_tkl_15(0, mid))? {
        Some(reset) => reset.is_empty_of(MessageType::Reset, mid).map(drop),
        None => Err(Stop::fail("expected a Reset, but nothing came", None)),
    }
}

fn tkl_15_non(probe: &mut Probe) -> Judged {
    let mid = probe.fresh_mid();
    if let Some(reset) = probe.provoke(&get_with_tkl_15(1, mid))? {
        reset.is_empty_of(MessageType::Reset, mid)?;
    }
    probe.expect_alive()
}

fn tkl_9_to_12(probe: &mut Probe) -> Judged {
    for length in [9, 12] {
        let answer = try_token(probe, length)?.ok_or_else(not_known)?;
        answer.code_in(&[Status::CONTENT, Status::BAD_REQUEST, Status::SERVICE_UNAVAILABLE])?;
    }
    Ok(())
}

fn tkl_13(probe: &mut Probe) -> Judged {
    for length in [13, 200] {
        let answer = try_token(probe, length)?.ok_or_else(not_known)?;
        answer.code_in(&[Status::CONTENT, Status::BAD_REQUEST, Status::SERVICE_UNAVAILABLE])?;
    }
    Ok(())
}

fn too_long_is_not_rejected(probe: &mut Probe) -> Judged {
    try_token(probe, 13)?.ok_or_else(not_known)?;
    for length in [269, 1000] {
        let Some(answer) = try_long_token(probe, &vec![7; length])? else {
            let what =
                format!("a token of {length} bytes was rejected, as if none of more than 8 were known");
            return Err(Stop::fail(what, None));
        };
        answer.code_in(&[Status::CONTENT, Status::BAD_REQUEST, Status::SERVICE_UNAVAILABLE])?;
    }
    probe.expect_silence(PATIENCE, None)
}

fn no_tkl_15(host: &mut Host) -> Judged {
    host.start(&Stimulus::get("/test"))?;
    let request = host.request()?;
    host.answer_text(&request, "the answer to this token");
    host.finish()?;
    host.expect_shown("the answer to this token")
}
