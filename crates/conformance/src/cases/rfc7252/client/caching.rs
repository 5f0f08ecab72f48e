//! What a client may keep (§5.6, §5.9.1, §5.10.7). Commands that ask anew each time keep nothing; those that have a
//! cache beyond their end are judged by whether they ask when they must.

use std::time::Duration;

use coracle_wire::{OptionNumber, Status};

use crate::case::{Case, client};
use crate::host::Host;
use crate::message::{Message, Received};
use crate::template::Stimulus;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    caching(
        "RFC7252-5.6-unknown-success",
        "RFC 7252 §5.6",
        "A response with a code of success that is not known is not kept",
        unknown_success,
    )
    .steps(&[
        "The client GETs, and gets 2.30 with Max-Age 3600.",
        "It is told to GET again, and asks the server.",
    ]),
    caching(
        "RFC7252-5.6-another-request",
        "RFC 7252 §5.6",
        "A response that is kept is not used for a request with another method or other options",
        another_request,
    )
    .steps(&[
        "The client GETs, and gets a text with Max-Age 3600.",
        "It is told to GET with a query, with another path and, if it can, with Accept, and asks the server each time.",
    ]),
    caching(
        "RFC7252-5.6-no-longer-fresh",
        "RFC 7252 §5.6, §5.6.1",
        "A response is not used when it is older than its Max-Age",
        no_longer_fresh,
    )
    .steps(&[
        "The client GETs, and gets a text with Max-Age 1.",
        "It is told to GET again after 3 s, and asks the server.",
    ]),
    caching(
        "RFC7252-5.9.1-changed-resources",
        "RFC 7252 §5.9.1.1, §5.9.1.2, §5.9.1.4",
        "What is kept of a resource is not fresh any more when it was created, changed or deleted",
        changed_resources,
    )
    .steps(&[
        "The client GETs, and gets a text with Max-Age 3600; so before each of the next.",
        "It is told to PUT, which is answered 2.01 and 2.04, and to DELETE, which is answered 2.02.",
        "It is told to GET again, and asks the server.",
    ]),
    caching(
        "RFC7252-5.10.7-created-location",
        "RFC 7252 §5.10.7, §5.9.1.1",
        "What is kept of a location is not fresh any more when something was created there",
        created_location,
    )
    .steps(&[
        "The client GETs /made, and gets a text with Max-Age 3600.",
        "It is told to POST elsewhere, which is answered 2.01 with Location-Path made.",
        "It is told to GET /made again, and asks the server.",
    ]),
];

/// A case in which the client is told several times.
const fn caching(
    id: &'static str,
    references: &'static str,
    objective: &'static str,
    judge: fn(&mut Host) -> Judged,
) -> Case {
    client(id, references, objective, judge).within(60)
}

/// What a client may keep.
const KEPT: &str = "what was before";

/// What the server says when it is asked anew.
const NEW: &str = "what is now";

/// For an hour, unless something happens.
const HOUR: u64 = 3600;

fn answer(host: &mut Host, request: &Received, response: &Message) -> Judged {
    host.answer(request, response);
    host.finish()?;
    Ok(())
}

/// A GET, whose response may be kept for some seconds.
fn keep(host: &mut Host, path: &str, max_age: u64) -> Judged {
    let request = host.provoke(&Stimulus::get(path))?;
    let response = host.response_to(&request, Status::CONTENT);
    let response = response.text(KEPT).uint(OptionNumber::MAX_AGE, max_age);
    answer(host, &request, &response)
}

/// A client that is told this asks the server, and does not show what it may have kept.
fn asks(host: &mut Host, stimulus: &Stimulus, section: &'static str) -> Judged {
    match host.provoke(stimulus) {
        Ok(request) => {
            let response = host.response_to(&request, Status::CONTENT);
            let response = response.text(NEW).uint(OptionNumber::MAX_AGE, 0);
            answer(host, &request, &response)?;
            host.expect_not_shown(KEPT, section)
        }
        Err(stop) => {
            host.end();
            host.expect_not_shown(KEPT, section)?;
            Err(stop)
        }
    }
}

fn unknown_success(host: &mut Host) -> Judged {
    let get = Stimulus::get("/unknown");
    let request = host.provoke(&get)?;
    let mut response = host.response_to(&request, Status::CONTENT);
    response.code = coracle_wire::Code::new(2, 30);
    let response = response.text(KEPT).uint(OptionNumber::MAX_AGE, HOUR);
    answer(host, &request, &response)?;
    asks(host, &get, "RFC 7252 §5.6")
}

fn another_request(host: &mut Host) -> Judged {
    keep(host, "/kept?a", HOUR)?;
    let others = [
        Stimulus::get("/kept"),
        Stimulus::get("/kept?b"),
        Stimulus::get("/kept/a"),
        Stimulus::new("post", "/kept?a").text("an addition"),
        Stimulus::get("/kept?a").with("accept", 0),
    ];
    for other in others {
        match asks(host, &other, "RFC 7252 §5.6") {
            Err(Stop::Skip(_)) => {}
            judged => judged?,
        }
    }
    Ok(())
}

fn no_longer_fresh(host: &mut Host) -> Judged {
    keep(host, "/short", 1)?;
    host.pause(Duration::from_secs(3))?;
    asks(host, &Stimulus::get("/short"), "RFC 7252 §5.6")
}

fn changed_resources(host: &mut Host) -> Judged {
    let put = Stimulus::new("put", "/kept").text("a new value");
    let changes = [
        (put.clone(), Status::CREATED, "RFC 7252 §5.9.1.1"),
        (put, Status::CHANGED, "RFC 7252 §5.9.1.4"),
        (
            Stimulus::new("delete", "/kept"),
            Status::DELETED,
            "RFC 7252 §5.9.1.2",
        ),
    ];
    for (change, code, section) in changes {
        keep(host, "/kept", HOUR)?;
        let request = host.provoke(&change)?;
        let response = host.response_to(&request, code);
        answer(host, &request, &response)?;
        asks(host, &Stimulus::get("/kept"), section)?;
    }
    Ok(())
}

fn created_location(host: &mut Host) -> Judged {
    keep(host, "/made", HOUR)?;
    let request = host.provoke(&Stimulus::new("post", "/maker").text("an addition"))?;
    let response = host.response_to(&request, Status::CREATED);
    let response = response.option(OptionNumber::LOCATION_PATH, b"made");
    answer(host, &request, &response)?;
    asks(host, &Stimulus::get("/made"), "RFC 7252 §5.10.7")
}
