//! What is asked of servers, and of whoever accepts connections.

mod csm;
mod exchanges;
mod frames;
mod signaling;

use crate::case::Case;

/// All.
pub(super) fn cases() -> Vec<Case> {
    [csm::CASES, frames::CASES, signaling::CASES, exchanges::CASES].concat()
}
