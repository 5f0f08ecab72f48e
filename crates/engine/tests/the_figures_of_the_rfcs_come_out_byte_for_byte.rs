//! RFC 7252 appendix A, figures 16 to 23, and RFC 7641 appendix A, figures 3 to 8, where an endpoint plays a role: the
//! bytes of the figures go in, and those of the other side come out. Message IDs and tokens that the endpoint chooses
//! are put into the figures' bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "helpers of tests"
)]

mod common;

use std::time::Duration;

use common::{Heard, Subject, closed_network, hex, options_of, to_hex};
use coracle_engine::{Event, ExchangeError, Path, RequestRef, ResponseRef, Topic};
use coracle_wire::{Method, OptionNumber, OptionsBuf, Status};

const SERVER: &str = "192.0.2.5:5683";

/// The figure's bytes with the message ID and token of `heard`; the figure's token is one byte long.
fn adopt(figure: &str, heard: &Heard, with_token: bool) -> Vec<u8> {
    let mut bytes = hex(figure);
    bytes[2..4].copy_from_slice(&heard.bytes[2..4]);
    if !with_token {
        return bytes;
    }
    let token = heard.message().token;
    let old = usize::from(bytes[0] & 15);
    bytes[0] = bytes[0] & 0xf0 | u8::try_from(token.len()).unwrap();
    bytes.splice(4..4 + old, token.iter().copied());
    bytes
}

fn temperature() -> OptionsBuf {
    options_of(&[(OptionNumber::URI_PATH, b"temperature")])
}

fn client(confirmable: bool) -> (Subject, Heard) {
    let mut subject = Subject::with(closed_network());
    subject.path = Path::to(SERVER.parse().unwrap());
    let options = temperature();
    let ask = RequestRef::new(Method::GET, options.as_options()).with_confirmable(confirmable);
    subject.endpoint.request(subject.now, &subject.path, ask).unwrap();
    let sent = subject.sent_one();
    (subject, sent)
}

