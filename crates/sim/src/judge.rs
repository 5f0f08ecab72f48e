//! Judges the history of a run against what an endpoint promises.
//!
//! The promises, as strict as they are true:
//!
//! - **At most once** (RFC 7252 §4.5). A request that is not safe is executed at most once by one life of its server
//!   for one address of its client. A server that crashed has no memory and may execute a retransmission again, once;
//!   so may one whose client is seen under another address, because it cannot tell that it is the same client. One that
//!   is short of memory takes the leave of RFC 7252 §4.5 for idempotent requests, never for others. Nothing is executed
//!   later after the request's end than a datagram travels.
//! - **Exactly once if answered.** An answer tells of an execution of its own request that took place before; after an
//!   answer, a failure or a cancellation nothing more comes of a request.
//! - **No mistaken answers.** An answer is that of the request that it is given for, with all its bytes (RFC 7252
//!   §5.3.2, RFC 7959 §2.4). Only where the server executed a request that is not safe again between the blocks of its
//!   answer, as it may after a crash or for lack of memory, may they be of both: such answers have no ETag that would
//!   tell (RFC 7252 §5.10.6.1).
//! - **Every request ends**, except those of a client that crashed.
//! - **Observers end with the latest state** (RFC 7641 §1.3, §4.5). When the network has been well for a while, an
//!   observer that is on its server's list under its present address knows the latest state. One that the server took
//!   off, because it crashed or because it could not reach the observer, may know an older state only for the Max-Age
//!   of that; then it has the latest, knows that what it has is stale, or was told the end.
//!   And it registers anew by itself when that is over (RFC 7641 §3.3.1).
//! - **Observers never go back** to an older state (RFC 7641 §3.4), unless what their server sent before a crash is
//!   still on its way: it counts anew.
//! - **Confirmable requests are answered** where nothing is lost, except by who is short of memory.
//! - **Messages keep their rules** (RFC 7252 §4.2, §4.4): nobody sends one more often or earlier than retransmission
//!   allows, nobody gives an ID to two messages, and each confirmable one is acknowledged or rejected in time. The
//!   acknowledgement of a registration may wait for that of its confirmable answer, which a copy brings again (§5.2.2).
//! - **On connections** (RFC 8323) nothing comes twice: a request that is not safe is executed at most once by all lives of
//!   all servers, and never if who asked was told that nothing of it had left. With a connection end the requests that
//!   went on it, the work for its other side, and the observations of that. What is written keeps the rules of its
//!   messages.
//! - **Nothing remains** when all has ended and the lifetimes are over.

mod complaint;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use coracle_engine::Instant;
use coracle_wire::Method;

use crate::history::{Happening, History, Says};

pub use complaint::Complaint;

/// All complaints about a history, in the order in which they come up, and when they do.
#[must_use]
pub fn judge(history: &History) -> Vec<(Instant, Complaint)> {
    let mut judge = Judge {
        longest_travel: history.longest_travel,
        short_of_memory: history.short_of_memory,
        nothing_lost: history.nothing_lost,
        connections: history.connections,
        ..Judge::default()
    };
    for (at, happening) in &history.entries {
        judge.now = *at;
        judge.hear(*at, *happening);
    }
    judge.close();
    judge.complaints
}

/// In a network that is well, an observer whose state is stale has registered anew after this time: it waits for 15 s at
/// most and sends what is lost again for 93 s, and its clock may be slow.
const RENEWED_IN: Duration = Duration::from_secs(120);

/// In place of the address from which was asked: on connections none is another client.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Rounding of clocks, which run 5 % slow at most.
const AWARE_IN: Duration = Duration::from_millis(100);

