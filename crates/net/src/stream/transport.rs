//! What carries the bytes of a connection: TCP, or TLS on it.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use super::limits::LINGER_BYTES;
use super::tls::explained;

/// A stream of bytes.
#[derive(Debug)]
pub(super) enum Transport {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    fn tcp(&self) -> &TcpStream {
        match self {
            Transport::Tcp(stream) => stream,
            Transport::Tls(stream) => stream.get_ref().0,
        }
    }

    /// The address of the other side and ours, each as IPv4 if it is one.
    pub(super) fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        let tcp = self.tcp();
        Ok((canonical(tcp.peer_addr()?), canonical(tcp.local_addr()?)))
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self, Transport::Tls(_))
    }

    /// The certificates that the peer has shown, its own first.
    pub(super) fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        match self {
            Transport::Tcp(_) => &[],
            Transport::Tls(stream) => stream.get_ref().1.peer_certificates().unwrap_or_default(),
        }
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
            result => Poll::Ready(result.map_err(explained)),
        }
    }

    /// Says that no more comes, and waits for the peer to say so, too. What it says before is thrown away, and counted in
    /// `discarded`: the system would take a connection that is dropped with unread bytes for a failure, and our last
    /// words might be lost (RFC 1122 §4.2.2.13).
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>, discarded: &mut usize) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut *self).poll_shutdown(cx))?;
        let mut scratch = [0; 4096];
        while *discarded < LINGER_BYTES {
            let mut thrown = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut *self).poll_read(cx, &mut thrown));
            if read.is_err() || thrown.filled().is_empty() {
                break;
            }
            *discarded += thrown.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Transport::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Transport::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Transport::Tcp(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// An IPv4 address mapped into IPv6 becomes the IPv4 address, so that a peer has one address.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        IpAddr::V6(_) => address,
    }
}
