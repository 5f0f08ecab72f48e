//! An established connection as its users see it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use coracle_wire::Scheme;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Framing;
use super::limits::LINGER_BYTES;
use super::transport::Transport;

/// An established connection.
///
/// One task polls it, with one waker for all functions. It holds no buffer of its own on plain TCP.
///
/// ```no_run
/// # use std::future::poll_fn;
/// # use coracle_net::stream::{ConnectOptions, connect};
/// # async fn talk() -> std::io::Result<()> {
/// let mut link = connect(&["192.0.2.1:5683".parse().unwrap()], &ConnectOptions::default()).await?;
/// // An empty CSM, which is the first message of a connection (RFC 8323 §5.3).
/// let mut frame: &[u8] = &[0x00, 0xe1];
/// while !frame.is_empty() {
///     let taken = poll_fn(|cx| link.poll_write(cx, frame)).await?;
///     frame = frame.get(taken..).unwrap_or_default();
/// }
/// poll_fn(|cx| link.poll_flush(cx)).await?;
/// let mut received = Vec::new();
/// while poll_fn(|cx| link.poll_read(cx, &mut received, 65_536)).await? > 0 {
///     // ... take whole frames from `received` ...
/// }
/// poll_fn(|cx| link.poll_close(cx)).await
/// # }
/// ```
#[derive(Debug)]
pub struct Link {
    transport: Transport,
    remote: SocketAddr,
    local: SocketAddr,
    /// Bytes thrown away while closing.
    discarded: usize,
}

impl Link {
    /// A connection of plain TCP, whose messages leave at once.
    pub(super) fn tcp(stream: TcpStream) -> io::Result<Link> {
        stream.set_nodelay(true)?;
        let transport = Transport::Tcp(stream);
        let (remote, local) = transport.addresses()?;
        Ok(Link {
            transport,
            remote,
            local,
            discarded: 0,
        })
    }

    /// The scheme of the URIs of what this connection leads to (RFC 8323 §8).
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        Scheme::CoapTcp
    }

    /// How messages lie on it.
    #[must_use]
    pub fn framing(&self) -> Framing {
        Framing::Tcp
    }

    /// The other side's address.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Our address.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Appends bytes that have come to `buf`, at most `limit`, and tells how many. Room for `limit` bytes is reserved, so
    /// that a buffer with as much spare capacity stays where it is. `Ok(0)`: the peer says no more.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        self.transport.poll_append(cx, buf, limit)
    }

    /// Takes bytes to write and tells how many.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(cx, bytes)
    }

    /// Gives what was taken to the system. To be called when nothing more is to be written for now.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    /// Ends the connection in an orderly way: writes what was taken, says that no more comes, and waits for the peer to
    /// end as well. What the peer says meanwhile is thrown away: the system would take a connection that is dropped
    /// with unread bytes for a failure and might lose our last words (RFC 1122 §4.2.2.13).
    ///
    /// It waits for as long as the peer likes: bound it by a timer, and drop the link then.
    ///
    /// # Errors
    /// The connection is broken before our last words were given to the system.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.transport).poll_shutdown(cx))?;
        let mut scratch = [0; 4096];
        while self.discarded < LINGER_BYTES {
            let mut thrown = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut self.transport).poll_read(cx, &mut thrown));
            if read.is_err() || thrown.filled().is_empty() {
                break;
            }
            self.discarded += thrown.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}
