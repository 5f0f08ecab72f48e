//! What a case is.

use std::time::Duration;

use serde::Serialize;

use crate::host::Host;
use crate::probe::Probe;
use crate::sessions::{Callee, Caller};
use crate::transport::{Opening, Transport};
use crate::verdict::Judged;

/// Which side is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A server, by a judge that plays the client.
    Server,
    /// A client, by a judge that plays the server.
    Client,
}

/// How a case is judged.
#[derive(Clone, Copy)]
pub enum Judge {
    /// A server.
    Server(fn(&mut Probe) -> Judged),
    /// A client.
    Client(fn(&mut Host) -> Judged),
    /// A server, by sessions of DTLS.
    Caller(fn(&mut Caller) -> Judged),
    /// A client, by sessions of DTLS.
    Callee(fn(&mut Callee) -> Judged),
    /// Not at all yet, and what has to be built first.
    NotYet(Role, &'static str),
}

/// A test of one rule, or of a few that belong together: data and a short function.
///
/// Cases are written as constants: `server(id, references, objective)` or `client(…)`, then what it needs, then
/// `judge(function)`.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name: `TD_COAP_CORE_01` for those of the plugtests, `RFC7252-4.3-ping` for ours. A case for each role may
    /// have the same name.
    pub id: &'static str,
    /// The group of a plugtest; empty for ours.
    pub(crate) plugtest_group: &'static str,
    /// What it shows, in a sentence.
    pub objective: &'static str,
    /// The sections that ask for it: `RFC 7252 §4.2, §4.3`.
    pub references: &'static str,
    /// What happens, step by step.
    pub steps: &'static [&'static str],
    /// The resources that a server has to offer: paths of the plugtest site.
    pub needs: &'static [&'static str],
    /// The resources that it changes, or that others must not change meanwhile.
    pub locks: &'static [&'static str],
    /// The resources that others must not change meanwhile, though it does not change them itself.
    pub shares: &'static [&'static str],
    /// How long it may take.
    pub limit: Duration,
    /// What carries the messages of subjects that it judges.
    pub over: &'static [Transport],
    /// How its connections are opened.
    pub opening: Opening,
    /// It brings its own loss and is left out behind the lossy gateway.
    pub no_gateway: bool,
    /// The function.
    pub judge: Judge,
}

/// How long a case may take unless it says otherwise.
const LIMIT: Duration = Duration::from_secs(30);

/// A case for servers.
#[must_use]
pub const fn server(
    id: &'static str,
    references: &'static str,
    objective: &'static str,
    judge: fn(&mut Probe) -> Judged,
) -> Case {
    Case::new(id, references, objective, Judge::Server(judge))
}

/// A case for clients.
#[must_use]
pub const fn client(
    id: &'static str,
    references: &'static str,
    objective: &'static str,
    judge: fn(&mut Host) -> Judged,
) -> Case {
    Case::new(id, references, objective, Judge::Client(judge))
}

impl Case {
    /// A case without needs.
    #[must_use]
    pub const fn new(
        id: &'static str,
        references: &'static str,
        objective: &'static str,
        judge: Judge,
    ) -> Case {
        Case {
            id,
            plugtest_group: "",
            objective,
            references,
            steps: &[],
            needs: &[],
            locks: &[],
            shares: &[],
            limit: LIMIT,
            over: Transport::DATAGRAMS,
            opening: Opening::Csm,
            no_gateway: false,
            judge,
        }
    }

    /// Sets [`steps`](Self::steps).
    #[must_use]
    pub const fn steps(mut self, steps: &'static [&'static str]) -> Case {
        self.steps = steps;
        self
    }

    /// Sets [`needs`](Self::needs): resources that a GET finds.
    #[must_use]
    pub const fn needs(mut self, paths: &'static [&'static str]) -> Case {
        self.needs = paths;
        self
    }

    /// Sets [`locks`](Self::locks).
    #[must_use]
    pub const fn locks(mut self, paths: &'static [&'static str]) -> Case {
        self.locks = paths;
        self
    }

    /// Sets [`shares`](Self::shares).
    #[must_use]
    pub const fn shares(mut self, paths: &'static [&'static str]) -> Case {
        self.shares = paths;
        self
    }

    /// Sets [`limit`](Self::limit), in seconds.
    #[must_use]
    pub const fn within(mut self, seconds: u64) -> Case {
        self.limit = Duration::from_secs(seconds);
        self
    }

    /// Sets [`over`](Self::over) to all: its requests and responses are the same in datagrams and in connections.
    #[must_use]
    pub const fn anywhere(self) -> Case {
        self.over(Transport::ALL)
    }

    /// Sets [`over`](Self::over).
    #[must_use]
    pub const fn over(mut self, transports: &'static [Transport]) -> Case {
        self.over = transports;
        self
    }

    /// Sets [`opening`](Self::opening).
    #[must_use]
    pub const fn opened(mut self, opening: Opening) -> Case {
        self.opening = opening;
        self
    }

    /// Sets [`no_gateway`](Self::no_gateway).
    #[must_use]
    pub const fn without_gateway(mut self) -> Case {
        self.no_gateway = true;
        self
    }

    /// Who asks for what it checks, where a check names no section: the description of a plugtest asks for more than
    /// the RFCs do.
    pub(crate) fn authority(&self) -> &'static str {
        if self.plugtest_group.is_empty() {
            self.references
        } else {
            "the description of the plugtest"
        }
    }

    /// Which side it judges.
    #[must_use]
    pub const fn role(&self) -> Role {
        match self.judge {
            Judge::Server(_) | Judge::Caller(_) => Role::Server,
            Judge::Client(_) | Judge::Callee(_) => Role::Client,
            Judge::NotYet(role, _) => role,
        }
    }

    /// What it belongs to: `CORE`, `OBS` for those of the plugtests, `RFC7252` for ours.
    #[must_use]
    pub fn group(&self) -> &'static str {
        if !self.plugtest_group.is_empty() {
            return self.plugtest_group;
        }
        let name = self.id.strip_prefix("TD_COAP_").unwrap_or(self.id);
        name.split(['-', '_']).next().unwrap_or(name)
    }
}
