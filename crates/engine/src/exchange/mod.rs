//! Requests and the responses that answer them (RFC 7252 §5).

pub(crate) mod admission;
pub(crate) mod ahead;
pub(crate) mod ask;
pub(crate) mod asking;
pub(crate) mod client;
mod echoes;
mod ending;
mod operations;
pub(crate) mod payload;
mod pings;
pub(crate) mod reply;
mod restraint;
pub(crate) mod server;
mod streams;
mod ways;
