//! The application of every node of a run: it asks, answers, and writes down what it sees.

mod calling;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use coracle_engine::{ConnectionId, Event, ExchangeId, ResponseRef, Topic};
use coracle_wire::{Method, OptionNumber, OptionsBuf, Status};

use crate::application::calling::{ASKS_AGAIN, Calling};
use crate::body;
use crate::history::{Happening, History, Says};
use crate::node::{Input, Io};
use crate::scenario::Ask;

pub(crate) use calling::{asked, message_of};

/// How an application of the run is broken on purpose, to see whether that comes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// It is not.
    #[default]
    None,
    /// It does what is asked twice, if that is not safe.
    ExecutesTwice,
    /// It gives the answer of the request before.
    AnswersAnother,
    /// It loses the last byte of its answers.
    CutsAnswers,
    /// It tells nobody of changes.
    KeepsQuiet,
    /// It does not answer what takes time.
    NeverAnswers,
    /// It takes it that what a broken connection cut off was not executed.
    TrustsBrokenConnections,
    /// It goes on working for who is gone.
    WorksForTheGone,
}

/// What the applications of all nodes share.
#[derive(Default)]
pub(crate) struct World {
    flaw: Flaw,
    pub(crate) asks: BTreeMap<u32, Ask>,
    pub(crate) history: History,
    executions: u32,
    /// The exchanges that the nodes began.
    pub(crate) asking: BTreeMap<(usize, ExchangeId), u32>,
    /// What the nodes work on, by the number of the execution.
    working: BTreeMap<(usize, u32), Work>,
    /// The requests whose bodies come block by block, and what has come of them.
    streams: BTreeMap<(usize, ExchangeId), (Work, Vec<u8>)>,
    /// The states that nodes read for the observers that they were asked to refresh, by the execution that registered.
    refreshing: BTreeMap<(usize, u32), u64>,
    /// The observers of the nodes: the request and its execution.
    observers: BTreeMap<(usize, ExchangeId), (u32, u32)>,
    /// The states, on a disk that survives crashes.
    pub(crate) states: BTreeMap<(usize, u64), u64>,
    /// What the nodes know of their connections.
    pub(crate) calling: Calling,
}

/// A request that a node works on.
pub(crate) struct Work {
    id: ExchangeId,
    request: u32,
    from: SocketAddr,
    connection: Option<ConnectionId>,
    /// It asks to be put on the list: one for a further block, or for the end of an observation, does not.
    registers: bool,
    /// It ends an observation, and may come without the body of the registration (RFC 8323 §7.4).
    ends: bool,
}

impl World {
    pub(crate) fn new(flaw: Flaw, asks: BTreeMap<u32, Ask>) -> World {
        World {
            flaw,
            asks,
            ..World::default()
        }
    }

    /// Whether the engine is to be told of a change.
    pub(crate) fn tells_changes(&self) -> bool {
        self.flaw != Flaw::KeepsQuiet
    }

    /// What the application of a node does.
    pub(crate) fn hear(&mut self, node: usize, io: &mut Io<'_>, input: Input) {
        match input {
            Input::Request {
                id,
                options,
                payload,
                path,
                more,
                ..
            } => {
                let options = options.as_options();
                let query = options.get_str(OptionNumber::URI_QUERY);
                let Some(request) = query.and_then(|query| query.parse().ok()) else {
                    return;
                };
                let work = Work {
                    id,
                    request,
                    from: path.remote,
                    connection: path.connection,
                    registers: options.observe() == Some(0),
                    ends: options.observe() == Some(1),
                };
                if more {
                    self.streams.insert((node, id), (work, payload));
                    io.endpoint.continue_body(io.now, id);
                } else {
                    self.execute(node, io, work, &payload);
                }
            }
            Input::Body { id, payload, more } => {
                let Some((work, mut body)) = self.streams.remove(&(node, id)) else {
                    return;
                };
                body.extend_from_slice(&payload);
                if more {
                    self.streams.insert((node, id), (work, body));
                    io.endpoint.continue_body(io.now, id);
                } else {
                    self.execute(node, io, work, &body);
                }
            }
            Input::Wake(tag) if tag >= ASKS_AGAIN => self.ask_again(node, io, tag - ASKS_AGAIN),
            Input::Wake(execution) if self.flaw != Flaw::NeverAnswers => {
                let execution = u32::try_from(execution).unwrap_or(u32::MAX);
                match self.refreshing.remove(&(node, execution)) {
                    Some(state) => self.refreshed(node, io, execution, state),
                    None => self.finish(node, io, execution),
                }
            }
            Input::Event(event) => self.event(node, io, event),
            Input::Connected {
                stream,
                connection,
                with,
            } => self.calling.connected(node, stream, connection, with),
            Input::NotConnected { with, .. } => self.not_connected(node, io, with.0),
            Input::Disconnected { stream, connection } => self.disconnected(node, io, stream, connection),
            Input::Wake(_) | Input::Restarted => {}
        }
    }

