//! The task that moves datagrams between a socket and an engine, and bytes between connections and that engine. Each
//! shard of an address has one.
//!
//! ```text
//!            ┌──────── wait: socket, connections, handles, changed states, handlers, deadline ───────┐
//!            ▼                                                                                       │
//!  recv_batch ─▶ handle_datagram ─▶ handler, polled once ─▶ respond ─▶ poll_event ─▶ poll_transmit ─▶ send_batch
//!  read ───────▶ handle_stream ──▶                                                ─▶ poll_stream ───▶ write
//! ```

use std::io;
use std::sync::Arc;
use std::task::Poll;

use coracle_engine::{Config, Endpoint, Event, Instant};
use coracle_net::{BATCH_SIZE, Datagram, RecvBatch, SendBatch, UdpSocket};
use coracle_router::Router;
use tokio::sync::{mpsc, oneshot};

use crate::asking::Asking;
use crate::changes::Changes;
use crate::clock::{Alarm, Clock};
use crate::command::Command;
use crate::connections::Connections;
use crate::inside::{Inside, take_in};
use crate::serving::Serving;
use crate::shards::{Handed, Shard, Sources};
use crate::statistics::Statistics;

/// Batches received, or sent, before the other sources are looked at, so that a flood of datagrams does not starve them.
const BATCHES_PER_TURN: usize = 4;

/// Connections that are visited before the other sources are looked at.
const VISITS_PER_TURN: usize = 64;

/// How long those wait who want all sent and acknowledged.
const LINGER: std::time::Duration = std::time::Duration::from_secs(5);

/// Who closes waits no longer than this for the next part of a body: that is when a peer whose block was lost sends it
/// again (RFC 7252 §4.2, ACK_TIMEOUT times ACK_RANDOM_FACTOR).
const PART_PAUSE: std::time::Duration = std::time::Duration::from_secs(3);

/// How often in a row the socket may fail, and how long the driver pauses each time.
const MAX_FAILURES: u32 = 100;
const FAILURE_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

pub(crate) struct Driver {
    socket: Option<UdpSocket>,
    connections: Connections,
    engine: Endpoint,
    clock: Clock,
    alarm: Alarm,
    serving: Option<Serving>,
    changes: Arc<Changes>,
    shard: Shard,
    commands: mpsc::UnboundedReceiver<Command>,
    /// Whether any handle is left.
    handles: bool,
    asking: Asking,
    /// Those who wait until all is sent and acknowledged, each up to a time.
    draining: Vec<(Instant, oneshot::Sender<()>)>,
    /// Those who wait until the connections that we made are closed.
    releasing: Vec<(Instant, oneshot::Sender<()>)>,
    closing: bool,
    received: RecvBatch,
    sending: SendBatch,
    /// The socket takes no more for now.
    blocked: bool,
}

impl Driver {
    pub(crate) fn new(
        sources: Sources,
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
            socket: sources.socket,
            connections: Connections::new(sources.listener, shard.count()),
            engine: Endpoint::new(config, seed),
            clock: Clock::new(),
            alarm: Alarm::new(),
            serving: router.map(|router| Serving::new(router, changes.clone())),
            changes,
            shard,
            commands,
            handles: true,
            asking: Asking::default(),
            draining: Vec::new(),
            releasing: Vec::new(),
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
        let more_on_connections = self.receive_on_connections()?;
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
        self.connections.drop_overdue(&mut self.engine, now);
        let more_out = self.flush(now)?;
        if self.is_over() {
            return Ok(true);
        }
        if more_in || more_out || more_on_connections {
            // Handlers and other tasks have a turn, then the sockets are looked at again.
            self.run_handlers(now).await?;
            tokio::task::yield_now().await;
        } else {
            self.wait().await?;
        }
        Ok(false)
    }

