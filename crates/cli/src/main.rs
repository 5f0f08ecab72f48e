//! The program `coracle`: CoAP client and server for the command line.

mod addresses;
mod args;
mod bench;
mod client;
mod console;
mod decode;
mod descriptors;
mod discover;
mod error;
mod format_arg;
mod fuzz;
mod hangup;
mod hex;
mod json;
mod key_log;
mod keys;
mod observe;
mod option_arg;
mod pages;
mod ping;
mod plugtest;
mod psk;
mod request;
mod serve;
mod show;
mod trace;

use std::process::ExitCode;

use clap::Parser;
use coracle::{formats, wire};
use coracle_conformance::timestamp;

use crate::args::{Cli, Command};
use crate::console::Console;
use crate::error::{CliError, Exit};
use crate::wire::Method;

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
        Command::Serve(args) => serve::run(args, console),
        Command::Plugtest(args) => plugtest::run(args, console),
        Command::Fuzz(args) => fuzz::run(args, console),
        Command::Bench(args) => bench::run(args, console),
        Command::Keys(args) => keys::run(args, console),
        asking => {
            trace::tell(*console, trace::Before::Star);
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| CliError::io("cannot start", &error))?
                .block_on(ask(asking, console))
        }
    }
}

/// The commands that need the network.
async fn ask(command: &Command, console: &Console) -> Result<Exit, CliError> {
    match command {
        Command::Get(args) => request::get(args, console).await,
        Command::Delete(args) => request::run(Method::DELETE, args, console).await,
        Command::Put(args) => request::run_with_payload(Method::PUT, args, console).await,
        Command::Post(args) => request::run_with_payload(Method::POST, args, console).await,
        Command::Fetch(args) => request::run_with_payload(Method::FETCH, args, console).await,
        Command::Patch(args) => request::run_with_payload(Method::PATCH, args, console).await,
        Command::Ipatch(args) => request::run_with_payload(Method::IPATCH, args, console).await,
        Command::Observe(args) => observe::run(args, console).await,
        Command::Discover(args) => discover::run(args, console).await,
        Command::Ping(args) => ping::run(args, console).await,
        Command::Decode(_)
        | Command::Completions(_)
        | Command::Man(_)
        | Command::Serve(_)
        | Command::Plugtest(_)
        | Command::Fuzz(_)
        | Command::Bench(_)
        | Command::Keys(_) => Ok(Exit::Success),
    }
}
