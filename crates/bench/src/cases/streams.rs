//! Pipelined GETs on TCP: servers in turn, round after round, at several depths.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use coracle_load::{Load, Until};

use crate::options::Measure;
use crate::process::{self, LOAD_CORE, SERVER_CORE};
use crate::report::{Bound, Cell, Goal, Section, Table};
use crate::statistics::{Spread, median};
use crate::subjects::stream::{self, StreamSubject};

const CONNECTIONS: u32 = 64;

/// Requests that are outstanding on each connection.
const DEPTHS: [u16; 3] = [1, JUDGED, 32];

/// The depth that is judged.
const JUDGED: u16 = 8;

/// Before a turn.
const WARM_UP: Duration = Duration::from_millis(300);

/// A server that says nothing for so long is dead.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What a turn came to.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    /// Answered requests a second.
    rate: f64,
    /// CPU time of the server for a request, in microseconds, and the part of it outside of the kernel.
    cpu: f64,
    user: f64,
    /// The share of a core that the server had.
    busy: f64,
    /// In microseconds.
    p50: f64,
    p99: f64,
}

impl Turn {
    /// Requests that a core can take, which the load does not bound.
    fn capacity(&self) -> f64 {
        1e6 / self.cpu
    }
}

/// The turns of a round, by server and depth.
type Round = BTreeMap<(StreamSubject, u16), Turn>;

pub(super) fn run(measure: &Measure) -> io::Result<Section> {
    let mut notes = Vec::new();
    let mut subjects = Vec::new();
    let mut versions = Vec::new();
    for subject in StreamSubject::ALL {
        if measure.alone && !subject.is_own() {
            continue;
        }
        match subject.version() {
            Ok(version) => {
                subjects.push(subject);
                versions.extend((!subject.is_own()).then(|| format!("{subject} {version}")));
            }
            Err(reason) => notes.push(format!("{subject} was not measured: {reason}.")),
        }
    }
    process::pin(&[LOAD_CORE])?;
    let runtime = process::runtime()?;
    let (mut rounds, mut failed) = (Vec::new(), BTreeSet::new());
    for number in 1..=measure.rounds() {
        let mut round = Round::new();
        for depth in DEPTHS {
            for subject in &subjects {
                let turn = match runtime.block_on(turn(*subject, depth, measure)) {
                    Err(error) if !subject.is_own() => {
                        eprintln!("  round {number}: {subject:8} depth {depth:2}: {error}");
                        failed.insert(*subject);
                        continue;
                    }
                    turn => turn?,
                };
                eprintln!(
                    "  round {number}: {subject:8} depth {depth:2} {:8.0} requests/s {:6.2} us of CPU each, busy {:.2}",
                    turn.rate, turn.cpu, turn.busy
                );
                round.insert((*subject, depth), turn);
            }
        }
        rounds.push(round);
    }
    notes.push(by_depth(&rounds));
    notes.extend(
        failed
            .iter()
            .map(|subject| format!("{subject} failed in some rounds.")),
    );
    let others = match versions.as_slice() {
        [] => String::new(),
        versions => format!(" Others: {}.", versions.join(", ")),
    };
    Ok(Section {
        name: super::Case::Streams.name(),
        what: format!(
            "GETs on {CONNECTIONS} connections of TCP, as many outstanding on each as the depth says; medians of {} rounds of {} s for each server.{others}",
            measure.rounds(),
            measure.turn().as_secs_f64()
        ),
        table: table(&rounds),
        goals: goals(&rounds),
        notes,
    })
}

