//! Connections of TCP, WebSocket and TLS, as those who serve and ask see them.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "other tests use the rest")]
mod served;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Output, Stdio};
use std::thread;

use served::{LIMIT, Server, command};

/// An address of each kind, of the system's choice; the first is that of datagrams.
const EVERYWHERE: [&str; 4] = [
    "coap://127.0.0.1:0",
    "coap+tcp://127.0.0.1:0",
    "coap+ws://127.0.0.1:0",
    "coaps+tcp://127.0.0.1:0",
];

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What it ends with, and what it prints.
fn ended(arguments: &[&str]) -> (i32, String) {
    let output = run(arguments);
    (output.status.code().unwrap(), said(&output))
}

fn keys(folder: &Path) -> [String; 2] {
    let out = folder.to_str().unwrap();
    assert!(run(&["keys", "self-signed", "--out", out]).status.success());
    ["cert.pem", "key.pem"].map(|name| folder.join(name).to_str().unwrap().to_owned())
}

/// The URI of the other kinds, from the lines that come after the first.
fn listening(server: &Server, scheme: &str) -> String {
    let line = server.wait_for(&format!("listening on {scheme}://"));
    line.strip_prefix("listening on ").unwrap().to_owned()
}

#[test]
fn a_server_is_reached_by_all_transports() {
    let folder = tempfile::tempdir().unwrap();
    let [cert, key] = keys(folder.path());
    let mut line = vec!["serve", "--tls-cert", &cert, "--tls-key", &key];
    line.extend(EVERYWHERE.iter().flat_map(|uri| ["--bind", *uri]));
    line.extend(["--bind", "coaps+ws://127.0.0.1:0"]);
    let server = Server::start(&line);
    let uris = ["coap+tcp", "coap+ws", "coaps+tcp", "coaps+ws"].map(|scheme| listening(&server, scheme));
    for uri in &uris {
        let hello = format!("{uri}/hello");
        let mut get = vec!["get", &hello];
        if uri.starts_with("coaps") {
            get.extend(["--cacert", &cert]);
        }
        let got = run(&get);
        assert_eq!(got.stdout, b"hello", "{uri}: {}", said(&got));
        assert_eq!(got.status.code(), Some(0));
    }
}

/// RFC 8323 §5.3: our CSM comes first, then what was asked for.
#[test]
fn a_frame_is_answered_after_our_csm() {
    let (_server, mut stream) = connected(&[]);
    stream.write_all(CSM).unwrap();
    stream.write_all(GET_HELLO).unwrap();
    let mut bytes = Vec::new();
    let mut buffer = [0; 512];
    while !bytes.ends_with(b"hello") {
        let length = stream.read(&mut buffer).unwrap();
        assert_ne!(length, 0, "{bytes:02x?}");
        bytes.extend_from_slice(&buffer[..length]);
    }
    assert_eq!(bytes[1], 0xe1, "{bytes:02x?}");
    assert!(bytes.ends_with(b"\x71\x45\xaa\xc0\xffhello"), "{bytes:02x?}");
}

/// A stream to a server with these settings; the server is killed when the test lets go of it.
fn connected(settings: &[&str]) -> (Server, TcpStream) {
    let bind = [
        "serve",
        "--bind",
        "coap://127.0.0.1:0",
        "--bind",
        "coap+tcp://127.0.0.1:0",
    ];
    let server = Server::start(&[&bind, settings].concat());
    let stream = stream_to(&listening(&server, "coap+tcp"));
    (server, stream)
}

