//! A node: an endpoint with its application.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use coracle_engine::{
    Config, ConnectionId, Endpoint, Event, ExchangeId, Instant, OwnedRequest, Path, Received, RespondError,
    ResponseRef,
};
use coracle_wire::{Method, OptionsBuf};

use crate::clock::Clock;
use crate::stream::StreamId;

/// Names a node of a [`Network`](crate::Network).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) usize);

/// What an application is given.
#[derive(Debug)]
pub enum Input {
    /// A request of a peer, or the first part of one that is streamed.
    Request {
        /// To answer it.
        id: ExchangeId,
        /// The method.
        method: Method,
        /// The options.
        options: OptionsBuf,
        /// The body, or its first part.
        payload: Vec<u8>,
        /// The way it came.
        path: Path,
        /// More parts follow.
        more: bool,
    },
    /// A further part of a streamed request.
    Body {
        /// The request.
        id: ExchangeId,
        /// The part.
        payload: Vec<u8>,
        /// More parts follow.
        more: bool,
    },
    /// An event of the endpoint.
    Event(Event),
    /// The time that the application set by [`Io::wake_after`] has come.
    Wake(u64),
    /// A connection with another node is there.
    Connected {
        /// Its name in the network.
        stream: StreamId,
        /// Its name in the endpoint of this node.
        connection: ConnectionId,
        /// The other node.
        with: NodeId,
    },
    /// Nobody has accepted a connection.
    NotConnected {
        /// Its name in the network.
        stream: StreamId,
        /// The other node.
        with: NodeId,
    },
    /// A connection is over; the endpoint knows, and its events came before this.
    Disconnected {
        /// Its name in the network.
        stream: StreamId,
        /// Its name in the endpoint of this node.
        connection: ConnectionId,
    },
    /// The node was started anew after a crash: its endpoint and its wakes are gone, and so is what the application
    /// kept, unless it was on a disk.
    Restarted,
}

/// What an application may do when it is given something.
pub struct Io<'n> {
    /// The time by the clock of its node.
    pub now: Instant,
    /// The time by the network's clock, which no node knows: for records.
    pub at: Instant,
    /// Its endpoint.
    pub endpoint: &'n mut Endpoint,
    wakes: &'n mut BTreeSet<(Instant, u64)>,
    dials: &'n mut Vec<NodeId>,
}

impl Io<'_> {
    /// Answers a request.
    ///
    /// # Errors
    /// As [`Endpoint::respond`].
    pub fn respond(&mut self, id: ExchangeId, response: ResponseRef<'_>) -> Result<(), RespondError> {
        self.endpoint.respond(self.now, id, response)
    }

    /// Asks for [`Input::Wake`] with this tag after some time.
    pub fn wake_after(&mut self, wait: Duration, tag: u64) {
        self.wakes.insert((self.now + wait, tag));
    }

    /// Connects to another node. [`Input::Connected`] or [`Input::NotConnected`] follows.
    pub fn connect(&mut self, to: NodeId) {
        self.dials.push(to);
    }
}

