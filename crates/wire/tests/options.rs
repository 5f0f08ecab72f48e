//! Options as bytes, as values and as text.
#![cfg(feature = "alloc")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use coracle_wire::{
    BlockError, BlockOption, Code, ContentFormat, MAX_OPTION_LEN, Message, MessageId, MessageType,
    MessageWriter, Method, OptionNumber, OptionTooLong, Options, OptionsBuf, OptionsError, OptionsErrorKind,
    Status, Token, WriteError,
};

#[track_caller]
fn shown(number: OptionNumber, value: &[u8]) -> String {
    let mut options = OptionsBuf::new();
    options.insert(number, value).unwrap();
    options.iter().next().unwrap().to_string()
}

#[test]
fn options_are_shown_by_their_format() {
    assert_eq!(shown(OptionNumber::URI_PATH, b"temp"), "Uri-Path: \"temp\"");
    assert_eq!(shown(OptionNumber::URI_PATH, b"a\"\n"), "Uri-Path: \"a\\\"\\n\"");
    assert_eq!(shown(OptionNumber::URI_PATH, b"\xff"), "Uri-Path: 0xff");
    assert_eq!(
        shown(OptionNumber::CONTENT_FORMAT, b"\x32"),
        "Content-Format: 50 (application/json)"
    );
    assert_eq!(
        shown(OptionNumber::ACCEPT, b""),
        "Accept: 0 (text/plain;charset=utf-8)"
    );
    assert_eq!(shown(OptionNumber::BLOCK2, b"\x3a"), "Block2: 3/1/64");
    assert_eq!(shown(OptionNumber::BLOCK2, b"\0\0\0\x3a"), "Block2: 0x0000003a");
    assert_eq!(shown(OptionNumber::MAX_AGE, b"\x01\0"), "Max-Age: 256");
    assert_eq!(shown(OptionNumber::ETAG, b"\x0a\x1b"), "ETag: 0x0a1b");
    assert_eq!(shown(OptionNumber::IF_NONE_MATCH, b""), "If-None-Match");
    assert_eq!(shown(OptionNumber::IF_NONE_MATCH, b"x"), "If-None-Match: 0x78");
    assert_eq!(shown(OptionNumber(65001), b"ab"), "Option 65001: 0x6162");
}

#[test]
fn deltas_and_lengths_extend_where_rfc_7252_says() {
    let cases: [(u16, usize, &[u8]); 8] = [
        (12, 12, b"\xcc"),
        (13, 0, b"\xd0\x00"),
        (268, 0, b"\xd0\xff"),
        (269, 0, b"\xe0\x00\x00"),
        (65535, 0, b"\xe0\xfe\xf2"),
        (1, 13, b"\x1d\x00"),
        (1, 268, b"\x1d\xff"),
        (300, 269, b"\xee\x00\x1f\x00\x00"),
    ];
    for (number, len, header) in cases {
        let mut options = OptionsBuf::new();
        options.insert(OptionNumber(number), &vec![7; len]).unwrap();
        let bytes = options.as_options().as_bytes();
        assert_eq!(&bytes[..header.len()], header, "{number} {len}");
        assert_eq!(bytes.len(), header.len() + len);
        assert_eq!(Options::parse(bytes), Ok(options.as_options()));
    }
}

#[test]
fn a_payload_marker_is_no_option() {
    let error = OptionsError {
        kind: OptionsErrorKind::OptionDelta15,
        offset: 5,
        ordinal: 2,
    };
    assert_eq!(Options::parse(b"\xb4temp\xff\x41"), Err(error));
}

#[test]
fn values_that_are_too_long_are_refused_and_change_nothing() {
    let mut options = OptionsBuf::new();
    options.push_str(OptionNumber::URI_PATH, "temp").unwrap();
    let before = options.clone();
    let long = vec![0; MAX_OPTION_LEN + 1];
    let error = OptionTooLong { len: long.len() };
    assert_eq!(options.insert(OptionNumber::URI_QUERY, &long), Err(error));
    assert_eq!(options.insert(OptionNumber::ETAG, &long), Err(error));
    assert_eq!(options.set(OptionNumber::URI_PATH, &long), Err(error));
    assert_eq!(options, before);
    options.insert(OptionNumber::ETAG, &long[1..]).unwrap();
    assert_eq!(
        options.get(OptionNumber::ETAG).map(<[u8]>::len),
        Some(MAX_OPTION_LEN)
    );
    assert_eq!(options.get_str(OptionNumber::URI_PATH), Some("temp"));
}

