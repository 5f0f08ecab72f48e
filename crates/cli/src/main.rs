//! The program `coracle`: CoAP client and server for the command line.

mod args;
mod console;
mod decode;
mod error;
mod hex;
mod json;
mod pages;
mod show;

use std::process::ExitCode;

use clap::Parser;
use coracle_formats as formats;
use coracle_wire as wire;

use crate::args::{Cli, Command};
use crate::console::Console;
use crate::error::{CliError, Exit};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let console = Console::new(cli.global.verbose, cli.global.quiet, cli.global.color);
    match run(&cli.command, &console) {
        Ok(exit) => exit.into(),
        Err(error) => {
            console.error(&error);
            error.exit().into()
        }
    }
}

fn run(command: &Command, console: &Console) -> Result<Exit, CliError> {
    match command {
        Command::Decode(args) => decode::run(args, console),
        Command::Completions(args) => pages::completions(args, console),
        Command::Man(args) => pages::man(args, console),
    }
}
