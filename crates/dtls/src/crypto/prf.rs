//! The pseudo-random function of TLS 1.2 (RFC 5246 §5) and all that is derived by it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::aead::DirectionKeys;
use super::{Side, Suite};

/// Bytes of SHA-256's block, the longest key that HMAC takes as it is.
const HASH_BLOCK: usize = 64;

/// Bytes of a key and of the implicit part of nonces in one direction (RFC 6655 §3, RFC 5288 §3).
const KEY: usize = 16;
const SALT: usize = 4;

/// HMAC-SHA256 that has taken its key in, so that a clone of it costs no hashing.
#[derive(Clone)]
struct Prf(Hmac<Sha256>);

impl Prf {
    fn new(secret: &[u8]) -> Prf {
        let mut key = Zeroizing::new([0; HASH_BLOCK]);
        if let Some(room) = key.get_mut(..secret.len()) {
            room.copy_from_slice(secret);
        } else {
            let digest: [u8; 32] = Sha256::digest(secret).into();
            key.iter_mut()
                .zip(digest)
                .for_each(|(byte, hashed)| *byte = hashed);
        }
        Prf(Hmac::new((&*key).into()))
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }

    /// P_SHA256 over `label` and `seed` (RFC 5246 §5), as many bytes as `output` has.
    fn fill(&self, label: &[u8], seed: [&[u8]; 2], output: &mut [u8]) {
        let [first, second] = seed;
        let mut chain: Option<[u8; 32]> = None;
        for part in output.chunks_mut(32) {
            let next = match &chain {
                None => self.mac(&[label, first, second]),
                Some(last) => self.mac(&[last]),
            };
            let mut bytes = self.mac(&[&next, label, first, second]);
            part.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
            bytes.zeroize();
            chain = Some(next);
        }
        chain.zeroize();
    }
}

/// The master secret of a session (RFC 5246 §8.1), from which its keys are derived.
#[derive(Clone)]
pub(crate) struct MasterSecret {
    secret: Zeroizing<[u8; MasterSecret::LEN]>,
    prf: Prf,
}

impl MasterSecret {
    /// Bytes of every master secret.
    pub(crate) const LEN: usize = 48;

    /// A secret that was kept from an earlier handshake.
    pub(crate) fn from_bytes(secret: &[u8; Self::LEN]) -> MasterSecret {
        let prf = Prf::new(secret);
        MasterSecret {
            secret: Zeroizing::new(*secret),
            prf,
        }
    }

    /// What is to be kept of it, for resumption.
    pub(crate) fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.secret
    }

    /// RFC 5246 §8.1: for peers without the extended master secret.
    pub(crate) fn derive(
        premaster: &[u8],
        client_random: &[u8; 32],
        server_random: &[u8; 32],
    ) -> MasterSecret {
        let seed: [&[u8]; 2] = [client_random, server_random];
        Self::from_premaster(premaster, b"master secret", seed)
    }

    /// RFC 7627 §4: the session hash covers the handshake up to and including ClientKeyExchange.
    pub(crate) fn derive_extended(premaster: &[u8], session_hash: &[u8; 32]) -> MasterSecret {
        Self::from_premaster(premaster, b"extended master secret", [session_hash, &[]])
    }

    fn from_premaster(premaster: &[u8], label: &[u8], seed: [&[u8]; 2]) -> MasterSecret {
        let mut secret = Zeroizing::new([0; Self::LEN]);
        Prf::new(premaster).fill(label, seed, &mut *secret);
        Self::from_bytes(&secret)
    }

    /// The keys of both directions (RFC 5246 §6.3). Suites with AEAD have no MAC keys.
    pub(crate) fn key_block(&self, suite: Suite, client_random: &[u8; 32], server_random: &[u8; 32]) -> Keys {
        let mut block = Zeroizing::new([0; 2 * KEY + 2 * SALT]);
        let seed: [&[u8]; 2] = [server_random, client_random];
        self.prf.fill(b"key expansion", seed, &mut *block);
        let (keys, salts) = block.split_at(2 * KEY);
        let (client_key, server_key) = keys.split_at(KEY);
        let (client_salt, server_salt) = salts.split_at(SALT);
        Keys {
            client: DirectionKeys::new(suite.aead(), client_key, client_salt),
            server: DirectionKeys::new(suite.aead(), server_key, server_salt),
        }
    }

    /// The content of the Finished message of `side` (RFC 5246 §7.4.9).
    pub(crate) fn verify_data(&self, side: Side, transcript: &[u8; 32]) -> [u8; 12] {
        let label: &[u8] = match side {
            Side::Client => b"client finished",
            Side::Server => b"server finished",
        };
        let mut data = [0; 12];
        self.prf.fill(label, [transcript, &[]], &mut data);
        data
    }

    /// A line of the file that `SSLKEYLOGFILE` names, by which captures can be read. It tells the secret.
    pub(crate) fn key_log_line(&self, client_random: &[u8; 32]) -> String {
        let mut line = String::with_capacity(14 + 64 + 1 + 2 * Self::LEN);
        line.push_str("CLIENT_RANDOM ");
        push_hex(&mut line, client_random);
        line.push(' ');
        push_hex(&mut line, &*self.secret);
        line
    }
}

