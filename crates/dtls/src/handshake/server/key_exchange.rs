//! Flight 5 up to the keys (RFC 4279 §2, RFC 8422 §5.6 to §5.8).
//!
//! ```text
//!   PskExchange         ClientKeyExchange: identity   -------->
//!   Psk                                                          the owner looks the key up
//!
//!   ClientCertificate   Certificate                   -------->  if we asked
//!   EcdheExchange       ClientKeyExchange: share      -------->
//!   CertificateVerify   CertificateVerify             -------->  if it showed something
//! ```

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use rand_core::RngCore;
use zeroize::Zeroizing;

use super::super::{Context, Message, Step, Wanted};
use super::hello::Later;
use super::{Finished, State};
use crate::config::ClientAuthentication;
use crate::credentials::Believed;
use crate::crypto::{EphemeralKey, MasterSecret, Side, SignatureScheme, Suite, psk_premaster, verify};
use crate::failure::{Failure, Reason};
use crate::identity::Identity;
use crate::limits;
use crate::messages::certificate::{CertificateChain, RawPublicKey};
use crate::messages::certificate_verify;
use crate::messages::extensions::CERTIFICATE_TYPE_RAW_PUBLIC_KEY;
use crate::messages::header::MessageType;
use crate::messages::key_exchange::{ClientEcdhe, PskIdentity};

/// Our ServerHelloDone is on its way, with a suite of PSK.
pub(crate) struct PskExchange {
    pub(super) suite: Suite,
    pub(super) later: Later,
}

impl PskExchange {
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
            server_name: self.later.server_name.clone(),
        });
        let psk = Psk {
            suite: self.suite,
            later: self.later,
            identity: identity.to_vec(),
            session_hash: cx.course.script.hash(),
        };
        Ok(State::Psk(psk).into())
    }
}

/// The owner looks a key up.
pub(crate) struct Psk {
    suite: Suite,
    later: Later,
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
        cx.course.rearm(cx.now);
        let identity = Arc::new(Identity::Psk(self.identity));
        let finished = take_keys(cx, self.suite, master, identity, self.later);
        super::super::State::Server(State::Finished(finished))
    }
}

fn take_keys(
    cx: &mut Context<'_>,
    suite: Suite,
    master: MasterSecret,
    identity: Arc<Identity>,
    later: Later,
) -> Finished {
    cx.config.log_keys(&master, &cx.course.client_random);
    cx.course.take_keys(suite, &master);
    Finished::new(suite, master, identity, later)
}

/// The client was asked to show who it is.
pub(crate) struct ClientCertificate {
    /// In this form.
    pub(super) kind: u8,
    pub(super) exchange: EcdheExchange,
}

impl ClientCertificate {
    pub(super) const AWAITED: &'static str = "Certificate";

    pub(super) fn receive(mut self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        let Some(server) = &cx.config.server else {
            return Err(message.unexpected("nothing"));
        };
        if message.kind() != MessageType::CERTIFICATE {
            return Err(message.unexpected(Self::AWAITED));
        }
        let client = if self.kind == CERTIFICATE_TYPE_RAW_PUBLIC_KEY {
            let key = message.read(RawPublicKey::read)?;
            let is_shown = !key.0.is_empty();
            is_shown.then(|| server.trust.judge_key(key)).transpose()?
        } else {
            let chain = message.read(CertificateChain::read)?;
            let judge = || {
                server
                    .trust
                    .judge_chain(chain, Side::Client, None, cx.config.utc(cx.now))
            };
            chain.iter().next().map(|_| judge()).transpose()?
        };
        if client.is_none() && server.client_authentication == ClientAuthentication::Required {
            return Err(Failure::ours(Reason::NoClientCertificate));
        }
        cx.course.hear(message);
        self.exchange.client = client;
        Ok(State::EcdheExchange(self.exchange).into())
    }
}

/// Our share is on its way, or the client's key has come.
pub(crate) struct EcdheExchange {
    pub(super) suite: Suite,
    pub(super) later: Later,
    pub(super) ephemeral: Box<EphemeralKey>,
    /// The client that has shown a key which we believe.
    pub(super) client: Option<Believed>,
}

impl EcdheExchange {
    pub(super) const AWAITED: &'static str = "ClientKeyExchange";

    pub(super) fn receive(self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        if message.kind() != MessageType::CLIENT_KEY_EXCHANGE {
            return Err(message.unexpected(Self::AWAITED));
        }
        let ClientEcdhe(public) = message.read(ClientEcdhe::read)?;
        let premaster = self.ephemeral.agree(public);
        let premaster = premaster.map_err(|_| Failure::ours(Reason::KeyShare))?;
        cx.course.hear(message);
        let master = cx.course.master(&premaster, &cx.course.script.hash());
        let next = match self.client {
            Some(client) => State::CertificateVerify(CertificateVerify {
                suite: self.suite,
                later: self.later,
                master: Box::new(master),
                client,
            }),
            None => {
                cx.course.script.drop_bytes();
                let identity = Arc::new(Identity::Anonymous);
                State::Finished(take_keys(cx, self.suite, master, identity, self.later))
            }
        };
        Ok(next.into())
    }
}

/// The client has named a key that we believe; it has to show that it has it (RFC 5246 §7.4.8).
pub(crate) struct CertificateVerify {
    suite: Suite,
    later: Later,
    master: Box<MasterSecret>,
    client: Believed,
}

impl CertificateVerify {
    pub(super) const AWAITED: &'static str = "CertificateVerify";

    pub(super) fn receive(self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        if message.kind() != MessageType::CERTIFICATE_VERIFY {
            return Err(message.unexpected(Self::AWAITED));
        }
        let found = message.read(certificate_verify::CertificateVerify::read)?;
        let scheme = SignatureScheme::from_u16(found.scheme);
        let scheme = scheme.ok_or(Failure::illegal("a signature scheme that was not offered"))?;
        let said = cx.course.script.bytes();
        verify(scheme, &self.client.public_key_info, said, found.signature)
            .map_err(|_| Failure::ours(Reason::Signature))?;
        cx.course.hear(message);
        cx.course.script.drop_bytes();
        let finished = take_keys(cx, self.suite, *self.master, self.client.identity, self.later);
        Ok(State::Finished(finished).into())
    }
}
