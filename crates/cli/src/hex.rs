//! Hexadecimal in and out.

use std::fmt::{self, Write};

use crate::console::{Painter, Style};

/// Bytes in a line of a dump.
const LINE: usize = 16;

/// Lines before and after a mark that are shown of a long dump.
const CONTEXT: usize = 8;

/// Why a text is not hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HexError {
    /// A character that is neither a digit nor a separator.
    Digit(char),
    /// A group with half a byte.
    Odd(String),
}

impl fmt::Display for HexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HexError::Digit(character) => write!(f, "{character:?} is not a hexadecimal digit"),
            HexError::Odd(group) => write!(f, "`{group}` has an odd number of hexadecimal digits"),
        }
    }
}

/// Reads bytes as people write them: `4401849e`, `44 01 84 9e`, `44:01:84:9e`, `0x44, 0x01`, `\x44\x01`, in any
/// number of lines.
///
/// # Errors
/// See [`HexError`].
pub(crate) fn parse(text: &str) -> Result<Vec<u8>, HexError> {
    let text = text.replace("\\x", " ");
    let separates = |character: char| character.is_whitespace() || ":,;-".contains(character);
    let mut bytes = Vec::with_capacity(text.len() / 2);
    for group in text.split(separates) {
        let digits = group
            .strip_prefix("0x")
            .or_else(|| group.strip_prefix("0X"))
            .unwrap_or(group);
        parse_group(digits, &mut bytes)?;
    }
    Ok(bytes)
}

fn parse_group(group: &str, bytes: &mut Vec<u8>) -> Result<(), HexError> {
    let mut half = None;
    for character in group.chars() {
        let digit = character.to_digit(16).ok_or(HexError::Digit(character))?;
        let digit = u8::try_from(digit).map_err(|_| HexError::Digit(character))?;
        half = match half {
            None => Some(digit << 4),
            Some(high) => {
                bytes.push(high | digit);
                None
            }
        };
    }
    match half {
        None => Ok(()),
        Some(_) => Err(HexError::Odd(group.to_owned())),
    }
}

/// Digits without separators.
pub(crate) fn digits(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A dump: offset, bytes and characters, 16 bytes a line. A mark stands under the byte at `mark`, and of a long
/// dump only the lines around it are shown.
pub(crate) fn dump(bytes: &[u8], mark: Option<usize>, painter: Painter) -> String {
    let mut out = String::new();
    let marked = mark.map(|offset| offset.min(bytes.len()));
    let first = marked.map_or(0, |offset| (offset / LINE).saturating_sub(CONTEXT));
    let last = marked.map_or(usize::MAX, |offset| offset / LINE + CONTEXT);
    if first > 0 {
        out.push_str("...\n");
    }
    let mut lines: Vec<&[u8]> = bytes.chunks(LINE).collect();
    if bytes.is_empty() || marked == Some(bytes.len()) && bytes.len().is_multiple_of(LINE) {
        lines.push(&[]);
    }
    for (index, line) in lines.iter().enumerate().skip(first) {
        if index > last {
            out.push_str("...\n");
            break;
        }
        dump_line(&mut out, index * LINE, line);
        if let Some(offset) = marked.filter(|offset| offset / LINE == index) {
            let column = offset % LINE;
            let blanks = " ".repeat(6 + 3 * column + usize::from(column >= LINE / 2));
            let mark = painter.paint(Style::Bad, "^^");
            let _ = writeln!(out, "{blanks}{mark} byte {offset}");
        }
    }
    out
}

fn dump_line(out: &mut String, offset: usize, line: &[u8]) {
    let mut columns = String::new();
    for (column, byte) in line.iter().enumerate() {
        let gap = if column == LINE / 2 { "  " } else { " " };
        let _ = write!(columns, "{gap}{byte:02x}");
    }
    let characters: String = line
        .iter()
        .map(|&byte| match byte {
            b' '..=b'~' => char::from(byte),
            _ => '.',
        })
        .collect();
    let text = format!("{offset:04x} {columns:<49}  {characters}");
    let _ = writeln!(out, "{}", text.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_people_write_them() {
        let bytes = Ok(vec![0x44, 0x01, 0x84, 0x9e]);
        for text in [
            "4401849e",
            "44 01 84 9E",
            "44:01:84:9e",
            "0x44, 0x01, 0x84, 0x9e",
            "0x4401 849e\n",
            "\\x44\\x01\\x84\\x9e",
            "  4401\n  849e\n",
        ] {
            assert_eq!(parse(text), bytes, "{text}");
        }
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_hexadecimal_is_told() {
        assert_eq!(parse("44 0"), Err(HexError::Odd("0".into())));
        assert_eq!(parse("message.bin"), Err(HexError::Digit('m')));
        assert_eq!(parse("4é"), Err(HexError::Digit('é')));
    }

    #[test]
    fn a_dump_marks_the_byte() {
        let dumped = dump(b"\x44\x01\x84\x9eQUw\xe8\xb2Hi\xf4", Some(11), Painter::PLAIN);
        let expected = "\
0000  44 01 84 9e 51 55 77 e8  b2 48 69 f4              D...QUw..Hi.
                                        ^^ byte 11
";
        assert_eq!(dumped, expected);
    }

    #[test]
    fn a_mark_may_stand_behind_the_last_byte() {
        let expected = "0000  44                                                D\n         ^^ byte 1\n";
        assert_eq!(dump(b"\x44", Some(1), Painter::PLAIN), expected);
        assert_eq!(dump(b"", Some(9), Painter::PLAIN), "0000\n      ^^ byte 0\n");
        let full = dump(&[0x20; 16], Some(16), Painter::PLAIN);
        assert!(full.ends_with("\n0010\n      ^^ byte 16\n"), "{full}");
    }

    #[test]
    fn of_a_long_dump_the_lines_around_the_mark_are_shown() {
        let dumped = dump(&[0; 1024], Some(512), Painter::PLAIN);
        let lines: Vec<&str> = dumped.lines().collect();
        assert_eq!(lines.len(), 2 * CONTEXT + 4);
        assert_eq!((lines[0], lines[lines.len() - 1]), ("...", "..."));
        assert!(lines[CONTEXT + 1].starts_with("0200 "));
        assert!(lines[CONTEXT + 2].contains("^^ byte 512"));
    }
}
