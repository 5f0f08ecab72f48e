//! One shard beside two: with requests that take the application some time, so that the load leaves the second core
//! free, and with those that take none.

use std::io;
use std::time::Duration;

use coracle_load::{Load, Plan, Until};

use crate::options::Measure;
use crate::process::{self, LOAD_CORE, SERVER_CORE, Server};
use crate::report::{Bound, Cell, Goal, Section, Table};
use crate::statistics::{Spread, median};

/// Peers that ask, all at once: enough for both shards.
const PEERS: u32 = 128;

/// Before a turn.
const WARM_UP: Duration = Duration::from_millis(200);

/// What is asked for, by how many shards.
const TURNS: [(&str, usize); 4] = [("work", 1), ("work", 2), ("temp", 1), ("temp", 2)];

#[derive(Clone, Copy, Default)]
struct Turn {
    rate: f64,
    /// Microseconds of all shards for a request.
    cpu: f64,
}

pub(super) fn run(measure: &Measure) -> io::Result<Section> {
    process::pin(&[LOAD_CORE])?;
    let runtime = process::runtime()?;
    let mut rounds = Vec::new();
    for number in 1..=measure.rounds() {
        let mut round = [Turn::default(); TURNS.len()];
        for (place, (path, shards)) in round.iter_mut().zip(TURNS) {
            *place = runtime.block_on(turn(path, shards, measure.turn()))?;
            eprintln!(
                "  round {number}: /{path} {shards} shards {:8.0} requests/s {:7.2} us of CPU each",
                place.rate, place.cpu
            );
        }
        rounds.push(round);
    }
    let of = |index: usize, number: fn(&Turn) -> f64| {
        let values: Vec<f64> = rounds
            .iter()
            .filter_map(|round| round.get(index).map(number))
            .collect();
        values
    };
    let mut table = Table::new(&["request", "shards", "requests/s", "CPU us/request"]);
    for (index, (path, shards)) in TURNS.into_iter().enumerate() {
        table.row(vec![
            Cell::Text(format!("/{path}")),
            Cell::Number(shards as f64, 0),
            Cell::Number(median(of(index, |turn| turn.rate)), 0),
            Cell::Number(median(of(index, |turn| turn.cpu)), 2),
        ]);
    }
    let ratio = |number: fn(&Turn) -> f64, of_index, to_index| {
        let pairs = of(of_index, number).into_iter().zip(of(to_index, number));
        Spread::of(pairs.map(|(of, to)| of / to))
    };
    let plain = ratio(|turn| turn.cpu, 3, 2);
    Ok(Section {
        name: super::Case::Shards.name(),
        what: format!(
            "Confirmable GETs of {PEERS} peers, one outstanding each; medians of {} rounds of {} s.",
            measure.rounds(),
            measure.turn().as_secs_f64()
        ),
        table,
        goals: vec![Goal {
            what: "rate of two shards in units of one's, requests with work".to_owned(),
            bound: Bound::AtLeast(1.7),
            measured: Ok(ratio(|turn| turn.rate, 1, 0)),
        }],
        notes: vec![format!(
            "CPU of a request without work, two shards in units of one: {:.2} ({:.2} to {:.2}).",
            plain.median, plain.least, plain.most
        )],
    })
}

/// One shard has its core, two have that of the load as well: there the load sleeps until something comes.
async fn turn(path: &str, shards: usize, length: Duration) -> io::Result<Turn> {
    let cores: &[usize] = if shards == 1 {
        &[SERVER_CORE]
    } else {
        &[SERVER_CORE, LOAD_CORE]
    };
    let mut server = Server::start(&["site", "--shards", &shards.to_string()], cores)?;
    server.furnish(None)?;
    let mut plan = Plan::get(server.address, &[path]);
    plan.peers = PEERS;
    let mut load = Load::start(plan)?;
    load.run(Until::Passed(WARM_UP)).await?;
    let before = server.cpu()?;
    let tally = load.run(Until::Passed(length)).await?;
    let cpu = server.cpu()?.since(before).total;
    super::check("coracle", &tally)?;
    Ok(Turn {
        rate: tally.rate(),
        cpu: cpu.as_secs_f64() * 1e6 / tally.answered as f64,
    })
}
