//! The exchanged messages as a ladder, one below the other.

use std::io::{self, Write};
use std::net::SocketAddr;

use super::{CaseReport, text};
use crate::transcript::{Fate, Record};

/// How many messages are shown at each end of a ladder, and around the offending one. What is between is counted.
const ENDS: usize = 24;

/// A line of a ladder.
pub(super) enum Rung<'a> {
    /// From here on these two speak.
    Between { judge: SocketAddr, subject: SocketAddr },
    /// Messages that are not shown.
    Gap(usize),
    /// A message.
    Message(Shown<'a>),
}

/// A message as it is shown.
pub(super) struct Shown<'a> {
    pub(super) record: &'a Record,
    /// What it says.
    pub(super) line: String,
    /// It shows what is wrong.
    pub(super) offending: bool,
}

/// The lines of a case.
pub(super) fn rungs(case: &CaseReport) -> Vec<Rung<'_>> {
    let count = case.records.len();
    let is_shown = |index: usize| {
        let near = case.offending.is_some_and(|at| at.abs_diff(index) <= ENDS / 2);
        index < ENDS || near || index + ENDS >= count
    };
    let mut rungs = Vec::new();
    let (mut pair, mut hidden) = (None, 0);
    for (index, record) in case.records.iter().enumerate() {
        if !is_shown(index) {
            hidden += 1;
            continue;
        }
        if hidden > 0 {
            rungs.push(Rung::Gap(std::mem::take(&mut hidden)));
        }
        let (judge, subject) = ends(record);
        if pair.replace((judge, subject)) != Some((judge, subject)) {
            rungs.push(Rung::Between { judge, subject });
        }
        rungs.push(Rung::Message(Shown {
            record,
            line: text::message(record),
            offending: case.offending == Some(index),
        }));
    }
    rungs
}

/// The addresses of the judge and of the subject.
fn ends(record: &Record) -> (SocketAddr, SocketAddr) {
    if record.by_judge {
        (record.from, record.to)
    } else {
        (record.to, record.from)
    }
}

/// What is to be said of a message that was not simply passed on.
pub(super) const fn fate(fate: Fate) -> Option<&'static str> {
    match fate {
        Fate::Passed => None,
        Fate::Lost => Some("LOST"),
        Fate::Stray => Some("STRAY"),
    }
}

/// Where the messages of a line begin: after a mark, the time and the arrow.
const INDENT: usize = 17;

/// The fewest columns for messages.
const NARROWEST: usize = 30;

/// Writes the ladder of a case for terminals and logs, in lines of at most `width` characters where words allow it:
/// the judge stands on the left, the subject on the right, and `>>` marks the message that broke a rule.
///
/// # Errors
/// Those of the writer.
pub fn write(case: &CaseReport, width: usize, out: &mut impl Write) -> io::Result<()> {
    let room = width.saturating_sub(INDENT).max(NARROWEST);
    for rung in rungs(case) {
        match rung {
            Rung::Between { judge, subject } => writeln!(out, "{:INDENT$}{judge} | {subject}", "")?,
            Rung::Gap(count) => writeln!(out, "{:INDENT$}… {count} more …", "")?,
            Rung::Message(shown) => write_message(case, &shown, room, out)?,
        }
    }
    Ok(())
}

fn write_message(case: &CaseReport, shown: &Shown<'_>, room: usize, out: &mut impl Write) -> io::Result<()> {
    let record = shown.record;
    let mark = if shown.offending { ">>" } else { "" };
    let arrow = if record.by_judge { "-->" } else { "<--" };
    let time = record.at.as_secs_f64();
    write!(out, "{mark:2} {time:>8.3}  {arrow} ")?;
    let mut line = String::new();
    if let Some(fate) = fate(record.fate) {
        line.push_str(fate);
        line.push(' ');
    }
    line.push_str(&shown.line);
    if let Some(section) = case.broken().filter(|_| shown.offending) {
        line.push_str("  << ");
        line.push_str(section);
    }
    for (index, part) in wrap(&line, room).iter().enumerate() {
        let indent = if index == 0 { 0 } else { INDENT + 2 };
        writeln!(out, "{:indent$}{part}", "")?;
    }
    Ok(())
}

/// Breaks a line at blanks, and words that are too long for a line anywhere.
fn wrap(line: &str, room: usize) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    // What follows the first part stands two columns further right.
    let (mut left, longest) = (0, room.saturating_sub(2).max(1));
    for word in line.split(' ') {
        let word: Vec<char> = word.chars().collect();
        match parts.last_mut().filter(|_| word.len() < left) {
            Some(part) => {
                part.push(' ');
                part.extend(&word);
                left -= word.len() + 1;
            }
            None => {
                for piece in word.chunks(longest) {
                    left = if parts.is_empty() { room } else { longest } - piece.len();
                    parts.push(piece.iter().collect());
                }
            }
        }
    }
    parts
}
