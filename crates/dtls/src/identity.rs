//! Who the peer is.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::certificates::CertificateIdentity;

/// What the handshake proved about the peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// It has the key of this identity (RFC 4279 §2). Of a server: the identity under which we are known to it.
    Psk(Vec<u8>),
    /// It has the private key to this SubjectPublicKeyInfo in DER, which we trust (RFC 7250).
    RawPublicKey(Vec<u8>),
    /// It has the private key of this certificate, which comes from an authority that we trust.
    Certificate(Box<CertificateIdentity>),
    /// A client that did not show who it is, where the server does not insist.
    Anonymous,
}
