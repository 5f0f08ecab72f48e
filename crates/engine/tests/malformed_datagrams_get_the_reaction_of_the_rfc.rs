//! Every kind of malformed or unwelcome datagram, the bytes that answer it, and the reason that is counted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "helpers of tests"
)]

mod common;

use common::{Subject, closed_network, hex, to_hex};
use coracle_engine::DropReason;

struct Row {
    what: &'static str,
    datagram: String,
    /// The answer in hexadecimal digits; empty for silence, `....` for a message ID of the endpoint's choice.
    reaction: &'static str,
    reason: Option<DropReason>,
}

fn row(
    what: &'static str,
    datagram: &str,
    reaction: &'static str,
    reason: impl Into<Option<DropReason>>,
) -> Row {
    Row {
        what,
        datagram: datagram.to_owned(),
        reaction,
        reason: reason.into(),
    }
}

/// `critical option ` as the diagnostic payload begins, in hexadecimal digits.
macro_rules! bad_option {
    ($start:literal, $name:literal) => {
        concat!($start, "ff", "637269746963616c206f7074696f6e20", $name)
    };
}

/// RFC 7252 §3, §4.2, §4.3; RFC 8974 §2.1.
fn formats() -> Vec<Row> {
    use DropReason::{Format, ReservedClass, TypeCode, Version};
    vec![
        row("nothing at all", "", "", Format),
        row("header cut off after 1 byte", "40", "", Format),
        row("header cut off after 3 bytes", "400112", "", Format),
        row("version 0", "00011234", "", Version),
        row("version 2", "80011234", "", Version),
        row("version 3, a CON", "c0011234", "", Version),
        row("token length 15, CON", "4f011234", "70001234", Format),
        row("token length 15, NON", "5f011234", "", Format),
        row("token length 1 without the token", "41011234", "70001234", Format),
        row(
            "token length 8 with 6 bytes",
            "48011234010203040506",
            "70001234",
            Format,
        ),
        row(
            "token length 13 without its extension",
            "4d011234",
            "70001234",
            Format,
        ),
        row(
            "token length 14 with half its extension",
            "4e01123400",
            "70001234",
            Format,
        ),
        row("option cut off", "40011234b474656d", "70001234", Format),
        row(
            "option delta extension cut off",
            "40011234e000",
            "70001234",
            Format,
        ),
        row(
            "option length extension cut off",
            "400112340d",
            "70001234",
            Format,
        ),
        row("option delta 15", "40011234f1ff", "70001234", Format),
        row("option length 15", "400112341f", "70001234", Format),
        row(
            "option number above 65535",
            "40011234e0ffffe0ffff",
            "70001234",
            Format,
        ),
        row("marker without payload, CON", "40011234ff", "70001234", Format),
        row("marker without payload, NON", "50011234ff", "", Format),
        row("empty CON with payload", "40001234ff61", "70001234", Format),
        row("empty CON with token", "4100123401", "70001234", Format),
        row("empty CON with an option", "40001234b174", "70001234", Format),
        row("empty NON", "50001234", "", TypeCode),
        row("empty ACK with payload", "60001234ff61", "", Format),
        row("empty RST with payload", "70001234ff61", "", Format),
        row("response in ACK, option cut off", "60451111bd", "", Format),
        row("RST with content", "70001112bd", "", Format),
        row("class 1, CON", "40201234", "70001234", ReservedClass),
        row("class 1, NON", "50201234", "", ReservedClass),
        row("class 6, CON", "40c01234", "70001234", ReservedClass),
        row("class 7 is for TCP, CON", "40e11234", "70001234", ReservedClass),
        row("class 7 is for TCP, ACK", "60e11234", "", ReservedClass),
        row("request in ACK", "60011234", "", TypeCode),
        row("request in RST", "70011234", "", TypeCode),
        row("response in RST", "70451234", "", TypeCode),
    ]
}