    /// Does what a request asks for, now that its body is whole.
    fn execute(&mut self, node: usize, io: &mut Io<'_>, work: Work, body: &[u8]) {
        let Some(ask) = self.asks.get(&work.request) else {
            return;
        };
        let takes = ask.takes;
        let twice = self.flaw == Flaw::ExecutesTwice && !ask.method.is_safe();
        let intact = work.ends || body == body::of_request(work.request, ask.body);
        for _ in 0..=usize::from(twice) {
            self.executions += 1;
            let happening = Happening::Executed {
                request: work.request,
                execution: self.executions,
                by: node,
                from: work.from,
                intact,
            };
            self.history.push(io.at, happening);
        }
        self.working.insert((node, self.executions), work);
        if takes.is_zero() {
            self.finish(node, io, self.executions);
        } else {
            io.wake_after(takes, u64::from(self.executions));
        }
    }

    /// Answers what a node worked on.
    fn finish(&mut self, node: usize, io: &mut Io<'_>, execution: u32) {
        let Some(work) = self.working.remove(&(node, execution)) else {
            return;
        };
        let Work {
            id,
            request,
            registers,
            ..
        } = work;
        // Whether the engine takes it on its list is not told; when it does not, it also tells no end.
        if registers {
            self.observers.insert((node, id), (request, execution));
        }
        let state = self.state_for(node, request);
        let waits = self.answer(io, id, (request, execution), state);
        if registers && waits {
            let happening = Happening::Registered {
                request,
                execution,
                by: node,
            };
            self.history.push(io.at, happening);
        }
    }

    /// The state that a request asks for, as it is now.
    fn state_for(&self, node: usize, request: u32) -> u64 {
        let observes = self.asks.get(&request).and_then(|ask| ask.observes.as_ref());
        let state = observes.and_then(|observes| self.states.get(&(node, observes.topic)));
        state.copied().unwrap_or(0)
    }

    /// Reads the state for an observer, who is given it when the application has taken its time: it may have changed
    /// again by then.
    fn refresh(&mut self, node: usize, io: &mut Io<'_>, request: u32, execution: u32) {
        let takes = self.asks.get(&request).map_or(Duration::ZERO, |ask| ask.takes);
        let state = self.state_for(node, request);
        if takes.is_zero() {
            self.refreshed(node, io, execution, state);
        } else {
            self.refreshing.insert((node, execution), state);
            io.wake_after(takes, u64::from(execution));
        }
    }

    /// Gives a state to the observer that an execution registered, if it is still on the list.
    fn refreshed(&mut self, node: usize, io: &mut Io<'_>, execution: u32, state: u64) {
        let mut observers = self.observers.iter();
        let observer = observers.find(|((of, _), observer)| *of == node && observer.1 == execution);
        if let Some((&(_, id), &observer)) = observer {
            self.answer(io, id, observer, state);
        }
    }

