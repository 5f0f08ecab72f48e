//! What other stacks were brought down by, as datagrams to an endpoint: each class with the reaction that it gets and
//! the bound that it meets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "helpers of tests"
)]

mod common;

use std::collections::HashSet;
use std::time::Duration;

use common::{Heard, Subject, block, closed_network, datagram, peer};
use coracle_engine::{
    Config, DropReason, Event, ExchangeError, ExchangeId, Path, RequestError, RequestRef, ResponseRef, Topic,
    Window, limits,
};
use coracle_wire::{Code, MessageType, Method, OptionNumber, Options, Status};

use MessageType::{Acknowledgement, Confirmable, NonConfirmable, Reset};

const TOPIC: Topic = Topic(7);
const LIFETIMES: Duration = Duration::from_secs(1000);

/// Non-confirmable notifications between two that an observer acknowledges, at most (`limits.rs`).
const MAX_UNCONFIRMED: usize = 10;

fn state(body: &[u8]) -> ResponseRef<'_> {
    ResponseRef::new(Status::CONTENT, Options::empty(), body).with_observe(Some(TOPIC))
}

fn observe(message_type: MessageType, id: u16, token: &[u8], value: &[u8]) -> Vec<u8> {
    datagram(
        message_type,
        Method::GET,
        id,
        token,
        &[(OptionNumber::OBSERVE, value)],
        b"",
    )
}

/// The state changed: answers what is asked for; what was sent then.
fn change(subject: &mut Subject, body: &[u8]) -> Vec<Heard> {
    subject.endpoint.changed(TOPIC);
    for event in subject.events() {
        if let Event::Refresh { id, .. } = event {
            subject.endpoint.respond(subject.now, id, state(body)).unwrap();
        }
    }
    subject.sent()
}

/// Answers whatever is asked; what was sent.
fn serve_from(subject: &mut Subject, path: Path, datagram: &[u8], body: &[u8]) -> Vec<Heard> {
    if let Some((id, _)) = subject.receive_from(path, datagram) {
        subject.endpoint.respond(subject.now, id, state(body)).unwrap();
    }
    subject.sent()
}

/// Everything is forgotten when its time is over.
#[track_caller]
fn leaves_nothing(mut subject: Subject) {
    subject.pass(LIFETIMES);
    subject.events();
    assert!(subject.endpoint.is_pristine());
}

/// Observe requests that panic: without a path or a token, of each method, with values that mean nothing, repeated, with
/// blocks. Each is answered, and only those that RFC 7641 §2 permits become observations.
#[test]
fn odd_observe_requests_are_answered_and_only_good_ones_observe() {
    let values: [&[u8]; 6] = [b"", b"\0", b"\x01", b"\x02", b"\xff\xff\xff", b"\0\0\0\0"];
    let methods = [
        Method::GET,
        Method::FETCH,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
    ];
    for (method, value) in methods
        .into_iter()
        .flat_map(|method| values.map(|value| (method, value)))
    {
        for blocks in [None, Some(block(0, 0, 64)), Some(block(3, 1, 1024))] {
            let mut subject = Subject::with(closed_network());
            let mut options = vec![(OptionNumber::OBSERVE, value), (OptionNumber::OBSERVE, value)];
            options.truncate(if blocks.is_some() { 1 } else { 2 });
            options.extend(blocks.iter().map(|block| (OptionNumber::BLOCK2, &block[..])));
            let request = datagram(Confirmable, method, 1, b"", &options, b"");
            let path = subject.path;
            let sent = serve_from(&mut subject, path, &request, b"0");
            assert_eq!(sent.len(), 1, "{method} {options:?}");
            let observes = sent[0].message().options.observe().is_some();
            let good = (method == Method::GET || method == Method::FETCH) && matches!(value, b"" | b"\0");
            let first = blocks
                .as_ref()
                .is_none_or(|block| *block == common::block(0, 0, 64));
            assert_eq!(observes, good && first, "{method} {options:?}");
            assert_eq!(change(&mut subject, b"1").len(), usize::from(observes));
            assert_eq!(subject.endpoint.is_observed(TOPIC), observes);
        }
    }
}

