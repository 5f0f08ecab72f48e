//! A message on its way out.

use alloc::boxed::Box;

use coracle_wire::{Message, MessageId};

use crate::amplification::Allowance;
use crate::config::TransmissionParameters;
use crate::context::Context;
use crate::exchange::payload::SharedBody;
use crate::limits;
use crate::message::ids::HeldBack;
use crate::message::pacing::{depart, first_attempt, next_in_line, passes};
use crate::message::peers::PeerState;
use crate::message::{Attempt, Full, MessageLayer, Outgoing, Owner};
use crate::path::{Path, Peer};
use crate::slab::Key;
use crate::stats::DropReason;
use crate::time::Instant;
use crate::timers::TimerKey;
use crate::values::{Event, ExchangeId};

/// A message to send under a message ID of ours.
#[derive(Clone, Copy)]
pub(crate) struct Sending {
    pub(crate) path: Path,
    pub(crate) confirmable: bool,
    pub(crate) owner: Owner,
    pub(crate) parameters: TransmissionParameters,
    /// Takes up the retransmission of a message it supersedes (RFC 7641 §4.5.2).
    pub(crate) resume: Option<Attempt>,
    /// What pays for its transmissions.
    pub(crate) allowance: Allowance,
}

/// A response that is a message of its own.
pub(crate) struct Response<'a> {
    /// The way of its request.
    pub(crate) path: &'a Path,
    pub(crate) confirmable: bool,
    pub(crate) owner: Owner,
    /// What pays for its transmissions.
    pub(crate) allowance: Allowance,
}

impl Response<'_> {
    pub(super) fn sending(&self, context: &Context) -> Sending {
        Sending {
            path: self.path.back(),
            confirmable: self.confirmable,
            owner: self.owner,
            parameters: context.config.transmission,
            resume: None,
            allowance: self.allowance,
        }
    }
}

impl MessageLayer {
    /// Sends a message under an ID of ours, now or when its turn comes.
    ///
    /// The key lives until the message is acknowledged, rejected, given up or cancelled; a non-confirmable message
    /// of a [`Owner::Response`] has none once it has left.
    pub(crate) fn send(
        &mut self,
        context: &mut Context,
        now: Instant,
        sending: Sending,
        message: &Message<'_>,
    ) -> Result<Key, Full> {
        self.send_shared(context, now, sending, (message, None))
    }

