//! Steps that the cases for clients have in common.

use std::time::Duration;

use coracle_wire::{ContentFormat, Method, OptionNumber, Status};

use crate::host::Host;
use crate::message::{Message, Received};
use crate::template::Stimulus;
use crate::verdict::{Judged, Stop};

/// Tells the client to send a request, and takes it.
pub(super) fn stimulate(host: &mut Host, stimulus: &Stimulus) -> Judged<Received> {
    let request = host.provoke(stimulus)?;
    is_as_told(&request, stimulus)?;
    Ok(request)
}

/// A request is what the client was told to send.
fn is_as_told(request: &Received, stimulus: &Stimulus) -> Judged {
    request.is_request(method(stimulus))?;
    match stimulus.wish("non") {
        Some(_) => request.expect(!request.is_con(), "a non-confirmable request", "RFC 7252 §5.2.3")?,
        None => request.expect(request.is_con(), "a confirmable request", "RFC 7252 §5.2.1")?,
    };
    has_target(request, stimulus.target())?;
    if let Some(accept) = stimulus.wish("accept") {
        let sent = request.options.get_uint(OptionNumber::ACCEPT);
        let as_told = sent.is_some_and(|sent| sent.to_string() == accept);
        request.expect(as_told, format!("Accept {accept}"), "RFC 7252 §5.10.4")?;
    }
    if let Some(payload) = stimulus.wish("payload")
        && !request.options.contains(OptionNumber::BLOCK1)
    {
        request.payload_is(payload.as_bytes())?;
    }
    if let Some(format) = stimulus.wish("format").and_then(|format| format.parse().ok()) {
        request.format(ContentFormat(format))?;
    }
    Ok(())
}

fn method(stimulus: &Stimulus) -> Method {
    match stimulus.method() {
        "put" => Method::PUT,
        "post" => Method::POST,
        "delete" => Method::DELETE,
        _ => Method::GET,
    }
}

/// The path and query of a request are the target, split into options.
fn has_target(request: &Received, target: &str) -> Judged {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let options = request.options.as_options();
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    request.expect(
        options.path().eq(segments.map(str::as_bytes)),
        format!("the segments of {path} as Uri-Path"),
        "RFC 7252 §6.4",
    )?;
    let queries: Vec<&str> = query.split('&').filter(|query| !query.is_empty()).collect();
    let expected = format!("Uri-Query {queries:?}");
    request.expect(request.queries() == queries, expected, "RFC 7252 §6.4")?;
    Ok(())
}

/// Answers a request. Behind the lossy gateway a non-confirmable response goes out twice, as RFC 7252 §4.3 allows,
/// so that one arrives.
pub(super) fn answer(host: &mut Host, request: &Received, response: &Message) {
    host.answer(request, response);
    if host.is_lossy() && !request.is_con() {
        host.send(request, response);
    }
}

/// Answers the last request of a client with a text, and looks whether the client shows it.
pub(super) fn conclude(host: &mut Host, request: &Received, code: Status, text: &str) -> Judged {
    let response = host.response_to(request, code).text(text);
    conclude_with(host, request, &response, text)
}

/// Answers the last request of a client, and looks whether the client shows some text.
pub(super) fn conclude_with(host: &mut Host, request: &Received, response: &Message, shown: &str) -> Judged {
    answer(host, request, response);
    host.finish()?;
    host.expect_shown(shown)
}

/// One request and its response, which carries a text that the client shows.
pub(super) fn exchange(host: &mut Host, stimulus: &Stimulus, code: Status, text: &str) -> Judged<Received> {
    let request = stimulate(host, stimulus)?;
    conclude(host, &request, code, text)?;
    Ok(request)
}

/// The request has a token; clients are free to send none.
pub(super) fn needs_token(request: &Received) -> Judged {
    match request.token.len() {
        0 => Err(Stop::Skip("the client sends the empty token".to_owned())),
        _ => Ok(()),
    }
}

/// The client has sent a message several times, and waited longer each time.
///
/// Clients may have other parameters than the default ones, but not an ACK_TIMEOUT below 1 s (RFC 7252 §4.8.1).
pub(super) fn backed_off(request: &Received, copies: &[Duration]) -> Judged {
    let pauses = copies
        .iter()
        .zip(copies.iter().skip(1))
        .map(|(a, b)| b.saturating_sub(*a));
    let mut least = Duration::from_secs(1);
    for pause in pauses {
        let (came, bound) = (pause.as_secs_f64(), least.as_secs_f64());
        request.expect(
            pause + SLACK >= least,
            format!("{bound:.1} s or more before the next copy, not {came:.1} s"),
            "RFC 7252 §4.2",
        )?;
        least = pause * 2;
    }
    Ok(())
}

/// How much the judge may be late in seeing a message.
const SLACK: Duration = Duration::from_millis(500);
