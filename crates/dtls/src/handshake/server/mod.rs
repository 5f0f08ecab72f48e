//! The server's machine. It begins when a ClientHello has brought its cookie back.
//!
//! ```text
//!           ClientHello                  ClientKeyExchange           the owner's answer
//!     Hello ------------> PskExchange -----------------------> Psk ---------------------+
//!      | |                                                                              v           Finished: Finished
//!      | +---------> ClientCertificate --> EcdheExchange ------------------------> Finished ----------------> session
//!      | |             if we asked           ^     |                                    ^
//!      | +-----------------------------------+     +--> CertificateVerify --------------+
//!      |                                                  if it showed something
//!      v               Finished
//!    Resumed -----------------------------------------------------------------------------------------------> session
//! ```

mod choice;
pub(crate) mod finished;
pub(crate) mod hello;
pub(crate) mod key_exchange;
pub(crate) mod resumed;

use super::{Context, Message, Step};
use crate::failure::Failure;

pub(crate) use finished::Finished;
pub(crate) use hello::Hello;
pub(crate) use key_exchange::{CertificateVerify, ClientCertificate, EcdheExchange, Psk, PskExchange};
pub(crate) use resumed::Resumed;

pub(crate) enum State {
    Hello(Hello),
    PskExchange(PskExchange),
    Psk(Psk),
    ClientCertificate(ClientCertificate),
    EcdheExchange(EcdheExchange),
    CertificateVerify(CertificateVerify),
    Finished(Finished),
    Resumed(Resumed),
}

impl State {
    pub(super) fn receive(self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        match self {
            State::Hello(state) => state.receive(cx, message),
            State::PskExchange(state) => state.receive(cx, message),
            State::Psk(_) => Err(message.unexpected(Psk::AWAITED)),
            State::ClientCertificate(state) => state.receive(cx, message),
            State::EcdheExchange(state) => state.receive(cx, message),
            State::CertificateVerify(state) => state.receive(cx, message),
            State::Finished(state) => state.receive(cx, message),
            State::Resumed(state) => state.receive(cx, message),
        }
    }

    pub(super) fn awaited(&self) -> &'static str {
        match self {
            State::Hello(_) => Hello::AWAITED,
            State::PskExchange(_) => PskExchange::AWAITED,
            State::Psk(_) => Psk::AWAITED,
            State::ClientCertificate(_) => ClientCertificate::AWAITED,
            State::EcdheExchange(_) => EcdheExchange::AWAITED,
            State::CertificateVerify(_) => CertificateVerify::AWAITED,
            State::Finished(_) => Finished::AWAITED,
            State::Resumed(_) => Resumed::AWAITED,
        }
    }
}

impl From<State> for Step {
    fn from(state: State) -> Step {
        Step::Next(super::State::Server(state))
    }
}
