//! A server in a thread, as good or as bad as its function.
#![allow(dead_code, reason = "not every test needs all of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "part of tests")]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use coracle_wire::{Message, MessageType, MessageWriter, OptionNumber, Status};

pub(crate) mod stream;

/// Sends what `answer` makes of each request, in order, until the test's process ends.
pub(crate) fn serve(
    mut answer: impl FnMut(&Message<'_>, SocketAddr) -> Vec<Vec<u8>> + Send + 'static,
) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buf = [0; 2048];
        while let Ok((len, from)) = socket.recv_from(&mut buf) {
            let Ok(request) = Message::parse(&buf[..len]) else {
                continue;
            };
            for datagram in answer(&request, from) {
                let _ = socket.send_to(&datagram, from);
            }
        }
    });
    address
}

/// The piggybacked or non-confirmable response to a request.
pub(crate) fn response(request: &Message<'_>, status: Status, payload: &[u8]) -> Vec<u8> {
    with_options(request, status, &[], payload)
}

/// A response with options, in the order of their numbers.
pub(crate) fn with_options(
    request: &Message<'_>,
    status: Status,
    options: &[(OptionNumber, &[u8])],
    payload: &[u8],
) -> Vec<u8> {
    let message_type = match request.message_type {
        MessageType::Confirmable => MessageType::Acknowledgement,
        other => other,
    };
    let mut buf = vec![0; 2048];
    let mut writer = MessageWriter::new(&mut buf, message_type, status, request.message_id, request.token);
    for (number, value) in options {
        writer = writer.option(*number, value);
    }
    let len = writer.payload(payload).finish().unwrap();
    buf.truncate(len);
    buf
}

/// An Empty message.
pub(crate) fn empty(message_type: MessageType, request: &Message<'_>) -> Vec<u8> {
    let mut buf = vec![0; 4];
    Message::empty(message_type, request.message_id)
        .encode(&mut buf)
        .unwrap();
    buf
}
