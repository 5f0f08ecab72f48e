//! §5.10.1, §5.10.7, §6.3, §6.5: which resource a request names, and where one was made.

use std::net::IpAddr;

use coracle_wire::{OptionNumber, Status};

use crate::case::{Case, server};
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC7252-5.10.1-no-percent-in-path",
        "RFC 7252 §5.10.1, §6.5",
        "Uri-Path is taken as it is: a percent sign is one",
        no_percent_in_path,
    )
    .anywhere()
    .steps(&["GET with the Uri-Path options .well%2Dknown and core, and with .well-known and %63ore", "4.04 comes"]),
    server(
        "RFC7252-5.10.1-no-percent-in-query",
        "RFC 7252 §5.10.1, §6.5",
        "Uri-Query is taken as it is: percent, ampersand and plus are themselves",
        no_percent_in_query,
    )
    .anywhere()
    .needs(&["/uri-query-options"])
    .steps(&["GET /uri-query-options with a=%41, b&c=d and e+f", "A JSON array of these three strings comes"]),
    server(
        "RFC7252-6.5-slash-within-a-segment",
        "RFC 7252 §6.4, §6.5, §5.10.1",
        "A slash within a Uri-Path is no border of segments",
        slash_within_a_segment,
    )
    .anywhere()
    .steps(&["GET with one Uri-Path of \".well-known/core\"", "4.04 comes, not the links"]),
    server(
        "RFC7252-6.3-case-sensitive",
        "RFC 7252 §6.3",
        "Paths are compared byte by byte",
        case_sensitive,
    )
    .anywhere()
    .steps(&["GET /.WELL-KNOWN/CORE", "4.04 comes"]),
    server(
        "RFC7252-6.5-segments-in-order",
        "RFC 7252 §5.10.1, §6.5",
        "The segments of a path count in their order, and all of them",
        segments_in_order,
    )
    .anywhere()
    .needs(&["/seg1/seg2/seg3"])
    .steps(&[
        "GET /seg1/seg2/seg3",
        "2.05 comes",
        "GET with the segments in another order, with one more and with one less",
        "4.04 comes",
    ]),
    server(
        "RFC7252-6.4-empty-segments",
        "RFC 7252 §6.4; draft-ietf-core-corr-clar, RFC7252-6.4",
        "Empty Uri-Path options are answered, and are no fault of the request's form",
        empty_segments,
    )
    .anywhere()
    .steps(&[
        "GET with one empty Uri-Path, with three, and with one behind the path of a resource",
        "A response comes, neither 4.02 nor 5.xx",
    ]),
    server(
        "RFC7252-5.10.1-queries-in-order",
        "RFC 7252 §5.10.1, §5.4.5",
        "All Uri-Query options arrive, in their order, the same twice too",
        queries_in_order,
    )
    .anywhere()
    .needs(&["/uri-query-options"])
    .steps(&["GET /uri-query-options with b=2, a=1, b=2 and an empty one", "A JSON array of these four comes"]),
    server(
        "RFC7252-5.4.4-default-host-and-port",
        "RFC 7252 §5.4.4, §5.10.1",
        "Uri-Host and Uri-Port with their default values change nothing",
        default_host_and_port,
    )
    .anywhere()
    .steps(&[
        "GET a resource without and with Uri-Host and Uri-Port, each and both",
        "2.05 comes each time",
    ]),
    server(
        "RFC7252-5.10.7-location",
        "RFC 7252 §5.10.7, §5.8.2",
        "Locations have neither \".\" nor \"..\", and no option is out of its length",
        location,
    )
    .anywhere()
    .needs(&["/test"])
    .locks(&["/test"])
    .steps(&[
        "POST to /test",
        "Each Location-Path and Location-Query of a 2.01 has at most 255 bytes and is neither \".\" nor \"..\"",
    ]),
];

fn not_found(probe: &mut Probe, segments: &[&str]) -> Judged {
    let get = probe.get("");
    let get = segments.iter().fold(get, |get, segment| {
        get.option(OptionNumber::URI_PATH, segment.as_bytes())
    });
    let answer = probe.ask(&get)?;
    let found = answer.status().is_some_and(Status::is_success);
    answer.expect(!found, "4.04: this is another path", None)?;
    Ok(())
}

