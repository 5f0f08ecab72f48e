//! The task that moves datagrams between a socket and an engine, and bytes between connections and that engine. Each
//! shard of an address has one.
//!
//! ```text
//!            ┌──────── wait: socket, connections, handles, changed states, handlers, deadline ───────┐
//!            ▼                                                                                       │
//!  recv_batch ─▶ handle_datagram ─▶ handler, polled once ─▶ respond ─▶ poll_event ─▶ poll_transmit ─▶ send_batch
//!  read ───────▶ handle_stream ──▶                                                ─▶ poll_stream ───▶ write
//! ```

mod ending;

use std::io;
use std::sync::Arc;
use std::task::Poll;

use coracle_engine::{Config, Endpoint, Event, Instant, Path, RequestError};
use coracle_net::{BATCH_SIZE, Datagram, RecvBatch, SendBatch, UdpSocket};
use coracle_router::{Identity, Router};
use tokio::sync::{mpsc, oneshot};

use crate::asking::Asking;
use crate::changes::Changes;
use crate::clock::{Alarm, Clock};
use crate::command::{Command, Wanted};
use crate::connections::Connections;
use crate::inside::{Inside, take_in};
use crate::mailbox::Notice;
use crate::secure::{Secure, Settings};
use crate::serving::Serving;
use crate::shards::{Handed, Shard, Sources};
use crate::statistics::Statistics;

/// Batches received, or sent, before the other sources are looked at, so that a flood of datagrams does not starve them.
const BATCHES_PER_TURN: usize = 4;

/// Connections that are visited before the other sources are looked at.
const VISITS_PER_TURN: usize = 64;

/// Connections that use up their part of a turn, so that there is more of them, before the system is asked who else has
/// something.
const BUSY_PER_TURN: usize = 4;

/// How long those wait who want all sent and acknowledged.
const LINGER: std::time::Duration = std::time::Duration::from_secs(5);

/// How often in a row the socket may fail, and how long the driver pauses each time.
const MAX_FAILURES: u32 = 100;
const FAILURE_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

