//! Who we are, whom we believe, and whether the peer is somebody whom we believe.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use zeroize::Zeroizing;

use crate::certificates::{CertificateProblem, CertifiedKey, TrustedAuthorities, TrustedKeys, verify};
use crate::config::Config;
use crate::crypto::{Side, SigningKey, Suite};
use crate::failure::{Failure, Reason};
use crate::identity::Identity;
use crate::messages::certificate::{CertificateChain, RawPublicKey};
use crate::messages::codec::Writer;
use crate::messages::extensions::{CERTIFICATE_TYPE_RAW_PUBLIC_KEY, CERTIFICATE_TYPE_X509};

/// The keys by which we show who we are. With both, the peer's preference decides.
#[derive(Clone, Debug, Default)]
pub struct OwnKeys {
    /// A chain of certificates with its key.
    pub certificate: Option<CertifiedKey>,
    /// A key without certificate (RFC 7250), which the peer has to know.
    pub raw_key: Option<Arc<SigningKey>>,
}

/// Whom we believe. Nobody, by default.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Who may vouch for certificates.
    pub authorities: TrustedAuthorities,
    /// Raw public keys that we know.
    pub keys: TrustedKeys,
}

/// Whom to connect to, and as whom.
#[derive(Clone, Debug)]
pub struct Connect {
    /// The name of the server: is told to it (RFC 6066 §3), and its certificate has to be for it. An address is not told.
    /// Without a name any certificate of a trusted authority will do.
    pub server_name: Option<String>,
    /// Who we are, and whom we believe.
    pub credentials: ClientCredentials,
    /// Whether a session with this server is taken up again, and kept for that.
    pub resume: bool,
}

/// Who a client is, and whom it believes.
#[derive(Clone)]
#[non_exhaustive]
pub enum ClientCredentials {
    /// A key that both sides know (RFC 4279).
    Psk {
        /// The name of the key: at most 65,535 bytes, and servers may take 128 only.
        identity: Vec<u8>,
        /// The key.
        key: Zeroizing<Vec<u8>>,
    },
    /// Public keys, with or without certificates.
    Keys {
        /// Who we are; a server may not ask.
        own: OwnKeys,
        /// Whom we believe.
        trust: Arc<Trust>,
    },
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientCredentials::Psk { identity, .. } => {
                let identity = String::from_utf8_lossy(identity);
                write!(f, "Psk({identity:?})")
            }
            ClientCredentials::Keys { own, .. } => f.debug_tuple("Keys").field(own).finish(),
        }
    }
}

impl Connect {
    /// With a pre-shared key.
    #[must_use]
    pub fn with_psk(identity: &[u8], key: &[u8]) -> Connect {
        Connect {
            server_name: None,
            credentials: ClientCredentials::Psk {
                identity: identity.into(),
                key: Zeroizing::new(key.into()),
            },
            resume: true,
        }
    }

    /// With public keys.
    #[must_use]
    pub fn with_keys(own: OwnKeys, trust: Arc<Trust>) -> Connect {
        Connect {
            server_name: None,
            credentials: ClientCredentials::Keys { own, trust },
            resume: true,
        }
    }

    /// To a server of this name.
    #[must_use]
    pub fn to(self, server_name: &str) -> Connect {
        Connect {
            server_name: Some(server_name.into()),
            ..self
        }
    }

    /// What is offered to the server.
    pub(crate) fn suites(&self, config: &Config) -> Vec<Suite> {
        let with_psk = matches!(self.credentials, ClientCredentials::Psk { .. });
        let usable = |suite: &Suite| suite.is_psk() == with_psk;
        config.suites.iter().copied().filter(usable).collect()
    }

    /// The name as it is told to the server: addresses are not (RFC 6066 §3).
    pub(crate) fn told_name(&self) -> Option<&str> {
        let name = self.server_name.as_deref()?;
        let is_address = name.parse::<core::net::IpAddr>().is_ok();
        (!is_address).then_some(name)
    }
}

