//! A session as an item of a segment.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use super::reserve::Reserve;
use crate::crypto::DirectionKeys;
use crate::identity::Identity;
use crate::messages::codec::{Reader, Writer};
use crate::path::{Path, SessionId};
use crate::record::{ReadState, Window, WriteState};

/// What is kept of an established session.
pub(crate) struct SavedSession {
    pub(crate) id: SessionId,
    pub(crate) path: Path,
    /// Our connection ID, by which it is found; empty for none.
    pub(crate) cid: Vec<u8>,
    pub(crate) write: WriteState,
    pub(crate) read: ReadState,
    pub(crate) identity: Arc<Identity>,
    /// Bytes of plaintext that the peer takes in a record.
    pub(crate) peer_limit: u16,
    /// By which late copies of its ClientHello are known.
    pub(crate) client_random: [u8; 8],
}

/// A session that is to be written down: [`SavedSession`], borrowed.
pub(crate) struct SessionToSave<'s> {
    pub(crate) id: SessionId,
    pub(crate) path: Path,
    pub(crate) cid: &'s [u8],
    pub(crate) write: &'s WriteState,
    pub(crate) read: &'s ReadState,
    pub(crate) identity: &'s Identity,
    pub(crate) peer_limit: u16,
    pub(crate) client_random: [u8; 8],
}

impl SessionToSave<'_> {
    /// Nothing, if the session has no keys.
    pub(crate) fn write(&self, reserve: Reserve, w: &mut Writer<'_>) {
        let Some(write_keys) = self.write.keys() else {
            return;
        };
        write_id(self.id, w);
        write_address(self.path.remote, w);
        write_ip(self.path.local, w);
        w.u32(self.path.interface);
        w.vec8(self.cid);

        write_keys.write(w);
        w.u16(self.write.epoch());
        w.put(&self.write.next_sequence().to_be_bytes());
        w.vec8(self.write.cid());

        self.read.keys().write(w);
        w.u16(self.read.epoch());
        w.u8(self.read.with_cid().into());
        w.put(&self.read.window().end().to_be_bytes());
        w.put(&self.read.window().received().to_be_bytes());
        w.u32(reserve.read_ahead());

        w.u16(self.peer_limit);
        w.put(&self.client_random);
        self.identity.write(w);
    }
}

impl SavedSession {
    /// Reads a session back, `reserves` behind where it was written down. What a later version adds behind is passed
    /// over.
    pub(crate) fn read(mut item: Reader<'_>, reserves: u64) -> Option<SavedSession> {
        let r = &mut item;
        let id = read_id(r)?;
        let path = Path {
            remote: read_address(r)?,
            local: read_ip(r)?,
            interface: r.u32()?,
        };
        let cid = r.vec8()?.to_vec();

        let write_keys = DirectionKeys::read(r)?;
        let write_epoch = r.u16()?;
        let next = u64::from_be_bytes(*r.array()?);
        let mut write = WriteState::protected(write_keys, write_epoch, r.vec8()?);
        write.continue_at(next);

        let read_keys = DirectionKeys::read(r)?;
        let mut read = ReadState::new(read_keys, r.u16()?, r.u8()? != 0);
        let end = u64::from_be_bytes(*r.array()?);
        read.set_window(Window::from_parts(end, u64::from_be_bytes(*r.array()?)));
        let read_ahead = r.u32()?;
        Reserve::resume(reserves, read_ahead, &mut write, &mut read);

        let peer_limit = r.u16()?;
        let client_random = *r.array()?;
        let identity = Arc::new(Identity::read(r)?);
        Some(SavedSession {
            id,
            path,
            cid,
            write,
            read,
            identity,
            peer_limit,
            client_random,
        })
    }
}

pub(crate) fn write_id(id: SessionId, w: &mut Writer<'_>) {
    w.put(&id.get().to_be_bytes());
}

pub(crate) fn read_id(r: &mut Reader<'_>) -> Option<SessionId> {
    r.array()
        .and_then(|id| SessionId::from_number(u64::from_be_bytes(*id)))
}

fn write_address(address: SocketAddr, w: &mut Writer<'_>) {
    write_ip(Some(address.ip()), w);
    w.u16(address.port());
    // The scope is what tells one link-local address from another; the flow label tells nothing.
    w.u32(match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(v6) => v6.scope_id(),
    });
}

fn read_address(r: &mut Reader<'_>) -> Option<SocketAddr> {
    let ip = read_ip(r)??;
    let (port, scope) = (r.u16()?, r.u32()?);
    Some(match ip {
        IpAddr::V4(v4) => SocketAddr::from((v4, port)),
        IpAddr::V6(v6) => SocketAddr::V6(SocketAddrV6::new(v6, port, 0, scope)),
    })
}

fn write_ip(ip: Option<IpAddr>, w: &mut Writer<'_>) {
    match ip {
        None => w.vec8(&[]),
        Some(IpAddr::V4(v4)) => w.vec8(&v4.octets()),
        Some(IpAddr::V6(v6)) => w.vec8(&v6.octets()),
    }
}

fn read_ip(r: &mut Reader<'_>) -> Option<Option<IpAddr>> {
    let octets = r.vec8()?;
    Some(match octets.len() {
        0 => None,
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?).into()),
        _ => Some(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).into()),
    })
}
