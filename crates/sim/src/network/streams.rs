//! What happens to connections (RFC 8323) between nodes: how they begin, what comes, how they break and end.

use std::net::SocketAddr;
use std::time::Duration;

use coracle_engine::{ConnectionId, Instant, Path};
use coracle_wire::Framing;

use crate::frames::Frames;
use crate::link::{chance, share};
use crate::network::{Due, Network};
use crate::node::{Input, NodeId};
use crate::pipe::{Pipe, below};
use crate::stream::{Break, End, Happens, Side, State, Stream, StreamId};

/// How long is waited for somebody to accept.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(10);

/// The first port from which nodes connect.
const FIRST_PORT: u16 = 50_000;

impl Network {
    /// Sets how the bytes of connections are treated that begin from now on.
    pub fn set_pipe(&mut self, pipe: Pipe) {
        self.streams.pipe = pipe;
    }

    /// Sets how the bytes of all connections are treated from now on, and that none breaks any more. Those that have
    /// vanished stay so.
    pub fn mend_pipes(&mut self) {
        self.streams.pipe = Pipe::perfect(self.streams.pipe.framing);
        for stream in self.streams.alive.values_mut() {
            stream.pipe = Pipe::perfect(stream.pipe.framing);
            for side in [Side::Client, Side::Server] {
                let end = stream.end_mut(side);
                end.breaks_at = end.breaks_at.filter(|at| *at <= end.came);
            }
        }
    }

    /// One node connects to another. [`Input::Connected`] or [`Input::NotConnected`] follows.
    pub fn connect(&mut self, from: NodeId, to: NodeId) -> StreamId {
        let number = self.streams.begun;
        self.streams.begun += 1;
        let pipe = self.streams.pipe;
        let mut stream = Stream {
            pipe,
            client: End::new(from.0, self.now),
            server: End::new(to.0, self.now),
            vanished: false,
        };
        match pipe.draw_break(&mut self.random) {
            Some((at, true)) => stream.server.breaks_at = Some(at),
            Some((at, false)) => stream.client.breaks_at = Some(at),
            None => {}
        }
        self.streams.alive.insert(number, stream);
        let travel = pipe.travel(&mut self.random);
        self.happens(self.now + travel, (number, Side::Server), Happens::Accept);
        self.happens(
            self.now + ACCEPTED_WITHIN,
            (number, Side::Client),
            Happens::GivenUp,
        );
        StreamId(number)
    }

    /// Breaks the connections between two nodes.
    pub fn break_between(&mut self, one: NodeId, other: NodeId, how: Break) {
        self.settle();
        let pair = [one.0, other.0];
        let alive = self.streams.alive.iter();
        let joins = |stream: &Stream| {
            let ends = [stream.client.node, stream.server.node];
            ends == pair || ends == [pair[1], pair[0]]
        };
        let numbers: Vec<usize> = alive
            .filter(|(_, stream)| joins(stream))
            .map(|(number, _)| *number)
            .collect();
        for number in numbers {
            self.note(format!("connection {number}: {how:?}"));
            match how {
                Break::Reset => self.reset(number, true),
                Break::Vanish => {
                    if let Some(stream) = self.streams.alive.get_mut(&number) {
                        stream.vanished = true;
                    }
                }
            }
        }
    }

    /// Nothing arrives on connections until [`end_outage`](Self::end_outage), and nothing is lost on them.
    pub fn begin_outage(&mut self) {
        self.settle();
        self.streams.held.get_or_insert_default();
    }

    /// What was held back arrives.
    pub fn end_outage(&mut self) {
        self.under_way
            .extend(self.streams.held.take().unwrap_or_default());
    }

    /// The connections of a node that crashes are gone. It is as likely that the other sides learn of it (a process ended)
    /// as not (there was no power).
    pub(super) fn crash_streams(&mut self, node: usize) {
        if self.streams.alive.is_empty() {
            return;
        }
        let told = chance(&mut self.random, 0.5);
        for (number, side) in self.streams.all() {
            let Some(end) = self.streams.end_mut(number, side) else {
                continue;
            };
            if end.node != node || end.state == State::Over {
                continue;
            }
            end.state = State::Over;
            if told {
                self.tell(number, side, Happens::Reset);
            }
        }
        self.streams.alive.retain(|_, stream| !stream.is_over());
    }

