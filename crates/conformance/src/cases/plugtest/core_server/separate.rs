//! Separate responses of `/separate`.

use std::time::{Duration, Instant};

use coracle_wire::{MessageType, OptionNumber, Status};

use crate::message::{Message, Received};
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

/// A resource that answers sooner than this, and what the way takes, does not answer late.
const AT_ONCE: Duration = Duration::from_millis(500);

/// How long a copy of an unacknowledged response is waited for: its longest timeout is 24 s, for the fourth copy
/// (RFC 7252 §4.2, §4.8).
const NEXT_COPY: Duration = Duration::from_secs(30);

pub(super) fn core_09(probe: &mut Probe) -> Judged {
    let request = probe.get("/separate");
    separate(probe, &request)?.has(OptionNumber::CONTENT_FORMAT)?;
    Ok(())
}

/// The longest token.
pub(super) fn core_11(probe: &mut Probe) -> Judged {
    let request = probe.get("/separate").token(b"\x00\x01token\xff");
    separate(probe, &request)?;
    Ok(())
}

/// An empty acknowledgement and a confirmable response, in either order. Behind the lossy gateway the response is
/// enough: it acknowledges the request, too (RFC 7252 §5.2.2).
fn separate(probe: &mut Probe, request: &Message) -> Judged<Received> {
    let response = first_response(probe, request)?;
    probe.acknowledge(&response);
    Ok(response)
}

/// As [`separate`], but the response is left unacknowledged.
fn first_response(probe: &mut Probe, request: &Message) -> Judged<Received> {
    let at_once = AT_ONCE + probe.jitter()?;
    probe.send_confirmable(request);
    let began = Instant::now();
    let (mut acknowledged, mut response) = (probe.is_lossy(), None);
    let response = loop {
        if let (true, Some(response)) = (acknowledged, response.take()) {
            break response;
        }
        let left = probe.answer_time().saturating_sub(began.elapsed());
        let message = probe.expect_message(left, "an empty acknowledgement and a response")?;
        if message.message_type != MessageType::Acknowledgement {
            response = Some(message);
        } else if message.code.is_empty() {
            message.is_empty_of(MessageType::Acknowledgement, request.mid)?;
            acknowledged = true;
        } else if began.elapsed() < at_once {
            return Err(Stop::Skip("the server's /separate answers at once".to_owned()));
        } else {
            message.expect(false, "an empty acknowledgement first", "RFC 7252 §5.2.2")?;
        }
    };
    response.is_of(MessageType::Confirmable)?.code(Status::CONTENT)?;
    response.answers(request)?.has_payload()?;
    Ok(response)
}

/// Four losses: the request, its acknowledgement, the response, and the acknowledgement of the response twice.
pub(super) fn core_16(probe: &mut Probe) -> Judged {
    probe.lose(1, 1);
    let request = probe.get("/separate");
    separate(probe, &request)?.has(OptionNumber::CONTENT_FORMAT)?;
    // To see copies, the second exchange is raw.
    let mut probe = probe.another()?;
    probe.set_raw(true);
    probe.lose(0, 0);
    let request = probe.get("/separate");
    probe.send(&request);
    let ack = probe.expect_message(NEXT_COPY, "an empty acknowledgement")?;
    ack.is_empty_of(MessageType::Acknowledgement, request.mid)?;
    probe.lose(0, 1);
    let response = probe.expect_message(NEXT_COPY, "a copy of the response, which was lost")?;
    response.is_of(MessageType::Confirmable)?.code(Status::CONTENT)?;
    response
        .answers(&request)?
        .has_payload()?
        .has(OptionNumber::CONTENT_FORMAT)?;
    probe.lose(2, 0);
    for _ in 0..2 {
        probe.acknowledge(&response);
        let what = "a copy of the response, whose acknowledgement was lost";
        let copy = probe.expect_message(NEXT_COPY, what)?;
        copy.expect(copy.message == response.message, what, "RFC 7252 §4.2")?;
    }
    probe.acknowledge(&response);
    Ok(())
}

pub(super) fn core_17(probe: &mut Probe) -> Judged {
    let mut request = probe.get("/separate").non();
    let until = Instant::now() + probe.answer_time();
    let response = loop {
        probe.send(&request);
        // Longer than the resource takes.
        if let Some(message) = probe.receive(Duration::from_secs(8))? {
            break message;
        }
        if !probe.is_lossy() || Instant::now() >= until {
            return Err(Stop::fail(
                "expected a response, but nothing came",
                "RFC 7252 §5.2.3",
            ));
        }
        request.mid = probe.fresh_mid();
    };
    let no_ack = response.message_type != MessageType::Acknowledgement;
    response.expect(
        no_ack,
        "no acknowledgement of a non-confirmable request",
        "RFC 7252 §4.3",
    )?;
    response
        .is_of(MessageType::NonConfirmable)?
        .code(Status::CONTENT)?;
    response.answers(&request)?;
    response.has(OptionNumber::CONTENT_FORMAT)?.has_payload()?;
    Ok(())
}
