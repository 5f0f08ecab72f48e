//! FETCH (RFC 8132 §2).

use coracle_wire::{ContentFormat, Method, OptionNumber, Status};

use super::patch::is_ours;
use crate::case::{Case, client, server};
use crate::host::Host;
use crate::message::{Message, Received};
use crate::probe::Probe;
use crate::template::Stimulus;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC8132-2-fetch-is-safe",
        "RFC 8132 §2",
        "FETCH gives a part of a resource and leaves the resource as it was",
        fetch_is_safe,
    )
    .anywhere()
    .needs(&["/config"])
    .locks(&["/config"])
    .steps(&[
        "GET /config.",
        "FETCH of one member gives 2.05 with a Content-Format, twice the same.",
        "GET /config gives what it gave before.",
    ]),
    server(
        "RFC8132-2.3.1-fetch-of-unknown-format",
        "RFC 8132 §2.2, §2.3.1",
        "FETCH with a Content-Format that the resource does not take is refused",
        fetch_of_unknown_format,
    )
    .anywhere()
    .needs(&["/config"])
    .steps(&[
        "FETCH /config with octets.",
        "4.15 or another 4.xx arrives, no 2.05.",
    ]),
    server(
        "RFC8132-2-fetch-where-there-is-none",
        "RFC 8132 §2; RFC 7252 §5.8",
        "A resource without FETCH says so",
        fetch_where_there_is_none,
    )
    .anywhere()
    .steps(&[
        "FETCH a resource that is for GET.",
        "4.05 arrives, or another 4.xx if the body is what it dislikes.",
    ]),
    server(
        "RFC8132-2.5-fetch-in-blocks",
        "RFC 8132 §2.5; RFC 7959 §2.3",
        "The body of a FETCH may come in blocks",
        fetch_in_blocks,
    )
    .anywhere()
    .needs(&["/config"])
    .locks(&["/config"])
    .steps(&[
        "FETCH /config comes in blocks of 16 bytes; each but the last gets 2.31.",
        "The last gets 2.05 with the members that the whole body names.",
    ]),
    client(
        "RFC8132-2.3.1-fetch-has-content-format",
        "RFC 8132 §2.3.1, §6",
        "A FETCH has the code 0.05 and says what its body is",
        fetch_has_content_format,
    )
    .anywhere()
    .steps(&[
        "The client is told to FETCH with a body.",
        "0.05 arrives with the body and a Content-Format.",
    ]),
];

/// A FETCH of members of /config.
fn fetch(probe: &mut Probe, names: &str) -> Message {
    let request = probe.request(Method::FETCH, "/config");
    request.content(ContentFormat::JSON, names.as_bytes())
}

/// Whoever has /config for something else is not judged by it.
fn of_config(response: Received) -> Judged<Received> {
    if response.status() == Some(Status::METHOD_NOT_ALLOWED) {
        return Err(Stop::Skip("the server has no FETCH on /config".to_owned()));
    }
    Ok(response)
}

fn fetch_is_safe(probe: &mut Probe) -> Judged {
    let get = probe.get("/config");
    let before = probe.ask(&get)?;
    before.code(Status::CONTENT)?;
    is_ours(&before)?;
    let first = fetch(probe, r#"["name"]"#);
    let first = of_config(probe.ask(&first)?)?;
    first
        .code(Status::CONTENT)?
        .has(OptionNumber::CONTENT_FORMAT)?
        .has_payload()?;
    first.expect(first.payload != before.payload, "a part of the resource", None)?;
    let second = fetch(probe, r#"["name"]"#);
    probe
        .ask(&second)?
        .code(Status::CONTENT)?
        .payload_is(&first.payload)?;
    let get = probe.get("/config");
    probe
        .ask(&get)?
        .code(Status::CONTENT)?
        .payload_is(&before.payload)?;
    Ok(())
}

fn fetch_of_unknown_format(probe: &mut Probe) -> Judged {
    let request = probe
        .request(Method::FETCH, "/config")
        .content(ContentFormat::OCTET_STREAM, &[1, 2, 3]);
    let response = of_config(probe.ask(&request)?)?;
    let refused = response.status().is_some_and(Status::is_client_error);
    response.expect(refused, "4.15, or another 4.xx", None)?;
    Ok(())
}

fn fetch_where_there_is_none(probe: &mut Probe) -> Judged {
    let request = probe.request(Method::FETCH, "/seg1/seg2/seg3").text("?");
    let response = probe.ask(&request)?;
    let refused = response.status().is_some_and(Status::is_client_error);
    response.expect(refused, "4.05, or another 4.xx", None)?;
    Ok(())
}

fn fetch_in_blocks(probe: &mut Probe) -> Judged {
    let names = r#"["name","interval","no-such-member"]"#;
    let get = probe.get("/config");
    is_ours(&probe.ask(&get)?)?;
    let whole = fetch(probe, names);
    let whole = of_config(probe.ask(&whole)?)?;
    whole.code(Status::CONTENT)?;
    let blocks: Vec<&[u8]> = names.as_bytes().chunks(16).collect();
    for (num, block) in (0..).zip(&blocks) {
        let more = usize::try_from(num).is_ok_and(|num| num + 1 < blocks.len());
        let request = probe.request(Method::FETCH, "/config").block1(num, more, 0);
        let response = probe.ask(&request.content(ContentFormat::JSON, block))?;
        if more {
            response.code(Status::CONTINUE)?;
        } else {
            response.code(Status::CONTENT)?.payload_is(&whole.payload)?;
        }
    }
    Ok(())
}

fn fetch_has_content_format(host: &mut Host) -> Judged {
    host.start(
        &Stimulus::new("fetch", "/config")
            .with("payload", "[\"name\"]")
            .with("format", 50),
    )?;
    let request = host.request()?;
    request.is_request(Method::FETCH)?.payload_is(b"[\"name\"]")?;
    request.format(ContentFormat::JSON)?;
    let response = host.response_to(&request, Status::CONTENT);
    host.answer(
        &request,
        &response.content(ContentFormat::JSON, b"{\"name\":\"fetched\"}"),
    );
    host.finish()?;
    host.expect_shown("fetched")
}
