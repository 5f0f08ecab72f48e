//! Where requests come from: addresses behind one socket, or sockets.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Instant;

use coracle_engine::Path;
use coracle_net::{BindOptions, UdpSocket};
use futures_util::future::{FutureExt, LocalBoxFuture};
use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::limits::EXCHANGE_LIFETIME;
use crate::plan::Plan;

/// An address and port that requests come from, or a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    /// Which socket, or the connection of which peer.
    pub(crate) socket: u32,
    /// Which of our addresses, where many are behind the socket.
    pub(crate) local: Option<IpAddr>,
}

impl Source {
    /// The connection of a peer.
    pub(crate) fn connection(number: u32) -> Source {
        Source {
            socket: number,
            local: None,
        }
    }
}

/// All sources, fresh and used ones.
pub(crate) struct Sources {
    server: SocketAddr,
    sockets: Vec<Rc<UdpSocket>>,
    /// Ends with the number of a socket that has something to receive.
    ready: FuturesUnordered<LocalBoxFuture<'static, u32>>,
    /// The next address that was never used, where many are behind one socket.
    next_address: Option<Ipv4Addr>,
    /// Those whose message IDs are used up, and since when; the oldest first.
    retired: VecDeque<(Instant, Source)>,
    given: u64,
}

impl Sources {
    pub(crate) fn new(plan: &Plan) -> io::Result<Sources> {
        let mut sources = Sources {
            server: plan.server,
            sockets: Vec::new(),
            ready: FuturesUnordered::new(),
            next_address: None,
            retired: VecDeque::new(),
            given: 0,
        };
        if plan.many_addresses() {
            sources.next_address = Some(plan.first_address);
            sources.bind(&BindOptions::default())?;
        }
        Ok(sources)
    }

    /// A source that was not used within EXCHANGE_LIFETIME (RFC 7252 §4.4).
    pub(crate) fn fresh(&mut self, now: Instant) -> io::Result<Source> {
        let rested = |(since, _): &(Instant, Source)| now.duration_since(*since) >= EXCHANGE_LIFETIME;
        if self.retired.front().is_some_and(rested)
            && let Some((_, source)) = self.retired.pop_front()
        {
            return Ok(source);
        }
        self.given += 1;
        if let Some(address) = self.next_address {
            self.next_address = Some(Ipv4Addr::from_bits(address.to_bits().wrapping_add(1)));
            return Ok(Source {
                socket: 0,
                local: Some(address.into()),
            });
        }
        // A socket for one peer needs no room for the answers of thousands.
        let socket = self.bind(&BindOptions {
            receive_buffer: 0,
            ..BindOptions::default()
        })?;
        Ok(Source { socket, local: None })
    }

    /// The message IDs of a source are used up. Its answers still come.
    pub(crate) fn retire(&mut self, now: Instant, source: Source) {
        self.retired.push_back((now, source));
    }

    /// How many different ones there were.
    pub(crate) fn given(&self) -> u64 {
        self.given
    }

    /// The source that a datagram came to.
    pub(crate) fn of(&self, socket: u32, path: &Path) -> Source {
        Source {
            socket,
            local: path.local.filter(|_| self.next_address.is_some()),
        }
    }

    /// The way from a source to the server.
    pub(crate) fn path(&self, source: Source) -> Path {
        Path {
            local: source.local,
            ..Path::to(self.server)
        }
    }

    pub(crate) fn socket(&self, index: u32) -> Option<&UdpSocket> {
        self.sockets.get(index as usize).map(|socket| &**socket)
    }

    /// Waits for a socket that has something to receive. It is to be received from and then to be
    /// [`watch`](Sources::watch)ed again.
    pub(crate) async fn readable(&mut self) -> Option<u32> {
        self.ready.next().await
    }

    /// As [`readable`](Sources::readable), but does not wait.
    pub(crate) fn readable_now(&mut self) -> Option<u32> {
        self.ready.next().now_or_never().flatten()
    }

    /// Looks out for what comes to this socket.
    pub(crate) fn watch(&mut self, index: u32) {
        if let Some(socket) = self.sockets.get(index as usize).map(Rc::clone) {
            let readable = async move {
                // An error means that the runtime shuts down, and with it the one who waits.
                let _ = socket.readable().await;
                index
            };
            self.ready.push(readable.boxed_local());
        }
    }

    fn bind(&mut self, options: &BindOptions) -> io::Result<u32> {
        let any: IpAddr = match self.server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0).into(), options)?;
        let index = u32::try_from(self.sockets.len()).map_err(io::Error::other)?;
        self.sockets.push(Rc::new(socket));
        self.watch(index);
        Ok(index)
    }
}
