//! §4.2: how a separate response that is confirmable is repeated.

use std::time::{Duration, Instant};

use coracle_wire::{MessageType, Status};

use crate::case::{Case, server};
use crate::message::{Message, Received};
use crate::probe::{PATIENCE, Probe};
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC7252-4.2-retransmission",
        "RFC 7252 §4.2, §4.8, §4.8.2",
        "A confirmable response is repeated unchanged with growing pauses, at most four times, then no more",
        retransmission,
    )
    .needs(&["/separate"])
    .without_gateway()
    .within(160)
    .steps(&[
        "GET /separate, and acknowledge nothing",
        "The same response comes up to four times again, with the same Message ID",
        "No pause is shorter than ACK_TIMEOUT, none comes before 2, 6, 14 and 30 s, all are over within MAX_TRANSMIT_SPAN",
        "Nothing comes for as long as a fifth pause could be",
        "With a longer first pause, or one of 1 s or more and doubled ones behind it, the server has other parameters",
    ]),
    server(
        "RFC7252-4.2-retransmission-of-late-response",
        "RFC 7252 §4.2",
        "The first pause begins when the response is sent, however long it took",
        retransmission_of_late_response,
    )
    .needs(&["/slow"])
    .without_gateway()
    .within(60)
    .steps(&[
        "GET /slow?ms=5000",
        "The response comes, and not again within the second that ACK_TIMEOUT is at least; then it does",
    ]),
    server(
        "RFC7252-4.2-stops-at-ack",
        "RFC 7252 §4.2",
        "A confirmable response is not repeated once it is acknowledged",
        stops_at_ack,
    )
    .needs(&["/separate"])
    .without_gateway()
    .within(60)
    .steps(&["GET /separate", "Let the response come twice, then acknowledge it", "It does not come again"]),
    server(
        "RFC7252-4.2-stops-at-reset",
        "RFC 7252 §4.2",
        "A confirmable response is not repeated once it is rejected",
        stops_at_reset,
    )
    .needs(&["/separate"])
    .without_gateway()
    .within(60)
    .steps(&["GET /separate", "Let the response come twice, then send a Reset", "It does not come again"]),
    server(
        "RFC7252-5.2.2-stops-at-ack-with-response",
        "RFC 7252 §5.2.2",
        "An acknowledgement stops a response, whatever code and payload it has, which are ignored",
        stops_at_ack_with_response,
    )
    .needs(&["/separate"])
    .without_gateway()
    .within(60)
    .steps(&[
        "GET /separate",
        "Let the response come twice, then acknowledge it with a 2.05 that has a payload",
        "Nothing comes any more",
    ]),
    server(
        "RFC7252-4.4-ack-of-another-mid",
        "RFC 7252 §4.4",
        "An acknowledgement or Reset with another Message ID belongs to no message",
        ack_of_another_mid,
    )
    .needs(&["/separate"])
    .without_gateway()
    .within(60)
    .steps(&[
        "GET /separate",
        "Send an ACK and a RST with the Message IDs beside that of the response, and with that of the request",
        "The response comes again",
    ]),
    server(
        "RFC7252-4.4-ack-of-another-endpoint",
        "RFC 7252 §4.4",
        "An acknowledgement or Reset from another endpoint belongs to no message",
        ack_of_another_endpoint,
    )
    .needs(&["/separate"])
    .without_gateway()
    .within(60)
    .steps(&[
        "GET /separate",
        "Send an ACK and a RST with the Message ID of the response from another socket",
        "The response comes again",
    ]),
];

/// ACK_TIMEOUT (§4.8).
const ACK_TIMEOUT: Duration = Duration::from_secs(2);

/// MAX_TRANSMIT_SPAN with the default parameters (§4.8.2).
const MAX_TRANSMIT_SPAN: Duration = Duration::from_secs(45);

/// MAX_RETRANSMIT (§4.8).
const MAX_RETRANSMIT: usize = 4;

/// How long a separate response may take.
const RESPONSE: Duration = Duration::from_secs(8);

