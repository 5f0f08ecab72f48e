//! §4.4, §4.5, §5.3.1: what is a copy of a message, and what is another request.
//!
//! That a copy is not executed again is a SHOULD, with a leave for what is idempotent, or may be executed again for all
//! the application cares. A resource that counts how often it was executed cares: so a POST to it that is executed twice
//! is a failure here, and a PUT that is answered anew is inconclusive.

use std::collections::HashMap;

use coracle_wire::{MessageType, Status};

use super::counters::{count_of, own_counter};
use super::created::create;
use crate::case::{Case, server};
use crate::message::{Message, Received};
use crate::probe::{PATIENCE, Probe};
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC7252-4.5-copy-of-con-post",
        "RFC 7252 §4.5",
        "Copies of a confirmable POST are acknowledged alike, and it is executed once",
        copy_of_con_post,
    )
    .needs(&["/counter/judge"])
    .without_gateway()
    .steps(&[
        "POST to a counter, and send the same datagram twice again",
        "An acknowledgement with the Message ID comes for each, with the same response (SHOULD)",
        "The counter is 1",
    ]),
    server(
        "RFC7252-4.5-copy-of-con-put",
        "RFC 7252 §4.5",
        "Copies of a confirmable PUT are answered alike",
        copy_of_con_put,
    )
    .locks(&["/create1"])
    .without_gateway()
    .steps(&[
        "PUT /create1, which is not there, and send the same datagram again",
        "The same 2.01 comes twice (SHOULD; may be relaxed because PUT is idempotent)",
    ]),
    server(
        "RFC7252-4.5-copy-of-con-get",
        "RFC 7252 §4.2, §4.5",
        "Each copy of a confirmable request is acknowledged or rejected",
        copy_of_con_get,
    )
    .without_gateway()
    .steps(&[
        "GET a resource, and send the same datagram twice again",
        "Something with its Message ID comes each time",
    ]),
    server(
        "RFC7252-4.5-copy-of-non-post",
        "RFC 7252 §4.5",
        "Copies of a non-confirmable POST are executed once",
        copy_of_non_post,
    )
    .needs(&["/counter/judge"])
    .without_gateway()
    .steps(&[
        "POST to a counter by NON, and send the same datagram twice again",
        "The counter is 1",
    ]),
    server(
        "RFC7252-4.5-same-mid-of-another",
        "RFC 7252 §4.4, §4.5",
        "The same Message ID and token from another endpoint is another message",
        same_mid_of_another,
    )
    .needs(&["/counter/judge"])
    .steps(&[
        "POST to a counter from two sockets with the same Message ID and the same token",
        "Each gets its response, and the counter is 2",
    ]),
    server(
        "RFC7252-4.5-same-token-again",
        "RFC 7252 §4.5, §5.3.1",
        "A token may be used again: a request with a new Message ID is another request",
        same_token_again,
    )
    .anywhere()
    .needs(&["/counter/judge"])
    .steps(&[
        "POST to a counter three times with the same token and new Message IDs",
        "The counter is 3",
    ]),
    server(
        "RFC7252-4.5-same-bytes-other-mid",
        "RFC 7252 §4.5, §5.3.1",
        "The empty token may be used by every request, and they are told apart by Message IDs",
        same_bytes_other_mid,
    )
    .needs(&["/counter/judge"])
    .steps(&[
        "POST to a counter three times without a token, NON and CON",
        "The counter is 3",
    ]),
    server(
        "RFC7252-4.4-mids-not-reused",
        "RFC 7252 §4.4",
        "The server does not use a Message ID twice towards an endpoint within EXCHANGE_LIFETIME",
        mids_not_reused,
    )
    .without_gateway()
    .steps(&[
        "GET a resource 64 times by NON",
        "All responses have Message IDs of their own",
    ]),
];

/// Sends a confirmable message some times as the very same datagram, and gives the reply to each.
fn copies(probe: &mut Probe, message: &Message, count: usize) -> Judged<Vec<Option<Received>>> {
    (0..count)
        .map(|_| probe.demand_reply(&message.to_bytes()))
        .collect()
}

/// Each copy of a confirmable message has to be acknowledged or rejected.
fn acknowledged(answers: Vec<Option<Received>>, mid: u16) -> Judged<Vec<Received>> {
    let missing = || {
        Stop::fail(
            "expected an acknowledgement of a copy, but nothing came",
            "RFC 7252 §4.2",
        )
    };
    let answers: Vec<Received> = answers.into_iter().collect::<Option<_>>().ok_or_else(missing)?;
    for answer in &answers {
        let kinds = [MessageType::Acknowledgement, MessageType::Reset];
        let matches = kinds.contains(&answer.message_type) && answer.mid == mid;
        answer.expect(
            matches,
            format!("an ACK or RST with Message ID {mid:#06x}"),
            "RFC 7252 §4.2",
        )?;
    }
    Ok(answers)
}

