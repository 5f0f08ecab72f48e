//! One remembered message as bytes.
//!
//! ```text
//! message  | length of the identity | flags | answer: segment, offset, length | expires | identity |
//! answer   | 0 | length | the datagram |
//! ```
//!
//! An identity holds only what its path has, so that a peer with an IPv4 address takes a dozen bytes; its first byte
//! tells what that is, so that two are equal when their bytes are.

use core::net::{IpAddr, SocketAddr};

use coracle_wire::MessageId;

use crate::message::log::Spot;
use crate::path::Path;
use crate::time::Instant;

/// The bytes before the identity, and before the datagram of an answer.
const HEAD: usize = 18;
pub(super) const ANSWER_HEAD: u16 = 3;

/// What the identity's first byte tells, the address, port and scope, the security association, our address, the ID.
const IDENTITY: usize = 1 + 22 + 8 + 16 + 2;

/// The longest record of a message.
pub(super) const LONGEST: usize = HEAD + IDENTITY;

const REMOTE_V6: u8 = 1;
const SECURED: u8 = 2;
const LOCAL_V4: u8 = 4;
const LOCAL_V6: u8 = 8;

/// A record on its way into a log.
pub(super) struct Record {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Record {
    /// A message as RFC 7252 §4.5 tells duplicates: by its ID, its source and the endpoint of ours it came to.
    pub(super) fn of(path: &Path, id: MessageId) -> Record {
        let mut record = Record {
            bytes: [0; LONGEST],
            len: HEAD + 1,
        };
        let mut shape = 0;
        match path.remote {
            SocketAddr::V4(remote) => record.put(remote.ip().octets()),
            SocketAddr::V6(remote) => {
                shape |= REMOTE_V6;
                record.put(remote.ip().octets());
                record.put(remote.scope_id().to_le_bytes());
            }
        }
        record.put(path.remote.port().to_le_bytes());
        if let Some(security) = path.security {
            shape |= SECURED;
            record.put(security.0.get().to_le_bytes());
        }
        match path.local {
            Some(IpAddr::V4(local)) => {
                shape |= LOCAL_V4;
                record.put(local.octets());
            }
            Some(IpAddr::V6(local)) => {
                shape |= LOCAL_V6;
                record.put(local.octets());
            }
            None => {}
        }
        record.put(id.0.to_le_bytes());
        let identity = u8::try_from(record.len - HEAD).unwrap_or(0);
        let [len, ..] = &mut record.bytes;
        *len = identity;
        record.set(HEAD, [shape]);
        record
    }

    /// A copy of the record at the start of `bytes`.
    pub(super) fn copy_of(bytes: &[u8]) -> Option<Record> {
        let len = View(bytes).len();
        let mut record = Record {
            bytes: [0; LONGEST],
            len,
        };
        record.bytes.get_mut(..len)?.copy_from_slice(bytes.get(..len)?);
        Some(record)
    }

    #[inline]
    fn put<const N: usize>(&mut self, value: [u8; N]) {
        self.set(self.len, value);
        self.len += N;
    }

    #[inline]
    fn set<const N: usize>(&mut self, at: usize, value: [u8; N]) {
        if let Some(place) = self.bytes.get_mut(at..at + N) {
            place.copy_from_slice(&value);
        }
    }

    /// The rest of what is remembered.
    pub(super) fn remember(&mut self, flags: u8, expires: Instant) {
        let [_, place, ..] = &mut self.bytes;
        *place = flags;
        self.set(10, expires.as_micros().to_le_bytes());
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub(super) fn view(&self) -> View<'_> {
        View(self.as_bytes())
    }
}

/// Where an answer lies, and how long it is; 0 for none.
#[derive(Clone, Copy)]
pub(super) struct Answer {
    pub(super) spot: Spot,
    pub(super) len: u16,
}

/// A record in a log, whose bytes go on to the end of the segment.
#[derive(Clone, Copy)]
pub(super) struct View<'a>(pub(super) &'a [u8]);

impl<'a> View<'a> {
    fn array<const N: usize>(self, at: usize) -> [u8; N] {
        let bytes = self.0.get(at..).and_then(|bytes| bytes.first_chunk());
        bytes.copied().unwrap_or([0; N])
    }

    /// Whether this is an answer, not a message.
    pub(super) fn is_answer(self) -> bool {
        self.0.first() == Some(&0)
    }

    /// The bytes of the record.
    pub(super) fn len(self) -> usize {
        match self.0.first() {
            Some(0) => usize::from(ANSWER_HEAD) + usize::from(u16::from_le_bytes(self.array(1))),
            Some(identity) => HEAD + usize::from(*identity),
            None => 0,
        }
    }

    pub(super) fn identity(self) -> &'a [u8] {
        self.0.get(HEAD..self.len()).unwrap_or_default()
    }

    /// The part of the identity that tells peers apart.
    pub(super) fn peer(self) -> &'a [u8] {
        let identity = self.identity();
        let shape = identity.first().copied().unwrap_or(0);
        let remote = if shape & REMOTE_V6 == 0 { 6 } else { 22 };
        let security = if shape & SECURED == 0 { 0 } else { 8 };
        identity.get(1..1 + remote + security).unwrap_or_default()
    }

    pub(super) fn flags(self) -> u8 {
        let [flags] = self.array(1);
        flags
    }

    pub(super) fn expires(self) -> Instant {
        Instant::from_micros(u64::from_le_bytes(self.array(10)))
    }

    pub(super) fn answer(self) -> Answer {
        Answer {
            spot: Spot {
                segment: u32::from_le_bytes(self.array(2)),
                offset: u16::from_le_bytes(self.array(6)),
            },
            len: u16::from_le_bytes(self.array(8)),
        }
    }
}

/// Notes in a record where its answer lies.
pub(super) fn set_answer(record: &mut [u8], answer: Answer) {
    let [s0, s1, s2, s3] = answer.spot.segment.to_le_bytes();
    let [o0, o1] = answer.spot.offset.to_le_bytes();
    let [l0, l1] = answer.len.to_le_bytes();
    if let Some(place) = record.get_mut(2..10) {
        place.copy_from_slice(&[s0, s1, s2, s3, o0, o1, l0, l1]);
    }
}
