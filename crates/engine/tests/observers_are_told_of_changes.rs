//! Observation (RFC 7641): the server's side by hand, the client's side by hand, and both on bad networks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "helpers of tests"
)]

mod common;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use common::{Heard, Subject, closed_network, datagram, options_of};
use coracle_engine::{
    Config, DropReason, Event, ExchangeError, ExchangeId, Path, RequestRef, ResponseRef, Topic,
};
use coracle_sim::{Input, Link, Network};
use coracle_wire::{Code, MessageType, Method, OptionNumber, Options, OptionsBuf, Status};

const TOPIC: Topic = Topic(7);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn state(body: &[u8]) -> ResponseRef<'_> {
    ResponseRef::new(Status::CONTENT, Options::empty(), body).with_observe(Some(TOPIC))
}

fn observe(message_type: MessageType, id: u16, token: &[u8], value: u8) -> Vec<u8> {
    let value: &[u8] = if value == 0 { &[] } else { &[1] };
    let options = [(OptionNumber::OBSERVE, value), (OptionNumber::URI_PATH, b"t")];
    datagram(message_type, Method::GET, id, token, &options, b"")
}

fn empty(message_type: MessageType, id: u16) -> Vec<u8> {
    datagram(message_type, Code::EMPTY, id, b"", &[], b"")
}

/// A subject with one observer of token `t`, registered by a message of this type.
fn observed(message_type: MessageType) -> (Subject, ExchangeId, u32) {
    let mut subject = Subject::with(closed_network());
    let (id, _) = subject.receive(&observe(message_type, 1, b"t", 0)).unwrap();
    subject.endpoint.respond(subject.now, id, state(b"0")).unwrap();
    let number = number(&subject.sent_one()).expect("registered");
    (subject, id, number)
}

fn number(heard: &Heard) -> Option<u32> {
    heard.message().options.observe()
}

/// Changes the state and answers what is asked for; what was sent.
fn change(subject: &mut Subject, response: ResponseRef<'_>) -> Vec<Heard> {
    subject.endpoint.changed(TOPIC);
    refresh(subject, response)
}

fn refresh(subject: &mut Subject, response: ResponseRef<'_>) -> Vec<Heard> {
    for event in subject.events() {
        if let Event::Refresh { id, request } = event {
            assert!(request.options.contains(OptionNumber::URI_PATH));
            subject.endpoint.respond(subject.now, id, response).unwrap();
        }
    }
    subject.sent()
}

fn ended(subject: &mut Subject) -> bool {
    let events = subject.events();
    let ended = events.iter().any(|event| matches!(event, Event::Ended { .. }));
    let idle = events
        .iter()
        .any(|event| matches!(event, Event::TopicIdle { topic: TOPIC }));
    assert_eq!(ended, idle, "{events:?}");
    ended
}

#[test]
fn each_change_is_a_confirmable_notification_with_a_higher_number_and_the_same_token() {
    let (mut subject, _, mut last) = observed(MessageType::Confirmable);
    for _ in 0..3 {
        let sent = change(&mut subject, state(b"1"));
        let message = sent[0].message();
        assert_eq!(
            (message.message_type, message.token),
            (MessageType::Confirmable, &b"t"[..])
        );
        assert!(number(&sent[0]).unwrap() > last);
        last = number(&sent[0]).unwrap();
        subject.receive(&empty(MessageType::Acknowledgement, sent[0].id()));
    }
    subject.endpoint.changed(Topic(8));
    assert!(subject.events().is_empty(), "another topic");
}

/// RFC 7641 §4.5.2: one notification is under way, and of the states that follow only the latest is sent.
#[test]
fn while_a_notification_is_under_way_only_the_latest_state_waits() {
    let (mut subject, ..) = observed(MessageType::Confirmable);
    let first = change(&mut subject, state(b"1")).remove(0);
    for _ in 0..5 {
        assert!(change(&mut subject, state(b"2")).is_empty());
    }
    subject.receive(&empty(MessageType::Acknowledgement, first.id()));
    let next = refresh(&mut subject, state(b"6"));
    assert_eq!((next.len(), next[0].message().payload), (1, &b"6"[..]));
}

/// RFC 7641 §4.5.2: the newer state takes the place of a retransmission, and goes on with its count.
#[test]
fn a_retransmission_makes_way_for_the_newer_state() {
    let (mut subject, ..) = observed(MessageType::Confirmable);
    let first = change(&mut subject, state(b"1")).remove(0);
    subject.endpoint.changed(TOPIC);
    let mut sent = vec![first];
    let mut version = 2;
    let start = subject.now;
    while subject.now - start < secs(120) {
        assert!(
            subject.pass(Duration::from_millis(100)).is_empty(),
            "the old state was sent again"
        );
        let new = refresh(&mut subject, state(&[b'0' + version]));
        if !new.is_empty() {
            sent.extend(new);
            version += 1;
            subject.endpoint.changed(TOPIC);
        }
    }
    assert_eq!(sent.len(), 5, "as many transmissions as of one message");
    subject.pass(secs(300));
    assert!(
        subject.endpoint.is_pristine(),
        "an observer that never answers is forgotten"
    );
}

