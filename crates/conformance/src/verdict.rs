//! What a case comes to.

use serde::Serialize;

/// What a case comes to, as reports have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every check held.
    Pass,
    /// A check did not hold: the subject broke a rule.
    Fail,
    /// Nothing can be said: no answer at all, the time was over, the command could not do what it was told.
    Inconclusive,
    /// The subject does not offer what the case needs.
    Skipped,
    /// Coracle does not offer what the case is about.
    NotYet,
}

impl Outcome {
    /// All, in the order of summaries.
    pub const ALL: [Outcome; 5] = [
        Outcome::Pass,
        Outcome::Fail,
        Outcome::Inconclusive,
        Outcome::Skipped,
        Outcome::NotYet,
    ];

    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::Inconclusive => "inconclusive",
            Outcome::Skipped => "skipped",
            Outcome::NotYet => "not yet",
        }
    }
}

/// Why a case ends before its last line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The subject broke a rule.
    Fail(Finding),
    /// Nothing can be said, and why.
    Inconclusive(String),
    /// The subject does not offer what the case needs, and what that is.
    Skip(String),
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was expected and what came instead.
    pub what: String,
    /// The section that asks for it, if it is not the one of the case: `RFC 7252 §5.2.1`.
    pub section: Option<&'static str>,
    /// Which record of the transcript shows it.
    pub at: Option<usize>,
}

/// What the function of a case returns.
pub type Judged<T = ()> = Result<T, Stop>;

impl Stop {
    /// A rule was broken, which no single message shows: something is missing.
    pub fn fail(what: impl Into<String>, section: impl Into<Option<&'static str>>) -> Stop {
        Stop::Fail(Finding {
            what: what.into(),
            section: section.into(),
            at: None,
        })
    }

    /// A rule was broken by one message.
    pub fn fail_at(at: usize, what: impl Into<String>, section: impl Into<Option<&'static str>>) -> Stop {
        Stop::Fail(Finding {
            what: what.into(),
            section: section.into(),
            at: Some(at),
        })
    }
}
