//! The socket as its users see it.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Type};

use crate::batch::{RecvBatch, SendBatch};
use crate::interface::Interface;
use crate::limits::MAX_SHARDS;
use crate::system;

/// How a socket is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindOptions {
    /// Bytes of received datagrams that the system keeps for us, with its own overhead; 0 for its default, which
    /// drops datagrams under load. It is taken as a wish: Linux grants at most `net.core.rmem_max` to an ordinary
    /// process.
    pub receive_buffer: usize,
    /// Bytes of datagrams on their way out; 0 for the system's default.
    pub send_buffer: usize,
    /// A socket bound to `[::]` takes IPv4 as well.
    pub dual_stack: bool,
    /// How many routers a datagram to a group may pass, and one more: 1 keeps it on the link.
    pub multicast_hops: u8,
}

impl Default for BindOptions {
    /// 4 MiB to receive, both families, groups on the link only.
    fn default() -> BindOptions {
        BindOptions {
            receive_buffer: 4 << 20,
            send_buffer: 0,
            dual_stack: true,
            multicast_hops: 1,
        }
    }
}

/// A UDP socket that works in batches, in the tokio runtime it was made in.
///
/// One task drives it:
///
/// ```no_run
/// # use std::io;
/// # use coracle_net::{BindOptions, RecvBatch, SendBatch, UdpSocket};
/// # async fn drive() -> io::Result<()> {
/// let socket = UdpSocket::bind("[::]:5683".parse().unwrap(), &BindOptions::default())?;
/// let (mut received, mut waiting) = (RecvBatch::new(), SendBatch::new());
/// loop {
///     socket.readable().await?;
///     match socket.try_recv_batch(&mut received) {
///         Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
///         _ => {}
///     }
///     for datagram in received.datagrams() {
///         if let Some(slot) = waiting.slot() {
///             // ... write the answer ...
///             waiting.push(&datagram.path, 0);
///         }
///     }
///     while !waiting.is_empty() {
///         match socket.try_send_batch(&mut waiting) {
///             Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.writable().await?,
///             result => drop(result?),
///         }
///     }
///     while let Some((remote, error)) = socket.try_recv_error() {
///         println!("{remote}: {error}");
///     }
/// }
/// # }
/// ```
///
/// After each `try_recv_batch` and `try_send_batch` ask for errors until there are none: those of sending do not
/// wake [`readable`](UdpSocket::readable), those that the network reports later do.
pub struct UdpSocket {
    socket: system::Socket,
    options: BindOptions,
}

impl UdpSocket {
    /// Binds a socket to `address`; port 0 lets the system choose.
    ///
    /// # Errors
    /// What the system reports, such as [`io::ErrorKind::AddrInUse`].
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn bind(address: SocketAddr, options: &BindOptions) -> io::Result<UdpSocket> {
        UdpSocket::bind_as(address, options, false)
    }

