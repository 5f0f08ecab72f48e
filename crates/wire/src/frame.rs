//! Messages on TCP, TLS and WebSocket (RFC 8323 §3.2, §4.2; token lengths of RFC 8974 §2.1).
//!
//! ```text
//!  0                   1
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5
//! |  Len  |  TKL  | extended length of options and payload, if Len is 13 (1 byte), 14 (2) or 15 (4)
//! |      Code     | length of the token, if TKL is 13 (1 byte) or 14 (2 bytes)
//! | token | options | 0xff payload
//! ```
//!
//! On a WebSocket Len is 0 whatever follows, because its messages have a length of their own. A message on a
//! connection has neither a type nor a Message ID: one that is read is Non-confirmable and has the ID 0, and what
//! is written of a [`Message`] leaves both out.

#[cfg(feature = "alloc")]
use alloc::vec::Vec;

use crate::code::Code;
use crate::cursor::{Reader, Scratch, extend_nibble, extension_len};
use crate::error::{HeaderStart, MessageError, MessageErrorKind};
use crate::message::{Message, MessageId, MessageType, RESERVED_TOKEN_LENGTH, put, read_rest, read_token};
use crate::writer::BufferTooSmall;

/// The value of Len that announces an extension of 4 bytes (RFC 8323 §3.2).
const WIDE_LENGTH: u8 = 15;

/// The shortest length that has this extension, in bytes (RFC 8323 §3.2).
const SHORTEST_WIDE_LENGTH: u64 = 65805;

/// How messages lie on a reliable transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// One after the other in the bytes of a TCP or TLS connection, each with its length (RFC 8323 §3.2).
    Tcp,
    /// Each in a binary message of a WebSocket, which tells its length (RFC 8323 §4.2).
    WebSocket,
}

/// The length in bytes of the frame that begins with `start`, all of its header included ([`Framing::Tcp`]).
///
/// `None` if that takes more bytes to tell: at most the first 8 are looked at, and never more than belong to the
/// frame. The longest frame that can be told has 4 GiB and 131,616 bytes; what a receiver takes is for it to bound
/// (RFC 8323 §5.3.1).
///
/// # Errors
/// If the token length is 15, which is reserved (RFC 8974 §2.1): where the next frame begins is then unknown.
pub fn frame_len(start: &[u8]) -> Result<Option<u64>, MessageError> {
    let mut reader = Reader::new(start);
    let Some(head) = reader.byte() else {
        return Ok(None);
    };
    let (len, token_length) = (head >> 4, head & 0x0f);
    if token_length == RESERVED_TOKEN_LENGTH {
        let kind = MessageErrorKind::TokenLength(token_length);
        return Err(MessageError::in_header(kind, 0, None).of(Framing::Tcp));
    }
    let length_of = |mut reader: Reader<'_>| {
        let content = read_length(&mut reader, len)?;
        reader.byte()?;
        let token = reader.extended(token_length)?;
        let header = start.len() - reader.rest().len();
        Some(header as u64 + u64::from(token) + content)
    };
    Ok(length_of(reader))
}

