//! Connections (RFC 8323) between nodes: a pipe of bytes in each direction, and what waits at its ends.

use std::collections::BTreeMap;

use coracle_engine::{ConnectionId, Instant};
use coracle_wire::Framing;

use crate::network::Due;
use crate::pipe::Pipe;

/// Names a connection of a [`Network`](crate::Network) among all that there ever were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub(crate) usize);

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// Who connected.
    Client,
    /// Who accepted.
    Server,
}

impl Side {
    pub(crate) fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

/// How a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// Of what is under way a part is lost, and both sides learn of it, at different times.
    Reset,
    /// Nothing arrives any more in either direction, and nobody is told.
    Vanish,
}

/// What happens to one end of a connection.
pub(crate) enum Happens {
    /// The server's end: somebody connects.
    Accept,
    /// The client's end: the other side has accepted.
    Accepted,
    /// The client's end: nobody has, for long.
    GivenUp,
    Bytes(Vec<u8>),
    /// The other side has closed in good order.
    Eof,
    Reset,
    /// It looks what it can do.
    Wake,
}

impl Happens {
    /// It comes over the network, and not from the clock.
    pub(crate) fn travels(&self) -> bool {
        !matches!(self, Happens::GivenUp | Happens::Wake)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Connecting,
    Up(ConnectionId),
    /// It is over, and its node knows.
    Over,
}

pub(crate) struct End {
    pub(crate) node: usize,
    pub(crate) state: State,
    /// The engine has something to write, or had when there was no room.
    pub(crate) writes: bool,
    /// When what this end wrote last arrives.
    pub(crate) latest: Instant,
    /// Bytes on their way to this end.
    pub(crate) under_way: usize,
    /// How many bytes came here.
    pub(crate) came: u64,
    /// At this byte it breaks.
    pub(crate) breaks_at: Option<u64>,
    /// Bytes that have come and are not read.
    pub(crate) unread: Vec<u8>,
    /// Bytes that are read, and that the engine has not taken.
    pub(crate) read: Vec<u8>,
    /// They are no whole message.
    pub(crate) needs_more: bool,
    /// After the unread ones come no more.
    pub(crate) eof: bool,
    /// The engine knows that.
    pub(crate) eof_told: bool,
    /// When a slow reader reads again.
    pub(crate) reads_at: Option<Instant>,
    /// The engine wants it closed when all is written; then at the latest.
    pub(crate) closes_by: Option<Instant>,
}

impl End {
    pub(crate) fn new(node: usize, now: Instant) -> End {
        End {
            node,
            state: State::Connecting,
            writes: false,
            latest: now,
            under_way: 0,
            came: 0,
            breaks_at: None,
            unread: Vec::new(),
            read: Vec::new(),
            needs_more: true,
            eof: false,
            eof_told: false,
            reads_at: None,
            closes_by: None,
        }
    }

    pub(crate) fn up(&self) -> Option<ConnectionId> {
        match self.state {
            State::Up(id) => Some(id),
            State::Connecting | State::Over => None,
        }
    }
}

pub(crate) struct Stream {
    pub(crate) pipe: Pipe,
    pub(crate) client: End,
    pub(crate) server: End,
    /// Nothing arrives any more.
    pub(crate) vanished: bool,
}

impl Stream {
    pub(crate) fn end(&self, side: Side) -> &End {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    pub(crate) fn end_mut(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        [&self.client, &self.server].map(|end| end.state) == [State::Over; 2]
    }
}

/// All connections of a network.
pub(crate) struct Streams {
    pub(crate) pipe: Pipe,
    pub(crate) alive: BTreeMap<usize, Stream>,
    /// How many there were.
    pub(crate) begun: usize,
    /// During an outage: what does not arrive, under its time.
    pub(crate) held: Option<BTreeMap<(Instant, u64), Due>>,
}

impl Streams {
    pub(crate) fn new() -> Streams {
        Streams {
            pipe: Pipe::perfect(Framing::Tcp),
            alive: BTreeMap::new(),
            begun: 0,
            held: None,
        }
    }

    pub(crate) fn side_of(&self, node: usize, id: ConnectionId) -> Option<(usize, Side)> {
        let is = |end: &End| end.node == node && end.up() == Some(id);
        self.alive.iter().find_map(|(number, stream)| {
            let side = [Side::Client, Side::Server]
                .into_iter()
                .find(|side| is(stream.end(*side)))?;
            Some((*number, side))
        })
    }

    pub(crate) fn end_mut(&mut self, number: usize, side: Side) -> Option<&mut End> {
        Some(self.alive.get_mut(&number)?.end_mut(side))
    }

    pub(crate) fn all(&self) -> Vec<(usize, Side)> {
        let sides = |number: &usize| [(*number, Side::Client), (*number, Side::Server)];
        self.alive.keys().flat_map(sides).collect()
    }
}
