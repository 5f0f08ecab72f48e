//! Each way in which a datagram can be malformed, and how its receiver rejects it (RFC 7252 §3, §4.2, §4.3).
#![allow(clippy::expect_used, reason = "helpers of tests")]

use coracle_wire::MessageErrorKind::{
    EmptyWithContent, MarkerWithoutPayload, OptionDelta15, OptionLength15, OptionNumberOverflow,
    ReservedClass, TokenLength, TruncatedHeader, TruncatedOption, TruncatedToken, TypeCodeMismatch, Version,
};
use coracle_wire::{Message, MessageErrorKind, MessageId, Reaction};

const RESET: Reaction = Reaction::Reset(MessageId(0x1234));
const IGNORE: Reaction = Reaction::Ignore;

#[track_caller]
fn rejected(datagram: &[u8], kind: MessageErrorKind, offset: usize, reaction: Reaction) {
    let error = Message::parse(datagram).expect_err(&format!("{datagram:02x?} was accepted"));
    assert_eq!((error.kind, error.offset), (kind, offset), "{datagram:02x?}");
    assert_eq!(error.reaction(), reaction, "{datagram:02x?}");
}

#[test]
fn a_header_cut_off_is_ignored() {
    rejected(b"", TruncatedHeader, 0, IGNORE);
    rejected(b"\x40", TruncatedHeader, 1, IGNORE);
    rejected(b"\x40\x01", TruncatedHeader, 2, IGNORE);
    rejected(b"\x40\x01\x12", TruncatedHeader, 3, IGNORE);
}

#[test]
fn other_versions_are_ignored() {
    rejected(b"\x00\x01\x12\x34", Version(0), 0, IGNORE);
    rejected(b"\x80\x01\x12\x34", Version(2), 0, IGNORE);
    rejected(b"\xc0\x01\x12\x34", Version(3), 0, IGNORE);
    rejected(b"\x80", Version(2), 0, IGNORE);
}

#[test]
fn token_length_15_is_reserved() {
    rejected(b"\x4f\x01\x12\x34aaaaaaaaaaaaaaaaa", TokenLength(15), 0, RESET);
    rejected(b"\x5f\x01\x12\x34aaaaaaaaaaaaaaaaa", TokenLength(15), 0, IGNORE);
    rejected(b"\x6f\x45\x12\x34aaaaaaaaaaaaaaaaa", TokenLength(15), 0, IGNORE);
}

#[test]
fn a_token_cut_off_is_a_format_error() {
    rejected(b"\x41\x01\x12\x34", TruncatedToken, 4, RESET);
    rejected(b"\x48\x01\x12\x34aaaaaaa", TruncatedToken, 4, RESET);
    rejected(b"\x49\x01\x12\x34aaaaaaaa", TruncatedToken, 4, RESET);
    rejected(b"\x4c\x01\x12\x34aaaaaaaaaaa", TruncatedToken, 4, RESET);
    rejected(b"\x4d\x01\x12\x34", TruncatedToken, 4, RESET);
    rejected(b"\x4d\x01\x12\x34\x00aaaaaaaaaaaa", TruncatedToken, 4, RESET);
    rejected(b"\x4e\x01\x12\x34\x00", TruncatedToken, 4, RESET);
    rejected(b"\x4e\x01\x12\x34\xff\xffaaaa", TruncatedToken, 4, RESET);
    rejected(b"\x51\x01\x12\x34", TruncatedToken, 4, IGNORE);
    rejected(b"\x61\x45\x12\x34", TruncatedToken, 4, IGNORE);
}

#[test]
fn an_option_cut_off_is_a_format_error() {
    rejected(b"\x40\x01\x12\x34\xd1", TruncatedOption, 4, RESET);
    rejected(b"\x40\x01\x12\x34\xe0\x00", TruncatedOption, 4, RESET);
    rejected(b"\x40\x01\x12\x34\xbd", TruncatedOption, 4, RESET);
    rejected(b"\x40\x01\x12\x34\xbe\x00", TruncatedOption, 4, RESET);
    rejected(b"\x40\x01\x12\x34\xb4tem", TruncatedOption, 4, RESET);
    rejected(b"\x40\x01\x12\x34\xb4temp\x01", TruncatedOption, 9, RESET);
    rejected(b"\x41\x01\x12\x34T\xbe\xff\xfftemp", TruncatedOption, 5, RESET);
    rejected(b"\x50\x01\x12\x34\xb4tem", TruncatedOption, 4, IGNORE);
    rejected(b"\x60\x45\x12\x34\xb4tem", TruncatedOption, 4, IGNORE);
}

#[test]
fn nibble_15_is_reserved() {
    rejected(b"\x40\x01\x12\x34\xf0", OptionDelta15, 4, RESET);
    rejected(b"\x40\x01\x12\x34\xb4temp\xf1a", OptionDelta15, 9, RESET);
    rejected(
        b"\x40\x01\x12\x34\xbfaaaaaaaaaaaaaaaaaaaa",
        OptionLength15,
        4,
        RESET,
    );
    rejected(b"\x50\x01\x12\x34\xf0", OptionDelta15, 4, IGNORE);
    rejected(b"\x50\x01\x12\x34\x0f", OptionLength15, 4, IGNORE);
}

#[test]
fn option_numbers_end_at_65535() {
    // 269 + 0xfef2 = 65535 is the last one.
    let last = b"\x40\x01\x12\x34\xe0\xfe\xf2";
    assert_eq!(
        Message::parse(last)
            .unwrap()
            .options
            .iter()
            .next()
            .unwrap()
            .number
            .0,
        65535
    );
    rejected(b"\x40\x01\x12\x34\xe0\xfe\xf3", OptionNumberOverflow, 4, RESET);
    rejected(
        b"\x40\x01\x12\x34\xe0\xfe\xf2\x10",
        OptionNumberOverflow,
        7,
        RESET,
    );
    rejected(b"\x50\x01\x12\x34\xe0\xff\xff", OptionNumberOverflow, 4, IGNORE);
}