fn executed_once(count: &str) -> Judged {
    if count == "1" {
        return Ok(());
    }
    let what = format!("expected that copies are executed once, but the counter is {count}");
    Err(Stop::fail(what, "RFC 7252 §4.5"))
}

fn should_be_same(answers: &[Received]) -> Judged {
    let first = answers.first().map(|answer| &answer.message);
    if answers.iter().all(|answer| Some(&answer.message) == first) {
        return Ok(());
    }
    let what = "a copy is answered by something else (SHOULD be the same, RFC 7252 §4.5)";
    Err(Stop::Inconclusive(what.to_owned()))
}

fn copy_of_con_post(probe: &mut Probe) -> Judged {
    let path = own_counter(probe);
    let post = probe.post(&path, "");
    let answers = copies(probe, &post, 3)?;
    let answers = acknowledged(answers, post.mid)?;
    executed_once(&count_of(probe, &path)?)?;
    should_be_same(&answers)
}

fn copy_of_con_put(probe: &mut Probe) -> Judged {
    create(probe)?;
    let delete = probe.delete("/create1");
    probe.ask(&delete)?;
    let put = probe.put("/create1", "once");
    let answers = copies(probe, &put, 2)?;
    let answers = acknowledged(answers, put.mid)?;
    let delete = probe.delete("/create1");
    probe.ask(&delete)?;
    should_be_same(&answers)
}

fn copy_of_con_get(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    let get = probe.get(&target);
    let answers = copies(probe, &get, 3)?;
    acknowledged(answers, get.mid)?;
    Ok(())
}

fn copy_of_non_post(probe: &mut Probe) -> Judged {
    let path = own_counter(probe);
    let post = probe.post(&path, "").non();
    probe.set_raw(true);
    for _ in 0..3 {
        let Some(answer) = probe.provoke(&post.to_bytes())? else {
            continue;
        };
        let acknowledges = answer.message_type == MessageType::Acknowledgement;
        answer.expect(!acknowledges, "no acknowledgement", "RFC 7252 §4.3")?;
    }
    let mut other = probe.another()?;
    executed_once(&count_of(&mut other, &path)?)
}

fn same_mid_of_another(probe: &mut Probe) -> Judged {
    let path = own_counter(probe);
    let post = probe.post(&path, "");
    let mut other = probe.another()?;
    success(&probe.ask(&post)?)?;
    success(&other.ask(&post)?)?;
    expect_count(probe, &path, 2)
}

fn same_token_again(probe: &mut Probe) -> Judged {
    let path = own_counter(probe);
    let token = probe.fresh_token();
    for _ in 0..3 {
        let post = probe.post(&path, "").token(&token);
        let answer = probe.ask(&post)?;
        success(&answer)?;
    }
    expect_count(probe, &path, 3)
}

fn same_bytes_other_mid(probe: &mut Probe) -> Judged {
    let path = own_counter(probe);
    for _ in 0..2 {
        let post = probe.post(&path, "").token(b"");
        success(&probe.ask(&post)?)?;
    }
    let post = probe.post(&path, "").token(b"").non();
    success(&probe.ask(&post)?)?;
    expect_count(probe, &path, 3)
}

fn success(answer: &Received) -> Judged {
    let success = answer.status().is_some_and(Status::is_success);
    answer.expect(success, "2.xx", None)?;
    Ok(())
}

/// Every request was executed. The server may have seen more than these: copies, of which other cases are, and
/// non-confirmable requests that were asked again.
fn expect_count(probe: &mut Probe, path: &str, requests: u64) -> Judged {
    let get = probe.get(path);
    let answer = probe.ask(&get)?;
    let count = std::str::from_utf8(&answer.payload)
        .ok()
        .and_then(|text| text.parse::<u64>().ok());
    let all = count.is_some_and(|count| count >= requests);
    answer
        .code(Status::CONTENT)?
        .expect(all, format!("the counter at {requests}"), None)?;
    Ok(())
}

fn mids_not_reused(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    probe.set_raw(true);
    let mut seen: HashMap<u16, Received> = HashMap::new();
    for _ in 0..64 {
        let get = probe.get(&target).non();
        probe.send(&get);
        // What is lost by NON is lost, and what comes late is a response all the same.
        let Some(answer) = probe.receive(2 * PATIENCE)? else {
            continue;
        };
        if answer.is_con() {
            probe.acknowledge(&answer);
        }
        // A copy is the same message, not another one with the same Message ID.
        let before = seen.insert(answer.mid, answer.clone());
        let other = before.is_none_or(|before| before.message == answer.message);
        answer.expect(other, "a Message ID that was not used before", None)?;
    }
    if seen.len() < 32 {
        let what = format!("only {} Message IDs came for 64 requests by NON", seen.len());
        return Err(Stop::Inconclusive(what));
    }
    Ok(())
}
