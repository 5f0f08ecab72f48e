//! What a peer sent, made fit to be shown.

use std::fmt::{self, Write};

use coracle_wire::{ContentFormat, Message, Options, frame_len};

use crate::transcript::{Form, Record, hex};

/// The longest line of a message, in characters.
const LINE: usize = 600;

/// The longest part of a payload in such a line, in characters or bytes.
const EXCERPT: usize = 80;

/// The longest option in such a line, in characters.
const OPTION: usize = 80;

/// The longest command line, in characters.
const COMMAND: usize = 200;

/// The longest text of a subject, for instance what its command printed, in characters.
const TEXT: usize = 8_000;

/// Text on one line without anything that steers a terminal or the direction of reading; cut if it is very long.
pub(super) fn line(text: &str) -> String {
    bounded(TEXT, |out| {
        text.chars().try_for_each(|character| put(out, character))
    })
}

/// As [`line`], but with its line ends and tabs.
pub(super) fn lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    bounded(TEXT, |out| {
        text.chars().try_for_each(|character| match character {
            '\n' | '\t' => out.write_char(character),
            _ => put(out, character),
        })
    })
}

/// A character, escaped if it is not seen as one: control characters, marks of direction, characters that are none.
fn put(out: &mut Bounded, character: char) -> fmt::Result {
    let invisible =
        matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
    let none = matches!(character, '\u{feff}' | '\u{fff0}'..='\u{ffff}') && character != '\u{fffd}';
    if character.is_control() || invisible || none {
        character
            .escape_default()
            .try_for_each(|part| out.write_char(part))
    } else {
        out.write_char(character)
    }
}

/// A message in one line, with the beginning of its payload; of what is none the bytes and what is wrong.
pub(super) fn message(record: &Record) -> String {
    let Some(bytes) = record.message_bytes() else {
        return line(&record.described());
    };
    let shown = match record.parse(&bytes) {
        Ok(message) if record.form == Form::Datagram => bounded(LINE, |out| write_message(out, &message)),
        Ok(message) => without_type(&bounded(LINE, |out| write_message(out, &message))),
        Err(_) if bytes.is_empty() => "an empty datagram".to_owned(),
        Err(_) if record.form == Form::Tcp && !is_whole(&bytes) => {
            format!("{} bytes {}", bytes.len(), hex(&bytes))
        }
        Err(error) => format!("{} bytes {}: {error}", bytes.len(), hex(&bytes)),
    };
    line(&shown)
}

/// Whether bytes of a TCP connection are one message, as its header has it: anything else cannot be told from a part.
fn is_whole(bytes: &[u8]) -> bool {
    frame_len(bytes).map_or(true, |length| length == Some(bytes.len() as u64))
}

/// A message of a connection has neither a type nor a Message ID (RFC 8323 §3.2).
fn without_type(line: &str) -> String {
    line.replacen("NON ", "", 1).replacen(" mid=0x0000", "", 1)
}

fn write_message(out: &mut Bounded, message: &Message<'_>) -> fmt::Result {
    let head = Message {
        options: Options::default(),
        payload: &[],
        ..*message
    };
    write!(out, "{head}")?;
    for option in message.options {
        let option = shortened(&option.of(message.code).to_string(), OPTION);
        write!(out, " [{option}]")?;
    }
    match message.payload {
        [] => Ok(()),
        payload => {
            let excerpt = excerpt(payload, message.options.content_format());
            write!(out, " payload={} bytes {excerpt}", payload.len())
        }
    }
}

/// The beginning of a text, and a mark if there is more.
fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

/// The beginning of a command line, as [`line`].
pub(super) fn command(text: &str) -> String {
    shortened(&line(text), COMMAND)
}

/// The beginning of a payload, as text in quotes if it is text.
fn excerpt(payload: &[u8], format: Option<ContentFormat>) -> String {
    let text = std::str::from_utf8(payload).ok();
    let text = text.filter(|text| format != Some(ContentFormat::OCTET_STREAM) && !text.contains('\0'));
    let Some(text) = text else {
        let rest = if payload.len() > EXCERPT { "…" } else { "" };
        let shown = payload.iter().take(EXCERPT).map(|byte| format!("{byte:02x}"));
        return format!("0x{}{rest}", shown.collect::<String>());
    };
    let rest = if text.chars().nth(EXCERPT).is_some() {
        "…"
    } else {
        ""
    };
    let shown: String = text.chars().take(EXCERPT).collect();
    format!("{shown:?}{rest}")
}

/// What is written, but for what is beyond so many characters.
fn bounded(most: usize, write: impl FnOnce(&mut Bounded) -> fmt::Result) -> String {
    let mut out = Bounded {
        text: String::new(),
        left: most,
    };
    if write(&mut out).is_err() {
        out.text.push_str(" … (cut)");
    }
    out.text
}

/// A text that takes no more than its characters.
struct Bounded {
    text: String,
    left: usize,
}

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| self.write_char(character))
    }

    fn write_char(&mut self, character: char) -> fmt::Result {
        self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
        self.text.push(character);
        Ok(())
    }
}

/// Text as content of an element, or of an attribute in double quotes, of HTML and XML; to be shown as
/// [`line`] or [`lines`] before.
pub(super) fn markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::transcript::{Fate, Form};

    #[test]
    fn long_options_and_commands_are_cut() {
        // GET with a Uri-Path of 255 bytes: the length is 13 and one byte more (RFC 7252 §3.1).
        let mut bytes = b"\x40\x01\x00\x01\xbd\xf2".to_vec();
        bytes.extend([b'a'; 255]);
        let address = ([127, 0, 0, 1], 1).into();
        let record = Record {
            form: Form::Datagram,
            at: Duration::ZERO,
            time: SystemTime::UNIX_EPOCH,
            by_judge: true,
            from: address,
            to: address,
            bytes,
            fate: Fate::Passed,
        };
        let shown = message(&record);
        let begin = "CON 0.01 GET mid=0x0001 [Uri-Path: \"aaa";
        assert!(shown.starts_with(begin) && shown.ends_with("a…]"), "{shown}");
        assert_eq!(shown.chars().count(), 24 + 2 + OPTION + 1);
        assert_eq!(command(&"x".repeat(201)), format!("{}…", "x".repeat(200)));
    }
}
