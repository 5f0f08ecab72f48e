//! The rest of flight 4, with a pre-shared key (RFC 4279 §2).
//!
//! ```text
//!                  <--------   ServerHello
//!                             [ServerKeyExchange: a hint]
//!                              ServerHelloDone
//! ```

use alloc::boxed::Box;

use super::super::{Context, Message, Step};
use super::State;
use super::key_exchange;
use crate::config::Connect;
use crate::crypto::Suite;
use crate::failure::Failure;
use crate::messages::Malformed;
use crate::messages::header::MessageType;
use crate::messages::key_exchange::PskIdentityHint;

/// ServerHello has come, with a suite of PSK.
pub(crate) struct ServerFlight {
    connect: Box<Connect>,
    suite: Suite,
    had_hint: bool,
}

impl ServerFlight {
    pub(super) fn new(connect: Box<Connect>, suite: Suite) -> ServerFlight {
        ServerFlight {
            connect,
            suite,
            had_hint: false,
        }
    }

    pub(super) fn awaited(&self) -> &'static str {
        "ServerHelloDone"
    }

    pub(super) fn receive(mut self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        match message.kind() {
            MessageType::SERVER_KEY_EXCHANGE if !self.had_hint => {
                // The user chose the identity: a hint changes nothing (RFC 4279 §5.2).
                message.read(PskIdentityHint::read)?;
                cx.course.hear(message);
                self.had_hint = true;
                Ok(State::ServerFlight(self).into())
            }
            MessageType::SERVER_HELLO_DONE => {
                message.read(empty)?;
                cx.course.hear(message);
                key_exchange::with_psk(cx, self.connect, self.suite)
            }
            _ => Err(message.unexpected(self.awaited())),
        }
    }
}

/// ServerHelloDone says all by its type (RFC 5246 §7.4.5).
fn empty(body: &[u8]) -> Result<(), Malformed> {
    if body.is_empty() {
        Ok(())
    } else {
        Err(Malformed("its length"))
    }
}
