//! Sealing and opening of records with AEAD (RFC 5246 §6.2.3.3, RFC 6655 §3, RFC 9146 §5.3), in place.

use alloc::boxed::Box;
use core::ops::Range;

use super::header::{ContentType, DTLS_1_2, HEADER_LEN, MAX_SEQUENCE, RecordHeader, full_sequence};
use super::window::{Place, Window};
use crate::crypto::{DirectionKeys, ExplicitNonce};

/// The longest plaintext of a record (RFC 5246 §6.2.1), in bytes.
pub(crate) const MAX_PLAINTEXT: usize = 1 << 14;

/// Bytes of the explicit part of the nonce, which goes before what is encrypted.
const EXPLICIT: usize = 8;

/// Bytes of the additional data without connection ID, and with the longest one.
const ADDITIONAL: usize = 13;
const ADDITIONAL_WITH_CID: usize = 23 + u8::MAX as usize;

/// Why a record cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SealError {
    /// Longer than a record may be.
    TooLong,
    /// The buffer must have this many bytes.
    NoRoom(usize),
    /// The sequence numbers up to the limit are used up.
    Exhausted,
}

/// How records leave: in clear text before ChangeCipherSpec, sealed after it.
pub(crate) struct WriteState {
    keys: Option<DirectionKeys>,
    epoch: u16,
    next: u64,
    /// From here on no sequence number may be used: it was not reserved, or there is none.
    limit: u64,
    /// The connection ID that the peer wants to see; empty for none.
    cid: Box<[u8]>,
}

impl WriteState {
    /// Epoch 0: nothing is protected.
    pub(crate) fn plain() -> WriteState {
        WriteState {
            keys: None,
            epoch: 0,
            next: 0,
            limit: MAX_SEQUENCE + 1,
            cid: Box::default(),
        }
    }

    /// An epoch with keys. A connection ID that is longer than 255 bytes cannot come from a peer, and is left out.
    pub(crate) fn protected(keys: DirectionKeys, epoch: u16, cid: &[u8]) -> WriteState {
        WriteState {
            keys: Some(keys),
            epoch,
            next: 0,
            limit: MAX_SEQUENCE + 1,
            cid: if u8::try_from(cid.len()).is_ok() {
                cid.into()
            } else {
                Box::default()
            },
        }
    }

    pub(crate) fn epoch(&self) -> u16 {
        self.epoch
    }

