//! RFC 8132: FETCH, PATCH and iPATCH.

use crate::case::Case;

/// All, for both roles.
pub(super) fn cases() -> Vec<Case> {
    Vec::new()
}
