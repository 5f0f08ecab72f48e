//! Suites, keys and signatures: the arithmetic of libraries under the names of the RFCs.

mod aead;
mod ecdhe;
mod prf;
mod signature;
mod suite;
mod transcript;

pub(crate) use aead::{DirectionKeys, ExplicitNonce};
pub(crate) use ecdhe::{EphemeralKey, Group};
#[cfg(test)]
pub(crate) use prf::Keys;
pub(crate) use prf::{MasterSecret, psk_premaster};
pub(crate) use signature::verify;
pub use signature::{KeyError, SignatureScheme, SigningKey};
pub(crate) use suite::AeadKind;
pub use suite::Suite;
pub(crate) use transcript::Transcript;

/// A side of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// A key, signature or ciphertext is not what it should be. More is not to be known: it would help who guesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rejected;

/// Bytes from hexadecimal digits; blanks are skipped.
#[cfg(test)]
pub(crate) fn hex(digits: &str) -> alloc::vec::Vec<u8> {
    let values: alloc::vec::Vec<u8> = digits
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(|value| u8::try_from(value).unwrap())
        .collect();
    values.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}
