//! Requests as bytes.

use std::hint::black_box;

use coracle_wire::{Code, Message, MessageId, MessageType, Method, OptionNumber, Options, OptionsBuf};

/// The options of the request that all cases make.
pub(super) fn options() -> OptionsBuf {
    let mut options = OptionsBuf::new();
    let fits = options.push_str(OptionNumber::URI_PATH, "temp");
    assert_eq!(fits, Ok(()));
    options
}

/// Writes a confirmable request into `buf`, which is long enough, and returns its length.
pub(super) fn request(
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

pub(super) fn parse() -> impl FnMut() {
    let mut datagram = [0; 64];
    let len = request(
        Method::GET,
        7,
        *b"toke",
        options().as_options(),
        &[],
        &mut datagram,
    );
    move || {
        let message = Message::parse(black_box(&datagram).get(..len).unwrap_or_default());
        let options = message.map(|message| {
            message
                .options
                .iter()
                .map(|option| option.value.len())
                .sum::<usize>()
        });
        let _ = black_box(options);
    }
}

pub(super) fn encode() -> impl FnMut() {
    let options = options();
    let mut datagram = [0; 64];
    move || {
        black_box(request(
            Method::GET,
            black_box(7),
            *b"toke",
            black_box(&options).as_options(),
            &[],
            &mut datagram,
        ));
    }
}
