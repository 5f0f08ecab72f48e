//! What becomes of a URI (§5.10.1, §6.4).

use coracle_wire::OptionNumber;

use crate::case::{Case, client};
use crate::host::Host;
use crate::message::Received;
use crate::template::Stimulus;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    client(
        "RFC7252-5.10.1-dot-segments",
        "RFC 7252 §5.10.1, §6.4",
        "A path is resolved before it is sent: no segment is . or ..",
        dot_segments,
    )
    .within(60)
    .steps(&[
        "The client is told to GET /a/b, /a/./b/../c, /a/b/.., /../a and /a/%2e/b/%2E%2e/c.",
        "No Uri-Path is . or ..; those that are left are there, unless the client refuses the URI.",
    ]),
    client(
        "RFC7252-6.4-path",
        "RFC 7252 §6.4, §5.10.1",
        "Each segment of the path is a Uri-Path, without percent-encoding",
        path,
    )
    .within(90)
    .steps(&[
        "The client is told to GET paths with percent-encodings, in UTF-8, with empty segments, with 255 bytes in one.",
        "Uri-Path has each segment as it reads, in their order.",
    ]),
    client(
        "RFC7252-6.4-empty-path",
        "RFC 7252 §6.4",
        "Neither no path nor / has a Uri-Path",
        empty_path,
    )
    .steps(&["The client is told to GET a URI without path, and one with /.", "There is no Uri-Path."]),
    client(
        "RFC7252-6.4-query",
        "RFC 7252 §6.4, §5.10.1",
        "Each argument of the query is a Uri-Query, without percent-encoding",
        query,
    )
    .within(60)
    .steps(&[
        "The client is told to GET URIs with several arguments, with percent-encodings, with ? and / in them.",
        "Uri-Query has each argument as it reads, in their order.",
    ]),
    client(
        "RFC7252-6.4-fragment",
        "RFC 7252 §6.4, §5.10.1",
        "A fragment is not sent",
        fragment,
    )
    .steps(&[
        "The client is told to GET a URI, and one with a fragment.",
        "It refuses, or sends a request that does not have the fragment in it.",
    ]),
    client(
        "RFC7252-6.4-host-and-port",
        "RFC 7252 §6.4, §5.10.1, §5.4.4",
        "Uri-Host and Uri-Port, if they are there, are those of the URI",
        host_and_port,
    )
    .steps(&[
        "The client is told to GET from an address and a port.",
        "There is no Uri-Host, for the address is the destination; Uri-Port is missing or the port.",
    ]),
];

/// The request for a URI, or nothing if the client ends without one, as it does if it refuses the URI.
fn requested(host: &mut Host, target: &str) -> Judged<Option<Received>> {
    match host.provoke(&Stimulus::get(target)) {
        Ok(request) => {
            host.answer_text(&request, "answered");
            host.finish()?;
            Ok(Some(request))
        }
        Err(Stop::Inconclusive(_)) if !host.runs() => Ok(None),
        Err(stop) => Err(stop),
    }
}

/// As [`requested`], for a URI that nobody may refuse. It also shows that the command asks at all.
fn answered(host: &mut Host, target: &str) -> Judged<Received> {
    let request = requested(host, target)?;
    request.ok_or_else(|| Stop::Inconclusive(format!("the client sent no request for {target}")))
}

/// The path of a request consists of these segments.
fn has_path(request: &Received, segments: &[&[u8]]) -> Judged {
    let path = request.options.as_options();
    let shown: Vec<String> = segments
        .iter()
        .map(|segment| segment.escape_ascii().to_string())
        .collect();
    let holds = path.path().eq(segments.iter().copied());
    request.expect(holds, format!("the segments {shown:?}"), "RFC 7252 §6.4")?;
    Ok(())
}

fn dot_segments(host: &mut Host) -> Judged {
    let forms: [(&str, &[&[u8]]); 3] = [
        ("/a/./b/../c", &[b"a", b"c"]),
        ("/a/b/..", &[b"a", b""]),
        ("/../a", &[b"a"]),
    ];
    answered(host, "/a/b")?;
    // What encoded dots become is not said, but that they may not be dots.
    if let Some(request) = requested(host, "/a/%2e/b/%2E%2e/c")? {
        no_dots(&request)?;
    }
    for (target, segments) in forms {
        if let Some(request) = requested(host, target)? {
            no_dots(&request)?;
            has_path(&request, segments)?;
        }
    }
    Ok(())
}

fn no_dots(request: &Received) -> Judged {
    let path = request.options.as_options();
    let dots = path.path().any(|segment| [&b"."[..], b".."].contains(&segment));
    request.expect(!dots, "no Uri-Path that is . or ..", "RFC 7252 §5.10.1")?;
    Ok(())
}

fn path(host: &mut Host) -> Judged {
    let forms: [(&str, &[&[u8]]); 4] = [
        (
            "/caf%C3%A9/a%20b/100%25/x%2Fy%26z%3f",
            &["café".as_bytes(), b"a b", b"100%", b"x/y&z?"],
        ),
        ("/Aa/~-._!$'()*+,;=:@", &[b"Aa", b"~-._!$'()*+,;=:@"]),
        ("/a//b/", &[b"a", b"", b"b", b""]),
        ("/b/a/b/a", &[b"b", b"a", b"b", b"a"]),
    ];
    for (target, segments) in forms {
        has_path(&answered(host, target)?, segments)?;
    }
    let long = "l".repeat(255);
    has_path(&answered(host, &format!("/{long}/s"))?, &[long.as_bytes(), b"s"])
}

fn empty_path(host: &mut Host) -> Judged {
    for target in ["", "/", "/?a"] {
        has_path(&answered(host, target)?, &[])?;
    }
    Ok(())
}

fn query(host: &mut Host) -> Judged {
    let forms: [(&str, &[&str]); 3] = [
        ("/q?b=2&a=1&a", &["b=2", "a=1", "a"]),
        ("/q?a%26b=%3D&%C3%A9=%20%25", &["a&b==", "é= %"]),
        ("/q?a=?/:@b&c", &["a=?/:@b", "c"]),
    ];
    for (target, queries) in forms {
        let request = answered(host, target)?;
        let expected = format!("Uri-Query {queries:?}");
        request.expect(request.queries() == queries, expected, "RFC 7252 §6.4")?;
        has_path(&request, &[b"q"])?;
    }
    Ok(())
}

fn fragment(host: &mut Host) -> Judged {
    const FRAGMENT: &[u8] = b"fragment";
    answered(host, "/a?b")?;
    let Some(request) = requested(host, "/a?b#fragment")? else {
        return Ok(());
    };
    let bytes = request.to_bytes();
    let there = bytes.windows(FRAGMENT.len()).any(|part| part == FRAGMENT);
    request.expect(!there, "no fragment", None)?;
    Ok(())
}

fn host_and_port(host: &mut Host) -> Judged {
    let request = answered(host, "/test")?;
    request.lacks(OptionNumber::URI_HOST)?;
    let port = request.options.get_uint(OptionNumber::URI_PORT);
    let own = u64::from(host.local().port());
    let expected = format!("no Uri-Port, or {own}");
    request.expect(port.is_none_or(|port| port == own), expected, None)?;
    Ok(())
}
