//! Requests of ours: from their first message to their end.

use alloc::boxed::Box;
use hashbrown::HashMap;

use coracle_wire::{Code, Message, MessageId, MessageType, Method, OptionNumber, OptionsBuf, Status, Token};

use crate::block::transfer::{Download, Downloaded, Upload, Uploaded};
use crate::config::TransmissionParameters;
use crate::context::Context;
use crate::exchange::admission::{Blocks, blocks, misunderstood};
use crate::limits;
use crate::message::{MessageLayer, Owner, Sending};
use crate::observe::client::{Freshness, Observation};
use crate::path::Path;
use crate::slab::{Key, Slab};
use crate::stats::DropReason;
use crate::time::Instant;
use crate::timers::TimerKey;
use crate::values::{Event, ExchangeError, ExchangeId, RequestError, RequestRef, Response};

/// Seconds after Max-Age at which an observation is renewed, at least and at most (RFC 7641 §3.3.1).
const RENEW_AFTER: (u64, u64) = (5, 15);

struct Asking {
    path: Path,
    method: Method,
    options: OptionsBuf,
    payload: Box<[u8]>,
    confirmable: bool,
    parameters: TransmissionParameters,
    max_body: usize,
    /// When the exchange ends at the latest; `None` when each step has its own time.
    deadline: Option<Instant>,
    /// The token of the request, or of its block under way.
    token: Token,
    /// The token of the request for a further block of the response.
    fetch: Option<Token>,
    /// The message under way, as long as the message layer knows it.
    outgoing: Option<Key>,
    upload: Option<Upload>,
    download: Option<Download>,
    observation: Option<Observation>,
}

impl Asking {
    fn is_group(&self) -> bool {
        self.path.multicast
    }

    /// The application asks for one block by itself.
    fn is_manual(&self) -> bool {
        matches!(self.options.as_options().block2(), Some(Ok(block)) if block.num() > 0)
    }

    /// The whole request, or the block of it that is under way.
    fn main_message(&self) -> Option<(OptionsBuf, &[u8])> {
        let mut options = self.options.clone();
        let Some(upload) = &self.upload else {
            return Some((options, &self.payload));
        };
        let (part, block) = upload.block(&self.payload)?;
        options.set(OptionNumber::BLOCK1, &block.encode()).ok()?;
        if block.num() == 0 {
            options.set_uint(OptionNumber::SIZE1, self.payload.len() as u64);
        } else {
            // RFC 7959 §2.10: only in the first block.
            options.remove(OptionNumber::IF_NONE_MATCH);
        }
        Some((options, part))
    }

    /// The request for a further block of the response (RFC 7959 §2.4, §2.7).
    fn fetch_message(&self) -> Option<(OptionsBuf, &[u8])> {
        let mut options = self.options.clone();
        options.remove(OptionNumber::OBSERVE);
        options.remove(OptionNumber::IF_NONE_MATCH);
        options
            .set(OptionNumber::BLOCK2, &self.download.as_ref()?.wanted()?.encode())
            .ok()?;
        // The payload of a FETCH is part of its cache key (RFC 8132 §2.3), unless it came in blocks itself.
        let repeats = self.method == Method::FETCH && self.upload.is_none();
        if !repeats {
            options.remove(OptionNumber::CONTENT_FORMAT);
        }
        Some((options, if repeats { &self.payload } else { &[] }))
    }
}

/// All requests of ours, by token.
pub(crate) struct Client {
    table: Slab<Asking>,
    pings: Slab<Option<Key>>,
    tokens: HashMap<Token, Key, foldhash::fast::FixedState>,
}

