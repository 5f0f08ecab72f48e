//! Requests of ours: from their first message to their end.

use core::time::Duration;
use hashbrown::HashMap;

use coracle_wire::{Code, Message, MessageId, MessageType, OptionNumber, Options, Status, Token};

use crate::amplification::Allowance;
use crate::block::transfer::Upload;
use crate::config::TransmissionParameters;
use crate::connection::belongings::Belongings;
use crate::context::Context;
use crate::exchange::asking::{Asking, Delivered, Inbound, Outcome};
use crate::exchange::echoes::Echoes;
use crate::exchange::operations::Operations;
use crate::exchange::payload::Payload;
use crate::exchange::pings::PingWay;
use crate::exchange::restraint::Restraint;
use crate::exchange::ways::with_block_size;
use crate::limits;
use crate::message::{MessageLayer, Owner, Sending};
use crate::observe::client::Freshness;
use crate::path::Path;
use crate::slab::{Key, Slab};
use crate::tables::GiveBack;
use crate::time::Instant;
use crate::timers::TimerKey;
use crate::values::{Event, ExchangeError, ExchangeId, RequestError, RequestRef};

/// Seconds after Max-Age at which an observation is renewed, at least and at most (RFC 7641 §3.3.1).
const RENEW_AFTER: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(15));

/// All requests of ours, by token.
pub(crate) struct Client {
    pub(super) table: Slab<Asking>,
    pub(super) pings: Slab<PingWay>,
    pub(super) tokens: HashMap<Token, Key, foldhash::fast::FixedState>,
    /// Those that go on connections.
    pub(super) on_connections: Belongings,
    restraint: Restraint,
    echoes: Echoes,
    operations: Operations,
}

/// How a response came.
pub(crate) struct Arrival<'m> {
    pub(crate) key: Key,
    pub(crate) path: &'m Path,
    pub(crate) token: &'m [u8],
    /// In the acknowledgement of the request.
    pub(crate) piggybacked: bool,
}

