//! The buffers of many datagrams, allocated once and used again.

use std::collections::VecDeque;
use std::fmt;
use std::slice::ChunksExactMut;

use coracle_engine::Path;

use crate::limits::{BATCH_SIZE, SLOT_SIZE};
use crate::system;

/// A received datagram. It may be changed in place, as decryption does.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// The way it came.
    ///
    /// An IPv4 address mapped into IPv6 is shown as the IPv4 address. On Linux `local` is always set, and for a
    /// datagram to a group or a broadcast address it is that address, with `multicast` set; `interface` is 0 on a
    /// socket bound to a single address that is not link-local. Elsewhere `local` is that of such a socket or `None`,
    /// `interface` 0 and `multicast` false.
    pub path: Path,
    /// The payload of UDP; at most [`SLOT_SIZE`] bytes.
    pub payload: &'a mut [u8],
    /// There was more than a slot holds; the rest is lost.
    pub truncated: bool,
}

/// Slots for [`BATCH_SIZE`] received datagrams of [`SLOT_SIZE`] bytes each.
pub struct RecvBatch {
    storage: Box<[u8]>,
    /// One for each slot in use, in order; without a path where the system gave an unknown kind of address.
    received: Vec<Received>,
    scratch: system::RecvScratch,
}

impl RecvBatch {
    /// An empty batch. This is the only allocation.
    #[must_use]
    pub fn new() -> RecvBatch {
        RecvBatch {
            storage: vec![0; BATCH_SIZE * SLOT_SIZE].into_boxed_slice(),
            received: Vec::with_capacity(BATCH_SIZE),
            scratch: system::RecvScratch::new(),
        }
    }

    /// How many datagrams were received last.
    #[must_use]
    pub fn len(&self) -> usize {
        self.received.len()
    }

    /// Nothing was received last.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.received.is_empty()
    }

    /// The datagrams that were received last, in the order of their coming.
    pub fn datagrams(&mut self) -> impl Iterator<Item = Datagram<'_>> {
        self.storage
            .chunks_exact_mut(SLOT_SIZE)
            .zip(&self.received)
            .filter_map(|(slot, received)| {
                let payload = slot.get_mut(..received.len)?;
                Some(Datagram {
                    path: received.path?,
                    payload,
                    truncated: received.truncated,
                })
            })
    }

    /// Forgets what was received.
    pub(crate) fn clear(&mut self) {
        self.received.clear();
    }

    /// Lends the parts of the empty batch to be filled.
    pub(crate) fn parts(
        &mut self,
    ) -> (
        ChunksExactMut<'_, u8>,
        &mut system::RecvScratch,
        &mut Vec<Received>,
    ) {
        (
            self.storage.chunks_exact_mut(SLOT_SIZE),
            &mut self.scratch,
            &mut self.received,
        )
    }
}

impl Default for RecvBatch {
    fn default() -> RecvBatch {
        RecvBatch::new()
    }
}

impl fmt::Debug for RecvBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvBatch")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// What is known of the datagram in a slot.
pub(crate) struct Received {
    pub(crate) path: Option<Path>,
    pub(crate) len: usize,
    pub(crate) truncated: bool,
}

/// Up to [`BATCH_SIZE`] datagrams of up to [`SLOT_SIZE`] bytes that wait to be sent.
///
/// Write into [`slot`](SendBatch::slot), then [`push`](SendBatch::push) what was written, until the batch is full.
/// [`UdpSocket::try_send_batch`](crate::UdpSocket::try_send_batch) takes from the front; what it could not send
/// stays, in order.
pub struct SendBatch {
    storage: Box<[u8]>,
    /// A ring: the datagram at place `i` of the queue lies in slot `(head + i) % BATCH_SIZE`.
    queue: VecDeque<Queued>,
    head: usize,
    scratch: system::SendScratch,
}

#[derive(Clone, Copy)]
struct Queued {
    path: Path,
    len: usize,
}

impl SendBatch {
    /// An empty batch. This is the only allocation.
    #[must_use]
    pub fn new() -> SendBatch {
        SendBatch {
            storage: vec![0; BATCH_SIZE * SLOT_SIZE].into_boxed_slice(),
            queue: VecDeque::with_capacity(BATCH_SIZE),
            head: 0,
            scratch: system::SendScratch::new(),
        }
    }

