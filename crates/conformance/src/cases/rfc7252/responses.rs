//! §5.2, §5.3: responses, how they come, and whose they are.

use std::time::Duration;

use coracle_wire::{MessageType, OptionNumber, Status};

use crate::case::{Case, server};
use crate::message::{Message, Received};
use crate::probe::{PATIENCE, Probe};
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC7252-5.3.1-token-echoed",
        "RFC 7252 §5.3.1",
        "A response has the token of its request, of whatever length and bytes",
        token_echoed,
    )
    .steps(&[
        "GET a resource with tokens of 0 to 8 bytes, among them zeros and ff",
        "Each response has exactly the token",
    ])
    .within(60),
    server(
        "RFC7252-5.3.1-token-echoed-in-errors",
        "RFC 7252 §5.3.1",
        "An error response has the token of its request too",
        token_in_errors,
    )
    .steps(&[
        "Ask for what is not there, by a method that is not there, and with a critical option that nobody knows",
        "Each response has the token of 8 bytes",
    ]),
    server(
        "RFC7252-5.3.1-token-of-non",
        "RFC 7252 §5.3.1, §5.2.3",
        "A response to a non-confirmable request has its token",
        token_of_non,
    )
    .steps(&["GET a resource by NON with tokens of 1 and of 8 bytes", "The response has the token"]),
    server(
        "RFC7252-5.3.1-token-of-separate",
        "RFC 7252 §5.3.1, §5.2.2",
        "A separate response has the token of its request, and its empty acknowledgement has none",
        token_of_separate,
    )
    .anywhere()
    .needs(&["/separate"])
    .steps(&["GET /separate with a token of 8 bytes", "The response has the token"]),
    server(
        "RFC7252-5.3.1-same-token-of-two-clients",
        "RFC 7252 §5.3.1",
        "Two clients may use the same token and Message ID at the same time",
        same_token_of_two_clients,
    )
    .needs(&["/slow"])
    .steps(&[
        "GET /slow from one socket, and a resource that is quick from another, with the same token and Message ID",
        "Each gets the response to its own request",
    ]),
    server(
        "RFC7252-5.3.1-concurrent-requests",
        "RFC 7252 §5.3.1, §5.3.2",
        "Responses that overtake each other have the tokens of their own requests",
        concurrent_requests,
    )
    .needs(&["/slow", "/hello"])
    .without_gateway()
    .steps(&[
        "GET /slow?ms=2500 with token 01, and /hello with token 0102 and with none",
        "What is quick comes first, with its token; then what is slow, with its own",
    ]),
    server(
        "RFC7252-5.3.2-from-the-same-endpoint",
        "RFC 7252 §5.3.2",
        "Responses come from the address and port that were asked",
        from_the_same_endpoint,
    )
    .steps(&[
        "GET a resource by CON and by NON, and /separate if it is there",
        "Nothing comes from another address or port",
    ]),
    server(
        "RFC7252-5.2.2-separate-response",
        "RFC 7252 §5.2.2",
        "After an empty acknowledgement the response comes in a message of its own",
        separate_response,
    )
    .needs(&["/separate"])
    .without_gateway()
    .steps(&["GET /separate", "An empty ACK comes", "Then CON or NON 2.05 with the token comes"]),
    server(
        "RFC7252-5.2.2-no-response-in-second-ack",
        "RFC 7252 §5.2.2",
        "After an empty acknowledgement a repeated request is acknowledged empty again",
        no_response_in_second_ack,
    )
    .needs(&["/separate"])
    .without_gateway()
    .steps(&[
        "GET /separate, and send the request again after the empty ACK, and again after the response",
        "Empty ACKs come; the response comes as a message of its own",
    ]),
    server(
        "RFC7252-4.2-ack-after-response",
        "RFC 7252 §4.2, §5.2.2",
        "A repeated request is still acknowledged when its confirmable response is acknowledged already",
        ack_after_response,
    )
    .needs(&["/separate"])
    .without_gateway()
    .steps(&[
        "GET /separate, and acknowledge its response",
        "Send the request again: an empty ACK comes",
    ]),
    server(
        "RFC7252-5.2.2-separate-to-non",
        "RFC 7252 §5.2.3, §4.3",
        "A slow response to a non-confirmable request comes without an acknowledgement before it",
        separate_to_non,
    )
    .needs(&["/separate"])
    .without_gateway()
    .steps(&["GET /separate by NON", "The first message is the response, CON or NON"]),
];

