//! The end of flight 5, and flight 6 (RFC 5246 §7.4.9).
//!
//! ```text
//!   ChangeCipherSpec
//!   Finished                  -------->
//!                             <--------   ChangeCipherSpec
//!                                         Finished
//! ```

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::super::{Context, Message, Outcome, Step};
use crate::crypto::{MasterSecret, Side};
use crate::failure::{Failure, Reason};
use crate::handshake::client::finished::check_finished;
use crate::identity::Identity;
use crate::messages::header::MessageType;

/// There are keys, and the client has to show that it has them too.
pub(crate) struct Finished {
    master: Box<MasterSecret>,
    identity: Arc<Identity>,
}

impl Finished {
    pub(super) const AWAITED: &'static str = "Finished";

    pub(super) fn new(master: MasterSecret, identity: Arc<Identity>) -> Finished {
        Finished {
            master: Box::new(master),
            identity,
        }
    }

    /// The fault if the client's Finished does not open: with a PSK the keys differ.
    pub(crate) fn wrong_psk(&self) -> Option<Failure> {
        match &*self.identity {
            Identity::Psk(identity) => Some(Failure::ours(Reason::WrongPsk {
                identity: identity.clone(),
            })),
            _ => None,
        }
    }

    pub(super) fn receive(self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        if message.kind() != MessageType::FINISHED {
            return Err(message.unexpected(Self::AWAITED));
        }
        check_finished(cx, message, &self.master, Side::Client)?;
        cx.course.hear(message);
        cx.course.begin_flight();
        cx.course.say_finished(&self.master);
        cx.course.launch_last(cx.now);
        Ok(Step::Done(Outcome {
            identity: self.identity,
            resumed: false,
            keeps_flight: true,
        }))
    }
}