impl Client {
    pub(crate) fn new(context: &mut Context) -> Client {
        Client {
            table: Slab::new(context.config.max_requests),
            pings: Slab::new(context.config.max_requests),
            tokens: HashMap::with_hasher(foldhash::fast::FixedState::with_seed(context.random_u64())),
            on_connections: Belongings::default(),
            restraint: Restraint::new(context.random_u64()),
            echoes: Echoes::new(context.random_u64()),
            operations: Operations::new(context.random_u64()),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
            && self.pings.is_empty()
            && self.tokens.is_empty()
            && self.operations.is_empty()
            && self.on_connections.is_empty()
    }

    /// Begins a request.
    pub(crate) fn request(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        path: &Path,
        request: RequestRef<'_>,
    ) -> Result<Key, RequestError> {
        let host = path.peer().beyond_connections();
        let wait = self.restraint.wait(now, host, request.method, request.options);
        if let Some(wait) = wait {
            return Err(RequestError::TooManyRequests { wait });
        }
        let observes = request.options.observe() == Some(0);
        if request.streamed.is_some() && (path.multicast || observes) {
            return Err(RequestError::StreamedBody);
        }
        let sizes = self.sizes(context, path, &request)?;
        let in_blocks =
            request.payload.len() > sizes.whole && !request.options.contains(OptionNumber::BLOCK1);
        if in_blocks && path.multicast {
            return Err(RequestError::BodyToGroup);
        }
        let total = request.streamed.and_then(|body| body.total);
        let total = total.unwrap_or(request.payload.len() as u64);
        // The last block has to have a number.
        let is_endless = sizes.upload.at(total.saturating_sub(1), false).is_none();
        let is_long = !in_blocks && request.payload.len() > sizes.whole.max(limits::MAX_PAYLOAD);
        if is_long || is_endless {
            return Err(RequestError::TooLong);
        }
        let streams_answer = request.streams_answer && !path.multicast && !observes;
        let asking = Asking {
            path: *path,
            method: request.method,
            options: with_block_size(sizes, &request),
            payload: Payload::of(&request),
            confirmable: request.confirmable && !path.multicast,
            parameters: request
                .parameters
                .map_or(context.config.transmission, TransmissionParameters::bounded),
            max_body: request.max_body.unwrap_or(if streams_answer {
                usize::MAX
            } else {
                context.config.max_body
            }),
            deadline: request.timeout.map(|timeout| now + timeout),
            token: context.random_token(),
            fetch: None,
            ahead: None,
            outgoing: None,
            messages: 0,
            upload: match request.streamed {
                Some(body) => Some(Upload::streamed(sizes.block, body.total)),
                None => in_blocks.then(|| Upload::new(sizes.upload, request.payload.len())),
            },
            operation: None,
            download: None,
            streams_answer,
            paused: false,
            challenged: false,
            enlarged: false,
            again: false,
            restarts: 0,
            observation: None,
        };
        let (token, deadline) = (asking.token, asking.deadline);
        let key = self.table.insert(asking).map_err(|_| RequestError::TooMany)?;
        self.tokens.insert(token, key);
        self.on_connections.insert(path.connection, key);
        context.connections.uses(now, path.connection);
        if let Some(at) = deadline {
            context.timers.arm(TimerKey::Request(key), at);
        }
        if self.send(context, messages, now, key).is_none() {
            self.remove(context, messages, now, key);
            return Err(RequestError::TooMany);
        }
        Ok(key)
    }

    /// Sends what is next: a block of the request, the request, or one for a further block of the response. A block that
    /// the application has not given yet is waited for.
    pub(super) fn send(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        key: Key,
    ) -> Option<()> {
        let asking = self.table.get_mut(key)?;
        if asking.waits_for_body() {
            asking.ask_for_body(context, key);
            self.wait_for_application(context, key);
            return Some(());
        }
        if asking.upload.is_some() && asking.operation.is_none() {
            let (peer, options) = (asking.path.peer(), &mut asking.options);
            asking.operation = Some(self.operations.begin(peer, asking.method, options));
        }
        let fetches = asking.fetch.is_some();
        if fetches && self.was_asked_ahead(context, messages, now, key) {
            return Some(());
        }
        let asking = self.table.get_mut(key)?;
        asking.keep_to_sizes(context);
        let (mut options, payload) = if fetches {
            asking.fetch_message(asking.next_block()?)?
        } else {
            asking.main_message()?
        };
        if context.has_room_for_echo(asking.path.connection, options.as_options(), payload) {
            let host = asking.path.peer().beyond_connections();
            self.echoes.add(&host, &mut options);
        }
        let message = Message {
            message_type: if asking.confirmable {
                MessageType::Confirmable
            } else {
                MessageType::NonConfirmable
            },
            code: Code::from(asking.method),
            message_id: MessageId(0),
            token: asking.fetch.as_ref().unwrap_or(&asking.token).as_bytes(),
            options: options.as_options(),
            payload,
        };
        let sending = Sending {
            path: asking.path,
            confirmable: asking.confirmable,
            owner: Owner::Request(key),
            parameters: asking.parameters,
            resume: None,
            allowance: Allowance::UNLIMITED,
        };
        let sent = messages.send_shared(context, now, sending, (&message, asking.payload.shared()));
        let asking = self.table.get_mut(key)?;
        let outgoing = sent.ok()?;
        asking.messages = asking.messages.saturating_add(1);
        // One message of an exchange is under way: this one is in place of the one before.
        if let Some(before) = asking.outgoing.replace(outgoing) {
            messages.cancel(context, now, before);
        }
        asking.ask_for_body(context, key);
        if asking.deadline.is_none() {
            context.timers.disarm(TimerKey::Request(key));
        }
        if asking.deadline.is_none()
            && let Some(wait) = asking.waits_at_most()
        {
            context.timers.arm(TimerKey::Request(key), now + wait);
        }
        if fetches {
            self.ask_ahead(context, messages, now, key);
        }
        Some(())
    }

    /// The exchange that a token names, if this peer may answer it (RFC 7252 §5.3.2, §8.2).
    pub(crate) fn find(&self, path: &Path, token: &[u8], acknowledges: Option<Owner>) -> Option<Key> {
        if self.tokens.is_empty() {
            return None;
        }
        let key = *self.tokens.get(&Token::new(token)?)?;
        let asking = self.table.get(key)?;
        let same_peer = asking.is_group() || asking.path.peer() == path.peer();
        let same_request = acknowledges.is_none_or(|owner| owner == Owner::Request(key));
        (same_peer && same_request).then_some(key)
    }

    /// Whether a request went to a group.
    pub(crate) fn is_group(&self, key: Key) -> bool {
        self.table.get(key).is_some_and(Asking::is_group)
    }

    /// The options of a request, as the caller gave them.
    pub(crate) fn sent_options(&self, key: Key) -> Options<'_> {
        self.table
            .get(key)
            .map_or(Options::empty(), |asking| asking.options.as_options())
    }

    /// The request arrived, and its answer will come by itself (RFC 7252 §5.2.2).
    pub(crate) fn acknowledged(&mut self, context: &mut Context, now: Instant, key: Key) {
        let Some(asking) = self.table.get_mut(key) else {
            return;
        };
        asking.outgoing = None;
        // To a group the time runs from the beginning.
        if asking.deadline.is_none() && !asking.is_fresh() && !asking.paused && !asking.is_group() {
            let wait = asking.parameters.exchange_lifetime();
            context.timers.arm(TimerKey::Request(key), now + wait);
        }
    }

