//! Response codes that a client need not know (§5.2, §5.9).

use coracle_wire::{Code, Status};

use super::steps::{RIGHT, takes, waiting};
use crate::case::{Case, client};
use crate::host::Host;
use crate::verdict::Judged;

/// The cases.
pub(super) const CASES: &[Case] = &[
    client(
        "RFC7252-5.9-error-responses",
        "RFC 7252 §5.9.2, §5.9.3, §5.2.2",
        "Every response code of an error is taken for a response",
        error_responses,
    )
    .within(120)
    .steps(&[
        "The client GETs, and gets a separate response; so for each of 4.00 to 4.06, 4.12, 4.13, 4.15, 5.00 to 5.05.",
        "It acknowledges each, and shows the diagnostic payload.",
    ]),
    client(
        "RFC7252-5.2-unknown-codes",
        "RFC 7252 §5.2",
        "A response code that is not known counts as the generic one of its class",
        unknown_codes,
    )
    .within(60)
    .steps(&[
        "The client GETs, and gets a separate response with 2.30, 4.30 and 5.30.",
        "It acknowledges each, and shows the payload.",
    ]),
];

/// The codes of RFC 7252 §12.1.2 for errors, as class and detail.
const ERRORS: [(u8, u8); 16] = [
    (4, 0),
    (4, 1),
    (4, 2),
    (4, 3),
    (4, 4),
    (4, 5),
    (4, 6),
    (4, 12),
    (4, 13),
    (4, 15),
    (5, 0),
    (5, 1),
    (5, 2),
    (5, 3),
    (5, 4),
    (5, 5),
];

/// A separate response with a code and a diagnostic payload, which has no Content-Format, is taken.
fn is_taken(host: &mut Host, (class, detail): (u8, u8)) -> Judged {
    let request = waiting(host)?;
    let mut response = host
        .separate_to(&request, Status::CONTENT)
        .payload(RIGHT.as_bytes());
    response.code = Code::new(class, detail);
    takes(host, &request, &response, RIGHT)
}

fn error_responses(host: &mut Host) -> Judged {
    ERRORS.into_iter().try_for_each(|code| is_taken(host, code))
}

fn unknown_codes(host: &mut Host) -> Judged {
    [(2, 30), (4, 30), (5, 30)]
        .into_iter()
        .try_for_each(|code| is_taken(host, code))
}
