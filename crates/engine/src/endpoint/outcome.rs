//! What timers, acknowledgements and resets lead to.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;

use coracle_wire::{MessageId, MessageType};

use crate::endpoint::Endpoint;
use crate::exchange::ask::Ask;
use crate::exchange::server::Exchange;
use crate::limits;
use crate::message::{Owner, TimedOut};
use crate::path::{ConnectionId, Path, Peer};
use crate::slab::Key;
use crate::stats::DropReason;
use crate::time::Instant;
use crate::timers::TimerKey;
use crate::values::{Event, ExchangeError, ExchangeId};

impl Endpoint {
    /// Does what is due. Bounded: what is left after a few hundred timers is due at once, as
    /// [`poll_deadline`](Self::poll_deadline) then tells.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.messages.sweep(&self.context, now);
        self.server
            .acknowledge_due(&mut self.context, &mut self.messages, now);
        self.observers.time_refreshes(&mut self.context, now);
        for _ in 0..limits::TIMERS_PER_CALL {
            let Some(timer) = self.context.timers.pop_due(now) else {
                return;
            };
            match timer {
                TimerKey::Outgoing(key) => self.retransmit(now, key),
                TimerKey::Leisure(key) => self.messages.leisure_over(&mut self.context, now, key),
                TimerKey::Peer(key) => self.messages.peer_due(&mut self.context, now, key),
                TimerKey::Request(key) => {
                    let connection = self.client.connection_of(key);
                    self.client
                        .timed_out(&mut self.context, &mut self.messages, now, key);
                    if let Some(id) = connection {
                        self.look_whether_there(now, id);
                        self.settle_connection(now, id);
                    }
                }
                TimerKey::Stale(key) => self.client.stale(&mut self.context, &mut self.messages, now, key),
                TimerKey::Notify(key) => self.observers.released(&mut self.context, key),
                TimerKey::Refresh(key) => self.observers.refresh_over(&mut self.context, key),
                TimerKey::Group(key) => self.observers.group_due(&mut self.context, now, key),
                TimerKey::Assembly(key) => self.assembly_over(now, key),
                TimerKey::Body(key) => self.bodies.remove(&mut self.context, key),
                TimerKey::Connection(key) => self.connection_due(now, ConnectionId(key)),
            }
        }
    }

    /// No block came for a long time. When it is the consumer of a streamed body who takes so long, it goes on.
    fn assembly_over(&mut self, now: Instant, key: Key) {
        let consumer = self.assemblies.consumer(key);
        if consumer.is_some_and(|exchange| self.server.is_working(exchange)) {
            return self.assemblies.keep(&mut self.context, now, key);
        }
        if let Some(exchange) = self.assemblies.remove(&mut self.context, key) {
            self.end(exchange);
        }
    }

    /// The network reports that nothing sent to `remote` arrives (an ICMP error): requests to it fail at once
    /// (RFC 7252 §4.2). The caller has vetted that the report is about a datagram of this endpoint.
    pub fn handle_unreachable(&mut self, now: Instant, remote: SocketAddr) {
        self.peer_unreachable(now, &Peer::at(remote));
    }

    /// The same about a peer with a security association, by the address that it has here.
    pub fn peer_unreachable(&mut self, now: Instant, peer: &Peer) {
        self.lose_all(now, peer, ExchangeError::Unreachable);
        self.end_unconfirmed(now, peer);
    }

    /// The security association with a peer is over, so that nothing more comes or goes by it: requests of ours fail with
    /// [`ExchangeError::Disconnected`], and what the peer observed is forgotten. Answers to its requests go nowhere.
    pub fn peer_gone(&mut self, now: Instant, peer: &Peer) {
        let mut untouched: Vec<_> = self
            .messages
            .towards(peer)
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        untouched.retain(|key| self.messages.is_waiting(*key));
        for key in &untouched {
            // Or the end of those before them would send them.
            self.messages.cancel(&mut self.context, now, *key);
        }
        self.client
            .peer_gone(&mut self.context, &mut self.messages, now, (peer, &untouched));
        self.lose_all(now, peer, ExchangeError::Disconnected { sent: true });
        self.end_observations_of(now, peer);
    }

    fn lose_all(&mut self, now: Instant, peer: &Peer, error: ExchangeError) {
        for (key, owner) in self.messages.towards(peer) {
            self.messages.cancel(&mut self.context, now, key);
            self.lost(now, owner, error);
        }
    }

    /// A datagram came that is longer than the caller takes; `start` is what there is of it. It is counted, and a
    /// confirmable message is rejected (RFC 7252 §4.2).
    pub fn handle_oversize(&mut self, path: &Path, start: &[u8]) {
        self.context.stats.datagrams_in += 1;
        self.context.stats.drop_for(DropReason::Oversize);
        let Some(&[first, _, high, low]) = start.first_chunk() else {
            return;
        };
        // RFC 7252 §3: version 1, and type 0 for confirmable.
        if first >> 4 == 0b0100 && !path.multicast {
            let id = MessageId(u16::from_be_bytes([high, low]));
            self.context.transmit_empty(path.back(), MessageType::Reset, id);
        }
    }

    /// A confirmable message was not acknowledged in time.
    fn retransmit(&mut self, now: Instant, key: Key) {
        // An outdated notification makes way for the newer one (RFC 7641 §4.5.2).
        if let Some(Owner::Notification(observer)) = self.messages.owner(key)
            && self.supersede(now, key, observer)
        {
            return;
        }
        if let TimedOut::GivenUp {
            owner,
            retransmissions,
        } = self.messages.timed_out(&mut self.context, now, key)
        {
            self.lost(now, owner, ExchangeError::NoAnswer { retransmissions });
        }
    }

    /// A message of ours arrived.
    pub(super) fn acknowledged(&mut self, now: Instant, owner: Owner) {
        match owner {
            Owner::Request(key) => self.client.acknowledged(&mut self.context, now, key),
            // RFC 7252 §4.3 asks for a Reset, but an acknowledgement is a sign of life too.
            Owner::Ping(key) => self.client.ping_ended(&mut self.context, key, None),
            Owner::Notification(key) => self.notified(now, key),
            Owner::Response { .. } => {}
        }
    }

    /// A message of ours was rejected.
    pub(super) fn was_reset(&mut self, now: Instant, owner: Owner) {
        match owner {
            Owner::Ping(key) => self.client.ping_ended(&mut self.context, key, None),
            owner => self.lost(now, owner, ExchangeError::Reset),
        }
    }

    /// A message of ours was rejected or did not arrive.
    fn lost(&mut self, now: Instant, owner: Owner, error: ExchangeError) {
        match owner {
            Owner::Request(key) => self
                .client
                .fail(&mut self.context, &mut self.messages, now, key, error),
            Owner::Ping(key) => self.client.ping_ended(&mut self.context, key, Some(error)),
            Owner::Notification(key) => {
                if matches!(error, ExchangeError::NoAnswer { .. }) {
                    self.end_observations_beside(now, key);
                }
                // RFC 7641 §4.5: the client is no longer interested.
                self.end_observation(now, key);
            }
            Owner::Response { .. } => {}
        }
    }

    /// The next message of a streamed request takes the place of the one before, which is acknowledged at last.
    pub(super) fn replace_ask(&mut self, now: Instant, exchange: Key, ask: Box<Ask>) {
        if let Some(mut before) = self.server.replace_ask(&self.context, now, exchange, ask) {
            before.acknowledge(&mut self.context, &mut self.messages);
            self.server.recycle(before);
        }
    }

    /// Nobody waits for an exchange any more: the application is told.
    pub(super) fn end(&mut self, exchange: Key) -> Option<Exchange> {
        let ended = self.server.take(exchange)?;
        self.context.events.push_back(Event::Ended {
            id: ExchangeId::server(exchange),
        });
        Some(ended)
    }

    /// The same, and the body it streams is forgotten.
    pub(super) fn close_exchange_of(&mut self, key: Key) {
        if let Some(ended) = self.end(key) {
            self.forget_body(ended.stream);
        }
    }

    /// Nobody takes the rest of a body any more.
    #[inline]
    pub(super) fn forget_body(&mut self, stream: Option<Key>) {
        if let Some(stream) = stream {
            self.assemblies.remove(&mut self.context, stream);
        }
    }

    /// A part of a streamed body came again under another message ID: it was taken before, so either its consumer
    /// still works on it, or the answer to it was lost.
    pub(super) fn repeat_part(&mut self, now: Instant, mut ask: Box<Ask>, exchange: Key) {
        if self.server.is_working(exchange) {
            self.replace_ask(now, exchange, ask);
        } else {
            self.continue_with(now, &mut ask);
            self.server.recycle(ask);
        }
    }
}
