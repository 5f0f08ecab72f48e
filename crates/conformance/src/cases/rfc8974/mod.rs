//! RFC 8974: extended tokens.

use crate::case::Case;

/// All, for both roles.
pub(super) fn cases() -> Vec<Case> {
    Vec::new()
}
