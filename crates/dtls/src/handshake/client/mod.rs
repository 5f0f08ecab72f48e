//! The client's machine.
//!
//! ```text
//!                 HelloVerifyRequest: ClientHello with the cookie
//!                   +---+
//!                   v   |     ServerHello            ServerHelloDone: ClientKeyExchange ... Finished
//!   ClientHello -> Hello --------------> ServerFlight ------------------> Finished -------> session
//!                                                                                 Finished
//! ```

pub(crate) mod finished;
pub(crate) mod hello;
pub(crate) mod key_exchange;
pub(crate) mod server_flight;

use super::{Context, Message, Step};
use crate::failure::Failure;

pub(crate) use finished::Finished;
pub(crate) use hello::Hello;
pub(crate) use server_flight::ServerFlight;

pub(crate) enum State {
    Hello(Hello),
    ServerFlight(ServerFlight),
    Finished(Finished),
}

impl State {
    pub(super) fn receive(self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        match self {
            State::Hello(state) => state.receive(cx, message),
            State::ServerFlight(state) => state.receive(cx, message),
            State::Finished(state) => state.receive(cx, message),
        }
    }

    pub(super) fn awaited(&self) -> &'static str {
        match self {
            State::Hello(_) => Hello::AWAITED,
            State::ServerFlight(state) => state.awaited(),
            State::Finished(_) => Finished::AWAITED,
        }
    }
}

impl From<State> for Step {
    fn from(state: State) -> Step {
        Step::Next(super::State::Client(state))
    }
}