fn push_hex(line: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string never fails.
        let _ = write!(line, "{byte:02x}");
    }
}

/// The keys of a session, by who seals with them.
pub(crate) struct Keys {
    pub(crate) client: DirectionKeys,
    pub(crate) server: DirectionKeys,
}

/// The premaster secret of plain PSK (RFC 4279 §2): as many zeros as the key has bytes, then the key, each with its
/// length. Keys are at most 65,535 bytes long; what is beyond is left out on both sides alike.
pub(crate) fn psk_premaster(psk: &[u8]) -> Zeroizing<Vec<u8>> {
    let len = u16::try_from(psk.len()).unwrap_or(u16::MAX);
    let psk = psk.get(..usize::from(len)).unwrap_or(psk);
    let mut premaster = Vec::with_capacity(4 + 2 * psk.len());
    premaster.extend_from_slice(&len.to_be_bytes());
    premaster.resize(2 + psk.len(), 0);
    premaster.extend_from_slice(&len.to_be_bytes());
    premaster.extend_from_slice(psk);
    Zeroizing::new(premaster)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hex;

    /// The vector of P_SHA256 that the IETF's TLS list has (mail of 2008, "TLS 1.2 PRF test vectors").
    #[test]
    fn the_prf_gives_the_known_answer() {
        let secret = hex("9bbe436ba940f017b17652849a71db35");
        let seed = hex("a0ba9f936cda311827a6f796ffd5198c");
        let expected = hex("e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a
             6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab
             4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701
             87347b66");
        let mut output = [0; 100];
        Prf::new(&secret).fill(b"test label", [&seed, &[]], &mut output);
        assert_eq!(output[..], expected[..]);
        Prf::new(&secret).fill(b"test label", [&seed[..5], &seed[5..]], &mut output);
        assert_eq!(output[..], expected[..]);
    }

    /// RFC 4231 §4.7: a key longer than the block of the hash.
    #[test]
    fn a_long_secret_is_hashed_first() {
        let mac = Prf::new(&[0xaa; 131]).mac(&[b"Test Using Larger Than Block-Size Key - Hash Key First"]);
        let expected = hex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
        assert_eq!(mac[..], expected[..]);
    }

    #[test]
    fn the_premaster_secret_of_a_psk_has_both_parts_with_their_lengths() {
        assert_eq!(psk_premaster(b"abc")[..], *b"\x00\x03\x00\x00\x00\x00\x03abc");
        assert_eq!(psk_premaster(b"")[..], [0; 4]);
    }

    #[test]
    fn both_sides_and_both_randoms_matter() {
        let secret = MasterSecret::derive(b"premaster", &[1; 32], &[2; 32]);
        let other = MasterSecret::derive(b"premaster", &[2; 32], &[1; 32]);
        assert_ne!(secret.as_bytes(), other.as_bytes());
        let client = secret.verify_data(Side::Client, &[7; 32]);
        let server = secret.verify_data(Side::Server, &[7; 32]);
        assert_ne!(client, server);
        let kept = MasterSecret::from_bytes(secret.as_bytes());
        assert_eq!(kept.verify_data(Side::Client, &[7; 32]), client);
    }

    #[test]
    fn a_line_of_the_key_log_has_the_form_that_tools_read() {
        let secret = MasterSecret::from_bytes(&[0xab; 48]);
        let line = secret.key_log_line(&[0x01; 32]);
        assert_eq!(
            line,
            alloc::format!("CLIENT_RANDOM {} {}", "01".repeat(32), "ab".repeat(48))
        );
    }
}