impl<'a> Message<'a> {
    /// Reads one whole frame: of a TCP connection as many bytes as [`frame_len`] tells, of a WebSocket one binary
    /// message.
    ///
    /// Everything is checked here, once: the header, the length, and the encoding of the options. Any code is
    /// taken, whatever its class. A message of code 0.00 keeps what it carries; its receiver ignores it
    /// (RFC 8323 §3.4).
    ///
    /// # Errors
    /// [`MessageError`] says what is wrong and where. It is for the receiver to end the connection with an Abort
    /// (RFC 8323 §5.6), whose diagnostic payload the text of the error can be.
    pub fn parse_frame(framing: Framing, frame: &'a [u8]) -> Result<Message<'a>, MessageError> {
        read_frame(framing, frame).map_err(|error| error.of(framing))
    }

    /// How many bytes [`encode_frame`](Self::encode_frame) writes; `usize::MAX` if the message cannot be encoded:
    /// its token has more than 65804 bytes, or its options and payload more than 4 GiB and 65804.
    #[must_use]
    pub fn frame_len(&self, framing: Framing) -> usize {
        let of_token = extension_len(self.token.len());
        let of_length = match framing {
            Framing::WebSocket => Some(0),
            Framing::Tcp => length_extension_len(self.content_len()),
        };
        match (of_token, of_length) {
            // Len and TKL in one byte, and the code in another.
            (Some(token), Some(length)) => self.rest_len().saturating_add(2 + token + length),
            _ => usize::MAX,
        }
    }

    /// Writes the frame of the message to the start of a buffer and says how many bytes it takes.
    ///
    /// # Errors
    /// If the buffer has fewer than [`frame_len`](Self::frame_len) bytes; its content is then undefined.
    pub fn encode_frame(&self, framing: Framing, buf: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let (needed, available) = (self.frame_len(framing), buf.len());
        let fill = |buf| {
            let header = self.frame_header(framing)?;
            self.fill_rest(put(buf, header.as_slice())?)
        };
        fill(buf)
            .map(|()| needed)
            .ok_or(BufferTooSmall { needed, available })
    }

    /// Appends the frame of the message to `bytes` and says how many bytes it takes; `None` if the message cannot
    /// be encoded (see [`frame_len`](Self::frame_len)), and then nothing is appended.
    #[cfg(feature = "alloc")]
    pub fn append_frame(&self, framing: Framing, bytes: &mut Vec<u8>) -> Option<usize> {
        let header = self.frame_header(framing)?;
        let start = bytes.len();
        header.append_to(bytes);
        self.append_rest(bytes);
        Some(bytes.len() - start)
    }

    /// Appends all of the frame but the payload, which is to follow, and says how many bytes that is; `None` as in
    /// [`append_frame`](Self::append_frame).
    #[cfg(feature = "alloc")]
    pub fn append_frame_start(&self, framing: Framing, bytes: &mut Vec<u8>) -> Option<usize> {
        let header = self.frame_header(framing)?;
        let start = bytes.len();
        header.append_to(bytes);
        self.append_start(bytes);
        Some(bytes.len() - start)
    }

    /// All that precedes the token; nothing if a length cannot be expressed.
    fn frame_header(&self, framing: Framing) -> Option<Scratch> {
        let (token_length, token_extension) = extend_nibble(self.token.len())?;
        let mut header = Scratch::default();
        match framing {
            Framing::WebSocket => header.push(token_length),
            Framing::Tcp => push_lengths(&mut header, self.content_len(), token_length)?,
        }
        header.push(self.code.to_byte());
        header.extend(token_extension);
        Some(header)
    }
}

/// How many bytes extend Len; nothing if the length cannot be expressed.
fn length_extension_len(len: usize) -> Option<usize> {
    let widest = SHORTEST_WIDE_LENGTH + u64::from(u32::MAX);
    let is_wide = || u64::try_from(len).is_ok_and(|len| len <= widest);
    extension_len(len).or_else(|| is_wide().then_some(4))
}

/// Len and TKL with the extension of Len; nothing if the length cannot be expressed.
fn push_lengths(header: &mut Scratch, len: usize, token_length: u8) -> Option<()> {
    if let Some((nibble, extension)) = extend_nibble(len) {
        header.push(nibble << 4 | token_length);
        header.extend(extension);
        return Some(());
    }
    let wide = u64::try_from(len).ok()?.checked_sub(SHORTEST_WIDE_LENGTH)?;
    header.push(WIDE_LENGTH << 4 | token_length);
    for byte in u32::try_from(wide).ok()?.to_be_bytes() {
        header.push(byte);
    }
    Some(())
}

/// The length of options and payload, whose marker counts as well.
fn read_length(reader: &mut Reader<'_>, nibble: u8) -> Option<u64> {
    match nibble {
        WIDE_LENGTH => Some(SHORTEST_WIDE_LENGTH + u64::from(u32::from_be_bytes(reader.array()?))),
        _ => reader.extended(nibble).map(u64::from),
    }
}

fn read_frame(framing: Framing, frame: &[u8]) -> Result<Message<'_>, MessageError> {
    let mut reader = Reader::new(frame);
    let truncated = MessageError::in_header(MessageErrorKind::TruncatedHeader, frame.len(), None);
    let head = reader.byte().ok_or(truncated)?;
    let (len, token_length) = (head >> 4, head & 0x0f);
    // Nothing that follows could make it a frame.
    let truncated = match token_length {
        RESERVED_TOKEN_LENGTH => {
            MessageError::in_header(MessageErrorKind::TokenLength(token_length), 0, None)
        }
        _ => truncated,
    };
    let announced = match (framing, len) {
        (Framing::Tcp, _) => Some(read_length(&mut reader, len).ok_or(truncated)?),
        (Framing::WebSocket, 0) => None,
        (Framing::WebSocket, _) => {
            let kind = MessageErrorKind::WebSocketLength(len);
            return Err(MessageError::in_header(kind, 0, None));
        }
    };
    let code = Code::from_byte(reader.byte().ok_or(truncated)?);
    let header = HeaderStart {
        message_type: MessageType::NonConfirmable,
        code,
        message_id: MessageId(0),
    };
    let token_start = frame.len() - reader.rest().len();
    let token = read_token(&mut reader, token_length, token_start, header)?;
    if let Some(announced) = announced {
        check_length(announced, &reader, frame.len(), header)?;
    }
    let (options, payload) = read_rest(&reader, frame.len(), header)?;
    Ok(Message {
        message_type: header.message_type,
        code,
        message_id: header.message_id,
        token,
        options,
        payload,
    })
}

/// Whether what is left of a frame of `len` bytes, its options and payload, is as long as its header says.
fn check_length(
    announced: u64,
    reader: &Reader<'_>,
    len: usize,
    header: HeaderStart,
) -> Result<(), MessageError> {
    let found = reader.rest().len();
    let (kind, offset) = match usize::try_from(announced) {
        Ok(announced) if announced == found => return Ok(()),
        Ok(announced) if announced < found => (MessageErrorKind::BytesAfterFrame, len - (found - announced)),
        _ => (MessageErrorKind::TruncatedFrame, len),
    };
    Err(MessageError::in_header(kind, offset, Some(header)))
}