    /// Stages 4 to 6 of a response's way in: to its exchange, into its body, in order.
    pub(crate) fn respond(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        arrival: &Arrival<'_>,
        response: Result<Inbound<'_>, ExchangeError>,
    ) {
        let key = arrival.key;
        if self
            .table
            .get(key)
            .is_some_and(|asking| asking.asked_ahead(arrival.token))
        {
            return self.came_ahead(key, response);
        }
        // While a part is with the application nothing was asked for that this could answer.
        let Some(asking) = self.table.get_mut(key).filter(|asking| !asking.paused) else {
            return;
        };
        let is_fetch = asking
            .fetch
            .is_some_and(|fetch| fetch.as_bytes() == arrival.token);
        // Of an observation, a message of its own may be a notification as well as the answer to what is under way.
        let answers = is_fetch || arrival.piggybacked || asking.observation.is_none();
        if answers && let Some(outgoing) = asking.outgoing.take_if(|_| !asking.path.multicast) {
            // A separate response tells that the request arrived (RFC 7252 §5.2.2).
            messages.cancel(context, now, outgoing);
        }
        if let Ok(Inbound { message, .. }) = response {
            let host = arrival.path.peer().beyond_connections();
            self.echoes.keep(host, message.options);
        }
        let outcome = match response {
            Ok(response) if asking.is_challenge(response.status, response.message) => match is_fetch {
                true => Outcome::Next,
                false => Outcome::Challenged,
            },
            Ok(response) if is_fetch => asking.take_block(context, key, &response),
            Ok(response) => asking.take_response(context, now, key, &response),
            Err(error) => Outcome::Failed(error),
        };
        self.conclude(context, messages, now, key, arrival.path, outcome);
    }

    /// Does what a response asks for.
    pub(super) fn conclude(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        key: Key,
        path: &Path,
        outcome: Outcome,
    ) {
        match outcome {
            Outcome::Nothing => {}
            Outcome::Next => {
                self.hold_renewal(context, key);
                self.renew_token(context, key);
                self.send_or_fail(context, messages, now, key);
            }
            Outcome::Challenged => {
                self.drop_fetch(context, messages, now, key);
                if let Some(asking) = self.table.get_mut(key)
                    && asking.observation.is_some()
                {
                    asking.renew();
                }
                self.renew_token(context, key);
                self.send_or_fail(context, messages, now, key);
            }
            Outcome::Again => {
                self.drop_fetch(context, messages, now, key);
                if let Some(asking) = self.table.get_mut(key) {
                    asking.begin_again();
                }
                self.send_or_fail(context, messages, now, key);
            }
            Outcome::Failed(error) => self.fail(context, messages, now, key, error),
            Outcome::FirstPart(delivered, more) => {
                let response = delivered.into_response(*path);
                context.stats.responses += 1;
                let id = ExchangeId::client(key);
                context.events.push_back(Event::Response { id, response, more });
                self.part_given(context, messages, now, key, more);
            }
            Outcome::Part(payload, more) => {
                let id = ExchangeId::client(key);
                context.events.push_back(Event::Body { id, payload, more });
                self.part_given(context, messages, now, key, more);
            }
            Outcome::Done(delivered) => self.deliver(context, messages, now, key, path, *delivered),
        }
    }

    /// Gives a whole answer to the application.
    fn deliver(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        key: Key,
        path: &Path,
        mut delivered: Delivered,
    ) {
        let Some(asking) = self.table.get_mut(key) else {
            return;
        };
        let options = &mut delivered.options;
        if delivered.status == Status::TOO_MANY_REQUESTS && !asking.is_group() {
            let max_age = Duration::from_secs(u64::from(options.as_options().max_age()));
            let (peer, sent) = (asking.path.peer(), asking.options.as_options());
            let host = peer.beyond_connections();
            self.restraint.begin(now, host, asking.method, sent, max_age);
        }
        asking.restarts = 0;
        asking.enlarged = false;
        if !asking.is_manual() && !asking.is_group() {
            options.remove(OptionNumber::BLOCK2);
            options.remove(OptionNumber::BLOCK1);
        }
        let more = asking.observation.is_some() || asking.is_group();
        let response = delivered.into_response(*path);
        context.stats.responses += 1;
        let id = ExchangeId::client(key);
        context.events.push_back(Event::Response { id, response, more });
        if more {
            self.settle(context, messages, now, key);
        } else {
            self.remove(context, messages, now, key);
        }
    }

