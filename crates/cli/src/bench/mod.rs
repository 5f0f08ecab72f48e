//! `coracle bench`: load on a server, and what it does with it.

mod args;
mod change;
mod line;
mod report;
mod svg;
mod table;
mod verdict;
mod watch;

use std::fs::OpenOptions;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use coracle_load::Outcome;

pub(crate) use self::args::{BenchArgs, EXAMPLES};
use self::change::Changes;
use self::report::{Report, Seconds};
use self::watch::Watch;
use crate::addresses;
use crate::client;
use crate::console::Console;
use crate::descriptors;
use crate::error::{CliError, Exit};
use crate::hangup::stopped_by_signals;
use crate::json;
use crate::wire::{Scheme, Uri};

/// How long an address among several is waited for before the next is taken.
const PATIENCE: Duration = Duration::from_secs(1);

/// Puts the load on and reports.
pub(crate) fn run(args: &BenchArgs, console: &Console) -> Result<Exit, CliError> {
    let uri = Uri::parse(&args.uri).map_err(CliError::usage)?;
    if uri.scheme == Scheme::Coaps {
        let told = format_args!("{}: there is no load for coaps:// yet", args.uri);
        return Err(CliError::usage(told));
    }
    args.check()?;
    args.tls.is_given(&args.uri, console)?;
    let server = server(args, &uri)?;
    let plan = args.plan(&uri, server)?;
    if let Some(file) = &args.svg {
        can_write(file)?;
    }
    console.note(&announcement(args, server));
    descriptors::allow(Some(plan.peers.into()));
    let stop = stopped_by_signals();
    let failure = |error: io::Error| failure(&args.uri, &error);
    let changes = match args.change {
        Some(every) => {
            let plan = args.changing(&uri, server)?;
            Some(Changes::begin(plan, every, args.change_size(), &stop).map_err(failure)?)
        }
        None => None,
    };
    let course = args.course();
    let mut seconds = Seconds::new(args.threads.min(args.peers));
    let mut watch = Watch::new(args, &course, console);
    let outcome = coracle_load::run(&plan, &course, &stop, &mut |stage| {
        if let Some(changes) = &changes {
            changes.heed(&stage);
        }
        watch.tell(&stage, &mut seconds);
    });
    watch.end();
    let changed = changes.map(Changes::end).unwrap_or_default();
    let outcome = outcome.map_err(failure)?;
    let report = Report::new(args, server, &outcome, seconds.end(), &changed, is_set(&stop));
    match args.json {
        true => console.write(json::line(&report)?.as_bytes())?,
        false => console.write(table::text(&report, console.out, columns(console)).as_bytes())?,
    }
    if let Some(file) = &args.svg {
        std::fs::write(file, svg::draw(&report)).map_err(|error| cannot_write(file, &error))?;
    }
    Ok(exit(&outcome, report.interrupted))
}

/// How many columns standard output shows.
fn columns(console: &Console) -> usize {
    let terminal = terminal_size::terminal_size_of(io::stdout());
    match terminal.filter(|_| console.out_is_terminal) {
        Some((width, _)) => width.0.into(),
        None => usize::MAX,
    }
}

/// Makes sure that the file can be written, before the run. What is in it stays until there is something better.
fn can_write(file: &Path) -> Result<(), CliError> {
    let opened = OpenOptions::new().append(true).create(true).open(file);
    opened.map(drop).map_err(|error| cannot_write(file, &error))
}

fn cannot_write(file: &Path, error: &io::Error) -> CliError {
    CliError::io(format_args!("cannot write {}", file.display()), error)
}

fn is_set(stop: &AtomicBool) -> bool {
    stop.load(std::sync::atomic::Ordering::Relaxed)
}

fn announcement(args: &BenchArgs, server: SocketAddr) -> String {
    let mut told = format!("{} at {server}: {}", args.uri, args.outline());
    if !server.ip().is_loopback() {
        told.push_str("\nthis is load for servers of your own; end it with Ctrl-C if that one is not yours");
    }
    told
}

