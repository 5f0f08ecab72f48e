//! Observation of resources (RFC 7641), as server and as client.

pub(crate) mod client;
pub(crate) mod server;
