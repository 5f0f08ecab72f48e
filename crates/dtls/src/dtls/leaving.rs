//! What goes out: application data, flights, alerts.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::Dtls;
use crate::crypto::Side;
use crate::event::{Sealed, Transmit};
use crate::limits;
use crate::messages::alert::{Alert, AlertDescription};
use crate::path::{Path, SessionId};
use crate::record::{ContentType, MAX_SEQUENCE, SealError};
use crate::sessions::{Established, Session, Stage};
use crate::state::reserve::Reserve;

/// Why a message cannot be sealed. Nothing has happened then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtectError {
    /// There is no such session, or there is none any more.
    UnknownSession,
    /// The handshake is not over.
    NotEstablished,
    /// The message has more bytes than the peer takes in a record.
    TooLong {
        /// So many it may have.
        limit: usize,
    },
    /// The buffer is too short.
    NoRoom {
        /// The bytes it must have.
        needed: usize,
    },
    /// The peer's address has changed, and has not shown yet that it receives anything (RFC 9146 §6).
    PathNotProved {
        /// So many bytes of a datagram may go there now.
        allowed: u64,
    },
    /// All sequence numbers are used up: close the session and connect again.
    Exhausted,
    /// All sequence numbers are used up that may be used before the session is saved again
    /// ([`Dtls::begin_saving`]).
    NotSaved,
}

impl fmt::Display for ProtectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProtectError::UnknownSession => f.write_str("there is no such session"),
            ProtectError::NotEstablished => f.write_str("the handshake is not over"),
            ProtectError::TooLong { limit } => write!(f, "the peer takes at most {limit} bytes"),
            ProtectError::NoRoom { needed } => write!(f, "the buffer must have {needed} bytes"),
            ProtectError::PathNotProved { allowed } => {
                write!(
                    f,
                    "the peer's new address is not proved: {allowed} bytes may be sent to it"
                )
            }
            ProtectError::Exhausted => f.write_str("the sequence numbers of the session are used up"),
            ProtectError::NotSaved => f.write_str("the session has to be saved before it sends more"),
        }
    }
}

impl core::error::Error for ProtectError {}

impl Established {
    /// Bytes of plaintext in a record for the peer. With a connection ID the type inside counts too (RFC 9146 §4).
    fn limit(&self) -> usize {
        let inner_type = usize::from(!self.write.cid().is_empty());
        usize::from(self.peer_limit).saturating_sub(inner_type)
    }
}

impl Dtls {
    /// Seals a message of the application as one record into `buf`, which is a datagram then.
    ///
    /// # Errors
    /// See [`ProtectError`].
    pub fn protect(
        &mut self,
        _now: Duration,
        session: SessionId,
        plaintext: &[u8],
        buf: &mut [u8],
    ) -> Result<Sealed, ProtectError> {
        let id = session;
        let session = self.sessions.get_mut(id).ok_or(ProtectError::UnknownSession)?;
        let Stage::Established(established) = &mut session.stage else {
            return Err(ProtectError::NotEstablished);
        };
        let limit = established.limit();
        if plaintext.len() > limit {
            return Err(ProtectError::TooLong { limit });
        }
        let needed = (plaintext.len() + established.write.overhead()) as u64;
        if let Some(unproved) = &established.unproved {
            let most = unproved.received.saturating_mul(limits::UNPROVED_FACTOR);
            let allowed = most.saturating_sub(unproved.sent);
            if needed > allowed {
                return Err(ProtectError::PathNotProved { allowed });
            }
        }
        let sealed = established
            .write
            .seal(ContentType::APPLICATION_DATA, plaintext, buf);
        let len = sealed.map_err(|error| match error {
            SealError::TooLong => ProtectError::TooLong { limit },
            SealError::NoRoom(needed) => ProtectError::NoRoom { needed },
            SealError::Exhausted if established.write.limit() <= MAX_SEQUENCE => ProtectError::NotSaved,
            SealError::Exhausted => ProtectError::Exhausted,
        })?;
        if let Some(unproved) = &mut established.unproved {
            unproved.sent += needed;
        }
        self.stats.records_sealed += 1;
        let path = session.path;
        if Reserve::is_low(&established.write, &established.read) {
            self.sessions.note_low(id);
        }
        Ok(Sealed { len, path })
    }

