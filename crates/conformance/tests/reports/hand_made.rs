//! A report as it could come from a run, with a subject that is up to no good.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coracle_conformance::Role;
use coracle_conformance::case::{Case, Judge};
use coracle_conformance::report::{CaseReport, Report};
use coracle_conformance::transcript::{Fate, Form, Record};
use coracle_conformance::verdict::Outcome;

/// 2026-01-31T12:00:00Z.
fn began() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_769_860_800)
}

const fn case(id: &'static str, references: &'static str, objective: &'static str) -> Case {
    Case::new(
        id,
        references,
        objective,
        Judge::NotYet(Role::Server, "never run here"),
    )
}

fn judge() -> SocketAddr {
    "127.0.0.1:40000".parse().unwrap()
}

pub(crate) fn subject() -> SocketAddr {
    "127.0.0.1:5683".parse().unwrap()
}

fn record(milliseconds: u64, by_judge: bool, bytes: &[u8]) -> Record {
    let at = Duration::from_millis(milliseconds);
    let (from, to) = if by_judge {
        (judge(), subject())
    } else {
        (subject(), judge())
    };
    Record {
        form: Form::Datagram,
        at,
        time: began() + at,
        by_judge,
        from,
        to,
        bytes: bytes.to_vec(),
        fate: Fate::Passed,
    }
}

fn report_of(case: Case, outcome: Outcome, reason: &str, records: Vec<Record>) -> CaseReport {
    CaseReport {
        case,
        outcome,
        reason: reason.to_owned(),
        section: "",
        offending: None,
        took: records.last().map_or(Duration::ZERO, |record| record.at),
        records,
        commands: Vec::new(),
        output: String::new(),
    }
}

/// GET /test, answered.
fn passed() -> CaseReport {
    report_of(
        case(
            "TD_COAP_CORE_01",
            "RFC 7252 §5.8.1",
            "A GET is answered with 2.05",
        ),
        Outcome::Pass,
        "",
        vec![
            record(0, true, b"\x42\x01\x00\x01ab\xb4test"),
            record(2, false, b"\x62\x45\x00\x01ab\xc0\xffhello"),
        ],
    )
}

/// The request is lost once, then the token is a wrong one; somebody else speaks too.
fn failed() -> CaseReport {
    let request = b"\x42\x01\x00\x02ab\xb4test";
    let mut records = vec![
        record(0, true, request),
        record(2_100, true, request),
        record(2_101, false, b"\x60\x00\x00\x09"),
        record(2_102, false, b"\x62\x45\x00\x02xy\xc0\xffhello"),
    ];
    records[0].fate = Fate::Lost;
    records[2].fate = Fate::Stray;
    records[2].from = "[::ffff:127.0.0.9]:9".parse().unwrap();
    CaseReport {
        section: "RFC 7252 §5.3.1",
        offending: Some(3),
        ..report_of(
            case(
                "TD_COAP_CORE_21",
                "RFC 7252 §5.10.6",
                "An ETag validates a response",
            ),
            Outcome::Fail,
            "the token is 7879, not that of the request, 6162",
            records,
        )
    }
}

/// Everything that must not get through to a terminal or a browser.
const HOSTILE: &str = "\x1b[2J\x07</pre><script>alert(1)</script>\"'&\u{202e}\u{feff}]]>\0\r\nend";

fn hostile() -> CaseReport {
    let mut payload = b"\x50\x45\x00\x03\xc0\xff".to_vec();
    payload.extend(HOSTILE.as_bytes());
    let mut path = b"\x50\x02\x00\x04\xbd\x08".to_vec();
    path.extend(b"<b>\x1b[0m\"\n</b>yz\xff\xff\xfe");
    path[5] = 3;
    CaseReport {
        section: "RFC 7252 §3",
        offending: Some(3),
        commands: vec![format!("client {HOSTILE}")],
        output: HOSTILE.to_owned(),
        ..report_of(
            case("RFC7252-3-malformed", "RFC 7252 §3", "Messages are <well-formed>"),
            Outcome::Fail,
            HOSTILE,
            vec![
                record(0, false, &payload),
                record(1, false, &path),
                record(
                    1,
                    false,
                    b"\x50\x45\x00\x05\xff<script>alert(2)</script>\x1b]0;title\x07\xe2\x80\xae",
                ),
                record(2, false, b"\x44\x01\x84\x9eQUw\xe8\xb2Hi\xf4Test\xff\xfe"),
                record(3, false, b""),
                record(4, false, &huge()),
            ],
        )
    }
}

/// A datagram of 65,507 bytes.
fn huge() -> Vec<u8> {
    let mut huge = b"\x50\x45\x00\x05\xff".to_vec();
    huge.resize(65_507, 0xfe);
    huge
}

/// Nobody is there.
fn silent() -> CaseReport {
    let ping = b"\x40\x00\x00\x06";
    let times = [0, 2_000, 6_000];
    CaseReport {
        section: "",
        ..report_of(
            case("TD_COAP_OBS_01", "RFC 7641 §3.1", "An observer is notified"),
            Outcome::Inconclusive,
            "no answer within 14 s",
            times.map(|time| record(time, true, ping)).to_vec(),
        )
    }
}

/// A subject that floods.
fn flooded() -> CaseReport {
    let ping = |index| record(index, false, b"\x70\x00\x00\x07");
    CaseReport {
        offending: Some(2_500),
        ..report_of(
            case("RFC7252-4.2-reset", "RFC 7252 §4.2", "An ACK draws no answer"),
            Outcome::Inconclusive,
            "the subject floods",
            (0..5_000).map(ping).collect(),
        )
    }
}

/// The whole; no two cases come to the same by the same way.
pub(crate) fn report() -> Report {
    Report {
        role: Role::Server,
        subject: "coap://127.0.0.1:5683".to_owned(),
        lossy: true,
        began: began(),
        took: Duration::from_millis(12_345),
        cases: vec![
            passed(),
            failed(),
            silent(),
            report_of(
                case(
                    "TD_COAP_BLOCK_01",
                    "RFC 7959 §2.4",
                    "A large body comes in blocks",
                ),
                Outcome::Skipped,
                "/large is not there",
                Vec::new(),
            ),
            report_of(
                case(
                    "TD_COAP_CORE_24",
                    "RFC 7252 §5.7.3",
                    "A reverse proxy passes requests on",
                ),
                Outcome::NotYet,
                "a proxy",
                Vec::new(),
            ),
            hostile(),
            flooded(),
            report_of(
                case("TD_COAP_OBS_02", "RFC 7641 §3.6", "An observer goes"),
                Outcome::Inconclusive,
                "interrupted",
                Vec::new(),
            ),
        ],
    }
}

/// As hostile as can be, in every field that somebody else has a hand in.
pub(crate) fn hostile_report() -> Report {
    Report {
        subject: format!("coap://{HOSTILE}"),
        ..report()
    }
}