async fn turn(subject: StreamSubject, depth: u16, measure: &Measure) -> io::Result<Turn> {
    let server = subject.start(&[SERVER_CORE]).await?;
    let mut plan = stream::plan(&server);
    plan.peers = CONNECTIONS;
    plan.outstanding = depth;
    plan.timeout = TIMEOUT;
    plan.awake = true;
    let mut load = Load::start(plan)?;
    load.run(Until::Passed(WARM_UP)).await?;
    let before = server.cpu()?;
    let tally = load.run(Until::Passed(measure.turn())).await?;
    let cpu = server.cpu()?.since(before);
    super::check(subject.name(), &tally)?;
    if let Some(loss) = &tally.first_loss {
        return Err(io::Error::other(format!("{subject}: {loss}")));
    }
    let each = |time: Duration| time.as_secs_f64() * 1e6 / tally.answered as f64;
    let micros = |share| tally.percentile(share).as_secs_f64() * 1e6;
    Ok(Turn {
        rate: tally.rate(),
        cpu: each(cpu.total),
        user: each(cpu.user),
        busy: cpu.total.as_secs_f64() / tally.elapsed.as_secs_f64(),
        p50: micros(0.5),
        p99: micros(0.99),
    })
}

fn table(rounds: &[Round]) -> Table {
    let mut table = Table::new(&[
        "depth",
        "server",
        "requests/s",
        "CPU us/request",
        "user",
        "share of a core",
        "p50 us",
        "p99",
    ]);
    for depth in DEPTHS {
        for subject in StreamSubject::ALL {
            let turns = || rounds.iter().filter_map(|round| round.get(&(subject, depth)));
            if turns().next().is_none() {
                continue;
            }
            let of = |number: fn(&Turn) -> f64| median(turns().map(number));
            table.row(vec![
                Cell::Number(depth.into(), 0),
                Cell::text_of(subject),
                Cell::Number(of(|turn| turn.rate), 0),
                Cell::Number(of(|turn| turn.cpu), 2),
                Cell::Number(of(|turn| turn.user), 2),
                Cell::Number(of(|turn| turn.busy), 2),
                Cell::Number(of(|turn| turn.p50), 0),
                Cell::Number(of(|turn| turn.p99), 0),
            ]);
        }
    }
    table
}

/// A number of our server in units of the bare responder's, in all rounds.
fn ratio(rounds: &[Round], depth: u16, number: fn(&Turn) -> f64) -> Spread {
    let ratio = |round: &Round| {
        let of = |subject| round.get(&(subject, depth)).map(number);
        Some(of(StreamSubject::Coracle)? / of(StreamSubject::Bare)?)
    };
    Spread::of(rounds.iter().filter_map(ratio))
}

fn goals(rounds: &[Round]) -> Vec<Goal> {
    let goal = |what: &str, number| Goal {
        what: format!("{what} at depth {JUDGED}, in units of the bare responder's"),
        bound: Bound::AtLeast(0.8),
        measured: Ok(ratio(rounds, JUDGED, number)),
    };
    vec![
        goal("requests a second", |turn| turn.rate),
        goal("requests for a second of the server's CPU", Turn::capacity),
    ]
}

/// The same at all depths, and the rates as they were.
fn by_depth(rounds: &[Round]) -> String {
    let of = |number: fn(&Turn) -> f64| {
        let ratios = DEPTHS.map(|depth| format!("{:.2} at {depth}", ratio(rounds, depth, number).median));
        ratios.join(", ")
    };
    format!(
        "In units of the bare responder's, requests for a second of CPU by depth: {}; requests a second: {}.",
        of(Turn::capacity),
        of(|turn| turn.rate)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_depth_is_compared_with_itself() {
        let turn = |rate| Turn {
            rate,
            ..Turn::default()
        };
        let round = Round::from([
            ((StreamSubject::Bare, 8), turn(100.0)),
            ((StreamSubject::Coracle, 8), turn(85.0)),
            ((StreamSubject::Bare, 1), turn(10.0)),
            ((StreamSubject::Coracle, 1), turn(9.0)),
        ]);
        assert_eq!(
            ratio(std::slice::from_ref(&round), 8, |turn| turn.rate).median,
            0.85
        );
        assert_eq!(ratio(&[round], 1, |turn| turn.rate).median, 0.9);
    }
}