/// The same where there is nothing to observe yet, or not any more: a deregistration out of nowhere, acknowledgements and
/// resets of notifications that were never sent, notifications for a client that asked for nothing.
#[test]
fn observe_out_of_nowhere_has_no_effect() {
    let mut subject = Subject::new();
    let sent = subject.serve(&observe(Confirmable, 1, b"t", b"\x01"), b"0");
    assert_eq!((sent.len(), sent[0].message().options.observe()), (1, None));
    for message_type in [Acknowledgement, Reset] {
        subject.receive(&datagram(message_type, Code::EMPTY, 77, b"", &[], b""));
    }
    assert_eq!(
        subject
            .endpoint
            .stats()
            .dropped(DropReason::UnmatchedAcknowledgement),
        2
    );
    let number = [(OptionNumber::OBSERVE, &b"\x09"[..])];
    subject.receive(&datagram(Confirmable, Status::CONTENT, 2, b"t", &number, b"x"));
    let reset = datagram(Reset, Code::EMPTY, 2, b"", &[], b"");
    assert_eq!(subject.sent_one().bytes, reset);
    assert!(subject.events().is_empty());
    leaves_nothing(subject);
}

/// Block number times size overflow, at a server: offsets of up to a gigabyte meet a bound before they meet memory.
#[test]
fn a_large_block_number_is_refused_by_a_server() {
    let mut subject = Subject::new();
    let path = subject.path;
    let last = block(0x000f_ffff, 1, 1024);
    let ask = |id, method, number, value: &[u8], payload: &[u8]| {
        datagram(Confirmable, method, id, b"t", &[(number, value)], payload)
    };
    // A block of a response that is far behind its end.
    let asked = ask(1, Method::GET, OptionNumber::BLOCK2, &last, b"");
    assert_eq!(
        serve_from(&mut subject, path, &asked, &[1; 3000])[0].code(),
        "4.00"
    );
    // A part of a body of which the application claims that it is as long as can be.
    let (id, _) = subject
        .receive(&ask(2, Method::GET, OptionNumber::BLOCK2, &last, b""))
        .unwrap();
    let (offset, total) = (1_073_740_800, u64::MAX);
    let window = state(&[2; 1024]).with_window(Some(Window { offset, total }));
    subject.endpoint.respond(subject.now, id, window).unwrap();
    assert_eq!(subject.sent_one().code(), "5.00");
    // A block of a request of which nothing came, and one that leaves a gap.
    let far = ask(3, Method::PUT, OptionNumber::BLOCK1, &last, &[3; 1024]);
    assert!(subject.receive(&far).is_none());
    assert_eq!(subject.sent_one().code(), "4.08");
    let first = ask(
        4,
        Method::PUT,
        OptionNumber::BLOCK1,
        &block(0, 1, 1024),
        &[4; 1024],
    );
    assert!(subject.receive(&first).is_none());
    assert_eq!(subject.sent_one().code(), "2.31");
    let far = ask(5, Method::PUT, OptionNumber::BLOCK1, &last, &[5; 1024]);
    assert!(subject.receive(&far).is_none());
    assert_eq!(subject.sent_one().code(), "4.08");
    // SZX 7, and a value that is too long for a block option.
    for (id, value, code) in [(6, &b"\x07"[..], "4.00"), (7, b"\0\xff\xff\xfe", "4.02")] {
        let request = ask(id, Method::PUT, OptionNumber::BLOCK1, value, b"x");
        assert!(subject.receive(&request).is_none());
        assert_eq!(subject.sent_one().code(), code);
    }
    leaves_nothing(subject);
}

/// The same with sizes: what a peer announces is not what is set aside for it.
#[test]
fn an_announced_size_is_held_against_the_bound() {
    let mut subject = Subject::new();
    let first = block(0, 1, 16);
    let options = [
        (OptionNumber::BLOCK1, &first[..]),
        (OptionNumber::SIZE1, b"\xff\xff\xff\xff"),
    ];
    let request = datagram(Confirmable, Method::PUT, 1, b"t", &options, &[0; 16]);
    assert!(subject.receive(&request).is_none());
    let refused = subject.sent_one();
    assert_eq!(refused.code(), "4.13");
    let limit = Config::default().max_body as u64;
    assert_eq!(
        refused.message().options.get_uint(OptionNumber::SIZE1),
        Some(limit)
    );
    leaves_nothing(subject);
}

