//! TCP, TLS and WebSocket (RFC 8323) with aiocoap and libcoap, in both directions.
//!
//! What goes over TLS is not captured: nobody but the two sides could read it.

use std::fs;

use crate::capture::{Capture, Ours, Segments};
use crate::libcoap::assert_printed;
use crate::peers::{self, Libcoap, Scripts};
use crate::program::{CLIENT_ERROR, NO_ANSWER, Transport, body, certificate, client, scratch, serve_by};
use crate::suite;

/// More than fits into a message of aiocoap's, which takes 1 MiB.
const THREE_MEGABYTES: u32 = 3_000_000;
const MEGABYTE: u32 = 1_000_000;

/// Our server takes no longer messages, so that a megabyte goes in blocks of BERT.
const SHORT_MESSAGES: [&str; 2] = ["--max-message-size", "70000"];

/// Captures what can be read, while `case` talks to the server on `port`.
fn captured(transport: Transport, ours: Ours, port: u16, case: impl FnOnce()) -> Option<Segments> {
    if transport.is_secure() {
        case();
        return None;
    }
    let capture = Capture::of("tcp", port);
    case();
    Some(capture?.finish_stream(ours, transport))
}

/// Puts a body, and gets it back.
fn there_and_back(entry: &str, length: u32) {
    let file = scratch(&format!("body{}", entry.replace([':', '/'], "-")));
    let file_name = file.to_str().unwrap();
    fs::write(&file, body(length)).unwrap();
    client(&["put", entry, "-d", &format!("@{file_name}"), "-f", "42"]).expect_status(0);
    fs::remove_file(&file).unwrap();
    client(&["get", entry, "-o", file_name]).expect_status(0);
    assert!(
        fs::read(&file).unwrap() == body(length),
        "the stored body differs from the one sent"
    );
    fs::remove_file(&file).unwrap();
}

/// aiocoap's client uses all of our server.
fn aiocoap_uses_our_server(transport: Transport) {
    let Some(peer) = peers::aiocoap() else { return };
    let (_server, port) = serve_by(transport, &SHORT_MESSAGES);
    let scenarios = [
        "get",
        "put",
        "post",
        "delete",
        "fetch",
        "observe",
        "large-get",
        "megabyte",
        "discover",
        "separate",
        "critical-option",
    ];
    let segments = captured(transport, Ours::Server, port, || {
        for scenario in scenarios {
            peer.run_by(transport, scenario, port);
        }
    });
    if let Some(segments) = segments {
        segments.assert_bert();
        segments.assert_released(false);
    }
}

/// Our client uses all of aiocoap's server.
fn we_use_aiocoap(transport: Transport) {
    let Some(peer) = peers::aiocoap() else { return };
    let (_server, port) = Scripts::serve_by(&peer, transport);
    let base = format!("{}://127.0.0.1:{port}", transport.scheme());
    let segments = captured(transport, Ours::Client, port, || {
        suite::use_every_method(&base);
        suite::observe_five_values(&base);
        suite::discover(&base);
        there_and_back(&format!("{base}/store/megabyte"), MEGABYTE);
        there_and_back(&format!("{base}/store/more"), THREE_MEGABYTES);
        client(&["get", &format!("{base}/separate")]).expect_stdout("separate");
        client(&["ping", &base, "-c", "2", "-i", "0.1"]).expect_status(0);
    });
    if let Some(segments) = segments {
        segments.assert_bert();
        segments.assert_released(true);
    }
}

#[test]
fn aiocoap_uses_our_server_by_tcp() {
    aiocoap_uses_our_server(Transport::Tcp);
}

#[test]
fn aiocoap_uses_our_server_by_tls() {
    aiocoap_uses_our_server(Transport::Tls);
}

#[test]
fn aiocoap_uses_our_server_by_websocket() {
    aiocoap_uses_our_server(Transport::WebSocket);
}

#[test]
fn aiocoap_uses_our_server_by_secure_websocket() {
    aiocoap_uses_our_server(Transport::SecureWebSocket);
}

#[test]
fn we_use_aiocoap_by_tcp() {
    we_use_aiocoap(Transport::Tcp);
}

#[test]
fn we_use_aiocoap_by_tls() {
    we_use_aiocoap(Transport::Tls);
}

#[test]
fn we_use_aiocoap_by_websocket() {
    we_use_aiocoap(Transport::WebSocket);
}

#[test]
fn we_use_aiocoap_by_secure_websocket() {
    we_use_aiocoap(Transport::SecureWebSocket);
}

/// coap-client uses all of our server.
fn libcoap_uses_our_server(transport: Transport) {
    let Some(libcoap) = peers::libcoap_by(transport) else {
        return;
    };
    let (_server, port) = serve_by(transport, &SHORT_MESSAGES);
    let base = format!("{}://127.0.0.1:{port}", transport.scheme());
    let segments = captured(transport, Ours::Server, port, || {
        let entry = format!("{base}/store/libcoap");
        libcoap
            .run_quietly(&[&format!("{base}/hello")])
            .expect_stdout("hello");
        assert_printed(&libcoap.run(&[&format!("{base}/none")]), &["c:4.04"]);
        let put = |value| libcoap.run(&["-m", "put", "-t", "0", "-e", value, &entry]);
        assert_printed(&put("one"), &["c:2.01"]);
        assert_printed(&put("two"), &["c:2.04"]);
        assert_printed(&libcoap.run(&[&entry]), &["c:2.05", ":: 'two'"]);
        assert_printed(&libcoap.run(&["-m", "delete", &entry]), &["c:2.02"]);
        let posted = libcoap.run(&["-m", "post", "-t", "0", "-e", "posted", &format!("{base}/store")]);
        assert_printed(&posted, &["c:2.01", "Location-Path:store"]);
        let fetch = ["-m", "fetch", "-t", "0", "-e", "x", &format!("{base}/echo")];
        assert_printed(&libcoap.run(&fetch), &["c:2.05", ":: 'x'"]);
        let observed = libcoap.run(&["-s", "4", &format!("{base}/clock")]);
        assert!(
            observed.stdout_text().matches("c:2.05").count() >= 3,
            "{observed}"
        );
        let separate = libcoap.run(&["-K", "1", &format!("{base}/separate?ms=2500")]);
        assert_printed(&separate, &["c:Ping"]);
        assert_printed(&separate, &["c:Pong"]);
        assert_printed(&separate, &["c:2.05", ":: 'separate'"]);
        megabyte_of_libcoap(&libcoap, &format!("{base}/store/megabyte"));
    });
    if let Some(segments) = segments {
        segments.assert_bert();
    }
}

