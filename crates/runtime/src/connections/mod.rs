//! The connections of a driver (RFC 8323): bytes between links and the engine.
//!
//! ```text
//!  woken by the system ─▶ line ─▶ visit: write what waits, read ─▶ messages to the engine
//!                          ▲                │ (a bounded part)
//!                          └────────────────┘ there is more
//! ```
//!
//! What is read comes to one buffer that all share. A connection keeps only the rest of a message that is not whole, so
//! that one at rest has no buffer.

mod kept;
mod lent;
mod open;
mod ready;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use coracle_engine::{CloseReason, ConnectionId, Endpoint, Instant, Path, SecurityId};
use coracle_net::stream::{Link, Listener};
use coracle_router::Identity;
use coracle_wire::{Code, Message, MessageId, MessageType, Options, Scheme, Signal};
use tokio::sync::watch;

use crate::error::Error;
use crate::inside::Inside;
use kept::Kept;
pub(crate) use lent::Came;
use lent::Spare;
use open::{Open, Phase};
use ready::Ready;

/// Bytes that are read at once, and what one connection may bring before the others have their turn.
const READ: usize = 64 << 10;

/// The same in messages: short ones take their time, too.
const MESSAGES: usize = 256;

/// Why a connection is turned away.
const FULL: &str = "as many connections as may be are open";

/// How many bytes of one connection the system is given before the others have their turn,
const WRITE: usize = 256 << 10;

/// as which a write counts at least.
const LEAST_WRITE: usize = 1 << 10;

/// Connections that are taken from the listener at once.
const ACCEPTED_AT_ONCE: usize = 64;

/// How long a connection that is over has for its last words and for the peer to close it, too.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);

/// The longest time for which a peer is left alone at its wish (RFC 8323 §5.5): the option goes to 194 days, and nobody who
/// asks for that will know it then.
const MAX_HOLD_OFF: Duration = Duration::from_secs(24 * 3600);

/// What is kept of messages that are not whole yet, in bytes, of all connections at one address.
const MAX_KEPT: usize = 64 << 20;

/// The share of one shard is not less, in messages as long as may be.
const LEAST_KEPT: usize = 16;

/// Why a connection is given up of which too much is kept.
const TOO_MUCH_KEPT: &str = "too many messages are on their way that have not come to their end";

/// What those who made a connection learn of it.
#[derive(Clone, Debug)]
pub(crate) enum Line {
    /// It is being made.
    Connecting,
    /// The peer has not told its capabilities.
    Opening,
    /// Requests may go this way.
    Open(Path),
    /// It could not be made.
    Failed(Arc<Error>),
    /// It takes no more requests: why, and until when the peer wants no other.
    Over {
        reason: Arc<str>,
        hold_off: Option<std::time::Instant>,
        /// We refused what the peer said, which it would say again.
        is_refusal: bool,
    },
}

/// Connections by number.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    /// Taken from the listener.
    pub(crate) accepted: u64,
    /// Closed because there were too many, or too much was kept of their messages.
    pub(crate) refused: u64,
}

/// What one connection may still bring in a visit.
#[derive(Debug)]
struct Part {
    bytes: usize,
    messages: usize,
}

impl Default for Part {
    fn default() -> Part {
        Part {
            bytes: READ,
            messages: MESSAGES,
        }
    }
}

impl Part {
    fn is_used_up(&self) -> bool {
        self.bytes == 0 || self.messages == 0
    }
}

#[derive(Debug)]
pub(crate) struct Connections {
    /// By names of ours, which no stranger chooses: a quick hash will do.
    table: HashMap<ConnectionId, Open, foldhash::fast::RandomState>,
    ready: Arc<Ready>,
    /// Those that are visited next.
    line: VecDeque<ConnectionId>,
    woken: Vec<ConnectionId>,
    listener: Option<Listener>,
    accepted: Vec<Link>,
    buffer: Vec<u8>,
    spare: Spare,
    kept: Kept,
    /// Those that are over, and when they are dropped at the latest, in this order.
    ending: VecDeque<(Instant, ConnectionId)>,
    /// Those that we made.
    own: usize,
    pub(crate) counted: Counted,
}

