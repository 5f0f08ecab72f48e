//! CPU time of a confirmable GET: servers in turn, round after round, with few and with many peers.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use coracle_load::{Load, Plan, Until};

use crate::options::Measure;
use crate::process::{self, LOAD_CORE, SERVER_CORE};
use crate::report::{Bound, Cell, Goal, Section, Table};
use crate::statistics::{Spread, median};
use crate::subjects::Subject;

/// How many peers ask.
const PEERS: [u32; 2] = [FEW, MANY];
const FEW: u32 = 64;
const MANY: u32 = 10_000;

/// Requests that are outstanding in all: with many peers, too, so that no server's socket overflows and the only
/// difference is how many peers it knows.
const WINDOW: u32 = 64;

/// Before a turn of the raw responder, which remembers nothing, and for servers of others, after every peer was heard once.
const WARM_UP_OTHERS: Duration = Duration::from_millis(300);

/// On one machine an answer that is not there by then is lost, and a server that says nothing for so long is dead.
const ACK_TIMEOUT: Duration = Duration::from_millis(200);
const TIMEOUT: Duration = Duration::from_secs(2);

/// The percentiles that are told.
const SHARES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// What a turn came to.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    /// Answered requests a second.
    rate: f64,
    /// CPU time of the server for a request, in microseconds, and the part of it outside of the kernel.
    cpu: f64,
    user: f64,
    /// By [`SHARES`], in microseconds.
    latency: [f64; SHARES.len()],
    retransmissions: u64,
    failed: u64,
}

/// The turns of a round, by server and number of peers.
type Round = BTreeMap<(Subject, u32), Turn>;

/// Servers, each with what is to be told about it.
type Told = Vec<(Subject, String)>;

pub(super) fn run(measure: &Measure) -> io::Result<Section> {
    let (subjects, absent) = installed(measure);
    process::pin(&[LOAD_CORE])?;
    let runtime = process::runtime()?;
    let mut rounds = Vec::new();
    let mut failed = BTreeSet::new();
    for number in 1..=measure.rounds() {
        let mut round = Round::new();
        for peers in PEERS {
            for (subject, _) in &subjects {
                let turn = match runtime.block_on(turn(*subject, peers, measure)) {
                    Err(error) if !subject.is_own() => {
                        eprintln!("  round {number}: {subject:8} {peers:6} peers: {error}");
                        failed.insert(*subject);
                        continue;
                    }
                    turn => turn?,
                };
                eprintln!(
                    "  round {number}: {subject:8} {peers:6} peers {:8.0} requests/s {:8.2} us of CPU each",
                    turn.rate, turn.cpu
                );
                round.insert((*subject, peers), turn);
            }
        }
        rounds.push(round);
    }
    let versions = subjects.iter().skip(2);
    let versions: Vec<String> = versions
        .map(|(subject, version)| format!("{subject} {version}"))
        .collect();
    let others = if versions.is_empty() {
        String::new()
    } else {
        format!(" Others: {}.", versions.join(", "))
    };
    let mut notes: Vec<String> = absent
        .iter()
        .map(|(subject, reason)| format!("{subject} was not measured: {reason}."))
        .collect();
    notes.extend(
        failed
            .iter()
            .map(|subject| format!("{subject} failed in some rounds.")),
    );
    notes.push(flatness(&rounds));
    Ok(Section {
        name: super::Case::Requests.name(),
        what: format!(
            "Confirmable GETs, {WINDOW} outstanding in all; medians of {} rounds of {} s for each server.{others}",
            measure.rounds(),
            measure.turn().as_secs_f64()
        ),
        table: table(&rounds),
        goals: goals(&rounds, &absent),
        notes,
    })
}

/// The servers that can be measured, each with its version, and the others with what is missing.
fn installed(measure: &Measure) -> (Told, Told) {
    let (mut subjects, mut absent) = (Vec::new(), Vec::new());
    for subject in Subject::ALL {
        let version = if measure.alone && !subject.is_own() {
            Err("it was left out".to_owned())
        } else {
            subject.version()
        };
        match version {
            Ok(version) => subjects.push((subject, version)),
            Err(reason) => absent.push((subject, reason)),
        }
    }
    (subjects, absent)
}

/// A server is a new process in each turn, so that where it lies in memory is part of the noise.
async fn turn(subject: Subject, peers: u32, measure: &Measure) -> io::Result<Turn> {
    let server = subject.start(&[SERVER_CORE])?;
    let mut plan = Plan::get(server.address, &["temp"]);
    plan.peers = peers;
    plan.window = WINDOW;
    plan.ack_timeout = ACK_TIMEOUT;
    plan.timeout = TIMEOUT;
    plan.awake = true;
    let mut load = Load::start(plan)?;
    if subject == Subject::Coracle {
        load.run(Until::Answered(super::warm_up(measure))).await?;
    } else {
        load.run(Until::Answered(peers.into())).await?;
        load.run(Until::Passed(WARM_UP_OTHERS)).await?;
    }
    let before = server.cpu()?;
    let tally = load.run(Until::Passed(measure.turn())).await?;
    let cpu = server.cpu()?.since(before);
    super::check(subject.name(), &tally)?;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / tally.answered as f64;
    Ok(Turn {
        rate: tally.rate(),
        cpu: each(cpu.total),
        user: each(cpu.user),
        latency: SHARES.map(|share| tally.percentile(share).as_secs_f64() * 1e6),
        retransmissions: tally.retransmissions,
        failed: tally.timeouts + tally.errors(),
    })
}

