//! Messages on TCP and WebSocket, byte by byte (RFC 8323 §3.2, §4.2, RFC 8974 §2.1).
#![cfg(feature = "alloc")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use coracle_wire::MessageErrorKind::{
    BytesAfterFrame, MarkerWithoutPayload, OptionDelta15, OptionLength15, OptionNumberOverflow, TokenLength,
    TruncatedFrame, TruncatedHeader, TruncatedOption, TruncatedToken, WebSocketLength,
};
use coracle_wire::{
    Code, Framing, Message, MessageErrorKind, MessageId, MessageType, Options, Reaction, Signal, Status,
    frame_len,
};

fn message<'a>(code: impl Into<Code>, token: &'a [u8], options: &'a [u8], payload: &'a [u8]) -> Message<'a> {
    Message {
        message_type: MessageType::NonConfirmable,
        code: code.into(),
        message_id: MessageId(0),
        token,
        options: Options::parse(options).unwrap(),
        payload,
    }
}

#[track_caller]
fn is_both_ways(framing: Framing, frame: &[u8], message: &Message<'_>) {
    assert_eq!(Message::parse_frame(framing, frame), Ok(*message));
    let mut appended = Vec::new();
    assert_eq!(message.append_frame(framing, &mut appended), Some(frame.len()));
    assert_eq!(appended, frame);
    let mut buf = vec![0; frame.len()];
    assert_eq!(message.encode_frame(framing, &mut buf), Ok(frame.len()));
    assert_eq!(buf, frame);
    if framing == Framing::Tcp {
        assert_eq!(frame_len(frame), Ok(Some(frame.len() as u64)));
    }
}

#[track_caller]
fn rejected(framing: Framing, frame: &[u8], kind: MessageErrorKind, offset: usize) {
    let error = Message::parse_frame(framing, frame).expect_err(&format!("{frame:02x?} was accepted"));
    assert_eq!((error.kind, error.offset), (kind, offset), "{frame:02x?}");
    assert_eq!(
        (error.framing, error.reaction()),
        (Some(framing), Reaction::Abort)
    );
}

