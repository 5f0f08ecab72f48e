//! Why a handshake or a session ended, in words that a user can act on.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::certificates::CertificateProblem;
use crate::crypto::Suite;
use crate::messages::Malformed;
use crate::messages::alert::AlertDescription;

/// The end of a handshake or a session: who noticed, the alert on the wire, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Who found the fault.
    pub noticed_by: NoticedBy,
    /// The alert that was sent or received, if any.
    pub alert: Option<AlertDescription>,
    /// What is wrong.
    pub reason: Reason,
}

/// Who found the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticedBy {
    /// This side.
    Us,
    /// The other side, which sent an alert.
    Peer,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// A client's proof does not fit the key of its identity, or there is no such identity.
    WrongPsk {
        /// The identity that the client named.
        identity: Vec<u8>,
    },
    /// The server refused what our PSK proves.
    PskRefused,
    /// Nothing that both can do.
    NoCommonSuite {
        /// By the client, as numbers of the registry.
        offered: Vec<u16>,
        /// What the server could use.
        ours: Vec<Suite>,
    },
    /// No group of the client's is ours.
    NoCommonGroup,
    /// No form of certificate or raw key that both can do (RFC 7250 §4.2).
    NoCommonCertificateType,
    /// No signature scheme that the peer verifies is that of our key.
    NoCommonSignatureScheme,
    /// No protocol that the client offers is ours (RFC 7301 §3.2).
    NoCommonProtocol,
    /// The peer speaks another version only; its number as on the wire.
    Version(u16),
    /// The peer does not do the extended master secret, which `Config` requires (RFC 7627 §5).
    NoExtendedMasterSecret,
    /// Without RFC 5746, or with a renegotiation where there is nothing to renegotiate.
    Renegotiation,
    /// The bytes of a message do not have its form.
    Malformed {
        /// The message.
        message: &'static str,
        /// The first field that is wrong.
        field: &'static str,
    },
    /// A field has a value that it must not have here.
    IllegalParameter(&'static str),
    /// A message came that has no place here.
    Unexpected {
        /// What came.
        message: &'static str,
        /// What was waited for.
        awaited: &'static str,
    },
    /// A message is too large to be collected.
    TooLarge {
        /// The message.
        message: &'static str,
    },
    /// The messages that both sides saw differ, or the keys do.
    FinishedDiffers,
    /// The peer's signature is wrong.
    Signature,
    /// The peer's part of the key agreement is no point of the curve.
    KeyShare,
    /// The peer's certificate was not accepted.
    Certificate(CertificateProblem),
    /// The peer's raw public key is not among the trusted ones.
    UntrustedKey,
    /// The client showed nothing of itself, and the server insists.
    NoClientCertificate,
    /// No answer, however often we repeated what we had to say.
    TimedOut {
        /// What was waited for.
        awaited: &'static str,
    },
    /// The owner did not answer [`Event::PskWanted`](crate::Event::PskWanted) in time.
    LookupTimedOut,
    /// There were more handshakes under way than `Config` allows, and this one was the oldest.
    Crowded,
    /// The client began another handshake from the same address.
    BegunAnew,
    /// The peer says so; see the alert.
    Alert,
    /// There were more sessions than `Config` allows, and this one had been quiet for long.
    TooManySessions,
    /// This side cannot go on; a fault that is not the peer's.
    Internal(&'static str),
}

impl Failure {
    /// A fault that we found; `reason` decides on the alert.
    pub(crate) fn ours(reason: Reason) -> Failure {
        Failure {
            noticed_by: NoticedBy::Us,
            alert: reason.alert(),
            reason,
        }
    }

    pub(crate) fn with_alert(reason: Reason, alert: AlertDescription) -> Failure {
        Failure {
            noticed_by: NoticedBy::Us,
            alert: Some(alert),
            reason,
        }
    }

    pub(crate) fn malformed(message: &'static str, malformed: Malformed) -> Failure {
        let Malformed(field) = malformed;
        Failure::ours(Reason::Malformed { message, field })
    }

    pub(crate) fn illegal(what: &'static str) -> Failure {
        Failure::ours(Reason::IllegalParameter(what))
    }

    /// The peer sent a fatal alert. `with_psk`: our PSK was what it had to judge.
    pub(crate) fn theirs(alert: AlertDescription, with_psk: bool) -> Failure {
        let refuses_psk = matches!(
            alert,
            AlertDescription::DECRYPT_ERROR
                | AlertDescription::UNKNOWN_PSK_IDENTITY
                | AlertDescription::BAD_RECORD_MAC
        );
        let reason = if with_psk && refuses_psk {
            Reason::PskRefused
        } else {
            Reason::Alert
        };
        Failure {
            noticed_by: NoticedBy::Peer,
            alert: Some(alert),
            reason,
        }
    }
}

impl Reason {
    /// What goes on the wire (RFC 5246 §7.2.2, RFC 4279 §2).
    fn alert(&self) -> Option<AlertDescription> {
        Some(match self {
            Reason::WrongPsk { .. } | Reason::FinishedDiffers | Reason::Signature => {
                AlertDescription::DECRYPT_ERROR
            }
            Reason::NoCommonSuite { .. }
            | Reason::NoCommonGroup
            | Reason::NoCommonSignatureScheme
            | Reason::NoExtendedMasterSecret
            | Reason::Renegotiation
            | Reason::NoClientCertificate => AlertDescription::HANDSHAKE_FAILURE,
            Reason::NoCommonProtocol => AlertDescription::NO_APPLICATION_PROTOCOL,
            Reason::Version(_) => AlertDescription::PROTOCOL_VERSION,
            Reason::Malformed { .. } => AlertDescription::DECODE_ERROR,
            Reason::IllegalParameter(_) | Reason::KeyShare => AlertDescription::ILLEGAL_PARAMETER,
            Reason::Unexpected { .. } => AlertDescription::UNEXPECTED_MESSAGE,
            Reason::TooLarge { .. } | Reason::LookupTimedOut | Reason::Internal(_) => {
                AlertDescription::INTERNAL_ERROR
            }
            Reason::NoCommonCertificateType => AlertDescription::UNSUPPORTED_CERTIFICATE,
            Reason::Certificate(problem) => problem.alert(),
            Reason::UntrustedKey => AlertDescription::CERTIFICATE_UNKNOWN,
            Reason::PskRefused
            | Reason::TimedOut { .. }
            | Reason::Crowded
            | Reason::BegunAnew
            | Reason::Alert
            | Reason::TooManySessions => return None,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.reason, f)?;
        match (self.noticed_by, self.alert) {
            (NoticedBy::Us, Some(alert)) => write!(f, " (we sent the alert {alert})"),
            (NoticedBy::Peer, Some(alert)) => write!(f, " (the peer sent the alert {alert})"),
            (_, None) => Ok(()),
        }
    }
}

impl core::error::Error for Failure {}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::WrongPsk { identity } => {
                let identity = String::from_utf8_lossy(identity);
                write!(
                    f,
                    "the client's key for the PSK identity {identity:?} is wrong, or the identity unknown"
                )
            }
            Reason::NoCommonSuite { offered, ours } => no_common_suite(f, offered, ours),
            Reason::Version(version) => write!(
                f,
                "the peer speaks only version {version:#06x}, not DTLS 1.2 (0xfefd)"
            ),
            Reason::Malformed { message, field } => write!(f, "the field {field} of {message} is malformed"),
            Reason::IllegalParameter(what) => write!(f, "an illegal value: {what}"),
            Reason::Unexpected { message, awaited } => {
                write!(f, "{message} came while we waited for {awaited}")
            }
            Reason::TooLarge { message } => write!(f, "{message} is too large"),
            Reason::Certificate(problem) => fmt::Display::fmt(problem, f),
            Reason::TimedOut { awaited } => write!(f, "no answer: {awaited} did not come in time"),
            Reason::Internal(what) => write!(f, "this side cannot go on: {what}"),
            Reason::PskRefused => {
                f.write_str("the server does not know this PSK identity, or the key is wrong")
            }
            Reason::NoCommonGroup => f.write_str("no common group: we have x25519 and secp256r1"),
            Reason::NoCommonCertificateType => {
                f.write_str("neither certificates nor raw public keys are what both sides take")
            }
            Reason::NoCommonSignatureScheme => {
                f.write_str("the peer does not verify signatures of our kind of key")
            }
            Reason::NoCommonProtocol => f.write_str("no application protocol in common"),
            Reason::NoExtendedMasterSecret => {
                f.write_str("the peer does not do the extended master secret (RFC 7627), which is required")
            }
            Reason::Renegotiation => f.write_str("renegotiation, which this side never does"),
            Reason::FinishedDiffers => f.write_str("the two sides did not see the same handshake"),
            Reason::Signature => f.write_str("the peer's signature is wrong"),
            Reason::KeyShare => f.write_str("the peer's share of the key is no point of the curve"),
            Reason::UntrustedKey => f.write_str("the peer's public key is not among the trusted ones"),
            Reason::NoClientCertificate => {
                f.write_str("the client showed no certificate or key, which is required")
            }
            Reason::LookupTimedOut => f.write_str("the look-up of a PSK took too long"),
            Reason::Crowded => f.write_str("too many handshakes were under way; this one was the oldest"),
            Reason::BegunAnew => f.write_str("the client began another handshake from the same address"),
            Reason::Alert => f.write_str("the peer ended it"),
            Reason::TooManySessions => {
                f.write_str("there were too many sessions, and this one had been quiet for long")
            }
        }
    }
}

fn no_common_suite(f: &mut fmt::Formatter<'_>, offered: &[u16], ours: &[Suite]) -> fmt::Result {
    f.write_str("no common cipher suite: offered")?;
    for &id in offered {
        match Suite::from_u16(id) {
            Some(suite) => write!(f, " {suite}")?,
            None => write!(f, " {id:#06x}")?,
        }
    }
    f.write_str("; we have")?;
    ours.iter().try_for_each(|suite| write!(f, " {suite}"))
}
