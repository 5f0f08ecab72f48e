//! Options in responses (§3.2, §5.4). Whether a separate response is taken or rejected is seen by its acknowledgement
//! or Reset.

use coracle_wire::{OptionNumber, Status};

use super::steps::{RIGHT, WRONG, asked, concludes_if_it_waits, drops, ignores, resets, takes, waiting};
use crate::case::{Case, client};
use crate::host::Host;
use crate::message::Message;
use crate::verdict::Judged;

/// The cases.
pub(super) const CASES: &[Case] = &[
    client(
        "RFC7252-5.4.1-unknown-elective",
        "RFC 7252 §5.4.1",
        "Elective options that are not known are ignored",
        unknown_elective,
    )
    .steps(&[
        "The client GETs, and gets a separate response with options 26, 2050 and 65000.",
        "It acknowledges and shows it.",
    ]),
    client(
        "RFC7252-5.4.1-unknown-critical",
        "RFC 7252 §5.4.1, §4.2",
        "A response with a critical option that is not known is rejected",
        unknown_critical,
    )
    .within(60)
    .steps(&[
        "The client GETs, and gets a response with option 65001 in the acknowledgement, which it does not show.",
        "It GETs again, and gets one by CON while it waits: a Reset comes, and it is not shown.",
    ]),
    client(
        "RFC7252-5.4.1-unknown-critical-non",
        "RFC 7252 §5.4.1, §4.3",
        "A non-confirmable response with a critical option that is not known is rejected",
        unknown_critical_non,
    )
    .steps(&[
        "The client GETs, and gets a non-confirmable response with option 65001 while it waits.",
        "A Reset comes, or nothing, and it is not shown.",
    ]),
    client(
        "RFC7252-5.4-critical-of-requests",
        "RFC 7252 §5.4, §5.4.1, §4.2",
        "A response with a critical option that is defined for requests alone is rejected",
        critical_of_requests,
    )
    .within(60)
    .steps(&[
        "The client GETs, and gets confirmable responses with Uri-Path, If-None-Match and Accept.",
        "A Reset comes for each, and none is shown.",
    ]),
    client(
        "RFC7252-5.4-elective-of-others",
        "RFC 7252 §5.4, §5.4.1",
        "Elective options that are not defined for the response code are ignored",
        elective_of_others,
    )
    .steps(&[
        "The client GETs, and gets a separate 2.05 with Location-Path and Location-Query.",
        "It acknowledges and shows it.",
    ]),
    client(
        "RFC7252-5.4.5-elective-twice",
        "RFC 7252 §5.4.5, §5.4.1",
        "Further occurrences of an elective option that is not repeatable are ignored",
        elective_twice,
    )
    .steps(&[
        "The client GETs, and gets a separate text with a second Content-Format, ETag and Max-Age.",
        "It acknowledges and shows it.",
    ]),
    client(
        "RFC7252-3.2-leading-zeros",
        "RFC 7252 §3.2",
        "Integers that begin with zeros are read",
        leading_zeros,
    )
    .steps(&[
        "The client GETs, and gets a separate text with Content-Format 0 in two bytes and Max-Age 60 in four.",
        "It acknowledges and shows it.",
    ]),
    client(
        "RFC7252-5.4.4-absent-options",
        "RFC 7252 §5.4.4, §5.5.1, §5.10.5",
        "A response without any option is taken",
        absent_options,
    )
    .steps(&["The client GETs, and gets a separate response that has but a payload.", "It acknowledges and shows it."]),
];

/// Critical, and for experiments (RFC 7252 §12.2).
const CRITICAL: OptionNumber = OptionNumber(65_001);

/// A separate response with some options is taken.
fn with(host: &mut Host, options: impl Fn(Message) -> Message) -> Judged {
    let request = waiting(host)?;
    let response = host.separate_to(&request, Status::CONTENT);
    let response = options(response).payload(RIGHT.as_bytes());
    takes(host, &request, &response, RIGHT)
}

fn unknown_elective(host: &mut Host) -> Judged {
    with(host, |response| {
        let response = response.option(OptionNumber(26), b"a");
        let response = response.option(OptionNumber(2050), b"");
        response
            .option(OptionNumber(65_000), b"longer than twelve bytes")
            .text("")
    })
}

fn unknown_critical(host: &mut Host) -> Judged {
    let request = asked(host)?;
    let response = host.response_to(&request, Status::CONTENT);
    let response = response.option(CRITICAL, b"").text(WRONG);
    ignores(host, &request, &response.to_bytes(), "RFC 7252 §4.2")?;
    concludes_if_it_waits(host, &request, "RFC 7252 §5.4.1")?;
    rejected(host, "RFC 7252 §5.4.1", |response| {
        response.option(CRITICAL, b"")
    })
}

/// A separate response with an option is rejected with a Reset.
fn rejected(host: &mut Host, section: &'static str, option: impl Fn(Message) -> Message) -> Judged {
    let request = waiting(host)?;
    let response = host.separate_to(&request, Status::CONTENT);
    let response = option(response).text(WRONG);
    resets(host, &request, &response.to_bytes())?;
    concludes_if_it_waits(host, &request, section)
}

fn unknown_critical_non(host: &mut Host) -> Judged {
    let request = waiting(host)?;
    let response = host.separate_to(&request, Status::CONTENT).non();
    let response = response.option(CRITICAL, b"").text(WRONG);
    drops(host, &request, &response.to_bytes())?;
    concludes_if_it_waits(host, &request, "RFC 7252 §5.4.1")
}

fn critical_of_requests(host: &mut Host) -> Judged {
    let options: [(OptionNumber, &[u8]); 3] = [
        (OptionNumber::URI_PATH, b"test"),
        (OptionNumber::IF_NONE_MATCH, b""),
        (OptionNumber::ACCEPT, b""),
    ];
    for (number, value) in options {
        rejected(host, "RFC 7252 §5.4", |response| response.option(number, value))?;
    }
    Ok(())
}

fn elective_of_others(host: &mut Host) -> Judged {
    with(host, |response| {
        let response = response.option(OptionNumber::LOCATION_PATH, b"elsewhere");
        response.option(OptionNumber::LOCATION_QUERY, b"a=b").text("")
    })
}

fn elective_twice(host: &mut Host) -> Judged {
    with(host, |response| {
        let response = response.etag(b"\x01").etag(b"\x02").text("");
        // A second format, octets, and a second Max-Age.
        let response = response.uint(OptionNumber::CONTENT_FORMAT, 42);
        response
            .uint(OptionNumber::MAX_AGE, 60)
            .uint(OptionNumber::MAX_AGE, 1)
    })
}

fn leading_zeros(host: &mut Host) -> Judged {
    with(host, |response| {
        let response = response.option(OptionNumber::CONTENT_FORMAT, &[0, 0]);
        response.option(OptionNumber::MAX_AGE, &[0, 0, 0, 60])
    })
}

fn absent_options(host: &mut Host) -> Judged {
    with(host, |response| response)
}
