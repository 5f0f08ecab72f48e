//! Connections over reliable transports (RFC 8323): what stands there in place of the message layer.
//!
//! ```text
//!  connected            CSM of the peer          Release, of either side;          nothing is left
//!                                                the peer has closed its side
//! ──────────▶ Opening ─────────────────▶ Open ──────────────────────────▶ Releasing ───────────────▶ Closing
//!                ├────────────────────────┼──────────────────────────────────▲                         ▲
//!                └────────────────────────┴── Abort, of either side; from Releasing, too ──────────────┘
//! ```
//!
//! What is sent waits as bytes until the transport takes them. Only signaling messages and empty ones end here; the
//! others go on to the same stages as those of datagrams.

pub(crate) mod belongings;
pub(crate) mod framing;
mod parameters;
mod queue;
mod room;
pub(crate) mod signaling;
mod waiting;
mod watch;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use coracle_wire::{Csm, Framing, Message, Token};

use crate::block::size::Sizes;
use crate::connection::queue::Queue;
use crate::connection::room::Load;
use crate::connection::waiting::Spare;
use crate::exchange::payload::SharedBody;
use crate::limits;
use crate::message::Owner;
use crate::path::{ConnectionId, Path};
use crate::slab::{Key, Slab};
use crate::time::Instant;

pub use parameters::{ConnectionParameters, MissingCsm};
pub(crate) use room::Unsent;
pub(crate) use watch::Due;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// The peer has not told its capabilities yet (RFC 8323 §5.3).
    Opening,
    Open,
    /// What runs is finished, nothing new begins (RFC 8323 §5.5).
    Releasing,
    /// Nothing is taken in any more, and what waits is the last that is written.
    Closing,
}

/// What the peer has told of itself (RFC 8323 §5.3), or the base values.
#[derive(Clone, Copy, Debug)]
struct Capabilities {
    max_message_size: usize,
    block_wise: bool,
}

/// Max-Message-Size before a CSM tells another (RFC 8323 §5.3.1), in bytes.
pub(crate) const BASE_MESSAGE_SIZE: usize = Csm::BASE_MAX_MESSAGE_SIZE as usize;

/// A Ping of the application that waits for its Pong.
pub(crate) struct Pinged {
    token: Token,
    pub(crate) key: Key,
    /// When it was put in line.
    pub(crate) at: Instant,
}

pub(crate) struct Connection {
    pub(crate) path: Path,
    pub(crate) framing: Framing,
    pub(crate) stage: Stage,
    /// The application was told that it may use it.
    pub(crate) is_opened: bool,
    /// The peer has sent its CSM.
    pub(crate) has_csm: bool,
    /// When it is looked at next.
    watched: Option<Instant>,
    /// When this stage began.
    pub(crate) since: Instant,
    peer: Capabilities,
    queue: Queue,
    /// It stands in the line of those that have something new to write.
    in_line: bool,
    /// When the last message came.
    pub(crate) heard: Instant,
    /// When the last request or response of either side came or went.
    pub(crate) used: Instant,
    /// A Ping went out since the last message came: since when an answer is waited for, and where it ends among all bytes
    /// that are written.
    pub(crate) pinged: Option<(Instant, u64)>,
    /// A message has begun to come: since when so many bytes of it are there.
    pub(crate) begun: Option<(Instant, usize)>,
    /// The Pings of the application that wait for their Pong, in order.
    pub(crate) pings: Vec<Pinged>,
    /// Tokens of Pings whose Pong waits until what came before them is done (RFC 8323 §5.4.1), and since when the first
    /// of them does.
    pub(crate) custody: Vec<Box<[u8]>>,
    pub(crate) custody_since: Instant,
    /// Bytes wait that the transport does not take, or only in drops: since when, and how many it had taken then.
    blocked: Option<(Instant, u64)>,
    /// Others find no room because of what waits here.
    is_pressed: bool,
    /// Parts of [`limits::QUEUED_PART`] that wait, as its address is charged with them.
    charged: usize,
}

