//! TD_COAP_CORE for clients.

use std::time::Duration;

use coracle_wire::{MessageType, OptionNumber, Status};

use super::client_steps::{answer, backed_off, conclude, conclude_with, exchange, needs_token, stimulate};
use crate::case::{Case, Judge};
use crate::host::Host;
use crate::message::{Message, Received};
use crate::plugtests::plugtest;
use crate::template::Stimulus;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    plugtest("TD_COAP_CORE_01", Judge::Client(core_01)),
    plugtest("TD_COAP_CORE_02", Judge::Client(core_02)),
    plugtest("TD_COAP_CORE_03", Judge::Client(core_03)),
    plugtest("TD_COAP_CORE_04", Judge::Client(core_04)),
    plugtest("TD_COAP_CORE_05", Judge::Client(core_05)),
    plugtest("TD_COAP_CORE_06", Judge::Client(core_06)),
    plugtest("TD_COAP_CORE_07", Judge::Client(core_07)),
    plugtest("TD_COAP_CORE_08", Judge::Client(core_08)),
    plugtest("TD_COAP_CORE_09", Judge::Client(core_09)),
    plugtest("TD_COAP_CORE_10", Judge::Client(core_10)),
    plugtest("TD_COAP_CORE_11", Judge::Client(core_11)),
    plugtest("TD_COAP_CORE_12", Judge::Client(core_12)),
    plugtest("TD_COAP_CORE_13", Judge::Client(core_13)),
    plugtest("TD_COAP_CORE_14", Judge::Client(core_14)),
    plugtest("TD_COAP_CORE_15", Judge::Client(core_15)).within(60),
    plugtest("TD_COAP_CORE_16", Judge::Client(core_16)).within(60),
    plugtest("TD_COAP_CORE_17", Judge::Client(core_17)),
    plugtest("TD_COAP_CORE_18", Judge::Client(core_18)),
    plugtest("TD_COAP_CORE_19", Judge::Client(core_19)),
    plugtest("TD_COAP_CORE_20", Judge::Client(core_20)),
    plugtest("TD_COAP_CORE_21", Judge::Client(core_21)),
    plugtest("TD_COAP_CORE_22", Judge::Client(core_22)),
    plugtest("TD_COAP_CORE_23", Judge::Client(core_23)),
    plugtest("TD_COAP_CORE_31", Judge::Client(core_31)),
];

/// How long a separate response waits: longer than the first retransmission by the default parameters, 3 s.
const SEPARATE: Duration = Duration::from_millis(3_500);

fn put(path: &str) -> Stimulus {
    Stimulus::new("put", path).text("a new value")
}

fn post(path: &str) -> Stimulus {
    Stimulus::new("post", path).text("an addition")
}

fn core_01(host: &mut Host) -> Judged {
    exchange(host, &Stimulus::get("/test"), Status::CONTENT, "plugtest 01")?;
    Ok(())
}

fn core_02(host: &mut Host) -> Judged {
    let delete = Stimulus::new("delete", "/test");
    exchange(host, &delete, Status::DELETED, "plugtest 02")?;
    Ok(())
}

fn core_03(host: &mut Host) -> Judged {
    exchange(host, &put("/test"), Status::CHANGED, "plugtest 03")?;
    Ok(())
}

fn core_04(host: &mut Host) -> Judged {
    exchange(host, &post("/test"), Status::CREATED, "plugtest 04")?;
    Ok(())
}

fn core_05(host: &mut Host) -> Judged {
    let get = Stimulus::get("/test").non();
    exchange(host, &get, Status::CONTENT, "plugtest 05")?;
    Ok(())
}

fn core_06(host: &mut Host) -> Judged {
    let delete = Stimulus::new("delete", "/test").non();
    exchange(host, &delete, Status::DELETED, "plugtest 06")?;
    Ok(())
}

fn core_07(host: &mut Host) -> Judged {
    exchange(host, &put("/test").non(), Status::CHANGED, "plugtest 07")?;
    Ok(())
}

fn core_08(host: &mut Host) -> Judged {
    exchange(host, &post("/test").non(), Status::CREATED, "plugtest 08")?;
    Ok(())
}

fn core_09(host: &mut Host) -> Judged {
    let request = stimulate(host, &Stimulus::get("/separate"))?;
    answer_separately(host, &request, "plugtest 09")
}

fn core_10(host: &mut Host) -> Judged {
    let request = stimulate(host, &Stimulus::get("/test"))?;
    needs_token(&request)?;
    conclude(host, &request, Status::CONTENT, "plugtest 10")
}

