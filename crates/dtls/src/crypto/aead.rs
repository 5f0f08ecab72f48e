//! Authenticated encryption of records: AES-128 in CCM (RFC 6655) and GCM (RFC 5288).

use aes::Aes128Enc;
use aes_gcm::AesGcm;
use ccm::aead::{AeadInOut, KeyInit};
use ccm::consts::{U8, U12, U16};
use ccm::{Ccm, Nonce, Tag};
use zeroize::Zeroize;

use super::{AeadKind, Rejected};
use crate::messages::codec::{Reader, Writer};

type Ccm8 = Ccm<Aes128Enc, U8, U12>;
type Ccm16 = Ccm<Aes128Enc, U16, U12>;
type Gcm = AesGcm<Aes128Enc, U12>;

/// Bytes of a nonce: the implicit part of the keys, then the explicit part that goes with the record.
type Salt = [u8; 4];
pub(crate) type ExplicitNonce = [u8; 8];

/// What seals the records of one direction.
///
/// The key is kept as it is and expanded for each record: that takes 25 ns with instructions for AES (100 ns more in
/// GCM), and a session at rest, of which there may be hundreds of thousands, is smaller by 320 bytes.
#[derive(Clone)]
pub(crate) struct DirectionKeys {
    kind: AeadKind,
    key: [u8; 16],
    salt: Salt,
}

impl DirectionKeys {
    /// Takes 16 bytes of key and 4 of salt; what is missing is zero.
    pub(super) fn new(kind: AeadKind, key: &[u8], salt: &[u8]) -> DirectionKeys {
        let mut keys = DirectionKeys {
            kind,
            key: [0; 16],
            salt: [0; 4],
        };
        keys.key.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        keys.salt.iter_mut().zip(salt).for_each(|(to, from)| *to = *from);
        keys
    }

    pub(crate) fn kind(&self) -> AeadKind {
        self.kind
    }

