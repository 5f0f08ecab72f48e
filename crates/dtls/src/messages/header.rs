//! The header of a handshake message, which is also that of a fragment of one (RFC 6347 §4.2.2).
//!
//! ```text
//!  0        1                    4             6                      9                      12
//! | type   | length of message  | message_seq | fragment_offset      | fragment_length      |
//! ```

use super::codec::{Reader, Writer};
use alloc::vec::Vec;
use core::fmt;

/// Bytes of the header.
pub(crate) const HEADER_LEN: usize = 12;

/// The type of a handshake message (RFC 5246 §7.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct MessageType(pub(crate) u8);

impl MessageType {
    pub(crate) const HELLO_REQUEST: Self = Self(0);
    pub(crate) const CLIENT_HELLO: Self = Self(1);
    pub(crate) const SERVER_HELLO: Self = Self(2);
    pub(crate) const HELLO_VERIFY_REQUEST: Self = Self(3);
    pub(crate) const NEW_SESSION_TICKET: Self = Self(4);
    pub(crate) const CERTIFICATE: Self = Self(11);
    pub(crate) const SERVER_KEY_EXCHANGE: Self = Self(12);
    pub(crate) const CERTIFICATE_REQUEST: Self = Self(13);
    pub(crate) const SERVER_HELLO_DONE: Self = Self(14);
    pub(crate) const CERTIFICATE_VERIFY: Self = Self(15);
    pub(crate) const CLIENT_KEY_EXCHANGE: Self = Self(16);
    pub(crate) const FINISHED: Self = Self(20);

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::HELLO_REQUEST => "HelloRequest",
            Self::CLIENT_HELLO => "ClientHello",
            Self::SERVER_HELLO => "ServerHello",
            Self::HELLO_VERIFY_REQUEST => "HelloVerifyRequest",
            Self::NEW_SESSION_TICKET => "NewSessionTicket",
            Self::CERTIFICATE => "Certificate",
            Self::SERVER_KEY_EXCHANGE => "ServerKeyExchange",
            Self::CERTIFICATE_REQUEST => "CertificateRequest",
            Self::SERVER_HELLO_DONE => "ServerHelloDone",
            Self::CERTIFICATE_VERIFY => "CertificateVerify",
            Self::CLIENT_KEY_EXCHANGE => "ClientKeyExchange",
            Self::FINISHED => "Finished",
            _ => "a message of unknown type",
        }
    }
}

impl fmt::Debug for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FragmentHeader {
    pub(crate) kind: MessageType,
    /// Of the whole message, without this header; at most 2^24 - 1.
    pub(crate) length: u32,
    /// `message_seq`: counts the messages of one side in one handshake.
    pub(crate) sequence: u16,
    /// Where the fragment begins in the message; its end is within `length`.
    pub(crate) offset: u32,
}

impl FragmentHeader {
    /// The next fragment of what a record holds. Nothing if it is not whole or reaches beyond its message.
    pub(crate) fn read<'a>(reader: &mut Reader<'a>) -> Option<(FragmentHeader, &'a [u8])> {
        let kind = MessageType(reader.u8()?);
        let length = reader.u24()?;
        let sequence = reader.u16()?;
        let offset = reader.u24()?;
        let fragment = reader.vec24()?;
        let end = offset.checked_add(u32::try_from(fragment.len()).ok()?)?;
        if end > length {
            return None;
        }
        let header = FragmentHeader {
            kind,
            length,
            sequence,
            offset,
        };
        Some((header, fragment))
    }

    /// The header of the fragment of `fragment_length` bytes.
    pub(crate) const fn to_bytes(self, fragment_length: u32) -> [u8; HEADER_LEN] {
        let [_, l0, l1, l2] = self.length.to_be_bytes();
        let [s0, s1] = self.sequence.to_be_bytes();
        let [_, o0, o1, o2] = self.offset.to_be_bytes();
        let [_, f0, f1, f2] = fragment_length.to_be_bytes();
        [self.kind.0, l0, l1, l2, s0, s1, o0, o1, o2, f0, f1, f2]
    }

    /// The header of the message as the transcript has it: in one piece (RFC 6347 §4.2.6).
    pub(crate) const fn whole(self) -> [u8; HEADER_LEN] {
        FragmentHeader { offset: 0, ..self }.to_bytes(self.length)
    }
}

/// Appends a whole message: header, and the body that `body` writes.
pub(crate) fn write_message(
    out: &mut Vec<u8>,
    kind: MessageType,
    sequence: u16,
    body: impl FnOnce(&mut Writer<'_>),
) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_LEN]);
    body(&mut Writer::new(out));
    let length = u32::try_from(out.len() - start - HEADER_LEN).unwrap_or(u32::MAX);
    let header = FragmentHeader {
        kind,
        length,
        sequence,
        offset: 0,
    };
    if let Some(place) = out.get_mut(start..start + HEADER_LEN) {
        place.copy_from_slice(&header.whole());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_is_read_and_written() {
        let bytes = [1, 0, 0, 9, 0, 2, 0, 0, 4, 0, 0, 3, b'a', b'b', b'c', 0xFF];
        let mut reader = Reader::new(&bytes);
        let (header, fragment) = FragmentHeader::read(&mut reader).unwrap();
        assert_eq!(header.kind, MessageType::CLIENT_HELLO);
        assert_eq!((header.length, header.sequence, header.offset), (9, 2, 4));
        assert_eq!(fragment, b"abc");
        assert_eq!(reader.rest(), [0xFF]);
        assert_eq!(header.to_bytes(3), bytes[..12]);
        assert_eq!(header.whole(), [1, 0, 0, 9, 0, 2, 0, 0, 0, 0, 0, 9]);
    }

    #[test]
    fn a_fragment_beyond_its_message_is_none() {
        let beyond = [1, 0, 0, 6, 0, 0, 0, 0, 4, 0, 0, 3, 0, 0, 0];
        assert_eq!(FragmentHeader::read(&mut Reader::new(&beyond)), None);
        let cut = [1, 0, 0, 9, 0, 0, 0, 0, 4, 0, 0, 3, 0, 0];
        assert_eq!(FragmentHeader::read(&mut Reader::new(&cut)), None);
        for len in 0..HEADER_LEN {
            assert_eq!(FragmentHeader::read(&mut Reader::new(&cut[..len])), None);
        }
    }

    #[test]
    fn a_message_gets_its_header() {
        let mut out = Vec::new();
        write_message(&mut out, MessageType::FINISHED, 5, |w| w.put(&[7; 12]));
        assert_eq!(out[..12], [20, 0, 0, 12, 0, 5, 0, 0, 0, 0, 0, 12]);
        assert_eq!(out.len(), 24);
        assert_eq!(
            alloc::format!("{:?}", MessageType(99)),
            "a message of unknown type(99)"
        );
    }
}
