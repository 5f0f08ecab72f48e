//! Scenarios whose nodes talk over connections (RFC 8323).

use std::fmt;
use std::time::Duration;

use coracle_engine::{ConnectionParameters, MissingCsm};
use coracle_wire::Framing;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::link::Link;
use crate::pipe::Pipe;
use crate::scenario::chance::{Chance, SPAN};
use crate::scenario::{Action, DRAWING, Fault, Operation, Scenario};
use crate::stream::Break;

/// How the connections of a scenario are.
#[derive(Clone, Debug, PartialEq)]
pub struct Connections {
    /// What happens to their bytes.
    pub pipe: Pipe,
    /// The settings of each node.
    pub parameters: Vec<ConnectionParameters>,
}

/// Apart from scenarios of datagrams.
const OF_CONNECTIONS: u64 = 0x0000_8323_0000_0000;

/// Bytes a second with which everything comes in time.
const FAST: u128 = 2_000;

impl Connections {
    /// Whether connections may end though nobody and nothing ends them.
    pub(crate) fn end(&self) -> bool {
        let pipe = self.pipe;
        let idles = |parameters: &ConnectionParameters| parameters.idle_after.is_some();
        let slow = |bytes: usize, time: Duration| bytes as u128 * 1_000 < FAST * time.as_millis();
        let reads_slowly = slow(pipe.reads, pipe.pause);
        let travels_slowly = slow(pipe.capacity, pipe.latency + pipe.jitter);
        pipe.breaks > 0.0 || reads_slowly || travels_slowly || self.parameters.iter().any(idles)
    }
}

impl Scenario {
    /// Draws a scenario whose nodes talk over connections. Half of what may go wrong does.
    #[must_use]
    pub fn draw_connections(seed: u64) -> Scenario {
        let mut chance = Chance(ChaCha8Rng::seed_from_u64(seed ^ DRAWING ^ OF_CONNECTIONS));
        let nodes = 2 + chance.below(2);
        let connections = Connections {
            pipe: chance.pipe(),
            parameters: (0..nodes).map(|_| chance.parameters()).collect(),
        };
        let constrained = chance.one_in(8);
        let skewed = chance.one_in(2);
        let hosts = (0..nodes).map(|_| chance.host(skewed)).collect();
        let mut operations = chance.operations(nodes);
        chance.make_longer(&mut operations);
        let more = if chance.one_in(2) { chance.below(6) } else { 0 };
        for _ in 0..more {
            let number = u32::try_from(operations.len()).unwrap_or(u32::MAX);
            let (at, (from, to)) = (chance.millis(SPAN), chance.pair(nodes));
            let action = match chance.below(5) {
                0 | 1 => Action::Release { from, to },
                which => Action::Ping {
                    from,
                    to,
                    custody: which > 2,
                },
            };
            operations.push(Operation { number, at, action });
        }
        operations.sort_by_key(|operation| operation.at);
        let faults = if chance.one_in(3) { 0 } else { chance.below(4) };
        let faults = (0..faults).map(|_| chance.fault_of_connections(nodes)).collect();
        Scenario {
            seed,
            constrained,
            nodes: hosts,
            links: [Link::perfect(); 2],
            connections: Some(connections),
            operations,
            faults,
        }
    }
}

impl Chance {
    fn pipe(&mut self) -> Pipe {
        let framing = if self.one_in(3) {
            Framing::WebSocket
        } else {
            Framing::Tcp
        };
        let latency = Duration::from_millis(1) + self.millis(400);
        let mut pipe = Pipe::perfect(framing).with_travel(latency, Duration::ZERO);
        if self.one_in(2) {
            pipe = pipe.with_travel(latency, self.millis(2_000));
        }
        if self.one_in(2) {
            // With little room a way that is blocked is soon full.
            let most = if self.one_in(2) { 300 } else { 8_000 };
            pipe = pipe.with_capacity(64 + self.below(most), 1 + self.below(600));
        }
        if self.one_in(3) {
            pipe = pipe.with_slow_readers(64 + self.below(4_000), self.millis(1_000));
        }
        if self.one_in(2) {
            let within = if self.one_in(2) { 2_000 } else { 40_000 };
            pipe = pipe.with_breaks(self.up_to(1.0), within);
        }
        pipe
    }

    fn parameters(&mut self) -> ConnectionParameters {
        let mut parameters = ConnectionParameters::default();
        let small = u32::try_from(self.below(8_000)).unwrap_or(0);
        match self.below(3) {
            0 => parameters.max_message_size = 1_152,
            1 => parameters.max_message_size = 1_152 + small,
            _ => {}
        }
        parameters.missing_csm = match self.below(4) {
            0 => MissingCsm::Tolerate,
            1 => MissingCsm::WaitFor(self.millis(4_000)),
            _ => MissingCsm::Refuse,
        };
        if self.one_in(3) {
            parameters.ping_after = Some(Duration::from_secs(5) + self.millis(60_000));
        }
        if self.one_in(12) {
            parameters.idle_after = Some(Duration::from_secs(1) + self.millis(60_000));
        }
        parameters
    }

