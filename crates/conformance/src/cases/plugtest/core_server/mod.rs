//! TD_COAP_CORE for servers.

mod conditions;
mod methods;
mod options;
mod separate;

use crate::case::{Case, Judge};
use crate::message::Message;
use crate::plugtests::plugtest;
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};
use coracle_wire::MessageType;

/// The cases. What changes `/test` is alone with it, so that the others find it.
pub(super) const CASES: &[Case] = &[
    plugtest("TD_COAP_CORE_01", Judge::Server(methods::core_01))
        .needs(&["/test"])
        .shares(&["/test"]),
    plugtest("TD_COAP_CORE_02", Judge::Server(methods::core_02))
        .needs(&["/test"])
        .locks(&["/test"]),
    plugtest("TD_COAP_CORE_03", Judge::Server(methods::core_03)).locks(&["/test"]),
    plugtest("TD_COAP_CORE_04", Judge::Server(methods::core_04))
        .needs(&["/test"])
        .locks(&["/test"]),
    plugtest("TD_COAP_CORE_05", Judge::Server(methods::core_05))
        .needs(&["/test"])
        .shares(&["/test"]),
    plugtest("TD_COAP_CORE_06", Judge::Server(methods::core_06))
        .needs(&["/test"])
        .locks(&["/test"]),
    plugtest("TD_COAP_CORE_07", Judge::Server(methods::core_07)).locks(&["/test"]),
    plugtest("TD_COAP_CORE_08", Judge::Server(methods::core_08))
        .needs(&["/test"])
        .locks(&["/test"]),
    plugtest("TD_COAP_CORE_09", Judge::Server(separate::core_09)).needs(&["/separate"]),
    plugtest("TD_COAP_CORE_10", Judge::Server(methods::core_10))
        .needs(&["/test"])
        .shares(&["/test"]),
    plugtest("TD_COAP_CORE_11", Judge::Server(separate::core_11)).needs(&["/separate"]),
    plugtest("TD_COAP_CORE_12", Judge::Server(methods::core_12))
        .needs(&["/test"])
        .shares(&["/test"]),
    plugtest("TD_COAP_CORE_13", Judge::Server(options::core_13)).needs(&["/seg1/seg2/seg3"]),
    plugtest("TD_COAP_CORE_14", Judge::Server(options::core_14)).needs(&["/query"]),
    plugtest("TD_COAP_CORE_15", Judge::Server(methods::core_15))
        .needs(&["/test"])
        .shares(&["/test"])
        .within(60),
    plugtest("TD_COAP_CORE_16", Judge::Server(separate::core_16))
        .needs(&["/separate"])
        .within(120),
    plugtest("TD_COAP_CORE_17", Judge::Server(separate::core_17)).needs(&["/separate"]),
    plugtest("TD_COAP_CORE_18", Judge::Server(options::core_18))
        .needs(&["/test"])
        .locks(&["/test"]),
    plugtest("TD_COAP_CORE_19", Judge::Server(options::core_19)).needs(&["/location-query"]),
    plugtest("TD_COAP_CORE_20", Judge::Server(options::core_20)).needs(&["/multi-format"]),
    plugtest("TD_COAP_CORE_21", Judge::Server(conditions::core_21))
        .needs(&["/validate"])
        .locks(&["/validate"]),
    plugtest("TD_COAP_CORE_22", Judge::Server(conditions::core_22))
        .needs(&["/validate"])
        .locks(&["/validate"]),
    plugtest("TD_COAP_CORE_23", Judge::Server(conditions::core_23)).locks(&["/create1"]),
    plugtest("TD_COAP_CORE_31", Judge::Server(core_31)),
];

fn core_31(probe: &mut Probe) -> Judged {
    let ping = Message::empty(MessageType::Confirmable, probe.fresh_mid());
    let Some(pong) = probe.demand(&ping.to_bytes())? else {
        return Err(Stop::fail("expected a Reset, but nothing came", "RFC 7252 §4.3"));
    };
    pong.is_empty_of(MessageType::Reset, ping.mid)?;
    Ok(())
}
