//! Options and payloads that a response is not defined to have (RFC 7252 §5.4, §5.5).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod common;

use common::{Subject, datagram, options_of, to_hex};
use coracle_engine::{Event, ExchangeError, Path, RequestRef};
use coracle_wire::{MessageType, Method, OptionNumber, Status};

const SERVER: Path = Path::to(core::net::SocketAddr::new(
    core::net::IpAddr::V4(core::net::Ipv4Addr::new(198, 51, 100, 7)),
    5683,
));

/// Asks with a path and Accept, and gets a confirmable response.
fn asked(status: Status, options: &[(OptionNumber, &[u8])], payload: &[u8]) -> Subject {
    let mut subject = Subject::new();
    subject.path = SERVER;
    let sent = options_of(&[(OptionNumber::URI_PATH, b"a"), (OptionNumber::ACCEPT, b"")]);
    let request = RequestRef::new(Method::GET, sent.as_options());
    subject.endpoint.request(subject.now, &SERVER, request).unwrap();
    let token = subject.sent_one().message().token.to_vec();
    let confirmable = MessageType::Confirmable;
    subject.receive(&datagram(confirmable, status, 9, &token, options, payload));
    subject
}

/// RFC 7252 §5.4, §5.4.1.
#[test]
fn a_critical_option_of_requests_is_unknown_in_a_response() {
    let options: [(OptionNumber, &[u8]); 4] = [
        (OptionNumber::IF_MATCH, b"e"),
        (OptionNumber::IF_NONE_MATCH, b""),
        (OptionNumber::URI_PATH, b"a"),
        (OptionNumber::ACCEPT, b""),
    ];
    for option in options {
        let mut subject = asked(Status::CONTENT, &[option], b"x");
        assert_eq!(to_hex(&subject.sent_one().bytes), "70000009");
        let [Event::Failed { error, .. }] = subject.events()[..] else {
            panic!("{option:?} was taken");
        };
        assert_eq!(error, ExchangeError::CriticalOption(option.0.0));
    }
}

/// Some servers repeat an option that they refuse.
#[test]
fn an_error_may_repeat_what_was_asked() {
    let mut subject = asked(Status::NOT_ACCEPTABLE, &[(OptionNumber::ACCEPT, b"")], b"x");
    assert_eq!(to_hex(&subject.sent_one().bytes), "60000009");
    let events = subject.events();
    let [Event::Response { ref response, .. }] = events[..] else {
        panic!("no response");
    };
    assert_eq!(response.status, Status::NOT_ACCEPTABLE);
}

/// RFC 7252 §5.5, §5.9.1.3.
#[test]
fn the_payload_of_2_03_is_ignored() {
    let mut subject = asked(Status::VALID, &[(OptionNumber::ETAG, b"e")], b"x");
    let events = subject.events();
    let [Event::Response { ref response, .. }] = events[..] else {
        panic!("no response");
    };
    assert_eq!((response.status, response.payload.len()), (Status::VALID, 0));
}
