//! The server's side of observation (RFC 7641 §4): between the exchange stage and the message layer.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use coracle_wire::{
    Code, Message, MessageId, MessageType, Method, OptionNumber, Options, OptionsBuf, Status,
};

use crate::amplification::Allowance;
use crate::endpoint::Endpoint;
use crate::exchange::ask::Ask;
use crate::exchange::reply::Reply;
use crate::limits;
use crate::message::{Owner, Sending};
use crate::observe::groups::{Kept, Shown, observe};
use crate::observe::members::Member;
use crate::observe::server::{Left, Registration};
use crate::path::Peer;
use crate::slab::Key;
use crate::stats::DropReason;
use crate::time::Instant;
use crate::values::{Event, ExchangeId, OwnedRequest, RespondError, ResponseRef, Topic, Transmit, Window};

impl Endpoint {
    /// How many observers are registered.
    #[must_use]
    pub fn observers(&self) -> usize {
        self.observers.members.len()
    }

    /// A state of the application changed: leads to [`Event::Refresh`] for those who observe it.
    pub fn changed(&mut self, topic: Topic) {
        self.observers.changed(topic);
    }

    /// Whether a topic has observers.
    #[must_use]
    pub fn is_observed(&self, topic: Topic) -> bool {
        self.observers.is_observed(topic)
    }

    /// Forgets all observers of a topic without telling them, as a restart would.
    pub fn forget_observers(&mut self, now: Instant, topic: Topic) {
        for observer in self.observers.of_topic(topic) {
            self.end_observation(now, observer);
        }
    }

    /// The observation that a request of this peer with this token renews or cancels (RFC 7641 §4.1).
    fn observer_of(&self, ask: &Ask) -> Option<Key> {
        let peer = self.messages.find_peer(&ask.path.peer())?;
        self.observers.members.find(peer, &ask.token)
    }

    /// All that a peer observes.
    fn observers_of(&self, peer: Key) -> impl Iterator<Item = (Key, &Member)> {
        let first = self.messages.peer(peer).and_then(|state| state.observers);
        self.observers.members.of_peer(first)
    }

    /// Ends the observation that a request cancels (RFC 7641 §3.6, §4.1).
    pub(super) fn deregister(&mut self, now: Instant, ask: &Ask, options: Options<'_>) {
        if ask.observes && options.observe() == Some(1) {
            self.end_observation_of(now, ask);
        }
    }

    fn end_observation_of(&mut self, now: Instant, ask: &Ask) {
        if let Some(observer) = self.observer_of(ask) {
            self.end_observation(now, observer);
        }
    }

    /// Makes the request an observation, if it asks for one and the application accepts it (RFC 7641 §4.1).
    pub(super) fn register(
        &mut self,
        now: Instant,
        (exchange, kept): (Key, Arc<Kept>),
        ask: &Ask,
        response: &ResponseRef<'_>,
        reply: &mut Reply<'_>,
    ) -> Option<Key> {
        let may_observe = self.may_observe(ask);
        let mut after = None;
        // RFC 7641 §4.1, §4.2: where the new one is not accepted, the answer tells the client that no more follow.
        if let Some(before) = self.observer_of(ask) {
            after = self.observers.members.get(before).map(|member| member.number);
            self.end_observation(now, before);
        }
        let topic = response.observe.filter(|_| response.status.is_success())?;
        if !may_observe {
            return None;
        }
        let peer = self
            .messages
            .enter_peer(&mut self.context, now, &ask.path.peer())?;
        let state = self.messages.peer_mut(peer)?;
        let registration = Registration {
            exchange,
            ask,
            topic,
            kept,
            response,
            after,
        };
        let of_peer = (peer, &mut state.observers);
        let (observer, number) = self
            .observers
            .register(&mut self.context, now, of_peer, registration)?;
        self.messages.pin_peer(peer);
        reply.set_uint(OptionNumber::OBSERVE, observe(number));
        Some(observer)
    }

    /// Whether there may be one more observer, and this peer may have it. One that is renewed takes the place that it
    /// frees.
    pub(super) fn may_observe(&self, ask: &Ask) -> bool {
        let most = self.context.config.max_observers_per_peer;
        let most = if ask.is_proved() {
            most
        } else {
            most.min(limits::OBSERVERS_OF_UNPROVED)
        };
        let peer = self.messages.find_peer(&ask.path.peer());
        let state = peer.and_then(|peer| self.messages.peer(peer));
        let in_share = state.is_none_or(|state| (state.pins as usize) < most);
        (in_share && self.observers.has_room(&self.context, ask)) || self.observer_of(ask).is_some()
    }