fn stream_to(uri: &str) -> TcpStream {
    let stream = TcpStream::connect(uri.strip_prefix("coap+tcp://").unwrap()).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// What comes until the other side closes.
fn all_of(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

const GET_HELLO: &[u8] = b"\x61\x01\xaa\xb5hello";
const HELLO: &[u8] = b"\x71\x45\xaa\xc0\xffhello";

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn what_becomes_of_peers_without_a_csm_is_a_setting() {
    let (_server, mut stream) = connected(&[]);
    stream.write_all(GET_HELLO).unwrap();
    let refused = all_of(&mut stream);
    assert!(
        holds(&refused, b"\xe5\xff"),
        "no Abort with a diagnostic: {refused:02x?}"
    );
    assert!(!holds(&refused, HELLO), "{refused:02x?}");
    for policy in ["tolerate", "wait:0.1"] {
        let (_server, mut stream) = connected(&["--missing-csm", policy]);
        stream.write_all(GET_HELLO).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let answered = all_of(&mut stream);
        assert!(holds(&answered, HELLO), "{policy}: {answered:02x?}");
    }
}

#[test]
fn idle_connections_are_released() {
    let (server, mut idle) = connected(&["--idle-timeout", "0.2", "--stats=1"]);
    idle.write_all(CSM).unwrap();
    // 7.04 with nothing in it (RFC 8323 §5.5), and the end.
    assert!(all_of(&mut idle).ends_with(b"\x00\xe4"));
    server.wait_for("(1 new)");
}

#[test]
fn more_connections_than_may_be_are_turned_away() {
    let bind = [
        "serve",
        "--bind",
        "coap://127.0.0.1:0",
        "--bind",
        "coap+tcp://127.0.0.1:0",
    ];
    let server = Server::start(
        &[
            &bind[..],
            &["--max-connections", "1", "--shards", "1", "--stats=1"],
        ]
        .concat(),
    );
    let uri = listening(&server, "coap+tcp");
    let mut first = stream_to(&uri);
    first.write_all(CSM).unwrap();
    first.write_all(GET_HELLO).unwrap();
    // The answer says that it is taken on.
    let mut seen = Vec::new();
    while !holds(&seen, HELLO) {
        let mut byte = [0];
        first.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    // RFC 8323 §5.6: a CSM has to be the first message all the same.
    assert_eq!(
        all_of(&mut stream_to(&uri)),
        b"\x00\xe1\xd0\x1a\xe5\xffas many connections as may be are open"
    );
    server.wait_for("1 turned away");
    drop(first);
}

/// RFC 8323 §5.5: what runs is finished, then the connection is closed.
#[test]
fn a_server_that_ends_answers_and_releases() {
    let (mut server, mut stream) = connected(&[]);
    stream.write_all(CSM).unwrap();
    stream
        .write_all(b"\xd1\x03\x01\xbb\xb8separate\x46ms=800")
        .unwrap();
    stream.write_all(GET_HELLO).unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 512];
    // The second answer says that the first request has begun.
    while !holds(&seen, HELLO) {
        let length = stream.read(&mut buffer).unwrap();
        assert_ne!(length, 0, "{seen:02x?}");
        seen.extend_from_slice(&buffer[..length]);
    }
    server.signal("INT");
    seen.extend(all_of(&mut stream));
    assert!(holds(&seen, b"\x00\xe4"), "no Release: {seen:02x?}");
    assert!(holds(&seen, b"\xffseparate"), "no answer: {seen:02x?}");
    drop(stream);
    assert!(server.end().success());
}

#[test]
fn what_cannot_be_trusted_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let [cert, key] = keys(folder.path());
    let bind = [
        "--bind",
        "coap://127.0.0.1:0",
        "--bind",
        "coaps+tcp://127.0.0.1:0",
    ];
    let line = [&["serve", "--tls-cert", &cert, "--tls-key", &key][..], &bind].concat();
    let server = Server::start(&line);
    let hello = format!("{}/hello", listening(&server, "coaps+tcp"));

    let other = tempfile::tempdir().unwrap();
    let [stranger, _] = keys(other.path());
    let (status, told) = ended(&["get", &hello, "--cacert", &stranger]);
    assert_eq!(status, 3, "{told}");
    assert!(
        told.contains("--cacert FILE") && told.contains("--insecure"),
        "{told}"
    );

    let anybody = run(&["get", &hello, "--insecure", "-q"]);
    assert_eq!(
        (anybody.status.code(), &*anybody.stdout),
        (Some(0), &b"hello"[..])
    );
    assert!(said(&anybody).contains("can read and change everything"));

    // What protects nothing is not taken silently.
    let (status, told) = ended(&["get", "coap+tcp://127.0.0.1/hello", "--cacert", &cert]);
    assert_eq!(status, 2, "{told}");
    assert!(told.contains("is without TLS"), "{told}");
    let (status, told) = ended(&["get", &hello, "--cacert", "/no/such/file"]);
    assert_eq!(status, 1, "{told}");
    assert!(told.contains("/no/such/file"), "{told}");
}

#[test]
fn clients_have_to_show_a_certificate_where_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let [cert, key] = keys(folder.path());
    let others = tempfile::tempdir().unwrap();
    let [ours, our_key] = keys(others.path());
    let bind = [
        "--bind",
        "coap://127.0.0.1:0",
        "--bind",
        "coaps+tcp://127.0.0.1:0",
    ];
    let tls = ["--tls-cert", &cert, "--tls-key", &key, "--tls-client-ca", &ours];
    let required = Server::start(&[&["serve"], &bind[..], &tls].concat());
    let hello = format!("{}/hello", listening(&required, "coaps+tcp"));
    let (status, told) = ended(&["get", &hello, "--cacert", &cert]);
    assert_eq!(status, 3, "{told}");
    assert!(told.contains("--cert and --key"), "{told}");
    let with = [
        "get", &hello, "--cacert", &cert, "--cert", &ours, "--key", &our_key,
    ];
    assert_eq!(ended(&with), (0, String::new()));

    let optional = Server::start(&[&["serve"], &bind[..], &tls, &["--tls-client-optional"]].concat());
    let hello = format!("{}/hello", listening(&optional, "coaps+tcp"));
    assert_eq!(ended(&["get", &hello, "--cacert", &cert]), (0, String::new()));
}

