//! The command line.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::bulk::{self, Asker};
use crate::cases::Case;
use crate::subjects::bulk::Bulk;
use crate::subjects::raw_fanout::Observers;
use crate::subjects::stream::StreamSubject;
use crate::subjects::{self, Subject};
use crate::transfer::{self, Direction};
use crate::{micro, process, recorded};

/// Measures the server beside the raw limit of UDP and beside other servers, and its layers one by one.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) measure: Measure,
}

/// How to measure.
#[derive(Args)]
pub(crate) struct Measure {
    /// What to measure; everything, if nothing is named
    #[arg(value_name = "CASE")]
    cases: Vec<Case>,
    /// Rounds, in each of which everything has its turn; the medians are told
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Length of a turn
    #[arg(long, value_name = "SECONDS", default_value_t = 1.5, value_parser = seconds)]
    seconds: f64,
    /// Turns of 0.3 s and small sizes, to see that it works
    #[arg(long, conflicts_with_all = ["seconds", "write"])]
    pub(crate) quick: bool,
    /// Leaves the servers of others out
    #[arg(long)]
    pub(crate) alone: bool,
    /// Writes the results to docs/performance.md
    #[arg(long)]
    pub(crate) write: bool,
    /// Also writes the results to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl Measure {
    /// In the order of the report.
    pub(crate) fn cases(&self) -> impl Iterator<Item = Case> {
        let chosen = |case: &Case| self.cases.is_empty() || self.cases.contains(case);
        Case::ALL.into_iter().filter(chosen)
    }

    pub(crate) fn rounds(&self) -> u16 {
        self.rounds
    }

    pub(crate) fn turn(&self) -> Duration {
        Duration::from_secs_f64(if self.quick { 0.3 } else { self.seconds })
    }
}

/// What the program calls itself for.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serves until it is killed
    #[command(hide = true)]
    Serve {
        subject: Subject,
        #[command(flatten)]
        cores: Cores,
    },
    /// Serves on TCP until it is killed
    #[command(hide = true)]
    ServeStream {
        subject: StreamSubject,
        #[command(flatten)]
        cores: Cores,
    },
    /// Serves all that is measured of our server
    #[command(hide = true)]
    Site {
        #[arg(long, default_value_t = 1)]
        shards: usize,
        /// Of the large body
        #[arg(long, default_value_t = 1)]
        blocks: u32,
        #[command(flatten)]
        cores: Cores,
    },
    /// Answers block after block
    #[command(hide = true)]
    RawBlocks {
        #[arg(long)]
        blocks: u32,
        #[command(flatten)]
        cores: Cores,
    },
    /// Sends what comes to many
    #[command(hide = true)]
    RawFanout {
        #[arg(long)]
        first: Ipv4Addr,
        #[arg(long)]
        count: u32,
        #[arg(long)]
        port: u16,
        #[command(flatten)]
        cores: Cores,
    },
    /// Gets or puts a large body
    #[command(hide = true)]
    Transfer {
        direction: Direction,
        server: SocketAddr,
        #[arg(long)]
        blocks: u32,
    },
    /// Serves a large body on TCP until it is killed
    #[command(hide = true)]
    ServeBulk {
        subject: Bulk,
        #[arg(long)]
        chunk: usize,
        #[command(flatten)]
        cores: Cores,
    },
    /// Gets or puts it
    #[command(hide = true)]
    Bulk {
        asker: Asker,
        direction: Direction,
        server: SocketAddr,
        #[arg(long)]
        chunk: usize,
    },
    /// Repeats an operation, for a tool that counts instructions
    #[command(hide = true)]
    Work { case: micro::Case },
    /// Counts instructions and holds them against the recorded counts
    Instructions {
        /// Records the counts instead
        #[arg(long)]
        record: bool,
    },
}

/// Where a server runs.
#[derive(Args)]
pub(crate) struct Cores {
    /// The cores to run on
    #[arg(long, value_delimiter = ',', required = true)]
    pub(crate) cores: Vec<usize>,
}

impl Cores {
    fn begin(&self) -> io::Result<()> {
        process::end_with_parent()?;
        process::pin(&self.cores)
    }
}

impl Command {
    /// Does it.
    pub(crate) fn run(self) -> io::Result<()> {
        match self {
            Command::Serve { subject, cores } => {
                cores.begin()?;
                subject.serve()
            }
            Command::ServeStream { subject, cores } => {
                cores.begin()?;
                subject.serve()
            }
            Command::Site {
                shards,
                blocks,
                cores,
            } => {
                cores.begin()?;
                subjects::site::serve(shards, blocks)
            }
            Command::RawBlocks { blocks, cores } => {
                cores.begin()?;
                subjects::raw_blocks::serve(blocks)
            }
            Command::RawFanout {
                first,
                count,
                port,
                cores,
            } => {
                cores.begin()?;
                subjects::raw_fanout::serve(&Observers { first, count, port })
            }
            Command::Transfer {
                direction,
                server,
                blocks,
            } => {
                process::end_with_parent()?;
                transfer::run(server, direction, blocks)
            }
            Command::ServeBulk {
                subject,
                chunk,
                cores,
            } => {
                cores.begin()?;
                subject.serve(chunk)
            }
            Command::Bulk {
                asker,
                direction,
                server,
                chunk,
            } => {
                process::end_with_parent()?;
                bulk::run(asker, server, direction, chunk)
            }
            Command::Work { case } => {
                println!("{}", micro::work_counted(case));
                Ok(())
            }
            Command::Instructions { record } => recorded::run(record),
        }
    }
}

/// At least a tenth of a second, so that the noise of a turn's ends is small.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.1..=600.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("from 0.1 to 600".to_owned())
    }
}