#[track_caller]
fn answered(subject: &mut Subject, body: &[u8]) {
    let events = subject.events();
    let [Event::Response { response, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((response.status, &response.payload[..]), (Status::CONTENT, body));
}

/// Figures 16 to 19: piggybacked, without and with token, each message lost once.
#[test]
fn piggybacked_responses() {
    let figures = [
        ("40017d34bb74656d7065726174757265", "60457d34ff32322e332043"),
        ("41017d3520bb74656d7065726174757265", "61457d3520ff32322e332043"),
        ("41017d3631bb74656d7065726174757265", "61457d3631ff32322e332043"),
        ("41017d3742bb74656d7065726174757265", "61457d3742ff32322e332043"),
    ];
    for (request, response) in figures {
        let mut subject = Subject::with(closed_network());
        assert_eq!(
            to_hex(&subject.serve(&hex(request), b"22.3 C")[0].bytes),
            response
        );
        // Figure 19: the acknowledgement was lost.
        assert!(subject.receive(&hex(request)).is_none());
        assert_eq!(to_hex(&subject.sent_one().bytes), response);

        let (mut subject, sent) = client(true);
        assert_eq!(sent.bytes, adopt(request, &sent, true));
        // Figure 18: the request was lost.
        assert_eq!(subject.pass(Duration::from_secs(3))[0].1.bytes, sent.bytes);
        subject.receive(&adopt(response, &sent, true));
        answered(&mut subject, b"22.3 C");
    }
}

/// Figure 20.
#[test]
fn a_separate_response() {
    let mut subject = Subject::with(closed_network());
    let (id, _) = subject
        .receive(&hex("41017d3853bb74656d7065726174757265"))
        .unwrap();
    assert_eq!(
        to_hex(&subject.pass(Duration::from_secs(1))[0].1.bytes),
        "60007d38"
    );
    let sent = subject.respond(id, b"22.3 C").remove(0);
    assert_eq!(sent.bytes, adopt("4145ad7b53ff32322e332043", &sent, false));
    subject.receive(&adopt("6000ad7b", &sent, false));
    assert!(subject.pass(Duration::from_secs(100)).is_empty());

    let (mut subject, sent) = client(true);
    subject.receive(&adopt("60007d38", &sent, false));
    let mut response = adopt("4145ad7b53ff32322e332043", &sent, true);
    response[2..4].copy_from_slice(&[0xad, 0x7b]);
    subject.receive(&response);
    assert_eq!(to_hex(&subject.sent_one().bytes), "6000ad7b");
    answered(&mut subject, b"22.3 C");
}

/// Figure 21: the client has forgotten the request.
#[test]
fn a_separate_response_that_is_not_expected() {
    let mut subject = Subject::with(closed_network());
    subject.receive(&hex("4145ad7c64ff32322e332043"));
    assert_eq!(to_hex(&subject.sent_one().bytes), "7000ad7c");
}

/// Figure 22.
#[test]
fn non_confirmable_messages() {
    let mut subject = Subject::with(closed_network());
    let sent = subject
        .serve(&hex("51017d4075bb74656d7065726174757265"), b"22.3 C")
        .remove(0);
    assert_eq!(sent.bytes, adopt("5145ad7d75ff32322e332043", &sent, false));

    let (mut subject, sent) = client(false);
    assert_eq!(
        sent.bytes,
        adopt("51017d4075bb74656d7065726174757265", &sent, true)
    );
    subject.receive(&adopt("5145ad7d75ff32322e332043", &sent, true));
    answered(&mut subject, b"22.3 C");
    assert!(subject.sent().is_empty());
}

/// Figure 23: one member answers, the answer of the second is lost, and the third has nothing there. That one keeps
/// silent, where the figure's answers 4.04, as RFC 7252 §8.2 lets it.
#[test]
fn a_request_to_a_group() {
    let mut subject = Subject::with(closed_network());
    let group = Path::to("224.0.1.187:5683".parse().unwrap());
    let options = temperature();
    let ask = RequestRef::new(Method::GET, options.as_options());
    subject.endpoint.request(subject.now, &group, ask).unwrap();
    let sent = subject.sent_one();
    assert_eq!(
        sent.bytes,
        adopt("51017d4186bb74656d7065726174757265", &sent, true)
    );
    subject.receive_from(common::peer(1), &adopt("514560b186ff32322e332043", &sent, true));
    answered(&mut subject, b"22.3 C");
    subject.receive_from(common::peer(3), &adopt("5184952a86", &sent, true));
    assert!(matches!(
        &subject.events()[..],
        [Event::Response { response, more: true, .. }] if response.status == Status::NOT_FOUND
    ));
}

/// RFC 7641, figures 3 and 6, from the client's side: registered, one notification, and one after the client forgot.
#[test]
fn an_observation_as_client() {
    let mut subject = Subject::with(closed_network());
    subject.path = Path::to(SERVER.parse().unwrap());
    let mut options = temperature();
    options.set_uint(OptionNumber::OBSERVE, 0);
    let ask = RequestRef::new(Method::GET, options.as_options());
    let id = subject.endpoint.request(subject.now, &subject.path, ask).unwrap();
    let sent = subject.sent_one();
    assert_eq!(
        sent.bytes,
        adopt("410116334a605b74656d7065726174757265", &sent, true)
    );
    subject.receive(&adopt("614516334a6109810fff31382e352043656c", &sent, true));
    answered(&mut subject, b"18.5 Cel");
    let mut second = adopt("51457b504a6110810fff31392e322043656c", &sent, true);
    second[2..4].copy_from_slice(&[0x7b, 0x50]);
    subject.receive(&second);
    answered(&mut subject, b"19.2 Cel");
    // Figure 4: 15 s later it is stale, and 5 to 15 s after that it is renewed.
    assert!(subject.pass(Duration::from_millis(19_999)).is_empty());
    assert!(matches!(subject.events()[..], [Event::Stale { .. }]));
    let renewal = subject.pass(Duration::from_secs(11)).remove(0).1;
    assert_eq!(renewal.bytes[4..], sent.bytes[4..]);
    subject.receive(&adopt(
        "61451634b24578797a7a79212c810fff31392e372043656c",
        &renewal,
        true,
    ));
    answered(&mut subject, b"19.7 Cel");
    // Figure 6.
    subject.endpoint.cancel(subject.now, id);
    subject.sent();
    let mut third = adopt("4145aa0ff9615b810fff31392e332043656c", &sent, true);
    third[2..4].copy_from_slice(&[0xaa, 0x0f]);
    subject.receive(&third);
    assert_eq!(to_hex(&subject.sent_one().bytes), "7000aa0f");
}

/// RFC 7641, figures 3 and 5 to 6, from the server's side; the numbers of the notifications are the server's choice.
#[test]
fn an_observation_as_server() {
    let max_age = options_of(&[(OptionNumber::MAX_AGE, &[15])]);
    let valid = options_of(&[(OptionNumber::ETAG, b"xyzzy"), (OptionNumber::MAX_AGE, &[15])]);
    let content = |body| {
        ResponseRef::new(Status::CONTENT, max_age.as_options(), body)
            .with_observe(Some(Topic(1)))
            .with_confirmable(Some(false))
    };
    let mut subject = Subject::with(common::closed_network());
    // So that the first number fits into one byte.
    subject.now = coracle_engine::Instant::from_micros(8 << 14);
    let registration = hex("41011635f94578797a7a79205b74656d7065726174757265");
    let sent = subject.serve_with(&registration, content(b"20.0 Cel")).remove(0);
    assert_eq!(to_hex(&sent.bytes), "61451635f96109810fff32302e302043656c");
    let notify = |subject: &mut Subject, response: ResponseRef<'_>| {
        subject.endpoint.changed(Topic(1));
        let events = subject.events();
        let [Event::Refresh { id, .. }] = &events[..] else {
            panic!("{events:?}")
        };
        subject.endpoint.respond(subject.now, *id, response).unwrap();
        subject.sent_one()
    };
    let response = ResponseRef::new(Status::VALID, valid.as_options(), b"")
        .with_observe(Some(Topic(1)))
        .with_confirmable(Some(false));
    let sent = notify(&mut subject, response);
    assert_eq!(sent.bytes, adopt("5143aa0cf94578797a7a79210a810f", &sent, false));
    subject.pass(Duration::from_secs(3));
    let sent = notify(&mut subject, content(b"19.3 Cel").with_confirmable(Some(true)));
    assert_eq!(
        sent.bytes,
        adopt("4145aa0ff9610b810fff31392e332043656c", &sent, false)
    );
    subject.receive(&adopt("7000aa0f", &sent, false));
    assert!(
        subject
            .events()
            .iter()
            .any(|event| matches!(event, Event::Ended { .. }))
    );
}

/// RFC 7641, figures 7 and 8 are a proxy's: an endpoint that is none says so.
#[test]
fn the_requests_to_the_proxy_of_figures_7_and_8() {
    for request in [
        "410116339add160f636f61703a2f2f73656e736f722e6578616d706c652f737461747573",
        "410116356a60dd100f636f61703a2f2f73656e736f722e6578616d706c652f737461747573",
    ] {
        let mut subject = Subject::with(closed_network());
        let sent = subject.serve(&hex(request), b"");
        assert_eq!(sent[0].code(), "5.05");
    }
    // What the proxy asks is an observation like any other.
    let mut subject = Subject::with(common::closed_network());
    subject.now = coracle_engine::Instant::from_micros(41 << 14);
    let max_age = options_of(&[(OptionNumber::MAX_AGE, &[60])]);
    let response =
        ResponseRef::new(Status::CONTENT, max_age.as_options(), b"ready").with_observe(Some(Topic(1)));
    let request = hex("41015fb81a3d0173656e736f722e6578616d706c653056737461747573");
    let sent = subject.serve_with(&request, response).remove(0);
    assert_eq!(to_hex(&sent.bytes), "61455fb81a612a813cff7265616479");
}

#[test]
fn a_reset_answers_what_a_restarted_client_does_not_know() {
    let (mut subject, sent) = client(true);
    subject.receive(&adopt("7000ad7c", &sent, false));
    assert!(matches!(
        subject.events()[..],
        [Event::Failed {
            error: ExchangeError::Reset,
            ..
        }]
    ));
}
