//! How applications talk over connections (RFC 8323): they connect to whom they ask, ask anew for what they observed when a
//! connection is gone, and give and take bodies in parts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use coracle_engine::{ConnectionId, ExchangeError, ExchangeId, RequestError, RequestRef, StreamedBody};
use coracle_wire::{OptionNumber, OptionsBuf, Status};

use crate::application::{Flaw, World};
use crate::body;
use crate::history::Happening;
use crate::node::{Io, NodeId};
use crate::scenario::Ask;
use crate::stream::StreamId;

/// The tag of a wake is this and the number of a request that is made again.
pub(super) const ASKS_AGAIN: u64 = 1 << 40;

/// Requests that are made again have numbers from here on.
const FIRST_AGAIN: u32 = 1_000_000;

/// How many of them there are at most in a run.
const MOST_AGAIN: u32 = 60;

/// How long an observer waits when it cannot connect.
const PAUSE: Duration = Duration::from_secs(5);

/// Bodies in parts are given in parts of this length.
const PART: usize = 777;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Opening,
    Open,
    /// Nothing new goes on it.
    Leaving,
}

/// A connection as one of its sides knows it.
struct Joined {
    stream: StreamId,
    connection: ConnectionId,
    with: usize,
    stage: Stage,
}

/// What the nodes know of their connections.
#[derive(Default)]
pub(crate) struct Calling {
    joined: BTreeMap<usize, Vec<Joined>>,
    /// Who connects to whom.
    dialing: BTreeSet<(usize, usize)>,
    /// Requests that wait for a connection: who asks whom.
    waiting: Vec<(usize, usize, u32)>,
    /// What has come of answers in parts.
    parts: BTreeMap<(usize, ExchangeId), (Status, Vec<u8>)>,
    /// How much was given of bodies in parts.
    given: BTreeMap<(usize, ExchangeId), usize>,
    /// Requests that were made again, and as which.
    pub(crate) again: BTreeMap<u32, u32>,
    /// Nothing is asked for again.
    pub(crate) is_over: bool,
}

impl Calling {
    pub(super) fn connected(
        &mut self,
        node: usize,
        stream: StreamId,
        connection: ConnectionId,
        with: NodeId,
    ) {
        self.dialing.remove(&(node, with.0));
        self.joined.entry(node).or_default().push(Joined {
            stream,
            connection,
            with: with.0,
            stage: Stage::Opening,
        });
    }

    fn of(&mut self, node: usize, connection: ConnectionId) -> Option<&mut Joined> {
        let mut joined = self.joined.get_mut(&node)?.iter_mut();
        joined.find(|joined| joined.connection == connection)
    }

    /// Nothing new goes on a connection.
    pub(super) fn leaves(&mut self, node: usize, connection: ConnectionId) {
        if let Some(joined) = self.of(node, connection) {
            joined.stage = Stage::Leaving;
        }
    }

    /// The connection on which a node asks another.
    pub(crate) fn open_between(&self, node: usize, with: usize) -> Option<(StreamId, ConnectionId)> {
        let mut joined = self.joined.get(&node)?.iter();
        let usable = joined.find(|joined| joined.with == with && joined.stage == Stage::Open)?;
        Some((usable.stream, usable.connection))
    }

    /// All connections, by node.
    pub(crate) fn all(&self) -> Vec<(usize, ConnectionId)> {
        let of = |(node, joined): (&usize, &Vec<Joined>)| {
            let node = *node;
            let connections: Vec<_> = joined.iter().map(|joined| (node, joined.connection)).collect();
            connections
        };
        self.joined.iter().flat_map(of).collect()
    }

    /// There will be a connection between two nodes, or it turns out that there is none.
    fn is_coming(&self, node: usize, with: usize) -> bool {
        let mut joined = self.joined.get(&node).into_iter().flatten();
        self.dialing.contains(&(node, with))
            || joined.any(|joined| joined.with == with && joined.stage == Stage::Opening)
    }

    /// Takes those requests out that wait for a connection between two nodes.
    fn take_waiting(&mut self, node: usize, with: usize) -> Vec<u32> {
        let all = std::mem::take(&mut self.waiting);
        let (taken, rest) = all
            .into_iter()
            .partition(|(by, of, _)| (*by, *of) == (node, with));
        self.waiting = rest;
        let taken: Vec<(usize, usize, u32)> = taken;
        taken.into_iter().map(|(.., request)| request).collect()
    }