#[test]
fn tls_without_a_certificate_is_a_fault_of_the_command_line() {
    for line in [
        &["serve", "--bind", "coaps+tcp://127.0.0.1:0"][..],
        &["serve", "--bind", "127.0.0.1:0", "--tls-cert", "/no/such/file"],
        &["serve", "--tls-key", "/no/such/file"],
        &["serve", "--tls-cert", "x", "--tls-client-optional"],
        &["serve", "--missing-csm", "perhaps"],
        &["serve", "--max-message-size", "100"],
        &["serve", "--allow-origin", "example.org"],
        &["serve", "--bind", "coap+tcp://127.0.0.1:0/path"],
        &["serve", "--bind", "127.0.0.1:0", "--idle-timeout", "5"],
        &["get", "ws://127.0.0.1/"],
        &["get", "coap+tcp://224.0.1.187/"],
    ] {
        let (status, told) = ended(line);
        assert!(status == 2 || told.contains("/no/such/file"), "{line:?}: {told}");
    }
}

/// A server that takes connections, says something, says something else when it has got so many bytes, and closes.
fn impolite(says: &'static [u8], wants: usize, then: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.write_all(says).unwrap();
            // Who goes earlier is not told the rest.
            if stream.read_exact(&mut vec![0; wants]).is_ok() && !then.is_empty() {
                stream.write_all(then).unwrap();
                // To close with something unread might take what was said away from the other side.
                let _ = stream.read_to_end(&mut Vec::new());
            }
        }
    });
    format!("coap+tcp://{address}/store")
}

/// A CSM that says nothing (RFC 8323 §5.3).
const CSM: &[u8] = b"\x00\xe1";

/// Our CSM has 8 bytes; this is within the request that follows it.
const REQUEST_BEGUN: usize = 20;

#[test]
fn a_connection_that_breaks_leaves_the_outcome_unknown() {
    let uri = impolite(CSM, REQUEST_BEGUN, b"");
    let (status, told) = ended(&["post", &uri, "a new entry"]);
    assert_eq!(status, 6, "{told}");
    assert!(told.contains("unknown"), "{told}");
}

