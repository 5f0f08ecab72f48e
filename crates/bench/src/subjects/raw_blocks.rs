//! The raw limit of a block-wise transfer: a responder that sends the block that is asked for, or takes the one that
//! comes, and remembers nothing.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};

use coracle_wire::{BlockOption, Code, Message, MessageType, Method, OptionNumber, OptionsBuf, Status};

use super::body;
use crate::process;

/// Serves until it is killed.
pub(crate) fn serve(blocks: u32) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    process::announce(socket.local_addr()?);
    let (mut request, mut answer) = ([0; 2048], [0; 2048]);
    loop {
        let (len, from) = socket.recv_from(&mut request)?;
        let request = Message::parse(request.get(..len).unwrap_or_default());
        let written = request
            .ok()
            .and_then(|request| write_answer(&request, blocks, &mut answer));
        if let Some(answer) = written.and_then(|len| answer.get(..len)) {
            socket.send_to(answer, from)?;
        }
    }
}

fn write_answer(request: &Message<'_>, blocks: u32, answer: &mut [u8]) -> Option<usize> {
    let mut options = OptionsBuf::new();
    let payload;
    let (status, payload): (Status, &[u8]) = if request.code == Code::from(Method::GET) {
        let asked = request.options.block2()?.ok()?;
        let more = asked.num() + 1 < blocks;
        let block = BlockOption::new(asked.num(), more, asked.szx()).ok()?;
        options.insert(OptionNumber::ETAG, body::ETAG).ok()?;
        options.insert(OptionNumber::BLOCK2, &block.encode()).ok()?;
        payload = body::block(asked.num());
        (Status::CONTENT, &payload)
    } else {
        let came = request.options.block1()?.ok()?;
        options.insert(OptionNumber::BLOCK1, &came.encode()).ok()?;
        let status = if came.more() {
            Status::CONTINUE
        } else {
            Status::CHANGED
        };
        (status, &[])
    };
    let message = Message {
        message_type: MessageType::Acknowledgement,
        code: Code::from(status),
        message_id: request.message_id,
        token: request.token,
        options: options.as_options(),
        payload,
    };
    message.encode(answer).ok()
}