    /// The same with a payload that may be a part of a shared body.
    pub(crate) fn send_shared(
        &mut self,
        context: &mut Context,
        now: Instant,
        sending: Sending,
        message: (&Message<'_>, Option<&SharedBody>),
    ) -> Result<Key, Full> {
        if let Some(connection) = sending.path.connection {
            return self.send_on(context, now, connection, sending, message);
        }
        let (message, _) = message;
        let datagram = encode(message).ok_or(Full)?;
        self.enqueue(context, now, sending, datagram)
    }

    /// The same for a response. One that waits for nothing and that nobody waits for is not kept: `None`.
    pub(crate) fn respond(
        &mut self,
        context: &mut Context,
        now: Instant,
        mut response: Response<'_>,
        message: (&Message<'_>, Option<&SharedBody>),
    ) -> Result<Option<Key>, Full> {
        if let Some(connection) = response.path.connection {
            return self.respond_on(context, now, connection, &response, message);
        }
        let (message, _) = message;
        let is_kept = response.confirmable || !response.owner.is_response();
        let peer = response.path.peer();
        let at_once = (!is_kept).then(|| self.free_id(context, now, &peer)).flatten();
        let Some(message_id) = at_once else {
            let sending = response.sending(context);
            return self.send(context, now, sending, message).map(Some);
        };
        let message = Message {
            message_id,
            ..*message
        };
        let back = response.path.back();
        if context.pay(now, &back, &mut response.allowance, message.encoded_len()) {
            context.transmit(back, &message);
        }
        Ok(None)
    }

    /// A message ID for what may leave at once, because nothing waits before it.
    fn free_id(&mut self, context: &mut Context, now: Instant, peer: &Peer) -> Option<MessageId> {
        let key = self.peers.enter(now, peer, || context.random_u16())?;
        let state = self.peers.get_mut(key).filter(|state| state.waits() == 0)?;
        let lifetime = context.config.transmission.exchange_lifetime();
        let in_use = |id| self.in_flight.contains_key(&(key, id));
        state.ids.allocate(now, lifetime, in_use).ok()
    }

    /// Sends a response under an ID of ours when its leisure is over (RFC 7252 §8.2).
    pub(crate) fn send_at(
        &mut self,
        context: &mut Context,
        at: Instant,
        response: Response<'_>,
        message: &Message<'_>,
    ) -> Result<(), Full> {
        let sending = response.sending(context);
        let datagram = encode(message).ok_or(Full)?;
        let key = self.at_leisure.insert((sending, datagram)).map_err(|_| Full)?;
        context.timers.arm(TimerKey::Leisure(key), at);
        Ok(())
    }

    /// The leisure of a message is over.
    pub(crate) fn leisure_over(&mut self, context: &mut Context, now: Instant, key: Key) {
        let Some((sending, datagram)) = self.at_leisure.remove(key) else {
            return;
        };
        if self.enqueue(context, now, sending, datagram).is_err() {
            context.stats.drop_for(DropReason::Busy);
        }
    }

    fn enqueue(
        &mut self,
        context: &mut Context,
        now: Instant,
        sending: Sending,
        datagram: Box<[u8]>,
    ) -> Result<Key, Full> {
        let first_id = || context.random_u16();
        let Some(peer) = self.peers.enter(now, &sending.path.peer(), first_id) else {
            return Err(Full);
        };
        let waiting = self.peers.get(peer).map_or(0, PeerState::waits);
        if waiting >= context.config.max_queue_per_peer {
            return Err(Full);
        }
        let outgoing = Outgoing {
            sending,
            peer,
            datagram,
            id: None,
            attempt: sending.resume,
            stands_for: None,
        };
        let key = self.outgoing.insert(outgoing).map_err(|_| Full)?;
        // A response that needs no acknowledgement does not wait behind requests, only behind its like.
        if let Some(state) = self.peers.get_mut(peer) {
            let like = |key: &Key| {
                self.outgoing
                    .get(*key)
                    .is_some_and(|other| passes(&other.sending))
            };
            let place = if sending.resume.is_some() {
                // It goes on in the place of the one that it supersedes.
                0
            } else if passes(&sending) {
                state.waiting().take_while(like).count()
            } else {
                waiting
            };
            state.wait(key, place);
        }
        self.dispatch(context, now, peer);
        Ok(key)
    }

    /// Sends what may leave to `peer`, in order.
    pub(super) fn dispatch(&mut self, context: &mut Context, now: Instant, peer: Key) {
        while let Some(state) = self.peers.get_mut(peer) {
            let next = next_in_line(state, &self.outgoing, now)
                .and_then(|(place, key, turn)| Some((place, key, turn, self.outgoing.get_mut(key)?)));
            let Some((place, key, turn, outgoing)) = next else {
                match state.leave(0) {
                    Some(_) => continue,
                    None => break,
                }
            };
            let lifetime = context.config.transmission.exchange_lifetime();
            let in_use = |id| self.in_flight.contains_key(&(peer, id));
            let id = match turn.map(|()| state.ids.allocate(now, lifetime, in_use)) {
                Ok(Ok(id)) => id,
                Ok(Err(HeldBack { until, refilled })) => {
                    if let Owner::Request(request) = outgoing.sending.owner {
                        let id = ExchangeId::client(request);
                        let until = refilled;
                        context.events.push_back(Event::HeldBack { id, until });
                    }
                    return context.timers.arm(TimerKey::Peer(peer), until);
                }
                Err(Some(at)) => return context.timers.arm(TimerKey::Peer(peer), at),
                Err(None) => return,
            };
            state.leave(place);
            depart(state, &outgoing.sending, now, outgoing.datagram.len());
            outgoing.id = Some(id);
            let [_, _, high, low, ..] = &mut *outgoing.datagram else {
                continue;
            };
            [*high, *low] = id.0.to_be_bytes();
            let Sending { path, allowance, .. } = &mut outgoing.sending;
            if context.pay(now, path, allowance, outgoing.datagram.len()) {
                context.out.push(*path, &outgoing.datagram);
            }
            self.left(context, now, key);
        }
    }

    /// A message has left: a confirmable one waits for its acknowledgement, another for its rejection.
    fn left(&mut self, context: &mut Context, now: Instant, key: Key) {
        let Some(outgoing) = self.outgoing.get_mut(key) else {
            return;
        };
        let (sending, id) = (outgoing.sending, outgoing.id);
        let superseded = sending.resume.and_then(|attempt| attempt.superseded);
        for id in id.into_iter().chain(superseded) {
            self.in_flight.insert((outgoing.peer, id), key);
        }
        // A response that is not paid for a second time waits for nothing: at an address that may be anybody's it would
        // only take room.
        let is_last = sending.owner.is_response() && !sending.allowance.pays(outgoing.datagram.len());
        if sending.confirmable && !is_last {
            let attempt = outgoing
                .attempt
                .unwrap_or_else(|| first_attempt(context, &sending.parameters));
            outgoing.attempt = Some(attempt);
            context.timers.arm(TimerKey::Outgoing(key), now + attempt.timeout);
        } else if sending.owner.is_response() {
            // Whoever waits behind it leaves in the same loop.
            self.take_out(context, key);
        }
    }
}

/// The bytes of a message, unless they are more than a datagram holds.
fn encode(message: &Message<'_>) -> Option<Box<[u8]>> {
    let len = message.encoded_len();
    let mut datagram = alloc::vec![0; len];
    let fits = len <= limits::MAX_DATAGRAM && message.encode(&mut datagram).is_ok();
    fits.then(|| datagram.into_boxed_slice())
}
