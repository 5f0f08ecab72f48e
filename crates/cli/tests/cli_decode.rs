//! `coracle decode` as scripts see it: output, messages and exit status.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

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
    let inputs: [(&[&str], &[u8]); 5] = [
        (&["decode"], b""),
        (&["decode"], b"\n"),
        (&["decode", "--transport", "tcp"], b"# nothing\n"),
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

/// CSM, Ping, GET /temp, and its answer (RFC 8323 §3.2), as three segments brought them.
const STREAM: &[u8] = b"30e1 2110 20\n01e2 4251\n0120 b474 656d 7031 4520 ff21 21\n";

#[test]
fn a_stream_is_split_into_its_frames_wherever_its_lines_end() {
    let output = coracle(&["decode", "--transport", "tcp"], STREAM);
    let expected = "\
Frame       5 bytes at byte 0
Code        7.01 CSM
Token       none
Options     2
      2  Max-Message-Size     elective          16
      4  Block-Wise-Transfer  elective
Payload     none

Frame       3 bytes at byte 5
Code        7.02 Ping
Token       42 (1 byte)
Options     none
Payload     none

Frame       8 bytes at byte 8
Code        0.01 GET
Token       20 (1 byte)
Options     1
     11  Uri-Path  critical, unsafe  \"temp\"
Payload     none

Frame       6 bytes at byte 16
Code        2.05 Content
Token       20 (1 byte)
Options     none
Payload     2 bytes
!!
";
    assert_eq!(text(&output.stdout), expected);
    assert_eq!((text(&output.stderr), output.status.code()), ("", Some(0)));
    // The same as bytes.
    let bytes = b"\x30\xe1\x21\x10\x20\x01\xe2\x42\x51\x01\x20\xb4temp\x31\x45\x20\xff!!";
    let output = coracle(&["decode", "--transport", "tcp", "-"], bytes);
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn frames_are_told_in_json() {
    let output = coracle(&["decode", "--json", "--transport", "tcp"], STREAM);
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    let csm = concat!(
        r#"{"transport":"tcp","start":0,"length":5,"code":"7.01","name":"CSM","token":"","options":["#,
        r#"{"number":2,"name":"Max-Message-Size","critical":false,"value":16,"hex":"10"},"#,
        r#"{"number":4,"name":"Block-Wise-Transfer","critical":false,"value":null,"hex":""}]}"#,
    );
    assert_eq!(lines.len(), 4, "{output:?}");
    assert_eq!(lines[0], csm);
    assert!(lines[3].starts_with(r#"{"transport":"tcp","start":16,"length":6,"code":"2.05","#));
    let output = coracle(&["decode", "--json", "--transport", "ws", "01e342"], b"");
    let pong = r#"{"transport":"ws","length":3,"code":"7.03","name":"Pong","token":"42","options":[]}"#;
    assert_eq!(text(&output.stdout).trim_end(), pong);
}

#[test]
fn a_malformed_frame_is_told_and_those_after_it_are_shown() {
    let stream = "10 45 ff 00 00 51 01 20 b4 74";
    let output = coracle(&["decode", "--transport", "tcp", stream], b"");
    let expected = "\
Frame at byte 0, 2.05 Content
0000  10 45 ff                                          .E.
            ^^ byte 2
at byte 2: no payload after the payload marker (RFC 7252 §3)
A receiver ends the connection with an Abort (RFC 8323 §5.6).

Frame       2 bytes at byte 3
Code        0.00 Empty
Token       none
Options     none
Payload     none

Frame at byte 5, 0.01 GET
0000  51 01 20 b4 74                                    Q. .t
                     ^^ byte 5
at byte 5: the message is shorter than its length says (RFC 8323 §3.2)
A receiver waits for 3 more bytes.
";
    assert_eq!(text(&output.stdout), expected);
    assert_eq!((text(&output.stderr), output.status.code()), ("", Some(1)));
    let output = coracle(&["decode", "--json", "--transport", "tcp", stream], b"");
    let errors = [
        concat!(
            r#"{"error":"at byte 2: no payload after the payload marker (RFC 7252 §3)","offset":2,"#,
            r#""transport":"tcp","start":0,"length":3,"code":"2.05","reaction":"abort"}"#
        ),
        concat!(
            r#"{"error":"at byte 5: the message is shorter than its length says (RFC 8323 §3.2)","#,
            r#""offset":5,"transport":"tcp","start":5,"length":5,"code":"0.01","reaction":"wait"}"#
        ),
    ];
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!((lines[0], lines[2]), (errors[0], errors[1]));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn where_the_next_frame_begins_is_unknown_after_token_length_15() {
    let output = coracle(&["decode", "--transport", "tcp", "0000 0f01 0000"], b"");
    let expected = "
Frame at byte 2, 0.01 GET
0000  0f 01 00 00                                       ....
      ^^ byte 0
";
    assert!(text(&output.stdout).contains(expected), "{output:?}");
    assert_eq!(output.status.code(), Some(1));
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