    /// What has to be kept of a request that may become an observation: the request itself, to run it again.
    pub(super) fn registration(
        &mut self,
        now: Instant,
        ask: &Ask,
        options: Options<'_>,
        payload: &[u8],
    ) -> Option<Arc<Kept>> {
        if !asks_to_observe(ask, options) {
            return None;
        }
        let bytes = options.as_bytes().len() + payload.len();
        let mut options = OptionsBuf::from(options);
        for number in [
            OptionNumber::BLOCK1,
            OptionNumber::BLOCK2,
            OptionNumber::SIZE1,
            OptionNumber::ETAG,
        ] {
            options.remove(number);
        }
        let budget = &self.observers.budget;
        let Some(charge) = budget.for_request(bytes, &ask.path.peer(), ask.is_proved()) else {
            let before = self.observer_of(ask)?;
            let group = self.observers.group_of(before)?;
            let same = group.share(ask, options.as_options(), payload);
            if same.is_none() {
                // RFC 7641 §4.1: it is answered as if it did not ask for more, and what it would renew ends.
                self.end_observation(now, before);
            }
            return same;
        };
        let request = OwnedRequest {
            method: ask.method,
            options,
            payload: Vec::from(payload),
            path: ask.path,
            confirmable: ask.confirmable,
        };
        Some(Arc::new(Kept::new(request, charge)))
    }

    /// The new state of what was asked for by this registration is there.
    pub(super) fn refreshed(
        &mut self,
        now: Instant,
        registration: Key,
        response: &ResponseRef<'_>,
    ) -> Result<(), RespondError> {
        let asked = self.observers.asked(&mut self.context, registration);
        let asking = asked.ok_or(RespondError::Unknown)?;
        let member = asking.member;
        let group = self.observers.group_of(member).ok_or(RespondError::Unknown)?;
        // RFC 7641 §4.2: a state that cannot be shown as it was before ends the observation.
        let keeps_format = !response.status.is_success() || group.keeps_format(response);
        let goes_on = response.status.is_success() && response.observe.is_some() && keeps_format;
        if asking.shared && (!goes_on || response.personal) {
            // What one may not see any more, others still may.
            self.observers.ask_alone(member, goes_on);
        }
        if !goes_on {
            let reply = if keeps_format {
                Reply::of(response)
            } else {
                Reply::new(Status::NOT_ACCEPTABLE, &[])
            };
            self.tell_last(now, member, reply, response.window);
            return Ok(());
        }
        let mut shown = Shown::new(now, asking.number, response);
        if asking.shared && !response.personal {
            shown.charge = self.observers.charge(&self.context, member, &shown);
            if shown.charge.is_some() {
                self.observers.show(&mut self.context, member, Box::new(shown));
                return Ok(());
            }
            // There is no room to keep it: it is told to one, and asked for again for each of the others.
            self.observers.ask_alone(member, false);
        }
        self.tell(now, member, &shown, None);
        Ok(())
    }

    /// Makes the next notification of a state that is there, in `buf`.
    pub(super) fn next_notification(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        for _ in 0..limits::MEMBERS_PER_CALL {
            let (context, messages) = (&mut self.context, &mut self.messages);
            let at_once = self
                .observers
                .tell_at_once(context, (messages, &self.bodies), now, buf);
            if at_once.is_some() {
                return at_once;
            }
            let (group, member) = self.observers.next_due(now)?;
            let shown = self.observers.take_shown(group)?;
            let transmit = self.tell(now, member, &shown, Some(&mut *buf));
            self.observers.keep_shown(group, shown);
            // A confirmable one, or another that was held up by it, takes the way of all messages.
            if let Some(transmit) = transmit.or_else(|| self.context.out.pop(buf)) {
                return Some(transmit);
            }
        }
        None
    }

