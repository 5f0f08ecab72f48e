//! What holds for all messages, options and URIs.
#![cfg(feature = "alloc")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

#[path = "fuzzed/frame.rs"]
mod frame;
#[path = "fuzzed/message.rs"]
mod message;
#[path = "fuzzed/uri.rs"]
mod uri;

use coracle_wire::{
    BlockOption, Code, CodeKind, Framing, Host, Message, MessageId, MessageType, OptionNumber, Options,
    OptionsBuf, Scheme, Uri, decode_uint, encode_uint,
};
use proptest::collection::vec;
use proptest::prelude::*;

type Pairs = Vec<(u16, Vec<u8>)>;

fn pairs() -> impl Strategy<Value = Pairs> {
    let number = prop_oneof![0..40_u16, 200..600_u16, any::<u16>()];
    let value = prop_oneof![4 => vec(any::<u8>(), 0..16), 1 => vec(any::<u8>(), 0..400)];
    vec((number, value), 0..12)
}

fn build(pairs: &Pairs) -> OptionsBuf {
    let mut options = OptionsBuf::new();
    for (number, value) in pairs {
        options.insert(OptionNumber(*number), value).unwrap();
    }
    options
}

fn listed(options: Options<'_>) -> Pairs {
    options
        .iter()
        .map(|option| (option.number.0, option.value.to_vec()))
        .collect()
}

/// Types and codes that go together, but for Empty messages.
fn type_and_code() -> impl Strategy<Value = (MessageType, Code)> {
    let any_type = prop_oneof![
        Just(MessageType::Confirmable),
        Just(MessageType::NonConfirmable),
        Just(MessageType::Acknowledgement)
    ];
    (any_type, any::<u8>())
        .prop_map(|(message_type, byte)| (message_type, Code::from_byte(byte)))
        .prop_filter("no such combination", |(message_type, code)| match code.kind() {
            CodeKind::Request(_) => *message_type != MessageType::Acknowledgement,
            CodeKind::Response(_) => true,
            _ => false,
        })
}

fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![8 => vec(any::<u8>(), 0..9), 1 => vec(any::<u8>(), 0..300)];
    (
        type_and_code(),
        any::<u16>(),
        token,
        pairs(),
        vec(any::<u8>(), 0..64),
    )
        .prop_map(|((message_type, code), id, token, pairs, payload)| {
            let options = build(&pairs);
            let message = Message {
                message_type,
                code,
                message_id: MessageId(id),
                token: &token,
                options: options.as_options(),
                payload: &payload,
            };
            let mut buf = vec![0; message.encoded_len()];
            assert_eq!(message.encode(&mut buf), Ok(buf.len()));
            assert_eq!(Message::parse(&buf), Ok(message));
            buf
        })
}

/// Frames of every class of code, one after the other; signaling messages have the options of their registry often.
fn stream() -> impl Strategy<Value = (Vec<Vec<u8>>, Vec<u8>)> {
    let signal = (0xe1..=0xe5_u8, vec((1..10_u16, vec(any::<u8>(), 0..6)), 0..4));
    let other = (any::<u8>(), pairs());
    let token = prop_oneof![8 => vec(any::<u8>(), 0..14), 1 => vec(any::<u8>(), 0..300)];
    let payload = prop_oneof![8 => vec(any::<u8>(), 0..20), 1 => vec(any::<u8>(), 0..300)];
    let frame = (prop_oneof![signal, other], token, payload).prop_map(|((code, pairs), token, payload)| {
        let options = build(&pairs);
        let message = Message {
            message_type: MessageType::NonConfirmable,
            code: Code::from_byte(code),
            message_id: MessageId(0),
            token: &token,
            options: options.as_options(),
            payload: &payload,
        };
        let mut bytes = Vec::new();
        message.append_frame(Framing::Tcp, &mut bytes).unwrap();
        assert_eq!(Message::parse_frame(Framing::Tcp, &bytes), Ok(message));
        bytes
    });
    (vec(frame, 0..5), vec(any::<u8>(), 0..3))
}

fn segment() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,6}", "\\PC{0,20}", "[./%?&#\\[\\]@: ]{0,5}"].prop_filter("expressible", |text| {
        text != "." && text != ".." && text.len() <= 255
    })
}

/// Options that make a URI or a location.
fn location_pairs() -> impl Strategy<Value = Pairs> {
    let number = prop::sample::select(vec![3_u16, 7, 8, 11, 15, 20]);
    let text = segment().prop_map(String::into_bytes);
    let value = prop_oneof![4 => text, 1 => Just(b"..".to_vec()), 1 => vec(any::<u8>(), 0..300)];
    vec((number, value), 0..8)
}

fn host_name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z][a-z0-9.-]{0,20}", "[a-zäöü%@/ ]{1,10}"]
}

