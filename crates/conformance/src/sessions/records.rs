//! The records of a datagram, as they can be read from outside (RFC 6347 §4.1, §4.2.2).

use std::fmt;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// A handshake message.
const SERVER_HELLO: u8 = 2;

/// Bytes of the header of a record, and of a handshake message.
const RECORD_HEADER: usize = 13;
const MESSAGE_HEADER: usize = 12;

/// What a record holds. Two records with the same are copies of each other, whatever their sequence numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Content {
    /// A handshake message, or a fragment of one: its type, its number, where the fragment begins.
    Message { kind: u8, number: u16, offset: u32 },
    /// A handshake message that is sealed: a Finished.
    SealedMessage,
    /// ChangeCipherSpec.
    ChangeCipherSpec,
    /// An alert, with its description unless it is sealed.
    Alert(Option<u8>),
    /// Data of the application.
    Data,
    /// A type that DTLS 1.2 does not have, or too few bytes for what they should be.
    Other(u8),
}

impl Content {
    /// Whether it is a part of a handshake that its sender has to send again if it is lost.
    pub(crate) fn is_handshake(self) -> bool {
        matches!(
            self,
            Content::Message { .. } | Content::SealedMessage | Content::ChangeCipherSpec
        )
    }

    /// Whether it is a ServerHello, or the beginning of one.
    pub(crate) fn is_server_hello(self) -> bool {
        matches!(
            self,
            Content::Message {
                kind: SERVER_HELLO,
                ..
            }
        )
    }

    /// The same without the place in the message: who sends a message again may cut it otherwise.
    pub(crate) fn whole(self) -> Content {
        match self {
            Content::Message { kind, number, .. } => Content::Message {
                kind,
                number,
                offset: 0,
            },
            other => other,
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Content::Message { kind, offset, .. } => {
                match message_name(kind) {
                    Some(name) => f.write_str(name)?,
                    None => write!(f, "handshake message {kind}")?,
                }
                match offset {
                    0 => Ok(()),
                    offset => write!(f, " (from byte {offset})"),
                }
            }
            Content::SealedMessage => f.write_str("Finished (sealed)"),
            Content::ChangeCipherSpec => f.write_str("ChangeCipherSpec"),
            Content::Alert(Some(description)) => {
                write!(f, "Alert {}", coracle_dtls::AlertDescription(description))
            }
            Content::Alert(None) => f.write_str("Alert (sealed)"),
            Content::Data => f.write_str("application data (sealed)"),
            Content::Other(kind) => write!(f, "record of type {kind}"),
        }
    }
}

/// The name of a handshake message (RFC 6347 §4.3.2, RFC 5077 §3.3).
const fn message_name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        0 => "HelloRequest",
        1 => "ClientHello",
        SERVER_HELLO => "ServerHello",
        3 => "HelloVerifyRequest",
        4 => "NewSessionTicket",
        11 => "Certificate",
        12 => "ServerKeyExchange",
        13 => "CertificateRequest",
        14 => "ServerHelloDone",
        15 => "CertificateVerify",
        16 => "ClientKeyExchange",
        20 => "Finished",
        _ => return None,
    })
}

/// What the records of a datagram hold; what is behind the last whole one is left out. Of several messages in one record the
/// first is told.
pub(crate) fn contents(datagram: &[u8]) -> Vec<Content> {
    let mut contents = Vec::new();
    let mut rest = datagram;
    while let Some((header, behind)) = rest.split_first_chunk::<RECORD_HEADER>() {
        let [kind, _, _, epoch @ .., _, _, _, _, _, _, high, low] = *header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some((payload, next)) = behind.split_at_checked(length) else {
            break;
        };
        contents.push(content(kind, epoch != [0, 0], payload));
        rest = next;
    }
    contents
}

fn content(kind: u8, is_sealed: bool, payload: &[u8]) -> Content {
    match (kind, is_sealed) {
        (CHANGE_CIPHER_SPEC, _) => Content::ChangeCipherSpec,
        (ALERT, true) => Content::Alert(None),
        (ALERT, false) => Content::Alert(payload.get(1).copied()),
        (HANDSHAKE, true) => Content::SealedMessage,
        (HANDSHAKE, false) => message(payload).unwrap_or(Content::Other(kind)),
        (APPLICATION_DATA, _) => Content::Data,
        _ => Content::Other(kind),
    }
}

fn message(payload: &[u8]) -> Option<Content> {
    let header = payload.first_chunk::<MESSAGE_HEADER>()?;
    let [kind, _, _, _, high, low, a, b, c, _, _, _] = *header;
    Some(Content::Message {
        kind,
        number: u16::from_be_bytes([high, low]),
        offset: u32::from_be_bytes([0, a, b, c]),
    })
}

/// A datagram in words: `ServerHello, ServerHelloDone`.
pub(crate) fn described(datagram: &[u8]) -> String {
    let words: Vec<String> = contents(datagram).iter().map(ToString::to_string).collect();
    format!("DTLS: {}", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ServerHelloDone with the number 5, ChangeCipherSpec, a sealed Finished, a part of a Certificate, an alert.
    const DATAGRAM: &[u8] = b"\x16\xfe\xfd\0\0\0\0\0\0\0\x01\0\x0c\x0e\0\0\0\0\x05\0\0\0\0\0\0\
        \x14\xfe\xfd\0\0\0\0\0\0\0\x02\0\x01\x01\
        \x16\xfe\xfd\0\x01\0\0\0\0\0\0\0\x02ab\
        \x16\xfe\xfd\0\0\0\0\0\0\0\x03\0\x0d\x0b\0\x02\0\0\x03\0\x01\x02\0\0\x01z\
        \x15\xfe\xfd\0\0\0\0\0\0\0\x04\0\x02\x02\x33";

    #[test]
    fn records_are_told_in_words() {
        assert_eq!(
            described(DATAGRAM),
            "DTLS: ServerHelloDone, ChangeCipherSpec, Finished (sealed), Certificate (from byte 258), \
             Alert decrypt_error"
        );
    }

    #[test]
    fn a_copy_has_another_sequence_number_and_the_same_content() {
        let mut copy = DATAGRAM.to_vec();
        copy[10] = 9;
        assert_eq!(contents(&copy), contents(DATAGRAM));
        let part = contents(DATAGRAM)[3];
        assert_ne!(part, part.whole());
    }

    #[test]
    fn what_is_cut_off_is_left_out() {
        assert_eq!(contents(&DATAGRAM[..38]).len(), 1);
        for length in 0..DATAGRAM.len() {
            assert!(contents(&DATAGRAM[..length]).len() < 5);
        }
    }
}
