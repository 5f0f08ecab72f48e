//! `coracle keys`: certificates and keys to try TLS with.

pub(crate) mod files;
mod self_signed;

use clap::{Args, Subcommand};

use crate::console::Console;
use crate::error::{CliError, Exit};

/// What is said below the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  coracle keys self-signed
  coracle keys self-signed --name sensor.example --ip 192.0.2.7 --out ./keys

`coracle keys help COMMAND` says more.";

/// Options of `coracle keys`.
#[derive(Args, Debug)]
pub(crate) struct KeysArgs {
    /// What to do.
    #[command(subcommand)]
    command: KeysCommand,
}

/// The commands.
#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make a certificate that signs itself, with its key
    #[command(after_help = self_signed::EXAMPLES)]
    SelfSigned(self_signed::SelfSignedArgs),
}

/// Does what is asked.
pub(crate) fn run(args: &KeysArgs, console: &Console) -> Result<Exit, CliError> {
    match &args.command {
        KeysCommand::SelfSigned(args) => self_signed::run(args, console),
    }
}