/// RFC 8323 §5.6: the diagnostic payload is for people.
#[test]
fn an_abort_is_told_with_its_reason() {
    let uri = impolite(CSM, REQUEST_BEGUN, b"\x80\xe5\xffgo away");
    let (status, told) = ended(&["post", &uri, "a new entry"]);
    assert_eq!(status, 6, "{told}");
    assert!(told.contains("go away"), "{told}");
}

#[test]
fn a_server_that_is_not_one_of_coap_is_told_as_such() {
    let closing = impolite(b"", 4, b"");
    let (status, told) = ended(&["post", &closing, "x"]);
    assert_eq!(status, 3, "{told}");
    assert!(told.contains("is there CoAP at this port"), "{told}");
}

/// `-v`: what comes to no request leaves a line that says who and why.
#[test]
fn a_server_tells_what_fails_before_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let [cert, key] = keys(folder.path());
    let tls = ["--tls-cert", &cert, "--tls-key", &key, "--tls-client-ca", &cert];
    let mut line = vec!["serve", "-v"];
    line.extend(EVERYWHERE.iter().flat_map(|uri| ["--bind", *uri]));
    let server = Server::start(&[&line[..], &tls].concat());
    let uris = ["coap+tcp", "coap+ws", "coaps+tcp"].map(|scheme| listening(&server, scheme));
    let address = |uri: &str| uri.split_once("://").unwrap().1.to_owned();
    let says = |uri: &str, what: &[u8]| {
        let mut stream = TcpStream::connect(address(uri)).unwrap();
        let from = stream.local_addr().unwrap();
        stream.write_all(what).unwrap();
        // How it ends matters to the others.
        let _ = stream.read_to_end(&mut Vec::new());
        from.to_string()
    };
    let [tcp, ws, secure] = &uris;
    for (uri, what, why) in [
        (
            tcp,
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            "what is spoken there is HTTP",
        ),
        (tcp, GET_HELLO, "the first message has to be a CSM"),
        (ws, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "404 Not Found"),
        (secure, b"GET / HTTP/1.1\r\n\r\n", "the peer does not speak TLS"),
    ] {
        let from = says(uri, what);
        let line = server.wait_for(why);
        assert!(line.contains(&from), "{line}");
    }
    let hello = format!("{secure}/hello");
    ended(&["get", &hello, "--cacert", &cert]);
    server.wait_for("the client shows no certificate");
}

/// `-v`: what is known of a connection.
#[test]
fn a_client_tells_how_the_connection_came_about() {
    let folder = tempfile::tempdir().unwrap();
    let [cert, key] = keys(folder.path());
    let mut line = vec!["serve", "--tls-cert", &cert, "--tls-key", &key];
    line.extend(EVERYWHERE.iter().flat_map(|uri| ["--bind", *uri]));
    let server = Server::start(&line);
    let hello = format!("{}/hello", listening(&server, "coaps+tcp"));
    let (status, told) = ended(&["get", &hello, "-v", "--cacert", &cert]);
    assert_eq!(status, 0, "{told}");
    for part in [
        "has taken the connection",
        "version TLSv1_3",
        "protocol coap",
        "shows a certificate",
        "bert true",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

/// As by UDP: what was not answered is a line, and at the end there is the summary.
#[test]
fn pings_go_on_though_the_server_goes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("coap+tcp://{}", listener.local_addr().unwrap());
    let line = ["ping", &uri, "-c", "3", "-i", "0.05"];
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(CSM).unwrap();
        // Our CSM of 8 bytes and a Ping of 10; a Pong answers it, and that is all.
        stream.read_exact(&mut [0; 18]).unwrap();
        stream.write_all(b"\x00\xe3").unwrap();
        stream.read_exact(&mut [0; 10]).unwrap();
    });
    let pinged = run(&line);
    server.join().unwrap();
    let told = String::from_utf8_lossy(&pinged.stdout).into_owned();
    assert!(
        told.contains("3 sent, 1 answered") && told.contains("seq=3: "),
        "{told}"
    );
    assert_eq!(pinged.status.code(), Some(0), "{}", said(&pinged));
    let refused = run(&line);
    let told = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(
        told.contains("3 sent, 0 answered") && told.contains("seq=3: "),
        "{told}"
    );
    assert!(told.contains("connection refused"), "{told}");
    assert_eq!(refused.status.code(), Some(3));
}

