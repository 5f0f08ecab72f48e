//! A large body by BERT beside a plain copy over TCP.

use std::io;
use std::time::Duration;

use crate::bulk::{self, Asker};
use crate::options::Measure;
use crate::process::{self, LOAD_CORE, SERVER_CORE, Server};
use crate::report::{Bound, Cell, Goal, Section, Table};
use crate::statistics::{Spread, median};
use crate::subjects::bulk::BODY;
use crate::transfer::Direction;

/// A client that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of a read and of a write of the plain copy; the faster counts in each round.
const CHUNKS: [usize; 2] = [64 << 10, 1 << 20];

/// Who moves the body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pair {
    /// Two that write and read, and know nothing of messages.
    Plain,
    /// Two that speak BERT and nothing else.
    Bare,
    /// Our server and the bare client.
    Server,
    /// The bare server and our client.
    Client,
    /// Our server and our client.
    Both,
}

const PAIRS: [Pair; 5] = [Pair::Plain, Pair::Bare, Pair::Server, Pair::Client, Pair::Both];

const DIRECTIONS: [Direction; 2] = [Direction::Down, Direction::Up];

#[derive(Clone, Copy)]
struct Turn {
    direction: Direction,
    pair: Pair,
    /// Bytes of the body a second.
    goodput: f64,
    /// CPU time of the server and of the client for the body, in milliseconds.
    cpu: f64,
    client_cpu: f64,
    /// By how many bytes the server's memory grew at most.
    growth: f64,
}

type Round = Vec<Turn>;

pub(super) fn run(measure: &Measure) -> io::Result<Section> {
    process::pin(&[LOAD_CORE])?;
    let mut rounds: Vec<Round> = Vec::new();
    for number in 1..=measure.rounds() {
        let mut round = Round::new();
        for direction in DIRECTIONS {
            for pair in PAIRS {
                let turn = turn(direction, pair)?;
                eprintln!(
                    "  round {number}: {direction:4} {:30} {:7.0} MB/s, CPU of server {:4.0} ms, of client {:4.0} ms, memory of server {:+.2} MB",
                    pair.name(),
                    turn.goodput / 1e6,
                    turn.cpu,
                    turn.client_cpu,
                    turn.growth / 1e6
                );
                round.push(turn);
            }
        }
        rounds.push(round);
    }
    Ok(Section {
        name: super::Case::Bert.name(),
        what: format!(
            "{:.0} MB on one connection, in messages of up to 1 MiB; medians of {} rounds.",
            BODY.len() as f64 / 1e6,
            rounds.len()
        ),
        table: table(&rounds),
        goals: goals(&rounds),
        notes: Vec::new(),
    })
}

fn turn(direction: Direction, pair: Pair) -> io::Result<Turn> {
    if pair != Pair::Plain {
        return exchange(direction, pair, 0);
    }
    let [first, second] = CHUNKS.map(|chunk| exchange(direction, pair, chunk));
    let (first, second) = (first?, second?);
    Ok(if first.goodput > second.goodput {
        first
    } else {
        second
    })
}

fn exchange(direction: Direction, pair: Pair, chunk: usize) -> io::Result<Turn> {
    let (server, asker) = match (pair, direction) {
        (Pair::Plain, Direction::Down) => ("source", Asker::Plain),
        (Pair::Plain, Direction::Up) => ("sink", Asker::Plain),
        (Pair::Bare, _) => ("bare", Asker::Bare),
        (Pair::Server, _) => ("coracle", Asker::Bare),
        (Pair::Client, _) => ("bare", Asker::Coracle),
        (Pair::Both, _) => ("coracle", Asker::Coracle),
    };
    let server = Server::start(
        &["serve-bulk", server, "--chunk", &chunk.to_string()],
        &[SERVER_CORE],
    )?;
    let (memory, cpu) = (server.memory()?, server.cpu()?);
    let done = bulk::in_a_process(asker, server.address, direction, chunk, PATIENCE)?;
    Ok(Turn {
        direction,
        pair,
        goodput: BODY.len() as f64 / done.elapsed.as_secs_f64(),
        cpu: server.cpu()?.since(cpu).total.as_secs_f64() * 1e3,
        client_cpu: done.cpu.as_secs_f64() * 1e3,
        growth: server.memory()?.most.saturating_sub(memory.now) as f64,
    })
}

fn of(rounds: &[Round], direction: Direction, pair: Pair, number: fn(&Turn) -> f64) -> Vec<f64> {
    let turns = rounds.iter().flatten();
    turns
        .filter(|turn| (turn.direction, turn.pair) == (direction, pair))
        .map(number)
        .collect()
}

fn table(rounds: &[Round]) -> Table {
    let mut table = Table::new(&[
        "way",
        "between",
        "MB/s",
        "of the plain copy",
        "CPU ms of the server",
        "of the client",
        "server grew MB",
    ]);
    for direction in DIRECTIONS {
        for pair in PAIRS {
            let median_of = |number| median(of(rounds, direction, pair, number));
            table.row(vec![
                Cell::text_of(direction),
                Cell::text_of(pair.name()),
                Cell::Number(median_of(|turn| turn.goodput) / 1e6, 0),
                Cell::Number(ratio(rounds, direction, pair).median, 2),
                Cell::Number(median_of(|turn| turn.cpu), 0),
                Cell::Number(median_of(|turn| turn.client_cpu), 0),
                Cell::Number(median_of(|turn| turn.growth) / 1e6, 2),
            ]);
        }
    }
    table
}

/// Goodput in units of the plain copy's of the same round.
fn ratio(rounds: &[Round], direction: Direction, pair: Pair) -> Spread {
    let goodput = |pair| of(rounds, direction, pair, |turn| turn.goodput);
    let pairs = goodput(pair).into_iter().zip(goodput(Pair::Plain));
    Spread::of(pairs.map(|(this, plain)| this / plain))
}

fn goals(rounds: &[Round]) -> Vec<Goal> {
    let directions = DIRECTIONS.into_iter().map(|direction| Goal {
        what: format!("goodput {direction}, our server and our client, in units of the plain copy's"),
        bound: Bound::AtLeast(0.7),
        measured: Ok(ratio(rounds, direction, Pair::Both)),
    });
    directions.collect()
}

impl Pair {
    fn name(self) -> &'static str {
        match self {
            Pair::Plain => "a plain copy",
            Pair::Bare => "the bare two",
            Pair::Server => "our server and the bare client",
            Pair::Client => "the bare server and our client",
            Pair::Both => "our server and our client",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_compared_with_itself() {
        let turn = |pair, goodput| Turn {
            direction: Direction::Up,
            pair,
            goodput,
            cpu: 0.0,
            client_cpu: 0.0,
            growth: 0.0,
        };
        let rounds = [
            vec![turn(Pair::Plain, 100.0), turn(Pair::Both, 80.0)],
            vec![turn(Pair::Plain, 10.0), turn(Pair::Both, 7.0)],
        ];
        let spread = ratio(&rounds, Direction::Up, Pair::Both);
        assert_eq!((spread.least, spread.most), (0.7, 0.8));
    }
}