/// RFC 7641 §4.5.2: a late acknowledgement of a notification that was superseded shows that the client is interested,
/// and a late Reset that it is not.
#[test]
fn a_late_acknowledgement_of_a_superseded_notification_keeps_the_observer() {
    for acknowledged in [0, 1, 2] {
        let (mut subject, ..) = observed(MessageType::Confirmable);
        let mut sent = change(&mut subject, state(b"1"));
        let start = subject.now;
        while sent.len() < 4 {
            subject.endpoint.changed(TOPIC);
            subject.pass(Duration::from_millis(100));
            sent.extend(refresh(&mut subject, state(b"2")));
        }
        let before = subject.now - start;
        if acknowledged > 0 {
            let of = sent[sent.len() - 2].id();
            subject.receive(&empty(MessageType::Acknowledgement, of));
        }
        if acknowledged > 1 {
            subject.receive(&empty(MessageType::Acknowledgement, sent[3].id()));
        }
        let again = subject.pass(secs(400)).len();
        assert_eq!(again, [1, 4, 0][acknowledged], "sent again after {before:?}");
        assert_eq!(ended(&mut subject), acknowledged < 2);
    }
    let (mut subject, ..) = observed(MessageType::Confirmable);
    let first = change(&mut subject, state(b"1")).remove(0);
    subject.endpoint.changed(TOPIC);
    subject.pass(secs(4));
    assert_eq!(refresh(&mut subject, state(b"2")).len(), 1);
    subject.receive(&empty(MessageType::Reset, first.id()));
    assert!(ended(&mut subject));
    subject.pass(secs(300));
    assert!(subject.endpoint.is_pristine());
}

/// One acknowledgement is one sign of life, however often it comes.
#[test]
fn a_late_acknowledgement_that_comes_again_and_again_counts_once() {
    let (mut subject, ..) = observed(MessageType::Confirmable);
    let first = change(&mut subject, state(b"1")).remove(0);
    subject.endpoint.changed(TOPIC);
    subject.pass(secs(4));
    assert_eq!(refresh(&mut subject, state(b"2")).len(), 1);
    for _ in 0..20 {
        subject.receive(&empty(MessageType::Acknowledgement, first.id()));
        subject.pass(secs(30));
    }
    assert!(ended(&mut subject));
}

#[test]
fn a_reset_of_a_notification_ends_the_observation() {
    for message_type in [MessageType::Confirmable, MessageType::NonConfirmable] {
        let (mut subject, ..) = observed(message_type);
        subject.pass(secs(3));
        let sent = change(&mut subject, state(b"1"));
        assert_eq!(sent[0].message().message_type, message_type);
        subject.receive(&empty(MessageType::Reset, sent[0].id()));
        assert!(ended(&mut subject));
        assert!(change(&mut subject, state(b"2")).is_empty());
        subject.pass(secs(300));
        assert!(subject.endpoint.is_pristine());
    }
}

#[test]
fn a_notification_that_is_never_acknowledged_ends_the_observation() {
    let (mut subject, ..) = observed(MessageType::Confirmable);
    change(&mut subject, state(b"1"));
    assert_eq!(subject.pass(secs(100)).len(), 4);
    assert!(ended(&mut subject));
}

#[test]
fn observers_that_are_forgotten_are_told_nothing_not_even_again() {
    let (mut subject, ..) = observed(MessageType::Confirmable);
    assert_eq!(change(&mut subject, state(b"1")).len(), 1);
    subject.endpoint.forget_observers(subject.now, Topic(8));
    assert!(subject.endpoint.is_observed(TOPIC), "another topic");
    subject.endpoint.forget_observers(subject.now, TOPIC);
    assert!(ended(&mut subject));
    assert!(change(&mut subject, state(b"2")).is_empty());
    assert!(
        subject.pass(secs(100)).is_empty(),
        "the notification is not sent again"
    );
}

/// A subject with an observer whose registration it answered late, in a message of its own.
fn observed_late(message_type: MessageType) -> (Subject, Heard) {
    let mut subject = Subject::with(closed_network());
    let (id, _) = subject.receive(&observe(message_type, 1, b"t", 0)).unwrap();
    subject.pass(secs(2));
    subject.endpoint.respond(subject.now, id, state(b"0")).unwrap();
    let first = subject.sent_one();
    assert_eq!(first.message().message_type, message_type);
    (subject, first)
}

