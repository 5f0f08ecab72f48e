//! What other stacks were brought down by, as messages and texts of ours: each class with the reaction that it gets.
#![cfg(feature = "alloc")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use coracle_wire::MessageErrorKind::{
    OptionNumberOverflow, TokenLength, TruncatedHeader, TruncatedOption, TruncatedToken,
};
use coracle_wire::{
    BlockError, BlockOption, Host, MAX_OPTION_LEN, Message, MessageErrorKind, MessageId, MessageType,
    MessageWriter, Method, OptionNumber, OptionValueError, Options, Reaction, Scheme, Uri, UriErrorKind,
    WriteError, check_option,
};

/// CON GET, Message ID 0x1234, no token.
const HEAD: &[u8] = b"\x40\x01\x12\x34";

#[track_caller]
fn rejected(datagram: &[u8]) -> (MessageErrorKind, usize) {
    let error = Message::parse(datagram).expect_err("it was accepted");
    let expected = match datagram.len() {
        0..4 => Reaction::Ignore,
        _ => Reaction::Reset(MessageId(0x1234)),
    };
    assert_eq!(error.reaction(), expected);
    (error.kind, error.offset)
}

/// Option number overflow, CVE-2020-12887: numbers that wrap at 16 bits name an earlier option once more.
#[test]
fn an_option_number_does_not_wrap() {
    // Uri-Path, then a delta of 65,536, which would make it Uri-Path again.
    let wraps = [HEAD, b"\xb1a", b"\xe1\xfe\xf3b"].concat();
    assert_eq!(rejected(&wraps), (OptionNumberOverflow, 6));
    // The largest delta at once, and the smallest step past the end.
    assert_eq!(
        rejected(&[HEAD, b"\xe0\xff\xff"].concat()),
        (OptionNumberOverflow, 4)
    );
    let last = [HEAD, b"\xe1\xfe\xf2z"].concat();
    assert_eq!(
        rejected(&[&last[..], b"\x11!"].concat()),
        (OptionNumberOverflow, 8)
    );
    let message = Message::parse(&last).unwrap();
    assert_eq!(message.options.get(OptionNumber(65535)), Some(&b"z"[..]));
}

/// Option length overflow: a length of more than 65,535 wraps at 16 bits, so that the rest of the value is taken for
/// further options.
#[test]
fn an_option_length_does_not_wrap() {
    // 65,804 bytes are announced, which is 268 at 16 bits, and as many are there.
    let short = [HEAD, b"\xbe\xff\xff", &[b'a'; 268]].concat();
    assert_eq!(rejected(&short), (TruncatedOption, 4));
    let whole = [HEAD, b"\xbe\xff\xff", &vec![b'a'; MAX_OPTION_LEN]].concat();
    let message = Message::parse(&whole).unwrap();
    let lengths: Vec<usize> = message.options.path().map(<[u8]>::len).collect();
    assert_eq!(lengths, [65804]);
    assert!(message.payload.is_empty());
}

/// Over-reads of extended lengths and deltas, CVE-2020-12883: whatever the place at which the datagram is cut off, what
/// lies behind it in the buffer is not read.
#[test]
fn nothing_behind_the_datagram_is_read() {
    let token = [b't'; 13];
    let value = [b'v'; 300];
    let options: [&[u8]; 3] = [b"\xd3\x00abc", b"\xe1\x00\x00d", b"\xee\x01\x00\x00\x1f"];
    let buffer = [
        b"\x4d\x01\x12\x34\x00",
        &token[..],
        &options.concat(),
        &value,
        b"\xffpayload",
    ]
    .concat();
    let mut read = 0;
    for len in 0..buffer.len() {
        let datagram = &buffer[..len];
        match Message::parse(datagram) {
            Ok(message) => {
                let mut again = vec![0; len];
                assert_eq!(message.encode(&mut again), Ok(len));
                assert_eq!(again, datagram);
                read += 1;
            }
            Err(error) => assert!(error.offset <= len, "{error}"),
        }
    }
    // Behind the token, behind each option, and within the payload.
    assert_eq!(read, 4 + b"payload".len() - 1);
}

