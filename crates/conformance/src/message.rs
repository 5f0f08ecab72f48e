//! Messages of the judge's making, and those that it received, with the checks that cases are written in.

use std::net::SocketAddr;
use std::time::Duration;

use coracle_wire::{
    BlockOption, Code, CodeKind, ContentFormat, Framing, MessageError, MessageId, MessageType, Method,
    OptionNumber, OptionsBuf, Signal, Status,
};

use crate::verdict::{Judged, Stop};

/// A message that owns its parts. Anything can be put into it that the encoding can carry, also what no endpoint
/// should send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// CON, NON, ACK or RST.
    pub message_type: MessageType,
    /// Method or response code.
    pub code: Code,
    /// Message ID.
    pub mid: u16,
    /// Token.
    pub token: Vec<u8>,
    /// Options.
    pub options: OptionsBuf,
    /// Payload.
    pub payload: Vec<u8>,
}

impl Message {
    /// A message without token, options and payload.
    #[must_use]
    pub fn new(message_type: MessageType, code: impl Into<Code>, mid: u16) -> Message {
        Message {
            message_type,
            code: code.into(),
            mid,
            token: Vec::new(),
            options: OptionsBuf::new(),
            payload: Vec::new(),
        }
    }

    /// An empty message: a ping, an empty acknowledgement, a reset (RFC 7252 §4.1).
    #[must_use]
    pub fn empty(message_type: MessageType, mid: u16) -> Message {
        Message::new(message_type, Code::EMPTY, mid)
    }

    /// Makes it non-confirmable.
    #[must_use]
    pub fn non(mut self) -> Message {
        self.message_type = MessageType::NonConfirmable;
        self
    }

    /// Sets the token.
    #[must_use]
    pub fn token(mut self, token: &[u8]) -> Message {
        self.token = token.to_vec();
        self
    }

    /// Sets the Message ID.
    #[must_use]
    pub fn mid(mut self, mid: u16) -> Message {
        self.mid = mid;
        self
    }

    /// Adds an option, also one that its number does not allow.
    #[must_use]
    pub fn option(mut self, number: OptionNumber, value: &[u8]) -> Message {
        // What is too long to be encoded at all is a fault of the case, which then sees no such option arrive.
        let _ = self.options.insert(number, value);
        self
    }

    /// Adds an option with an unsigned integer.
    #[must_use]
    pub fn uint(mut self, number: OptionNumber, value: u64) -> Message {
        self.options.push_uint(number, value);
        self
    }

    /// Adds a Uri-Query.
    #[must_use]
    pub fn query(self, query: &str) -> Message {
        self.option(OptionNumber::URI_QUERY, query.as_bytes())
    }

    /// Adds Accept.
    #[must_use]
    pub fn accept(self, format: ContentFormat) -> Message {
        self.uint(OptionNumber::ACCEPT, u64::from(format.0))
    }

    /// Adds an ETag.
    #[must_use]
    pub fn etag(self, etag: &[u8]) -> Message {
        self.option(OptionNumber::ETAG, etag)
    }

    /// Adds Observe: 0 registers, 1 deregisters, in a response it is the sequence number (RFC 7641 §2).
    #[must_use]
    pub fn observe(self, value: u32) -> Message {
        self.uint(OptionNumber::OBSERVE, u64::from(value))
    }

    /// Adds Block1; `szx` 0 to 7 (RFC 7959 §2.2).
    #[must_use]
    pub fn block1(self, num: u32, more: bool, szx: u8) -> Message {
        self.block(OptionNumber::BLOCK1, num, more, szx)
    }

    /// Adds Block2; `szx` 0 to 7 (RFC 7959 §2.2).
    #[must_use]
    pub fn block2(self, num: u32, more: bool, szx: u8) -> Message {
        self.block(OptionNumber::BLOCK2, num, more, szx)
    }

    fn block(self, number: OptionNumber, num: u32, more: bool, szx: u8) -> Message {
        self.uint(
            number,
            u64::from(num) << 4 | u64::from(more) << 3 | u64::from(szx & 7),
        )
    }

    /// Sets the payload.
    #[must_use]
    pub fn payload(mut self, payload: &[u8]) -> Message {
        self.payload = payload.to_vec();
        self
    }

    /// Sets the payload and its Content-Format.
    #[must_use]
    pub fn content(self, format: ContentFormat, payload: &[u8]) -> Message {
        self.uint(OptionNumber::CONTENT_FORMAT, u64::from(format.0))
            .payload(payload)
    }

    /// Sets a text as payload.
    #[must_use]
    pub fn text(self, text: &str) -> Message {
        self.content(ContentFormat::TEXT, text.as_bytes())
    }

