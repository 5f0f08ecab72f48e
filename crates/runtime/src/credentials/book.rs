//! Credentials as they are at one time.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use coracle_dtls::{CertifiedKey, SigningKey, TrustedAuthorities, TrustedKeys};
use coracle_router::{Certificate, Identity};
use coracle_wire::{Method, Options};
use zeroize::Zeroizing;

use super::rules::{Rules, wildcard};

/// A key that is overwritten when it is no longer used.
pub(crate) type Secret = Zeroizing<Vec<u8>>;

/// All of it.
#[derive(Clone, Default)]
pub(crate) struct Book {
    /// What we show to everybody, and whom we believe.
    pub(crate) own: Proofs,
    /// Which key clients are to use.
    pub(crate) psk_hint: Option<String>,
    /// Clients need not prove who they are.
    pub(crate) takes_anonymous: bool,
    psks: HashMap<Vec<u8>, Psk>,
    /// What those with a raw public key may do, by the key.
    pub(super) keys: HashMap<Vec<u8>, Option<Rules>>,
    /// The same of certificates by their names; the first that fits.
    pub(super) certificates: Vec<(String, Option<Rules>)>,
    pub(super) anonymous: Option<Rules>,
    /// Anybody's rights are limited.
    pub(super) has_rules: bool,
    /// What is used as a client of servers by their URIs; the first that fits.
    pub(super) servers: Vec<(String, Proofs)>,
    pub(super) warnings: Vec<String>,
}

/// What one side shows, and whom it believes.
#[derive(Clone, Default)]
pub(crate) struct Proofs {
    /// Identity and key, of a client.
    pub(crate) psk: Option<(Vec<u8>, Secret)>,
    pub(crate) certificate: Option<CertifiedKey>,
    pub(crate) raw_key: Option<Arc<SigningKey>>,
    pub(crate) authorities: TrustedAuthorities,
    pub(crate) trusted_keys: TrustedKeys,
}

impl Proofs {
    /// Whether there is a server that could be believed without a pre-shared key.
    pub(crate) fn believes_anybody(&self) -> bool {
        !self.authorities.is_empty() || !self.trusted_keys.is_empty()
    }

    pub(super) fn set_psk(&mut self, identity: &[u8], key: &[u8]) {
        self.psk = Some((identity.to_vec(), Zeroizing::new(key.to_vec())));
    }
}

#[derive(Clone)]
struct Psk {
    key: Secret,
    rules: Option<Rules>,
}

/// Why a request is not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Who asks has proved nothing, and would have to.
    Anonymous,
    /// Who asks may not do this.
    Forbidden,
}

/// What somebody may do.
enum Rights<'b> {
    All,
    These(&'b Rules),
    None,
}

impl<'b> From<&'b Option<Rules>> for Rights<'b> {
    fn from(rules: &'b Option<Rules>) -> Rights<'b> {
        rules.as_ref().map_or(Rights::All, Rights::These)
    }
}

impl Book {
    /// Tells whether the identity is new.
    pub(super) fn add_psk(&mut self, identity: &[u8], key: &[u8], rules: Option<Rules>) -> bool {
        let key = Zeroizing::new(key.to_vec());
        let known = self.psks.insert(identity.to_vec(), Psk { key, rules });
        known.is_none()
    }

    /// The key of an identity.
    pub(crate) fn psk(&self, identity: &[u8]) -> Option<&[u8]> {
        self.psks.get(identity).map(|psk| psk.key.as_slice())
    }

    /// Whether the key by which a peer has proved itself is still the same. Of certificates nobody can tell without them.
    pub(crate) fn still_believes(&self, before: &Book, peer: &Identity) -> bool {
        match peer {
            Identity::Psk(identity) => {
                let key = self.psk(identity);
                key.is_some() && key == before.psk(identity)
            }
            Identity::RawPublicKey(key) => self.own.trusted_keys.contains(key),
            _ => self.own.believes_anybody(),
        }
    }

    /// Whether there are pre-shared keys of clients.
    pub(crate) fn has_psks(&self) -> bool {
        !self.psks.is_empty()
    }

    /// Whether a server can prove itself to anybody with these.
    pub(crate) fn serves(&self) -> bool {
        self.has_psks() || self.own.certificate.is_some() || self.own.raw_key.is_some()
    }

    /// What is used as a client of `origin`, such as `coaps://host:5684`.
    pub(crate) fn proofs_for(&self, origin: &str) -> &Proofs {
        let short = origin.strip_suffix(":5684").unwrap_or(origin);
        let fits = |pattern: &str| wildcard(pattern, origin) || wildcard(pattern, short);
        let entry = self.servers.iter().find(|(pattern, _)| fits(pattern));
        entry.map_or(&self.own, |(_, proofs)| proofs)
    }

    /// Whether a request of this peer may be run.
    pub(super) fn admit(
        &self,
        peer: Option<&Identity>,
        method: Method,
        options: Options<'_>,
    ) -> Result<(), Refusal> {
        let (rights, refusal) = match peer {
            None => (self.rights_of_anonymous(), Refusal::Anonymous),
            Some(peer) => (self.rights_of(peer), Refusal::Forbidden),
        };
        let may = match rights {
            Rights::All => true,
            Rights::These(rules) => rules.allow(method, options),
            Rights::None => false,
        };
        if may { Ok(()) } else { Err(refusal) }
    }

    fn rights_of_anonymous(&self) -> Rights<'_> {
        match &self.anonymous {
            Some(rules) => Rights::These(rules),
            None if self.has_rules => Rights::None,
            None => Rights::All,
        }
    }

    fn rights_of(&self, peer: &Identity) -> Rights<'_> {
        match peer {
            // Whose key was taken away may do nothing, though the session is still there.
            Identity::Psk(identity) => self
                .psks
                .get(&identity[..])
                .map_or(Rights::None, |psk| (&psk.rules).into()),
            Identity::RawPublicKey(key) if self.own.trusted_keys.contains(key) => {
                self.keys.get(&key[..]).map_or(Rights::All, Rights::from)
            }
            Identity::Certificate(certificate) => self.rights_of_certificate(certificate),
            _ => Rights::None,
        }
    }

    fn rights_of_certificate(&self, certificate: &Certificate) -> Rights<'_> {
        if self.certificates.is_empty() {
            return Rights::All;
        }
        let names = || certificate.common_name.iter().chain(&certificate.names);
        let fits = |pattern: &str| names().any(|name| wildcard(pattern, name));
        let entry = self.certificates.iter().find(|(pattern, _)| fits(pattern));
        entry.map_or(Rights::None, |(_, rules)| rules.into())
    }
}

/// Tells how much there is, and nothing of it.
impl fmt::Debug for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("psks", &self.psks.len())
            .field("raw_public_keys", &self.keys.len())
            .field("certificate", &self.own.certificate.is_some())
            .field("raw_key", &self.own.raw_key.is_some())
            .field("servers", &self.servers.len())
            .finish_non_exhaustive()
    }
}
