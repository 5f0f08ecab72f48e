//! How scenarios are drawn: those of datagrams, and what those of connections have in common with them.

use std::time::Duration;

use coracle_engine::Instant;
use coracle_wire::Method;
use rand_chacha::ChaCha8Rng;

use crate::clock::Clock;
use crate::forgery::Forgery;
use crate::link::{Bursts, Link, chance, share};
use crate::scenario::{Action, Ask, Fault, Host, LARGEST_BLOCK, LONGEST_MAX_AGE, Observes, Operation};

/// The Max-Age values that are drawn, in seconds.
const MAX_AGES: [u64; 4] = [5, 30, 120, LONGEST_MAX_AGE];

/// Within this time everything begins, in milliseconds.
pub(super) const SPAN: u64 = 120_000;

/// MAX_LATENCY (RFC 7252 §4.8.2) in milliseconds, of which other delays are the rest.
const MAX_LATENCY: u64 = 90_000;

/// Where a scenario is drawn from.
pub(super) struct Chance(pub(super) ChaCha8Rng);

impl Chance {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "small numbers"
    )]
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (share(&mut self.0) * bound as f64) as usize
    }

    pub(super) fn millis(&mut self, bound: u64) -> Duration {
        Duration::from_millis(bound).mul_f64(share(&mut self.0))
    }

    pub(super) fn one_in(&mut self, times: u32) -> bool {
        chance(&mut self.0, 1.0 / f64::from(times))
    }

    pub(super) fn up_to(&mut self, most: f64) -> f64 {
        share(&mut self.0) * most
    }

    pub(super) fn link(&mut self) -> Link {
        let mut link = Link::perfect().with_latency(Duration::from_millis(1) + self.millis(400));
        if self.one_in(2) {
            link = link.with_loss(self.up_to(0.3));
        }
        if self.one_in(3) {
            link = link.with_bursts(Bursts {
                begin: self.up_to(0.1),
                end: 0.1 + self.up_to(0.4),
                loss: 0.5 + self.up_to(0.5),
            });
        }
        if self.one_in(2) {
            link = link.with_duplication(self.up_to(0.3));
        }
        if self.one_in(2) {
            link = link.with_jitter(self.millis(3_000));
        }
        if self.one_in(3) {
            link = link.with_reordering(self.up_to(0.3), self.millis(5_000));
        }
        if self.one_in(3) {
            let late = if self.one_in(2) { MAX_LATENCY } else { 10_000 };
            link = link.with_late_copies(self.up_to(0.3), Duration::from_millis(late));
        }
        if self.one_in(12) {
            link = link.with_mtu(100 + self.below(1_100));
        }
        link
    }

    /// Clocks are up to 5 % off when they are.
    pub(super) fn host(&mut self, skewed: bool) -> Host {
        let start = Instant::from_micros(1_000_000) + self.millis(10_000_000);
        let drift = i32::try_from(self.below(100_001)).unwrap_or(0) - 50_000;
        let szx = u8::try_from(2 + self.below(5)).unwrap_or(LARGEST_BLOCK);
        Host {
            clock: Clock::new(start, if skewed { drift } else { 0 }),
            block_szx: if self.one_in(3) { szx } else { LARGEST_BLOCK },
            streams: self.one_in(4),
        }
    }

    pub(super) fn operations(&mut self, nodes: usize) -> Vec<Operation> {
        let count = 3 + self.below(22);
        let mut operations: Vec<Operation> = Vec::new();
        while operations.len() < count {
            let at = self.millis(SPAN);
            let mut add = |at, action| {
                let number = u32::try_from(operations.len()).unwrap_or(u32::MAX);
                operations.push(Operation { number, at, action });
                number
            };
            match self.below(10) {
                0..6 => drop(add(at, Action::Ask(self.ask(nodes)))),
                6..9 => {
                    let ask = self.observation(nodes);
                    let (node, topic) = (ask.to, ask.observes.as_ref().map_or(0, |observes| observes.topic));
                    let operation = add(at, Action::Ask(ask));
                    for _ in 0..self.below(6) {
                        let pause = if self.one_in(2) { 2_000 } else { 40_000 };
                        add(at + self.millis(pause), Action::Change { node, topic });
                    }
                    if self.one_in(4) {
                        add(at + self.millis(60_000), Action::Cancel { operation });
                    }
                }
                _ => {
                    let operation = add(at, Action::Ask(self.ask(nodes)));
                    add(at + self.millis(10_000), Action::Cancel { operation });
                }
            }
        }
        operations
    }

    /// Two nodes.
    pub(super) fn pair(&mut self, nodes: usize) -> (usize, usize) {
        let from = self.below(nodes);
        let to = (from + 1 + self.below(nodes - 1)) % nodes;
        (from, to)
    }

    /// Mostly what fits into a message; sometimes what takes some blocks.
    pub(super) fn length(&mut self, long: u32) -> usize {
        if self.one_in(long) {
            1_025 + self.below(5_000)
        } else {
            self.below(80)
        }
    }

    pub(super) fn ask(&mut self, nodes: usize) -> Ask {
        const METHODS: [Method; 7] = [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::FETCH,
            Method::PATCH,
            Method::IPATCH,
        ];
        let (from, to) = self.pair(nodes);
        let method = METHODS
            .get(self.below(METHODS.len()))
            .copied()
            .unwrap_or(Method::GET);
        let has_body = method != Method::GET && method != Method::DELETE;
        let takes = match self.below(6) {
            0..3 => Duration::ZERO,
            3..5 => self.millis(4_000),
            _ => self.millis(20_000),
        };
        Ask {
            from,
            to,
            method,
            confirmable: !self.one_in(4),
            body: if has_body { self.length(3) } else { 0 },
            answer: self.length(3),
            takes,
            observes: None,
            parts: false,
        }
    }

    pub(super) fn observation(&mut self, nodes: usize) -> Ask {
        let (from, to) = self.pair(nodes);
        let max_age = MAX_AGES.get(self.below(MAX_AGES.len())).copied().unwrap_or(60);
        let confirmable = [None, Some(true), Some(false)];
        let fetch = self.one_in(5);
        Ask {
            from,
            to,
            method: if fetch { Method::FETCH } else { Method::GET },
            confirmable: !self.one_in(3),
            body: if fetch { self.length(8) } else { 0 },
            answer: self.length(6),
            takes: if self.one_in(4) {
                self.millis(4_000)
            } else {
                Duration::ZERO
            },
            observes: Some(Observes {
                topic: self.below(2) as u64,
                max_age: Duration::from_secs(max_age),
                confirmable: confirmable.get(self.below(3)).copied().flatten(),
            }),
            parts: false,
        }
    }

    pub(super) fn fault(&mut self, nodes: usize) -> Fault {
        let at = self.millis(SPAN);
        match self.below(6) {
            4.. => Fault::Forge {
                at,
                lasts: self.millis(120_000),
                node: self.below(nodes),
                forgery: *Forgery::ALL
                    .get(self.below(Forgery::ALL.len()))
                    .unwrap_or(&Forgery::AnswerWithGuessedId),
            },
            0 => Fault::Outage {
                at,
                lasts: if self.one_in(2) {
                    self.millis(10_000)
                } else {
                    self.millis(150_000)
                },
            },
            1 | 2 => Fault::Rebind {
                at,
                node: self.below(nodes),
            },
            3 => Fault::Crash {
                at,
                node: self.below(nodes),
                down: self.millis(60_000),
            },
        }
    }
}
