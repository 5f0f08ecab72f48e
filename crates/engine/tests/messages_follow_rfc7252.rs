//! The message layer: retransmission, acknowledgement, separate responses, NSTART, PROBING_RATE, message IDs, groups,
//! No-Response, ICMP errors and closing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "helpers of tests"
)]

mod common;

use std::collections::HashMap;
use std::time::Duration;

use common::{Subject, closed_network, datagram, hex, lines, options_of, to_hex};
use coracle_engine::{
    Config, DropReason, Event, ExchangeError, Path, RequestError, RequestRef, ResponseRef,
    TransmissionParameters,
};
use coracle_wire::{Code, MessageId, MessageType, Method, OptionNumber, Options, Status};

const SERVER: Path = Path::to(core::net::SocketAddr::new(
    core::net::IpAddr::V4(core::net::Ipv4Addr::new(198, 51, 100, 7)),
    5683,
));

fn get() -> RequestRef<'static> {
    RequestRef::new(Method::GET, Options::empty())
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Answers a request of the subject in the acknowledgement.
fn piggyback(request: &common::Heard, body: &[u8]) -> Vec<u8> {
    let message = request.message();
    let id = message.message_id.0;
    datagram(
        MessageType::Acknowledgement,
        Status::CONTENT,
        id,
        message.token,
        &[],
        body,
    )
}

/// RFC 7252 §4.2: five transmissions, the first wait within 2 to 3 s, each twice the one before, then the end.
#[test]
fn a_confirmable_message_is_sent_five_times_and_given_up() {
    for seed in 0..50 {
        let mut subject = Subject::new();
        subject.endpoint = coracle_engine::Endpoint::new(Config::default(), [seed; 32]);
        let id = subject.endpoint.request(subject.now, &SERVER, get()).unwrap();
        let sent = subject.pass(secs(100));
        let times: Vec<_> = sent.iter().map(|(at, _)| *at).collect();
        assert_eq!(times.len(), 5, "{times:?}");
        let first = times[1];
        assert!((secs(2)..=secs(3)).contains(&first), "{first:?}");
        assert_eq!(times, [Duration::ZERO, first, 3 * first, 7 * first, 15 * first]);
        assert!(sent.iter().all(|(_, heard)| heard.bytes == sent[0].1.bytes));
        let expected = ExchangeError::NoAnswer { retransmissions: 4 };
        assert!(
            matches!(&subject.events()[..], [Event::Failed { id: of, error }] if *of == id && *error == expected)
        );
        subject.pass(secs(300));
        assert!(subject.endpoint.is_pristine());
    }
}

#[test]
fn the_random_factor_spreads_the_first_wait() {
    let mut waits: Vec<_> = (0..64)
        .map(|seed| {
            let mut subject = Subject::new();
            subject.endpoint = coracle_engine::Endpoint::new(Config::default(), [seed; 32]);
            subject.endpoint.request(subject.now, &SERVER, get()).unwrap();
            subject.pass(secs(4))[1].0
        })
        .collect();
    waits.sort();
    assert!(
        waits[0] < Duration::from_millis(2200) && waits[63] > Duration::from_millis(2800),
        "{waits:?}"
    );
}

#[test]
fn a_request_may_bring_its_own_parameters() {
    let mut subject = Subject::new();
    let parameters = TransmissionParameters::default()
        .with_ack_timeout(Duration::from_millis(500))
        .with_ack_random_factor(1.0)
        .with_max_retransmit(1);
    subject
        .endpoint
        .request(subject.now, &SERVER, get().with_parameters(Some(parameters)))
        .unwrap();
    let times: Vec<_> = subject
        .pass(secs(10))
        .iter()
        .map(|(at, _)| at.as_millis())
        .collect();
    assert_eq!(times, [0, 500]);
    assert_eq!(subject.events().len(), 1);
}

