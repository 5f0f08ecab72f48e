//! What the machine tells its owner.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

use crate::failure::Failure;
use crate::path::{Path, SessionId};

/// What the first record of a datagram held.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Received {
    /// Nothing for the application. There may be datagrams to send and events.
    Nothing,
    /// A message of the application, at `range` of the datagram that was handed in.
    Data {
        /// Who sent it.
        session: SessionId,
        /// Where the plaintext is.
        range: Range<usize>,
    },
}

/// Names a look-up that [`Dtls::provide_psk`](crate::Dtls::provide_psk) answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LookupId(pub(crate) SessionId);

/// Something that the owner has to know, in the order in which it happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The session can be used; [`Dtls::peer`](crate::Dtls::peer) says who it is with.
    Connected {
        /// The new session.
        session: SessionId,
        /// By an abbreviated handshake: nothing was proved anew but the master secret.
        resumed: bool,
    },
    /// A client names this identity: answer with [`Dtls::provide_psk`](crate::Dtls::provide_psk), within
    /// [`limits::LOOKUP_TIMEOUT`](crate::limits::LOOKUP_TIMEOUT), also if it is unknown.
    PskWanted {
        /// For the answer.
        lookup: LookupId,
        /// As the client sent it; any bytes.
        identity: Vec<u8>,
        /// The name that the client wants to talk to (RFC 6066 §3).
        server_name: Option<Vec<u8>>,
    },
    /// A handshake did not come to an end, or a session ended for a fault.
    Failed {
        /// The session that is gone.
        session: SessionId,
        /// Where the peer was.
        path: Path,
        /// Who noticed what.
        failure: Box<Failure>,
    },
    /// The peer closed the session (RFC 5246 §7.2.1).
    Closed {
        /// The session that is gone.
        session: SessionId,
    },
    /// An authentic record, newer than all before, came from another address (RFC 9146 §6).
    Moved {
        /// The session.
        session: SessionId,
        /// Where the peer was.
        from: Path,
        /// Where it is now.
        to: Path,
    },
    /// A new session of the same peer took the place of this one on its path (RFC 6347 §4.2.8).
    Replaced {
        /// The session that is gone.
        session: SessionId,
        /// The one that took its place.
        by: SessionId,
    },
}

/// A datagram that [`Dtls::poll_transmit`](crate::Dtls::poll_transmit) wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Transmit {
    /// Bytes in the buffer.
    pub len: usize,
    /// Where to.
    pub path: Path,
}

/// A record that [`Dtls::protect`](crate::Dtls::protect) wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Sealed {
    /// Bytes in the buffer.
    pub len: usize,
    /// Where to: where the peer was last heard from.
    pub path: Path,
}
