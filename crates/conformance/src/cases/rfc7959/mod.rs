//! RFC 7959: block-wise transfer.

use crate::case::Case;

/// All, for both roles.
pub(super) fn cases() -> Vec<Case> {
    Vec::new()
}
