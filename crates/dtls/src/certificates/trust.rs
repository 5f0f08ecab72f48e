//! Whom we trust: authorities that sign certificates, and public keys by themselves.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer, TrustAnchor};

use crate::crypto::SignatureScheme;

/// Authorities whose certificates we believe. A certificate that is in here itself, and is no authority, is believed
/// too.
#[derive(Clone, Debug, Default)]
pub struct TrustedAuthorities {
    anchors: Vec<TrustAnchor<'static>>,
}

/// Why an authority or a key cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthorityError {
    /// There is nothing of the kind in the text.
    Missing,
    /// Not PEM, or broken off.
    Malformed,
    /// What is at this place, counted from 0, cannot be read as a certificate, or is no key of P-256 or Ed25519.
    Unreadable(usize),
}

impl fmt::Display for AuthorityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuthorityError::Missing => {
                f.write_str("there is nothing to trust in it (CERTIFICATE or PUBLIC KEY)")
            }
            AuthorityError::Malformed => f.write_str("it is not PEM"),
            AuthorityError::Unreadable(index) => write!(f, "number {} in it cannot be used", index + 1),
        }
    }
}

impl core::error::Error for AuthorityError {}

impl TrustedAuthorities {
    /// Trusts a certificate in DER. Whether it is still valid is not asked.
    ///
    /// # Errors
    /// [`AuthorityError::Unreadable`].
    pub fn add_der(&mut self, certificate: &[u8]) -> Result<(), AuthorityError> {
        let certificate = CertificateDer::from(certificate);
        let anchor =
            webpki::anchor_from_trusted_cert(&certificate).map_err(|_| AuthorityError::Unreadable(0))?;
        self.anchors.push(anchor.to_owned());
        Ok(())
    }

    /// Trusts all certificates of a PEM text, or none if one of them cannot be used. Tells how many.
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn add_pem(&mut self, text: &[u8]) -> Result<usize, AuthorityError> {
        let mut added = TrustedAuthorities::default();
        for (index, certificate) in CertificateDer::pem_slice_iter(text).enumerate() {
            let certificate = certificate.map_err(|_| AuthorityError::Malformed)?;
            let add = added.add_der(&certificate);
            add.map_err(|_| AuthorityError::Unreadable(index))?;
        }
        let count = added.anchors.len();
        self.anchors.append(&mut added.anchors);
        if count == 0 {
            Err(AuthorityError::Missing)
        } else {
            Ok(count)
        }
    }

    /// Whether nobody is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    pub(super) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }
}

/// Public keys that we know: of raw public keys one must be in here (RFC 7250 §6).
#[derive(Clone, Debug, Default)]
pub struct TrustedKeys {
    keys: BTreeSet<Box<[u8]>>,
}

impl TrustedKeys {
    /// Trusts a key, given as SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// [`AuthorityError::Unreadable`] if it is no key of P-256 or Ed25519.
    pub fn add_der(&mut self, public_key_info: &[u8]) -> Result<(), AuthorityError> {
        SignatureScheme::of_public_key(public_key_info).ok_or(AuthorityError::Unreadable(0))?;
        self.keys.insert(public_key_info.into());
        Ok(())
    }

    /// Trusts all keys of a PEM text (`PUBLIC KEY`), or none if one of them cannot be used. Tells how many.
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn add_pem(&mut self, text: &[u8]) -> Result<usize, AuthorityError> {
        let mut added = TrustedKeys::default();
        let mut count = 0;
        for key in SubjectPublicKeyInfoDer::pem_slice_iter(text) {
            let key = key.map_err(|_| AuthorityError::Malformed)?;
            let add = added.add_der(&key);
            add.map_err(|_| AuthorityError::Unreadable(count))?;
            count += 1;
        }
        self.keys.append(&mut added.keys);
        if count == 0 {
            Err(AuthorityError::Missing)
        } else {
            Ok(count)
        }
    }

    /// The keys, as SubjectPublicKeyInfo in DER.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.iter().map(|key| &**key)
    }

    /// Trusts all that the others are, too.
    pub fn extend(&mut self, others: &TrustedKeys) {
        self.keys.extend(others.keys.iter().cloned());
    }

    /// Whether this key is trusted.
    #[must_use]
    pub fn contains(&self, public_key_info: &[u8]) -> bool {
        self.keys.contains(public_key_info)
    }

    /// Whether no key is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}
