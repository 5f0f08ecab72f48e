//! §5.5, §5.10.3 to §5.10.5: payloads and what they are.

use coracle_wire::{ContentFormat, OptionNumber, Status};

use crate::case::{Case, server};
use crate::message::Received;
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC7252-5.10.4-not-acceptable",
        "RFC 7252 §5.10.4",
        "A GET whose Accept cannot be met is answered 4.06",
        not_acceptable,
    )
    .steps(&[
        "GET a resource with Accept 65535, which is for experiments, by CON and NON",
        "4.06 comes",
    ]),
    server(
        "RFC7252-5.10.4-accept",
        "RFC 7252 §5.10.4",
        "The format that Accept asks for is the one that comes, if there is one",
        accept,
    )
    .anywhere()
    .needs(&["/multi-format"])
    .steps(&[
        "GET /multi-format with Accept 0, 41 and none",
        "2.05 has Content-Format 0, 41 and any",
    ]),
    server(
        "RFC7252-5.5.2-diagnostic-utf-8",
        "RFC 7252 §5.5.2",
        "The diagnostic payload of an error is UTF-8",
        diagnostic_utf_8,
    )
    .anywhere()
    .steps(&[
        "Provoke 4.02, 4.04, 4.05, 4.06 and 5.05",
        "Each response without Content-Format has a payload that is UTF-8, or none",
    ]),
    server(
        "RFC7252-5.5.2-diagnostic-of-no-utf-8",
        "RFC 7252 §5.5.2, §3.2",
        "A diagnostic payload is UTF-8 also if the request was not",
        diagnostic_of_no_utf_8,
    )
    .steps(&[
        "GET with a Uri-Path, a Uri-Query and an unknown critical option that are no UTF-8",
        "A Reset comes, or a response; an error without Content-Format has a payload that is UTF-8, or none",
    ]),
    server(
        "RFC7252-3-payload-of-any-bytes",
        "RFC 7252 §3, §5.5.1",
        "A payload may hold any bytes, that of the payload marker too",
        payload_of_any_bytes,
    )
    .anywhere()
    .needs(&["/echo"])
    .steps(&[
        "POST ff 00 ff ff to /echo, and each byte there is",
        "The same bytes come back",
    ]),
    server(
        "RFC7252-5.5.1-content-format",
        "RFC 7252 §5.5.1, §5.10.3",
        "A Content-Format is taken as it is, and is not there if it was not given",
        content_format,
    )
    .anywhere()
    .needs(&["/echo"])
    .steps(&[
        "POST to /echo with Content-Format 0, 42, 65535 and none",
        "The same comes back",
    ]),
];

/// A format that no resource has (§12.3).
const EXPERIMENT: ContentFormat = ContentFormat(65_535);

fn not_acceptable(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    for get in [probe.get(&target), probe.get(&target).non()] {
        let answer = probe.ask(&get.accept(EXPERIMENT))?;
        if answer.status() == Some(Status::BAD_OPTION) {
            return Err(Stop::Skip("the server does not know Accept".to_owned()));
        }
        answer.code(Status::NOT_ACCEPTABLE)?;
    }
    Ok(())
}

fn accept(probe: &mut Probe) -> Judged {
    for format in [ContentFormat::TEXT, ContentFormat::XML, ContentFormat::TEXT] {
        let get = probe.get("/multi-format").accept(format);
        probe
            .ask(&get)?
            .code(Status::CONTENT)?
            .format(format)?
            .has_payload()?;
    }
    let get = probe.get("/multi-format");
    probe.ask(&get)?.code(Status::CONTENT)?.has_payload()?;
    Ok(())
}

/// A payload of an error without Content-Format is for people.
fn readable(answer: &Received) -> Judged {
    let error = answer.status().is_some_and(|status| !status.is_success());
    let diagnostic = error && !answer.options.contains(OptionNumber::CONTENT_FORMAT);
    let utf_8 = std::str::from_utf8(&answer.payload).is_ok();
    answer.expect(!diagnostic || utf_8, "a diagnostic payload that is UTF-8", None)?;
    Ok(())
}

fn diagnostic_utf_8(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    let requests = [
        probe.get(&target).option(OptionNumber(65_001), b"\xff"),
        probe.get("/surely/not/here"),
        probe.delete("/.well-known/core"),
        probe.get(&target).accept(EXPERIMENT),
        probe
            .get("")
            .option(OptionNumber::PROXY_URI, b"x-nobody-knows://host.invalid/"),
    ];
    for request in requests {
        readable(&probe.ask(&request)?)?;
    }
    Ok(())
}

fn diagnostic_of_no_utf_8(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    // A byte that never is in UTF-8, an overlong slash, half a character, and a surrogate.
    for bytes in [&b"\xff\xfe"[..], b"\xc0\xaf", b"a\xe2\x82", b"\xed\xa0\x80"] {
        let requests = [
            probe.get("").option(OptionNumber::URI_PATH, bytes),
            probe.get(&target).option(OptionNumber::URI_QUERY, bytes),
            probe.get(&target).option(OptionNumber(65_001), bytes),
            probe.get("").option(OptionNumber::PROXY_URI, bytes),
        ];
        for request in requests {
            // A text that is none may also be taken for a fault of the whole message (§3.2, §4.2).
            let Some(answer) = probe.demand(&request.to_bytes())? else {
                let what = format!("expected a response to {request}, or a Reset, but nothing came");
                return Err(Stop::fail(what, "RFC 7252 §4.2"));
            };
            readable(&answer)?;
        }
    }
    probe.expect_alive()
}

fn success(answer: &Received) -> Judged<&Received> {
    answer.expect(answer.status().is_some_and(Status::is_success), "2.xx", None)
}

fn payload_of_any_bytes(probe: &mut Probe) -> Judged {
    let every: Vec<u8> = (0..=u8::MAX).collect();
    for payload in [&b"\xff"[..], b"\xff\x00\xff\xff", b"\x00", &every] {
        let post = probe.post("/echo", "").payload(payload);
        success(&probe.ask(&post)?)?.payload_is(payload)?;
    }
    Ok(())
}

fn content_format(probe: &mut Probe) -> Judged {
    for format in [ContentFormat::TEXT, ContentFormat::OCTET_STREAM, EXPERIMENT] {
        let mut post = probe.post("/echo", "");
        post.options.remove(OptionNumber::CONTENT_FORMAT);
        let post = post.content(format, b"anything");
        success(&probe.ask(&post)?)?
            .format(format)?
            .payload_is(b"anything")?;
    }
    let mut post = probe.post("/echo", "anything");
    post.options.remove(OptionNumber::CONTENT_FORMAT);
    success(&probe.ask(&post)?)?.lacks(OptionNumber::CONTENT_FORMAT)?;
    Ok(())
}
