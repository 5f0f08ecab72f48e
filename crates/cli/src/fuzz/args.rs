//! The command line of `coracle fuzz`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use coracle_conformance::fuzz::{self, Family, Plan};

use super::files;
use super::target::Target;
use crate::client::{self, FamilyArgs};
use crate::error::CliError;
use crate::plugtest::parse_file;

/// What is said below the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  coracle fuzz coap://[fd00::1]
  coracle fuzz localhost --family generational --count 100000 --rate 5000
  coracle fuzz localhost:5699 --exec 'coap-server-notls -A ::1 -p 5699' --output crashes
  coracle fuzz localhost --replay crashes/fuzz-42-1.txt

Attack only what is yours: resources are written and deleted, and the server may not survive.

The families, each knowing more of CoAP than the one before: random (bytes), informed-random
(a header that makes sense), mutational (valid messages with bytes changed), smart-mutational
(valid messages with fields changed), generational (from the table of options, and sequences of
messages that belong together). Without --family all take turns. The same --seed sends the same
messages to the same paths; only answers to the server's messages repeat its Message IDs.

After each tenth of a second the server is asked whether it lives. When it does not, the messages
that did it are reduced to the few that matter: with --exec by starting the server anew as often
as it takes (up to 2 minutes), otherwise if it comes back within --recovery. They go to a file
that --replay and `coracle decode` read. After 5 failures the run ends.

Replies are looked at too: those that are no CoAP message, answers to what must be ignored, 5.00,
and replies that are more than 3 times as long as the message. -v also tells which paths are
attacked, -q only what came of it.

Exit status: 0 nothing grave was found; 1 the server failed, or sent what is no CoAP message;
2 the command line makes no sense; 3 nobody answered at the start.";

/// Attack a server with generated messages and see whether it survives.
#[derive(Args, Debug)]
pub(crate) struct FuzzArgs {
    /// Whom to attack: `coap://` may be left out; a path is used as with --path
    #[arg(value_parser = client::parse_uri)]
    pub(super) uri: String,

    /// How messages are made; may be given several times [default: all in turn]
    #[arg(long = "family", value_name = "NAME")]
    families: Vec<Family>,

    /// How many messages to send
    #[arg(short, long, value_name = "N", default_value_t = fuzz::DEFAULT_COUNT)]
    count: u64,

    /// End after this time [default: about twice what count and rate take]
    #[arg(short, long, value_name = "SECS", value_parser = client::parse_seconds)]
    duration: Option<Duration>,

    /// Send at most so many messages a second; what a server cannot take is lost on the way
    #[arg(short, long, value_name = "N", default_value_t = fuzz::DEFAULT_RATE, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,

    /// Make the messages of an earlier run again
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,

    /// Lead requests here; may be given several times [default: what the server lists]
    #[arg(long = "path", value_name = "PATH")]
    paths: Vec<String>,

    /// Mutate the messages of these files too: raw bytes of one, or a line of hexadecimal each
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,

    /// See by a GET of this resource whether the server lives [default: a ping, or /.well-known/core]
    #[arg(long, value_name = "PATH")]
    probe_path: Option<String>,

    /// Send the messages of this file instead and tell whether the server survives
    #[arg(long, value_name = "FILE", conflicts_with_all = ["families", "count", "duration", "corpus", "output"])]
    pub(super) replay: Option<PathBuf>,

    /// Start the server with this command, which a shell runs, and anew after each failure
    #[arg(short, long, value_name = "COMMAND")]
    exec: Option<String>,

    /// How long a server that failed may take to come back by itself
    #[arg(long, value_name = "SECS", default_value = "30", value_parser = client::parse_seconds, conflicts_with = "exec")]
    recovery: Duration,

    /// Where the messages go that made the server fail
    #[arg(short, long, value_name = "DIR", default_value = ".", help_heading = "Output")]
    pub(super) output: PathBuf,

    /// Record all messages for Wireshark and tshark
    #[arg(long, value_name = "FILE", value_parser = parse_file, help_heading = "Output")]
    pub(super) pcap: Option<PathBuf>,

    /// Print one JSON object
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) family: FamilyArgs,
}

impl FuzzArgs {
    /// What to do.
    pub(super) fn plan(&self, seed: u64, target: &Target) -> Result<Plan, CliError> {
        let paths = target.path.iter().chain(&self.paths).cloned().collect();
        let corpus = self.corpus.as_deref().map(files::read_corpus).transpose()?;
        let mut plan = Plan::new(seed);
        if !self.families.is_empty() {
            plan.families.clone_from(&self.families);
        }
        plan.count = self.count;
        plan.duration = self.duration;
        plan.rate = self.rate;
        plan.paths = paths;
        plan.corpus = corpus.unwrap_or_default();
        plan.probe_path.clone_from(&self.probe_path);
        plan.recovery = self.recovery;
        plan.exec.clone_from(&self.exec);
        plan.record = self.pcap.is_some();
        Ok(plan)
    }

    /// What is said at the begin.
    pub(super) fn announcement(&self, plan: &Plan) -> String {
        format!(
            "fuzzing {} with seed {}: {} messages, at most {} a second, {}",
            self.uri,
            plan.seed,
            plan.count,
            plan.rate,
            client::up_to(plan.at_most())
        )
    }
}
