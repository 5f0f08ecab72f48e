//! Flight 6 (RFC 5246 §7.4.9).
//!
//! ```text
//!                  <--------   ChangeCipherSpec
//!                              Finished
//! ```

use alloc::boxed::Box;
use alloc::sync::Arc;

use subtle::ConstantTimeEq;

use super::super::{Context, Message, Outcome, Step};
use crate::crypto::{MasterSecret, Side};
use crate::failure::{Failure, Reason};
use crate::identity::Identity;
use crate::messages::finished;
use crate::messages::header::MessageType;

/// Our Finished is on its way.
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

    pub(crate) fn used_psk(&self) -> bool {
        matches!(*self.identity, Identity::Psk(_))
    }

    pub(super) fn receive(self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        if message.kind() != MessageType::FINISHED {
            return Err(message.unexpected(Self::AWAITED));
        }
        check_finished(cx, message, &self.master, Side::Server)?;
        cx.course.deadline = None;
        Ok(Step::Done(Outcome {
            identity: self.identity,
            resumed: false,
            keeps_flight: false,
        }))
    }
}

/// Whether the peer, which is `side`, has the same keys and saw the same messages as we (RFC 5246 §7.4.9).
pub(crate) fn check_finished(
    cx: &Context<'_>,
    message: &Message<'_>,
    master: &MasterSecret,
    side: Side,
) -> Result<(), Failure> {
    let found = message.read(finished::Finished::read)?;
    let expected = master.verify_data(side, &cx.course.script.hash());
    if bool::from(expected.ct_eq(found.verify_data)) {
        Ok(())
    } else {
        Err(Failure::ours(Reason::FinishedDiffers))
    }
}
