//! TD_COAP_LINK for servers.

use crate::case::Case;

/// The cases.
pub(super) const CASES: &[Case] = &[];