/// RFC 7641 §4.5.1: the response to the registration is the notification that is under way.
#[test]
fn a_late_response_to_the_registration_comes_before_all_notifications() {
    let (mut subject, first) = observed_late(MessageType::Confirmable);
    assert!(change(&mut subject, state(b"1")).is_empty());
    subject.receive(&empty(MessageType::Acknowledgement, first.id()));
    let next = refresh(&mut subject, state(b"1")).remove(0);
    assert!(number(&next) > number(&first));
}

/// RFC 7641 §4.5: who rejects it, or never acknowledges it, does not observe.
#[test]
fn a_late_response_to_the_registration_that_is_rejected_or_lost_ends_the_observation() {
    for message_type in [MessageType::Confirmable, MessageType::NonConfirmable] {
        let (mut subject, first) = observed_late(message_type);
        subject.receive(&empty(MessageType::Reset, first.id()));
        assert!(ended(&mut subject));
        assert!(change(&mut subject, state(b"1")).is_empty());
    }
    let (mut subject, _) = observed_late(MessageType::Confirmable);
    assert_eq!(subject.pass(secs(100)).len(), 4);
    assert!(ended(&mut subject));
}

#[test]
fn a_request_with_observe_1_ends_the_observation_and_is_answered() {
    let (mut subject, ..) = observed(MessageType::Confirmable);
    let sent = subject.serve(&observe(MessageType::Confirmable, 2, b"t", 1), b"last");
    assert_eq!((sent[0].code(), number(&sent[0])), ("2.05".to_owned(), None));
    assert!(ended(&mut subject));
}

/// RFC 7641 §4.1: the entry is replaced, and its numbers go on.
#[test]
fn a_renewed_registration_takes_the_place_of_the_one_before() {
    let (mut subject, first, before) = observed(MessageType::Confirmable);
    let sent = subject.serve_with(&observe(MessageType::Confirmable, 2, b"t", 0), state(b"0"));
    let renewed = number(&sent[0]).unwrap();
    assert!(renewed > before);
    assert!(
        matches!(subject.events()[..], [Event::Ended { id }] if id == first),
        "the topic is observed still"
    );
    let sent = change(&mut subject, state(b"1"));
    assert_eq!(sent.len(), 1);
    assert!(number(&sent[0]).unwrap() > renewed);
}

#[test]
fn a_renewal_that_is_not_accepted_ends_what_was_before() {
    for refusal in [
        ResponseRef::new(Status::CONTENT, Options::empty(), b"not observable any more"),
        ResponseRef::new(Status::NOT_FOUND, Options::empty(), b"").with_observe(Some(TOPIC)),
    ] {
        let (mut subject, ..) = observed(MessageType::Confirmable);
        let sent = subject.serve_with(&observe(MessageType::Confirmable, 2, b"t", 0), refusal);
        assert_eq!(number(&sent[0]), None);
        assert!(ended(&mut subject));
    }
}

/// RFC 7641 §4.2.
#[test]
fn an_error_or_another_content_format_is_the_last_notification() {
    let text = options_of(&[(OptionNumber::CONTENT_FORMAT, &[50])]);
    let other = ResponseRef::new(Status::CONTENT, text.as_options(), b"{}").with_observe(Some(TOPIC));
    let gone = ResponseRef::new(Status::NOT_FOUND, Options::empty(), b"").with_observe(Some(TOPIC));
    for (last, code) in [(gone, "4.04"), (other, "4.06")] {
        let (mut subject, ..) = observed(MessageType::NonConfirmable);
        subject.pass(secs(3));
        let sent = change(&mut subject, last);
        assert_eq!((&sent[0].code()[..], number(&sent[0])), (code, None));
        assert_eq!(sent[0].message().message_type, MessageType::Confirmable);
        assert!(ended(&mut subject));
        assert_eq!(
            subject.pass(secs(4)).len(),
            1,
            "it is sent again until it is acknowledged"
        );
        subject.receive(&empty(MessageType::Acknowledgement, sent[0].id()));
        subject.pass(secs(300));
        assert!(subject.endpoint.is_pristine());
    }
}

/// RFC 7641 §3.3.2: a 2.03 has no format that could differ.
#[test]
fn a_valid_state_keeps_the_format_whatever_was_before() {
    let etag = options_of(&[(OptionNumber::ETAG, b"1")]);
    let valid = ResponseRef::new(Status::VALID, etag.as_options(), b"").with_observe(Some(TOPIC));
    let json = options_of(&[(OptionNumber::CONTENT_FORMAT, &[50])]);
    let content = ResponseRef::new(Status::CONTENT, json.as_options(), b"{}").with_observe(Some(TOPIC));
    let mut subject = Subject::with(closed_network());
    subject.serve_with(&observe(MessageType::Confirmable, 1, b"t", 0), valid);
    for (next, code) in [
        (content, "2.05"),
        (valid, "2.03"),
        (content, "2.05"),
        (state(b"text"), "4.06"),
    ] {
        let sent = change(&mut subject, next);
        assert_eq!(sent[0].code(), code);
        subject.receive(&empty(MessageType::Acknowledgement, sent[0].id()));
    }
}