    /// The bytes of a datagram.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let view = self.view();
        let mut bytes = vec![0; view.encoded_len().min(1 << 17)];
        let length = view.encode(&mut bytes).unwrap_or_default();
        bytes.truncate(length);
        bytes
    }

    /// The bytes in a connection: without type and Message ID (RFC 8323 §3.2, §4.2); nothing if that is too long.
    #[must_use]
    pub fn to_frame(&self, framing: Framing) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.view().append_frame(framing, &mut bytes);
        bytes
    }

    fn view(&self) -> coracle_wire::Message<'_> {
        coracle_wire::Message {
            message_type: self.message_type,
            code: self.code,
            message_id: MessageId(self.mid),
            token: &self.token,
            options: self.options.as_options(),
            payload: &self.payload,
        }
    }

    /// Reads the bytes of a datagram.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(bytes: &[u8]) -> Result<Message, MessageError> {
        coracle_wire::Message::parse(bytes).map(Message::from)
    }

    /// Reads a message of a connection, whose type is non-confirmable and whose Message ID is 0.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse_frame(framing: Framing, frame: &[u8]) -> Result<Message, MessageError> {
        coracle_wire::Message::parse_frame(framing, frame).map(Message::from)
    }

    /// A signaling message (RFC 8323 §5).
    #[must_use]
    pub fn signal(signal: Signal) -> Message {
        Message::new(MessageType::NonConfirmable, signal, 0)
    }

    /// It is this signaling message (RFC 8323 §5.1).
    #[must_use]
    pub fn is_signal(&self, signal: Signal) -> bool {
        self.code == Code::from(signal)
    }

    /// Its method, if it is a request.
    #[must_use]
    pub fn method(&self) -> Option<Method> {
        match self.code.kind() {
            CodeKind::Request(method) => Some(method),
            _ => None,
        }
    }

    /// Its status, if it is a response.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        match self.code.kind() {
            CodeKind::Response(status) => Some(status),
            _ => None,
        }
    }

    /// It is confirmable.
    #[must_use]
    pub fn is_con(&self) -> bool {
        self.message_type == MessageType::Confirmable
    }

    /// Its Uri-Path as text: `/a/b`.
    #[must_use]
    pub fn uri_path(&self) -> String {
        self.joined(OptionNumber::URI_PATH)
    }

    /// Its Location-Path as text: `/a/b`.
    #[must_use]
    pub fn location_path(&self) -> String {
        self.joined(OptionNumber::LOCATION_PATH)
    }

    fn joined(&self, number: OptionNumber) -> String {
        let segments = self.options.as_options();
        let segments = segments.get_all(number).map(String::from_utf8_lossy);
        segments.fold(String::new(), |path, segment| path + "/" + &segment)
    }

    /// Its Uri-Query options.
    #[must_use]
    pub fn queries(&self) -> Vec<String> {
        let queries = self.options.as_options();
        let queries = queries
            .queries()
            .map(|query| String::from_utf8_lossy(query).into_owned());
        queries.collect()
    }

    /// Its first ETag.
    #[must_use]
    pub fn first_etag(&self) -> Option<Vec<u8>> {
        self.options.get(OptionNumber::ETAG).map(<[u8]>::to_vec)
    }

    /// Its Observe.
    #[must_use]
    pub fn observe_value(&self) -> Option<u32> {
        self.options.as_options().observe()
    }

    /// Its Block1, unless it is missing or cannot be read.
    #[must_use]
    pub fn block1_value(&self) -> Option<BlockOption> {
        self.options.as_options().block1()?.ok()
    }

    /// Its Block2, unless it is missing or cannot be read.
    #[must_use]
    pub fn block2_value(&self) -> Option<BlockOption> {
        self.options.as_options().block2()?.ok()
    }
}

impl From<coracle_wire::Message<'_>> for Message {
    fn from(view: coracle_wire::Message<'_>) -> Message {
        Message {
            message_type: view.message_type,
            code: view.code,
            mid: view.message_id.0,
            token: view.token.to_vec(),
            options: OptionsBuf::from(view.options),
            payload: view.payload.to_vec(),
        }
    }
}

impl std::fmt::Display for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.view().fmt(f)
    }
}

/// A message of the subject. Its checks fail with the record that shows the fault.
#[derive(Clone, Debug)]
pub struct Received {
    /// The message.
    pub message: Message,
    /// Which record of the transcript it is.
    pub index: usize,
    /// When it came, since the case began.
    pub at: Duration,
    /// Who sent it.
    pub from: SocketAddr,
}

impl std::ops::Deref for Received {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

/// The checks. Each gives the message back, so that they can be chained with `?`.
impl Received {
    /// Any condition; `expected` completes "expected …".
    ///
    /// # Errors
    /// [`Stop::Fail`] unless it holds.
    pub fn expect(
        &self,
        holds: bool,
        expected: impl AsRef<str>,
        section: impl Into<Option<&'static str>>,
    ) -> Judged<&Received> {
        if holds {
            return Ok(self);
        }
        let what = format!("expected {}, but got {}", expected.as_ref(), self.message);
        Err(Stop::fail_at(self.index, what, section))
    }