impl Client {
    pub(crate) fn new(context: &mut Context) -> Client {
        Client {
            table: Slab::new(context.config.max_requests),
            pings: Slab::new(context.config.max_requests),
            tokens: HashMap::with_hasher(foldhash::fast::FixedState::with_seed(context.random_u64())),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty() && self.pings.is_empty()
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
        let block = 16 << context.config.block_szx;
        let in_blocks = request.payload.len() > block && !request.options.contains(OptionNumber::BLOCK1);
        if in_blocks && path.multicast {
            return Err(RequestError::BodyToGroup);
        }
        let room = limits::MAX_DATAGRAM - limits::MAX_PAYLOAD - limits::ADDED_OPTIONS - 16;
        if request.options.as_bytes().len() > room {
            return Err(RequestError::TooLong);
        }
        let asking = Asking {
            path: *path,
            method: request.method,
            options: OptionsBuf::from(request.options),
            payload: Box::from(request.payload),
            confirmable: request.confirmable && !path.multicast,
            parameters: request.parameters.unwrap_or(context.config.transmission),
            max_body: request.max_body.unwrap_or(context.config.max_body),
            deadline: request.timeout.map(|timeout| now + timeout),
            token: context.random_token(),
            fetch: None,
            outgoing: None,
            upload: in_blocks.then(|| Upload::new(context.config.block_szx)),
            download: None,
            observation: None,
        };
        let (token, deadline) = (asking.token, asking.deadline);
        let key = self.table.insert(asking).map_err(|_| RequestError::TooMany)?;
        self.tokens.insert(token, key);
        if let Some(at) = deadline {
            context.timers.arm(TimerKey::Request(key), at);
        }
        if self.send(context, messages, now, key).is_none() {
            self.remove(context, messages, now, key);
            return Err(RequestError::TooMany);
        }
        Ok(key)
    }

    /// Sends an empty confirmable message, which the peer rejects if it lives (RFC 7252 §4.3).
    pub(crate) fn ping(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        path: &Path,
    ) -> Result<Key, RequestError> {
        let key = self.pings.insert(None).map_err(|_| RequestError::TooMany)?;
        let sending = Sending {
            path: *path,
            confirmable: true,
            owner: Owner::Ping(key),
            parameters: context.config.transmission,
            resume: None,
        };
        let ping = Message::empty(MessageType::Confirmable, MessageId(0));
        match messages.send(context, now, sending, &ping) {
            Ok(outgoing) => {
                if let Some(place) = self.pings.get_mut(key) {
                    *place = Some(outgoing);
                }
                Ok(key)
            }
            Err(_) => {
                self.pings.remove(key);
                Err(RequestError::TooMany)
            }
        }
    }

    /// Forgets a ping.
    pub(crate) fn cancel_ping(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        key: Key,
    ) {
        if let Some(Some(outgoing)) = self.pings.remove(key) {
            messages.cancel(context, now, outgoing);
        }
    }

    /// A ping ended.
    pub(crate) fn ping_ended(&mut self, context: &mut Context, key: Key, error: Option<ExchangeError>) {
        if self.pings.remove(key).is_some() {
            let id = ExchangeId::ping(key);
            context.events.push_back(match error {
                None => Event::Pong { id },
                Some(error) => Event::Failed { id, error },
            });
        }
    }

    /// Sends what is next: a block of the request, the request, or one for a further block of the response.
    fn send(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        key: Key,
    ) -> Option<()> {
        let asking = self.table.get(key)?;
        let (options, payload) = if asking.fetch.is_some() {
            asking.fetch_message()?
        } else {
            asking.main_message()?
        };
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
        };
        let outgoing = messages.send(context, now, sending, &message).ok()?;
        let asking = self.table.get_mut(key)?;
        asking.outgoing = Some(outgoing);
        if asking.deadline.is_none() && !asking.confirmable {
            // A group answers within its leisure; one peer as long as a confirmable message would be tried.
            let wait = if asking.path.multicast {
                asking.parameters.default_leisure * 2
            } else {
                asking.parameters.max_transmit_wait()
            };
            context.timers.arm(TimerKey::Request(key), now + wait);
        }
        Some(())
    }

    /// The exchange that a token names, if this peer may answer it (RFC 7252 §5.3.2, §8.2).
    pub(crate) fn find(&self, path: &Path, token: &[u8], acknowledges: Option<Owner>) -> Option<Key> {
        let key = *self.tokens.get(&Token::new(token)?)?;
        let asking = self.table.get(key)?;
        let same_peer = asking.is_group() || asking.path.peer() == path.peer();
        let same_request = acknowledges.is_none_or(|owner| owner == Owner::Request(key));
        (same_peer && same_request).then_some(key)
    }

    /// The request arrived, and its answer will come by itself (RFC 7252 §5.2.2).
    pub(crate) fn acknowledged(&mut self, context: &mut Context, now: Instant, key: Key) {
        let Some(asking) = self.table.get_mut(key) else {
            return;
        };
        asking.outgoing = None;
        if asking.deadline.is_none() {
            let wait = context.config.transmission.exchange_lifetime();
            context.timers.arm(TimerKey::Request(key), now + wait);
        }
    }

    /// Stages 4 to 6 of a response's way in: to its exchange, into its body, in order.
    pub(crate) fn respond(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        key: Key,
        path: &Path,
        status: Status,
        message: &Message<'_>,
    ) {
        let Some(asking) = self.table.get_mut(key) else {
            return;
        };
        if let Some(outgoing) = asking.outgoing.take_if(|_| !asking.path.multicast) {
            // A separate response tells that the request arrived (RFC 7252 §5.2.2).
            messages.cancel(context, now, outgoing);
        }
        let is_fetch = asking
            .fetch
            .is_some_and(|fetch| fetch.as_bytes() == message.token);
        let outcome = match admit(message) {
            Ok(blocks) if is_fetch => asking.take_block(context, key, status, message, blocks),
            Ok(blocks) => asking.take_response(context, now, key, status, message, blocks),
            Err(error) => Outcome::Failed(error),
        };
        self.conclude(context, messages, now, key, path, outcome);
    }

