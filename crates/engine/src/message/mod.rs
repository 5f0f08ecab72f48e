//! The message layer (RFC 7252 §4): types, message IDs, acknowledgement, retransmission, de-duplication.
//!
//! ```text
//!            send                 acknowledged, reset
//!  Waiting ────────▶ InFlight ───────────────────────▶ gone, the owner is told
//!     ▲                │  ▲
//!     │ NSTART, no ID  │  │ timeout, attempts left: sent again
//!     └── queued       ▼  │
//!                   timeout ── no attempts left ──▶ gone, the owner is told
//! ```

mod ids;
mod log;
mod notifying;
mod pacing;
mod peers;
mod record;
mod reliable;
mod seen;
mod sending;
mod shares;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;
use hashbrown::HashMap;

use coracle_wire::{CodeKind, Message, MessageId, MessageType};

use crate::amplification::Allowance;
use crate::context::{Context, earliest};
pub(crate) use crate::message::pacing::Attempt;
use crate::message::peers::{PeerState, Peers};
pub(crate) use crate::message::seen::Note;
use crate::message::seen::{Care, Seen, Sight};
pub(crate) use crate::message::sending::{Response, Sending};
use crate::path::{Path, Peer};
use crate::slab::{Key, Slab};
use crate::stats::DropReason;
use crate::tables::GiveBack;
use crate::time::Instant;
use crate::timers::TimerKey;

/// The length of an empty message, in bytes (RFC 7252 §4.1).
const EMPTY_MESSAGE: usize = 4;

/// Who is told what became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A request of ours.
    Request(Key),
    /// A ping of ours.
    Ping(Key),
    /// A notification to an observer.
    Notification(Key),
    /// A separate response: nobody waits for its acknowledgement. A `repeatable` one tells what was only read, and may be
    /// asked for again.
    Response { repeatable: bool },
}

impl Owner {
    pub(crate) fn is_response(self) -> bool {
        matches!(self, Owner::Response { .. })
    }
}

/// What the message layer made of a message.
pub(crate) enum Verdict {
    /// It ends here.
    Absorbed,
    /// A request that was not seen before.
    Request { seen: Option<Note>, room: bool },
    /// A response that was not seen before, and the message of ours that it acknowledges.
    Response {
        seen: Option<Note>,
        acknowledges: Option<Owner>,
    },
    /// A message of ours arrived.
    Acknowledged(Owner),
    /// A message of ours was rejected.
    Reset(Owner),
    /// What was rejected is not under way; it may be the last notification to one of what the peer observes.
    ResetOf { peer: Key, id: MessageId },
}

/// What a retransmission timer led to.
pub(crate) enum TimedOut {
    Again,
    GivenUp { owner: Owner, retransmissions: u8 },
}

struct Outgoing {
    sending: Sending,
    peer: Key,
    /// The encoded message; its ID is written when it leaves.
    datagram: Box<[u8]>,
    id: Option<MessageId>,
    attempt: Option<Attempt>,
    /// The request whose acknowledgement it stands for.
    stands_for: Option<(MessageId, Option<Note>)>,
}

pub(crate) struct MessageLayer {
    pub(crate) peers: Peers,
    seen: Seen,
    outgoing: Slab<Outgoing>,
    at_leisure: Slab<(Sending, Box<[u8]>)>,
    in_flight: HashMap<(Key, MessageId), Key, foldhash::fast::FixedState>,
    /// EXCHANGE_LIFETIME (RFC 7252 §4.8.2).
    lifetime: Duration,
}

/// There is no room for another message.
#[derive(Debug)]
pub(crate) struct Full;