    /// Injects a Ping with Custody (RFC 8323 §5.4.1) as if a node had sent it on a connection, between two messages.
    /// `false`: it is in the middle of one.
    pub fn inject_custody(&mut self, node: NodeId, id: ConnectionId, token: u8) -> bool {
        self.settle();
        let Some((number, side)) = self.streams.side_of(node.0, id) else {
            return false;
        };
        let Some(stream) = self.streams.alive.get(&number) else {
            return false;
        };
        let waits = self
            .nodes
            .get(node.0)
            .is_none_or(|node| !node.endpoint.stream_output(id).is_empty());
        if waits || !self.frames.is_between(number, side) {
            return false;
        }
        let ping = Frames::custody_ping(stream.pipe.framing, token);
        self.write(number, side, ping);
        true
    }

    pub(super) fn happens(&mut self, at: Instant, (number, side): (usize, Side), what: Happens) {
        self.put(at, Due::Stream(number, side, what));
    }

    /// The other side learns something, after all that was written before.
    fn tell(&mut self, number: usize, side: Side, what: Happens) {
        let Some(stream) = self.streams.alive.get_mut(&number) else {
            return;
        };
        let travel = stream.pipe.travel(&mut self.random);
        let end = stream.end_mut(side);
        let at = (self.now + travel).max(end.latest);
        end.latest = at;
        self.happens(at, (number, side.other()), what);
    }

    /// A connection breaks: of what is under way a part still arrives, and both sides learn of it, at different times.
    /// `later`: neither of them at once.
    fn reset(&mut self, number: usize, later: bool) {
        let Some(stream) = self.streams.alive.get_mut(&number) else {
            return;
        };
        let most = 2 * (stream.pipe.latency + stream.pipe.jitter);
        for side in [Side::Client, Side::Server] {
            let wait = match below(&mut self.random, 3) {
                0 if !later => Duration::ZERO,
                _ => most.mul_f64(share(&mut self.random)),
            };
            let end = stream.end_mut(side);
            let still = below(&mut self.random, end.under_way + 1) as u64;
            let lost_from = end.came + still;
            end.breaks_at = Some(end.breaks_at.map_or(lost_from, |at| at.min(lost_from)));
            let due = Due::Stream(number, side, Happens::Reset);
            self.sent += 1;
            self.under_way.insert((self.now + wait, self.sent), due);
        }
    }

    /// Something happens to an end. During an outage it comes later.
    pub(super) fn stream_due(&mut self, key: (Instant, u64), (number, side): (usize, Side), what: Happens) {
        if let Some(held) = &mut self.streams.held
            && what.travels()
        {
            held.insert(key, Due::Stream(number, side, what));
            return;
        }
        let Some(stream) = self.streams.alive.get_mut(&number) else {
            return;
        };
        if stream.vanished && what.travels() {
            return;
        }
        let end = stream.end_mut(side);
        match (what, end.state) {
            (Happens::Accept, State::Connecting) => self.accept(number),
            (Happens::Accepted, State::Connecting) => self.come_up(number, side),
            (Happens::GivenUp | Happens::Reset, State::Connecting) => self.not_connected(number),
            (Happens::Bytes(bytes), state) => {
                end.under_way -= bytes.len();
                match state {
                    State::Over => self.bounce(number, side),
                    State::Connecting | State::Up(_) => self.come(number, side, &bytes),
                }
            }
            (Happens::Eof, State::Up(_)) => end.eof = true,
            (Happens::Reset, State::Up(_)) => self.over(number, side, true),
            _ => {}
        }
    }

    /// Bytes come to who does not know the connection any more: the sender is told, unless nobody is there.
    fn bounce(&mut self, number: usize, side: Side) {
        let node = self
            .streams
            .alive
            .get(&number)
            .map(|stream| stream.end(side).node);
        let is_there = node.and_then(|node| self.nodes.get(node));
        if is_there.is_some_and(|node| !node.down) {
            self.tell(number, side, Happens::Reset);
        }
    }

    fn accept(&mut self, number: usize) {
        let Some(stream) = self.streams.alive.get(&number) else {
            return;
        };
        let node = self.nodes.get(stream.server.node);
        if node.is_none_or(|node| node.down) {
            return;
        }
        self.come_up(number, Side::Server);
        let up = self
            .streams
            .alive
            .get(&number)
            .and_then(|stream| stream.server.up());
        let what = if up.is_some() {
            Happens::Accepted
        } else {
            Happens::Reset
        };
        self.tell(number, Side::Server, what);
    }

    fn addresses(&self, number: usize, side: Side) -> Option<(SocketAddr, SocketAddr)> {
        let stream = self.streams.alive.get(&number)?;
        let of = |end: &End| self.nodes.get(end.node).map(|node| node.address);
        let mut client = of(&stream.client)?;
        client.set_port(FIRST_PORT.wrapping_add(u16::try_from(number).unwrap_or(u16::MAX)));
        let server = of(&stream.server)?;
        Some(match side {
            Side::Client => (client, server),
            Side::Server => (server, client),
        })
    }

