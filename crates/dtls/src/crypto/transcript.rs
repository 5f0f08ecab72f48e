//! The hash of all handshake messages (RFC 5246 §7.4.9, RFC 6347 §4.2.6): SHA-256, as all suites have it.

use sha2::{Digest, Sha256};

/// Handshake messages so far, as a running hash. Messages go in whole, with headers as if sent in one fragment.
#[derive(Clone, Default)]
pub(crate) struct Transcript(Sha256);

impl Transcript {
    pub(crate) fn new() -> Transcript {
        Transcript::default()
    }

    /// Takes in the next bytes; how they are cut makes no difference.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of what came so far. More may follow.
    pub(crate) fn hash(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_in_between_leaves_the_transcript_as_it_is() {
        let mut transcript = Transcript::new();
        transcript.update(b"a");
        let _between = transcript.hash();
        transcript.update(b"b");
        transcript.update(b"c");
        // FIPS 180-4, the example of "abc".
        let abc = [
            0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
            0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
        ];
        assert_eq!(transcript.hash(), abc);
    }
}