#[test]
fn insertion_shrinks_the_next_delta() {
    let mut options = OptionsBuf::new();
    options.insert(OptionNumber(300), b"c").unwrap();
    assert_eq!(options.as_options().as_bytes(), b"\xe1\x00\x1fc");
    options.insert(OptionNumber(40), b"a").unwrap();
    assert_eq!(options.as_options().as_bytes(), b"\xd1\x1ba\xd1\xf7c");
    options.insert(OptionNumber(295), b"b").unwrap();
    assert_eq!(options.as_options().as_bytes(), b"\xd1\x1ba\xd1\xf2b\x51c");
    options.remove(OptionNumber(300));
    options.insert(OptionNumber(296), b"d").unwrap();
    assert_eq!(options.as_options().as_bytes(), b"\xd1\x1ba\xd1\xf2b\x11d");
}

/// Short lists lie within the value, longer ones on the heap: nobody can tell.
#[test]
fn lists_of_any_length_are_the_same_in_whatever_order_they_are_made() {
    let segments: Vec<String> = (0..20).map(|n| format!("s{n}")).collect();
    for count in 0..=segments.len() {
        let segments = &segments[..count];
        let (mut after, mut before) = (OptionsBuf::new(), OptionsBuf::new());
        before.push_uint(OptionNumber::SIZE1, 9);
        for segment in segments {
            after.push_str(OptionNumber::URI_PATH, segment).unwrap();
            before.push_str(OptionNumber::URI_PATH, segment).unwrap();
        }
        after.push_uint(OptionNumber::SIZE1, 9);
        assert_eq!(after, before);
        assert!(
            after
                .as_options()
                .path()
                .eq(segments.iter().map(|segment| segment.as_bytes()))
        );
        assert_eq!(OptionsBuf::from(after.as_options()), after);
        before.remove(OptionNumber::URI_PATH);
        assert_eq!(before.as_options().as_bytes(), b"\xd1\x2f\x09");
    }
}

#[test]
fn set_replaces_all_and_retain_keeps_some() {
    let mut options = OptionsBuf::new();
    for segment in ["a", "b", "c"] {
        options.push_str(OptionNumber::URI_PATH, segment).unwrap();
    }
    options.push_uint(OptionNumber::OBSERVE, 0);
    options.push_uint(OptionNumber::SIZE1, 1000);
    options.set(OptionNumber::URI_PATH, b"z").unwrap();
    options.set_uint(OptionNumber::SIZE1, 2000);
    let paths: Vec<_> = options.as_options().path().collect();
    assert_eq!(paths, [b"z"]);
    assert_eq!(options.get_uint(OptionNumber::SIZE1), Some(2000));
    options.retain(|option| option.number.is_critical());
    assert_eq!(
        options.iter().map(|option| option.number).collect::<Vec<_>>(),
        [OptionNumber::URI_PATH]
    );
    assert_eq!(OptionsBuf::from(options.as_options()), options);
}

