//! The line of a terminal on which a bar is drawn.

use std::io::{self, Write};

use indicatif::TermLike;

/// What stays free at the end of the line for the `^C` that terminals show: it would begin another line, and this one
/// would stay when it is cleared.
const FREE: u16 = 3;

/// Standard error as indicatif draws on it, but not up to the last columns.
#[derive(Debug)]
pub(super) struct Line;

/// How many columns there are to draw in.
pub(super) fn columns() -> u16 {
    let terminal = terminal_size::terminal_size_of(io::stderr());
    terminal.map_or(80, |(width, _)| width.0).saturating_sub(FREE)
}

/// Writes a sequence of ECMA-48 that moves so many lines or columns.
fn go(count: usize, direction: char) -> io::Result<()> {
    match count {
        0 => Ok(()),
        _ => write!(io::stderr(), "\x1b[{count}{direction}"),
    }
}

impl TermLike for Line {
    fn width(&self) -> u16 {
        columns()
    }

    fn move_cursor_up(&self, count: usize) -> io::Result<()> {
        go(count, 'A')
    }

    fn move_cursor_down(&self, count: usize) -> io::Result<()> {
        go(count, 'B')
    }

    fn move_cursor_right(&self, count: usize) -> io::Result<()> {
        go(count, 'C')
    }

    fn move_cursor_left(&self, count: usize) -> io::Result<()> {
        go(count, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        writeln!(io::stderr(), "{text}")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        io::stderr().write_all(text.as_bytes())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.write_str("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        io::stderr().flush()
    }
}
