//! A body of 100 MB that lies in memory, and those who move it over TCP: plainly, by BERT and nothing else, and our server.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::LazyLock;

use bytes::Bytes;
use clap::ValueEnum;
use coracle_engine::Window;
use coracle_router::{BodyStream, Changed, Request, Response, Router, get};
use coracle_runtime::Endpoint;
use coracle_wire::{
    BlockOption, Code, Csm, Framing, Message, MessageId, MessageType, Method, OptionNumber, OptionsBuf,
    Signal, Status, frame_len,
};

use super::body::{BLOCK, block};
use crate::process;

/// Blocks of the body, of 1,024 bytes each.
const BLOCKS: u32 = 97_657;

/// Blocks in a message of BERT: 1 MiB, as our server's own Max-Message-Size allows.
const BLOCKS_AT_ONCE: usize = 1024;

/// Max-Message-Size that the bare two tell, as ours do.
const MAX_MESSAGE: u32 = (1 << 20) + 512;

/// The body. Each block begins with its number.
pub(crate) static BODY: LazyLock<Bytes> =
    LazyLock::new(|| (0..BLOCKS).flat_map(block).collect::<Vec<u8>>().into());

/// Who serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bulk {
    /// Writes it to who connects
    Source,
    /// Reads it from who connects
    Sink,
    /// Answers requests for parts, and takes parts
    Bare,
    /// Our server
    Coracle,
}

impl Bulk {
    /// Serves until it is killed; `chunk` bytes at a time, where nothing else says how many.
    pub(crate) fn serve(self, chunk: usize) -> io::Result<()> {
        LazyLock::force(&BODY);
        if self == Bulk::Coracle {
            return serve_coracle();
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        process::announce(listener.local_addr()?);
        for stream in listener.incoming() {
            let mut stream = stream?;
            match self {
                Bulk::Source => write_plainly(&mut stream, chunk)?,
                Bulk::Sink => {
                    let len = read_plainly(&mut stream, chunk)?;
                    stream.write_all(&[u8::from(len == BODY.len())])?;
                }
                // Who has all it wants goes away.
                Bulk::Bare | Bulk::Coracle => drop(answer(stream)),
            }
        }
        Ok(())
    }
}

/// Writes the body, so many bytes at a time, and says that no more comes.
pub(crate) fn write_plainly(stream: &mut TcpStream, chunk: usize) -> io::Result<()> {
    for part in BODY.chunks(chunk) {
        stream.write_all(part)?;
    }
    stream.shutdown(std::net::Shutdown::Write)
}

/// Reads all that comes into one buffer, and returns its length.
pub(crate) fn read_plainly(stream: &mut TcpStream, chunk: usize) -> io::Result<usize> {
    let (mut buffer, mut all) = (vec![0; chunk], 0);
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(all),
            len => all += len,
        }
    }
}

/// One of the two that speak BERT and nothing else, on a blocking socket.
pub(crate) struct Bare {
    stream: TcpStream,
    received: Vec<u8>,
    /// Bytes of it that are a message which was taken.
    taken: usize,
    out: Vec<u8>,
}

impl Bare {
    /// Begins with a CSM.
    pub(crate) fn new(stream: TcpStream) -> io::Result<Bare> {
        stream.set_nodelay(true)?;
        let mut bare = Bare {
            stream,
            received: Vec::new(),
            taken: 0,
            out: Vec::new(),
        };
        let csm = Csm {
            max_message_size: Some(MAX_MESSAGE),
            block_wise_transfer: true,
            extended_token_length: None,
        };
        bare.send(Code::from(Signal::CSM), &[], &csm.to_options(), &[])?;
        Ok(bare)
    }

    pub(crate) fn send(
        &mut self,
        code: Code,
        token: &[u8],
        options: &OptionsBuf,
        payload: &[u8],
    ) -> io::Result<()> {
        let message = Message {
            message_type: MessageType::NonConfirmable,
            code,
            message_id: MessageId(0),
            token,
            options: options.as_options(),
            payload,
        };
        self.out.clear();
        message
            .append_frame(Framing::Tcp, &mut self.out)
            .ok_or_else(|| io::Error::other("a message is too long"))?;
        self.stream.write_all(&self.out)
    }