impl MessageLayer {
    pub(crate) fn new(context: &mut Context) -> MessageLayer {
        let lifetime = context.config.transmission.exchange_lifetime();
        let max_exchanges = context.config.max_exchanges;
        let outgoing = context.config.max_requests.saturating_add(max_exchanges);
        let (seen_bytes, max_peers) = (context.config.seen_bytes, context.config.max_peers);
        let mut seed = || context.random_u64();
        MessageLayer {
            peers: Peers::new(max_peers, seed()),
            seen: Seen::new(seen_bytes, lifetime, seed()),
            outgoing: Slab::new(outgoing),
            at_leisure: Slab::new(max_exchanges),
            in_flight: HashMap::with_hasher(foldhash::fast::FixedState::with_seed(seed())),
            lifetime,
        }
    }

    /// Stage 2 of the way in. `allowance` pays for an answer that is sent again; `goes_on`: it is a further block of a
    /// transfer, which does no harm if it is taken again.
    pub(crate) fn inbound(
        &mut self,
        context: &mut Context,
        now: Instant,
        path: &Path,
        message: &Message<'_>,
        (allowance, goes_on): (Allowance, bool),
    ) -> Verdict {
        self.heard(context, now, &path.peer());
        match (message.message_type, message.code.kind()) {
            (MessageType::Confirmable, _) if path.multicast => {
                context.stats.drop_for(DropReason::ConfirmableMulticast);
                Verdict::Absorbed
            }
            (MessageType::Confirmable, CodeKind::Empty) => {
                context.transmit_empty(path.back(), MessageType::Reset, message.message_id);
                Verdict::Absorbed
            }
            (MessageType::Confirmable | MessageType::NonConfirmable, CodeKind::Request(method)) => {
                let idempotent = method.is_idempotent();
                let care = Care::of(goes_on, idempotent, allowance.is_unlimited());
                self.inbound_request(context, now, path, message, (care, allowance))
            }
            (MessageType::Confirmable | MessageType::NonConfirmable, CodeKind::Response(_)) => {
                match self.note(context, now, path, message, (Care::Lenient, None)) {
                    Some(seen) => Verdict::Response {
                        seen,
                        acknowledges: None,
                    },
                    None => Verdict::Absorbed,
                }
            }
            (MessageType::Acknowledgement, CodeKind::Empty | CodeKind::Response(_))
            | (MessageType::Reset, CodeKind::Empty) => self.outcome(context, now, path, message),
            _ => {
                context.stats.drop_for(DropReason::TypeCode);
                Verdict::Absorbed
            }
        }
    }

    fn inbound_request(
        &mut self,
        context: &mut Context,
        now: Instant,
        path: &Path,
        message: &Message<'_>,
        (care, allowance): (Care, Allowance),
    ) -> Verdict {
        match self.note(context, now, path, message, (care, Some(allowance))) {
            Some(seen) => Verdict::Request {
                seen,
                room: seen.is_some() || matches!(care, Care::Lenient | Care::Passing),
            },
            None => Verdict::Absorbed,
        }
    }

    /// De-duplication (RFC 7252 §4.5): what it is remembered by, if there is room. `None`: it was seen before, and its
    /// answer is sent again. For a response there is no allowance: what answers it is an empty message, so that one with
    /// the ID of a request brings nobody the answer to that.
    fn note(
        &mut self,
        context: &mut Context,
        now: Instant,
        path: &Path,
        message: &Message<'_>,
        (care, allowance): (Care, Option<Allowance>),
    ) -> Option<Option<Note>> {
        match self.seen.note(now, path, message.message_id, care) {
            Sight::New(note) => Some(Some(note)),
            Sight::NoRoom => Some(None),
            Sight::Again(reply) => {
                context.stats.drop_for(DropReason::Duplicate);
                // What repeats a request may be shorter than the request was, and pays less.
                let mut is_paid = |datagram: &[u8]| match allowance {
                    Some(mut allowance) => allowance.spend(&mut context.stats, datagram.len()),
                    None => datagram.len() == EMPTY_MESSAGE,
                };
                if let Some(datagram) = reply
                    && is_paid(datagram)
                {
                    context.out.push(path.back(), datagram);
                }
                None
            }
        }
    }

