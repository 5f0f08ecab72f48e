//! Records (RFC 6347 §4.1, RFC 9146): bytes to headers, protection, replay windows.

mod header;
mod protection;
#[cfg(test)]
mod tests;
mod window;

pub(crate) use header::{ContentType, DTLS_1_2, MAX_SEQUENCE, RecordHeader};
pub(crate) use protection::{Discard, Opened, ReadState, SealError, WriteState};
pub(crate) use window::Window;
