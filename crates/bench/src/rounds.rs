//! The servers in turn, round after round.

use std::io;
use std::time::Duration;

use crate::child::{self, Server};
use crate::load::{self, Load, Until};
use crate::options::{Measure, Subject};
use crate::statistics::median;

/// Requests before a turn. More than our server remembers by default (32 MiB, about 160,000 answers), so that
/// forgetting is measured with the rest.
const WARM_UP: u64 = 200_000;

/// The percentiles that are told.
pub(crate) const SHARES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// What a turn, or the median of several, came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turn {
    /// Answered requests a second.
    pub(crate) rate: f64,
    /// CPU time of the server for a request, in microseconds.
    pub(crate) user: f64,
    pub(crate) system: f64,
    pub(crate) total: f64,
    /// By [`SHARES`], in microseconds.
    pub(crate) latency: [f64; SHARES.len()],
    pub(crate) retransmissions: u64,
    pub(crate) strays: u64,
}

/// All turns, those of a round side by side.
pub(crate) struct Rounds(Vec<[Turn; Subject::ALL.len()]>);

impl Rounds {
    /// Runs them all. A server is a new process in each turn, so that where it lies in memory is part of the noise.
    pub(crate) fn run(measure: &Measure) -> io::Result<Rounds> {
        child::pin(child::LOAD_CORE)?;
        let runtime = load::runtime()?;
        let mut rounds = Vec::new();
        for number in 1..=measure.rounds() {
            let mut round = [Turn::default(); Subject::ALL.len()];
            for (place, subject) in round.iter_mut().zip(Subject::ALL) {
                *place = runtime.block_on(turn(subject, measure.peers, measure.turn()))?;
                eprintln!(
                    "round {number}: {:8} {:7.0} requests/s, {:5.2} us of CPU each",
                    subject.name(),
                    place.rate,
                    place.total
                );
            }
            rounds.push(round);
        }
        Ok(Rounds(rounds))
    }

    /// The median of every number by itself; the sum of what should not happen.
    pub(crate) fn summary(&self, subject: Subject) -> Turn {
        let turns = || self.0.iter().filter_map(|round| round.get(subject as usize));
        let of = |number: fn(&Turn) -> f64| median(turns().map(number).collect());
        let mut latency = [0.0; SHARES.len()];
        for (index, place) in latency.iter_mut().enumerate() {
            *place = median(
                turns()
                    .filter_map(|turn| turn.latency.get(index).copied())
                    .collect(),
            );
        }
        Turn {
            rate: of(|turn| turn.rate),
            user: of(|turn| turn.user),
            system: of(|turn| turn.system),
            total: of(|turn| turn.total),
            latency,
            retransmissions: turns().map(|turn| turn.retransmissions).sum(),
            strays: turns().map(|turn| turn.strays).sum(),
        }
    }

    /// The CPU time of our server in units of the raw limit's, round by round: least, median, most.
    pub(crate) fn ratio(&self) -> [f64; 3] {
        let mut ratios: Vec<f64> = self
            .0
            .iter()
            .map(|[raw, coracle]| coracle.total / raw.total)
            .collect();
        ratios.sort_by(f64::total_cmp);
        let (least, most) = (ratios.first().copied(), ratios.last().copied());
        [
            least.unwrap_or_default(),
            median(ratios),
            most.unwrap_or_default(),
        ]
    }
}

async fn turn(subject: Subject, peers: u16, length: Duration) -> io::Result<Turn> {
    let server = Server::start(subject)?;
    let mut load = Load::start(server.address, peers).await?;
    load.run(Until::Answered(WARM_UP)).await?;
    let before = server.cpu()?;
    let tally = load.run(Until::Passed(length)).await?;
    let cpu = server.cpu()?.since(before);
    let each = |time: Duration| time.as_secs_f64() * 1e6 / tally.answered() as f64;
    Ok(Turn {
        rate: tally.answered() as f64 / tally.elapsed.as_secs_f64(),
        user: each(cpu.user),
        system: each(cpu.system),
        total: each(cpu.total()),
        latency: SHARES.map(|share| tally.latency.percentile(share).as_secs_f64() * 1e6),
        retransmissions: tally.retransmissions,
        strays: tally.strays,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_compared_with_itself() {
        let turn = |total| Turn {
            total,
            ..Turn::default()
        };
        let rounds = Rounds(vec![
            [turn(1.0), turn(1.5)],
            [turn(10.0), turn(12.0)],
            [turn(2.0), turn(2.6)],
        ]);
        assert_eq!(rounds.ratio(), [1.2, 1.3, 1.5]);
        assert_eq!(rounds.summary(Subject::Raw).total, 2.0);
        assert_eq!(rounds.summary(Subject::Coracle).total, 2.6);
    }
}