    /// An acknowledgement or reset ends the message of ours that it names.
    fn outcome(
        &mut self,
        context: &mut Context,
        now: Instant,
        path: &Path,
        message: &Message<'_>,
    ) -> Verdict {
        let id = message.message_id;
        let peer = self.peers.find(&path.peer());
        let matched = peer.and_then(|peer| self.in_flight.get(&(peer, id)).copied());
        let Some(owner) = matched.and_then(|key| self.owner(key)) else {
            let is_reset = message.message_type == MessageType::Reset;
            let observes = |peer: &Key| {
                self.peers
                    .get(*peer)
                    .is_some_and(|state| state.observers.is_some())
            };
            if let Some(peer) = peer.filter(|peer| is_reset && observes(peer)) {
                return Verdict::ResetOf { peer, id };
            }
            context.stats.drop_for(DropReason::UnmatchedAcknowledgement);
            return Verdict::Absorbed;
        };
        if message.message_type == MessageType::Acknowledgement
            && matched.is_some_and(|key| self.acknowledges_superseded(key, message.message_id))
        {
            return Verdict::Absorbed;
        }
        let responds = !message.code.is_empty() && matches!(owner, Owner::Request(_));
        // RFC 7252 §5.3.2: the response to another request; what is under way goes on.
        if responds && !matched.is_some_and(|key| self.carries(key, message.token)) {
            context.stats.drop_for(DropReason::UnmatchedResponse);
            return Verdict::Absorbed;
        }
        let ended = matched.and_then(|key| self.remove(context, now, key));
        if let Some((request, _)) = ended.and_then(|outgoing| outgoing.stands_for) {
            context.transmit_empty(path.back(), MessageType::Acknowledgement, request);
        }
        match message.message_type {
            MessageType::Reset => Verdict::Reset(owner),
            _ if responds => Verdict::Response {
                seen: None,
                acknowledges: Some(owner),
            },
            _ => Verdict::Acknowledged(owner),
        }
    }

    /// Whether this ID is that of the message that was superseded by `key`. Its receiver lives and is interested: the
    /// count of retransmissions begins anew, so that it is not taken for gone too soon (RFC 7641 §4.5.2).
    fn acknowledges_superseded(&mut self, key: Key, id: MessageId) -> bool {
        let Some(outgoing) = self.outgoing.get_mut(key) else {
            return false;
        };
        let attempt = outgoing.attempt.as_mut();
        let Some(attempt) = attempt.filter(|attempt| attempt.superseded == Some(id)) else {
            return false;
        };
        // One sign of life, however often it comes.
        (attempt.retransmissions, attempt.superseded) = (0, None);
        self.in_flight.remove(&(outgoing.peer, id));
        true
    }

    /// Whether a request of ours has this token; ours have at most 8 bytes.
    fn carries(&self, key: Key, token: &[u8]) -> bool {
        let sent = self.outgoing.get(key).and_then(|outgoing| {
            let len = usize::from(outgoing.datagram.first()? & 0x0f);
            outgoing.datagram.get(4..4 + len)
        });
        sent == Some(token)
    }

    /// Acknowledges a confirmable message with an empty message, now and for each duplicate to come.
    pub(crate) fn acknowledge(
        &mut self,
        context: &mut Context,
        path: &Path,
        id: MessageId,
        seen: Option<Note>,
    ) {
        self.reply(
            context,
            path,
            seen,
            &Message::empty(MessageType::Acknowledgement, id),
        );
    }

    /// A confirmable response that has left stands for the acknowledgement of its request until it ends: copies of the
    /// request bring it again, then the acknowledgement (RFC 7252 §4.5, §5.2.2). `false`: it has not left yet.
    pub(crate) fn stands_for(&mut self, key: Key, request: MessageId, seen: Option<Note>) -> bool {
        let outgoing = self.outgoing.get_mut(key);
        let Some(outgoing) = outgoing.filter(|outgoing| outgoing.id.is_some()) else {
            return false;
        };
        outgoing.stands_for = Some((request, seen));
        if let Some(note) = seen {
            self.seen.answer(note, &outgoing.datagram);
        }
        true
    }

