//! What happened in a run, as applications saw it: what [`judge`](crate::judge()) reads.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use coracle_engine::Instant;
use coracle_wire::Method;

use crate::messages::Rule;

/// What the payload of an answer tells about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Says {
    /// The request that it answers.
    pub request: u32,
    /// The execution that made it, or that registered the observer.
    pub execution: u32,
    /// The number of the state that it shows.
    pub state: u64,
    /// All its bytes are there and in order.
    pub intact: bool,
}

/// Something that happened. Nodes, requests, executions, topics and states are numbers; requests and executions each
/// have one of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A node began a request.
    Asked {
        /// The request.
        request: u32,
        /// Who asks.
        by: usize,
        /// Who is asked.
        of: usize,
        /// The method.
        method: Method,
        /// In confirmable messages.
        confirmable: bool,
        /// What it wants to observe.
        observes: Option<u64>,
        /// How long what it is told then is fresh.
        max_age: Duration,
    },
    /// A request was given to the application of a node, which did what it says.
    Executed {
        /// The request.
        request: u32,
        /// This execution of it.
        execution: u32,
        /// Who executed it.
        by: usize,
        /// Where the request came from.
        from: SocketAddr,
        /// The body of the request was as it was sent.
        intact: bool,
    },
    /// An answer came, or a notification.
    Answered {
        /// The request.
        request: u32,
        /// What the answer tells; `None` when it is the engine's and no application's.
        says: Option<Says>,
        /// More follow.
        more: bool,
    },
    /// A request ended without an answer.
    Failed {
        /// The request.
        request: u32,
        /// Nothing of it had left, for sure.
        unsent: bool,
    },
    /// A request went on a connection.
    Went {
        /// The request.
        request: u32,
        /// The connection.
        connection: usize,
    },
    /// A node was told that a connection is gone, and its application everything that came of that.
    Disconnected {
        /// Which node.
        node: usize,
        /// Which connection.
        connection: usize,
    },
    /// A node still works for the other side of a connection that is gone.
    Orphaned {
        /// Which.
        node: usize,
    },
    /// An observer was told that what it knows is too old.
    Stale {
        /// The request.
        request: u32,
    },
    /// Who asked wants no answer any more.
    Cancelled {
        /// The request.
        request: u32,
    },
    /// A state changed.
    Changed {
        /// Whose.
        node: usize,
        /// Which.
        topic: u64,
        /// Its number now: higher than before, after crashes too.
        state: u64,
    },
    /// A node put an observer on its list.
    Registered {
        /// The request.
        request: u32,
        /// The execution of it.
        execution: u32,
        /// Whose list.
        by: usize,
    },
    /// A node took an observer off its list.
    Deregistered {
        /// The request.
        request: u32,
        /// The execution that had registered it.
        execution: u32,
    },
    /// A node is seen under another address.
    Rebound {
        /// Which.
        node: usize,
    },
    /// A node lost all its state.
    Crashed {
        /// Which.
        node: usize,
    },
    /// The network has been well for so long that a server should have told those on its list the latest state.
    Settled,
    /// The network has been well for longer than any Max-Age: who observes should have the latest state.
    Renewed,
    /// A node did not keep a rule for messages.
    Broke {
        /// Which.
        node: usize,
        /// The rule.
        rule: Rule,
    },
    /// At the end, when nothing has been under way for longer than any lifetime, a node still keeps something.
    Remains {
        /// Which.
        node: usize,
    },
}

/// All that happened in a run, in order.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// What, and when by the network's clock.
    pub entries: Vec<(Instant, Happening)>,
    /// How long a datagram travels at most.
    pub longest_travel: Duration,
    /// The nodes have little memory, and take the leave of RFC 7252 §4.5 to execute idempotent requests again.
    pub short_of_memory: bool,
    /// The nodes talk over connections.
    pub connections: bool,
    /// Nothing was lost, nobody crashed, nobody's address changed, and no message was taken for another's copy.
    pub nothing_lost: bool,
}

impl History {
    pub(crate) fn push(&mut self, at: Instant, happening: Happening) {
        self.entries.push((at, happening));
    }

    /// Counts what happened.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for (_, happening) in &self.entries {
            totals.unknown += u64::from(matches!(happening, Happening::Failed { unsent: false, .. }));
            let counter = match happening {
                Happening::Asked { .. } => &mut totals.exchanges,
                Happening::Executed { .. } => &mut totals.executed,
                Happening::Answered { more: true, .. } => &mut totals.notifications,
                Happening::Answered { says: None, .. } => &mut totals.refused,
                Happening::Answered { .. } => &mut totals.answered,
                Happening::Failed { .. } => &mut totals.failed,
                Happening::Cancelled { .. } => &mut totals.cancelled,
                Happening::Crashed { .. } => &mut totals.crashes,
                Happening::Rebound { .. } => &mut totals.rebindings,
                Happening::Disconnected { .. } => &mut totals.disconnections,
                _ => continue,
            };
            *counter += 1;
        }
        totals
    }
}

/// How often things happened in one run or in many.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Requests that applications made, observations included.
    pub exchanges: u64,
    /// Requests that were answered by an application, notifications aside.
    pub answered: u64,
    /// Requests that the other side's engine refused.
    pub refused: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that were cancelled by who made them.
    pub cancelled: u64,
    /// Requests that were handed to an application.
    pub executed: u64,
    /// Notifications that were handed to an application, first answers included.
    pub notifications: u64,
    /// Crashes of nodes.
    pub crashes: u64,
    /// Addresses that changed.
    pub rebindings: u64,
    /// Connections that ended, for one of their sides.
    pub disconnections: u64,
    /// Requests that failed of which it is unknown whether they were executed.
    pub unknown: u64,
    /// Messages that were written on connections.
    pub frames: u64,
    /// Datagrams that were sent.
    pub datagrams: u64,
    /// The worst ratio of bytes sent to an address over bytes received from it
    /// ([`Network::worst_amplification`](crate::Network::worst_amplification)).
    pub worst_amplification: f64,
}

impl Totals {
    /// Adds those of another run.
    pub fn add(&mut self, other: &Totals) {
        self.exchanges += other.exchanges;
        self.answered += other.answered;
        self.refused += other.refused;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.executed += other.executed;
        self.notifications += other.notifications;
        self.crashes += other.crashes;
        self.rebindings += other.rebindings;
        self.disconnections += other.disconnections;
        self.unknown += other.unknown;
        self.frames += other.frames;
        self.datagrams += other.datagrams;
        self.worst_amplification = self.worst_amplification.max(other.worst_amplification);
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "exchanges      {:>12}   answered {}, refused {}, failed {} ({} perhaps executed), cancelled {}",
            self.exchanges, self.answered, self.refused, self.failed, self.unknown, self.cancelled
        )?;
        writeln!(f, "executed       {:>12}", self.executed)?;
        writeln!(f, "notifications  {:>12}", self.notifications)?;
        writeln!(f, "datagrams      {:>12}", self.datagrams)?;
        writeln!(
            f,
            "connections    {:>12}   ends of them, {} messages",
            self.disconnections, self.frames
        )?;
        writeln!(f, "crashes        {:>12}", self.crashes)?;
        writeln!(f, "rebindings     {:>12}", self.rebindings)?;
        write!(
            f,
            "worst amplification {:>7.1}   bytes sent to an address over bytes received from it",
            self.worst_amplification
        )
    }
}
