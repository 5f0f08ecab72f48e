//! PATCH and iPATCH (RFC 8132 §3).

use coracle_wire::{ContentFormat, Method, Status};

use crate::case::{Case, client, server};
use crate::host::Host;
use crate::message::{Message, Received};
use crate::probe::{PATIENCE, Probe};
use crate::template::Stimulus;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC8132-3-patch-changes-the-resource",
        "RFC 8132 §3",
        "PATCH and iPATCH change the part of a resource that they name, and no other",
        patch_changes_the_resource,
    )
    .anywhere()
    .needs(&["/config"])
    .locks(&["/config"])
    .steps(&[
        "PATCH and iPATCH /config by a merge patch: 2.04.",
        "GET /config has the new value and the old others.",
    ]),
    server(
        "RFC8132-3-nothing-is-changed-by-an-error",
        "RFC 8132 §3, §3.4",
        "A patch that fails changes nothing, though a part of it could be applied",
        nothing_is_changed_by_an_error,
    )
    .needs(&["/config"])
    .locks(&["/config"])
    .steps(&[
        "A merge patch sets one member rightly and makes another one invalid; another is no JSON at all.",
        "Each gets 4.xx, and GET /config gives what it gave before.",
    ]),
    server(
        "RFC8132-3-body-fits-the-resource",
        "RFC 8132 §3, §3.4",
        "A patch in a Content-Format that does not fit the resource is refused and changes nothing",
        body_fits_the_resource,
    )
    .anywhere()
    .needs(&["/config"])
    .locks(&["/config"])
    .steps(&[
        "PATCH and iPATCH /config with octets.",
        "4.15 or another 4.xx arrives; GET /config gives what it gave before.",
    ]),
    server(
        "RFC8132-3-patch-runs-once",
        "RFC 8132 §3; RFC 7252 §4.5",
        "A PATCH that arrives twice gets the same answer twice, with If-Match too",
        patch_runs_once,
    )
    .needs(&["/config"])
    .locks(&["/config"])
    .without_gateway()
    .steps(&[
        "A confirmable PATCH with the ETag of /config in If-Match is sent twice, with the same Message ID.",
        "Both answers are 2.04: a second execution would find another ETag and say 4.12.",
    ]),
    client(
        "RFC8132-3-patch-codes",
        "RFC 8132 §3, §6",
        "PATCH has the code 0.06 and iPATCH 0.07, and both say what their body is",
        patch_codes,
    )
    .anywhere()
    .steps(&[
        "The client is told to PATCH, then to iPATCH.",
        "0.06 and 0.07 arrive with body and Content-Format.",
    ]),
];

/// Whoever has `/config` for something else is not judged by it.
pub(super) fn is_ours(config: &Received) -> Judged {
    let text = String::from_utf8_lossy(&config.payload);
    if text.contains("\"interval\"") && text.contains("\"name\"") {
        return Ok(());
    }
    Err(Stop::Skip(
        "the server's /config has no name and interval in JSON".to_owned(),
    ))
}

const METHODS: [Method; 2] = [Method::PATCH, Method::IPATCH];

fn merge(probe: &mut Probe, method: Method, patch: &str) -> Message {
    let request = probe.request(method, "/config");
    request.content(ContentFormat::MERGE_PATCH_JSON, patch.as_bytes())
}

fn config(probe: &mut Probe) -> Judged<Received> {
    let get = probe.get("/config");
    let config = probe.ask(&get)?;
    config.code(Status::CONTENT)?;
    is_ours(&config)?;
    Ok(config)
}

/// What a server may lack without being wrong.
fn known(response: Received) -> Judged<Received> {
    match response.status() {
        Some(Status::METHOD_NOT_ALLOWED) => Err(Stop::Skip("the server has no PATCH on /config".to_owned())),
        Some(Status::UNSUPPORTED_CONTENT_FORMAT) => {
            Err(Stop::Skip("the server has no merge patch".to_owned()))
        }
        _ => Ok(response),
    }
}

fn patch_changes_the_resource(probe: &mut Probe) -> Judged {
    config(probe)?;
    for (method, interval) in METHODS.into_iter().zip([17, 23]) {
        let request = merge(probe, method, &format!(r#"{{"interval":{interval}}}"#));
        known(probe.ask(&request)?)?.code(Status::CHANGED)?;
        let after = config(probe)?;
        let text = String::from_utf8_lossy(&after.payload).replace(' ', "");
        after.expect(
            text.contains(&format!("\"interval\":{interval}")),
            "the new interval",
            None,
        )?;
        after.expect(text.contains("\"name\":"), "the name, which no patch named", None)?;
    }
    Ok(())
}

fn unchanged(probe: &mut Probe, before: &Received, request: &Message) -> Judged {
    let response = probe.ask(request)?;
    let refused = response.status().is_some_and(Status::is_client_error);
    response.expect(refused, "a 4.xx", None)?;
    config(probe)?.payload_is(&before.payload)?;
    Ok(())
}

fn nothing_is_changed_by_an_error(probe: &mut Probe) -> Judged {
    for method in METHODS {
        let request = merge(probe, method, "{}");
        known(probe.ask(&request)?)?;
        let before = config(probe)?;
        for patch in [r#"{"interval":99,"name":12}"#, r#"{"interval":99"#] {
            let request = merge(probe, method, patch);
            unchanged(probe, &before, &request)?;
        }
    }
    Ok(())
}

fn body_fits_the_resource(probe: &mut Probe) -> Judged {
    let before = config(probe)?;
    for method in METHODS {
        let request = probe
            .request(method, "/config")
            .content(ContentFormat::OCTET_STREAM, &[1, 2, 3]);
        unchanged(probe, &before, &request)?;
    }
    Ok(())
}

fn patch_runs_once(probe: &mut Probe) -> Judged {
    let Some(etag) = config(probe)?.first_etag() else {
        return Err(Stop::Skip("the server gives /config no ETag".to_owned()));
    };
    let name = format!(r#"{{"name":"{}"}}"#, probe.fresh_mid());
    let request = merge(probe, Method::PATCH, &name).option(coracle_wire::OptionNumber::IF_MATCH, &etag);
    known(probe.ask(&request)?)?.code(Status::CHANGED)?;
    match probe.demand_reply(&request.to_bytes())? {
        Some(second) => second.answers(&request)?.code(Status::CHANGED)?,
        None => {
            return Err(Stop::fail(
                "expected the answer again, but nothing came",
                "RFC 7252 §4.2",
            ));
        }
    };
    probe.expect_silence(PATIENCE, None)
}

fn patch_codes(host: &mut Host) -> Judged {
    for (name, method) in [("patch", Method::PATCH), ("ipatch", Method::IPATCH)] {
        host.start(
            &Stimulus::new(name, "/config")
                .with("payload", "{}")
                .with("format", 52),
        )?;
        let request = host.request()?;
        request
            .is_request(method)?
            .payload_is(b"{}")?
            .format(ContentFormat::MERGE_PATCH_JSON)?;
        let response = host.response_to(&request, Status::CHANGED);
        host.answer(&request, &response);
        host.finish()?;
    }
    Ok(())
}
