//! TD_COAP_CORE for servers.

use coracle_wire::{MessageType, OptionNumber, Status};

use crate::case::{Case, Judge};
use crate::message::Message;
use crate::plugtests::plugtest;
use crate::probe::Probe;
use crate::verdict::Judged;

/// The cases.
pub(super) const CASES: &[Case] = &[
    plugtest("TD_COAP_CORE_01", Judge::Server(core_01)).needs(&["/test"]),
    plugtest("TD_COAP_CORE_31", Judge::Server(core_31)),
];

fn core_01(probe: &mut Probe) -> Judged {
    let request = probe.get("/test");
    let response = probe.ask(&request)?;
    response.code(Status::CONTENT)?.is_piggybacked_on(&request)?;
    response.has(OptionNumber::CONTENT_FORMAT)?.has_payload()?;
    Ok(())
}

fn core_31(probe: &mut Probe) -> Judged {
    let ping = Message::empty(MessageType::Confirmable, probe.fresh_mid());
    let Some(pong) = probe.provoke(&ping.to_bytes())? else {
        return Err(crate::verdict::Stop::fail(
            "expected a Reset, but nothing came",
            "RFC 7252 §4.3",
        ));
    };
    pong.is_empty_of(MessageType::Reset, ping.mid)?;
    Ok(())
}
