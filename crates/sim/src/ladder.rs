//! The log of all datagrams, as a ladder for people.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::SocketAddr;

use coracle_engine::Instant;
use coracle_wire::{Framing, Message};

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives at this time.
    Arrives(Instant),
    /// It arrives twice.
    Doubled(Instant, Instant),
    /// It is lost.
    Lost,
    /// It is lost because it is longer than the link's MTU.
    TooLong,
    /// Nobody has the address that it went to.
    NoSuchAddress,
    /// A node was seen under the address that it went to, and is not any more.
    FormerAddress,
    /// It was not sent by who seems to have sent it, and arrives at once.
    Forged,
    /// It is no datagram, but a message that was written on a connection.
    Written(Framing),
}

/// One datagram on its way.
#[derive(Clone, Debug)]
pub struct Record {
    /// When it left.
    pub at: Instant,
    /// Who sent it.
    pub from: SocketAddr,
    /// Where it went.
    pub to: SocketAddr,
    /// Its bytes.
    pub datagram: Vec<u8>,
    /// What became of it.
    pub fate: Fate,
}

impl Record {
    /// One line: when, who, what, and what became of it.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = format!("{:>12} {} -> {}  ", seconds(self.at), self.from, self.to);
        let message = match self.fate {
            Fate::Written(framing) => Message::parse_frame(framing, &self.datagram),
            _ => Message::parse(&self.datagram),
        };
        let _ = match message {
            Ok(message) => write!(line, "{message}"),
            Err(error) => write!(line, "{:02x?}: {error}", self.datagram),
        };
        let _ = match self.fate {
            Fate::Arrives(_) => Ok(()),
            Fate::Written(_) => line.write_str("  [written]"),
            Fate::Doubled(first, second) => {
                write!(line, "  [twice: {}, {}]", seconds(first), seconds(second))
            }
            Fate::Lost => line.write_str("  [LOST]"),
            Fate::TooLong => write!(line, "  [LOST: {} bytes, more than the MTU]", self.datagram.len()),
            Fate::NoSuchAddress => line.write_str("  [no such address]"),
            Fate::Forged => line.write_str("  [FORGED]"),
            Fate::FormerAddress => line.write_str("  [LOST: the address is given up]"),
        };
        line
    }
}

fn seconds(at: Instant) -> String {
    format!("{}.{:06}", at.as_micros() / 1_000_000, at.as_micros() % 1_000_000)
}

/// The last datagrams; a long run forgets its beginning.
#[derive(Default)]
pub(crate) struct Ladder {
    records: VecDeque<Record>,
    forgotten: usize,
    /// What happened beside the datagrams, each after how many of them.
    notes: Vec<(usize, Instant, String)>,
}

/// How many datagrams are kept.
const KEPT: usize = 50_000;

/// How many are printed when a test fails.
const PRINTED: usize = 120;

impl Ladder {
    pub(crate) fn push(&mut self, record: Record) {
        if self.records.len() == KEPT {
            self.records.pop_front();
            self.forgotten += 1;
        }
        self.records.push_back(record);
    }

    pub(crate) fn note(&mut self, at: Instant, text: String) {
        self.notes.push((self.sent(), at, text));
    }

    /// How many datagrams there were.
    pub(crate) fn sent(&self) -> usize {
        self.forgotten + self.records.len()
    }

    pub(crate) fn records(&self) -> impl DoubleEndedIterator<Item = &Record> + ExactSizeIterator {
        self.records.iter()
    }

    /// The last of the log up to `until`, and what was noted meanwhile.
    pub(crate) fn print(&self, until: Instant) -> String {
        let end = self.records.partition_point(|record| record.at <= until);
        let skipped = end.saturating_sub(PRINTED);
        let mut text = String::new();
        let before = skipped + self.forgotten;
        if before > 0 {
            let _ = writeln!(text, "... {before} datagrams before these");
        }
        let told = |(after, at, _): &&(usize, Instant, String)| *after >= before && *at <= until;
        let mut notes = self.notes.iter().filter(told).peekable();
        let shown = self.records.iter().skip(skipped).take(end - skipped);
        for (number, record) in (before..).zip(shown) {
            while let Some((_, at, note)) = notes.next_if(|(after, ..)| *after <= number) {
                let _ = writeln!(text, "{:>12} -- {note}", seconds(*at));
            }
            let _ = writeln!(text, "{}", record.line());
        }
        for (_, at, note) in notes {
            let _ = writeln!(text, "{:>12} -- {note}", seconds(*at));
        }
        let after = self.records.len() - end;
        if after > 0 {
            let _ = writeln!(text, "... {after} datagrams after these");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_stand_between_the_datagrams_around_them() {
        let mut ladder = Ladder::default();
        let record = |second: u64, fate| Record {
            at: Instant::from_micros(second * 1_000_000),
            from: ([10, 0, 0, 1], 1).into(),
            to: ([10, 0, 0, 2], 2).into(),
            datagram: vec![0x40, 0, 0, 7],
            fate,
        };
        ladder.push(record(1, Fate::TooLong));
        ladder.note(Instant::from_micros(2_000_000), "a crash".into());
        ladder.push(record(3, Fate::FormerAddress));
        ladder.note(Instant::from_micros(4_000_000), "the end".into());
        let text = ladder.print(Instant::from_micros(9_000_000));
        let lines: Vec<_> = text.lines().map(str::trim_start).collect();
        assert!(
            lines[0].starts_with("1.000000 10.0.0.1:1 -> 10.0.0.2:2"),
            "{text}"
        );
        assert!(lines[0].ends_with("[LOST: 4 bytes, more than the MTU]"), "{text}");
        assert_eq!(
            (lines[1], lines[3]),
            ("2.000000 -- a crash", "4.000000 -- the end")
        );
        assert!(lines[2].ends_with("[LOST: the address is given up]"), "{text}");
        let text = ladder.print(Instant::from_micros(2_500_000));
        let lines: Vec<_> = text.lines().map(str::trim_start).collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!(lines[2], "... 1 datagrams after these");
    }
}