fn core_11(host: &mut Host) -> Judged {
    let request = stimulate(host, &Stimulus::get("/separate"))?;
    needs_token(&request)?;
    answer_separately(host, &request, "plugtest 11")
}

fn core_12(host: &mut Host) -> Judged {
    let request = stimulate(host, &Stimulus::get("/test"))?;
    if !request.token.is_empty() {
        return Err(Stop::Skip("the client does not send the empty token".to_owned()));
    }
    conclude(host, &request, Status::CONTENT, "plugtest 12")
}

fn core_13(host: &mut Host) -> Judged {
    let get = Stimulus::get("/seg1/seg2/seg3");
    exchange(host, &get, Status::CONTENT, "plugtest 13")?;
    Ok(())
}

fn core_14(host: &mut Host) -> Judged {
    let get = Stimulus::get("/query?first=1&second=2&third=3");
    exchange(host, &get, Status::CONTENT, "plugtest 14")?;
    Ok(())
}

/// Without a gateway the judge loses the first request, and its own answer to the second.
fn core_15(host: &mut Host) -> Judged {
    let request = stimulate(host, &Stimulus::get("/test"))?;
    if !host.is_lossy() {
        host.await_copies(&request, 3)?;
    }
    conclude(host, &request, Status::CONTENT, "plugtest 15")?;
    backed_off(&request, &host.copies_of(&request))
}

/// Without a gateway the judge loses the first request, its own acknowledgement of the second and so on.
fn core_16(host: &mut Host) -> Judged {
    let request = stimulate(host, &Stimulus::get("/separate"))?;
    let response = host.separate_to(&request, Status::CONTENT).text("plugtest 16");
    if host.is_lossy() {
        host.acknowledge(&request);
        host.deliver(&request, &response)?;
    } else {
        host.await_copies(&request, 2)?;
        // The next copy would come 4 s after the second or later; the response comes before.
        host.pause(Duration::from_secs(1))?;
        host.deliver(&request, &response)?;
        acknowledges_again(host, &request, &response)?;
        host.pause(Duration::from_secs(4))?;
        request.expect(
            host.copies_of(&request).len() == 2,
            "no copy of the request after the response",
            "RFC 7252 §5.2.2",
        )?;
    }
    backed_off(&request, &host.copies_of(&request))?;
    host.finish()?;
    host.expect_shown("plugtest 16")
}

/// A client that still runs acknowledges a copy of a response, too; it may be about to end.
fn acknowledges_again(host: &mut Host, request: &Received, response: &Message) -> Judged {
    let acknowledgement = Message::empty(MessageType::Acknowledgement, response.mid);
    let before = host.copies_of(&acknowledgement).len();
    host.send(request, response);
    for _ in 0..ENDING {
        host.pause(Duration::from_millis(500))?;
        if !host.runs() || host.copies_of(&acknowledgement).len() > before {
            return Ok(());
        }
    }
    let what = "expected another acknowledgement for a copy of the response, but nothing came";
    Err(Stop::fail(what, "RFC 7252 §4.5"))
}

/// How many half seconds a client may take to end.
const ENDING: u32 = 20;

fn core_17(host: &mut Host) -> Judged {
    let request = stimulate(host, &Stimulus::get("/separate").non())?;
    host.pause(Duration::from_secs(1))?;
    conclude(host, &request, Status::CONTENT, "plugtest 17")
}

fn core_18(host: &mut Host) -> Judged {
    let request = stimulate(host, &post("/test"))?;
    let path = OptionNumber::LOCATION_PATH;
    let response = host.response_to(&request, Status::CREATED);
    let response = response.option(path, b"location1").option(path, b"location2");
    let response = response.option(path, b"location3").text("plugtest 18");
    conclude_with(host, &request, &response, "plugtest 18")
}

fn core_19(host: &mut Host) -> Judged {
    let request = stimulate(host, &post("/location-query"))?;
    let query = OptionNumber::LOCATION_QUERY;
    let response = host.response_to(&request, Status::CREATED).text("plugtest 19");
    let response = response.option(query, b"first=1").option(query, b"second=2");
    conclude_with(host, &request, &response, "plugtest 19")
}

fn core_20(host: &mut Host) -> Judged {
    let forms = [(0_u16, "plugtest 20"), (41, "<plugtest>20</plugtest>")];
    for (format, text) in forms {
        let get = Stimulus::get("/multi-format").with("accept", format);
        let request = stimulate(host, &get)?;
        let response = host.response_to(&request, Status::CONTENT);
        let response = response.content(coracle_wire::ContentFormat(format), text.as_bytes());
        conclude_with(host, &request, &response, text)?;
    }
    Ok(())
}

