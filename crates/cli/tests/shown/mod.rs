//! What a peer sends is shown to people and to scripts: the body of a property test and of the fuzz target `shown`.
#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use crate::console::{ColorChoice, Console, Painter};
use crate::wire::{ContentFormat, Framing, Message};
use crate::{hex, json, show};

/// One of each kind that the program knows, and some that it does not.
const FORMATS: [Option<u16>; 12] = [
    None,
    Some(0),
    Some(40),
    Some(41),
    Some(42),
    Some(50),
    Some(60),
    Some(63),
    Some(110),
    Some(112),
    Some(11050),
    Some(65000),
];

/// The first byte chooses the content format of the others; all of them are a datagram, a message of a WebSocket and a
/// text as well.
pub(crate) fn run(bytes: &[u8]) {
    if let Some((first, payload)) = bytes.split_first() {
        let format = FORMATS.get(usize::from(*first) % FORMATS.len());
        shows(format.copied().flatten().map(ContentFormat), payload);
    }
    if let Ok(message) = Message::parse(bytes) {
        shows_message(&message, None);
        let shown = show::message::outline('<', "2.05", message.options, message.payload, Painter::PLAIN);
        steers_no_terminal(&shown);
    }
    if let Ok(message) = Message::parse_frame(Framing::WebSocket, bytes) {
        shows_message(&message, Some(Framing::WebSocket));
    }
    dumps(bytes);
}

fn shows_message(message: &Message<'_>, framing: Option<Framing>) {
    steers_no_terminal(&show::message::describe(message, framing, Painter::PLAIN));
    is_one_line_of_json(&json::options(message.code, message.options));
}

fn shows(format: Option<ContentFormat>, payload: &[u8]) {
    if let Some(shown) = show::payload::pretty(format, payload, Painter::PLAIN) {
        steers_no_terminal(&shown);
        // Colours change nothing but colours.
        let painter = Console::new(false, false, ColorChoice::Always).out;
        let painted = show::payload::pretty(format, payload, painter).expect("it was shown without colours");
        assert!(painted.len() >= shown.len());
    }
    match json::PayloadJson::new(format, payload) {
        Some(value) => is_one_line_of_json(&value),
        None => assert!(payload.is_empty()),
    }
}

/// Nothing but line ends and tabs is left of control characters.
fn steers_no_terminal(shown: &str) {
    let steers = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    assert!(!shown.contains(steers), "{shown:?}");
}

fn is_one_line_of_json(value: &impl serde::Serialize) {
    let line = json::line(value).expect("it can be serialized");
    let text = line.strip_suffix('\n').expect("it ends its line");
    assert!(!text.contains(char::is_control), "{text:?}");
    let read: Result<serde_json::Value, _> = serde_json::from_str(text);
    // A number may be larger than those that this reader knows.
    assert!(
        read.is_ok() || text.contains(|digit: char| digit.is_ascii_digit()),
        "{text}"
    );
}

/// What is dumped in hexadecimal reads back, wherever its mark stands.
fn dumps(bytes: &[u8]) {
    assert_eq!(hex::parse(&hex::digits(bytes)).as_deref(), Ok(bytes));
    let mark = bytes.first().map(|first| usize::from(*first));
    for mark in [None, Some(bytes.len()), mark] {
        steers_no_terminal(&hex::dump(bytes, mark, Painter::PLAIN));
    }
    if let Err(error) = hex::parse(&String::from_utf8_lossy(bytes)) {
        assert!(!error.to_string().is_empty());
    }
}