/// Block number times size overflow, at a client: a server that answers with another block than was asked for.
#[test]
fn a_large_block_number_ends_a_transfer_at_a_client() {
    let mut subject = Subject::new();
    let id = subject
        .endpoint
        .request(subject.now, &subject.path, get())
        .unwrap();
    let request = subject.sent_one();
    let last = block(0x000f_ffff, 1, 1024);
    let options = [
        (OptionNumber::BLOCK2, &last[..]),
        (OptionNumber::SIZE2, b"\xff\xff\xff\xff"),
    ];
    subject.receive(&answer(
        &request,
        Acknowledgement,
        request.id(),
        &options,
        &[0; 1024],
    ));
    let events = subject.events();
    let failed = |event: &Event| matches!(event, Event::Failed { id: of, error: ExchangeError::BlockOption } if *of == id);
    assert!(events.last().is_some_and(failed), "{events:?}");
    assert!(subject.sent().is_empty());
    leaves_nothing(subject);
}

fn get() -> RequestRef<'static> {
    RequestRef::new(Method::GET, Options::empty())
}

/// A 2.05 with the token of a request of the subject.
fn answer(
    request: &Heard,
    message_type: MessageType,
    id: u16,
    options: &[(OptionNumber, &[u8])],
    payload: &[u8],
) -> Vec<u8> {
    datagram(
        message_type,
        Status::CONTENT,
        id,
        request.message().token,
        options,
        payload,
    )
}

/// Token reuse after deregistration, at a server: the token is free again, for a plain request and for an observation of
/// something else; what was observed under it before is not told any more.
#[test]
fn a_token_is_free_after_deregistration_at_a_server() {
    let mut subject = Subject::with(closed_network());
    let path = subject.path;
    let observes = |heard: &[Heard]| heard[0].message().options.observe();
    let before = observes(&serve_from(
        &mut subject,
        path,
        &observe(Confirmable, 1, b"t", b""),
        b"0",
    ));
    assert!(before.is_some());
    let gone = serve_from(&mut subject, path, &observe(Confirmable, 2, b"t", b"\x01"), b"0");
    assert_eq!(observes(&gone), None);
    assert!(change(&mut subject, b"1").is_empty());
    // A plain request with the same token gets one answer and no notification.
    let plain = datagram(Confirmable, Method::GET, 3, b"t", &[], b"");
    assert_eq!(observes(&serve_from(&mut subject, path, &plain, b"1")), None);
    assert!(change(&mut subject, b"2").is_empty());
    // Another state is observed under it: changes of the first one are nobody's.
    let (id, _) = subject.receive(&observe(Confirmable, 4, b"t", b"")).unwrap();
    let other = state(b"x").with_observe(Some(Topic(8)));
    subject.endpoint.respond(subject.now, id, other).unwrap();
    assert!(observes(&subject.sent()).is_some());
    assert!(change(&mut subject, b"3").is_empty());
    // A second deregistration ends the one observation that there is; so does a third.
    for id in 5..7 {
        serve_from(&mut subject, path, &observe(Confirmable, id, b"t", b"\x01"), b"x");
        assert!(!subject.endpoint.is_observed(Topic(8)));
    }
    leaves_nothing(subject);
}

/// Token reuse after deregistration, at a client: a notification of a cancelled observation is not the answer to the next
/// request, whose token is another.
#[test]
fn a_late_notification_is_not_the_answer_to_the_next_request() {
    let mut subject = Subject::new();
    let options = common::options_of(&[(OptionNumber::OBSERVE, b"")]);
    let ask = RequestRef::new(Method::GET, options.as_options());
    let first = subject.endpoint.request(subject.now, &subject.path, ask).unwrap();
    let registration = subject.sent_one();
    let number = [(OptionNumber::OBSERVE, &b"\x05"[..])];
    subject.receive(&answer(
        &registration,
        Acknowledgement,
        registration.id(),
        &number,
        b"5",
    ));
    assert_eq!(answers(&mut subject), [(first, b"5".to_vec())]);
    subject.endpoint.cancel(subject.now, first);
    let deregistration = subject.sent_one();
    subject.receive(&datagram(
        Acknowledgement,
        Code::EMPTY,
        deregistration.id(),
        b"",
        &[],
        b"",
    ));
    let second = subject
        .endpoint
        .request(subject.now, &subject.path, get())
        .unwrap();
    let request = subject.sent_one();
    assert_ne!(request.message().token, registration.message().token);
    let late = [(OptionNumber::OBSERVE, &b"\x06"[..])];
    subject.receive(&answer(&registration, NonConfirmable, 900, &late, b"6"));
    assert_eq!(
        subject.sent_one().bytes,
        datagram(Reset, Code::EMPTY, 900, b"", &[], b"")
    );
    assert_eq!(answers(&mut subject), []);
    subject.receive(&answer(&request, Acknowledgement, request.id(), &[], b"own"));
    assert_eq!(answers(&mut subject), [(second, b"own".to_vec())]);
    leaves_nothing(subject);
}

