//! How messages and payloads look to people.

mod cbor;
pub(crate) mod message;
pub(crate) mod payload;
