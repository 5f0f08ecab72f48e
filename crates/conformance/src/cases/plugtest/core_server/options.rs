//! Uri-Path, Uri-Query, Location-Path, Location-Query and Accept.

use coracle_wire::{ContentFormat, OptionNumber, Status};

use crate::message::Received;
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

use super::super::server_steps::{formatted, offered};

pub(super) fn core_13(probe: &mut Probe) -> Judged {
    let request = probe.get("/seg1/seg2/seg3");
    let response = probe.ask(&request)?;
    response.code(Status::CONTENT)?.is_piggybacked_on(&request)?;
    response.has(OptionNumber::CONTENT_FORMAT)?.has_payload()?;
    Ok(())
}

pub(super) fn core_14(probe: &mut Probe) -> Judged {
    let request = probe.get("/query?first=1&second=2&third=3");
    let response = probe.ask(&request)?;
    response.code(Status::CONTENT)?.is_piggybacked_on(&request)?;
    response.has(OptionNumber::CONTENT_FORMAT)?.has_payload()?;
    Ok(())
}

pub(super) fn core_18(probe: &mut Probe) -> Judged {
    // What an earlier run made may be there no more.
    let location = ["location1", "location2", "location3"];
    let mut other = probe.another()?;
    let delete = other.delete(&location.join("/"));
    other.ask(&delete)?;
    let request = probe.post("/test", "TD_COAP_CORE_18");
    let response = offered(probe.ask(&request)?, "POST to /test")?;
    if response.status() == Some(Status::CHANGED) {
        return Err(Stop::Skip(
            "the server creates nothing on POST to /test".to_owned(),
        ));
    }
    response.code(Status::CREATED)?.is_piggybacked_on(&request)?;
    has_all(&response, OptionNumber::LOCATION_PATH, &location)
}

pub(super) fn core_19(probe: &mut Probe) -> Judged {
    let request = probe.post("/location-query", "TD_COAP_CORE_19");
    let response = offered(probe.ask(&request)?, "POST to /location-query")?;
    response.code(Status::CREATED)?.is_piggybacked_on(&request)?;
    formatted(&response)?;
    has_all(&response, OptionNumber::LOCATION_QUERY, &["first=1", "second=2"])
}

/// It has exactly these options of a number, in this order.
fn has_all(response: &Received, number: OptionNumber, expected: &[&str]) -> Judged {
    let options = response.options.as_options();
    let holds = options
        .get_all(number)
        .eq(expected.iter().map(|value| value.as_bytes()));
    let expected = format!("{number} {}", expected.join(", "));
    response.expect(holds, expected, "RFC 7252 §5.10.7")?;
    Ok(())
}

pub(super) fn core_20(probe: &mut Probe) -> Judged {
    let mut payloads = Vec::new();
    for format in [ContentFormat::TEXT, ContentFormat::XML] {
        let request = probe.get("/multi-format").accept(format);
        let response = probe.ask(&request)?;
        response.code(Status::CONTENT)?.is_piggybacked_on(&request)?;
        response.format(format)?.has_payload()?;
        payloads.push(response);
    }
    if let [text, xml] = &payloads[..] {
        xml.expect(
            text.payload != xml.payload,
            "another payload than as text",
            "RFC 7252 §5.10.4",
        )?;
    }
    Ok(())
}
