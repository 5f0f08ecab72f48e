//! A scenario: who asks whom for what, and what goes wrong meanwhile, as plain data that can be drawn from a seed,
//! played, and made smaller.

use std::fmt;
use std::time::Duration;

use coracle_engine::Instant;
use coracle_wire::Method;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::clock::Clock;
use crate::forgery::Forgery;
use crate::link::{Bursts, Link, chance, share};

/// A run as data. The same scenario comes out the same.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Scenario {
    /// Of the chance in the network and in the endpoints.
    pub seed: u64,
    /// The nodes have the memory of microcontrollers ([`Config::constrained`](coracle_engine::Config::constrained)).
    pub constrained: bool,
    /// The nodes; each is client and server.
    pub nodes: Vec<Host>,
    /// The way from nodes to others of a higher number, and the way back.
    pub links: [Link; 2],
    /// What applications do, in the order of time.
    pub operations: Vec<Operation>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

/// A node, and how it differs from others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Host {
    /// Its clock.
    pub clock: Clock,
    /// The size of blocks that it prefers, as an exponent: 0 for 16 bytes to 6 for 1,024 (RFC 7959 §2.2).
    pub block_szx: u8,
    /// Its application takes bodies in blocks one by one.
    pub streams: bool,
}

/// Something that an application does.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Its number, which stays when others are taken away; that of the request, if it is one.
    pub number: u32,
    /// When, from the start.
    pub at: Duration,
    /// What.
    pub action: Action,
}

/// What an application does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// One node asks another.
    Ask(Ask),
    /// Whoever made a request or an observation wants it no more.
    Cancel {
        /// The number of its operation.
        operation: u32,
    },
    /// A state of a node changes.
    Change {
        /// Whose.
        node: usize,
        /// Which.
        topic: u64,
    },
}

/// A request, and what its answer will be like.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Who asks.
    pub from: usize,
    /// Who is asked.
    pub to: usize,
    /// The method.
    pub method: Method,
    /// In a confirmable message.
    pub confirmable: bool,
    /// The length of the request's body in bytes; longer than a block it goes in blocks.
    pub body: usize,
    /// The length of the answer's body in bytes, at least what says whose it is.
    pub answer: usize,
    /// How long the application of the server takes; zero answers at once.
    pub takes: Duration,
    /// It observes.
    pub observes: Option<Observes>,
}

/// How a request observes.
#[derive(Clone, Debug, PartialEq)]
pub struct Observes {
    /// Which state.
    pub topic: u64,
    /// How long what it is told is fresh.
    pub max_age: Duration,
    /// The type of notifications: confirmable, not, or as the request.
    pub confirmable: Option<bool>,
}

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Nothing arrives for a while.
    Outage {
        /// From when.
        at: Duration,
        /// How long.
        lasts: Duration,
    },
    /// A node is seen under another address.
    Rebind {
        /// When.
        at: Duration,
        /// Which.
        node: usize,
    },
    /// A node crashes and is started again.
    Crash {
        /// When.
        at: Duration,
        /// Which.
        node: usize,
        /// How long it is down.
        down: Duration,
    },
    /// Somebody forges something about each message that a node sends.
    Forge {
        /// From when.
        at: Duration,
        /// How long.
        lasts: Duration,
        /// Which.
        node: usize,
        /// What.
        forgery: Forgery,
    },
}

impl Fault {
    /// When it is over.
    #[must_use]
    pub fn end(&self) -> Duration {
        match self {
            Fault::Outage { at, lasts } | Fault::Forge { at, lasts, .. } => *at + *lasts,
            Fault::Rebind { at, .. } => *at,
            Fault::Crash { at, down, .. } => *at + *down,
        }
    }
}

/// The Max-Age values that are drawn, in seconds.
const MAX_AGES: [u64; 4] = [5, 30, 120, LONGEST_MAX_AGE];

/// The longest Max-Age that is drawn, in seconds.
pub(crate) const LONGEST_MAX_AGE: u64 = 600;

/// Within this time everything begins, in milliseconds.
const SPAN: u64 = 120_000;

