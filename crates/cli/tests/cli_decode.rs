//! `coracle decode` as scripts see it: output, messages and exit status.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn coracle(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_coracle"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that reads no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// ACK 2.05 with the payload `22.3 C` (RFC 7252 figure 17).
const RESPONSE: &[u8] = b"\x61\x45\x7d\x35\x20\xff22.3 C";

const RESPONSE_SHOWN: &str = "\
Type        ACK (acknowledgement)
Code        2.05 Content
Message ID  0x7d35 (32053)
Token       20 (1 byte)
Options     none
Payload     6 bytes
22.3 C
";

#[test]
fn hexadecimal_in_arguments_and_bytes_or_hexadecimal_on_standard_input_are_the_same() {
    let ways: [(&[&str], &[u8]); 4] = [
        (&["decode", "61457d3520ff32322e332043"], b""),
        (&["decode", "61", "45", "7d35", "20:ff:32:32", "2e332043"], b""),
        (&["decode"], RESPONSE),
        (&["decode", "-"], b"6145 7d35 20ff\n3232 2e33 2043\n"),
    ];
    for (args, input) in ways {
        let output = coracle(args, input);
        assert_eq!(text(&output.stdout), RESPONSE_SHOWN, "{args:?}");
        assert_eq!(
            (text(&output.stderr), output.status.code()),
            ("", Some(0)),
            "{args:?}"
        );
    }
}

#[test]
fn a_file_is_read() {
    let path = std::env::temp_dir().join(format!("coracle-decode-{}.bin", std::process::id()));
    std::fs::write(&path, RESPONSE).unwrap();
    let output = coracle(&["decode", path.to_str().unwrap()], b"");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(text(&output.stdout), RESPONSE_SHOWN);
}

#[test]
fn json_has_everything() {
    let output = coracle(&["decode", "--json", "44017d3601020304b474656d70613cff7b7d"], b"");
    let expected = concat!(
        r#"{"version":1,"type":"CON","code":"0.01","name":"GET","message_id":32054,"token":"01020304","options":["#,
        r#"{"number":11,"name":"Uri-Path","critical":true,"unsafe":true,"value":"temp","hex":"74656d70"},"#,
        r#"{"number":17,"name":"Accept","critical":true,"unsafe":false,"value":60,"hex":"3c"}],"#,
        r#""payload":"{}","encoding":"text"}"#,
        "\n"
    );
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_malformed_message_is_marked_and_fails() {
    let output = coracle(&["decode", "40 01 12 34 ff"], b"");
    let expected = "\
CON (confirmable), 0.01 GET, message ID 0x1234
0000  40 01 12 34 ff                                    @..4.
                  ^^ byte 4
at byte 4: no payload after the payload marker (RFC 7252 §3)
A receiver rejects it with a Reset of message ID 0x1234 (RFC 7252 §4.2).
";
    assert_eq!(text(&output.stdout), expected);
    assert_eq!((text(&output.stderr), output.status.code()), ("", Some(1)));
}

#[test]
fn a_malformed_message_is_told_in_json() {
    let output = coracle(&["decode", "--json", "70011234"], b"");
    let expected = concat!(
        r#"{"error":"at byte 1: a message of type RST cannot have code 0.01 (RFC 7252 §4.3)","offset":1,"#,
        r#""type":"RST","code":"0.01","message_id":4660,"reaction":"ignore"}"#,
        "\n"
    );
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn nothing_to_decode_is_a_mistake_of_usage() {
    let inputs: [(&[&str], &[u8]); 4] = [
        (&["decode"], b""),
        (&["decode"], b"\n"),
        (&["decode", "-b"], b""),
        (&["decode", ""], b""),
    ];
    for (args, input) in inputs {
        let output = coracle(args, input);
        let told = "coracle: nothing to decode (give hexadecimal, a file, or pipe it in)\n";
        assert_eq!(text(&output.stderr), told, "{args:?}");
        assert_eq!((text(&output.stdout), output.status.code()), ("", Some(2)));
    }
}

#[test]
fn each_line_is_a_message() {
    let input = b"60457d34\n40011234ff\n61457d3520ff32322e332043\n";
    let output = coracle(&["decode", "--json"], input);
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    let starts = [
        r#"{"version":1,"type":"ACK","#,
        r#"{"error":"at byte 4: "#,
        r#"{"version":1,"#,
    ];
    assert_eq!(lines.len(), starts.len(), "{output:?}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
    assert_eq!((text(&output.stderr), output.status.code()), ("", Some(1)));
    let output = coracle(&["decode"], input);
    let shown = format!("\n\n{RESPONSE_SHOWN}");
    assert!(text(&output.stdout).ends_with(&shown), "{output:?}");
}

#[test]
fn what_is_neither_hexadecimal_nor_a_file_is_a_mistake_of_usage() {
    let output = coracle(&["decode", "nothing-like-it"], b"");
    let expected = "coracle: 'n' is not a hexadecimal digit (there is no file of that name either)\n";
    assert_eq!(text(&output.stderr), expected);
    assert_eq!((text(&output.stdout), output.status.code()), ("", Some(2)));
}

#[test]
fn colours_come_only_where_they_are_wanted() {
    let plain = coracle(&["decode", "60007d34"], b"");
    assert!(!text(&plain.stdout).contains('\x1b'));
    let painted = coracle(&["--color", "always", "decode", "60007d34"], b"");
    assert!(text(&painted.stdout).contains("\x1b[1m0.00 Empty\x1b[0m"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_coracle"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((text(&output.stderr), output.status.code()), ("", Some(0)));
}
