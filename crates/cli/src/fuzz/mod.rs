//! `coracle fuzz`: a server attacked with generated messages.

mod args;
mod files;
mod show;
mod target;

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use coracle_conformance::fuzz::{self, Event, FuzzError, Plan};

pub(crate) use self::args::{EXAMPLES, FuzzArgs};
use self::files::{Pcap, Reproducers};
use self::show::{Replayed, Report, Watch};
use crate::console::{Console, harmless};
use crate::error::{CliError, Exit};
use crate::hangup::stopped_by_signals;
use crate::json;

/// Attacks, or sends a reproducer again.
pub(crate) fn run(args: &FuzzArgs, console: &Console) -> Result<Exit, CliError> {
    let target = target::read(args)?;
    let seed = args.seed.unwrap_or_else(any_seed);
    let plan = args.plan(seed, &target)?;
    let replayed = args.replay.as_deref().map(files::read_messages).transpose()?;
    let stop = stopped_by_signals();
    match replayed {
        Some(messages) => replay(args, &plan, &target.addresses, &messages, &stop, console),
        None => attack(args, &plan, &target.addresses, &stop, console),
    }
}

/// Short enough to be typed again.
fn any_seed() -> u64 {
    RandomState::new().hash_one(0) >> 32
}

fn attack(
    args: &FuzzArgs,
    plan: &Plan,
    addresses: &[SocketAddr],
    stop: &AtomicBool,
    console: &Console,
) -> Result<Exit, CliError> {
    console.note(&args.announcement(plan));
    let mut reproducers = Reproducers::new(args, plan.seed)?;
    let mut pcap = args
        .pcap
        .as_deref()
        .map(|file| Pcap::create(file, &args.uri))
        .transpose()?;
    let mut watch = Watch::new(plan, console);
    let began = Instant::now();
    let outcome = at_first_that_answers(addresses, &mut |address| {
        fuzz::run(address, plan, stop, &mut |event| {
            watch.tell(&event);
            match event {
                Event::Datagram(record, comment) => {
                    if let Some(pcap) = &mut pcap {
                        pcap.add(record, comment);
                    }
                }
                Event::Found(crash) => reproducers.keep(crash),
                _ => {}
            }
        })
    });
    watch.end();
    let outcome = outcome.map_err(|error| failure(&args.uri, &error))?;
    let report = Report::new(args, &outcome, reproducers.end()?, began.elapsed());
    match args.json {
        true => console.write(json::line(&report)?.as_bytes())?,
        false => console.write(report.text(console.out).as_bytes())?,
    }
    if let Some(pcap) = pcap {
        pcap.end()?;
    }
    Ok(match outcome.is_grave() {
        true => Exit::Failure,
        false => Exit::Success,
    })
}

fn replay(
    args: &FuzzArgs,
    plan: &Plan,
    addresses: &[SocketAddr],
    messages: &[Vec<u8>],
    stop: &AtomicBool,
    console: &Console,
) -> Result<Exit, CliError> {
    let mut pcap = args
        .pcap
        .as_deref()
        .map(|file| Pcap::create(file, &args.uri))
        .transpose()?;
    let replayed = at_first_that_answers(addresses, &mut |address| {
        fuzz::replay(address, plan, messages, stop, &mut |event| {
            if let (Event::Datagram(record, comment), Some(pcap)) = (event, &mut pcap) {
                pcap.add(record, comment);
            }
        })
    });
    let (failed, tally) = replayed.map_err(|error| failure(&args.uri, &error))?;
    let replayed = Replayed::new(messages.len(), failed, tally);
    match args.json {
        true => console.write(json::line(&replayed)?.as_bytes())?,
        false => console.write(replayed.text(console.out).as_bytes())?,
    }
    if let Some(pcap) = pcap {
        pcap.end()?;
    }
    Ok(match replayed.survives {
        true => Exit::Success,
        false => Exit::Failure,
    })
}

/// A name may stand for several addresses, of which not all need to be served.
fn at_first_that_answers<T>(
    addresses: &[SocketAddr],
    attack: &mut dyn FnMut(SocketAddr) -> Result<T, FuzzError>,
) -> Result<T, FuzzError> {
    let (last, others) = match addresses.split_last() {
        Some((last, others)) => (*last, others),
        None => (SocketAddr::from(([0, 0, 0, 0], 0)), addresses),
    };
    for &address in others {
        match attack(address) {
            Err(FuzzError::NobodyThere(_) | FuzzError::Socket(_)) => {}
            other => return other,
        }
    }
    attack(last)
}

/// An error for people: what a command printed is its best explanation.
fn failure(uri: &str, error: &FuzzError) -> CliError {
    let told = CliError::new(format_args!("{uri}: {error}"));
    match error {
        FuzzError::NobodyThere(_) => told.with_exit(Exit::NoAnswer),
        FuzzError::CommandEnded { output, .. } | FuzzError::CommandSilent { output } => {
            let output = harmless(output.trim_end());
            let told = match output.is_empty() {
                true => told,
                false => CliError::new(format_args!("{uri}: {error}; it printed:\n{output}")),
            };
            told.with_exit(Exit::NoAnswer)
        }
        _ => told,
    }
}