fn answers(subject: &mut Subject) -> Vec<(ExchangeId, Vec<u8>)> {
    let events = subject.events().into_iter();
    events
        .filter_map(|event| match event {
            Event::Response { id, response, .. } => Some((id, response.payload)),
            _ => None,
        })
        .collect()
}

/// Exhausted message IDs of a peer: all 65,536 in a row, and again. Each is remembered as long as there is room, what is
/// not idempotent runs at most once, and what finds no room is refused. One peer has an eighth of the memory.
#[test]
fn all_message_ids_of_a_peer_run_at_most_once() {
    let mut config = Config::default();
    config.seen_bytes = 2 << 20;
    let mut subject = Subject::with(config);
    let mut executed = [0_u8; 65_536];
    for round in 0..2 {
        for id in 0..=u16::MAX {
            let post = datagram(NonConfirmable, Method::POST, id, b"", &[], b"");
            if let Some((exchange, _)) = subject.receive(&post) {
                executed[usize::from(id)] += 1;
                let done = ResponseRef::new(Status::CHANGED, Options::empty(), b"");
                subject.endpoint.respond(subject.now, exchange, done).unwrap();
            }
            let sent = subject.sent();
            assert!(sent.len() <= 2, "round {round}: {sent:?}");
        }
    }
    assert!(executed.iter().all(|times| *times <= 1));
    let run = executed.iter().filter(|times| **times == 1).count();
    // An entry takes less than 64 bytes with its short answer.
    assert!((4096..16_384).contains(&run), "{run}");
    assert!(subject.endpoint.stats().dropped(DropReason::Busy) > 50_000);
    leaves_nothing(subject);
}

/// Exhausted tokens: of ten thousand requests of ours no two under way have the same one, nor the same message ID, and
/// beyond the bound there is an error rather than a token again.
#[test]
fn tokens_and_ids_of_ours_do_not_run_out() {
    let mut config = Config::default();
    config.max_requests = 10_000;
    config.max_queue_per_peer = 20_000;
    config.transmission = config.transmission.with_nstart(u16::MAX);
    let mut subject = Subject::with(config);
    for _ in 0..10_000 {
        subject
            .endpoint
            .request(subject.now, &subject.path, get())
            .unwrap();
    }
    let path = subject.path;
    assert_eq!(
        subject.endpoint.request(subject.now, &path, get()),
        Err(RequestError::TooMany)
    );
    let sent = subject.sent();
    let tokens: HashSet<&[u8]> = sent.iter().map(|heard| heard.message().token).collect();
    let ids: HashSet<u16> = sent.iter().map(Heard::id).collect();
    assert_eq!((sent.len(), tokens.len(), ids.len()), (10_000, 10_000, 10_000));
    assert!(tokens.iter().all(|token| (4..=8).contains(&token.len())));
    subject.pass(Duration::from_secs(100));
    assert_eq!(subject.events().len(), 10_000);
    leaves_nothing(subject);
}

/// Tokens of a peer that are as long as RFC 8974 allows are not kept: 4.00 beyond the bound (§2.2.2).
#[test]
fn a_token_beyond_the_bound_is_refused() {
    let mut subject = Subject::new();
    for (id, len) in [(1, limits::MAX_TOKEN + 1), (2, 65_804)] {
        let token = vec![b't'; len];
        assert!(
            subject
                .receive(&datagram(Confirmable, Method::GET, id, &token, &[], b""))
                .is_none()
        );
        for heard in subject.sent() {
            assert_eq!(heard.code(), "4.00");
            assert!(heard.bytes.len() <= limits::MAX_DATAGRAM);
        }
    }
    assert_eq!(subject.endpoint.stats().dropped(DropReason::TokenLength), 2);
    leaves_nothing(subject);
}

