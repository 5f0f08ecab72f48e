//! `coracle fuzz` as scripts see it, against `coracle serve` on the loopback interface.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_coracle");

fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

fn fuzz(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command
        .current_dir(folder)
        .arg("fuzz")
        .args(arguments)
        .output()
        .unwrap()
}

/// Attacks a server of its own.
fn fuzz_own(folder: &Path, arguments: &[&str]) -> Output {
    let port = free_port();
    let exec = format!("exec {PROGRAM} serve --bind 127.0.0.1:{port}");
    let uri = format!("127.0.0.1:{port}");
    fuzz(
        folder,
        &[
            &[uri.as_str(), "--exec", exec.as_str(), "--rate", "10000"],
            arguments,
        ]
        .concat(),
    )
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn our_server_survives_and_the_summary_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let ended = fuzz_own(
        folder.path(),
        &["--count", "2000", "--seed", "7", "--pcap", "a.pcapng"],
    );
    let (out, err) = (text(&ended.stdout), text(&ended.stderr));
    assert_eq!(ended.status.code(), Some(0), "{out}{err}");
    assert!(
        err.contains("with seed 7: 2000 messages, at most 10000 a second"),
        "{err}"
    );
    assert!(
        out.contains("2000 messages") && out.ends_with("\nthe server survived\n"),
        "{out}"
    );
    let capture = fs::read(folder.path().join("a.pcapng")).unwrap();
    assert!(capture.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) && capture.len() > 100_000);
    // Nothing was found: no file of messages is left.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn the_same_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let ended = fuzz_own(
        folder.path(),
        &[
            "--family",
            "generational",
            "-c",
            "500",
            "--seed",
            "8",
            "--json",
            "-q",
        ],
    );
    assert_eq!(text(&ended.stderr), "");
    let json: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(json["seed"], 8);
    assert_eq!(json["ending"], "done");
    assert_eq!(json["grave"], false);
    assert_eq!(json["sent"], serde_json::json!({ "generational": 500 }));
    assert!(json["replies"]["2.05"].as_u64().unwrap() > 0);
    assert_eq!(json["crashes"], serde_json::json!([]));
}

#[test]
fn a_command_that_dies_of_a_message_is_found_replayed_and_decoded() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let uri = format!("127.0.0.1:{port}");
    // A server that ends when it gets a message with `pa` in it, as requests to the path have.
    let server = format!(
        "import socket\n\
         s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         s.bind(('127.0.0.1', {port}))\n\
         while True:\n    \
             data, peer = s.recvfrom(65535)\n    \
             if b'/pa' in data.replace(b'\\xb2', b'/'): raise SystemExit('no more')\n    \
             if len(data) >= 4: s.sendto(bytes([0x70, 0]) + data[2:4], peer)\n"
    );
    fs::write(folder.path().join("server.py"), server).unwrap();
    if Command::new("python3").arg("--version").output().is_err() {
        return;
    }
    let exec = "exec python3 server.py";
    let found = [
        "--path",
        "/pa",
        "--exec",
        exec,
        "--seed",
        "1",
        "-c",
        "400",
        "--family",
        "generational",
    ];
    let ended = fuzz(
        folder.path(),
        &[&[uri.as_str(), "-o", "found"], &found[..]].concat(),
    );
    let out = text(&ended.stdout);
    assert_eq!(ended.status.code(), Some(1), "{out}{}", text(&ended.stderr));
    assert!(out.contains("the server ended: exit status 1"), "{out}");
    assert!(out.contains("found/fuzz-1-1.txt: 1 message, reproduced"), "{out}");
    assert!(out.contains("printed last: no more"), "{out}");

    let replayed = fuzz(
        folder.path(),
        &[&uri, "--exec", exec, "--replay", "found/fuzz-1-1.txt"],
    );
    assert_eq!(replayed.status.code(), Some(1));
    assert_eq!(text(&replayed.stdout), "the server ended: exit status 1\n");
    let mut decode = Command::new(PROGRAM);
    let decoded = decode
        .current_dir(folder.path())
        .args(["decode", "--json", "found/fuzz-1-1.txt"])
        .output()
        .unwrap();
    assert_eq!(text(&decoded.stdout).lines().count(), 1);

    fs::write(folder.path().join("harmless.txt"), "# a ping\n40000001\n").unwrap();
    let replayed = fuzz(folder.path(), &[&uri, "--exec", exec, "--replay", "harmless.txt"]);
    assert_eq!(replayed.status.code(), Some(0));
    assert_eq!(text(&replayed.stdout), "the server survives: 1 messages sent\n");
}

#[test]
fn who_is_not_there_or_makes_no_sense_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let told = |arguments: &[&str]| {
        let ended = fuzz(folder.path(), arguments);
        (ended.status.code().unwrap(), text(&ended.stderr))
    };
    let nobody = format!("127.0.0.1:{}", free_port());
    let (status, err) = told(&[&nobody]);
    assert!(status == 3 && err.contains("nobody answers"), "{status}: {err}");
    let (status, err) = told(&[&nobody, "--exec", "echo wrong option; exit 64"]);
    assert!(
        status == 3 && err.contains("exit status 64; it printed:\nwrong option"),
        "{status}: {err}"
    );
    for (arguments, expected) in [
        (["coap://[ff02::fd]", "--seed", "1"], "name one server"),
        (["coaps://localhost", "--seed", "1"], "only coap://"),
        ([nobody.as_str(), "--family", "dumb"], "the families are random,"),
        ([nobody.as_str(), "--rate", "0"], "invalid value '0'"),
        ([nobody.as_str(), "--corpus", "."], "there is no message"),
    ] {
        let (status, err) = told(&arguments);
        assert!(
            status == 2 && err.contains(expected),
            "{arguments:?} {status}: {err}"
        );
    }
    let (status, err) = told(&[&nobody, "--replay", "none.txt"]);
    assert!(
        status == 1 && err.contains("cannot read none.txt: no such file"),
        "{status}: {err}"
    );
}
