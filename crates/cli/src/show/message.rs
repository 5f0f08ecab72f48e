//! Messages for people.

use std::fmt::Write;

use super::payload;
use crate::console::{Painter, Style};
use crate::hex;
use crate::wire::{
    Code, CodeKind, ContentFormat, Framing, Message, MessageType, OptionNumber, OptionRef, Options,
    check_option,
};

/// A code with its name: `2.05 Content`.
pub(crate) fn code(code: Code) -> String {
    match code.name() {
        Some(name) => format!("{code} {name}"),
        None if code.is_empty() => format!("{code} Empty"),
        None => code.to_string(),
    }
}

/// A type with its name: `CON (confirmable)`.
pub(crate) fn message_type(message_type: MessageType) -> String {
    let name = match message_type {
        MessageType::Confirmable => "confirmable",
        MessageType::NonConfirmable => "non-confirmable",
        MessageType::Acknowledgement => "acknowledgement",
        MessageType::Reset => "reset",
    };
    format!("{message_type} ({name})")
}

/// A line of what a message says.
pub(crate) fn field(out: &mut String, name: &str, value: &str, painter: Painter) {
    let name = painter.paint(Style::Dim, &format!("{name:<11}"));
    let _ = writeln!(out, "{name} {value}");
}

/// All of a message, field by field. In a frame it has neither a type nor an ID.
pub(crate) fn describe(message: &Message<'_>, framing: Option<Framing>, painter: Painter) -> String {
    let mut out = String::new();
    let mut field = |name: &str, value: &str| field(&mut out, name, value, painter);
    if framing.is_none() {
        field("Type", &message_type(message.message_type));
    }
    field("Code", &painter.paint(Style::Strong, &code(message.code)));
    if framing.is_none() {
        let id = message.message_id;
        field("Message ID", &format!("{id} ({})", id.0));
    }
    field("Token", &token(message.token));
    field("Options", &count(message.options));
    out.push_str(&options(message.code, message.options, painter));
    let payload = describe_payload(content_format(message), message.payload, painter);
    self::field(&mut out, "Payload", &payload, painter);
    out
}

/// The format of the payload, if the message says it. Signaling messages have other options, and their payload is text
/// (RFC 8323 §5.1).
pub(crate) fn content_format(message: &Message<'_>) -> Option<ContentFormat> {
    match message.code.kind() {
        CodeKind::Signal(_) => None,
        _ => message.options.content_format(),
    }
}

/// A request or response in the manner of curl: what it is, its options, and how much it carries; each line begins
/// with `mark`.
pub(crate) fn outline(
    mark: char,
    start: &str,
    options: Options<'_>,
    payload: &[u8],
    painter: Painter,
) -> String {
    let mark = painter.paint(Style::Dim, &mark.to_string());
    let mut out = format!("{mark} {}\n", painter.paint(Style::Strong, start));
    for option in options {
        let _ = writeln!(out, "{mark}   {option}");
    }
    match payload.len() {
        0 => out.truncate(out.trim_end().len()),
        1 => drop(write!(out, "{mark}   1 byte")),
        len => drop(write!(out, "{mark}   {len} bytes")),
    }
    out
}

fn token(token: &[u8]) -> String {
    match token.len() {
        0 => "none".to_owned(),
        1 => format!("{} (1 byte)", hex::digits(token)),
        len => format!("{} ({len} bytes)", hex::digits(token)),
    }
}

fn count(options: Options<'_>) -> String {
    match options.iter().count() {
        0 => "none".to_owned(),
        count => count.to_string(),
    }
}

/// Number, name, properties and value of each option of a message of this code, a line each.
fn options(code: Code, options: Options<'_>, painter: Painter) -> String {
    let width = options.iter().map(|option| name(code, option.number).len()).max();
    let width = width.unwrap_or_default();
    let mut out = String::new();
    let mut previous = None;
    for option in options {
        let number = option.number;
        let name = painter.paint(Style::Name, &format!("{:<width$}", name(code, number)));
        let properties = painter.paint(Style::Dim, &format!("{:<16}", properties(code, number)));
        let line = format!("{:>7}  {name}  {properties}  {}", number.0, value(code, option));
        let _ = write!(out, "{}", line.trim_end());
        if let Some(fault) = fault(code, option, previous) {
            let _ = write!(out, "  {}", painter.paint(Style::Bad, &fault));
        }
        out.push('\n');
        previous = Some(number);
    }
    out
}

fn name(code: Code, number: OptionNumber) -> &'static str {
    let definition = number.definition_in(code);
    definition.map_or("(unregistered)", |definition| definition.name)
}

fn properties(code: Code, number: OptionNumber) -> String {
    let critical = if number.is_critical() {
        "critical"
    } else {
        "elective"
    };
    // Signaling messages are neither forwarded nor cached (RFC 8323 §5.2).
    if matches!(code.kind(), CodeKind::Signal(_)) {
        critical.to_owned()
    } else if number.is_unsafe() {
        format!("{critical}, unsafe")
    } else if number.is_no_cache_key() {
        format!("{critical}, no key")
    } else {
        critical.to_owned()
    }
}

/// The value alone, as the option's format says.
fn value(code: Code, option: OptionRef<'_>) -> String {
    let whole = option.of(code).to_string();
    match whole.split_once(": ") {
        Some((_name, value)) => value.to_owned(),
        None => String::new(),
    }
}