fn megabyte_of_libcoap(libcoap: &Libcoap, entry: &str) {
    let file = scratch(&format!("libcoap{}", entry.replace([':', '/'], "-")));
    let file_name = file.to_str().unwrap();
    fs::write(&file, body(MEGABYTE)).unwrap();
    libcoap.run_quietly(&["-m", "put", "-t", "42", "-f", file_name, entry]);
    fs::remove_file(&file).unwrap();
    libcoap.run_quietly(&["-o", file_name, entry]);
    assert!(
        fs::read(&file).unwrap() == body(MEGABYTE),
        "the body differs from the one sent"
    );
    fs::remove_file(&file).unwrap();
}

/// Our client uses what coap-server has.
fn we_use_coap_server(transport: Transport) {
    let Some(libcoap) = peers::libcoap_by(transport) else {
        return;
    };
    let (_server, port) = libcoap.serve();
    let base = format!("{}://127.0.0.1:{port}", transport.scheme());
    let segments = captured(transport, Ours::Client, port, || {
        let entry = format!("{base}/store/ours");
        assert!(client(&["get", &base]).stdout_text().contains("libcoap"));
        client(&["put", &entry, "first", "-f", "0"]).expect_status(0);
        client(&["put", &entry, "second", "-f", "0"]).expect_status(0);
        client(&["get", &entry]).expect_stdout("second");
        client(&["delete", &entry]).expect_status(0);
        client(&["get", &entry]).expect_status(CLIENT_ERROR);
        client(&["post", &format!("{base}/posted"), "posted", "-f", "0"]).expect_status(0);
        client(&["get", &format!("{base}/posted")]).expect_stdout("posted");
        // coap-server has no resource with FETCH: 4.05.
        client(&["fetch", &format!("{base}/posted"), "x", "-f", "0"]).expect_status(CLIENT_ERROR);
        there_and_back(&format!("{base}/store/megabyte"), MEGABYTE);
        let observed = client(&["observe", &format!("{base}/time"), "--count", "3"]);
        assert_eq!(observed.stdout_text().lines().count(), 3, "{observed}");
        client(&["get", &format!("{base}/async?1")]).expect_stdout("done");
        let found = client(&["discover", &base, "--rt", "ticks"]);
        assert!(found.stdout_text().contains("/time"), "{found}");
        client(&["ping", &base, "-c", "2", "-i", "0.3"]).expect_status(0);
    });
    if let Some(segments) = segments {
        segments.assert_released(true);
    }
}

#[test]
fn libcoap_uses_our_server_by_tcp() {
    libcoap_uses_our_server(Transport::Tcp);
}

#[test]
fn libcoap_uses_our_server_by_tls() {
    libcoap_uses_our_server(Transport::Tls);
}

#[test]
fn we_use_coap_server_by_tcp() {
    we_use_coap_server(Transport::Tcp);
}

#[test]
fn we_use_coap_server_by_tls() {
    we_use_coap_server(Transport::Tls);
}

/// RFC 8323 §9: both sides show a certificate, which is the same here.
#[test]
fn libcoap_and_we_show_certificates_as_clients() {
    let Some(libcoap) = peers::libcoap_by(Transport::Tls) else {
        return;
    };
    let [cert, key] = certificate().each_ref().map(|path| path.to_str().unwrap());
    let (_server, port) = serve_by(Transport::Tls, &["--tls-client-ca", cert]);
    let hello = format!("coaps+tcp://127.0.0.1:{port}/hello");
    let without = libcoap.run(&[&hello]);
    assert!(!without.stdout_text().contains("c:2.05"), "{without}");
    assert_printed(
        &libcoap.run(&["-c", cert, "-j", key, &hello]),
        &["c:2.05", ":: 'hello'"],
    );

    let (_server, port) = libcoap.serve_trusting(Some(cert));
    let base = format!("coaps+tcp://127.0.0.1:{port}");
    let refused = client(&["get", &base]);
    assert_eq!(refused.status, Some(NO_ANSWER), "{refused}");
    client(&["get", &base, "--cert", cert, "--key", key]).expect_status(0);
}

/// RFC 8323 §6: our messages have 1 MiB at most, in both directions.
#[test]
fn we_put_a_body_on_coap_server_in_blocks_of_bert() {
    let Some(libcoap) = peers::libcoap_by(Transport::Tcp) else {
        return;
    };
    let (_server, port) = libcoap.serve();
    let segments = captured(Transport::Tcp, Ours::Client, port, || {
        there_and_back(
            &format!("coap+tcp://127.0.0.1:{port}/store/more"),
            THREE_MEGABYTES,
        );
    });
    if let Some(segments) = segments {
        segments.assert_bert();
    }
}