/// RFC 7252 §4.2, §4.3, §5.3.2: well formed, and nothing to do with anything.
fn unwelcome() -> Vec<Row> {
    use DropReason::{UnmatchedAcknowledgement, UnmatchedResponse};
    vec![
        row("ping", "40001234", "70001234", None),
        row(
            "response that nobody asked for, CON",
            "4145123401ff61",
            "70001234",
            UnmatchedResponse,
        ),
        row(
            "response that nobody asked for, NON",
            "5145123401ff61",
            "70001234",
            UnmatchedResponse,
        ),
        row(
            "response that nobody asked for, ACK",
            "6145123401ff61",
            "",
            UnmatchedAcknowledgement,
        ),
        row("ACK of nothing", "60001234", "", UnmatchedAcknowledgement),
        row("RST of nothing", "70001234", "", UnmatchedAcknowledgement),
    ]
}

/// RFC 8974 §2.
fn tokens() -> Vec<Row> {
    use DropReason::TokenLength;
    let token_of_257 = format!("4d011234f4{}", "aa".repeat(257));
    vec![
        row("NON request", "50011234", "5045....ff6f6b", None),
        row(
            "token of 8 bytes",
            "480112340102030405060708",
            "684512340102030405060708ff6f6b",
            None,
        ),
        row(
            "token of 9 bytes",
            "49011234010203040506070809",
            "69451234010203040506070809ff6f6b",
            None,
        ),
        row(
            "token of 12 bytes",
            "4c011234010203040506070809101112",
            "6c451234010203040506070809101112ff6f6b",
            None,
        ),
        row(
            "token of 13 bytes",
            "4d0112340001020304050607080910111213",
            "6d4512340001020304050607080910111213ff6f6b",
            None,
        ),
        row("token of 257 bytes", &token_of_257, "*4.00", TokenLength),
    ]
}

/// RFC 7252 §5.4.
fn options() -> Vec<Row> {
    use DropReason::CriticalOption;
    let path_of_256 = format!("40011234bdf3{}", "61".repeat(256));
    vec![
        row(
            "unknown critical option, CON",
            "4101123477 91 00",
            bad_option!("6182123477", "4f53434f5245"),
            CriticalOption,
        ),
        row(
            "unknown critical option, NON",
            "5101123477 91 00",
            bad_option!("5182....77", "4f53434f5245"),
            CriticalOption,
        ),
        row(
            "elective option twice",
            "40011234d0010100",
            "60451234ff6f6b",
            None,
        ),
        row(
            "unknown elective option",
            "40011234e006f5",
            "60451234ff6f6b",
            None,
        ),
        row(
            "Uri-Path of 256 bytes",
            &path_of_256,
            bad_option!("60821234", "5572692d50617468"),
            CriticalOption,
        ),
        row(
            "Uri-Path that is not UTF-8",
            "40011234b2c328",
            bad_option!("60821234", "5572692d50617468"),
            CriticalOption,
        ),
        row(
            "Uri-Host without a name",
            "4001123430",
            bad_option!("60821234", "5572692d486f7374"),
            CriticalOption,
        ),
        row(
            "Uri-Host twice",
            "40011234316101 62",
            bad_option!("60821234", "5572692d486f7374"),
            CriticalOption,
        ),
        row(
            "Accept of 3 bytes",
            "40011234d304000001",
            bad_option!("60821234", "416363657074"),
            CriticalOption,
        ),
        row(
            "Block2 of 4 bytes",
            "40011234d40a00000000",
            bad_option!("60821234", "426c6f636b32"),
            CriticalOption,
        ),
    ]
}

/// RFC 7252 §5.10.2; RFC 7959 §2.2, §2.9.
fn blocks_and_proxies() -> Vec<Row> {
    use DropReason::{BlockOption, BlockOrder, Proxying};
    vec![
        row("Block2 with SZX 7", "40011234d10a07", "*4.00", BlockOption),
        row("Block1 with SZX 7", "40031234d10e0fff61", "*4.00", BlockOption),
        row(
            "Block1 that is not full",
            "40031234d10e08ff61",
            "*4.00",
            BlockOption,
        ),
        row(
            "Block1 that begins at block 5",
            "40031234d10e58ff30313233343536373839616263646566",
            "*4.08",
            BlockOrder,
        ),
        row("Block2 past the end", "40011234d10a56", "*4.00", None),
        row(
            "further block of a POST never run",
            "40021234d10a16",
            "*4.08",
            BlockOrder,
        ),
        row(
            "Proxy-Uri",
            "40011234dd160f 636f61703a2f2f612e6578616d706c652f7374617475732f6d6f7265",
            "*5.05",
            Proxying,
        ),
        row("Proxy-Scheme", "40011234d41a636f6170", "*5.05", Proxying),
    ]
}

