//! The server's side of observation (RFC 7641 §4): between the exchange stage and the message layer.

use alloc::boxed::Box;
use alloc::vec::Vec;

use coracle_wire::{
    Code, Message, MessageId, MessageType, Method, OptionNumber, Options, OptionsBuf, Status,
};

use crate::amplification::Allowance;
use crate::endpoint::Endpoint;
use crate::exchange::reply::Reply;
use crate::exchange::server::Ask;
use crate::message::{Owner, Sending};
use crate::observe::server::{Observer, Phase};
use crate::slab::Key;
use crate::time::Instant;
use crate::timers::TimerKey;
use crate::values::{Event, ExchangeId, OwnedRequest, RespondError, ResponseRef, Topic};

impl Endpoint {
    /// How many observers are registered.
    #[must_use]
    pub fn observers(&self) -> usize {
        self.observers.len()
    }

    /// Forgets all observers of a topic without telling them, as a restart would.
    pub fn forget_observers(&mut self, now: Instant, topic: Topic) {
        for observer in self.observers.of_topic(topic) {
            self.end_observation(now, observer);
        }
    }

    /// Ends the observation that a request cancels (RFC 7641 §3.6, §4.1).
    pub(super) fn deregister(&mut self, now: Instant, ask: &Ask, options: Options<'_>) {
        if ask.observes
            && options.observe() == Some(1)
            && let Some(observer) = self.observers.find(ask)
        {
            self.end_observation(now, observer);
        }
    }

    /// Makes the request an observation, if it asks for one and the application accepts it (RFC 7641 §4.1).
    pub(super) fn register(
        &mut self,
        now: Instant,
        key: Key,
        ask: &Ask,
        response: &ResponseRef<'_>,
        reply: &mut Reply<'_>,
    ) -> bool {
        let Some(request) = self
            .server
            .exchanges
            .get_mut(key)
            .and_then(|serving| serving.registration.take())
        else {
            return false;
        };
        let before = self.observers.find(ask);
        let Some(topic) = response.observe.filter(|_| response.status.is_success()) else {
            // RFC 7641 §4.1, §4.2: the answer tells the client that no more notifications follow.
            if let Some(before) = before {
                self.end_observation(now, before);
            }
            return false;
        };
        let sequence = before.and_then(|before| {
            let serving = self.server.exchanges.get(before)?;
            serving.observer.as_ref().map(|observer| observer.sequence())
        });
        if let Some(before) = before {
            self.end_observation(now, before);
        }
        if !self.observers.has_room(&self.context, &ask.path.peer()) {
            return false;
        }
        let mut observer = self.observers.register(now, key, ask, topic, *request, response);
        if let Some(sequence) = sequence {
            observer.continue_after(sequence);
        }
        reply.set_uint(OptionNumber::OBSERVE, u64::from(observer.next_sequence()));
        if !ask.confirmable {
            observer.phase = Phase::Pausing;
            context_pause(self, now, key);
        }
        if let Some(serving) = self.server.exchanges.get_mut(key) {
            serving.observer = Some(Box::new(observer));
        }
        true
    }

    /// What has to be kept of a request that may become an observation: the request itself, to run it again.
    pub(super) fn registration(
        &self,
        ask: &Ask,
        options: Options<'_>,
        payload: &[u8],
    ) -> Option<Box<OwnedRequest>> {
        // RFC 7641 §2, RFC 8132 §2.4: GET and FETCH can be observed.
        let observable = ask.method == Method::GET || ask.method == Method::FETCH;
        // RFC 7959 §2.6: what is observed is the whole, from its first block on.
        let further = ask.blocks.block2.is_some_and(|block| block.num() > 0);
        if !ask.observes || !observable || further || options.observe() != Some(0) || ask.path.multicast {
            return None;
        }
        let mut options = OptionsBuf::from(options);
        for number in [
            OptionNumber::BLOCK1,
            OptionNumber::BLOCK2,
            OptionNumber::SIZE1,
            OptionNumber::ETAG,
        ] {
            options.remove(number);
        }
        Some(Box::new(OwnedRequest {
            method: ask.method,
            options,
            payload: Vec::from(payload),
            path: ask.path,
            confirmable: ask.confirmable,
        }))
    }

