//! Judges CoAP implementations from outside, by what they put on the wire.
//!
//! The cases are those of the CoAP plugtests (`TD_COAP_*`) and our own, in a folder for each RFC. A server is judged
//! by a [`Probe`](probe::Probe), which plays the client; a client by a [`Host`](host::Host), which plays the server
//! and starts a command for each case. Both speak with plain sockets and the codec of `coracle-wire`, never through
//! the engine, so that the judge does not share the faults of one of its subjects. In the cases of DTLS they are a
//! [`Caller`](sessions::Caller) and a [`Callee`](sessions::Callee), whose handshakes are those of `coracle-dtls`.
//!
//! A [`Case`] is data and a short function. [`run()`] takes a selection of cases and a [`Subject`](run::Subject), and
//! gives a [`Report`](report::Report), which [`report`] writes as JSON, JUnit XML, HTML and pcapng.
//!
//! [`site`] is the plugtest site as a Router, to be judged by others; [`fuzz`] attacks a server with generated
//! messages.

pub mod case;
mod cases;
pub mod catalogue;
mod command;
pub mod connected;
mod connections;
mod datagrams;
pub mod fuzz;
mod gateway;
pub mod host;
pub mod keys;
pub mod message;
mod plugtests;
pub mod probe;
mod reach;
pub mod report;
pub mod run;
pub mod sessions;
pub mod site;
pub mod talk;
pub mod template;
pub mod timestamp;
pub mod transcript;
pub mod transport;
pub mod verdict;
pub mod websocket;

pub use case::{Case, Role};
pub use run::run;