impl Connections {
    /// Those of one of so many shards, with messages of at most so many bytes.
    pub(crate) fn new(listener: Option<Listener>, shards: usize, max_message: usize) -> Connections {
        let least_kept = max_message.saturating_mul(LEAST_KEPT);
        Connections {
            table: HashMap::default(),
            ready: Arc::default(),
            line: VecDeque::new(),
            woken: Vec::new(),
            listener,
            accepted: Vec::new(),
            buffer: Vec::new(),
            spare: Spare::default(),
            kept: Kept::new((MAX_KEPT / shards.max(1)).max(least_kept), max_message),
            ending: VecDeque::new(),
            own: 0,
            counted: Counted::default(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Those that we made.
    pub(crate) fn own(&self) -> usize {
        self.own
    }

    /// Connections that did not come about.
    pub(crate) fn handshakes_failed(&self) -> u64 {
        let seen = self.listener.as_ref().map(Listener::statistics);
        seen.map_or(0, |seen| seen.failed + seen.expired + seen.displaced)
    }

    /// Ready when there is something to do: connections to take on or to visit. The task is woken when there will be.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.listener.is_none() && self.table.is_empty() {
            // Nothing comes, and a driver of datagrams only does not take the lock for it.
            return Poll::Pending;
        }
        self.ready.register(cx);
        while let Some(listener) = &mut self.listener
            && self.accepted.len() < ACCEPTED_AT_ONCE
            && let Poll::Ready(link) = listener.poll_accept(cx)
        {
            self.accepted.push(link?);
        }
        self.ready.take(&mut self.woken, &mut self.line);
        match self.line.is_empty() && self.accepted.is_empty() {
            true => Poll::Pending,
            false => Poll::Ready(Ok(())),
        }
    }

    /// When one that is over is dropped.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.ending.front().map(|(at, _)| *at)
    }

    /// The next one to visit. Those that were taken from the listener are taken on first.
    pub(crate) fn next(&mut self, engine: &mut Endpoint, now: Instant) -> Option<ConnectionId> {
        while let Some(link) = self.accepted.pop() {
            self.counted.accepted += 1;
            self.take_on(engine, now, link, None);
        }
        if !self.table.is_empty() {
            // Who has more to bring than its part stands behind those who came since.
            self.ready.take(&mut self.woken, &mut self.line);
        }
        self.line.pop_front()
    }

    /// Whether there is one to visit.
    pub(crate) fn has_next(&self) -> bool {
        !self.line.is_empty()
    }

    /// Takes a connection on; `told` learns how it is, if we made it.
    pub(crate) fn take_on(
        &mut self,
        engine: &mut Endpoint,
        now: Instant,
        link: Link,
        told: Option<watch::Sender<Line>>,
    ) {
        let path = Path {
            local: Some(link.local().ip()),
            security: security_of(&link),
            ..Path::to(link.remote())
        };
        let Some(id) = engine.connected(now, path, link.framing()) else {
            self.counted.refused += 1;
            tracing::debug!(peer = %path.remote, reason = FULL, "a connection is turned away");
            match told {
                Some(told) => drop(told.send_replace(over(FULL))),
                None => turn_away(link),
            }
            return;
        };
        self.own += usize::from(told.is_some());
        let open = Open::new(link, id, &self.ready, told);
        self.table.insert(id, open);
        // Our CSM goes at once and by itself: some peers wait for it before they say anything.
        self.write(engine, now, id);
        // The first visit tells the system that bytes are waited for.
        self.line_up(id);
    }

    fn line_up(&mut self, id: ConnectionId) {
        if self.table.get(&id).is_some_and(|open| open.signal.joins()) {
            self.line.push_back(id);
        }
    }

    /// Writes what waits on a connection and takes in what has come, until there is nothing more or others have their turn.
    /// Whether the latter was why.
    pub(crate) fn visit(&mut self, id: ConnectionId, inside: &mut Inside<'_>) -> bool {
        let Some(open) = self.table.get_mut(&id) else {
            return false;
        };
        open.signal.leaves();
        inside.identity.clone_from(&open.identity);
        match open.phase {
            Phase::Closing => self.close(id),
            Phase::LastWords => self.write(inside.engine, inside.now, id),
            Phase::Talking => return self.talk(id, inside),
        }
        false
    }

    fn talk(&mut self, id: ConnectionId, inside: &mut Inside<'_>) -> bool {
        let is_blocked = self.table.get(&id).is_some_and(|open| open.is_blocked);
        // What is new is written when all that was read is answered.
        if is_blocked {
            self.write(inside.engine, inside.now, id);
        }
        let mut part = Part::default();
        self.read(id, &mut part, inside);
        self.count_kept(inside.engine, inside.now, id);
        part.is_used_up()
    }

