//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::micro::Case;

/// Measures the CPU time of a request beside the raw limit of UDP, and of the layers one by one.
#[derive(Parser)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) measure: Measure,
}

/// How to measure.
#[derive(Args)]
pub(crate) struct Measure {
    /// Rounds, in each of which every server has its turn; the medians are told
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Length of a turn
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,
    /// Peers, each with one request outstanding
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) peers: u16,
    /// Five rounds of a second
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,
    /// Also writes the results to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl Measure {
    pub(crate) fn rounds(&self) -> u16 {
        if self.quick { 5 } else { self.rounds }
    }

    pub(crate) fn turn(&self) -> Duration {
        Duration::from_secs_f64(if self.quick { 1.0 } else { self.seconds })
    }
}

/// What the program calls itself for.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serves until it is killed
    #[command(hide = true)]
    Serve {
        subject: Subject,
        /// The core to run on
        #[arg(long)]
        core: usize,
    },
    /// Repeats an operation, for a tool that counts instructions
    #[command(hide = true)]
    Work { case: Case },
    /// Counts instructions and holds them against the recorded counts
    Instructions {
        /// Records the counts instead
        #[arg(long)]
        record: bool,
    },
}

/// A server to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// Moves datagrams and knows nothing
    Raw,
    /// This project's server
    Coracle,
}

impl Subject {
    /// In the order of their turns.
    pub(crate) const ALL: [Subject; 2] = [Subject::Raw, Subject::Coracle];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Subject::Raw => "raw",
            Subject::Coracle => "coracle",
        }
    }
}

/// At least a tenth of a second, so that ticks of CPU time mean something.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.1..=600.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("from 0.1 to 600".to_owned())
    }
}
