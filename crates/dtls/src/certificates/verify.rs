//! Checks a chain of certificates from the network (RFC 5280 §6) with `webpki`.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest, Sha256};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, Error, KeyUsage};

use super::problem::CertificateProblem;
use super::subject::common_name;
use super::trust::TrustedAuthorities;
use crate::crypto::{Side, SignatureScheme};

/// Whose certificate it is that was believed: what an application decides by, and no more, because each session keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct CertificateIdentity {
    /// The SHA-256 hash of the certificate.
    pub fingerprint: [u8; 32],
    /// The common name of its subject, where devices have their identifier (RFC 7925 §4.4.2).
    pub common_name: Option<String>,
    /// The host names and URIs of its subjectAltName.
    pub names: Vec<String>,
    /// Its public key, as SubjectPublicKeyInfo in DER.
    pub public_key_info: Vec<u8>,
}

impl CertificateIdentity {
    /// What stands in a certificate (DER) that somebody else has checked. `None` if it cannot be read.
    #[must_use]
    pub fn of_checked(certificate: &[u8]) -> Option<CertificateIdentity> {
        let der = CertificateDer::from(certificate);
        let certificate = EndEntityCert::try_from(&der).ok()?;
        Some(CertificateIdentity::new(&der, &certificate))
    }

    fn new(der: &CertificateDer<'_>, certificate: &EndEntityCert<'_>) -> CertificateIdentity {
        let names = certificate.valid_dns_names().chain(certificate.valid_uri_names());
        CertificateIdentity {
            fingerprint: Sha256::digest(der).into(),
            common_name: common_name(certificate.subject()),
            names: names.map(String::from).collect(),
            public_key_info: certificate.subject_public_key_info().to_vec(),
        }
    }
}

/// Checks the chain that a peer on `side` sent, its own certificate first. Of a server the name that we meant to reach
/// is looked for, if it is given; `unix_time` is since 1970.
///
/// # Errors
/// What is wrong with it. Signatures and paths that are tried have bounds (those of `webpki`).
pub(crate) fn verify<'c>(
    chain: impl IntoIterator<Item = &'c [u8]>,
    side: Side,
    authorities: &TrustedAuthorities,
    server_name: Option<&str>,
    unix_time: Duration,
) -> Result<CertificateIdentity, CertificateProblem> {
    let mut chain = chain.into_iter().map(CertificateDer::from);
    let first = chain.next().ok_or(CertificateProblem::Missing)?;
    let issuers: Vec<CertificateDer<'_>> = chain.collect();
    let problem = |error| CertificateProblem::from_webpki(error, side);
    let certificate = EndEntityCert::try_from(&first).map_err(problem)?;
    let usage = match side {
        Side::Client => KeyUsage::client_auth(),
        Side::Server => KeyUsage::server_auth(),
    };
    let path = certificate.verify_for_usage(
        ALL_VERIFICATION_ALGS,
        authorities.anchors(),
        &issuers,
        UnixTime::since_unix_epoch(unix_time),
        usage,
        None,
        None,
    );
    match path {
        Ok(_) => {}
        Err(Error::UnknownIssuer) if certificate.issuer() == certificate.subject() => {
            return Err(CertificateProblem::SelfSigned);
        }
        Err(error) => return Err(problem(error)),
    }
    if let Some(name) = server_name {
        check_name(&certificate, name, side)?;
    }
    let public_key_info = certificate.subject_public_key_info();
    SignatureScheme::of_public_key(&public_key_info).ok_or(CertificateProblem::UnsupportedKey)?;
    Ok(CertificateIdentity::new(&first, &certificate))
}

fn check_name(certificate: &EndEntityCert<'_>, name: &str, side: Side) -> Result<(), CertificateProblem> {
    let impossible = |_| CertificateProblem::ImpossibleName(name.into());
    let subject = ServerName::try_from(name).map_err(impossible)?;
    let matched = certificate.verify_is_valid_for_subject_name(&subject);
    matched.map_err(|error| match error {
        Error::CertNotValidForName(context) => CertificateProblem::wrong_name(name, &context.presented),
        error => CertificateProblem::from_webpki(error, side),
    })
}
