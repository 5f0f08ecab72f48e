//! §5.4: critical and elective, lengths, repetition, defaults.

use coracle_wire::{ContentFormat, MessageType, OptionNumber, Status};

use super::counters::{count_of, own_counter};
use super::uri::host;
use crate::case::{Case, server};
use crate::message::{Message, Received};
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC7252-5.4.1-unknown-critical",
        "RFC 7252 §5.4.1",
        "A critical option that is not known in a confirmable request is answered 4.02",
        unknown_critical,
    )
    .anywhere()
    .steps(&["GET by CON with options 25, 2051 and 65001, with values of 0, 1 and 20 bytes", "4.02 comes"]),
    server(
        "RFC7252-5.4.1-unknown-critical-not-executed",
        "RFC 7252 §5.4.1",
        "A request with a critical option that is not known is not executed",
        unknown_critical_not_executed,
    )
    .anywhere()
    .needs(&["/counter/judge"])
    .steps(&["POST to a counter by CON with option 65001", "4.02 comes, and the counter is where it was"]),
    server(
        "RFC7252-5.4.1-unknown-critical-non",
        "RFC 7252 §5.4.1, §4.3; draft-ietf-core-corr-clar, RFC7252-5.4.1",
        "A non-confirmable request with a critical option that is not known is rejected, or answered 4.02",
        unknown_critical_non,
    )
    .steps(&["GET by NON with options 25, 2051 and 65001", "A Reset, 4.02 or nothing comes"]),
    server(
        "RFC7252-5.4.1-unknown-elective",
        "RFC 7252 §5.4.1",
        "An elective option that is not known is ignored",
        unknown_elective,
    )
    .steps(&["GET by CON and NON with options 26, 2050 and 65000", "2.05 comes, as without them"]),
    server(
        "RFC7252-5.4-option-of-responses",
        "RFC 7252 §5.4, §5.4.1",
        "An elective option that is not for requests is ignored in a request",
        option_of_responses,
    )
    .anywhere()
    .steps(&["GET with Max-Age, Location-Path and Location-Query", "2.05 comes, as without them"]),
    server(
        "RFC7252-5.4-response-has-its-options",
        "RFC 7252 §5.4, §5.4.3, §5.4.5, §12.2",
        "Responses have no options of requests, none twice that is not repeatable, none out of its length",
        response_has_its_options,
    )
    .locks(&["/test"])
    .steps(&[
        "Ask for what is there and what is not, by methods that are there and that are not, and with options",
        "No response has an option that only requests have, or one for experiments",
        "All options that are registered are as often and as long as they may be",
    ]),
    server(
        "RFC7252-5.4.3-critical-length",
        "RFC 7252 §5.4.3, §5.4.1, §5.10",
        "A critical option whose length is out of its range is treated as one that is not known: 4.02",
        critical_length,
    )
    .anywhere()
    .steps(&[
        "GET by CON with Uri-Host of 0 and 256 bytes, Uri-Port and Accept of 3, Uri-Query of 256, If-Match of 9, \
         If-None-Match of 1",
        "4.02 comes for each",
    ]),
    server(
        "RFC7252-5.4.3-uri-path-256",
        "RFC 7252 §5.4.3, §5.4.1, §5.10",
        "A Uri-Path of 256 bytes is treated as an option that is not known: 4.02",
        uri_path_256,
    )
    .anywhere()
    .steps(&["GET by CON with a Uri-Path of 256 bytes, alone and after another", "4.02 comes"]),
    server(
        "RFC7252-5.4.3-uri-path-255",
        "RFC 7252 §5.4.3, §5.10",
        "A Uri-Path and a Uri-Query of 255 bytes are in their range",
        uri_path_255,
    )
    .anywhere()
    .steps(&["GET with a Uri-Path of 255 bytes, and a resource with a Uri-Query of 255 bytes", "Neither gets 4.02"]),
    server(
        "RFC7252-5.4.3-elective-length",
        "RFC 7252 §5.4.3, §5.4.1, §5.10",
        "An elective option whose length is out of its range is ignored",
        elective_length,
    )
    .anywhere()
    .steps(&["GET with ETag of 0 and 9 bytes and with Size1 of 5", "2.05 comes, as without them"]),
    server(
        "RFC7252-5.4.3-content-format-length",
        "RFC 7252 §5.4.3, §5.4.1, §5.10",
        "A Content-Format of three bytes is ignored",
        content_format_length,
    )
    .anywhere()
    .needs(&["/echo"])
    .steps(&["POST a text to /echo with Content-Format 00 00 32", "2.xx comes with the text and without Content-Format"]),
    server(
        "RFC7252-5.4.5-critical-twice",
        "RFC 7252 §5.4.5, §5.4.1",
        "A critical option that may not be repeated, repeated, is treated as one that is not known: 4.02",
        critical_twice,
    )
    .steps(&["GET by CON with Uri-Host, Uri-Port, Accept and If-None-Match twice each", "4.02 comes for each"]),
    server(
        "RFC7252-5.4.5-critical-twice-non",
        "RFC 7252 §5.4.5, §5.4.1, §4.3",
        "A non-confirmable request with such an option twice is rejected, or answered 4.02",
        critical_twice_non,
    )
    .steps(&["GET by NON with Uri-Host and Accept twice each", "A Reset, 4.02 or nothing comes"]),
    server(
        "RFC7252-5.4.5-elective-twice",
        "RFC 7252 §5.4.5, §5.4.1",
        "Of an elective option that may not be repeated, the first counts and the others are ignored",
        elective_twice,
    )
    .anywhere()
    .needs(&["/echo"])
    .steps(&["POST a text to /echo with Content-Format 0, then 50", "2.xx comes with the text and Content-Format 0"]),
];

