//! A relay in front of a server that is right, which makes it wrong in one way.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use coracle_conformance::message::Message;
use coracle_conformance::transport::Transport;
use coracle_conformance::websocket::{Head, Opcode, WsFrame};
use coracle_wire::{Framing, frame_len};

/// Which way something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToJudge,
}

/// A piece of a connection.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// A message that can be read.
    Message(Message),
    /// A head of HTTP, a frame of a WebSocket without a message, or bytes that are no message.
    Other(Vec<u8>),
    /// The sender closes its side.
    End,
}

/// Makes of one piece those that go on. A connection has one of its own.
pub(crate) type Fault = Box<dyn FnMut(Way, Piece) -> Vec<Piece> + Send>;

/// Makes a fault for each connection; the number of the connection is given.
pub(crate) type Faults = Arc<dyn Fn(usize) -> Fault + Send + Sync>;

/// The mask of frames that the relay makes for the server.
const MASK: [u8; 4] = [1, 2, 3, 4];

/// How long the relay waits for the rest of a message before it passes on what it has.
const PART: Duration = Duration::from_millis(200);

/// A relay that runs until it is dropped.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Relay {
    /// With `by_read` no messages are cut: each piece is what one read gave.
    pub(crate) fn start(transport: Transport, server: SocketAddr, by_read: bool, faults: Faults) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&over);
        thread::spawn(move || {
            for number in 0.. {
                let Ok((front, _)) = listener.accept() else {
                    return;
                };
                if done.load(Ordering::Relaxed) {
                    return;
                }
                let back = TcpStream::connect(server).unwrap();
                let fault = Arc::new(Mutex::new(faults(number)));
                for (way, from, to) in [(Way::ToServer, &front, &back), (Way::ToJudge, &back, &front)] {
                    let fault = Arc::clone(&fault);
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    from.set_nodelay(true).unwrap();
                    thread::spawn(move || pass((transport, by_read), way, &from, &to, &fault));
                }
            }
        });
        Relay { address, over }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

/// Passes one direction of a connection on, piece by piece.
fn pass(
    (transport, by_read): (Transport, bool),
    way: Way,
    mut from: &TcpStream,
    to: &TcpStream,
    fault: &Mutex<Fault>,
) {
    let (mut unread, mut buf) = (Vec::new(), [0; 16 * 1024]);
    from.set_read_timeout(Some(PART)).unwrap();
    loop {
        let read = from.read(&mut buf);
        let over = match read {
            Ok(0) => true,
            Ok(length) => {
                unread.extend_from_slice(&buf[..length]);
                false
            }
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                // What does not become a message goes on as it is.
                let rest = std::mem::take(&mut unread);
                if !rest.is_empty() && put(transport, way, to, fault.lock().unwrap()(way, Piece::Other(rest)))
                {
                    return;
                }
                continue;
            }
            Err(_) => true,
        };
        while let Some(piece) = cut((transport, by_read), way, &mut unread) {
            if put(transport, way, to, fault.lock().unwrap()(way, piece)) {
                return;
            }
        }
        if over {
            if !unread.is_empty() {
                put(
                    transport,
                    way,
                    to,
                    fault.lock().unwrap()(way, Piece::Other(unread)),
                );
            }
            put(transport, way, to, fault.lock().unwrap()(way, Piece::End));
            return;
        }
    }
}

/// Sends pieces; whether one of them was the end.
fn put(transport: Transport, way: Way, mut to: &TcpStream, pieces: Vec<Piece>) -> bool {
    for piece in pieces {
        let bytes = match (piece, transport) {
            (Piece::Message(message), Transport::WebSocket) => {
                let frame = WsFrame {
                    masked: way == Way::ToServer,
                    ..WsFrame::new(Opcode::BINARY, &message.to_frame(Framing::WebSocket))
                };
                frame.to_bytes(MASK)
            }
            (Piece::Message(message), _) => message.to_frame(Framing::Tcp),
            (Piece::Other(bytes), _) => bytes,
            (Piece::End, _) => {
                let _ = to.shutdown(Shutdown::Write);
                return true;
            }
        };
        let _ = to.write_all(&bytes);
    }
    false
}

/// Cuts the first piece off.
fn cut((transport, by_read): (Transport, bool), way: Way, unread: &mut Vec<u8>) -> Option<Piece> {
    if by_read {
        return (!unread.is_empty()).then(|| Piece::Other(std::mem::take(unread)));
    }
    if transport == Transport::WebSocket {
        if unread.starts_with(b"GET ") || unread.starts_with(b"HTTP/") {
            let (_, length) = Head::read(unread)?;
            return Some(Piece::Other(unread.drain(..length).collect()));
        }
        let (frame, length) = WsFrame::read(unread)?;
        let bytes: Vec<u8> = unread.drain(..length).collect();
        let message = Message::parse_frame(Framing::WebSocket, &frame.payload);
        let whole = frame.opcode == Opcode::BINARY && frame.fin && frame.masked == (way == Way::ToServer);
        return Some(match message {
            Ok(message) if whole => Piece::Message(message),
            _ => Piece::Other(bytes),
        });
    }
    let length = frame_len(unread).ok()??;
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= unread.len())?;
    let bytes: Vec<u8> = unread.drain(..length).collect();
    Some(match Message::parse_frame(Framing::Tcp, &bytes) {
        Ok(message) => Piece::Message(message),
        Err(_) => Piece::Other(bytes),
    })
}
