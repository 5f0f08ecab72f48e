//! The beginning of flight 5: what the client brings to the keys (RFC 4279 §2).
//!
//! ```text
//!   ClientKeyExchange: identity   -------->
//!                                             the owner looks the key up
//! ```

use alloc::sync::Arc;
use alloc::vec::Vec;

use rand_core::RngCore;
use zeroize::Zeroizing;

use super::super::{Context, Message, Step, Wanted};
use super::{Finished, State};
use crate::crypto::{Suite, psk_premaster};
use crate::failure::Failure;
use crate::identity::Identity;
use crate::limits;
use crate::messages::header::MessageType;
use crate::messages::key_exchange::PskIdentity;

/// Our ServerHelloDone is on its way.
pub(crate) struct KeyExchange {
    pub(super) suite: Suite,
    pub(super) server_name: Option<Vec<u8>>,
}

impl KeyExchange {
    pub(super) const AWAITED: &'static str = "ClientKeyExchange";

    pub(super) fn receive(self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        if message.kind() != MessageType::CLIENT_KEY_EXCHANGE {
            return Err(message.unexpected(Self::AWAITED));
        }
        let PskIdentity(identity) = message.read(PskIdentity::read)?;
        if identity.len() > limits::PSK_IDENTITY_BYTES {
            return Err(Failure::illegal("a PSK identity of more than 512 bytes"));
        }
        cx.course.hear(message);
        cx.course.deadline = Some(cx.now.saturating_add(limits::LOOKUP_TIMEOUT));
        *cx.wanted = Some(Wanted {
            identity: identity.to_vec(),
            server_name: self.server_name,
        });
        let psk = Psk {
            suite: self.suite,
            identity: identity.to_vec(),
            session_hash: cx.course.script.hash(),
        };
        Ok(State::Psk(psk).into())
    }
}

/// The owner looks a key up.
pub(crate) struct Psk {
    suite: Suite,
    identity: Vec<u8>,
    session_hash: [u8; 32],
}

impl Psk {
    pub(super) const AWAITED: &'static str = "the key to a PSK identity";

    /// Without a key the handshake goes on with a random one, so that nobody learns which identities there are
    /// (RFC 4279 §2).
    pub(crate) fn provide(self, cx: &mut Context<'_>, key: Option<&[u8]>) -> super::super::State {
        let mut random = Zeroizing::new([0; 32]);
        cx.rng.fill_bytes(&mut *random);
        let premaster = psk_premaster(key.unwrap_or(&*random));
        let master = cx.course.master(&premaster, &self.session_hash);
        cx.config.log_keys(&master, &cx.course.client_random);
        cx.course.take_keys(self.suite, &master);
        cx.course.rearm(cx.now);
        let identity = Arc::new(Identity::Psk(self.identity));
        super::super::State::Server(State::Finished(Finished::new(master, identity)))
    }
}
