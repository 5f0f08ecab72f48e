//! The server's machine. It begins when a ClientHello has brought its cookie back.
//!
//! ```text
//!         ClientHello: ServerHello ... Done         ClientKeyExchange             Finished: Finished
//!   Hello ---------------------------> KeyExchange -------------------> Psk      +------------------> session
//!                                                                        | key   |
//!                                                                        v       |
//!                                                                       Finished-+
//! ```

pub(crate) mod finished;
pub(crate) mod hello;
pub(crate) mod key_exchange;

use super::{Context, Message, Step};
use crate::failure::Failure;

pub(crate) use finished::Finished;
pub(crate) use hello::Hello;
pub(crate) use key_exchange::{KeyExchange, Psk};

pub(crate) enum State {
    Hello(Hello),
    KeyExchange(KeyExchange),
    Psk(Psk),
    Finished(Finished),
}

impl State {
    pub(super) fn receive(self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        match self {
            State::Hello(state) => state.receive(cx, message),
            State::KeyExchange(state) => state.receive(cx, message),
            State::Psk(_) => Err(message.unexpected(Psk::AWAITED)),
            State::Finished(state) => state.receive(cx, message),
        }
    }

    pub(super) fn awaited(&self) -> &'static str {
        match self {
            State::Hello(_) => Hello::AWAITED,
            State::KeyExchange(_) => KeyExchange::AWAITED,
            State::Psk(_) => Psk::AWAITED,
            State::Finished(_) => Finished::AWAITED,
        }
    }
}

impl From<State> for Step {
    fn from(state: State) -> Step {
        Step::Next(super::State::Server(state))
    }
}
