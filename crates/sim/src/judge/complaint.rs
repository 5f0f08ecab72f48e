//! What a judge complains about.

use std::fmt;

use crate::messages::Rule;

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Complaint {
    /// A request that is not safe was executed again by the same life of a server for the same address.
    ExecutedAgain {
        /// The request.
        request: u32,
    },
    /// A node executed what nobody asked of it, or long after the request's end.
    ExecutedUnasked {
        /// The request.
        request: u32,
    },
    /// The body of a request is not what was sent.
    RequestBroken {
        /// The request.
        request: u32,
    },
    /// An answer tells of no execution of its request.
    AnsweredUnexecuted {
        /// The request.
        request: u32,
    },
    /// The answer is that of another request.
    AnswerOfAnother {
        /// The request.
        request: u32,
        /// What the answer answers.
        of: u32,
    },
    /// The body of an answer is not what was sent.
    AnswerBroken {
        /// The request.
        request: u32,
    },
    /// Something came of a request after its end.
    AfterTheEnd {
        /// The request.
        request: u32,
    },
    /// A request never ended.
    NeverEnded {
        /// The request.
        request: u32,
    },
    /// An observer does not know the latest state, and does not know that it does not.
    Outdated {
        /// The request.
        request: u32,
        /// What it knows.
        knows: u64,
        /// The latest.
        latest: u64,
        /// It is on its server's list.
        listed: bool,
    },
    /// An observer has known for long that what it knows is too old, and did not register anew.
    NotRenewed {
        /// The request.
        request: u32,
    },
    /// An observer was not told that what it knows is older than its Max-Age.
    Unaware {
        /// The request.
        request: u32,
    },
    /// An observer was told an older state after a newer one.
    WentBack {
        /// The request.
        request: u32,
        /// What it knew.
        knew: u64,
        /// What it was told.
        told: u64,
    },
    /// A request was executed though who asked was told that nothing of it had left.
    ExecutedThoughUnsent {
        /// The request.
        request: u32,
    },
    /// A request that went on a connection has not ended with it.
    OutlivesConnection {
        /// The request.
        request: u32,
    },
    /// A node whose connection is gone was not told that nobody waits for what it works on, or still has observers.
    Orphaned {
        /// Which.
        node: usize,
    },
    /// A node keeps something of what is over.
    Remains {
        /// Which.
        node: usize,
    },
    /// A confirmable request failed though nothing was lost.
    FailedWithoutReason {
        /// The request.
        request: u32,
    },
    /// A node did not keep a rule for messages.
    Broke {
        /// Which.
        node: usize,
        /// The rule.
        rule: Rule,
    },
    /// The run panicked.
    Panicked,
}

impl Complaint {
    /// Whether another is of the same kind, whatever it is about.
    #[must_use]
    pub fn is_like(&self, other: &Complaint) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// What is wrong with one request, where no more is to be said.
    fn about_request(&self) -> Option<(u32, &'static str)> {
        Some(match self {
            Complaint::ExecutedAgain { request } => (*request, "was executed again (RFC 7252 §4.5)"),
            Complaint::ExecutedUnasked { request } => (*request, "was executed, which nobody asked for then"),
            Complaint::RequestBroken { request } => (*request, "was given to the server with another body"),
            Complaint::AnsweredUnexecuted { request } => (*request, "was answered and not executed"),
            Complaint::AnswerBroken { request } => (*request, "was given an answer with another body"),
            Complaint::NeverEnded { request } => (*request, "never ended"),
            Complaint::ExecutedThoughUnsent { request } => (
                *request,
                "was executed, and who asked was told that it had not left",
            ),
            Complaint::OutlivesConnection { request } => {
                (*request, "did not end with its connection (RFC 8323 §3.4)")
            }
            Complaint::FailedWithoutReason { request } => (*request, "failed though nothing was lost"),
            _ => return None,
        })
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((request, what)) = self.about_request() {
            return write!(f, "request {request} {what}");
        }
        match self {
            Complaint::AnswerOfAnother { request, of } => {
                write!(
                    f,
                    "request {request} was given the answer of request {of} (RFC 7252 §5.3.2)"
                )
            }
            Complaint::AfterTheEnd { request } => {
                write!(f, "something came of request {request} after its end")
            }
            Complaint::Outdated {
                request,
                knows,
                latest,
                listed,
            } => {
                let who = if *listed {
                    "the server knows it"
                } else {
                    "its Max-Age is over"
                };
                write!(
                    f,
                    "observer {request} knows state {knows}, the latest is {latest}, and {who} (RFC 7641 §4.5)"
                )
            }
            Complaint::NotRenewed { request } => {
                write!(f, "observer {request} did not register anew (RFC 7641 §3.3.1)")
            }
            Complaint::Unaware { request } => {
                write!(
                    f,
                    "observer {request} was not told that Max-Age is over (RFC 7641 §3.3.1)"
                )
            }
            Complaint::WentBack { request, knew, told } => {
                write!(
                    f,
                    "observer {request} knew state {knew} and was told {told} (RFC 7641 §3.4)"
                )
            }
            Complaint::Orphaned { node } => {
                write!(
                    f,
                    "node {node} works or keeps observers for a connection that is gone (RFC 8323 §7.4)"
                )
            }
            Complaint::Remains { node } => write!(f, "node {node} keeps something of what is over"),
            Complaint::Broke { node, rule } => write!(f, "node {node} {rule}"),
            _ => f.write_str("the run panicked"),
        }
    }
}