    /// Sends the new state to an observer: stages 3 to 8 of the way out.
    pub(super) fn notify(
        &mut self,
        now: Instant,
        key: Key,
        response: &ResponseRef<'_>,
    ) -> Result<(), RespondError> {
        if self.is_postponed(now, key, response) {
            return Ok(());
        }
        let serving = self.server.exchanges.get_mut(key).ok_or(RespondError::Unknown)?;
        let observer = serving
            .observer
            .as_mut()
            .filter(|observer| observer.phase == Phase::Refreshing);
        let observer = observer.ok_or(RespondError::Unknown)?;
        let mut reply = Reply::of(response);
        // RFC 7641 §4.2: a state that cannot be shown as it was before ends the observation.
        if response.status.is_success() && !observer.keeps_format(response) {
            reply = Reply::new(Status::NOT_ACCEPTABLE, &[]);
        }
        if reply.status.is_success() && response.observe.is_some() {
            reply.set_uint(OptionNumber::OBSERVE, u64::from(observer.next_sequence()));
        }
        if let Some(before) = observer.outgoing.take() {
            self.messages.cancel(&mut self.context, now, before);
        }
        // 4 block
        self.bodies.outbound(
            &mut self.context,
            now,
            &observer.asked,
            &mut reply,
            response.window,
        );
        let goes_on = reply.status.is_success() && response.observe.is_some();
        let confirmable = !goes_on || observer.wants_confirmation(&self.context, now, response);
        let (path, token) = (observer.path, observer.token.clone());
        let sending = Sending {
            path,
            confirmable,
            owner: if goes_on {
                Owner::Notification(key)
            } else {
                Owner::Response
            },
            parameters: self.context.config.transmission,
            resume: observer.resume.take(),
            allowance: Allowance::UNLIMITED,
        };
        let message = Message {
            message_type: if confirmable {
                MessageType::Confirmable
            } else {
                MessageType::NonConfirmable
            },
            code: Code::from(reply.status),
            message_id: MessageId(0),
            token: token.as_bytes(),
            options: reply.options(),
            payload: reply.payload,
        };
        // 7 message, 8 wire
        let outgoing = self.messages.send(&mut self.context, now, sending, &message).ok();
        self.context.stats.notifications += 1;
        if !goes_on || outgoing.is_none() {
            self.end_observation(now, key);
            return Ok(());
        }
        self.notification_left(now, key, outgoing, confirmable);
        Ok(())
    }

    /// Whether a non-confirmable notification has to wait because its peer was sent another one just now. The state is
    /// asked for anew when its turn comes.
    fn is_postponed(&mut self, now: Instant, key: Key, response: &ResponseRef<'_>) -> bool {
        let Some(serving) = self.server.exchanges.get_mut(key) else {
            return false;
        };
        let refreshing = |observer: &&mut Box<Observer>| observer.phase == Phase::Refreshing;
        let Some(observer) = serving.observer.as_mut().filter(refreshing) else {
            return false;
        };
        let goes_on = response.status.is_success() && response.observe.is_some();
        if !goes_on || observer.wants_confirmation(&self.context, now, response) {
            return false;
        }
        let interval = self.context.config.notification_interval;
        match self.observers.turn(now, interval, observer) {
            Ok(()) => false,
            Err(at) => {
                self.context.timers.arm(TimerKey::Notify(key), at);
                true
            }
        }
    }

