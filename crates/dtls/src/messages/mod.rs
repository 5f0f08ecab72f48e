//! The messages of a handshake, and alerts, as bytes: views that borrow what was received, and writers. Reading is total:
//! whatever the bytes are, there is a value or a [`Malformed`] that names the field.

pub(crate) mod alert;
pub(crate) mod certificate;
pub(crate) mod certificate_verify;
pub(crate) mod client_hello;
pub(crate) mod codec;
pub(crate) mod extensions;
pub(crate) mod finished;
pub(crate) mod header;
pub(crate) mod hello_verify;
pub(crate) mod key_exchange;
pub(crate) mod new_session_ticket;
pub(crate) mod server_hello;

pub(crate) use crate::record::DTLS_1_2;

/// DTLS 1.0, which a HelloVerifyRequest names whatever will be negotiated (RFC 6347 §4.2.1).
pub(crate) const DTLS_1_0: u16 = 0xFEFF;

/// The bytes of a message do not have its form; says which field. On the wire that is a `decode_error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);
