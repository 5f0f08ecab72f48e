//! TD_COAP_BLOCK for clients.

use crate::case::Case;

/// The cases.
pub(super) const CASES: &[Case] = &[];