    /// Rejects a message with a reset, now and for each duplicate to come. A connection has none.
    pub(crate) fn reset(&mut self, context: &mut Context, path: &Path, id: MessageId, seen: Option<Note>) {
        if path.is_reliable() {
            return;
        }
        self.reply(context, path, seen, &Message::empty(MessageType::Reset, id));
    }

    /// A request was refused before anything was executed: running it again would do no harm.
    pub(crate) fn relax(&mut self, seen: &mut Option<Note>) {
        *seen = seen.and_then(|note| self.seen.relax(note));
    }

    /// Answers a message under its own ID, now and for each duplicate to come.
    pub(crate) fn reply(
        &mut self,
        context: &mut Context,
        path: &Path,
        seen: Option<Note>,
        message: &Message<'_>,
    ) {
        if context.transmit(path.back(), message)
            && let Some(note) = seen
        {
            self.seen.answer(note, context.out.last());
        }
    }

    /// A retransmission timer fired.
    pub(crate) fn timed_out(&mut self, context: &mut Context, now: Instant, key: Key) -> TimedOut {
        let Some(outgoing) = self.outgoing.get_mut(key) else {
            return TimedOut::Again;
        };
        let Some(attempt) = &mut outgoing.attempt else {
            return TimedOut::Again;
        };
        if let Some(next) = attempt.next(&outgoing.sending.parameters) {
            *attempt = next;
            context.timers.arm(TimerKey::Outgoing(key), now + attempt.timeout);
            let Sending { path, allowance, .. } = &mut outgoing.sending;
            if context.pay(now, path, allowance, outgoing.datagram.len()) {
                context.stats.retransmissions += 1;
                context.out.push(*path, &outgoing.datagram);
            }
            return TimedOut::Again;
        }
        let (owner, retransmissions) = (outgoing.sending.owner, attempt.retransmissions);
        context.stats.given_up += 1;
        self.remove(context, now, key);
        TimedOut::GivenUp {
            owner,
            retransmissions,
        }
    }

    /// Whose message this is.
    pub(crate) fn owner(&self, key: Key) -> Option<Owner> {
        self.outgoing.get(key).map(|outgoing| outgoing.sending.owner)
    }

    /// Ends a message whose attempt timed out, so that a newer one can take up its retransmission; `None` when it
    /// was the last attempt (RFC 7641 §4.5.2).
    pub(crate) fn supersede(&mut self, context: &mut Context, now: Instant, key: Key) -> Option<Attempt> {
        let outgoing = self.outgoing.get(key)?;
        let next = outgoing.attempt?.next(&outgoing.sending.parameters)?;
        let superseded = outgoing.id;
        self.remove(context, now, key);
        context.stats.retransmissions += 1;
        Some(Attempt { superseded, ..next })
    }

    /// Forgets a message, whether it has left or not. What was not begun does not leave later.
    pub(crate) fn cancel(&mut self, context: &mut Context, now: Instant, key: Key) {
        let outgoing = self.remove(context, now, key);
        if let Some(connection) = outgoing.and_then(|outgoing| outgoing.sending.path.connection)
            && context.connections.is_untouched(connection, key)
        {
            context.connections.withdraw(connection, &[key]);
        }
    }

    fn remove(&mut self, context: &mut Context, now: Instant, key: Key) -> Option<Outgoing> {
        let outgoing = self.take_out(context, key)?;
        if outgoing.id.is_some() && outgoing.sending.confirmable {
            self.dispatch(context, now, outgoing.peer);
        }
        Some(outgoing)
    }

