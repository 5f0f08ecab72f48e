//! `-v`: what the library tells of connections and of what fails, a line for each event.

use std::fmt::{Debug, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::console::{Console, harmless_line};
use crate::timestamp;

/// Lines in a second: whoever knocks at a server more often does not fill its log.
const LINES: u32 = 20;

/// What a line begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// A star, as what is told about a request.
    Star,
    /// The time, as in a log.
    Time,
}

/// Tells what the library says: of a server what fails, and all of it if the user wants to know more.
pub(crate) fn tell(console: Console, before: Before) {
    let most = match (console.verbose, before) {
        (true, _) => Level::DEBUG,
        (false, Before::Time) => Level::INFO,
        (false, Before::Star) => return,
    };
    let lines = Lines {
        console,
        before,
        most,
        told: Mutex::default(),
    };
    // It is set once, at the start.
    let _ = tracing::subscriber::set_global_default(lines);
}

#[derive(Debug)]
struct Lines {
    console: Console,
    before: Before,
    most: Level,
    told: Mutex<Told>,
}

/// How much was told within this second.
#[derive(Debug, Default)]
struct Told {
    since: Option<Instant>,
    lines: u32,
    left_out: u32,
}

impl Told {
    /// Whether one more line may be told, and how many were left out before it.
    fn one_more(&mut self, now: Instant) -> Option<u32> {
        if self
            .since
            .is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(1))
        {
            self.since = Some(now);
            self.lines = 0;
        }
        if self.lines == LINES {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("coracle") && *metadata.level() <= self.most
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.most))
    }

    fn event(&self, event: &Event<'_>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left_out) = told.one_more(Instant::now()) else {
            return;
        };
        let mut line = Line::default();
        event.record(&mut line);
        let before = match self.before {
            Before::Star => "*".to_owned(),
            Before::Time => timestamp::to_the_millisecond(SystemTime::now()),
        };
        if left_out > 0 {
            self.console
                .note(&format!("{before} and {left_out} more lines like these"));
        }
        self.console.note(&format!("{before} {}", line.text()));
    }

    // The library has no spans.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// An event: with whom, what, more about it, and why.
#[derive(Debug, Default)]
struct Line {
    peer: String,
    message: String,
    more: String,
    why: String,
}

impl Line {
    fn text(&self) -> String {
        let mut text = format!("{}{}{}", self.peer, self.message, self.more);
        if !self.why.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(text, ": {}", self.why);
        }
        harmless_line(&text)
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            "peer" => write!(self.peer, "{value:?} "),
            "error" | "reason" => write!(self.why, "{value:?}"),
            name => write!(self.more, ", {name} {value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_events_is_no_flood_of_lines() {
        let (mut told, now) = (Told::default(), Instant::now());
        let first = (0..100).filter(|_| told.one_more(now).is_some()).count();
        assert_eq!(first, 20);
        assert_eq!(told.one_more(now + Duration::from_secs(1)), Some(80));
        assert_eq!(told.one_more(now + Duration::from_secs(1)), Some(0));
    }

    #[test]
    fn a_line_says_with_whom_what_and_why() {
        let line = Line {
            peer: "127.0.0.1:5 ".into(),
            message: "a handshake failed".into(),
            more: String::new(),
            why: "no\x1b".into(),
        };
        assert_eq!(line.text(), "127.0.0.1:5 a handshake failed: no\\u{1b}");
    }
}