    /// Does what a response asks for.
    fn conclude(
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
                self.renew_token(context, key);
                if self.send(context, messages, now, key).is_none() {
                    self.fail(context, messages, now, key, ExchangeError::BlockOption);
                }
            }
            Outcome::Failed(error) => self.fail(context, messages, now, key, error),
            Outcome::Done(delivered) => {
                let Delivered {
                    status,
                    mut options,
                    payload,
                } = *delivered;
                let Some(asking) = self.table.get_mut(key) else {
                    return;
                };
                if !asking.is_manual() && !asking.is_group() {
                    options.remove(OptionNumber::BLOCK2);
                    options.remove(OptionNumber::BLOCK1);
                }
                let more = asking.observation.is_some() || asking.is_group();
                let response = Response {
                    status,
                    options,
                    payload,
                    path: *path,
                };
                context.stats.responses += 1;
                let id = ExchangeId::client(key);
                context.events.push_back(Event::Response { id, response, more });
                if more {
                    self.settle(context, now, key);
                } else {
                    self.remove(context, messages, now, key);
                }
            }
        }
    }

    /// An observation was served: it is fresh for Max-Age.
    fn settle(&mut self, context: &mut Context, now: Instant, key: Key) {
        let Some(asking) = self.table.get_mut(key) else {
            return;
        };
        if let Some(fetch) = asking.fetch.take() {
            self.tokens.remove(&fetch);
        }
        asking.download = None;
        if let Some(observation) = &asking.observation {
            asking.deadline = None;
            context.timers.disarm(TimerKey::Request(key));
            context
                .timers
                .arm(TimerKey::Stale(key), now + observation.max_age);
        }
    }

    /// A block of a body gets a token of its own, so that an answer to another block is not taken for its answer.
    fn renew_token(&mut self, context: &mut Context, key: Key) {
        let token = context.random_token();
        let Some(asking) = self.table.get_mut(key) else {
            return;
        };
        let before = if asking.download.is_some() {
            asking.fetch.replace(token)
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
        if observation.freshness == Freshness::Fresh {
            observation.freshness = Freshness::Stale;
            context.events.push_back(Event::Stale {
                id: ExchangeId::client(key),
            });
            let (least, most) = RENEW_AFTER;
            let wait = context.random_within(core::time::Duration::from_secs(most - least));
            context.timers.arm(
                TimerKey::Stale(key),
                now + core::time::Duration::from_secs(least) + wait,
            );
        } else if self.send(context, messages, now, key).is_none() {
            self.fail(context, messages, now, key, ExchangeError::Timeout);
        }
    }

    /// Ends a request with an error.
    pub(crate) fn fail(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        key: Key,
        error: ExchangeError,
    ) {
        if self.remove(context, messages, now, key).is_some() {
            context.events.push_back(Event::Failed {
                id: ExchangeId::client(key),
                error,
            });
        }
    }

    /// Forgets a request; an observation is cancelled at the server too (RFC 7641 §3.6).
    pub(crate) fn cancel(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        key: Key,
    ) {
        let Some(asking) = self.remove(context, messages, now, key) else {
            return;
        };
        if asking.observation.is_none() {
            return;
        }
        let mut options = asking.options;
        options.set_uint(OptionNumber::OBSERVE, 1);
        let message = Message {
            message_type: MessageType::Confirmable,
            code: Code::from(asking.method),
            message_id: MessageId(0),
            token: asking.token.as_bytes(),
            options: options.as_options(),
            payload: &asking.payload,
        };
        let sending = Sending {
            path: asking.path,
            confirmable: true,
            owner: Owner::Response,
            parameters: asking.parameters,
            resume: None,
        };
        // Where there is no room for it the server learns it from the Reset of its next notification.
        let _ = messages.send(context, now, sending, &message);
    }

    fn remove(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        key: Key,
    ) -> Option<Asking> {
        let asking = self.table.remove(key)?;
        self.tokens.remove(&asking.token);
        if let Some(fetch) = asking.fetch {
            self.tokens.remove(&fetch);
        }
        context.timers.disarm(TimerKey::Request(key));
        context.timers.disarm(TimerKey::Stale(key));
        if let Some(outgoing) = asking.outgoing {
            messages.cancel(context, now, outgoing);
        }
        Some(asking)
    }
}

