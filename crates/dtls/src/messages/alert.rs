//! Alerts (RFC 5246 §7.2).

use super::Malformed;
use core::fmt;

/// The description of an alert, as the registry "TLS Alerts" numbers it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AlertDescription(pub u8);

#[allow(missing_docs, reason = "the names of the registry")]
impl AlertDescription {
    pub const CLOSE_NOTIFY: Self = Self(0);
    pub const UNEXPECTED_MESSAGE: Self = Self(10);
    pub const BAD_RECORD_MAC: Self = Self(20);
    pub const RECORD_OVERFLOW: Self = Self(22);
    pub const HANDSHAKE_FAILURE: Self = Self(40);
    pub const BAD_CERTIFICATE: Self = Self(42);
    pub const UNSUPPORTED_CERTIFICATE: Self = Self(43);
    pub const CERTIFICATE_REVOKED: Self = Self(44);
    pub const CERTIFICATE_EXPIRED: Self = Self(45);
    pub const CERTIFICATE_UNKNOWN: Self = Self(46);
    pub const ILLEGAL_PARAMETER: Self = Self(47);
    pub const UNKNOWN_CA: Self = Self(48);
    pub const ACCESS_DENIED: Self = Self(49);
    pub const DECODE_ERROR: Self = Self(50);
    pub const DECRYPT_ERROR: Self = Self(51);
    pub const PROTOCOL_VERSION: Self = Self(70);
    pub const INSUFFICIENT_SECURITY: Self = Self(71);
    pub const INTERNAL_ERROR: Self = Self(80);
    pub const USER_CANCELED: Self = Self(90);
    pub const NO_RENEGOTIATION: Self = Self(100);
    pub const UNSUPPORTED_EXTENSION: Self = Self(110);
    pub const UNRECOGNIZED_NAME: Self = Self(112);
    pub const UNKNOWN_PSK_IDENTITY: Self = Self(115);
    pub const NO_APPLICATION_PROTOCOL: Self = Self(120);

    /// The name in the registry, for those that this crate sends or explains.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::CLOSE_NOTIFY => "close_notify",
            Self::UNEXPECTED_MESSAGE => "unexpected_message",
            Self::BAD_RECORD_MAC => "bad_record_mac",
            Self::RECORD_OVERFLOW => "record_overflow",
            Self::HANDSHAKE_FAILURE => "handshake_failure",
            Self::BAD_CERTIFICATE => "bad_certificate",
            Self::UNSUPPORTED_CERTIFICATE => "unsupported_certificate",
            Self::CERTIFICATE_REVOKED => "certificate_revoked",
            Self::CERTIFICATE_EXPIRED => "certificate_expired",
            Self::CERTIFICATE_UNKNOWN => "certificate_unknown",
            Self::ILLEGAL_PARAMETER => "illegal_parameter",
            Self::UNKNOWN_CA => "unknown_ca",
            Self::ACCESS_DENIED => "access_denied",
            Self::DECODE_ERROR => "decode_error",
            Self::DECRYPT_ERROR => "decrypt_error",
            Self::PROTOCOL_VERSION => "protocol_version",
            Self::INSUFFICIENT_SECURITY => "insufficient_security",
            Self::INTERNAL_ERROR => "internal_error",
            Self::USER_CANCELED => "user_canceled",
            Self::NO_RENEGOTIATION => "no_renegotiation",
            Self::UNSUPPORTED_EXTENSION => "unsupported_extension",
            Self::UNRECOGNIZED_NAME => "unrecognized_name",
            Self::UNKNOWN_PSK_IDENTITY => "unknown_psk_identity",
            Self::NO_APPLICATION_PROTOCOL => "no_application_protocol",
            _ => return None,
        })
    }
}

impl fmt::Display for AlertDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "alert {}", self.0),
        }
    }
}

impl fmt::Debug for AlertDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const WARNING: u8 = 1;
const FATAL: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alert {
    pub(crate) is_fatal: bool,
    pub(crate) description: AlertDescription,
}

impl Alert {
    pub(crate) const fn fatal(description: AlertDescription) -> Self {
        Self {
            is_fatal: true,
            description,
        }
    }

    pub(crate) const fn warning(description: AlertDescription) -> Self {
        Self {
            is_fatal: false,
            description,
        }
    }

    pub(crate) const fn read(fragment: &[u8]) -> Result<Self, Malformed> {
        match fragment {
            &[level @ (WARNING | FATAL), description] => Ok(Self {
                is_fatal: level == FATAL,
                description: AlertDescription(description),
            }),
            _ => Err(Malformed("alert")),
        }
    }

    pub(crate) const fn to_bytes(self) -> [u8; 2] {
        [if self.is_fatal { FATAL } else { WARNING }, self.description.0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_and_written() {
        let alert = Alert::read(&[2, 51]).unwrap();
        assert_eq!(alert, Alert::fatal(AlertDescription::DECRYPT_ERROR));
        assert_eq!(alert.to_bytes(), [2, 51]);
        let close = Alert::warning(AlertDescription::CLOSE_NOTIFY);
        assert_eq!(close.to_bytes(), [1, 0]);
        for bytes in [&[][..], &[2], &[3, 0], &[0, 0], &[1, 0, 0]] {
            assert_eq!(Alert::read(bytes), Err(Malformed("alert")));
        }
        assert_eq!(
            alloc::format!("{}", AlertDescription(115)),
            "unknown_psk_identity"
        );
        assert_eq!(alloc::format!("{}", AlertDescription(200)), "alert 200");
    }
}