fn table(rounds: &[Round]) -> Table {
    let mut table = Table::new(&[
        "peers",
        "server",
        "requests/s",
        "CPU us/request",
        "user",
        "p50 us",
        "p90",
        "p99",
        "p99.9",
        "sent again",
        "failed",
    ]);
    for peers in PEERS {
        for subject in Subject::ALL {
            let turns = || rounds.iter().filter_map(|round| round.get(&(subject, peers)));
            if turns().next().is_none() {
                continue;
            }
            let of = |number: fn(&Turn) -> f64| median(turns().map(number));
            let sum = |number: fn(&Turn) -> u64| turns().map(number).sum::<u64>() as f64;
            let mut row = vec![
                Cell::Number(peers.into(), 0),
                Cell::text_of(subject),
                Cell::Number(of(|turn| turn.rate), 0),
                Cell::Number(of(|turn| turn.cpu), 2),
                Cell::Number(of(|turn| turn.user), 2),
            ];
            for share in 0..SHARES.len() {
                let latency = median(turns().filter_map(|turn| turn.latency.get(share).copied()));
                row.push(Cell::Number(latency, 0));
            }
            row.push(Cell::Number(sum(|turn| turn.retransmissions), 0));
            row.push(Cell::Number(sum(|turn| turn.failed), 0));
            table.row(row);
        }
    }
    table
}

/// CPU time in units of another turn's of the same round, in all rounds that have both.
fn ratio(rounds: &[Round], of: (Subject, u32), to: (Subject, u32)) -> Option<Spread> {
    let ratio = |round: &Round| Some(round.get(&of)?.cpu / round.get(&to)?.cpu);
    let ratios: Vec<f64> = rounds.iter().filter_map(ratio).collect();
    (!ratios.is_empty()).then(|| Spread::of(ratios))
}

fn goals(rounds: &[Round], absent: &[(Subject, String)]) -> Vec<Goal> {
    let ours = (Subject::Coracle, FEW);
    let beside = |subject: Subject, bound| Goal {
        what: format!("CPU of a request, {FEW} peers, in units of {subject}'s"),
        bound: Bound::AtMost(bound),
        measured: ratio(rounds, ours, (subject, FEW)).ok_or_else(|| {
            let reason = absent.iter().find(|(name, _)| *name == subject);
            reason.map_or_else(|| "it failed".to_owned(), |(_, reason)| reason.clone())
        }),
    };
    vec![
        beside(Subject::Raw, 1.2),
        beside(Subject::Libcoap, 0.4),
        beside(Subject::CoapRs, 0.6),
        beside(Subject::Aiocoap, 0.03),
        Goal {
            what: "CPU of a request, 10,000 peers, in units of that with 64".to_owned(),
            bound: Bound::AtMost(1.3),
            measured: ratio(rounds, (Subject::Coracle, MANY), ours).ok_or_else(String::new),
        },
    ]
}

/// How much more many peers cost than few, for each server.
fn flatness(rounds: &[Round]) -> String {
    let ratios = Subject::ALL.into_iter().filter_map(|subject| {
        let spread = ratio(rounds, (subject, MANY), (subject, FEW))?;
        Some(format!("{subject} {:.2}", spread.median))
    });
    let ratios: Vec<String> = ratios.collect();
    format!(
        "CPU of a request with 10,000 peers in units of that with 64: {}.",
        ratios.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(raw: f64, coracle: f64) -> Round {
        let turn = |cpu| Turn {
            cpu,
            ..Turn::default()
        };
        Round::from([
            ((Subject::Raw, FEW), turn(raw)),
            ((Subject::Coracle, FEW), turn(coracle)),
        ])
    }

    #[test]
    fn a_round_is_compared_with_itself() {
        let rounds = [round(1.0, 1.5), round(10.0, 12.0), round(2.0, 2.6)];
        let ratio_of = |subject| ratio(&rounds, (Subject::Coracle, FEW), (subject, FEW));
        assert_eq!(ratio_of(Subject::Raw), Some(Spread::of([1.2, 1.3, 1.5])));
        assert_eq!(ratio_of(Subject::Libcoap), None);
    }

    #[test]
    fn what_is_absent_is_told_with_its_reason() {
        let goals = goals(
            &[round(1.0, 1.1)],
            &[(Subject::Libcoap, "not installed".to_owned())],
        );
        let measured: Vec<_> = goals
            .iter()
            .map(|goal| goal.measured.as_ref().map(|spread| spread.median))
            .collect();
        assert_eq!(measured[..2], [Ok(1.1), Err(&"not installed".to_owned())]);
    }
}