    /// Whoever asks does not want it any more; whether it was waiting.
    pub(crate) fn drop_waiting(&mut self, request: u32) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|(.., other)| *other != request);
        self.waiting.len() < before
    }

    /// A node forgets what it knew.
    pub(super) fn forget(&mut self, node: usize) {
        self.joined.remove(&node);
        self.dialing.retain(|(by, _)| *by != node);
        self.waiting.retain(|(by, ..)| *by != node);
        self.parts.retain(|(by, _), _| *by != node);
        self.given.retain(|(by, _), _| *by != node);
    }
}

/// The options and the body of a request.
pub(crate) fn message_of(request: u32, ask: &Ask) -> (OptionsBuf, Vec<u8>) {
    let mut options = OptionsBuf::new();
    let fits = options.push_str(OptionNumber::URI_PATH, "r").is_ok()
        && options
            .push_str(OptionNumber::URI_QUERY, &request.to_string())
            .is_ok();
    debug_assert!(fits, "short options");
    if ask.observes.is_some() {
        options.set_uint(OptionNumber::OBSERVE, 0);
    }
    (options, body::of_request(request, ask.body))
}

/// That a node asks.
pub(crate) fn asked(request: u32, ask: &Ask) -> Happening {
    let observes = ask.observes.as_ref();
    Happening::Asked {
        request,
        by: ask.from,
        of: ask.to,
        method: ask.method,
        confirmable: ask.confirmable,
        observes: observes.map(|observes| observes.topic),
        max_age: observes.map_or(Duration::ZERO, |observes| observes.max_age),
    }
}

impl World {
    /// A node asks another on their connection, or on one that is made for it.
    pub(crate) fn ask_on_connection(&mut self, node: usize, io: &mut Io<'_>, request: u32) {
        let Some(ask) = self.asks.get(&request) else {
            return;
        };
        let with = ask.to;
        let Some((stream, connection)) = self.calling.open_between(node, with) else {
            self.calling.waiting.push((node, with, request));
            return self.call(node, io, with);
        };
        let Some(path) = io.endpoint.connection_path(connection) else {
            self.calling.leaves(node, connection);
            return self.ask_on_connection(node, io, request);
        };
        let (options, payload) = message_of(request, ask);
        let streams = ask.parts && !payload.is_empty();
        let message = RequestRef::new(ask.method, options.as_options())
            .with_payload(if streams { &[] } else { &payload })
            .with_streamed(streams.then_some(StreamedBody { total: None }))
            .with_streamed_answer(ask.parts)
            .with_confirmable(ask.confirmable);
        match io.endpoint.request(io.now, &path, message) {
            Ok(id) => {
                self.asking.insert((node, id), request);
                let connection = stream.0;
                self.history.push(io.at, Happening::Went { request, connection });
            }
            Err(RequestError::NotConnected) => {
                self.calling.leaves(node, connection);
                self.ask_on_connection(node, io, request);
            }
            Err(_) => self.never_sent(io, request),
        }
    }

    fn never_sent(&mut self, io: &Io<'_>, request: u32) {
        let unsent = true;
        self.history.push(io.at, Happening::Failed { request, unsent });
    }

    fn call(&mut self, node: usize, io: &mut Io<'_>, with: usize) {
        if !self.calling.is_coming(node, with) {
            self.calling.dialing.insert((node, with));
            io.connect(NodeId(with));
        }
    }

    /// A connection may be used.
    pub(super) fn opened(&mut self, node: usize, io: &mut Io<'_>, connection: ConnectionId) {
        let Some(joined) = self.calling.of(node, connection) else {
            return;
        };
        joined.stage = Stage::Open;
        let with = joined.with;
        for request in self.calling.take_waiting(node, with) {
            self.ask_on_connection(node, io, request);
        }
    }

    /// Nobody accepts there.
    pub(super) fn not_connected(&mut self, node: usize, io: &mut Io<'_>, with: usize) {
        self.calling.dialing.remove(&(node, with));
        if self.calling.is_coming(node, with) {
            return;
        }
        for request in self.calling.take_waiting(node, with) {
            self.never_sent(io, request);
            self.renew(io, request);
        }
    }