#[test]
fn readers_follow_the_registered_formats() {
    let mut options = OptionsBuf::new();
    assert_eq!(options.as_options().max_age(), 60);
    assert_eq!(options.as_options().observe(), None);
    assert_eq!(options.as_options().content_format(), None);
    options.push_uint(OptionNumber::CONTENT_FORMAT, 112);
    options.push_uint(OptionNumber::ACCEPT, 60);
    options.push_uint(OptionNumber::MAX_AGE, u64::from(u32::MAX));
    options.push_uint(OptionNumber::OBSERVE, 0x00ff_ffff);
    options.insert(OptionNumber::BLOCK2, b"\x16").unwrap();
    options.insert(OptionNumber::BLOCK1, b"\0\0\0\0").unwrap();
    options.insert(OptionNumber::ETAG, b"1").unwrap();
    options.insert(OptionNumber::ETAG, b"2").unwrap();
    let options = options.as_options();
    assert_eq!(options.content_format(), Some(ContentFormat::SENML_CBOR));
    assert_eq!(options.accept(), Some(ContentFormat::CBOR));
    assert_eq!(options.max_age(), u32::MAX);
    assert_eq!(options.observe(), Some(0x00ff_ffff));
    assert_eq!(options.block2(), Some(BlockOption::new(1, false, 6)));
    assert_eq!(options.block1(), Some(Err(BlockError::TooLong { len: 4 })));
    assert_eq!(options.etags().collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(options.get(OptionNumber::SIZE1), None);
}

#[test]
fn values_of_a_wrong_length_count_as_absent() {
    // RFC 7252 §5.4.3: like an option that is not recognized.
    let mut options = OptionsBuf::new();
    options.insert(OptionNumber::CONTENT_FORMAT, b"\0\0\x32").unwrap();
    options.insert(OptionNumber::MAX_AGE, b"\0\0\0\0\x05").unwrap();
    options.insert(OptionNumber::OBSERVE, b"\0\0\0\x01").unwrap();
    assert_eq!(options.as_options().content_format(), None);
    assert_eq!(options.as_options().max_age(), 60);
    assert_eq!(options.as_options().observe(), None);
}

fn writer(buf: &mut [u8]) -> MessageWriter<'_> {
    MessageWriter::new(buf, MessageType::Confirmable, Method::GET, MessageId(1), b"")
}

#[test]
fn the_writer_reports_the_first_mistake() {
    let mut buf = [0; 16];
    let order = writer(&mut buf)
        .option(OptionNumber::ACCEPT, b"")
        .option(OptionNumber::URI_PATH, b"")
        .finish();
    assert_eq!(
        order,
        Err(WriteError::OptionOrder {
            number: OptionNumber::URI_PATH
        })
    );
    let late = writer(&mut buf)
        .payload(b"x")
        .option(OptionNumber::ACCEPT, b"")
        .finish();
    assert_eq!(late, Err(WriteError::AfterPayload));
    assert_eq!(writer(&mut buf).payload(&[0; 11]).finish(), Ok(16));
    assert_eq!(
        writer(&mut buf).payload(&[0; 12]).finish(),
        Err(WriteError::BufferTooSmall { available: 16 })
    );
    // What does not fit stays refused, even if what follows would fit.
    let gap = writer(&mut buf)
        .option(OptionNumber::URI_PATH, &[0; 20])
        .payload(b"x")
        .finish();
    assert_eq!(gap, Err(WriteError::BufferTooSmall { available: 16 }));
    assert_eq!(
        writer(&mut buf).payload(b"a").payload(b"").payload(b"b").finish(),
        Ok(7)
    );
    assert_eq!(&buf[..7], b"\x40\x01\x00\x01\xffab");
}

#[test]
fn a_buffer_that_is_too_small_is_told() {
    let message = Message {
        code: Code::from(Status::CONTENT),
        payload: b"22.3 C",
        ..Message::empty(MessageType::Acknowledgement, MessageId(0x7d34))
    };
    for len in 0..11 {
        let error = message.encode(&mut vec![0; len]).unwrap_err();
        assert_eq!((error.needed, error.available), (11, len));
    }
    assert_eq!(message.encode(&mut [0; 11]), Ok(11));
    assert_eq!(message.to_string(), "ACK 2.05 Content mid=0x7d34 payload=6 bytes");
    let token = vec![0; 65805];
    let impossible = Message {
        token: &token,
        ..message
    };
    assert_eq!(
        impossible.encode(&mut vec![0; 70000]).unwrap_err().needed,
        usize::MAX
    );
}

#[test]
fn tokens_of_up_to_8_bytes_are_held() {
    assert_eq!(Token::new(b""), Some(Token::EMPTY));
    assert_eq!(Token::new(b"12345678").unwrap().as_bytes(), b"12345678");
    assert_eq!(Token::new(b"123456789"), None);
    assert_eq!(Token::from([1, 2, 0xab, 4]).to_string(), "0102ab04");
    assert_ne!(Token::new(b"\0"), Token::new(b"\0\0"));
}
