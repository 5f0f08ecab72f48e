//! Sessions that are taken up again: by session ID (RFC 5246 §7.3) and by ticket (RFC 5077).
//!
//! A server keeps what it needs for the first in a [`Cache`]; for the second the client keeps it, sealed by
//! [`TicketKeys`]. A client keeps both in a [`Cache`] of its own, by the server that they are for.

mod cache;
mod tickets;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

pub(crate) use cache::Cache;
pub(crate) use tickets::TicketKeys;
use zeroize::Zeroizing;

use crate::crypto::{MasterSecret, Suite};
use crate::identity::Identity;
use crate::messages::codec::{Reader, Writer};

/// What a session was, as far as it is needed to take it up again. Who holds it can be the peer.
#[derive(Clone)]
pub(crate) struct Resumable {
    pub(crate) master_secret: Zeroizing<[u8; MasterSecret::LEN]>,
    pub(crate) suite: Suite,
    /// With and without, sessions are never taken up as the other (RFC 7627 §5.3).
    pub(crate) extended_master_secret: bool,
    /// The peer, which proves itself by the master secret alone from now on.
    pub(crate) identity: Arc<Identity>,
    /// The name that the client asked for: a session is not taken up under another (RFC 6066 §3).
    pub(crate) server_name: Option<String>,
    /// When the peer proved itself by its own key. What is taken up does not become younger.
    pub(crate) created: Duration,
}

/// The first byte of what is written down. Another is of another version, and not read.
const FORM: u8 = 1;

impl Resumable {
    pub(crate) fn write(&self, w: &mut Writer<'_>) {
        w.u8(FORM);
        w.u16(self.suite.id());
        w.u8(self.extended_master_secret.into());
        w.put(&self.created.as_secs().to_be_bytes());
        w.put(&*self.master_secret);
        w.u8(self.server_name.is_some().into());
        w.vec16(self.server_name.as_deref().unwrap_or_default().as_bytes());
        self.identity.write(w);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Resumable> {
        if reader.u8()? != FORM {
            return None;
        }
        let suite = Suite::from_u16(reader.u16()?)?;
        let extended_master_secret = reader.u8()? != 0;
        let created = Duration::from_secs(u64::from_be_bytes(*reader.array()?));
        let master_secret = Zeroizing::new(*reader.array()?);
        let named = reader.u8()? != 0;
        let name = core::str::from_utf8(reader.vec16()?).ok()?;
        Some(Resumable {
            master_secret,
            suite,
            extended_master_secret,
            identity: Arc::new(Identity::read(reader)?),
            server_name: named.then(|| name.into()),
            created,
        })
    }
}

/// What a client keeps of a session with a server.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) session: Resumable,
    /// Given by the server (RFC 5246 §7.4.1.3); with a ticket, one of our own, by which we see that the server takes
    /// it (RFC 5077 §3.4).
    pub(crate) session_id: Vec<u8>,
    /// Empty for none.
    pub(crate) ticket: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    pub(super) fn resumable(created: u64) -> Resumable {
        Resumable {
            master_secret: Zeroizing::new([5; 48]),
            suite: Suite::PskCcm8,
            extended_master_secret: true,
            identity: Arc::new(Identity::Psk(b"device".to_vec())),
            server_name: Some("coap.example.org".into()),
            created: Duration::from_secs(created),
        }
    }

    pub(super) fn bytes(session: &Resumable) -> Vec<u8> {
        let mut bytes = Vec::new();
        session.write(&mut Writer::new(&mut bytes));
        bytes
    }

    #[test]
    fn a_session_is_read_as_it_was_written() {
        let mut session = resumable(77);
        for name in [Some("coap.example.org"), Some(""), None] {
            session.server_name = name.map(String::from);
            session.extended_master_secret = name.is_some();
            let written = bytes(&session);
            let mut reader = Reader::new(&written);
            let read = Resumable::read(&mut reader).unwrap();
            assert!(reader.is_empty());
            assert_eq!(read.server_name, session.server_name);
            assert_eq!(read.identity, session.identity);
            assert_eq!(read.created, session.created);
            assert_eq!(bytes(&read), written);
            for len in 0..written.len() {
                assert!(Resumable::read(&mut Reader::new(&written[..len])).is_none());
            }
        }
        let mut future = vec![2];
        future.extend_from_slice(&bytes(&session)[1..]);
        assert!(Resumable::read(&mut Reader::new(&future)).is_none());
    }
}
