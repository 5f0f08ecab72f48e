//! Cost of a request: of the whole server beside the raw limit of UDP, and of the layers one by one.
//!
//! Judged are the server's CPU time per request, as a ratio to that of a responder which only moves datagrams, in
//! the same run; and instruction counts. Rates depend on the machine and its mood. `docs/performance.md` tells how to
//! read the numbers.
#![cfg_attr(
    target_os = "linux",
    allow(clippy::print_stdout, reason = "a program that reports")
)]

#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
mod instructions;
#[cfg(target_os = "linux")]
mod latency;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod machine;
#[cfg(target_os = "linux")]
mod micro;
#[cfg(target_os = "linux")]
mod options;
#[cfg(target_os = "linux")]
mod raw;
#[cfg(target_os = "linux")]
mod recorded;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod rounds;
#[cfg(target_os = "linux")]
mod served;
#[cfg(target_os = "linux")]
mod statistics;

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    use clap::Parser;
    use options::{Command, Options};

    let options = Options::parse();
    match options.command {
        Some(Command::Serve { subject, core }) => {
            child::pin(core)?;
            match subject {
                options::Subject::Raw => raw::serve(),
                options::Subject::Coracle => served::serve(),
            }
        }
        Some(Command::Work { case }) => {
            println!("{}", micro::work_counted(case));
            Ok(())
        }
        Some(Command::Instructions { record }) => recorded::run(record),
        None => report::run(&options.measure),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("coracle-bench needs Linux: it pins processes to cores and reads their CPU time from /proc");
    std::process::ExitCode::FAILURE
}