    /// The next message that is no signaling.
    pub(crate) fn receive(&mut self) -> io::Result<Message<'_>> {
        let len = loop {
            self.received.drain(..std::mem::take(&mut self.taken));
            let len = self.frame()?;
            // The code follows the extension of the length; signaling messages here are short and have none.
            if self.received.get(1).is_none_or(|code| code >> 5 != 7) {
                break len;
            }
            self.taken = len;
        };
        self.taken = len;
        let frame = self.received.get(..len).unwrap_or_default();
        Message::parse_frame(Framing::Tcp, frame).map_err(io::Error::other)
    }

    /// Reads until a whole frame is there, and no further than its end once it is known.
    fn frame(&mut self) -> io::Result<usize> {
        loop {
            let len = frame_len(&self.received).map_err(io::Error::other)?;
            let len = len.and_then(|len| usize::try_from(len).ok());
            let wanted = len.map_or(64, |len| len.saturating_sub(self.received.len()));
            if let (0, Some(len)) = (wanted, len) {
                return Ok(len);
            }
            let mut part = (&self.stream).take(wanted as u64);
            self.received.reserve(wanted);
            // What a message lacks is read at once; before that, whatever is there.
            let came = match len {
                Some(_) => part.read_to_end(&mut self.received)?,
                None => {
                    let mut start = [0; 8];
                    let came = (&self.stream).read(&mut start)?;
                    self.received
                        .extend_from_slice(start.get(..came).unwrap_or_default());
                    came
                }
            };
            if came == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// The part of the body that begins with this block, and its option.
pub(crate) fn part(number: u32) -> (BlockOption, &'static [u8]) {
    let body: &'static [u8] = &BODY;
    let rest = body.get(number as usize * BLOCK..).unwrap_or_default();
    let part = rest.get(..BLOCKS_AT_ONCE * BLOCK).unwrap_or(rest);
    let block = BlockOption::new(number, part.len() < rest.len(), BlockOption::SZX_BERT);
    #[allow(
        clippy::expect_used,
        reason = "the body has fewer blocks than there are numbers"
    )]
    (block.expect("a number of at most 20 bits"), part)
}

/// Whether a part is what the body has from this block on: of each block the number is looked at.
pub(crate) fn is_right(first: u32, part: &[u8]) -> bool {
    let numbers = first..;
    part.chunks(BLOCK)
        .zip(numbers)
        .all(|(block, number)| block.first_chunk() == Some(&number.to_be_bytes()))
}

fn answer(stream: TcpStream) -> io::Result<()> {
    let mut bare = Bare::new(stream)?;
    loop {
        let request = bare.receive()?;
        let token = request.token.to_vec();
        let mut options = OptionsBuf::new();
        if request.code == Code::from(Method::GET) {
            let asked = request.options.block2().and_then(Result::ok);
            let (block, part) = part(asked.map_or(0, BlockOption::num));
            let written = options
                .insert(OptionNumber::ETAG, super::body::ETAG)
                .and_then(|()| options.insert(OptionNumber::BLOCK2, &block.encode()));
            written.map_err(io::Error::other)?;
            bare.send(Code::from(Status::CONTENT), &token, &options, part)?;
        } else {
            let came = request.options.block1().and_then(Result::ok);
            let came = came.ok_or_else(|| io::Error::other("an upload without Block1"))?;
            let status = match came.more() {
                _ if !is_right(came.num(), request.payload) => Status::BAD_REQUEST,
                true => Status::CONTINUE,
                false => Status::CHANGED,
            };
            options
                .insert(OptionNumber::BLOCK1, &came.encode())
                .map_err(io::Error::other)?;
            bare.send(Code::from(status), &token, &options, &[])?;
        }
    }
}

fn serve_coracle() -> io::Result<()> {
    process::runtime()?.block_on(async {
        let endpoint = Endpoint::bind("coap+tcp://127.0.0.1:0").map_err(io::Error::other)?;
        endpoint.local_addrs().into_iter().for_each(process::announce);
        let router = Router::new().route("/body", get(read_body).put(write_body));
        endpoint.serve(router).await.map_err(io::Error::other)
    })
}

/// The part that is asked for, of which nothing is copied.
async fn read_body(request: Request) -> Response {
    let asked = request.options.as_options().block2().and_then(Result::ok);
    let offset = asked.map_or(0, BlockOption::offset);
    let start = usize::try_from(offset).map_or(BODY.len(), |start| start.min(BODY.len()));
    let end = BODY.len().min(start + request.part_len);
    Response::success(BODY.slice(start..end))
        .with_etag(super::body::ETAG)
        .with_window(Window {
            offset,
            total: BODY.len() as u64,
        })
}

async fn write_body(mut stream: BodyStream) -> Result<Changed, Status> {
    let mut came = 0;
    while let Some(part) = stream.next().await {
        let part = part.map_err(|_| Status::BAD_REQUEST)?;
        let first = u32::try_from(came / BLOCK).map_err(|_| Status::BAD_REQUEST)?;
        if !is_right(first, &part) {
            return Err(Status::BAD_REQUEST);
        }
        came += part.len();
    }
    match came == BODY.len() {
        true => Ok(Changed),
        false => Err(Status::BAD_REQUEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_body_one_after_another() {
        let (mut number, mut bytes) = (0, 0);
        loop {
            let (block, part) = part(number);
            assert_eq!(block.offset(), bytes as u64);
            assert!(is_right(number, part));
            assert!(!is_right(number + 1, part));
            bytes += part.len();
            number += u32::try_from(part.len() / BLOCK).unwrap();
            if !block.more() {
                break;
            }
        }
        assert_eq!((bytes, number), (BODY.len(), BLOCKS));
    }
}