    fn read(&mut self, id: ConnectionId, part: &mut Part, inside: &mut Inside<'_>) {
        while let Some(open) = self.table.get_mut(&id)
            && !open.is_ended
        {
            if !inside.engine.takes_input(id) {
                open.is_held = true;
                return;
            }
            if part.is_used_up() {
                open.is_held |= part.messages == 0;
                return self.line_up(id);
            }
            let waited = std::mem::take(&mut open.is_held) && open.has_kept();
            if !waited {
                if self.kept.holds(id, open) {
                    return;
                }
                match open.fetch(&mut self.buffer) {
                    Poll::Pending => return inside.engine.message_begun(inside.now, id, open.begun()),
                    Poll::Ready(Ok(0)) => {
                        open.is_ended = true;
                        open.forget_kept();
                        open.tell(over("the peer closed it"));
                        return inside.engine.peer_ended(inside.now, id);
                    }
                    Poll::Ready(Ok(came)) => part.bytes = part.bytes.saturating_sub(came),
                    Poll::Ready(Err(error)) => {
                        return self.end(inside.engine, inside.now, id, &error.to_string());
                    }
                }
            }
            open.digest(&mut self.buffer, &mut self.spare, |came| {
                inside.take_messages(id, came, &mut part.messages)
            });
        }
    }

    fn count_kept(&mut self, engine: &mut Endpoint, now: Instant, id: ConnectionId) {
        self.count(id);
        while let Some(last) = self.kept.excess() {
            self.counted.refused += 1;
            engine.give_up(now, last, TOO_MUCH_KEPT);
            self.closing(engine, now, last, &CloseReason::GivenUp(TOO_MUCH_KEPT.to_owned()));
        }
    }

    /// Counts what a connection keeps now: there may be room for others again.
    fn count(&mut self, id: ConnectionId) {
        if let Some(open) = self.table.get_mut(&id) {
            self.kept.count(id, open);
        }
        for resumed in self.kept.resumed() {
            self.line_up(resumed);
        }
    }

    /// Writes what waits on connections that have something new. Whether there was any.
    pub(crate) fn write_all(&mut self, engine: &mut Endpoint, now: Instant) -> bool {
        let mut any = false;
        while let Some(id) = engine.poll_stream() {
            any = true;
            self.write(engine, now, id);
        }
        any
    }

    fn write(&mut self, engine: &mut Endpoint, now: Instant, id: ConnectionId) {
        let Some(open) = self.table.get_mut(&id) else {
            return;
        };
        if open.phase == Phase::Closing {
            return;
        }
        let mut left = WRITE;
        let outcome = loop {
            let output = engine.stream_outputs(id);
            if output.iter().all(|piece| piece.is_empty()) {
                break open.flush();
            }
            if left == 0 {
                break Poll::Ready(Ok(()));
            }
            match open.write(output) {
                Poll::Ready(Ok(written)) => {
                    left = left.saturating_sub(written.max(LEAST_WRITE));
                    engine.stream_written(now, id, written);
                }
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => {
                    engine.stream_written(now, id, 0);
                    break Poll::Pending;
                }
            }
        };
        let is_written = engine.stream_output(id).is_empty();
        let resumes = open.is_held && engine.takes_input(id);
        let is_last = open.phase == Phase::LastWords;
        open.is_blocked = outcome.is_pending();
        match outcome {
            Poll::Ready(Err(error)) => return self.end(engine, now, id, &error.to_string()),
            Poll::Ready(Ok(())) if is_written && is_last => return self.end(engine, now, id, "closed"),
            Poll::Ready(Ok(())) if !is_written => {
                open.is_blocked = true;
                self.line_up(id);
            }
            _ => {}
        }
        if resumes {
            self.line_up(id);
        }
    }

    /// Who the peer at the other end has proved to be.
    pub(crate) fn identity(&self, id: ConnectionId) -> Option<&Identity> {
        self.table.get(&id)?.identity.as_ref()
    }

    /// A connection may be used.
    pub(crate) fn opened(&self, engine: &Endpoint, id: ConnectionId) {
        if let Some(open) = self.table.get(&id)
            && let Some(path) = engine.connection_path(id)
        {
            if open.is_own()
                && let Some((max_message_size, bert)) = engine.peer_capabilities(id)
            {
                let peer = path.remote;
                tracing::debug!(%peer, max_message_size, bert, "has told its capabilities (CSM)");
            }
            open.tell(Line::Open(path));
        }
    }