struct Asked {
    by: usize,
    of: usize,
    method: Method,
    confirmable: bool,
    observes: Option<u64>,
    max_age: Duration,
    /// When it was told what it knows, unless it knows that this is stale.
    told_at: Option<Instant>,
    ended: Option<Instant>,
    /// The connection on which it went.
    connection: Option<usize>,
    /// Who asked was told that nothing of it had left.
    unsent: bool,
    executed: bool,
    /// The state that its observer knows.
    knows: Option<u64>,
    stale: bool,
    /// When it was told that what it knows is stale.
    stale_since: Option<Instant>,
    /// When its server crashed last since it was asked.
    server_crashed: Option<Instant>,
    /// The executions for which its server keeps it on the list, under its present address.
    listed: BTreeSet<u32>,
}

impl Asked {
    fn new(by: usize, of: usize, method: Method) -> Asked {
        Asked {
            by,
            of,
            method,
            confirmable: true,
            observes: None,
            max_age: Duration::ZERO,
            told_at: None,
            ended: None,
            connection: None,
            unsent: false,
            executed: false,
            knows: None,
            stale: false,
            stale_since: None,
            server_crashed: None,
            listed: BTreeSet::new(),
        }
    }

    /// Its server keeps it on the list, and it is told so: a server that crashed may have taken a late copy of its
    /// registration for a new one, whose answer means nothing to it.
    fn is_served(&self) -> bool {
        let heard = |crashed| self.told_at.is_some_and(|told| told > crashed);
        !self.listed.is_empty() && self.server_crashed.is_none_or(heard)
    }

    /// It was told nothing for longer than Max-Age, by its own clock, and does not know that what it knows is stale.
    fn is_unaware(&self, now: Instant) -> bool {
        self.told_at
            .is_some_and(|told| now - told > self.max_age * 20 / 19 + AWARE_IN)
    }
}

#[derive(Default)]
struct Judge {
    now: Instant,
    longest_travel: Duration,
    short_of_memory: bool,
    nothing_lost: bool,
    connections: bool,
    asked: BTreeMap<u32, Asked>,
    /// Whose each execution is.
    executions: BTreeMap<u32, u32>,
    /// How often each node crashed.
    lives: BTreeMap<usize, u32>,
    /// What each life of a server executed for each address.
    executed: BTreeSet<(u32, usize, u32, SocketAddr)>,
    latest: BTreeMap<(usize, u64), u64>,
    complaints: Vec<(Instant, Complaint)>,
}

impl Judge {
    fn hear(&mut self, at: Instant, happening: Happening) {
        match happening {
            Happening::Asked {
                request,
                by,
                of,
                method,
                confirmable,
                observes,
                max_age,
            } => {
                let asked = Asked {
                    confirmable,
                    observes,
                    max_age,
                    ..Asked::new(by, of, method)
                };
                self.asked.insert(request, asked);
            }
            Happening::Executed {
                request,
                execution,
                by,
                from,
                intact,
            } => {
                self.executed(at, (request, by, from), execution);
                self.complain(!intact, Complaint::RequestBroken { request });
            }
            Happening::Answered { request, says, more } => self.answered(at, request, says, more),
            Happening::Failed { request, unsent } => self.failed(at, request, unsent),
            Happening::Went { request, connection } => {
                if let Some(asked) = self.asked.get_mut(&request) {
                    asked.connection = Some(connection);
                }
            }
            Happening::Disconnected { node, connection } => self.disconnected(node, connection),
            Happening::Orphaned { node } => self.complain(true, Complaint::Orphaned { node }),
            Happening::Cancelled { request } => self.ended(at, request),
            Happening::Stale { request } => self.stale(at, request),
            Happening::Changed { node, topic, state } => {
                self.latest.insert((node, topic), state);
            }
            Happening::Registered {
                request, execution, ..
            } => {
                if let Some(asked) = self.asked.get_mut(&request) {
                    asked.listed.insert(execution);
                }
            }
            Happening::Deregistered { request, execution } => {
                if let Some(asked) = self.asked.get_mut(&request) {
                    asked.listed.remove(&execution);
                }
            }
            Happening::Rebound { node } => self.rebound(node),
            Happening::Crashed { node } => self.crashed(at, node),
            Happening::Settled => self.look(Asked::is_served),
            Happening::Renewed => {
                self.look(|_| true);
                self.look_for_stale(at);
            }
            Happening::Broke { node, rule } => self.complain(true, Complaint::Broke { node, rule }),
            Happening::Remains { node } => self.complain(true, Complaint::Remains { node }),
        }
    }