    /// How many bytes of plaintext fit a datagram of so many bytes; nothing before the session is established.
    #[must_use]
    pub fn max_plaintext(&self, session: SessionId, datagram: usize) -> Option<usize> {
        let established = self.sessions.established(session)?;
        let room = datagram.saturating_sub(established.write.overhead());
        Some(room.min(established.limit()))
    }

    /// Ends a session, or a handshake, and tells the peer (RFC 5246 §7.2.1). No event comes of it.
    pub fn close(&mut self, _now: Duration, session: SessionId) {
        let description = match self.sessions.established(session) {
            Some(_) => AlertDescription::CLOSE_NOTIFY,
            None => AlertDescription::USER_CANCELED,
        };
        self.send_alert(session, Alert::warning(description));
        self.sessions.remove(session);
    }

    /// Queues an alert of a session. It is written at once: the session may be gone when it leaves.
    pub(super) fn send_alert(&mut self, id: SessionId, alert: Alert) {
        if self.loose.len() >= limits::LOOSE_DATAGRAMS {
            self.stats.discards.queue_full += 1;
            return;
        }
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if let Some(datagram) = alert_of(session, alert) {
            self.loose.push_back((session.path, datagram));
        }
    }

    /// Writes a datagram that wants to be sent: a part of a flight, an alert. Call it until there is nothing. `buf` should
    /// have `Config::mtu` bytes; alerts that do not fit are dropped.
    #[must_use]
    pub fn poll_transmit(&mut self, _now: Duration, buf: &mut [u8]) -> Option<Transmit> {
        while let Some((path, datagram)) = self.loose.pop_front() {
            if let Some(room) = buf.get_mut(..datagram.len()) {
                room.copy_from_slice(&datagram);
                let len = datagram.len();
                return Some(Transmit { len, path });
            }
        }
        while let Some(&id) = self.ready.front() {
            if let Some(session) = self.sessions.get_mut(id) {
                let (len, path) = next_datagram(session, buf, self.config.mtu);
                if len > 0 {
                    return Some(Transmit { len, path });
                }
                session.is_queued = false;
            }
            self.ready.pop_front();
        }
        None
    }
}

/// The next datagram of the session's flight, 0 bytes if there is none.
fn next_datagram(session: &mut Session, buf: &mut [u8], mtu: usize) -> (usize, Path) {
    let len = match &mut session.stage {
        Stage::Handshake(handshake) => handshake.course.write_datagram(buf, mtu),
        Stage::Established(established) => match &mut established.last_flight {
            Some(last) => {
                let limit = buf.len().min(mtu);
                let buf = buf.get_mut(..limit).unwrap_or_default();
                let peer_limit = usize::from(established.peer_limit);
                let sealed = Some(&mut established.write);
                last.flight
                    .write_datagram(buf, peer_limit, &mut last.plain, sealed)
            }
            None => 0,
        },
    };
    (len, session.path)
}

/// The record of an alert: sealed as soon as we have said that we seal.
fn alert_of(session: &mut Session, alert: Alert) -> Option<Vec<u8>> {
    let write = match &mut session.stage {
        Stage::Established(established) => &mut established.write,
        Stage::Handshake(handshake) => match (&mut handshake.course.keys, handshake.course.side) {
            (Some(keys), Side::Client) => &mut keys.write,
            _ => &mut handshake.course.plain,
        },
    };
    let mut datagram = alloc::vec![0; 2 + write.overhead()];
    write
        .seal(ContentType::ALERT, &alert.to_bytes(), &mut datagram)
        .ok()?;
    Some(datagram)
}