/// RFC 7641 §4.5.1: 3 s between notifications.
#[test]
fn non_confirmable_notifications_pause_and_now_and_then_one_is_confirmable() {
    let (mut subject, ..) = observed(MessageType::NonConfirmable);
    let start = subject.now;
    let mut times = Vec::new();
    while subject.now - start < secs(30) {
        if !change(&mut subject, state(b"1")).is_empty() {
            times.push((subject.now - start).as_millis());
        }
        subject.pass(Duration::from_millis(100));
    }
    assert_eq!(
        times,
        [3000, 6000, 9000, 12_000, 15_000, 18_000, 21_000, 24_000, 27_000]
    );
    // RFC 7641 §7: not without end without a sign of life. Nine have gone unconfirmed above, one more may.
    assert_eq!(confirmable_of(&mut subject, 24, secs(60)), [1, 12, 23]);
    // RFC 7641 §4.5: one a day, however few there are.
    assert_eq!(confirmable_of(&mut subject, 6, secs(13 * 3600)), [1, 3, 5]);
}

/// Which of so many notifications, each some time after the one before, are confirmable; all are acknowledged.
fn confirmable_of(subject: &mut Subject, count: usize, pause: Duration) -> Vec<usize> {
    let is_confirmable = |_: &usize| {
        subject.pass(pause);
        let sent = change(subject, state(b"1"));
        let confirmable = sent[0].message().message_type == MessageType::Confirmable;
        if confirmable {
            subject.receive(&empty(MessageType::Acknowledgement, sent[0].id()));
        }
        confirmable
    };
    (0..count).filter(is_confirmable).collect()
}

/// A notification may wait for its Reset for days, while its message ID would come round again.
#[test]
fn an_observer_that_is_not_heard_for_long_can_still_reject_and_leaves_nothing() {
    let (mut subject, ..) = observed(MessageType::NonConfirmable);
    subject.pass(secs(3));
    let sent = change(&mut subject, state(b"1"));
    subject.pass(secs(4000));
    assert!(
        subject.endpoint.is_idle(),
        "a quiet observer keeps the endpoint busy"
    );
    subject.serve(&observe(MessageType::NonConfirmable, 2, b"t", 1), b"last");
    assert!(ended(&mut subject));
    subject.receive(&empty(MessageType::Reset, sent[0].id()));
    subject.pass(secs(300));
    assert!(subject.endpoint.is_pristine());
}

/// A response in the acknowledgement of a notification makes no sense, but it acknowledges it.
#[test]
fn a_strange_acknowledgement_of_a_notification_does_not_stop_the_observation() {
    let (mut subject, ..) = observed(MessageType::Confirmable);
    let sent = change(&mut subject, state(b"1"));
    subject.receive(&datagram(
        MessageType::Acknowledgement,
        Status::CONTENT,
        sent[0].id(),
        b"t",
        &[],
        b"x",
    ));
    assert_eq!(change(&mut subject, state(b"2")).len(), 1);
}

#[test]
fn a_peer_has_as_many_observations_as_the_bound_and_then_plain_answers() {
    let mut config = closed_network();
    config.max_observers_per_peer = 2;
    let mut subject = Subject::with(config);
    let accepted: Vec<_> = (1..=4)
        .map(|id| {
            let sent = subject.serve_with(
                &observe(MessageType::Confirmable, id, &id.to_be_bytes(), 0),
                state(b"0"),
            );
            number(&sent[0]).is_some()
        })
        .collect();
    assert_eq!(accepted, [true, true, false, false]);
    assert_eq!(subject.pass(secs(300)).len(), 0);
    // Those of another peer are its own.
    let (id, _) = subject
        .receive_from(common::peer(9), &observe(MessageType::Confirmable, 1, b"t", 0))
        .unwrap();
    subject.endpoint.respond(subject.now, id, state(b"0")).unwrap();
    assert!(number(&subject.sent_one()).is_some());
}

const SERVER: &str = "198.51.100.7:5683";

/// A subject that observes, and its registration.
fn observing() -> (Subject, ExchangeId, Heard) {
    let mut subject = Subject::with(closed_network());
    subject.path = Path::to(SERVER.parse().unwrap());
    let options = options_of(&[(OptionNumber::OBSERVE, &[]), (OptionNumber::URI_PATH, b"t")]);
    let ask = RequestRef::new(Method::GET, options.as_options());
    let id = subject.endpoint.request(subject.now, &subject.path, ask).unwrap();
    let sent = subject.sent_one();
    (subject, id, sent)
}

