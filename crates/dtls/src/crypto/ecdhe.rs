//! Ephemeral keys for ECDHE (RFC 8422 §5): secp256r1 and x25519.

use alloc::vec::Vec;

use aws_lc_rs::agreement::{self, Algorithm, ECDH_P256, PrivateKey, UnparsedPublicKey, X25519};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::Rejected;

/// A group for the key exchange, with its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Group {
    Secp256r1 = 23,
    X25519 = 29,
}

impl Group {
    /// All groups; the one that costs less comes first.
    pub(crate) const ALL: [Group; 2] = [Group::X25519, Group::Secp256r1];

    pub(crate) fn from_u16(id: u16) -> Option<Group> {
        Self::ALL.into_iter().find(|group| group.id() == id)
    }

    pub(crate) const fn id(self) -> u16 {
        self as u16
    }

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Group::Secp256r1 => &ECDH_P256,
            Group::X25519 => &X25519,
        }
    }

    /// Whether bytes have the form of a public key: points of secp256r1 are uncompressed (RFC 8422 §5.1.2).
    fn has_form(self, public: &[u8]) -> bool {
        match self {
            Group::Secp256r1 => public.len() == 65 && public.first() == Some(&4),
            Group::X25519 => public.len() == 32,
        }
    }
}

/// A key for one handshake.
pub(crate) struct EphemeralKey {
    group: Group,
    private: PrivateKey,
    public: Vec<u8>,
}

impl EphemeralKey {
    /// How often a number that is no key of the group is drawn again. One in 2^32 is none of secp256r1.
    const DRAWS: usize = 8;

    /// # Errors
    /// The random numbers are not random, or the library fails.
    pub(crate) fn generate(group: Group, rng: &mut impl CryptoRng) -> Result<EphemeralKey, Rejected> {
        let mut drawn = Zeroizing::new([0; 32]);
        let mut draws = (0..Self::DRAWS).filter_map(|_| {
            rng.fill_bytes(&mut *drawn);
            PrivateKey::from_private_key(group.algorithm(), &*drawn).ok()
        });
        let private = draws.next().ok_or(Rejected)?;
        let public = private.compute_public_key().map_err(|_| Rejected)?;
        Ok(EphemeralKey {
            group,
            public: public.as_ref().into(),
            private,
        })
    }

    /// As it goes on the wire: an uncompressed point (RFC 8422 §5.4), or 32 bytes.
    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }

    /// The premaster secret: the x coordinate of the point that both sides know (RFC 8422 §5.10).
    ///
    /// # Errors
    /// The other key is no point of the curve, or one of those that give everybody the same secret (RFC 7748 §6.1).
    pub(crate) fn agree(&self, peer_public: &[u8]) -> Result<Zeroizing<Vec<u8>>, Rejected> {
        if !self.group.has_form(peer_public) {
            return Err(Rejected);
        }
        let peer = UnparsedPublicKey::new(self.group.algorithm(), peer_public);
        agreement::agree(&self.private, peer, Rejected, |secret| {
            Ok(Zeroizing::new(secret.to_vec()))
        })
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{RngCore, SeedableRng};

    use super::*;
    use crate::crypto::hex;

    fn key(group: Group, seed: u64) -> EphemeralKey {
        EphemeralKey::generate(group, &mut ChaCha20Rng::seed_from_u64(seed)).unwrap()
    }

    #[test]
    fn both_sides_agree_and_a_seed_always_gives_the_same_key() {
        for group in Group::ALL {
            let (one, two) = (key(group, 1), key(group, 2));
            assert_eq!(one.agree(two.public()), two.agree(one.public()));
            assert_eq!(one.public(), key(group, 1).public());
            assert_ne!(one.public(), two.public());
            assert_eq!(Group::from_u16(group.id()), Some(group));
        }
        assert_eq!(Group::from_u16(24), None);
    }

    /// Numbers that are drawn one after the other from bytes of the test.
    struct Given(Vec<u8>);

    impl RngCore for Given {
        fn next_u32(&mut self) -> u32 {
            rand_core::impls::next_u32_via_fill(self)
        }

        fn next_u64(&mut self) -> u64 {
            rand_core::impls::next_u64_via_fill(self)
        }

        fn fill_bytes(&mut self, to: &mut [u8]) {
            let rest = self.0.split_off(to.len());
            to.copy_from_slice(&core::mem::replace(&mut self.0, rest));
        }
    }

    impl CryptoRng for Given {}

    /// RFC 7748 §6.1.
    #[test]
    fn x25519_gives_the_known_answer() {
        let alice = hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
        let key = EphemeralKey::generate(Group::X25519, &mut Given(alice)).unwrap();
        let public = hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
        assert_eq!(key.public(), public);
        let bob = hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
        let secret = hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        assert_eq!(key.agree(&bob).unwrap()[..], secret[..]);
    }

    #[test]
    fn a_number_that_is_no_key_is_drawn_again() {
        let drawn = [[0; 32], [0xff; 32], [1; 32]].concat();
        let again = EphemeralKey::generate(Group::Secp256r1, &mut Given(drawn)).unwrap();
        let direct = EphemeralKey::generate(Group::Secp256r1, &mut Given([1; 32].to_vec())).unwrap();
        assert_eq!(again.public(), direct.public());
    }

    #[test]
    fn what_is_no_public_key_is_rejected() {
        let own = key(Group::Secp256r1, 1);
        let other = key(Group::Secp256r1, 2);
        let mut off_curve = other.public().to_vec();
        *off_curve.last_mut().unwrap() ^= 1;
        assert_eq!(own.agree(&off_curve), Err(Rejected));
        let mut compressed = other.public()[..33].to_vec();
        compressed[0] = 2 + (other.public()[64] & 1);
        assert_eq!(own.agree(&compressed), Err(Rejected));
        for len in 0..65 {
            assert_eq!(own.agree(&other.public()[..len]), Err(Rejected));
        }
        // RFC 7748 §6.1: points of small order, whose secret is zero.
        let own = key(Group::X25519, 1);
        assert_eq!(own.agree(&[0; 32]), Err(Rejected));
        let mut one = [0; 32];
        one[0] = 1;
        assert_eq!(own.agree(&one), Err(Rejected));
    }
}