    /// The sequence number of the next record.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Begins with another sequence number: that of an earlier ClientHello (RFC 6347 §4.2.1) or of a saved session.
    pub(crate) fn continue_at(&mut self, next: u64) {
        self.next = next;
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Allows sequence numbers below `limit` only.
    pub(crate) fn set_limit(&mut self, limit: u64) {
        self.limit = limit.min(MAX_SEQUENCE + 1);
    }

    pub(crate) fn keys(&self) -> Option<&DirectionKeys> {
        self.keys.as_ref()
    }

    pub(crate) fn cid(&self) -> &[u8] {
        &self.cid
    }

    /// How many bytes a record is longer than its plaintext.
    pub(crate) fn overhead(&self) -> usize {
        let inner_type = usize::from(!self.cid.is_empty());
        let protection = self
            .keys
            .as_ref()
            .map_or(0, |keys| EXPLICIT + keys.kind().tag_len());
        HEADER_LEN + self.cid.len() + inner_type + protection
    }

    /// Writes a whole record to the beginning of `buf` and tells its length.
    ///
    /// # Errors
    /// See [`SealError`]; no sequence number is used then.
    pub(crate) fn seal(
        &mut self,
        content_type: ContentType,
        plaintext: &[u8],
        buf: &mut [u8],
    ) -> Result<usize, SealError> {
        if plaintext.len() > MAX_PLAINTEXT {
            return Err(SealError::TooLong);
        }
        if self.next >= self.limit {
            return Err(SealError::Exhausted);
        }
        let len = plaintext.len() + self.overhead();
        let record = buf.get_mut(..len).ok_or(SealError::NoRoom(len))?;
        self.write(content_type, plaintext, record)
            .ok_or(SealError::NoRoom(len))?;
        self.next += 1;
        Ok(len)
    }

    /// Fills `record`, which has just the right length.
    fn write(&self, content_type: ContentType, plaintext: &[u8], record: &mut [u8]) -> Option<()> {
        let outer_type = if self.cid.is_empty() {
            content_type
        } else {
            ContentType::TLS12_CID
        };
        let sequence = full_sequence(self.epoch, self.next);
        let (header, rest) = record.split_at_mut_checked(HEADER_LEN + self.cid.len())?;
        let length = u16::try_from(rest.len()).ok()?;
        let mut to = header;
        put(&mut to, &[outer_type.0])?;
        put(&mut to, &DTLS_1_2.to_be_bytes())?;
        put(&mut to, &sequence)?;
        put(&mut to, &self.cid)?;
        put(&mut to, &length.to_be_bytes())?;

        let Some(keys) = &self.keys else {
            rest.copy_from_slice(plaintext);
            return Some(());
        };
        let mut to = rest;
        put(&mut to, &sequence)?;
        let (content, end) = to.split_at_mut_checked(plaintext.len())?;
        content.copy_from_slice(plaintext);
        let mut inner_len = plaintext.len();
        if !self.cid.is_empty() {
            *end.first_mut()? = content_type.0;
            inner_len += 1;
        }
        let mut room = [0; ADDITIONAL_WITH_CID];
        let additional = additional_data(&mut room, outer_type, sequence, &self.cid, inner_len)?;
        keys.seal(sequence, additional, to).ok()
    }
}

/// Why a record is discarded (RFC 6347 §4.1.2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Discard {
    /// Sealed under keys that there are not.
    Epoch,
    /// Another version than DTLS 1.2.
    Version,
    /// A connection ID is missing or out of place (RFC 9146 §3).
    ConnectionId,
    /// Received before (RFC 6347 §4.1.2.6).
    Replayed,
    /// Too old to tell whether it was received before.
    TooOld,
    /// Not sealed by the peer, or changed on its way.
    Authentication,
    /// Longer than a record may be, or without a type inside (RFC 9146 §4).
    Malformed,
    /// Newer than what may be taken before the state is saved again.
    BeyondReserve,
}

/// A record that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    /// The real type.
    pub(crate) content_type: ContentType,
    /// Where the plaintext is in the datagram.
    pub(crate) plaintext: Range<usize>,
    /// Whether no newer record has been received before: only such may change the peer's address (RFC 9146 §6).
    pub(crate) newest: bool,
}

/// How records are read of one epoch that has keys.
pub(crate) struct ReadState {
    keys: DirectionKeys,
    epoch: u16,
    /// Whether we asked for a connection ID, so that each record has one.
    with_cid: bool,
    window: Window,
    /// From here on no sequence number is taken: a restart would take it again.
    limit: u64,
    /// How far the limit was ahead of the window when it was set; 0 for a session that does not outlive the process.
    ahead: u32,
}

impl ReadState {
    pub(crate) fn new(keys: DirectionKeys, epoch: u16, with_cid: bool) -> ReadState {
        ReadState {
            keys,
            epoch,
            with_cid,
            window: Window::default(),
            limit: MAX_SEQUENCE + 1,
            ahead: 0,
        }
    }

    pub(crate) fn epoch(&self) -> u16 {
        self.epoch
    }

    pub(crate) fn with_cid(&self) -> bool {
        self.with_cid
    }

    pub(crate) fn keys(&self) -> &DirectionKeys {
        &self.keys
    }

    pub(crate) fn window(&self) -> Window {
        self.window
    }

