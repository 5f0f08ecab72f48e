//! §5.1, §5.5, §5.8: methods.

use coracle_wire::{Code, MessageType, Method, Status};

use super::counters::own_counter;
use super::created::create;
use crate::case::{Case, server};
use crate::message::Message;
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC7252-5.8-unknown-method",
        "RFC 7252 §5.8",
        "A confirmable request with an unknown method is answered 4.05 in its acknowledgement",
        unknown_method,
    )
    .steps(&[
        "Send CON with the codes 0.08, 0.16 and 0.31 to a resource",
        "A piggybacked 4.05 comes",
    ]),
    server(
        "RFC7252-5.8-unknown-method-non",
        "RFC 7252 §5.8; draft-ietf-core-corr-clar, RFC7252-5.8",
        "A non-confirmable request with an unknown method is answered 4.05, which is no acknowledgement",
        unknown_method_non,
    )
    .steps(&[
        "Send NON with the codes 0.08 and 0.31 to a resource",
        "4.05 comes, as CON or NON",
    ]),
    server(
        "RFC7252-5.8-unsupported-method",
        "RFC 7252 §5.8",
        "A method that the resource does not have is answered 4.05 in the acknowledgement",
        unsupported_method,
    )
    .steps(&[
        "DELETE /.well-known/core and POST to it",
        "A piggybacked 4.05 comes",
    ]),
    server(
        "RFC7252-5.1-get-is-safe",
        "RFC 7252 §5.1, §5.8.1",
        "GET changes nothing",
        get_is_safe,
    )
    .anywhere()
    .needs(&["/counter/judge"])
    .steps(&[
        "Set a counter to 7",
        "GET it three times, once with a payload",
        "It is 7 each time",
    ]),
    server(
        "RFC7252-5.1-put-is-idempotent",
        "RFC 7252 §5.1, §5.8.3",
        "To PUT the same twice comes to the same as once",
        put_is_idempotent,
    )
    .anywhere()
    .needs(&["/counter/judge"])
    .steps(&[
        "Set a counter to 5 with two requests",
        "2.01 or 2.04 each time",
        "It is 5",
    ]),
    server(
        "RFC7252-5.1-delete-is-idempotent",
        "RFC 7252 §5.1, §5.8.4",
        "To DELETE twice comes to the same as once",
        delete_is_idempotent,
    )
    .anywhere()
    .locks(&["/create1"])
    .steps(&[
        "Make /create1",
        "DELETE it twice",
        "2.02, then 2.02 or 4.04; it is gone",
    ]),
    server(
        "RFC7252-5.5-payload-of-get",
        "RFC 7252 §5.5",
        "The payload of a GET and of a DELETE is ignored",
        payload_of_get,
    )
    .needs(&["/counter/judge"])
    .steps(&[
        "GET a resource without and with a payload, by CON and NON",
        "2.05 with the same payload",
        "DELETE a counter with a payload",
        "2.02, and the counter is gone",
    ]),
];

/// A request with a method of any number.
fn with_method(probe: &mut Probe, path: &str, detail: u8) -> Message {
    let mut request = probe.get(path);
    request.code = Code::new(0, detail);
    request
}

fn unknown_method(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    for detail in [8, 16, 31] {
        let request = with_method(probe, &target, detail);
        let answer = probe.ask(&request)?;
        answer
            .code(Status::METHOD_NOT_ALLOWED)?
            .is_piggybacked_on(&request)?;
    }
    Ok(())
}

fn unknown_method_non(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    for detail in [8, 31] {
        let request = with_method(probe, &target, detail).non();
        let answer = probe.ask(&request)?;
        let acknowledges = answer.message_type == MessageType::Acknowledgement;
        answer.code(Status::METHOD_NOT_ALLOWED)?.expect(
            !acknowledges,
            "no acknowledgement",
            "RFC 7252 §4.3",
        )?;
    }
    Ok(())
}

fn unsupported_method(probe: &mut Probe) -> Judged {
    let get = probe.get("/.well-known/core");
    if probe.ask(&get)?.status() != Some(Status::CONTENT) {
        return Err(Stop::Skip(
            "the server does not offer /.well-known/core".to_owned(),
        ));
    }
    for method in [Method::DELETE, Method::POST] {
        let request = probe.request(method, "/.well-known/core");
        let answer = probe.ask(&request)?;
        // Directories once took registrations there, and who asks may be asked who it is before anything else.
        let has_it = answer.status().is_some_and(Status::is_success);
        let refused = [Status::UNAUTHORIZED, Status::FORBIDDEN].map(Some);
        if has_it || refused.contains(&answer.status()) {
            let what = format!("the server has {method} of /.well-known/core, or does not let us see");
            return Err(Stop::Skip(what));
        }
        answer
            .code(Status::METHOD_NOT_ALLOWED)?
            .is_piggybacked_on(&request)?;
    }
    Ok(())
}

fn get_is_safe(probe: &mut Probe) -> Judged {
    let path = own_counter(probe);
    let put = probe.put(&path, "7");
    probe.ask(&put)?.code_in(&[Status::CHANGED, Status::CREATED])?;
    for payload in [&b""[..], b"8", b""] {
        let get = probe.get(&path).payload(payload);
        probe.ask(&get)?.code(Status::CONTENT)?.payload_is(b"7")?;
    }
    Ok(())
}

fn put_is_idempotent(probe: &mut Probe) -> Judged {
    let path = own_counter(probe);
    for _ in 0..2 {
        let put = probe.put(&path, "5");
        probe.ask(&put)?.code_in(&[Status::CHANGED, Status::CREATED])?;
    }
    let get = probe.get(&path);
    probe.ask(&get)?.code(Status::CONTENT)?.payload_is(b"5")?;
    Ok(())
}

fn delete_is_idempotent(probe: &mut Probe) -> Judged {
    create(probe)?;
    let delete = probe.delete("/create1");
    probe.ask(&delete)?.code(Status::DELETED)?;
    let delete = probe.delete("/create1");
    // 2.02 is what a server SHOULD answer (§5.8.4).
    probe
        .ask(&delete)?
        .code_in(&[Status::DELETED, Status::NOT_FOUND])?;
    let get = probe.get("/create1");
    probe.ask(&get)?.code(Status::NOT_FOUND)?;
    Ok(())
}

fn payload_of_get(probe: &mut Probe) -> Judged {
    let path = own_counter(probe);
    let post = probe.post(&path, "");
    let posted = probe.ask(&post)?;
    posted.expect(posted.status().is_some_and(Status::is_success), "2.xx", None)?;
    let get = probe.get(&path);
    let without = probe.ask(&get)?;
    for get in [probe.get(&path), probe.get(&path).non()] {
        let with = probe.ask(&get.payload(b"17"))?;
        with.code(Status::CONTENT)?.payload_is(&without.payload)?;
    }
    let delete = probe.delete(&path).payload(b"17");
    probe.ask(&delete)?.code(Status::DELETED)?;
    let get = probe.get(&path);
    let gone = probe.ask(&get)?;
    let zero = gone.status() == Some(Status::NOT_FOUND) || gone.payload == b"0";
    gone.expect(zero, "a counter that is gone", None)?;
    Ok(())
}
