//! What is asked of clients, and of whoever opens connections.

mod blocks;
mod exchanges;
mod observe;
mod signaling;
mod websocket;

use crate::case::Case;
use crate::host::Host;
use crate::message::Received;
use crate::template::Stimulus;
use crate::verdict::Judged;

/// All.
pub(super) fn cases() -> Vec<Case> {
    [
        signaling::CASES,
        exchanges::CASES,
        observe::CASES,
        blocks::CASES,
        websocket::CASES,
    ]
    .concat()
}

/// Has the client ask for a resource.
fn asked(host: &mut Host) -> Judged<Received> {
    host.start(&Stimulus::get("/test"))?;
    host.request()
}

/// What right answers say.
const RIGHT: &str = "taken as it should be";

/// What answers say that are not to be taken.
const WRONG: &str = "never to be shown";

/// The client takes the answer to a request and shows it.
fn takes(host: &mut Host, request: &Received) -> Judged {
    host.answer_text(request, RIGHT);
    host.expect_shown(RIGHT)
}