    /// Bodies of many blocks, and some that their applications give and take in parts.
    fn make_longer(&mut self, operations: &mut [Operation]) {
        for operation in operations {
            let Action::Ask(ask) = &mut operation.action else {
                continue;
            };
            if self.one_in(4) {
                let len = self.below(40_000);
                match self.below(3) {
                    0 if ask.body > 0 => ask.body = len,
                    1 => ask.answer = len,
                    _ => {}
                }
            }
            ask.parts = ask.observes.is_none() && self.one_in(4);
        }
    }

    fn fault_of_connections(&mut self, nodes: usize) -> Fault {
        let at = self.millis(SPAN);
        let (node, other) = self.pair(nodes);
        match self.below(6) {
            0 => Fault::Outage {
                at,
                lasts: match self.one_in(2) {
                    true => self.millis(10_000),
                    false => self.millis(150_000),
                },
            },
            1 => Fault::Crash {
                at,
                node,
                down: self.millis(60_000),
            },
            2 => Fault::Break {
                at,
                nodes: [node, other],
                how: Break::Vanish,
            },
            _ => Fault::Break {
                at,
                nodes: [node, other],
                how: Break::Reset,
            },
        }
    }
}

impl fmt::Display for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  connections: {:?}", self.pipe)?;
        for (node, parameters) in self.parameters.iter().enumerate() {
            writeln!(f, "  node {node}: {parameters:?}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it is called, and which are meant.
    type Kind<T> = (&'static str, fn(&T) -> bool);

    fn scenarios() -> Vec<Scenario> {
        (0..1_000).map(Scenario::draw_connections).collect()
    }

    #[track_caller]
    fn assert_drawn(what: &str, which: impl Fn(&Scenario) -> bool) {
        let count = scenarios().iter().filter(|scenario| which(scenario)).count();
        assert!(count >= 50, "{what}: only {count} of 1,000 scenarios");
    }

    /// Each kind of pipe is drawn often enough for a thousand seeds to try it many times.
    #[test]
    fn every_pipe_is_drawn() {
        let pipes: [Kind<Pipe>; 5] = [
            ("WebSocket", |pipe| pipe.framing == Framing::WebSocket),
            ("breaks at any byte", |pipe| pipe.breaks > 0.0),
            ("segments", |pipe| pipe.segment < 200),
            ("slow readers", |pipe| !pipe.pause.is_zero()),
            ("little room", |pipe| pipe.capacity < 1_152),
        ];
        for (what, which) in pipes {
            assert_drawn(what, |scenario| {
                let connections = scenario.connections.as_ref();
                connections.is_some_and(|connections| which(&connections.pipe))
            });
        }
        let parameters: [Kind<ConnectionParameters>; 3] = [
            ("base messages", |of| of.max_message_size == 1_152),
            ("idle connections", |of| of.idle_after.is_some()),
            ("no CSM is waited for", |of| {
                of.missing_csm == MissingCsm::Tolerate
            }),
        ];
        for (what, which) in parameters {
            assert_drawn(what, |scenario| {
                let all = scenario.connections.iter();
                all.flat_map(|connections| &connections.parameters).any(which)
            });
        }
    }

    #[test]
    fn everything_is_done_on_them() {
        let actions: [Kind<Action>; 6] = [
            ("release", |action| matches!(action, Action::Release { .. })),
            ("ping", |action| {
                matches!(action, Action::Ping { custody: false, .. })
            }),
            ("custody", |action| {
                matches!(action, Action::Ping { custody: true, .. })
            }),
            (
                "parts",
                |action| matches!(action, Action::Ask(ask) if ask.parts && ask.body > 1_024),
            ),
            (
                "upload",
                |action| matches!(action, Action::Ask(ask) if ask.body > 10_000),
            ),
            (
                "download",
                |action| matches!(action, Action::Ask(ask) if ask.answer > 10_000),
            ),
        ];
        for (what, which) in actions {
            assert_drawn(what, |scenario| {
                scenario
                    .operations
                    .iter()
                    .any(|operation| which(&operation.action))
            });
        }
        let is = |fault: &Fault, which| matches!(fault, Fault::Break { how, .. } if *how == which);
        assert_drawn("reset", |scenario| {
            scenario.faults.iter().any(|fault| is(fault, Break::Reset))
        });
        assert_drawn("vanishing", |scenario| {
            scenario.faults.iter().any(|fault| is(fault, Break::Vanish))
        });
        assert_drawn("nothing ends them", Scenario::loses_nothing);
        assert_drawn("small nodes", |scenario| scenario.constrained);
    }
}
