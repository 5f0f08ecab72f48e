//! Who asks, as far as it was proved.

use std::fmt::{self, Write};
use std::sync::Arc;

/// Who the peer has proved itself to be when its session or connection began (RFC 7252 §9). Cheap to clone.
///
/// As an argument of a handler it is asked for: a request by a way without protection, or of a client that was not asked
/// to prove anything, is answered 4.01. `Option<Identity>` takes both.
///
/// ```
/// use coracle_router::{Identity, Router, get};
///
/// async fn who(identity: Identity) -> String {
///     format!("you are {identity}")
/// }
///
/// let app: Router = Router::new().route("/who", get(who));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Identity {
    /// By a pre-shared key: its identity (RFC 4279 §5), most often text.
    Psk(Arc<[u8]>),
    /// By a raw public key (RFC 7250): the key as SubjectPublicKeyInfo (DER).
    RawPublicKey(Arc<[u8]>),
    /// By a certificate that was checked.
    Certificate(Arc<Certificate>),
}

/// What is in a certificate that a peer has shown, and that was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Certificate {
    /// The SHA-256 hash of the certificate.
    pub fingerprint: [u8; 32],
    /// The common name of its subject, where devices have their identifier (RFC 7925 §4.4.2).
    pub common_name: Option<String>,
    /// The host names and URIs of its subjectAltName.
    pub names: Vec<String>,
    /// Its public key, as SubjectPublicKeyInfo (DER).
    pub public_key: Vec<u8>,
}

impl Certificate {
    /// With this common name.
    #[must_use]
    pub fn with_common_name(mut self, name: Option<String>) -> Certificate {
        self.common_name = name;
        self
    }

    /// With these names of its subjectAltName.
    #[must_use]
    pub fn with_names(mut self, names: Vec<String>) -> Certificate {
        self.names = names;
        self
    }

    /// With this hash, and this public key.
    #[must_use]
    pub fn with_key(mut self, fingerprint: [u8; 32], public_key: Vec<u8>) -> Certificate {
        self.fingerprint = fingerprint;
        self.public_key = public_key;
        self
    }
}

impl Identity {
    /// A pre-shared key's.
    #[must_use]
    pub fn psk(identity: impl AsRef<[u8]>) -> Identity {
        Identity::Psk(identity.as_ref().into())
    }

    /// A raw public key's, by its SubjectPublicKeyInfo (DER).
    #[must_use]
    pub fn raw_public_key(key: impl AsRef<[u8]>) -> Identity {
        Identity::RawPublicKey(key.as_ref().into())
    }

    /// A certificate's.
    #[must_use]
    pub fn certificate(certificate: Certificate) -> Identity {
        Identity::Certificate(Arc::new(certificate))
    }
}

/// For people, in one line whatever the peer has chosen: `psk gateway-1`, `raw public key ..1f20a3b4`,
/// `certificate sensor.example`.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::Psk(identity) => {
                f.write_str("psk ")?;
                harmless(f, &String::from_utf8_lossy(identity))
            }
            Identity::RawPublicKey(key) => {
                f.write_str("raw public key ..")?;
                // The key itself is at the end, behind what is the same for all of its kind.
                let end = key.get(key.len().saturating_sub(4)..).unwrap_or_default();
                end.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Identity::Certificate(certificate) => {
                f.write_str("certificate ")?;
                match certificate.common_name.as_ref().or(certificate.names.first()) {
                    Some(name) => harmless(f, name),
                    None => f.write_str("without a name"),
                }
            }
        }
    }
}

/// Text of a stranger's: what is no letter, digit or sign is escaped.
fn harmless(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for character in text.chars() {
        match character.is_control() {
            true => write!(f, "{}", character.escape_unicode())?,
            false => f.write_char(character)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_told_in_one_line() {
        assert_eq!(Identity::psk("gateway-1").to_string(), "psk gateway-1");
        assert_eq!(
            Identity::psk("a\nb\u{1b}[31m").to_string(),
            "psk a\\u{a}b\\u{1b}[31m"
        );
        assert_eq!(Identity::psk([0xff]).to_string(), "psk \u{fffd}");
        assert_eq!(
            Identity::raw_public_key([1, 2, 0x1f, 0x20, 0xa3, 0xb4]).to_string(),
            "raw public key ..1f20a3b4"
        );
        assert_eq!(Identity::raw_public_key([7]).to_string(), "raw public key ..07");
        let names = vec!["sensor.example".to_owned(), "other".to_owned()];
        let named = Certificate::default().with_names(names);
        assert_eq!(
            Identity::certificate(named.clone()).to_string(),
            "certificate sensor.example"
        );
        let common = Identity::certificate(named.with_common_name(Some("meter 7".to_owned())));
        assert_eq!(common.to_string(), "certificate meter 7");
        let nameless = Identity::certificate(Certificate::default());
        assert_eq!(nameless.to_string(), "certificate without a name");
    }
}
