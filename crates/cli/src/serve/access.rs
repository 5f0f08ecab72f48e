//! Who may change what is served.

use coracle::prelude::{BodyStream, Status};

/// Whether peers may change what is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// They may.
    Write,
    /// They may read it only.
    ReadOnly,
}

/// Answers what would change something and must not. It takes the body as a stream and drops it, so that the first
/// block is answered and the others are not sent.
pub(super) async fn refuse(_: BodyStream) -> (Status, &'static str) {
    (Status::FORBIDDEN, "read-only: start with --write")
}
