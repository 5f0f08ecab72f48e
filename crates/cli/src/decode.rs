//! `coracle decode`: what a datagram says, or what is wrong with it.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Read};

use clap::Args;
use serde::Serialize;

use crate::console::{Console, Painter, Style};
use crate::error::{CliError, Exit};
use crate::hex::{self, HexError};
use crate::json::{self, OptionJson, PayloadJson};
use crate::show::message;
use crate::wire::{HeaderStart, Message, MessageError, Reaction};

/// The longest input, in bytes: some hundred thousand messages. It is held in memory.
const MAX_INPUT: u64 = 1 << 26;

/// Version, type, token length, code and message ID (RFC 7252 §3), in bytes.
const HEADER_LEN: usize = 4;

const EXAMPLES: &str = "\
Examples:
  coracle decode 41017d3520bb74656d7065726174757265
  coracle decode 60 45 7d 34 ff 32 32 2e 33
  coracle decode message.bin
  tshark -r coap.pcap -T fields -e udp.payload | coracle decode --json

Hexadecimal may have blanks, line breaks, `:`, `,`, `0x` and `\\x` in it. A file or standard input
holds either the bytes of one message or hexadecimal. Lines of hexadecimal are a message each,
unless they look like one that was wrapped: some are malformed, and all are as long as the first
but for a shorter last one; `#` begins a comment and makes them so in any case. Of a message that is malformed the place is marked, and the exit
status is 1.";

/// Show what a CoAP message (UDP framing) says, or what is wrong with it.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DecodeArgs {
    /// The message in hexadecimal, or a file with it, or `-` for standard input
    #[arg(value_name = "HEX|FILE|-")]
    input: Vec<String>,

    /// Take a file or standard input as bytes, even if it looks like hexadecimal
    #[arg(short, long)]
    binary: bool,

    /// Print one JSON object a message
    #[arg(long)]
    json: bool,
}

/// Decodes and prints messages. A fault is told once, with the message that has it.
pub(crate) fn run(args: &DecodeArgs, console: &Console) -> Result<Exit, CliError> {
    let datagrams = read_input(args)?;
    let mut exit = Exit::Success;
    for (index, datagram) in datagrams.iter().enumerate() {
        let parsed = Message::parse(datagram);
        if parsed.is_err() {
            exit = Exit::Failure;
        }
        if index > 0 && !args.json {
            console.write(b"\n")?;
        }
        let shown = match (parsed, args.json) {
            (Ok(message), true) => json::line(&MessageJson::new(&message))?,
            (Ok(message), false) => message::describe(&message, console.out),
            (Err(error), true) => json::line(&ErrorJson::new(&error))?,
            (Err(error), false) => describe_error(&error, datagram, console.out),
        };
        console.write(shown.as_bytes())?;
    }
    Ok(exit)
}

fn read_input(args: &DecodeArgs) -> Result<Vec<Vec<u8>>, CliError> {
    let datagrams = match args.input.as_slice() {
        [] if io::stdin().is_terminal() => Vec::new(),
        [] => read_stdin(args.binary)?,
        [dash] if dash == "-" => read_stdin(args.binary)?,
        [name] if args.binary => read_file(name, true)?,
        words => match messages_of(&words.join(" ")) {
            Ok(datagrams) => datagrams,
            Err(error) => read_named(words, &error, args.binary)?,
        },
    };
    if datagrams.is_empty() {
        return Err(CliError::usage("nothing to decode").with_hint("give hexadecimal, a file, or pipe it in"));
    }
    Ok(datagrams)
}

/// The messages of a text in hexadecimal: one a line, or a single one that was wrapped. A text with comments, as
/// `coracle fuzz` writes it, has one a line.
fn messages_of(text: &str) -> Result<Vec<Vec<u8>>, HexError> {
    if text.contains('#') {
        let lines = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim());
        return lines.filter(|line| !line.is_empty()).map(hex::parse).collect();
    }
    let whole = hex::parse(text)?;
    if whole.is_empty() {
        return Ok(Vec::new());
    }
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    match lines.map(hex::parse).collect::<Result<Vec<_>, _>>() {
        Ok(lines) if lines.len() > 1 && !is_wrapped(&lines) => Ok(lines),
        _ => Ok(vec![whole]),
    }
}

