//! §7: observations in a connection.

use std::time::{Duration, Instant};

use coracle_wire::{OptionNumber, Status};

use super::csm::expect_content;
use crate::case::{Case, server};
use crate::message::{Message, Received};
use crate::probe::{PATIENCE, Probe};
use crate::transport::Transport;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC8323-7.1-notifications",
        "RFC 8323 §7.1, §7.2; RFC 7641 §4.2",
        "Who registers is notified by its connection",
        notifications,
    )
    .over(Transport::CONNECTIONS)
    .needs(&["/obs"])
    .shares(&["/obs"])
    .within(120)
    .steps(&[
        "Register with /obs.",
        "2.05 with Observe comes, then three notifications with the token, 2.05, and an Observe of 0 to 3 bytes.",
    ]),
    server(
        "RFC8323-7.4-deregistration",
        "RFC 8323 §7.4; RFC 7641 §4.1",
        "A GET with Observe 1 and the token of the observation ends it",
        deregistration,
    )
    .over(Transport::CONNECTIONS)
    .needs(&["/obs"])
    .shares(&["/obs"])
    .within(120)
    .steps(&[
        "Register with /obs, take a notification, and GET with Observe 1 and the same token.",
        "2.05 without Observe comes, and no notification for twice the time between two.",
    ]),
    server(
        "RFC8323-7.4-end-of-the-connection",
        "RFC 8323 §3.4, §7.4",
        "An observation ends with its connection: one that uses the same token later hears nothing of it",
        end_of_the_connection,
    )
    .over(Transport::CONNECTIONS)
    .needs(&["/obs"])
    .shares(&["/obs"])
    .within(120)
    .steps(&[
        "Register with /obs, take a notification, and close the connection. Another one does a plain GET with the same token.",
        "2.05 without Observe comes, no notification, and the server is still there.",
    ]),
];

/// The longest that a change is waited for.
const CHANGE: Duration = Duration::from_secs(60);

/// Registers with `/obs`, and gives the response.
fn register(probe: &mut Probe) -> Judged<(Message, Received)> {
    let request = probe.get("/obs").observe(0);
    let response = probe.ask(&request)?;
    response.code(Status::CONTENT)?;
    if !response.options.contains(OptionNumber::OBSERVE) {
        return Err(Stop::Skip("the server does not let /obs be observed".to_owned()));
    }
    Ok((request, response))
}

/// The next notification.
fn notified(probe: &mut Probe, registration: &Message) -> Judged<Received> {
    let notification = probe.expect_message(CHANGE, "a notification")?;
    notification.answers(registration)?.code(Status::CONTENT)?;
    notification.has(OptionNumber::OBSERVE)?;
    let length = notification.options.get(OptionNumber::OBSERVE).map(<[u8]>::len);
    let short = length.is_some_and(|length| length <= 3);
    notification.expect(short, "an Observe of at most 3 bytes", "RFC 7641 §2")?;
    Ok(notification)
}

/// The answer to a GET that does not register: the notifications before it have Observe.
fn answer_beside(probe: &mut Probe, request: &Message) -> Judged<Received> {
    probe.send(request);
    let until = Instant::now() + probe.answer_time();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let message = probe.expect_message(left, "a response without Observe")?;
        message.answers(request)?;
        if !message.options.contains(OptionNumber::OBSERVE) {
            return Ok(message);
        }
    }
}

fn notifications(probe: &mut Probe) -> Judged {
    let (registration, _) = register(probe)?;
    for _ in 0..3 {
        notified(probe, &registration)?;
    }
    // The connection is of use for other things meanwhile.
    probe.expect_pong()
}

/// A GET that ends the observation.
fn ends(registration: &Message) -> Message {
    let mut request = registration.clone();
    request.options.remove(OptionNumber::OBSERVE);
    request.observe(1)
}

fn deregistration(probe: &mut Probe) -> Judged {
    let (registration, _) = register(probe)?;
    let first = notified(probe, &registration)?;
    let second = notified(probe, &registration)?;
    let response = answer_beside(probe, &ends(&registration))?;
    response.code(Status::CONTENT)?;
    let apart = second.at.saturating_sub(first.at);
    probe.expect_silence(2 * apart + PATIENCE, "RFC 8323 §7.4")?;
    expect_content(probe)
}

fn end_of_the_connection(probe: &mut Probe) -> Judged {
    let mut other = probe.another()?;
    let (registration, response) = register(&mut other)?;
    let notification = notified(&mut other, &registration)?;
    let apart = notification.at.saturating_sub(response.at);
    other.close()?;
    let mut plain = registration;
    plain.options.remove(OptionNumber::OBSERVE);
    let answer = probe.ask(&plain)?;
    answer.code(Status::CONTENT)?.lacks(OptionNumber::OBSERVE)?;
    probe.expect_silence(2 * apart + PATIENCE, "RFC 8323 §7.4")?;
    probe.expect_alive()
}
