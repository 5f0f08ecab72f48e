//! What a responder on tokio costs that knows frames and nothing else: a task for each connection, one read and one
//! write for all that has come.

use std::io;
use std::net::Ipv4Addr;

use bytes::{Buf, BytesMut};
use coracle_wire::{
    Code, Framing, Message, MessageId, MessageType, Method, OptionNumber, OptionsBuf, Signal, Status,
    frame_len,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::coracle::TEXT;
use crate::process;

/// What is read at once, as in our server.
const READ: usize = 64 << 10;

/// Serves until it is killed.
pub(crate) fn serve() -> io::Result<()> {
    process::runtime()?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        process::announce(listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(talk(stream));
        }
    })
}

/// Answers until the peer says no more, or nothing that can be read.
async fn talk(mut stream: TcpStream) -> io::Result<()> {
    let mut options = OptionsBuf::new();
    options.push_uint(OptionNumber::CONTENT_FORMAT, 0);
    let (mut received, mut answers) = (BytesMut::new(), Vec::new());
    append(
        &mut answers,
        Code::from(Signal::CSM),
        &[],
        &OptionsBuf::new(),
        &[],
    );
    loop {
        stream.write_all(&answers).await?;
        answers.clear();
        received.reserve(READ);
        if stream.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
        while let Some(len) = whole_frame(&received)? {
            let frame = received.get(..len).unwrap_or_default();
            let message = Message::parse_frame(Framing::Tcp, frame).map_err(io::Error::other)?;
            answer(&message, &options, &mut answers);
            received.advance(len);
        }
    }
}

/// The length of the first frame, if it is there as a whole.
fn whole_frame(received: &[u8]) -> io::Result<Option<usize>> {
    let len = frame_len(received).map_err(io::Error::other)?;
    let len = len.and_then(|len| usize::try_from(len).ok());
    Ok(len.filter(|len| *len <= received.len()))
}

fn answer(message: &Message<'_>, options: &OptionsBuf, answers: &mut Vec<u8>) {
    if message.code != Code::from(Method::GET) {
        return;
    }
    match message.options.path().eq([b"temp"]) {
        true => append(
            answers,
            Code::from(Status::CONTENT),
            message.token,
            options,
            TEXT.as_bytes(),
        ),
        false => append(
            answers,
            Code::from(Status::NOT_FOUND),
            message.token,
            &OptionsBuf::new(),
            &[],
        ),
    }
}

fn append(bytes: &mut Vec<u8>, code: Code, token: &[u8], options: &OptionsBuf, payload: &[u8]) {
    let message = Message {
        message_type: MessageType::NonConfirmable,
        code,
        message_id: MessageId(0),
        token,
        options: options.as_options(),
        payload,
    };
    // It is far from the longest.
    let _ = message.append_frame(Framing::Tcp, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_gets_of_the_path_have_the_text() {
        let answered = |frame: &[u8]| {
            let (mut options, mut answers) = (OptionsBuf::new(), Vec::new());
            options.push_uint(OptionNumber::CONTENT_FORMAT, 0);
            let message = Message::parse_frame(Framing::Tcp, frame).unwrap();
            answer(&message, &options, &mut answers);
            answers
        };
        assert_eq!(answered(b"\x52\x01ab\xb4temp"), b"\x62\x45ab\xc0\xff21.5");
        assert_eq!(answered(b"\x52\x01ab\xb4tamp"), b"\x02\x84ab");
        assert_eq!(answered(b"\x00\xe1"), b"");
    }
}