/// Numbers that IANA has not given to anybody, and one for experiments; all are odd.
const CRITICAL: [u16; 3] = [25, 2051, 65_001];

/// As [`CRITICAL`], but even.
const ELECTIVE: [u16; 3] = [26, 2050, 65_000];

fn bad_option(probe: &mut Probe, request: &Message) -> Judged {
    probe.ask(request)?.code(Status::BAD_OPTION)?;
    Ok(())
}

/// By NON a Reset and silence reject; 4.02 says why.
fn rejected_non(probe: &mut Probe, request: &Message) -> Judged {
    let request = request.clone().non();
    let Some(answer) = probe.provoke(&request.to_bytes())? else {
        return Ok(());
    };
    let reset = Message::empty(MessageType::Reset, request.mid);
    let refused = answer.status() == Some(Status::BAD_OPTION) && answer.token == request.token;
    answer.expect(
        answer.message == reset || refused,
        "a Reset, silence or 4.02",
        None,
    )?;
    Ok(())
}

fn content(probe: &mut Probe, request: &Message) -> Judged<Received> {
    let answer = probe.ask(request)?;
    answer.code(Status::CONTENT)?;
    Ok(answer)
}

fn target(probe: &mut Probe) -> Message {
    let target = probe.target().to_owned();
    probe.get(&target)
}

fn unknown_critical(probe: &mut Probe) -> Judged {
    for number in CRITICAL {
        for value in [&b""[..], b"1", b"12345678901234567890"] {
            let get = target(probe).option(OptionNumber(number), value);
            bad_option(probe, &get)?;
        }
    }
    Ok(())
}

fn unknown_critical_not_executed(probe: &mut Probe) -> Judged {
    let path = own_counter(probe);
    let post = probe.post(&path, "");
    probe.ask(&post)?;
    let before = count_of(probe, &path)?;
    let post = probe.post(&path, "").option(OptionNumber(65_001), b"1");
    let answer = probe.ask(&post)?;
    answer.code(Status::BAD_OPTION)?;
    let get = probe.get(&path);
    probe.ask(&get)?.payload_is(before.as_bytes())?;
    Ok(())
}

