//! What is asked of servers.

use std::time::{Duration, Instant};

use coracle_wire::{MessageType, OptionNumber, Status};

use super::super::discovery::{CORE, discover};
use super::super::watch::{Watch, answer};
use crate::case::{Case, server};
use crate::message::Received;
use crate::probe::{PATIENCE, Probe};
use crate::talk::ACK_TIMEOUT;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC7641-2-value-of-four-bytes",
        "RFC 7641 §2; RFC 7252 §5.4.3",
        "An Observe of more than three bytes is ignored, as an elective option that is not understood",
        value_of_four_bytes,
    )
    .anywhere()
    .needs(&["/obs"])
    .shares(&["/obs"])
    .steps(&["GET /obs with an Observe of four bytes.", "2.05 without Observe arrives, and no notification."]),
    server(
        "RFC7641-4.1-same-token-once",
        "RFC 7641 §4.1",
        "Who registers again with the same token is notified once of each change",
        same_token_once,
    )
    .needs(&["/obs"])
    .shares(&["/obs"])
    .within(90)
    .steps(&["Register with /obs twice, with the same token.", "Four notifications come, and no state twice at once."]),
    server(
        "RFC7641-4.1-entry-of-endpoint-and-token",
        "RFC 7641 §4.1",
        "A deregistration with another token, or from another endpoint, ends nothing",
        entry_of_endpoint_and_token,
    )
    .needs(&["/obs"])
    .shares(&["/obs"])
    .within(90)
    .steps(&[
        "Register with /obs.",
        "GET with Observe 1 and another token, and with the same token from another endpoint: 2.05 without Observe.",
        "Notifications go on.",
    ]),
    server(
        "RFC7641-4.1-deregistration-of-nothing",
        "RFC 7641 §4.1",
        "A deregistration that ends nothing is a plain GET",
        deregistration_of_nothing,
    )
    .anywhere()
    .needs(&["/obs"])
    .shares(&["/obs"])
    .steps(&["GET /obs with Observe 1, without a registration.", "2.05 without Observe arrives."]),
    server(
        "RFC7641-4.2-no-observe-in-errors",
        "RFC 7641 §4.2",
        "An error in answer to a registration has no Observe",
        no_observe_in_errors,
    )
    .anywhere()
    .steps(&["GET with Observe 0 a resource that is not there.", "4.04 without Observe arrives."]),
    server(
        "RFC7641-4.4-numbers-of-three-bytes",
        "RFC 7641 §2, §4.4",
        "Sequence numbers have at most three bytes, and grow",
        numbers_of_three_bytes,
    )
    .needs(&["/obs"])
    .shares(&["/obs"])
    .within(90)
    .steps(&["Register with /obs.", "The response and three notifications have Observe of at most 3 bytes, each newer than the one before."]),
    server(
        "RFC7641-4.5-lost-notification",
        "RFC 7641 §4.5",
        "A confirmable notification that is lost is made up for: the latest state arrives",
        lost_notification,
    )
    .needs(&["/obs"])
    .shares(&["/obs"])
    .within(90)
    .steps(&[
        "Register with /obs, and lose the next two messages of the server.",
        "A notification arrives all the same, newer than all before.",
    ]),
    server(
        "RFC7641-4.5-reset-of-non",
        "RFC 7641 §3.6, §4.5",
        "A client that rejects each non-confirmable notification is left alone after a few, or by confirmable ones",
        reset_of_non,
    )
    .needs(&["/obs-non"])
    .shares(&["/obs-non"])
    .without_gateway()
    .within(120)
    .steps(&[
        "Register with /obs-non, and reject each notification with a Reset.",
        "After at most six, nothing comes any more. A server may take Resets of non-confirmable ones for lost.",
    ]),
    server(
        "RFC7641-4.5.1-one-outstanding",
        "RFC 7641 §4.5.1; RFC 7252 §4.7",
        "A client that acknowledges nothing has one notification outstanding, of all that it observes",
        one_outstanding,
    )
    .needs(&["/obs", "/obs-pumping"])
    .shares(&["/obs", "/obs-pumping"])
    .without_gateway()
    .within(90)
    .steps(&[
        "Register with /obs and /obs-pumping from one endpoint, and acknowledge nothing.",
        "For 12 s, two different confirmable messages never come closer than ACK_TIMEOUT, which is not less than 1 s.",
    ]),
    server(
        "RFC7641-6-obs-attribute",
        "RFC 7641 §6",
        "The attribute obs of a link has no value and stands there once",
        obs_attribute,
    )
    .needs(&[CORE])
    .steps(&["GET /.well-known/core.", "Each obs has no value, and no link has it twice."]),
];