/// What ACK_TIMEOUT may not be less than, however it is configured (§4.8.1).
const LEAST_ACK_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the first repetition may take: 3 s at most by the default parameters, and late servers and others.
const FIRST_PAUSE: Duration = Duration::from_secs(12);

/// GETs `/separate` and gives the first copy of the response, which has to be confirmable and separate.
fn separate(probe: &mut Probe) -> Judged<(Message, Received)> {
    separate_of(probe, "/separate")
}

/// As [`separate`], for any resource that is slow.
fn separate_of(probe: &mut Probe, path: &str) -> Judged<(Message, Received)> {
    probe.set_raw(true);
    let get = probe.get(path);
    probe.send(&get);
    let mut answer = probe.expect_message(RESPONSE, "an acknowledgement")?;
    if answer.message_type == MessageType::Acknowledgement && answer.code.is_empty() {
        answer.is_empty_of(MessageType::Acknowledgement, get.mid)?;
        answer = probe.expect_message(RESPONSE, "a separate response")?;
    }
    answer.code(Status::CONTENT)?.answers(&get)?;
    if !answer.is_con() {
        return Err(Stop::Skip(
            "the server has no separate response by CON".to_owned(),
        ));
    }
    Ok((get, answer))
}

/// As [`separate`], and the response has come twice.
fn repeated(probe: &mut Probe) -> Judged<(Message, Received)> {
    let (get, first) = separate(probe)?;
    expect_again(probe, &first, FIRST_PAUSE)?;
    Ok((get, first))
}

/// A copy has to come, whatever else comes before it.
fn expect_again(probe: &mut Probe, first: &Received, within: Duration) -> Judged<Received> {
    let until = Instant::now() + within;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let copy = probe.expect_message(left, "the response again")?;
        if copy.mid == first.mid {
            copy.expect(copy.message == first.message, "the same message again", None)?;
            return Ok(copy);
        }
    }
}

fn retransmission(probe: &mut Probe) -> Judged {
    let jitter = probe.jitter()?;
    let (_, first) = separate(probe)?;
    let mut copies = vec![first.clone()];
    // The fifth pause of the longest initial timeout: 3 s, doubled four times.
    let longest = 16 * (ACK_TIMEOUT * 3 / 2);
    while copies.len() <= 2 * MAX_RETRANSMIT {
        let Some(copy) = probe.receive(longest)? else {
            break;
        };
        copy.expect(copy.message == first.message, "the same message again", None)?;
        copies.push(copy);
    }
    if copies.len() == 1 {
        return Err(Stop::fail(
            "expected the response again, but it did not come",
            None,
        ));
    }
    match by_default(&copies, jitter) {
        Err(Stop::Fail(finding)) if has_other_parameters(&copies, jitter) => {
            Err(Stop::Inconclusive(format!(
                "the server has other parameters than the default ones, as it may (RFC 7252 §4.8.1): {}",
                finding.what
            )))
        }
        judged => judged,
    }
}

/// A server may be late with a repetition and catch up on the next one, but never be before the time that the shortest
/// initial timeout gives: 2, 6, 14 and 30 s after the first.
fn by_default(copies: &[Received], jitter: Duration) -> Judged {
    let Some((first, repetitions)) = copies.split_first() else {
        return Ok(());
    };
    let mut last = first;
    for (count, copy) in (1..).zip(repetitions) {
        copy.expect(count <= MAX_RETRANSMIT, "no fifth repetition", "RFC 7252 §4.8")?;
        let (pause, span) = (copy.at.saturating_sub(last.at), copy.at.saturating_sub(first.at));
        copy.expect(
            pause + jitter >= ACK_TIMEOUT,
            "a pause of at least ACK_TIMEOUT",
            None,
        )?;
        let earliest = ((1 << count) - 1) * ACK_TIMEOUT;
        let expected = format!(
            "repetition {count} at least {} s after the first copy",
            earliest.as_secs()
        );
        copy.expect(span + jitter >= earliest, expected, None)?;
        let within = span <= MAX_TRANSMIT_SPAN + jitter;
        copy.expect(within, "nothing after MAX_TRANSMIT_SPAN", "RFC 7252 §4.2, §4.8.2")?;
        last = copy;
    }
    Ok(())
}