fn notification(message_type: MessageType, id: u16, token: &[u8], number: u64, max_age: u8) -> Vec<u8> {
    let mut options = OptionsBuf::new();
    options.push_uint(OptionNumber::OBSERVE, number);
    options.push_uint(OptionNumber::MAX_AGE, u64::from(max_age));
    let options: Vec<_> = options
        .iter()
        .map(|option| (option.number, option.value))
        .collect();
    datagram(
        message_type,
        Status::CONTENT,
        id,
        token,
        &options,
        &number.to_be_bytes(),
    )
}

fn states(subject: &mut Subject) -> Vec<u64> {
    subject
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Response {
                response, more: true, ..
            } => Some(u64::from_be_bytes(response.payload.try_into().unwrap())),
            _ => None,
        })
        .collect()
}

/// RFC 7641 §3.4.
#[test]
fn a_notification_that_comes_late_is_not_taken_for_the_newest() {
    let (mut subject, _, request) = observing();
    let token = request.message().token.to_vec();
    subject.receive(&notification(
        MessageType::Acknowledgement,
        request.id(),
        &token,
        5,
        60,
    ));
    for (id, number) in [(1, 7), (2, 6), (3, 7), (4, 8), (5, 1 << 23)] {
        subject.receive(&notification(MessageType::Confirmable, id, &token, number, 60));
        // Each is acknowledged, taken or not.
        assert_eq!(subject.sent_one().bytes, empty(MessageType::Acknowledgement, id));
    }
    assert_eq!(states(&mut subject), [5, 7, 8, 1 << 23]);
    assert_eq!(subject.endpoint.stats().dropped(DropReason::StaleNotification), 2);
}

/// RFC 7641 §3.3.1: 5 to 15 s after Max-Age it is registered anew with the same token and options; a server that was
/// restarted may count from anywhere.
#[test]
fn an_observation_that_is_stale_is_renewed() {
    let (mut subject, id, request) = observing();
    let token = request.message().token.to_vec();
    subject.receive(&notification(
        MessageType::Acknowledgement,
        request.id(),
        &token,
        500,
        30,
    ));
    assert_eq!(states(&mut subject), [500]);
    assert!(subject.pass(Duration::from_millis(29_999)).is_empty());
    assert!(subject.events().is_empty());
    subject.pass(Duration::from_millis(1));
    assert!(matches!(subject.events()[..], [Event::Stale { id: of }] if of == id));
    let sent = subject.pass(secs(15));
    let (after, renewal) = &sent[0];
    assert!((secs(5)..=secs(15)).contains(after), "{after:?}");
    assert_eq!(renewal.message().token, token);
    assert_eq!(renewal.message().options, request.message().options);
    subject.receive(&notification(
        MessageType::Acknowledgement,
        renewal.id(),
        &token,
        3,
        30,
    ));
    assert_eq!(
        states(&mut subject),
        [3],
        "the answer of a server that counts anew was dropped"
    );
    subject.receive(&notification(MessageType::NonConfirmable, 9, &token, 4, 30));
    assert_eq!(states(&mut subject), [4]);
    // And so on.
    let sent = subject.pass(secs(45));
    assert!(sent[0].0 >= secs(35), "{:?}", sent[0].0);
    assert_eq!(sent[0].1.message().token, token);
}

/// RFC 7641 §3.4: a notification overtakes the answer to a renewal, which shows an older state then. It is dropped
/// whether it comes in the acknowledgement or by itself, and the observation goes on.
#[test]
fn the_answer_to_a_renewal_that_a_notification_overtook_is_dropped() {
    for separate in [false, true] {
        let (mut subject, _, request) = observing();
        let token = request.message().token.to_vec();
        let first = notification(MessageType::Acknowledgement, request.id(), &token, 500, 10);
        subject.receive(&first);
        let renewal = subject.pass(secs(25)).remove(0).1;
        assert_eq!(states(&mut subject), [500]);
        subject.receive(&notification(MessageType::NonConfirmable, 9, &token, 502, 255));
        assert_eq!(states(&mut subject), [502]);
        let late = if separate {
            subject.receive(&empty(MessageType::Acknowledgement, renewal.id()));
            notification(MessageType::Confirmable, 10, &token, 501, 255)
        } else {
            notification(MessageType::Acknowledgement, renewal.id(), &token, 501, 255)
        };
        subject.receive(&late);
        assert_eq!(subject.sent().len(), usize::from(separate), "it is acknowledged");
        assert_eq!(subject.pass(secs(254)).len(), 0, "nothing is sent again");
        assert!(subject.events().is_empty(), "it is the state before");
        subject.receive(&notification(MessageType::NonConfirmable, 11, &token, 503, 255));
        assert_eq!(states(&mut subject), [503]);
    }
}