fn unknown_critical_non(probe: &mut Probe) -> Judged {
    for number in CRITICAL {
        let get = target(probe).option(OptionNumber(number), b"1");
        rejected_non(probe, &get)?;
    }
    probe.expect_alive()
}

fn unknown_elective(probe: &mut Probe) -> Judged {
    for number in ELECTIVE {
        let get = target(probe).option(OptionNumber(number), b"1");
        content(probe, &get)?;
        let get = target(probe).option(OptionNumber(number), b"1").non();
        content(probe, &get)?;
    }
    Ok(())
}

fn option_of_responses(probe: &mut Probe) -> Judged {
    let get = target(probe).uint(OptionNumber::MAX_AGE, 7);
    content(probe, &get)?;
    let get = target(probe).option(OptionNumber::LOCATION_PATH, b"elsewhere");
    content(probe, &get)?;
    let get = target(probe).option(OptionNumber::LOCATION_QUERY, b"else=where");
    content(probe, &get)?;
    Ok(())
}

/// Options that say what is asked for.
const OF_REQUESTS: [OptionNumber; 9] = [
    OptionNumber::IF_MATCH,
    OptionNumber::URI_HOST,
    OptionNumber::IF_NONE_MATCH,
    OptionNumber::URI_PORT,
    OptionNumber::URI_PATH,
    OptionNumber::URI_QUERY,
    OptionNumber::ACCEPT,
    OptionNumber::PROXY_URI,
    OptionNumber::PROXY_SCHEME,
];

/// The first number that is for experiments (§12.2).
const EXPERIMENTS: u16 = 65_000;

fn response_has_its_options(probe: &mut Probe) -> Judged {
    let requests = [
        target(probe),
        target(probe).non(),
        target(probe).query("a=b").accept(ContentFormat::TEXT),
        target(probe).option(OptionNumber(25), b"1"),
        probe.get("/.well-known/core"),
        probe.get("/validate").etag(b"1"),
        probe.get("/surely/not/here"),
        probe.delete("/.well-known/core"),
        probe.post("/test", "posted").query("a=b"),
        probe
            .get("")
            .option(OptionNumber::PROXY_URI, b"x-nobody-knows://host.invalid/"),
    ];
    for request in requests {
        let answer = probe.ask(&request)?;
        let mut last = None;
        for option in answer.options.iter() {
            let number = option.number;
            let known = !OF_REQUESTS.contains(&number) && number.0 < EXPERIMENTS;
            answer.expect(
                known,
                format!("no option {number} in a response"),
                "RFC 7252 §5.4, §12.2",
            )?;
            if let Some(definition) = number.definition() {
                let once = definition.repeatable || last != Some(number);
                answer.expect(once, format!("option {number} once"), "RFC 7252 §5.4.5")?;
                let range = usize::from(definition.min)..=usize::from(definition.max);
                let fits = range.contains(&option.value.len());
                answer.expect(
                    fits,
                    format!("option {number} within its length"),
                    "RFC 7252 §5.4.3, §5.10",
                )?;
            }
            last = Some(number);
        }
    }
    Ok(())
}

fn critical_length(probe: &mut Probe) -> Judged {
    let lengths = [
        (OptionNumber::URI_HOST, 0),
        (OptionNumber::URI_HOST, 256),
        (OptionNumber::URI_PORT, 3),
        (OptionNumber::ACCEPT, 3),
        (OptionNumber::URI_QUERY, 256),
        (OptionNumber::IF_MATCH, 9),
        (OptionNumber::IF_NONE_MATCH, 1),
    ];
    for (number, length) in lengths {
        let get = target(probe).option(number, &vec![b'1'; length]);
        bad_option(probe, &get)?;
    }
    Ok(())
}