    /// The same without a look at what may be sent now.
    fn take_out(&mut self, context: &mut Context, key: Key) -> Option<Outgoing> {
        let outgoing = self.outgoing.remove(key)?;
        context.timers.disarm(TimerKey::Outgoing(key));
        // Its peer may be forgotten by now: one that is sent a non-confirmable message need not be heard again.
        let superseded = outgoing.attempt.and_then(|attempt| attempt.superseded);
        for id in outgoing.id.into_iter().chain(superseded) {
            self.in_flight.remove(&(outgoing.peer, id));
        }
        self.in_flight.give_back();
        if let Some((request, Some(note))) = outgoing.stands_for {
            self.seen.answer(note, &empty_acknowledgement(request));
        }
        if let Some(state) = self.peers.get_mut(outgoing.peer) {
            let waits = outgoing.id.is_none();
            state.forget(key, waits);
            if !waits && outgoing.sending.confirmable {
                state.in_flight = state.in_flight.saturating_sub(1);
            }
        }
        Some(outgoing)
    }

    /// A peer's turn has come: an ID is free again, or PROBING_RATE allows another message.
    pub(crate) fn peer_due(&mut self, context: &mut Context, now: Instant, peer: Key) {
        self.dispatch(context, now, peer);
    }

    /// A peer that is heard answers: it may be sent to again (RFC 7252 §4.7).
    fn heard(&mut self, context: &mut Context, now: Instant, peer: &Peer) {
        let Some(key) = self.peers.find(peer) else { return };
        let Some(state) = self.peers.get_mut(key) else {
            return;
        };
        if state.unanswered > 0 {
            state.unanswered = 0;
            state.probe_at = now;
            self.dispatch(context, now, key);
        }
    }

    /// Forgets what is older than its lifetime.
    pub(crate) fn sweep(&mut self, context: &Context, now: Instant) {
        self.seen.forget(now);
        self.peers
            .sweep(now, context.config.transmission.exchange_lifetime());
    }

    pub(crate) fn next_sweep(&self, context: &Context) -> Option<Instant> {
        let lifetime = context.config.transmission.exchange_lifetime();
        earliest(self.seen.next_expiry(), self.peers.next_sweep(lifetime))
    }

    /// Nothing is remembered or under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.seen.is_empty()
            && self.peers.is_empty()
            && self.outgoing.is_empty()
            && self.in_flight.is_empty()
            && self.at_leisure.is_empty()
    }

    /// Nothing waits to be sent or to be acknowledged.
    pub(crate) fn is_quiet(&self) -> bool {
        let waits = |outgoing: &Outgoing| outgoing.id.is_none() || outgoing.sending.confirmable;
        self.at_leisure.is_empty() && !self.outgoing.iter().any(|(_, outgoing)| waits(outgoing))
    }

    /// The messages that are under way to a peer: first those that wait for their turn, so that none of them is
    /// sent when the ones before it are given up.
    pub(crate) fn towards(&self, peer: &Peer) -> Vec<(Key, Owner)> {
        let state = self.peers.find(peer).and_then(|key| self.peers.get(key));
        let messages = state.into_iter().flat_map(PeerState::messages);
        let mut found: Vec<_> = messages
            .filter_map(|key| Some((key, self.outgoing.get(key)?)))
            .map(|(key, outgoing)| (outgoing.id.is_some(), key, outgoing.sending.owner))
            .collect();
        found.sort_by_key(|(left, ..)| *left);
        found.into_iter().map(|(_, key, owner)| (key, owner)).collect()
    }

    /// Whether a message waits for its turn, so that nothing of it has left.
    pub(crate) fn is_waiting(&self, key: Key) -> bool {
        self.outgoing
            .get(key)
            .is_some_and(|outgoing| outgoing.id.is_none())
    }
}

fn empty_acknowledgement(id: MessageId) -> [u8; EMPTY_MESSAGE] {
    let mut datagram = [0; EMPTY_MESSAGE];
    // It is as long as an empty message is.
    let _ = Message::empty(MessageType::Acknowledgement, id).encode(&mut datagram);
    datagram
}
