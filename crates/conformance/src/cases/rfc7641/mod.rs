//! RFC 7641: Observe.

mod client;
mod server;

use crate::case::Case;

/// All, for both roles.
pub(super) fn cases() -> Vec<Case> {
    [server::CASES, client::CASES].concat()
}