pub(crate) type Application = Box<dyn FnMut(&mut Io<'_>, Input)>;

pub(crate) struct Node {
    /// Where it is seen.
    pub(crate) address: SocketAddr,
    /// Its own address, which stays when a NAT shows it elsewhere.
    pub(crate) local: IpAddr,
    pub(crate) endpoint: Endpoint,
    /// It crashed and has not been started again.
    pub(crate) down: bool,
    config: Config,
    clock: Clock,
    /// When it began, by the network's clock.
    began: Instant,
    application: Option<Application>,
    wakes: BTreeSet<(Instant, u64)>,
    /// What a node without an application was given.
    pub(crate) inbox: VecDeque<Input>,
    /// Those to whom the application wants to be connected.
    pub(crate) dials: Vec<NodeId>,
    /// Connections that the endpoint wants to be closed.
    pub(crate) closing: Vec<ConnectionId>,
}

impl Node {
    pub(crate) fn new(
        address: SocketAddr,
        config: Config,
        seed: [u8; 32],
        began: Instant,
        application: Option<Application>,
    ) -> Node {
        Node {
            address,
            local: address.ip(),
            endpoint: Endpoint::new(config.clone(), seed),
            down: false,
            config,
            clock: Clock::new(began, 0),
            began,
            application,
            wakes: BTreeSet::new(),
            inbox: VecDeque::new(),
            dials: Vec::new(),
            closing: Vec::new(),
        }
    }

    /// Gives it another clock, which begins now.
    pub(crate) fn set_clock(&mut self, began: Instant, clock: Clock) {
        self.clock = clock;
        self.began = began;
    }

    /// What its clock shows at a time of the network.
    pub(crate) fn time(&self, at: Instant) -> Instant {
        self.clock.shows(at - self.began)
    }

    /// Forgets everything, as memory does.
    pub(crate) fn crash(&mut self, seed: [u8; 32]) {
        self.endpoint = Endpoint::new(self.config.clone(), seed);
        self.wakes.clear();
        self.inbox.clear();
        self.dials.clear();
        self.closing.clear();
        self.down = true;
    }

    /// Starts anew, its clock too.
    pub(crate) fn restart(&mut self, at: Instant) {
        self.down = false;
        self.began = at;
        self.give(at, Input::Restarted);
    }

    pub(crate) fn give(&mut self, at: Instant, input: Input) {
        let now = self.time(at);
        let Some(application) = &mut self.application else {
            self.inbox.push_back(input);
            return;
        };
        let mut io = Io {
            now,
            at,
            endpoint: &mut self.endpoint,
            wakes: &mut self.wakes,
            dials: &mut self.dials,
        };
        application(&mut io, input);
    }

    /// What an application may do of its own accord.
    pub(crate) fn io(&mut self, at: Instant) -> Io<'_> {
        Io {
            now: self.time(at),
            at,
            endpoint: &mut self.endpoint,
            wakes: &mut self.wakes,
            dials: &mut self.dials,
        }
    }

    pub(crate) fn receive(&mut self, at: Instant, path: Path, datagram: &[u8]) {
        let now = self.time(at);
        if let Some(input) = given(self.endpoint.handle_datagram(now, path, datagram)) {
            self.give(at, input);
        }
    }

    /// Bytes of a connection; how many of them were taken.
    pub(crate) fn receive_stream(&mut self, at: Instant, id: ConnectionId, bytes: &[u8]) -> usize {
        let now = self.time(at);
        let mut rest = bytes;
        let received = self.endpoint.handle_stream(now, id, &mut rest);
        if let Some(input) = given(received) {
            self.give(at, input);
        }
        bytes.len() - rest.len()
    }

    /// Hands all events on; whether there were any.
    pub(crate) fn drain_events(&mut self, at: Instant) -> bool {
        let mut any = false;
        while let Some(event) = self.endpoint.poll_event() {
            any = true;
            if let Event::Closing { connection, .. } = event {
                self.closing.push(connection);
            }
            self.give(at, Input::Event(event));
        }
        any
    }

    /// When something is due here, by the network's clock.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let deadline = self.endpoint.poll_deadline().map(|deadline| deadline.at);
        let wake = self.wakes.first().map(|(at, _)| *at);
        let next = deadline.into_iter().chain(wake).min()?;
        Some(self.began + self.clock.age_at(next))
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, at: Instant) {
        let now = self.time(at);
        while let Some(&(due, tag)) = self.wakes.first() {
            if due > now {
                break;
            }
            self.wakes.pop_first();
            self.give(at, Input::Wake(tag));
        }
        if self
            .endpoint
            .poll_deadline()
            .is_some_and(|deadline| deadline.at <= now)
        {
            self.endpoint.handle_timeout(now);
        }
    }
}

/// What the application is given of what came.
fn given(received: Received<'_>) -> Option<Input> {
    Some(match received {
        Received::Request(id, request) => Input::Request {
            id,
            method: request.method,
            options: OptionsBuf::from(request.options),
            payload: request.payload.to_vec(),
            path: request.path,
            more: request.more,
        },
        Received::Assembled(id, request) => assembled(id, request),
        Received::Body(id, part) => Input::Body {
            id,
            payload: part.payload.to_vec(),
            more: part.more,
        },
        Received::Nothing => return None,
    })
}

fn assembled(id: ExchangeId, request: OwnedRequest) -> Input {
    Input::Request {
        id,
        method: request.method,
        options: request.options,
        payload: request.payload,
        path: request.path,
        more: false,
    }
}
