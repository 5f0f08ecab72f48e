//! Failures of TLS in words that help who has to do something about them.

use std::io;

use rustls::{
    AlertDescription, CertificateError, Error, ExtendedKeyPurpose, InvalidMessage, PeerIncompatible,
};

use super::trust::is_an_authority;

/// The same error in our words, if it is one of TLS.
pub(crate) fn explained(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return io::Error::new(
            error.kind(),
            "the peer ended the connection within the handshake of TLS",
        );
    }
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner.map(describe) {
        Some(text) => io::Error::new(error.kind(), text),
        None => error,
    }
}

pub(super) fn describe(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::NoCertificatesPresented => "the client shows no certificate, and has to".into(),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "the peer does not speak TLS".into(),
        Error::NoApplicationProtocol => {
            "the client offers other protocols only (ALPN): is it one for CoAP, and the right port?".into()
        }
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => {
            "there is no cipher suite that both sides have; ours are those with forward secrecy and AES-GCM or \
             ChaCha20-Poly1305"
                .into()
        }
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired,
        ) => OTHER_VERSIONS.into(),
        Error::AlertReceived(alert) => received(*alert),
        other => format!("TLS: {other}"),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            "the peer's certificate is signed by nobody who is trusted here; if it has an authority of its own, name \
             the file with that certificate"
                .into()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let expected = expected.to_str();
            if presented.is_empty() {
                return format!(
                    "the server's certificate is not for {expected}: it has no name in subjectAltName, and one in the \
                     subject (CN) does not count"
                );
            }
            let names: Vec<&str> = presented.iter().map(|name| name_in(name)).collect();
            format!("the server's certificate is for {}, not for {expected}", names.join(", "))
        }
        CertificateError::ExpiredContext { time, not_after } => format!(
            "the peer's certificate has expired {} ago",
            span(time.as_secs().saturating_sub(not_after.as_secs()))
        ),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the peer's certificate is valid only in {}: are the clocks right?",
            span(not_before.as_secs().saturating_sub(time.as_secs()))
        ),
        // The other authority may also have a key of another kind.
        CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "the peer's certificate is signed by another authority of the same name than the one that is trusted here: is \
             the file of the authority an old one?"
                .into()
        }
        CertificateError::BadEncoding => "the certificate is damaged".into(),
        CertificateError::InvalidPurposeContext { required, .. } => {
            let needed = match required {
                ExtendedKeyPurpose::ClientAuth => "clientAuth",
                _ => "serverAuth",
            };
            format!("the peer's certificate is made for other uses: its extendedKeyUsage is without {needed}")
        }
        // The library has no word of its own for this.
        CertificateError::Other(other) if format!("{other:?}").contains("UnsupportedCertVersion") => {
            "the certificate is of version 1, and version 3 is needed, which has extensions (`openssl x509 -req` makes one \
             with -extfile)"
                .into()
        }
        other if is_an_authority(other) => {
            "the peer shows the certificate of an authority as its own, which must sign others only".into()
        }
        other => format!("the certificate is not accepted: {other}"),
    }
}

fn received(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => "the peer wants a certificate of ours".into(),
        AlertDescription::UnknownCA => "the peer does not trust who signed our certificate".into(),
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::DecryptError
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked => {
            format!("the peer does not accept our certificate ({alert:?})")
        }
        AlertDescription::UnsupportedCertificate => {
            "the peer does not accept our certificate for this use: is its extendedKeyUsage without clientAuth?".into()
        }
        AlertDescription::ProtocolVersion => OTHER_VERSIONS.into(),
        AlertDescription::NoApplicationProtocol => {
            "the server speaks other protocols on this port (ALPN)".into()
        }
        AlertDescription::HandshakeFailure => {
            "the peer ended the handshake of TLS: no cipher suite or signature in common, or it wants a certificate \
             of ours"
                .into()
        }
        other => format!("the peer ended TLS: {other:?}"),
    }
}

const OTHER_VERSIONS: &str = "the peer offers no TLS 1.2 or 1.3";

/// A name of a certificate as the library shows it, `DnsName("localhost")`, without what is around it.
fn name_in(shown: &str) -> &str {
    let inner = shown.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(shown).trim_matches('"')
}

/// Seconds as a person says it.
fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_of_the_same_name_with_another_kind_of_key_is_told_as_another() {
        let other_key = CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id: vec![1],
            public_key_algorithm_id: vec![2],
        };
        let told = describe(&Error::InvalidCertificate(other_key));
        assert_eq!(
            told,
            describe(&Error::InvalidCertificate(CertificateError::BadSignature))
        );
    }

    #[test]
    fn what_the_library_has_no_words_for_is_told_in_ours() {
        let old = Error::PeerIncompatible(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig);
        assert_eq!(describe(&old), OTHER_VERSIONS);
        assert_eq!(
            describe(&Error::AlertReceived(AlertDescription::ProtocolVersion)),
            OTHER_VERSIONS
        );
        assert_eq!(name_in("DnsName(\"localhost\")"), "localhost");
        assert_eq!(name_in("IpAddress(::1)"), "::1");
        assert_eq!(name_in("something else"), "something else");
    }

    #[test]
    fn spans_are_told_in_a_unit_that_fits() {
        let told: Vec<String> = [1, 119, 120, 7_199, 7_200, 172_800].map(span).into();
        assert_eq!(
            told,
            [
                "1 second",
                "119 seconds",
                "2 minutes",
                "119 minutes",
                "2 hours",
                "2 days"
            ]
        );
    }
}