    /// Binds; with `shared` to an address that another socket has which lets it.
    fn bind_as(address: SocketAddr, options: &BindOptions, shared: bool) -> io::Result<UdpSocket> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        let ipv6 = address.is_ipv6();
        let ipv4 = !ipv6 || options.dual_stack;
        if ipv6 {
            socket.set_only_v6(!options.dual_stack)?;
            socket.set_multicast_hops_v6(options.multicast_hops.into())?;
        }
        if ipv4 {
            let result = socket.set_multicast_ttl_v4(options.multicast_hops.into());
            // Not every system knows options of IPv4 on a socket of IPv6.
            if !ipv6 {
                result?;
            }
        }
        if shared {
            system::share_port(&socket)?;
        }
        // Sizes are wishes.
        if options.receive_buffer != 0 {
            let _ = socket.set_recv_buffer_size(options.receive_buffer);
        }
        if options.send_buffer != 0 {
            let _ = socket.set_send_buffer_size(options.send_buffer);
        }
        let own = single_address(address.ip());
        // A datagram to a single address can have come to that one only.
        let addresses = own.is_none();
        system::prepare(&socket, ipv4, ipv6, addresses, options.receive_buffer)?;
        socket.bind(&address.into())?;
        Ok(UdpSocket {
            socket: system::Socket::new(socket, ipv6, own)?,
            options: options.clone(),
        })
    }

    /// Binds more sockets to the same address, so that there are `shards` with this one as the first, at most
    /// [`MAX_SHARDS`]. Datagrams of a peer come to the one at the place of [`shard_of`](crate::shard_of), except:
    ///
    /// - until this returns, and where the kernel cannot tell the port (an IPv6 extension header) or does not take the
    ///   program: then to any;
    /// - those to a group, which come to the sockets that joined it, and those to a broadcast address, which come to
    ///   all;
    /// - errors of the network, which may be reported by any.
    ///
    /// The address stays taken for others: only these sockets share it.
    ///
    /// # Errors
    /// What the system reports.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn into_shards(self, shards: usize) -> io::Result<Vec<UdpSocket>> {
        let shards = shards.clamp(1, MAX_SHARDS);
        let (address, options) = (self.local_addr()?, self.options.clone());
        let mut sockets = vec![self];
        if let Some(first) = sockets.first().filter(|_| shards > 1) {
            system::share_port(&first.socket.inner())?;
        }
        while sockets.len() < shards {
            sockets.push(UdpSocket::bind_as(address, &options, true)?);
        }
        if let Some(first) = sockets.first().filter(|_| shards > 1) {
            // Without it the system spreads the peers by a function of its own.
            let _ = system::steer(&first.socket.inner(), shards);
        }
        Ok(sockets)
    }

    /// The address that the socket is bound to, with the port that the system chose.
    ///
    /// # Errors
    /// What the system reports.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let address = self.socket.inner().local_addr()?;
        address
            .as_socket()
            .ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))
    }

    /// Takes datagrams to `group` that come by `interface`. Joining twice is no error. Only groups that this socket
    /// joined are delivered on Linux, whatever other programs join.
    ///
    /// # Errors
    /// What the system reports: no such interface, no multicast there, too many groups, not an address of a group.
    pub fn join(&self, group: IpAddr, interface: &Interface) -> io::Result<()> {
        let index = interface.index()?;
        let socket = self.socket.inner();
        let joined = match group {
            IpAddr::V4(group) => socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index)),
            IpAddr::V6(group) => socket.join_multicast_v6(&group, index),
        };
        match joined {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(()),
            result => result,
        }
    }

    /// Takes datagrams to `group` that come by `interface` no longer.
    ///
    /// # Errors
    /// What the system reports, above all that the group was not joined there.
    pub fn leave(&self, group: IpAddr, interface: &Interface) -> io::Result<()> {
        let index = interface.index()?;
        let socket: SockRef<'_> = self.socket.inner();
        match group {
            IpAddr::V4(group) => socket.leave_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index)),
            IpAddr::V6(group) => socket.leave_multicast_v6(&group, index),
        }
    }

    /// Waits until a datagram or an error of the network is there. It may also end without either, and ends at once
    /// until [`try_recv_batch`](UdpSocket::try_recv_batch) has told that there is nothing. It can be dropped at any time
    /// without loss.
    ///
    /// # Errors
    /// If the runtime shuts down.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Waits until there is room to send. To be called after
    /// [`try_send_batch`](UdpSocket::try_send_batch) reported [`io::ErrorKind::WouldBlock`]. It can be dropped at any
    /// time without loss.
    ///
    /// # Errors
    /// If the runtime shuts down or the process has no file descriptors left.
    pub async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// Fills the batch with what is there, or with some of it after smaller batches, and returns how many datagrams
    /// came. Zero means that only errors of the network were there: look again.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if there is nothing; then wait for [`readable`](UdpSocket::readable). Anything
    /// else is a failure of the socket. The batch is empty then. Errors of single destinations never end up here.
    pub fn try_recv_batch(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        self.socket.try_recv_batch(batch)
    }

    /// Sends from the front of the batch and returns how many datagrams went. The rest stays queued.
    ///
    /// A datagram that cannot go to its destination is taken off, not counted, and reported by
    /// [`try_recv_error`](UdpSocket::try_recv_error); the others go on. One that meets a full queue of the network
    /// device counts as sent: it is lost as it might be on any router.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if nothing went because there is no room; then wait for
    /// [`writable`](UdpSocket::writable). Anything else is a failure of the socket.
    pub fn try_send_batch(&self, batch: &mut SendBatch) -> io::Result<usize> {
        self.socket.try_send_batch(batch)
    }

    /// A destination that failed, by an ICMP error or by a refusal of this machine, and why; the oldest first.
    /// `None` if there is no more. 256 are kept.
    ///
    /// The address is that of the path that was sent along, except that a scope is only given for link-local
    /// addresses when the network reports.
    #[must_use]
    pub fn try_recv_error(&self) -> Option<(SocketAddr, io::Error)> {
        self.socket.try_recv_error()
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket")
            .field("local_addr", &self.local_addr().ok())
            .finish_non_exhaustive()
    }
}

/// The address of a socket that takes datagrams to this address alone, and over any interface; `None` where each
/// datagram has to tell where it came to. Among these are link-local addresses, which need an interface beside them.
fn single_address(ip: IpAddr) -> Option<IpAddr> {
    let ip = ip.to_canonical();
    let single = match ip {
        IpAddr::V4(ip) => !ip.is_link_local() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_unicast_link_local(),
    };
    (single && !ip.is_unspecified() && !ip.is_multicast()).then_some(ip)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_known_beforehand_where_there_is_one_only() {
        let own = |text: &str| single_address(text.parse().unwrap()).map(|ip| ip.to_string());
        assert_eq!(own("192.0.2.1").as_deref(), Some("192.0.2.1"));
        assert_eq!(own("::ffff:192.0.2.1").as_deref(), Some("192.0.2.1"));
        assert_eq!(own("2001:db8::1").as_deref(), Some("2001:db8::1"));
        for several in [
            "0.0.0.0",
            "::",
            "224.0.1.187",
            "255.255.255.255",
            "169.254.0.1",
            "fe80::1",
            "ff02::fd",
        ] {
            assert_eq!(own(several), None, "{several}");
        }
    }

    #[tokio::test]
    async fn the_receive_buffer_is_larger_than_the_systems() {
        let bind = |receive_buffer| {
            let options = BindOptions {
                receive_buffer,
                ..BindOptions::default()
            };
            UdpSocket::bind(([127, 0, 0, 1], 0).into(), &options).unwrap()
        };
        let size = |socket: &UdpSocket| socket.socket.inner().recv_buffer_size().unwrap();
        let default = size(&bind(0));
        assert!(size(&bind(default / 4)) < default);
        assert!(size(&bind(BindOptions::default().receive_buffer)) >= default);
    }
}
