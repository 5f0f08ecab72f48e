//! Observation of resources (RFC 7641), as server and as client.

pub(crate) mod budget;
pub(crate) mod client;
pub(crate) mod groups;
pub(crate) mod members;
mod refreshing;
mod sending;
pub(crate) mod server;
