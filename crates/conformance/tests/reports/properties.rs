//! Whatever a subject sends and prints, reports stay well-formed and steer nothing.

use std::time::Duration;

use coracle_conformance::report::{Report, html, json, junit, ladder, pcap};
use coracle_conformance::transcript::{Fate, Form, Record};
use coracle_conformance::verdict::Outcome;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::hand_made::{report, subject};
use crate::html::{VOID, assert_balanced, without_style};
use crate::packets::blocks;

/// Bytes that are a message by chance, and such that begin like one.
fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let like_one = (0x40_u8..0x80, any::<u8>(), vec(any::<u8>(), 2..80));
    prop_oneof![
        vec(any::<u8>(), 0..80),
        like_one.prop_map(|(first, code, rest)| [vec![first, code], rest].concat()),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    let fate = prop_oneof![Just(Fate::Passed), Just(Fate::Lost), Just(Fate::Stray)];
    let address = prop_oneof![
        any::<[u8; 4]>().prop_map(Into::into),
        any::<[u8; 16]>().prop_map(Into::into)
    ];
    let from = (address, any::<u16>()).prop_map(|(ip, port): (std::net::IpAddr, u16)| (ip, port).into());
    (datagram(), fate, from, any::<bool>(), any::<u32>()).prop_map(|(bytes, fate, from, by_judge, at)| {
        Record {
            form: Form::Datagram,
            at: Duration::from_micros(at.into()),
            time: std::time::UNIX_EPOCH + Duration::from_micros(at.into()),
            by_judge,
            from,
            to: subject(),
            bytes,
            fate,
        }
    })
}

/// What the subject has a hand in: its messages, the reason, what it printed, its name, and which message offends.
type Hostile = (Vec<Record>, String, String, String, usize);

fn hostile() -> impl Strategy<Value = Hostile> {
    let text = || prop_oneof![any::<String>(), "[<>&\"'\\]\u{0}-\u{a0}\u{2028}-\u{202e}]{0,20}"];
    (vec(record(), 0..6), text(), text(), text(), 0..8_usize)
}

fn report_of((records, reason, output, name, offending): Hostile) -> Report {
    let mut report = report();
    report.cases.truncate(1);
    report.subject = name;
    let case = &mut report.cases[0];
    case.outcome = Outcome::Fail;
    case.commands = vec![output.clone()];
    (case.records, case.reason, case.output) = (records, reason, output);
    case.offending = Some(offending);
    report
}

/// What is written, which must be text that steers neither a terminal nor the direction of reading.
fn harmless(write: impl Fn(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let steers = |character: char| {
        let plain = character == '\n' || character == '\t';
        character.is_control() && !plain
            || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!text.contains(steers), "{text:?}");
    text
}

proptest! {
    #[test]
    fn reports_are_well_formed(hostile in hostile()) {
        let report = report_of(hostile);
        harmless(|out| ladder::write(&report.cases[0], 80, out));
        let page = without_style(&harmless(|out| html::write(&report, out)));
        assert_balanced(page.strip_prefix("<!DOCTYPE html>\n").unwrap(), VOID);
        let suites = harmless(|out| junit::write(&report, out));
        assert_balanced(suites.split_once('\n').unwrap().1, &[]);
        let mut written = Vec::new();
        json::write(&report, &mut written).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&written).unwrap();
        prop_assert_eq!(value["cases"][0]["reason"].as_str().unwrap_or_default(), &report.cases[0].reason);
        written.clear();
        pcap::write(&report, &mut written).unwrap();
        prop_assert_eq!(blocks(&written).len(), 2 + report.cases[0].records.len());
    }
}
