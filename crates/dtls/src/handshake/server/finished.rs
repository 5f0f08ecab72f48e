//! The end of flight 5, and flight 6 (RFC 5246 §7.4.9, RFC 5077 §3.3).
//!
//! ```text
//!   ChangeCipherSpec
//!   Finished                  -------->
//!                             <--------  [NewSessionTicket]
//!                                         ChangeCipherSpec
//!                                         Finished
//! ```

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;

use zeroize::Zeroizing;

use super::super::{Context, Message, Outcome, Step};
use super::hello::Later;
use crate::crypto::{MasterSecret, Side, Suite};
use crate::failure::{Failure, Reason};
use crate::handshake::client::finished::check_finished;
use crate::identity::Identity;
use crate::messages::header::MessageType;
use crate::messages::new_session_ticket::NewSessionTicket;
use crate::resumption::Resumable;

/// There are keys, and the client has to show that it has them too.
pub(crate) struct Finished {
    suite: Suite,
    master: Box<MasterSecret>,
    identity: Arc<Identity>,
    later: Later,
}

impl Finished {
    pub(super) const AWAITED: &'static str = "Finished";

    pub(super) fn new(suite: Suite, master: MasterSecret, identity: Arc<Identity>, later: Later) -> Finished {
        Finished {
            suite,
            master: Box::new(master),
            identity,
            later,
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
        self.keep(cx);
        cx.course.say_finished(&self.master);
        cx.course.launch_last(cx.now);
        Ok(Step::Done(Outcome {
            identity: self.identity,
            resumed: false,
            keeps_flight: true,
            kept: None,
        }))
    }

    /// Remembers the session, or has the client remember it.
    fn keep(&self, cx: &mut Context<'_>) {
        if !self.later.with_ticket && self.later.session_id.is_none() {
            return;
        }
        let name = self.later.server_name.as_deref();
        let session = Resumable {
            master_secret: Zeroizing::new(*self.master.as_bytes()),
            suite: self.suite,
            extended_master_secret: cx.course.terms.extended_master_secret,
            identity: self.identity.clone(),
            server_name: name.map(|name| String::from_utf8_lossy(name).into_owned()),
            created: cx.now,
        };
        if let Some(id) = self.later.session_id {
            cx.memory.sessions.insert(cx.now, id, session);
            return;
        }
        let lifetime = u32::try_from(cx.memory.tickets.lifetime().as_secs()).unwrap_or(u32::MAX);
        // An empty ticket says that there is none after all (RFC 5077 §3.3).
        let ticket = cx
            .memory
            .tickets
            .seal(cx.now, &session, cx.rng)
            .unwrap_or_default();
        let new = NewSessionTicket {
            lifetime_hint: lifetime,
            ticket: &ticket,
        };
        cx.course.say(MessageType::NEW_SESSION_TICKET, |w| new.write(w));
    }
}
