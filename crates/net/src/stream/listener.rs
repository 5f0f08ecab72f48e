//! Connections that are taken.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};

use super::handshakes::{Handshake, Handshakes};
use super::limits::{ACCEPT_PAUSE, HANDSHAKE_TIMEOUT, MAX_HANDSHAKES, MAX_MESSAGE};
use super::link::Link;
use super::tls::ServerTls;
use super::transport::Transport;
use super::websocket::Rules;
use crate::limits::MAX_SHARDS;

/// How connections are taken.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// TLS, if there is to be any (`coaps+tcp`, `coaps+ws`).
    pub tls: Option<ServerTls>,
    /// WebSocket (`coap+ws`, `coaps+ws`).
    pub websocket: bool,
    /// Which web pages may open a WebSocket, by their origin as browsers write it (`https://example.org`); `*` for all. A
    /// browser lets any page try, so that a page on the internet could otherwise talk to a server on the loopback
    /// interface or in the network at home. Always allowed are programs that are no browsers (they send no origin) and
    /// pages of the same host: the same address, `localhost`, or, where page and server have TLS, the same name.
    pub allowed_origins: Vec<String>,
    /// Bytes of the longest message that is taken from a WebSocket, 1 MiB if nothing else is said. What the CSM promises is
    /// enough.
    pub max_message: usize,
    /// How long a peer has for the handshakes of TLS and WebSocket.
    pub handshake_timeout: Duration,
    /// Handshakes at the same time. Where there are as many, the oldest is given up for a new one, so that those who begin
    /// and say nothing lock nobody out.
    pub max_handshakes: usize,
    /// Connections that the system keeps until they are accepted. A wish: Linux grants at most `net.core.somaxconn`.
    pub backlog: u32,
    /// A listener at `[::]` takes IPv4 as well.
    pub dual_stack: bool,
}

impl Default for ListenOptions {
    /// Plain TCP of both families, 4096 connections that wait, 1024 handshakes of at most 10 s.
    fn default() -> ListenOptions {
        ListenOptions {
            tls: None,
            websocket: false,
            allowed_origins: Vec::new(),
            max_message: MAX_MESSAGE,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            max_handshakes: MAX_HANDSHAKES,
            backlog: 4096,
            dual_stack: true,
        }
    }
}

/// What a listener has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerStatistics {
    /// Connections taken from the system.
    pub accepted: u64,
    /// Times that no connection was taken for a moment, because the system refused one: most often the process
    /// had no file descriptor left.
    pub pauses: u64,
    /// Handshakes that failed: the peer speaks something else, shows no certificate that is trusted, asks for what
    /// there is not, or went away.
    pub failed: u64,
    /// Handshakes that took too long.
    pub expired: u64,
    /// Handshakes that were given up for newer ones.
    pub displaced: u64,
}

/// A place where connections are taken, in the tokio runtime it was made in.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    options: ListenOptions,
    /// `None`: connections of plain TCP are ready at once.
    handshakes: Option<Handshakes>,
    /// Nothing is accepted until this is over.
    pause: Option<Pin<Box<Sleep>>>,
    statistics: ListenerStatistics,
}

impl Listener {
    /// Listens at `address`; port 0 lets the system choose.
    ///
    /// # Errors
    /// What the system reports, such as [`io::ErrorKind::AddrInUse`].
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    pub fn bind(address: SocketAddr, options: &ListenOptions) -> io::Result<Listener> {
        Listener::bind_as(address, options, false)
    }

