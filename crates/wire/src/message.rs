//! Messages on UDP and DTLS (RFC 7252 §3, token lengths of RFC 8974 §2.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |Ver| T |  TKL  |      Code     |          Message ID           |
//! | length of the token, if TKL is 13 (1 byte) or 14 (2 bytes)
//! | token | options | 0xff payload
//! ```

#[cfg(feature = "alloc")]
use alloc::vec::Vec;
use core::fmt;

use crate::code::{Code, CodeKind};
use crate::cursor::{Extension, Reader, extend_nibble, extension_len};
use crate::error::{HeaderStart, MessageError, MessageErrorKind};
use crate::options::{Options, PAYLOAD_MARKER};
use crate::writer::BufferTooSmall;

/// The only version there is (RFC 7252 §3).
pub(crate) const VERSION: u8 = 1;

/// The bytes before the token.
const HEADER_LEN: usize = 4;

/// The token length that is reserved (RFC 8974 §2.1).
pub(crate) const RESERVED_TOKEN_LENGTH: u8 = 15;

/// How a message is transmitted (RFC 7252 §4.2, §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// CON: asks for an Acknowledgement.
    Confirmable,
    /// NON: does not.
    NonConfirmable,
    /// ACK: acknowledges a Confirmable message, and may carry the response.
    Acknowledgement,
    /// RST: could not be processed.
    Reset,
}

impl MessageType {
    #[inline]
    const fn from_bits(bits: u8) -> Self {
        match bits & 0x03 {
            0 => Self::Confirmable,
            1 => Self::NonConfirmable,
            2 => Self::Acknowledgement,
            _ => Self::Reset,
        }
    }

    #[inline]
    pub(crate) const fn to_bits(self) -> u8 {
        match self {
            Self::Confirmable => 0,
            Self::NonConfirmable => 1,
            Self::Acknowledgement => 2,
            Self::Reset => 3,
        }
    }
}

impl fmt::Display for MessageType {
    /// `CON`, `NON`, `ACK` or `RST`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Confirmable => "CON",
            Self::NonConfirmable => "NON",
            Self::Acknowledgement => "ACK",
            Self::Reset => "RST",
        })
    }
}

/// Detects duplicates and matches Acknowledgements and Resets to messages (RFC 7252 §4.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u16);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({self})")
    }
}