/// How long a separate response may take.
const RESPONSE: Duration = Duration::from_secs(8);

fn token_echoed(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    let tokens: [&[u8]; 12] = [
        b"",
        b"\x00",
        b"\xff",
        b"ab",
        b"\x00\x00\x00",
        b"abcd",
        b"\x00abc\x00",
        b"\xff\xff\xff\xff\xff\xff",
        b"abcdefg",
        b"\x00\x00\x00\x00\x00\x00\x00\x01",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x01\x00\x00\x00\x00\x00\x00\x00",
    ];
    for token in tokens {
        let get = probe.get(&target).token(token);
        answered(probe, &get)?.code(Status::CONTENT)?;
    }
    Ok(())
}

/// As `ask`, but a response with another token is the fault that is looked for.
fn answered(probe: &mut Probe, request: &Message) -> Judged<Received> {
    let mut request = request.clone();
    let tries = if request.is_con() { 1 } else { 4 };
    for _ in 0..tries {
        if !request.is_con() {
            // A copy of what is not confirmable is not answered (§4.5).
            request.mid = probe.fresh_mid();
        }
        let bytes = request.to_bytes();
        let came = if request.is_con() {
            probe.demand(&bytes)?
        } else {
            probe.provoke(&bytes)?
        };
        let Some(mut answer) = came else {
            continue;
        };
        if answer.code.is_empty() {
            answer = probe.expect_message(RESPONSE, "a separate response")?;
        }
        if answer.is_con() {
            probe.acknowledge(&answer);
        }
        answer.answers(&request)?;
        return Ok(answer);
    }
    Err(Stop::fail(
        format!("expected a response to {request}, but nothing came"),
        None,
    ))
}

fn token_in_errors(probe: &mut Probe) -> Judged {
    let token = [probe.fresh_token(), probe.fresh_token()].concat();
    let target = probe.target().to_owned();
    let requests = [
        probe.get("/surely/not/here"),
        probe.delete("/.well-known/core"),
        probe.get(&target).option(OptionNumber(65_001), b""),
    ];
    for request in requests {
        answered(probe, &request.token(&token))?;
    }
    Ok(())
}

fn token_of_non(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    for token in [&b"\x00"[..], b"\x00bcdefg\xff"] {
        let get = probe.get(&target).non().token(token);
        answered(probe, &get)?.code(Status::CONTENT)?;
    }
    Ok(())
}

fn token_of_separate(probe: &mut Probe) -> Judged {
    let token = [probe.fresh_token(), probe.fresh_token()].concat();
    let get = probe.get("/separate").token(&token);
    probe.ask(&get)?.code(Status::CONTENT)?;
    Ok(())
}

fn same_token_of_two_clients(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    let mut other = probe.another()?;
    let slow = probe.get("/slow?ms=1500");
    let quick = other.get(&target).token(&slow.token).mid(slow.mid);
    probe.send(&slow);
    let quick = other.ask(&quick)?;
    quick.code(Status::CONTENT)?;
    let slow = probe.ask(&slow)?;
    slow.code(Status::CONTENT)?;
    slow.expect(
        slow.payload != quick.payload,
        "the response of the slow resource",
        None,
    )?;
    Ok(())
}

fn concurrent_requests(probe: &mut Probe) -> Judged {
    let slow = probe.get("/slow?ms=2500").token(b"\x01");
    probe.send(&slow);
    let longer = probe.get("/hello").token(b"\x01\x02");
    let hello = probe.ask(&longer)?;
    hello.code(Status::CONTENT)?;
    let none = probe.get("/hello").token(b"");
    probe
        .ask(&none)?
        .code(Status::CONTENT)?
        .payload_is(&hello.payload)?;
    // The slow one may have been acknowledged meanwhile; its copy is acknowledged again.
    let late = probe.ask(&slow)?;
    late.code(Status::CONTENT)?;
    late.expect(
        late.payload != hello.payload,
        "the response of the slow resource",
        None,
    )?;
    Ok(())
}

