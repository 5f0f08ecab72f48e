//! What handles ask of a driver.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use coracle_dtls::Connect;
use coracle_engine::{Path, SecurityId, StreamedBody, TransmissionParameters};
use coracle_net::UdpSocket;
use coracle_net::stream::Link;
use coracle_wire::{Method, OptionsBuf};
use tokio::sync::{mpsc, oneshot, watch};

use crate::connections::Line;
use crate::mailbox::{LATEST, MEMBERS, Mailbox, Sender, mailbox};
use crate::secure::{Outcome, Settings};
use crate::statistics::Statistics;

/// A request as a handle gives it to a driver.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) path: Path,
    pub(crate) method: Method,
    pub(crate) options: OptionsBuf,
    pub(crate) payload: Bytes,
    /// The body is asked for as it goes.
    pub(crate) streamed: Option<StreamedBody>,
    /// The body of the answer is given out as it comes.
    pub(crate) streams_answer: bool,
    pub(crate) confirmable: bool,
    pub(crate) parameters: Option<TransmissionParameters>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) max_body: Option<usize>,
}

/// Names an exchange between a handle and its driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
pub(crate) enum Command {
    Request(Ticket, Box<Outgoing>, Sender),
    Ping(Ticket, Path, Sender),
    Cancel(Ticket),
    /// The next part of a request's body; whether more follow.
    Supply(Ticket, Bytes, bool),
    /// Go on with the body of an answer, which its reader had fallen behind.
    Resume(Ticket),
    /// Take on a connection that we made; who asked is told how it is.
    TakeOn(Box<Link>, watch::Sender<Line>),
    /// Begin a session of `coaps` with a server.
    Secure(Box<Wanted>),
    /// End a session whose peer does not answer.
    Abandon(SecurityId),
    /// Send and receive by another socket from now on.
    Hop(UdpSocket),
    /// Tell whether this is the way of a connection or session that is here.
    Locate(Path, oneshot::Sender<bool>),
    /// End the connections and sessions that we made in good order, then tell.
    Release(oneshot::Sender<()>),
    /// Tell when all is sent and acknowledged.
    Drain(oneshot::Sender<()>),
    /// Answer what was accepted, then end.
    Close(oneshot::Sender<()>),
    /// Tell what was done so far.
    Statistics(oneshot::Sender<Statistics>),
}

/// A session that a client wants.
pub(crate) struct Wanted {
    pub(crate) remote: SocketAddr,
    pub(crate) connect: Connect,
    /// Which credentials these are.
    pub(crate) as_whom: u64,
    /// For the first one of a driver.
    pub(crate) settings: Settings,
    /// Is told how the session is.
    pub(crate) told: watch::Sender<Line>,
    /// Is told of the outcome of this attempt.
    pub(crate) done: oneshot::Sender<Outcome>,
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wanted")
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

/// A way to a driver. The channel has no bound of its own: every command stands for a future of the caller's, and the
/// engine bounds how many exchanges there are.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    commands: mpsc::UnboundedSender<Command>,
    tickets: Arc<AtomicU64>,
}

impl Handle {
    pub(crate) fn new() -> (Handle, mpsc::UnboundedReceiver<Command>) {
        let (commands, receiver) = mpsc::unbounded_channel();
        (
            Handle {
                commands,
                tickets: Arc::new(AtomicU64::new(0)),
            },
            receiver,
        )
    }

    pub(crate) fn request(&self, outgoing: Outgoing) -> Underway {
        let capacity = if outgoing.path.multicast { MEMBERS } else { LATEST };
        self.begin(capacity, |ticket, sender| {
            Command::Request(ticket, Box::new(outgoing), sender)
        })
    }

    pub(crate) fn ping(&self, path: Path) -> Underway {
        self.begin(LATEST, |ticket, sender| Command::Ping(ticket, path, sender))
    }

    fn begin(&self, capacity: usize, command: impl FnOnce(Ticket, Sender) -> Command) -> Underway {
        let ticket = Ticket(self.tickets.fetch_add(1, Ordering::Relaxed));
        let (sender, mailbox) = mailbox(capacity);
        // A driver that is gone drops the sender, which the mailbox tells.
        let _ = self.commands.send(command(ticket, sender));
        Underway {
            ticket,
            mailbox,
            handle: self.clone(),
        }
    }

    /// Gives a connection to the driver, which tells `told` how it is.
    pub(crate) fn take_on(&self, link: Link, told: watch::Sender<Line>) {
        // A driver that is gone drops `told`, which tells that, too.
        let _ = self.commands.send(Command::TakeOn(Box::new(link), told));
    }

    /// Begins a session with a server. When it may be used `told` has learnt it; if it failed, it comes back with the reason.
    pub(crate) async fn secure(
        &self,
        remote: SocketAddr,
        (connect, as_whom, settings): (Connect, u64, Settings),
        told: watch::Sender<Line>,
    ) -> Outcome {
        let (done, outcome) = oneshot::channel();
        let wanted = Wanted {
            remote,
            connect,
            as_whom,
            settings,
            told,
            done,
        };
        let _ = self.commands.send(Command::Secure(Box::new(wanted)));
        // A driver that is gone drops `told`, which tells that.
        outcome.await.unwrap_or(Ok(()))
    }

    /// Ends a session whose peer does not answer, so that the next request begins another.
    pub(crate) fn abandon(&self, security: SecurityId) {
        let _ = self.commands.send(Command::Abandon(security));
    }

    /// Sends and receives by another socket from now on.
    pub(crate) fn hop(&self, socket: UdpSocket) {
        let _ = self.commands.send(Command::Hop(socket));
    }

    /// Whether this is the way of a connection or session of this driver.
    pub(crate) async fn has(&self, path: Path) -> bool {
        let found = self.ask(|found| Command::Locate(path, found)).await;
        found.unwrap_or(false)
    }

    /// Completes when the connections that we made are closed, after some seconds, or when the driver is gone.
    pub(crate) async fn release(&self) {
        self.ask(Command::Release).await;
    }

    /// Completes when all is sent and acknowledged, after some seconds, or when the driver is gone.
    pub(crate) async fn drain(&self) {
        self.ask(Command::Drain).await;
    }

    /// Completes when the driver has answered what it accepted, after some seconds, or when it is gone.
    pub(crate) async fn close(&self) {
        self.ask(Command::Close).await;
    }

    /// What the driver did so far; `None` when it is gone.
    pub(crate) async fn statistics(&self) -> Option<Statistics> {
        self.ask(Command::Statistics).await
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).ok()?;
        answered.await.ok()
    }
}

/// An exchange under way; dropping it cancels it.
#[derive(Debug)]
pub(crate) struct Underway {
    ticket: Ticket,
    pub(crate) mailbox: Mailbox,
    handle: Handle,
}

impl Underway {
    /// Gives the next part of the request's body; whether more follow.
    pub(crate) fn supply(&self, part: Bytes, more: bool) {
        let _ = self
            .handle
            .commands
            .send(Command::Supply(self.ticket, part, more));
    }

    /// Goes on with the body of the answer, if that waits for the reader and the reader has caught up.
    pub(crate) fn resume(&self) {
        if self.mailbox.resumes() {
            let _ = self.handle.commands.send(Command::Resume(self.ticket));
        }
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let _ = self.handle.commands.send(Command::Cancel(self.ticket));
    }
}
