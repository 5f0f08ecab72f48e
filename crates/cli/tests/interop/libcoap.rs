//! libcoap's coap-client and coap-server.
//!
//! coap-client ends with status 0 whatever the server answers, so that its output is judged: with `-v 7` it
//! prints each message, such as `v:1 t:ACK c:2.05 i:17e0 {01} [ Content-Format:text/plain ] :: 'hello'`.

use std::fs;
use std::time::Duration;

use crate::capture::{Capture, Message, Ours, assert_observation_ended, assert_separate_response};
use crate::peers::{self, Libcoap};
use crate::process::Finished;
use crate::program::{CLIENT_ERROR, client, large, scratch, serve};

/// Runs coap-client against our server, unless it is not there.
fn against_our_server(case: impl FnOnce(&Libcoap, &str)) -> Option<Vec<Message>> {
    let libcoap = peers::libcoap()?;
    let (_server, port) = serve();
    let capture = Capture::start(port);
    case(&libcoap, &format!("coap://127.0.0.1:{port}"));
    Some(capture?.finish(Ours::Server))
}

/// Runs client commands of ours against coap-server, unless it is not there.
fn against_coap_server(case: impl FnOnce(&str)) -> Option<Vec<Message>> {
    let libcoap = peers::libcoap()?;
    let (_server, port) = libcoap.serve();
    let capture = Capture::start(port);
    case(&format!("coap://127.0.0.1:{port}"));
    Some(capture?.finish(Ours::Client))
}

/// The messages that coap-client printed, sent and received.
fn printed(finished: &Finished) -> Vec<String> {
    let stdout = finished.stdout_text();
    let all = stdout.lines().chain(finished.stderr.lines());
    // A body without a newline stands before the next message on one line.
    all.filter_map(|line| line.find("v:1 t:").map(|start| line[start..].to_owned()))
        .collect()
}

pub(crate) fn assert_printed(finished: &Finished, wanted: &[&str]) {
    let found = printed(finished)
        .iter()
        .any(|message| wanted.iter().all(|part| message.contains(part)));
    assert!(found, "no message with {wanted:?}: {finished}");
}