fn matches(reaction: &str, sent: &[String]) -> bool {
    match (reaction, sent) {
        ("", []) => true,
        (reaction, [answer]) if reaction.starts_with('*') => {
            let code = common::hex(&answer[..8])[1];
            format!("*{}.{:02}", code >> 5, code & 31) == reaction
        }
        (reaction, [answer]) => {
            reaction.len() == answer.len()
                && reaction
                    .bytes()
                    .zip(answer.bytes())
                    .all(|(want, got)| want == b'.' || want == got)
        }
        _ => false,
    }
}

#[test]
fn each_gets_its_reaction_and_is_counted() {
    let mut wrong = Vec::new();
    for row in formats()
        .into_iter()
        .chain(unwelcome())
        .chain(tokens())
        .chain(options())
        .chain(blocks_and_proxies())
    {
        let mut subject = Subject::with(closed_network());
        let sent: Vec<_> = subject
            .serve(&hex(&row.datagram), b"ok")
            .iter()
            .map(|heard| to_hex(&heard.bytes))
            .collect();
        let counted: Vec<_> = DropReason::ALL
            .into_iter()
            .filter(|reason| subject.endpoint.stats().dropped(*reason) > 0)
            .collect();
        if !matches(row.reaction, &sent) || counted != Vec::from_iter(row.reason) {
            wrong.push(format!(
                "{}: {}\n  wanted {:?} {:?}\n  got {sent:?} {counted:?}",
                row.what, row.datagram, row.reaction, row.reason
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_malformed_is_answered_when_it_came_to_a_group() {
    for row in formats().into_iter().chain(unwelcome()) {
        let mut subject = Subject::new();
        subject.path.multicast = true;
        assert!(subject.receive(&hex(&row.datagram)).is_none(), "{}", row.what);
        assert!(subject.sent().is_empty(), "{}", row.what);
    }
}

#[test]
fn a_request_that_came_twice_is_executed_once_and_answered_twice() {
    let mut subject = Subject::new();
    let put = hex("4103123477b161ff35");
    let first = subject.serve(&put, b"ok");
    assert_eq!(to_hex(&first[0].bytes), "6145123477ff6f6b");
    assert!(
        subject.receive(&put).is_none(),
        "it was handed to the application again"
    );
    assert_eq!(subject.sent_one().bytes, first[0].bytes);
    assert_eq!(subject.endpoint.stats().dropped(DropReason::Duplicate), 1);
    assert_eq!(subject.endpoint.stats().requests, 1);
}

/// RFC 7252 §8.1: a request to a group is never confirmable.
#[test]
fn a_confirmable_request_to_a_group_is_dropped() {
    let mut subject = Subject::new();
    subject.path.multicast = true;
    assert!(subject.receive(&hex("40011234b161")).is_none());
    assert!(subject.sent().is_empty());
    assert_eq!(
        subject.endpoint.stats().dropped(DropReason::ConfirmableMulticast),
        1
    );
}

/// The token of a request that is refused may be longer than any answer: then there is silence, and above all not
/// what was sent to another peer before.
#[test]
fn an_answer_that_does_not_fit_is_not_replaced_by_that_to_another_peer() {
    let mut subject = Subject::new();
    let id = subject.receive_from(common::peer(7), &hex("40010001")).unwrap().0;
    let response = coracle_engine::ResponseRef::new(
        coracle_wire::Status::CONTENT,
        coracle_wire::Options::empty(),
        b"secret",
    );
    subject.endpoint.respond(subject.now, id, response).unwrap();
    let long = hex(&format!("4e0112340800{}", "aa".repeat(2048 + 269)));
    assert!(subject.receive(&long).is_none());
    assert!(subject.receive(&long).is_none());
    let sent = subject.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(sent[0].path.remote.port(), 7);
    assert_eq!(subject.endpoint.stats().dropped(DropReason::Oversize), 1);
}