    /// The peer takes no more requests on a connection.
    pub(crate) fn released(&self, id: ConnectionId, hold_off: Option<Duration>) {
        if let Some(open) = self.table.get(&id) {
            open.tell(Line::Over {
                reason: "the peer released the connection (RFC 8323 §5.5)".into(),
                hold_off: hold_off
                    .and_then(|time| std::time::Instant::now().checked_add(time.min(MAX_HOLD_OFF))),
                is_refusal: false,
            });
        }
    }

    /// The engine has done with a connection: what waits is written, then it is closed.
    pub(crate) fn closing(
        &mut self,
        engine: &mut Endpoint,
        now: Instant,
        id: ConnectionId,
        reason: &CloseReason,
    ) {
        let Some(open) = self.table.get_mut(&id) else {
            return;
        };
        if open.phase == Phase::Talking {
            let why = open.why(reason);
            if *reason != CloseReason::Released {
                tracing::debug!(peer = %open.remote(), reason = why, "a connection ends");
            }
            open.phase = Phase::LastWords;
            open.tell(Line::Over {
                reason: why.into(),
                hold_off: None,
                is_refusal: matches!(reason, CloseReason::Aborted(_)),
            });
            open.forget_kept();
            self.ending.push_back((now + CLOSE_WITHIN, id));
            self.count(id);
        }
        self.write(engine, now, id);
    }

    /// Nothing more is written or read on a connection: the engine forgets it, and the link is closed.
    fn end(&mut self, engine: &mut Endpoint, now: Instant, id: ConnectionId, reason: &str) {
        let Some(open) = self.table.get_mut(&id) else {
            return;
        };
        open.tell(over(reason));
        open.forget_kept();
        if std::mem::replace(&mut open.phase, Phase::Closing) == Phase::Talking {
            tracing::debug!(peer = %open.remote(), reason, "a connection ends");
            self.ending.push_back((now + CLOSE_WITHIN, id));
            self.count(id);
        }
        engine.disconnected(now, id);
        self.close(id);
    }

    fn close(&mut self, id: ConnectionId) {
        if let Some(open) = self.table.get_mut(&id)
            && open.close().is_ready()
        {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: ConnectionId) {
        if let Some(open) = self.table.remove(&id) {
            self.own -= usize::from(open.is_own());
        }
        if self.table.len() * 4 < self.table.capacity() {
            self.table.shrink_to(self.table.len() * 2);
        }
    }

    /// Drops those whose time to close is over.
    pub(crate) fn drop_overdue(&mut self, engine: &mut Endpoint, now: Instant) {
        while let Some((_, id)) = self.ending.pop_front_if(|(at, _)| *at <= now) {
            self.end(engine, now, id, "closed");
            self.remove(id);
        }
    }

    /// Ends those that we made in good order (RFC 8323 §5.5), or all.
    pub(crate) fn release(&self, engine: &mut Endpoint, now: Instant, only_own: bool) {
        for (id, open) in &self.table {
            if open.is_own() || !only_own {
                open.tell(over("we released it"));
                engine.release(now, *id);
            }
        }
    }

    /// Takes no more connections.
    pub(crate) fn refuse(&mut self) {
        self.listener = None;
        self.accepted.clear();
    }
}

/// Tells a peer why it is not taken on (RFC 8323 §5.6), as far as that goes at once: nobody is waited for.
fn turn_away(mut link: Link) {
    let mut bytes = Vec::new();
    for (signal, text) in [(Signal::CSM, ""), (Signal::ABORT, FULL)] {
        let message = Message {
            message_type: MessageType::NonConfirmable,
            code: Code::from(signal),
            message_id: MessageId(0),
            token: &[],
            options: Options::empty(),
            payload: text.as_bytes(),
        };
        bytes.clear();
        message.append_frame(link.framing(), &mut bytes);
        let _ = link.poll_write(&mut Context::from_waker(Waker::noop()), &bytes);
    }
    let mut cx = Context::from_waker(Waker::noop());
    let _ = link.poll_flush(&mut cx).is_ready() && link.poll_close(&mut cx).is_ready();
}

fn over(reason: &str) -> Line {
    Line::Over {
        reason: reason.into(),
        hold_off: None,
        is_refusal: false,
    }
}

/// A number for what TLS protects: such a connection is an association of its own.
fn security_of(link: &Link) -> Option<SecurityId> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let is_secure = matches!(link.scheme(), Scheme::CoapsTcp | Scheme::CoapsWs);
    let number = is_secure.then(|| NEXT.fetch_add(1, Ordering::Relaxed));
    number.and_then(std::num::NonZeroU64::new).map(SecurityId)
}
