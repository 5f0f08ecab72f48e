//! Messages in a file: what it takes to bring a server down again.

use std::fmt;
use std::fmt::Write as _;

use coracle_wire::Message;

/// Stands for a datagram without any bytes.
const NOTHING: &str = "-";

/// How many messages a file may have.
const MAX_MESSAGES: usize = 100_000;

/// The text of a file: `about` in comments, then a message in hexadecimal a line, each below a comment that tells
/// what it says.
#[must_use]
pub fn write(about: &str, messages: &[Vec<u8>]) -> String {
    let mut out = String::new();
    for line in about.lines() {
        let _ = writeln!(out, "# {line}");
    }
    for message in messages {
        let told = match Message::parse(message) {
            Ok(message) => message.to_string(),
            Err(error) => format!("malformed: {error}"),
        };
        // What is quoted from a message has no line ends: strings are escaped, the rest is hexadecimal.
        let _ = writeln!(out, "\n# {told}");
        match message.as_slice() {
            [] => out.push_str(NOTHING),
            bytes => out.extend(bytes.iter().map(|byte| format!("{byte:02x}"))),
        }
        out.push('\n');
    }
    out
}

/// The messages of such a text.
///
/// # Errors
/// See [`ReproducerError`].
pub fn parse(text: &str) -> Result<Vec<Vec<u8>>, ReproducerError> {
    let mut messages = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let bytes = match line {
            NOTHING => Some(Vec::new()),
            digits => hexadecimal(digits),
        };
        messages.push(bytes.ok_or(ReproducerError::Line(index + 1))?);
        if messages.len() > MAX_MESSAGES {
            return Err(ReproducerError::TooMany);
        }
    }
    match messages.is_empty() {
        true => Err(ReproducerError::Empty),
        false => Ok(messages),
    }
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let value = |character: char| character.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Option<Vec<u8>> = digits.chars().filter(|c| !c.is_whitespace()).map(value).collect();
    let digits = digits?;
    let pair = |pair: &[u8]| match pair {
        &[high, low] => Some(high << 4 | low),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}

/// Why a text holds no messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReproducerError {
    /// This line, counted from 1, is not hexadecimal.
    Line(usize),
    /// There is no message in it.
    Empty,
    /// There are more than 100,000 messages in it.
    TooMany,
}

impl fmt::Display for ReproducerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReproducerError::Line(line) => {
                write!(f, "line {line} is neither a comment nor bytes in hexadecimal")
            }
            ReproducerError::Empty => f.write_str("there is no message in it"),
            ReproducerError::TooMany => write!(f, "there are more than {MAX_MESSAGES} messages in it"),
        }
    }
}

impl std::error::Error for ReproducerError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_a_line_each_with_what_they_say() {
        let messages = [b"\x40\x01\x00\x01\xb1a".to_vec(), Vec::new(), b"\x80".to_vec()];
        let text = write("seed 1\nended by signal 11", &messages);
        let expected = "\
# seed 1
# ended by signal 11

# CON 0.01 GET mid=0x0001 [Uri-Path: \"a\"]
40010001b161

# malformed: at byte 0: the message ends within the header (RFC 7252 §3)
-

# malformed: at byte 0: version 2 is not 1 (RFC 7252 §3)
80
";
        assert_eq!(text, expected);
        assert_eq!(parse(&text), Ok(messages.to_vec()));
    }

    #[test]
    fn what_is_no_message_is_told_by_its_line() {
        assert_eq!(
            parse("# a\n\n40 01 00 01 # ping\n"),
            Ok(vec![vec![0x40, 1, 0, 1]])
        );
        assert_eq!(parse("4001\n400"), Err(ReproducerError::Line(2)));
        assert_eq!(parse("4001\n40é0"), Err(ReproducerError::Line(2)));
        assert_eq!(parse("# nothing\n"), Err(ReproducerError::Empty));
        assert_eq!(
            parse(&"-\n".repeat(MAX_MESSAGES + 1)),
            Err(ReproducerError::TooMany)
        );
    }
}
