//! What the tests for servers share.

use coracle_wire::{OptionNumber, Status};

use crate::message::Received;
use crate::verdict::{Judged, Stop};

/// The server has the resource and takes the method, or the case has nothing to judge.
pub(super) fn offered(response: Received, what: &str) -> Judged<Received> {
    match response.status() {
        Some(Status::NOT_FOUND | Status::METHOD_NOT_ALLOWED | Status::NOT_IMPLEMENTED) => {
            Err(Stop::Skip(format!("the server does not offer {what}")))
        }
        _ => Ok(response),
    }
}

/// `Content-Format present if the payload is not empty`.
pub(super) fn formatted(response: &Received) -> Judged {
    let holds = response.payload.is_empty() || response.options.contains(OptionNumber::CONTENT_FORMAT);
    response.expect(holds, "a Content-Format of its payload", "RFC 7252 §5.10.3")?;
    Ok(())
}
