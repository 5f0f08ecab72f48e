//! Handshakes: a machine for each side, a struct for each state, a file for each flight.
//!
//! ```text
//!  Client                                                     Server
//!  client/hello.rs           ClientHello             -------->  (cookie.rs: nothing is remembered)
//!                            HelloVerifyRequest      <--------
//!                            ClientHello + cookie    -------->  server/hello.rs
//!  client/server_flight.rs   ServerHello ... Done    <--------
//!  client/key_exchange.rs    ClientKeyExchange ...
//!                            Finished                -------->  server/key_exchange.rs
//!  client/finished.rs        Finished                <--------  server/finished.rs
//! ```
//!
//! The abbreviated handshake is in `client/resumed.rs` and `server/resumed.rs`.
//!
//! Messages come to a state in their order and whole ([`reassembly`]); a state takes one, and returns the next state or the
//! fault. What it has to say it appends to the flight ([`flight`]), which is sent again until the answer comes.

pub(crate) mod client;
pub(crate) mod course;
pub(crate) mod flight;
pub(crate) mod reassembly;
pub(crate) mod server;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;

use crate::config::{Config, Resumption};
use crate::failure::{Failure, Reason};
use crate::identity::Identity;
use crate::limits;
use crate::messages::Malformed;
use crate::messages::header::{FragmentHeader, MessageType};
use crate::resumption::{Cache, Kept, Resumable, TicketKeys};
use course::Course;
use reassembly::Taken;

/// A whole message of the peer, in its turn.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) header: FragmentHeader,
    pub(crate) body: &'a [u8],
}

impl<'a> Message<'a> {
    pub(crate) fn kind(&self) -> MessageType {
        self.header.kind
    }

    /// The body as one of the codecs reads it.
    fn read<T>(&self, read: impl FnOnce(&'a [u8]) -> Result<T, Malformed>) -> Result<T, Failure> {
        read(self.body).map_err(|malformed| Failure::malformed(self.kind().name(), malformed))
    }

    fn unexpected(&self, awaited: &'static str) -> Failure {
        Failure::ours(Reason::Unexpected {
            message: self.kind().name(),
            awaited,
        })
    }
}

/// What a state works with.
pub(crate) struct Context<'a> {
    pub(crate) config: &'a Config,
    pub(crate) rng: &'a mut ChaCha20Rng,
    pub(crate) now: Duration,
    pub(crate) course: &'a mut Course,
    pub(crate) memory: &'a mut Memory,
    /// Where a server's state leaves the identity that has to be looked up.
    pub(crate) wanted: &'a mut Option<Wanted>,
}

/// What a server remembers to take sessions up again.
pub(crate) struct Memory {
    pub(crate) sessions: Cache<[u8; 32], Resumable>,
    pub(crate) tickets: TicketKeys,
}

impl Memory {
    pub(crate) fn new(now: Duration, resumption: Resumption, rng: &mut ChaCha20Rng) -> Memory {
        let lifetime = resumption.lifetime.min(limits::LONGEST_RESUMPTION);
        Memory {
            sessions: Cache::new(resumption.sessions, lifetime, rng.next_u64()),
            tickets: TicketKeys::new(now, lifetime, rng),
        }
    }
}

/// A PSK that has to be looked up.
pub(crate) struct Wanted {
    pub(crate) identity: Vec<u8>,
    pub(crate) server_name: Option<Vec<u8>>,
}

/// Where a handshake is.
pub(crate) enum State {
    Client(client::State),
    Server(server::State),
    /// It failed, or became a session.
    Over,
}

/// What a state makes of a message.
pub(crate) enum Step {
    Next(State),
    Done(Outcome),
}

/// A handshake that has come to its end.
pub(crate) struct Outcome {
    pub(crate) identity: Arc<Identity>,
    pub(crate) resumed: bool,
    /// The last flight is ours: it is kept, because the peer may not get it.
    pub(crate) keeps_flight: bool,
    /// What a client needs to take the session up again.
    pub(crate) kept: Option<Kept>,
}

/// What became of a fragment.
pub(crate) enum Progress {
    /// It has no place here.
    Refused,
    /// It was taken, or is known.
    Waiting,
    Done(Outcome),
}

pub(crate) struct Handshake {
    pub(crate) course: Course,
    pub(crate) state: State,
    /// Records that looked like the peer's Finished and did not open.
    unopened: u8,
}

/// What a handshake needs of the value that owns it.
pub(crate) struct Surroundings<'a> {
    pub(crate) config: &'a Config,
    pub(crate) rng: &'a mut ChaCha20Rng,
    pub(crate) now: Duration,
    pub(crate) memory: &'a mut Memory,
    pub(crate) wanted: Option<Wanted>,
    /// Our flight goes again, because the peer repeats its own.
    pub(crate) repeated: bool,
}

impl Handshake {
    pub(crate) fn new(course: Course, state: State) -> Handshake {
        Handshake {
            course,
            state,
            unopened: 0,
        }
    }

