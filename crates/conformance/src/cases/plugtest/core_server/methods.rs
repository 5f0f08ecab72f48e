//! GET, DELETE, PUT and POST of `/test`, confirmable and not, and tokens.

use coracle_wire::{MessageType, OptionNumber, Status};

use crate::message::{Message, Received};
use crate::probe::Probe;
use crate::verdict::Judged;

use super::super::server_steps::{formatted, offered};

pub(super) fn core_01(probe: &mut Probe) -> Judged {
    let request = probe.get("/test");
    got(probe, &request)
}

pub(super) fn core_02(probe: &mut Probe) -> Judged {
    let request = probe.delete("/test");
    deleted(probe, &request)?.is_piggybacked_on(&request)?;
    Ok(())
}

pub(super) fn core_03(probe: &mut Probe) -> Judged {
    let request = probe.put("/test", "TD_COAP_CORE_03");
    let response = changed(probe, &request, "PUT of /test")?;
    take_away(probe, &response)?;
    response.is_piggybacked_on(&request)?;
    Ok(())
}

/// What the PUT has made was not there before, and other cases must not find it.
fn take_away(probe: &mut Probe, response: &Received) -> Judged {
    if response.status() == Some(Status::CREATED) {
        let delete = probe.delete("/test");
        probe.ask(&delete)?;
    }
    Ok(())
}

pub(super) fn core_04(probe: &mut Probe) -> Judged {
    let request = probe.post("/test", "TD_COAP_CORE_04");
    changed(probe, &request, "POST to /test")?.is_piggybacked_on(&request)?;
    Ok(())
}

pub(super) fn core_05(probe: &mut Probe) -> Judged {
    let request = probe.get("/test").non();
    let response = probe.ask(&request)?;
    response.code(Status::CONTENT)?.answers(&request)?;
    response.is_of(MessageType::NonConfirmable)?;
    response.has(OptionNumber::CONTENT_FORMAT)?;
    Ok(())
}

pub(super) fn core_06(probe: &mut Probe) -> Judged {
    let request = probe.delete("/test").non();
    deleted(probe, &request)?.is_of(MessageType::NonConfirmable)?;
    Ok(())
}

pub(super) fn core_07(probe: &mut Probe) -> Judged {
    let request = probe.put("/test", "TD_COAP_CORE_07").non();
    let response = changed(probe, &request, "PUT of /test")?;
    take_away(probe, &response)?;
    response.is_of(MessageType::NonConfirmable)?;
    Ok(())
}

pub(super) fn core_08(probe: &mut Probe) -> Judged {
    let request = probe.post("/test", "TD_COAP_CORE_08").non();
    changed(probe, &request, "POST to /test")?.is_of(MessageType::NonConfirmable)?;
    Ok(())
}

/// The longest token.
pub(super) fn core_10(probe: &mut Probe) -> Judged {
    let request = probe.get("/test").token(b"\x00\x01token\xff");
    got(probe, &request)
}

pub(super) fn core_12(probe: &mut Probe) -> Judged {
    let request = probe.get("/test").token(b"");
    got(probe, &request)
}

/// The request is lost, and so is the response to its copy; that the response comes in the end shows that the server
/// repeats it.
pub(super) fn core_15(probe: &mut Probe) -> Judged {
    probe.lose(1, 1);
    let request = probe.get("/test");
    got(probe, &request)
}

fn got(probe: &mut Probe, request: &Message) -> Judged {
    let response = probe.ask(request)?;
    response.code(Status::CONTENT)?.is_piggybacked_on(request)?;
    response.has(OptionNumber::CONTENT_FORMAT)?.has_payload()?;
    Ok(())
}

/// Deletes `/test`, which is made again if it is really gone: others want it.
fn deleted(probe: &mut Probe, request: &Message) -> Judged<Received> {
    let response = offered(probe.ask(request)?, "DELETE of /test")?;
    response.code(Status::DELETED)?.answers(request)?;
    formatted(&response)?;
    let get = probe.get("/test");
    if probe.ask(&get)?.status() == Some(Status::NOT_FOUND) {
        let put = probe.put("/test", "made again");
        probe.ask(&put)?;
    }
    Ok(response)
}

fn changed(probe: &mut Probe, request: &Message, what: &str) -> Judged<Received> {
    let response = offered(probe.ask(request)?, what)?;
    response
        .code_in(&[Status::CHANGED, Status::CREATED])?
        .answers(request)?;
    formatted(&response)?;
    Ok(response)
}