fn from_the_same_endpoint(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    for path in [target.as_str(), "/separate"] {
        let get = probe.get(path);
        probe.ask(&get)?;
        let get = probe.get(path).non();
        probe.ask(&get)?;
    }
    Ok(())
}

/// Sends a GET of `/separate` and takes its empty acknowledgement; from here on copies are the case's own.
fn acknowledged_empty(probe: &mut Probe) -> Judged<Message> {
    probe.set_raw(true);
    let get = probe.get("/separate");
    probe.send(&get);
    let ack = probe.expect_message(RESPONSE, "an acknowledgement")?;
    if ack.status().is_some() {
        return Err(Stop::Skip("the server has no separate response".to_owned()));
    }
    ack.is_empty_of(MessageType::Acknowledgement, get.mid)?;
    Ok(get)
}

/// The response in a message of its own.
fn expect_separate(probe: &mut Probe, get: &Message) -> Judged<Received> {
    let response = probe.expect_message(RESPONSE, "a separate response")?;
    response.code(Status::CONTENT)?.answers(get)?;
    let own = response.message_type != MessageType::Acknowledgement;
    response.expect(own, "CON or NON", None)?;
    Ok(response)
}

fn separate_response(probe: &mut Probe) -> Judged {
    let get = acknowledged_empty(probe)?;
    let response = expect_separate(probe, &get)?;
    if response.is_con() {
        probe.acknowledge(&response);
    }
    Ok(())
}

fn no_response_in_second_ack(probe: &mut Probe) -> Judged {
    let get = acknowledged_empty(probe)?;
    let mut responses = acknowledged_again(probe, &get)?;
    if responses.is_empty() {
        responses.push(expect_separate(probe, &get)?);
    }
    responses.extend(acknowledged_again(probe, &get)?);
    for response in responses.iter().filter(|response| response.is_con()) {
        probe.acknowledge(response);
    }
    Ok(())
}

/// Sends the request again: an empty acknowledgement has to come. A response may come before or behind it, for what
/// is idempotent may be executed again (§4.5), but only as a message of its own.
fn acknowledged_again(probe: &mut Probe, get: &Message) -> Judged<Vec<Received>> {
    probe.send(get);
    let (mut acknowledged, mut responses) = (false, Vec::new());
    // The acknowledgement may take as long as any; what is behind it comes soon, or is not looked at.
    while let Some(message) = probe.receive(if acknowledged { PATIENCE } else { RESPONSE })? {
        if message.message_type == MessageType::Acknowledgement {
            message.is_empty_of(MessageType::Acknowledgement, get.mid)?;
            acknowledged = true;
        } else {
            message.code(Status::CONTENT)?.answers(get)?;
            responses.push(message);
        }
    }
    if acknowledged {
        return Ok(responses);
    }
    let what = "expected an empty acknowledgement of the copy, but nothing came";
    Err(Stop::fail(what, "RFC 7252 §4.2"))
}

fn ack_after_response(probe: &mut Probe) -> Judged {
    let get = acknowledged_empty(probe)?;
    let response = expect_separate(probe, &get)?;
    if !response.is_con() {
        return Err(Stop::Skip(
            "the separate response of the server is no CON".to_owned(),
        ));
    }
    probe.acknowledge(&response);
    for response in acknowledged_again(probe, &get)? {
        probe.acknowledge(&response);
    }
    Ok(())
}

fn separate_to_non(probe: &mut Probe) -> Judged {
    probe.set_raw(true);
    let get = probe.get("/separate").non();
    probe.send(&get);
    let response = expect_separate(probe, &get)?;
    if response.is_con() {
        probe.acknowledge(&response);
    }
    Ok(())
}