    fn complain(&mut self, really: bool, complaint: Complaint) {
        if really {
            self.complaints.push((self.now, complaint));
        }
    }

    /// A request that has not ended, of which something is told.
    fn told(&mut self, request: u32) -> Option<&mut Asked> {
        self.asked.get_mut(&request).filter(|asked| asked.ended.is_none())
    }

    fn executed(&mut self, at: Instant, (request, by, from): (u32, usize, SocketAddr), execution: u32) {
        let (travel, connections) = (self.longest_travel, self.connections);
        let asked = self.asked.get_mut(&request);
        let unsent = asked.is_some_and(|asked| {
            asked.executed = true;
            asked.unsent
        });
        self.complain(unsent, Complaint::ExecutedThoughUnsent { request });
        let asked = self.asked.get(&request);
        let wanted = asked.is_some_and(|asked| {
            let in_time = asked.ended.is_none_or(|ended| at - ended <= travel);
            // The end of an observation is told by asking once more (RFC 7641 §3.6).
            // What waits on a connection may wait for as long as that lives.
            asked.of == by && (in_time || connections || asked.observes.is_some())
        });
        let once = asked.is_some_and(|asked| {
            let leave = self.short_of_memory && asked.method.is_idempotent();
            !asked.method.is_safe() && !leave
        });
        self.complain(!wanted, Complaint::ExecutedUnasked { request });
        let life = self.lives.get(&by).copied().unwrap_or(0);
        let by_whom = (request, by, life, from);
        let first = self.executed.insert(if connections {
            (request, by, 0, NOBODY)
        } else {
            by_whom
        });
        self.complain(!first && once, Complaint::ExecutedAgain { request });
        self.executions.insert(execution, request);
    }

    fn answered(&mut self, at: Instant, request: u32, says: Option<Says>, more: bool) {
        if let Some(says) = says {
            self.hear_answer(request, says);
        }
        if !more {
            return self.ended(at, request);
        }
        let travel = self.longest_travel;
        let Some(asked) = self.told(request) else {
            return self.complain(true, Complaint::AfterTheEnd { request });
        };
        let (knew, told) = (asked.knows, says.map(|says| says.state));
        let crossed = |crashed: Instant| at - crashed <= travel;
        let order = knew
            .zip(told)
            .filter(|_| !asked.server_crashed.is_some_and(crossed));
        let unaware = asked.is_unaware(at);
        asked.told_at = told.map(|_| at);
        // An error in place of a state tells that what is known may be old.
        asked.stale = says.is_none();
        asked.stale_since = None;
        asked.knows = told.or(knew);
        self.complain(unaware, Complaint::Unaware { request });
        if let Some((knew, told)) = order.filter(|(knew, told)| told < knew) {
            self.complain(true, Complaint::WentBack { request, knew, told });
        }
    }

    fn stale(&mut self, at: Instant, request: u32) {
        let Some(asked) = self.told(request) else {
            return self.complain(true, Complaint::AfterTheEnd { request });
        };
        let unaware = asked.is_unaware(at);
        asked.told_at = None;
        asked.stale = true;
        asked.stale_since.get_or_insert(at);
        self.complain(unaware, Complaint::Unaware { request });
    }

    /// What an answer says about itself. One that is not whole cannot be believed.
    fn hear_answer(&mut self, request: u32, says: Says) {
        if says.intact {
            let of = says.request;
            let executed = self.executions.get(&says.execution) == Some(&of);
            self.complain(of != request, Complaint::AnswerOfAnother { request, of });
            self.complain(!executed, Complaint::AnsweredUnexecuted { request });
            return;
        }
        let mixed = self.asked.get(&request).is_some_and(|asked| {
            let leave = self.short_of_memory && asked.method.is_idempotent();
            (asked.server_crashed.is_some() || leave) && !asked.method.is_safe()
        });
        self.complain(!mixed, Complaint::AnswerBroken { request });
    }