/// A key of ours in one of the forms in which it is shown.
#[derive(Clone, Copy)]
pub(crate) enum Shown<'a> {
    Certificate(&'a CertifiedKey),
    RawKey(&'a Arc<SigningKey>),
}

impl<'a> Shown<'a> {
    pub(crate) fn key(self) -> &'a Arc<SigningKey> {
        match self {
            Shown::Certificate(certified) => certified.key(),
            Shown::RawKey(key) => key,
        }
    }

    pub(crate) const fn certificate_type(self) -> u8 {
        match self {
            Shown::Certificate(_) => CERTIFICATE_TYPE_X509,
            Shown::RawKey(_) => CERTIFICATE_TYPE_RAW_PUBLIC_KEY,
        }
    }

    /// The body of a Certificate message.
    pub(crate) fn write(self, w: &mut Writer<'_>) {
        match self {
            Shown::Certificate(certified) => CertificateChain::write(certified.chain(), w),
            Shown::RawKey(key) => RawPublicKey(key.public_key_info()).write(w),
        }
    }
}

impl OwnKeys {
    /// The key in the form of this certificate type.
    pub(crate) fn shown_as(&self, certificate_type: u8) -> Option<Shown<'_>> {
        match certificate_type {
            CERTIFICATE_TYPE_X509 => self.certificate.as_ref().map(Shown::Certificate),
            CERTIFICATE_TYPE_RAW_PUBLIC_KEY => self.raw_key.as_ref().map(Shown::RawKey),
            _ => None,
        }
    }

    /// The certificate types that we have something for. The smaller comes first (RFC 7925 §4.3).
    pub(crate) fn types(&self) -> Vec<u8> {
        let has = |kind: &u8| self.shown_as(*kind).is_some();
        let kinds = [CERTIFICATE_TYPE_RAW_PUBLIC_KEY, CERTIFICATE_TYPE_X509];
        kinds.into_iter().filter(has).collect()
    }
}

/// A peer that we believe, as soon as it has signed with this key.
pub(crate) struct Believed {
    pub(crate) identity: Arc<Identity>,
    pub(crate) public_key_info: Vec<u8>,
}

impl Trust {
    /// Whether a certificate type is any use.
    pub(crate) fn takes(&self, certificate_type: u8) -> bool {
        match certificate_type {
            CERTIFICATE_TYPE_X509 => !self.authorities.is_empty(),
            CERTIFICATE_TYPE_RAW_PUBLIC_KEY => !self.keys.is_empty(),
            _ => false,
        }
    }

    /// The certificate types in which we believe somebody.
    pub(crate) fn types(&self) -> Vec<u8> {
        let kinds = [CERTIFICATE_TYPE_RAW_PUBLIC_KEY, CERTIFICATE_TYPE_X509];
        kinds.into_iter().filter(|kind| self.takes(*kind)).collect()
    }

    /// Judges a chain that a peer on `side` sent.
    pub(crate) fn judge_chain(
        &self,
        chain: CertificateChain<'_>,
        side: Side,
        server_name: Option<&str>,
        unix_time: Option<Duration>,
    ) -> Result<Believed, Failure> {
        let refused = |problem: CertificateProblem| {
            let alert = problem.alert();
            Failure::with_alert(Reason::Certificate(problem), alert)
        };
        let Some(unix_time) = unix_time else {
            let reason = "certificates need Config::unix_time";
            return Err(Failure::ours(Reason::Internal(reason)));
        };
        let verified = verify(chain.iter(), side, &self.authorities, server_name, unix_time);
        let verified = verified.map_err(refused)?;
        Ok(Believed {
            public_key_info: verified.public_key_info.clone(),
            identity: Arc::new(Identity::Certificate(verified.into())),
        })
    }

    /// Judges a raw public key.
    pub(crate) fn judge_key(&self, key: RawPublicKey<'_>) -> Result<Believed, Failure> {
        if !self.keys.contains(key.0) {
            return Err(Failure::ours(Reason::UntrustedKey));
        }
        Ok(Believed {
            identity: Arc::new(Identity::RawPublicKey(key.0.into())),
            public_key_info: key.0.into(),
        })
    }
}
