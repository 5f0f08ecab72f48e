//! The raw limit of a notification to many: each datagram that comes is sent to all observers with `sendmmsg`, with
//! another message ID and token for each.

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, sendmmsg};

use crate::process;

const BATCH: usize = coracle_net::BATCH_SIZE;

/// The observers: consecutive addresses, and one port.
pub(crate) struct Observers {
    pub(crate) first: Ipv4Addr,
    pub(crate) count: u32,
    pub(crate) port: u16,
}

/// Serves until it is killed.
pub(crate) fn serve(observers: &Observers) -> io::Result<()> {
    let socket = UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    process::announce(socket.local_addr()?);
    let mut notification = [0; 256];
    loop {
        let len = socket.recv(&mut notification)?;
        tell_all(&socket, notification.get(..len).unwrap_or_default(), observers)?;
    }
}

fn tell_all(socket: &UdpSocket, notification: &[u8], observers: &Observers) -> io::Result<()> {
    let mut datagrams = vec![notification.to_vec(); BATCH];
    let mut addresses: Vec<Option<SockaddrIn>> = Vec::with_capacity(BATCH);
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    let places: Vec<u32> = (0..observers.count).collect();
    for places in places.chunks(BATCH) {
        addresses.clear();
        for (place, datagram) in places.iter().zip(&mut datagrams) {
            let address = Ipv4Addr::from_bits(observers.first.to_bits() + place);
            addresses.push(Some(SocketAddrV4::new(address, observers.port).into()));
            // Message ID and a token of four bytes follow type and code (RFC 7252 §3).
            if let Some(place_in_datagram) = datagram.get_mut(4..8) {
                place_in_datagram.copy_from_slice(&place.to_be_bytes());
            }
            if let Some(message_id) = datagram.get_mut(2..4) {
                message_id.copy_from_slice(&place.to_be_bytes()[2..]);
            }
        }
        let mut sent = 0;
        while sent < places.len() {
            let rest = datagrams.get(sent..places.len()).unwrap_or_default();
            let slices: Vec<_> = rest.iter().map(|datagram| [IoSlice::new(datagram)]).collect();
            let to = addresses.get(sent..).unwrap_or_default();
            let results = sendmmsg(
                socket.as_raw_fd(),
                &mut headers,
                &slices,
                to,
                [],
                MsgFlags::empty(),
            )?;
            sent += results.count();
        }
    }
    Ok(())
}