/// RFC 7641 §3.3.1: while the blocks of a newer state are on their way, the one that is known gets too old all the same.
#[test]
fn max_age_is_over_in_the_middle_of_a_notification_in_blocks() {
    let (mut subject, id, request) = observing();
    let token = request.message().token.to_vec();
    let known = notification(MessageType::Acknowledgement, request.id(), &token, 5, 10);
    subject.receive(&known);
    assert_eq!(states(&mut subject), [5]);
    subject.pass(secs(9));
    // Its first block has 16 bytes of 20.
    let options: [(OptionNumber, &[u8]); 3] = [
        (OptionNumber::OBSERVE, &[6]),
        (OptionNumber::MAX_AGE, &[10]),
        (OptionNumber::BLOCK2, &[0x08]),
    ];
    let non = MessageType::NonConfirmable;
    subject.receive(&datagram(non, Status::CONTENT, 9, &token, &options, &[1; 16]));
    let further = subject.sent_one();
    subject.events();
    subject.pass(secs(1));
    assert!(matches!(subject.events()[..], [Event::Stale { id: of }] if of == id));
    // It is not renewed meanwhile, and told no second time.
    let sent = subject.pass(secs(20));
    assert!(sent.iter().all(|(_, again)| again.bytes == further.bytes));
    assert!(subject.events().is_empty());
    let (ack, of) = (MessageType::Acknowledgement, further.message().token);
    let last: [(OptionNumber, &[u8]); 1] = [(OptionNumber::BLOCK2, &[0x10])];
    subject.receive(&datagram(ack, Status::CONTENT, further.id(), of, &last, &[2; 4]));
    let told =
        |event: &Event| matches!(event, Event::Response { response, .. } if response.payload.len() == 20);
    assert!(subject.events().iter().any(told));
    subject.pass(secs(10));
    assert!(matches!(subject.events()[..], [Event::Stale { id: of }] if of == id));
}

#[test]
fn a_renewal_that_nobody_answers_ends_the_observation() {
    let (mut subject, id, request) = observing();
    let token = request.message().token.to_vec();
    subject.receive(&notification(
        MessageType::Acknowledgement,
        request.id(),
        &token,
        5,
        10,
    ));
    subject.pass(secs(200));
    let events = subject.events();
    let error = ExchangeError::NoAnswer { retransmissions: 4 };
    assert!(
        matches!(events.last(), Some(Event::Failed { id: of, error: why }) if *of == id && *why == error),
        "{events:?}"
    );
    subject.pass(secs(300));
    assert!(subject.endpoint.is_pristine());
}

#[test]
fn an_error_or_an_answer_without_observe_is_the_last() {
    for options in [&[][..], &[(OptionNumber::OBSERVE, &[9][..])]] {
        for status in [Status::NOT_FOUND, Status::CONTENT] {
            if status.is_success() && !options.is_empty() {
                continue;
            }
            let (mut subject, _, request) = observing();
            let token = request.message().token.to_vec();
            subject.receive(&notification(
                MessageType::Acknowledgement,
                request.id(),
                &token,
                5,
                60,
            ));
            subject.receive(&datagram(
                MessageType::Confirmable,
                status,
                3,
                &token,
                options,
                b"x",
            ));
            let events = subject.events();
            assert!(
                matches!(events.last(), Some(Event::Response { more: false, .. })),
                "{events:?}"
            );
            subject.pass(secs(300));
            assert!(subject.endpoint.is_pristine());
        }
    }
}

/// RFC 7641 §3.6.
#[test]
fn a_cancelled_observation_is_deregistered_and_its_notifications_are_rejected() {
    let (mut subject, id, request) = observing();
    let token = request.message().token.to_vec();
    subject.receive(&notification(
        MessageType::Acknowledgement,
        request.id(),
        &token,
        5,
        60,
    ));
    assert_eq!(states(&mut subject), [5]);
    subject.endpoint.cancel(subject.now, id);
    let sent = subject.sent_one();
    assert_eq!((number(&sent), sent.message().token), (Some(1), &token[..]));
    subject.receive(&notification(MessageType::NonConfirmable, 3, &token, 6, 60));
    assert_eq!(subject.sent_one().bytes, empty(MessageType::Reset, 3));
    subject.receive(&datagram(
        MessageType::Acknowledgement,
        Status::CONTENT,
        sent.id(),
        &token,
        &[],
        b"",
    ));
    assert!(states(&mut subject).is_empty());
    subject.pass(secs(300));
    assert!(subject.endpoint.is_pristine());
}

