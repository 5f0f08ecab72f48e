//! aiocoap as client and as server.

use crate::peers::{self, Scripts};
use crate::suite;

/// Runs a case, unless the peer is not there.
fn with(case: fn(&Scripts)) {
    if let Some(peer) = peers::aiocoap() {
        case(&peer);
    }
}

#[test]
fn aiocoap_uses_every_method_of_our_server() {
    with(suite::peer_uses_every_method);
}

#[test]
fn aiocoap_observes_our_clock_and_leaves() {
    with(suite::peer_observes_and_leaves);
}

#[test]
fn aiocoap_gets_200_kilobytes_from_our_server() {
    with(suite::peer_gets_a_large_body);
}

#[test]
fn aiocoap_puts_200_kilobytes_on_our_server() {
    with(suite::peer_puts_a_large_body);
}

#[test]
fn aiocoap_discovers_our_resources() {
    with(suite::peer_discovers);
}

#[test]
fn aiocoap_takes_a_separate_response_of_ours() {
    with(suite::peer_takes_a_separate_response);
}

#[test]
fn aiocoap_is_told_of_an_unknown_critical_option() {
    with(suite::peer_is_told_of_an_unknown_critical_option);
}

#[test]
fn we_use_every_method_of_aiocoap() {
    with(suite::we_use_every_method);
}

#[test]
fn we_observe_the_clock_of_aiocoap_and_leave() {
    with(suite::we_observe_and_leave);
}

#[test]
fn we_get_200_kilobytes_from_aiocoap() {
    with(suite::we_get_a_large_body);
}

#[test]
fn we_put_200_kilobytes_on_aiocoap() {
    with(suite::we_put_a_large_body);
}

#[test]
fn we_discover_the_resources_of_aiocoap() {
    with(suite::we_discover);
}

#[test]
fn we_take_a_separate_response_of_aiocoap() {
    with(suite::we_take_a_separate_response);
}

#[test]
fn we_ping_aiocoap() {
    with(suite::we_ping);
}
