//! `coracle bench` as scripts see it, against `coracle serve` and worse servers on the loopback interface.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_coracle");

/// Our own server, which ends with the test.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start() -> Server {
        let mut child = Command::new(PROGRAM)
            .args(["serve", "--bind", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let address = first.rsplit_once("coap://").unwrap().1.to_owned();
        // Who is not read from must not be kept waiting.
        std::thread::spawn(move || lines.for_each(drop));
        Server { child, address }
    }

    fn uri(&self, path: &str) -> String {
        format!("coap://{}/{path}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bench(arguments: &[&str]) -> Output {
    Command::new(PROGRAM)
        .arg("bench")
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(output: &Output) -> Value {
    assert!(!output.stdout.is_empty(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Answers each request with these bytes after header and token.
fn server_that_answers(rest: &'static [u8]) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut buf = [0; 2048];
        while let Ok((_, from)) = socket.recv_from(&mut buf) {
            let answer = [&[0x68, 0x45, buf[2], buf[3]], &buf[4..12], rest].concat();
            socket.send_to(&answer, from).unwrap();
        }
    });
    address
}

/// Sends a CSM on each connection, and answers each of the first `most` requests of a connection with 2.05; then it aborts.
fn server_of_connections(most: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || answer_on(&mut stream.unwrap(), most));
        }
    });
    address
}

fn answer_on(stream: &mut TcpStream, most: usize) {
    let (mut bytes, mut buf, mut answered) = (Vec::new(), [0; 4096], 0);
    let _ = stream.write_all(&[0x00, 0xe1]);
    while let Ok(len @ 1..) = stream.read(&mut buf) {
        bytes.extend_from_slice(&buf[..len]);
        // All lengths of these messages fit four bits, and all requests have tokens of eight bytes.
        while let Some(len) = bytes
            .first()
            .map(|first| 2 + usize::from(first >> 4) + usize::from(first & 0xf))
        {
            if bytes.len() < len {
                break;
            }
            let frame: Vec<u8> = bytes.drain(..len).collect();
            if frame[1] != 0x01 {
                continue;
            }
            let answer = [&[0x28, 0x45], &frame[2..10], b"\xff1"].concat();
            if answered == most {
                let _ = stream.write_all(b"\x50\xe5\xffbusy");
                return;
            }
            answered += 1;
            let _ = stream.write_all(&answer);
        }
    }
}