    /// Listens with more sockets at the same address, so that there are `shards` with this one as the first, at most
    /// [`MAX_SHARDS`]. The system gives each new connection to one of them. The address stays taken for others: only these
    /// sockets share it.
    ///
    /// # Errors
    /// What the system reports.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    pub fn into_shards(self, shards: usize) -> io::Result<Vec<Listener>> {
        let shards = shards.clamp(1, MAX_SHARDS);
        let (address, options) = (self.local_addr()?, self.options.clone());
        if shards > 1 {
            crate::system::share_port(&SockRef::from(&self.listener))?;
        }
        let mut listeners = vec![self];
        while listeners.len() < shards {
            listeners.push(Listener::bind_as(address, &options, true)?);
        }
        Ok(listeners)
    }

    /// The same with other options, as those that are known only when it begins to take connections. `backlog` and
    /// `dual_stack` stay what they were when it was bound.
    ///
    /// # Errors
    /// What the system reports.
    pub fn with_options(self, options: ListenOptions) -> io::Result<Listener> {
        let port = self.local_addr()?.port();
        Ok(Listener {
            handshakes: handshakes(&options, port),
            options: ListenOptions {
                backlog: self.options.backlog,
                dual_stack: self.options.dual_stack,
                ..options
            },
            ..self
        })
    }

    /// Listens; with `shared` at an address that another socket has which lets it.
    fn bind_as(address: SocketAddr, options: &ListenOptions, shared: bool) -> io::Result<Listener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(!options.dual_stack)?;
        }
        // A server that starts again does not wait for the ends of its old connections. Elsewhere than on unix the option
        // would let others take the address.
        if cfg!(unix) {
            socket.set_reuse_address(true)?;
        }
        if shared {
            crate::system::share_port(&SockRef::from(&socket))?;
        }
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
        let listener = TcpListener::from_std(socket.into())?;
        let port = listener.local_addr()?.port();
        Ok(Listener {
            listener,
            options: options.clone(),
            handshakes: handshakes(options, port),
            pause: None,
            statistics: ListenerStatistics::default(),
        })
    }

    /// The address at which it listens, with the port that the system chose.
    ///
    /// # Errors
    /// What the system reports.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What it has seen.
    #[must_use]
    pub fn statistics(&self) -> ListenerStatistics {
        self.statistics
    }

    /// Waits for the next connection. It can be dropped at any time without loss.
    ///
    /// # Errors
    /// The socket is broken. Neither a peer nor a lack of file descriptors ends up here.
    pub async fn accept(&mut self) -> io::Result<Link> {
        std::future::poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// The next connection.
    ///
    /// # Errors
    /// The socket is broken. Neither a peer nor a lack of file descriptors ends up here.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Link>> {
        loop {
            // Before new connections are looked for, because one that is begun here is also watched here.
            if let Some(handshakes) = &mut self.handshakes
                && let Poll::Ready(link) = handshakes.poll(cx, &mut self.statistics)
            {
                return Poll::Ready(Ok(link));
            }
            let stream = ready!(self.poll_stream(cx))?;
            // A peer that has gone already has no address and is nobody's failure.
            if stream.set_nodelay(true).is_err() {
                continue;
            }
            match &mut self.handshakes {
                Some(handshakes) => handshakes.begin(stream, &mut self.statistics),
                None => {
                    if let Ok(link) = Link::bytes(Transport::Tcp(stream), None) {
                        return Poll::Ready(Ok(link));
                    }
                }
            }
        }
    }

    /// The next connection of TCP.
    fn poll_stream(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match ready!(self.listener.poll_accept(cx)) {
                Ok((stream, _)) => {
                    self.statistics.accepted += 1;
                    return Poll::Ready(Ok(stream));
                }
                // The one peer has gone.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                // Not a socket that listens.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Poll::Ready(Err(error)),
                // No descriptors, no memory, or an error of the network that Linux passes on: all may pass.
                Err(error) => {
                    tracing::debug!(%error, "no connection is taken for a moment");
                    self.statistics.pauses += 1;
                    self.pause = Some(Box::pin(sleep(ACCEPT_PAUSE)));
                }
            }
        }
    }
}

/// What comes before a connection is ready.
fn handshakes(options: &ListenOptions, port: u16) -> Option<Handshakes> {
    let tls = options.tls.as_ref().map(|tls| tls.at(port, options.websocket));
    let websocket = options.websocket.then(|| Rules {
        max_message: options.max_message,
        allowed_origins: options.allowed_origins.clone(),
    });
    let needed = tls.is_some() || websocket.is_some();
    let handshake = needed.then_some(Handshake { tls, websocket });
    handshake.map(|handshake| Handshakes::new(handshake, options.handshake_timeout, options.max_handshakes))
}
