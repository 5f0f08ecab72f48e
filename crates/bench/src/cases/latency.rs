//! Latency in open loop, at half of the rate that our server can take: beside the raw responder at the same rate.
//!
//! A machine that is one of several on a host stands still for milliseconds now and then, and one such moment in a
//! second is all of its slowest hundredth. So what is judged is the 99th percentile of the middle one of many short
//! slices of a turn; that of the whole turn is told beside it.

use std::io;
use std::time::Duration;

use coracle_load::{Load, Pace, Plan, Tally, Until};

use crate::options::Measure;
use crate::process::{self, LOAD_CORE, SERVER_CORE};
use crate::report::{Bound, Cell, Goal, Section, Table, grouped};
use crate::statistics::{Spread, median};
use crate::subjects::Subject;

/// Peers that find out how much the server can take.
const PEERS: u32 = 64;

/// Peers in open loop: so many that one is always free when a request is due.
const PEERS_OPEN: u32 = 1_000;

/// The part of the maximum rate.
const PART: f64 = 0.5;

/// A turn has so many slices.
const SLICES: u32 = 15;

/// On one machine an answer that is not there by then is lost.
const ACK_TIMEOUT: Duration = Duration::from_millis(200);

/// The percentiles that are told.
const SHARES: [f64; 5] = [0.5, 0.9, 0.99, 0.999, 1.0];

const SUBJECTS: [Subject; 2] = [Subject::Raw, Subject::Coracle];

#[derive(Clone, Copy, Default)]
struct Turn {
    /// Answers a second.
    rate: f64,
    /// 99 % in the middle one of the slices, in microseconds.
    p99: f64,
    /// By [`SHARES`], in the whole turn, in microseconds.
    latency: [f64; SHARES.len()],
    /// How much later than intended requests were sent: 99 % of them at most, in microseconds.
    lag: f64,
    again: u64,
    failed: u64,
}

pub(super) fn run(measure: &Measure) -> io::Result<Section> {
    process::pin(&[LOAD_CORE])?;
    let runtime = process::runtime()?;
    let turn = |subject, pace| runtime.block_on(turn(subject, pace, measure));
    let mut rounds = Vec::new();
    let mut rates = Vec::new();
    for number in 1..=measure.rounds() {
        let most = turn(Subject::Coracle, Pace::Closed)?.rate;
        let rate = most * PART;
        rates.push(rate);
        let mut round = [Turn::default(); SUBJECTS.len()];
        for (place, subject) in round.iter_mut().zip(SUBJECTS) {
            *place = turn(subject, Pace::Open(rate))?;
            let [p50, _, whole, ..] = place.latency;
            let p99 = place.p99;
            eprintln!(
                "  round {number}: {subject:8} {rate:8.0} requests/s of {most:.0}: p50 {p50:.0} us, p99 {p99:.0} us, of \
                 the whole turn {whole:.0} us"
            );
        }
        rounds.push(round);
    }
    Ok(Section {
        name: super::Case::Latency.name(),
        what: format!(
            "{} confirmable GETs a second, in the median, which is half of what our server takes in a closed loop, by \
             {} peers in open loop: latency counts from the moment that a request is due. Medians of {} \
             rounds of {} s; p99 is that of the middle one of {SLICES} slices of each, the rest is of whole turns.",
            grouped(median(rates)),
            grouped(PEERS_OPEN.into()),
            rounds.len(),
            measure.turn().as_secs_f64()
        ),
        table: table(&rounds),
        goals: vec![Goal {
            what: "p99 latency in units of raw's".to_owned(),
            bound: Bound::AtMost(5.0),
            measured: Ok(Spread::of(rounds.iter().map(|[raw, ours]| ours.p99 / raw.p99))),
        }],
        notes: Vec::new(),
    })
}

async fn turn(subject: Subject, pace: Pace, measure: &Measure) -> io::Result<Turn> {
    let server = subject.start(&[SERVER_CORE])?;
    let mut plan = Plan::get(server.address, &["temp"]);
    plan.peers = if pace == Pace::Closed { PEERS } else { PEERS_OPEN };
    plan.pace = pace;
    plan.ack_timeout = ACK_TIMEOUT;
    plan.awake = true;
    let mut load = Load::start(plan)?;
    load.run(Until::Answered(super::warm_up(measure))).await?;
    let (mut tally, mut elapsed) = (Tally::default(), Duration::ZERO);
    let mut slices = Vec::new();
    for _ in 0..SLICES {
        let slice = load.run(Until::Passed(measure.turn() / SLICES)).await?;
        slices.push(slice.percentile(0.99).as_secs_f64() * 1e6);
        elapsed += slice.elapsed;
        tally.join(&slice);
    }
    super::check(subject.name(), &tally)?;
    Ok(Turn {
        rate: tally.answered as f64 / elapsed.as_secs_f64(),
        p99: median(slices),
        latency: SHARES.map(|share| tally.percentile(share).as_secs_f64() * 1e6),
        lag: Duration::from_nanos(tally.lag.value_at_quantile(0.99)).as_secs_f64() * 1e6,
        again: tally.retransmissions,
        failed: tally.timeouts + tally.errors(),
    })
}

fn table(rounds: &[[Turn; SUBJECTS.len()]]) -> Table {
    let mut table = Table::new(&[
        "server",
        "answers/s",
        "p99 us",
        "turn: p50",
        "p90",
        "p99",
        "p99.9",
        "most",
        "sent late (p99)",
        "sent again",
        "failed",
    ]);
    for (index, subject) in SUBJECTS.into_iter().enumerate() {
        let turns = || rounds.iter().filter_map(|round| round.get(index));
        let mut row = vec![
            Cell::text_of(subject),
            Cell::Number(median(turns().map(|turn| turn.rate)), 0),
        ];
        row.push(Cell::Number(median(turns().map(|turn| turn.p99)), 0));
        for share in 0..SHARES.len() {
            let latency = median(turns().filter_map(|turn| turn.latency.get(share).copied()));
            row.push(Cell::Number(latency, 0));
        }
        row.push(Cell::Number(median(turns().map(|turn| turn.lag)), 0));
        let sum = |number: fn(&Turn) -> u64| Cell::Number(turns().map(number).sum::<u64>() as f64, 0);
        row.push(sum(|turn| turn.again));
        row.push(sum(|turn| turn.failed));
        table.row(row);
    }
    table
}
