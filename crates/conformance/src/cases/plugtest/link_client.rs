//! TD_COAP_LINK for clients.

use crate::case::Case;

/// The cases.
pub(super) const CASES: &[Case] = &[];
