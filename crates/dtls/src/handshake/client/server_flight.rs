//! The rest of flight 4: with a pre-shared key (RFC 4279 §2), or with the server's key and its share of the agreement
//! (RFC 5246 §7.4.2 to §7.4.5, RFC 8422 §5.4).
//!
//! ```text
//!   PskFlight      <--------  [ServerKeyExchange: a hint]
//!                              ServerHelloDone
//!
//!   Certificate    <--------   Certificate: a chain, or a raw public key
//!   KeyShare       <--------   ServerKeyExchange: a share, signed
//!   Request        <--------  [CertificateRequest]
//!                              ServerHelloDone
//! ```

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::super::{Context, Message, Step};
use super::hello::Agreed;
use super::{State, key_exchange};
use crate::credentials::{Believed, ClientCredentials};
use crate::crypto::{Group, Side, SignatureScheme, verify};
use crate::failure::{Failure, Reason};
use crate::identity::Identity;
use crate::messages::Malformed;
use crate::messages::certificate::{CertificateChain, CertificateRequest, RawPublicKey};
use crate::messages::codec::{Codes, Writer};
use crate::messages::extensions::CERTIFICATE_TYPE_RAW_PUBLIC_KEY;
use crate::messages::header::MessageType;
use crate::messages::key_exchange::{PskIdentityHint, ServerEcdhe};

/// ServerHello has come, with a suite of PSK.
pub(crate) struct PskFlight {
    agreed: Agreed,
    had_hint: bool,
}

impl PskFlight {
    pub(super) const AWAITED: &'static str = "ServerHelloDone";

    pub(super) fn new(agreed: Agreed) -> PskFlight {
        PskFlight {
            agreed,
            had_hint: false,
        }
    }

    pub(super) fn receive(mut self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        match message.kind() {
            MessageType::SERVER_KEY_EXCHANGE if !self.had_hint => {
                // The user chose the identity: a hint changes nothing (RFC 4279 §5.2).
                message.read(PskIdentityHint::read)?;
                cx.course.hear(message);
                self.had_hint = true;
                Ok(State::PskFlight(self).into())
            }
            MessageType::SERVER_HELLO_DONE => {
                message.read(empty)?;
                cx.course.hear(message);
                key_exchange::with_psk(cx, self.agreed)
            }
            _ => Err(message.unexpected(Self::AWAITED)),
        }
    }
}

/// ServerHelloDone says all by its type (RFC 5246 §7.4.5).
fn empty(body: &[u8]) -> Result<(), Malformed> {
    if body.is_empty() {
        Ok(())
    } else {
        Err(Malformed("length"))
    }
}

/// ServerHello has come, with a suite of ECDHE.
pub(crate) struct Certificate {
    agreed: Agreed,
}

impl Certificate {
    pub(super) const AWAITED: &'static str = "Certificate";

    pub(super) fn new(agreed: Agreed) -> Certificate {
        Certificate { agreed }
    }

    pub(super) fn receive(self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        let ClientCredentials::Keys { trust, .. } = &self.agreed.connect.credentials else {
            return Err(message.unexpected("nothing"));
        };
        if message.kind() != MessageType::CERTIFICATE {
            return Err(message.unexpected(Self::AWAITED));
        }
        let believed = if self.agreed.server_certificate_type == CERTIFICATE_TYPE_RAW_PUBLIC_KEY {
            trust.judge_key(message.read(RawPublicKey::read)?)?
        } else {
            let chain = message.read(CertificateChain::read)?;
            let name = self.agreed.connect.server_name.as_deref();
            trust.judge_chain(chain, Side::Server, name, cx.config.utc(cx.now))?
        };
        cx.course.hear(message);
        let agreed = self.agreed;
        Ok(State::KeyShare(KeyShare { agreed, believed }).into())
    }
}

/// The server has named a key that we believe; it has to show that it has it.
pub(crate) struct KeyShare {
    agreed: Agreed,
    believed: Believed,
}

impl KeyShare {
    pub(super) const AWAITED: &'static str = "ServerKeyExchange";

    pub(super) fn receive(self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        if message.kind() != MessageType::SERVER_KEY_EXCHANGE {
            return Err(message.unexpected(Self::AWAITED));
        }
        let share = message.read(ServerEcdhe::read)?;
        let group = Group::from_u16(share.group);
        let group = group.ok_or(Failure::illegal("a group that was not offered"))?;
        let scheme = SignatureScheme::from_u16(share.scheme);
        let scheme = scheme.ok_or(Failure::illegal("a signature scheme that was not offered"))?;
        let signed = signed_share(cx, share.group, share.public);
        verify(scheme, &self.believed.public_key_info, &signed, share.signature)
            .map_err(|_| Failure::ours(Reason::Signature))?;
        cx.course.hear(message);
        let request = Request {
            agreed: self.agreed,
            identity: self.believed.identity,
            group,
            public: share.public.to_vec(),
            asked: None,
        };
        Ok(State::Request(request).into())
    }
}

/// What the signature of a server's share is over (RFC 8422 §5.4).
pub(crate) fn signed_share(cx: &Context<'_>, group: u16, public: &[u8]) -> Vec<u8> {
    let mut signed = Vec::with_capacity(64 + 4 + public.len());
    signed.extend_from_slice(&cx.course.client_random);
    signed.extend_from_slice(&cx.course.server_random);
    ServerEcdhe::write_parameters(group, public, &mut Writer::new(&mut signed));
    signed
}

/// The server has shown who it is, and may ask who we are.
pub(crate) struct Request {
    pub(super) agreed: Agreed,
    pub(super) identity: Arc<Identity>,
    pub(super) group: Group,
    /// The server's share.
    pub(super) public: Vec<u8>,
    /// The signature schemes that the server takes, if it asks.
    pub(super) asked: Option<Vec<u8>>,
}

impl Request {
    pub(super) const AWAITED: &'static str = "ServerHelloDone";

    pub(super) fn receive(mut self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        match message.kind() {
            MessageType::CERTIFICATE_REQUEST if self.asked.is_none() => {
                let request = message.read(CertificateRequest::read)?;
                self.asked = Some(request.signature_schemes.as_bytes().to_vec());
                cx.course.hear(message);
                Ok(State::Request(self).into())
            }
            MessageType::SERVER_HELLO_DONE => {
                message.read(empty)?;
                cx.course.hear(message);
                key_exchange::with_ecdhe(cx, self)
            }
            _ => Err(message.unexpected(Self::AWAITED)),
        }
    }

    /// Whether the server takes signatures of this scheme.
    pub(super) fn takes(&self, scheme: SignatureScheme) -> bool {
        let asked = self.asked.as_deref().and_then(Codes::new);
        asked.is_some_and(|schemes| schemes.contains(scheme.id()))
    }
}
