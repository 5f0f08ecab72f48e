//! The command line.

use clap::{Args, Parser, Subcommand};

use crate::console::ColorChoice;
use crate::decode::DecodeArgs;
use crate::pages::{CompletionsArgs, ManArgs};

const EXAMPLES: &str = "\
Examples:
  coracle decode 41017d3520bb74656d7065726174757265
  coracle completions bash > ~/.local/share/bash-completion/completions/coracle";

/// CoAP for the command line.
///
/// Bodies of answers go to standard output and nothing else does; everything about them goes to standard error.
#[derive(Debug, Parser)]
#[command(name = "coracle", version, arg_required_else_help = true, after_help = after_help())]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,

    /// What holds for every command.
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
}

/// Options of all commands.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Output")]
pub(crate) struct GlobalArgs {
    /// Tell what is sent and received
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: bool,

    /// Tell errors only
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,

    /// When to use colours; NO_COLOR turns them off too
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    pub(crate) color: ColorChoice,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what a CoAP message says, or what is wrong with it
    Decode(DecodeArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man(ManArgs),
}

fn after_help() -> String {
    format!("{EXAMPLES}\n\n{}", crate::error::EXIT_STATUS_HELP)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_default();
            let example = format!("Examples:\n  coracle {}", command.get_name());
            assert!(help.starts_with(&example), "{}: {help}", command.get_name());
        }
    }
}
