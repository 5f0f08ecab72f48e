//! Many addresses of 127/8 behind one socket, which sends from any of them and receives for all.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use coracle_engine::Path;
use coracle_net::{BindOptions, RecvBatch, SendBatch, UdpSocket};

/// Room for all datagrams of a burst: 100,000 small ones with what the kernel adds to each.
const RECEIVE_BUFFER: usize = 128 << 20;

/// A socket full of strangers.
pub(crate) struct Crowd {
    socket: UdpSocket,
    server: SocketAddr,
    received: RecvBatch,
    sending: SendBatch,
}

impl Crowd {
    /// Those who talk to `server`. To be called within a tokio runtime.
    pub(crate) fn new(server: SocketAddr) -> io::Result<Crowd> {
        let options = BindOptions {
            receive_buffer: RECEIVE_BUFFER,
            ..BindOptions::default()
        };
        Ok(Crowd {
            socket: UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0).into(), &options)?,
            server,
            received: RecvBatch::new(),
            sending: SendBatch::new(),
        })
    }

    pub(crate) fn port(&self) -> io::Result<u16> {
        Ok(self.socket.local_addr()?.port())
    }

    /// Sends a datagram to the server with the next batch.
    pub(crate) async fn send(&mut self, from: Ipv4Addr, datagram: &[u8]) -> io::Result<()> {
        self.send_to(self.server, from, datagram).await
    }

    /// Sends a datagram to somebody else.
    pub(crate) async fn send_to(
        &mut self,
        to: SocketAddr,
        from: Ipv4Addr,
        datagram: &[u8],
    ) -> io::Result<()> {
        if self.sending.is_full() {
            self.flush().await?;
        }
        let slot = self
            .sending
            .slot()
            .and_then(|slot| slot.get_mut(..datagram.len()));
        if let Some(slot) = slot {
            slot.copy_from_slice(datagram);
            let path = Path {
                local: Some(from.into()),
                ..Path::to(to)
            };
            self.sending.push(&path, datagram.len());
        }
        Ok(())
    }

    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while !self.sending.is_empty() {
            match self.socket.try_send_batch(&mut self.sending) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.socket.writable().await?,
                result => drop(result?),
            }
        }
        Ok(())
    }

    /// Takes a batch of datagrams, each with the address that it came to, and returns how many they were.
    pub(crate) fn receive(&mut self, mut take: impl FnMut(Ipv4Addr, &[u8])) -> io::Result<usize> {
        if let Some((remote, error)) = self.socket.try_recv_error() {
            return Err(io::Error::new(error.kind(), format!("{remote}: {error}")));
        }
        match self.socket.try_recv_batch(&mut self.received) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            result => drop(result?),
        }
        let mut count = 0;
        for datagram in self.received.datagrams() {
            if let Some(IpAddr::V4(local)) = datagram.path.local {
                take(local, datagram.payload);
                count += 1;
            }
        }
        Ok(count)
    }
}
