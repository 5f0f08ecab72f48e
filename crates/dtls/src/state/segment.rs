//! Segments: a row of items, sealed in pieces, so that neither side needs all of it at once.
//!
//! ```text
//!  segment   magic (4) | form (1) | is final (1) | salt (16)  piece*
//!  piece     is last (1 bit) | length (31 bits) | AES-256-GCM( item* ) with its tag
//!  item      kind (1) | length (4) | content
//! ```
//!
//! The key is HMAC-SHA256 of the caller's key over the head, so that each segment has its own. The nonce of a piece is its
//! place, and whether it is the last: pieces can neither be left out nor taken from elsewhere.

use alloc::vec::Vec;
use core::fmt;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit as _};
use hmac::{Hmac, Mac};
use rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::limits::SAVED_PIECE;
use crate::messages::codec::{Reader, Writer};

const MAGIC: [u8; 4] = *b"DTLS";
const FORM: u8 = 1;
const HEAD: usize = 22;
const TAG: usize = 16;
/// The bit in front of the length of the last piece.
const LAST: u32 = 1 << 31;

/// The longest piece that is read: one more item than [`SAVED_PIECE`].
const MAX_PIECE: usize = 2 * SAVED_PIECE;

/// What an item is. Unknown ones are of a later version, and passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ItemKind(pub(crate) u8);

impl ItemKind {
    pub(crate) const SESSION: ItemKind = ItemKind(1);
    /// The number of a session that has ended since an earlier segment.
    pub(crate) const ENDED: ItemKind = ItemKind(2);
    pub(crate) const TICKET_KEYS: ItemKind = ItemKind(3);
}

/// Why a segment cannot be read. What came before is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImportError {
    /// Not what was exported, or of a version of this crate that has another form.
    Form,
    /// It ends before its end: the writer was interrupted.
    CutOff,
    /// Sealed under another key, or changed.
    Key,
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ImportError::Form => "it is no saved state, or of another version",
            ImportError::CutOff => "it is cut off",
            ImportError::Key => "it was sealed under another key, or has been changed",
        })
    }
}

impl core::error::Error for ImportError {}

/// Writes a segment.
pub(crate) struct SegmentWriter {
    sealer: Sealer,
    items: Zeroizing<Vec<u8>>,
}

impl SegmentWriter {
    /// Begins a segment in `out`. A final one has the last word: nothing was used after it.
    pub(crate) fn new(
        key: &[u8; 32],
        is_final: bool,
        rng: &mut impl CryptoRng,
        out: &mut Vec<u8>,
    ) -> SegmentWriter {
        let mut head = [0; HEAD];
        let fields = MAGIC.into_iter().chain([FORM, is_final.into()]);
        head.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        if let Some(salt) = head.get_mut(MAGIC.len() + 2..) {
            rng.fill_bytes(salt);
        }
        out.extend_from_slice(&head);
        SegmentWriter {
            sealer: Sealer::new(key, &head),
            items: Zeroizing::new(Vec::with_capacity(MAX_PIECE)),
        }
    }

    /// Adds an item of at most [`SAVED_PIECE`] bytes; what is longer is left out. Writes a piece to `out` when there is one.
    pub(crate) fn item(&mut self, kind: ItemKind, content: impl FnOnce(&mut Writer<'_>), out: &mut Vec<u8>) {
        let start = self.items.len();
        self.items.extend_from_slice(&[kind.0, 0, 0, 0, 0]);
        content(&mut Writer::new(&mut self.items));
        let len = self.items.len() - start - 5;
        if len > SAVED_PIECE {
            self.items.truncate(start);
            return;
        }
        if let (Some(field), Ok(len)) = (self.items.get_mut(start + 1..start + 5), u32::try_from(len)) {
            field.copy_from_slice(&len.to_be_bytes());
        }
        if self.items.len() >= SAVED_PIECE {
            self.sealer.seal(&mut self.items, false, out);
        }
    }

    /// Writes the last piece.
    pub(crate) fn finish(mut self, out: &mut Vec<u8>) {
        self.sealer.seal(&mut self.items, true, out);
    }
}

/// Reads a segment, and destroys it by that: pieces are opened in place.
pub(crate) struct SegmentReader<'s> {
    sealer: Sealer,
    is_final: bool,
    rest: &'s mut [u8],
    ended: bool,
}

