//! RFC 6690: the link format.

use crate::case::Case;

/// All, for both roles.
pub(super) fn cases() -> Vec<Case> {
    Vec::new()
}
