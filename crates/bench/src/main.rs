//! What requests, notifications and transfers cost: of the whole server beside the raw limit of UDP and beside other
//! servers, and of single operations.
//!
//! Judged are ratios within the same run, and instruction counts. Rates depend on the machine and its mood.
//! `docs/performance.md` tells how to read the numbers.
#![cfg_attr(
    target_os = "linux",
    allow(clippy::print_stdout, reason = "a program that reports")
)]

#[cfg(target_os = "linux")]
mod bulk;
#[cfg(target_os = "linux")]
mod cases;
#[cfg(target_os = "linux")]
mod crowd;
#[cfg(target_os = "linux")]
mod datagrams;
#[cfg(target_os = "linux")]
mod document;
#[cfg(target_os = "linux")]
mod instructions;
#[cfg(target_os = "linux")]
mod machine;
#[cfg(target_os = "linux")]
mod micro;
#[cfg(target_os = "linux")]
mod observers;
#[cfg(target_os = "linux")]
mod options;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod recorded;
#[cfg(target_os = "linux")]
mod regulars;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod statistics;
#[cfg(target_os = "linux")]
mod subjects;
#[cfg(target_os = "linux")]
mod transfer;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use clap::Parser;

    let options = options::Options::parse();
    let outcome = match options.command {
        Some(command) => command.run(),
        None => cases::run(&options.measure),
    };
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("coracle-bench: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("coracle-bench needs Linux: it pins processes to cores and reads their CPU time from /proc");
    std::process::ExitCode::FAILURE
}
