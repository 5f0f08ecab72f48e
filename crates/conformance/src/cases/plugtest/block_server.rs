//! TD_COAP_BLOCK for servers.

use crate::case::Case;

/// The cases.
pub(super) const CASES: &[Case] = &[];
