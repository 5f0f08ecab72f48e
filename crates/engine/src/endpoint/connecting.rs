//! The life of connections: how they begin, are looked after, and end (RFC 8323 §3.4, §5).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use coracle_wire::{Custody, Framing, Message};

use crate::connection::signaling::{
    Fault, Leave, Verdict, send_abort, send_csm, send_ping, send_pong, send_release,
};
use crate::connection::{Due, MissingCsm, Pinged, Stage};
use crate::endpoint::Endpoint;
use crate::limits;
use crate::message::Owner;
use crate::path::{ConnectionId, Path};
use crate::stats::DropReason;
use crate::time::Instant;
use crate::values::{CloseReason, Event, ExchangeError};

impl Endpoint {
    pub(super) fn open_connection(
        &mut self,
        now: Instant,
        path: Path,
        framing: Framing,
    ) -> Option<ConnectionId> {
        if self.closing {
            return None;
        }
        let Some(id) = self.context.connections.insert(now, path, framing) else {
            self.context.stats.drop_for(DropReason::Busy);
            return None;
        };
        self.context.stats.connections += 1;
        send_csm(&mut self.context, id);
        if self.context.config.connections.missing_csm == MissingCsm::Tolerate {
            self.opened(id);
        }
        self.context.watch(id);
        Some(id)
    }

    fn opened(&mut self, id: ConnectionId) {
        if let Some(connection) = self.context.connections.get_mut(id)
            && connection.stage <= Stage::Open
            && !core::mem::replace(&mut connection.is_opened, true)
        {
            self.context.events.push_back(Event::Opened { connection: id });
        }
    }

    /// Heeds a signaling message (RFC 8323 §5).
    pub(super) fn signaled(
        &mut self,
        now: Instant,
        id: ConnectionId,
        message: &Message<'_>,
        verdict: Verdict,
    ) {
        match verdict {
            Verdict::Absorbed | Verdict::Request | Verdict::Response => {}
            Verdict::Opened => {
                self.opened(id);
                self.context.watch(id);
            }
            Verdict::Pong(key) => self.client.ping_ended(&mut self.context, key, None),
            Verdict::Ping(Custody(true)) => self.hold_pong(now, id, message.token),
            Verdict::Ping(Custody(false)) => {
                send_pong(&mut self.context, id, message.token, Custody(false));
            }
            Verdict::Released(leave) => self.released_by_peer(now, id, leave),
            Verdict::Aborted(text) => {
                self.context.stats.drop_for(DropReason::AbortedByPeer);
                self.close_connection(now, id, CloseReason::AbortedByPeer(text));
            }
            Verdict::Refused(fault) => self.abort(now, id, fault),
        }
    }

    /// The Pong waits until all that came before the Ping is done (RFC 8323 §5.4.1).
    fn hold_pong(&mut self, now: Instant, id: ConnectionId, token: &[u8]) {
        let Some(connection) = self.context.connections.get_mut(id) else {
            return;
        };
        if connection.custody.len() >= limits::CUSTODY_PINGS {
            return send_pong(&mut self.context, id, token, Custody(false));
        }
        if connection.custody.is_empty() {
            connection.custody_since = now;
        }
        connection.custody.push(Box::from(token));
        self.context.watch(id);
    }

    /// What runs is finished, then it is closed (RFC 8323 §5.5).
    fn released_by_peer(&mut self, now: Instant, id: ConnectionId, leave: Leave) {
        if let Some(connection) = self.context.connections.get_mut(id)
            && connection.stage < Stage::Releasing
        {
            connection.enter(now, Stage::Releasing);
            self.context.events.push_back(Event::Released {
                connection: id,
                hold_off: leave.hold_off.map(|seconds| Duration::from_secs(seconds.into())),
                alternative: leave.alternative,
            });
            self.context.watch(id);
        }
    }

    /// Ends a connection in good order (RFC 8323 §5.5): the peer is told, what runs is finished, nothing new begins.
    pub fn release(&mut self, now: Instant, id: ConnectionId) {
        if let Some(connection) = self.context.connections.get_mut(id)
            && connection.stage < Stage::Releasing
        {
            connection.enter(now, Stage::Releasing);
            send_release(&mut self.context, id);
            self.context.watch(id);
            self.settle_connection(now, id);
        }
    }

