//! The endpoint: the boundary, and the only file that knows the order of the stages.
//!
//! ```text
//!  IN   handle_datagram                      OUT  respond, request
//!   1 wire       bytes -> checked view         8 wire       message -> bytes
//!   2 message    de-duplicate, ACK, RST        7 message    type, ID, retransmission
//!   3 security   (OSCORE opens here)           6 security   (OSCORE seals here)
//!   4 exchange   token -> exchange             5 exchange   response -> its request
//!   5 block      assemble, or ask for more     4 block      slice
//!   6 observe    register, order               3 observe    sequence, type
//! ```
//!
//! A stage returns a verdict and never calls a stage before it; every branch between stages is in this file and in
//! `outcome.rs`, which does the same for what timers and acknowledgements bring. Requests of ours begin and end in
//! `requesting.rs`.

mod connecting;
mod observing;
mod outcome;
mod refusing;
mod requesting;
mod stream;

use alloc::boxed::Box;
use alloc::sync::Arc;

use coracle_wire::{CodeKind, Message, MessageType};

use crate::amplification::Allowance;
use crate::block::assembly::{self, Assemblies, Inbound, Part};
use crate::block::bodies::{Asked, Bodies, TooDear, lost_body};
use crate::block::payload_key;
use crate::config::Config;
use crate::context::Context;
use crate::endpoint::refusing::failure;
use crate::exchange::admission::Reading;
use crate::exchange::ask::{Ask, answer, answer_for, echo_block1};
use crate::exchange::asking;
use crate::exchange::client::{Arrival, Client};
use crate::exchange::reply::Reply;
use crate::exchange::server::Server;
use crate::limits;
use crate::message::{MessageLayer, Note, Owner, Verdict};
use crate::observe::groups::Kept;
use crate::observe::server::Observers;
use crate::path::Path;
use crate::slab::Key;
use crate::stats::{DropReason, Stats};
use crate::tables::GiveBack;
use crate::time::Instant;
use crate::timers::{Deadline, Reason};
use crate::values::{
    BodyPart, Event, ExchangeError, ExchangeId, OwnedRequest, Received, Request, RespondError, ResponseRef,
    Role, Transmit,
};

/// A CoAP endpoint, client and server at once, without sockets, clock or randomness.
///
/// Bytes and time come in by `handle_*` and go out by `poll_*`; the rest changes or reads state. The order of calls:
///
/// 1. Call any methods that take `&mut self`.
/// 2. Drain [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event).
/// 3. Read [`poll_deadline`](Self::poll_deadline), and call [`handle_timeout`](Self::handle_timeout) at that time.
///
/// Nothing that the network sends makes it panic, and all it keeps is bounded by its [`Config`] and by
/// [`limits`](crate::limits).
///
/// ```
/// use coracle_engine::{Config, Endpoint, Instant, Path, Received, ResponseRef};
/// use coracle_wire::{Options, Status};
///
/// let mut endpoint = Endpoint::new(Config::default(), [7; 32]);
/// let path = Path::to("192.0.2.1:5683".parse()?);
/// // A confirmable GET of /temp, message ID 1, no token.
/// let datagram = b"\x40\x01\x00\x01\xb4temp";
/// if let Received::Request(id, _) = endpoint.handle_datagram(Instant::ZERO, path, datagram) {
///     endpoint.respond(Instant::ZERO, id, ResponseRef::new(Status::CONTENT, Options::empty(), b"21.5"))?;
/// }
/// let mut buf = [0; coracle_engine::limits::MAX_DATAGRAM];
/// let out = endpoint.poll_transmit(Instant::ZERO, &mut buf).ok_or("nothing to send")?;
/// assert_eq!(buf.get(..out.len), Some(&b"\x60\x45\x00\x01\xff21.5"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Endpoint {
    context: Context,
    messages: MessageLayer,
    server: Server,
    client: Client,
    assemblies: Assemblies,
    bodies: Bodies,
    observers: Observers,
    cache_hasher: foldhash::fast::FixedState,
    closing: bool,
}