#[test]
fn peers_are_connections_where_the_scheme_says_so() {
    let uri = format!("coap+tcp://{}/a", server_of_connections(usize::MAX));
    let ended = bench(&[&uri, "--peers", "8", "--outstanding", "4", "-n", "500"]);
    let (out, err) = (text(&ended.stdout), text(&ended.stderr));
    assert_eq!(ended.status.code(), Some(0), "{out}{err}");
    assert!(
        err.contains("GET, 8 connections with 4 outstanding, closed loop"),
        "{err}"
    );
    for part in ["connections     8 opened in", "500 of 500", "no answer was wrong"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let refused = bench(&[&uri, "--non"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
}

#[test]
fn connections_that_end_are_told_with_the_reason() {
    let uri = format!("coap+tcp://{}/a", server_of_connections(50));
    let report = json(&bench(&[&uri, "--peers", "1", "-n", "120", "--json"]));
    // Each aborts at its 51st request.
    assert_eq!(report["answered"], 118);
    let connections = &report["connections"];
    assert_eq!(connections["lost"], serde_json::json!({"aborted": 2}));
    assert_eq!(connections["first_lost"], "\"busy\"");
    assert_eq!(
        (&connections["opened_again"], &connections["requests_lost"]),
        (&Value::from(2), &Value::from(2))
    );
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = bench(&[&format!("coap+tcp://{closed}/a")]);
    assert_eq!(nobody.status.code(), Some(3));
    assert!(text(&nobody.stderr).contains("connection refused"));
}

#[test]
fn our_server_answers_all_and_the_table_says_so() {
    let server = Server::start();
    let ended = bench(&[&server.uri("hello"), "--peers", "20", "-n", "500"]);
    let (out, err) = (text(&ended.stdout), text(&ended.stderr));
    assert_eq!(ended.status.code(), Some(0), "{out}{err}");
    assert!(err.contains("CON GET, 20 peers, closed loop"), "{err}");
    for part in [
        "answered",
        "500 of 500",
        "2.05 Content 500",
        "99.9 %",
        "no answer was wrong",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
}

#[test]
fn json_and_the_picture_hold_the_same_run() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("a.svg");
    let uri = server.uri("hello");
    let ended = bench(&[
        &uri,
        "--rate",
        "200",
        "--duration",
        "2",
        "--warmup",
        "0",
        "--json",
        "--svg",
        picture.to_str().unwrap(),
    ]);
    let report = json(&ended);
    assert_eq!(ended.status.code(), Some(0), "{report}");
    assert_eq!(report["wanted_rate"], 200.0);
    let answered = report["answered"].as_u64().unwrap();
    let left = report["outstanding_at_end"].as_u64().unwrap();
    assert_eq!(report["sent"].as_u64(), Some(answered + left));
    assert!(answered <= 400, "{report}");
    assert_eq!(report["codes"]["2.05 Content"].as_u64(), Some(answered));
    assert_eq!(report["per_second"].as_array().unwrap().len(), 2);
    let times = &report["latency_us"];
    let of = |name: &str| times[name].as_f64().unwrap();
    assert!(
        of("min") <= of("p50") && of("p50") <= of("p99") && of("p99") <= of("max"),
        "{times}"
    );
    assert_eq!(report["wrong"], serde_json::json!({}));
    let svg = std::fs::read_to_string(picture).unwrap();
    assert!(
        svg.starts_with("<svg xmlns") && svg.trim_end().ends_with("</svg>"),
        "{svg}"
    );
    assert!(
        svg.contains(&uri) && svg.matches("<polyline").count() >= 5,
        "{svg}"
    );
}

#[test]
fn bodies_go_up_and_down_whole() {
    let server = Server::start();
    let uri = server.uri("store/body");
    let up = bench(&[
        &uri,
        "-m",
        "put",
        "--transfer",
        "-s",
        "10000",
        "--peers",
        "3",
        "-n",
        "6",
        "--json",
    ]);
    let report = json(&up);
    assert_eq!(up.status.code(), Some(0), "{report}");
    assert!(
        report["transfer"]["body_bytes"].as_u64() >= Some(60_000),
        "{report}"
    );
    assert_eq!(
        report["codes"]["2.04 Changed"].as_u64().unwrap_or(0) + 1,
        report["answered"].as_u64().unwrap()
    );

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    let body: Vec<u8> = (b'a'..=b'z').cycle().take(10_000).collect();
    std::fs::write(&file, body).unwrap();
    let expect = format!("@{}", file.display());
    let down = bench(&[
        &uri,
        "--transfer",
        "--peers",
        "3",
        "-n",
        "6",
        "--json",
        "--expect",
        &expect,
    ]);
    let report = json(&down);
    assert_eq!(down.status.code(), Some(0), "{report}");
    assert_eq!(report["answered"].as_u64(), Some(6), "{report}");
    let wrong = bench(&[
        &uri,
        "--transfer",
        "-n",
        "1",
        "--timeout",
        "0.2",
        "--expect",
        "another",
    ]);
    assert_eq!(wrong.status.code(), Some(1));
}

#[test]
fn observers_are_told_of_changes() {
    let server = Server::start();
    let ended = bench(&[
        &server.uri("store/x"),
        "--observe",
        "--peers",
        "20",
        "--outstanding",
        "2",
        "--change",
        "0.5",
        "--duration",
        "2",
        "--json",
    ]);
    let report = json(&ended);
    assert_eq!(ended.status.code(), Some(0), "{report}");
    let observed = &report["observe"];
    assert_eq!(
        (observed["observers"].as_u64(), observed["ended"].as_u64()),
        (Some(40), Some(0))
    );
    let changes = observed["changes"].as_array().unwrap();
    assert!(!changes.is_empty(), "{report}");
    assert_eq!(changes[0]["told"], 40);
    assert!(changes[0]["last_us"].as_f64() >= changes[0]["first_us"].as_f64());
}

#[test]
fn exit_statuses_tell_scripts_what_came() {
    let server = Server::start();
    let code = |arguments: &[&str]| bench(arguments).status.code();
    let short = ["--duration", "0.3", "--warmup", "0"];
    let missing = server.uri("nothing/here");
    assert_eq!(code(&[&[missing.as_str()], &short[..]].concat()), Some(4));

    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let uri = silent.local_addr().unwrap().to_string();
    assert_eq!(code(&[&[uri.as_str()], &short[..]].concat()), Some(3));
    drop(silent);
    assert_eq!(code(&[&[uri.as_str()], &short[..]].concat()), Some(3));

    for group in ["224.0.1.187", "[ff02::fd%lo]", "255.255.255.255"] {
        assert_eq!(code(&[group]), Some(2), "{group}");
    }
    assert_eq!(code(&["localhost", "--rate", "0"]), Some(2));
    assert_eq!(code(&["localhost", "-m", "steal"]), Some(2));
    assert_eq!(code(&["127.0.0.1", "-m", "put", "-s", "2000"]), Some(2));
}

#[test]
fn wrong_answers_are_told_and_fail() {
    let uri = server_that_answers(b"\xff21.5");
    let right = bench(&[&uri, "-n", "20", "--expect", "21.5"]);
    assert_eq!(right.status.code(), Some(0), "{}", text(&right.stdout));
    let wrong = bench(&[&uri, "--duration", "0.3", "--warmup", "0", "--expect", "22.5"]);
    let out = text(&wrong.stdout);
    assert_eq!(wrong.status.code(), Some(1), "{out}");
    assert!(out.contains("with another payload"), "{out}");
    assert!(out.contains(r#""1.5" instead of "2.5""#), "{out}");

    let uri = server_that_answers(b"\xff");
    let malformed = bench(&[&uri, "--duration", "0.3", "--warmup", "0"]);
    let out = text(&malformed.stdout);
    assert_eq!(malformed.status.code(), Some(1), "{out}");
    assert!(out.contains("malformed"), "{out}");
}

/// The table, JSON and the exit status tell of errors by their codes.
#[test]
fn errors_are_named_and_fail_even_if_they_are_few() {
    let server = Server::start();
    let missing = bench(&[&server.uri("nothing/here"), "-n", "50"]);
    let out = text(&missing.stdout);
    assert_eq!(missing.status.code(), Some(4), "{out}");
    assert!(out.contains("all 50 answers were 4.04 Not Found"), "{out}");
    assert!(!out.contains("no answer was wrong"), "{out}");

    // The first is 5.03, the others are 2.05.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let uri = socket.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut buf = [0; 2048];
        let mut code = 0xa3;
        while let Ok((_, from)) = socket.recv_from(&mut buf) {
            let answer = [&[0x68, code, buf[2], buf[3]], &buf[4..12]].concat();
            socket.send_to(&answer, from).unwrap();
            code = 0x45;
        }
    });
    let some = bench(&[&uri, "-n", "50"]);
    let out = text(&some.stdout);
    assert_eq!(some.status.code(), Some(5), "{out}");
    assert!(
        out.contains("1 of 50 answers were errors: 5.03 Service Unavailable 1"),
        "{out}"
    );
    assert!(!out.contains("no answer was wrong"), "{out}");
}

/// All numbers of the measured time are of the same answers.
#[test]
fn codes_latencies_and_seconds_are_of_one_time() {
    let server = Server::start();
    let report = json(&bench(&[
        &server.uri("hello"),
        "--duration",
        "2.4",
        "--warmup",
        "0.3",
        "--json",
    ]));
    let of = |value: &Value| value.as_u64().unwrap();
    let answered = of(&report["answered"]);
    assert_eq!(of(&report["codes"]["2.05 Content"]), answered);
    assert_eq!(of(&report["sent"]), answered + of(&report["outstanding_at_end"]));
    assert_eq!(
        of(&report["outstanding_at_end"]),
        of(&report["after"]["answered"])
    );
    assert!(of(&report["before"]["answered"]) > 0);
    let seconds = report["per_second"].as_array().unwrap();
    assert!(!seconds.is_empty());
    assert!(seconds.iter().map(|second| of(&second["answered"])).sum::<u64>() <= answered);
    let most = report["latency_us"]["max"].as_f64().unwrap();
    for second in seconds {
        assert!(second["max_us"].as_f64().unwrap() <= most, "{report}");
    }
}

#[test]
fn a_body_that_changes_is_told_and_wrong_only_where_it_may_not_change() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let uri = socket.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut buf = [0; 2048];
        for number in 0_u64.. {
            let (_, from) = socket.recv_from(&mut buf).unwrap();
            let body = format!("{number:09}");
            let answer = [
                &[0x68, 0x45, buf[2], buf[3]],
                &buf[4..12],
                b"\xff",
                body.as_bytes(),
            ]
            .concat();
            socket.send_to(&answer, from).unwrap();
        }
    });
    let ended = bench(&[&uri, "-n", "20"]);
    let out = text(&ended.stdout);
    assert_eq!(ended.status.code(), Some(0), "{out}");
    for part in [
        "no answer was wrong",
        "19 of 20 payloads differ from the first",
        "--any-payload",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let silent = text(&bench(&[&uri, "-n", "20", "--any-payload"]).stdout);
    assert!(!silent.contains("differ"), "{silent}");
    let strict = bench(&[&uri, "-n", "20", "--same-payload"]);
    assert_eq!(strict.status.code(), Some(1), "{}", text(&strict.stdout));
}

#[test]
fn a_picture_that_cannot_be_written_is_told_before_the_run() {
    // Nobody is there, which would be told if it were asked.
    for file in ["/nonexistent/a.svg", "/"] {
        let ended = bench(&["127.0.0.1:1", "--svg", file]);
        let err = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{err}");
        assert!(err.contains(&format!("cannot write {file}")), "{err}");
        assert!(!err.contains("closed loop"), "{err}");
    }
}

#[test]
fn a_change_that_is_refused_ends_the_run_at_once() {
    let server = Server::start();
    let ended = bench(&[&server.uri("hello"), "--observe", "--change", "1"]);
    let err = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{err}");
    assert!(
        err.contains("the PUT that changes the resource was answered 4.05"),
        "{err}"
    );
}

/// The first observer is registered, the second refused, the third rejected, and nothing changes.
#[test]
fn observers_that_are_refused_are_told() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let uri = socket.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut buf = [0; 2048];
        for number in 0.. {
            let (_, from) = socket.recv_from(&mut buf).unwrap();
            let (id, token) = (&buf[2..4], &buf[4..12]);
            let answer = match number {
                // Observe: 1, or a plain answer to who leaves.
                0 => [b"\x68\x45", id, token, b"\x61\x01\xff1"].concat(),
                1 => [b"\x68\x84", id, token].concat(),
                2 => [b"\x70\x00", id].concat(),
                _ => [b"\x68\x45", id, token, b"\xff1"].concat(),
            };
            socket.send_to(&answer, from).unwrap();
        }
    });
    let ended = bench(&[&uri, "--observe", "--peers", "3", "--duration", "0.2"]);
    let out = text(&ended.stdout);
    assert_eq!(ended.status.code(), Some(4), "{out}");
    for part in [
        "1 of 3 registered",
        "refused         4.04 Not Found 1",
        "1  requests rejected with a Reset",
        "1 of 2 answers to registrations were errors: 4.04 Not Found 1",
        "no notification came",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(!out.contains("no answer was wrong"), "{out}");
}

#[test]
fn a_signal_ends_the_run_with_what_came_so_far() {
    let server = Server::start();
    let mut child = Command::new(PROGRAM)
        .args([
            "bench",
            &server.uri("hello"),
            "--warmup",
            "0",
            "-v",
            "--duration",
            "60",
        ])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The first second was told: it is under way.
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let told = lines.find(|line| line.as_ref().unwrap().contains("answers/s"));
    assert!(told.is_some());
    let signalled = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(signalled.success());
    let ended = child.wait_with_output().unwrap();
    let out = text(&ended.stdout);
    assert_eq!(ended.status.code(), Some(130), "{out}");
    assert!(
        out.contains("interrupted") && out.contains("2.05 Content"),
        "{out}"
    );
}
