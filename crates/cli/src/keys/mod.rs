//! `coracle keys`: certificates and keys for TLS and DTLS.

pub(crate) mod files;
mod psk;
mod rpk;
mod self_signed;
mod show;

use clap::{Args, Subcommand};

use crate::console::Console;
use crate::error::{CliError, Exit};

/// What is said below the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  coracle keys self-signed
  coracle keys self-signed --name sensor.example --ip 192.0.2.7 --out ./keys
  coracle keys psk meter-7
  coracle keys rpk
  coracle keys show cert.pem key.pem

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
    /// Make a pre-shared key
    #[command(after_help = psk::EXAMPLES)]
    Psk(psk::PskArgs),
    /// Make a key that is known by itself, without a certificate (RFC 7250)
    #[command(after_help = rpk::EXAMPLES)]
    Rpk(rpk::RpkArgs),
    /// Show what is in files of keys, certificates and credentials, without the secrets
    #[command(after_help = show::EXAMPLES)]
    Show(show::ShowArgs),
}

/// Does what is asked.
pub(crate) fn run(args: &KeysArgs, console: &Console) -> Result<Exit, CliError> {
    match &args.command {
        KeysCommand::SelfSigned(args) => self_signed::run(args, console),
        KeysCommand::Psk(args) => psk::run(args, console),
        KeysCommand::Rpk(args) => rpk::run(args, console),
        KeysCommand::Show(args) => show::run(args, console),
    }
}
