//! What was decoded, for scripts.

use serde::Serialize;

use super::{Piece, Transport, reaction};
use crate::hex;
use crate::json::{self, OptionJson, PayloadJson};
use crate::wire::{HeaderStart, Message, MessageError};

#[derive(Serialize)]
pub(super) struct MessageJson {
    #[serde(flatten)]
    frame: Option<FrameJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<String>,
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<u16>,
    token: String,
    options: Vec<OptionJson>,
    #[serde(flatten)]
    payload: Option<PayloadJson>,
}

/// How a message lies on its connection.
#[derive(Serialize)]
struct FrameJson {
    transport: &'static str,
    /// Where its frame begins in the stream, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<usize>,
    length: usize,
}

impl FrameJson {
    fn new(piece: &Piece<'_>) -> Option<FrameJson> {
        let (transport, start) = match piece.transport {
            Transport::Udp => return None,
            Transport::Tcp => ("tcp", Some(piece.start)),
            Transport::Ws => ("ws", None),
        };
        Some(FrameJson {
            transport,
            start,
            length: piece.bytes.len(),
        })
    }
}

impl MessageJson {
    pub(super) fn new(message: &Message<'_>, piece: &Piece<'_>) -> MessageJson {
        let is_datagram = piece.transport == Transport::Udp;
        MessageJson {
            frame: FrameJson::new(piece),
            version: is_datagram.then_some(1),
            r#type: is_datagram.then(|| message.message_type.to_string()),
            code: message.code.to_string(),
            name: message.code.name(),
            message_id: is_datagram.then_some(message.message_id.0),
            token: hex::digits(message.token),
            options: json::options(message.code, message.options),
            payload: PayloadJson::new(crate::show::message::content_format(message), message.payload),
        }
    }
}

#[derive(Serialize)]
pub(super) struct ErrorJson {
    error: String,
    offset: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    option: Option<usize>,
    #[serde(flatten)]
    frame: Option<FrameJson>,
    #[serde(flatten)]
    header: Option<HeaderJson>,
    reaction: &'static str,
}

#[derive(Serialize)]
struct HeaderJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<String>,
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<u16>,
}

impl ErrorJson {
    pub(super) fn new(error: &MessageError, piece: &Piece<'_>) -> ErrorJson {
        ErrorJson {
            error: error.to_string(),
            offset: error.offset,
            option: error.option,
            frame: FrameJson::new(piece),
            header: error
                .header
                .map(|header| HeaderJson::new(header, piece.transport)),
            reaction: reaction(error, piece).0,
        }
    }
}

impl HeaderJson {
    fn new(header: HeaderStart, transport: Transport) -> HeaderJson {
        let is_datagram = transport == Transport::Udp;
        HeaderJson {
            r#type: is_datagram.then(|| header.message_type.to_string()),
            code: header.code.to_string(),
            message_id: is_datagram.then_some(header.message_id.0),
        }
    }
}
