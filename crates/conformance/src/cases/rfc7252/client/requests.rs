//! What requests look like, and how many there are at once (§3, §4.4, §4.7, §5.4, §5.5, §12.2).

use std::collections::HashMap;
use std::time::Duration;

use coracle_wire::{MessageType, Method, OptionNumber, Status};

use super::steps::RIGHT;
use crate::case::{Case, client};
use crate::cases::plugtest::client_blocks::{Large, body};
use crate::host::Host;
use crate::message::{Message, Received};
use crate::template::Stimulus;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    client(
        "RFC7252-3-well-formed",
        "RFC 7252 §3, §3.1, §5.4, §5.4.5, §5.5, §5.10.2, §12.2",
        "Requests are well-formed, and have only the options and the payload that their method is defined to have",
        well_formed,
    )
    .within(90)
    .steps(&[
        "The client is told to GET, PUT, POST and DELETE, by CON and, if it can, by NON.",
        "Read strictly what it sends: version 1, a token of at most 8 bytes, options in order, none of responses, none \
         for experiments, none twice that is not repeatable, no payload in GET and DELETE.",
    ]),
    client(
        "RFC7252-4.4-mids-not-reused",
        "RFC 7252 §4.4",
        "Each new message has a Message ID of its own",
        mids_not_reused,
    )
    .within(60)
    .steps(&[
        "The client is told to GET; the body comes in twelve blocks.",
        "No two of its requests have the same Message ID.",
    ]),
    client(
        "RFC7252-4.7-nstart",
        "RFC 7252 §4.7, §4.8.1",
        "No further request is sent to a server while one is outstanding there",
        nstart,
    )
    .without_gateway()
    .within(60)
    .steps(&[
        "The client is told to GET; the body comes in blocks, each after a second.",
        "No request comes before the response to the one before.",
    ]),
    client(
        "RFC7252-4.7-probing-rate",
        "RFC 7252 §4.7, §4.3",
        "Somebody who does not respond to non-confirmable requests gets one byte a second on average",
        probing_rate,
    )
    .within(60)
    .steps(&[
        "The client is told to GET by NON; nothing answers for 20 s.",
        "Behind the first request come no more than 20 bytes, and one message that may have been begun.",
    ]),
];

/// Requests with every method that plain clients have.
fn stimuli() -> [Stimulus; 4] {
    [
        Stimulus::get("/test?first=1"),
        Stimulus::new("put", "/test").text("a new value"),
        Stimulus::new("post", "/test").text("an addition"),
        Stimulus::new("delete", "/test"),
    ]
}

fn well_formed(host: &mut Host) -> Judged {
    for stimulus in stimuli() {
        for stimulus in [stimulus.clone(), stimulus.non()] {
            let request = match host.provoke(&stimulus) {
                Err(Stop::Skip(_)) => continue,
                request => request?,
            };
            is_well_formed(&request)?;
            let code = match request.method() {
                Some(Method::GET) => Status::CONTENT,
                Some(Method::DELETE) => Status::DELETED,
                _ => Status::CHANGED,
            };
            let response = host.response_to(&request, code).text(RIGHT);
            host.answer(&request, &response);
            if host.is_lossy() {
                host.send(&request, &response);
            }
            host.finish()?;
        }
    }
    Ok(())
}

/// Options of RFC 7252 that are defined for responses alone.
const OF_RESPONSES: [OptionNumber; 3] = [
    OptionNumber::LOCATION_PATH,
    OptionNumber::LOCATION_QUERY,
    OptionNumber::MAX_AGE,
];

/// Options of RFC 7252 that are there once at most.
const ONCE: [OptionNumber; 10] = [
    OptionNumber::URI_HOST,
    OptionNumber::IF_NONE_MATCH,
    OptionNumber::URI_PORT,
    OptionNumber::CONTENT_FORMAT,
    OptionNumber::MAX_AGE,
    OptionNumber::ACCEPT,
    OptionNumber::PROXY_URI,
    OptionNumber::PROXY_SCHEME,
    OptionNumber::SIZE1,
    OptionNumber::OBSERVE,
];

/// The first number for experiments; they go up to the last number of all (RFC 7252 §12.2).
const EXPERIMENTS: u16 = 65_000;

/// Options that say the target, which Proxy-Uri stands for (RFC 7252 §5.10.2).
const OF_TARGETS: [OptionNumber; 4] = [
    OptionNumber::URI_HOST,
    OptionNumber::URI_PORT,
    OptionNumber::URI_PATH,
    OptionNumber::URI_QUERY,
];

