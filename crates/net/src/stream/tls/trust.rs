//! Whom to believe: those whose certificate is signed by an authority, as the library has it, and those whose very
//! certificate was named, as people do with one that signed itself. Of such a one nobody's signature has to be checked, so
//! that it may also be that of an authority, or have been signed by somebody who is not known here. Its time and what it is
//! for, and the name of a server, are checked as ever.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::credentials::{Authorities, TlsError};
use super::provider;

/// Believes servers.
#[derive(Debug)]
pub(super) struct Servers {
    signed: Arc<WebPkiServerVerifier>,
    named: Arc<[CertificateDer<'static>]>,
}

impl Servers {
    pub(super) fn new(authorities: Authorities) -> Result<Servers, TlsError> {
        let (roots, named) = authorities.into_parts();
        let signed = WebPkiServerVerifier::builder_with_provider(roots, provider()).build()?;
        Ok(Servers { signed, named })
    }
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.signed
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            Err(error) if self.named.contains(end_entity) && is_of_the_signer(&error) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}

/// Believes clients.
#[derive(Debug)]
pub(super) struct Clients {
    signed: Arc<dyn ClientCertVerifier>,
    named: Arc<[CertificateDer<'static>]>,
}

impl Clients {
    /// With `optional` those too that show nothing.
    pub(super) fn new(authorities: Authorities, optional: bool) -> Result<Clients, TlsError> {
        let (roots, named) = authorities.into_parts();
        let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
        if optional {
            builder = builder.allow_unauthenticated();
        }
        Ok(Clients {
            signed: builder.build()?,
            named,
        })
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.signed.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.signed.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.signed.verify_client_cert(end_entity, intermediates, now);
        match verified {
            Err(error) if self.named.contains(end_entity) && is_of_the_signer(&error) => {
                Ok(ClientCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}

/// Whether all that is wrong is who signed. The library looks at the time before, so that a certificate whose time is over
/// has another error.
fn is_of_the_signer(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(
            CertificateError::UnknownIssuer
            | CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
        ) => true,
        Error::InvalidCertificate(error) => is_an_authority(error),
        _ => false,
    }
}

/// Whether it is an authority that shows its certificate as its own. The library has no word of its own for this.
pub(super) fn is_an_authority(error: &CertificateError) -> bool {
    matches!(error, CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity"))
}
