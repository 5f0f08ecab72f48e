//! The head of a record (RFC 6347 §4.1), with a connection ID if it has one (RFC 9146 §4).

use core::fmt;
use core::ops::Range;

/// What a record carries. Numbers that are not known survive.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ContentType(pub(crate) u8);

impl ContentType {
    pub(crate) const CHANGE_CIPHER_SPEC: ContentType = ContentType(20);
    pub(crate) const ALERT: ContentType = ContentType(21);
    pub(crate) const HANDSHAKE: ContentType = ContentType(22);
    pub(crate) const APPLICATION_DATA: ContentType = ContentType(23);
    /// The record has a connection ID, and its real type inside of what is encrypted (RFC 9146 §4).
    pub(crate) const TLS12_CID: ContentType = ContentType(25);
}

impl fmt::Debug for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ContentType::CHANGE_CIPHER_SPEC => f.write_str("ChangeCipherSpec"),
            ContentType::ALERT => f.write_str("Alert"),
            ContentType::HANDSHAKE => f.write_str("Handshake"),
            ContentType::APPLICATION_DATA => f.write_str("ApplicationData"),
            ContentType::TLS12_CID => f.write_str("Tls12Cid"),
            ContentType(other) => write!(f, "ContentType({other})"),
        }
    }
}

/// DTLS 1.2 as records and hellos write it: the one's complement of the numbers (RFC 6347 §4.1).
pub(crate) const DTLS_1_2: u16 = 0xFEFD;

/// Bytes of a head without connection ID: type, version, epoch, sequence number, length.
pub(crate) const HEADER_LEN: usize = 13;
/// Where a connection ID begins.
const CID_START: usize = 11;
/// Sequence numbers have 48 bits.
pub(crate) const MAX_SEQUENCE: u64 = (1 << 48) - 1;

/// A record's head, and where its parts are in the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    /// The outer type: of records with a connection ID always [`ContentType::TLS12_CID`].
    pub(crate) content_type: ContentType,
    pub(crate) version: u16,
    pub(crate) epoch: u16,
    /// At most [`MAX_SEQUENCE`].
    pub(crate) sequence: u64,
    cid_len: u8,
    payload_len: u16,
}

impl RecordHeader {
    /// Reads the record at the beginning of a datagram. Those of us who want connection IDs give all of them the same
    /// length, `cid_len`, because a record does not tell it. `None` if the bytes do not hold a whole record.
    pub(crate) fn parse(datagram: &[u8], cid_len: u8) -> Option<RecordHeader> {
        let ([content_type, version @ .., e0, e1], rest) = datagram.split_first_chunk::<5>()?;
        let (sequence, rest) = rest.split_first_chunk::<6>()?;
        let content_type = ContentType(*content_type);
        let cid_len = match content_type {
            ContentType::TLS12_CID if cid_len == 0 => return None,
            ContentType::TLS12_CID => cid_len,
            _ => 0,
        };
        let (length, payload) = rest.get(usize::from(cid_len)..)?.split_first_chunk::<2>()?;
        let payload_len = u16::from_be_bytes(*length);
        if payload.len() < usize::from(payload_len) {
            return None;
        }
        Some(RecordHeader {
            content_type,
            version: u16::from_be_bytes(*version),
            epoch: u16::from_be_bytes([*e0, *e1]),
            sequence: sequence
                .iter()
                .fold(0, |number, byte| number << 8 | u64::from(*byte)),
            cid_len,
            payload_len,
        })
    }

    /// Where the connection ID is in the datagram; empty if there is none.
    pub(crate) fn cid(&self) -> Range<usize> {
        CID_START..CID_START + usize::from(self.cid_len)
    }

    /// Where the rest of the record is in the datagram.
    pub(crate) fn payload(&self) -> Range<usize> {
        let start = HEADER_LEN + usize::from(self.cid_len);
        start..start + usize::from(self.payload_len)
    }

    /// Bytes of the whole record.
    pub(crate) fn record_len(&self) -> usize {
        self.payload().end
    }

    /// Epoch and sequence number as one number of 64 bits, as the nonce and the additional data have them.
    pub(crate) fn full_sequence(&self) -> [u8; 8] {
        full_sequence(self.epoch, self.sequence)
    }
}

/// Epoch and sequence number as they are on the wire.
pub(crate) fn full_sequence(epoch: u16, sequence: u64) -> [u8; 8] {
    (u64::from(epoch) << 48 | sequence & MAX_SEQUENCE).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    const PLAIN: [u8; 15] = [22, 0xFE, 0xFD, 0, 1, 0, 0, 0, 0, 1, 2, 0, 2, 0xAA, 0xBB];

    #[test]
    fn a_record_without_connection_id() {
        let header = RecordHeader::parse(&PLAIN, 4).unwrap();
        assert_eq!(header.content_type, ContentType::HANDSHAKE);
        assert_eq!(header.version, DTLS_1_2);
        assert_eq!((header.epoch, header.sequence), (1, 0x0102));
        assert_eq!(header.cid(), 11..11);
        assert_eq!(header.payload(), 13..15);
        assert_eq!(header.record_len(), 15);
        assert_eq!(header.full_sequence(), [0, 1, 0, 0, 0, 0, 1, 2]);
    }

    #[test]
    fn a_record_with_connection_id() {
        let mut datagram = vec![25, 0xFE, 0xFD, 0, 1, 0, 0, 0, 0, 0, 7];
        datagram.extend_from_slice(b"cid");
        datagram.extend_from_slice(&[0, 1, 0xAA, 0xBB]);
        let header = RecordHeader::parse(&datagram, 3).unwrap();
        assert_eq!(header.content_type, ContentType::TLS12_CID);
        assert_eq!(datagram[header.cid()], *b"cid");
        assert_eq!(header.payload(), 16..17);
        assert_eq!(RecordHeader::parse(&datagram, 0), None, "nobody of us has IDs");
        assert_eq!(format!("{:?}", header.content_type), "Tls12Cid");
    }

    #[test]
    fn what_is_cut_off_is_no_record() {
        for len in 0..PLAIN.len() {
            assert_eq!(RecordHeader::parse(&PLAIN[..len], 0), None);
        }
        let mut more = PLAIN.to_vec();
        more.push(0);
        assert_eq!(
            RecordHeader::parse(&more, 0).map(|header| header.record_len()),
            Some(15)
        );
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_within_its_bounds(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
            cid_len in any::<u8>(),
        ) {
            if let Some(header) = RecordHeader::parse(&bytes, cid_len) {
                prop_assert!(header.record_len() <= bytes.len());
                prop_assert!(header.sequence <= MAX_SEQUENCE);
                prop_assert!(header.cid().end <= header.payload().start);
            }
        }
    }
}
