//! What is to be decoded, out of arguments, a file or standard input.

use std::io::{self, IsTerminal, Read};

use super::{DecodeArgs, Transport};
use crate::error::CliError;
use crate::hex::{self, HexError};

/// The longest input, in bytes: some hundred thousand messages. It is held in memory.
const MAX_INPUT: u64 = 1 << 26;

/// The messages that were given; all of a stream at once.
pub(super) fn read(args: &DecodeArgs) -> Result<Vec<Vec<u8>>, CliError> {
    let messages = match args.input.as_slice() {
        [] if io::stdin().is_terminal() => Vec::new(),
        [] => read_stdin(args)?,
        [dash] if dash == "-" => read_stdin(args)?,
        [name] if args.binary => read_file(name, args)?,
        words => match messages_of(&words.join(" "), args.transport) {
            Ok(messages) => messages,
            Err(error) => read_named(words, &error, args)?,
        },
    };
    if messages.is_empty() {
        return Err(CliError::usage("nothing to decode").with_hint("give hexadecimal, a file, or pipe it in"));
    }
    Ok(messages)
}

/// The messages of a text in hexadecimal: one a line, or a single one that was wrapped. A text with comments, as
/// `coracle fuzz` writes it, has one a line. The lines of a stream belong together: that is what was received in one go,
/// which has nothing to do with messages.
fn messages_of(text: &str, transport: Transport) -> Result<Vec<Vec<u8>>, HexError> {
    let uncommented = |line| str::split(line, '#').next().unwrap_or_default().trim();
    let lines = text.lines().map(uncommented).filter(|line| !line.is_empty());
    if transport == Transport::Tcp {
        let stream = hex::parse(&lines.collect::<Vec<_>>().join("\n"))?;
        return Ok(if stream.is_empty() {
            Vec::new()
        } else {
            vec![stream]
        });
    }
    if text.contains('#') {
        return lines.map(hex::parse).collect();
    }
    let whole = hex::parse(text)?;
    if whole.is_empty() {
        return Ok(Vec::new());
    }
    match lines.map(hex::parse).collect::<Result<Vec<_>, _>>() {
        Ok(lines) if lines.len() > 1 && !is_wrapped(&lines, transport) => Ok(lines),
        _ => Ok(vec![whole]),
    }
}

/// Whether lines look like one message that was wrapped: they are of one length, the last may be shorter, or one is
/// too short for a message; and they are not all well-formed by themselves.
fn is_wrapped(lines: &[Vec<u8>], transport: Transport) -> bool {
    let Some((last, others)) = lines.split_last() else {
        return false;
    };
    let width = others.first().map_or(0, Vec::len);
    let even = others.iter().all(|line| line.len() == width) && last.len() <= width;
    let short = lines.iter().any(|line| line.len() < transport.header_len());
    (even || short) && !lines.iter().all(|line| transport.parse(line).is_ok())
}

/// What is no hexadecimal may be the name of a file.
fn read_named(words: &[String], error: &HexError, args: &DecodeArgs) -> Result<Vec<Vec<u8>>, CliError> {
    match words {
        [name] if std::path::Path::new(name).exists() => read_file(name, args),
        _ => Err(CliError::usage(error).with_hint("there is no file of that name either")),
    }
}

fn read_file(name: &str, args: &DecodeArgs) -> Result<Vec<Vec<u8>>, CliError> {
    let what = format!("cannot read {name}");
    let file = std::fs::File::open(name).map_err(|error| CliError::io(&what, &error))?;
    read_all(file, &what, args)
}

fn read_stdin(args: &DecodeArgs) -> Result<Vec<Vec<u8>>, CliError> {
    read_all(io::stdin().lock(), "cannot read standard input", args)
}

fn read_all(source: impl Read, what: &str, args: &DecodeArgs) -> Result<Vec<Vec<u8>>, CliError> {
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
    let text = std::str::from_utf8(&content).ok().filter(|_| !args.binary);
    if let Some(messages) = text.and_then(|text| messages_of(text, args.transport).ok()) {
        return Ok(messages);
    }
    Ok(if content.is_empty() {
        Vec::new()
    } else {
        vec![content]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_hexadecimal_if_it_looks_like_it() {
        let args = |binary| DecodeArgs {
            input: Vec::new(),
            transport: Transport::Udp,
            binary,
            json: false,
        };
        let read = |content: &[u8], binary| read_all(content, "x", &args(binary)).unwrap();
        assert_eq!(read(b"40 01\n00 01\n", false), [b"\x40\x01\x00\x01"]);
        assert_eq!(read(b"40010001", true), [b"40010001"]);
        assert_eq!(read(b"\x60\x45\x7d\x34", false), [b"\x60\x45\x7d\x34"]);
        assert_eq!(read(b" \n", false), Vec::<Vec<u8>>::new());
        assert_eq!(read(b"", true), Vec::<Vec<u8>>::new());
        assert!(read_all(io::repeat(b'4'), "x", &args(false)).is_err());
    }

    #[test]
    fn lines_are_messages_unless_one_was_wrapped() {
        let lengths = |text| {
            messages_of(text, Transport::Udp)
                .unwrap()
                .iter()
                .map(Vec::len)
                .collect::<Vec<_>>()
        };
        assert_eq!(lengths("60457d34\n\n40011234\n"), [4, 4]);
        assert_eq!(lengths("6045 7d34 ff32\n3233 3435 3637\n38"), [13]);
        assert_eq!(lengths("60457d34\n40011234ff"), [4, 5]);
        assert_eq!(lengths("60457d34ff32\n4001"), [8]);
        assert!(messages_of("60457d34\nnone", Transport::Udp).is_err());
    }

    #[test]
    fn reproducers_have_comments() {
        let text = "# seed 1\n\n# malformed\n60457d34 # why\n\n-\n80010203\n";
        let expected = [
            b"\x60\x45\x7d\x34".to_vec(),
            Vec::new(),
            b"\x80\x01\x02\x03".to_vec(),
        ];
        assert_eq!(messages_of(text, Transport::Udp), Ok(expected.to_vec()));
        assert!(messages_of("# none\nnone", Transport::Udp).is_err());
    }

    #[test]
    fn lines_of_a_stream_belong_together_and_those_of_a_web_socket_do_not() {
        let text = "01e2 # a ping\n42\n\n01e342 0000\n";
        let stream = b"\x01\xe2\x42\x01\xe3\x42\x00\x00".to_vec();
        assert_eq!(messages_of(text, Transport::Tcp), Ok(vec![stream]));
        assert_eq!(messages_of("# nothing\n", Transport::Tcp), Ok(Vec::new()));
        let messages = [b"\x01\xe2\x42".to_vec(), b"\x00\x00".to_vec()];
        assert_eq!(
            messages_of("01e242\n0000\n", Transport::Ws),
            Ok(messages.to_vec())
        );
        assert_eq!(
            messages_of("0245\n4243\n", Transport::Ws).map(|all| all.len()),
            Ok(1)
        );
    }
}