impl Connection {
    pub(crate) fn is_over(&self) -> bool {
        self.stage == Stage::Closing
    }

    /// The longest message that the peer takes, and whether it takes blocks of BERT.
    pub(crate) fn capabilities(&self) -> (usize, bool) {
        let Capabilities {
            max_message_size,
            block_wise,
        } = self.peer;
        (
            max_message_size,
            block_wise && max_message_size > BASE_MESSAGE_SIZE,
        )
    }

    /// The room for a body beside `beside` bytes of token and options, those that the stages add not among them.
    #[inline]
    fn sizes(&self, (most, szx): (usize, u8), beside: usize) -> Sizes {
        let longest = self.peer.max_message_size.min(most);
        let room = longest.saturating_sub(limits::FRAME_OVERHEAD + limits::ADDED_ON_CONNECTION + beside);
        let (_, bert) = self.capabilities();
        Sizes::of_connection(room, bert, szx)
    }

    /// The peer reads what it is sent, so that more is taken in from it. What waits for us alone, as requests of ours, is
    /// no reason not to read their answers.
    pub(crate) fn is_read(&self) -> bool {
        self.answers() < limits::QUEUED_BEFORE_READING
    }

    /// Bytes that wait for the peer to read them, those of requests of ours not among them.
    fn answers(&self) -> usize {
        self.queue.len() - self.queue.own()
    }

    /// A message came.
    pub(crate) fn hears(&mut self, now: Instant) {
        self.heard = now;
        self.pinged = None;
        self.begun = None;
    }

    /// A Ping was put in line, and is waited for.
    pub(crate) fn is_pinged(&mut self, now: Instant) {
        self.pinged = Some((now, self.queue.position() + self.queue.len() as u64));
    }

    pub(crate) fn enter(&mut self, now: Instant, stage: Stage) {
        self.stage = stage;
        self.since = now;
    }
}

/// All connections.
pub(crate) struct Connections {
    table: Slab<Connection>,
    /// Those that have something new to write.
    line: VecDeque<Key>,
    spare: Spare,
    load: Load,
}

impl Connections {
    pub(crate) fn new(parameters: &ConnectionParameters, seed: u64) -> Connections {
        Connections {
            table: Slab::new(parameters.max_connections)
                .counting_from(u32::try_from(seed >> 32).unwrap_or(u32::MAX)),
            line: VecDeque::new(),
            spare: Spare::default(),
            load: Load::new(parameters, seed),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty() && self.load.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Nothing waits to be written, but on connections that end.
    pub(crate) fn is_quiet(&self) -> bool {
        let waits = |connection: &Connection| !connection.is_over() && !connection.queue.is_empty();
        self.load.queued == 0 || !self.table.iter().any(|(_, connection)| waits(connection))
    }

    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.table.get(id.0)
    }

    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.table.get_mut(id.0)
    }

    /// Takes a connection on. `None`: there are as many as may be, in all or with this address.
    pub(crate) fn insert(&mut self, now: Instant, path: Path, framing: Framing) -> Option<ConnectionId> {
        let address = path.remote.ip();
        if !self.load.takes(address) {
            return None;
        }
        let connection = Connection {
            path,
            framing,
            stage: Stage::Opening,
            is_opened: false,
            has_csm: false,
            watched: None,
            since: now,
            peer: Capabilities {
                max_message_size: BASE_MESSAGE_SIZE,
                block_wise: false,
            },
            queue: Queue::new(framing),
            in_line: false,
            heard: now,
            used: now,
            pinged: None,
            begun: None,
            pings: Vec::new(),
            custody: Vec::new(),
            custody_since: now,
            blocked: None,
            is_pressed: false,
            charged: 0,
        };
        let id = self.table.insert(connection).ok().map(ConnectionId)?;
        let connection = self.table.get_mut(id.0)?;
        connection.path = path.on(id);
        self.load.enter(address);
        Some(id)
    }