    /// An observation was served: it is fresh for Max-Age.
    fn settle(&mut self, context: &mut Context, messages: &mut MessageLayer, now: Instant, key: Key) {
        self.drop_fetch(context, messages, now, key);
        let Some(asking) = self.table.get_mut(key) else {
            return;
        };
        if let Some(observation) = &mut asking.observation {
            observation.told_stale = false;
            asking.deadline = None;
            context.timers.disarm(TimerKey::Request(key));
            context
                .timers
                .arm(TimerKey::Stale(key), now + observation.max_age);
        }
    }

    /// A body on its way is no reason to renew; until it is whole, the application is still told when Max-Age is over.
    fn hold_renewal(&self, context: &mut Context, key: Key) {
        let observation = self.table.get(key).and_then(|asking| asking.observation);
        if observation.is_none_or(|observation| observation.told_stale) {
            context.timers.disarm(TimerKey::Stale(key));
        }
    }

    /// Gives up the request for a further block of the response, if one is under way.
    fn drop_fetch(&mut self, context: &mut Context, messages: &mut MessageLayer, now: Instant, key: Key) {
        self.drop_ahead(key);
        let Some(asking) = self.table.get_mut(key) else {
            return;
        };
        asking.download = None;
        let Some(fetch) = asking.fetch.take() else {
            return;
        };
        self.tokens.remove(&fetch);
        if let Some(outgoing) = asking.outgoing.take() {
            messages.cancel(context, now, outgoing);
        }
    }

    /// A further block of a response is asked for under a token of its own, so that no other answer is taken for its
    /// answer. A block of a request tells by its number which answer is its own: it uses the token again, which is
    /// free by then (RFC 7252 §5.3.1) and by which some servers key the body, unless there is a security association,
    /// under which no token is used twice (RFC 9175 §4.2): eight random bytes are not drawn twice in its life.
    pub(super) fn renew_token(&mut self, context: &mut Context, key: Key) {
        let token = context.random_token();
        let Some(asking) = self.table.get_mut(key) else {
            return;
        };
        let before = if asking.download.is_some() {
            asking.fetch.replace(token)
        } else if asking.path.security.is_none() && !asking.begins_anew() {
            return;
        } else {
            Some(core::mem::replace(&mut asking.token, token))
        };
        if let Some(before) = before {
            self.tokens.remove(&before);
        }
        self.tokens.insert(token, key);
    }

    /// The time of a request or of one of its steps is over.
    pub(crate) fn timed_out(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        key: Key,
    ) {
        // What the transport has not taken yet, though it takes what is before it, nobody can have answered.
        if let Some(asking) = self.table.get(key)
            && asking.deadline.is_none()
            && asking.outgoing.is_some()
            && context.connections.goes_on(asking.path.connection)
        {
            let wait = asking.parameters.exchange_lifetime();
            return context.timers.arm(TimerKey::Request(key), now + wait);
        }
        self.fail(context, messages, now, key, ExchangeError::Timeout);
    }

    /// The last notification is too old, or a renewal is due (RFC 7641 §3.3.1).
    pub(crate) fn stale(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        key: Key,
    ) {
        let Some(asking) = self.table.get_mut(key) else {
            return;
        };
        let Some(observation) = &mut asking.observation else {
            return;
        };
        let (least, most) = RENEW_AFTER;
        let again = now + least + context.random_within(most.saturating_sub(least));
        if !core::mem::replace(&mut observation.told_stale, true) {
            context.events.push_back(Event::Stale {
                id: ExchangeId::client(key),
            });
            // A notification or a renewal that is under way brings the new state.
            if asking.fetch.is_none() && observation.freshness == Freshness::Fresh {
                observation.freshness = Freshness::Stale;
                context.timers.arm(TimerKey::Stale(key), again);
            }
            return;
        }
        asking.renew();
        self.drop_fetch(context, messages, now, key);
        if self.send(context, messages, now, key).is_none() {
            // No room for it now.
            context.timers.arm(TimerKey::Stale(key), again);
        }
    }

    pub(super) fn remove(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        key: Key,
    ) -> Option<Asking> {
        let asking = self.table.remove(key)?;
        self.on_connections.remove(asking.path.connection, key);
        context.connections.uses(now, asking.path.connection);
        self.tokens.remove(&asking.token);
        let further = [asking.fetch, asking.ahead.as_ref().map(|ahead| *ahead.token())];
        for token in further.into_iter().flatten() {
            self.tokens.remove(&token);
        }
        self.tokens.give_back();
        context.timers.disarm(TimerKey::Request(key));
        context.timers.disarm(TimerKey::Stale(key));
        if let Some(operation) = asking.operation {
            self.operations.end(operation);
        }
        if let Some(outgoing) = asking.outgoing {
            messages.cancel(context, now, outgoing);
        }
        Some(asking)
    }
}
