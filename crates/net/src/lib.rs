//! Sockets for CoAP: datagrams in batches, each with the way it came, and connections ([`stream`]).
//!
//! [`UdpSocket`] fills a [`RecvBatch`], empties a [`SendBatch`] and names the destinations that failed. It knows no
//! CoAP. What it adds to a plain socket:
//!
//! - the address and the interface that each datagram came to, and answers that leave from that address;
//! - groups ([`UdpSocket::join`], [`interfaces`]), and whether a datagram came to one;
//! - one socket for both families, in which an IPv4 peer is always an IPv4 address;
//! - several sockets of one address, each with peers of its own ([`UdpSocket::into_shards`], [`shard_of`]);
//! - ICMP errors by destination, without one dead peer holding up the others.
//!
//! Linux moves up to [`BATCH_SIZE`] datagrams in a system call. Elsewhere a plain socket with the same interface
//! does, one datagram at a time and without the address that was asked. All `unsafe` of the project is here.

mod batch;
mod errors;
#[cfg(not(target_os = "linux"))]
mod fallback;
mod interface;
mod limits;
#[cfg(target_os = "linux")]
mod linux;
mod shards;
pub mod stream;
mod udp;

#[cfg(not(target_os = "linux"))]
use fallback as system;
#[cfg(target_os = "linux")]
use linux as system;

pub use batch::{Datagram, RecvBatch, SendBatch};
pub use interface::{Interface, NetworkInterface, interfaces};
pub use limits::{BATCH_SIZE, MAX_SHARDS, SLOT_SIZE};
pub use shards::shard_of;
pub use udp::{BindOptions, UdpSocket};
