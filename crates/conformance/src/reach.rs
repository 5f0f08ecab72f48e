//! Whether a server is there at all.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use coracle_wire::{Framing, MessageType, Method, OptionNumber, Signal};

use crate::message::Message;
use crate::sessions::client_hello;
use crate::transport::Transport;
use crate::websocket;

/// How long an answer to a knock is waited for before the next.
const KNOCK: Duration = Duration::from_secs(1);

/// How many knocks in a row are refused by a host on which no server listens.
const REFUSALS: u32 = 2;

/// How long after a refused connection the next is tried.
const REFUSED_AGAIN: Duration = Duration::from_millis(500);

/// Whether anything comes from a server until some time.
pub(crate) fn knock(transport: Transport, server: SocketAddr, until: Instant) -> std::io::Result<bool> {
    match transport.framing() {
        None => knock_by_datagrams(transport, server, until),
        Some(framing) => knock_by_connections(framing, server, until),
    }
}

/// A server that takes a connection is there if it says anything, or ends it.
fn knock_by_connections(framing: Framing, server: SocketAddr, until: Instant) -> std::io::Result<bool> {
    let left = || until.saturating_duration_since(Instant::now());
    let connect = || TcpStream::connect_timeout(&server, left().max(REFUSED_AGAIN));
    // A server that is started just now gets a second chance.
    let mut stream = connect().or_else(|_| {
        thread::sleep(REFUSED_AGAIN);
        connect()
    })?;
    let hello = match framing {
        Framing::Tcp => {
            let (csm, ping) = (Message::signal(Signal::CSM), Message::signal(Signal::PING));
            [csm.to_frame(framing), ping.to_frame(framing)].concat()
        }
        Framing::WebSocket => {
            let host = server.to_string();
            let key = "Y29yYWNsZSBwbHVndGVzdA==";
            websocket::request(websocket::PATH, &host, Some("coap"), key).into_bytes()
        }
    };
    stream.write_all(&hello)?;
    stream.set_read_timeout(Some(left().max(Duration::from_millis(1))))?;
    match stream.read(&mut [0]) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(false),
        // It ended the connection, one way or the other.
        _ => Ok(true),
    }
}

/// One socket is connected, so that a refusal is heard of; the
/// other one hears also who answers from another address.
fn knock_by_datagrams(transport: Transport, server: SocketAddr, until: Instant) -> std::io::Result<bool> {
    let any: SocketAddr = if server.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0; 16], 0).into()
    };
    let (open, connected) = (UdpSocket::bind(any)?, UdpSocket::bind(any)?);
    connected.connect(server)?;
    connected.set_nonblocking(true)?;
    let mut refusals = 0;
    while Instant::now() < until {
        let knocks = match transport {
            Transport::Dtls => vec![client_hello(server)],
            _ => vec![get_links().to_bytes(), ping().to_bytes()],
        };
        for knock in &knocks {
            open.send_to(knock, server)?;
        }
        // What was refused before may be told here.
        let _ = connected.send(knocks.last().map_or(&[], Vec::as_slice));
        let next = until.min(Instant::now() + KNOCK);
        if hears(&open, next)? {
            return Ok(true);
        }
        match connected.recv(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => refusals = 0,
            Err(error) => {
                refusals += 1;
                if refusals >= REFUSALS {
                    return Err(error);
                }
            }
            Ok(_) => return Ok(true),
        }
    }
    Ok(false)
}

/// Whether a datagram comes until some time.
fn hears(socket: &UdpSocket, until: Instant) -> std::io::Result<bool> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        socket.set_read_timeout(Some(left))?;
        match socket.recv_from(&mut [0]) {
            Ok(_) => return Ok(true),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) => {}
            // A datagram that is longer than what is looked at, or a refusal, as some systems tell them.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => return Err(error),
        }
    }
}

/// A Message ID that two knocks seldom share: the keys of the standard library's maps are random.
fn random_mid() -> u16 {
    let [a, b, ..] = RandomState::new().build_hasher().finish().to_be_bytes();
    u16::from_be_bytes([a, b])
}

fn ping() -> Message {
    Message::empty(MessageType::Confirmable, random_mid())
}

fn get_links() -> Message {
    let get = Message::new(MessageType::Confirmable, Method::GET, random_mid()).token(b"knock");
    get.option(OptionNumber::URI_PATH, b".well-known")
        .option(OptionNumber::URI_PATH, b"core")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::thread;

    /// Knocks at a server, which for each datagram sends something from one of its two sockets.
    fn knocked(answer: Option<&'static [u8]>, from_the_other: bool) -> bool {
        let [server, other] = [0, 1].map(|_| UdpSocket::bind(("127.0.0.1", 0)).unwrap());
        let address = server.local_addr().unwrap();
        server.set_read_timeout(Some(2 * KNOCK)).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                while let Ok((_, from)) = server.recv_from(&mut [0; 64]) {
                    let socket = if from_the_other { &other } else { &server };
                    if let Some(answer) = answer {
                        socket.send_to(answer, from).unwrap();
                    }
                }
            });
            knock(Transport::Udp, address, Instant::now() + 2 * KNOCK).unwrap()
        })
    }

    #[test]
    fn a_server_is_there_whatever_it_sends_and_from_wherever() {
        assert!(knocked(Some(b"garbage"), false));
        assert!(knocked(Some(b""), false));
        assert!(knocked(Some(b"\x60\0\0\0"), true));
        assert!(!knocked(None, false));
    }

    #[test]
    fn a_port_where_nobody_listens_is_told_soon() {
        let gone = UdpSocket::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let error = knock(Transport::Udp, gone, Instant::now() + Duration::from_secs(100)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
}
