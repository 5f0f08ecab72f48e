//! `coracle plugtest run` and `client` as scripts see them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;

use coracle::Endpoint;
use coracle_conformance::site::{self, Settings};
use serde_json::Value;

/// The site of the plugtests, as long as the test process lives.
fn site() -> SocketAddr {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let endpoint = Endpoint::bind("coap://127.0.0.1:0").unwrap();
            tell.send(endpoint.local_addrs()[0]).unwrap();
            endpoint.serve(site::router(&Settings::default())).await
        })
    });
    told.recv().unwrap()
}

/// A server that answers each datagram with what `answer` makes of it.
fn server(answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut datagram = [0; 2_000];
        loop {
            let (length, peer) = socket.recv_from(&mut datagram).unwrap();
            if let Some(answer) = answer(&datagram[..length]) {
                socket.send_to(&answer, peer).unwrap();
            }
        }
    });
    address
}

/// 2.05 without Content-Format and payload, in an acknowledgement.
fn empty_content(request: &[u8]) -> Option<Vec<u8>> {
    let token = usize::from(request[0] & 0x0f);
    let mut answer = vec![0x60 | request[0] & 0x0f, 0x45];
    answer.extend(&request[2..4 + token]);
    Some(answer)
}

/// A Reset for a ping, and nothing for anything else.
fn only_pings(request: &[u8]) -> Option<Vec<u8>> {
    (request[1] == 0).then(|| vec![0x70, 0, request[2], request[3]])
}

/// 4.04 in an acknowledgement.
fn not_found(request: &[u8]) -> Option<Vec<u8>> {
    let mut answer = empty_content(request)?;
    answer[1] = 0x84;
    Some(answer)
}

fn plugtest(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coracle"));
    command
        .arg("plugtest")
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn coracle(args: &[&str]) -> Output {
    plugtest(args).output().unwrap()
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
    std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("plugtest-{}-{name}", std::process::id()))
}

#[test]
fn cases_are_listed_and_explained_without_a_subject() {
    for role in ["run", "client"] {
        let listed = coracle(&[role, "--list", "--only", "CORE_01"]);
        let (stdout, stderr, status) = outcome(&listed);
        assert!(stdout.starts_with("TD_COAP_CORE_01  "), "{stdout}");
        assert_eq!((stdout.lines().count(), stderr, status), (1, "", 0));

        let explained = coracle(&[role, "--explain", "core_01"]);
        let (stdout, stderr, status) = outcome(&explained);
        assert!(stdout.starts_with("TD_COAP_CORE_01\n  "), "{stdout}");
        assert!(stdout.contains("\n  References  RFC 7252"), "{stdout}");
        assert!(stdout.contains("\n  Steps       1. "), "{stdout}");
        assert_eq!((stderr, status), ("", 0));

        let json = coracle(&[role, "--list", "--json"]);
        let cases: Value = serde_json::from_slice(&json.stdout).unwrap();
        assert!(cases.as_array().unwrap().iter().all(|case| case["role"]
            == match role {
                "run" => "server",
                _ => "client",
            }));
    }
}

#[test]
fn a_run_writes_every_report() {
    let files = ["json", "xml", "html", "pcapng"].map(|name| scratch(&format!("all.{name}")));
    let [json, junit, html, pcap] = files.each_ref().map(|path| path.to_str().unwrap());
    let uri = format!("coap://{}", site());
    let mut args = vec!["run", &uri, "--only", "CORE_01,CORE_24"];
    args.extend(["--json", json, "--junit", junit, "--html", html, "--pcap", pcap]);
    let run = coracle(&args);
    let (stdout, stderr, status) = outcome(&run);
    assert_eq!((stderr, status), ("", 0), "{stdout}");
    assert!(stdout.starts_with(&format!("{uri}: 1 case, ")), "{stdout}");
    assert!(stdout.contains("\npass          TD_COAP_CORE_01 "), "{stdout}");
    assert!(stdout.contains("\nnot yet       CORE (1): "), "{stdout}");
    assert!(stdout.ends_with(" s: nothing failed\n"), "{stdout}");

    let read = files.map(|path| std::fs::read(path).unwrap());
    let value: Value = serde_json::from_slice(&read[0]).unwrap();
    assert_eq!(
        (&value["counts"]["pass"], &value["counts"]["not-yet"]),
        (&1.into(), &1.into())
    );
    assert!(read[1].starts_with(b"<?xml "));
    assert!(read[2].starts_with(b"<!DOCTYPE html>"));
    assert!(read[3].starts_with(b"\x0a\x0d\x0d\x0a"));
}

#[test]
fn json_on_standard_output_is_alone_there() {
    let uri = format!("coap://{}", site());
    let run = coracle(&["run", &uri, "--only", "CORE_01", "--json"]);
    let (stdout, stderr, status) = outcome(&run);
    let value: Value = serde_json::from_str(stdout).unwrap();
    assert_eq!((value["cases"][0]["outcome"].as_str(), status), (Some("pass"), 0));
    assert!(stderr.contains("\npass          TD_COAP_CORE_01 "), "{stderr}");
    let quiet = coracle(&["run", &uri, "--only", "CORE_01", "--json", "--quiet"]);
    assert_eq!(outcome(&quiet).1, "");
}

