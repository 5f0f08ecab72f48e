//! A node: an endpoint with its application.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use coracle_engine::{
    Endpoint, Event, ExchangeId, Instant, OwnedRequest, Path, Received, RespondError, ResponseRef,
};
use coracle_wire::{Method, OptionsBuf};

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
}

/// What an application may do when it is given something.
pub struct Io<'n> {
    /// The time.
    pub now: Instant,
    /// Its endpoint.
    pub endpoint: &'n mut Endpoint,
    wakes: &'n mut BTreeSet<(Instant, u64)>,
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
}

pub(crate) type Application = Box<dyn FnMut(&mut Io<'_>, Input)>;

pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) endpoint: Endpoint,
    application: Option<Application>,
    wakes: BTreeSet<(Instant, u64)>,
    /// What a node without an application was given.
    pub(crate) inbox: VecDeque<Input>,
}

impl Node {
    pub(crate) fn new(address: SocketAddr, endpoint: Endpoint, application: Option<Application>) -> Node {
        Node {
            address,
            endpoint,
            application,
            wakes: BTreeSet::new(),
            inbox: VecDeque::new(),
        }
    }

    fn give(&mut self, now: Instant, input: Input) {
        let Some(application) = &mut self.application else {
            self.inbox.push_back(input);
            return;
        };
        let mut io = Io {
            now,
            endpoint: &mut self.endpoint,
            wakes: &mut self.wakes,
        };
        application(&mut io, input);
    }

    pub(crate) fn receive(&mut self, now: Instant, path: Path, datagram: &[u8]) {
        let input = match self.endpoint.handle_datagram(now, path, datagram) {
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
            Received::Nothing => return,
        };
        self.give(now, input);
    }

    /// Hands all events on; whether there were any.
    pub(crate) fn drain_events(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some(event) = self.endpoint.poll_event() {
            any = true;
            self.give(now, Input::Event(event));
        }
        any
    }

    /// When something is due here, and whether it is the endpoint's.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let deadline = self.endpoint.poll_deadline().map(|deadline| deadline.at);
        let wake = self.wakes.first().map(|(at, _)| *at);
        deadline.into_iter().chain(wake).min()
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Instant) {
        while let Some(&(at, tag)) = self.wakes.first() {
            if at > now {
                break;
            }
            self.wakes.pop_first();
            self.give(now, Input::Wake(tag));
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
