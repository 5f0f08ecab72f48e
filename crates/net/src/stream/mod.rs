//! Reliable transports (RFC 8323): connections that are made and taken.
//!
//! A [`Listener`] takes connections, [`connect`] makes one; both give a [`Link`], which moves the bytes of CoAP frames
//! in the way of its [`Framing`]. A link has no task and no queue: who owns it polls it.

mod connect;
mod limits;
mod link;
mod listener;
mod transport;

pub use connect::{ConnectOptions, connect};
pub use link::Link;
pub use listener::{ListenOptions, Listener, ListenerStatistics};

/// How messages lie on a reliable transport (RFC 8323 §3.2, §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Each frame begins with its length.
    Tcp,
    /// Each frame is a message of the WebSocket.
    WebSocket,
}
