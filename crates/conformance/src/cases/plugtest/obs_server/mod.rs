//! TD_COAP_OBS for servers.

use crate::case::Case;

/// The cases.
pub(super) const CASES: &[Case] = &[];
