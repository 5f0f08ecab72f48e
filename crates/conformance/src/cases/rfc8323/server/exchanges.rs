//! §3.3, §4.3: requests and responses in a connection.

use std::collections::HashMap;

use coracle_wire::{Method, Status};

use super::super::super::rfc7252::{count_of, own_counter};
use super::csm::expect_content;
use crate::case::{Case, server};
use crate::probe::Probe;
use crate::transport::Transport;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC8323-3.3-order-of-responses",
        "RFC 8323 §3.3, §4.3",
        "A request that takes time does not hold up those behind it",
        order_of_responses,
    )
    .over(Transport::CONNECTIONS)
    .needs(&["/separate"])
    .steps(&[
        "GET /separate, then GET another resource.",
        "Both are answered, the second one first. Any order is allowed, so that another one is inconclusive.",
    ]),
    server(
        "RFC8323-3.3-concurrent-requests",
        "RFC 8323 §3.3, §4.3",
        "Requests that are under way at once are told apart by their tokens",
        concurrent_requests,
    )
    .over(Transport::CONNECTIONS)
    .needs(&["/counter/judge"])
    .steps(&[
        "Send 24 POSTs to one counter, each with its own token and without waiting.",
        "Each is answered once, with its own token, and the counter stands at 24.",
    ]),
    server(
        "RFC8323-3.3-same-connection",
        "RFC 8323 §3.3, §4.3",
        "A response comes by the connection of its request, also if another one uses the same token",
        same_connection,
    )
    .over(Transport::CONNECTIONS)
    .needs(&["/separate"])
    .steps(&[
        "GET /separate by one connection, and what is not there by another one, with the same token.",
        "The first gets 2.05, the second 4.04, and nothing else comes.",
    ]),
    server(
        "RFC8323-3.1-no-deduplication",
        "RFC 8323 §3.1, §3.3",
        "The same request sent twice is two requests: there are no Message IDs",
        no_deduplication,
    )
    .over(Transport::CONNECTIONS)
    .needs(&["/counter/judge"])
    .steps(&["POST to a counter twice with the same bytes, one after the other.", "It is counted twice."]),
    server(
        "RFC8323-3.3-half-closed",
        "RFC 8323 §3.3",
        "Who closes its side behind a request is answered, or the connection is ended; the server is not stuck",
        half_closed,
    )
    .over(&[Transport::Tcp])
    .steps(&["GET, and close the judge's side of the connection.", "2.05 may come. The connection ends within 10 s."]),
];

fn order_of_responses(probe: &mut Probe) -> Judged {
    let slow = probe.get("/separate");
    let target = probe.target().to_owned();
    let quick = probe.get(&target);
    probe.send(&slow);
    probe.send(&quick);
    let within = probe.answer_time();
    let first = probe.expect_message(within, "two responses")?;
    let second = probe.expect_message(within, "two responses")?;
    first.code(Status::CONTENT)?;
    second.code(Status::CONTENT)?;
    if first.token == quick.token {
        second.answers(&slow)?;
        return Ok(());
    }
    first.answers(&slow)?;
    second.answers(&quick)?;
    let what = "a request waits for the response to the one before it";
    Err(Stop::Inconclusive(what.to_owned()))
}

fn concurrent_requests(probe: &mut Probe) -> Judged {
    let counter = own_counter(probe);
    let mut under_way = HashMap::new();
    for _ in 0..24 {
        let post = probe.request(Method::POST, &counter);
        probe.send(&post);
        under_way.insert(post.token.clone(), post);
    }
    while !under_way.is_empty() {
        let within = probe.answer_time();
        let answer = probe.expect_message(within, "a response to each request")?;
        let known = under_way.remove(&answer.token).is_some();
        answer.expect(known, "the token of a request that is not answered yet", None)?;
        answer.code_in(&[Status::CHANGED, Status::CREATED])?;
    }
    let count = count_of(probe, &counter)?;
    if count == "24" {
        return Ok(());
    }
    let what = format!("expected the counter at 24 after 24 requests, but it is at {count}");
    Err(Stop::fail(what, None))
}

fn same_connection(probe: &mut Probe) -> Judged {
    let mut other = probe.another()?;
    let slow = probe.get("/separate");
    probe.send(&slow);
    let missing = other.get("/no-such-resource").token(&slow.token);
    other.ask(&missing)?.code(Status::NOT_FOUND)?;
    let within = probe.answer_time();
    let answer = probe.expect_message(within, "the response")?;
    answer.answers(&slow)?.code(Status::CONTENT)?;
    expect_content(&mut other)?;
    expect_content(probe)
}

fn no_deduplication(probe: &mut Probe) -> Judged {
    let counter = own_counter(probe);
    let post = probe.request(Method::POST, &counter);
    for _ in 0..2 {
        probe.ask(&post)?.code_in(&[Status::CHANGED, Status::CREATED])?;
    }
    let count = count_of(probe, &counter)?;
    if count == "2" {
        return Ok(());
    }
    Err(Stop::fail(
        format!("expected the counter at 2, but it is at {count}"),
        None,
    ))
}

fn half_closed(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    let request = probe.get(&target);
    probe.send(&request);
    probe.half_close()?;
    let ended = probe.until_ended()?;
    for answer in &ended.messages {
        answer.answers(&request)?;
    }
    ended.is_over("whose other side is closed")?;
    probe.expect_alive()
}