/// MAX_LATENCY (RFC 7252 §4.8.2) in milliseconds, of which other delays are the rest.
const MAX_LATENCY: u64 = 90_000;

/// The size exponent of the largest blocks.
pub(crate) const LARGEST_BLOCK: u8 = 6;

/// Apart from the network's own chance.
const DRAWING: u64 = 0x5ce0_a410_0000_0000;

impl Scenario {
    /// Draws a scenario. Half of what may go wrong does.
    #[must_use]
    pub fn draw(seed: u64) -> Scenario {
        let mut chance = Chance(ChaCha8Rng::seed_from_u64(seed ^ DRAWING));
        let nodes = 2 + chance.below(3);
        let there = chance.link();
        let back = if chance.one_in(3) { chance.link() } else { there };
        let constrained = chance.one_in(8);
        // Who is short of memory forgets message IDs, and takes late copies for what is new.
        let timely = |link: Link| link.with_late_copies(0.0, Duration::ZERO);
        let links = [there, back].map(|link| if constrained { timely(link) } else { link });
        let skewed = chance.one_in(2);
        let hosts = (0..nodes).map(|_| chance.host(skewed)).collect();
        let mut operations = chance.operations(nodes);
        operations.sort_by_key(|operation| operation.at);
        let faults = (0..chance.below(4)).map(|_| chance.fault(nodes)).collect();
        Scenario {
            seed,
            constrained,
            nodes: hosts,
            links,
            operations,
            faults,
        }
    }

    /// Whether all that is sent arrives, at least once, where it is to.
    #[must_use]
    pub fn loses_nothing(&self) -> bool {
        let forges = |fault: &Fault| matches!(fault, Fault::Forge { .. });
        let links = self.links.iter();
        self.faults.iter().all(forges)
            && !links.clone().any(Link::loses)
            && links.clone().all(|link| link.mtu == usize::MAX)
    }

    /// How long after its start all that it does and all that goes wrong is over.
    #[must_use]
    pub fn length(&self) -> Duration {
        let operations = self.operations.iter().map(|operation| operation.at);
        let faults = self.faults.iter().map(Fault::end);
        operations.chain(faults).max().unwrap_or_default()
    }
}

/// Where a scenario is drawn from.
struct Chance(ChaCha8Rng);