    /// What observes may fail for the changes of what it observes.
    fn failed(&mut self, at: Instant, request: u32, unsent: bool) {
        let executed = self.asked.get_mut(&request).is_some_and(|asked| {
            asked.unsent |= unsent;
            asked.executed && unsent
        });
        self.complain(executed, Complaint::ExecutedThoughUnsent { request });
        let asked = self.asked.get(&request);
        let without_reason = self.nothing_lost
            && !self.short_of_memory
            && asked.is_some_and(|asked| asked.confirmable && asked.observes.is_none());
        self.complain(without_reason, Complaint::FailedWithoutReason { request });
        self.ended(at, request);
    }

    fn ended(&mut self, at: Instant, request: u32) {
        let over = self.told(request).map(|asked| asked.ended = Some(at)).is_none();
        self.complain(over, Complaint::AfterTheEnd { request });
    }

    /// With a connection its requests are over.
    fn disconnected(&mut self, node: usize, connection: usize) {
        let outlives = |(_, asked): &(&u32, &Asked)| {
            asked.by == node && asked.connection == Some(connection) && asked.ended.is_none()
        };
        let outlive: Vec<u32> = self
            .asked
            .iter()
            .filter(outlives)
            .map(|(request, _)| *request)
            .collect();
        for request in outlive {
            self.complain(true, Complaint::OutlivesConnection { request });
        }
    }

    /// Nobody is on a list under the present address.
    fn rebound(&mut self, node: usize) {
        let moved = |asked: &&mut Asked| asked.by == node || asked.of == node;
        self.asked
            .values_mut()
            .filter(moved)
            .for_each(|asked| asked.listed.clear());
    }

    fn crashed(&mut self, at: Instant, node: usize) {
        *self.lives.entry(node).or_default() += 1;
        for asked in self.asked.values_mut() {
            if asked.by == node {
                asked.ended.get_or_insert(at);
            }
            if asked.of == node {
                asked.listed.clear();
                asked.server_crashed = Some(at);
            }
        }
    }

    /// Whether those observers know the latest state, or know that they do not.
    fn look(&mut self, whom: impl Fn(&Asked) -> bool) {
        for (request, asked) in &self.asked {
            let (Some(topic), Some(knows)) = (asked.observes, asked.knows) else {
                continue;
            };
            let latest = self.latest.get(&(asked.of, topic)).copied().unwrap_or(0);
            let sure = asked.ended.is_none() && !asked.stale && whom(asked);
            if sure && knows != latest {
                let complaint = Complaint::Outdated {
                    request: *request,
                    knows,
                    latest,
                    listed: !asked.listed.is_empty(),
                };
                self.complaints.push((self.now, complaint));
            }
        }
    }

    /// Whether all that is stale is being renewed.
    fn look_for_stale(&mut self, now: Instant) {
        for (request, asked) in &self.asked {
            let since = asked.stale_since.filter(|_| asked.ended.is_none());
            if asked.ended.is_none() && asked.is_unaware(now) {
                let complaint = Complaint::Unaware { request: *request };
                self.complaints.push((now, complaint));
            }
            if since.is_some_and(|since| now - since > RENEWED_IN) {
                let complaint = Complaint::NotRenewed { request: *request };
                self.complaints.push((now, complaint));
            }
        }
    }

    fn close(&mut self) {
        let open = self.asked.iter().filter(|(_, asked)| asked.ended.is_none());
        let open = open.map(|(request, _)| Complaint::NeverEnded { request: *request });
        self.complaints
            .extend(open.map(|complaint| (self.now, complaint)));
    }
}