#[test]
fn libcoap_uses_every_method_of_our_server() {
    against_our_server(|libcoap, base| {
        let entry = format!("{base}/store/libcoap");
        libcoap
            .run_quietly(&[&format!("{base}/hello")])
            .expect_stdout("hello");
        let missing = libcoap.run(&[&format!("{base}/no/such/resource")]);
        assert_printed(&missing, &["t:ACK c:4.04"]);
        assert_printed(
            &libcoap.run(&["-m", "put", "-t", "0", "-e", "one", &entry]),
            &["c:2.01"],
        );
        assert_printed(
            &libcoap.run(&["-m", "put", "-t", "0", "-e", "two", &entry]),
            &["c:2.04"],
        );
        let stored = libcoap.run(&[&entry]);
        assert_printed(&stored, &["c:2.05", "Content-Format:text/plain", ":: 'two'"]);
        assert_printed(&libcoap.run(&["-m", "delete", &entry]), &["c:2.02"]);
        assert_printed(&libcoap.run(&[&entry]), &["c:4.04"]);
        let posted = libcoap.run(&["-m", "post", "-t", "0", "-e", "posted", &format!("{base}/store")]);
        assert_printed(&posted, &["c:2.01", "Location-Path:store, Location-Path:"]);
        let fetch = [
            "-m",
            "fetch",
            "-t",
            "50",
            "-e",
            "%7B%22a%22:1%7D",
            &format!("{base}/echo"),
        ];
        assert_printed(
            &libcoap.run(&fetch),
            &["c:2.05", "Content-Format:application/json", r#"'{"a":1}'"#],
        );
    });
}

#[test]
fn libcoap_gets_non_confirmable_answers_to_non_confirmable_requests() {
    against_our_server(|libcoap, base| {
        let answer = libcoap.run(&["-N", &format!("{base}/hello")]);
        assert_printed(&answer, &["t:NON c:2.05", ":: 'hello'"]);
    });
}

#[test]
fn libcoap_observes_our_clock_and_leaves() {
    let messages = against_our_server(|libcoap, base| {
        let observed = libcoap.run(&["-s", "7", &format!("{base}/clock")]);
        let with_observe = |message: &&String| message.contains("c:2.05") && message.contains("Observe:");
        assert!(
            printed(&observed).iter().filter(with_observe).count() >= 6,
            "{observed}"
        );
    });
    if let Some(messages) = messages {
        assert_observation_ended(&messages);
    }
}

#[test]
fn libcoap_gets_200_kilobytes_from_our_server() {
    against_our_server(|libcoap, base| {
        let file = scratch("libcoap-get");
        let file_name = file.to_str().unwrap();
        for size in ["1024", "256"] {
            libcoap.run_quietly(&["-b", size, "-o", file_name, &format!("{base}/large")]);
            assert!(
                fs::read(&file).unwrap() == large(),
                "the body differs, with blocks of {size}"
            );
            fs::remove_file(&file).unwrap();
        }
    });
}

#[test]
fn libcoap_puts_200_kilobytes_on_our_server() {
    against_our_server(|libcoap, base| {
        let file = scratch("libcoap-put");
        let file_name = file.to_str().unwrap();
        let entry = format!("{base}/store/libcoap-large");
        fs::write(&file, large()).unwrap();
        let put = libcoap.run_quietly(&["-m", "put", "-t", "42", "-f", file_name, &entry]);
        assert_eq!(put.stderr, "", "{put}");
        fs::remove_file(&file).unwrap();
        libcoap.run_quietly(&["-o", file_name, &entry]);
        assert!(
            fs::read(&file).unwrap() == large(),
            "the stored body differs from the one sent"
        );
        fs::remove_file(&file).unwrap();
    });
}

#[test]
fn libcoap_discovers_our_resources() {
    against_our_server(|libcoap, base| {
        let found = libcoap.run(&[&format!("{base}/.well-known/core?rt=clock")]);
        assert_printed(
            &found,
            &["c:2.05", "Content-Format:application/link-format", "</clock>"],
        );
        assert!(!found.stdout_text().contains("</hello>"), "{found}");
    });
}

#[test]
fn libcoap_takes_a_separate_response_of_ours_and_pings_meanwhile() {
    let messages = against_our_server(|libcoap, base| {
        let answer = libcoap.run(&["-K", "1", &format!("{base}/separate?ms=3500")]);
        assert_printed(&answer, &["t:CON c:2.05"]);
        assert_printed(&answer, &["t:CON c:0.00"]);
        assert_printed(&answer, &["t:RST c:0.00"]);
    });
    if let Some(messages) = messages {
        assert_separate_response(&messages);
    }
}

#[test]
fn libcoap_is_told_of_an_unknown_critical_option() {
    against_our_server(|libcoap, base| {
        let answer = libcoap.run(&["-O", "65001,0x01", &format!("{base}/hello")]);
        assert_printed(&answer, &["t:ACK c:4.02"]);
    });
}

#[test]
fn we_use_the_methods_that_coap_server_has() {
    against_coap_server(|base| {
        let about = client(&["get", base]);
        about.expect_status(0);
        assert!(about.stdout_text().contains("libcoap"), "{about}");
        client(&["get", &format!("{base}/no/such/resource")]).expect_status(CLIENT_ERROR);

        let entry = format!("{base}/store/ours");
        client(&["put", &entry, "first", "-f", "0"]).expect_status(0);
        client(&["put", &entry, "second", "-f", "0"]).expect_status(0);
        client(&["get", &entry]).expect_stdout("second");
        client(&["delete", &entry]).expect_status(0);
        client(&["get", &entry]).expect_status(CLIENT_ERROR);
        client(&["post", &format!("{base}/posted"), "posted", "-f", "0"]).expect_status(0);
        client(&["get", &format!("{base}/posted")]).expect_stdout("posted");
        // coap-server has no resource with FETCH: 4.05.
        client(&["fetch", &format!("{base}/posted"), "x", "-f", "0"]).expect_status(CLIENT_ERROR);
    });
}

#[test]
fn we_observe_the_time_of_coap_server_and_leave() {
    let messages = against_coap_server(|base| {
        let observed = client(&["observe", &format!("{base}/time"), "--count", "5"]);
        observed.expect_status(0);
        // A value looks like `Nov 23 01:53:49`.
        let values = observed.stdout_text().matches(':').count() / 2;
        assert_eq!(values, 5, "{observed}");
    });
    if let Some(messages) = messages {
        assert_observation_ended(&messages);
    }
}

#[test]
fn we_get_what_coap_server_has_in_blocks() {
    against_coap_server(|base| {
        let example = client(&["get", &format!("{base}/example_data")]);
        example.expect_status(0);
        assert_eq!(example.stdout_text().trim_end().len(), 1500, "{example}");
        assert!(
            example.stdout_text().starts_with("a123456789b123456789c"),
            "{example}"
        );
    });
}

#[test]
fn we_put_200_kilobytes_on_coap_server_and_get_them_back() {
    against_coap_server(|base| {
        let file = scratch("coap-server-put");
        let file_name = file.to_str().unwrap();
        let entry = format!("{base}/store/large");
        fs::write(&file, large()).unwrap();
        // The answer to the last block has no Block1 option (libcoap 4.3.1).
        client(&["put", &entry, "-d", &format!("@{file_name}"), "-f", "42"]).expect_status(0);
        client(&["get", &entry, "-o", file_name]).expect_status(0);
        assert!(
            fs::read(&file).unwrap() == large(),
            "the stored body differs from the one sent"
        );
        fs::remove_file(&file).unwrap();
    });
}

#[test]
fn we_discover_the_resources_of_coap_server() {
    against_coap_server(|base| {
        let found = client(&["discover", base, "--rt", "ticks"]);
        found.expect_status(0);
        assert!(found.stdout_text().contains("/time"), "{found}");
        assert!(!found.stdout_text().contains("/example_data"), "{found}");
    });
}

#[test]
fn we_take_a_separate_response_of_coap_server() {
    let messages = against_coap_server(|base| {
        let finished = client(&["get", &format!("{base}/async?2")]);
        finished.expect_status(0);
        finished.expect_stdout("done");
        assert!(finished.took >= Duration::from_secs(1), "{finished}");
    });
    if let Some(messages) = messages {
        assert_separate_response(&messages);
    }
}

#[test]
fn we_ping_coap_server() {
    // libcoap answers one ping of a peer every 250 ms, and none in its first 250 ms: ours may need to be sent
    // again.
    let messages = against_coap_server(|base| client(&["ping", base]).expect_status(0));
    if let Some(messages) = messages {
        assert!(
            messages.iter().any(|message| !message.ours && message.is_reset()),
            "{messages:#?}"
        );
    }
}

#[test]
fn we_hear_of_an_unknown_critical_option_from_coap_server() {
    against_coap_server(|base| {
        // libcoap 4.3.1 repeats the option that it does not know in its 4.02, so that a client may refuse
        // the answer as well (RFC 7252 §5.4.1). Both are right; to wait for a time-out is not.
        let refused = client(&["get", base, "--option", "65001=0x01"]);
        assert_ne!(refused.status, Some(0), "{refused}");
        let told = refused.stderr.to_lowercase();
        assert!(told.contains("4.02") || told.contains("critical"), "{refused}");
        assert!(refused.took < Duration::from_secs(10), "{refused}");
    });
}
