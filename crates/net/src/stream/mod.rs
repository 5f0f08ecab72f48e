//! Reliable transports (RFC 8323): connections that are made and taken.
//!
//! A [`Listener`] takes connections, [`connect`] makes one; both give a [`Link`], which moves the bytes of CoAP frames
//! in the way of its [`Framing`](coracle_wire::Framing). A link has no task and no queue: who owns it polls it.

mod connect;
mod handshakes;
mod limits;
mod link;
mod listener;
mod tls;
mod transport;
mod websocket;

pub use connect::{ConnectOptions, connect};
pub use link::Link;
pub use listener::{ListenOptions, Listener, ListenerStatistics};
pub use rustls::pki_types::CertificateDer;
pub use tls::{Authorities, ClientCertificates, ClientTls, Identity, ServerTls, TlsError};
