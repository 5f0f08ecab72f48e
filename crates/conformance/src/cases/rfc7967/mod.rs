//! RFC 7967: No-Response.

use coracle_wire::{MessageType, OptionNumber, Status};

use crate::case::{Case, server};
use crate::message::Message;
use crate::probe::{PATIENCE, Probe};
use crate::verdict::{Judged, Stop};

/// All, for both roles.
pub(super) fn cases() -> Vec<Case> {
    CASES.to_vec()
}

const CASES: &[Case] = &[
    server(
        "RFC7967-2.1-wanted-success",
        "RFC 7967 §2.1",
        "A success is sent to a client that wants to hear of successes only",
        wanted_success,
    )
    .steps(&[
        "A non-confirmable GET with No-Response 24 (neither 4.xx nor 5.xx) asks for a resource that is there.",
        "Its 2.05 arrives.",
    ]),
    server(
        "RFC7967-2.1-wanted-error",
        "RFC 7967 §2.1",
        "An error is sent to a client that wants to hear of errors only",
        wanted_error,
    )
    .steps(&[
        "A non-confirmable GET with No-Response 2 (no 2.xx) asks for a resource that is not there.",
        "Its 4.04 arrives.",
    ]),
    server(
        "RFC7967-2.1-empty-value",
        "RFC 7967 §2.1",
        "No-Response with an empty value leaves all responses wanted",
        empty_value,
    )
    .steps(&[
        "A non-confirmable GET with an empty No-Response asks for a resource that is there.",
        "Its 2.05 arrives.",
    ]),
    server(
        "RFC7967-2.1-unwanted-success",
        "RFC 7967 §2.1",
        "A response of a class that is not wanted is kept back",
        unwanted_success,
    )
    .steps(&[
        "A non-confirmable GET with No-Response 2 (no 2.xx) asks for a resource that is there.",
        "Nothing arrives. A server that does not know the option may answer: then the case is skipped.",
    ]),
    server(
        "RFC7967-2-still-acknowledged",
        "RFC 7967 §2; RFC 7252 §4.2",
        "A confirmable request whose response is not wanted is acknowledged all the same",
        still_acknowledged,
    )
    .steps(&[
        "A confirmable GET has No-Response 26 (no response at all).",
        "An acknowledgement with its Message ID arrives, empty or with the response.",
    ]),
    server(
        "RFC7967-2-value-of-two-bytes",
        "RFC 7967 §2; RFC 7252 §5.4.1, §5.4.3",
        "No-Response with more than one byte is ignored, as an elective option that is not understood",
        value_of_two_bytes,
    )
    .steps(&[
        "A non-confirmable GET has a No-Response of two bytes.",
        "Its 2.05 arrives.",
    ]),
];

/// Not interested in 2.xx.
const NO_SUCCESS: u64 = 2;

/// Not interested in 4.xx and 5.xx.
const NO_ERROR: u64 = 8 + 16;

fn answers_all() -> Stop {
    Stop::Skip("the server does not know No-Response".to_owned())
}

fn get(probe: &mut Probe) -> Message {
    let target = probe.target().to_owned();
    probe.get(&target)
}

fn wanted_success(probe: &mut Probe) -> Judged {
    let request = get(probe).non().uint(OptionNumber::NO_RESPONSE, NO_ERROR);
    probe.ask(&request)?.code(Status::CONTENT)?;
    Ok(())
}

fn wanted_error(probe: &mut Probe) -> Judged {
    let request = probe
        .get("/no-such-resource")
        .non()
        .uint(OptionNumber::NO_RESPONSE, NO_SUCCESS);
    probe.ask(&request)?.code(Status::NOT_FOUND)?;
    Ok(())
}

fn empty_value(probe: &mut Probe) -> Judged {
    let request = get(probe).non().option(OptionNumber::NO_RESPONSE, b"");
    probe.ask(&request)?.code(Status::CONTENT)?;
    Ok(())
}

fn unwanted_success(probe: &mut Probe) -> Judged {
    let request = get(probe).non().uint(OptionNumber::NO_RESPONSE, NO_SUCCESS);
    match probe.provoke(&request.to_bytes())? {
        None => Ok(()),
        Some(response)
            if response.answers(&request).is_ok() && response.status() == Some(Status::CONTENT) =>
        {
            Err(answers_all())
        }
        Some(other) => other
            .expect(false, "silence, or the 2.05 of a server that ignores it", None)
            .map(drop),
    }
}

fn still_acknowledged(probe: &mut Probe) -> Judged {
    let request = get(probe).uint(OptionNumber::NO_RESPONSE, NO_SUCCESS + NO_ERROR);
    probe.send_confirmable(&request);
    let within = probe.answer_time();
    let acknowledgement = probe.expect_message(within, "an acknowledgement")?;
    if acknowledgement.is_con() {
        // It overtook its acknowledgement, or the lossy gateway has that: the response acknowledges as well.
        acknowledgement.answers(&request)?;
        probe.acknowledge(&acknowledgement);
        return Err(answers_all());
    }
    let is_it =
        acknowledgement.message_type == MessageType::Acknowledgement && acknowledgement.mid == request.mid;
    acknowledgement.expect(
        is_it,
        "an acknowledgement with the Message ID of the request",
        "RFC 7252 §4.2",
    )?;
    if acknowledgement.code.is_empty()
        && let Some(response) = probe.receive(PATIENCE)?
    {
        response.code(Status::CONTENT)?.answers(&request)?;
        return Err(answers_all());
    }
    Ok(())
}

fn value_of_two_bytes(probe: &mut Probe) -> Judged {
    let request = get(probe).non().option(OptionNumber::NO_RESPONSE, &[0, 2]);
    probe.ask(&request)?.code(Status::CONTENT)?;
    Ok(())
}