/// RFC 7252 §5.2.2: acknowledged by itself after a second, then the answer in a message of its own.
#[test]
fn a_slow_answer_is_separate_and_sent_until_it_is_acknowledged() {
    let mut subject = Subject::with(closed_network());
    let (id, _) = subject.receive(&hex("4101123477")).unwrap();
    assert!(subject.pass(Duration::from_millis(999)).is_empty());
    let acknowledged = subject.pass(Duration::from_millis(1));
    assert_eq!(to_hex(&acknowledged[0].1.bytes), "60001234");
    // A duplicate is acknowledged again.
    assert!(subject.receive(&hex("4101123477")).is_none());
    assert_eq!(to_hex(&subject.sent_one().bytes), "60001234");
    let answer = subject.respond(id, b"late").remove(0);
    let message = answer.message();
    assert_eq!(
        (message.message_type, message.token),
        (MessageType::Confirmable, &[0x77][..])
    );
    assert_ne!(message.message_id, MessageId(0x1234));
    let again = subject.pass(secs(3));
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].1.bytes, answer.bytes);
    let ack = datagram(
        MessageType::Acknowledgement,
        Code::EMPTY,
        answer.id(),
        b"",
        &[],
        b"",
    );
    assert!(subject.receive(&ack).is_none());
    assert!(subject.pass(secs(300)).is_empty());
    assert!(subject.endpoint.is_pristine());
}

#[test]
fn an_answer_in_time_is_piggybacked_and_nothing_follows() {
    let mut subject = Subject::new();
    let sent = subject.serve(&hex("4101123477"), b"ok");
    assert_eq!(to_hex(&sent[0].bytes), "6145123477ff6f6b");
    assert!(subject.pass(secs(300)).is_empty());
    assert!(subject.endpoint.is_pristine());
}

/// RFC 7252 §5.2.2: the answer may overtake the acknowledgement.
#[test]
fn a_separate_response_ends_retransmission_and_is_acknowledged_each_time() {
    let mut subject = Subject::new();
    subject.path = SERVER;
    let id = subject.endpoint.request(subject.now, &SERVER, get()).unwrap();
    let request = subject.sent_one();
    let response = datagram(
        MessageType::Confirmable,
        Status::CONTENT,
        9,
        request.message().token,
        &[],
        b"x",
    );
    for _ in 0..2 {
        assert!(subject.receive(&response).is_none());
        assert_eq!(to_hex(&subject.sent_one().bytes), "60000009");
    }
    assert!(matches!(&subject.events()[..], [Event::Response { id: of, more: false, .. }] if *of == id));
    assert!(subject.pass(secs(300)).is_empty());
    assert!(subject.endpoint.is_pristine());
}

#[test]
fn after_an_empty_acknowledgement_the_answer_is_waited_for_and_no_longer_than_its_lifetime() {
    let mut subject = Subject::new();
    subject.path = SERVER;
    subject.endpoint.request(subject.now, &SERVER, get()).unwrap();
    let id = subject.sent_one().id();
    subject.receive(&datagram(
        MessageType::Acknowledgement,
        Code::EMPTY,
        id,
        b"",
        &[],
        b"",
    ));
    assert!(subject.pass(secs(246)).is_empty());
    assert!(subject.events().is_empty());
    subject.pass(secs(1));
    let events = subject.events();
    assert!(
        matches!(
            events[..],
            [Event::Failed {
                error: ExchangeError::Timeout,
                ..
            }]
        ),
        "{events:?}"
    );
}

#[test]
fn a_reset_ends_a_request_and_an_old_one_does_not() {
    let mut subject = Subject::new();
    subject.path = SERVER;
    subject.endpoint.request(subject.now, &SERVER, get()).unwrap();
    let id = subject.sent_one().id();
    let reset = |id| datagram(MessageType::Reset, Code::EMPTY, id, b"", &[], b"");
    subject.receive(&reset(id.wrapping_add(1)));
    assert!(subject.events().is_empty());
    subject.receive(&reset(id));
    assert!(matches!(
        subject.events()[..],
        [Event::Failed {
            error: ExchangeError::Reset,
            ..
        }]
    ));
    assert!(subject.pass(secs(300)).is_empty());
}

/// RFC 7252 §4.3.
#[test]
fn a_ping_is_answered_by_a_reset_and_given_up_without() {
    let mut subject = Subject::new();
    subject.path = SERVER;
    let ping = subject.endpoint.ping(subject.now, &SERVER).unwrap();
    let sent = subject.sent_one();
    assert_eq!(
        sent.message().to_string(),
        format!("CON 0.00 mid={}", MessageId(sent.id()))
    );
    subject.receive(&datagram(
        MessageType::Reset,
        Code::EMPTY,
        sent.id(),
        b"",
        &[],
        b"",
    ));
    assert!(matches!(subject.events()[..], [Event::Pong { id }] if id == ping));
    subject.endpoint.ping(subject.now, &SERVER).unwrap();
    assert_eq!(subject.pass(secs(100)).len(), 5);
    assert!(matches!(subject.events()[..], [Event::Failed { .. }]));
}

