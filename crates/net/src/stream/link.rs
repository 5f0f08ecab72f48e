//! An established connection as its users see it.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use coracle_wire::{Framing, Scheme};
use rustls::pki_types::CertificateDer;
use tokio::io::AsyncWrite;

use super::transport::Transport;
use super::websocket::WebSocket;

/// An established connection.
///
/// One task polls it, with one waker for all functions. At rest it holds no buffers of its own, but TLS some kilobytes. A
/// function that gives `Ready` is to be called again until it gives `Pending`: nothing wakes for what is there already.
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
    kind: Kind,
    remote: SocketAddr,
    local: SocketAddr,
    host: Option<Box<str>>,
    /// Bytes thrown away while closing.
    discarded: usize,
}

#[derive(Debug)]
enum Kind {
    Bytes(Transport),
    Messages(Box<WebSocket>),
}

impl Link {
    /// A connection whose frames lie in its bytes.
    pub(super) fn bytes(transport: Transport, host: Option<String>) -> io::Result<Link> {
        Link::new(Kind::Bytes(transport), host)
    }

    /// A connection whose frames are messages.
    pub(super) fn messages(socket: WebSocket, host: Option<String>) -> io::Result<Link> {
        Link::new(Kind::Messages(Box::new(socket)), host)
    }

    fn new(kind: Kind, host: Option<String>) -> io::Result<Link> {
        let (remote, local) = kind.transport().addresses()?;
        Ok(Link {
            kind,
            remote,
            local,
            host: host.map(String::into_boxed_str),
            discarded: 0,
        })
    }

    /// The scheme of the URIs of what this connection leads to (RFC 8323 §8).
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        match (self.framing(), self.kind.transport().is_tls()) {
            (Framing::Tcp, false) => Scheme::CoapTcp,
            (Framing::Tcp, true) => Scheme::CoapsTcp,
            (Framing::WebSocket, false) => Scheme::CoapWs,
            (Framing::WebSocket, true) => Scheme::CoapsWs,
        }
    }

    /// How messages lie on it.
    #[must_use]
    pub fn framing(&self) -> Framing {
        match self.kind {
            Kind::Bytes(_) => Framing::Tcp,
            Kind::Messages(_) => Framing::WebSocket,
        }
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

    /// The host by which the client calls the server, which its requests mean when they have no Uri-Host: the name in
    /// TLS (SNI), the host in the request for a WebSocket, in small letters. `None`: the address that was called
    /// (RFC 8323 §8.5).
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The certificates that the peer has shown in TLS, its own first (DER). They have been checked, unless we are a
    /// client that takes any.
    #[must_use]
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        self.kind.transport().peer_certificates()
    }

    /// Bytes that have come of a message of a WebSocket that is not whole yet. They are kept here, and grow to the longest
    /// message. Of bytes nothing is kept.
    #[must_use]
    pub fn begun(&self) -> usize {
        match &self.kind {
            Kind::Bytes(_) => 0,
            Kind::Messages(socket) => socket.begun(),
        }
    }

    /// Appends what has come to `buf` and tells how many bytes that are. `Ok(0)`: the peer says no more.
    ///
    /// Of bytes it takes at most `limit`, which is not 0, and reserves room for as many, so that a buffer with that spare capacity stays
    /// where it is. Of a WebSocket it takes one whole message; how long that may be was said when the connection was made.
    ///
    /// # Errors
    /// The connection is broken, or the peer breaks the protocol of WebSocket or TLS: then call
    /// [`poll_close`](Link::poll_close), so that the peer learns of it.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        match &mut self.kind {
            Kind::Bytes(transport) => transport.poll_append(cx, buf, limit),
            Kind::Messages(socket) => socket.poll_read(cx, buf),
        }
    }

    /// Takes bytes to write and tells how many. On a WebSocket `bytes` is one message, or the rest of one of which a part was
    /// taken.
    ///
    /// # Errors
    /// The connection is broken, or a WebSocket is about to be closed.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.kind {
            Kind::Bytes(transport) => Pin::new(transport).poll_write(cx, bytes),
            Kind::Messages(socket) => socket.poll_write(cx, bytes),
        }
    }

    /// The same for two pieces, the second of which follows the first. On a WebSocket the second is not taken.
    ///
    /// # Errors
    /// As of [`poll_write`](Link::poll_write).
    pub fn poll_write_pieces(
        &mut self,
        cx: &mut Context<'_>,
        [first, second]: [&[u8]; 2],
    ) -> Poll<io::Result<usize>> {
        match &mut self.kind {
            Kind::Bytes(transport) if !second.is_empty() => {
                let pieces = [IoSlice::new(first), IoSlice::new(second)];
                Pin::new(transport).poll_write_vectored(cx, &pieces)
            }
            _ => self.poll_write(cx, first),
        }
    }

    /// Gives what was taken to the system. To be called when nothing more is to be written for now, and again when woken
    /// after `Pending`.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.kind {
            Kind::Bytes(transport) => Pin::new(transport).poll_flush(cx),
            Kind::Messages(socket) => socket.poll_flush(cx),
        }
    }

    /// Ends the connection in an orderly way: writes what was taken, says that no more comes (a close frame, close_notify,
    /// FIN), and waits for the peer to say so, too. What the peer says before is thrown away: the system would take a
    /// connection that is dropped with unread bytes for a failure, and our last words might be lost.
    ///
    /// It waits for as long as the peer likes: bound it by a timer, and drop the link then.
    ///
    /// # Errors
    /// The connection is broken before our last words were given to the system.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Kind::Messages(socket) = &mut self.kind {
            ready!(socket.poll_close(cx))?;
        }
        self.kind.transport_mut().poll_end(cx, &mut self.discarded)
    }
}

impl Kind {
    fn transport(&self) -> &Transport {
        match self {
            Kind::Bytes(transport) => transport,
            Kind::Messages(socket) => socket.transport(),
        }
    }

    fn transport_mut(&mut self) -> &mut Transport {
        match self {
            Kind::Bytes(transport) => transport,
            Kind::Messages(socket) => socket.transport_mut(),
        }
    }
}
