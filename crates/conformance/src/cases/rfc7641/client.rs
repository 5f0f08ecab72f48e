//! What is asked of clients.

use coracle_wire::{MessageType, Status};

use crate::case::{Case, client};
use crate::host::Host;
use crate::message::{Message, Received};
use crate::probe::PATIENCE;
use crate::template::Stimulus;
use crate::verdict::Judged;

/// The cases.
pub(super) const CASES: &[Case] = &[
    client(
        "RFC7641-3.4-older-notification",
        "RFC 7641 §3.4",
        "A notification that was overtaken by a newer one is not taken for the state",
        older_notification,
    )
    .steps(&[
        "The client registers, and gets a notification with Observe 20.",
        "It gets one with Observe 15, which it acknowledges and does not show, and one with 21, which it shows.",
    ]),
    client(
        "RFC7641-3.4-numbers-wrap",
        "RFC 7641 §3.4",
        "The number after 2^24 - 1 is 0, and is newer",
        numbers_wrap,
    )
    .steps(&[
        "The client registers and is answered with Observe 2^24 - 2.",
        "It gets notifications with 2^24 - 1 and with 0, and shows both.",
    ]),
    client(
        "RFC7641-3.5-types-of-notifications",
        "RFC 7641 §3.5",
        "Notifications are taken by either type, and only confirmable ones are acknowledged",
        types_of_notifications,
    )
    .without_gateway()
    .steps(&[
        "The client registers, and gets a non-confirmable notification, then a confirmable one.",
        "Only the second one is acknowledged, and both are shown.",
    ]),
    client(
        "RFC7641-3.5-unknown-token",
        "RFC 7641 §3.5",
        "A notification with a token that is not known is not acknowledged, and not shown",
        unknown_token,
    )
    .steps(&[
        "The client registers, and gets a confirmable notification with another token.",
        "A Reset arrives, or nothing; the payload is not shown. A notification with its own token is taken.",
    ]),
];

/// Starts an observation, and answers it with a state.
fn register(host: &mut Host, sequence: u32, text: &str) -> Judged<Received> {
    host.start(&Stimulus::get("/obs").observe())?;
    let registration = host.request()?;
    registration.expect(
        registration.observe_value() == Some(0),
        "Observe 0",
        "RFC 7641 §3.1",
    )?;
    let response = host
        .response_to(&registration, Status::CONTENT)
        .observe(sequence)
        .text(text);
    host.answer(&registration, &response);
    host.expect_shown(text)?;
    Ok(registration)
}

fn notification(host: &mut Host, registration: &Received, sequence: u32, text: &str) -> Message {
    host.separate_to(registration, Status::CONTENT)
        .observe(sequence)
        .text(text)
}

fn notify(host: &mut Host, registration: &Received, sequence: u32, text: &str) -> Judged {
    let message = notification(host, registration, sequence, text);
    host.send_confirmable(registration, &message)?;
    Ok(())
}

fn older_notification(host: &mut Host) -> Judged {
    let registration = register(host, 10, "state of ten")?;
    notify(host, &registration, 20, "state of twenty")?;
    notify(host, &registration, 15, "state of fifteen")?;
    notify(host, &registration, 21, "state of one more")?;
    host.expect_shown("state of one more")?;
    host.expect_not_shown("state of fifteen", "RFC 7641 §3.4")
}

fn numbers_wrap(host: &mut Host) -> Judged {
    let registration = register(host, 0xff_fffe, "the last but one")?;
    notify(host, &registration, 0xff_ffff, "the last of all")?;
    notify(host, &registration, 0, "the first again")?;
    host.expect_shown("the last of all")?;
    host.expect_shown("the first again")
}

fn types_of_notifications(host: &mut Host) -> Judged {
    let registration = register(host, 1, "state one")?;
    let non = notification(host, &registration, 2, "state two").non();
    host.send(&registration, &non);
    while let Some(message) = host.receive(PATIENCE)? {
        let replies = [MessageType::Acknowledgement, MessageType::Reset].contains(&message.message_type);
        message.expect(
            !(replies && message.mid == non.mid),
            "no reply to a non-confirmable message",
            None,
        )?;
    }
    notify(host, &registration, 3, "state three")?;
    host.expect_shown("state two")?;
    host.expect_shown("state three")
}

fn unknown_token(host: &mut Host) -> Judged {
    let registration = register(host, 1, "state one")?;
    let stranger = notification(host, &registration, 2, "of another").token(b"stranger");
    host.send(&registration, &stranger);
    while let Some(message) = host.receive(PATIENCE)? {
        let acknowledges =
            message.message_type == MessageType::Acknowledgement && message.mid == stranger.mid;
        message.expect(!acknowledges, "a Reset, or nothing", None)?;
    }
    notify(host, &registration, 3, "state three")?;
    host.expect_shown("state three")?;
    host.expect_not_shown("of another", "RFC 7641 §3.5")
}
