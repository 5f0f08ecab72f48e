//! The raw limit: a responder without memory, which reads no more of a request than it needs to answer.
//!
//! One thread, one blocking socket, batches as in `coracle-net`, no runtime, no addresses beside the datagrams. What a
//! server costs beyond this is what it does for its users.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};

use crate::process;

const BATCH: usize = coracle_net::BATCH_SIZE;
const SLOT: usize = coracle_net::SLOT_SIZE;

/// Version 1 and Acknowledgement, to be joined with the length of the token (RFC 7252 §3).
const ACKNOWLEDGEMENT: u8 = 0x60;

/// Content-Format 0, the payload marker and a payload: what our own server answers.
const REST: &[u8] = b"\xc0\xff21.5";

/// The longest answer: header, token and rest.
const ANSWER: usize = 4 + 8 + REST.len();

/// Serves until it is killed.
pub(crate) fn serve() -> io::Result<()> {
    let socket = UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    process::announce(socket.local_addr()?);
    respond(&socket)
}

/// Answers what comes, without end.
pub(crate) fn respond(socket: &UdpSocket) -> io::Result<()> {
    let mut received = vec![[0; SLOT]; BATCH];
    let mut answers = vec![[0; ANSWER]; BATCH];
    let mut receiving = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    let mut sending = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    let mut addresses = Vec::with_capacity(BATCH);
    loop {
        let mut lengths = [0; BATCH];
        addresses.clear();
        let mut slots: Vec<_> = received.iter_mut().map(|slot| [IoSliceMut::new(slot)]).collect();
        // Waits for the first datagram and takes what is there then.
        let messages = recvmmsg(
            socket.as_raw_fd(),
            &mut receiving,
            &mut slots,
            MsgFlags::MSG_WAITFORONE,
            None,
        )?;
        let places = lengths.iter_mut().zip(&mut answers);
        for (message, (length, answer)) in messages.zip(places) {
            let request = message.iovs().next().unwrap_or_default();
            if let Some(written) = write_answer(request, answer) {
                *length = written;
                addresses.push(message.address);
            }
        }
        let slices = answers
            .iter()
            .zip(lengths)
            .filter_map(|(answer, length)| answer.get(..length));
        let slices: Vec<_> = slices
            .filter(|slice| !slice.is_empty())
            .map(|slice| [IoSlice::new(slice)])
            .collect();
        // A datagram that cannot be sent is lost; who asked will ask again.
        let _ = sendmmsg(
            socket.as_raw_fd(),
            &mut sending,
            &slices,
            &addresses,
            [],
            MsgFlags::empty(),
        );
    }
}

/// Copies message ID and token and returns the length of the answer; `None` where there is not even a token.
fn write_answer(request: &[u8], answer: &mut [u8; ANSWER]) -> Option<usize> {
    let (&[first, _code, high, low], rest) = request.split_first_chunk()?;
    let token_length = usize::from(first & 0x0f);
    let token = rest.get(..token_length)?;
    let header = [ACKNOWLEDGEMENT | (first & 0x0f), 0x45, high, low];
    let length = header.len() + token_length + REST.len();
    let (to_header, to_rest) = answer.get_mut(..length)?.split_first_chunk_mut()?;
    *to_header = header;
    let (to_token, to_rest) = to_rest.split_at_mut_checked(token_length)?;
    to_token.copy_from_slice(token);
    to_rest.copy_from_slice(REST);
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_carries_message_id_and_token() {
        let mut answer = [0; ANSWER];
        let length = write_answer(b"\x42\x01\x12\x34ab\xb4temp", &mut answer).unwrap();
        assert_eq!(&answer[..length], b"\x62\x45\x12\x34ab\xc0\xff21.5");
        assert_eq!(write_answer(b"\x48\x01\x12\x34short", &mut answer), None);
        assert_eq!(
            write_answer(b"\x4f\x01\x12\x34 a token of 15 bytes", &mut answer),
            None
        );
        assert_eq!(write_answer(b"\x40", &mut answer), None);
    }
}