/// Whether lines look like one message that was wrapped: they are of one length, the last may be shorter, or one is
/// too short for a message; and they are not all well-formed by themselves.
fn is_wrapped(lines: &[Vec<u8>]) -> bool {
    let Some((last, others)) = lines.split_last() else {
        return false;
    };
    let width = others.first().map_or(0, Vec::len);
    let even = others.iter().all(|line| line.len() == width) && last.len() <= width;
    let short = lines.iter().any(|line| line.len() < HEADER_LEN);
    (even || short) && !lines.iter().all(|line| Message::parse(line).is_ok())
}

/// What is no hexadecimal may be the name of a file.
fn read_named(words: &[String], error: &HexError, binary: bool) -> Result<Vec<Vec<u8>>, CliError> {
    match words {
        [name] if std::path::Path::new(name).exists() => read_file(name, binary),
        _ => Err(CliError::usage(error).with_hint("there is no file of that name either")),
    }
}

fn read_file(name: &str, binary: bool) -> Result<Vec<Vec<u8>>, CliError> {
    let what = format!("cannot read {name}");
    let file = std::fs::File::open(name).map_err(|error| CliError::io(&what, &error))?;
    read_all(file, &what, binary)
}

fn read_stdin(binary: bool) -> Result<Vec<Vec<u8>>, CliError> {
    read_all(io::stdin().lock(), "cannot read standard input", binary)
}

fn read_all(source: impl Read, what: &str, binary: bool) -> Result<Vec<Vec<u8>>, CliError> {
    let mut content = Vec::new();
    source
        .take(MAX_INPUT + 1)
        .read_to_end(&mut content)
        .map_err(|error| CliError::io(what, &error))?;
    if content.len() as u64 > MAX_INPUT {
        return Err(CliError::new(format_args!(
            "{what}: longer than {MAX_INPUT} bytes"
        )));
    }
    let text = std::str::from_utf8(&content).ok().filter(|_| !binary);
    if let Some(messages) = text.and_then(|text| messages_of(text).ok()) {
        return Ok(messages);
    }
    Ok(if content.is_empty() {
        Vec::new()
    } else {
        vec![content]
    })
}

/// What could be read, where it goes wrong, and what a receiver does about it.
fn describe_error(error: &MessageError, datagram: &[u8], painter: Painter) -> String {
    let mut out = String::new();
    if let Some(header) = error.header {
        let code = message::code(header.code);
        let kind = message::message_type(header.message_type);
        let _ = writeln!(out, "{kind}, {code}, message ID {}", header.message_id);
    }
    out.push_str(&hex::dump(datagram, Some(error.offset), painter));
    let _ = writeln!(out, "{}", painter.paint(Style::Bad, &error.to_string()));
    let _ = writeln!(out, "{}", reaction(error));
    out
}

fn reaction(error: &MessageError) -> String {
    match error.reaction() {
        Reaction::Reset(id) => {
            format!("A receiver rejects it with a Reset of message ID {id} (RFC 7252 §4.2).")
        }
        _ => "A receiver ignores it silently (RFC 7252 §3, §4.2, §4.3).".to_owned(),
    }
}

#[derive(Serialize)]
struct MessageJson {
    version: u8,
    r#type: String,
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    message_id: u16,
    token: String,
    options: Vec<OptionJson>,
    #[serde(flatten)]
    payload: Option<PayloadJson>,
}

impl MessageJson {
    fn new(message: &Message<'_>) -> MessageJson {
        MessageJson {
            version: 1,
            r#type: message.message_type.to_string(),
            code: message.code.to_string(),
            name: message.code.name(),
            message_id: message.message_id.0,
            token: hex::digits(message.token),
            options: json::options(message.options),
            payload: PayloadJson::new(message.options.content_format(), message.payload),
        }
    }
}

