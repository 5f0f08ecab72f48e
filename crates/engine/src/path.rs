//! Who talks to whom: the way of a datagram and the peer at its other end.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

/// Names a security association (a DTLS session, an OSCORE context) among all of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecurityId(pub u64);

/// The way a datagram came or goes.
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
        }
    }

    /// The peer at the other end.
    #[must_use]
    pub const fn peer(&self) -> Peer {
        Peer {
            address: self.remote,
            identity: self.security,
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

/// The other end of an exchange: its address and what it has proved itself to be.
///
/// The key of all message, token, block and observe state (RFC 7252 §4.1, §5.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// The address.
    pub address: SocketAddr,
    /// The security association, if there is one.
    pub identity: Option<SecurityId>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}