fn core_21(host: &mut Host) -> Judged {
    let (first, second) = (b"\x0e\x01", b"\x0e\x02");
    let get = Stimulus::get("/validate");
    let validate = get.clone().with("etag", "0e01");
    let request = stimulate(host, &get)?;
    request.lacks(OptionNumber::ETAG)?;
    let response = host.response_to(&request, Status::CONTENT).etag(first);
    conclude_with(host, &request, &response.text("version 1"), "version 1")?;

    let request = stimulate(host, &validate)?;
    has_etag(&request, OptionNumber::ETAG, first)?;
    let response = host.response_to(&request, Status::VALID).etag(first);
    answer(host, &request, &response);
    host.finish()?;

    let request = stimulate(host, &validate)?;
    has_etag(&request, OptionNumber::ETAG, first)?;
    let response = host.response_to(&request, Status::CONTENT).etag(second);
    conclude_with(host, &request, &response.text("version 2"), "version 2")
}

/// The only option of this number has this value.
fn has_etag(request: &Received, number: OptionNumber, etag: &[u8]) -> Judged {
    let options = request.options.as_options();
    let holds = options.get_all(number).eq([etag]);
    request.expect(
        holds,
        format!("{number} 0x{}", crate::transcript::hex(etag)),
        None,
    )?;
    Ok(())
}

fn core_22(host: &mut Host) -> Judged {
    get_version(host, b"\x0e\x01", "version 1")?;
    let if_first = put("/validate").with("if-match", "0e01");
    let request = exchange(host, &if_first, Status::CHANGED, "changed once")?;
    has_etag(&request, OptionNumber::IF_MATCH, b"\x0e\x01")?;
    get_version(host, b"\x0e\x02", "version 2")?;
    let request = exchange(host, &put("/validate"), Status::CHANGED, "changed by another")?;
    request.lacks(OptionNumber::IF_MATCH)?;
    let if_second = put("/validate").with("if-match", "0e02");
    let request = exchange(host, &if_second, Status::PRECONDITION_FAILED, "4.12")?;
    has_etag(&request, OptionNumber::IF_MATCH, b"\x0e\x02")
}

fn get_version(host: &mut Host, etag: &[u8], text: &str) -> Judged {
    let request = stimulate(host, &Stimulus::get("/validate"))?;
    let response = host.response_to(&request, Status::CONTENT).etag(etag);
    conclude_with(host, &request, &response.text(text), text)
}

fn core_23(host: &mut Host) -> Judged {
    let create = put("/create1").with("if-none-match", "");
    let answers = [
        (Status::CREATED, "created"),
        (Status::PRECONDITION_FAILED, "4.12"),
    ];
    for (code, shown) in answers {
        let request = exchange(host, &create, code, shown)?;
        let value = request.options.get(OptionNumber::IF_NONE_MATCH);
        request.expect(
            value.is_some_and(<[u8]>::is_empty),
            "an empty If-None-Match",
            "RFC 7252 §5.10.8.2",
        )?;
    }
    Ok(())
}

/// The client may send requests beside its pings.
fn core_31(host: &mut Host) -> Judged {
    host.start(&Stimulus::ping())?;
    let patience = Duration::from_secs(if host.is_lossy() { 20 } else { 10 });
    let ping = loop {
        let confirmable = |message: &Message| message.is_con();
        let message = host.await_message(patience, "an empty confirmable message", confirmable)?;
        match message.method() {
            Some(_) => {
                let response = host.response_to(&message, Status::CONTENT).text("plugtest 31");
                let response = match message.observe_value() {
                    Some(_) => response.observe(1),
                    None => response,
                };
                host.answer(&message, &response);
            }
            None => break message,
        }
    };
    ping.is_empty_of(MessageType::Confirmable, ping.mid)?;
    host.reset(&ping);
    host.pause(SEPARATE)?;
    not_repeated(host, &ping)
}

/// Answers with an acknowledgement and, after some seconds, with a confirmable response.
fn answer_separately(host: &mut Host, request: &Received, text: &str) -> Judged {
    host.acknowledge(request);
    host.pause(SEPARATE)?;
    not_repeated(host, request)?;
    let response = host.separate_to(request, Status::CONTENT).text(text);
    host.deliver(request, &response)?;
    host.finish()?;
    host.expect_shown(text)
}

/// What was acknowledged or reset is not sent again.
fn not_repeated(host: &Host, message: &Received) -> Judged {
    let once = host.is_lossy() || host.copies_of(message).len() == 1;
    message.expect(once, "no copy of it after its reply", "RFC 7252 §4.2")?;
    Ok(())
}