/// RFC 7252 §5.3.2: the token decides, not the message ID.
#[test]
fn an_acknowledgement_with_the_token_of_another_request_is_no_answer() {
    let mut subject = Subject::new();
    subject.path = SERVER;
    subject.endpoint.request(subject.now, &SERVER, get()).unwrap();
    let request = subject.sent_one();
    subject.receive(&datagram(
        MessageType::Acknowledgement,
        Status::CONTENT,
        request.id(),
        b"other",
        &[],
        b"x",
    ));
    assert!(subject.events().is_empty());
    assert_eq!(subject.endpoint.stats().dropped(DropReason::UnmatchedResponse), 1);
    // The request goes on.
    assert_eq!(subject.pass(secs(4)).len(), 1);
    subject.receive(&piggyback(&request, b"x"));
    assert!(matches!(subject.events()[..], [Event::Response { .. }]));
}

#[test]
fn a_response_in_the_acknowledgement_of_a_ping_is_a_sign_of_life() {
    let mut subject = Subject::new();
    subject.path = SERVER;
    subject.endpoint.ping(subject.now, &SERVER).unwrap();
    let id = subject.sent_one().id();
    subject.receive(&datagram(
        MessageType::Acknowledgement,
        Status::NOT_FOUND,
        id,
        b"",
        &[],
        b"",
    ));
    assert!(matches!(subject.events()[..], [Event::Pong { .. }]));
    subject.pass(secs(300));
    assert!(subject.endpoint.is_pristine());
}

#[test]
fn an_answer_from_another_peer_is_none() {
    let mut subject = Subject::new();
    subject.endpoint.request(subject.now, &SERVER, get()).unwrap();
    let request = subject.sent_one();
    subject.receive_from(common::peer(5684), &piggyback(&request, b"x"));
    let by_itself = datagram(
        MessageType::NonConfirmable,
        Status::CONTENT,
        7,
        request.message().token,
        &[],
        b"x",
    );
    subject.receive_from(common::peer(5684), &by_itself);
    assert!(subject.events().is_empty());
}

/// RFC 7252 §5.4.1.
#[test]
fn a_response_with_an_unknown_critical_option_is_rejected() {
    let mut subject = Subject::new();
    subject.path = SERVER;
    subject.endpoint.request(subject.now, &SERVER, get()).unwrap();
    let token = subject.sent_one().message().token.to_vec();
    let option = [(OptionNumber(9), &b""[..])];
    subject.receive(&datagram(
        MessageType::Confirmable,
        Status::CONTENT,
        9,
        &token,
        &option,
        b"x",
    ));
    assert_eq!(to_hex(&subject.sent_one().bytes), "70000009");
    assert!(matches!(
        subject.events()[..],
        [Event::Failed {
            error: ExchangeError::CriticalOption(9),
            ..
        }]
    ));
}

/// RFC 7252 §4.7.
#[test]
fn nstart_lets_one_interaction_at_a_time_leave_and_its_slot_is_always_released() {
    let mut subject = Subject::new();
    subject.path = SERVER;
    let ids: Vec<_> = (0..5)
        .map(|_| subject.endpoint.request(subject.now, &SERVER, get()).unwrap())
        .collect();
    // Answered.
    let first = subject.sent_one();
    subject.receive(&piggyback(&first, b"1"));
    // Cancelled while it is under way, and one that waits too.
    subject.sent_one();
    subject.endpoint.cancel(subject.now, ids[2]);
    subject.endpoint.cancel(subject.now, ids[1]);
    // Rejected.
    let fourth = subject.sent_one();
    subject.receive(&datagram(
        MessageType::Reset,
        Code::EMPTY,
        fourth.id(),
        b"",
        &[],
        b"",
    ));
    // Given up.
    let sent = subject.pass(secs(100));
    assert_eq!(sent.len(), 5);
    assert_eq!(subject.events().len(), 3);
    subject.pass(secs(300));
    assert!(subject.endpoint.is_pristine());
}