#[derive(Serialize)]
struct ErrorJson {
    error: String,
    offset: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    option: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    header: Option<HeaderJson>,
    reaction: &'static str,
}

#[derive(Serialize)]
struct HeaderJson {
    r#type: String,
    code: String,
    message_id: u16,
}

impl ErrorJson {
    fn new(error: &MessageError) -> ErrorJson {
        ErrorJson {
            error: error.to_string(),
            offset: error.offset,
            option: error.option,
            header: error.header.map(HeaderJson::new),
            reaction: match error.reaction() {
                Reaction::Reset(_) => "reset",
                _ => "ignore",
            },
        }
    }
}

impl HeaderJson {
    fn new(header: HeaderStart) -> HeaderJson {
        HeaderJson {
            r#type: header.message_type.to_string(),
            code: header.code.to_string(),
            message_id: header.message_id.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(datagram: &[u8]) -> String {
        describe_error(&Message::parse(datagram).unwrap_err(), datagram, Painter::PLAIN)
    }

    #[test]
    fn the_place_of_a_fault_is_marked() {
        // A CON GET whose second option has a delta of 15.
        let expected = "\
CON (confirmable), 0.01 GET, message ID 0x849e
0000  44 01 84 9e 51 55 77 e8  b2 48 69 f4 54 65 73 74  D...QUw..Hi.Test
                                        ^^ byte 11
option 2 (at byte 11): delta nibble 15 is reserved (RFC 7252 §3.1)
A receiver rejects it with a Reset of message ID 0x849e (RFC 7252 §4.2).
";
        assert_eq!(error_of(b"\x44\x01\x84\x9eQUw\xe8\xb2Hi\xf4Test"), expected);
    }

    #[test]
    fn what_has_no_header_is_told_without_one() {
        let expected = "\
0000  80 01                                             ..
      ^^ byte 0
at byte 0: version 2 is not 1 (RFC 7252 §3)
A receiver ignores it silently (RFC 7252 §3, §4.2, §4.3).
";
        assert_eq!(error_of(b"\x80\x01"), expected);
    }

    #[test]
    fn input_is_hexadecimal_if_it_looks_like_it() {
        let read = |content: &[u8], binary| read_all(content, "x", binary).unwrap();
        assert_eq!(read(b"40 01\n00 01\n", false), [b"\x40\x01\x00\x01"]);
        assert_eq!(read(b"40010001", true), [b"40010001"]);
        assert_eq!(read(b"\x60\x45\x7d\x34", false), [b"\x60\x45\x7d\x34"]);
        assert_eq!(read(b" \n", false), Vec::<Vec<u8>>::new());
        assert_eq!(read(b"", true), Vec::<Vec<u8>>::new());
        assert!(read_all(io::repeat(b'4'), "x", false).is_err());
    }

    #[test]
    fn lines_are_messages_unless_one_was_wrapped() {
        let lengths = |text| {
            messages_of(text)
                .unwrap()
                .iter()
                .map(Vec::len)
                .collect::<Vec<_>>()
        };
        assert_eq!(lengths("60457d34\n\n40011234\n"), [4, 4]);
        assert_eq!(lengths("6045 7d34 ff32\n3233 3435 3637\n38"), [13]);
        assert_eq!(lengths("60457d34\n40011234ff"), [4, 5]);
        assert_eq!(lengths("60457d34ff32\n4001"), [8]);
        assert!(messages_of("60457d34\nnone").is_err());
    }

    #[test]
    fn reproducers_have_comments() {
        let text = "# seed 1\n\n# malformed\n60457d34 # why\n\n-\n80010203\n";
        let expected = [
            b"\x60\x45\x7d\x34".to_vec(),
            Vec::new(),
            b"\x80\x01\x02\x03".to_vec(),
        ];
        assert_eq!(messages_of(text), Ok(expected.to_vec()));
        assert!(messages_of("# none\nnone").is_err());
    }
}
