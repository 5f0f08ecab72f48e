//! A message on its way out.

use alloc::boxed::Box;

use coracle_wire::Message;

use crate::amplification::Allowance;
use crate::config::TransmissionParameters;
use crate::limits;
use crate::message::{Attempt, Owner};
use crate::path::Path;

/// A message to send under a message ID of ours.
#[derive(Clone, Copy)]
pub(crate) struct Sending {
    pub(crate) path: Path,
    pub(crate) confirmable: bool,
    pub(crate) owner: Owner,
    pub(crate) parameters: TransmissionParameters,
    /// Takes up the retransmission of a message it supersedes (RFC 7641 §4.5.2).
    pub(crate) resume: Option<Attempt>,
    /// What pays for its transmissions.
    pub(crate) allowance: Allowance,
}

/// The bytes of a message, unless they are more than a datagram holds.
pub(super) fn encode(message: &Message<'_>) -> Option<Box<[u8]>> {
    let len = message.encoded_len();
    let mut datagram = alloc::vec![0; len];
    let fits = len <= limits::MAX_DATAGRAM && message.encode(&mut datagram).is_ok();
    fits.then(|| datagram.into_boxed_slice())
}
