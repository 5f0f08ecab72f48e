//! The cases: those of the plugtests, and ours in a folder for each RFC.

mod discovery;
mod links;
mod plugtest;
mod rfc6690;
mod rfc7252;
mod rfc7641;
mod rfc7959;
mod rfc7967;
mod rfc8132;
mod rfc8323;
mod rfc8974;
mod rfc9175;
mod watch;

use crate::case::Case;

/// The cases of the plugtests that are judged.
pub(crate) fn plugtests() -> Vec<Case> {
    plugtest::cases()
}

/// Our own cases.
pub(crate) fn ours() -> Vec<Case> {
    [
        rfc7252::cases(),
        rfc7641::cases(),
        rfc7959::cases(),
        rfc6690::cases(),
        rfc8132::cases(),
        rfc7967::cases(),
        rfc8323::cases(),
        rfc8974::cases(),
        rfc9175::cases(),
    ]
    .concat()
}
