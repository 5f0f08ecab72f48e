//! What a connection waits for, and until when.

use crate::config::Config;
use crate::connection::{Connection, MissingCsm, Stage};
use crate::context::{Context, earliest};
use crate::limits;
use crate::path::ConnectionId;
use crate::time::Instant;
use crate::timers::TimerKey;

/// What has become due on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// The peer has not sent its CSM.
    NoCsm,
    /// A message that has begun to come does not go on.
    TooSlow,
    /// The peer has said nothing since it was sent a Ping.
    NoPong,
    /// The transport takes no bytes, or too few, though some wait.
    Blocked,
    /// The peer has said nothing for long.
    Silent,
    /// A Ping of the application was not answered.
    Unanswered,
    /// What came before a Ping with Custody takes too long.
    Custody,
    /// Nothing came or went for long.
    Idle,
    /// What ran when it was released takes too long.
    Released,
}

impl Connection {
    /// What is due next, and when.
    fn next_due(&self, config: &Config) -> Option<(Instant, Due)> {
        let parameters = &config.connections;
        let csm = match parameters.missing_csm {
            _ if self.has_csm || self.stage > Stage::Open => None,
            MissingCsm::Refuse => Some(parameters.open_within),
            MissingCsm::WaitFor(time) => (!self.is_opened).then_some(time),
            MissingCsm::Tolerate => None,
        };
        let is_usable = self.is_opened && self.stage <= Stage::Open;
        let silent = parameters.ping_after.filter(|_| is_usable);
        let silence = match self.pinged {
            Some((since, _)) => Some((since + parameters.pong_within, Due::NoPong)),
            None => silent.map(|after| (self.heard + after, Due::Silent)),
        };
        // Who is not listened to says nothing.
        let (slow, silence) = match self.is_read() {
            true => (self.too_slow_at(), silence),
            false => (None, None),
        };
        let unanswered = self.pings.first().map(|ping| ping.at + parameters.pong_within);
        let idle = parameters.idle_after.filter(|_| is_usable);
        let held = !self.custody.is_empty();
        let releasing = self.stage == Stage::Releasing;
        let all = [
            csm.map(|time| (self.since + time, Due::NoCsm)),
            slow.map(|at| (at, Due::TooSlow)),
            silence,
            self.stalls_at().map(|at| (at, Due::Blocked)),
            unanswered.map(|at| (at, Due::Unanswered)),
            held.then(|| (self.custody_since + limits::CUSTODY_WITHIN, Due::Custody)),
            idle.map(|after| (self.used + after, Due::Idle)),
            releasing.then(|| (self.since + parameters.release_within, Due::Released)),
        ];
        let all = all.into_iter().flatten();
        all.min().filter(|_| !self.is_over())
    }
}

impl Context {
    /// What is due on a connection by now.
    pub(crate) fn connection_due(&mut self, now: Instant, id: ConnectionId) -> Option<Due> {
        let connection = self.connections.get_mut(id)?;
        connection.watched = None;
        let (at, due) = connection.next_due(&self.config)?;
        (at <= now).then_some(due)
    }

    /// Sees to it that a connection is looked at when something is due. Most of what is waited for is put off with each
    /// message that comes: the timer stays where it is then, and looks again.
    pub(crate) fn watch(&mut self, id: ConnectionId) {
        let connection = self.connections.get_mut(id);
        let due = connection.and_then(|connection| Some((connection.next_due(&self.config)?.0, connection)));
        if let Some((at, connection)) = due
            && earliest(Some(at), connection.watched) == Some(at)
            && connection.watched != Some(at)
        {
            connection.watched = Some(at);
            self.timers.arm(TimerKey::Connection(id.0), at);
        }
    }

    /// A message finds no room on its connection: who holds it without reading is given up sooner.
    pub(crate) fn lacks_room(&mut self, now: Instant) {
        for id in self.connections.press(now) {
            self.watch(id);
        }
    }

    pub(crate) fn disarm(&mut self, id: ConnectionId) {
        self.timers.disarm(TimerKey::Connection(id.0));
    }
}
