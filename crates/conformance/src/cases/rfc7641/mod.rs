//! RFC 7641: Observe.

use crate::case::Case;

/// All, for both roles.
pub(super) fn cases() -> Vec<Case> {
    Vec::new()
}
