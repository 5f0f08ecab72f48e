//! What holds for any datagram: the body of a property test and of the fuzz target `message`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use coracle_wire::{
    BlockOption, BufferTooSmall, Host, Message, MessageError, MessageId, MessageWriter, OptionRef, Options,
    OptionsBuf, Reaction, Scheme, Uri, WriteError, check_option, decode_uint, encode_uint,
};

/// Whatever arrives: it is a message, and then there is no other way to write it, or there is one reaction.
pub(crate) fn run(datagram: &[u8]) {
    match Message::parse(datagram) {
        Ok(message) => {
            is_written_as_it_was_read(&message, datagram);
            options_stay_what_they_are(message.options);
            message.options.iter().for_each(a_value_has_one_meaning);
            becomes_a_uri_or_an_error(message.options);
            assert!(!message.to_string().is_empty());
        }
        Err(error) => is_rejected(&error, datagram),
    }
}

fn is_written_as_it_was_read(message: &Message<'_>, datagram: &[u8]) {
    let len = datagram.len();
    assert_eq!(message.encoded_len(), len);
    let mut buf = vec![0; len];
    assert_eq!(message.encode(&mut buf), Ok(len));
    assert_eq!(buf, datagram);
    let mut appended = vec![7];
    assert_eq!(message.append_to(&mut appended), Some(len));
    assert_eq!(&appended[1..], datagram);
    let too_small = BufferTooSmall {
        needed: len,
        available: len - 1,
    };
    assert_eq!(message.encode(&mut buf[..len - 1]), Err(too_small));

    let write = |buf: &mut [u8]| {
        let Message {
            message_type,
            code,
            message_id,
            token,
            ..
        } = *message;
        let (first, second) = message.payload.split_at(message.payload.len() / 2);
        MessageWriter::new(buf, message_type, code, message_id, token)
            .options(message.options)
            .payload(first)
            .payload(second)
            .finish()
    };
    let mut written = vec![0; len + 1];
    assert_eq!(write(&mut written), Ok(len));
    assert_eq!(&written[..len], datagram);
    let available = len - 1;
    assert_eq!(
        write(&mut written[..available]),
        Err(WriteError::BufferTooSmall { available })
    );
}

/// However options are put together, they come out sorted, whole, and with one encoding.
fn options_stay_what_they_are(options: Options<'_>) {
    assert_eq!(Options::parse(options.as_bytes()), Ok(options));
    let owned = OptionsBuf::from(options);
    assert_eq!(owned.as_options(), options);
    assert!(options.iter().is_sorted_by_key(|option| option.number));

    // Rebuilding takes time with the square of their number.
    let all: Vec<OptionRef<'_>> = options.iter().take(32).collect();

    let (mut forwards, mut backwards) = (OptionsBuf::new(), OptionsBuf::new());
    for option in &all {
        forwards.insert(option.number, option.value).expect("it was read");
    }
    for option in all.iter().rev() {
        backwards
            .insert(option.number, option.value)
            .expect("it was read");
    }
    assert!(
        owned
            .as_options()
            .as_bytes()
            .starts_with(forwards.as_options().as_bytes())
    );
    assert!(forwards.iter().eq(all.iter().copied()));
    assert_eq!(
        Options::parse(backwards.as_options().as_bytes()),
        Ok(backwards.as_options())
    );
    let mut turned: Vec<OptionRef<'_>> = all.iter().rev().copied().collect();
    turned.sort_by_key(|option| option.number);
    assert!(backwards.iter().eq(turned));
    for option in &all {
        let mut others = forwards.clone();
        others.remove(option.number);
        assert!(!others.contains(option.number));
        let of_number = forwards.as_options().get_all(option.number).count();
        assert_eq!(others.iter().count() + of_number, all.len());
    }
}

/// What the readers of single options say agrees with the table of options.
fn a_value_has_one_meaning(option: OptionRef<'_>) {
    let checked = check_option(option.number, option.value);
    match option.number.definition() {
        Some(definition) => assert_eq!(definition.check(option.value), checked),
        None => assert_eq!(checked, Ok(())),
    }
    assert!(!option.to_string().is_empty());
    if let Err(error) = checked {
        assert_eq!(error.number(), option.number);
        assert!(!error.to_string().is_empty());
    }
    if let Some(number) = decode_uint(option.value) {
        let significant = option.value.iter().skip_while(|byte| **byte == 0);
        assert!(significant.eq(encode_uint(number).iter()));
    } else {
        assert!(option.value.len() > 8);
    }
    match BlockOption::decode(option.value) {
        Ok(block) => {
            assert!(block.num() <= BlockOption::MAX_NUM && block.szx() <= BlockOption::SZX_BERT);
            assert_eq!(block.offset(), u64::from(block.num()) * block.size() as u64);
            assert_eq!(BlockOption::decode(&block.encode()), Ok(block));
            assert_eq!(
                BlockOption::new(block.num(), block.more(), block.szx()),
                Ok(block)
            );
        }
        Err(error) => {
            assert!(option.value.len() > 3);
            assert!(!error.to_string().is_empty());
        }
    }
}

/// What a server logs of a request, and a client follows of a response.
fn becomes_a_uri_or_an_error(options: Options<'_>) {
    match Uri::from_options(Scheme::Coap, Host::Name("host"), 5683, options) {
        Ok(uri) => assert!(Uri::parse(&uri).is_ok(), "{uri}"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Some(Ok(location)) = options.location() {
        assert!(
            Uri::parse(&format!("coap://host{location}")).is_ok(),
            "{location}"
        );
    }
}

/// RFC 7252 §4.2, §4.3.
fn is_rejected(error: &MessageError, datagram: &[u8]) {
    assert!(error.offset <= datagram.len(), "{error}");
    assert!(!error.to_string().is_empty());
    let is_confirmable = datagram.len() >= 4 && datagram[0] >> 4 == 0b0100;
    let expected = if is_confirmable {
        Reaction::Reset(MessageId(u16::from_be_bytes([datagram[2], datagram[3]])))
    } else {
        Reaction::Ignore
    };
    assert_eq!(error.reaction(), expected);
}
