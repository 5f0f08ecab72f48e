//! What carries the bytes of a connection.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A stream of bytes.
#[derive(Debug)]
pub(super) enum Transport {
    Tcp(TcpStream),
}

impl Transport {
    /// The address of the other side and ours, each as IPv4 if it is one.
    pub(super) fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        let Transport::Tcp(tcp) = self;
        Ok((canonical(tcp.peer_addr()?), canonical(tcp.local_addr()?)))
    }

    /// Appends at most `limit` bytes. They go into the spare capacity, which nobody fills with zeros before.
    pub(super) fn poll_append(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        buf.reserve(limit);
        let mut room = buf.limit(limit);
        match ready!(pin!(self.read_buf(&mut room)).poll(cx)) {
            // Many end TLS without saying so. A frame has a length, so that one that is cut shows all the same.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(0)),
            result => Poll::Ready(result),
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Transport::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// An IPv4 address mapped into IPv6 becomes the IPv4 address, so that a peer has one address.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        std::net::IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        std::net::IpAddr::V6(_) => address,
    }
}
