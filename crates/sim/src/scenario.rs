//! A scenario: who asks whom for what, and what goes wrong meanwhile, as plain data that can be drawn from a seed,
//! played, and made smaller.

mod chance;
mod connections;

use std::fmt;
use std::time::Duration;

use coracle_wire::Method;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::clock::Clock;
use crate::forgery::Forgery;
use crate::link::Link;
use crate::scenario::chance::Chance;
use crate::stream::Break;

pub use connections::Connections;

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
    /// The nodes talk over connections (RFC 8323), and not in datagrams.
    pub connections: Option<Connections>,
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
    /// A node looks whether another is there, on their connection.
    Ping {
        /// Who looks.
        from: usize,
        /// For whom.
        to: usize,
        /// It asks for custody (RFC 8323 §5.4.1); no application learns of that.
        custody: bool,
    },
    /// A node wants its connection with another to end (RFC 8323 §5.5).
    Release {
        /// Who.
        from: usize,
        /// With whom.
        to: usize,
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
    /// The application gives the body in parts, and takes that of the answer so.
    pub parts: bool,
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
    /// The connections between two nodes break.
    Break {
        /// When.
        at: Duration,
        /// Which nodes.
        nodes: [usize; 2],
        /// How.
        how: Break,
    },
}

impl Fault {
    /// When it is over.
    #[must_use]
    pub fn end(&self) -> Duration {
        match self {
            Fault::Outage { at, lasts } | Fault::Forge { at, lasts, .. } => *at + *lasts,
            Fault::Rebind { at, .. } | Fault::Break { at, .. } => *at,
            Fault::Crash { at, down, .. } => *at + *down,
        }
    }
}

/// The longest Max-Age that is drawn, in seconds.
pub(crate) const LONGEST_MAX_AGE: u64 = 600;

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
            connections: None,
            operations,
            faults,
        }
    }

    /// Whether all that is sent arrives, at least once, where it is to.
    #[must_use]
    pub fn loses_nothing(&self) -> bool {
        let forges = |fault: &Fault| matches!(fault, Fault::Forge { .. });
        let links = self.links.iter();
        let releases = |operation: &Operation| matches!(operation.action, Action::Release { .. });
        if self.connections.as_ref().is_some_and(Connections::end) || self.operations.iter().any(releases) {
            return false;
        }
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
        if let Some(connections) = &self.connections {
            write!(f, "{connections}")?;
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
    use crate::link::Bursts;

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
