//! A certificate of ours with its private key.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::crypto::{KeyError, SigningKey};

/// A chain of certificates, and the private key of the first.
#[derive(Clone, Debug)]
pub struct CertifiedKey {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<SigningKey>,
}

/// Why a chain and a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertifiedKeyError {
    /// There is no certificate in the text.
    Missing,
    /// The chain is not PEM, or broken off.
    Malformed,
    /// The first certificate cannot be read.
    Unreadable,
    /// The first certificate is for another key.
    OtherKey,
    /// The private key cannot be used.
    Key(KeyError),
}

impl fmt::Display for CertifiedKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CertifiedKeyError::Missing => "there is no certificate in it (CERTIFICATE)",
            CertifiedKeyError::Malformed => "the certificates are not PEM",
            CertifiedKeyError::Unreadable => "the first certificate cannot be read",
            CertifiedKeyError::OtherKey => "the first certificate belongs to another private key",
            CertifiedKeyError::Key(error) => return write!(f, "the private key: {error}"),
        })
    }
}

impl core::error::Error for CertifiedKeyError {}

impl CertifiedKey {
    /// Puts together a chain in DER, the certificate of `key` first, and then each the issuer of the one before
    /// (RFC 5246 §7.4.2). The root may be left out.
    ///
    /// # Errors
    /// See [`CertifiedKeyError`].
    pub fn from_der(chain: Vec<Vec<u8>>, key: Arc<SigningKey>) -> Result<CertifiedKey, CertifiedKeyError> {
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        CertifiedKey::new(chain, key)
    }

    /// Reads a chain and a private key, each from PEM; both may be in one text.
    ///
    /// # Errors
    /// See [`CertifiedKeyError`].
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, CertifiedKeyError> {
        let key = SigningKey::from_pem(key).map_err(CertifiedKeyError::Key)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        CertifiedKey::new(chain.map_err(|_| CertifiedKeyError::Malformed)?, Arc::new(key))
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: Arc<SigningKey>,
    ) -> Result<CertifiedKey, CertifiedKeyError> {
        let first = chain.first().ok_or(CertifiedKeyError::Missing)?;
        let parsed = webpki::EndEntityCert::try_from(first).map_err(|_| CertifiedKeyError::Unreadable)?;
        if parsed.subject_public_key_info().as_ref() != key.public_key_info() {
            return Err(CertifiedKeyError::OtherKey);
        }
        Ok(CertifiedKey { chain, key })
    }

    /// The certificates in DER, ours first.
    pub fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.chain.iter().map(CertificateDer::as_ref)
    }

    /// The private key.
    #[must_use]
    pub fn key(&self) -> &Arc<SigningKey> {
        &self.key
    }
}
