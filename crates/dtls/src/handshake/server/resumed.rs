//! The abbreviated handshake (RFC 5246 §7.3, RFC 5077 §3.1): a session is taken up again.
//!
//! ```text
//!   ClientHello with session ID or ticket   -------->
//!                                           <--------   ServerHello with the same session ID
//!                                                       ChangeCipherSpec
//!                                                       Finished
//!   ChangeCipherSpec
//!   Finished                                -------->
//! ```

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::super::{Context, Message, Outcome, Step};
use super::State;
use super::hello::{Answer, say_hello};
use crate::config::ClientAuthentication;
use crate::crypto::{MasterSecret, Side};
use crate::failure::Failure;
use crate::handshake::client::finished::check_finished;
use crate::identity::Identity;
use crate::messages::client_hello::ClientHello;
use crate::messages::header::MessageType;
use crate::resumption::Resumable;

/// The session that a ClientHello wants to take up, if we know it and it is the same as what is asked for now. If not, a new
/// one comes about.
pub(super) fn find(cx: &Context<'_>, hello: &ClientHello<'_>) -> Option<Resumable> {
    // A client that sends a ticket sees by its session ID whether the ticket was taken (RFC 5077 §3.4).
    let id: &[u8] = hello.start.session_id;
    if id.is_empty() {
        return None;
    }
    let ticket = hello
        .extensions
        .session_ticket
        .filter(|ticket| !ticket.is_empty());
    let session = match ticket {
        Some(ticket) if cx.config.resumption.tickets => cx.memory.tickets.open(cx.now, ticket)?,
        _ => cx.memory.sessions.get(cx.now, id.try_into().ok()?)?.clone(),
    };
    let server = cx.config.server.as_ref()?;
    let name = hello.extensions.server_name;
    let is_known_enough = *session.identity != Identity::Anonymous
        || server.client_authentication != ClientAuthentication::Required;
    let is_same = session.server_name.as_deref().map(str::as_bytes) == name
        && session.extended_master_secret == hello.extensions.extended_master_secret
        && hello.cipher_suites.contains(session.suite.id())
        && cx.config.server_suites().any(|suite| suite == session.suite);
    (is_same && is_known_enough).then_some(session)
}

/// Says all of flight 4 of the abbreviated handshake.
pub(super) fn take_up(
    cx: &mut Context<'_>,
    message: &Message<'_>,
    hello: &ClientHello<'_>,
    session: &Resumable,
) -> Result<Step, Failure> {
    cx.course.hear(message);
    cx.course.script.drop_bytes();
    let answer = Answer {
        suite: session.suite.id(),
        session_id: hello.start.session_id,
        keys: None,
        with_ticket: false,
    };
    cx.course.begin_flight();
    say_hello(cx, hello, &answer)?;
    let master = MasterSecret::from_bytes(&session.master_secret);
    cx.config.log_keys(&master, &cx.course.client_random);
    cx.course.take_keys(session.suite, &master);
    cx.course.say_finished(&master);
    cx.course.launch(cx.now);
    let resumed = Resumed {
        master: Box::new(master),
        identity: session.identity.clone(),
    };
    Ok(State::Resumed(resumed).into())
}

/// Our Finished is on its way, before the client's.
pub(crate) struct Resumed {
    master: Box<MasterSecret>,
    identity: Arc<Identity>,
}

impl Resumed {
    pub(super) const AWAITED: &'static str = "Finished";

    pub(super) fn receive(self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        if message.kind() != MessageType::FINISHED {
            return Err(message.unexpected(Self::AWAITED));
        }
        check_finished(cx, message, &self.master, Side::Client)?;
        cx.course.deadline = None;
        Ok(Step::Done(Outcome {
            identity: self.identity,
            resumed: true,
            keeps_flight: false,
            kept: None,
        }))
    }
}