/// The first pause is not too short for any configuration, and those behind it are its double, and so on.
fn has_other_parameters(copies: &[Received], jitter: Duration) -> bool {
    let [first, second, ..] = copies else {
        return false;
    };
    let timeout = second.at.saturating_sub(first.at);
    let mut spans = (0..).zip(copies).map(|(count, copy)| {
        let earliest = timeout * ((1_u32 << count) - 1);
        copy.at.saturating_sub(first.at) + jitter >= earliest
    });
    timeout + jitter >= LEAST_ACK_TIMEOUT && spans.all(|late_enough| late_enough)
}

fn retransmission_of_late_response(probe: &mut Probe) -> Judged {
    let jitter = probe.jitter()?;
    let (_, first) = separate_of(probe, "/slow?ms=5000")?;
    let copy = expect_again(probe, &first, FIRST_PAUSE)?;
    let pause = copy.at.saturating_sub(first.at);
    let expected = "a pause of at least a second";
    copy.expect(
        pause + jitter >= LEAST_ACK_TIMEOUT,
        expected,
        "RFC 7252 §4.2, §4.8.1",
    )?;
    probe.acknowledge(&copy);
    Ok(())
}

/// The response is answered by `reply`, and nothing comes for longer than the pause that would follow, 6 s at most, and
/// ours. One more copy may have met the reply on its way, or the reply was lost: it is answered again.
fn expect_end(
    probe: &mut Probe,
    first: &Received,
    reply: impl Fn(&mut Probe),
    section: &'static str,
) -> Judged {
    let pause = 2 * ACK_TIMEOUT * 3 / 2;
    reply(probe);
    match probe.receive(pause + PATIENCE)? {
        None => Ok(()),
        Some(copy) => {
            copy.expect(copy.message == first.message, "silence", section)?;
            reply(probe);
            probe.expect_silence(2 * pause + PATIENCE, section)
        }
    }
}

fn stops_at_ack(probe: &mut Probe) -> Judged {
    let (_, first) = repeated(probe)?;
    expect_end(probe, &first, |probe| probe.acknowledge(&first), "RFC 7252 §4.2")
}

fn stops_at_reset(probe: &mut Probe) -> Judged {
    let (_, first) = repeated(probe)?;
    expect_end(probe, &first, |probe| probe.reset(&first), "RFC 7252 §4.2")
}

fn stops_at_ack_with_response(probe: &mut Probe) -> Judged {
    let (get, first) = repeated(probe)?;
    let ack = Message::new(MessageType::Acknowledgement, Status::CONTENT, first.mid);
    let ack = ack.token(&get.token).payload(b"odd");
    expect_end(probe, &first, |probe| probe.send(&ack), "RFC 7252 §5.2.2")?;
    probe.expect_alive()
}

fn ack_of_another_mid(probe: &mut Probe) -> Judged {
    let (get, first) = separate(probe)?;
    for mid in [first.mid.wrapping_add(1), first.mid.wrapping_sub(1), get.mid] {
        if mid == first.mid {
            continue;
        }
        probe.send(&Message::empty(MessageType::Acknowledgement, mid));
        probe.send(&Message::empty(MessageType::Reset, mid));
    }
    let copy = expect_again(probe, &first, FIRST_PAUSE)?;
    probe.acknowledge(&copy);
    Ok(())
}

fn ack_of_another_endpoint(probe: &mut Probe) -> Judged {
    let (_, first) = separate(probe)?;
    let mut other = probe.another()?;
    other.set_raw(true);
    other.send(&Message::empty(MessageType::Acknowledgement, first.mid));
    other.send(&Message::empty(MessageType::Reset, first.mid));
    let copy = expect_again(probe, &first, FIRST_PAUSE)?;
    probe.acknowledge(&copy);
    Ok(())
}