#[test]
fn a_late_notification_does_not_stop_the_fetching_of_a_body() {
    let (mut subject, _, request) = observing();
    let token = request.message().token.to_vec();
    let block = common::block(0, 1, 16);
    let options = [(OptionNumber::OBSERVE, &[9][..]), (OptionNumber::BLOCK2, &block)];
    subject.receive(&datagram(
        MessageType::Acknowledgement,
        Status::CONTENT,
        request.id(),
        &token,
        &options,
        &[1; 16],
    ));
    let fetch = subject.sent_one();
    assert_eq!(
        (fetch.block2().as_deref(), number(&fetch)),
        (Some("1/0/16"), None)
    );
    subject.receive(&notification(MessageType::NonConfirmable, 3, &token, 8, 60));
    let again = subject.pass(secs(3));
    assert_eq!(again.len(), 1, "the request for the block is not sent again");
    assert_eq!(again[0].1.bytes, fetch.bytes);
    // A newer one takes the place of the transfer.
    subject.receive(&notification(MessageType::NonConfirmable, 4, &token, 10, 200));
    assert_eq!(states(&mut subject), [10]);
    assert!(subject.pass(secs(100)).is_empty());
}

/// A body that changed while its blocks were fetched is asked for by registering anew: the answer has a number, so that a
/// notification that was sent before it and comes after it does not bring the old state back.
#[test]
fn a_body_that_changed_under_way_is_registered_for_anew() {
    let (mut subject, _, request) = observing();
    let token = request.message().token.to_vec();
    let first = common::block(0, 1, 16);
    let options = [
        (OptionNumber::ETAG, &[7][..]),
        (OptionNumber::OBSERVE, &[7]),
        (OptionNumber::BLOCK2, &first),
    ];
    let ack = MessageType::Acknowledgement;
    subject.receive(&datagram(
        ack,
        Status::CONTENT,
        request.id(),
        &token,
        &options,
        &[1; 16],
    ));
    let fetch = subject.sent_one();
    let of = fetch.message().token.to_vec();
    let second = common::block(1, 0, 16);
    let options = [(OptionNumber::ETAG, &[9][..]), (OptionNumber::BLOCK2, &second)];
    subject.receive(&datagram(
        ack,
        Status::CONTENT,
        fetch.id(),
        &of,
        &options,
        &[2; 4],
    ));
    let anew = subject.sent_one();
    assert_eq!(anew.message().token, token);
    assert_eq!((anew.block2(), number(&anew)), (None, Some(0)));
    subject.receive(&notification(ack, anew.id(), &token, 9, 60));
    subject.receive(&notification(MessageType::NonConfirmable, 3, &token, 8, 60));
    assert_eq!(states(&mut subject), [9]);
}

/// After changes stop, every observer that still observes has the last state, whatever was lost.
#[test]
fn observers_end_up_with_the_last_state() {
    let (mut consistent, mut given_up) = (0, 0);
    for seed in 0..40 {
        let mut network = Network::new(seed);
        network.set_link(
            Link::perfect()
                .with_loss(0.3)
                .with_duplication(0.1)
                .with_jitter(secs(2)),
        );
        let version = Rc::new(RefCell::new(0_u8));
        let current = Rc::clone(&version);
        let max_age = options_of(&[(OptionNumber::MAX_AGE, &[30])]);
        let server = network.add_node(
            closed_network(),
            Some(Box::new(move |io, input| {
                let (Input::Request { id, .. } | Input::Event(Event::Refresh { id, .. })) = input else {
                    return;
                };
                let body = [*current.borrow()];
                let response = ResponseRef::new(Status::CONTENT, max_age.as_options(), &body);
                let _ = io.respond(id, response.with_observe(Some(TOPIC)));
            })),
        );
        let clients: Vec<_> = (0..6).map(|_| network.add_client()).collect();
        let options = options_of(&[(OptionNumber::OBSERVE, &[])]);
        let ids: Vec<_> = clients
            .iter()
            .enumerate()
            .map(|(number, client)| {
                let ask =
                    RequestRef::new(Method::GET, options.as_options()).with_confirmable(number % 2 == 0);
                network.request(*client, server, ask).unwrap()
            })
            .collect();
        for next in 1..=30 {
            network.run_for(Duration::from_millis(700));
            *version.borrow_mut() = next;
            network.endpoint(server).changed(TOPIC);
        }
        network.run_for(secs(300));
        for (number, (client, id)) in clients.iter().zip(ids).enumerate() {
            let events = network.take_events(*client);
            let last = events.iter().rev().find_map(|event| match event {
                Event::Response { response, .. } => Some(response.payload[0]),
                _ => None,
            });
            if events.iter().any(|event| matches!(event, Event::Failed { .. })) {
                // A registration that is not confirmable is lost as any such message.
                given_up += usize::from(number % 2 == 0);
            } else {
                assert_eq!(last, Some(30), "seed {seed}");
                consistent += 1;
            }
            let now = network.now();
            network.endpoint(*client).cancel(now, id);
        }
        network.set_link(Link::perfect());
        network.run_for(secs(100));
        network.endpoint(server).changed(TOPIC);
        assert!(network.run_to_silence(secs(2000)));
        assert!(network.endpoint(server).is_pristine());
    }
    assert!(consistent > 160, "{consistent} of 240 up to date");
    // Ten exchanges each, of which 3.5 % are given up.
    assert!(given_up < 50, "{given_up} of 120 confirmable ones gave up");
}