/// Over-reads of the token: its length is larger than the datagram, also where the length itself is cut off
/// (GHSA-p9hp-2jxm-6rqp), or is reserved.
#[test]
fn a_token_is_not_read_past_the_end() {
    for first in [0x41, 0x48, 0x4c, 0x4d, 0x4e] {
        assert_eq!(
            rejected(&[first, 1, 0x12, 0x34]),
            (TruncatedToken, 4),
            "{first:#x}"
        );
    }
    assert_eq!(rejected(b"\x4e\x01\x12\x34\xff"), (TruncatedToken, 4));
    // 65,804 bytes, which is 268 at 16 bits.
    let wraps = [&b"\x4e\x01\x12\x34\xff\xff"[..], &[b't'; 268]].concat();
    assert_eq!(rejected(&wraps), (TruncatedToken, 4));
    let reserved = [&b"\x4f\x01\x12\x34"[..], &[b't'; 15]].concat();
    assert_eq!(rejected(&reserved), (TokenLength(15), 0));
    assert_eq!(rejected(b"\x40\x01\x12"), (TruncatedHeader, 3));
}

/// Options by the thousand: 4,000 in a datagram are read one after another, and the last is found.
#[test]
fn many_options_are_read_in_order() {
    let datagram = [HEAD, &[0x10; 4000][..]].concat();
    let message = Message::parse(&datagram).unwrap();
    assert_eq!(message.options.iter().count(), 4000);
    assert_eq!(message.options.get(OptionNumber(4000)), Some(&b""[..]));
}

/// Tokens and options that are no text, CVE-2018-12679 and CVE-2018-12680: a token is bytes, and an option that has to be
/// UTF-8 and is not is told.
#[test]
fn what_is_no_text_is_not_taken_for_text() {
    let datagram = b"\x42\x01\x12\x34\xfd\xff\xb2\xc3\x28";
    let message = Message::parse(datagram).unwrap();
    assert_eq!(message.token, b"\xfd\xff");
    assert_eq!(message.options.get_str(OptionNumber::URI_PATH), None);
    let number = OptionNumber::URI_PATH;
    assert_eq!(
        check_option(number, b"\xc3\x28"),
        Err(OptionValueError::NotUtf8 { number })
    );
    let uri = Uri::from_options(Scheme::Coap, Host::Name("h"), 5683, message.options);
    assert_eq!(uri.unwrap_err().kind, UriErrorKind::NotUtf8);
    assert!(message.to_string().contains("0xc328"), "{message}");
}

/// Block number times size overflow (GHSA-8365-gj33-rgpf): offsets have 64 bits, and a value of 4 bytes, which could
/// hold a larger number, is no block option.
#[test]
fn a_block_offset_does_not_overflow() {
    let block = BlockOption::decode(b"\xff\xff\xfe").unwrap();
    assert_eq!((block.num(), block.size()), (0x000f_ffff, 1024));
    assert_eq!(block.offset(), 1_073_740_800);
    assert_eq!(
        BlockOption::decode(b"\xff\xff\xff").unwrap().offset(),
        1_073_740_800
    );
    assert_eq!(
        BlockOption::decode(b"\x00\xff\xff\xfe"),
        Err(BlockError::TooLong { len: 4 })
    );
    let options = Options::parse(b"\xd4\x0a\xff\xff\xff\xfe").unwrap();
    assert_eq!(options.block2(), Some(Err(BlockError::TooLong { len: 4 })));
}

