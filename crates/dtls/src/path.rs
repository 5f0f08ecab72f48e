//! Where datagrams come from and go to.

use core::net::{IpAddr, SocketAddr};
use core::num::NonZeroU64;

/// The way between the two ends: the peer's address, and ours if the socket tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// Address and port of the peer.
    pub remote: SocketAddr,
    /// The address of ours that the peer used.
    pub local: Option<IpAddr>,
    /// Index of the network interface; 0 where it is not known.
    pub interface: u32,
}

impl Path {
    /// A path to `remote` of which nothing else is known.
    #[must_use]
    pub const fn to(remote: SocketAddr) -> Path {
        Path {
            remote,
            local: None,
            interface: 0,
        }
    }
}

/// A session, in the making or established. Never used again for another one; with different values of `Config::shard` the
/// IDs of several [`Dtls`](crate::Dtls) differ too.
///
/// The shard is in the top 8 bits, then 32 bits count the uses of a place in the table, and 24 bits number the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(NonZeroU64);

impl SessionId {
    /// `generation` is never 0; of `place` 24 bits are used.
    pub(crate) fn new(shard: u8, generation: u32, place: u32) -> Option<SessionId> {
        let place = u64::from(place & 0x00FF_FFFF);
        let bits = u64::from(shard) << 56 | u64::from(generation) << 24 | place;
        NonZeroU64::new(bits).map(SessionId)
    }

    /// The session that had this number.
    pub(crate) const fn from_number(number: u64) -> Option<SessionId> {
        match NonZeroU64::new(number) {
            Some(number) => Some(SessionId(number)),
            None => None,
        }
    }

    /// The number as a whole.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// The shard that it was made by.
    #[must_use]
    pub const fn shard(self) -> u8 {
        let [shard, ..] = self.0.get().to_be_bytes();
        shard
    }

    pub(crate) const fn generation(self) -> u32 {
        let [_, a, b, c, d, ..] = self.0.get().to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    pub(crate) const fn place(self) -> u32 {
        let [.., a, b, c] = self.0.get().to_be_bytes();
        u32::from_be_bytes([0, a, b, c])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_holds_its_parts() {
        let id = SessionId::new(0xAB, 0x0102_0304, 0x00FE_DCBA).unwrap();
        assert_eq!(id.get(), 0xAB01_0203_04FE_DCBA);
        assert_eq!(id.shard(), 0xAB);
        assert_eq!(id.generation(), 0x0102_0304);
        assert_eq!(id.place(), 0x00FE_DCBA);
    }
}
