//! How messages and payloads look to people.

pub(crate) mod message;
pub(crate) mod payload;
