//! Systems without `recvmmsg`: a plain socket, one datagram in a system call.
//!
//! Bound to all addresses, it does not know the one that was asked nor whether that was a group, and the system chooses source address
//! and interface of what is sent.

use std::io;
use std::net::{IpAddr, SocketAddr};

use coracle_engine::Path;
use tokio::net::UdpSocket;

use crate::batch::{Received, RecvBatch, SendBatch};
use crate::errors::ErrorQueue;
use crate::limits::SLOT_SIZE;

/// Windows' error number for a datagram that was longer than the buffer.
const WSAEMSGSIZE: i32 = 10_040;

/// Nothing beside the datagrams is needed.
pub(crate) struct RecvScratch;

impl RecvScratch {
    pub(crate) fn new() -> RecvScratch {
        RecvScratch
    }
}

/// Nothing beside the datagrams is needed.
pub(crate) struct SendScratch;

impl SendScratch {
    pub(crate) fn new() -> SendScratch {
        SendScratch
    }
}

pub(crate) fn prepare(
    _: &socket2::Socket,
    _ipv4: bool,
    _ipv6: bool,
    _addresses: bool,
    _receive_buffer: usize,
) -> io::Result<()> {
    Ok(())
}

/// There is one socket for each address here: [`MAX_SHARDS`](crate::MAX_SHARDS) is 1.
pub(crate) fn share_port(_: &socket2::Socket) -> io::Result<()> {
    Ok(())
}

/// There is nothing to choose among.
pub(crate) fn steer(_: &socket2::Socket, _shards: usize) -> io::Result<()> {
    Ok(())
}

/// A bound socket.
pub(crate) struct Socket {
    socket: UdpSocket,
    ipv6: bool,
    own: Option<IpAddr>,
    errors: ErrorQueue,
}

impl Socket {
    pub(crate) fn new(socket: socket2::Socket, ipv6: bool, own: Option<IpAddr>) -> io::Result<Socket> {
        Ok(Socket {
            socket: UdpSocket::from_std(socket.into())?,
            ipv6,
            own,
            errors: ErrorQueue::new(),
        })
    }

    pub(crate) fn inner(&self) -> socket2::SockRef<'_> {
        socket2::SockRef::from(&self.socket)
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    pub(crate) fn try_recv_batch(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        batch.clear();
        let (slots, _, received) = batch.parts();
        for slot in slots {
            match self.socket.try_recv_from(slot) {
                Ok((len, remote)) => {
                    let path = Path {
                        local: self.own,
                        multicast: false,
                        ..Path::to(shown(remote))
                    };
                    // Longer ones are cut without a word, so a full slot has to count as cut.
                    received.push(Received {
                        path: Some(path),
                        len,
                        truncated: len == SLOT_SIZE,
                    });
                }
                Err(_) if !received.is_empty() => break,
                // Windows reports the ICMP error of an earlier datagram here, without its destination, and a
                // datagram that is longer than the slot.
                Err(error)
                    if error.kind() == io::ErrorKind::ConnectionReset
                        || error.raw_os_error() == Some(WSAEMSGSIZE) =>
                {
                    return Ok(0);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(received.len())
    }

    pub(crate) fn try_send_batch(&self, batch: &mut SendBatch) -> io::Result<usize> {
        let mut sent = 0;
        while let Some(remote) = batch.first().map(|path| path.remote) {
            let (mut waiting, _) = batch.waiting();
            let Some((_, payload)) = waiting.next() else { break };
            let result = self.socket.try_send_to(payload, self.mapped(remote));
            drop(waiting);
            match result {
                Ok(_) => sent += 1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && sent > 0 => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Err(error) => self.errors.push(remote, error),
            }
            batch.advance(1);
        }
        Ok(sent)
    }

    pub(crate) fn try_recv_error(&self) -> Option<(SocketAddr, io::Error)> {
        self.errors.pop()
    }

    /// An IPv4 address in the form that this socket can send to.
    fn mapped(&self, remote: SocketAddr) -> SocketAddr {
        match remote.ip() {
            IpAddr::V4(ip) if self.ipv6 => SocketAddr::from((ip.to_ipv6_mapped(), remote.port())),
            _ => remote,
        }
    }
}

/// An IPv4 address mapped into IPv6 becomes the IPv4 address, so that a peer has one address.
fn shown(remote: SocketAddr) -> SocketAddr {
    match remote.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, remote.port())),
        IpAddr::V6(_) => remote,
    }
}
