//! Changes of an observed resource that another client asks for.

use coracle_wire::{ContentFormat, MessageType, Method, OptionNumber, Status};

use crate::message::Message;
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

use super::super::super::watch::Watch;
use super::super::server_steps::offered;

/// How often a new value is put until it is seen: the resource changes by itself, too, and a state that did not last
/// need not be notified (RFC 7641 §1.3).
const PUTS: usize = 3;

/// How many notifications of earlier states may come until the change is known: the request of the other client may
/// be lost, and they wait meanwhile.
const UNDER_WAY: usize = 4;

pub(super) fn obs_07(probe: &mut Probe) -> Judged {
    let watch = Watch::established(probe)?;
    let mut other = probe.another()?;
    let delete = other.delete("/obs");
    change(&mut other, &delete, &[Status::DELETED]).inspect_err(|_| watch.leave(probe))?;
    ends_with(probe, &watch, Status::NOT_FOUND)
}

pub(super) fn obs_08(probe: &mut Probe) -> Judged {
    let watch = Watch::established(probe)?;
    let mut other = probe.another()?;
    let put = other.request(Method::PUT, "/obs");
    let put = match watch.format {
        Some(ContentFormat::JSON) => put.text("another format"),
        _ => put.content(ContentFormat::JSON, b"\"another format\""),
    };
    let codes = [Status::CHANGED, Status::CREATED];
    change(&mut other, &put, &codes).inspect_err(|_| watch.leave(probe))?;
    ends_with(probe, &watch, Status::NOT_ACCEPTABLE)
}

/// Sends the request of the other client; if the server refuses it, it does not offer what the case needs.
fn change(other: &mut Probe, request: &Message, codes: &[Status]) -> Judged {
    let method = request
        .method()
        .map(|method| method.to_string())
        .unwrap_or_default();
    let what = format!("{method} of {}", request.uri_path());
    let response = offered(other.ask(request)?, &what)?;
    if response.status() == Some(Status::UNSUPPORTED_CONTENT_FORMAT) {
        return Err(Stop::Skip(format!(
            "the server does not take another format in {what}"
        )));
    }
    response.code_in(codes)?;
    Ok(())
}

/// An error is the last notification, but for a few that were under way before.
fn ends_with(probe: &mut Probe, watch: &Watch, code: Status) -> Judged {
    let what = format!("a notification with {code}");
    let mut last = watch.next_message(probe, &what)?;
    for _ in 0..UNDER_WAY {
        probe.acknowledge(&last);
        if last.status() != Some(Status::CONTENT) {
            break;
        }
        last = watch.next_message(probe, &what)?;
    }
    last.is_of(MessageType::Confirmable)?.code(code)?;
    last.lacks(OptionNumber::OBSERVE)?;
    watch.expect_end(probe, "RFC 7641 §4.2")
}

pub(super) fn obs_09(probe: &mut Probe) -> Judged {
    let mut watch = Watch::established(probe)?;
    let mut other = probe.another()?;
    let mut last = None;
    for _ in 0..PUTS {
        let value = format!("value {:02x?}", other.fresh_token());
        let format = watch.format.unwrap_or(ContentFormat::TEXT);
        let put = other
            .request(Method::PUT, "/obs")
            .content(format, value.as_bytes());
        change(&mut other, &put, &[Status::CHANGED]).inspect_err(|_| watch.leave(probe))?;
        // The first may have been under way before.
        for _ in 0..2 {
            let notification = watch.next_acknowledged(probe)?;
            if notification.payload == value.as_bytes() {
                watch.leave(probe);
                return Ok(());
            }
            last = Some((notification, value.clone()));
        }
    }
    if let Some((notification, value)) = last {
        notification.payload_is(value.as_bytes())?;
    }
    Ok(())
}