fn value_of_four_bytes(probe: &mut Probe) -> Judged {
    let request = probe.get("/obs").option(OptionNumber::OBSERVE, &[0, 0, 0, 0]);
    probe
        .ask(&request)?
        .code(Status::CONTENT)?
        .lacks(OptionNumber::OBSERVE)?;
    Ok(())
}

fn same_token_once(probe: &mut Probe) -> Judged {
    let (mut watch, _) = Watch::register(probe, "/obs")?;
    watch.next_acknowledged(probe)?;
    let again = watch.request.clone().mid(probe.fresh_mid());
    let response = answer(probe, &again)?;
    watch = Watch::registered(probe, again, &response)?;
    let mut notifications: Vec<Received> = Vec::new();
    for _ in 0..4 {
        notifications.push(watch.next_acknowledged(probe)?);
    }
    watch.leave(probe);
    told_once(&notifications)
}

/// A state may come back, and may be told again before it is too old; but who has two entries tells each state twice at
/// once, much closer together than it changes.
fn told_once(notifications: &[Received]) -> Judged {
    let pairs = || notifications.iter().zip(notifications.iter().skip(1));
    let apart = |(a, b): (&Received, &Received)| b.at.saturating_sub(a.at);
    let longest = pairs().map(apart).max().unwrap_or_default();
    for (first, second) in pairs() {
        let again = first.payload == second.payload && apart((first, second)) < longest / 3;
        second.expect(!again, "one notification of each state", None)?;
    }
    Ok(())
}

fn entry_of_endpoint_and_token(probe: &mut Probe) -> Judged {
    let mut watch = Watch::established(probe)?;
    let token = probe.fresh_token();
    let with_other_token = watch.deregistration(probe).token(&token);
    answer(probe, &with_other_token)?
        .code(Status::CONTENT)?
        .lacks(OptionNumber::OBSERVE)?;
    let mut other = probe.another()?;
    let from_elsewhere = watch.deregistration(&mut other);
    other
        .ask(&from_elsewhere)?
        .code(Status::CONTENT)?
        .lacks(OptionNumber::OBSERVE)?;
    watch.catch_up(probe)?;
    watch.next_acknowledged(probe)?;
    watch.leave(probe);
    Ok(())
}

fn deregistration_of_nothing(probe: &mut Probe) -> Judged {
    let request = probe.get("/obs").observe(1);
    probe
        .ask(&request)?
        .code(Status::CONTENT)?
        .lacks(OptionNumber::OBSERVE)?;
    Ok(())
}

fn no_observe_in_errors(probe: &mut Probe) -> Judged {
    let request = probe.get("/no-such-resource").observe(0);
    probe
        .ask(&request)?
        .code(Status::NOT_FOUND)?
        .lacks(OptionNumber::OBSERVE)?;
    Ok(())
}

fn numbers_of_three_bytes(probe: &mut Probe) -> Judged {
    let short = |message: &Received| {
        let length = message.options.get(OptionNumber::OBSERVE).map(<[u8]>::len);
        message
            .expect(
                length.is_some_and(|length| length <= 3),
                "an Observe of at most 3 bytes",
                None,
            )
            .map(drop)
    };
    let (mut watch, response) = Watch::register(probe, "/obs")?;
    short(&response)?;
    for _ in 0..3 {
        short(&watch.next_acknowledged(probe)?)?;
    }
    watch.leave(probe);
    Ok(())
}

