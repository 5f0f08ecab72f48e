//! TD_COAP_OBS for clients.

use crate::case::Case;

/// The cases.
pub(super) const CASES: &[Case] = &[];