proptest! {
    #[test]
    fn messages_are_read_as_they_were_written(datagram in datagram()) {
        message::run(&datagram);
    }

    #[test]
    fn arbitrary_bytes_are_judged(datagram in vec(any::<u8>(), 0..80)) {
        message::run(&datagram);
    }

    #[test]
    fn arbitrary_bytes_after_a_good_start_are_judged(rest in vec(any::<u8>(), 0..80), kind in type_and_code()) {
        let mut datagram = vec![0; 4];
        let message = Message { code: kind.1, ..Message::empty(kind.0, MessageId(1)) };
        message.encode(&mut datagram).unwrap();
        datagram.extend(rest);
        message::run(&datagram);
    }

    #[test]
    fn messages_with_a_wrong_byte_are_judged(
        mut datagram in datagram(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let at = at.index(datagram.len());
        datagram[at] = byte;
        message::run(&datagram);
    }

    #[test]
    fn messages_cut_off_are_judged(datagram in datagram(), at in any::<prop::sample::Index>()) {
        message::run(&datagram[..at.index(datagram.len())]);
    }

    #[test]
    fn a_stream_is_the_same_messages_however_it_is_cut(
        (frames, rest) in stream(), cuts in vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut bytes = frames.concat();
        let whole = frame::received([bytes.as_slice()]);
        prop_assert_eq!(&whole.frames, &frames);
        prop_assert!(whole.rest.is_empty());
        bytes.extend(rest);
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let mut start = 0;
        let parts: Vec<&[u8]> = ends.iter().map(|end| &bytes[std::mem::replace(&mut start, *end)..*end]).collect();
        prop_assert!(frame::received(parts).frames.starts_with(&frames));
        frame::run(&bytes);
    }

    #[test]
    fn any_bytes_of_a_connection_are_judged(bytes in vec(any::<u8>(), 0..80)) {
        frame::run(&bytes);
    }

    #[test]
    fn streams_with_a_wrong_byte_are_judged(
        (frames, rest) in stream(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = [frames.concat(), rest, vec![0]].concat();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        frame::run(&bytes);
    }

    #[test]
    fn options_come_out_sorted_and_equal_ones_in_their_order(pairs in pairs()) {
        let options = build(&pairs);
        let mut expected = pairs;
        expected.sort_by_key(|(number, _)| *number);
        prop_assert_eq!(Options::parse(options.as_options().as_bytes()), Ok(options.as_options()));
        for (number, _) in &expected {
            let of_number: Vec<&[u8]> = options.as_options().get_all(OptionNumber(*number)).collect();
            let wanted = expected.iter().filter(|(other, _)| other == number);
            prop_assert_eq!(of_number, wanted.map(|(_, value)| value.as_slice()).collect::<Vec<_>>());
        }
        prop_assert_eq!(listed(options.as_options()), expected);
    }

    #[test]
    fn removal_undoes_insertion(pairs in pairs(), number in any::<u16>(), late in pairs()) {
        let others: Pairs = pairs.into_iter().filter(|(other, _)| *other != number).collect();
        let mut options = build(&others);
        let before = options.clone();
        options.insert(OptionNumber(number), b"one").unwrap();
        options.insert(OptionNumber(number), b"two").unwrap();
        options.remove(OptionNumber(number));
        prop_assert_eq!(&options, &before);
        for (number, value) in &late {
            options.insert(OptionNumber(*number), value).unwrap();
        }
        prop_assert_eq!(options, build(&others.into_iter().chain(late).collect()));
    }

    #[test]
    fn numbers_are_read_as_they_were_written(value in any::<u64>(), zeros in 0..20_usize) {
        let encoded = encode_uint(value);
        prop_assert_ne!(encoded.first(), Some(&0));
        let padded = [vec![0; zeros], encoded.to_vec()].concat();
        prop_assert_eq!(decode_uint(&padded), Some(value));
    }

    #[test]
    fn block_options_are_read_as_they_were_written(num in 0..=BlockOption::MAX_NUM, more: bool, szx in 0..8_u8) {
        let block = BlockOption::new(num, more, szx).unwrap();
        prop_assert_eq!(BlockOption::decode(&block.encode()), Ok(block));
        prop_assert_eq!(block.offset(), u64::from(num) * block.size() as u64);
    }

    #[test]
    fn options_survive_the_way_through_a_uri(
        host in host_name(), port in any::<u16>(), path in vec(segment(), 0..6), queries in vec(segment(), 0..4),
    ) {
        let mut options = OptionsBuf::new();
        options.push_str(OptionNumber::URI_HOST, &host).unwrap();
        // A single empty segment is the root, which has no Uri-Path (RFC 7252 §6.4 step 8).
        for segment in path.iter().filter(|_| path != [""]) {
            options.push_str(OptionNumber::URI_PATH, segment).unwrap();
        }
        for query in &queries {
            options.push_str(OptionNumber::URI_QUERY, query).unwrap();
        }
        let unused = Host::Name("unused");
        let uri = Uri::from_options(Scheme::Coap, unused, port, options.as_options()).unwrap();
        let parsed = Uri::parse(&uri).unwrap();
        prop_assert_eq!(parsed.port_or_default(), port);
        prop_assert_eq!(parsed.to_options().unwrap(), options, "{}", uri);
        prop_assert_eq!(parsed.to_string(), uri);
    }

    #[test]
    fn any_text_is_a_uri_or_an_error_within_it(
        text in "(coap(s)?://)?([a-z\\[\\]%0-9:.@]{0,20})?[/?a-z%0-9.#&;=]{0,30}\\PC{0,3}",
    ) {
        uri::run(text.as_bytes());
    }

    #[test]
    fn any_options_are_a_uri_or_none(pairs in location_pairs()) {
        uri::run(build(&pairs).as_options().as_bytes());
    }
}
