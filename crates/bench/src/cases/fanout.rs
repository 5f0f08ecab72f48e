//! A non-confirmable notification to many observers of one resource, beside the same datagrams sent by nothing but
//! `sendmmsg`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::observers::{Observers, Told};
use crate::options::Measure;
use crate::process::{self, LOAD_CORE, SERVER_CORE, Server};
use crate::report::{Bound, Cell, Goal, Section, Table, grouped};
use crate::statistics::{Spread, median};

const OBSERVERS: u32 = 100_000;
const OBSERVERS_QUICK: u32 = 5_000;

/// Longer than the pause between two non-confirmable notifications (RFC 7641 §4.5.1).
const PAUSE: Duration = Duration::from_millis(3_300);

/// Changes that are measured, at most: one more, and the server wants the observers to acknowledge one.
const CHANGES: u16 = 9;

/// The part of the observers that is gone in the end.
const GONE: u32 = 100;

/// A change, as it was told.
#[derive(Clone, Copy)]
struct Change {
    /// Microseconds of the server for a notification.
    cpu: f64,
    /// Notifications a second, from the change to the last one.
    rate: f64,
    lost: u32,
}

pub(super) fn run(measure: &Measure) -> io::Result<Section> {
    process::pin(&[LOAD_CORE])?;
    process::runtime()?.block_on(measured(measure))
}

async fn measured(measure: &Measure) -> io::Result<Section> {
    let count = if measure.quick { OBSERVERS_QUICK } else { OBSERVERS };
    let mut server = Server::start(&["site"], &[SERVER_CORE])?;
    server.furnish(None)?;
    let before = server.memory()?;
    let mut observers = Observers::new(server.address, count)?;
    let raw = start_raw(&observers)?;
    observers.register().await?;
    let each = server.memory()?.now.saturating_sub(before.now) as f64 / f64::from(count);
    eprintln!("  {count} observers are registered, {each:.0} bytes each");
    // The first notifications may be confirmable: then they prove the addresses.
    observers.change().await?;
    let mut changes = Vec::new();
    for number in 1..=measure.rounds().min(CHANGES) {
        tokio::time::sleep(PAUSE).await;
        let ours = change(&server, &mut observers, None).await?;
        let bare = change(&raw, &mut observers, Some(raw.address)).await?;
        eprintln!(
            "  change {number}: {:5.2} us of CPU for each notification, raw {:5.2} us",
            ours.cpu, bare.cpu
        );
        changes.push([ours, bare]);
    }
    let gone = count / GONE;
    let told = told_after_they_went(&mut observers, gone).await?;
    let gone = format!(
        "Of {} observers {} answered a notification with Reset: the next one went to {}. An observer takes {each:.0} bytes \
         of the server's memory, its peer and what else grows with them included.",
        grouped(count.into()),
        grouped(gone.into()),
        grouped(told.into())
    );
    Ok(Section {
        name: super::Case::Fanout.name(),
        what: format!(
            "A change is told to {} observers, each with an address of its own; medians of {} changes.",
            grouped(count.into()),
            changes.len()
        ),
        table: table(&changes),
        goals: vec![Goal {
            what: "CPU of a NON notification in units of sendmmsg's".to_owned(),
            bound: Bound::AtMost(1.2),
            measured: Ok(Spread::of(changes.iter().map(|[ours, raw]| ours.cpu / raw.cpu))),
        }],
        notes: vec![gone],
    })
}

fn start_raw(observers: &Observers) -> io::Result<Server> {
    let (first, count, port) = (Observers::FIRST, observers.count(), observers.port()?);
    let (first, count, port) = (first.to_string(), count.to_string(), port.to_string());
    let command = [
        "raw-fanout",
        "--first",
        &first,
        "--count",
        &count,
        "--port",
        &port,
    ];
    Server::start(&command, &[SERVER_CORE])
}

async fn change(server: &Server, observers: &mut Observers, raw: Option<SocketAddr>) -> io::Result<Change> {
    let before = server.cpu()?;
    let told = match raw {
        None => observers.change().await?,
        Some(address) => observers.change_raw(address).await?,
    };
    let cpu = server.cpu()?.since(before).total;
    if told.confirmable > 0 {
        return Err(io::Error::other(format!(
            "{} notifications were confirmable",
            told.confirmable
        )));
    }
    let Told { unique, elapsed, .. } = told;
    if unique == 0 {
        return Err(io::Error::other("nobody was told of a change"));
    }
    Ok(Change {
        cpu: cpu.as_secs_f64() * 1e6 / f64::from(unique),
        rate: f64::from(unique) / elapsed.as_secs_f64(),
        lost: observers.count() - unique,
    })
}

/// Some answer a notification with Reset; how many are told of the change after that.
async fn told_after_they_went(observers: &mut Observers, gone: u32) -> io::Result<u32> {
    tokio::time::sleep(PAUSE).await;
    observers.reject(gone);
    observers.change().await?;
    tokio::time::sleep(PAUSE).await;
    Ok(observers.change().await?.unique)
}

fn table(changes: &[[Change; 2]]) -> Table {
    let mut table = Table::new(&["server", "CPU us/notification", "notifications/s", "lost"]);
    for (index, name) in ["coracle", "raw"].into_iter().enumerate() {
        let of = |number: fn(&Change) -> f64| {
            median(changes.iter().filter_map(|change| change.get(index)).map(number))
        };
        let lost: u32 = changes
            .iter()
            .filter_map(|change| change.get(index))
            .map(|change| change.lost)
            .sum();
        table.row(vec![
            Cell::text_of(name),
            Cell::Number(of(|change| change.cpu), 2),
            Cell::Number(of(|change| change.rate), 0),
            Cell::Number(lost.into(), 0),
        ]);
    }
    table
}