    /// Tells a state to a member, or sees to it that it is told as soon as it may be: stages 3 to 8 of the way out.
    fn tell(&mut self, now: Instant, key: Key, shown: &Shown, buf: Option<&mut [u8]>) -> Option<Transmit> {
        let member = self.observers.members.get(key)?;
        let peer = self.messages.peer(member.peer)?.peer;
        let resume = self.observers.resumed(key);
        let confirmable =
            resume.is_some() || member.wants_confirmation(&self.context, now, shown.confirmable);
        let mut id = MessageId(0);
        if !confirmable {
            match self.turn(now, member.peer, member.has_turn) {
                Ok(given) => id = given,
                Err(at) => {
                    self.observers.wait(&mut self.context, key, at);
                    return None;
                }
            }
        }
        let (member, group) = self.observers.get(key)?;
        let (path, asked) = (group.way_to(peer), group.asked_by(peer, &member.token));
        if let Some(before) = member.outgoing {
            self.messages.cancel(&mut self.context, now, before);
        }
        let mut reply = shown.reply();
        // 4 block
        let _ = self
            .bodies
            .outbound(&mut self.context, now, &asked, &mut reply, shown.window);
        let message = Message {
            message_type: if confirmable {
                MessageType::Confirmable
            } else {
                MessageType::NonConfirmable
            },
            message_id: id,
            ..message(&reply, member.token.as_bytes())
        };
        if !self.context.fits(&path, &message) {
            // It never will: the application need not be asked for it again and again.
            self.tell_last(now, key, Reply::new(Status::INTERNAL_SERVER_ERROR, &[]), None);
            return None;
        }
        // 7 message, 8 wire
        let mut left = Left {
            number: shown.number,
            id: Some(id),
            outgoing: None,
        };
        let mut transmit = None;
        if confirmable {
            let sending = Sending {
                path,
                confirmable,
                owner: Owner::Notification(key),
                parameters: self.context.config.transmission,
                resume,
                allowance: Allowance::UNLIMITED,
            };
            let Ok(outgoing) = self.messages.send(&mut self.context, now, sending, &message) else {
                // It is told later, not never.
                self.observers
                    .wait(&mut self.context, key, now + limits::ROOM_AFTER);
                return None;
            };
            (left.id, left.outgoing) = (None, Some(outgoing));
        } else if let Some(buf) = buf {
            transmit = message.encode(buf).ok().map(|len| Transmit { path, len });
        } else {
            self.context.transmit(path, &message);
        }
        self.context.stats.notifications += 1;
        self.observers.told(&mut self.context, now, key, left);
        transmit
    }

    /// The message ID of a non-confirmable notification, or when its peer may be sent one.
    fn turn(&mut self, now: Instant, peer: Key, has_turn: bool) -> Result<MessageId, Instant> {
        if !has_turn {
            let interval = self.context.config.notification_interval;
            self.messages.take_turn(now, interval, peer)?;
        }
        self.messages.next_id(now, peer)
    }

    /// Tells a member that its observation ends, and why (RFC 7641 §4.2).
    fn tell_last(&mut self, now: Instant, key: Key, mut reply: Reply<'_>, window: Option<Window>) {
        let Some((member, group)) = self.observers.get(key) else {
            return;
        };
        let Some(peer) = self.messages.peer(member.peer).map(|state| state.peer) else {
            return;
        };
        if let Some(before) = member.outgoing {
            self.messages.cancel(&mut self.context, now, before);
        }
        // 4 block
        let asked = group.asked_by(peer, &member.token);
        let _ = self
            .bodies
            .outbound(&mut self.context, now, &asked, &mut reply, window);
        let sending = Sending {
            path: group.way_to(peer),
            confirmable: true,
            owner: Owner::Response { repeatable: true },
            parameters: self.context.config.transmission,
            resume: self.observers.resumed(key),
            allowance: Allowance::UNLIMITED,
        };
        // 7 message, 8 wire
        let message = message(&reply, member.token.as_bytes());
        if self
            .messages
            .send(&mut self.context, now, sending, &message)
            .is_err()
        {
            self.context.stats.drop_for(DropReason::Busy);
        }
        self.context.stats.notifications += 1;
        self.end_observation(now, key);
    }

    /// The response to a registration is the first notification. As a message of its own it comes before all others, is
    /// the one that is under way, and tells by its Reset or its end that nobody is there (RFC 7641 §4.5, §4.5.1).
    pub(super) fn first_notification_left(
        &mut self,
        now: Instant,
        key: Key,
        sent: Option<Key>,
        confirmable: bool,
    ) {
        let Some(outgoing) = sent else { return };
        let id = self.messages.id_of(outgoing).filter(|_| !confirmable);
        if id.is_some() {
            self.messages.cancel(&mut self.context, now, outgoing);
        }
        let outgoing = sent.filter(|_| id.is_none());
        self.observers.first_left(key, id, outgoing, confirmable);
    }

    /// A confirmable notification was acknowledged: the client is interested (RFC 7641 §4.5).
    pub(super) fn notified(&mut self, now: Instant, key: Key) {
        self.observers.members.confirmed(now, key);
        self.observers.released(&mut self.context, key);
    }

    /// Gives up an unacknowledged notification in favour of the newer state; `false` when there is none, or when it
    /// was the last attempt.
    pub(super) fn supersede(&mut self, now: Instant, outgoing: Key, key: Key) -> bool {
        // What was not paid for an unproved address is not sent in another message.
        let member = self.observers.members.get(key);
        if member.is_none_or(Member::is_unproved) || !self.observers.is_outdated(key) {
            return false;
        }
        let Some(attempt) = self.messages.supersede(&mut self.context, now, outgoing) else {
            return false;
        };
        self.observers.resume(key, attempt);
        self.observers.released(&mut self.context, key);
        true
    }

