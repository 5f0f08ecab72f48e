//! §7: observations as clients have them.

use std::time::{Duration, Instant};

use coracle_wire::{Method, OptionNumber, Status};

use crate::case::{Case, client};
use crate::host::Host;
use crate::message::{Message, Received};
use crate::template::Stimulus;
use crate::transport::Transport;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    client(
        "RFC8323-7.1-value-of-observe",
        "RFC 8323 §7.1",
        "The value of Observe in notifications is ignored: their order is that of the connection",
        value_of_observe,
    )
    .over(Transport::CONNECTIONS)
    .steps(&["The client registers, and gets notifications with Observe 20, 15, 15 and an empty one.", "All are shown."]),
    client(
        "RFC8323-7.4-deregistration",
        "RFC 8323 §7.4",
        "A client ends an observation by a GET with Observe 1 and its token",
        deregistration,
    )
    .over(Transport::CONNECTIONS)
    .steps(&[
        "The client observes for 2 s, or until it is interrupted.",
        "A GET comes with Observe 1, the token of the registration and its other options. A client that closes the connection instead is inconclusive: that ends the observation, too.",
    ]),
];

fn register(host: &mut Host, stimulus: &Stimulus) -> Judged<Received> {
    host.start(stimulus)?;
    let registration = host.request()?;
    let section = "RFC 7641 §3.1";
    registration.expect(registration.observe_value() == Some(0), "Observe 0", section)?;
    Ok(registration)
}

fn notify(host: &mut Host, registration: &Received, observe: u32, text: &str) -> Message {
    let notification = host.response_to(registration, Status::CONTENT);
    let notification = notification.observe(observe).text(text);
    host.send(registration, &notification);
    notification
}

fn value_of_observe(host: &mut Host) -> Judged {
    let registration = register(host, &Stimulus::get("/obs").observe())?;
    let states = [
        (20, "first state"),
        (15, "second state"),
        (15, "third state"),
        (0, "fourth state"),
    ];
    for (observe, text) in states {
        notify(host, &registration, observe, text);
        host.expect_shown(text)?;
    }
    Ok(())
}

/// How long a client may take to end an observation.
const LEAVING: Duration = Duration::from_secs(6);

fn deregistration(host: &mut Host) -> Judged {
    let registration = register(host, &Stimulus::get("/obs").observe_for(2))?;
    notify(host, &registration, 1, "first state");
    host.expect_shown("first state")?;
    let began = Instant::now();
    let mut interrupted = false;
    loop {
        let ended = host.connections()?.ending(registration.from).is_some();
        match host.receive(Duration::from_millis(100))? {
            Some(message) if message.method().is_some() => {
                message.is_request(Method::GET)?;
                message.expect(message.observe_value() == Some(1), "Observe 1", None)?;
                message.expect(
                    message.token == registration.token,
                    "the token of the registration",
                    None,
                )?;
                let mut options = message.options.clone();
                options.remove(OptionNumber::OBSERVE);
                let mut before = registration.options.clone();
                before.remove(OptionNumber::OBSERVE);
                message.expect(
                    options == before,
                    "the options of the registration",
                    "RFC 7641 §3.6",
                )?;
                host.answer_text(&message, "last state");
                return Ok(());
            }
            None if ended => {
                let what = "the client closes the connection without a GET with Observe 1";
                return Err(Stop::Inconclusive(what.to_owned()));
            }
            _ => {}
        }
        if !interrupted && began.elapsed() > LEAVING {
            interrupted = true;
            host.interrupt();
        }
        if began.elapsed() > 2 * LEAVING {
            return Err(Stop::Skip("the client goes on observing".to_owned()));
        }
    }
}