/// The first address of the server that answers a ping, or takes a connection, or the last one. A single one is not asked.
fn server(args: &BenchArgs, uri: &Uri<'_>) -> Result<SocketAddr, CliError> {
    let addresses = addresses::of(uri, args.family)?;
    let is_group = |address: &SocketAddr| {
        address.ip().is_multicast() || address.ip() == std::net::IpAddr::V4(Ipv4Addr::BROADCAST)
    };
    if addresses.iter().any(is_group) {
        return Err(CliError::usage("a group is no place for load: name one server"));
    }
    let several = addresses.len() > 1;
    let first = addresses
        .iter()
        .find(|address| several && answers(args, **address).is_ok());
    let server = first.or(addresses.last()).copied();
    server.ok_or_else(|| CliError::new(format_args!("{} has no address", uri.host)))
}

fn answers(args: &BenchArgs, address: SocketAddr) -> io::Result<()> {
    match args.is_on_connections() {
        true => TcpStream::connect_timeout(&address, PATIENCE).map(drop),
        false => ping(address),
    }
}

/// An Empty confirmable message, and anything that comes back (RFC 7252 §4.3).
fn ping(address: SocketAddr) -> io::Result<()> {
    let socket = match address {
        SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)),
    }?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(b"\x40\0\0\0")?;
    socket.recv(&mut [0; 64]).map(drop)
}

/// An error for people.
fn failure(uri: &str, error: &io::Error) -> CliError {
    match error.kind() {
        io::ErrorKind::InvalidInput => CliError::usage(error),
        _ if error.raw_os_error() == Some(24) => {
            CliError::io(uri, error).with_hint("each peer is a socket; `ulimit -n` says how many")
        }
        _ => client::io_failure(uri, error),
    }
}

/// What scripts are told. An error among the answers is told as well, as what was measured is then something else.
fn exit(outcome: &Outcome, interrupted: bool) -> Exit {
    let Outcome {
        warm_up,
        registered,
        tally,
        rest,
        ..
    } = outcome;
    if interrupted {
        return Exit::Interrupted;
    }
    let parts = [warm_up, registered, tally, rest];
    if parts.iter().any(|tally| tally.wrong_answers() > 0) {
        return Exit::Failure;
    }
    let answers = || registered.codes.iter().chain(&tally.codes);
    let errors = answers().filter(|(status, _)| !status.is_success());
    match errors.max_by_key(|(_, count)| **count) {
        Some((most, _)) => crate::client::exit(*most),
        None if answers().next().is_none() => Exit::NoAnswer,
        None => Exit::Success,
    }
}

#[cfg(test)]
mod tests {
    use coracle_load::{Tally, Wrong};

    use super::*;
    use crate::wire::Status;

    #[test]
    fn exit_statuses_tell_of_any_error_and_of_signals_first() {
        let outcome = |codes: &[(Status, u64)]| Outcome {
            tally: Tally {
                codes: codes.iter().copied().collect(),
                ..Tally::default()
            },
            ..Outcome::default()
        };
        let right = (Status::CONTENT, 1000);
        assert_eq!(exit(&outcome(&[right]), false), Exit::Success);
        assert_eq!(exit(&outcome(&[]), false), Exit::NoAnswer);
        let few = outcome(&[right, (Status::NOT_FOUND, 1), (Status::SERVICE_UNAVAILABLE, 2)]);
        assert_eq!(exit(&few, false), Exit::ServerError);
        assert_eq!(exit(&few, true), Exit::Interrupted);
        let refused = Outcome {
            registered: outcome(&[right, (Status::NOT_FOUND, 1)]).tally,
            ..Outcome::default()
        };
        assert_eq!(exit(&refused, false), Exit::ClientError);
        let mut late = outcome(&[right]);
        late.rest.wrong.insert(Wrong::Payload, 1);
        assert_eq!(exit(&late, false), Exit::Failure);
    }
}