/// What a receiver dislikes about the option (RFC 7252 §5.4.3, §5.4.5, RFC 8323 §5.2).
fn fault(code: Code, option: OptionRef<'_>, previous: Option<OptionNumber>) -> Option<String> {
    let fault = match code.kind() {
        CodeKind::Signal(signal) => signal.check_option(option).err().map(|error| error.to_string()),
        _ => check_option(option.number, option.value)
            .err()
            .map(|error| error.to_string()),
    };
    if fault.is_some() {
        return fault;
    }
    let repeated = previous == Some(option.number);
    let definition = option.number.definition_in(code);
    let once = definition.is_some_and(|definition| !definition.repeatable);
    (repeated && once).then(|| "must not be repeated (RFC 7252 §5.4.5)".to_owned())
}

fn describe_payload(format: Option<ContentFormat>, payload: &[u8], painter: Painter) -> String {
    let len = match payload.len() {
        0 => return "none".to_owned(),
        1 => "1 byte".to_owned(),
        len => format!("{len} bytes"),
    };
    let format_name = match format {
        Some(format) => format!(", {format}"),
        None => String::new(),
    };
    let shown =
        payload::pretty(format, payload, painter).unwrap_or_else(|| hex::dump(payload, None, painter));
    format!("{len}{format_name}\n{}", shown.trim_end_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(bytes: &[u8]) -> String {
        describe(&Message::parse(bytes).unwrap(), None, Painter::PLAIN)
    }

    #[test]
    fn a_request_is_told_field_by_field() {
        // CON GET, token 20, Uri-Path temperature (RFC 7252 figure 17).
        let expected = "\
Type        CON (confirmable)
Code        0.01 GET
Message ID  0x7d35 (32053)
Token       20 (1 byte)
Options     1
     11  Uri-Path  critical, unsafe  \"temperature\"
Payload     none
";
        assert_eq!(described(b"\x41\x01\x7d\x35\x20\xbbtemperature"), expected);
    }

    #[test]
    fn a_response_is_told_with_its_payload() {
        let expected = "\
Type        ACK (acknowledgement)
Code        2.05 Content
Message ID  0x7d34 (32052)
Token       none
Options     3
      4  ETag            elective          0x0a0b
     12  Content-Format  elective          50 (application/json)
     14  Max-Age         elective, unsafe  30
Payload     8 bytes, 50 (application/json)
{
  \"t\": 21
}
";
        let bytes = b"\x60\x45\x7d\x34\x42\x0a\x0b\x81\x32\x21\x1e\xff{\"t\":21}";
        assert_eq!(described(bytes), expected);
    }

    #[test]
    fn odd_options_are_marked() {
        // Uri-Port of 3 bytes, Max-Age twice, an unregistered one; a payload of bytes.
        let bytes = b"\x40\x01\x00\x01\x73\x01\x02\x03\x71\x05\x01\x06\xe1\xfc\xcd\x00\xff\x00\xff";
        let expected = "\
Type        CON (confirmable)
Code        0.01 GET
Message ID  0x0001 (1)
Token       none
Options     4
      7  Uri-Port        critical, unsafe  0x010203  Uri-Port has 0 to 2 bytes, not 3 (RFC 7252 §5.4.3)
     14  Max-Age         elective, unsafe  5
     14  Max-Age         elective, unsafe  6  must not be repeated (RFC 7252 §5.4.5)
  65000  (unregistered)  elective          0x00
Payload     2 bytes
0000  00 ff                                             ..
";
        assert_eq!(described(bytes), expected);
    }

    #[test]
    fn signaling_messages_have_options_of_their_own() {
        let described = |bytes: &[u8]| {
            let message = Message::parse_frame(Framing::Tcp, bytes).unwrap();
            describe(&message, Some(Framing::Tcp), Painter::PLAIN)
        };
        let expected = "\
Code        7.01 CSM
Token       none
Options     6
      2  Max-Message-Size       elective          1152
      2  Max-Message-Size       elective          8  must not be repeated (RFC 7252 §5.4.5)
      4  Block-Wise-Transfer    elective
      6  Extended-Token-Length  elective          0x00000008  \
Extended-Token-Length (option 6 of 7.01 CSM) has 0 to 3 bytes, not 4 (RFC 7252 §5.4.3)
     11  (unregistered)         critical          0x61  \
option 11 of 7.01 CSM is critical and not understood (RFC 8323 §5.2)
     12  (unregistered)         elective          0x32
Payload     none
";
        let csm = b"\xd0\x02\xe1\x22\x04\x80\x01\x08\x20\x24\x00\x00\x00\x08\x51a\x11\x32";
        assert_eq!(described(csm), expected);
        let expected = "\
Code        7.05 Abort
Token       none
Options     1
      2  Bad-CSM-Option  elective          9
Payload     3 bytes
no!
";
        assert_eq!(described(b"\x60\xe5\x21\x09\xffno!"), expected);
    }

    #[test]
    fn an_empty_message_has_a_name() {
        let text = described(b"\x70\x00\x7d\x34");
        assert!(
            text.starts_with("Type        RST (reset)\nCode        0.00 Empty\n"),
            "{text}"
        );
    }
}
