//! Why a certificate is not believed, in words that a user can act on.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::crypto::Side;
use crate::messages::alert::AlertDescription;

/// Why the certificate of a peer is not believed. Times are since 1970 (UTC, without leap seconds).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// The peer has sent none.
    Missing,
    /// It cannot be read.
    Malformed,
    /// It, or the certificate of an issuer, is not valid before this time.
    NotYetValid {
        /// When it begins to be valid.
        from: Duration,
        /// The time that it was held against.
        now: Duration,
    },
    /// It, or the certificate of an issuer, has expired.
    Expired {
        /// When it was valid for the last time.
        until: Duration,
    },
    /// It is signed by itself, and is not trusted.
    SelfSigned,
    /// Nobody who is trusted is in its chain.
    UnknownAuthority,
    /// It names an authority that is trusted, which did not sign it.
    BadSignature,
    /// It is for other names than that of the server.
    WrongName {
        /// Whom we meant to reach.
        expected: String,
        /// The names in it.
        presented: Vec<String>,
    },
    /// The name that we meant to reach can be in no certificate.
    ImpossibleName(String),
    /// Its extended key usage does not allow what it is used for: a client's or a server's certificate.
    WrongUsage {
        /// Whether it was used as a server's.
        as_server: bool,
    },
    /// It is an authority's, or an issuer's is not.
    WrongKind,
    /// Its key is neither of P-256 nor of Ed25519.
    UnsupportedKey,
    /// Something else, by the name that the library `webpki` has for it.
    Other(String),
}

impl CertificateProblem {
    /// The alert that tells the peer (RFC 5246 §7.2.2).
    pub(crate) fn alert(&self) -> AlertDescription {
        match self {
            CertificateProblem::Missing => AlertDescription::HANDSHAKE_FAILURE,
            CertificateProblem::Malformed
            | CertificateProblem::BadSignature
            | CertificateProblem::WrongName { .. } => AlertDescription::BAD_CERTIFICATE,
            CertificateProblem::NotYetValid { .. } | CertificateProblem::Expired { .. } => {
                AlertDescription::CERTIFICATE_EXPIRED
            }
            CertificateProblem::SelfSigned | CertificateProblem::UnknownAuthority => {
                AlertDescription::UNKNOWN_CA
            }
            CertificateProblem::WrongUsage { .. }
            | CertificateProblem::WrongKind
            | CertificateProblem::UnsupportedKey => AlertDescription::UNSUPPORTED_CERTIFICATE,
            CertificateProblem::ImpossibleName(_) | CertificateProblem::Other(_) => {
                AlertDescription::CERTIFICATE_UNKNOWN
            }
        }
    }

    /// The names that the library found instead of the expected one. It writes them with their kind around them.
    pub(super) fn wrong_name(expected: &str, presented: &[String]) -> CertificateProblem {
        let bare = |name: &String| {
            let inside = name.split_once('(').map_or(name.as_str(), |(_, inside)| inside);
            String::from(inside.trim_end_matches(')').trim_matches('"'))
        };
        CertificateProblem::WrongName {
            expected: expected.into(),
            presented: presented.iter().map(bare).collect(),
        }
    }

    /// What the library found, about a certificate of `side`.
    pub(super) fn from_webpki(error: webpki::Error, side: Side) -> CertificateProblem {
        use webpki::Error;
        match error {
            Error::BadDer | Error::BadDerTime | Error::MalformedExtensions | Error::TrailingData(_) => {
                CertificateProblem::Malformed
            }
            Error::CertExpired { not_after, .. } => CertificateProblem::Expired {
                until: Duration::from_secs(not_after.as_secs()),
            },
            Error::CertNotValidYet { not_before, time } => CertificateProblem::NotYetValid {
                from: Duration::from_secs(not_before.as_secs()),
                now: Duration::from_secs(time.as_secs()),
            },
            Error::UnknownIssuer => CertificateProblem::UnknownAuthority,
            Error::InvalidSignatureForPublicKey => CertificateProblem::BadSignature,
            Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
                CertificateProblem::WrongUsage {
                    as_server: side == Side::Server,
                }
            }
            Error::CaUsedAsEndEntity | Error::EndEntityUsedAsCa => CertificateProblem::WrongKind,
            other => CertificateProblem::Other(format!("{other:?}")),
        }
    }
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CertificateProblem::Missing => f.write_str("the peer has sent no certificate"),
            CertificateProblem::Malformed => f.write_str("the certificate cannot be read"),
            CertificateProblem::NotYetValid { from, now } => {
                write!(
                    f,
                    "the certificate is valid from {} on, and it is {}",
                    Date(*from),
                    Date(*now)
                )
            }
            CertificateProblem::Expired { until } => write!(f, "the certificate expired on {}", Date(*until)),
            CertificateProblem::SelfSigned => {
                f.write_str("the certificate is signed by itself, and not among those that are trusted")
            }
            CertificateProblem::UnknownAuthority => {
                f.write_str("the certificate comes from no authority that is trusted")
            }
            CertificateProblem::BadSignature => f.write_str(
                "the certificate names an authority that is trusted, but that one did not sign it",
            ),
            CertificateProblem::WrongName { expected, presented } if presented.is_empty() => {
                write!(
                    f,
                    "the certificate has no subjectAltName, so it is not for {expected}"
                )
            }
            CertificateProblem::WrongName { expected, presented } => {
                write!(
                    f,
                    "the certificate is not for {expected}, but for {}",
                    presented.join(", ")
                )
            }
            CertificateProblem::ImpossibleName(name) => {
                write!(
                    f,
                    "no certificate can be for {name:?}, which is neither a host name nor an address"
                )
            }
            CertificateProblem::WrongUsage { as_server: true } => {
                f.write_str("the certificate may not be used as a server's (extended key usage)")
            }
            CertificateProblem::WrongUsage { as_server: false } => {
                f.write_str("the certificate may not be used as a client's (extended key usage)")
            }
            CertificateProblem::WrongKind => f.write_str(
                "the certificate of an authority stands where another belongs, or the other way around",
            ),
            CertificateProblem::UnsupportedKey => {
                f.write_str("the key of the certificate is neither of P-256 nor of Ed25519")
            }
            CertificateProblem::Other(what) => write!(f, "the certificate is not believed: {what}"),
        }
    }
}

impl core::error::Error for CertificateProblem {}

/// A time since 1970 as date and time of day (RFC 3339).
struct Date(Duration);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (mut days, mut year) = (seconds / 86_400, 1970);
        while days >= days_of_year(year) && year < 10_000 {
            days -= days_of_year(year);
            year += 1;
        }
        let february = if days_of_year(year) == 366 { 29 } else { 28 };
        let mut month = 1;
        for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
            if days < length {
                break;
            }
            days -= length;
            month += 1;
        }
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z",
            days + 1
        )
    }
}

fn days_of_year(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if leap { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_000_000_000, "2001-09-09T01:46:40Z"),
            (1_704_067_199, "2023-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(Date(Duration::from_secs(seconds)).to_string(), expected);
        }
    }
}
