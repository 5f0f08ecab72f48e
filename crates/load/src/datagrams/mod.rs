//! Datagrams as the way below the load: sources, message IDs, batches.

mod outbox;
mod peer;
mod sources;

use std::collections::HashMap;
use std::io;
use std::time::Instant;

use coracle_engine::Path;
use coracle_net::RecvBatch;
use coracle_wire::{Message, MessageId};

pub(crate) use self::sources::Source;

use self::outbox::Outbox;
use self::peer::Peer;
use self::sources::Sources;
use crate::plan::Plan;
use crate::random::Random;
use crate::way::Wait;

/// Sources and sockets of all peers.
pub(crate) struct Datagrams {
    sources: Sources,
    peers: Vec<Peer>,
    /// Whose source it is; also the one that a peer had before.
    by_source: HashMap<Source, u32>,
    outbox: Outbox,
    /// The socket that has something to receive.
    ready: Option<u32>,
}

impl Datagrams {
    pub(crate) fn new(plan: &Plan, now: Instant, random: &mut Random) -> io::Result<Datagrams> {
        let mut datagrams = Datagrams {
            sources: Sources::new(plan)?,
            peers: Vec::new(),
            by_source: HashMap::new(),
            outbox: Outbox::new(),
            ready: None,
        };
        for number in 0..plan.peers {
            let source = datagrams.sources.fresh(now)?;
            datagrams.by_source.insert(source, number);
            datagrams.peers.push(Peer::new(source, random));
        }
        Ok(datagrams)
    }

    /// Where the peer's next message comes from, and its ID: no ID is used twice from one source within
    /// EXCHANGE_LIFETIME (RFC 7252 §4.4).
    pub(crate) fn identify(
        &mut self,
        now: Instant,
        number: u32,
        random: &mut Random,
    ) -> io::Result<Option<(Source, MessageId)>> {
        let Some(peer) = self.peers.get_mut(number as usize) else {
            return Ok(None);
        };
        if let Some(id) = peer.identify() {
            return Ok(Some((peer.source, id)));
        }
        let source = self.sources.fresh(now)?;
        self.sources.retire(now, peer.source);
        let forgotten = peer.move_to(source, random);
        let id = peer.identify();
        if let Some(forgotten) = forgotten
            && self.by_source.get(&forgotten) == Some(&number)
        {
            self.by_source.remove(&forgotten);
        }
        self.by_source.insert(source, number);
        Ok(id.map(|id| (source, id)))
    }

    /// The peer that has or had this source.
    pub(crate) fn peer_at(&self, source: Source) -> Option<u32> {
        self.by_source.get(&source).copied()
    }

    /// How many different source addresses and ports there were.
    pub(crate) fn given(&self) -> u64 {
        self.sources.given()
    }

    /// The source that a datagram came to.
    pub(crate) fn source_of(&self, socket: u32, path: &Path) -> Source {
        self.sources.of(socket, path)
    }

    /// Queues a message, and returns its length.
    pub(crate) fn send(&mut self, source: Source, message: &Message<'_>) -> usize {
        let path = self.sources.path(source);
        self.outbox
            .push(source.socket, path, message.encoded_len(), |buf| {
                message.encode(buf).unwrap_or_default()
            })
    }

    /// Sends what is queued.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.outbox.flush(&self.sources).await
    }

    /// Waits for something to receive.
    pub(crate) async fn wait(&mut self, wait: Wait) {
        let sources = &mut self.sources;
        self.ready = match wait {
            Wait::No => sources.readable_now(),
            Wait::Awake => {
                let ready = sources.readable_now();
                if ready.is_none() {
                    tokio::task::yield_now().await;
                }
                ready
            }
            Wait::Asleep(time) => tokio::time::timeout(time, sources.readable())
                .await
                .ok()
                .flatten(),
        };
    }

    /// Receives from the socket that has something, and names it.
    pub(crate) fn receive(&mut self, received: &mut RecvBatch) -> io::Result<Option<u32>> {
        let Some(index) = self.ready.take() else {
            return Ok(None);
        };
        if let Some(socket) = self.sources.socket(index) {
            match socket.try_recv_batch(received) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => drop(result?),
            }
            while let Some((_, error)) = socket.try_recv_error() {
                self.outbox.errors.push(error);
            }
        }
        self.sources.watch(index);
        Ok(Some(index))
    }

    /// What the network said about datagrams that were sent.
    pub(crate) fn errors(&mut self) -> impl Iterator<Item = io::Error> {
        self.outbox.errors.drain(..)
    }
}
