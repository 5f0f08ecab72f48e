//! The CoAP endpoint as a machine: datagrams and time in, datagrams and events out.
//!
//! It has no socket, clock or randomness of its own. See [`Endpoint`] for the boundary and the order of calls.
#![no_std]

extern crate alloc;

mod amplification;
mod block;
mod config;
mod connection;
mod context;
mod endpoint;
mod exchange;
mod index;
pub mod limits;
mod message;
mod observe;
mod path;
mod slab;
mod stats;
mod tables;
mod time;
mod timers;
mod values;

pub use config::{Body, BodyPolicy, Config, TransmissionParameters};
pub use connection::{ConnectionParameters, MissingCsm};
pub use endpoint::Endpoint;
pub use exchange::payload::{SharedBody, StreamedBody};
pub use path::{ConnectionId, Path, Peer, SecurityId};
pub use stats::{DropReason, Stats};
pub use time::Instant;
pub use timers::{Deadline, Reason};
pub use values::{
    BodyPart, CloseReason, Event, ExchangeError, ExchangeId, OwnedRequest, Received, Request, RequestError,
    RequestRef, RespondError, Response, ResponseRef, Topic, Transmit, Window,
};
