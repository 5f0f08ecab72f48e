//! `coracle plugtest`: implementations judged from outside, and a site for others to be judged by.

mod serve;

use clap::{Args, Subcommand};

use crate::console::Console;
use crate::error::{CliError, Exit};

/// What is said below the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  coracle plugtest serve
  coracle plugtest serve --bind 127.0.0.1:0 --period 0.5

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
    /// Serve the site of the plugtests, for clients to be tried with
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::ServeArgs),
}

/// Does what is asked.
pub(crate) fn run(args: &PlugtestArgs, console: &Console) -> Result<Exit, CliError> {
    match &args.command {
        PlugtestCommand::Serve(args) => serve::run(args, console),
    }
}