#[test]
fn what_is_waited_for_is_told_whoever_gives_up_first() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("coap+tcp://{}", listener.local_addr().unwrap());
    for line in [
        &["get", &uri, "--timeout", "0.2"][..],
        &["observe", &uri, "--timeout", "0.2"],
        &["discover", &uri, "--wait", "0.2"],
        &["ping", &uri, "--timeout", "0.2", "-c", "1"],
    ] {
        let output = run(line);
        let told = format!("{}{}", said(&output), String::from_utf8_lossy(&output.stdout));
        assert!(
            told.contains("no CSM") && told.contains("is there CoAP"),
            "{line:?}: {told}"
        );
        assert_eq!(output.status.code(), Some(3), "{line:?}: {told}");
    }
}

/// Where nothing is executed nothing is unknown.
#[test]
fn a_connection_that_breaks_twice_under_a_safe_request_is_no_answer() {
    let uri = impolite(CSM, REQUEST_BEGUN, b"");
    for command in ["get", "observe"] {
        let (status, told) = ended(&[command, &uri]);
        assert_eq!(status, 3, "{told}");
        assert!(
            told.contains("the connection broke before the whole answer was here"),
            "{told}"
        );
    }
}

/// A reason that is known needs no guess.
#[test]
fn who_aborts_at_once_is_quoted() {
    let uri = impolite(b"", 4, b"\x00\xe1\x80\xe5\xffgo away");
    let (status, told) = ended(&["post", &uri, "x"]);
    assert_eq!(status, 3, "{told}");
    assert!(
        told.contains("go away") && !told.contains("is there CoAP"),
        "{told}"
    );
    let web = impolite(b"", 4, b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let (status, told) = ended(&["post", &web, "x"]);
    assert_eq!(status, 3, "{told}");
    assert!(told.contains("what is spoken there is HTTP, not CoAP"), "{told}");
}

#[test]
fn an_observation_tells_why_it_registers_again() {
    let bind = [
        "serve",
        "--bind",
        "coap://127.0.0.1:0",
        "--bind",
        "coap+tcp://127.0.0.1:0",
    ];
    let server = Server::start(&bind);
    let clock = format!("{}/clock", listening(&server, "coap+tcp"));
    let mut child = command(&["observe", &clock])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A state says that it is registered.
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 1]).unwrap();
    drop(server);
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let told: Vec<String> = lines.map_while(Result::ok).take(2).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        told[0].contains("registering again: the connection ended"),
        "{told:?}"
    );
    assert!(told[1].contains("connection refused"), "{told:?}");
}

#[test]
fn a_load_that_is_not_taken_is_told_as_by_the_other_commands() {
    let folder = tempfile::tempdir().unwrap();
    let [cert, key] = keys(folder.path());
    let mut line = vec!["serve", "--tls-cert", &cert, "--tls-key", &key];
    line.extend(EVERYWHERE.iter().flat_map(|uri| ["--bind", *uri]));
    let server = Server::start(&line);
    let hello = format!("{}/hello", listening(&server, "coaps+tcp"));
    let other = tempfile::tempdir().unwrap();
    let [stranger, _] = keys(other.path());
    let (status, told) = ended(&["bench", &hello, "--cacert", &stranger, "-q"]);
    assert_eq!(status, 3, "{told}");
    assert!(told.contains("--cacert FILE"), "{told}");
}
