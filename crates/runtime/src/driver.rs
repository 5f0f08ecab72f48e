//! The task that moves datagrams between a socket and an engine. Each shard of an address has one.
//!
//! ```text
//!            ┌────────────── wait: socket, handles, changed states, handlers, deadline ──────────────┐
//!            ▼                                                                                       │
//!  recv_batch ─▶ handle_datagram ─▶ handler, polled once ─▶ respond ─▶ poll_event ─▶ poll_transmit ─▶ send_batch
//! ```

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::task::Poll;

use coracle_engine::{Config, Endpoint, Event, ExchangeId, Instant, Path, Received, RequestRef};
use coracle_net::{BATCH_SIZE, Datagram, RecvBatch, SendBatch, UdpSocket};
use coracle_router::Router;
use tokio::sync::{mpsc, oneshot};

use crate::changes::Changes;
use crate::clock::{Alarm, Clock};
use crate::command::{Command, Outgoing, Ticket};
use crate::mailbox::{Notice, Sender};
use crate::serving::Serving;
use crate::shards::{Handed, Shard};
use crate::statistics::Statistics;

/// Batches received, or sent, before the other sources are looked at, so that a flood of datagrams does not starve them.
const BATCHES_PER_TURN: usize = 4;

/// How long those wait who want all sent and acknowledged.
const LINGER: std::time::Duration = std::time::Duration::from_secs(5);

/// Who closes waits no longer than this for the next part of a body: that is when a peer whose block was lost sends it
/// again (RFC 7252 §4.2, ACK_TIMEOUT times ACK_RANDOM_FACTOR).
const PART_PAUSE: std::time::Duration = std::time::Duration::from_secs(3);

/// How often in a row the socket may fail, and how long the driver pauses each time.
const MAX_FAILURES: u32 = 100;
const FAILURE_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

pub(crate) struct Driver {
    socket: UdpSocket,
    engine: Endpoint,
    clock: Clock,
    alarm: Alarm,
    serving: Option<Serving>,
    changes: Arc<Changes>,
    shard: Shard,
    commands: mpsc::UnboundedReceiver<Command>,
    /// Whether any handle is left.
    handles: bool,
    waiting: HashMap<ExchangeId, (Ticket, Sender)>,
    tickets: HashMap<Ticket, ExchangeId>,
    /// Those who wait until all is sent and acknowledged, each up to a time.
    draining: Vec<(Instant, oneshot::Sender<()>)>,
    closing: bool,
    received: RecvBatch,
    sending: SendBatch,
    /// The socket takes no more for now.
    blocked: bool,
}