#[test]
fn a_cancelled_request_is_not_sent_again_and_its_answer_is_rejected() {
    let mut subject = Subject::new();
    subject.path = SERVER;
    let id = subject.endpoint.request(subject.now, &SERVER, get()).unwrap();
    let token = subject.sent_one().message().token.to_vec();
    subject.endpoint.cancel(subject.now, id);
    assert!(subject.pass(secs(5)).is_empty());
    subject.receive(&datagram(
        MessageType::Confirmable,
        Status::CONTENT,
        9,
        &token,
        &[],
        b"x",
    ));
    assert_eq!(to_hex(&subject.sent_one().bytes), "70000009");
    assert!(subject.events().is_empty());
}

/// RFC 7252 §4.7: a peer that does not answer is sent a byte a second.
#[test]
fn probing_rate_holds_back_non_confirmable_requests_to_a_silent_peer() {
    let mut subject = Subject::new();
    subject.path = SERVER;
    let mut options = coracle_wire::OptionsBuf::new();
    options.push_str(OptionNumber::URI_PATH, "a").unwrap();
    for _ in 0..3 {
        let request = RequestRef::new(Method::GET, options.as_options()).with_confirmable(false);
        subject.endpoint.request(subject.now, &SERVER, request).unwrap();
    }
    let sent = subject.pass(secs(60));
    let times: Vec<_> = sent.iter().map(|(at, _)| at.as_secs()).collect();
    // Header, token and option: 14 bytes.
    assert_eq!(times, [0, 14, 28]);
    // A peer that is heard gets the next at once.
    for _ in 0..2 {
        let request = RequestRef::new(Method::GET, options.as_options()).with_confirmable(false);
        subject.endpoint.request(subject.now, &SERVER, request).unwrap();
    }
    assert_eq!(subject.sent().len(), 1);
    subject.receive(&hex("60000001"));
    assert_eq!(subject.sent().len(), 1);
}

/// RFC 7252 §4.7: what is confirmable is under the rule of NSTART, and does not wait for PROBING_RATE behind what is not.
#[test]
fn probing_rate_does_not_hold_back_what_is_confirmable() {
    let mut subject = Subject::new();
    subject.path = SERVER;
    let payload = [0; 1000];
    let mut ask = |confirmable: bool| {
        let request = RequestRef::new(Method::POST, Options::empty())
            .with_payload(&payload)
            .with_confirmable(confirmable);
        subject.endpoint.request(subject.now, &SERVER, request).unwrap();
        subject.sent()
    };
    assert_eq!(ask(false).len(), 1);
    assert!(ask(false).is_empty(), "it waits for a thousand seconds");
    let sent = ask(true);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].message().message_type, MessageType::Confirmable);
    assert!(ask(true).is_empty(), "one is outstanding");
    // Its acknowledgement tells that the peer is there.
    subject.receive(&datagram(
        MessageType::Acknowledgement,
        Code::EMPTY,
        sent[0].id(),
        b"",
        &[],
        b"",
    ));
    let types: Vec<_> = subject
        .sent()
        .iter()
        .map(|heard| heard.message().message_type)
        .collect();
    assert_eq!(types, [MessageType::NonConfirmable, MessageType::Confirmable]);
}

/// RFC 7252 §4.4: no message ID twice within EXCHANGE_LIFETIME, about 261 messages a second towards one peer.
#[test]
fn a_fat_peer_is_held_back_rather_than_sent_a_used_message_id() {
    let mut subject = Subject::new();
    let mut last_used: HashMap<u16, coracle_engine::Instant> = HashMap::new();
    let start = subject.now;
    let mut answers = 0_u64;
    let mut id = 0_u16;
    while subject.now - start < secs(600) {
        // 500 non-confirmable requests a second, each answered in a message with an ID of the subject's choice.
        let mut sent = Vec::new();
        for _ in 0..50 {
            id = id.wrapping_add(1);
            let [high, low] = id.to_be_bytes();
            if let Some((exchange, _)) = subject.receive(&[0x50, 1, high, low]) {
                let ok = ResponseRef::new(Status::CONTENT, Options::empty(), b"");
                subject.endpoint.respond(subject.now, exchange, ok).unwrap();
            }
            sent.extend(subject.sent());
        }
        sent.extend(
            subject
                .pass(Duration::from_millis(100))
                .into_iter()
                .map(|(_, heard)| heard),
        );
        for heard in sent {
            answers += 1;
            if let Some(before) = last_used.insert(heard.id(), subject.now) {
                let age = subject.now - before;
                assert!(age >= secs(246), "ID {} again after {age:?}", heard.id());
            }
        }
    }
    assert!(
        (255 * 600..265 * 600 + 65_536).contains(&answers),
        "{answers} answers in 600 s"
    );
}