impl Endpoint {
    /// An endpoint whose tokens, message IDs and random waits come from `seed`, which has to be unpredictable
    /// wherever strangers can send datagrams (RFC 7252 §5.3.1).
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32]) -> Endpoint {
        let mut context = Context::new(config, seed);
        Endpoint {
            messages: MessageLayer::new(&mut context),
            server: Server::new(&mut context),
            client: Client::new(&mut context),
            assemblies: Assemblies::new(&mut context),
            bodies: Bodies::new(&mut context),
            observers: Observers::new(&mut context),
            cache_hasher: foldhash::fast::FixedState::with_seed(context.random_u64()),
            closing: false,
            context,
        }
    }

    /// Takes a datagram in. A request is to be answered by [`respond`](Self::respond), now or later.
    pub fn handle_datagram<'d>(&mut self, now: Instant, path: Path, datagram: &'d [u8]) -> Received<'d> {
        self.context.stats.datagrams_in += 1;
        self.context.stats.bytes_in += datagram.len() as u64;
        // 1 wire
        let message = match Message::parse(datagram) {
            Ok(message) => message,
            Err(error) => return self.reject(&path, &error),
        };
        let reading = self.read(&path, &message);
        // 2 message
        let allowance = self.context.allowance(now, &path, &reading, datagram.len());
        let messages = &mut self.messages;
        let goes_on = reading.goes_on();
        match messages.inbound(&mut self.context, now, &path, &message, (allowance, goes_on)) {
            Verdict::Request { seen, room } => {
                self.inbound_request(now, &path, &message, &reading, (seen, room, allowance))
            }
            Verdict::Response { seen, acknowledges } => {
                self.inbound_response(now, &path, &message, seen, acknowledges);
                Received::Nothing
            }
            Verdict::Acknowledged(owner) => {
                self.acknowledged(now, owner);
                Received::Nothing
            }
            Verdict::Reset(owner) => {
                self.was_reset(now, owner);
                Received::Nothing
            }
            Verdict::ResetOf { peer, id } => {
                self.was_reset_late(now, peer, id);
                Received::Nothing
            }
            Verdict::Absorbed => Received::Nothing,
        }
    }

    /// A request after the message layer, or off a connection: stages 4 to 6 of the way in.
    fn inbound_request<'d>(
        &mut self,
        now: Instant,
        path: &Path,
        message: &Message<'d>,
        reading: &Reading<'_>,
        (seen, room, allowance): (Option<Note>, bool, Allowance),
    ) -> Received<'d> {
        let Some(method) = reading.method else {
            return Received::Nothing;
        };
        let ask = Ask::new(path, (method, message), seen, allowance, reading);
        let mut ask = self.server.boxed(ask);
        // 4 exchange
        if let Err(refusal) = self.check(now, &mut ask, message, reading, room) {
            return self.refuse(now, ask, &refusal);
        }
        ask.payload_key = payload_key(&self.cache_hasher, ask.method, message.payload);
        // 5 block: a further block of a response is served from what was kept of it
        if ask.blocks.block2.is_some_and(|block| block.num() > 0) {
            if let Some(reply) = self.bodies.inbound(&mut self.context, now, &Asked::of(&ask)) {
                let mut reply = reply.unwrap_or_else(|TooDear| ask.challenge(&mut self.context, now));
                answer(&mut self.context, &mut self.messages, now, &mut ask, &mut reply);
                self.server.recycle(ask);
                return Received::Nothing;
            }
            if let Some(refusal) = lost_body(&ask, message.payload) {
                return self.refuse(now, ask, &refusal);
            }
        }
        if ask.blocks.block1.is_none() {
            // 6 observe: a request that cancels an observation ends it (RFC 7641 §3.6)
            self.deregister(now, &ask, message.options);
            return self.hand_over(now, ask, message, None);
        }
        let part = Part {
            options: message.options,
            payload: message.payload,
            is_wanted: &|exchange| !self.server.is_working(exchange),
        };
        let (verdict, ended) = self.assemblies.inbound(&mut self.context, now, &ask, part);
        if let Some(exchange) = ended {
            self.end(exchange);
        }
        // 6 observe
        self.deregister(now, &ask, message.options);
        let received = self.handle_body(now, ask, message, verdict);
        if ended.is_some() {
            self.settle_on(now, path.connection);
        }
        received
    }

    /// Does what the block stage decided about a request.
    fn handle_body<'d>(
        &mut self,
        now: Instant,
        mut ask: Box<Ask>,
        message: &Message<'d>,
        verdict: Inbound,
    ) -> Received<'d> {
        match verdict {
            Inbound::Whole => self.hand_over(now, ask, message, None),
            Inbound::StreamStart(stream) => self.hand_over(now, ask, message, Some(stream)),
            Inbound::Complete(options, payload) => {
                let (method, path, confirmable) = (ask.method, ask.path, ask.confirmable);
                let registration = self.registration(now, &ask, options.as_options(), &payload);
                let Some(key) = self.open(now, ask, None, registration) else {
                    return Received::Nothing;
                };
                let request = OwnedRequest {
                    method,
                    options,
                    payload,
                    path,
                    confirmable,
                };
                Received::Assembled(ExchangeId::server(key), request)
            }
            Inbound::StreamPart { exchange, more } => {
                self.replace_ask(now, exchange, ask);
                if let Some(exchange) = self.server.get_mut(exchange)
                    && !more
                {
                    exchange.stream = None;
                }
                Received::Body(
                    ExchangeId::server(exchange),
                    BodyPart {
                        payload: message.payload,
                        more,
                    },
                )
            }
            Inbound::StreamAgain { exchange } => {
                self.repeat_part(now, ask, exchange);
                Received::Nothing
            }
            Inbound::Continue => {
                self.continue_with(now, &mut ask);
                self.server.recycle(ask);
                Received::Nothing
            }
            Inbound::Refuse(refusal) => self.refuse(now, ask, &refusal),
        }
    }

    /// Gives a request to the application.
    fn hand_over<'d>(
        &mut self,
        now: Instant,
        ask: Box<Ask>,
        message: &Message<'d>,
        stream: Option<Key>,
    ) -> Received<'d> {
        let request = Request {
            method: ask.method,
            options: message.options,
            payload: message.payload,
            path: ask.path,
            confirmable: ask.confirmable,
            more: stream.is_some(),
        };
        let registration = self.registration(now, &ask, message.options, message.payload);
        let Some(key) = self.open(now, ask, stream, registration) else {
            return Received::Nothing;
        };
        Received::Request(ExchangeId::server(key), request)
    }

    fn open(
        &mut self,
        now: Instant,
        ask: Box<Ask>,
        stream: Option<Key>,
        registration: Option<Arc<Kept>>,
    ) -> Option<Key> {
        let key = self
            .server
            .open(&self.context, now, ask, (stream, registration))?;
        if let Some(stream) = stream {
            self.assemblies.stream_to(stream, key);
        }
        self.context.stats.requests += 1;
        Some(key)
    }

    /// A response after the message layer.
    fn inbound_response(
        &mut self,
        now: Instant,
        path: &Path,
        message: &Message<'_>,
        seen: Option<Note>,
        acknowledges: Option<Owner>,
    ) {
        let CodeKind::Response(status) = message.code.kind() else {
            return;
        };
        let confirmable = message.message_type == MessageType::Confirmable;
        // 4 exchange
        let Some(key) = self.client.find(path, message.token, acknowledges) else {
            self.context.stats.drop_for(DropReason::UnmatchedResponse);
            // RFC 7252 §4.2, §4.3: rejected; this also ends observations that we forgot (RFC 7641 §3.6).
            if acknowledges.is_none() && !path.multicast {
                self.messages
                    .reset(&mut self.context, path, message.message_id, seen);
            }
            return;
        };
        // Who knows our token reads what is sent to its address, unless many were sent it.
        if !self.client.is_group(key) && !path.is_reliable() {
            self.context.proved(now, path);
        }
        let known = (self.client.sent_options(key), path.is_reliable());
        let admitted = asking::admit(status, message, known);
        if confirmable {
            // RFC 7252 §5.4.1: a response with a critical option that is not understood is rejected.
            let (peers, id) = (&mut self.messages, message.message_id);
            match admitted {
                Err(ExchangeError::CriticalOption(_)) => peers.reset(&mut self.context, path, id, seen),
                _ => peers.acknowledge(&mut self.context, path, id, seen),
            }
        }
        let arrival = Arrival {
            key,
            path,
            token: message.token,
            piggybacked: acknowledges.is_some(),
        };
        let response = admitted.map(|blocks| asking::Inbound {
            status,
            message,
            blocks,
        });
        self.client
            .respond(&mut self.context, &mut self.messages, now, &arrival, response);
    }

    /// Answers a request, or gives the new state that [`Event::Refresh`] asked for.
    ///
    /// # Errors
    /// [`RespondError::Unknown`] when nobody waits for it; [`RespondError::TooLong`] when the options do not fit into
    /// a datagram, in which case the peer is told 5.00.
    pub fn respond(
        &mut self,
        now: Instant,
        id: ExchangeId,
        response: ResponseRef<'_>,
    ) -> Result<(), RespondError> {
        let fits = response.options.as_bytes().len() + limits::ADDED_OPTIONS
            <= limits::MAX_DATAGRAM - limits::MAX_PAYLOAD - limits::MAX_TOKEN - 16;
        let response = if fits { &response } else { &failure() };
        if id.role != Role::Server {
            return Err(RespondError::Unknown);
        }
        let Some(mut exchange) = self.server.take(id.key) else {
            self.refreshed(now, id.key, response)?;
            return if fits { Ok(()) } else { Err(RespondError::TooLong) };
        };
        let Some(mut ask) = exchange.ask.take() else {
            // A streamed body was given up between two of its blocks: the next one is answered 4.08.
            self.forget_body(exchange.stream);
            return Err(RespondError::Unknown);
        };
        let registered = exchange.registration.map(|kept| (id.key, kept));
        self.outbound_response(now, &mut ask, registered, response);
        self.forget_body(exchange.stream);
        self.server.pass_answered();
        self.settle_on(now, ask.path.connection);
        self.server.recycle(ask);
        if fits { Ok(()) } else { Err(RespondError::TooLong) }
    }

    /// The first response to a request: stages 3 to 8 of the way out.
    fn outbound_response(
        &mut self,
        now: Instant,
        ask: &mut Ask,
        registered: Option<(Key, Arc<Kept>)>,
        response: &ResponseRef<'_>,
    ) {
        let mut reply = Reply::of(response);
        // 3 observe
        let observer =
            registered.and_then(|registered| self.register(now, registered, ask, response, &mut reply));
        // RFC 7641 §7: who has not proved the address confirms the interest, before anything else is sent there.
        let confirms = observer.is_some() && !ask.is_proved();
        if confirms {
            ask.answer_apart(&mut self.context);
        }
        // 4 block
        let window = response.window;
        let cut = if self.bodies.lets_pass(&self.context, ask, &reply, window) {
            Ok(())
        } else {
            let asked = Asked::of(ask);
            self.bodies
                .outbound(&mut self.context, now, &asked, &mut reply, window)
        };
        // What was only read can be read again when the address is proved; what was done is told without its payload.
        if matches!(cut, Err(TooDear)) && ask.method.is_safe() {
            reply = ask.challenge(&mut self.context, now);
        }
        echo_block1(ask, &mut reply);
        // 5 exchange, 7 message, 8 wire
        let goes_on = observer.filter(|_| reply.status.is_success());
        let repeatable = ask.method.is_safe();
        let owner = goes_on.map_or(Owner::Response { repeatable }, Owner::Notification);
        let sent = answer_for(&mut self.context, &mut self.messages, now, ask, &mut reply, owner);
        let has_to_leave = confirms || ask.path.is_reliable();
        let goes_on = goes_on.filter(|_| sent.is_some() || !has_to_leave);
        match (goes_on, observer) {
            (Some(observer), _) => self.first_notification_left(now, observer, sent, ask.confirmable),
            (None, Some(observer)) => self.end_observation(now, observer),
            (None, None) => {}
        }
    }

    /// Asks for the next part of a streamed request body.
    fn continue_request(&mut self, now: Instant, key: Key) {
        if let Some(exchange) = self.server.get_mut(key)
            && exchange.stream.is_some()
            && let Some(mut ask) = exchange.ask.take()
        {
            self.continue_with(now, &mut ask);
        }
    }

    fn continue_with(&mut self, now: Instant, ask: &mut Ask) {
        let Some(block1) = ask.blocks.block1 else { return };
        let sizes = self.context.sizes(ask.path.connection, 0);
        let mut reply = assembly::continuation(sizes, block1);
        answer(&mut self.context, &mut self.messages, now, ask, &mut reply);
    }

    /// Copies the next datagram to send into `buf`, which has to hold [`limits::MAX_DATAGRAM`] bytes; one that does
    /// not fit is lost.
    ///
    /// Notifications are made here, one by one, when nothing else waits.
    pub fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        let transmit = if self.context.out.is_empty() {
            self.next_notification(now, buf)?
        } else {
            self.context.out.pop(buf)?
        };
        self.context.stats.datagrams_out += 1;
        self.context.stats.bytes_out += transmit.len as u64;
        Some(transmit)
    }

    /// The next event.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        while let Some(event) = self.context.events.pop_front() {
            self.context.events.give_back();
            // A topic whose last observer left may have another by now.
            if !matches!(event, Event::TopicIdle { topic } if self.observers.is_observed(topic)) {
                return Some(event);
            }
        }
        // After many at once, as when all observers of a state are forgotten, their room is given back.
        self.context.events.shrink_to(limits::EVENTS_KEPT);
        let messages = &self.messages;
        self.observers
            .next_refresh(|peer| messages.peer(peer).map(|state| state.peer))
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called, and why.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Deadline> {
        let candidates = [
            (!self.observers.is_quiet() || self.observers.is_untimed()).then_some(Deadline {
                at: Instant::ZERO,
                reason: Reason::Notification,
            }),
            self.context.timers.next(),
            self.server.next_acknowledgement().map(|at| Deadline {
                at,
                reason: Reason::Acknowledgement,
            }),
            self.messages.next_sweep(&self.context).map(|at| Deadline {
                at,
                reason: Reason::Deduplication,
            }),
        ];
        candidates
            .into_iter()
            .flatten()
            .min_by_key(|deadline| deadline.at)
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.context.stats
    }

    /// Takes no more requests, of peers or of ours: peers are answered 5.03. What was accepted goes on, block-wise
    /// transfers too.
    pub fn close(&mut self) {
        self.closing = true;
    }

    /// Everything that was accepted is answered, and nothing waits to be sent.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.is_answered() && !self.server.is_receiving()
    }

    /// The same for all that came so far: of bodies that come in parts, peers may have yet to send the next block.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.server.is_answered()
            && self.messages.is_quiet()
            && self.observers.is_quiet()
            && self.context.out.is_empty()
            && self.context.connections.is_quiet()
    }

    /// Nothing at all is kept of past exchanges: what tests call back to zero.
    #[must_use]
    pub fn is_pristine(&self) -> bool {
        self.server.is_empty()
            && self.client.is_empty()
            && self.assemblies.is_empty()
            && self.bodies.is_empty()
            && self.observers.is_empty()
            && self.messages.is_empty()
            && self.context.timers.is_empty()
            && self.context.connections.is_empty()
    }
}