    /// Gives the answer to a request, or a state to an observer. That nobody waits any more is no failure
    /// of the application.
    fn answer(&self, io: &mut Io<'_>, id: ExchangeId, (request, execution): (u32, u32), state: u64) -> bool {
        let Some(ask) = self.asks.get(&request) else {
            return false;
        };
        let topic = ask.observes.as_ref().map(|observes| observes.topic);
        let of = match self.flaw {
            Flaw::AnswersAnother => request.wrapping_sub(1),
            _ => request,
        };
        let mut payload = body::of_answer(of, execution, state, ask.answer);
        if self.flaw == Flaw::CutsAnswers {
            payload.pop();
        }
        let mut options = OptionsBuf::new();
        if let Some(observes) = &ask.observes {
            options.set_uint(OptionNumber::MAX_AGE, observes.max_age.as_secs());
        }
        let status = match ask.method {
            Method::GET | Method::FETCH => Status::CONTENT,
            Method::DELETE => Status::DELETED,
            _ => Status::CHANGED,
        };
        let confirmable = ask.observes.as_ref().and_then(|observes| observes.confirmable);
        let response = ResponseRef::new(status, options.as_options(), &payload)
            .with_observe(topic.map(Topic))
            .with_confirmable(confirmable);
        io.respond(id, response).is_ok()
    }

    fn event(&mut self, node: usize, io: &mut Io<'_>, event: Event) {
        match event {
            Event::Response { id, response, more } if more && self.is_in_parts(node, id) => {
                let part = (response.payload, more);
                self.part(node, io, id, (Some(response.status), part));
            }
            Event::Body { id, payload, more } => self.part(node, io, id, (None, (payload, more))),
            Event::BodyWanted { id } => self.supply(node, io, id),
            Event::Opened { connection } => self.opened(node, io, connection),
            Event::Released { connection, .. } | Event::Closing { connection, .. } => {
                self.calling.leaves(node, connection);
            }
            Event::Response { id, response, more } => {
                let Some(request) = self.request_of(node, id) else {
                    return;
                };
                self.answered(io, request, (response.status, &response.payload), more);
            }
            Event::Pong { id } => {
                if let Some(request) = self.request_of(node, id) {
                    let (says, more) = (None, false);
                    let happening = Happening::Answered { request, says, more };
                    self.history.push(io.at, happening);
                }
            }
            Event::Failed { id, error } => {
                if let Some(request) = self.request_of(node, id) {
                    self.failed(io, request, error);
                }
            }
            Event::Stale { id } => {
                if let Some(request) = self.request_of(node, id) {
                    self.history.push(io.at, Happening::Stale { request });
                }
            }
            Event::Refresh { id, .. } => {
                if let Some((request, execution)) = self.observers.get(&(node, id)).copied() {
                    self.refresh(node, io, request, execution);
                }
            }
            Event::Ended { id } if self.flaw != Flaw::WorksForTheGone => {
                self.streams.remove(&(node, id));
                self.working.retain(|(by, _), work| *by != node || work.id != id);
                if let Some((request, execution)) = self.observers.remove(&(node, id)) {
                    let happening = Happening::Deregistered { request, execution };
                    self.history.push(io.at, happening);
                }
            }
            _ => {}
        }
    }

    /// An answer is there as a whole.
    fn answered(&mut self, io: &Io<'_>, request: u32, (status, payload): (Status, &[u8]), more: bool) {
        // Only applications succeed: what is no answer of one then is a broken one.
        let broken = Says {
            request,
            execution: 0,
            state: 0,
            intact: false,
        };
        let says = body::says(payload).unwrap_or(broken);
        let happening = Happening::Answered {
            request,
            says: status.is_success().then_some(says),
            more,
        };
        self.history.push(io.at, happening);
    }

    /// The request that an exchange is about. It is kept after its end, so that what comes later is seen.
    fn request_of(&self, node: usize, id: ExchangeId) -> Option<u32> {
        self.asking.get(&(node, id)).copied()
    }

    /// A node forgets what it knew, but for what is on its disk.
    pub(crate) fn forget(&mut self, node: usize) {
        self.asking.retain(|(by, _), _| *by != node);
        self.working.retain(|(by, _), _| *by != node);
        self.streams.retain(|(by, _), _| *by != node);
        self.refreshing.retain(|(by, _), _| *by != node);
        self.observers.retain(|(by, _), _| *by != node);
        self.calling.forget(node);
    }
}