    /// Runs the handlers that can go on and looks for new connections, without waiting for any.
    async fn run_handlers(&mut self, now: Instant) -> io::Result<()> {
        let (serving, engine) = (&mut self.serving, &mut self.engine);
        let connections = &mut self.connections;
        std::future::poll_fn(|cx| {
            if let Some(serving) = serving {
                // Whether anything was done does not matter: the next turn comes at once.
                let _ = serving.poll(cx, engine, now);
            }
            match connections.poll_ready(cx) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                _ => Poll::Ready(Ok(())),
            }
        })
        .await
    }

    /// Takes datagrams in and hands requests to the application. Tells whether more may lie in the socket that could be
    /// taken now.
    fn receive(&mut self) -> io::Result<bool> {
        for _ in 0..BATCHES_PER_TURN {
            if self.blocked {
                // What goes out has to leave first, or answers would pile up.
                return Ok(false);
            }
            let Some(socket) = &self.socket else {
                return Ok(false);
            };
            let outcome = socket.try_recv_batch(&mut self.received);
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

    /// Takes in what has come on connections, a part of each. Tells whether more may be there that could be taken now.
    fn receive_on_connections(&mut self) -> io::Result<bool> {
        for _ in 0..VISITS_PER_TURN {
            let now = self.clock.now();
            let Some(id) = self.connections.next(&mut self.engine, now) else {
                return Ok(false);
            };
            let mut inside = Inside {
                serving: self.serving.as_mut(),
                engine: &mut self.engine,
                now,
                identity: None,
            };
            self.connections.visit(id, &mut inside);
            self.flush(now)?;
        }
        Ok(self.connections.has_next())
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
        while let Some(socket) = &self.socket
            && let Some((remote, error)) = socket.try_recv_error()
        {
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
        let engine = &mut self.engine;
        match command {
            Command::Request(ticket, outgoing, sender) => {
                self.asking.request(engine, now, (ticket, sender), &outgoing);
            }
            Command::Ping(ticket, path, sender) => self.asking.ping(engine, now, (ticket, sender), &path),
            Command::Cancel(ticket) => self.asking.cancel(engine, now, ticket),
            Command::Supply(ticket, part, more) => self.asking.supply(engine, now, ticket, (&part, more)),
            Command::Resume(ticket) => self.asking.resume(engine, now, ticket),
            Command::TakeOn(link, told) => self.connections.take_on(engine, now, *link, Some(told)),
            Command::Locate(path, found) => {
                let is_here = path.connection.and_then(|id| engine.connection_path(id)) == Some(path);
                // Who no longer waits need not be told, here as below.
                let _ = found.send(is_here);
            }
            Command::Release(done) => {
                self.connections.release(engine, now, true);
                self.releasing.push((now + LINGER, done));
            }
            Command::Drain(done) => self.draining.push((now + LINGER, done)),
            Command::Close(done) => {
                engine.close();
                self.connections.refuse();
                self.connections.release(engine, now, false);
                self.closing = true;
                self.draining.push((now + LINGER, done));
            }
            Command::Statistics(answer) => {
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
            connections: self.engine.connections() as u64,
            connections_accepted: self.connections.counted.accepted,
            connections_refused: self.connections.counted.refused,
            handshakes_failed: self.connections.handshakes_failed(),
        }
    }

    /// Events to whom they concern, bytes to connections, datagrams to the socket, until nothing is left or the socket
    /// takes no more. Bounded, so that a hundred thousand observers do not hold up other answers: tells whether there may
    /// be more.
    fn flush(&mut self, now: Instant) -> io::Result<bool> {
        for _ in 0..BATCHES_PER_TURN {
            self.fill(now);
            // What was written may let an exchange go on.
            let wrote = self.connections.write_all(&mut self.engine, now);
            let more = self.send()?;
            if self.blocked || !wrote && !more {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Datagrams to the socket. Tells whether there may be more for it.
    fn send(&mut self) -> io::Result<bool> {
        let Some(socket) = &self.socket else {
            self.sending.clear();
            return Ok(false);
        };
        if self.sending.is_empty() {
            return Ok(false);
        }
        let was_full = self.sending.is_full();
        match socket.try_send_batch(&mut self.sending) {
            Ok(_) => self.blocked = false,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.blocked = true;
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        let failed = self.unreachable();
        Ok(was_full || failed || !self.sending.is_empty())
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
        let engine = &mut self.engine;
        let Some(event) = self.asking.event(engine, now, event) else {
            return;
        };
        match (event, &mut self.serving) {
            (Event::Opened { connection }, _) => self.connections.opened(engine, connection),
            (
                Event::Released {
                    connection, hold_off, ..
                },
                _,
            ) => {
                self.connections.released(connection, hold_off);
            }
            (Event::Closing { connection, reason }, _) => {
                self.connections.closing(engine, now, connection, &reason);
            }
            (Event::Refresh { id, request }, Some(serving)) => {
                let connection = request.path.connection;
                let identity = connection.and_then(|id| self.connections.identity(id)).cloned();
                serving.refresh(engine, now, id, request, identity);
            }
            (Event::Ended { id }, Some(serving)) => serving.ended(id),
            (Event::TopicIdle { topic }, Some(serving)) => serving.topic_idle(topic),
            _ => {}
        }
    }

    /// Tells those who wait for it that all is sent and acknowledged, or that connections are closed; whether the
    /// driver's work is done.
    fn is_over(&mut self) -> bool {
        let is_left = !self.handles && self.serving.is_none();
        if self.draining.is_empty() && self.releasing.is_empty() && !self.closing && !is_left {
            // Nobody asks whether it is idle, and to find out takes a look at every exchange.
            return false;
        }
        let now = self.clock.now();
        if !self.releasing.is_empty() {
            tell_when(self.connections.own() == 0, now, &mut self.releasing);
        }
        // When there is only one thing left to wait for, peers that may have gone, it is not for long.
        let given_up = self.closing && self.engine.is_answered() && self.gives_up_at() <= now;
        let idle = (given_up || self.engine.is_idle()) && self.sending.is_empty();
        if self.closing {
            tell_when(idle && self.connections.is_empty(), now, &mut self.draining);
            self.draining.is_empty()
        } else {
            tell_when(idle, now, &mut self.draining);
            is_left && idle && self.connections.is_empty()
        }
    }

    /// Nobody is left who could ask for anything: a client says goodbye to its peers.
    fn left(&mut self) {
        self.handles = false;
        if self.serving.is_none() {
            self.connections
                .release(&mut self.engine, self.clock.now(), false);
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
        let waited_for = self.draining.iter().chain(&self.releasing);
        let waited_for = waited_for.map(|(until, _)| *until);
        // When this has passed and something is waited for all the same, it is not this.
        let gives_up = Some(self.gives_up_at()).filter(|at| self.closing && *at > clock.now());
        let deadline = self
            .engine
            .poll_deadline()
            .map(|deadline| deadline.at)
            .into_iter()
            .chain(waited_for)
            .chain(self.connections.deadline())
            .chain(gives_up)
            .min();
        let alarm = self.alarm.at(deadline.map(|at| clock.to_tokio(at)));
        let (serving, engine) = (&mut self.serving, &mut self.engine);
        let (connections, socket) = (&mut self.connections, self.socket.as_ref());
        // A handler may end long after the wait began: its response is sent at the time when it is looked at.
        let handlers = std::future::poll_fn(|cx| match serving {
            Some(serving) => serving.poll(cx, engine, clock.now()),
            None => Poll::Pending,
        });
        tokio::select! {
            biased;
            () = handlers => {}
            ready = either_way(socket, self.blocked) => {
                ready?;
                self.blocked = false;
            }
            ready = std::future::poll_fn(|cx| connections.poll_ready(cx)) => ready?,
            command = self.commands.recv(), if self.handles => match command {
                Some(command) => self.command(command),
                None => self.left(),
            },
            handed = self.shard.take(), if self.shard.has_others() && !self.blocked => self.handed(handed),
            () = self.changes.arrived() => {}
            () = alarm => {}
        }
        Ok(())
    }
}

/// Tells those who wait when it is so, or their time is over. Who no longer waits need not be told.
fn tell_when(it_is_so: bool, now: Instant, waiting: &mut Vec<(Instant, oneshot::Sender<()>)>) {
    for (_, done) in waiting.extract_if(.., |(until, _)| it_is_so || *until <= now) {
        let _ = done.send(());
    }
}

/// Waits until a socket takes datagrams, if that is what is `blocked`, or has some.
async fn either_way(socket: Option<&UdpSocket>, blocked: bool) -> io::Result<()> {
    match socket {
        Some(socket) if blocked => socket.writable().await,
        Some(socket) => socket.readable().await,
        None => std::future::pending().await,
    }
}
