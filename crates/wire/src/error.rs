//! What can be wrong with a datagram or a frame, where, and what the receiver does about it.

use core::fmt;

use crate::code::Code;
use crate::frame::Framing;
use crate::message::{MessageId, MessageType};
use crate::options::{OptionsError, OptionsErrorKind};

/// Why a datagram or a frame is not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageError {
    /// What is wrong.
    pub kind: MessageErrorKind,
    /// Where it is wrong, in bytes from the start of the message; for options, where the option begins.
    pub offset: usize,
    /// Which option is wrong, counted from 1; `None` if the fault is not in an option.
    pub option: Option<usize>,
    /// What could be read of the header; `None` if it is cut off or of another version.
    pub header: Option<HeaderStart>,
    /// How the message lay on its connection; `None` if it was a datagram.
    pub framing: Option<Framing>,
}

/// The part of the header that tells how to reject a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderStart {
    /// The message's type; Non-confirmable in a frame, which has none.
    pub message_type: MessageType,
    /// The message's code.
    pub code: Code,
    /// The Message ID that a Reset would repeat; 0 in a frame, which has none.
    pub message_id: MessageId,
}

/// What can be wrong with a datagram or a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MessageErrorKind {
    /// The message ends within its header: a datagram of fewer than 4 bytes (RFC 7252 §3), or a frame before its
    /// code (RFC 8323 §3.2).
    TruncatedHeader,
    /// A version other than 1 (RFC 7252 §3).
    Version(u8),
    /// The token length is the reserved value 15 (RFC 8974 §2.1).
    TokenLength(u8),
    /// The message ends within the token or its length.
    TruncatedToken,
    /// The message ends within an option (RFC 7252 §3.1).
    TruncatedOption,
    /// An option's delta is 15 (RFC 7252 §3.1).
    OptionDelta15,
    /// An option's length is 15 (RFC 7252 §3.1).
    OptionLength15,
    /// An option's number is above 65535 (RFC 7252 §3.1).
    OptionNumberOverflow,
    /// Nothing follows the payload marker (RFC 7252 §3).
    MarkerWithoutPayload,
    /// An Empty message has a token, options or a payload (RFC 7252 §4.1).
    EmptyWithContent,
    /// The code has a class that is reserved here: 1, 6, and 7 on UDP (RFC 7252 §4.2, §4.3).
    ReservedClass(u8),
    /// The type does not go with the code: an Acknowledgement with a request, a Reset that is not Empty, a
    /// Non-confirmable message that is Empty (RFC 7252 §4.3 table 1).
    TypeCodeMismatch,
    /// Len is not 0 on a WebSocket (RFC 8323 §4.2).
    WebSocketLength(u8),
    /// The bytes of a frame end before its length does (RFC 8323 §3.2).
    TruncatedFrame,
    /// Bytes follow where the length of a frame ends (RFC 8323 §3.2).
    BytesAfterFrame,
}

/// What the receiver of a malformed message does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reaction {
    /// Silence.
    Ignore,
    /// Send a Reset with this Message ID.
    Reset(MessageId),
    /// End the connection with an Abort (RFC 8323 §5.6).
    Abort,
}

impl MessageError {
    /// How to reject the message.
    ///
    /// A Confirmable message is rejected by a Reset (RFC 7252 §4.2). Acknowledgements and Resets must be
    /// ignored (RFC 7252 §4.2), other versions too (RFC 7252 §3). For a Non-confirmable message a Reset is
    /// optional (RFC 7252 §4.3); it is ignored, so that garbage from a forged address draws no answer. A connection
    /// is ended by an Abort (RFC 8323 §5.6).
    #[must_use]
    pub fn reaction(&self) -> Reaction {
        match self.header {
            _ if self.framing.is_some() => Reaction::Abort,
            Some(HeaderStart {
                message_type: MessageType::Confirmable,
                message_id,
                ..
            }) => Reaction::Reset(message_id),
            _ => Reaction::Ignore,
        }
    }

    pub(crate) const fn in_header(
        kind: MessageErrorKind,
        offset: usize,
        header: Option<HeaderStart>,
    ) -> Self {
        Self {
            kind,
            offset,
            option: None,
            header,
            framing: None,
        }
    }

    /// The same error of a frame.
    pub(crate) const fn of(mut self, framing: Framing) -> Self {
        self.framing = Some(framing);
        self
    }

    pub(crate) fn in_options(error: OptionsError, start: usize, header: HeaderStart) -> Self {
        let kind = match error.kind {
            OptionsErrorKind::TruncatedOption => MessageErrorKind::TruncatedOption,
            OptionsErrorKind::OptionDelta15 => MessageErrorKind::OptionDelta15,
            OptionsErrorKind::OptionLength15 => MessageErrorKind::OptionLength15,
            OptionsErrorKind::OptionNumberOverflow => MessageErrorKind::OptionNumberOverflow,
        };
        Self {
            kind,
            offset: start + error.offset,
            option: Some(error.ordinal),
            header: Some(header),
            framing: None,
        }
    }
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = self.offset;
        match self.option {
            Some(ordinal) => write!(f, "option {ordinal} (at byte {offset}): ")?,
            None => write!(f, "at byte {offset}: ")?,
        }
        match (self.kind, self.header) {
            (MessageErrorKind::TypeCodeMismatch, Some(header)) => {
                let HeaderStart {
                    message_type, code, ..
                } = header;
                write!(
                    f,
                    "a message of type {message_type} cannot have code {code} (RFC 7252 §4.3)"
                )
            }
            (kind, _) => kind.fmt(f),
        }
    }
}

impl fmt::Display for MessageErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TruncatedHeader => f.write_str("the message ends within the header (RFC 7252 §3)"),
            Self::Version(version) => write!(f, "version {version} is not 1 (RFC 7252 §3)"),
            Self::TokenLength(len) => write!(f, "token length {len} is reserved (RFC 8974 §2.1)"),
            Self::TruncatedToken => f.write_str("the message ends within the token (RFC 7252 §3)"),
            Self::TruncatedOption => OptionsErrorKind::TruncatedOption.fmt(f),
            Self::OptionDelta15 => OptionsErrorKind::OptionDelta15.fmt(f),
            Self::OptionLength15 => OptionsErrorKind::OptionLength15.fmt(f),
            Self::OptionNumberOverflow => OptionsErrorKind::OptionNumberOverflow.fmt(f),
            Self::MarkerWithoutPayload => f.write_str("no payload after the payload marker (RFC 7252 §3)"),
            Self::EmptyWithContent => f.write_str("an Empty message has only a header (RFC 7252 §4.1)"),
            Self::ReservedClass(class) => {
                write!(
                    f,
                    "codes of class {class} are reserved on UDP (RFC 7252 §4.2, RFC 8323 §5)"
                )
            }
            Self::TypeCodeMismatch => f.write_str("type and code do not go together (RFC 7252 §4.3)"),
            Self::WebSocketLength(len) => write!(f, "Len is {len} and not 0 on a WebSocket (RFC 8323 §4.2)"),
            Self::TruncatedFrame => {
                f.write_str("the message is shorter than its length says (RFC 8323 §3.2)")
            }
            Self::BytesAfterFrame => f.write_str("bytes follow where the message ends (RFC 8323 §3.2)"),
        }
    }
}

impl core::error::Error for MessageError {}
