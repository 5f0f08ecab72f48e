//! RFC 7252: CoAP.
//!
//! What is malformed, and what rejecting it means, stands in `format.rs` and `messages.rs`; the other files go by the
//! chapters of the RFC. What is asked of clients stands in `client/`.

mod client;
mod conditional;
mod congestion;
mod content;
mod counters;
mod created;
mod discovery;
mod duplicates;
mod format;
mod messages;
mod methods;
mod options;
mod proxy;
mod rejected;
mod reliability;
mod responses;
mod uri;

pub(super) use counters::{count_of, own_counter};

use crate::case::Case;

/// All, for both roles.
pub(super) fn cases() -> Vec<Case> {
    [
        client::cases().as_slice(),
        format::CASES,
        messages::CASES,
        duplicates::CASES,
        reliability::CASES,
        congestion::CASES,
        responses::CASES,
        options::CASES,
        methods::CASES,
        conditional::CASES,
        content::CASES,
        uri::CASES,
        proxy::CASES,
        discovery::CASES,
    ]
    .concat()
}
