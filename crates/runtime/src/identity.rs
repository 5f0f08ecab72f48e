//! Who peers are, from those who checked it to those who want to know.

use coracle_dtls::CertificateIdentity;
use coracle_router::{Certificate, Identity};

/// By a certificate.
pub(crate) fn of_certificate(shown: &CertificateIdentity) -> Identity {
    let certificate = Certificate::default()
        .with_key(shown.fingerprint, shown.public_key_info.clone())
        .with_common_name(shown.common_name.clone())
        .with_names(shown.names.clone());
    Identity::certificate(certificate)
}

/// Of a session; `None` if the peer has proved nothing about itself.
pub(crate) fn of_session(proved: &coracle_dtls::Identity) -> Option<Identity> {
    match proved {
        coracle_dtls::Identity::Psk(identity) => Some(Identity::psk(identity)),
        coracle_dtls::Identity::RawPublicKey(key) => Some(Identity::raw_public_key(key)),
        coracle_dtls::Identity::Certificate(certificate) => Some(of_certificate(certificate)),
        coracle_dtls::Identity::Anonymous => None,
    }
}
