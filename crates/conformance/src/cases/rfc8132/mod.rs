//! RFC 8132: FETCH, PATCH and iPATCH.

mod fetch;
mod patch;

use crate::case::Case;

/// All, for both roles.
pub(super) fn cases() -> Vec<Case> {
    [fetch::CASES, patch::CASES].concat()
}
