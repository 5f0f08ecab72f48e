//! The log of all datagrams, as a ladder for people.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::SocketAddr;

use coracle_engine::Instant;
use coracle_wire::Message;

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives at this time.
    Arrives(Instant),
    /// It arrives twice.
    Doubled(Instant, Instant),
    /// It is lost.
    Lost,
    /// Nobody has the address that it went to.
    NoSuchAddress,
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
        let _ = match Message::parse(&self.datagram) {
            Ok(message) => write!(line, "{message}"),
            Err(error) => write!(line, "{:02x?}: {error}", self.datagram),
        };
        let _ = match self.fate {
            Fate::Arrives(_) => Ok(()),
            Fate::Doubled(first, second) => {
                write!(line, "  [twice: {}, {}]", seconds(first), seconds(second))
            }
            Fate::Lost => line.write_str("  [LOST]"),
            Fate::NoSuchAddress => line.write_str("  [no such address]"),
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

    pub(crate) fn records(&self) -> impl DoubleEndedIterator<Item = &Record> + ExactSizeIterator {
        self.records.iter()
    }

    /// The end of the log.
    pub(crate) fn print(&self) -> String {
        let skipped = self.records.len().saturating_sub(PRINTED);
        let mut text = String::new();
        if skipped + self.forgotten > 0 {
            let _ = writeln!(text, "... {} datagrams before these", skipped + self.forgotten);
        }
        for record in self.records.iter().skip(skipped) {
            let _ = writeln!(text, "{}", record.line());
        }
        text
    }
}