/// Block-wise state exhaustion: first blocks from ten thousand addresses, none with a second. The quota holds, those
/// beyond it are told to come back, and when its lifetime is over there is room for others.
#[test]
fn bodies_that_are_never_finished_keep_to_the_quota() {
    let mut config = closed_network();
    config.assembly_bytes = 100_000;
    let mut subject = Subject::with(config);
    let first = block(0, 1, 64);
    let put = datagram(
        NonConfirmable,
        Method::PUT,
        1,
        b"t",
        &[(OptionNumber::BLOCK1, &first)],
        &[0; 64],
    );
    let mut taken = 0;
    for port in 1..=10_000 {
        assert!(subject.receive_from(peer(port), &put).is_none());
        match &*subject.sent_one().code() {
            "2.31" => taken += 1,
            code => assert_eq!(code, "5.03"),
        }
    }
    // Each takes its 64 bytes, and 256 at least for its bookkeeping.
    assert!((100..=100_000 / (64 + 256)).contains(&taken), "{taken}");
    subject.pass(Config::default().block_lifetime + Duration::from_secs(1));
    assert!(subject.receive_from(peer(20_000), &put).is_none());
    assert_eq!(subject.sent_one().code(), "2.31");
    leaves_nothing(subject);
}

/// The same with responses: large bodies that ten thousand addresses ask for and never fetch. Each gets its first block,
/// the oldest body gives way, and the last one can be fetched to its end.
#[test]
fn bodies_that_are_never_fetched_give_way() {
    let mut config = closed_network();
    config.response_body_bytes = 100_000;
    let mut subject = Subject::with(config);
    let body: Vec<u8> = (0..2000).map(|at| (at % 251) as u8).collect();
    let get = |id| datagram(NonConfirmable, Method::GET, id, b"t", &[], b"");
    for port in 1..=10_000 {
        let sent = serve_from(&mut subject, peer(port), &get(1), &body);
        assert_eq!(sent[0].block2().as_deref(), Some("0/1/1024"));
    }
    let second = block(1, 0, 1024);
    let further = datagram(
        NonConfirmable,
        Method::GET,
        2,
        b"t",
        &[(OptionNumber::BLOCK2, &second)],
        b"",
    );
    assert!(
        subject.receive_from(peer(10_000), &further).is_none(),
        "it was kept"
    );
    assert_eq!(subject.sent_one().message().payload, &body[1024..]);
    assert!(subject.receive_from(peer(1), &further).is_some(), "it gave way");
    subject.pass(LIFETIMES);
    assert_eq!(subject.endpoint.stats().requests, 10_001);
}

/// Observe floods: ten thousand tokens of one peer, then ten thousand peers. Each is answered, as many as the bounds
/// permit observe, and however many changes ask the application once for all of them.
#[test]
fn floods_of_observers_keep_to_their_bounds() {
    let mut config = closed_network();
    config.max_observers_per_peer = 10;
    config.max_observers = 100;
    let mut subject = Subject::with(config);
    let mut accepted = |ports: std::ops::RangeInclusive<u16>, ids: std::ops::RangeInclusive<u16>| {
        let mut accepted = 0;
        for (port, id) in ports.flat_map(|port| ids.clone().map(move |id| (port, id))) {
            let request = observe(NonConfirmable, id, &id.to_be_bytes(), b"");
            let sent = serve_from(&mut subject, peer(port), &request, b"0");
            assert_eq!((sent.len(), &*sent[0].code()), (1, "2.05"));
            accepted += usize::from(sent[0].message().options.observe().is_some());
        }
        accepted
    };
    assert_eq!(accepted(1..=1, 1..=10_000), 10);
    assert_eq!(accepted(2..=10_000, 1..=1), 90);
    subject.pass(Duration::from_secs(5));
    for _ in 0..1000 {
        subject.endpoint.changed(TOPIC);
    }
    let events = subject.events();
    let asked = events
        .iter()
        .filter(|event| matches!(event, Event::Refresh { .. }))
        .count();
    assert_eq!(asked, 1, "all observe the same");
}

