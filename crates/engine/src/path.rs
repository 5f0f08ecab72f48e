//! Who talks to whom: the way of a datagram and the peer at its other end.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::net::{IpAddr, SocketAddr};
use core::num::NonZeroU64;

use crate::slab::Key;

/// Names a security association (a DTLS session, an OSCORE context) among all of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecurityId(pub NonZeroU64);

/// Names a connection of an [`Endpoint`](crate::Endpoint) over a reliable transport (RFC 8323). Never reused, and with
/// other seeds of no other endpoint of this process, as far as chance goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(crate) Key);

/// The way a message came or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// The other side's address; a group's address on the way out to a group.
    pub remote: SocketAddr,
    /// The address of ours that was asked or that the datagram leaves from; `None` lets the system choose.
    pub local: Option<IpAddr>,
    /// The interface by its index in the system; 0 for any.
    pub interface: u32,
    /// The datagram came to a group address, or goes to one.
    pub multicast: bool,
    /// What protects the datagram; `None` is the NoSec mode of RFC 7252 §9.
    pub security: Option<SecurityId>,
    /// The connection that it is a message of; `None` is a datagram.
    pub connection: Option<ConnectionId>,
}

impl Path {
    /// The way to `remote`, from whichever address the system prefers.
    #[must_use]
    pub const fn to(remote: SocketAddr) -> Path {
        let multicast = match remote.ip() {
            IpAddr::V4(address) => address.is_multicast(),
            IpAddr::V6(address) => address.is_multicast(),
        };
        Path {
            remote,
            local: None,
            interface: 0,
            multicast,
            security: None,
            connection: None,
        }
    }

    /// The same on a connection.
    #[must_use]
    pub(crate) const fn on(self, connection: ConnectionId) -> Path {
        Path {
            connection: Some(connection),
            ..self
        }
    }

    /// What is sent arrives, once and in order, or the connection ends (RFC 8323 §3.1).
    #[must_use]
    pub const fn is_reliable(&self) -> bool {
        self.connection.is_some()
    }

    /// What this way does by itself: all that requests, blocks and observations need to know of the transport.
    #[must_use]
    pub(crate) const fn manner(&self) -> Manner {
        Manner {
            delivers: self.is_reliable(),
            rejects: !self.is_reliable(),
        }
    }

    /// The peer at the other end.
    #[must_use]
    pub const fn peer(&self) -> Peer {
        Peer {
            address: self.remote,
            identity: self.security,
            connection: self.connection,
        }
    }

    /// The way back: for a datagram that came to a group the answer leaves from an address the system chooses
    /// (RFC 7252 §8.2).
    #[must_use]
    pub(crate) const fn back(&self) -> Path {
        let local = if self.multicast { None } else { self.local };
        Path {
            local,
            multicast: false,
            ..*self
        }
    }
}

/// What a way does by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// What is sent arrives, once and in order, or the way is gone. Nothing is acknowledged, and notifications need no number
    /// to be put in order by (RFC 8323 §3.1, §7.1).
    pub(crate) delivers: bool,
    /// A peer rejects what means nothing to it by a Reset (RFC 7252 §4.2, RFC 7641 §3.6). Otherwise it is told when an
    /// observation is over (RFC 8323 §7.4).
    pub(crate) rejects: bool,
}

/// The other end of an exchange: its address, what it has proved itself to be, and the connection to it if there is one.
///
/// The key of all message, token, block and observe state (RFC 7252 §4.1, §5.3.2; RFC 8323 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address.
    pub address: SocketAddr,
    /// The security association, if there is one.
    pub identity: Option<SecurityId>,
    /// The connection, if it is no peer of datagrams.
    pub connection: Option<ConnectionId>,
}

impl Peer {
    /// The host, on whichever connection: what it said about itself holds for the next one too.
    #[must_use]
    pub(crate) const fn beyond_connections(self) -> Peer {
        let identity = match self.connection {
            // It lasts as long as the connection.
            Some(_) => None,
            None => self.identity,
        };
        Peer {
            connection: None,
            identity,
            ..self
        }
    }

    /// Who sends datagrams from `address` without protection.
    #[must_use]
    pub const fn at(address: SocketAddr) -> Peer {
        Peer {
            address,
            identity: None,
            connection: None,
        }
    }
}

/// In few steps, as it is done for each message: most peers have an address and nothing else.
impl Hash for Peer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.address {
            SocketAddr::V4(address) => {
                state.write_u64(u64::from(u32::from(*address.ip())) << 16 | u64::from(address.port()));
            }
            SocketAddr::V6(address) => {
                state.write_u128(u128::from(*address.ip()));
                state.write_u64(u64::from(address.scope_id()) << 16 | u64::from(address.port()));
            }
        }
        if let Some(SecurityId(id)) = self.identity {
            state.write_u64(id.get());
        }
        if let Some(connection) = self.connection {
            connection.hash(state);
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}