    /// A peer rejects what is not under way any more: the last notification to one of its observers, if that was not
    /// confirmable (RFC 7641 §4.5).
    pub(super) fn was_reset_late(&mut self, now: Instant, peer: Key, id: MessageId) {
        let of_peer = self.observers_of(peer);
        // An ID may come round; the latest that had it is meant.
        let rejected = of_peer
            .filter(|(_, member)| member.last_id == Some(id))
            .max_by_key(|(_, member)| member.last_sent);
        match rejected {
            Some((key, _)) => self.end_observation(now, key),
            None => self.context.stats.drop_for(DropReason::UnmatchedAcknowledgement),
        }
    }

    /// Whether a peer observes anything.
    pub(super) fn observes(&self, peer: &Peer) -> bool {
        let state = self
            .messages
            .find_peer(peer)
            .and_then(|peer| self.messages.peer(peer));
        state.is_some_and(|state| state.observers.is_some())
    }

    /// A peer is gone, and with it all that it observes.
    pub(super) fn end_observations_of(&mut self, now: Instant, peer: &Peer) {
        let Some(peer) = self.messages.find_peer(peer) else {
            return;
        };
        for key in self.observers_of(peer).map(|(key, _)| key).collect::<Vec<_>>() {
            self.end_observation(now, key);
        }
    }

    /// What was sent last to a peer does not arrive: those who did not acknowledge are gone.
    pub(super) fn end_unconfirmed(&mut self, now: Instant, peer: &Peer) {
        let Some(peer) = self.messages.find_peer(peer) else {
            return;
        };
        let unconfirmed = self
            .observers_of(peer)
            .filter(|(_, member)| member.last_id.is_some());
        for key in unconfirmed.map(|(key, _)| key).collect::<Vec<_>>() {
            self.end_observation(now, key);
        }
    }

    /// A peer that is gone is gone for all that it observes: it is not tried once more for each.
    pub(super) fn end_observations_beside(&mut self, now: Instant, key: Key) {
        let member = self.observers.members.get(key);
        let Some((of_peer, state)) =
            member.and_then(|member| Some((member.peer, self.messages.peer(member.peer)?)))
        else {
            return;
        };
        // First those whose notification waits for its turn, so that none is sent when the ones before it go.
        let waiting = self.messages.towards(&state.peer).into_iter();
        let waiting = waiting.filter_map(|(_, owner)| match owner {
            Owner::Notification(observer) => Some(observer),
            _ => None,
        });
        let all = waiting.chain(self.observers_of(of_peer).map(|(key, _)| key));
        for other in all.filter(|other| *other != key).collect::<Vec<_>>() {
            self.end_observation(now, other);
        }
    }

    /// Takes an observer off the list, and tells the application (RFC 7641 §4.5).
    pub(super) fn end_observation(&mut self, now: Instant, key: Key) {
        let Some(member) = self.observers.members.get(key) else {
            return;
        };
        let (registration, outgoing, peer) = (member.registration, member.outgoing, member.peer);
        if let Some(outgoing) = outgoing {
            self.messages.cancel(&mut self.context, now, outgoing);
        }
        if let Some(state) = self.messages.peer_mut(peer) {
            self.observers
                .unregister(&mut self.context, key, &mut state.observers);
        }
        self.messages.unpin_peer(peer);
        self.context.events.push_back(Event::Ended {
            id: ExchangeId::server(registration),
        });
    }
}

/// Whether a request asks for an observation, and for what can be observed.
pub(super) fn asks_to_observe(ask: &Ask, options: Options<'_>) -> bool {
    // RFC 7641 §2, RFC 8132 §2.4: GET and FETCH can be observed.
    let observable = ask.method == Method::GET || ask.method == Method::FETCH;
    // RFC 7959 §2.6: what is observed is the whole, from its first block on.
    let further = ask.blocks.block2.is_some_and(|block| block.num() > 0);
    ask.observes && observable && !further && !ask.path.multicast && options.observe() == Some(0)
}

/// A confirmable message with a notification.
fn message<'m>(reply: &'m Reply<'_>, token: &'m [u8]) -> Message<'m> {
    Message {
        message_type: MessageType::Confirmable,
        code: Code::from(reply.status),
        message_id: MessageId(0),
        token,
        options: reply.options(),
        payload: reply.payload,
    }
}
