//! CoAP messages as bytes: header, token, code, options, blocks and URIs.
//!
//! Floor 0 of Coracle: values only. Nothing here knows a clock, a socket or a state, and nothing here
//! panics on what a network can send. Reading borrows the bytes, writing fills the caller's buffer;
//! neither allocates. The feature `alloc` (on by default) adds what has to own its bytes: [`OptionsBuf`]
//! and the composition of URIs.
//!
//! | module | holds | source |
//! |---|---|---|
//! | `message` | [`Message`], [`MessageWriter`]: one UDP datagram | RFC 7252 §3, RFC 8974 §2.1 |
//! | `frame` | [`Framing`], [`frame_len`], [`Message::parse_frame`]: one message on TCP or WebSocket | RFC 8323 §3.2, §4.2 |
//! | `signaling` | [`Csm`], [`Custody`], [`Release`], [`Abort`]: what signaling messages say | RFC 8323 §5, RFC 8974 §2.2.1 |
//! | `error` | [`MessageError`], [`Reaction`]: what is wrong, where, and what the receiver does | RFC 7252 §4.2, §4.3, RFC 8323 §5.6 |
//! | `code` | [`Code`], [`Method`], [`Status`], [`Signal`] | RFC 7252 §12.1 |
//! | `options` | [`Options`], [`OptionsBuf`]: encoded option sequences | RFC 7252 §3.1, §5.4 |
//! | `number` | [`OptionNumber`], [`OptionDefinition`] | RFC 7252 §5.4.6, §12.2 |
//! | `content_format` | [`ContentFormat`] | RFC 7252 §12.3 |
//! | `block` | [`BlockOption`] | RFC 7959 §2.2 |
//! | `uri` | [`Uri`], [`Scheme`], [`Host`] | RFC 7252 §6, RFC 8323 §8 |
//!
//! ```
//! use coracle_wire::{Code, CodeKind, Message, Method, OptionNumber};
//!
//! // RFC 7252 figure 16: CON GET /temperature, Message ID 0x7d34.
//! let datagram = b"\x40\x01\x7d\x34\xbbtemperature";
//! let message = Message::parse(datagram)?;
//! assert_eq!(message.code.kind(), CodeKind::Request(Method::GET));
//! assert_eq!(message.options.get_str(OptionNumber::URI_PATH), Some("temperature"));
//!
//! let mut buf = [0; 64];
//! let len = message.encode(&mut buf)?;
//! assert_eq!(buf.get(..len), Some(&datagram[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;

mod block;
mod code;
mod content_format;
mod cursor;
mod error;
mod frame;
mod message;
mod number;
mod options;
#[cfg(feature = "alloc")]
mod options_buf;
#[cfg(feature = "alloc")]
mod short_bytes;
mod signaling;
mod token;
mod uint;
mod uri;
#[cfg(feature = "alloc")]
mod uri_options;
mod writer;

pub use block::{BlockError, BlockOption};
pub use code::{Code, CodeKind, Method, ParseCodeError, Signal, Status};
pub use content_format::{ContentFormat, ParseContentFormatError};
pub use error::{HeaderStart, MessageError, MessageErrorKind, Reaction};
pub use frame::{Framing, frame_len};
pub use message::{Message, MessageId, MessageType};
pub use number::{
    OptionDefinition, OptionFormat, OptionNumber, OptionValueError, ParseOptionNumberError, check_option,
};
pub use options::{
    MAX_OPTION_LEN, OptionRef, OptionTooLong, Options, OptionsError, OptionsErrorKind, OptionsIter,
};
#[cfg(feature = "alloc")]
pub use options_buf::OptionsBuf;
pub use signaling::{Abort, Csm, Custody, Release, SignalOptionError, SignalOptionErrorKind};
pub use token::{MAX_EXTENDED_TOKEN_LEN, Token};
pub use uint::{UintBytes, decode_uint, encode_uint};
pub use uri::{Host, Scheme, Uri, UriError, UriErrorKind};
pub use writer::{BufferTooSmall, MessageWriter, WriteError};