/// RFC 7252 §8.2: an answer to a group leaves at a random time within the leisure; errors and empty ones do not.
#[test]
fn a_request_to_a_group_is_answered_at_leisure_or_not_at_all() {
    let mut times = Vec::new();
    for id in 0..20_u8 {
        let mut subject = Subject::new();
        subject.endpoint = coracle_engine::Endpoint::new(Config::default(), [id; 32]);
        subject.path.multicast = true;
        let sent = subject.serve(&[0x51, 1, 0, id, 0x77], b"here");
        assert!(sent.is_empty());
        let sent = subject.pass(secs(5));
        assert_eq!(sent.len(), 1);
        let message = sent[0].1.message();
        assert_eq!(
            (message.message_type, message.token),
            (MessageType::NonConfirmable, &[0x77][..])
        );
        // Never from a group's address.
        assert_eq!((sent[0].1.path.local, sent[0].1.path.multicast), (None, false));
        times.push(sent[0].0);
    }
    times.sort();
    assert!(
        times[0] < secs(1) && times[19] > Duration::from_millis(3500),
        "{times:?}"
    );
    for (status, body) in [(Status::NOT_FOUND, &b"no"[..]), (Status::CHANGED, b"")] {
        let mut subject = Subject::new();
        subject.path.multicast = true;
        subject.serve_with(
            &hex("5101123477"),
            ResponseRef::new(status, Options::empty(), body),
        );
        assert!(subject.pass(secs(10)).is_empty());
        assert_eq!(subject.endpoint.stats().dropped(DropReason::Suppressed), 1);
    }
}

#[test]
fn a_request_to_a_group_has_many_answers_and_then_ends() {
    let mut subject = Subject::new();
    let group = Path::to("224.0.1.187:5683".parse().unwrap());
    let id = subject.endpoint.request(subject.now, &group, get()).unwrap();
    let request = subject.sent_one();
    assert_eq!(request.message().message_type, MessageType::NonConfirmable);
    for port in 1..=3 {
        let answer = datagram(
            MessageType::NonConfirmable,
            Status::CONTENT,
            port,
            request.message().token,
            &[],
            b"x",
        );
        for _ in 0..2 {
            subject.receive_from(common::peer(port), &answer);
        }
    }
    let events = subject.events();
    assert_eq!(events.len(), 3);
    assert!(
        events
            .iter()
            .all(|event| matches!(event, Event::Response { id: of, more: true, .. } if *of == id))
    );
    subject.pass(secs(60));
    assert!(matches!(
        subject.events()[..],
        [Event::Failed {
            error: ExchangeError::Timeout,
            ..
        }]
    ));
    subject.pass(secs(300));
    assert!(subject.endpoint.is_pristine());
    let body = [0; 2000];
    let long = RequestRef::new(Method::PUT, Options::empty()).with_payload(&body);
    assert_eq!(
        subject.endpoint.request(subject.now, &group, long),
        Err(RequestError::BodyToGroup)
    );
}

/// RFC 7967 §2: by class; a confirmable request is acknowledged all the same; a group is overridden.
#[test]
fn no_response_suppresses_the_classes_it_names() {
    let cases: [(u8, Status, bool); 8] = [
        (0, Status::CONTENT, true),
        (2, Status::CONTENT, false),
        (2, Status::NOT_FOUND, true),
        (8, Status::NOT_FOUND, false),
        (16, Status::NOT_FOUND, true),
        (16, Status::INTERNAL_SERVER_ERROR, false),
        (26, Status::CHANGED, false),
        (24, Status::CHANGED, true),
    ];
    for (classes, status, answered) in cases {
        let option = [(OptionNumber::NO_RESPONSE, &[classes][..])];
        let response = ResponseRef::new(status, Options::empty(), b"x");
        let mut subject = Subject::new();
        let sent = subject.serve_with(
            &datagram(MessageType::NonConfirmable, Method::PUT, 1, b"t", &option, b""),
            response,
        );
        assert_eq!(!sent.is_empty(), answered, "NON {classes} {status}");
        let sent = subject.serve_with(
            &datagram(MessageType::Confirmable, Method::PUT, 2, b"t", &option, b""),
            response,
        );
        assert_eq!(sent[0].code() != "0.00", answered, "CON {classes} {status}");
        subject.path.multicast = true;
        subject.serve_with(
            &datagram(MessageType::NonConfirmable, Method::PUT, 3, b"t", &option, b""),
            response,
        );
        assert_eq!(
            !subject.pass(secs(6)).is_empty(),
            answered,
            "group {classes} {status}"
        );
    }
}

