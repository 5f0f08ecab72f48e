//! How requests are repeated, and what ends that (§4.2, §4.4, §4.8.1).

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use coracle_wire::MessageType;

use super::steps::{asked, concludes, goes_on};
use crate::case::{Case, client};
use crate::host::Host;
use crate::message::{Message, Received};
use crate::talk::{ACK_TIMEOUT, Talk};
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    client(
        "RFC7252-4.2-retransmission",
        "RFC 7252 §4.2, §4.8.1",
        "A request that nobody acknowledges is repeated after ACK_TIMEOUT or later, then after twice the time and so on, \
         all within MAX_TRANSMIT_SPAN",
        retransmission,
    )
    .without_gateway()
    .within(120)
    .steps(&[
        "The client GETs; nothing answers until it ends, or would have sent all of its repetitions.",
        "All copies are the same; the first pause is ACK_TIMEOUT or longer, and each further one twice the one before.",
        "The last copy comes within 45 s.",
    ]),
    client(
        "RFC7252-4.2-stops-at-ack",
        "RFC 7252 §4.2",
        "A request that is acknowledged is not repeated",
        stops_at_ack,
    )
    .without_gateway()
    .steps(&[
        "The client GETs, and gets an empty acknowledgement for the second copy.",
        "No further copy comes in 8 s; the response that follows is taken.",
    ]),
    client(
        "RFC7252-4.2-stops-at-reset",
        "RFC 7252 §4.2",
        "A request that is rejected with a Reset is not repeated",
        stops_at_reset,
    )
    .without_gateway()
    .steps(&["The client GETs, and gets a Reset for the second copy.", "No further copy comes in 8 s."]),
    client(
        "RFC7252-4.4-ack-of-another-mid",
        "RFC 7252 §4.4",
        "An acknowledgement or a Reset with another Message ID does not end the repetition",
        ack_of_another_mid,
    )
    .without_gateway()
    .within(60)
    .steps(&[
        "The client GETs, and gets an empty acknowledgement and a Reset, each with another Message ID.",
        "The request comes again each time; the response that follows is taken.",
    ]),
    client(
        "RFC7252-4.4-ack-of-another-endpoint",
        "RFC 7252 §4.4",
        "An acknowledgement or a Reset from another endpoint does not end the repetition",
        ack_of_another_endpoint,
    )
    .without_gateway()
    .within(60)
    .steps(&[
        "The client GETs, and gets an empty acknowledgement and a Reset with its Message ID from another port.",
        "The request comes again each time; the response that follows is taken.",
    ]),
];

/// MAX_TRANSMIT_SPAN by the default parameters (RFC 7252 §4.8.2).
const MAX_TRANSMIT_SPAN: Duration = Duration::from_secs(45);

/// MAX_TRANSMIT_WAIT by the default parameters (RFC 7252 §4.8.2), when the last client has given up, and some more.
const ALL: Duration = Duration::from_secs(95);

/// How much later the judge or the client may be.
const SLACK: Duration = Duration::from_millis(500);

/// The second copy comes 2 to 3 s after the first, the third 4 to 6 s after the second.
const NO_THIRD_COPY: Duration = Duration::from_secs(8);

fn retransmission(host: &mut Host) -> Judged {
    let request = asked(host)?;
    let until = Instant::now() + ALL;
    while host.runs() && Instant::now() < until {
        host.pause(SLACK)?;
    }
    while let Some(another) = host.receive(Duration::ZERO)? {
        let expected = "the same message again, with the same Message ID";
        another.expect(another.method().is_none(), expected, None)?;
    }
    let copies = host.copies_of(&request);
    if copies.len() < 2 {
        return Err(Stop::fail("expected the request again, but it came once", None));
    }
    backs_off(&request, &copies)
}

/// The pauses between copies are as RFC 7252 §4.2 has them. Nobody has measured a round trip before its first request,
/// so that nothing allows for a shorter ACK_TIMEOUT (§4.8.1).
fn backs_off(request: &Received, copies: &[Duration]) -> Judged {
    let pauses = copies.iter().zip(copies.iter().skip(1));
    let mut least = ACK_TIMEOUT;
    for (before, after) in pauses {
        let pause = after.saturating_sub(*before);
        let expected = format!(
            "{:.1} s or more before the next copy, not {:.1} s",
            least.as_secs_f64(),
            pause.as_secs_f64()
        );
        request.expect(pause + SLACK >= least, expected, None)?;
        least = pause.saturating_mul(2).saturating_sub(SLACK);
    }
    let span = copies.last().copied().unwrap_or_default();
    let span = span.saturating_sub(copies.first().copied().unwrap_or_default());
    let expected = format!("all copies within 45 s, not {:.1} s", span.as_secs_f64());
    request.expect(span <= MAX_TRANSMIT_SPAN + SLACK, expected, None)?;
    Ok(())
}

/// The second copy of a request is replied to; no third one comes.
fn replied_to_the_second(host: &mut Host, reply: MessageType) -> Judged<Received> {
    let request = asked(host)?;
    goes_on(host, &request)?;
    host.send(&request, &Message::empty(reply, request.mid));
    host.pause(NO_THIRD_COPY)?;
    let copies = host.copies_of(&request).len();
    request.expect(
        copies == 2,
        format!("no copy of it after its reply, not {copies}"),
        None,
    )?;
    Ok(request)
}

fn stops_at_ack(host: &mut Host) -> Judged {
    let request = replied_to_the_second(host, MessageType::Acknowledgement)?;
    concludes(host, &request)
}

fn stops_at_reset(host: &mut Host) -> Judged {
    replied_to_the_second(host, MessageType::Reset)?;
    Ok(())
}

/// What ends the repetition of a request if it has its Message ID.
const REPLIES: [MessageType; 2] = [MessageType::Acknowledgement, MessageType::Reset];

fn ack_of_another_mid(host: &mut Host) -> Judged {
    let request = asked(host)?;
    for reply in REPLIES {
        host.send(&request, &Message::empty(reply, request.mid ^ 0x0101));
        goes_on(host, &request)?;
    }
    host.acknowledge(&request);
    concludes(host, &request)
}

fn ack_of_another_endpoint(host: &mut Host) -> Judged {
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut stranger = Talk::bind(local, host.frame())?;
    let request = asked(host)?;
    for reply in REPLIES {
        stranger.transmit(request.from, &Message::empty(reply, request.mid).to_bytes());
        goes_on(host, &request)?;
    }
    host.acknowledge(&request);
    concludes(host, &request)
}