    /// A notification is on its way: the next one waits for its acknowledgement, or pauses.
    fn notification_left(&mut self, now: Instant, key: Key, outgoing: Option<Key>, confirmable: bool) {
        let Some(serving) = self.server.exchanges.get_mut(key) else {
            return;
        };
        let Some(observer) = serving.observer.as_mut() else {
            return;
        };
        observer.outgoing = outgoing;
        observer.sent(now, confirmable);
        if confirmable {
            observer.phase = Phase::Sent;
            self.context.timers.disarm(TimerKey::Notify(key));
        } else {
            observer.phase = Phase::Pausing;
            context_pause(self, now, key);
        }
    }

    /// The response to a registration is the first notification. As a message of its own it comes before all others, is
    /// the one that is under way, and tells by its Reset or its end that nobody is there (RFC 7641 §4.5, §4.5.1).
    pub(super) fn first_notification_left(&mut self, key: Key, outgoing: Option<Key>, confirmable: bool) {
        let Some(serving) = self.server.exchanges.get_mut(key) else {
            return;
        };
        if let Some(observer) = serving.observer.as_mut()
            && outgoing.is_some()
        {
            observer.outgoing = outgoing;
            if confirmable {
                observer.phase = Phase::Sent;
            }
        }
    }

    /// A confirmable notification was acknowledged: the client is interested (RFC 7641 §4.5).
    pub(super) fn notified(&mut self, now: Instant, key: Key) {
        let Some(serving) = self.server.exchanges.get_mut(key) else {
            return;
        };
        let Some(observer) = serving.observer.as_mut() else {
            return;
        };
        observer.confirmed(now);
        observer.outgoing = None;
        if observer.phase == Phase::Sent {
            self.observers.released(key, observer);
        }
    }

    /// The pause after a non-confirmable notification is over (RFC 7641 §4.5.1), or it has been quiet for so long after
    /// it that it is repeated (§4.5).
    pub(super) fn pause_over(&mut self, key: Key) {
        let Some(serving) = self.server.exchanges.get_mut(key) else {
            return;
        };
        let Some(observer) = serving.observer.as_mut() else {
            return;
        };
        match observer.phase {
            Phase::Pausing => {
                self.observers.released(key, observer);
                if let Some(at) = observer.quiet_at() {
                    self.context.timers.arm(TimerKey::Notify(key), at);
                }
            }
            Phase::Current if observer.quiet_at().is_some() => self.observers.repeat(key, observer),
            // What is under way tells the latest state.
            Phase::Current | Phase::Refreshing | Phase::Sent => {}
        }
    }

    /// Gives up an unacknowledged notification in favour of the newer state; `false` when there is none, or when it
    /// was the last attempt.
    pub(super) fn supersede(&mut self, now: Instant, outgoing: Key, key: Key) -> bool {
        let Some(serving) = self.server.exchanges.get_mut(key) else {
            return false;
        };
        let Some(observer) = serving
            .observer
            .as_mut()
            .filter(|observer| observer.is_outdated())
        else {
            return false;
        };
        let Some(attempt) = self.messages.supersede(&mut self.context, now, outgoing) else {
            return false;
        };
        observer.outgoing = None;
        observer.resume = Some(attempt);
        self.observers.released(key, observer);
        true
    }

    /// Takes an observer off the list, and tells the application (RFC 7641 §4.5).
    pub(super) fn end_observation(&mut self, now: Instant, key: Key) {
        let Some(serving) = self.server.exchanges.get_mut(key) else {
            return;
        };
        let Some(observer) = serving.observer.take() else {
            return;
        };
        if let Some(outgoing) = observer.outgoing {
            self.messages.cancel(&mut self.context, now, outgoing);
        }
        self.observers.unregister(&mut self.context, key, &observer);
        self.server.remove(key);
        self.context.events.push_back(Event::Ended {
            id: ExchangeId::server(key),
        });
    }
}

/// The next notification waits (RFC 7641 §4.5.1).
fn context_pause(endpoint: &mut Endpoint, now: Instant, key: Key) {
    let at = now + endpoint.context.config.notification_interval;
    endpoint.context.timers.arm(TimerKey::Notify(key), at);
}
