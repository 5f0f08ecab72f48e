//! Signatures of ServerKeyExchange and CertificateVerify (RFC 5246 §7.4.1.4.1, RFC 8422 §5): ECDSA with P-256 and
//! SHA-256, and Ed25519. Public keys are SubjectPublicKeyInfo in DER, as in certificates and raw keys (RFC 7250 §3).

use alloc::vec::Vec;
use core::fmt;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    UnparsedPublicKey,
};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::Rejected;

/// How something is signed, with the number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum SignatureScheme {
    /// ECDSA with the curve secp256r1 and SHA-256: what RFC 7925 §4.4 wants.
    EcdsaSecp256r1Sha256 = 0x0403,
    /// Ed25519 (RFC 8422 §5.1.3).
    Ed25519 = 0x0807,
}

impl SignatureScheme {
    /// All schemes, in the order in which they are offered.
    pub const ALL: [SignatureScheme; 2] = [SignatureScheme::EcdsaSecp256r1Sha256, SignatureScheme::Ed25519];

    pub(crate) fn from_u16(id: u16) -> Option<SignatureScheme> {
        Self::ALL.into_iter().find(|scheme| scheme.id() == id)
    }

    pub(crate) const fn id(self) -> u16 {
        self as u16
    }

    /// The scheme for which a public key is, in the one form that each has in DER; `None` for other keys.
    pub(crate) fn of_public_key(info: &[u8]) -> Option<SignatureScheme> {
        Self::ALL.into_iter().find(|scheme| {
            let key = info.strip_prefix(scheme.info_prefix());
            key.is_some_and(|key| key.len() == scheme.key_len())
        })
    }

    /// What comes before the key in its SubjectPublicKeyInfo (RFC 5480 §2.1, RFC 8410 §4). For P-256 that includes the
    /// mark of an uncompressed point, the only form that is allowed (RFC 8422 §5.1.2).
    fn info_prefix(self) -> &'static [u8] {
        match self {
            SignatureScheme::EcdsaSecp256r1Sha256 => &[
                0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
                0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
            ],
            SignatureScheme::Ed25519 => &[
                0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
            ],
        }
    }

    fn key_len(self) -> usize {
        match self {
            SignatureScheme::EcdsaSecp256r1Sha256 => 64,
            SignatureScheme::Ed25519 => 32,
        }
    }
}

/// Checks a signature by a public key that came from the network.
///
/// # Errors
/// The key is for another scheme or no key at all, or the signature is not of this message by this key.
pub(crate) fn verify(
    scheme: SignatureScheme,
    public_key_info: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), Rejected> {
    if SignatureScheme::of_public_key(public_key_info) != Some(scheme) {
        return Err(Rejected);
    }
    let verified = match scheme {
        SignatureScheme::EcdsaSecp256r1Sha256 => {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public_key_info).verify(message, signature)
        }
        SignatureScheme::Ed25519 => {
            UnparsedPublicKey::new(&ED25519, public_key_info).verify(message, signature)
        }
    };
    verified.map_err(|_| Rejected)
}

/// Why a private key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// There is no private key in the text.
    Missing,
    /// Not PEM, or broken off.
    Malformed,
    /// Neither a key of P-256 nor of Ed25519, or parts of it contradict each other.
    Unsupported,
    /// The library could not make a key.
    Failed,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyError::Missing => "there is no private key in it (PRIVATE KEY or EC PRIVATE KEY)",
            KeyError::Malformed => "it is not PEM",
            KeyError::Unsupported => "it is not a private key of P-256 or Ed25519",
            KeyError::Failed => "the key could not be made",
        })
    }
}

impl core::error::Error for KeyError {}

/// A private key that signs, with its public key: for raw public keys and for certificates.
pub struct SigningKey {
    pair: Pair,
    public_key_info: Vec<u8>,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// Reads the first private key of a PEM text: PKCS#8 (`PRIVATE KEY`) or SEC1 (`EC PRIVATE KEY`), not encrypted.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_pem(text: &[u8]) -> Result<SigningKey, KeyError> {
        let key = PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
            rustls_pki_types::pem::Error::NoItemsFound => KeyError::Missing,
            _ => KeyError::Malformed,
        })?;
        let key = Zeroizing::new(key);
        SigningKey::from_der(key.secret_der())
    }

    /// Reads a private key in DER: PKCS#8 or SEC1, not encrypted.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`].
    pub fn from_der(der: &[u8]) -> Result<SigningKey, KeyError> {
        let ecdsa = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, der).map(Pair::Ecdsa);
        let pair = ecdsa.or_else(|_| Ed25519KeyPair::from_pkcs8(der).map(Pair::Ed25519));
        SigningKey::new(pair.map_err(|_| KeyError::Unsupported)?)
    }

    /// Makes a new key, with the randomness of the library.
    ///
    /// # Errors
    /// [`KeyError::Failed`].
    pub fn generate(scheme: SignatureScheme) -> Result<SigningKey, KeyError> {
        let pair = match scheme {
            SignatureScheme::EcdsaSecp256r1Sha256 => {
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map(Pair::Ecdsa)
            }
            SignatureScheme::Ed25519 => Ed25519KeyPair::generate().map(Pair::Ed25519),
        };
        SigningKey::new(pair.map_err(|_| KeyError::Failed)?)
    }

    fn new(pair: Pair) -> Result<SigningKey, KeyError> {
        let info = match &pair {
            Pair::Ecdsa(pair) => AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()),
            Pair::Ed25519(pair) => AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()),
        };
        let public_key_info = info.map_err(|_| KeyError::Failed)?.as_ref().to_vec();
        Ok(SigningKey {
            pair,
            public_key_info,
        })
    }

    /// The private key as PKCS#8 in DER.
    ///
    /// # Errors
    /// [`KeyError::Failed`].
    pub fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let document = match &self.pair {
            Pair::Ecdsa(pair) => pair.to_pkcs8v1(),
            Pair::Ed25519(pair) => pair.to_pkcs8v1(),
        };
        let document = document.map_err(|_| KeyError::Failed)?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// The public key as SubjectPublicKeyInfo in DER: what a peer trusts that knows raw public keys (RFC 7250 §3).
    #[must_use]
    pub fn public_key_info(&self) -> &[u8] {
        &self.public_key_info
    }

    /// How this key signs.
    #[must_use]
    pub fn scheme(&self) -> SignatureScheme {
        match self.pair {
            Pair::Ecdsa(_) => SignatureScheme::EcdsaSecp256r1Sha256,
            Pair::Ed25519(_) => SignatureScheme::Ed25519,
        }
    }

    /// # Errors
    /// The library fails, which it does for want of memory only.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Rejected> {
        let signature = match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&SystemRandom::new(), message),
            Pair::Ed25519(pair) => pair.try_sign(message),
        };
        Ok(signature.map_err(|_| Rejected)?.as_ref().to_vec())
    }
}

