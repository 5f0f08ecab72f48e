//! What a run came to, and how it is written down: [`json`], [`junit`], [`html`], [`pcap`], and [`ladder`] for
//! terminals.
//!
//! What the subject sent or printed is hostile: everything that is shown of it goes through `text`.

pub mod html;
pub mod json;
pub mod junit;
pub mod ladder;
pub mod pcap;
mod text;

use std::time::{Duration, SystemTime};

use crate::case::{Case, Role};
use crate::transcript::Record;
use crate::verdict::Outcome;

/// The judge's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What one case came to.
#[derive(Clone)]
pub struct CaseReport {
    /// The case.
    pub case: Case,
    /// What it came to.
    pub outcome: Outcome,
    /// For all but a pass: what was expected and what came, what is missing.
    pub reason: String,
    /// For a failure: the section of the rule that was broken.
    pub section: &'static str,
    /// For a failure: the record that shows it.
    pub offending: Option<usize>,
    /// What went over the wire.
    pub records: Vec<Record>,
    /// How long it took.
    pub took: Duration,
    /// The client's command lines as they were started.
    pub commands: Vec<String>,
    /// The end of what the client's commands printed.
    pub output: String,
}

impl CaseReport {
    /// The section of the rule that was broken, if one was.
    #[must_use]
    pub fn broken(&self) -> Option<&'static str> {
        (self.outcome == Outcome::Fail && !self.section.is_empty()).then_some(self.section)
    }
}

/// What a run came to.
#[derive(Clone)]
pub struct Report {
    /// Which side was judged.
    pub role: Role,
    /// Who was judged: a URI, or a command.
    pub subject: String,
    /// The lossy gateway was between both sides.
    pub lossy: bool,
    /// When it began.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// The cases, in the order of the catalogue.
    pub cases: Vec<CaseReport>,
}

impl Report {
    /// How many cases came to this.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.cases.iter().filter(|case| case.outcome == outcome).count()
    }
    /// The groups, in the order of their first cases.
    #[must_use]
    pub fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: Vec<Group<'_>> = Vec::new();
        for case in &self.cases {
            let name = case.case.group();
            match groups.iter_mut().find(|group| group.name == name) {
                Some(group) => group.cases.push(case),
                None => groups.push(Group {
                    name,
                    cases: vec![case],
                }),
            }
        }
        groups
    }
}

/// The cases of a group.
pub struct Group<'a> {
    /// What they have in common; see [`Case::group`].
    pub name: &'static str,
    /// The cases.
    pub cases: Vec<&'a CaseReport>,
}

impl Group<'_> {
    /// How many cases came to this.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.cases.iter().filter(|case| case.outcome == outcome).count()
    }
}
