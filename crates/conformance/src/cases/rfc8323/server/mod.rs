//! What is asked of servers, and of whoever accepts connections.

mod bert;
mod csm;
mod exchanges;
mod frames;
mod observe;
mod signaling;
mod websocket;

use crate::case::Case;

/// All.
pub(super) fn cases() -> Vec<Case> {
    [
        csm::CASES,
        frames::CASES,
        signaling::CASES,
        exchanges::CASES,
        observe::CASES,
        bert::CASES,
        websocket::CASES,
    ]
    .concat()
}
