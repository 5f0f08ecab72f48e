//! Linux: many datagrams in a system call, each with its addresses, and ICMP errors by destination.
#![allow(
    clippy::cast_possible_truncation,
    clippy::unnecessary_cast,
    reason = "small sizes go into fields of C, whose width differs between C libraries"
)]

mod address;
mod batch;
mod cmsg;
mod errqueue;
mod socket;
mod steering;

pub(crate) use batch::{RecvScratch, SendScratch};
pub(crate) use socket::{Socket, prepare, share_port};
pub(crate) use steering::steer;

/// Writes one field of a structure of C at its place, which lies within the structure.
fn put<const N: usize>(structure: &mut [u8], place: usize, field: [u8; N]) {
    if let Some(bytes) = structure.get_mut(place..).and_then(<[u8]>::first_chunk_mut) {
        *bytes = field;
    }
}