/// The links are there: else the cases would hold for any server that offers nothing.
fn links_are_there(probe: &mut Probe) -> Judged {
    let get = probe.get("/.well-known/core");
    let answer = probe.ask(&get)?;
    if answer.status() == Some(Status::CONTENT) {
        return Ok(());
    }
    Err(Stop::Skip(
        "the server does not offer /.well-known/core".to_owned(),
    ))
}

fn no_percent_in_path(probe: &mut Probe) -> Judged {
    links_are_there(probe)?;
    not_found(probe, &[".well%2Dknown", "core"])?;
    not_found(probe, &[".well-known", "%63ore"])
}

/// JSON as text: no string of these has anything to escape.
fn echoes_queries(probe: &mut Probe, queries: &[&str]) -> Judged {
    let get = probe.get("/uri-query-options");
    let get = queries.iter().fold(get, |get, query| get.query(query));
    let answer = probe.ask(&get)?;
    answer.code(Status::CONTENT)?;
    let expected = format!("{queries:?}");
    let found = String::from_utf8_lossy(&answer.payload).replace("\", \"", "\",\"");
    answer.expect(found == expected.replace("\", \"", "\",\""), expected, None)?;
    Ok(())
}

fn no_percent_in_query(probe: &mut Probe) -> Judged {
    echoes_queries(probe, &["a=%41", "b&c=d", "e+f"])
}

fn slash_within_a_segment(probe: &mut Probe) -> Judged {
    links_are_there(probe)?;
    not_found(probe, &[".well-known/core"])
}

fn case_sensitive(probe: &mut Probe) -> Judged {
    links_are_there(probe)?;
    not_found(probe, &[".WELL-KNOWN", "CORE"])
}

fn segments_in_order(probe: &mut Probe) -> Judged {
    let get = probe.get("/seg1/seg2/seg3");
    probe.ask(&get)?.code(Status::CONTENT)?;
    not_found(probe, &["seg3", "seg2", "seg1"])?;
    not_found(probe, &["seg1", "seg2", "seg3", "seg4"])?;
    not_found(probe, &["seg2", "seg3"])
}

fn empty_segments(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    let empty = OptionNumber::URI_PATH;
    let requests = [
        probe.get("").option(empty, b""),
        probe
            .get("")
            .option(empty, b"")
            .option(empty, b"")
            .option(empty, b""),
        probe.get(&target).option(empty, b""),
    ];
    for get in requests {
        let answer = probe.ask(&get)?;
        let refused = answer.status() == Some(Status::BAD_OPTION);
        let broken = answer.status().is_none_or(Status::is_server_error);
        answer.expect(!refused && !broken, "neither 4.02 nor 5.xx", None)?;
    }
    Ok(())
}

fn queries_in_order(probe: &mut Probe) -> Judged {
    echoes_queries(probe, &["b=2", "a=1", "b=2", ""])
}

fn default_host_and_port(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    let host = host(probe);
    let port = u64::from(probe.server().port());
    for (with_host, with_port) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut get = probe.get(&target);
        if with_host {
            get = get.option(OptionNumber::URI_HOST, host.as_bytes());
        }
        if with_port {
            get = get.uint(OptionNumber::URI_PORT, port);
        }
        probe.ask(&get)?.code(Status::CONTENT)?;
    }
    Ok(())
}

fn location(probe: &mut Probe) -> Judged {
    let post = probe.post("/test", "to be located");
    let answer = probe.ask(&post)?;
    if answer.status() != Some(Status::CREATED) {
        return Err(Stop::Skip(
            "the server makes nothing at a POST to /test".to_owned(),
        ));
    }
    let options = answer.options.as_options();
    for number in [OptionNumber::LOCATION_PATH, OptionNumber::LOCATION_QUERY] {
        for value in options.get_all(number) {
            answer.expect(
                value.len() <= 255,
                format!("{number} of 255 bytes at most"),
                "RFC 7252 §5.10",
            )?;
        }
    }
    let dots = options
        .get_all(OptionNumber::LOCATION_PATH)
        .any(|segment| segment == b"." || segment == b"..");
    answer.expect(!dots, "no Location-Path \".\" or \"..\"", None)?;
    Ok(())
}

/// The server's address as a host within a URI (§6.4).
pub(super) fn host(probe: &Probe) -> String {
    match probe.server().ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}