    /// It has one of these codes.
    ///
    /// # Errors
    /// [`Stop::Fail`] otherwise.
    pub fn code_in(&self, codes: &[Status]) -> Judged<&Received> {
        let names: Vec<String> = codes.iter().map(ToString::to_string).collect();
        let holds = self
            .message
            .status()
            .is_some_and(|status| codes.contains(&status));
        self.expect(holds, names.join(" or "), None)
    }

    /// It has this response code.
    ///
    /// # Errors
    /// [`Stop::Fail`] otherwise.
    pub fn code(&self, code: Status) -> Judged<&Received> {
        self.code_in(&[code])
    }

    /// It is a request with this method.
    ///
    /// # Errors
    /// [`Stop::Fail`] otherwise.
    pub fn is_request(&self, method: Method) -> Judged<&Received> {
        self.expect(self.message.method() == Some(method), format!("{method}"), None)
    }

    /// It is of this type.
    ///
    /// # Errors
    /// [`Stop::Fail`] otherwise.
    pub fn is_of(&self, message_type: MessageType) -> Judged<&Received> {
        let holds = self.message.message_type == message_type;
        self.expect(holds, format!("a {message_type}"), "RFC 7252 §4.2, §4.3")
    }

    /// It answers this request: the token, and if it is an acknowledgement the Message ID, are those of the request.
    ///
    /// # Errors
    /// [`Stop::Fail`] otherwise.
    pub fn answers(&self, request: &Message) -> Judged<&Received> {
        self.expect(
            self.message.token == request.token,
            "the token of the request",
            "RFC 7252 §5.3.1",
        )?;
        let acknowledges = self.message.message_type == MessageType::Acknowledgement;
        self.expect(
            !acknowledges || self.message.mid == request.mid,
            "the Message ID of the request in its acknowledgement",
            "RFC 7252 §4.2",
        )
    }

    /// It is a response in the acknowledgement of this request.
    ///
    /// # Errors
    /// [`Stop::Fail`] otherwise.
    pub fn is_piggybacked_on(&self, request: &Message) -> Judged<&Received> {
        self.expect(
            self.message.message_type == MessageType::Acknowledgement && self.message.status().is_some(),
            "a piggybacked response",
            "RFC 7252 §5.2.1",
        )?
        .answers(request)
    }

    /// It is empty, of this type, and has this Message ID; it is four bytes long.
    ///
    /// # Errors
    /// [`Stop::Fail`] otherwise.
    pub fn is_empty_of(&self, message_type: MessageType, mid: u16) -> Judged<&Received> {
        let expected = Message::empty(message_type, mid);
        let section = "RFC 7252 §4.1, §4.2";
        self.expect(self.message == expected, format!("{expected}"), section)
    }

    /// It has an option.
    ///
    /// # Errors
    /// [`Stop::Fail`] otherwise.
    pub fn has(&self, number: OptionNumber) -> Judged<&Received> {
        self.expect(
            self.message.options.contains(number),
            format!("option {number}"),
            None,
        )
    }

    /// It lacks an option.
    ///
    /// # Errors
    /// [`Stop::Fail`] otherwise.
    pub fn lacks(&self, number: OptionNumber) -> Judged<&Received> {
        self.expect(
            !self.message.options.contains(number),
            format!("no option {number}"),
            None,
        )
    }

    /// Its payload has this Content-Format.
    ///
    /// # Errors
    /// [`Stop::Fail`] otherwise.
    pub fn format(&self, format: ContentFormat) -> Judged<&Received> {
        let holds = self.message.options.as_options().content_format() == Some(format);
        self.expect(holds, format!("Content-Format {format}"), "RFC 7252 §5.10.3")
    }

    /// It has a payload.
    ///
    /// # Errors
    /// [`Stop::Fail`] otherwise.
    pub fn has_payload(&self) -> Judged<&Received> {
        self.expect(!self.message.payload.is_empty(), "a payload", None)
    }

    /// It has this payload.
    ///
    /// # Errors
    /// [`Stop::Fail`] otherwise.
    pub fn payload_is(&self, payload: &[u8]) -> Judged<&Received> {
        let expected = format!("the payload \"{}\"", payload.escape_ascii());
        self.expect(self.message.payload == payload, expected, None)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// RFC 7252 appendix A, figure 16.
    #[test]
    fn a_request_of_the_rfc_comes_out_byte_for_byte() {
        let get = Message::new(MessageType::Confirmable, Method::GET, 0x7d34)
            .option(OptionNumber::URI_PATH, b"temperature");
        let bytes = b"\x40\x01\x7d\x34\xbbtemperature";
        assert_eq!(get.to_bytes(), bytes);
        assert_eq!(Message::parse(bytes).unwrap(), get);
        assert_eq!(get.uri_path(), "/temperature");
    }

    #[test]
    fn blocks_come_out_with_the_reserved_size_too() {
        let get = Message::new(MessageType::Confirmable, Method::GET, 1).block2(3, false, 7);
        assert_eq!(get.to_bytes(), [0x40, 1, 0, 1, 0xd1, 10, 0x37]);
    }
}
