//! npm's coap as client and as server, and coap-cli as client.

use std::process::Command;
use std::time::Duration;

use crate::peers::{self, Scripts};
use crate::process::run;
use crate::program::serve;
use crate::suite;

const COAP_CLI_LIMIT: Duration = Duration::from_secs(20);

/// Runs a case, unless the peer is not there.
fn with(case: fn(&Scripts)) {
    if let Some(peer) = peers::node() {
        case(&peer);
    }
}

#[test]
fn node_uses_every_method_of_our_server() {
    with(suite::peer_uses_every_method);
}

#[test]
fn node_observes_our_clock_and_leaves() {
    with(suite::peer_observes_and_leaves);
}

#[test]
fn node_gets_200_kilobytes_from_our_server() {
    with(suite::peer_gets_a_large_body);
}

#[test]
fn node_puts_200_kilobytes_on_our_server() {
    with(suite::peer_puts_a_large_body);
}

#[test]
fn node_discovers_our_resources() {
    with(suite::peer_discovers);
}

#[test]
fn node_takes_a_separate_response_of_ours() {
    with(suite::peer_takes_a_separate_response);
}

#[test]
fn node_is_told_of_an_unknown_critical_option() {
    with(suite::peer_is_told_of_an_unknown_critical_option);
}

#[test]
fn we_use_every_method_of_node() {
    with(suite::we_use_every_method);
}

#[test]
fn we_observe_the_clock_of_node_and_leave() {
    with(suite::we_observe_and_leave);
}

#[test]
fn we_get_200_kilobytes_from_node() {
    with(suite::we_get_a_large_body);
}

#[test]
fn we_put_200_kilobytes_on_node() {
    with(suite::we_put_a_large_body);
}

#[test]
fn we_discover_the_resources_of_node() {
    with(suite::we_discover);
}

#[test]
fn we_take_a_separate_response_of_node() {
    with(suite::we_take_a_separate_response);
}

#[test]
fn we_ping_node() {
    with(suite::we_ping);
}

#[test]
fn coap_cli_gets_and_puts_on_our_server() {
    let (Some(program), Some(node)) = (peers::coap_cli(), peers::tool("node")) else {
        return;
    };
    let (_server, port) = serve();
    let coap_cli =
        |arguments: &[&str]| run(Command::new(&node).arg(&program).args(arguments), COAP_CLI_LIMIT);
    let hello = coap_cli(&["get", &format!("coap://127.0.0.1:{port}/hello")]);
    hello.expect_stdout("hello");
    let entry = format!("coap://127.0.0.1:{port}/store/coap-cli");
    let put = coap_cli(&["put", "-p", "from coap-cli", &entry]);
    assert!(put.stderr.contains("(2.01)"), "{put}");
    coap_cli(&["get", &entry]).expect_stdout("from coap-cli");
    let missing = coap_cli(&["get", &format!("coap://127.0.0.1:{port}/no/such")]);
    assert!(missing.stderr.contains("(4.04)"), "{missing}");
}