/// What the judge's reader does not refuse by itself.
fn is_well_formed(request: &Received) -> Judged {
    request.expect(
        request.token.len() <= 8,
        "a token of at most 8 bytes",
        "RFC 7252 §3",
    )?;
    for number in OF_RESPONSES {
        let expected = format!("no {number} in a request");
        request.expect(!request.options.contains(number), expected, "RFC 7252 §5.4")?;
    }
    for number in ONCE {
        let times = request.options.as_options().get_all(number).count();
        request.expect(times <= 1, format!("{number} once at most"), "RFC 7252 §5.4.5")?;
    }
    let mut options = request.options.as_options().iter();
    let experiments = options.any(|option| option.number.0 >= EXPERIMENTS);
    request.expect(!experiments, "no option for experiments", "RFC 7252 §12.2")?;
    let proxied = request.options.contains(OptionNumber::PROXY_URI);
    let targets = OF_TARGETS.iter().any(|number| request.options.contains(*number));
    request.expect(
        !(proxied && targets),
        "no Uri option beside Proxy-Uri",
        "RFC 7252 §5.10.2",
    )?;
    if [Some(Method::GET), Some(Method::DELETE)].contains(&request.method()) {
        request.expect(request.payload.is_empty(), "no payload", "RFC 7252 §5.5")?;
    }
    Ok(())
}

/// The text that comes in twelve blocks of 16 bytes.
fn twelve_blocks() -> String {
    body("block", 12 * 16)
}

fn large(text: &str) -> Large<'_> {
    Large {
        code: Status::CONTENT,
        text,
        etag: b"\x01",
        szx: 0,
    }
}

/// Gives a client the block that it asks for.
fn give(host: &mut Host, request: &Received, text: &str) {
    let num = request.block2_value().map_or(0, |asked| asked.num());
    let response = host.response_to(request, Status::CONTENT);
    let response = large(text).block(response, num, 0);
    host.answer(request, &response);
}

fn mids_not_reused(host: &mut Host) -> Judged {
    let text = twelve_blocks();
    let mut request = host.provoke(&Stimulus::get("/large"))?;
    for _ in 1..12 {
        give(host, &request, &text);
        request = host.request()?;
    }
    give(host, &request, &text);
    let mut seen: HashMap<u16, Vec<u8>> = HashMap::new();
    let records = host.frame().transcript.records();
    for (index, record) in records.iter().enumerate().filter(|(_, record)| !record.by_judge) {
        let Ok(message) = Message::parse(&record.bytes) else {
            continue;
        };
        let ours = [MessageType::Acknowledgement, MessageType::Reset].contains(&message.message_type);
        let before = seen.entry(message.mid).or_insert_with(|| record.bytes.clone());
        if !ours && *before != record.bytes {
            let what = format!("expected a Message ID that was not used before, but got {message}");
            return Err(Stop::fail_at(index, what, None));
        }
    }
    if seen.len() < 2 {
        return Err(Stop::Inconclusive("the client sent one message only".to_owned()));
    }
    Ok(())
}

/// How long each block takes: less than ACK_TIMEOUT, so that no request is repeated.
const BLOCK_TIME: Duration = Duration::from_secs(1);

fn nstart(host: &mut Host) -> Judged {
    let text = twelve_blocks();
    let mut request = host.provoke(&Stimulus::get("/large"))?;
    for _ in 0..4 {
        host.pause(BLOCK_TIME)?;
        if let Some(another) = host.receive(Duration::ZERO)? {
            another.expect(false, "no further request before the response", None)?;
        }
        give(host, &request, &text);
        request = host.request()?;
    }
    Ok(())
}

/// How long nobody responds, in seconds.
const UNRESPONSIVE: u16 = 20;

fn probing_rate(host: &mut Host) -> Judged {
    let request = host.provoke(&Stimulus::get("/test").non())?;
    request.is_of(MessageType::NonConfirmable)?;
    host.pause(Duration::from_secs(u64::from(UNRESPONSIVE)))?;
    let first = request.to_bytes().len();
    let records = host.frame().transcript.records();
    let behind = |(index, record): &(usize, &crate::transcript::Record)| {
        *index > request.index && !record.by_judge && record.from == request.from
    };
    let later: usize = records
        .iter()
        .enumerate()
        .filter(behind)
        .map(|(_, record)| record.bytes.len())
        .sum();
    drop(records);
    let most = usize::from(UNRESPONSIVE) + first;
    request.expect(
        later <= most,
        format!("at most {most} bytes after it, not {later}"),
        None,
    )?;
    Ok(())
}
