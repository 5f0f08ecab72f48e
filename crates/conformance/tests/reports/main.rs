//! What reports look like, and that a hostile subject cannot get anything through them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests"
)]

mod hand_made;
mod html;
mod packets;
mod properties;

use std::path::Path;

use coracle_conformance::report::{Report, json, junit, ladder};
use serde_json::Value;

use crate::hand_made::{hostile_report, report};

/// Compares with a file beside this one; what differs is written to a file to be looked at, and taken over if right.
fn assert_golden(name: &str, written: &[u8]) {
    let text = String::from_utf8(written.to_vec()).unwrap();
    let text = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/reports")
        .join(name);
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    if text != expected {
        let seen = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&seen, &text).unwrap();
        panic!("{} is not as expected, see {}", golden.display(), seen.display());
    }
}

/// Where the flood is among the cases.
const FLOOD: usize = 6;

/// The report without the flood, which is too long to be read.
fn readable() -> Report {
    let mut report = report();
    report.cases.remove(FLOOD);
    report
}

fn ladders(report: &Report, width: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for case in &report.cases {
        out.extend(format!("{}\n", case.case.id).as_bytes());
        ladder::write(case, width, &mut out).unwrap();
    }
    out
}

#[test]
fn ladders_are_as_they_were_approved() {
    assert_golden("ladders.txt", &ladders(&readable(), 100));
}

#[test]
fn ladders_keep_to_their_width_and_do_not_steer_the_terminal() {
    for width in [0, 60, 80, 100] {
        let text = String::from_utf8(ladders(&hostile_report(), width)).unwrap();
        let longest = text.lines().map(|line| line.chars().count()).max();
        // Two addresses behind the indentation take 55 characters, whatever the width.
        assert!(longest <= Some(width.max(55)), "{longest:?} of {width}\n{text}");
        let steers = |character: char| character.is_control() && character != '\n' || character == '\u{202e}';
        assert!(!text.contains(steers), "{text}");
    }
}

#[test]
fn a_long_ladder_shows_its_ends_and_the_offending_message() {
    let report = report();
    let mut out = Vec::new();
    ladder::write(&report.cases[FLOOD], 100, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.lines().count() < 100, "{text}");
    assert_eq!(text.matches(" more …").count(), 2, "{text}");
    assert!(
        text.contains("\n>>    2.500  <-- RST 0.00 mid=0x0007\n"),
        "{text}"
    );
    assert!(text.ends_with("      4.999  <-- RST 0.00 mid=0x0007\n"), "{text}");
}

#[test]
fn json_is_as_it_was_approved() {
    let mut out = Vec::new();
    json::write(&readable(), &mut out).unwrap();
    let value: Value = serde_json::from_slice(&out).unwrap();
    let mut laid_out = serde_json::to_vec_pretty(&value).unwrap();
    laid_out.push(b'\n');
    assert_golden("report.json", &laid_out);
}

#[test]
fn json_has_every_message_but_not_all_of_each() {
    let mut out = Vec::new();
    json::write(&hostile_report(), &mut out).unwrap();
    assert!(out.is_ascii() || std::str::from_utf8(&out).is_ok());
    assert!(!out.iter().any(|byte| byte.is_ascii_control() && *byte != b'\n'));
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(value["cases"][FLOOD]["messages"].as_array().unwrap().len(), 5_000);
    let huge = &value["cases"][5]["messages"][5];
    assert_eq!(huge["length"], 65_507);
    assert_eq!(huge["hex"].as_str().unwrap().len(), 4_096);
    assert_eq!(value["cases"][5]["messages"][3]["message"], Value::Null);
    assert!(value["cases"][5]["messages"][3]["error"].is_string());
}

#[test]
fn a_list_of_cases_says_what_they_are() {
    let cases: Vec<_> = report().cases.iter().map(|case| case.case).collect();
    let mut out = Vec::new();
    json::write_list(&cases[..1], &mut out).unwrap();
    let value: Value = serde_json::from_slice(&out).unwrap();
    let expected = serde_json::json!([{
        "id": "TD_COAP_CORE_01", "group": "CORE", "role": "server",
        "objective": "A GET is answered with 2.05", "references": "RFC 7252 §5.8.1",
        "steps": [], "needs": [], "limit": 30, "not_yet": "never run here",
    }]);
    assert_eq!(value, expected);
}

#[test]
fn junit_is_as_it_was_approved() {
    let mut out = Vec::new();
    junit::write(&readable(), &mut out).unwrap();
    assert_golden("junit.xml", &out);
}

#[test]
fn junit_is_well_formed_whatever_the_subject_sends() {
    let mut out = Vec::new();
    junit::write(&hostile_report(), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let body = text
        .strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
        .unwrap();
    html::assert_balanced(body, &[]);
    let forbidden = |character: char| character.is_control() && character != '\n';
    assert!(!text.contains(forbidden), "{text}");
    assert!(
        text.contains("tests=\"8\" failures=\"2\" errors=\"3\" skipped=\"2\""),
        "{text}"
    );
}