fn uri_path_256(probe: &mut Probe) -> Judged {
    let get = probe.get("").option(OptionNumber::URI_PATH, &[b'p'; 256]);
    bad_option(probe, &get)?;
    let get = target(probe).option(OptionNumber::URI_PATH, &[b'p'; 256]);
    bad_option(probe, &get)
}

fn uri_path_255(probe: &mut Probe) -> Judged {
    let get = probe.get("").option(OptionNumber::URI_PATH, &[b'p'; 255]);
    let path = probe.ask(&get)?;
    let get = target(probe).option(OptionNumber::URI_QUERY, &[b'q'; 255]);
    let query = probe.ask(&get)?;
    for answer in [path, query] {
        let known = answer.status() != Some(Status::BAD_OPTION);
        answer.expect(known, "another code than 4.02", None)?;
    }
    Ok(())
}

fn elective_length(probe: &mut Probe) -> Judged {
    for etag in [&b""[..], b"123456789"] {
        let get = target(probe).etag(etag);
        content(probe, &get)?;
    }
    let get = target(probe).option(OptionNumber::SIZE1, b"\x00\x00\x00\x00\x01");
    content(probe, &get)?;
    Ok(())
}

/// The answer of `/echo` to a text.
fn echoed(probe: &mut Probe, post: &Message) -> Judged<Received> {
    let answer = probe.ask(post)?;
    if answer.status() == Some(Status::METHOD_NOT_ALLOWED) {
        return Err(Stop::Skip("the server has no POST of /echo".to_owned()));
    }
    let success = answer.status().is_some_and(Status::is_success);
    answer.expect(success, "2.xx", None)?.payload_is(&post.payload)?;
    Ok(answer)
}

fn content_format_length(probe: &mut Probe) -> Judged {
    let post = probe.post("/echo", "a text");
    let mut post = post.clone();
    post.options.remove(OptionNumber::CONTENT_FORMAT);
    let post = post.option(OptionNumber::CONTENT_FORMAT, b"\x00\x00\x32");
    let answer = echoed(probe, &post)?;
    // Whether the resource tells the Content-Format at all is another case's.
    let json = answer.options.as_options().content_format() == Some(ContentFormat::JSON);
    answer.expect(!json, "no Content-Format 50", None)?;
    Ok(())
}

fn elective_twice(probe: &mut Probe) -> Judged {
    let post = probe
        .post("/echo", "a text")
        .uint(OptionNumber::CONTENT_FORMAT, 50);
    let answer = echoed(probe, &post)?;
    if !answer.options.contains(OptionNumber::CONTENT_FORMAT) {
        return Err(Stop::Skip(
            "the server's /echo does not tell the Content-Format".to_owned(),
        ));
    }
    answer.format(ContentFormat::TEXT)?;
    Ok(())
}

/// Each twice, with a value that is fine once.
fn twice(probe: &mut Probe) -> [Message; 4] {
    let host = host(probe);
    let port = u64::from(probe.server().port());
    [
        target(probe)
            .option(OptionNumber::URI_HOST, host.as_bytes())
            .option(OptionNumber::URI_HOST, host.as_bytes()),
        target(probe)
            .accept(ContentFormat::TEXT)
            .accept(ContentFormat::TEXT),
        target(probe)
            .uint(OptionNumber::URI_PORT, port)
            .uint(OptionNumber::URI_PORT, port),
        target(probe)
            .option(OptionNumber::IF_NONE_MATCH, b"")
            .option(OptionNumber::IF_NONE_MATCH, b""),
    ]
}

fn critical_twice(probe: &mut Probe) -> Judged {
    for get in twice(probe) {
        bad_option(probe, &get)?;
    }
    Ok(())
}

fn critical_twice_non(probe: &mut Probe) -> Judged {
    for get in twice(probe).iter().take(2) {
        rejected_non(probe, get)?;
    }
    probe.expect_alive()
}