/// A message that borrows the datagram it was read from, or the parts it is to be written from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type.
    pub message_type: MessageType,
    /// Its code.
    pub code: Code,
    /// Its Message ID.
    pub message_id: MessageId,
    /// Its token: 0 to 8 bytes, or up to 65804 if it is an extended token (RFC 8974).
    pub token: &'a [u8],
    /// Its options.
    pub options: Options<'a>,
    /// Its payload; empty if there is none.
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a datagram.
    ///
    /// Everything is checked here, once: the header, the encoding of the options, and that type and code go
    /// together (RFC 7252 §4.3 table 1). Not checked is what options mean; see
    /// [`check_option`](crate::check_option).
    ///
    /// # Errors
    /// [`MessageError`] says what is wrong, where, and how to reject the message.
    #[inline]
    pub fn parse(datagram: &'a [u8]) -> Result<Message<'a>, MessageError> {
        let mut reader = Reader::new(datagram);
        let (header, token_length) = read_header(&mut reader, datagram.len())?;
        check_code(header)?;
        if header.code.is_empty() {
            return read_empty(header, token_length, reader);
        }
        let token = read_token(&mut reader, token_length, HEADER_LEN, header)?;
        let (options, payload) = read_rest(&reader, datagram.len(), header)?;
        let HeaderStart {
            message_type,
            code,
            message_id,
        } = header;
        Ok(Message {
            message_type,
            code,
            message_id,
            token,
            options,
            payload,
        })
    }

    /// An Empty message: a CoAP ping if Confirmable, otherwise an empty Acknowledgement or a Reset.
    #[must_use]
    pub const fn empty(message_type: MessageType, message_id: MessageId) -> Message<'static> {
        Message {
            message_type,
            code: Code::EMPTY,
            message_id,
            token: &[],
            options: Options::empty(),
            payload: &[],
        }
    }

    /// How many bytes [`encode`](Self::encode) writes; `usize::MAX` if the token has more than 65804 bytes
    /// and cannot be encoded.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        match extension_len(self.token.len()) {
            Some(extension) => self.rest_len().saturating_add(HEADER_LEN + extension),
            None => usize::MAX,
        }
    }

    /// The length of the token, the options and the payload.
    #[inline]
    pub(crate) const fn rest_len(&self) -> usize {
        self.content_len().saturating_add(self.token.len())
    }

    /// The length of the options and of the payload with its marker.
    #[inline]
    pub(crate) const fn content_len(&self) -> usize {
        let marker = if self.payload.is_empty() { 0 } else { 1 };
        (self.options.as_bytes().len() + marker).saturating_add(self.payload.len())
    }

    /// Writes the message to the start of a buffer and says how many bytes it takes.
    ///
    /// # Errors
    /// If the buffer has fewer than [`encoded_len`](Self::encoded_len) bytes; its content is then undefined.
    pub fn encode(&self, buf: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let (needed, available) = (self.encoded_len(), buf.len());
        let encoded = buf.get_mut(..needed).and_then(|buf| self.fill(buf));
        encoded
            .map(|()| needed)
            .ok_or(BufferTooSmall { needed, available })
    }

    /// Writes the message into as many bytes as it takes.
    #[inline]
    fn fill(&self, buf: &mut [u8]) -> Option<()> {
        let (token_length, extension) = extend_nibble(self.token.len())?;
        let (header, mut rest) = buf.split_first_chunk_mut()?;
        *header = self.header(token_length);
        match extension {
            Extension::None => {}
            Extension::One(byte) => rest = put(rest, &[byte])?,
            Extension::Two(bytes) => rest = put(rest, &bytes)?,
        }
        self.fill_rest(rest)
    }

    /// Writes the token, the options and the payload, for which there is room.
    #[inline]
    pub(crate) fn fill_rest(&self, buf: &mut [u8]) -> Option<()> {
        let mut rest = put(buf, self.token)?;
        rest = put(rest, self.options.as_bytes())?;
        if !self.payload.is_empty() {
            rest = put(rest, &[PAYLOAD_MARKER])?;
            put(rest, self.payload)?;
        }
        Some(())
    }

    /// Appends the message to `bytes` and says how many bytes it takes; `None` if the token has more than 65804 bytes,
    /// and then nothing is appended.
    #[cfg(feature = "alloc")]
    pub fn append_to(&self, bytes: &mut Vec<u8>) -> Option<usize> {
        let (token_length, extension) = extend_nibble(self.token.len())?;
        let start = bytes.len();
        bytes.extend_from_slice(&self.header(token_length));
        match extension {
            Extension::None => {}
            Extension::One(byte) => bytes.push(byte),
            Extension::Two(extension) => bytes.extend_from_slice(&extension),
        }
        self.append_rest(bytes);
        Some(bytes.len() - start)
    }

    /// Appends the token, the options and the payload.
    #[cfg(feature = "alloc")]
    #[inline]
    pub(crate) fn append_rest(&self, bytes: &mut Vec<u8>) {
        self.append_start(bytes);
        bytes.extend_from_slice(self.payload);
    }

    /// Appends the token, the options and what announces the payload.
    #[cfg(feature = "alloc")]
    #[inline]
    pub(crate) fn append_start(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self.token);
        bytes.extend_from_slice(self.options.as_bytes());
        if !self.payload.is_empty() {
            bytes.push(PAYLOAD_MARKER);
        }
    }

    #[inline]
    const fn header(&self, token_length: u8) -> [u8; HEADER_LEN] {
        let [high, low] = self.message_id.0.to_be_bytes();
        let first = VERSION << 6 | self.message_type.to_bits() << 4 | token_length;
        [first, self.code.to_byte(), high, low]
    }
}

/// Copies bytes to the start of a buffer; what is left of it.
#[inline]
pub(crate) fn put<'b>(buf: &'b mut [u8], bytes: &[u8]) -> Option<&'b mut [u8]> {
    let (head, rest) = buf.split_at_mut_checked(bytes.len())?;
    head.copy_from_slice(bytes);
    Some(rest)
}

