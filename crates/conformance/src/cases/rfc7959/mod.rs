//! RFC 7959: block-wise transfer.

mod block1;
mod block2;
mod bodies;
mod changes;
mod downloads;
mod notified;
mod requests;
mod sequences;
mod uploads;

use crate::case::Case;

/// All, for both roles.
pub(super) fn cases() -> Vec<Case> {
    [
        block2::CASES,
        changes::CASES,
        block1::CASES,
        sequences::CASES,
        downloads::CASES,
        notified::CASES,
        uploads::CASES,
    ]
    .concat()
}
