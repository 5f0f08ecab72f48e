//! `coracle decode`: what a message says, or what is wrong with it.

mod input;
mod json;

use std::fmt::Write as _;

use clap::{Args, ValueEnum};

use self::json::{ErrorJson, MessageJson};
use crate::console::{Console, Painter, Style};
use crate::error::{CliError, Exit};
use crate::hex;
use crate::json::line;
use crate::show::message;
use crate::wire::{CodeKind, Framing, Message, MessageError, Reaction, frame_len};

const EXAMPLES: &str = "\
Examples:
  coracle decode 41017d3520bb74656d7065726174757265
  coracle decode 60 45 7d 34 ff 32 32 2e 33
  coracle decode message.bin
  tshark -r coap.pcap -T fields -e udp.payload | coracle decode --json
  coracle decode --transport tcp 40e122100020 01e242 510120b474656d70

Hexadecimal may have blanks, line breaks, `:`, `,`, `0x` and `\\x` in it. A file or standard input
holds either the bytes of one message or hexadecimal. Lines of hexadecimal are a message each,
unless they look like one that was wrapped: some are malformed, and all are as long as the first
but for a shorter last one; `#` begins a comment and makes them so in any case. What came over TCP
is a stream: the messages lie one after the other, and line ends mean nothing. Of a message that is
malformed the place is marked, counted from where it begins, and the exit status is 1.";

/// Show what a CoAP message says, or what is wrong with it.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DecodeArgs {
    /// The message in hexadecimal, or a file with it, or `-` for standard input
    #[arg(value_name = "HEX|FILE|-")]
    input: Vec<String>,

    /// What carried it: datagrams, the stream of a TCP or TLS connection, or messages of a WebSocket
    #[arg(long, value_enum, default_value_t, value_name = "TRANSPORT")]
    transport: Transport,

    /// Take a file or standard input as bytes, even if it looks like hexadecimal
    #[arg(short, long)]
    binary: bool,

    /// Print one JSON object a message
    #[arg(long)]
    json: bool,
}

/// What carries messages, each in a form of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    // Without doc comments, so that help texts stay short.
    #[default]
    Udp,
    Tcp,
    Ws,
}

impl Transport {
    fn framing(self) -> Option<Framing> {
        match self {
            Transport::Udp => None,
            Transport::Tcp => Some(Framing::Tcp),
            Transport::Ws => Some(Framing::WebSocket),
        }
    }

    fn parse(self, bytes: &[u8]) -> Result<Message<'_>, MessageError> {
        match self.framing() {
            None => Message::parse(bytes),
            Some(framing) => Message::parse_frame(framing, bytes),
        }
    }

    /// The shortest message, in bytes (RFC 7252 §3, RFC 8323 §3.2).
    fn header_len(self) -> usize {
        match self {
            Transport::Udp => 4,
            Transport::Tcp | Transport::Ws => 2,
        }
    }

    /// The first message, and what follows it. The last of a stream may not be whole.
    fn split(self, bytes: &[u8]) -> (&[u8], &[u8]) {
        let len = match self {
            Transport::Tcp => frame_len(bytes).ok().flatten(),
            Transport::Udp | Transport::Ws => None,
        };
        len.and_then(|len| bytes.split_at_checked(usize::try_from(len).ok()?))
            .unwrap_or((bytes, &[]))
    }
}

/// A message as it lies in the input, well-formed or not.
struct Piece<'a> {
    transport: Transport,
    /// Where it begins, in bytes.
    start: usize,
    bytes: &'a [u8],
}

/// Decodes and prints messages. A fault is told once, with the message that has it.
pub(crate) fn run(args: &DecodeArgs, console: &Console) -> Result<Exit, CliError> {
    let transport = args.transport;
    let inputs = input::read(args)?;
    let mut exit = Exit::Success;
    let mut is_first = true;
    for input in &inputs {
        let mut rest = input.as_slice();
        loop {
            let start = input.len() - rest.len();
            let (bytes, after) = transport.split(rest);
            let piece = Piece {
                transport,
                start,
                bytes,
            };
            if !is_first && !args.json {
                console.write(b"\n")?;
            }
            is_first = false;
            if !piece.show(args.json, console)? {
                exit = Exit::Failure;
            }
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
    }
    Ok(exit)
}

impl Piece<'_> {
    /// Prints what it says and whether it is a message.
    fn show(&self, json: bool, console: &Console) -> Result<bool, CliError> {
        let parsed = self.transport.parse(self.bytes);
        let shown = match (&parsed, json) {
            (Ok(message), true) => line(&MessageJson::new(message, self))?,
            (Ok(message), false) => self.describe(message, console.out),
            (Err(error), true) => line(&ErrorJson::new(error, self))?,
            (Err(error), false) => self.describe_error(error, console.out),
        };
        console.write(shown.as_bytes())?;
        Ok(parsed.is_ok())
    }

    fn describe(&self, message: &Message<'_>, painter: Painter) -> String {
        let mut out = String::new();
        if self.transport == Transport::Tcp {
            let place = format!("{} bytes at byte {}", self.bytes.len(), self.start);
            message::field(&mut out, "Frame", &place, painter);
        }
        out.push_str(&message::describe(message, self.transport.framing(), painter));
        out
    }

    /// What could be read, where it goes wrong, and what a receiver does about it.
    fn describe_error(&self, error: &MessageError, painter: Painter) -> String {
        let mut known = Vec::new();
        if self.transport == Transport::Tcp {
            known.push(format!("Frame at byte {}", self.start));
        }
        if let Some(header) = error.header {
            let code = message::code(header.code);
            known.push(match self.transport.framing() {
                None => {
                    let kind = message::message_type(header.message_type);
                    format!("{kind}, {code}, message ID {}", header.message_id)
                }
                Some(_) => code,
            });
        }
        let mut out = String::new();
        if !known.is_empty() {
            let _ = writeln!(out, "{}", known.join(", "));
        }
        out.push_str(&hex::dump(self.bytes, Some(error.offset), painter));
        let _ = writeln!(out, "{}", painter.paint(Style::Bad, &error.to_string()));
        let _ = writeln!(out, "{}", reaction(error, self).1);
        if self.transport == Transport::Udp && are_frames(self.bytes) {
            out.push_str("As bytes of a TCP connection it is well-formed: --transport tcp shows it.\n");
        }
        out
    }

    /// What a receiver waits for if more bytes could make it a frame.
    fn waits_for(&self) -> Option<String> {
        if self.transport != Transport::Tcp {
            return None;
        }
        match frame_len(self.bytes).ok()? {
            None => Some("the rest of the header".to_owned()),
            Some(len) => match len.checked_sub(self.bytes.len() as u64)? {
                0 => None,
                1 => Some("1 more byte".to_owned()),
                missing => Some(format!("{missing} more bytes")),
            },
        }
    }
}