pub(crate) struct Driver {
    socket: Option<UdpSocket>,
    connections: Connections,
    /// The sessions of `coaps`, if there are any.
    secure: Option<Box<Secure>>,
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
            secure: secure_with(sources.secure)?,
            connections: Connections::new(
                sources.listener,
                shard.count(),
                config.connections.max_message_size as usize,
            ),
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
        if let Some(secure) = &mut self.secure {
            secure.handle_timeout(now);
        }
        self.connections.drop_overdue(&mut self.engine, now);
        self.leave_servers(now);
        let more_out = self.flush(now)?;
        if self.is_over() {
            self.farewell()?;
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
                let secure = self.secure.as_deref();
                let owner = secure.and_then(|secure| secure.shard_of(datagram.payload));
                if self.shard.keeps(&datagram, owner) {
                    let mut inside = Inside {
                        serving: self.serving.as_mut(),
                        engine: &mut self.engine,
                        now,
                        identity: None,
                    };
                    take_in(&mut inside, self.secure.as_deref_mut(), datagram);
                }
            }
            self.flush(now)?;
        }
        Ok(true)
    }

    /// Takes in what has come on connections, a part of each. Tells whether more may be there that could be taken now.
    fn receive_on_connections(&mut self) -> io::Result<bool> {
        let mut busy = 0;
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
            busy += usize::from(self.connections.visit(id, &mut inside));
            // Events and datagrams wait for the end of the turn.
            self.connections.write_all(&mut self.engine, now);
            if busy == BUSY_PER_TURN {
                break;
            }
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
                mut payload,
                truncated,
            } => {
                let mut inside = Inside {
                    serving: self.serving.as_mut(),
                    engine: &mut self.engine,
                    now,
                    identity: None,
                };
                let payload = &mut payload[..];
                let datagram = Datagram {
                    path,
                    payload,
                    truncated,
                };
                take_in(&mut inside, self.secure.as_deref_mut(), datagram);
            }
            Handed::Unreachable(remote) => self.network_says_unreachable(remote),
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
                self.network_says_unreachable(remote);
            }
            any = true;
        }
        any
    }

    /// Begins a session for a client. The first one brings the settings with it.
    fn begin_session(&mut self, now: Instant, wanted: Wanted) {
        let Wanted {
            remote,
            connect,
            as_whom,
            settings,
            told,
            done,
        } = wanted;
        if self.secure.is_none() {
            match secure_with(Some(settings)) {
                Ok(secure) => self.secure = secure,
                Err(error) => {
                    // Who no longer waits need not be told.
                    let _ = done.send(Err((told, error.into())));
                    return;
                }
            }
        }
        if let Some(secure) = &mut self.secure {
            secure.connect(now, remote, (connect, as_whom), (told, done));
        }
    }

    fn network_says_unreachable(&mut self, remote: std::net::SocketAddr) {
        let now = self.clock.now();
        self.engine.handle_unreachable(now, remote);
        if let Some(secure) = &mut self.secure {
            secure.unreachable(&mut self.engine, now, remote);
        }
    }

    fn command(&mut self, command: Command) {
        let now = self.clock.now();
        let engine = &mut self.engine;
        match command {
            Command::Request(_, outgoing, sender) if is_over(self.secure.as_deref(), &outgoing.path) => {
                sender.send(Notice::Refused(RequestError::NotConnected));
            }
            Command::Ping(_, path, sender) if is_over(self.secure.as_deref(), &path) => {
                sender.send(Notice::Refused(RequestError::NotConnected));
            }
            Command::Request(ticket, outgoing, sender) => {
                self.asking.request(engine, now, (ticket, sender), &outgoing);
            }
            Command::Ping(ticket, path, sender) => self.asking.ping(engine, now, (ticket, sender), &path),
            Command::Cancel(ticket) => self.asking.cancel(engine, now, ticket),
            Command::Supply(ticket, part, more) => self.asking.supply(engine, now, ticket, (&part, more)),
            Command::Resume(ticket) => self.asking.resume(engine, now, ticket),
            Command::TakeOn(link, told) => self.connections.take_on(engine, now, *link, Some(told)),
            Command::Locate(path, found) => {
                let is_connected = path.connection.and_then(|id| engine.connection_path(id)) == Some(path);
                let is_here = is_connected || self.secure.as_ref().is_some_and(|secure| secure.has(&path));
                // Who no longer waits need not be told, here as below.
                let _ = found.send(is_here);
            }
            Command::Secure(wanted) => self.begin_session(now, *wanted),
            Command::Hop(socket) => self.socket = Some(socket),
            Command::Abandon(security) => {
                if let Some(secure) = &mut self.secure {
                    secure.close(engine, now, security, "the peer does not answer");
                }
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
            security: self
                .secure
                .as_ref()
                .map(|secure| secure.statistics())
                .unwrap_or_default(),
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
        if let Some(secure) = &mut self.secure {
            secure.settle(&mut self.engine, now);
        }
        while let Some(slot) = self.sending.slot() {
            let next = match &mut self.secure {
                None => self
                    .engine
                    .poll_transmit(now, slot)
                    .map(|next| (next.path, next.len)),
                Some(secure) => secure.poll_transmit(&mut self.engine, now, slot),
            };
            if let Some((path, len)) = next {
                self.sending.push(&path, len);
            } else if let Some(event) = self.engine.poll_event() {
                self.event(now, event);
            } else {
                return;
            }
        }
    }

    fn event(&mut self, now: Instant, event: Event) {
        if self.secure.as_mut().is_some_and(|secure| secure.is_proof(&event)) {
            return;
        }
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
                let identity = identity_of(&self.connections, self.secure.as_deref(), &request.path);
                serving.refresh(engine, now, id, request, identity);
            }
            (Event::Ended { id }, Some(serving)) => serving.ended(id),
            (Event::TopicIdle { topic }, Some(serving)) => serving.topic_idle(topic),
            _ => {}
        }
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
            .chain(self.secure.as_ref().and_then(|secure| secure.deadline()))
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

/// Sessions with these settings, if there are any.
fn secure_with(settings: Option<Settings>) -> io::Result<Option<Box<Secure>>> {
    let Some(settings) = settings else {
        return Ok(None);
    };
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(Some(Box::new(Secure::new(settings, seed))))
}

/// Whether a way was that of a session which is over. Who asks may not have learnt it yet, and tries another one.
fn is_over(secure: Option<&Secure>, path: &Path) -> bool {
    let is_session = path.security.is_some() && !path.is_reliable();
    is_session && secure.is_none_or(|secure| !secure.has(path))
}

/// Who the peer at the other end of a way has proved to be.
fn identity_of(connections: &Connections, secure: Option<&Secure>, path: &Path) -> Option<Identity> {
    match path.connection {
        Some(connection) => connections.identity(connection).cloned(),
        None => secure?.identity(path.security?),
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
