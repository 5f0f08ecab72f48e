//! The client's machine.
//!
//! ```text
//!            HelloVerifyRequest: again with the cookie
//!               +---+
//!               v   |  ServerHello               ServerHelloDone: ClientKeyExchange ... Finished
//!  ClientHello: Hello -------------> PskFlight ---------------------------+
//!                | |                                                      v             Finished
//!                | +--> Certificate --> KeyShare --> Request ---------> Finished -------------> session
//!                |        its key       its share    ServerHelloDone
//!                v
//!             Resumed -------------------------------------------------------------------------> session
//!                                                                             Finished: Finished
//! ```

pub(crate) mod finished;
pub(crate) mod hello;
pub(crate) mod key_exchange;
pub(crate) mod offer;
pub(crate) mod resumed;
pub(crate) mod server_flight;

use super::{Context, Message, Step};
use crate::failure::Failure;

pub(crate) use finished::Finished;
pub(crate) use hello::Hello;
pub(crate) use resumed::Resumed;
pub(crate) use server_flight::{Certificate, KeyShare, PskFlight, Request};

pub(crate) enum State {
    Hello(Hello),
    PskFlight(PskFlight),
    Certificate(Certificate),
    KeyShare(KeyShare),
    Request(Request),
    Finished(Finished),
    Resumed(Resumed),
}

impl State {
    pub(super) fn receive(self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        match self {
            State::Hello(state) => state.receive(cx, message),
            State::PskFlight(state) => state.receive(cx, message),
            State::Certificate(state) => state.receive(cx, message),
            State::KeyShare(state) => state.receive(cx, message),
            State::Request(state) => state.receive(cx, message),
            State::Finished(state) => state.receive(cx, message),
            State::Resumed(state) => state.receive(cx, message),
        }
    }

    pub(super) fn awaited(&self) -> &'static str {
        match self {
            State::Hello(_) => Hello::AWAITED,
            State::PskFlight(_) => PskFlight::AWAITED,
            State::Certificate(_) => Certificate::AWAITED,
            State::KeyShare(_) => KeyShare::AWAITED,
            State::Request(_) => Request::AWAITED,
            State::Finished(_) => Finished::AWAITED,
            State::Resumed(_) => Resumed::AWAITED,
        }
    }
}

impl From<State> for Step {
    fn from(state: State) -> Step {
        Step::Next(super::State::Client(state))
    }
}