    /// Writes the keys down: they are secret.
    pub(crate) fn write(&self, w: &mut Writer<'_>) {
        w.u8(match self.kind {
            AeadKind::Ccm8 => 1,
            AeadKind::Ccm => 2,
            AeadKind::Gcm => 3,
        });
        w.put(&self.key);
        w.put(&self.salt);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<DirectionKeys> {
        let kind = match reader.u8()? {
            1 => AeadKind::Ccm8,
            2 => AeadKind::Ccm,
            3 => AeadKind::Gcm,
            _ => return None,
        };
        let (key, salt) = (reader.array::<16>()?, reader.array::<4>()?);
        Some(DirectionKeys::new(kind, key, salt))
    }

    /// Encrypts all of `buffer` but its end, which becomes the tag.
    ///
    /// # Errors
    /// The buffer is shorter than a tag, or longer than a record may be.
    pub(crate) fn seal(
        &self,
        explicit: ExplicitNonce,
        additional: &[u8],
        buffer: &mut [u8],
    ) -> Result<(), Rejected> {
        match self.kind {
            AeadKind::Ccm8 => seal(&self.cipher::<Ccm8>(), self.nonce(explicit), additional, buffer),
            AeadKind::Ccm => seal(&self.cipher::<Ccm16>(), self.nonce(explicit), additional, buffer),
            AeadKind::Gcm => seal(&self.cipher::<Gcm>(), self.nonce(explicit), additional, buffer),
        }
    }

    /// Decrypts in place what [`seal`](Self::seal) made, and tells how many bytes of it are plaintext.
    ///
    /// # Errors
    /// Whatever differs from what was sealed. The buffer is of no use then.
    pub(crate) fn open(
        &self,
        explicit: ExplicitNonce,
        additional: &[u8],
        buffer: &mut [u8],
    ) -> Result<usize, Rejected> {
        match self.kind {
            AeadKind::Ccm8 => open(&self.cipher::<Ccm8>(), self.nonce(explicit), additional, buffer),
            AeadKind::Ccm => open(&self.cipher::<Ccm16>(), self.nonce(explicit), additional, buffer),
            AeadKind::Gcm => open(&self.cipher::<Gcm>(), self.nonce(explicit), additional, buffer),
        }
    }

    fn cipher<C: KeyInit<KeySize = U16>>(&self) -> C {
        C::new((&self.key).into())
    }

    fn nonce(&self, explicit: ExplicitNonce) -> Nonce<U12> {
        let mut nonce = [0; 12];
        let bytes = self.salt.into_iter().chain(explicit);
        nonce.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        nonce.into()
    }
}

impl Drop for DirectionKeys {
    fn drop(&mut self) {
        self.key.zeroize();
        self.salt.zeroize();
    }
}

fn seal<C: AeadInOut<NonceSize = U12>>(
    cipher: &C,
    nonce: Nonce<U12>,
    additional: &[u8],
    buffer: &mut [u8],
) -> Result<(), Rejected> {
    let room = Tag::<C::TagSize>::default().len();
    let (text, end) = split_end(buffer, room)?;
    let tag = cipher.encrypt_inout_detached(&nonce, additional, text.into());
    end.copy_from_slice(&tag.map_err(|_| Rejected)?);
    Ok(())
}

fn open<C: AeadInOut<NonceSize = U12>>(
    cipher: &C,
    nonce: Nonce<U12>,
    additional: &[u8],
    buffer: &mut [u8],
) -> Result<usize, Rejected> {
    let mut tag = Tag::<C::TagSize>::default();
    let (text, end) = split_end(buffer, tag.len())?;
    tag.copy_from_slice(end);
    let len = text.len();
    let opened = cipher.decrypt_inout_detached(&nonce, additional, text.into(), &tag);
    opened.map(|()| len).map_err(|_| Rejected)
}

fn split_end(buffer: &mut [u8], end: usize) -> Result<(&mut [u8], &mut [u8]), Rejected> {
    let text = buffer.len().checked_sub(end).ok_or(Rejected)?;
    buffer.split_at_mut_checked(text).ok_or(Rejected)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::crypto::hex;

    /// A vector of a publication: the nonce is cut to salt and explicit part.
    struct Vector {
        kind: AeadKind,
        key: &'static str,
        nonce: &'static str,
        additional: &'static str,
        plaintext: &'static str,
        sealed: &'static str,
    }

    const VECTORS: [Vector; 4] = [
        // NIST SP 800-38C, example 3: the only one with nonces of 12 bytes. Its tag has 8.
        Vector {
            kind: AeadKind::Ccm8,
            key: "404142434445464748494a4b4c4d4e4f",
            nonce: "101112131415161718191a1b",
            additional: "000102030405060708090a0b0c0d0e0f10111213",
            plaintext: "202122232425262728292a2b2c2d2e2f3031323334353637",
            sealed: "e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5484392fbc1b09951",
        },
        // McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 1, 2 and 4.
        Vector {
            kind: AeadKind::Gcm,
            key: "00000000000000000000000000000000",
            nonce: "000000000000000000000000",
            additional: "",
            plaintext: "",
            sealed: "58e2fccefa7e3061367f1d57a4e7455a",
        },
        Vector {
            kind: AeadKind::Gcm,
            key: "00000000000000000000000000000000",
            nonce: "000000000000000000000000",
            additional: "",
            plaintext: "00000000000000000000000000000000",
            sealed: "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf",
        },
        Vector {
            kind: AeadKind::Gcm,
            key: "feffe9928665731c6d6a8f9467308308",
            nonce: "cafebabefacedbaddecaf888",
            additional: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            plaintext: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
                        1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
            sealed: "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e
                     21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091
                     5bc94fbc3221a5db94fae95ae7121a47",
        },
    ];

    fn keys(kind: AeadKind, key: &[u8], salt: &[u8]) -> DirectionKeys {
        DirectionKeys::new(kind, key, salt)
    }

    #[test]
    fn what_was_published_is_what_comes_out() {
        for vector in VECTORS {
            let nonce = hex(vector.nonce);
            let (salt, explicit) = nonce.split_at(4);
            let explicit: ExplicitNonce = explicit.try_into().unwrap();
            let keys = keys(vector.kind, &hex(vector.key), salt);
            let (additional, plaintext) = (hex(vector.additional), hex(vector.plaintext));
            let mut buffer = plaintext.clone();
            buffer.resize(plaintext.len() + vector.kind.tag_len(), 0);
            keys.seal(explicit, &additional, &mut buffer).unwrap();
            assert_eq!(buffer, hex(vector.sealed));
            let len = keys.open(explicit, &additional, &mut buffer).unwrap();
            assert_eq!(buffer[..len], plaintext);
        }
    }

    #[test]
    fn what_is_shorter_than_a_tag_is_rejected() {
        for kind in [AeadKind::Ccm8, AeadKind::Ccm, AeadKind::Gcm] {
            let keys = keys(kind, &[1; 16], &[2; 4]);
            for len in 0..kind.tag_len() {
                let mut buffer = alloc::vec![0; len];
                assert_eq!(keys.open([0; 8], b"", &mut buffer), Err(Rejected));
                assert_eq!(keys.seal([0; 8], b"", &mut buffer), Err(Rejected));
            }
        }
    }

    fn kinds() -> impl Strategy<Value = AeadKind> {
        prop_oneof![Just(AeadKind::Ccm8), Just(AeadKind::Ccm), Just(AeadKind::Gcm)]
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_and_nothing_that_differs_by_a_bit(
            kind in kinds(),
            key in any::<[u8; 16]>(),
            explicit in any::<[u8; 8]>(),
            additional in proptest::collection::vec(any::<u8>(), 0..40),
            plaintext in proptest::collection::vec(any::<u8>(), 0..200),
            flip in any::<proptest::sample::Index>(),
        ) {
            let keys = keys(kind, &key, &[9; 4]);
            let mut sealed = plaintext.clone();
            sealed.resize(plaintext.len() + kind.tag_len(), 0);
            keys.seal(explicit, &additional, &mut sealed).unwrap();

            let mut all: Vec<u8> = [&explicit[..], &additional, &sealed].concat();
            let bit = flip.index(8 * all.len());
            all[bit / 8] ^= 1 << (bit % 8);
            let (nonce, rest) = all.split_at_mut(8);
            let (other, text) = rest.split_at_mut(additional.len());
            prop_assert_eq!(keys.open((&*nonce).try_into().unwrap(), other, text), Err(Rejected));

            let len = keys.open(explicit, &additional, &mut sealed).unwrap();
            prop_assert_eq!(&sealed[..len], &plaintext[..]);
        }
    }
}