/// The same with an address that is not the sender's own: whoever never confirms anything is sent a bounded number of
/// notifications, whatever changes and for however long (RFC 7641 §7).
#[test]
fn a_victim_of_a_forged_registration_is_left_alone() {
    for message_type in [Confirmable, NonConfirmable] {
        let mut subject = Subject::with(closed_network());
        let path = subject.path;
        let registered = serve_from(&mut subject, path, &observe(message_type, 1, b"t", b""), b"0");
        assert!(registered[0].message().options.observe().is_some());
        let mut sent = 0;
        for _ in 0..720 {
            sent += change(&mut subject, b"1").len();
            sent += subject.pass(Duration::from_secs(5)).len();
        }
        // As many without confirmation as there may be, and one with all its retransmissions.
        assert!(sent <= MAX_UNCONFIRMED + 5, "{sent} to a victim");
        assert!(!subject.endpoint.is_observed(TOPIC));
        leaves_nothing(subject);
    }
}

/// Response spoofing by unknown ACK: an answer that acknowledges nothing that is under way is none, whatever its token;
/// so are those from elsewhere and those that acknowledge something else.
#[test]
fn an_answer_in_an_unknown_acknowledgement_is_not_taken() {
    let mut subject = Subject::new();
    let id = subject
        .endpoint
        .request(subject.now, &subject.path, get())
        .unwrap();
    let request = subject.sent_one();
    let own = request.id();
    let path = subject.path;
    let other_request = {
        let query = common::options_of(&[(OptionNumber::URI_QUERY, b"other")]);
        let ask = RequestRef::new(Method::GET, query.as_options()).with_confirmable(false);
        subject.endpoint.request(subject.now, &path, ask).unwrap();
        subject.sent_one()
    };
    let dropped = |subject: &Subject, reason| subject.endpoint.stats().dropped(reason);
    // The right token under each message ID but its own.
    for id in (0..=u16::MAX).filter(|id| *id != own && *id != other_request.id()) {
        subject.receive(&answer(&request, Acknowledgement, id, &[], b"forged"));
    }
    assert_eq!(dropped(&subject, DropReason::UnmatchedAcknowledgement), 65_534);
    // The right message ID with another token, with none, and with that of another request.
    for token in [&b"guessed!"[..], b"", other_request.message().token] {
        subject.receive(&datagram(
            Acknowledgement,
            Status::CONTENT,
            own,
            token,
            &[],
            b"forged",
        ));
    }
    subject.receive(&answer(
        &request,
        Acknowledgement,
        other_request.id(),
        &[],
        b"forged",
    ));
    assert_eq!(dropped(&subject, DropReason::UnmatchedResponse), 4);
    // All of it right, from another address or another port.
    let elsewhere = Path::to("198.51.100.8:61616".parse().unwrap());
    for from in [peer(5683), elsewhere] {
        subject.receive_from(from, &answer(&request, Acknowledgement, own, &[], b"forged"));
        subject.receive_from(from, &answer(&request, NonConfirmable, 1, &[], b"forged"));
    }
    assert_eq!(answers(&mut subject), []);
    assert!(
        subject
            .sent()
            .iter()
            .all(|heard| heard.message().message_type == Reset)
    );
    // The request goes on as if nothing had been, and its answer counts.
    let again: Vec<Heard> = subject
        .pass(Duration::from_secs(3))
        .into_iter()
        .map(|(_, heard)| heard)
        .collect();
    assert_eq!((again.len(), &again[0].bytes), (1, &request.bytes));
    subject.receive(&answer(&request, Acknowledgement, own, &[], b"own"));
    assert_eq!(answers(&mut subject), [(id, b"own".to_vec())]);
}

/// An acknowledgement or reset under a guessed ID ends nothing of another peer's.
#[test]
fn a_reset_from_elsewhere_ends_nothing() {
    let mut subject = Subject::new();
    let id = subject
        .endpoint
        .request(subject.now, &subject.path, get())
        .unwrap();
    let request = subject.sent_one();
    for guess in 0..=u16::MAX {
        for message_type in [Acknowledgement, Reset] {
            subject.receive_from(
                peer(1),
                &datagram(message_type, Code::EMPTY, guess, b"", &[], b""),
            );
        }
    }
    assert!(subject.events().is_empty() && subject.sent().is_empty());
    subject.receive(&answer(&request, Acknowledgement, request.id(), &[], b"own"));
    assert_eq!(answers(&mut subject), [(id, b"own".to_vec())]);
    leaves_nothing(subject);
}