    pub(crate) fn set_window(&mut self, window: Window) {
        self.window = window;
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    pub(crate) fn ahead(&self) -> u32 {
        self.ahead
    }

    /// Takes sequence numbers below `limit` only, which is `ahead` of the window or was so when it was written down.
    pub(crate) fn set_limit(&mut self, limit: u64, ahead: u32) {
        self.limit = limit.min(MAX_SEQUENCE + 1);
        self.ahead = ahead;
    }

    /// Opens the record with this header at the beginning of `datagram`, in place, and notes that it was received.
    ///
    /// # Errors
    /// The record is to be discarded; nothing is noted then.
    pub(crate) fn open(&mut self, header: &RecordHeader, datagram: &mut [u8]) -> Result<Opened, Discard> {
        let place = self.admit(header)?;
        let (head, rest) = datagram
            .split_at_mut_checked(header.payload().start)
            .ok_or(Discard::Malformed)?;
        let payload = rest.get_mut(..header.payload().len()).ok_or(Discard::Malformed)?;
        let cid = head.get(header.cid()).ok_or(Discard::Malformed)?;
        let (explicit, sealed) = payload
            .split_first_chunk_mut::<EXPLICIT>()
            .ok_or(Discard::Authentication)?;
        let inner_len = sealed
            .len()
            .checked_sub(self.keys.kind().tag_len())
            .ok_or(Discard::Authentication)?;
        let mut room = [0; ADDITIONAL_WITH_CID];
        let sequence = header.full_sequence();
        let additional = additional_data(&mut room, header.content_type, sequence, cid, inner_len)
            .ok_or(Discard::Malformed)?;
        self.keys
            .open(*explicit, additional, sealed)
            .map_err(|_| Discard::Authentication)?;
        self.window.note(header.sequence);

        let inner = sealed.get(..inner_len).ok_or(Discard::Malformed)?;
        let (content_type, len) = self.content(header, inner)?;
        let start = header.payload().start + EXPLICIT;
        Ok(Opened {
            content_type,
            plaintext: start..start + len,
            newest: place == Place::Newest,
        })
    }

    /// What can be told before anything is decrypted.
    fn admit(&self, header: &RecordHeader) -> Result<Place, Discard> {
        if header.epoch != self.epoch {
            return Err(Discard::Epoch);
        }
        if (header.content_type == ContentType::TLS12_CID) != self.with_cid {
            return Err(Discard::ConnectionId);
        }
        if header.version != DTLS_1_2 {
            return Err(Discard::Version);
        }
        match self.window.place(header.sequence) {
            Place::Replayed => Err(Discard::Replayed),
            Place::TooOld => Err(Discard::TooOld),
            _ if header.sequence >= self.limit => Err(Discard::BeyondReserve),
            place => Ok(place),
        }
    }

    /// The real type and the length of what was sealed: inside of a record with connection ID the type comes last,
    /// before zeros (RFC 9146 §4).
    fn content(&self, header: &RecordHeader, inner: &[u8]) -> Result<(ContentType, usize), Discard> {
        let (content_type, len) = if self.with_cid {
            let last = inner
                .iter()
                .rposition(|byte| *byte != 0)
                .ok_or(Discard::Malformed)?;
            let real = inner.get(last).copied().ok_or(Discard::Malformed)?;
            (ContentType(real), last)
        } else {
            (header.content_type, inner.len())
        };
        if len > MAX_PLAINTEXT {
            return Err(Discard::Malformed);
        }
        Ok((content_type, len))
    }
}

/// What is authenticated with a record beside its content: RFC 5246 §6.2.3.3, and with a connection ID RFC 9146 §5.3.
fn additional_data<'r>(
    room: &'r mut [u8; ADDITIONAL_WITH_CID],
    outer_type: ContentType,
    sequence: ExplicitNonce,
    cid: &[u8],
    inner_len: usize,
) -> Option<&'r [u8]> {
    let inner_len = u16::try_from(inner_len).ok()?.to_be_bytes();
    let version = DTLS_1_2.to_be_bytes();
    let mut to = &mut room[..];
    let len = if cid.is_empty() {
        put(&mut to, &sequence)?;
        put(&mut to, &[outer_type.0])?;
        put(&mut to, &version)?;
        ADDITIONAL
    } else {
        let cid_len = u8::try_from(cid.len()).ok()?;
        put(&mut to, &[0xFF; 8])?;
        put(&mut to, &[outer_type.0, cid_len, outer_type.0])?;
        put(&mut to, &version)?;
        put(&mut to, &sequence)?;
        put(&mut to, cid)?;
        ADDITIONAL_WITH_CID - usize::from(u8::MAX - cid_len)
    };
    put(&mut to, &inner_len)?;
    room.get(..len)
}

/// Writes `bytes` to the beginning of `to`, which becomes what is left.
fn put(to: &mut &mut [u8], bytes: &[u8]) -> Option<()> {
    let (here, rest) = core::mem::take(to).split_at_mut_checked(bytes.len())?;
    here.copy_from_slice(bytes);
    *to = rest;
    Some(())
}
