//! The CoAP endpoint as a machine: datagrams and time in, datagrams and events out.
//!
//! It has no socket, clock or randomness of its own. See [`Endpoint`] for the boundary and the order of calls.
#![no_std]

extern crate alloc;

mod path;
mod time;

pub use path::{Path, Peer, SecurityId};
pub use time::Instant;