    /// Ends a connection though its peer says nothing wrong, and tells it why (RFC 8323 §5.6).
    pub fn give_up(&mut self, now: Instant, id: ConnectionId, reason: &'static str) {
        self.abort_as(now, id, Fault::new(reason), CloseReason::GivenUp);
    }

    /// Ends a connection that cannot go on for what its peer said, and tells it why (RFC 8323 §5.6).
    pub(super) fn abort(&mut self, now: Instant, id: ConnectionId, fault: Fault) {
        self.abort_as(now, id, fault, CloseReason::Aborted);
    }

    fn abort_as(
        &mut self,
        now: Instant,
        id: ConnectionId,
        fault: Fault,
        reason: impl FnOnce(String) -> CloseReason,
    ) {
        if self
            .context
            .connections
            .get(id)
            .is_none_or(|connection| connection.is_over())
        {
            return;
        }
        self.context.stats.drop_for(DropReason::Aborted);
        send_abort(&mut self.context, id, &fault);
        self.close_connection(now, id, reason(fault.text.into_owned()));
    }

    /// Nothing more is taken in; what waits is still written.
    fn close_connection(&mut self, now: Instant, id: ConnectionId, reason: CloseReason) {
        let Some(connection) = self.context.connections.get_mut(id) else {
            return;
        };
        if connection.is_over() {
            return;
        }
        connection.enter(now, Stage::Closing);
        connection.custody.clear();
        self.context.events.push_back(Event::Closing {
            connection: id,
            reason,
        });
        self.end_all_of(now, id);
    }

    /// A connection is gone, whoever closed it. Its requests end, and what its peer observed and asked for
    /// (RFC 8323 §3.4, §7.4).
    pub fn disconnected(&mut self, now: Instant, id: ConnectionId) {
        self.end_all_of(now, id);
        self.context.disarm(id);
        self.context.connections.remove(id);
    }

    /// The peer has closed its side, so that it says no more: requests of ours end. What it asked for is still answered,
    /// then the connection ends as after a Release.
    pub fn peer_ended(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.context.connections.get_mut(id) else {
            return;
        };
        if connection.stage < Stage::Releasing {
            connection.enter(now, Stage::Releasing);
            self.context.watch(id);
        }
        self.end_requests_on(now, id);
        self.settle_connection(now, id);
    }

    /// Nothing more comes that could answer requests and pings of ours.
    fn end_requests_on(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.context.connections.get_mut(id) else {
            return;
        };
        let pings = core::mem::take(&mut connection.pings);
        if self.client.asks_on(id) {
            let mut untouched: Vec<_> = self.context.connections.untouched(id).collect();
            untouched.retain(|key| matches!(self.messages.owner(*key), Some(Owner::Request(_))));
            // What is said to be unsent is not sent later.
            self.context.connections.withdraw(id, &untouched);
            untouched.sort_unstable();
            let gone = (id, untouched.as_slice());
            self.client
                .disconnected(&mut self.context, &mut self.messages, now, gone);
            for key in untouched {
                self.messages.arrived(key);
            }
        }
        for ping in pings {
            let error = ExchangeError::Disconnected { sent: true };
            self.client.ping_ended(&mut self.context, ping.key, Some(error));
        }
    }

    fn end_all_of(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.context.connections.get_mut(id) else {
            return;
        };
        let peer = connection.path.peer();
        self.end_requests_on(now, id);
        self.end_observations_of(now, &peer);
        for exchange in self.server.of_connection(id) {
            self.close_exchange_of(exchange);
        }
        self.assemblies.end(&mut self.context, id);
        self.bodies.end(&mut self.context, id);
        for key in self.context.connections.marks(id).collect::<Vec<_>>() {
            self.messages.arrived(key);
        }
    }

    /// The same for what may have come on a connection.
    #[inline]
    pub(super) fn settle_on(&mut self, now: Instant, connection: Option<ConnectionId>) {
        if let Some(id) = connection {
            self.settle_connection(now, id);
        }
    }

