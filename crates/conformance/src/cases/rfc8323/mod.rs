//! RFC 8323: CoAP over TCP and WebSockets. TLS is not judged.

mod bert;
mod client;
mod server;

use crate::case::Case;

/// All, for both roles.
pub(super) fn cases() -> Vec<Case> {
    [server::cases(), client::cases()].concat()
}