#[test]
fn an_unreachable_peer_fails_all_that_is_under_way_to_it_and_is_sent_nothing_more() {
    let mut subject = Subject::new();
    for _ in 0..10 {
        subject.endpoint.request(subject.now, &SERVER, get()).unwrap();
    }
    subject
        .endpoint
        .request(subject.now, &common::peer(1), get())
        .unwrap();
    assert_eq!(subject.sent().len(), 2);
    subject.endpoint.handle_unreachable(subject.now, SERVER.remote);
    let events = subject.events();
    assert_eq!(events.len(), 10);
    assert!(events.iter().all(|event| matches!(
        event,
        Event::Failed {
            error: ExchangeError::Unreachable,
            ..
        }
    )));
    assert!(subject.sent().is_empty(), "those that waited were sent");
}

#[test]
fn a_closed_endpoint_refuses_what_is_new_and_ends_what_is_not() {
    let mut subject = Subject::new();
    let (id, _) = subject.receive(&hex("4101000177")).unwrap();
    subject.endpoint.close();
    assert!(!subject.endpoint.is_idle());
    assert_eq!(
        subject.endpoint.request(subject.now, &SERVER, get()),
        Err(RequestError::Closed)
    );
    assert_eq!(
        subject.endpoint.ping(subject.now, &SERVER),
        Err(RequestError::Closed)
    );
    let refused = subject.serve(&hex("4101000278"), b"");
    assert_eq!(refused[0].code(), "5.03");
    assert_eq!(refused[0].message().options.max_age(), 5);
    subject.respond(id, b"ok");
    assert!(subject.endpoint.is_idle());
}

#[test]
fn bounds_of_requests_and_queues_are_told() {
    let mut config = Config::constrained();
    config.max_requests = 10;
    config.max_queue_per_peer = 3;
    let mut subject = Subject::with(config);
    for _ in 0..4 {
        subject.endpoint.request(subject.now, &SERVER, get()).unwrap();
    }
    assert_eq!(
        subject.endpoint.request(subject.now, &SERVER, get()),
        Err(RequestError::TooMany)
    );
    let long = options_of(&[(OptionNumber::URI_QUERY, &[b'a'; 250][..]); 5]);
    let request = RequestRef::new(Method::GET, long.as_options());
    assert_eq!(
        subject.endpoint.request(subject.now, &common::peer(2), request),
        Err(RequestError::TooLong)
    );
}

#[test]
fn as_many_requests_as_the_bound_are_worked_on_and_more_are_told_to_come_back() {
    let mut config = closed_network();
    config.max_exchanges = 2;
    let mut subject = Subject::with(config);
    let first = subject.receive(&hex("40010001")).unwrap().0;
    subject.receive(&hex("40010002")).unwrap();
    assert!(subject.receive(&hex("40010003")).is_none());
    assert_eq!(subject.sent_one().code(), "5.03");
    subject.respond(first, b"");
    assert!(subject.receive(&hex("40010004")).is_some());
}

/// RFC 7252 §4.5: the memory of message IDs is bounded; what is not idempotent is refused before it is forgotten.
#[test]
fn the_memory_of_answers_keeps_to_its_budget() {
    let mut config = closed_network();
    config.seen_bytes = 4 * 1024;
    let mut subject = Subject::with(config);
    let mut refused = 0;
    for id in 0..40_u8 {
        let post = [0x40, 2, 0, id];
        let sent = subject.serve(&post, &[b'x'; 1000]);
        if sent[0].code() == "5.03" {
            refused += 1;
        } else {
            assert!(subject.receive(&post).is_none(), "POST {id} was run twice");
            subject.sent();
        }
    }
    assert!(refused > 20, "{refused} refused");
    subject.pass(secs(300));
    assert!(subject.endpoint.is_pristine());
}