    /// Does what waited for nothing to be under way on a connection.
    pub(super) fn settle_connection(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.context.connections.get(id) else {
            return;
        };
        // With its end a connection gives up its work: of that there is nothing to take custody of.
        let waits = !connection.custody.is_empty() || connection.stage == Stage::Releasing;
        if waits && !connection.is_over() && self.server.count_of(&connection.path.peer()) == 0 {
            self.settled(now, id);
        }
    }

    /// All requests of the peer are answered.
    fn settled(&mut self, now: Instant, id: ConnectionId) {
        self.answer_pings(id, Custody(true));
        let is_drained = self.context.connections.is_drained(id);
        let Some(connection) = self.context.connections.get(id) else {
            return;
        };
        if connection.stage == Stage::Releasing && is_drained && !self.client.waits_on(id) {
            self.close_connection(now, id, CloseReason::Released);
        }
    }

    fn answer_pings(&mut self, id: ConnectionId, custody: Custody) {
        if let Some(connection) = self.context.connections.get_mut(id) {
            for token in core::mem::take(&mut connection.custody) {
                send_pong(&mut self.context, id, &token, custody);
            }
        }
    }

    /// The time of a connection has come.
    pub(super) fn connection_due(&mut self, now: Instant, id: ConnectionId) {
        let Some(due) = self.context.connection_due(now, id) else {
            return self.context.watch(id);
        };
        match due {
            Due::NoCsm => {
                if let MissingCsm::WaitFor(_) = self.context.config.connections.missing_csm {
                    self.opened(id);
                } else {
                    self.abort(now, id, Fault::new("no CSM came (RFC 8323 §3.3)"));
                }
            }
            Due::TooSlow => self.give_up(now, id, "a message comes too slowly"),
            Due::Blocked => self.give_up(now, id, "what is sent is not read"),
            Due::NoPong => self.give_up(now, id, "no answer to a Ping (RFC 8323 §5.4)"),
            Due::Silent => self.look_whether_there(now, id),
            Due::Unanswered => self.end_unanswered_pings(now, id),
            Due::Custody => self.answer_pings(id, Custody(false)),
            Due::Idle => {
                if self.is_unused(id) {
                    self.release(now, id);
                } else if let Some(connection) = self.context.connections.get_mut(id) {
                    connection.used = now;
                }
            }
            Due::Released => self.close_connection(now, id, CloseReason::Released),
        }
        self.context.watch(id);
    }

    /// Sends a Ping, whose answer is waited for, to a peer that has not answered (RFC 8323 §5.4).
    pub(super) fn look_whether_there(&mut self, now: Instant, id: ConnectionId) {
        let connection = self.context.connections.get(id);
        if connection.is_none_or(|connection| connection.pinged.is_some() || connection.is_over()) {
            return;
        }
        let token = self.context.random_token();
        send_ping(&mut self.context, id, token.as_bytes());
        if let Some(connection) = self.context.connections.get_mut(id) {
            connection.is_pinged(now);
        }
        self.context.watch(id);
    }

    /// Ends the Pings of the application that have waited for long enough. The oldest are the first.
    fn end_unanswered_pings(&mut self, now: Instant, id: ConnectionId) {
        let within = self.context.config.connections.pong_within;
        let Some(connection) = self.context.connections.get_mut(id) else {
            return;
        };
        let over = connection.pings.partition_point(|ping| ping.at + within <= now);
        for Pinged { key, .. } in connection.pings.drain(..over).collect::<Vec<_>>() {
            self.client
                .ping_ended(&mut self.context, key, Some(ExchangeError::Timeout));
        }
    }

    /// Nothing is under way on a connection, and nothing is observed.
    fn is_unused(&mut self, id: ConnectionId) -> bool {
        let Some(connection) = self.context.connections.get(id) else {
            return true;
        };
        let peer = connection.path.peer();
        let is_drained = self.context.connections.is_drained(id);
        let is_asked = self.server.count_of(&peer) > 0 || self.assemblies.has(id);
        is_drained && !is_asked && !self.client.asks_on(id) && !self.observes(&peer)
    }
}