impl Chance {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "small numbers"
    )]
    fn below(&mut self, bound: usize) -> usize {
        (share(&mut self.0) * bound as f64) as usize
    }

    fn millis(&mut self, bound: u64) -> Duration {
        Duration::from_millis(bound).mul_f64(share(&mut self.0))
    }

    fn one_in(&mut self, times: u32) -> bool {
        chance(&mut self.0, 1.0 / f64::from(times))
    }

    fn up_to(&mut self, most: f64) -> f64 {
        share(&mut self.0) * most
    }

    fn link(&mut self) -> Link {
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
    fn host(&mut self, skewed: bool) -> Host {
        let start = Instant::from_micros(1_000_000) + self.millis(10_000_000);
        let drift = i32::try_from(self.below(100_001)).unwrap_or(0) - 50_000;
        let szx = u8::try_from(2 + self.below(5)).unwrap_or(LARGEST_BLOCK);
        Host {
            clock: Clock::new(start, if skewed { drift } else { 0 }),
            block_szx: if self.one_in(3) { szx } else { LARGEST_BLOCK },
            streams: self.one_in(4),
        }
    }

    fn operations(&mut self, nodes: usize) -> Vec<Operation> {
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
    fn pair(&mut self, nodes: usize) -> (usize, usize) {
        let from = self.below(nodes);
        let to = (from + 1 + self.below(nodes - 1)) % nodes;
        (from, to)
    }

    /// Mostly what fits into a message; sometimes what takes some blocks.
    fn length(&mut self, long: u32) -> usize {
        if self.one_in(long) {
            1_025 + self.below(5_000)
        } else {
            self.below(80)
        }
    }

    fn ask(&mut self, nodes: usize) -> Ask {
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
        }
    }

    fn observation(&mut self, nodes: usize) -> Ask {
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
        }
    }

    fn fault(&mut self, nodes: usize) -> Fault {
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

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = if self.constrained {
            ", constrained nodes"
        } else {
            ""
        };
        writeln!(f, "scenario of seed {}{memory}", self.seed)?;
        for (node, host) in self.nodes.iter().enumerate() {
            writeln!(
                f,
                "  node {node}: its clock begins at {} us and runs {} ppm fast, blocks of {} bytes{}",
                host.clock.start.as_micros(),
                host.clock.drift_ppm,
                16_u32 << host.block_szx.min(LARGEST_BLOCK),
                if host.streams {
                    ", takes them one by one"
                } else {
                    ""
                }
            )?;
        }
        let [there, back] = &self.links;
        writeln!(f, "  to higher numbers: {there:?}")?;
        if there != back {
            writeln!(f, "  to lower numbers:  {back:?}")?;
        }
        for operation in &self.operations {
            writeln!(
                f,
                "  {:>8.3} s  operation {}: {:?}",
                operation.at.as_secs_f64(),
                operation.number,
                operation.action
            )?;
        }
        for fault in &self.faults {
            writeln!(f, "  {fault:?}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_scenario_and_another_seed_another() {
        assert_eq!(Scenario::draw(1), Scenario::draw(1));
        assert_ne!(Scenario::draw(1).operations, Scenario::draw(2).operations);
    }

    /// Each kind of thing is drawn often enough for a thousand seeds to try it many times.
    #[test]
    fn everything_is_drawn() {
        let scenarios: Vec<Scenario> = (0..1_000).map(Scenario::draw).collect();
        let scenarios_with =
            |which: &dyn Fn(&Scenario) -> bool| scenarios.iter().filter(|s| which(s)).count();
        let fault = |which: fn(&Fault) -> bool| scenarios_with(&|s| s.faults.iter().any(which));
        let ask = |which: fn(&Ask) -> bool| {
            scenarios_with(&|s| {
                let mut actions = s.operations.iter().map(|operation| &operation.action);
                actions.any(|action| matches!(action, Action::Ask(ask) if which(ask)))
            })
        };
        for (what, count) in [
            ("outage", fault(|fault| matches!(fault, Fault::Outage { .. }))),
            ("rebinding", fault(|fault| matches!(fault, Fault::Rebind { .. }))),
            ("forgery", fault(|fault| matches!(fault, Fault::Forge { .. }))),
            ("nothing lost", scenarios_with(&Scenario::loses_nothing)),
            ("late copies", scenarios_with(&|s| s.links[0].late_copies > 0.0)),
            ("crash", fault(|fault| matches!(fault, Fault::Crash { .. }))),
            (
                "skew",
                scenarios_with(&|s| s.nodes.iter().any(|host| host.clock.drift_ppm != 0)),
            ),
            ("asymmetry", scenarios_with(&|s| s.links[0] != s.links[1])),
            ("bursts", scenarios_with(&|s| s.links[0].bursts != Bursts::NONE)),
            ("a small MTU", scenarios_with(&|s| s.links[0].mtu < 1_200)),
            (
                "small blocks",
                scenarios_with(&|s| s.nodes.iter().any(|host| host.block_szx < 4)),
            ),
            (
                "streams",
                scenarios_with(&|s| s.nodes.iter().any(|host| host.streams)),
            ),
            ("small nodes", scenarios_with(&|s| s.constrained)),
            ("four nodes", scenarios_with(&|s| s.nodes.len() == 4)),
            ("PATCH", ask(|ask| ask.method == Method::PATCH)),
            ("upload", ask(|ask| ask.body > 1_024)),
            ("download", ask(|ask| ask.answer > 1_024)),
            ("both", ask(|ask| ask.body > 1_024 && ask.answer > 1_024)),
            ("separate response", ask(|ask| ask.takes > Duration::from_secs(2))),
            ("observation", ask(|ask| ask.observes.is_some())),
            (
                "long notifications",
                ask(|ask| ask.observes.is_some() && ask.answer > 1_024),
            ),
        ] {
            assert!(count >= 50, "{what}: only {count} of 1,000 scenarios");
        }
    }
}
