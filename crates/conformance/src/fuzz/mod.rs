//! Attacks on a server with generated messages.
//!
//! [`run`] sends what [`Generator`] makes from a seed, a batch from each of its ports, and asks after every batch
//! whether the server lives. When it does not, the messages that did it are sought: with a command that starts the
//! server by as many new starts as it takes, otherwise if it comes back by itself. [`replay`] sends such a
//! [`reproducer`] again. What replies show besides is in the [`Tally`].

mod attack;
mod discover;
mod generate;
mod minimise;
mod pacer;
pub mod reproducer;
mod sender;
mod server;
mod tally;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::transcript::Record;

pub use attack::{replay, run};
pub use generate::{Family, Generator, MAX_MESSAGE, MAX_PATHS, NoSuchFamily, answer_server};
pub use server::Failure;
pub use tally::{Notice, NoticeKind, Tally};

/// How many failures of the server end a run.
pub const MAX_FAILURES: usize = 5;

/// How long one reproducer is minimised at most.
pub const MINIMISING: Duration = Duration::from_secs(120);

/// How many messages a second are sent unless the user says otherwise: the server may be a small device.
pub const DEFAULT_RATE: u32 = 1_000;

/// How many messages are sent unless the user says otherwise.
pub const DEFAULT_COUNT: u64 = 10_000;

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Decides all messages.
    pub seed: u64,
    /// Used in turn.
    pub families: Vec<Family>,
    /// How many messages, of all families together.
    pub count: u64,
    /// How long to go on at most; see [`Plan::at_most`].
    pub duration: Option<Duration>,
    /// Messages a second, at most.
    pub rate: u32,
    /// Where requests go: `/a/b`; without any, what the server lists.
    pub paths: Vec<String>,
    /// Messages to mutate beside those that are built in.
    pub corpus: Vec<Vec<u8>>,
    /// Asks for this resource to see whether the server lives, instead of pinging it.
    pub probe_path: Option<String>,
    /// How long a server that failed may take to come back.
    pub recovery: Duration,
    /// Starts the server, by the shell.
    pub exec: Option<String>,
    /// Whether there are [`Event::Datagram`]s.
    pub record: bool,
}

impl Plan {
    /// All families with the defaults.
    #[must_use]
    pub fn new(seed: u64) -> Plan {
        Plan {
            seed,
            families: Family::ALL.to_vec(),
            count: DEFAULT_COUNT,
            duration: None,
            rate: DEFAULT_RATE,
            paths: Vec::new(),
            corpus: Vec::new(),
            probe_path: None,
            recovery: Duration::from_secs(30),
            exec: None,
            record: false,
        }
    }

    /// How long messages are sent at most: the duration, or twice as long as the rate takes and a minute more; a
    /// server need not take more than 500 messages a second.
    #[must_use]
    pub fn at_most(&self) -> Duration {
        let seconds = 2 * self.count / u64::from(self.rate.clamp(1, DEFAULT_RATE));
        self.duration
            .unwrap_or(Duration::from_secs(seconds.saturating_add(60)))
    }
}

/// What happens during a run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The server answered; requests will lead to these paths, which it listed or the user gave.
    Begun(&'a [String]),
    /// A batch was sent and the server lives.
    Progress(&'a Tally),
    /// A datagram was sent or came, from what or about which the comment tells.
    Datagram(&'a Record, &'a str),
    /// The server failed, after so many messages.
    Failed(&'a Failure, u64),
    /// The server is waited for, or started anew, to minimise the messages; so many remain now.
    Minimising(usize),
    /// A failure is recorded with its reproducer.
    Found(&'a Crash),
}

/// The server failed.
#[derive(Clone, Debug, Serialize)]
pub struct Crash {
    /// How.
    pub failure: Failure,
    /// After how many messages of the run.
    pub after: u64,
    /// What it printed last, if a command started it.
    pub output: String,
    /// The messages that make it fail.
    #[serde(skip)]
    pub messages: Vec<Vec<u8>>,
    /// Whether these messages made it fail again; otherwise they are the last ones before it failed.
    pub reproduced: bool,
    /// Whether everything was tried to have fewer and shorter ones.
    pub minimal: bool,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// All messages were sent.
    Done,
    /// The time was over.
    TimeOver,
    /// The user had enough.
    Interrupted,
    /// The server failed too often.
    TooManyFailures,
    /// The server failed and did not come back.
    Gone,
}

impl Ending {
    /// It for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Ending::Done => "all messages were sent",
            Ending::TimeOver => "the time was over",
            Ending::Interrupted => "interrupted",
            Ending::TooManyFailures => "the server failed too often",
            Ending::Gone => "the server did not come back",
        }
    }
}

/// What a run came to.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Why it ended.
    pub ending: Ending,
    /// Counts and notices.
    #[serde(flatten)]
    pub tally: Tally,
    /// Each failure of the server.
    pub crashes: Vec<Crash>,
}

impl Outcome {
    /// Whether the server failed or answered with what is no CoAP.
    #[must_use]
    pub fn is_grave(&self) -> bool {
        !self.crashes.is_empty() || self.tally.notices.keys().any(|kind| kind.is_grave())
    }
}

/// Why a run could not go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum FuzzError {
    /// Nobody answers at the address.
    NobodyThere(SocketAddr),
    /// Somebody answers at the address before the command was started.
    SomebodyThere(SocketAddr),
    /// The command cannot be started.
    Command(io::Error),
    /// The command ended before the server answered.
    CommandEnded {
        /// How it ended.
        status: String,
        /// What it printed last.
        output: String,
    },
    /// The command runs and the server does not answer.
    CommandSilent {
        /// What it printed last.
        output: String,
    },
    /// A socket of this side.
    Socket(io::Error),
}

impl fmt::Display for FuzzError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FuzzError::NobodyThere(address) => write!(f, "nobody answers at {address}"),
            FuzzError::SomebodyThere(address) => {
                write!(
                    f,
                    "{address} is taken: somebody answers before the command is started"
                )
            }
            FuzzError::Command(error) => write!(f, "cannot start the command: {error}"),
            FuzzError::CommandEnded { status, .. } => {
                write!(f, "the command ended before the server answered: {status}")
            }
            FuzzError::CommandSilent { .. } => f.write_str("the command runs and the server does not answer"),
            FuzzError::Socket(error) => write!(f, "cannot open a socket: {error}"),
        }
    }
}

impl std::error::Error for FuzzError {}
