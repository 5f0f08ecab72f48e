//! A server of connections, each in a thread.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use coracle_wire::{Code, Framing, Message, MessageId, MessageType, OptionNumber, OptionsBuf, frame_len};

/// An empty CSM (RFC 8323 §5.3).
pub(crate) const EMPTY_CSM: &[u8] = &[0x00, 0xe1];

/// A CSM with a Max-Message-Size of 8192 and Block-Wise-Transfer.
pub(crate) const BERT_CSM: &[u8] = &[0x40, 0xe1, 0x22, 0x20, 0x00, 0x20];

/// Sends `greeting` on each new connection, and what `answer` makes of each message and the number of its connection;
/// nothing at all closes the connection.
pub(crate) fn serve_stream(
    greeting: &'static [u8],
    answer: impl FnMut(&Message<'_>, usize) -> Option<Vec<Vec<u8>>> + Clone + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (stream, number) in listener.incoming().zip(0..) {
            let answer = answer.clone();
            std::thread::spawn(move || talk(stream.unwrap(), greeting, number, answer));
        }
    });
    address
}

fn talk(
    mut stream: TcpStream,
    greeting: &[u8],
    number: usize,
    mut answer: impl FnMut(&Message<'_>, usize) -> Option<Vec<Vec<u8>>>,
) {
    let _ = stream.write_all(greeting);
    let (mut bytes, mut buf) = (Vec::new(), vec![0; 65_536]);
    while let Ok(len @ 1..) = stream.read(&mut buf) {
        bytes.extend_from_slice(&buf[..len]);
        let mut answers = Vec::new();
        while let Some(len) = frame_len(&bytes)
            .unwrap()
            .map(|len| usize::try_from(len).unwrap())
        {
            if len > bytes.len() {
                break;
            }
            let frame: Vec<u8> = bytes.drain(..len).collect();
            let message = Message::parse_frame(Framing::Tcp, &frame).unwrap();
            let Some(more) = answer(&message, number) else {
                let _ = stream.write_all(&answers);
                return;
            };
            answers.extend(more.concat());
        }
        if stream.write_all(&answers).is_err() {
            return;
        }
    }
}

/// A message with the token of another one.
pub(crate) fn frame(
    of: &Message<'_>,
    code: impl Into<Code>,
    options: &[(OptionNumber, &[u8])],
    payload: &[u8],
) -> Vec<u8> {
    let mut all = OptionsBuf::new();
    for (number, value) in options {
        all.insert(*number, value).unwrap();
    }
    let message = Message {
        message_type: MessageType::NonConfirmable,
        code: code.into(),
        message_id: MessageId(0),
        token: of.token,
        options: all.as_options(),
        payload,
    };
    let mut bytes = Vec::new();
    message.append_frame(Framing::Tcp, &mut bytes).unwrap();
    bytes
}
