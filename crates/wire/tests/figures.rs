//! Every message that RFC 7252 and RFC 7641 print, read and written.
#![cfg(feature = "alloc")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use coracle_wire::{
    Code, Message, MessageId, MessageType, MessageWriter, OptionFormat, OptionNumber, OptionsBuf, encode_uint,
};

struct Figure {
    name: String,
    message_type: MessageType,
    code: Code,
    message_id: MessageId,
    token: Vec<u8>,
    options: Vec<(OptionNumber, Vec<u8>)>,
    payload: Vec<u8>,
    datagram: Vec<u8>,
}

fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "{text}");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn option(text: &str) -> (OptionNumber, Vec<u8>) {
    let (name, value) = text.split_once('=').unwrap();
    let number: OptionNumber = name.trim().parse().unwrap();
    let bytes = match number.definition().unwrap().format {
        OptionFormat::Uint => encode_uint(value.parse().unwrap()).to_vec(),
        OptionFormat::String => value.as_bytes().to_vec(),
        OptionFormat::Opaque => hex(value.strip_prefix("0x").unwrap()),
        OptionFormat::Empty => Vec::new(),
    };
    (number, bytes)
}

fn figure(line: &str) -> Figure {
    let fields: Vec<&str> = line.split('|').map(str::trim).collect();
    let [
        name,
        message_type,
        code,
        message_id,
        token,
        options,
        payload,
        datagram,
    ] = fields[..]
    else {
        panic!("{line}");
    };
    Figure {
        name: name.to_owned(),
        message_type: match message_type {
            "CON" => MessageType::Confirmable,
            "NON" => MessageType::NonConfirmable,
            "ACK" => MessageType::Acknowledgement,
            "RST" => MessageType::Reset,
            other => panic!("{other}"),
        },
        code: code.parse().unwrap(),
        message_id: MessageId(u16::from_str_radix(message_id.strip_prefix("0x").unwrap(), 16).unwrap()),
        token: hex(token),
        options: options
            .split(';')
            .filter(|text| !text.is_empty())
            .map(option)
            .collect(),
        payload: payload.as_bytes().to_vec(),
        datagram: hex(datagram),
    }
}

fn figures() -> Vec<Figure> {
    let figures: Vec<Figure> = include_str!("data/figures.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(figure)
        .collect();
    assert_eq!(figures.len(), 48);
    figures
}

#[test]
fn the_printed_messages_are_read() {
    for figure in figures() {
        let message = Message::parse(&figure.datagram).unwrap();
        let name = &figure.name;
        assert_eq!(message.message_type, figure.message_type, "{name}");
        assert_eq!(message.code, figure.code, "{name}");
        assert_eq!(message.message_id, figure.message_id, "{name}");
        assert_eq!(message.token, figure.token, "{name}");
        assert_eq!(message.payload, figure.payload, "{name}");
        let options: Vec<_> = message
            .options
            .iter()
            .map(|option| (option.number, option.value.to_vec()))
            .collect();
        let mut expected = figure.options.clone();
        expected.sort_by_key(|(number, _)| *number);
        assert_eq!(options, expected, "{name}");
    }
}

#[test]
fn the_printed_messages_are_written() {
    for figure in figures() {
        let mut options = OptionsBuf::new();
        for (number, value) in &figure.options {
            options.insert(*number, value).unwrap();
        }
        let message = Message {
            message_type: figure.message_type,
            code: figure.code,
            message_id: figure.message_id,
            token: &figure.token,
            options: options.as_options(),
            payload: &figure.payload,
        };
        let mut buf = [0; 256];
        let len = message.encode(&mut buf).unwrap();
        assert_eq!(buf[..len], figure.datagram, "{}", figure.name);
        assert_eq!(message.encoded_len(), len);

        let Figure {
            message_type,
            code,
            message_id,
            token,
            payload,
            ..
        } = &figure;
        let mut buf = [0; 256];
        let len = MessageWriter::new(&mut buf, *message_type, *code, *message_id, token)
            .options(options.as_options())
            .payload(payload)
            .finish()
            .unwrap();
        assert_eq!(buf[..len], figure.datagram, "{}", figure.name);
    }
}
