//! Flight 5 (RFC 5246 §7.4.7 to §7.4.9).
//!
//! ```text
//!   ClientKeyExchange
//!   ChangeCipherSpec
//!   Finished                  -------->
//! ```

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::super::{Context, Step};
use super::{Finished, State};
use crate::config::{ClientCredentials, Connect};
use crate::crypto::{Suite, psk_premaster};
use crate::failure::Failure;
use crate::identity::Identity;
use crate::messages::header::MessageType;
use crate::messages::key_exchange::PskIdentity;

/// The identity, and the keys that come of the PSK.
pub(super) fn with_psk(cx: &mut Context<'_>, connect: Box<Connect>, suite: Suite) -> Result<Step, Failure> {
    let ClientCredentials::Psk { identity, key } = connect.credentials;
    cx.course.begin_flight();
    cx.course.say(MessageType::CLIENT_KEY_EXCHANGE, |w| {
        PskIdentity(&identity).write(w)
    });
    let session_hash = cx.course.script.hash();
    let master = cx.course.master(&psk_premaster(&key), &session_hash);
    cx.config.log_keys(&master, &cx.course.client_random);
    cx.course.take_keys(suite, &master);
    cx.course.say_finished(&master);
    cx.course.launch(cx.now);
    let identity = Arc::new(Identity::Psk(identity));
    Ok(State::Finished(Finished::new(master, identity)).into())
}