    /// One side has the connection.
    fn come_up(&mut self, number: usize, side: Side) {
        let Some((local, remote)) = self.addresses(number, side) else {
            return;
        };
        let Some(stream) = self.streams.alive.get_mut(&number) else {
            return;
        };
        let framing = stream.pipe.framing;
        let other = stream.end(side.other()).node;
        let end = stream.end_mut(side);
        let Some(node) = self.nodes.get_mut(end.node) else {
            return;
        };
        let path = Path {
            local: Some(local.ip()),
            ..Path::to(remote)
        };
        let now = node.time(self.now);
        let Some(id) = node.endpoint.connected(now, path, framing) else {
            end.state = State::Over;
            return;
        };
        end.state = State::Up(id);
        let index = end.node;
        self.frames
            .begins((number, side), index, (local, remote), framing);
        let connected = Input::Connected {
            stream: StreamId(number),
            connection: id,
            with: NodeId(other),
        };
        node.give(self.now, connected);
    }

    /// Nobody has accepted.
    fn not_connected(&mut self, number: usize) {
        let Some(stream) = self.streams.alive.get_mut(&number) else {
            return;
        };
        stream.client.state = State::Over;
        let input = Input::NotConnected {
            stream: StreamId(number),
            with: NodeId(stream.server.node),
        };
        // Whoever has accepted in vain learns it when it writes.
        if stream.server.up().is_none() {
            stream.server.state = State::Over;
        }
        if let Some(node) = self.nodes.get_mut(stream.client.node) {
            node.give(self.now, input);
        }
        self.streams.alive.retain(|_, stream| !stream.is_over());
    }

    /// Bytes come to one end.
    fn come(&mut self, number: usize, side: Side, bytes: &[u8]) {
        let Some(end) = self.streams.end_mut(number, side) else {
            return;
        };
        let before = end.came;
        end.came += bytes.len() as u64;
        let Some(at) = end.breaks_at.filter(|at| *at <= end.came) else {
            end.unread.extend_from_slice(bytes);
            return;
        };
        let still = usize::try_from(at.saturating_sub(before)).unwrap_or(usize::MAX);
        end.unread
            .extend_from_slice(bytes.get(..still).unwrap_or_default());
        if at > before {
            self.note(format!("connection {number} breaks at byte {at}"));
            self.reset(number, false);
        }
    }

    /// A connection is over for one side. `broken`: what was not read is lost.
    pub(super) fn over(&mut self, number: usize, side: Side, broken: bool) {
        let Some(end) = self.streams.end_mut(number, side) else {
            return;
        };
        let Some(id) = end.up() else { return };
        end.state = State::Over;
        let (node, unread) = (end.node, !end.unread.is_empty());
        end.unread.clear();
        if !broken {
            // Who closes while there is something to read resets the connection.
            let what = if unread { Happens::Reset } else { Happens::Eof };
            self.tell(number, side, what);
        }
        let index = node;
        let now = self.now;
        if let Some(node) = self.nodes.get_mut(index) {
            let time = node.time(now);
            node.endpoint.disconnected(time, id);
        }
        self.settle_node(index);
        if let Some(node) = self.nodes.get_mut(index) {
            let input = Input::Disconnected {
                stream: StreamId(number),
                connection: id,
            };
            node.give(now, input);
        }
        self.streams.alive.retain(|_, stream| !stream.is_over());
    }

    /// Puts bytes that an end writes on their way, in segments.
    pub(super) fn write(&mut self, number: usize, side: Side, bytes: Vec<u8>) {
        self.frames
            .wrote(self.now, (number, side), &bytes, &mut self.ladder);
        let Some(stream) = self.streams.alive.get_mut(&number) else {
            return;
        };
        let pipe = stream.pipe;
        let mut rest = match pipe.framing {
            Framing::Tcp => bytes,
            // The length of a message stands before it, in place of the header of its frames.
            Framing::WebSocket => [&(bytes.len() as u64).to_be_bytes(), &bytes[..]].concat(),
        };
        stream.end_mut(side.other()).under_way += rest.len();
        let mut latest = stream.end(side).latest;
        let mut due = Vec::new();
        while !rest.is_empty() {
            let len = pipe.cut(&mut self.random, rest.len());
            let later = rest.split_off(len);
            latest = latest.max(self.now + pipe.travel(&mut self.random));
            due.push((latest, std::mem::replace(&mut rest, later)));
        }
        stream.end_mut(side).latest = latest;
        for (at, segment) in due {
            self.happens(at, (number, side.other()), Happens::Bytes(segment));
        }
    }
}