/// Whether bytes are whole frames of a stream, one after the other, the first of them a signal as on every connection.
fn are_frames(bytes: &[u8]) -> bool {
    let transport = Transport::Tcp;
    let (first, mut rest) = transport.split(bytes);
    let begins = transport.parse(first);
    let mut are = begins.is_ok_and(|message| matches!(message.code.kind(), CodeKind::Signal(_)));
    while are && !rest.is_empty() {
        let (frame, after) = transport.split(rest);
        are = transport.parse(frame).is_ok();
        rest = after;
    }
    are
}

/// What a receiver does about a fault: in a word for scripts, and in a sentence.
fn reaction(error: &MessageError, piece: &Piece<'_>) -> (&'static str, String) {
    if let Some(missing) = piece.waits_for() {
        return ("wait", format!("A receiver waits for {missing}."));
    }
    match error.reaction() {
        Reaction::Reset(id) => {
            let told = format!("A receiver rejects it with a Reset of message ID {id} (RFC 7252 §4.2).");
            ("reset", told)
        }
        Reaction::Abort => {
            let told = "A receiver ends the connection with an Abort (RFC 8323 §5.6).";
            ("abort", told.to_owned())
        }
        _ => {
            let told = "A receiver ignores it silently (RFC 7252 §3, §4.2, §4.3).";
            ("ignore", told.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(transport: Transport, bytes: &[u8]) -> String {
        let piece = Piece {
            transport,
            start: 5,
            bytes,
        };
        piece.describe_error(&transport.parse(bytes).unwrap_err(), Painter::PLAIN)
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
        assert_eq!(
            error_of(Transport::Udp, b"\x44\x01\x84\x9eQUw\xe8\xb2Hi\xf4Test"),
            expected
        );
    }

    #[test]
    fn what_has_no_header_is_told_without_one() {
        let expected = "\
0000  80 01                                             ..
      ^^ byte 0
at byte 0: version 2 is not 1 (RFC 7252 §3)
A receiver ignores it silently (RFC 7252 §3, §4.2, §4.3).
";
        assert_eq!(error_of(Transport::Udp, b"\x80\x01"), expected);
    }

    #[test]
    fn the_fault_of_a_frame_ends_its_connection() {
        let expected = "\
Frame at byte 5, 2.05 Content
0000  21 45 54 f0 00                                    !ET..
               ^^ byte 3
option 1 (at byte 3): delta nibble 15 is reserved (RFC 7252 §3.1)
A receiver ends the connection with an Abort (RFC 8323 §5.6).
";
        assert_eq!(error_of(Transport::Tcp, b"\x21\x45T\xf0\x00"), expected);
        let expected = "\
0000  51 01 20                                          Q.
      ^^ byte 0
at byte 0: Len is 5 and not 0 on a WebSocket (RFC 8323 §4.2)
A receiver ends the connection with an Abort (RFC 8323 §5.6).
";
        assert_eq!(error_of(Transport::Ws, b"\x51\x01\x20"), expected);
    }

    #[test]
    fn the_rest_of_a_frame_may_still_come() {
        let expected = "\
Frame at byte 5, 0.01 GET
0000  51 01 20 b4 74                                    Q. .t
                     ^^ byte 5
at byte 5: the message is shorter than its length says (RFC 8323 §3.2)
A receiver waits for 3 more bytes.
";
        assert_eq!(error_of(Transport::Tcp, b"\x51\x01\x20\xb4t"), expected);
        let expected = "\
Frame at byte 5
0000  f0 00                                             ..
            ^^ byte 2
at byte 2: the message ends within the header (RFC 7252 §3)
A receiver waits for the rest of the header.
";
        assert_eq!(error_of(Transport::Tcp, b"\xf0\x00"), expected);
        let reserved = error_of(Transport::Tcp, b"\xff");
        assert!(
            reserved.contains("token length 15 is reserved (RFC 8974 §2.1)"),
            "{reserved}"
        );
        assert!(
            reserved.ends_with("with an Abort (RFC 8323 §5.6).\n"),
            "{reserved}"
        );
    }

    #[test]
    fn a_stream_that_is_taken_for_a_datagram_is_told_as_one() {
        let csm = error_of(Transport::Udp, b"\x80\xe1\x23\x10\x00\x00\x20\x51\x02\x00");
        assert!(csm.contains("--transport tcp"), "{csm}");
        assert!(!error_of(Transport::Udp, b"\x80\x01").contains("--transport"));
    }
}
