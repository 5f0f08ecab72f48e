//! The cases that are the same for every peer whose programs belong to this suite.

use std::fs;

use crate::capture::{Capture, Message, Ours, assert_observation_ended, assert_separate_response};
use crate::peers::Scripts;
use crate::program::{CLIENT_ERROR, client, large, scratch, serve};

/// Runs scenarios of the peer's client against our server, in one capture.
fn scenarios_against_our_server(peer: &Scripts, scenarios: &[&str]) -> Option<Vec<Message>> {
    let (_server, port) = serve();
    let capture = Capture::start(port);
    for scenario in scenarios {
        peer.run(scenario, port);
    }
    Some(capture?.finish(Ours::Server))
}

/// Runs client commands of ours against the peer's server, in one capture.
fn commands_against_the_peer(peer: &Scripts, commands: impl FnOnce(&str)) -> Option<Vec<Message>> {
    let (_server, port) = peer.serve();
    let capture = Capture::start(port);
    commands(&format!("coap://127.0.0.1:{port}"));
    Some(capture?.finish(Ours::Client))
}

pub(crate) fn peer_uses_every_method(peer: &Scripts) {
    scenarios_against_our_server(peer, &["get", "put", "post", "delete", "fetch"]);
}

pub(crate) fn peer_observes_and_leaves(peer: &Scripts) {
    if let Some(messages) = scenarios_against_our_server(peer, &["observe"]) {
        assert_observation_ended(&messages);
    }
}

pub(crate) fn peer_gets_a_large_body(peer: &Scripts) {
    scenarios_against_our_server(peer, &["large-get"]);
}

pub(crate) fn peer_puts_a_large_body(peer: &Scripts) {
    scenarios_against_our_server(peer, &["large-put"]);
}

pub(crate) fn peer_discovers(peer: &Scripts) {
    scenarios_against_our_server(peer, &["discover"]);
}

pub(crate) fn peer_takes_a_separate_response(peer: &Scripts) {
    if let Some(messages) = scenarios_against_our_server(peer, &["separate"]) {
        assert_separate_response(&messages);
    }
}

pub(crate) fn peer_is_told_of_an_unknown_critical_option(peer: &Scripts) {
    scenarios_against_our_server(peer, &["critical-option"]);
}

pub(crate) fn we_use_every_method(peer: &Scripts) {
    commands_against_the_peer(peer, use_every_method);
}

/// The site of the peers has all of it.
pub(crate) fn use_every_method(base: &str) {
    let hello = client(&["get", &format!("{base}/hello")]);
    hello.expect_status(0);
    hello.expect_stdout("hello");
    client(&["get", &format!("{base}/no/such/resource")]).expect_status(CLIENT_ERROR);

    let entry = format!("{base}/store/ours");
    client(&["put", &entry, "first", "-f", "0"]).expect_status(0);
    client(&["put", &entry, "second", "-f", "0"]).expect_status(0);
    client(&["get", &entry]).expect_stdout("second");
    client(&["delete", &entry]).expect_status(0);
    client(&["get", &entry]).expect_status(CLIENT_ERROR);

    client(&["post", &format!("{base}/store"), "posted", "-f", "0"]).expect_status(0);
    client(&["get", &format!("{base}/store/made1")]).expect_stdout("posted");

    let fetched = client(&["fetch", &format!("{base}/echo"), r#"{"a":1}"#, "-f", "50"]);
    fetched.expect_status(0);
    fetched.expect_stdout(r#"{"a":1}"#);
}

pub(crate) fn we_observe_and_leave(peer: &Scripts) {
    let messages = commands_against_the_peer(peer, observe_five_values);
    if let Some(messages) = messages {
        // Whether the peer then stops is its own affair: node-coap does so at a Reset only.
        let left = |message: &Message| message.ours && (message.is_deregistration() || message.is_reset());
        assert!(
            messages.iter().any(left),
            "we never left the observation: {messages:#?}"
        );
    }
}

pub(crate) fn observe_five_values(base: &str) {
    let observed = client(&["observe", &format!("{base}/clock"), "--count", "5"]);
    observed.expect_status(0);
    let text = observed.stdout_text();
    let values: Vec<u64> = text
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    assert_eq!(values.len(), 5, "{observed}");
    assert!(
        values.is_sorted_by(|earlier, later| earlier < later),
        "{observed}"
    );
}

pub(crate) fn we_get_a_large_body(peer: &Scripts) {
    commands_against_the_peer(peer, |base| {
        let file = scratch(&format!("get{}", base.replace([':', '/'], "-")));
        let file_name = file.to_str().unwrap();
        client(&["get", &format!("{base}/large"), "-o", file_name]).expect_status(0);
        let body = fs::read(&file).unwrap();
        assert!(
            body == large(),
            "a body of {} bytes differs from the one served",
            body.len()
        );
        fs::remove_file(&file).unwrap();
    });
}

/// node-coap keeps the blocks of a request body by their token: it needs one token for all blocks of a body.
pub(crate) fn we_put_a_large_body(peer: &Scripts) {
    commands_against_the_peer(peer, |base| {
        let file = scratch(&format!("put{}", base.replace([':', '/'], "-")));
        let file_name = file.to_str().unwrap();
        fs::write(&file, large()).unwrap();
        let entry = format!("{base}/store/large");
        client(&["put", &entry, "-d", &format!("@{file_name}"), "-f", "42"]).expect_status(0);
        client(&["get", &entry, "-o", file_name]).expect_status(0);
        assert!(
            fs::read(&file).unwrap() == large(),
            "the stored body differs from the one sent"
        );

        let answer = client(&[
            "put",
            &format!("{base}/large"),
            "-d",
            &format!("@{file_name}"),
            "-f",
            "42",
        ]);
        answer.expect_status(0);
        let digest = "df0f6306fcfb22cadc19e9868af0728ea9444c363c55ac205c4782a827176d9e";
        answer.expect_stdout(&format!("200000 {digest}"));
        fs::remove_file(&file).unwrap();
    });
}

pub(crate) fn we_discover(peer: &Scripts) {
    commands_against_the_peer(peer, discover);
}

pub(crate) fn discover(base: &str) {
    let filtered = client(&["discover", base, "--rt", "clock"]);
    filtered.expect_status(0);
    let links = filtered.stdout_text();
    assert_eq!(
        links.lines().filter(|line| line.contains("/clock")).count(),
        1,
        "{filtered}"
    );
    assert!(!links.contains("/hello"), "{filtered}");
    let everything = client(&["discover", base]);
    for path in ["/hello", "/clock", "/large", "/separate", "/echo", "/store"] {
        assert!(
            everything.stdout_text().lines().any(|line| line.contains(path)),
            "{everything}"
        );
    }
}

pub(crate) fn we_take_a_separate_response(peer: &Scripts) {
    let messages = commands_against_the_peer(peer, |base| {
        let finished = client(&["get", &format!("{base}/separate")]);
        finished.expect_status(0);
        finished.expect_stdout("separate");
    });
    if let Some(messages) = messages {
        assert_separate_response(&messages);
    }
}

pub(crate) fn we_ping(peer: &Scripts) {
    let messages = commands_against_the_peer(peer, |base| client(&["ping", base]).expect_status(0));
    if let Some(messages) = messages {
        assert!(
            messages.iter().any(|message| !message.ours && message.is_reset()),
            "{messages:#?}"
        );
    }
}