#[test]
fn a_marker_wants_a_payload() {
    rejected(b"\x40\x01\x12\x34\xff", MarkerWithoutPayload, 4, RESET);
    rejected(b"\x41\x01\x12\x34T\xb4temp\xff", MarkerWithoutPayload, 10, RESET);
    rejected(b"\x50\x01\x12\x34\xff", MarkerWithoutPayload, 4, IGNORE);
    rejected(b"\x60\x45\x12\x34\xff", MarkerWithoutPayload, 4, IGNORE);
}

#[test]
fn empty_messages_are_empty() {
    rejected(b"\x41\x00\x12\x34T", EmptyWithContent, 0, RESET);
    rejected(b"\x41\x00\x12\x34", EmptyWithContent, 0, RESET);
    rejected(b"\x40\x00\x12\x34\xb4temp", EmptyWithContent, 4, RESET);
    rejected(b"\x40\x00\x12\x34\xffhello", EmptyWithContent, 4, RESET);
    rejected(b"\x60\x00\x12\x34\xff", EmptyWithContent, 4, IGNORE);
    rejected(b"\x70\x00\x12\x34\x00", EmptyWithContent, 4, IGNORE);
}

#[test]
fn reserved_classes_are_rejected() {
    rejected(b"\x40\x20\x12\x34", ReservedClass(1), 1, RESET);
    rejected(b"\x40\x3f\x12\x34", ReservedClass(1), 1, RESET);
    rejected(b"\x40\xc0\x12\x34", ReservedClass(6), 1, RESET);
    rejected(b"\x40\xe1\x12\x34", ReservedClass(7), 1, RESET);
    rejected(b"\x50\x20\x12\x34", ReservedClass(1), 1, IGNORE);
    rejected(b"\x60\xc5\x12\x34", ReservedClass(6), 1, IGNORE);
    rejected(b"\x70\xe2\x12\x34", ReservedClass(7), 1, IGNORE);
}

#[test]
fn type_and_code_go_together() {
    // RFC 7252 §4.3 table 1.
    rejected(b"\x60\x01\x12\x34", TypeCodeMismatch, 1, IGNORE);
    rejected(b"\x70\x01\x12\x34", TypeCodeMismatch, 1, IGNORE);
    rejected(b"\x70\x45\x12\x34", TypeCodeMismatch, 1, IGNORE);
    rejected(b"\x50\x00\x12\x34", TypeCodeMismatch, 1, IGNORE);
    for datagram in [
        b"\x40\x01\x12\x34",
        b"\x50\x01\x12\x34",
        b"\x40\x45\x12\x34",
        b"\x50\x45\x12\x34",
        b"\x60\x45\x12\x34",
        b"\x40\x00\x12\x34",
        b"\x60\x00\x12\x34",
        b"\x70\x00\x12\x34",
    ] {
        assert!(Message::parse(datagram).is_ok(), "{datagram:02x?}");
    }
}

#[test]
fn malformed_acknowledgements_and_resets_draw_no_answer() {
    rejected(b"\x60\x45\x11\x11\xbd", TruncatedOption, 4, IGNORE);
    rejected(b"\x70\x00\x11\x12\xbd", EmptyWithContent, 4, IGNORE);
}

#[test]
fn tokens_of_9_bytes_and_more_are_read() {
    // RFC 8974 §2.1: 0 to 12 are lengths, 13 and 14 announce one.
    let token: Vec<u8> = (0..=255).cycle().take(65804).collect();
    let cases: [(&[u8], usize); 8] = [
        (b"\x49\x01\x12\x34", 9),
        (b"\x4c\x01\x12\x34", 12),
        (b"\x4d\x01\x12\x34\x00", 13),
        (b"\x4d\x01\x12\x34\xff", 268),
        (b"\x4e\x01\x12\x34\x00\x00", 269),
        (b"\x4e\x01\x12\x34\x00\x01", 270),
        (b"\x4e\x01\x12\x34\xff\xff", 65804),
        (b"\x40\x01\x12\x34", 0),
    ];
    for (header, len) in cases {
        let datagram = [header, &token[..len], b"\xb4temp"].concat();
        let message = Message::parse(&datagram).unwrap();
        assert_eq!(message.token, &token[..len]);
        assert_eq!(message.options.path().collect::<Vec<_>>(), [b"temp"]);
        let mut buf = vec![0; datagram.len()];
        assert_eq!(message.encode(&mut buf), Ok(datagram.len()));
        assert_eq!(buf, datagram);
    }
}

#[test]
fn errors_say_what_and_where() {
    let text = |datagram: &[u8]| Message::parse(datagram).unwrap_err().to_string();
    assert_eq!(
        text(b"\x40\x01\x12\x34\xb4temp\x0f"),
        "option 2 (at byte 9): length nibble 15 is reserved (RFC 7252 §3.1)"
    );
    assert_eq!(
        text(b"\x70\x45\x12\x34"),
        "at byte 1: a message of type RST cannot have code 2.05 (RFC 7252 §4.3)"
    );
    assert_eq!(text(b"\x80"), "at byte 0: version 2 is not 1 (RFC 7252 §3)");
    assert_eq!(
        text(b"\x4f\x01\x12\x34"),
        "at byte 0: token length 15 is reserved (RFC 8974 §2.1)"
    );
}