/// URI parsing overruns: a percent sign too close to the end, brackets and ports that do not end.
#[test]
fn a_uri_is_not_read_past_its_end() {
    let refused = |text: &str| {
        let error = Uri::parse(text).expect_err(text);
        (error.kind, error.offset)
    };
    for path in ["/%", "/%A", "/a%4", "/%4g", "?%", "?a=%2"] {
        let text = format!("coap://h{path}");
        let at = text.find('%').unwrap();
        assert_eq!(refused(&text), (UriErrorKind::PercentEncoding, at), "{text}");
    }
    assert_eq!(refused("coap://h%"), (UriErrorKind::PercentEncoding, 8));
    assert_eq!(refused("coap://["), (UriErrorKind::Ipv6Address, 7));
    assert_eq!(refused("coap://[::1"), (UriErrorKind::Ipv6Address, 7));
    assert_eq!(refused("coap://[::1%25]"), (UriErrorKind::Zone, 11));
    assert_eq!(refused("coap://h:99999999999999999999"), (UriErrorKind::Port, 9));
    assert_eq!(refused("coap://h:65536"), (UriErrorKind::Port, 9));
    assert_eq!(refused("coap:"), (UriErrorKind::HostMissing, 5));
    assert_eq!(refused("coap://"), (UriErrorKind::HostMissing, 7));
}

/// Components that are longer than an option of theirs may be are refused, never cut off.
#[test]
fn a_long_component_is_refused_whole() {
    let longest = "a".repeat(255);
    let too_long = "%41".repeat(256);
    for (start, number) in [
        ("coap://h/", OptionNumber::URI_PATH),
        ("coap://h?", OptionNumber::URI_QUERY),
        ("coap://", OptionNumber::URI_HOST),
    ] {
        let text = format!("{start}{longest}");
        let options = Uri::parse(&text).unwrap().to_options().unwrap();
        assert_eq!(options.get(number).map(<[u8]>::len), Some(255));
        let text = format!("{start}{too_long}");
        let error = Uri::parse(&text).unwrap().to_options().unwrap_err();
        assert_eq!(error.kind, UriErrorKind::TooLong { number, len: 256 });
    }
}

/// Paths that climb out: no dot segment is left, however it is written and however many there are.
#[test]
fn a_path_does_not_climb_out() {
    let text = format!("coap://h/a/{}b/%2e%2E/%2e/c", "../".repeat(10_000));
    let options = Uri::parse(&text).unwrap().to_options().unwrap();
    assert!(options.as_options().path().eq([b"c"]));
    let smuggled = Options::parse(b"\xb2..\x01a").unwrap();
    let error = Uri::from_options(Scheme::Coap, Host::Name("h"), 5683, smuggled).unwrap_err();
    assert_eq!(error.kind, UriErrorKind::DotSegment);
}

/// Overflow when a message is written: whatever the room, nothing is written behind it.
#[test]
fn a_message_is_not_written_past_its_buffer() {
    let write = |buf: &mut [u8]| {
        MessageWriter::new(
            buf,
            MessageType::Confirmable,
            Method::GET,
            MessageId(1),
            &[b't'; 20],
        )
        .option(OptionNumber::URI_PATH, &[b'p'; 300])
        .option(OptionNumber(3000), &[b'q'; 20])
        .payload(b"payload")
        .finish()
    };
    let mut whole = [0; 512];
    let needed = write(&mut whole).unwrap();
    for available in 0..needed {
        let mut memory = [0xaa; 512];
        assert_eq!(
            write(&mut memory[..available]),
            Err(WriteError::BufferTooSmall { available })
        );
        assert!(
            memory[available..].iter().all(|byte| *byte == 0xaa),
            "{available}"
        );
    }
    let number = OptionNumber::URI_PATH;
    let len = MAX_OPTION_LEN + 1;
    let mut large = vec![0; 2 * len];
    let written = MessageWriter::new(
        &mut large,
        MessageType::Confirmable,
        Method::GET,
        MessageId(1),
        b"",
    )
    .option(number, &vec![0; len])
    .finish();
    assert_eq!(written, Err(WriteError::OptionTooLong { number, len }));
}
