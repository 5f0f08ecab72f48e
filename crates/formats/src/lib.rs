//! What CoAP payloads hold.
//!
//! - [`link_format`]: `application/link-format` (RFC 6690), the format of `/.well-known/core`.
//!
//! `no_std` with `alloc`. Reading borrows from the payload and is total: there is no input that makes it
//! panic.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod link_format;