impl fmt::Display for Message<'_> {
    /// One line for people: type, code, Message ID, token, options, length of the payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.message_type, self.code)?;
        if let Some(name) = self.code.name() {
            write!(f, " {name}")?;
        }
        write!(f, " mid={}", self.message_id)?;
        if !self.token.is_empty() {
            f.write_str(" token=")?;
            self.token.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        for option in self.options {
            write!(f, " [{}]", option.of(self.code))?;
        }
        if !self.payload.is_empty() {
            write!(f, " payload={} bytes", self.payload.len())?;
        }
        Ok(())
    }
}

/// The header's fields but for the token length, and the token length (RFC 7252 §3).
#[inline]
fn read_header(reader: &mut Reader<'_>, len: usize) -> Result<(HeaderStart, u8), MessageError> {
    // The version comes first: whatever another version looks like, it is not a short message of ours.
    if let Some(version @ (0 | 2..)) = reader.rest().first().map(|first| first >> 6) {
        return Err(MessageError::in_header(
            MessageErrorKind::Version(version),
            0,
            None,
        ));
    }
    let Some([first, code, high, low]) = reader.array() else {
        return Err(MessageError::in_header(
            MessageErrorKind::TruncatedHeader,
            len,
            None,
        ));
    };
    let header = HeaderStart {
        message_type: MessageType::from_bits(first >> 4),
        code: Code::from_byte(code),
        message_id: MessageId(u16::from_be_bytes([high, low])),
    };
    Ok((header, first & 0x0f))
}

/// Whether type and code go together (RFC 7252 §4.3 table 1).
#[inline]
fn check_code(header: HeaderStart) -> Result<(), MessageError> {
    use MessageType::{Acknowledgement, Confirmable, NonConfirmable, Reset};

    let kind = match (header.code.kind(), header.message_type) {
        (CodeKind::Reserved | CodeKind::Signal(_), _) => MessageErrorKind::ReservedClass(header.code.class()),
        (CodeKind::Empty, Confirmable | Acknowledgement | Reset)
        | (CodeKind::Request(_), Confirmable | NonConfirmable)
        | (CodeKind::Response(_), Confirmable | NonConfirmable | Acknowledgement) => return Ok(()),
        _ => MessageErrorKind::TypeCodeMismatch,
    };
    Err(MessageError::in_header(kind, 1, Some(header)))
}

/// Nothing may follow the header of an Empty message (RFC 7252 §4.1).
fn read_empty(
    header: HeaderStart,
    token_length: u8,
    reader: Reader<'_>,
) -> Result<Message<'static>, MessageError> {
    let kind = MessageErrorKind::EmptyWithContent;
    if token_length != 0 {
        return Err(MessageError::in_header(kind, 0, Some(header)));
    }
    if !reader.rest().is_empty() {
        return Err(MessageError::in_header(kind, HEADER_LEN, Some(header)));
    }
    Ok(Message::empty(header.message_type, header.message_id))
}

/// The token, whose length may be extended (RFC 8974 §2.1); `start` is where the header ends.
#[inline]
pub(crate) fn read_token<'a>(
    reader: &mut Reader<'a>,
    token_length: u8,
    start: usize,
    header: HeaderStart,
) -> Result<&'a [u8], MessageError> {
    if token_length == RESERVED_TOKEN_LENGTH {
        let kind = MessageErrorKind::TokenLength(token_length);
        return Err(MessageError::in_header(kind, 0, Some(header)));
    }
    reader
        .extended(token_length)
        .and_then(|len| reader.take(usize::try_from(len).ok()?))
        .ok_or(MessageError::in_header(
            MessageErrorKind::TruncatedToken,
            start,
            Some(header),
        ))
}

/// The options and the payload, which are all that is left of a message of `len` bytes (RFC 7252 §3).
#[inline]
pub(crate) fn read_rest<'a>(
    reader: &Reader<'a>,
    len: usize,
    header: HeaderStart,
) -> Result<(Options<'a>, &'a [u8]), MessageError> {
    let start = len - reader.rest().len();
    let (options, rest) =
        Options::split(reader.rest()).map_err(|error| MessageError::in_options(error, start, header))?;
    match rest.split_first() {
        None => Ok((options, rest)),
        Some((_marker, payload)) if !payload.is_empty() => Ok((options, payload)),
        Some(_) => Err(MessageError::in_header(
            MessageErrorKind::MarkerWithoutPayload,
            len - rest.len(),
            Some(header),
        )),
    }
}