#[test]
fn the_printed_frames_are_read_and_written() {
    // RFC 8323 figures 5, 11 and 12. Nothing follows the token, so that a WebSocket has the same bytes.
    let figures: [(&[u8], Message<'_>); 3] = [
        (b"\x01\x43\x7f", message(Status::VALID, b"\x7f", b"", b"")),
        (b"\x01\xe2\x42", message(Signal::PING, b"\x42", b"", b"")),
        (b"\x01\xe3\x42", message(Signal::PONG, b"\x42", b"", b"")),
    ];
    for (frame, message) in figures {
        is_both_ways(Framing::Tcp, frame, &message);
        is_both_ways(Framing::WebSocket, frame, &message);
    }
}

#[test]
fn a_request_lies_as_it_does_on_udp_behind_its_header() {
    let get = message(Code::new(0, 1), b"\x20", b"\xb4temp\x41a", b"22.3");
    is_both_ways(Framing::Tcp, b"\xc1\x01\x20\xb4temp\x41a\xff22.3", &get);
    is_both_ways(Framing::WebSocket, b"\x01\x01\x20\xb4temp\x41a\xff22.3", &get);
    // The type and the ID of a message that came as a datagram are left out.
    let datagram = Message::parse(b"\x41\x01\x7d\x35\x20\xb4temp").unwrap();
    let mut bytes = Vec::new();
    assert_eq!(datagram.append_frame(Framing::Tcp, &mut bytes), Some(8));
    assert_eq!(bytes, b"\x51\x01\x20\xb4temp");
}

#[test]
fn every_form_of_the_length_is_read_and_written_to_its_edges() {
    let cases: [(usize, &[u8]); 11] = [
        (0, b"\x01\x45T"),
        (12, b"\xc1\x45T"),
        (13, b"\xd1\x00\x45T"),
        (14, b"\xd1\x01\x45T"),
        (268, b"\xd1\xff\x45T"),
        (269, b"\xe1\x00\x00\x45T"),
        (270, b"\xe1\x00\x01\x45T"),
        (65804, b"\xe1\xff\xff\x45T"),
        (65805, b"\xf1\x00\x00\x00\x00\x45T"),
        (65806, b"\xf1\x00\x00\x00\x01\x45T"),
        (65805 + 0x0001_0203, b"\xf1\x00\x01\x02\x03\x45T"),
    ];
    for (len, header) in cases {
        // The length counts the marker of the payload.
        let payload = vec![b'p'; len.saturating_sub(1)];
        let content: &[u8] = if len == 0 { b"" } else { b"\xff" };
        let frame = [header, content, &payload].concat();
        is_both_ways(
            Framing::Tcp,
            &frame,
            &message(Status::CONTENT, b"T", b"", &payload),
        );
        assert_eq!(frame.len(), header.len() + len);
    }
}

#[test]
fn extended_tokens_do_not_count_as_content() {
    let token: Vec<u8> = (0..=255).cycle().take(65804).collect();
    let cases: [(usize, &[u8], &[u8]); 8] = [
        (0, b"\x20\x45", b"\x00\x45"),
        (8, b"\x28\x45", b"\x08\x45"),
        (9, b"\x29\x45", b"\x09\x45"),
        (12, b"\x2c\x45", b"\x0c\x45"),
        (13, b"\x2d\x45\x00", b"\x0d\x45\x00"),
        (268, b"\x2d\x45\xff", b"\x0d\x45\xff"),
        (269, b"\x2e\x45\x00\x00", b"\x0e\x45\x00\x00"),
        (65804, b"\x2e\x45\xff\xff", b"\x0e\x45\xff\xff"),
    ];
    for (len, tcp, web_socket) in cases {
        let message = message(Status::CONTENT, &token[..len], b"", b"p");
        is_both_ways(Framing::Tcp, &[tcp, &token[..len], b"\xffp"].concat(), &message);
        is_both_ways(
            Framing::WebSocket,
            &[web_socket, &token[..len], b"\xffp"].concat(),
            &message,
        );
    }
    let too_long = [0; 65805];
    let message = message(Status::CONTENT, &too_long, b"", b"");
    for framing in [Framing::Tcp, Framing::WebSocket] {
        let mut bytes = vec![7];
        assert_eq!(message.append_frame(framing, &mut bytes), None);
        assert_eq!(bytes, [7]);
        assert_eq!(message.frame_len(framing), usize::MAX);
        assert!(message.encode_frame(framing, &mut [0; 70000]).is_err());
    }
}

#[test]
fn both_lengths_are_extended_at_once() {
    let token = [b't'; 300];
    let payload = [b'p'; 65805];
    let frame = [
        &b"\xfe\x00\x00\x00\x01\x45\x00\x1f"[..],
        &token,
        b"\xff",
        &payload,
    ]
    .concat();
    is_both_ways(
        Framing::Tcp,
        &frame,
        &message(Status::CONTENT, &token, b"", &payload),
    );
}

#[test]
fn the_length_of_a_frame_is_told_from_no_more_than_it_takes() {
    let told = |start: &[u8]| frame_len(start).unwrap();
    let cases: [(&[u8], u64); 8] = [
        (b"\x00\x00", 2),
        (b"\x01\x43\x7f", 3),
        (b"\xc8\x01", 22),
        (b"\xd0\x00\x01", 16),
        (b"\xee\x00\x00\x01\x00\x00", 6 + 269 + 269),
        (b"\x0d\x01\x00", 3 + 13),
        (b"\xf0\xff\xff\xff\xff\x01", 6 + 65805 + 0xffff_ffff),
        // The longest that there is: 4 GiB and 131,616 bytes.
        (b"\xfe\xff\xff\xff\xff\x01\xff\xff", (1 << 32) + 131_616),
    ];
    for (start, len) in cases {
        for end in 0..start.len() {
            // Only a token that is not extended can be left away, and the code stands before it.
            let known = end >= 2 && start == b"\x01\x43\x7f";
            assert_eq!(told(&start[..end]), known.then_some(len), "{start:02x?} {end}");
        }
        assert_eq!(told(start), Some(len));
        assert_eq!(told(&[start, b"\xff\x00what follows"].concat()), Some(len));
    }
}

#[test]
fn token_length_15_is_refused_at_once() {
    for start in [
        &b"\x0f"[..],
        b"\xff",
        b"\xdf\x00\x01",
        b"\x0f\x01aaaaaaaaaaaaaaaaa",
    ] {
        let error = frame_len(start).unwrap_err();
        assert_eq!(
            (error.kind, error.offset, error.header),
            (TokenLength(15), 0, None)
        );
        assert_eq!(
            (error.framing, error.reaction()),
            (Some(Framing::Tcp), Reaction::Abort)
        );
    }
    rejected(Framing::Tcp, b"\x0f\x01aaaaaaaaaaaaaaaaa", TokenLength(15), 0);
    rejected(
        Framing::WebSocket,
        b"\x0f\x01aaaaaaaaaaaaaaaaa",
        TokenLength(15),
        0,
    );
}

#[test]
fn frames_cut_off_anywhere_are_errors() {
    let frames = [
        &b"\x91\x45\x20\xb4temp\xff22"[..],
        b"\xdd\x00\x45\x0012345678901234567890123456\xb4temp\xff1234567",
        b"\xf0\x00\x00\x00\x00\x45",
    ];
    for frame in frames {
        for end in 0..frame.len() {
            let error = Message::parse_frame(Framing::Tcp, &frame[..end]).unwrap_err();
            assert_eq!(error.reaction(), Reaction::Abort);
            assert!(error.offset <= end);
        }
    }
    rejected(Framing::Tcp, b"", TruncatedHeader, 0);
    rejected(Framing::Tcp, b"\x00", TruncatedHeader, 1);
    rejected(Framing::Tcp, b"\xd0", TruncatedHeader, 1);
    rejected(Framing::Tcp, b"\xd0\x00", TruncatedHeader, 2);
    rejected(Framing::Tcp, b"\xe0\x00\x00", TruncatedHeader, 3);
    rejected(Framing::Tcp, b"\xf0\x00\x00\x00\x00", TruncatedHeader, 5);
    rejected(Framing::Tcp, b"\x01\x45", TruncatedToken, 2);
    rejected(Framing::Tcp, b"\x0d\x45", TruncatedToken, 2);
    rejected(Framing::Tcp, b"\x0e\x45\x00", TruncatedToken, 2);
    rejected(Framing::Tcp, b"\x51\x45\x20\xb4tem", TruncatedFrame, 7);
    rejected(Framing::WebSocket, b"", TruncatedHeader, 0);
    rejected(Framing::WebSocket, b"\x00", TruncatedHeader, 1);
    rejected(Framing::WebSocket, b"\x02\x45a", TruncatedToken, 2);
    rejected(Framing::WebSocket, b"\x00\x45\xb4tem", TruncatedOption, 2);
}

#[test]
fn a_frame_is_not_longer_than_it_says() {
    rejected(Framing::Tcp, b"\x51\x45\x20\xb4temp\x00\x00", BytesAfterFrame, 8);
    rejected(Framing::Tcp, b"\x01\x43\x7f\x00", BytesAfterFrame, 3);
    rejected(Framing::Tcp, b"\xf0\xff\xff\xff\xff\x45\x00", TruncatedFrame, 7);
}

#[test]
fn what_follows_the_token_is_checked_as_on_udp() {
    rejected(Framing::Tcp, b"\x10\x45\xff", MarkerWithoutPayload, 2);
    rejected(Framing::WebSocket, b"\x01\x45T\xb0\xff", MarkerWithoutPayload, 4);
    rejected(Framing::Tcp, b"\x10\x45\xf0", OptionDelta15, 2);
    rejected(Framing::Tcp, b"\x11\x45T\x0f", OptionLength15, 3);
    rejected(Framing::Tcp, b"\x30\x45\xb0\xb4t", TruncatedOption, 3);
    rejected(
        Framing::WebSocket,
        b"\x00\x45\xe0\xff\xff",
        OptionNumberOverflow,
        2,
    );
    let error = Message::parse_frame(Framing::Tcp, b"\x30\x45\xb0\xb4t").unwrap_err();
    assert_eq!(error.option, Some(2));
    assert_eq!(error.header.unwrap().code, Status::CONTENT.into());
}

#[test]
fn the_length_is_0_on_a_web_socket() {
    rejected(Framing::WebSocket, b"\x50\x01\xb4temp", WebSocketLength(5), 0);
    rejected(Framing::WebSocket, b"\x10\x01", WebSocketLength(1), 0);
    rejected(Framing::WebSocket, b"\xd0\x00\x01", WebSocketLength(13), 0);
    rejected(Framing::WebSocket, b"\xf0", WebSocketLength(15), 0);
}

#[test]
fn every_code_is_taken_and_an_empty_message_keeps_what_it_carries() {
    for byte in 0..=255 {
        let code = Code::from_byte(byte);
        let frame = [0x71, byte, b'T', 0xb4, b't', b'e', b'm', b'p', 0xff, b'!'];
        is_both_ways(Framing::Tcp, &frame, &message(code, b"T", b"\xb4temp", b"!"));
    }
    is_both_ways(Framing::Tcp, b"\x00\x00", &message(Code::EMPTY, b"", b"", b""));
    rejected(Framing::Tcp, b"\x10\x00\xff", MarkerWithoutPayload, 2);
}

#[test]
fn errors_read_well_in_an_abort() {
    let text = |framing, frame: &[u8]| Message::parse_frame(framing, frame).unwrap_err().to_string();
    assert_eq!(
        text(Framing::Tcp, b"\x51\x45\x20\xb4tem"),
        "at byte 7: the message is shorter than its length says (RFC 8323 §3.2)"
    );
    assert_eq!(
        text(Framing::Tcp, b"\x01\x43\x7f\x00"),
        "at byte 3: bytes follow where the message ends (RFC 8323 §3.2)"
    );
    assert_eq!(
        text(Framing::Tcp, b"\x0f\x01"),
        "at byte 0: token length 15 is reserved (RFC 8974 §2.1)"
    );
    assert_eq!(
        text(Framing::WebSocket, b"\x50\x01\xb4temp"),
        "at byte 0: Len is 5 and not 0 on a WebSocket (RFC 8323 §4.2)"
    );
    assert_eq!(
        text(Framing::WebSocket, b"\x02\x45a"),
        "at byte 2: the message ends within the token (RFC 7252 §3)"
    );
    assert_eq!(
        text(Framing::Tcp, b"\x11\x45T\x0f"),
        "option 1 (at byte 3): length nibble 15 is reserved (RFC 7252 §3.1)"
    );
}
