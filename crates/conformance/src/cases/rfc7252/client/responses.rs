//! Responses of every type, and what acknowledges them (§4.2, §4.3, §5.2).

use coracle_wire::{MessageType, Status};

use super::steps::{RIGHT, asked, concludes, takes, waiting};
use crate::case::{Case, client};
use crate::host::Host;
use crate::message::{Message, Received};
use crate::probe::PATIENCE;
use crate::template::Stimulus;
use crate::verdict::Judged;

/// The cases.
pub(super) const CASES: &[Case] = &[
    client(
        "RFC7252-5.2.1-piggybacked-response",
        "RFC 7252 §5.2.1",
        "A response in the acknowledgement is taken, and not acknowledged",
        piggybacked,
    )
    .steps(&[
        "The client GETs, and gets the response in the acknowledgement.",
        "It shows it, and sends no acknowledgement and no Reset.",
    ]),
    client(
        "RFC7252-5.2.2-separate-response",
        "RFC 7252 §5.2.2, §5.2.1, §4.2, §4.4",
        "A separate response is taken, and acknowledged by an empty message that has its Message ID",
        separate,
    )
    .steps(&[
        "The client GETs, and gets an empty acknowledgement, then a confirmable response with another Message ID.",
        "An acknowledgement of four bytes with that Message ID comes, and the response is shown.",
    ]),
    client(
        "RFC7252-5.2.2-response-before-ack",
        "RFC 7252 §5.2.2, §4.2",
        "A confirmable response that comes before the acknowledgement is taken",
        before_ack,
    )
    .steps(&[
        "The client GETs, and gets a confirmable response, and only then an empty acknowledgement of its request.",
        "It acknowledges the response and shows it.",
    ]),
    client(
        "RFC7252-5.2.3-non-for-con",
        "RFC 7252 §5.2.3, §4.3",
        "A non-confirmable response to a confirmable request is taken, and not acknowledged",
        non_for_con,
    )
    .within(60)
    .steps(&[
        "The client GETs, and gets an empty acknowledgement, then a non-confirmable response.",
        "It GETs again, and gets the response first and the acknowledgement then.",
        "It shows both, and acknowledges neither.",
    ]),
    client(
        "RFC7252-5.2.3-con-for-non",
        "RFC 7252 §5.2.3, §4.2",
        "A confirmable response to a non-confirmable request is taken and acknowledged",
        con_for_non,
    )
    .steps(&[
        "The client is told to GET by NON, and gets a confirmable response.",
        "It acknowledges the response and shows it.",
    ]),
];

/// The client has sent no acknowledgement and no Reset with this Message ID.
fn not_replied(host: &mut Host, request: &Received, mid: u16) -> Judged {
    host.pause(PATIENCE)?;
    for reply in [MessageType::Acknowledgement, MessageType::Reset] {
        let silent = host.copies_of(&Message::empty(reply, mid)).is_empty();
        request.expect(
            silent,
            format!("no {reply} of the response to it"),
            "RFC 7252 §4.2, §4.3",
        )?;
    }
    Ok(())
}

fn piggybacked(host: &mut Host) -> Judged {
    let request = asked(host)?;
    host.answer_text(&request, RIGHT);
    not_replied(host, &request, request.mid)?;
    host.expect_shown(RIGHT)
}

fn separate(host: &mut Host) -> Judged {
    let request = waiting(host)?;
    // Another Message ID than the request has, also in both of its bytes.
    let response = host.separate_to(&request, Status::CONTENT).text(RIGHT);
    let response = response.mid(request.mid ^ 0x0101);
    takes(host, &request, &response, RIGHT)?;
    let records = host.frame().transcript.records();
    let own = |message: &Message| message.message_type == MessageType::Acknowledgement;
    let sent = records.iter().filter(|record| !record.by_judge);
    let acknowledgements = sent.filter_map(|record| Message::parse(&record.bytes).ok().filter(own));
    let empty = Message::empty(MessageType::Acknowledgement, response.mid);
    for acknowledgement in acknowledgements {
        let expected = format!("{empty} and no {acknowledgement} after it");
        request.expect(acknowledgement == empty, expected, None)?;
    }
    Ok(())
}

fn before_ack(host: &mut Host) -> Judged {
    let request = asked(host)?;
    let response = host.separate_to(&request, Status::CONTENT).text(RIGHT);
    host.deliver(&request, &response)?;
    host.acknowledge(&request);
    host.expect_shown(RIGHT)
}

/// Twice behind the lossy gateway, so that one arrives.
fn send_non(host: &mut Host, request: &Received, text: &str) -> u16 {
    let response = host.separate_to(request, Status::CONTENT).text(text).non();
    for _ in 0..if host.is_lossy() { 2 } else { 1 } {
        host.send(request, &response);
    }
    response.mid
}

fn non_for_con(host: &mut Host) -> Judged {
    let request = waiting(host)?;
    host.pause(PATIENCE)?;
    let mid = send_non(host, &request, RIGHT);
    not_replied(host, &request, mid)?;
    host.expect_shown(RIGHT)?;

    let request = asked(host)?;
    let text = "the response before";
    let mid = send_non(host, &request, text);
    host.acknowledge(&request);
    not_replied(host, &request, mid)?;
    host.expect_shown(text)
}

fn con_for_non(host: &mut Host) -> Judged {
    let request = host.provoke(&Stimulus::get("/test").non())?;
    concludes(host, &request)
}