/// What a response leads to.
enum Outcome {
    Nothing,
    /// Another message of the exchange.
    Next,
    Done(Box<Delivered>),
    Failed(ExchangeError),
}

struct Delivered {
    status: Status,
    options: OptionsBuf,
    payload: alloc::vec::Vec<u8>,
}

impl Outcome {
    fn done(status: Status, message: &Message<'_>) -> Outcome {
        let (options, payload) = (OptionsBuf::from(message.options), message.payload.into());
        Outcome::Done(Box::new(Delivered {
            status,
            options,
            payload,
        }))
    }
}

/// Checks the options of a response (RFC 7252 §5.4.1).
fn admit(message: &Message<'_>) -> Result<Blocks, ExchangeError> {
    if let Some(number) = misunderstood(message.options, |_| false) {
        return Err(ExchangeError::CriticalOption(number.0));
    }
    blocks(message.options).map_err(|_| ExchangeError::BlockOption)
}

impl Asking {
    /// A response to the request or to a block of it.
    fn take_response(
        &mut self,
        context: &mut Context,
        now: Instant,
        key: Key,
        status: Status,
        message: &Message<'_>,
        blocks: Blocks,
    ) -> Outcome {
        if self.is_group() || self.is_manual() {
            return Outcome::done(status, message);
        }
        if let Some(outcome) = self.take_upload(context, key, status, blocks) {
            return outcome;
        }
        match (&mut self.observation, message.options.observe()) {
            (Some(observation), Some(sequence)) => {
                if !observation.advance(now, sequence, message.options) {
                    context.stats.drop_for(DropReason::StaleNotification);
                    return Outcome::Nothing;
                }
            }
            (Some(_), None) => self.observation = None,
            (None, _) if self.options.as_options().observe() == Some(0) && status.is_success() => {
                self.observation = Observation::begin(now, message.options);
            }
            (None, _) => {}
        }
        match Download::begin(message, status, blocks, self.max_body) {
            None => Outcome::done(status, message),
            Some(Ok(download)) => {
                self.download = Some(download);
                self.progress(context, key);
                Outcome::Next
            }
            Some(Err(error)) => Outcome::Failed(error),
        }
    }

    /// A response while the request's body is under way. `None`: it is the final one.
    fn take_upload(
        &mut self,
        context: &mut Context,
        key: Key,
        status: Status,
        blocks: Blocks,
    ) -> Option<Outcome> {
        let total = self.payload.len();
        if self.upload.is_none()
            && status == Status::REQUEST_ENTITY_TOO_LARGE
            && let Some(block) = blocks.block1.filter(|block| block.size() < total)
        {
            // RFC 7959 §2.9.3: a hint to try again in blocks.
            self.upload = Some(Upload::new(block.szx()));
            return Some(Outcome::Next);
        }
        match self.upload.as_mut()?.respond(status, blocks.block1, total) {
            Uploaded::Final => None,
            Uploaded::Broken => Some(Outcome::Failed(ExchangeError::BlockOption)),
            Uploaded::Next => {
                self.progress(context, key);
                Some(Outcome::Next)
            }
        }
    }

    /// A further block of the response.
    fn take_block(
        &mut self,
        context: &mut Context,
        key: Key,
        status: Status,
        message: &Message<'_>,
        blocks: Blocks,
    ) -> Outcome {
        let Some(download) = &mut self.download else {
            return Outcome::Nothing;
        };
        match download.take(message, status, blocks) {
            Ok(Downloaded::Next) => {
                self.progress(context, key);
                Outcome::Next
            }
            Ok(Downloaded::Whole) => {
                self.progress(context, key);
                let Some(download) = self.download.take() else {
                    return Outcome::Nothing;
                };
                let Download {
                    status,
                    options,
                    body,
                    ..
                } = download;
                Outcome::Done(Box::new(Delivered {
                    status,
                    options,
                    payload: body,
                }))
            }
            Ok(Downloaded::Instead) => Outcome::done(status, message),
            Err(error) => Outcome::Failed(error),
        }
    }

    fn progress(&self, context: &mut Context, key: Key) {
        let received = self
            .download
            .as_ref()
            .map_or(0, |download| download.body.len() as u64);
        let (sent, total) = match (&self.download, &self.upload) {
            (Some(download), _) => (self.payload.len() as u64, download.total()),
            (None, Some(upload)) => (upload.offset() as u64, Some(self.payload.len() as u64)),
            (None, None) => (0, None),
        };
        context.events.push_back(Event::Progress {
            id: ExchangeId::client(key),
            sent,
            received,
            total,
        });
    }
}