    /// The next free buffer, of [`SLOT_SIZE`] bytes with old contents; `None` if the batch is full.
    #[must_use]
    pub fn slot(&mut self) -> Option<&mut [u8]> {
        if self.is_full() {
            return None;
        }
        let index = (self.head + self.queue.len()) % BATCH_SIZE;
        self.storage.chunks_exact_mut(SLOT_SIZE).nth(index)
    }

    /// Queues the first `len` bytes of [`slot`](SendBatch::slot) to go along `path`.
    ///
    /// `path.local` becomes the source address if it is a unicast address of the same family as `path.remote` and
    /// `path.multicast` is not set; otherwise the system chooses. `path.interface` decides the way out for groups,
    /// for link-local addresses and where no source address is given; an answer from a known address follows the
    /// routes, because the way back need not be the way it came. A scope in `path.remote` goes before `path.interface`.
    ///
    /// # Panics
    /// If the batch is full or `len` is more than [`SLOT_SIZE`].
    pub fn push(&mut self, path: &Path, len: usize) {
        assert!(!self.is_full(), "push without a free slot");
        assert!(
            len <= SLOT_SIZE,
            "{len} bytes cannot have been written into a slot of {SLOT_SIZE}"
        );
        self.queue.push_back(Queued { path: *path, len });
    }

    /// Forgets all that waits.
    pub fn clear(&mut self) {
        self.queue.clear();
    }

    /// How many datagrams wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// There is no free slot.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.queue.len() >= BATCH_SIZE
    }

    /// The way of the first datagram that waits.
    pub(crate) fn first(&self) -> Option<&Path> {
        self.queue.front().map(|queued| &queued.path)
    }

    /// Takes the first `count` datagrams off: they are sent or given up.
    pub(crate) fn advance(&mut self, count: usize) {
        let count = count.min(self.queue.len());
        self.queue.drain(..count);
        self.head = (self.head + count) % BATCH_SIZE;
    }

    /// The datagrams that wait, in order, and the parts of the system to send them with.
    pub(crate) fn waiting(&mut self) -> (impl Iterator<Item = (&Path, &[u8])>, &mut system::SendScratch) {
        let (storage, head) = (&self.storage, self.head);
        let waiting = self.queue.iter().enumerate().filter_map(move |(place, queued)| {
            let slot = storage.chunks_exact(SLOT_SIZE).nth((head + place) % BATCH_SIZE)?;
            Some((&queued.path, slot.get(..queued.len)?))
        });
        (waiting, &mut self.scratch)
    }
}

impl Default for SendBatch {
    fn default() -> SendBatch {
        SendBatch::new()
    }
}

impl fmt::Debug for SendBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendBatch")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(batch: &mut SendBatch, byte: u8) {
        let slot = batch.slot().unwrap();
        assert_eq!(slot.len(), SLOT_SIZE);
        slot[0] = byte;
        batch.push(&Path::to(([127, 0, 0, 1], u16::from(byte)).into()), 1);
    }

    fn contents(batch: &mut SendBatch) -> Vec<u8> {
        let (waiting, _) = batch.waiting();
        waiting
            .map(|(path, payload)| {
                assert_eq!([path.remote.port()], [u16::from(payload[0])]);
                payload[0]
            })
            .collect()
    }

    #[test]
    fn what_was_not_sent_stays_in_order_around_the_end_of_the_ring() {
        let mut batch = SendBatch::new();
        (0..64).for_each(|byte| push(&mut batch, byte));
        assert!(batch.is_full());
        assert!(batch.slot().is_none());

        batch.advance(60);
        assert_eq!(contents(&mut batch), [60, 61, 62, 63]);
        (64..100).for_each(|byte| push(&mut batch, byte));
        assert_eq!(contents(&mut batch), (60..100).collect::<Vec<_>>());

        batch.advance(1000);
        assert!(batch.is_empty());
        push(&mut batch, 7);
        assert_eq!(contents(&mut batch), [7]);
        batch.clear();
        assert!(batch.is_empty());
    }

    #[test]
    #[should_panic(expected = "push without a free slot")]
    fn pushing_into_a_full_batch_is_a_mistake_of_the_caller() {
        let mut batch = SendBatch::new();
        (0..64).for_each(|byte| push(&mut batch, byte));
        batch.push(&Path::to(([127, 0, 0, 1], 1).into()), 0);
    }
}
