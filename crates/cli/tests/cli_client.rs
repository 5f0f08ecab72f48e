//! The client commands as scripts see them, against a server of this project on the loopback interface.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use coracle::Endpoint;
use coracle::prelude::*;
use serde_json::{Value, json};

/// A server that lives as long as the test process.
fn server() -> SocketAddr {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let ticks = Notifier::new(0_u32);
            let endpoint = Endpoint::bind("coap://127.0.0.1:0").unwrap();
            tell.send(*endpoint.local_addrs().first().unwrap()).unwrap();
            let mut beat = tokio::time::interval(Duration::from_millis(20));
            tokio::join!(endpoint.serve(site(ticks.clone())).into_future(), async {
                loop {
                    beat.tick().await;
                    ticks.update(|tick| *tick += 1);
                }
            })
        })
    });
    told.recv().unwrap()
}

fn site(ticks: Notifier<u32>) -> Router {
    Router::new()
        .route("/hello", get(async || "hello").rt("greeting"))
        .route(
            "/json",
            get(async || (ContentFormat::JSON, r#"{"b": 1.50, "a": []}"#)),
        )
        .route(
            "/bytes",
            get(async || Response::success(vec![0_u8, 255])).rt("bytes"),
        )
        .route("/echo", post(echo).put(echo).fetch(echo).patch(echo).ipatch(echo))
        .route(
            "/broken",
            get(async || Response::diagnostic(Status::INTERNAL_SERVER_ERROR, "on\nfire")),
        )
        .route(
            "/made",
            post(async || Created::at("/made/1")).delete(async || Deleted),
        )
        .route(
            "/ticks",
            get(async |State(ticks): State<Notifier<u32>>| ticks.observed(u32::to_string)).observable(),
        )
        .with_state(ticks)
}

/// Method, content format and payload, so that the test sees what arrived.
async fn echo(request: Request) -> String {
    let format = request
        .options
        .as_options()
        .content_format()
        .map(|format| format.0);
    let payload = String::from_utf8_lossy(&request.payload).into_owned();
    format!("{} {format:?} {payload}", request.method)
}

fn start(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coracle"));
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn coracle(args: &[&str]) -> Output {
    start(args).output().unwrap()
}

fn coracle_with_input(args: &[&str], input: &[u8]) -> Output {
    let mut child = start(args).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// Standard output, standard error and exit status.
fn outcome(output: &Output) -> (&str, &str, i32) {
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    (
        text(&output.stdout),
        text(&output.stderr),
        output.status.code().unwrap(),
    )
}

fn scratch(name: &str) -> PathBuf {
    std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("client-{}-{name}", std::process::id()))
}

#[test]
fn the_body_goes_to_standard_output_and_nothing_else_does() {
    let uri = format!("{}/hello", server());
    assert_eq!(outcome(&coracle(&["get", &uri])), ("hello", "", 0));
    let verbose = coracle(&["get", &uri, "-v"]);
    let (stdout, stderr, status) = outcome(&verbose);
    assert_eq!((stdout, status), ("hello", 0));
    assert!(stderr.starts_with(&format!(
        "> GET coap://{uri} (CON)\n>   Uri-Path: \"hello\"\n< 2.05 Content from "
    )));
    assert!(
        stderr.contains("\n<   Content-Format: 0 (text/plain;charset=utf-8)\n<   5 bytes\n"),
        "{stderr}"
    );
}

#[test]
fn errors_of_the_server_are_one_line_and_an_exit_status() {
    let server = server();
    let missing = coracle(&["get", &format!("{server}/none")]);
    let (stdout, stderr, status) = outcome(&missing);
    assert_eq!((stdout, status), ("", 4));
    assert!(stderr.starts_with("coracle: 4.04 Not Found"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1);
    let broken = coracle(&["get", &format!("{server}/broken")]);
    let expected = "coracle: 5.00 Internal Server Error: on\\nfire\n";
    assert_eq!(outcome(&broken), ("", expected, 5));
}

#[test]
fn silence_is_exit_status_3() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let uri = format!("coap://{}/x", silent.local_addr().unwrap());
    let given_up = coracle(&["get", &uri, "--retransmit", "0", "--ack-timeout", "0.05"]);
    let hint = "--timeout, --retransmit and --ack-timeout say how long to try";
    let expected = format!("coracle: {uri}: no answer after 0 retransmissions ({hint})\n");
    assert_eq!(outcome(&given_up), ("", expected.as_str(), 3));
    let late = coracle(&["get", &uri, "--timeout", "0.05"]);
    assert_eq!(
        outcome(&late),
        (
            "",
            format!("coracle: {uri}: no answer in time ({hint})\n").as_str(),
            3
        )
    );
    let ping = coracle(&["ping", &uri, "--count", "1", "--timeout", "0.05"]);
    let expected = format!(
        "PING {uri}\nseq=1: no answer within 0.05 s\n--- {uri} ---\n1 sent, 0 answered, 100 % lost\n"
    );
    assert_eq!(outcome(&ping), (expected.as_str(), "", 3));
    drop(silent);
    let nobody = coracle(&["get", &uri]);
    let (stdout, stderr, status) = outcome(&nobody);
    assert_eq!((stdout, status), ("", 3));
    assert!(stderr.contains(": unreachable: "), "{stderr}");
}

#[test]
fn payloads_come_from_arguments_files_and_standard_input() {
    let uri = format!("{}/echo", server());
    let put = coracle(&["put", &uri, "on"]);
    assert_eq!(outcome(&put), ("PUT None on", "", 0));
    let json = coracle(&["post", &uri, "-d", "{}", "-f", "json"]);
    assert_eq!(outcome(&json), ("POST Some(50) {}", "", 0));
    let piped = coracle_with_input(&["fetch", &uri, "-f", "60"], b"piped");
    assert_eq!(outcome(&piped), ("FETCH Some(60) piped", "", 0));
    let explicit = coracle_with_input(&["patch", &uri, "-d", "@-"], b"explicit");
    assert_eq!(outcome(&explicit), ("PATCH Some(0) explicit", "", 0));
    let ignored = coracle_with_input(&["ipatch", &uri, "-d", ""], b"ignored");
    assert_eq!(outcome(&ignored), ("iPATCH None ", "", 0));
    let path = scratch("payload");
    std::fs::write(&path, "from a file").unwrap();
    let file = coracle(&["put", &uri, "-d", &format!("@{}", path.display())]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(outcome(&file), ("PUT None from a file", "", 0));
    let negative = coracle(&["put", &uri, "-5"]);
    assert_eq!(outcome(&negative), ("PUT None -5", "", 0));
    let negative = coracle(&["put", &uri, "-d", "-5.25", "-f", "text"]);
    assert_eq!(outcome(&negative), ("PUT Some(0) -5.25", "", 0));
    let missing = coracle(&["put", &uri, "-d", "@/none/such"]);
    assert_eq!(
        outcome(&missing),
        (
            "",
            "coracle: cannot read /none/such: no such file or directory\n",
            1
        )
    );
}

#[test]
fn the_name_of_a_file_tells_its_content_format() {
    let uri = format!("{}/echo", server());
    let path = scratch("payload.json");
    std::fs::write(&path, "{}").unwrap();
    let data = format!("@{}", path.display());
    let guessed = coracle(&["fetch", &uri, "-d", &data]);
    assert_eq!(outcome(&guessed), ("FETCH Some(50) {}", "", 0));
    // RFC 8132 §2.3.1: a FETCH says what its payload is in any case.
    let told = coracle(&["fetch", &uri, "words"]);
    assert_eq!(outcome(&told), ("FETCH Some(0) words", "", 0));
    let own = coracle(&["fetch", &uri, "words", "-O", "content-format=60"]);
    assert_eq!(outcome(&own), ("FETCH Some(60) words", "", 0));
    let told = coracle(&["put", &uri, "-d", &data, "-f", "text"]);
    assert_eq!(outcome(&told), ("PUT Some(0) {}", "", 0));
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_body_can_be_dumped() {
    let dumped = coracle(&["get", &format!("{}/bytes", server()), "--hex"]);
    let (stdout, stderr, status) = outcome(&dumped);
    assert!(stdout.starts_with("0000  00 ff   "), "{stdout}");
    assert_eq!((stderr, status), ("", 0));
}

#[test]
fn what_was_made_or_deleted_is_told_on_standard_error() {
    let uri = format!("{}/made", server());
    let deleted = coracle(&["delete", &uri]);
    assert_eq!(outcome(&deleted), ("", "2.02 Deleted\n", 0));
    let created = coracle(&["post", &uri, "x"]);
    assert_eq!(outcome(&created), ("", "2.01 Created /made/1\n", 0));
    assert_eq!(outcome(&coracle(&["delete", &uri, "-q"])), ("", "", 0));
    let created = coracle(&["post", &uri, "x", "-v"]);
    let (stdout, stderr, status) = outcome(&created);
    assert_eq!((stdout, status), ("", 0));
    assert!(stderr.contains("< 2.01 Created from "), "{stderr}");
    assert!(stderr.contains("\n<   Location-Path: \"made\"\n"), "{stderr}");
}

#[test]
fn an_answer_becomes_one_json_object() {
    let server = server();
    let answer = coracle(&["get", &format!("{server}/json"), "--json"]);
    let (stdout, stderr, status) = outcome(&answer);
    assert_eq!((stdout.lines().count(), stderr, status), (1, "", 0));
    assert!(
        stdout.contains(r#""payload":{"b":1.50,"a":[]},"encoding":"json""#),
        "{stdout}"
    );
    let answer: Value = serde_json::from_str(stdout).unwrap();
    assert_eq!(answer.get("code"), Some(&json!("2.05")));
    assert_eq!(answer.get("from"), Some(&json!(server.to_string())));
    let missing = coracle(&["delete", &format!("{server}/none"), "--json"]);
    let (stdout, stderr, status) = outcome(&missing);
    assert_eq!((stderr, status), ("", 4));
    assert!(stdout.contains(r#""code":"4.04","name":"Not Found""#), "{stdout}");
}

#[test]
fn a_body_is_written_to_a_file_and_an_error_is_not() {
    let server = server();
    let path = scratch("body");
    let name = path.to_str().unwrap();
    let written = coracle(&["get", &format!("{server}/bytes"), "-o", name]);
    assert_eq!(outcome(&written), ("", "", 0));
    let missing = coracle(&["get", &format!("{server}/none"), "-o", name]);
    assert_eq!(outcome(&missing).2, 4);
    assert_eq!(std::fs::read(&path).unwrap(), [0, 255]);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn options_of_any_number_are_sent() {
    let uri = format!("{}/hello", server());
    let elective = coracle(&["get", &uri, "-O", "65000=0x0102", "-q"]);
    assert_eq!(outcome(&elective), ("hello", "", 0));
    let critical = coracle(&["get", &uri, "-O", "65001=x"]);
    let (_, stderr, status) = outcome(&critical);
    assert!(stderr.starts_with("coracle: 4.02 Bad Option"), "{stderr}");
    assert_eq!(status, 4);
    let odd = coracle(&["get", &uri, "-O", "max-age=0x0102030405"]);
    let warning = "warning: Max-Age has 0 to 4 bytes, not 5 (RFC 7252 §5.4.3); it is sent as given\n";
    assert_eq!(outcome(&odd), ("hello", warning, 0));
}

#[test]
fn observed_states_are_lines() {
    let uri = format!("{}/ticks", server());
    let observed = coracle(&["observe", &uri, "--count", "3"]);
    let (stdout, stderr, status) = outcome(&observed);
    let ticks: Vec<u32> = stdout.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!((ticks.len(), stderr, status), (3, "", 0));
    assert!(ticks.is_sorted_by(|earlier, later| earlier < later), "{ticks:?}");
    let json = coracle(&["observe", &uri, "--count", "2", "--json"]);
    for line in outcome(&json).0.lines() {
        let state: Value = serde_json::from_str(line).unwrap();
        assert!(
            state.get("time").unwrap().as_str().unwrap().ends_with('Z'),
            "{state}"
        );
        assert!(state.get("observe").unwrap().is_u64(), "{state}");
    }
    assert_eq!(outcome(&json).0.lines().count(), 2);
}

#[cfg(unix)]
#[test]
fn a_command_runs_for_each_state() {
    let uri = format!("{}/ticks", server());
    let run = "echo $COAP_CODE $COAP_CONTENT_FORMAT $COAP_URI $(cat | tr -d 0-9)";
    let observed = coracle(&["observe", &uri, "--count", "2", "--exec", run]);
    let line = format!("2.05 0 coap://{uri}\n");
    assert_eq!(outcome(&observed), (line.repeat(2).as_str(), "", 0));
    let failing = coracle(&["observe", &uri, "--count", "1", "--exec", "exit 3"]);
    assert_eq!(outcome(&failing), ("", "coracle: `exit 3`: exit status: 3\n", 1));
    let missing = coracle(&["observe", &uri, "--exec", "/none/such"]);
    let (_, stderr, status) = outcome(&missing);
    let told = "coracle: cannot run `/none/such`: exit status: 127 (the observation ends)\n";
    assert!(stderr.ends_with(told), "{stderr}");
    assert_eq!((stderr.matches("coracle:").count(), status), (1, 1));
}

#[test]
fn the_duration_bounds_an_observation_without_an_answer() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let uri = format!("coap://{}/x", silent.local_addr().unwrap());
    let observed = coracle(&["observe", &uri, "--duration", "0.05"]);
    let told = format!("coracle: {uri}: no answer within --duration\n");
    assert_eq!(outcome(&observed), ("", told.as_str(), 3));
}

#[test]
fn the_duration_bounds_an_observation_whose_server_falls_silent() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let uri = format!("coap://{}/x", socket.local_addr().unwrap());
    let started = Instant::now();
    let child = start(&["observe", &uri, "--duration", "0.5"]).spawn().unwrap();
    let mut request = [0; 64];
    let (_, peer) = socket.recv_from(&mut request).unwrap();
    let token = usize::from(request[0] & 0x0f);
    // ACK 2.05 with the request's message ID and token, Observe 1 and the payload `a`.
    let mut answer = vec![0x60 | request[0] & 0x0f, 0x45, request[2], request[3]];
    answer.extend_from_slice(&request[4..4 + token]);
    answer.extend_from_slice(b"\x61\x01\xffa");
    socket.send_to(&answer, peer).unwrap();
    assert_eq!(outcome(&child.wait_with_output().unwrap()), ("a\n", "", 0));
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[cfg(unix)]
#[test]
fn an_observation_that_is_interrupted_succeeds_only_after_a_state() {
    let interrupt = |child: &std::process::Child| {
        let killed = Command::new("kill")
            .args(["-s", "INT", &child.id().to_string()])
            .status();
        assert!(killed.unwrap().success());
    };
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let uri = format!("coap://{}/x", silent.local_addr().unwrap());
    let child = start(&["observe", &uri]).spawn().unwrap();
    // The handler is there once the request is under way and has to be sent again.
    silent.recv_from(&mut [0; 64]).unwrap();
    silent.recv_from(&mut [0; 64]).unwrap();
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    let told = format!("coracle: {uri}: interrupted before an answer\n");
    assert_eq!(outcome(&output), ("", told.as_str(), 3));

    let mut child = start(&["observe", &format!("{}/ticks", server())])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        lines.next().unwrap().unwrap();
    }
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_observed_is_told() {
    let uri = format!("{}/hello", server());
    let told = "the server does not let this be observed; this is its only answer\n";
    assert_eq!(outcome(&coracle(&["observe", &uri])), ("hello\n", told, 0));
    let missing = coracle(&["observe", &format!("{uri}/none")]);
    let (stdout, stderr, status) = outcome(&missing);
    assert!(stderr.starts_with("coracle: 4.04 Not Found"), "{stderr}");
    assert_eq!((stdout, stderr.lines().count(), status), ("", 1, 4));
}

#[test]
fn discovered_links_are_absolute() {
    let server = server();
    let all = coracle(&["discover", &server.to_string()]);
    let (stdout, _, status) = outcome(&all);
    assert!(
        stdout
            .lines()
            .any(|line| line == format!("<coap://{server}/hello>;rt=\"greeting\"")),
        "{stdout}"
    );
    assert_eq!(status, 0);
    let one = coracle(&["discover", &server.to_string(), "--rt", "byt*", "--json"]);
    let link: Value = serde_json::from_str(outcome(&one).0).unwrap();
    assert_eq!(link.get("href"), Some(&json!(format!("coap://{server}/bytes"))));
}

#[test]
fn a_discovery_without_answer_names_its_own_option() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let uri = format!("coap://{}", silent.local_addr().unwrap());
    let asked = coracle(&["discover", &uri, "--wait", "0.05"]);
    let told = format!("coracle: {uri}: no answer (--wait says how long to listen)\n");
    assert_eq!(outcome(&asked), ("", told.as_str(), 3));
}

#[test]
fn pings_are_counted() {
    let uri = format!("coap://{}", server());
    let pinged = coracle(&["ping", &uri, "--count", "2", "--interval", "0.01"]);
    let (stdout, stderr, status) = outcome(&pinged);
    assert_eq!((stderr, status), ("", 0));
    assert!(
        stdout.contains("\n2 sent, 2 answered, 0 % lost\nround trip min/avg/max/mdev = "),
        "{stdout}"
    );
    let quiet = coracle(&["ping", &uri, "--count", "1", "-q"]);
    let (stdout, stderr, status) = outcome(&quiet);
    assert!(
        stdout.starts_with(&format!("--- {uri} ---\n1 sent, 1 answered")),
        "{stdout}"
    );
    assert_eq!((stdout.lines().count(), stderr, status), (3, "", 0));
}

#[test]
fn mistakes_of_usage_are_exit_status_2() {
    for args in [
        &["get"][..],
        &["get", "http://localhost/"],
        &["get", "coaps://localhost/"],
        &["get", "localhost", "-O", "nonsense=1"],
        &["get", "localhost", "--timeout", "-1"],
        &["put", "localhost", "x", "-d", "y"],
        &["put", "localhost", "x", "--block-size", "100"],
    ] {
        assert_eq!(coracle(args).status.code(), Some(2), "{args:?}");
    }
}