impl<'s> SegmentReader<'s> {
    /// # Errors
    /// See [`ImportError`].
    pub(crate) fn new(key: &[u8; 32], bytes: &'s mut [u8]) -> Result<SegmentReader<'s>, ImportError> {
        let (head, rest) = bytes.split_first_chunk_mut::<HEAD>().ok_or(ImportError::CutOff)?;
        let [m0, m1, m2, m3, form, is_final @ (0 | 1), ..] = *head else {
            return Err(ImportError::Form);
        };
        if ([m0, m1, m2, m3], form) != (MAGIC, FORM) {
            return Err(ImportError::Form);
        }
        Ok(SegmentReader {
            sealer: Sealer::new(key, head),
            is_final: is_final == 1,
            rest,
            ended: false,
        })
    }

    pub(crate) fn is_final(&self) -> bool {
        self.is_final
    }

    /// The items of the next piece; `None` behind the last.
    ///
    /// # Errors
    /// See [`ImportError`].
    pub(crate) fn piece(&mut self) -> Result<Option<Items<'s>>, ImportError> {
        if self.ended {
            return Ok(None);
        }
        let bytes = core::mem::take(&mut self.rest);
        let (head, bytes) = bytes.split_first_chunk_mut::<4>().ok_or(ImportError::CutOff)?;
        let head = u32::from_be_bytes(*head);
        let len = usize::try_from(head & !LAST).unwrap_or(usize::MAX);
        if len > MAX_PIECE + TAG {
            return Err(ImportError::Form);
        }
        let (piece, rest) = bytes.split_at_mut_checked(len).ok_or(ImportError::CutOff)?;
        self.rest = rest;
        self.ended = head & LAST != 0;
        let items = self.sealer.open(piece, self.ended).ok_or(ImportError::Key)?;
        Ok(Some(Items(Reader::new(items))))
    }

    /// What is behind the segment: perhaps another one.
    pub(crate) fn rest(self) -> &'s mut [u8] {
        self.rest
    }
}

/// The items of a piece.
pub(crate) struct Items<'p>(Reader<'p>);

impl<'p> Iterator for Items<'p> {
    type Item = (ItemKind, Reader<'p>);

    fn next(&mut self) -> Option<Self::Item> {
        let kind = self.0.u8()?;
        let len = usize::try_from(self.0.u32()?).ok()?;
        Some((ItemKind(kind), Reader::new(self.0.take(len)?)))
    }
}

/// Seals and opens pieces, each in its turn.
struct Sealer {
    cipher: Aes256Gcm,
    next: u64,
}

impl Sealer {
    fn new(key: &[u8; 32], head: &[u8; HEAD]) -> Sealer {
        let mut block = Zeroizing::new([0; 64]);
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        let mut mac: Hmac<Sha256> = Hmac::new((&*block).into());
        mac.update(b"saved sessions");
        mac.update(head);
        let mut own = mac.finalize().into_bytes();
        let cipher = Aes256Gcm::new(&own);
        own.zeroize();
        Sealer { cipher, next: 0 }
    }

    fn nonce(&self, is_last: bool) -> [u8; 12] {
        let place = u128::from(self.next) << 32 | u128::from(is_last);
        let [_, _, _, _, nonce @ ..] = place.to_be_bytes();
        nonce
    }

    /// Appends the items as a piece, and empties them.
    fn seal(&mut self, items: &mut Vec<u8>, is_last: bool, out: &mut Vec<u8>) {
        let nonce = self.nonce(is_last);
        let tag = self
            .cipher
            .encrypt_inout_detached(&nonce.into(), b"", items.as_mut_slice().into());
        // A piece is far below the bound of the cipher; if it were not, the segment would end here and be cut off.
        if let (Ok(tag), Ok(len)) = (tag, u32::try_from(items.len() + TAG)) {
            let head = if is_last { len | LAST } else { len };
            out.extend_from_slice(&head.to_be_bytes());
            out.extend_from_slice(items);
            out.extend_from_slice(&tag);
        }
        items.clear();
        self.next += 1;
    }

    /// Opens a piece in place.
    fn open<'p>(&mut self, piece: &'p mut [u8], is_last: bool) -> Option<&'p [u8]> {
        let nonce = self.nonce(is_last);
        let (items, tag) = piece.split_last_chunk_mut::<TAG>()?;
        let buffer = (&mut *items).into();
        let opened = self
            .cipher
            .decrypt_inout_detached(&nonce.into(), b"", buffer, &(*tag).into());
        self.next += 1;
        opened.is_ok().then_some(items)
    }
}
