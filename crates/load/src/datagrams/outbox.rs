//! Datagrams that wait to be sent, in order.

use std::io;

use coracle_engine::Path;
use coracle_net::{SendBatch, UdpSocket};

use super::sources::Sources;

/// What one turn of the loop has to send, copied into batches for each run of datagrams from the same socket.
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    batch: SendBatch,
    /// What the network said about datagrams that were sent.
    pub(crate) errors: Vec<io::Error>,
}

struct Entry {
    socket: u32,
    path: Path,
    end: usize,
}

impl Outbox {
    pub(crate) fn new() -> Outbox {
        Outbox {
            bytes: Vec::new(),
            entries: Vec::new(),
            batch: SendBatch::new(),
            errors: Vec::new(),
        }
    }

    /// Queues what `write` puts into a buffer of `len` bytes, of which it returns how many it used.
    pub(crate) fn push(
        &mut self,
        socket: u32,
        path: Path,
        len: usize,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> usize {
        let start = self.bytes.len();
        self.bytes.resize(start + len, 0);
        let used = self.bytes.get_mut(start..).map_or(0, write);
        self.bytes.truncate(start + used);
        self.entries.push(Entry {
            socket,
            path,
            end: self.bytes.len(),
        });
        used
    }

    /// Sends all, waiting where the system takes no more.
    pub(crate) async fn flush(&mut self, sources: &Sources) -> io::Result<()> {
        let mut start = 0;
        let mut from = None;
        for Entry { socket, path, end } in self.entries.drain(..) {
            let next = sources.socket(socket);
            if self.batch.is_full() || from.is_some_and(|(index, _)| index != socket) {
                send(&mut self.batch, from, &mut self.errors).await?;
            }
            from = next.map(|next| (socket, next));
            if let Some((slot, datagram)) = self.batch.slot().zip(self.bytes.get(start..end))
                && let Some(slot) = slot.get_mut(..datagram.len())
            {
                slot.copy_from_slice(datagram);
                self.batch.push(&path, datagram.len());
            }
            start = end;
        }
        self.bytes.clear();
        send(&mut self.batch, from, &mut self.errors).await
    }
}

async fn send(
    batch: &mut SendBatch,
    from: Option<(u32, &UdpSocket)>,
    errors: &mut Vec<io::Error>,
) -> io::Result<()> {
    let Some((_, socket)) = from else {
        return Ok(());
    };
    while !batch.is_empty() {
        match socket.try_send_batch(batch) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.writable().await?,
            result => drop(result?),
        }
    }
    errors.extend(std::iter::from_fn(|| socket.try_recv_error()).map(|(_, error)| error));
    Ok(())
}
