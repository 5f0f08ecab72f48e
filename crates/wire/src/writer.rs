//! Building a message in the buffer it is sent from.

use core::fmt;

use crate::code::Code;
use crate::cursor::{Extension, Writer, extend_nibble};
use crate::message::{MessageId, MessageType, VERSION};
use crate::number::OptionNumber;
use crate::options::{MAX_OPTION_LEN, Options, PAYLOAD_MARKER, option_header};
use crate::token::MAX_EXTENDED_TOKEN_LEN;
use crate::uint::encode_uint;

/// Writes a message piece by piece: options in the order of their numbers, then the payload.
///
/// The first error stays and comes out of [`finish`](Self::finish).
///
/// ```
/// use coracle_wire::{Code, MessageId, MessageType, MessageWriter, OptionNumber, Status};
///
/// let mut buf = [0; 32];
/// let len = MessageWriter::new(&mut buf, MessageType::Acknowledgement, Status::CONTENT, MessageId(7), b"t")
///     .option_uint(OptionNumber::CONTENT_FORMAT, 0)
///     .payload(b"22.3 C")
///     .finish()?;
/// assert_eq!(buf.get(..len), Some(&b"\x61\x45\x00\x07t\xc0\xff22.3 C"[..]));
/// # Ok::<(), coracle_wire::WriteError>(())
/// ```
#[must_use = "nothing is known about the message before finish()"]
pub struct MessageWriter<'a> {
    writer: Writer<'a>,
    available: usize,
    last: u16,
    error: Option<WriteError>,
    has_payload: bool,
}

impl<'a> MessageWriter<'a> {
    /// Writes header and token; the token may have up to 65804 bytes (RFC 8974).
    pub fn new(
        buf: &'a mut [u8],
        message_type: MessageType,
        code: impl Into<Code>,
        message_id: MessageId,
        token: &[u8],
    ) -> Self {
        let available = buf.len();
        let mut writer = Writer::new(buf);
        let error = match put_start(&mut writer, message_type, code.into(), message_id, token) {
            Some(()) => None,
            None => Some(WriteError::TokenTooLong { len: token.len() }),
        };
        Self {
            writer,
            available,
            last: 0,
            error,
            has_payload: false,
        }
    }

    /// Writes an option, whose number is not below the last one's.
    pub fn option(mut self, number: OptionNumber, value: &[u8]) -> Self {
        if self.has_payload {
            self.fail(WriteError::AfterPayload);
            return self;
        }
        let Some(delta) = number.0.checked_sub(self.last) else {
            self.fail(WriteError::OptionOrder { number });
            return self;
        };
        match option_header(delta, value.len()) {
            Some(header) => {
                self.writer.put(header.as_slice());
                self.writer.put(value);
                self.last = number.0;
            }
            None => self.fail(WriteError::OptionTooLong {
                number,
                len: value.len(),
            }),
        }
        self
    }

    /// Writes an option whose value is a number (RFC 7252 §3.2).
    pub fn option_uint(self, number: OptionNumber, value: u64) -> Self {
        self.option(number, &encode_uint(value))
    }

    /// Writes several options, whose numbers are not below the last one's.
    pub fn options(self, options: Options<'_>) -> Self {
        options
            .iter()
            .fold(self, |writer, option| writer.option(option.number, option.value))
    }

    /// Writes the payload with its marker; an empty one writes nothing. Calling it again appends.
    pub fn payload(mut self, payload: &[u8]) -> Self {
        if !payload.is_empty() {
            if !self.has_payload {
                self.writer.put_array([PAYLOAD_MARKER]);
                self.has_payload = true;
            }
            self.writer.put(payload);
        }
        self
    }

    /// The length of the message in bytes.
    ///
    /// # Errors
    /// The first thing that went wrong.
    pub fn finish(self) -> Result<usize, WriteError> {
        match self.error {
            Some(error) => Err(error),
            None => self.writer.finish().ok_or(WriteError::BufferTooSmall {
                available: self.available,
            }),
        }
    }

    fn fail(&mut self, error: WriteError) {
        self.error.get_or_insert(error);
    }
}

impl fmt::Debug for MessageWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageWriter")
            .field("last", &self.last)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

/// Writes header and token; nothing if the token is too long to be encoded.
fn put_start(
    writer: &mut Writer<'_>,
    message_type: MessageType,
    code: Code,
    MessageId(message_id): MessageId,
    token: &[u8],
) -> Option<()> {
    let (token_length, extension) = extend_nibble(token.len())?;
    let [high, low] = message_id.to_be_bytes();
    let first = VERSION << 6 | message_type.to_bits() << 4 | token_length;
    writer.put_array([first, code.to_byte(), high, low]);
    match extension {
        Extension::None => {}
        Extension::One(byte) => writer.put_array([byte]),
        Extension::Two(bytes) => writer.put_array(bytes),
    }
    writer.put(token);
    Some(())
}

/// A message does not fit into the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferTooSmall {
    /// The length of the message in bytes.
    pub needed: usize,
    /// The length of the buffer in bytes.
    pub available: usize,
}

impl fmt::Display for BufferTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the message needs {} bytes and the buffer has {}",
            self.needed, self.available
        )
    }
}

impl core::error::Error for BufferTooSmall {}

/// Why a [`MessageWriter`] could not write a message. All but the first are misuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// The message does not fit.
    BufferTooSmall {
        /// The length of the buffer in bytes.
        available: usize,
    },
    /// The token has more than 65804 bytes (RFC 8974 §2.1).
    TokenTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// An option came after one with a higher number.
    OptionOrder {
        /// The option that came too late.
        number: OptionNumber,
    },
    /// An option's value has more than [`MAX_OPTION_LEN`] bytes.
    OptionTooLong {
        /// The option.
        number: OptionNumber,
        /// The length of its value in bytes.
        len: usize,
    },
    /// An option came after the payload.
    AfterPayload,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BufferTooSmall { available } => {
                write!(f, "the message does not fit into the buffer of {available} bytes")
            }
            Self::TokenTooLong { len } => {
                write!(
                    f,
                    "a token of {len} bytes; at most {MAX_EXTENDED_TOKEN_LEN} can be encoded (RFC 8974 §2.1)"
                )
            }
            Self::OptionOrder { number } => write!(f, "{number} came after an option with a higher number"),
            Self::OptionTooLong { number, len } => {
                write!(
                    f,
                    "{number} of {len} bytes; at most {MAX_OPTION_LEN} can be encoded (RFC 7252 §3.1)"
                )
            }
            Self::AfterPayload => f.write_str("an option came after the payload"),
        }
    }
}

impl core::error::Error for WriteError {}