impl fmt::Debug for SigningKey {
    /// Tells what is public.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("scheme", &self.scheme())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hex;

    /// RFC 8410 §10.3: a private key of Ed25519 and, in §10.1, its public key.
    const ED25519_PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    const ED25519_PUBLIC: &str =
        "302a300506032b657003210019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

    #[test]
    fn a_published_key_is_read_and_shows_its_public_key() {
        let key = SigningKey::from_pem(ED25519_PEM.as_bytes()).unwrap();
        assert_eq!(key.scheme(), SignatureScheme::Ed25519);
        assert_eq!(key.public_key_info(), hex(ED25519_PUBLIC));
    }

    /// RFC 8032 §7.1, test 2.
    #[test]
    fn ed25519_gives_the_known_answer() {
        let seed = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let der = [hex("302e020100300506032b657004220420"), seed].concat();
        let key = SigningKey::from_der(&der).unwrap();
        let signature = key.sign(&[0x72]).unwrap();
        let expected = hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
        assert_eq!(signature, expected);
    }

    /// RFC 6979 §A.2.5: the key of P-256 and its signature of "sample" with SHA-256.
    #[test]
    fn a_published_signature_of_p256_is_accepted() {
        let info = [
            hex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"),
            hex("60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"),
            hex("7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"),
        ]
        .concat();
        let mut signature = [
            hex("3046022100"),
            hex("efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"),
            hex("022100"),
            hex("f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"),
        ]
        .concat();
        let scheme = SignatureScheme::EcdsaSecp256r1Sha256;
        assert_eq!(verify(scheme, &info, b"sample", &signature), Ok(()));
        assert_eq!(verify(scheme, &info, b"samplf", &signature), Err(Rejected));
        assert_eq!(
            verify(SignatureScheme::Ed25519, &info, b"sample", &signature),
            Err(Rejected)
        );
        signature[40] ^= 1;
        assert_eq!(verify(scheme, &info, b"sample", &signature), Err(Rejected));
    }

    #[test]
    fn what_a_new_key_signs_verifies_under_its_public_key_alone() {
        for scheme in SignatureScheme::ALL {
            let (key, other) = (
                SigningKey::generate(scheme).unwrap(),
                SigningKey::generate(scheme).unwrap(),
            );
            let signature = key.sign(b"message").unwrap();
            assert_eq!(
                verify(scheme, key.public_key_info(), b"message", &signature),
                Ok(())
            );
            assert_eq!(
                verify(scheme, other.public_key_info(), b"message", &signature),
                Err(Rejected)
            );
            assert_eq!(
                verify(scheme, key.public_key_info(), b"messagf", &signature),
                Err(Rejected)
            );
            let again = SigningKey::from_der(&key.to_pkcs8_der().unwrap()).unwrap();
            assert_eq!(again.public_key_info(), key.public_key_info());
            assert_eq!(SignatureScheme::from_u16(scheme.id()), Some(scheme));
        }
    }

    #[test]
    fn keys_are_taken_in_one_form_only() {
        let key = SigningKey::generate(SignatureScheme::EcdsaSecp256r1Sha256).unwrap();
        let info = key.public_key_info();
        assert_eq!(SignatureScheme::of_public_key(info), Some(key.scheme()));
        let signature = key.sign(b"m").unwrap();
        // The bare point, which the library would take as well.
        assert_eq!(verify(key.scheme(), &info[26..], b"m", &signature), Err(Rejected));
        for len in 0..info.len() {
            assert_eq!(SignatureScheme::of_public_key(&info[..len]), None);
        }
        assert_eq!(SignatureScheme::of_public_key(&[info, &[0]].concat()), None);
    }

    #[test]
    fn what_is_no_key_of_ours_is_told_in_words() {
        assert_eq!(SigningKey::from_pem(b"").unwrap_err(), KeyError::Missing);
        let certificate = ED25519_PEM.replace("PRIVATE KEY", "CERTIFICATE");
        assert_eq!(
            SigningKey::from_pem(certificate.as_bytes()).unwrap_err(),
            KeyError::Missing
        );
        let broken = ED25519_PEM.replace("MC4C", "M!4C");
        assert_eq!(
            SigningKey::from_pem(broken.as_bytes()).unwrap_err(),
            KeyError::Malformed
        );
        assert_eq!(
            SigningKey::from_der(b"no key").unwrap_err(),
            KeyError::Unsupported
        );
    }
}
