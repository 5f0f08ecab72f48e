//! Checks and measurements of this workspace, called as `cargo xtask <command>`.
//!
//! Each command is a module with a `run` that does one thing and says in one line that all is well, or in one line
//! per problem what is not.
#![allow(clippy::print_stdout, reason = "a command line tool answers on stdout")]

mod bench;
mod floors;
mod interop;
mod no_std;
mod sim;
mod tidy;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask <command>

  floors   hold the dependencies between our crates against the table of floors
  no-std   build wire, formats and engine into a library that has no std
  tidy     hold the sources against the rules that the compiler does not know
  sim      play scenarios of the simulator: --seeds N [--from SEED] [--threads N]
  bench    measure the cost of a request beside the raw limit of UDP (docs/performance.md)
  instructions
           count the instructions of single operations and hold them against the recorded counts; --record records
  interop  judge this program and other implementations, and write the matrix of docs/interop.md;
           with patterns of cases (CORE_01) print it for these alone
";

/// What a command says: a line about success, or the problems.
type Outcome = Result<String, Vec<String>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["floors"] => floors::run(),
        ["no-std"] => no_std::run(),
        ["tidy"] => tidy::run(),
        ["sim", arguments @ ..] => sim::run(arguments),
        ["bench", arguments @ ..] => bench::run(arguments),
        ["instructions"] => bench::run(&["instructions"]),
        ["instructions", "--record"] => bench::run(&["instructions", "--record"]),
        ["help" | "-h" | "--help"] | ["interop", .., "-h" | "--help"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        ["interop", only @ ..] if !only.iter().any(|pattern| pattern.starts_with('-')) => interop::run(only),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(problems) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            ExitCode::FAILURE
        }
    }
}