#[test]
fn ten_thousand_observers_are_notified_and_forgotten() {
    let mut subject = Subject::with(closed_network());
    for port in 1..=10_000 {
        let (id, _) = subject
            .receive_from(common::peer(port), &observe(MessageType::Confirmable, 1, b"t", 0))
            .unwrap();
        subject.endpoint.respond(subject.now, id, state(b"0")).unwrap();
    }
    subject.sent();
    let sent = change(&mut subject, state(b"1"));
    assert_eq!(sent.len(), 10_000);
    for heard in &sent {
        subject.receive_from(
            common::peer(heard.path.remote.port()),
            &empty(MessageType::Acknowledgement, heard.id()),
        );
    }
    assert!(subject.pass(secs(100)).is_empty());
    let sent = change(&mut subject, state(b"2"));
    for heard in &sent {
        subject.receive_from(
            common::peer(heard.path.remote.port()),
            &empty(MessageType::Reset, heard.id()),
        );
    }
    let events = subject.events();
    assert_eq!(
        events
            .iter()
            .filter(|event| matches!(event, Event::Ended { .. }))
            .count(),
        10_000
    );
    assert_eq!(
        events
            .iter()
            .filter(|event| matches!(event, Event::TopicIdle { .. }))
            .count(),
        1
    );
    subject.pass(secs(300));
    assert!(subject.endpoint.is_pristine());
}

/// RFC 7641 §4.1: where there is no room for observers a request is answered all the same, and requests have room.
#[test]
fn observers_leave_room_for_requests() {
    let mut config = closed_network();
    config.max_exchanges = 10;
    let mut subject = Subject::with(config);
    for port in 1..=10 {
        subject.path = common::peer(port);
        let heard = subject.serve_with(&observe(MessageType::Confirmable, 1, b"t", 0), state(b"1"));
        assert_eq!(heard[0].code(), "2.05");
        let accepted = heard[0].message().options.observe().is_some();
        assert_eq!(accepted, port <= 5, "observer {port}");
    }
}

/// RFC 7641 §4.5.1: a client is sent one non-confirmable notification in 3 s, however many observations it has.
#[test]
fn the_observers_of_one_peer_take_turns() {
    let mut subject = Subject::with(closed_network());
    for token in [b"a", b"b", b"c"] {
        let id = u16::from(token[0]);
        let heard = subject.serve_with(&observe(MessageType::NonConfirmable, id, token, 0), state(b"0"));
        assert_eq!(heard.len(), 1);
    }
    subject.pass(secs(10));
    let start = subject.now;
    subject.endpoint.changed(TOPIC);
    let mut told = Vec::new();
    for step in 0..100 {
        while let Some(event) = subject.endpoint.poll_event() {
            if let Event::Refresh { id, .. } = event {
                let value = step.to_string();
                subject
                    .endpoint
                    .respond(subject.now, id, state(value.as_bytes()))
                    .unwrap();
            }
        }
        for heard in subject.sent() {
            told.push((
                (subject.now - start).as_secs(),
                String::from_utf8(heard.message().token.to_vec()).unwrap(),
            ));
        }
        subject.pass(Duration::from_millis(100));
    }
    let expected = [(0, "a"), (3, "b"), (6, "c")];
    assert_eq!(told, expected.map(|(at, token)| (at, token.to_owned())));
}

/// RFC 7641 §4.5: a client that does not acknowledge is no longer interested, in nothing that it observes.
#[test]
fn a_peer_that_is_gone_is_tried_once_for_all_its_observations() {
    let mut subject = Subject::with(closed_network());
    for token in 0..50_u8 {
        let heard = subject.serve_with(
            &observe(MessageType::Confirmable, u16::from(token), &[token], 0),
            state(b"0"),
        );
        assert_eq!(heard.len(), 1);
    }
    let mut notifications = change(&mut subject, state(b"1")).len();
    let transmission = Config::default().transmission;
    notifications += subject.pass(transmission.max_transmit_wait()).len();
    let told = "one message, its retransmissions, and the next in line";
    assert_eq!(notifications, 6, "{told}");
    assert!(!subject.endpoint.is_observed(TOPIC));
    assert!(subject.endpoint.is_idle());
}
