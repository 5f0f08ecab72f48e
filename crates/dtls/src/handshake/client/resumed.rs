//! The abbreviated handshake (RFC 5246 §7.3, RFC 5077 §3.1): the server takes a session up again.
//!
//! ```text
//!   ClientHello with session ID and ticket   -------->
//!                                            <--------   ServerHello with the same session ID
//!                                                       [NewSessionTicket]
//!                                                        ChangeCipherSpec
//!                                                        Finished
//!   ChangeCipherSpec
//!   Finished                                 -------->
//! ```

use alloc::boxed::Box;

use super::super::{Context, Message, Outcome, Step};
use super::State;
use super::finished::check_finished;
use super::hello::Agreed;
use crate::crypto::{MasterSecret, Side};
use crate::failure::Failure;
use crate::messages::header::MessageType;
use crate::messages::new_session_ticket::NewSessionTicket;
use crate::resumption::Kept;

/// ServerHello has come, with our session ID.
pub(crate) struct Resumed {
    agreed: Agreed,
    kept: Box<Kept>,
    master: Box<MasterSecret>,
}

impl Resumed {
    pub(super) const AWAITED: &'static str = "Finished";

    pub(super) fn new(cx: &mut Context<'_>, agreed: Agreed, kept: Kept) -> Result<Resumed, Failure> {
        if agreed.suite != kept.session.suite {
            return Err(Failure::illegal("another cipher suite than that of the session"));
        }
        // RFC 7627 §5.3: with and without are two kinds of sessions.
        if cx.course.terms.extended_master_secret != kept.session.extended_master_secret {
            return Err(Failure::illegal(
                "another kind of master secret than that of the session",
            ));
        }
        let master = MasterSecret::from_bytes(&kept.session.master_secret);
        cx.config.log_keys(&master, &cx.course.client_random);
        cx.course.take_keys(agreed.suite, &master);
        cx.course.script.drop_bytes();
        Ok(Resumed {
            agreed,
            kept: Box::new(kept),
            master: Box::new(master),
        })
    }

    pub(super) fn receive(mut self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        match message.kind() {
            MessageType::NEW_SESSION_TICKET if self.agreed.ticket_comes => {
                let new = message.read(NewSessionTicket::read)?;
                if !new.ticket.is_empty() {
                    self.kept.ticket = new.ticket.to_vec();
                }
                self.agreed.ticket_comes = false;
                cx.course.hear(message);
                Ok(State::Resumed(self).into())
            }
            MessageType::FINISHED => {
                check_finished(cx, message, &self.master, Side::Server)?;
                cx.course.hear(message);
                cx.course.begin_flight();
                cx.course.say_finished(&self.master);
                cx.course.launch_last(cx.now);
                Ok(Step::Done(Outcome {
                    identity: self.kept.session.identity.clone(),
                    resumed: true,
                    keeps_flight: true,
                    kept: Some(*self.kept),
                }))
            }
            _ => Err(message.unexpected(Self::AWAITED)),
        }
    }
}
