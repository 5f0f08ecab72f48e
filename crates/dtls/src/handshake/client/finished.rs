//! Flight 6 (RFC 5246 §7.4.9, RFC 5077 §3.3).
//!
//! ```text
//!                  <--------  [NewSessionTicket]
//!                              ChangeCipherSpec
//!                              Finished
//! ```

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use rand_core::RngCore;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::super::{Context, Message, Outcome, Step};
use super::State;
use super::hello::Agreed;
use crate::crypto::{MasterSecret, Side};
use crate::failure::{Failure, Reason};
use crate::identity::Identity;
use crate::messages::finished;
use crate::messages::header::MessageType;
use crate::messages::new_session_ticket::NewSessionTicket;
use crate::resumption::{Kept, Resumable};

/// Our Finished is on its way.
pub(crate) struct Finished {
    agreed: Agreed,
    master: Box<MasterSecret>,
    identity: Arc<Identity>,
    ticket: Vec<u8>,
}

impl Finished {
    pub(super) const AWAITED: &'static str = "Finished";

    pub(super) fn new(agreed: Agreed, master: MasterSecret, identity: Arc<Identity>) -> Finished {
        Finished {
            agreed,
            master: Box::new(master),
            identity,
            ticket: Vec::new(),
        }
    }

    pub(crate) fn used_psk(&self) -> bool {
        self.agreed.suite.is_psk()
    }

    pub(super) fn receive(mut self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        match message.kind() {
            MessageType::NEW_SESSION_TICKET if self.agreed.ticket_comes => {
                let new = message.read(NewSessionTicket::read)?;
                self.ticket = new.ticket.to_vec();
                self.agreed.ticket_comes = false;
                cx.course.hear(message);
                Ok(State::Finished(self).into())
            }
            MessageType::FINISHED => {
                check_finished(cx, message, &self.master, Side::Server)?;
                cx.course.deadline = None;
                let kept = self.keep(cx);
                Ok(Step::Done(Outcome {
                    identity: self.identity,
                    resumed: false,
                    keeps_flight: false,
                    kept,
                }))
            }
            _ => Err(message.unexpected(Self::AWAITED)),
        }
    }

    /// What is needed to take the session up again, if the server gave something to name it by. With a ticket the session
    /// ID is ours: the server repeats it if it takes the ticket (RFC 5077 §3.4).
    fn keep(&self, cx: &mut Context<'_>) -> Option<Kept> {
        let connect = &self.agreed.connect;
        let session_id = match (&self.ticket, &self.agreed.session_id) {
            (ticket, _) if !ticket.is_empty() => {
                let mut id = alloc::vec![0; 32];
                cx.rng.fill_bytes(&mut id);
                id
            }
            (_, id) => id.clone(),
        };
        let is_named = connect.resume && !session_id.is_empty();
        is_named.then(|| Kept {
            session: Resumable {
                master_secret: Zeroizing::new(*self.master.as_bytes()),
                suite: self.agreed.suite,
                extended_master_secret: cx.course.terms.extended_master_secret,
                identity: self.identity.clone(),
                server_name: connect.server_name.clone(),
                created: cx.now,
            },
            session_id,
            ticket: self.ticket.clone(),
        })
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
