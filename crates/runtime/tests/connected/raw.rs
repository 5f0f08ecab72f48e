//! A peer that is played byte by byte.

use std::net::SocketAddr;

use coracle_wire::{
    Code, Csm, Framing, Message, MessageId, MessageType, Method, OptionNumber, OptionsBuf, Signal, frame_len,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::bounded;

/// A frame of these parts.
pub fn frame(
    code: impl Into<Code>,
    token: &[u8],
    options: &[(OptionNumber, &[u8])],
    payload: &[u8],
) -> Vec<u8> {
    let mut buf = OptionsBuf::new();
    for (number, value) in options {
        buf.insert(*number, value).unwrap();
    }
    let message = Message {
        message_type: MessageType::NonConfirmable,
        code: code.into(),
        message_id: MessageId(0),
        token,
        options: buf.as_options(),
        payload,
    };
    let mut bytes = Vec::new();
    message.append_frame(Framing::Tcp, &mut bytes).unwrap();
    bytes
}

/// A CSM that takes blocks and messages of a megabyte.
pub fn csm() -> Vec<u8> {
    let csm = Csm {
        max_message_size: Some(1 << 20),
        block_wise_transfer: true,
        extended_token_length: None,
    };
    let options = csm.to_options();
    let options: Vec<_> = options
        .iter()
        .map(|option| (option.number, option.value))
        .collect();
    frame(Signal::CSM, &[], &options, &[])
}

pub fn get(path: &str, token: &[u8]) -> Vec<u8> {
    let options: &[(OptionNumber, &[u8])] = &[(OptionNumber::URI_PATH, path.as_bytes())];
    frame(Method::GET, token, options, &[])
}

/// The other end of a connection.
pub struct Raw {
    pub stream: TcpStream,
    inbox: Vec<u8>,
}

/// What a message is.
#[derive(Debug, PartialEq, Eq)]
pub struct Came {
    pub code: String,
    pub token: Vec<u8>,
    pub payload: Vec<u8>,
}

impl Raw {
    pub fn new(stream: TcpStream) -> Raw {
        Raw {
            stream,
            inbox: Vec::new(),
        }
    }

    /// Connects and lets both sides send their CSM.
    pub async fn open(address: SocketAddr) -> Raw {
        let mut raw = Raw::new(TcpStream::connect(address).await.unwrap());
        raw.greet().await;
        raw
    }

    pub async fn greet(&mut self) {
        self.send(&csm()).await;
        assert_eq!(self.next().await.unwrap().code, "7.01");
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        bounded(self.stream.write_all(bytes)).await.unwrap();
    }

    /// The next message; `None` at the end of the connection.
    pub async fn next(&mut self) -> Option<Came> {
        loop {
            let len = frame_len(&self.inbox).unwrap();
            let len = len.map_or(usize::MAX, |len| usize::try_from(len).unwrap());
            if self.inbox.len() >= len {
                let rest = self.inbox.split_off(len);
                let frame = std::mem::replace(&mut self.inbox, rest);
                let message = Message::parse_frame(Framing::Tcp, &frame).unwrap();
                return Some(Came {
                    code: message.code.to_string(),
                    token: message.token.to_vec(),
                    payload: message.payload.to_vec(),
                });
            }
            if bounded(self.stream.read_buf(&mut self.inbox)).await.unwrap() == 0 {
                assert!(self.inbox.is_empty(), "a message is cut off");
                return None;
            }
        }
    }

    /// Answers the request that comes next: 2.05 with this payload.
    pub async fn answer(&mut self, payload: &[u8]) {
        let asked = self.next().await.unwrap();
        let answer = frame(coracle_wire::Status::CONTENT, &asked.token, &[], payload);
        self.send(&answer).await;
    }
}