    /// A connection is over: whoever waits for it needs another.
    pub(super) fn disconnected(
        &mut self,
        node: usize,
        io: &mut Io<'_>,
        stream: StreamId,
        connection: ConnectionId,
    ) {
        let of = |of: &usize, work: &super::Work| *of == node && work.connection == Some(connection);
        let works = self.working.iter().any(|((by, _), work)| of(by, work));
        let takes = self.streams.iter().any(|((by, _), (work, _))| of(by, work));
        let observed = io.endpoint.connections() == 0 && io.endpoint.observers() > 0;
        if works || takes || observed {
            self.history.push(io.at, Happening::Orphaned { node });
        }
        let happening = Happening::Disconnected {
            node,
            connection: stream.0,
        };
        self.history.push(io.at, happening);
        let Some(with) = self.calling.of(node, connection).map(|joined| joined.with) else {
            return;
        };
        let joined = self.calling.joined.entry(node).or_default();
        joined.retain(|joined| joined.connection != connection);
        if self
            .calling
            .waiting
            .iter()
            .any(|(by, of, _)| (*by, *of) == (node, with))
        {
            self.call(node, io, with);
        }
    }

    /// A request failed.
    pub(super) fn failed(&mut self, io: &mut Io<'_>, request: u32, error: ExchangeError) {
        let unsent = match error {
            ExchangeError::Disconnected { sent } => !sent || self.flaw == Flaw::TrustsBrokenConnections,
            _ => false,
        };
        self.history.push(io.at, Happening::Failed { request, unsent });
        if matches!(error, ExchangeError::Disconnected { .. }) {
            self.renew(io, request);
        }
    }

    /// What was observed is asked for again in a while, as a new request.
    fn renew(&mut self, io: &mut Io<'_>, request: u32) {
        let ask = self.asks.get(&request).filter(|ask| ask.observes.is_some());
        let count = u32::try_from(self.calling.again.len()).unwrap_or(MOST_AGAIN);
        if let Some(ask) = ask.filter(|_| count < MOST_AGAIN && !self.calling.is_over) {
            let (again, ask) = (FIRST_AGAIN + count, ask.clone());
            self.calling.again.insert(request, again);
            self.asks.insert(again, ask);
            io.wake_after(PAUSE, ASKS_AGAIN + u64::from(again));
        }
    }

    /// It is time to ask for something again.
    pub(super) fn ask_again(&mut self, node: usize, io: &mut Io<'_>, request: u64) {
        let request = u32::try_from(request).unwrap_or(u32::MAX);
        let ask = self.asks.get(&request).filter(|_| !self.calling.is_over);
        if let Some(happening) = ask.map(|ask| asked(request, ask)) {
            self.history.push(io.at, happening);
            self.ask_on_connection(node, io, request);
        }
    }

    /// The answer to a request comes in parts.
    pub(super) fn is_in_parts(&self, node: usize, id: ExchangeId) -> bool {
        let ask = self
            .request_of(node, id)
            .and_then(|request| self.asks.get(&request));
        ask.is_some_and(|ask| ask.parts && ask.observes.is_none())
    }

    /// A part of an answer is there.
    pub(super) fn part(
        &mut self,
        node: usize,
        io: &mut Io<'_>,
        id: ExchangeId,
        (status, (payload, more)): (Option<Status>, (Vec<u8>, bool)),
    ) {
        let Some(request) = self.request_of(node, id) else {
            return;
        };
        let parts = self.calling.parts.entry((node, id));
        let (of, whole) = parts.or_insert_with(|| (status.unwrap_or(Status::CONTENT), Vec::new()));
        whole.extend_from_slice(&payload);
        if more {
            return io.endpoint.continue_body(io.now, id);
        }
        let (status, whole) = (*of, std::mem::take(whole));
        self.calling.parts.remove(&(node, id));
        self.answered(io, request, (status, &whole), false);
    }

    /// The next part of a body is wanted.
    pub(super) fn supply(&mut self, node: usize, io: &mut Io<'_>, id: ExchangeId) {
        let ask = self.request_of(node, id);
        let Some((request, ask)) = ask.and_then(|request| Some((request, self.asks.get(&request)?))) else {
            return;
        };
        let body = body::of_request(request, ask.body);
        let given = self.calling.given.entry((node, id)).or_default();
        let end = body.len().min(*given + PART);
        let part = body.get(*given..end).unwrap_or_default();
        *given = end;
        io.endpoint.supply_body(io.now, id, part, end < body.len());
    }
}
