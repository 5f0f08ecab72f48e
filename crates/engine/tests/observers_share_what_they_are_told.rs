//! Observers whose requests mean the same: the application is asked once for all, and all are told the same.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod common;

use std::time::Duration;

use common::{Heard, Subject, closed_network, datagram, peer};
use coracle_engine::{Event, ExchangeId, ResponseRef, Topic};
use coracle_wire::{Code, MessageType, Method, OptionNumber, Options, Status};

use MessageType::{Acknowledgement, Confirmable, NonConfirmable, Reset};

const TOPIC: Topic = Topic(7);

fn showing(body: &[u8]) -> ResponseRef<'_> {
    ResponseRef::new(Status::CONTENT, Options::empty(), body).with_observe(Some(TOPIC))
}

/// Registers a peer by a request with these options beside Observe, and lets the pause after it pass.
fn register(subject: &mut Subject, port: u16, by: MessageType, options: &[(OptionNumber, &[u8])]) {
    let mut all = vec![(OptionNumber::OBSERVE, &b""[..])];
    all.extend_from_slice(options);
    let token = port.to_be_bytes();
    let request = datagram(by, Method::GET, port, &token, &all, b"");
    subject.path = peer(port);
    let sent = subject.serve_with(&request, showing(b"0"));
    assert!(sent[0].message().options.observe().is_some());
}

/// A subject whose observers are the peers of these ports.
fn observed(ports: std::ops::RangeInclusive<u16>, by: MessageType) -> Subject {
    let mut subject = Subject::with(closed_network());
    for port in ports {
        register(&mut subject, port, by, &[]);
    }
    subject.pass(Duration::from_secs(10));
    subject
}

/// What the application is asked for: by which name, and for whom.
fn asked(subject: &mut Subject) -> Vec<(ExchangeId, u16)> {
    let events = subject.events().into_iter();
    let refreshes = events.filter_map(|event| match event {
        Event::Refresh { id, request } => Some((id, request.path.remote.port())),
        _ => None,
    });
    refreshes.collect()
}

fn changed(subject: &mut Subject) -> Vec<(ExchangeId, u16)> {
    subject.endpoint.changed(TOPIC);
    asked(subject)
}

fn show(subject: &mut Subject, id: ExchangeId, response: ResponseRef<'_>) {
    subject.endpoint.respond(subject.now, id, response).unwrap();
}

fn ports(sent: &[Heard]) -> Vec<u16> {
    sent.iter().map(|heard| heard.path.remote.port()).collect()
}

fn answer(subject: &mut Subject, with: MessageType, heard: &Heard) {
    let empty = datagram(with, Code::EMPTY, heard.id(), b"", &[], b"");
    subject.receive_from(peer(heard.path.remote.port()), &empty);
}

#[test]
fn the_application_is_asked_once_and_all_are_told_the_same() {
    for by in [Confirmable, NonConfirmable] {
        let mut subject = observed(1..=1000, by);
        let refreshes = changed(&mut subject);
        assert_eq!(refreshes.len(), 1);
        show(&mut subject, refreshes[0].0, showing(b"news"));
        let sent = subject.sent();
        let mut told = ports(&sent);
        told.sort_unstable();
        assert_eq!(told, (1..=1000).collect::<Vec<_>>());
        for heard in &sent {
            let (message, first) = (heard.message(), sent[0].message());
            assert_eq!(message.token, heard.path.remote.port().to_be_bytes());
            assert_eq!((message.message_type, message.payload), (by, &b"news"[..]));
            assert_eq!((message.code, message.options), (first.code, first.options));
            assert_eq!(heard.path.local, peer(1).local);
        }
        assert_eq!(subject.endpoint.stats().notifications, 1000);
    }
}