fn lost_notification(probe: &mut Probe) -> Judged {
    let mut watch = Watch::established(probe)?;
    // The third copy leaves 6 to 9 s after the first.
    watch.patience += Duration::from_secs(15);
    probe.lose(0, 2);
    let notification = watch.next(probe)?;
    if notification.is_con() {
        probe.acknowledge(&notification);
    }
    watch.leave(probe);
    Ok(())
}

/// How many notifications a client has to reject at most; Resets may be lost, and more so may a memory of IDs.
const REJECTIONS: usize = 6;

fn reset_of_non(probe: &mut Probe) -> Judged {
    let (mut watch, _) = Watch::register(probe, "/obs-non")?;
    // Non-confirmable notifications may be kept apart for longer than their state is fresh.
    watch.patience += Duration::from_secs(5);
    let mut confirmable = false;
    for _ in 0..REJECTIONS {
        let until = Instant::now() + watch.patience;
        let notification = loop {
            let left = until.saturating_duration_since(Instant::now());
            match probe.receive(left)? {
                None => return Ok(()),
                Some(message) if message.token == watch.request.token => break message,
                Some(_) => {}
            }
        };
        confirmable |= notification.is_con();
        probe.reset(&notification);
    }
    watch.interval = watch.patience;
    match watch.expect_end(probe, "RFC 7641 §4.5") {
        // The implementation note of §4.5 allows that.
        Err(Stop::Fail(_)) if !confirmable => {
            watch.leave(probe);
            let what = "the server takes Resets of non-confirmable notifications for lost, as it may (RFC 7641 §4.5)";
            Err(Stop::Inconclusive(what.to_owned()))
        }
        judged => judged,
    }
}

/// What ACK_TIMEOUT may not be less than, however it is configured (RFC 7252 §4.8.1).
const LEAST_ACK_TIMEOUT: Duration = Duration::from_secs(1);

fn one_outstanding(probe: &mut Probe) -> Judged {
    let jitter = probe.jitter()?;
    let (first, _) = Watch::register(probe, "/obs")?;
    let (second, _) = Watch::register(probe, "/obs-pumping")?;
    probe.set_raw(true);
    let until = Instant::now() + Duration::from_secs(12);
    let mut outstanding: Option<Received> = None;
    let mut too_close = None;
    while let Some(message) = probe.receive(until.saturating_duration_since(Instant::now()))? {
        let notifies = [&first, &second]
            .iter()
            .any(|watch| watch.request.token == message.token);
        if !notifies || message.message_type != MessageType::Confirmable {
            continue;
        }
        if let Some(before) = outstanding.as_ref().filter(|before| before.mid != message.mid) {
            let apart = message.at.saturating_sub(before.at);
            let what = format!(
                "no other confirmable message {:.1} s after one that is not acknowledged",
                apart.as_secs_f64()
            );
            message.expect(apart + jitter >= LEAST_ACK_TIMEOUT, &what, None)?;
            if apart + jitter < ACK_TIMEOUT {
                too_close = Some(what);
            }
        }
        outstanding = Some(message);
    }
    if outstanding.is_none() {
        return Err(Stop::Skip(
            "the server notifies by non-confirmable messages".to_owned(),
        ));
    }
    probe.set_raw(false);
    if let Some(message) = outstanding {
        probe.reset(&message);
    }
    probe.receive(PATIENCE)?;
    first.leave(probe);
    second.leave(probe);
    match too_close {
        None => Ok(()),
        Some(what) => Err(Stop::Inconclusive(format!(
            "expected {what}, unless the server has another ACK_TIMEOUT, as it may (RFC 7252 §4.8.1)"
        ))),
    }
}

fn obs_attribute(probe: &mut Probe) -> Judged {
    let (response, links) = discover(probe, CORE)?;
    for link in &links {
        let values: Vec<&String> = link
            .attributes
            .iter()
            .filter(|(name, _)| name == "obs")
            .map(|(_, value)| value)
            .collect();
        let holds = values.len() <= 1 && values.iter().all(|value| value.is_empty());
        response.expect(
            holds,
            format!("obs once and without a value in the link to {}", link.target),
            None,
        )?;
    }
    Ok(())
}