impl Driver {
    pub(crate) fn new(
        socket: UdpSocket,
        mut config: Config,
        router: Option<Router>,
        commands: mpsc::UnboundedReceiver<Command>,
        shard: Shard,
    ) -> io::Result<Driver> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let changes = Arc::new(Changes::default());
        if let Some(router) = &router {
            config.known_options.extend(router.declared_options());
            config.body_policy = Some(Arc::new(router.clone()));
        }
        Ok(Driver {
            socket,
            engine: Endpoint::new(config, seed),
            clock: Clock::new(),
            alarm: Alarm::new(),
            serving: router.map(|router| Serving::new(router, changes.clone())),
            changes,
            shard,
            commands,
            handles: true,
            waiting: HashMap::new(),
            tickets: HashMap::new(),
            draining: Vec::new(),
            closing: false,
            received: RecvBatch::new(),
            sending: SendBatch::new(),
            blocked: false,
        })
    }

    /// Runs until it is told to close, or until a client's last handle is gone. The system being out of memory or
    /// descriptors for a while does not end it.
    pub(crate) async fn run(mut self) -> io::Result<()> {
        let mut failures = 0;
        loop {
            match self.turn().await {
                Ok(true) => return Ok(()),
                Ok(false) => failures = 0,
                Err(error) if failures < MAX_FAILURES => {
                    failures += 1;
                    tracing::warn!(%error, "the socket failed, trying again");
                    tokio::time::sleep(FAILURE_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Those who are forgotten are told of no change.
    fn take_news(&mut self, now: Instant) {
        let news = self.changes.take();
        for topic in news.forgotten {
            self.engine.forget_observers(now, topic);
        }
        for topic in news.changed {
            self.engine.changed(topic);
        }
    }

    /// Looks at every source once, then waits if there is nothing more. Tells whether all is done.
    async fn turn(&mut self) -> io::Result<bool> {
        let more_in = self.receive()?;
        self.receive_handed();
        while let Ok(command) = self.commands.try_recv() {
            self.command(command);
        }
        let now = self.clock.now();
        self.take_news(now);
        if self
            .engine
            .poll_deadline()
            .is_some_and(|deadline| deadline.at <= now)
        {
            self.engine.handle_timeout(now);
        }
        let more_out = self.flush(now)?;
        if self.is_over() {
            return Ok(true);
        }
        if more_in || more_out {
            // Handlers and other tasks have a turn, then the socket is looked at again.
            self.run_handlers(now).await;
            tokio::task::yield_now().await;
        } else {
            self.wait().await?;
        }
        Ok(false)
    }

    /// Runs the handlers that can go on, without waiting for any.
    async fn run_handlers(&mut self, now: Instant) {
        let (serving, engine) = (&mut self.serving, &mut self.engine);
        std::future::poll_fn(|cx| {
            if let Some(serving) = serving {
                // Whether anything was done does not matter: the next turn comes at once.
                let _ = serving.poll(cx, engine, now);
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Takes datagrams in and hands requests to the application. Tells whether more may lie in the socket that could be
    /// taken now.
    fn receive(&mut self) -> io::Result<bool> {
        for _ in 0..BATCHES_PER_TURN {
            if self.blocked {
                // What goes out has to leave first, or answers would pile up.
                return Ok(false);
            }
            let outcome = self.socket.try_recv_batch(&mut self.received);
            self.unreachable();
            match outcome {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
            let now = self.clock.now();
            for datagram in self.received.datagrams() {
                if self.shard.keeps(&datagram) {
                    let Datagram {
                        path,
                        payload,
                        truncated,
                    } = datagram;
                    take_in(
                        self.serving.as_mut(),
                        &mut self.engine,
                        now,
                        path,
                        payload,
                        truncated,
                    );
                }
            }
            self.flush(now)?;
        }
        Ok(true)
    }

    /// Takes in what other shards have handed over, a batch at most.
    fn receive_handed(&mut self) {
        if self.blocked || !self.shard.has_others() {
            return;
        }
        for _ in 0..BATCH_SIZE {
            let Some(handed) = self.shard.try_take() else {
                return;
            };
            self.handed(handed);
        }
    }

    fn handed(&mut self, handed: Handed) {
        let now = self.clock.now();
        match handed {
            Handed::Datagram {
                path,
                payload,
                truncated,
            } => {
                take_in(
                    self.serving.as_mut(),
                    &mut self.engine,
                    now,
                    path,
                    &payload,
                    truncated,
                );
            }
            Handed::Unreachable(remote) => self.engine.handle_unreachable(now, remote),
        }
    }

    /// Tells the engine about ICMP errors, and whether there was any.
    fn unreachable(&mut self) -> bool {
        let mut any = false;
        while let Some((remote, error)) = self.socket.try_recv_error() {
            tracing::debug!(%remote, %error, "unreachable");
            if self.shard.keeps_error(remote) {
                self.engine.handle_unreachable(self.clock.now(), remote);
            }
            any = true;
        }
        any
    }

    fn command(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Request(ticket, outgoing, sender) => {
                let Outgoing {
                    path,
                    method,
                    options,
                    payload,
                    streamed,
                    streams_answer,
                    confirmable,
                    parameters,
                    timeout,
                    max_body,
                } = *outgoing;
                let request = RequestRef::new(method, options.as_options())
                    .with_payload(&payload)
                    .with_streamed(streamed)
                    .with_streamed_answer(streams_answer)
                    .with_confirmable(confirmable)
                    .with_parameters(parameters)
                    .with_timeout(timeout)
                    .with_max_body(max_body);
                match self.engine.request(now, &path, request) {
                    Ok(id) => self.wait_for(id, ticket, sender),
                    Err(error) => sender.send(Notice::Refused(error)),
                }
            }
            Command::Ping(ticket, path, sender) => match self.engine.ping(now, &path) {
                Ok(id) => self.wait_for(id, ticket, sender),
                Err(error) => sender.send(Notice::Refused(error)),
            },
            Command::Cancel(ticket) => {
                if let Some(id) = self.tickets.remove(&ticket) {
                    self.waiting.remove(&id);
                    self.engine.cancel(now, id);
                }
            }
            Command::Supply(ticket, part, more) => {
                if let Some(id) = self.tickets.get(&ticket) {
                    self.engine.supply_body(now, *id, &part, more);
                }
            }
            Command::Resume(ticket) => {
                if let Some(id) = self.tickets.get(&ticket) {
                    self.engine.continue_body(now, *id);
                }
            }
            Command::Drain(done) => self.draining.push((now + LINGER, done)),
            Command::Close(done) => {
                self.engine.close();
                self.closing = true;
                self.draining.push((now + LINGER, done));
            }
            Command::Statistics(answer) => {
                // Who no longer waits need not be told.
                let _ = answer.send(self.statistics());
            }
        }
    }

    fn statistics(&self) -> Statistics {
        let (pending, uploads) = self.serving.as_ref().map_or((0, 0), Serving::pending);
        Statistics {
            engine: self.engine.stats().clone(),
            observers: self.engine.observers() as u64,
            pending: pending as u64,
            uploads: uploads as u64,
            shards: 1,
            handed_over: self.shard.handed_over,
            handed_over_lost: self.shard.lost,
        }
    }

    fn wait_for(&mut self, id: ExchangeId, ticket: Ticket, sender: Sender) {
        self.tickets.insert(ticket, id);
        self.waiting.insert(id, (ticket, sender));
    }

    /// Events to whom they concern, datagrams to the socket, until neither is left or the socket takes no more. Bounded, so
    /// that a hundred thousand observers do not hold up other answers: tells whether there may be more.
    fn flush(&mut self, now: Instant) -> io::Result<bool> {
        for _ in 0..BATCHES_PER_TURN {
            self.fill(now);
            if self.sending.is_empty() {
                return Ok(false);
            }
            let was_full = self.sending.is_full();
            match self.socket.try_send_batch(&mut self.sending) {
                Ok(_) => self.blocked = false,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
            let failed = self.unreachable();
            if !was_full && !failed && self.sending.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Fills the batch to send. Events wait while there are datagrams: a change that a thousand peers observe makes no
    /// more notifications at once than leave at once.
    fn fill(&mut self, now: Instant) {
        while let Some(slot) = self.sending.slot() {
            if let Some(transmit) = self.engine.poll_transmit(now, slot) {
                self.sending.push(&transmit.path, transmit.len);
            } else if let Some(event) = self.engine.poll_event() {
                self.event(now, event);
            } else {
                return;
            }
        }
    }

    fn event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Response { id, response, more } => {
                self.tell(id, Notice::Response { response, more }, !more);
                self.go_on(now, id, more);
            }
            Event::Body { id, payload, more } => {
                self.tell(id, Notice::Body { payload, more }, !more);
                self.go_on(now, id, more);
            }
            Event::BodyWanted { id } => self.tell(id, Notice::BodyWanted, false),
            Event::Pong { id } => self.tell(id, Notice::Pong, true),
            Event::Progress {
                id,
                sent,
                received,
                total,
            } => {
                self.tell(
                    id,
                    Notice::Progress {
                        sent,
                        received,
                        total,
                    },
                    false,
                );
            }
            Event::HeldBack { id, until } => self.tell(id, Notice::HeldBack(until - now), false),
            Event::Stale { id } => self.tell(id, Notice::Stale, false),
            Event::Failed { id, error } => self.tell(id, Notice::Failed(error), true),
            event => {
                let Some(serving) = &mut self.serving else { return };
                match event {
                    Event::Refresh { id, request } => serving.refresh(&mut self.engine, now, id, request),
                    Event::Ended { id } => serving.ended(id),
                    Event::TopicIdle { topic } => serving.topic_idle(topic),
                    _ => {}
                }
            }
        }
    }

    /// Asks for the next part of an answer's body unless its reader has fallen behind. Of other answers there is none.
    fn go_on(&mut self, now: Instant, id: ExchangeId, more: bool) {
        if more
            && self
                .waiting
                .get(&id)
                .is_some_and(|(_, sender)| sender.takes_more())
        {
            self.engine.continue_body(now, id);
        }
    }

    fn tell(&mut self, id: ExchangeId, notice: Notice, last: bool) {
        if last {
            if let Some((ticket, sender)) = self.waiting.remove(&id) {
                self.tickets.remove(&ticket);
                sender.send(notice);
            }
        } else if let Some((_, sender)) = self.waiting.get(&id) {
            sender.send(notice);
        }
    }

    /// Tells those who wait for it that all is sent and acknowledged; whether the driver's work is done.
    fn is_over(&mut self) -> bool {
        if self.draining.is_empty() && !self.closing && (self.handles || self.serving.is_some()) {
            // Nobody asks whether it is idle, and to find out takes a look at every exchange.
            return false;
        }
        let now = self.clock.now();
        // When there is only one thing left to wait for, peers that may have gone, it is not for long.
        let given_up = self.closing && self.engine.is_answered() && self.gives_up_at() <= now;
        let idle = (given_up || self.engine.is_idle()) && self.sending.is_empty();
        if !self.draining.is_empty() {
            for (_, done) in self.draining.extract_if(.., |(until, _)| idle || *until <= now) {
                // Who no longer waits need not be told.
                let _ = done.send(());
            }
        }
        if self.closing {
            self.draining.is_empty()
        } else {
            !self.handles && self.serving.is_none() && idle
        }
    }

    /// When no further part of a body is waited for.
    fn gives_up_at(&self) -> Instant {
        self.serving
            .as_ref()
            .map_or(Instant::ZERO, |serving| serving.last_part() + PART_PAUSE)
    }

    /// Waits for anything to do.
    async fn wait(&mut self) -> io::Result<()> {
        let clock = self.clock;
        let drained = self.draining.iter().map(|(until, _)| *until);
        // When this has passed and something is waited for all the same, it is not this.
        let gives_up = Some(self.gives_up_at()).filter(|at| self.closing && *at > clock.now());
        let deadline = self
            .engine
            .poll_deadline()
            .map(|deadline| deadline.at)
            .into_iter()
            .chain(drained)
            .chain(gives_up)
            .min();
        let alarm = self.alarm.at(deadline.map(|at| clock.to_tokio(at)));
        let (serving, engine) = (&mut self.serving, &mut self.engine);
        // A handler may end long after the wait began: its response is sent at the time when it is looked at.
        let handlers = std::future::poll_fn(|cx| match serving {
            Some(serving) => serving.poll(cx, engine, clock.now()),
            None => Poll::Pending,
        });
        tokio::select! {
            biased;
            () = handlers => {}
            ready = self.socket.writable(), if self.blocked => {
                ready?;
                self.blocked = false;
            }
            ready = self.socket.readable(), if !self.blocked => ready?,
            command = self.commands.recv(), if self.handles => match command {
                Some(command) => self.command(command),
                None => self.handles = false,
            },
            handed = self.shard.take(), if self.shard.has_others() && !self.blocked => self.handed(handed),
            () = self.changes.arrived() => {}
            () = alarm => {}
        }
        Ok(())
    }
}

/// Takes a datagram in, and hands what it brought to the application.
fn take_in(
    serving: Option<&mut Serving>,
    engine: &mut Endpoint,
    now: Instant,
    path: Path,
    payload: &[u8],
    truncated: bool,
) {
    if truncated {
        tracing::debug!(from = %path.remote, "a datagram is too long");
        engine.handle_oversize(&path, payload);
    } else {
        let received = engine.handle_datagram(now, path, payload);
        serve(serving, engine, now, received);
    }
}

/// Hands what a datagram brought to the application.
fn serve(serving: Option<&mut Serving>, engine: &mut Endpoint, now: Instant, received: Received<'_>) {
    let Some(serving) = serving else {
        return not_a_server(engine, now, &received);
    };
    match received {
        Received::Request(id, request) => serving.request(engine, now, id, &request),
        Received::Assembled(id, request) => serving.assembled(engine, now, id, request),
        Received::Body(id, part) => serving.body(now, id, part.payload, part.more),
        Received::Nothing => {}
    }
}

/// A client is asked: it has no resources (RFC 7252 §5.8).
fn not_a_server(engine: &mut Endpoint, now: Instant, received: &Received<'_>) {
    if let Received::Request(id, _) | Received::Assembled(id, _) = received {
        let answer = coracle_engine::ResponseRef::new(
            coracle_wire::Status::NOT_FOUND,
            coracle_wire::Options::empty(),
            b"this is a client",
        );
        // It was asked just now, so that somebody waits for the answer.
        let _ = engine.respond(now, *id, answer);
    }
}