/// RFC 7252 §5.6: who asks for something else is told something else.
#[test]
fn those_share_whose_cache_keys_are_equal() {
    let path = (OptionNumber::URI_PATH, &b"t"[..]);
    let groups: [&[(OptionNumber, &[u8])]; 4] = [
        &[path],
        &[path, (OptionNumber::URI_QUERY, b"a")],
        &[path, (OptionNumber::ACCEPT, &[50])],
        &[path, (OptionNumber(64), b"?")],
    ];
    let mut subject = Subject::with(common::closed_network());
    for (port, options) in (1..).zip(groups) {
        register(&mut subject, port, Confirmable, options);
    }
    // What is no part of the cache key, or tells only about the client, does not count.
    let same: [&[(OptionNumber, &[u8])]; 4] = [
        &[(OptionNumber::ETAG, b"1"), path],
        &[path, (OptionNumber::SIZE1, &[1])],
        &[path, (OptionNumber(284), b"no cache key")],
        &[path, (OptionNumber::NO_RESPONSE, &[8])],
    ];
    for (port, options) in (11..).zip(same) {
        register(&mut subject, port, Confirmable, options);
    }
    let refreshes = changed(&mut subject);
    assert_eq!(
        refreshes.iter().map(|(_, port)| *port).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    show(&mut subject, refreshes[0].0, showing(b"1"));
    assert_eq!(ports(&subject.sent()), [1, 11, 12, 13, 14]);
    show(&mut subject, refreshes[1].0, showing(b"1"));
    assert_eq!(ports(&subject.sent()), [2]);
}

/// One's loss of access does not end the observations of the others, and no one is told what only another may not see.
#[test]
fn an_error_is_told_to_the_one_for_whom_it_was_asked_and_the_others_are_asked_for_alone() {
    let mut subject = observed(1..=4, NonConfirmable);
    let refreshes = changed(&mut subject);
    assert_eq!(refreshes.len(), 1);
    let forbidden = ResponseRef::new(Status::FORBIDDEN, Options::empty(), b"");
    show(&mut subject, refreshes[0].0, forbidden);
    let sent = subject.sent();
    assert_eq!((ports(&sent), sent[0].code()), (vec![1], "4.03".to_owned()));
    answer(&mut subject, Acknowledgement, &sent[0]);
    let alone = asked(&mut subject);
    assert_eq!(alone.iter().map(|(_, port)| *port).collect::<Vec<_>>(), [2, 3, 4]);
    show(&mut subject, alone[0].0, showing(b"1"));
    show(&mut subject, alone[1].0, forbidden);
    show(&mut subject, alone[2].0, showing(b"1"));
    let sent = subject.sent();
    assert_eq!(ports(&sent), [2, 3, 4]);
    assert_eq!(
        [&sent[0].code()[..], &sent[1].code(), &sent[2].code()],
        ["2.05", "4.03", "2.05"]
    );
    answer(&mut subject, Acknowledgement, &sent[1]);
    subject.pass(Duration::from_secs(5));
    // The next change is shared again.
    let refreshes = changed(&mut subject);
    assert_eq!(refreshes.len(), 1);
    show(&mut subject, refreshes[0].0, showing(b"2"));
    assert_eq!(ports(&subject.sent()), [2, 4]);
}

/// What depends on who asks is asked for each, whether that is known from the registration on or only later.
#[test]
fn a_personal_answer_is_nobody_elses() {
    let mut subject = observed(1..=3, NonConfirmable);
    let refreshes = changed(&mut subject);
    assert_eq!(refreshes.len(), 1);
    show(&mut subject, refreshes[0].0, showing(b"of 1").with_personal(true));
    assert_eq!(ports(&subject.sent()), [1]);
    let alone = asked(&mut subject);
    assert_eq!(alone.iter().map(|(_, port)| *port).collect::<Vec<_>>(), [2, 3]);
    for (id, port) in alone {
        let body = format!("of {port}");
        show(&mut subject, id, showing(body.as_bytes()).with_personal(true));
        let sent = subject.sent_one();
        assert_eq!(
            (sent.path.remote.port(), sent.message().payload),
            (port, body.as_bytes())
        );
    }
    subject.pass(Duration::from_secs(5));
    assert_eq!(changed(&mut subject).len(), 3);
}

/// An answer to a request goes ahead of the notifications that have not left, and who does not acknowledge holds up
/// nobody.
#[test]
fn observers_hold_up_neither_answers_nor_each_other() {
    let mut subject = observed(1..=500, Confirmable);
    let (id, _) = changed(&mut subject)[0];
    show(&mut subject, id, showing(b"1"));
    let mut buf = [0; coracle_engine::limits::MAX_DATAGRAM];
    let mut next = |subject: &mut Subject| {
        let transmit = subject.endpoint.poll_transmit(subject.now, &mut buf)?;
        Some(transmit.path.remote.port())
    };
    assert_eq!([1, 2, 3].map(|_| next(&mut subject)), [1, 2, 3].map(Some));
    let get = datagram(Confirmable, Method::GET, 1, b"g", &[], b"");
    let (id, _) = subject.receive_from(peer(9000), &get).unwrap();
    show(&mut subject, id, showing(b"2"));
    assert_eq!([1, 2].map(|_| next(&mut subject)), [Some(9000), Some(4)]);
    let sent = subject.sent();
    assert_eq!(sent.len(), 496);
    // Half of them acknowledge, and are told of the next change; the others are tried again, then gone.
    for heard in sent.iter().filter(|heard| heard.path.remote.port() % 2 == 0) {
        answer(&mut subject, Acknowledgement, heard);
    }
    let (id, _) = changed(&mut subject)[0];
    show(&mut subject, id, showing(b"3"));
    assert!(ports(&subject.sent()).iter().all(|port| port % 2 == 0));
}

/// A change while notifications leave: those who were not told are told the newer state only.
#[test]
fn nobody_is_told_an_older_state_needlessly() {
    let mut subject = observed(1..=10, NonConfirmable);
    let (id, _) = changed(&mut subject)[0];
    show(&mut subject, id, showing(b"1"));
    let mut buf = [0; coracle_engine::limits::MAX_DATAGRAM];
    for _ in 0..4 {
        assert!(subject.endpoint.poll_transmit(subject.now, &mut buf).is_some());
    }
    let refreshes = changed(&mut subject);
    assert!(subject.sent().is_empty());
    assert_eq!(refreshes.len(), 1);
    show(&mut subject, refreshes[0].0, showing(b"2"));
    let sent = subject.sent();
    assert_eq!(ports(&sent), [5, 6, 7, 8, 9, 10]);
    assert!(sent.iter().all(|heard| heard.message().payload == b"2"));
    // The first four are told after their pause, and the application is asked for what it shows then.
    let later = subject.pass(Duration::from_secs(3));
    assert!(later.is_empty());
    let refreshes = asked(&mut subject);
    assert_eq!(refreshes.len(), 1);
    show(&mut subject, refreshes[0].0, showing(b"3"));
    let sent = subject.sent();
    assert_eq!(ports(&sent), [1, 2, 3, 4]);
    assert!(sent.iter().all(|heard| heard.message().payload == b"3"));
}

/// Acknowledgements that come one after the other do not each lead to a question.
#[test]
fn what_was_shown_serves_those_who_become_due_at_once() {
    let mut subject = observed(1..=10, Confirmable);
    let (id, _) = changed(&mut subject)[0];
    show(&mut subject, id, showing(b"1"));
    let first = subject.sent();
    assert!(changed(&mut subject).is_empty(), "nobody can be told now");
    let mut refreshes = 0;
    for heard in &first {
        subject.pass(Duration::from_millis(50));
        answer(&mut subject, Acknowledgement, heard);
        for (id, _) in asked(&mut subject) {
            refreshes += 1;
            show(&mut subject, id, showing(b"2"));
        }
        let sent = subject.sent_one();
        assert_eq!(
            (sent.path.remote, sent.message().payload),
            (heard.path.remote, &b"2"[..])
        );
    }
    assert_eq!(refreshes, 1);
}

/// The one by whose request the application is asked may leave before it answers.
#[test]
fn when_the_one_who_was_asked_for_leaves_another_is_asked_for() {
    let mut subject = observed(1..=3, NonConfirmable);
    let (id, port) = changed(&mut subject)[0];
    assert_eq!(port, 1);
    let options = [(OptionNumber::OBSERVE, &[1][..])];
    let cancel = datagram(Confirmable, Method::GET, 77, &port.to_be_bytes(), &options, b"");
    subject.path = peer(1);
    subject.serve(&cancel, b"");
    assert!(subject.endpoint.respond(subject.now, id, showing(b"1")).is_err());
    let refreshes = asked(&mut subject);
    assert_eq!(refreshes.len(), 1);
    show(&mut subject, refreshes[0].0, showing(b"2"));
    assert_eq!(ports(&subject.sent()), [2, 3]);
}

/// What cannot be sent now for want of room is sent when there is some.
#[test]
fn notifications_without_room_are_sent_later_not_lost() {
    let mut config = common::closed_network();
    config.max_requests = 0;
    config.max_exchanges = 16;
    let mut subject = Subject::with(config);
    for token in 0..8_u8 {
        let options = [(OptionNumber::OBSERVE, &b""[..])];
        let request = datagram(Confirmable, Method::GET, token.into(), &[token], &options, b"");
        subject.path = peer(1 + u16::from(token));
        subject.serve_with(&request, showing(b"0"));
        // Answers of their own, which are not acknowledged, take the room.
        let slow = datagram(Confirmable, Method::GET, 100 + u16::from(token), b"s", &[], b"");
        for port in [100, 200] {
            let from = peer(port + u16::from(token));
            let (id, _) = subject.receive_from(from, &slow).unwrap();
            subject.pass(Duration::from_secs(2));
            show(&mut subject, id, showing(b"slow"));
        }
    }
    subject.sent();
    let mut told = std::collections::BTreeSet::new();
    subject.endpoint.changed(TOPIC);
    for second in 0..200 {
        for (id, _) in asked(&mut subject) {
            show(&mut subject, id, showing(b"1"));
        }
        for (_, heard) in subject.pass(Duration::from_secs(1)) {
            if heard.path.remote.port() < 100 {
                assert!(second > 20, "there was room");
                told.insert(heard.path.remote.port());
                answer(&mut subject, Acknowledgement, &heard);
            }
        }
    }
    assert_eq!(told.len(), 8);
    assert!(subject.endpoint.is_observed(TOPIC));
}

/// RFC 7959 §2.6: each is told the first block, and gets the others.
#[test]
fn a_body_in_blocks_is_told_to_each() {
    let mut subject = observed(1..=3, NonConfirmable);
    let body = [b'b'; 1500];
    let (id, _) = changed(&mut subject)[0];
    show(&mut subject, id, showing(&body));
    let sent = subject.sent();
    assert_eq!(ports(&sent), [1, 2, 3]);
    for heard in &sent {
        assert_eq!(heard.block2().as_deref(), Some("0/1/1024"));
        let options = [(OptionNumber::BLOCK2, &[0x16][..])];
        let further = datagram(Confirmable, Method::GET, 999, b"f", &options, b"");
        subject.path = peer(heard.path.remote.port());
        assert!(subject.receive(&further).is_none(), "it is kept");
        assert_eq!(subject.sent_one().message().payload.len(), 1500 - 1024);
    }
}

/// A notification that is not confirmable is not kept, but its Reset is understood, and so is an ICMP error.
#[test]
fn those_who_reject_a_notification_or_cannot_be_reached_are_gone() {
    let mut subject = observed(1..=4, NonConfirmable);
    let (id, _) = changed(&mut subject)[0];
    show(&mut subject, id, showing(b"1"));
    let sent = subject.sent();
    answer(&mut subject, Reset, &sent[1]);
    answer(&mut subject, Reset, &sent[1]);
    subject.endpoint.handle_unreachable(subject.now, peer(3).remote);
    let ended = subject.events();
    assert_eq!(ended.len(), 2, "{ended:?}");
    assert_eq!(subject.endpoint.observers(), 2);
    subject.pass(Duration::from_secs(5));
    let (id, _) = changed(&mut subject)[0];
    show(&mut subject, id, showing(b"2"));
    assert_eq!(ports(&subject.sent()), [1, 4]);
}

/// A FETCH that registers with this body, under a token that is its message ID.
fn fetch(id: u16, body: &[u8]) -> Vec<u8> {
    let options = [(OptionNumber::OBSERVE, &b""[..])];
    datagram(Confirmable, Method::FETCH, id, &id.to_be_bytes(), &options, body)
}

fn is_registered(sent: &[Heard]) -> bool {
    sent[0].message().options.observe().is_some()
}

/// Whether a FETCH of this peer with this body becomes an observation.
fn fetched(subject: &mut Subject, port: u16, id: u16, body: &[u8]) -> bool {
    subject.path = peer(port);
    is_registered(&subject.serve_with(&fetch(id, body), showing(b"0")))
}

/// RFC 7641 §4.1: where there is no room for another observation, a request is answered without Observe.
#[test]
fn the_bytes_of_requests_of_observers_are_bounded() {
    let mut config = closed_network();
    config.observation_bytes = 16_000;
    let mut subject = Subject::with(config);
    let unlike = |id: u16, len: usize| [&vec![b'q'; len][..], &id.to_be_bytes()].concat();
    // An eighth of the half is 1,000, beyond the first 128 of each.
    assert!(fetched(&mut subject, 1, 1, &unlike(1, 1100)));
    assert!(
        !fetched(&mut subject, 1, 2, &unlike(2, 1100)),
        "one peer has an eighth"
    );
    assert!(
        fetched(&mut subject, 1, 3, &unlike(3, 100)),
        "a short one always has room"
    );
    let registered = (10..100).filter(|port| fetched(&mut subject, *port, 1, &unlike(*port, 1100)));
    assert_eq!(registered.count(), 7);
    assert_eq!(subject.endpoint.observers(), 9);

    // A request that is worked on holds its part as well.
    let cancel = |id: u16| {
        let options = [(OptionNumber::OBSERVE, &[1][..])];
        let token = id.to_be_bytes();
        datagram(Confirmable, Method::FETCH, 100 + id, &token, &options, b"")
    };
    subject.path = peer(1);
    subject.serve(&cancel(1), b"");
    let slow = subject.receive(&fetch(20, &[b's'; 1100])).unwrap().0;
    assert!(!fetched(&mut subject, 1, 21, &unlike(21, 1100)));
    let plain = ResponseRef::new(Status::CONTENT, Options::empty(), b"");
    show(&mut subject, slow, plain);
    assert!(!is_registered(&subject.sent()));
    assert!(fetched(&mut subject, 1, 22, &unlike(22, 1100)));

    // What a registration without room would renew ends, as its answer tells.
    let token = 3_u16.to_be_bytes();
    let options = [(OptionNumber::OBSERVE, &b""[..])];
    let longer = datagram(Confirmable, Method::FETCH, 123, &token, &options, &[b'l'; 1100]);
    let before = subject.endpoint.observers();
    assert!(!is_registered(&subject.serve_with(&longer, showing(b"0"))));
    assert_eq!(subject.endpoint.observers(), before - 1);
    subject.endpoint.forget_observers(subject.now, TOPIC);
    subject.events();
    subject.pass(Duration::from_secs(1000));
    assert!(subject.endpoint.is_pristine());
}

/// An observation that is renewed by the same request takes no more room than before.
#[test]
fn an_observation_is_renewed_where_there_is_no_room_for_another() {
    let mut config = closed_network();
    config.observation_bytes = 16_000;
    let mut subject = Subject::with(config);
    let own = [b'o'; 1100];
    for (port, id) in [(1, 1), (2, 1)] {
        // The second joins the first while there is room for both.
        assert!(fetched(&mut subject, port, id, &own));
    }
    let mut taken = (10..100_u16).filter(|port| {
        let body = [&[b'q'; 1100][..], &port.to_be_bytes()].concat();
        fetched(&mut subject, *port, 1, &body)
    });
    let others = taken.by_ref().count();
    assert_eq!(others, 7);
    assert!(!fetched(&mut subject, 1, 2, &[b'n'; 1100]));
    for id in 3..10 {
        for port in [1, 2] {
            subject.path = peer(port);
            let token = 1_u16.to_be_bytes();
            let options = [(OptionNumber::OBSERVE, &b""[..])];
            let again = datagram(Confirmable, Method::FETCH, id, &token, &options, &own);
            assert!(
                is_registered(&subject.serve_with(&again, showing(b"0"))),
                "{port}"
            );
        }
    }
    assert_eq!(subject.endpoint.observers(), 2 + others);
    // It is run again as before, and given back in the end.
    subject.pass(Duration::from_secs(10));
    subject.endpoint.changed(TOPIC);
    let events = subject.events();
    let is_own = |event: &&Event| matches!(event, Event::Refresh { request, .. } if request.payload == own);
    assert_eq!(events.iter().filter(is_own).count(), 1);
    subject.endpoint.forget_observers(subject.now, TOPIC);
    subject.events();
    subject.pass(Duration::from_secs(1000));
    assert!(subject.endpoint.is_pristine());
}

/// Copies of states for many groups at once are bounded too; who cannot be told from one is asked for alone.
#[test]
fn states_that_find_no_room_are_told_all_the_same() {
    let mut config = closed_network();
    config.observation_bytes = 6000;
    let mut subject = Subject::with(config);
    for port in 1..=9_u16 {
        let query = [b'a' + u8::try_from(port % 3).unwrap()];
        register(
            &mut subject,
            port,
            NonConfirmable,
            &[(OptionNumber::URI_QUERY, &query)],
        );
    }
    subject.pass(Duration::from_secs(10));
    let mut refreshes = changed(&mut subject);
    assert_eq!(refreshes.len(), 3);
    let mut asked_for = 0;
    while let Some((id, _)) = refreshes.pop() {
        show(&mut subject, id, showing(&[b'x'; 1000]));
        asked_for += 1;
        refreshes.extend(asked(&mut subject));
    }
    // One group of three has room for what it shows until that was sent.
    assert_eq!(asked_for, 1 + 3 + 3);
    let mut told = ports(&subject.sent());
    told.sort_unstable();
    assert_eq!(told, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    subject.pass(Duration::from_secs(5));
    assert_eq!(changed(&mut subject).len(), 3, "the next change is shared again");
}

/// A state in blocks is kept once, and one in a message twice: as it is, and encoded for all.
#[test]
fn a_state_in_blocks_takes_no_more_room_than_it_is_long() {
    let mut config = closed_network();
    config.observation_bytes = 6000;
    let mut subject = Subject::with(config);
    for port in 1..=3 {
        register(&mut subject, port, NonConfirmable, &[]);
    }
    subject.pass(Duration::from_secs(10));
    let (id, _) = changed(&mut subject)[0];
    show(&mut subject, id, showing(&[b'x'; 3000]));
    assert!(asked(&mut subject).is_empty(), "it is kept for the others");
    assert_eq!(ports(&subject.sent()), [1, 2, 3]);
}

/// Whose state the application is asked for once more after it has not shown it for long, and what it is told before.
fn asked_again(subject: &mut Subject, ended: ExchangeId) -> Vec<(ExchangeId, u16)> {
    assert!(subject.pass(Duration::from_secs(299)).is_empty());
    assert!(asked(subject).is_empty(), "it may still come");
    subject.pass(Duration::from_secs(2));
    let first = subject.endpoint.poll_event();
    assert!(
        matches!(first, Some(Event::Ended { id }) if id == ended),
        "{first:?}"
    );
    asked(subject)
}

/// A handler that never ends does not keep the observers from what comes later, and is not left to pile up.
#[test]
fn a_state_that_is_never_shown_is_asked_for_again() {
    let mut subject = observed(1..=3, NonConfirmable);
    let stuck = changed(&mut subject)[0];
    assert_eq!(stuck.1, 1);
    assert!(changed(&mut subject).is_empty(), "one is asked for at a time");
    let again = asked_again(&mut subject, stuck.0);
    assert_eq!((again.len(), again[0].1), (1, 2), "by another's request");
    assert!(
        subject
            .endpoint
            .respond(subject.now, stuck.0, showing(b"late"))
            .is_err()
    );
    // What takes long, but not for ever, is told to all.
    assert!(subject.pass(Duration::from_secs(200)).is_empty());
    show(&mut subject, again[0].0, showing(b"1"));
    let mut told = ports(&subject.sent());
    told.sort_unstable();
    assert_eq!(told, [1, 2, 3]);
    subject.pass(Duration::from_secs(20));
    assert!(subject.events().is_empty());
}

#[test]
fn one_whose_own_state_is_never_shown_is_asked_for_again() {
    let mut subject = observed(1..=3, NonConfirmable);
    let first = changed(&mut subject)[0].0;
    show(&mut subject, first, showing(b"of 1").with_personal(true));
    let alone = asked(&mut subject);
    show(&mut subject, alone[1].0, showing(b"of 3").with_personal(true));
    assert_eq!(ports(&subject.sent()), [1, 3]);
    // The others are told that nothing changed meanwhile.
    let stuck = alone[0].0;
    let mut again = Vec::new();
    for _ in 0..310 {
        subject.pass(Duration::from_secs(1));
        for (id, port) in asked(&mut subject) {
            if port == 2 {
                again.push((id, port));
            } else {
                show(&mut subject, id, showing(b"again").with_personal(true));
                for heard in subject.sent() {
                    answer(&mut subject, Acknowledgement, &heard);
                }
            }
        }
    }
    assert_eq!(again, [(stuck, 2)]);
    show(&mut subject, stuck, showing(b"of 2").with_personal(true));
    assert_eq!(ports(&subject.sent()), [2]);
}

/// Who was told a state in blocks is told a short one next: the blocks of the old one are not given any more, while those
/// of what others ask for stay.
#[test]
fn a_short_state_puts_the_blocks_of_the_one_before_out_of_date() {
    let mut subject = observed(1..=3, NonConfirmable);
    let further = |id| {
        let options = [(OptionNumber::BLOCK2, &[0x16][..])];
        datagram(Confirmable, Method::GET, id, b"f", &options, b"")
    };
    let first = datagram(Confirmable, Method::GET, 900, b"g", &[], b"");
    for port in [1, 9] {
        subject.path = peer(port);
        let sent = subject.serve(&first, &[b'b'; 1500]);
        assert_eq!(sent[0].block2().as_deref(), Some("0/1/1024"));
    }
    let (id, _) = changed(&mut subject)[0];
    show(&mut subject, id, showing(b"short"));
    let mut told = ports(&subject.sent());
    told.sort_unstable();
    assert_eq!(told, [1, 2, 3]);
    subject.path = peer(1);
    assert!(
        subject.receive(&further(901)).is_some(),
        "the application is asked"
    );
    subject.path = peer(9);
    assert!(subject.receive(&further(902)).is_none(), "it is kept");
    assert_eq!(subject.sent_one().message().payload.len(), 1500 - 1024);
}
