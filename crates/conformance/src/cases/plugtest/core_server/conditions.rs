//! ETag, If-Match and If-None-Match.

use coracle_wire::{OptionNumber, Status};

use crate::message::Received;
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

use super::super::server_steps::offered;

pub(super) fn core_21(probe: &mut Probe) -> Judged {
    let (first, etag) = representation(probe)?;
    let request = probe.get("/validate").etag(&etag);
    let valid = probe.ask(&request)?;
    valid.code(Status::VALID)?.is_piggybacked_on(&request)?;
    valid.expect(
        valid.first_etag().as_ref() == Some(&etag) && valid.payload.is_empty(),
        "the ETag of the request and no payload",
        "RFC 7252 §5.9.1.3",
    )?;
    let mut other = probe.another()?;
    let text = unused_text(&mut other);
    let put = other.put("/validate", &text);
    offered(other.ask(&put)?, "PUT of /validate")?.code(Status::CHANGED)?;
    let request = probe.get("/validate").etag(&etag);
    let second = probe.ask(&request)?;
    second.code(Status::CONTENT)?.is_piggybacked_on(&request)?;
    second.has(OptionNumber::ETAG)?.expect(
        second.first_etag().as_ref() != Some(&etag) && second.payload != first.payload,
        "another ETag and another payload than before",
        "RFC 7252 §5.10.6",
    )?;
    Ok(())
}

pub(super) fn core_22(probe: &mut Probe) -> Judged {
    let (_, etag) = representation(probe)?;
    let text = unused_text(probe);
    let request = probe
        .put("/validate", &text)
        .option(OptionNumber::IF_MATCH, &etag);
    let changed = offered(probe.ask(&request)?, "PUT of /validate")?;
    changed.code(Status::CHANGED)?.is_piggybacked_on(&request)?;
    let (second, second_etag) = representation(probe)?;
    second.payload_is(text.as_bytes())?;
    second.expect(
        second_etag != etag,
        "another ETag than before",
        "RFC 7252 §5.10.6",
    )?;
    let another = unused_text(probe);
    let request = probe.put("/validate", &another);
    let changed = probe.ask(&request)?;
    changed.code(Status::CHANGED)?.is_piggybacked_on(&request)?;
    let third = unused_text(probe);
    let request = probe
        .put("/validate", &third)
        .option(OptionNumber::IF_MATCH, &second_etag);
    let refused = probe.ask(&request)?;
    refused
        .code(Status::PRECONDITION_FAILED)?
        .is_piggybacked_on(&request)?;
    // The server shows that the last PUT changed nothing.
    representation(probe)?.0.payload_is(another.as_bytes())?;
    Ok(())
}

/// What `/validate` is just now, and its ETag.
fn representation(probe: &mut Probe) -> Judged<(Received, Vec<u8>)> {
    let request = probe.get("/validate");
    let response = probe.ask(&request)?;
    response.code(Status::CONTENT)?.is_piggybacked_on(&request)?;
    response.has_payload()?;
    let Some(etag) = response.first_etag() else {
        return Err(Stop::Skip("the server gives /validate no ETag".to_owned()));
    };
    Ok((response, etag))
}

/// A text that was not there before.
fn unused_text(probe: &mut Probe) -> String {
    format!("text {:02x?}", probe.fresh_token())
}

pub(super) fn core_23(probe: &mut Probe) -> Judged {
    // What an earlier run made may be there no more.
    let mut other = probe.another()?;
    let delete = other.delete("/create1");
    other.ask(&delete)?;
    let get = other.get("/create1");
    if other.ask(&get)?.status() == Some(Status::CONTENT) {
        return Err(Stop::Skip("the server's /create1 cannot be deleted".to_owned()));
    }
    let put = |probe: &mut Probe| {
        probe
            .put("/create1", "TD_COAP_CORE_23")
            .option(OptionNumber::IF_NONE_MATCH, b"")
    };
    let request = put(probe);
    let created = offered(probe.ask(&request)?, "PUT of /create1")?;
    created.code(Status::CREATED)?.is_piggybacked_on(&request)?;
    // The server shows that it is there now.
    let get = other.get("/create1");
    other.ask(&get)?.code(Status::CONTENT)?;
    let request = put(probe);
    let refused = probe.ask(&request)?;
    refused
        .code(Status::PRECONDITION_FAILED)?
        .is_piggybacked_on(&request)?;
    let delete = other.delete("/create1");
    other.ask(&delete)?;
    Ok(())
}