    /// Forgets a connection; the messages that it had not taken yet.
    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let mut connection = self.table.remove(id.0)?;
        self.load.leave(&connection);
        connection.queue.clear(&mut self.spare);
        Some(connection)
    }

    /// How long bodies may be that go on a connection beside `beside` bytes of token and options.
    #[inline]
    pub(crate) fn sizes(&self, id: ConnectionId, beside: usize) -> Sizes {
        let connection = self.get(id);
        let Load {
            max_message_size,
            block_szx,
            ..
        } = self.load;
        connection.map_or(Sizes::of_connection(0, false, block_szx), |connection| {
            connection.sizes((max_message_size, block_szx), beside)
        })
    }

    /// How long the messages may be that go on a connection.
    pub(crate) fn longest(&self, id: ConnectionId) -> usize {
        self.get(id)
            .map_or(0, |connection| connection.longest(&self.load))
    }

    /// Whether a message may wait to be written on a connection.
    pub(crate) fn admits(&self, id: ConnectionId, message: &Message<'_>, owner: Owner) -> Result<(), Unsent> {
        let connection = self.get(id).ok_or(Unsent::Over)?;
        let len = message.frame_len(connection.framing);
        connection.admits(&self.load, message, len, owner)
    }

    /// Whether a peer takes a message as long as this one.
    pub(crate) fn fits(&self, id: ConnectionId, message: &Message<'_>) -> bool {
        let connection = self.get(id);
        connection
            .is_none_or(|connection| message.frame_len(connection.framing) <= connection.longest(&self.load))
    }

    /// Puts a message in the queue of its connection, whose payload may be a part of a shared body; `mark` is given back when
    /// the transport has taken it. `false`: the connection is over, or the message longer than the peer takes.
    pub(crate) fn push(
        &mut self,
        id: ConnectionId,
        (message, shared): (&Message<'_>, Option<&SharedBody>),
        mark: Option<(Key, Owner)>,
    ) -> bool {
        let fits = |connection: &Connection, load: &Load, len| {
            let fits = len <= connection.longest(load);
            fits.then_some(()).ok_or(Unsent::TooLong)
        };
        self.put(id, (message, shared), mark, fits).is_ok()
    }

    /// The same for an answer, which may have to wait, and that nobody waits for; whether it may be asked for again.
    pub(crate) fn push_answer(
        &mut self,
        id: ConnectionId,
        (message, shared): (&Message<'_>, Option<&SharedBody>),
        repeatable: bool,
    ) -> Result<(), Unsent> {
        self.put(id, (message, shared), None, |connection, load, len| {
            connection.admits(load, message, len, Owner::Response { repeatable })
        })
    }

    #[inline]
    fn put(
        &mut self,
        id: ConnectionId,
        (message, shared): (&Message<'_>, Option<&SharedBody>),
        mark: Option<(Key, Owner)>,
        admits: impl FnOnce(&Connection, &Load, usize) -> Result<(), Unsent>,
    ) -> Result<(), Unsent> {
        let connection = self.table.get_mut(id.0);
        let connection = connection
            .filter(|connection| !connection.is_over())
            .ok_or(Unsent::Over)?;
        let framing = connection.framing;
        let len = message.frame_len(framing);
        admits(connection, &self.load, len)?;
        connection
            .queue
            .push((framing, len), (message, shared), mark, &mut self.spare);
        self.load.queued += len;
        if !core::mem::replace(&mut connection.in_line, true) {
            self.line.push_back(id.0);
        }
        self.load.charge(connection);
        Ok(())
    }

    /// The next connection that has something new to write.
    pub(crate) fn next_in_line(&mut self) -> Option<ConnectionId> {
        while let Some(key) = self.line.pop_front() {
            if let Some(connection) = self.table.get_mut(key) {
                connection.in_line = false;
                return Some(ConnectionId(key));
            }
        }
        None
    }

    /// What is to be written next, in two pieces: of a WebSocket one message, in the first.
    pub(crate) fn output(&self, id: ConnectionId) -> [&[u8]; 2] {
        self.get(id)
            .map_or([&[], &[]], |connection| connection.queue.front())
    }

    /// So many bytes were taken by the transport.
    pub(crate) fn written(&mut self, now: Instant, id: ConnectionId, len: usize) {
        if let Some(connection) = self.table.get_mut(id.0) {
            let was_read = connection.is_read();
            self.load.queued -= connection.queue.written(len, &mut self.spare);
            let written = connection.queue.position();
            // What stands before a Ping, and the Ping, are on their way: nobody can have answered it yet.
            connection.pinged = connection.pinged.map(|(since, end)| {
                let is_under_way = written <= end && len > 0;
                (if is_under_way { now } else { since }, end)
            });
            connection.takes(now, len, was_read);
            self.load.charge(connection);
        }
    }

    /// The next message with a mark that the transport has taken as a whole.
    pub(crate) fn next_arrived(&mut self, id: ConnectionId) -> Option<Key> {
        self.table.get_mut(id.0)?.queue.next_arrived()
    }

    /// The messages with a mark of which the transport has taken nothing.
    pub(crate) fn untouched(&self, id: ConnectionId) -> impl Iterator<Item = Key> {
        let connection = self.get(id);
        connection
            .into_iter()
            .flat_map(|connection| connection.queue.untouched())
    }

    /// Whether this is a message with a mark of which the transport has taken nothing.
    pub(crate) fn is_untouched(&self, id: ConnectionId, key: Key) -> bool {
        self.untouched(id).any(|untouched| untouched == key)
    }

    /// Takes messages back of which the transport has taken nothing, by their marks, in order.
    pub(crate) fn withdraw(&mut self, id: ConnectionId, keys: &[Key]) {
        if let Some(connection) = self.table.get_mut(id.0) {
            self.load.queued -= connection.queue.withdraw(keys);
            self.load.charge(connection);
        }
    }

    /// Messages with a mark that the transport has not taken as a whole.
    pub(crate) fn marks(&self, id: ConnectionId) -> impl Iterator<Item = Key> {
        let connection = self.get(id);
        connection
            .into_iter()
            .flat_map(|connection| connection.queue.marks())
    }

    /// Whether requests of ours may go on it.
    pub(crate) fn is_usable(&self, id: ConnectionId) -> bool {
        self.get(id)
            .is_some_and(|connection| connection.is_opened && connection.stage <= Stage::Open)
    }

    /// Nobody waits any more for the answer to a Ping.
    pub(crate) fn forget_ping(&mut self, id: ConnectionId, key: Key) {
        if let Some(connection) = self.get_mut(id) {
            connection.pings.retain(|ping| ping.key != key);
        }
    }

    /// A request of ours begins or ends.
    pub(crate) fn uses(&mut self, now: Instant, id: Option<ConnectionId>) {
        if let Some(connection) = id.and_then(|id| self.get_mut(id)) {
            connection.used = now;
        }
    }

    /// Nothing more waits to be written on this one.
    pub(crate) fn is_drained(&self, id: ConnectionId) -> bool {
        self.get(id).is_none_or(|connection| connection.queue.is_empty())
    }

    /// Whether the peer's messages are taken in: not while it does not read ours. If it is `asked` something, its answers
    /// are all the same, or both sides would wait for each other; but not for ever, as what it asks meanwhile is refused.
    pub(crate) fn takes_input(&self, id: ConnectionId, asked: impl FnOnce() -> bool) -> bool {
        self.get(id).is_some_and(|connection| {
            let answers = || connection.answers() < 2 * limits::QUEUED_BEFORE_READING;
            !connection.is_over() && (connection.is_read() || answers() && asked())
        })
    }
}