#[test]
fn a_non_confirmable_request_is_answered_in_kind_and_times_out_without_answer() {
    let mut subject = Subject::new();
    subject.path = SERVER;
    subject
        .endpoint
        .request(subject.now, &SERVER, get().with_confirmable(false))
        .unwrap();
    let request = subject.sent_one();
    assert_eq!(request.message().message_type, MessageType::NonConfirmable);
    let answer = datagram(
        MessageType::NonConfirmable,
        Status::CONTENT,
        3,
        request.message().token,
        &[],
        b"x",
    );
    subject.receive(&answer);
    assert!(matches!(subject.events()[..], [Event::Response { .. }]));
    assert!(subject.sent().is_empty(), "{:?}", lines(&subject.sent()));
    subject
        .endpoint
        .request(subject.now, &SERVER, get().with_confirmable(false))
        .unwrap();
    assert_eq!(subject.pass(secs(94)).len(), 1);
    assert!(matches!(
        subject.events()[..],
        [Event::Failed {
            error: ExchangeError::Timeout,
            ..
        }]
    ));
    subject.pass(secs(300));
    assert!(subject.endpoint.is_pristine());
}

/// RFC 8516 §4: 4.29 is heeded for Max-Age, 60 s without one.
#[test]
fn a_server_that_asked_for_peace_is_left_alone() {
    let mut subject = Subject::new();
    subject.path = SERVER;
    subject.endpoint.request(subject.now, &SERVER, get()).unwrap();
    let asked = subject.sent_one();
    let (id, token) = (asked.id(), asked.message().token.to_vec());
    let refusal = datagram(
        MessageType::Acknowledgement,
        Status::TOO_MANY_REQUESTS,
        id,
        &token,
        &[],
        b"",
    );
    subject.receive(&refusal);
    assert!(matches!(subject.events()[..], [Event::Response { .. }]));
    let wait = Duration::from_secs(60);
    assert_eq!(
        subject.endpoint.request(subject.now, &SERVER, get()),
        Err(RequestError::TooManyRequests { wait })
    );
    assert!(
        subject
            .endpoint
            .request(subject.now, &common::peer(2), get())
            .is_ok()
    );
    let later = subject.now + wait;
    assert!(subject.endpoint.request(later, &SERVER, get()).is_ok());
}

/// RFC 7252 §4.2: what cannot be taken is rejected, not left to time out.
#[test]
fn a_datagram_that_is_too_long_is_rejected_and_counted() {
    let mut subject = Subject::new();
    let path = subject.path;
    subject.endpoint.handle_oversize(&path, &[0x44, 0x02, 0x12, 0x34]);
    assert_eq!(to_hex(&subject.sent_one().bytes), "70001234");
    for other in [
        &[0x54, 0x02, 0, 1][..],
        &[0x64, 0x45, 0, 1],
        &[0x84, 2, 0, 1],
        &[0x40],
    ] {
        subject.endpoint.handle_oversize(&path, other);
        assert!(subject.sent().is_empty());
    }
    assert_eq!(subject.endpoint.stats().dropped(DropReason::Oversize), 5);
}

/// RFC 7959 §2.9.1: 2.31 answers a block of a body.
#[test]
fn a_continue_that_nothing_is_to_follow_is_no_answer() {
    let mut subject = Subject::new();
    subject.path = SERVER;
    subject.endpoint.request(subject.now, &SERVER, get()).unwrap();
    let asked = subject.sent_one();
    let token = asked.message().token.to_vec();
    let answer = datagram(
        MessageType::Acknowledgement,
        Status::CONTINUE,
        asked.id(),
        &token,
        &[],
        b"",
    );
    subject.receive(&answer);
    assert!(matches!(
        subject.events()[..],
        [Event::Failed {
            error: ExchangeError::BlockOption,
            ..
        }]
    ));
}

#[test]
fn no_peer_takes_all_the_room_for_requests() {
    let mut config = Config::default();
    config.max_exchanges_per_peer = 3;
    let mut subject = Subject::with(config);
    let ask = |id: u16| datagram(MessageType::NonConfirmable, Method::GET, id, b"t", &[], b"");
    let open: Vec<_> = (0..3).map(|id| subject.receive(&ask(id)).unwrap().0).collect();
    assert!(subject.receive(&ask(3)).is_none());
    assert_eq!(subject.sent_one().code(), "5.03");
    assert!(subject.receive_from(common::peer(2), &ask(4)).is_some());
    subject.respond(open[0], b"1");
    assert!(subject.receive(&ask(5)).is_some());
}