    /// Takes a fragment, and all messages that are complete with it.
    pub(crate) fn take(
        &mut self,
        around: &mut Surroundings<'_>,
        header: &FragmentHeader,
        fragment: &[u8],
        is_sealed: bool,
    ) -> Result<Progress, Failure> {
        // Only Finished is sealed, and it always is: others would be from somebody else.
        if is_sealed != (header.kind == MessageType::FINISHED) {
            return Ok(Progress::Refused);
        }
        // No part of a handshake, and nothing to a client that is in one (RFC 5246 §7.4.1.1).
        if header.kind == MessageType::HELLO_REQUEST {
            return Ok(Progress::Refused);
        }
        match self.course.inbox.take(header, fragment) {
            Taken::Whole => {
                let message = Message {
                    header: *header,
                    body: fragment,
                };
                if let Some(outcome) = self.receive(around, &message)? {
                    return Ok(Progress::Done(outcome));
                }
            }
            Taken::Kept => {}
            Taken::Repeated { is_last } => {
                if is_last && self.state.answers_repetition() {
                    around.repeated |= self.course.repeat(around.now);
                }
            }
            Taken::Refused => return Ok(Progress::Refused),
            Taken::TooLarge => {
                let message = header.kind.name();
                return Err(Failure::ours(Reason::TooLarge { message }));
            }
        }
        self.take_complete(around)
    }

    /// Takes the messages that were kept and whose turn it is now.
    fn take_complete(&mut self, around: &mut Surroundings<'_>) -> Result<Progress, Failure> {
        while let Some((header, body)) = self.course.inbox.pop() {
            let message = Message { header, body: &body };
            if let Some(outcome) = self.receive(around, &message)? {
                return Ok(Progress::Done(outcome));
            }
        }
        Ok(Progress::Waiting)
    }

    fn receive(
        &mut self,
        around: &mut Surroundings<'_>,
        message: &Message<'_>,
    ) -> Result<Option<Outcome>, Failure> {
        let mut cx = Context {
            config: around.config,
            rng: around.rng,
            now: around.now,
            course: &mut self.course,
            memory: around.memory,
            wanted: &mut around.wanted,
        };
        let step = match core::mem::replace(&mut self.state, State::Over) {
            State::Client(state) => state.receive(&mut cx, message)?,
            State::Server(state) => state.receive(&mut cx, message)?,
            State::Over => return Err(message.unexpected("nothing")),
        };
        match step {
            Step::Next(state) => {
                self.state = state;
                Ok(None)
            }
            Step::Done(outcome) => Ok(Some(outcome)),
        }
    }

    /// The answer to the look-up. Nothing changes if none was asked for.
    pub(crate) fn provide_psk(&mut self, around: &mut Surroundings<'_>, key: Option<&[u8]>) -> bool {
        match core::mem::replace(&mut self.state, State::Over) {
            State::Server(server::State::Psk(state)) => {
                let mut cx = Context {
                    config: around.config,
                    rng: around.rng,
                    now: around.now,
                    course: &mut self.course,
                    memory: around.memory,
                    wanted: &mut around.wanted,
                };
                self.state = state.provide(&mut cx, key);
                true
            }
            other => {
                self.state = other;
                false
            }
        }
    }

    /// Nothing came in time: the flight goes again, or the handshake is over.
    pub(crate) fn handle_timeout(&mut self, now: Duration) -> Result<(), Failure> {
        if let State::Server(server::State::Psk(_)) = self.state {
            return Err(Failure::ours(Reason::LookupTimedOut));
        }
        if !self.course.flight.again_by_timer(now) {
            let awaited = self.state.awaited();
            return Err(Failure::ours(Reason::TimedOut { awaited }));
        }
        self.course.wants_to_send = true;
        self.course.rearm(now);
        Ok(())
    }

    /// What looks like the peer's Finished does not open: the two sides do not have the same key. If it may be a late copy
    /// from another session, it has to come again before that is believed.
    pub(crate) fn finished_does_not_open(&mut self, may_be_old: bool) -> Option<Failure> {
        self.unopened = self.unopened.saturating_add(1);
        if may_be_old && self.unopened < limits::DOUBTFUL_RECORDS {
            return None;
        }
        match &self.state {
            State::Server(server::State::Finished(state)) => state.wrong_psk(),
            _ => None,
        }
    }

    /// What a fatal alert of the peer means here.
    pub(crate) fn alerted(&self, alert: crate::AlertDescription) -> Failure {
        let with_psk = match &self.state {
            State::Client(client::State::Finished(state)) => state.used_psk(),
            _ => false,
        };
        Failure::theirs(alert, with_psk)
    }
}

impl State {
    /// What the state waits for.
    pub(crate) fn awaited(&self) -> &'static str {
        match self {
            State::Client(state) => state.awaited(),
            State::Server(state) => state.awaited(),
            State::Over => "nothing",
        }
    }

    /// Whether a repeated flight of the peer means that ours may be lost. A HelloVerifyRequest is no such flight, its
    /// sender knows of none; and who looks a key up has nothing to repeat.
    fn answers_repetition(&self) -> bool {
        !matches!(
            self,
            State::Client(client::State::Hello(_)) | State::Server(server::State::Psk(_)) | State::Over
        )
    }
}
