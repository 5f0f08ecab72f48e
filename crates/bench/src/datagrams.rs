//! Messages that the measurements send.

use coracle_wire::{Code, Message, MessageId, MessageType, Method, OptionNumber, Options, OptionsBuf};

/// Room for the longest of them.
pub(crate) const LONGEST: usize = 1280;

/// The options of a request for a path of one segment, which is shorter than 256 bytes.
pub(crate) fn path(segment: &str) -> OptionsBuf {
    let mut options = OptionsBuf::new();
    let fits = options.push_str(OptionNumber::URI_PATH, segment);
    assert_eq!(fits, Ok(()));
    options
}

/// Writes a confirmable request into `buf` and returns its length; 0 if there is no room.
pub(crate) fn request(
    method: Method,
    id: u16,
    token: [u8; 4],
    options: Options<'_>,
    payload: &[u8],
    buf: &mut [u8],
) -> usize {
    let request = Message {
        message_type: MessageType::Confirmable,
        code: Code::from(method),
        message_id: MessageId(id),
        token: &token,
        options,
        payload,
    };
    request.encode(buf).unwrap_or_default()
}

/// An Empty message: an Acknowledgement or a Reset (RFC 7252 §4.1).
pub(crate) fn empty(message_type: MessageType, id: MessageId) -> [u8; 4] {
    let mut datagram = [0; 4];
    let written = Message::empty(message_type, id).encode(&mut datagram);
    assert_eq!(written, Ok(4));
    datagram
}
