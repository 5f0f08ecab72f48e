//! `coracle plugtest`: implementations judged from outside, and a site for others to be judged by.

mod cases;
mod client;
mod judging;
mod keys;
mod reports;
mod run;
mod serve;
mod summary;
mod told;

use clap::{Args, Subcommand};

pub(crate) use self::reports::parse_file;

use crate::console::Console;
use crate::error::{CliError, Exit};

/// What is said below the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  coracle plugtest run coap://[fd00::1] --html report.html
  coracle plugtest client --profile coap-client
  coracle plugtest serve

`coracle plugtest help COMMAND` says more.";

/// Options of `coracle plugtest`.
#[derive(Args, Debug)]
pub(crate) struct PlugtestArgs {
    /// What to do.
    #[command(subcommand)]
    command: PlugtestCommand,
}

/// The commands.
#[derive(Debug, Subcommand)]
enum PlugtestCommand {
    /// Judge a server
    #[command(after_help = run::EXAMPLES)]
    Run(run::RunArgs),
    /// Judge a client: a command that is started for each case
    #[command(after_help = client::EXAMPLES)]
    Client(client::ClientArgs),
    /// Serve the site of the plugtests, for clients to be tried with
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::ServeArgs),
}

/// Does what is asked.
pub(crate) fn run(args: &PlugtestArgs, console: &Console) -> Result<Exit, CliError> {
    match &args.command {
        PlugtestCommand::Run(args) => run::run(args, console),
        PlugtestCommand::Client(args) => client::run(args, console),
        PlugtestCommand::Serve(args) => serve::run(args, console),
    }
}
