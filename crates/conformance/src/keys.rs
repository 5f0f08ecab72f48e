//! The keys of the tests of DTLS (`TD_COAP_DTLS_*`). Everybody knows them: they protect nothing.

use std::fmt;

use coracle_dtls::{AuthorityError, KeyError, Secret, SigningKey, TrustedKeys};

/// The identity of the pre-shared key of the plugtests.
pub const IDENTITY: &str = "password";

/// The pre-shared key of the plugtests.
pub const KEY: &str = "sesame";

/// The private key of clients, RPK_C.
pub const CLIENT_KEY: &str = include_str!("../data/keys/client-key.pem");

/// Its public key.
pub const CLIENT: &str = include_str!("../data/keys/client.pem");

/// The private key of servers, RPK_S.
pub const SERVER_KEY: &str = include_str!("../data/keys/server-key.pem");

/// Its public key.
pub const SERVER: &str = include_str!("../data/keys/server.pem");

/// By what the judge proves itself to servers, and whom it believes.
#[derive(Clone)]
pub struct Keys {
    /// The identity of the pre-shared key.
    pub identity: Vec<u8>,
    /// The pre-shared key.
    pub key: Secret,
    /// The judge's own private key, in PEM.
    pub own: Secret,
    /// The raw public keys of the server, in PEM.
    pub trusted: Vec<u8>,
}

impl Default for Keys {
    fn default() -> Keys {
        Keys {
            identity: IDENTITY.into(),
            key: Secret::new(KEY.into()),
            own: Secret::new(CLIENT_KEY.into()),
            trusted: SERVER.into(),
        }
    }
}

/// Keys are shown to nobody.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

/// A private key.
///
/// # Errors
/// What is wrong with the PEM.
pub fn private(pem: &[u8]) -> Result<SigningKey, KeyError> {
    SigningKey::from_pem(pem)
}

/// Public keys, at least one.
///
/// # Errors
/// What is wrong with the PEM.
pub fn public(pem: &[u8]) -> Result<TrustedKeys, AuthorityError> {
    let mut keys = TrustedKeys::default();
    keys.add_pem(pem)?;
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_halves_of_the_keys_belong_together() {
        for (own, shown) in [(CLIENT_KEY, CLIENT), (SERVER_KEY, SERVER)] {
            let own = private(own.as_bytes()).unwrap();
            assert!(public(shown.as_bytes()).unwrap().contains(own.public_key_info()));
        }
    }
}
