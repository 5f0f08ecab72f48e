//! What is asked of clients.

mod caching;
mod codes;
mod endpoint;
mod malformed;
mod matching;
mod options;
mod payloads;
mod requests;
mod responses;
mod retransmission;
mod steps;
mod uris;

use crate::case::Case;

/// All for clients.
pub(super) fn cases() -> Vec<Case> {
    [
        requests::CASES,
        uris::CASES,
        malformed::CASES,
        endpoint::CASES,
        retransmission::CASES,
        responses::CASES,
        matching::CASES,
        codes::CASES,
        options::CASES,
        payloads::CASES,
        caching::CASES,
    ]
    .concat()
}
