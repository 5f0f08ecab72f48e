//! Several drivers at one address, each with an engine and peers of its own, and the one way between them.
//!
//! The kernel brings a peer's datagrams to the shard that [`shard_of`] names. What comes to another one all the same
//! (behind IPv6 extension headers, while the sockets are bound, an error of the network) is handed over.

use std::net::SocketAddr;
use std::sync::Arc;

use coracle_engine::Path;
use coracle_net::stream::Listener;
use coracle_net::{Datagram, MAX_SHARDS, UdpSocket, shard_of};
use tokio::sync::mpsc;

use crate::secure::Settings;

/// What waits at most to be taken by the shard that it was handed over to; further datagrams are lost, as they are
/// in a socket that is full.
const WAITING: usize = 1024;

/// As many as the threads on which they can run at once: those of the runtime, at most the processors.
pub(crate) fn default_shards() -> usize {
    let workers = tokio::runtime::Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers());
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    workers.min(processors).clamp(1, MAX_SHARDS)
}

/// Where what the driver of a shard moves comes from.
#[derive(Default)]
pub(crate) struct Sources {
    pub(crate) socket: Option<UdpSocket>,
    /// What comes to the socket is protected by DTLS.
    pub(crate) secure: Option<Settings>,
    pub(crate) listener: Option<Listener>,
}

impl Sources {
    pub(crate) fn datagrams(socket: UdpSocket) -> Sources {
        Sources {
            socket: Some(socket),
            ..Sources::default()
        }
    }

    pub(crate) fn connections(listener: Listener) -> Sources {
        Sources {
            listener: Some(listener),
            ..Sources::default()
        }
    }
}

/// What came to one shard and belongs to another.
#[derive(Debug)]
pub(crate) enum Handed {
    Datagram {
        path: Path,
        payload: Box<[u8]>,
        truncated: bool,
    },
    Unreachable(SocketAddr),
}

/// A shard among those of its address.
#[derive(Debug)]
pub(crate) struct Shard {
    place: usize,
    /// The ways to all, in the order of their places.
    ways: Arc<[mpsc::Sender<Handed>]>,
    handed: mpsc::Receiver<Handed>,
    /// What was handed over to others, and what found no room there.
    pub(crate) handed_over: u64,
    pub(crate) lost: u64,
}

impl Shard {
    /// All shards of an address, in the order of their places.
    pub(crate) fn all(count: usize) -> Vec<Shard> {
        let (ways, inboxes): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel(WAITING)).unzip();
        let ways: Arc<[_]> = ways.into();
        let shard = |(place, handed)| Shard {
            place,
            ways: ways.clone(),
            handed,
            handed_over: 0,
            lost: 0,
        };
        inboxes.into_iter().enumerate().map(shard).collect()
    }

    /// How many there are, this one among them.
    pub(crate) fn count(&self) -> usize {
        self.ways.len()
    }

    /// Whether there are others.
    pub(crate) fn has_others(&self) -> bool {
        self.ways.len() > 1
    }

    /// Whether a datagram is to be taken in here. If it is another shard's, that one gets it: the `owner`, if it names one,
    /// else that of its peer.
    #[inline]
    pub(crate) fn keeps(&mut self, datagram: &Datagram<'_>, owner: Option<usize>) -> bool {
        !self.has_others() || self.is_for(datagram, owner)
    }

    fn is_for(&mut self, datagram: &Datagram<'_>, owner: Option<usize>) -> bool {
        // The first shard alone joins groups; of what is broadcast each gets a copy.
        if datagram.path.multicast && self.place != 0 {
            return false;
        }
        let owner = owner.unwrap_or_else(|| shard_of(datagram.path.remote, self.ways.len()));
        self.keeps_of(owner, || Handed::Datagram {
            path: datagram.path,
            payload: Box::from(&*datagram.payload),
            truncated: datagram.truncated,
        })
    }

    /// Whether an error of the network concerns a peer of this shard. If not, its shard is told.
    pub(crate) fn keeps_error(&mut self, remote: SocketAddr) -> bool {
        let owner = shard_of(remote, self.ways.len());
        self.keeps_of(owner, || Handed::Unreachable(remote))
    }

    fn keeps_of(&mut self, owner: usize, handed: impl FnOnce() -> Handed) -> bool {
        if owner == self.place {
            return true;
        }
        let given = self.ways.get(owner).map(|way| way.try_send(handed()));
        if let Some(Ok(())) = given {
            self.handed_over = self.handed_over.wrapping_add(1);
        } else {
            self.lost = self.lost.wrapping_add(1);
        }
        false
    }

    /// What others have handed over, if there is something.
    pub(crate) fn try_take(&mut self) -> Option<Handed> {
        self.handed.try_recv().ok()
    }

    /// Waits for what others hand over.
    pub(crate) async fn take(&mut self) -> Handed {
        match self.handed.recv().await {
            Some(handed) => handed,
            // It holds a way to itself, so that there is always one.
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(path: Path, payload: &mut [u8]) -> Datagram<'_> {
        Datagram {
            path,
            payload,
            truncated: false,
        }
    }

    #[test]
    fn a_datagram_is_kept_or_handed_to_its_shard() {
        let mut shards = Shard::all(3);
        for port in 1..100 {
            let path = Path::to(([192, 0, 2, 1], port).into());
            let owner = shard_of(path.remote, 3);
            for place in 0..3 {
                let kept = shards[place].keeps(&datagram(path, &mut [1, 2]), None);
                assert_eq!(kept, place == owner);
                if !kept {
                    let handed = shards[owner].try_take();
                    assert!(
                        matches!(handed, Some(Handed::Datagram { path: way, payload, .. }) if way == path && *payload == [1, 2])
                    );
                }
                assert!(shards[owner].try_take().is_none());
            }
        }
    }

    #[test]
    fn what_finds_no_room_is_lost_and_counted() {
        let mut shards = Shard::all(2);
        let remote = (1..).map(|port| SocketAddr::from(([192, 0, 2, 1], port)));
        let remote = remote
            .into_iter()
            .find(|remote| shard_of(*remote, 2) == 1)
            .unwrap();
        for _ in 0..WAITING + 5 {
            assert!(!shards[0].keeps_error(remote));
        }
        assert_eq!((shards[0].handed_over, shards[0].lost), (WAITING as u64, 5));
        let taken = std::iter::from_fn(|| shards[1].try_take());
        assert_eq!(taken.count(), WAITING);
    }

    #[test]
    fn of_what_went_to_many_the_first_shard_hands_out_the_only_copy() {
        let mut shards = Shard::all(4);
        for port in 1..20 {
            let path = Path {
                multicast: true,
                ..Path::to(([192, 0, 2, 1], port).into())
            };
            let owner = shard_of(path.remote, 4);
            let kept = (0..4)
                .filter(|place| shards[*place].keeps(&datagram(path, &mut []), None))
                .count();
            let handed = (0..4).filter(|place| shards[*place].try_take().is_some()).count();
            assert_eq!((kept, handed), if owner == 0 { (1, 0) } else { (0, 1) });
        }
    }

    #[tokio::test]
    async fn a_runtime_of_one_thread_has_one_shard() {
        assert_eq!(default_shards(), 1);
    }
}
