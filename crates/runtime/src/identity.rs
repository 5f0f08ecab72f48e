//! Who peers are, from those who checked it to those who want to know.

use coracle_dtls::CertificateIdentity;
use coracle_router::{Certificate, Identity};

/// By a certificate.
pub(crate) fn of_certificate(shown: CertificateIdentity) -> Identity {
    let certificate = Certificate::default()
        .with_key(shown.fingerprint, shown.public_key_info)
        .with_common_name(shown.common_name)
        .with_names(shown.names);
    Identity::certificate(certificate)
}