#[test]
fn a_failure_tells_why_and_shows_the_messages() {
    let uri = format!("coap://{}", server(empty_content));
    let run = coracle(&["run", &uri, "--only", "CORE_01"]);
    let (stdout, stderr, status) = outcome(&run);
    assert_eq!((stderr, status), ("", 1), "{stdout}");
    assert!(stdout.contains("\nfail          TD_COAP_CORE_01 "), "{stdout}");
    let marked: Vec<&str> = stdout.lines().filter(|line| line.starts_with(">> ")).collect();
    assert_eq!(marked.len(), 1, "{stdout}");
    assert!(marked[0].contains("  <-- ACK 2.05 Content mid="), "{stdout}");
    assert!(marked[0].contains("  << "), "{stdout}");
    assert!(stdout.ends_with(" s: 1 failed\n"), "{stdout}");
}

#[test]
fn what_a_server_lacks_is_summed_up_and_nothing_judged_is_no_success() {
    let uri = format!("coap://{}", server(not_found));
    let args = ["run", &uri, "--only", "OBS_01,OBS_02"];
    let run = coracle(&args);
    let (stdout, stderr, status) = outcome(&run);
    assert_eq!((stderr, status), ("", 1), "{stdout}");
    assert!(
        stdout.contains(" s: nothing could be judged, 2 skipped\nnot offered: /obs ("),
        "{stdout}"
    );
    assert!(stdout.contains("--map /obs=/PATH"), "{stdout}");
    assert!(!stdout.contains("TD_COAP_OBS_01"), "{stdout}");
    let verbose = plugtest(&args).arg("-v").output().unwrap();
    let (stdout, _, _) = outcome(&verbose);
    assert!(stdout.contains("\nskipped       TD_COAP_OBS_01 "), "{stdout}");
}

#[test]
fn nobody_there_has_an_exit_status_of_its_own() {
    let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let run = coracle(&["run", &address.to_string(), "--only", "CORE_01"]);
    let (stdout, stderr, status) = outcome(&run);
    assert_eq!((stderr, status), ("", 3), "{stdout}");
    assert!(stdout.contains("nobody answers at "), "{stdout}");
    let missing = coracle(&[
        "client",
        "--exec",
        "there-is-no-such-program {uri}",
        "--only",
        "CORE_01",
    ]);
    let told = "coracle: there is no program \"there-is-no-such-program\"\n";
    assert_eq!(outcome(&missing), ("", told, 3));
}

#[test]
fn a_client_is_judged_by_its_command() {
    let exec = format!("{} get {{uri}}", env!("CARGO_BIN_EXE_coracle"));
    let run = coracle(&["client", "--exec", &exec, "--only", "CORE_01"]);
    let (stdout, stderr, status) = outcome(&run);
    assert_eq!((stderr, status), ("", 0), "{stdout}");
    assert!(stdout.contains("\npass          TD_COAP_CORE_01 "), "{stdout}");
}

#[test]
fn what_makes_no_sense_is_told_before_anything_is_judged() {
    let usage: [&[&str]; 14] = [
        &["run"],
        &["run", "coaps+tcp://[::1]"],
        &["run", "coap://[::1]", "--psk", "a:b"],
        &["run", "coaps://[::1]", "--psk", "secret"],
        &["run", "[::1]/test"],
        &["run", "[::1]", "--only", "NOTHING_01"],
        &["run", "--json", "coap://[::1]"],
        &["run", "[::1]", "--map", "obs=time"],
        &["run", "[::1]", "--map", "/nosuch=/time"],
        &["run", "224.0.1.187"],
        &["run", "[::1]", "--html", "-"],
        &["run", "[::1]", "--html", "a", "--junit", "./a"],
        &["client", "--exec", "true {uri} {METHOD}"],
        &["client"],
    ];
    for args in usage {
        let output = coracle(args);
        let (stdout, stderr, status) = outcome(&output);
        assert_eq!((stdout, status), ("", 2), "{args:?}: {stderr}");
    }
    let nothing = coracle(&["client"]);
    let (_, profiles, _) = outcome(&nothing);
    assert!(
        profiles.contains("--profile") && profiles.contains("coap-client"),
        "{profiles}"
    );
    let file = scratch("no-such-folder").join("report.html");
    let unwritable = coracle(&["run", "127.0.0.1", "--html", file.to_str().unwrap()]);
    let (stdout, stderr, status) = outcome(&unwritable);
    assert_eq!((stdout, status), ("", 1));
    assert!(stderr.starts_with("coracle: cannot write "), "{stderr}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_writes_its_reports() {
    for signal in ["INT", "TERM", "HUP"] {
        interrupt(signal);
    }
}

#[cfg(unix)]
fn interrupt(signal: &str) {
    use std::io::{BufRead, BufReader, Read};

    let file = scratch(&format!("interrupted-{signal}.json"));
    let (tell, told) = mpsc::channel();
    let address = server(move |request| {
        if request[1] != 0 && !request.ends_with(b"knock\xbb.well-known\x04core") {
            // The test may have heard enough.
            let _ = tell.send(());
        }
        only_pings(request)
    });
    let address = address.to_string();
    let mut run = plugtest(&[
        "run",
        &address,
        "--only",
        "CORE",
        "--json",
        file.to_str().unwrap(),
    ])
    .spawn()
    .unwrap();
    // Signals are taken before the first line, and a case is under way with the first request that is no knock.
    let mut stdout = BufReader::new(run.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    told.recv().unwrap();
    let killed = Command::new("kill")
        .args([format!("-{signal}"), run.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(1), "{rest}");
    let value: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let cases = value["cases"].as_array().unwrap();
    assert!(cases.iter().any(|case| case["reason"] == "interrupted"), "{rest}");
    assert_eq!(value["counts"]["pass"], 0);
}
