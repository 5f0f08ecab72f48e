//! Connections over reliable transports, message by message (RFC 8323).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

use std::time::Duration;

use common::stream::{Connected, Given, codes, content, csm, frame, frame_in, get, parse};
use common::{hex, peer, to_hex};
use coracle_engine::{
    CloseReason, Config, Event, ExchangeError, Instant, MissingCsm, RequestError, RequestRef, ResponseRef,
    StreamedBody, Topic, Window,
};
use coracle_wire::{
    BlockOption, Code, Csm, Custody, Framing, Method, OptionNumber, Options, OptionsBuf, Release, Signal,
    Status,
};

const MIB: usize = 1 << 20;

fn block(num: u32, more: bool, szx: u8) -> Vec<u8> {
    BlockOption::new(num, more, szx).unwrap().encode().to_vec()
}

/// RFC 8323 §5.3: Max-Message-Size, Block-Wise-Transfer; RFC 8974 §2.2.1: Extended-Token-Length.
#[test]
fn the_first_message_is_a_csm() {
    let mut connected = Connected::new();
    let [first] = &connected.written()[..] else {
        panic!()
    };
    // 1,049,088 bytes, blocks, tokens of 256 bytes.
    assert_eq!(to_hex(first), "80e1 23100200 20 220100".replace(' ', ""));
}

#[test]
fn a_request_is_answered_in_the_order_of_answers() {
    let mut connected = Connected::opened(Config::default(), 1152);
    let (slow, _) = connected.request(&get("slow", b"a"));
    let (fast, request) = connected.request(&get("fast", b"b"));
    assert_eq!(request.path, connected.path());
    connected
        .endpoint
        .respond(connected.now, fast, content(b"1"))
        .unwrap();
    connected.pass(Duration::from_secs(5));
    connected
        .endpoint
        .respond(connected.now, slow, content(b"2"))
        .unwrap();
    let written = connected.written();
    // Len 2, TKL 1, 2.05, token, marker, payload: and nothing that acknowledges.
    assert_eq!(
        written.iter().map(|frame| to_hex(frame)).collect::<Vec<_>>(),
        ["214562ff31", "214561ff32"]
    );
}

#[test]
fn any_split_of_the_bytes_gives_the_same() {
    let mut bytes = csm(1152);
    for _ in 0..3 {
        bytes.extend(get("a-rather-long-path-of-more-than-thirteen-bytes", b"token"));
        bytes.extend(hex("00 00")); // empty messages are ignored
    }
    for at in 0..bytes.len() {
        let mut connected = Connected::new();
        let (head, tail) = bytes.split_at(at);
        let mut given = connected.give(head);
        given.extend(connected.give(tail));
        assert_eq!(given.len(), 3, "split at {at}");
    }
    let mut connected = Connected::new();
    let given = bytes.chunks(1).flat_map(|byte| connected.give(byte)).count();
    assert_eq!(given, 3);
}

/// RFC 8323 §3.3: a missing CSM is a connection error.
#[test]
fn a_request_before_the_csm_is_refused_unless_told_otherwise() {
    let mut connected = Connected::new();
    assert!(connected.give(&get("a", b"")).is_empty());
    let written = connected.written();
    assert_eq!(codes(&written), ["7.01", "7.05"]);
    assert!(!parse(&written[1]).payload.is_empty(), "a diagnostic");
    assert!(matches!(
        &connected.events[..],
        [Event::Closing {
            reason: CloseReason::Aborted(_),
            ..
        }]
    ));
    for policy in [MissingCsm::Tolerate, MissingCsm::WaitFor(Duration::from_secs(2))] {
        let mut config = Config::default();
        config.connections.missing_csm = policy;
        let mut connected = Connected::with(config);
        assert_eq!(connected.give(&get("a", b"")).len(), 1);
        connected.pass(Duration::from_secs(3));
        assert!(
            matches!(connected.events[..], [Event::Opened { .. }]),
            "{policy:?} {:?}",
            connected.events
        );
    }
}

#[test]
fn who_says_nothing_is_not_waited_for() {
    let mut connected = Connected::new();
    connected.pass(Duration::from_secs(9));
    assert_eq!(codes(&connected.written()), ["7.01"]);
    connected.pass(Duration::from_secs(2));
    assert_eq!(codes(&connected.written()), ["7.05"]);
    connected.endpoint.disconnected(connected.now, connected.id);
    assert!(connected.endpoint.is_pristine());
}

#[test]
fn who_sends_a_byte_a_minute_is_not_waited_for() {
    let mut connected = Connected::opened(Config::default(), 1152);
    let bytes = frame(Method::PUT, &[], &[], &[0; 5000]);
    for chunk in bytes.chunks(1100).take(4) {
        connected.give(chunk);
        connected.pass(Duration::from_secs(25));
    }
    assert!(connected.written().is_empty(), "some bytes at a time are enough");
    connected.give(&bytes[4400..4401]);
    connected.pass(Duration::from_secs(31));
    assert_eq!(codes(&connected.written()), ["7.05"]);
}

/// RFC 8323 §5.2, §5.6.
#[test]
fn what_a_csm_must_not_say_is_named_in_the_abort() {
    for (options, bad) in [
        (&[(OptionNumber(9), &b"x"[..])][..], Some(9)),
        (&[(Csm::MAX_MESSAGE_SIZE, &[10][..])][..], Some(2)),
        (&[(OptionNumber(400), &b"elective"[..])][..], None),
    ] {
        let mut connected = Connected::new();
        connected.give(&frame(Signal::CSM, &[], options, &[]));
        let written = connected.written();
        let Some(number) = bad else {
            assert_eq!(codes(&written), ["7.01"]);
            continue;
        };
        assert_eq!(codes(&written), ["7.01", "7.05"]);
        assert_eq!(parse(&written[1]).options.get_uint(OptionNumber(2)), Some(number));
    }
}

#[test]
fn garbage_ends_the_connection_and_nothing_after_it_is_taken() {
    for garbage in ["0f", "f0 ffffffff", "10 01 f0", "10 01 ff", "00 20", "00 c0"] {
        let mut connected = Connected::opened(Config::default(), 1152);
        let mut bytes = hex(garbage);
        bytes.extend(get("a", b""));
        assert!(connected.give(&bytes).is_empty(), "{garbage}");
        assert_eq!(codes(&connected.written()), ["7.05"], "{garbage}");
        assert!(connected.give(&get("a", b"")).is_empty());
        assert!(connected.written().is_empty());
    }
}

/// RFC 8974 §2.2.1: what is announced is taken, and more than that is a format error.
#[test]
fn a_token_is_as_long_as_announced_or_ends_the_connection() {
    let mut connected = Connected::opened(Config::default(), 1152);
    assert_eq!(connected.give(&get("a", &[7; 256])).len(), 1);
    assert!(connected.give(&get("a", &[7; 257])).is_empty());
    assert_eq!(codes(&connected.written()), ["7.05"]);
}

/// RFC 8323 §5.4.
#[test]
fn a_ping_is_answered_with_its_token() {
    let mut connected = Connected::opened(Config::default(), 1152);
    connected.give(&hex("01e242"));
    assert_eq!(connected.written(), [hex("01e342")]);
}

/// RFC 8323 §5.4.1.
#[test]
fn a_ping_with_custody_waits_for_what_came_before_it() {
    let mut connected = Connected::opened(Config::default(), 1152);
    let (id, _) = connected.request(&get("a", b"a"));
    let ping = frame(Signal::PING, b"p", &[(Custody::CUSTODY, &[])], &[]);
    connected.give(&ping);
    assert!(connected.written().is_empty());
    connected
        .endpoint
        .respond(connected.now, id, content(b""))
        .unwrap();
    let written = connected.written();
    assert_eq!(codes(&written), ["2.05", "7.03"]);
    assert!(parse(&written[1]).options.contains(Custody::CUSTODY));
    // One that takes too long is answered without.
    connected.request(&get("a", b"a"));
    connected.give(&ping);
    connected.pass(Duration::from_secs(31));
    let written = connected.written();
    assert_eq!(codes(&written), ["7.03"]);
    assert!(!parse(&written[0]).options.contains(Custody::CUSTODY));
}

/// With its end a connection gives up its work; and after an Abort nothing is written.
#[test]
fn nobody_takes_custody_of_what_is_given_up() {
    let garbage = hex("0f");
    for (end, written) in [
        (frame(Signal::ABORT, &[], &[], &[]), &[][..]),
        (garbage, &["7.05"]),
    ] {
        let mut connected = Connected::opened(Config::default(), 1152);
        connected.request(&get("a", b"a"));
        connected.give(&frame(Signal::PING, b"p", &[(Custody::CUSTODY, &[])], &[]));
        connected.give(&end);
        assert_eq!(codes(&connected.written()), written);
    }
}

#[test]
fn a_peer_that_takes_short_messages_is_sent_short_ones() {
    let mut connected = Connected::opened(Config::default(), 32);
    connected.give(&frame(Signal::PING, &[1; 200], &[], &[]));
    connected.give(&hex("0f"));
    let written = connected.written();
    assert_eq!(codes(&written), ["7.05"], "no Pong of 200 bytes");
    assert!(written[0].len() <= 32);
}

#[test]
fn a_silent_peer_is_pinged_and_then_given_up() {
    let mut connected = Connected::opened(Config::default(), 1152);
    connected.pass(Duration::from_secs(301));
    let written = connected.written();
    assert_eq!(codes(&written), ["7.02"]);
    let pong = frame(Signal::PONG, parse(&written[0]).token, &[], &[]);
    connected.give(&pong);
    connected.pass(Duration::from_secs(299));
    assert!(connected.written().is_empty());
    connected.pass(Duration::from_secs(62));
    assert_eq!(codes(&connected.written()), ["7.02", "7.05"]);
}

/// A long message on a slow way, in either direction, is a sign of life, and no Pong can overtake it.
#[test]
fn a_peer_that_is_slow_is_not_silent() {
    let mut connected = Connected::opened(Config::default(), 1 << 20);
    let long = frame(Method::PUT, &[], &[], &vec![0; 100_000]);
    for chunk in long.chunks(2000).take(40) {
        connected.give(chunk);
        connected.pass(Duration::from_secs(20));
    }
    assert!(connected.written().is_empty(), "neither Ping nor Abort in 800 s");
    connected.give(&long[80_000..]);
    connected.endpoint.disconnected(connected.now, connected.id);

    let mut connected = Connected::opened(Config::default(), 1 << 20);
    let (path, body) = (connected.path(), vec![0; 100_000]);
    let request = RequestRef::new(Method::PUT, Options::empty()).with_payload(&body);
    let request = request.with_timeout(Some(Duration::from_secs(5000)));
    connected.endpoint.request(connected.now, &path, request).unwrap();
    let mut written = Vec::new();
    loop {
        connected.pass(Duration::from_secs(20));
        let output = connected.endpoint.stream_output(connected.id);
        if output.is_empty() {
            break;
        }
        let len = output.len().min(2000);
        written.extend_from_slice(&output[..len]);
        connected
            .endpoint
            .stream_written(connected.now, connected.id, len);
    }
    let ping = written.split_off(written.len() - 10);
    assert_eq!(parse(&ping).code, Code::from(Signal::PING), "behind the request");
    assert!(connected.events.is_empty(), "{:?}", connected.events);
    connected.pass(Duration::from_secs(62));
    assert_eq!(codes(&connected.written()), ["7.05"]);
}

/// Who does not read is not read either, and that is not held against what it says.
#[test]
fn what_is_not_read_is_not_too_slow() {
    let mut connected = Connected::opened(Config::default(), 1 << 20);
    let (id, _) = connected.request(&get("a", b"a"));
    let next = get("b", b"b");
    assert!(connected.give(&next[..3]).is_empty());
    let answer = content(&[0; 100_000]);
    connected.endpoint.respond(connected.now, id, answer).unwrap();
    assert!(!connected.endpoint.takes_input(connected.id));
    connected.pass(Duration::from_secs(100));
    assert_eq!(codes(&connected.written()), ["2.05"]);
    assert_eq!(connected.give(&next[3..]).len(), 1);
}

/// RFC 8323 §5.5.
#[test]
fn a_released_connection_finishes_what_runs() {
    let mut connected = Connected::opened(Config::default(), 1152);
    let (id, _) = connected.request(&get("a", b"a"));
    let release = Release::new(Some(60)).to_options();
    let release: Vec<_> = release
        .iter()
        .map(|option| (option.number, option.value))
        .collect();
    connected.give(&frame(Signal::RELEASE, &[], &release, &[]));
    assert!(matches!(
        connected.events[..],
        [Event::Released {
            hold_off: Some(Duration { .. }),
            ..
        }]
    ));
    let request = RequestRef::new(Method::GET, Options::empty());
    let refused = connected
        .endpoint
        .request(connected.now, &connected.path(), request);
    assert_eq!(refused, Err(RequestError::NotConnected));
    connected
        .endpoint
        .respond(connected.now, id, content(b""))
        .unwrap();
    assert_eq!(codes(&connected.written()), ["2.05"]);
    assert!(matches!(
        connected.events[..],
        [
            _,
            Event::Closing {
                reason: CloseReason::Released,
                ..
            }
        ]
    ));
}

#[test]
fn our_release_waits_for_our_requests() {
    let mut connected = Connected::opened(Config::default(), 1152);
    let path = connected.path();
    let request = RequestRef::new(Method::GET, Options::empty());
    connected.endpoint.request(connected.now, &path, request).unwrap();
    connected.endpoint.release(connected.now, connected.id);
    let written = connected.written();
    assert_eq!(codes(&written), ["0.01", "7.04"]);
    assert!(connected.events.is_empty());
    let token = parse(&written[0]).token.to_vec();
    connected.give(&frame(Status::CONTENT, &token, &[], b"x"));
    assert!(matches!(
        connected.events[..],
        [
            Event::Response { .. },
            Event::Closing {
                reason: CloseReason::Released,
                ..
            }
        ]
    ));
}

#[test]
fn a_connection_that_breaks_ends_its_requests_and_observations() {
    let mut connected = Connected::opened(Config::default(), 1152);
    let path = connected.path();
    let request = RequestRef::new(Method::GET, Options::empty());
    let left = connected.endpoint.request(connected.now, &path, request).unwrap();
    connected.written();
    let waits = connected.endpoint.request(connected.now, &path, request).unwrap();
    let observe: &[(OptionNumber, &[u8])] = &[(OptionNumber::OBSERVE, &[]), (OptionNumber::URI_PATH, b"o")];
    let (observed, _) = connected.request(&frame(Method::GET, b"o", observe, &[]));
    let response = content(b"1").with_observe(Some(Topic(7)));
    connected
        .endpoint
        .respond(connected.now, observed, response)
        .unwrap();
    let (pending, _) = connected.request(&get("a", b"a"));
    assert_eq!(connected.endpoint.observers(), 1);
    connected.endpoint.disconnected(connected.now, connected.id);
    connected.poll();
    let failed = |event: &Event| match event {
        Event::Failed { id, error } => Some((*id, *error)),
        _ => None,
    };
    let failed: Vec<_> = connected.events.iter().filter_map(failed).collect();
    assert_eq!(
        failed,
        [
            (left, ExchangeError::Disconnected { sent: true }),
            (waits, ExchangeError::Disconnected { sent: false })
        ]
    );
    let ended = |event: &&Event| matches!(event, Event::Ended { id } if *id == pending);
    assert_eq!(connected.events.iter().filter(ended).count(), 1);
    assert_eq!(
        (connected.endpoint.observers(), connected.endpoint.connections()),
        (0, 0)
    );
    assert!(
        connected
            .endpoint
            .respond(connected.now, pending, content(b""))
            .is_err()
    );
}

/// RFC 8323 §3.4: who has closed one side can be told what was asked for, but says no more.
#[test]
fn a_peer_that_closes_its_side_is_still_answered() {
    let mut connected = Connected::opened(Config::default(), 1152);
    let request = RequestRef::new(Method::GET, Options::empty());
    let path = connected.path();
    let ours = connected.endpoint.request(connected.now, &path, request).unwrap();
    let (theirs, _) = connected.request(&get("a", b"a"));
    connected.written();
    connected.endpoint.peer_ended(connected.now, connected.id);
    connected.poll();
    let error = ExchangeError::Disconnected { sent: true };
    assert!(
        matches!(&connected.events[..], [Event::Failed { id, error: why }] if *id == ours && *why == error)
    );
    connected
        .endpoint
        .respond(connected.now, theirs, content(b"1"))
        .unwrap();
    assert_eq!(codes(&connected.written()), ["2.05"], "and no Release");
    assert!(matches!(connected.events.last(), Some(Event::Closing { .. })));
    connected.endpoint.disconnected(connected.now, connected.id);
    assert!(connected.endpoint.is_pristine());
}

/// How requests of ours failed, in order.
fn failures(connected: &Connected) -> Vec<ExchangeError> {
    let failure = |event: &Event| match event {
        Event::Failed { error, .. } => Some(*error),
        _ => None,
    };
    connected.events.iter().filter_map(failure).collect()
}

/// A later message of an exchange tells nothing about the first: here the renewal of an observation, and the request for
/// a further block.
#[test]
fn what_had_left_once_is_not_said_to_be_unsent() {
    let mut observe = OptionsBuf::new();
    observe.set_uint(OptionNumber::OBSERVE, 0);
    let more = block(0, true, 6);
    let max_age = (OptionNumber::MAX_AGE, &[1][..]);
    for (options, answer) in [
        (
            observe.as_options(),
            vec![(OptionNumber::OBSERVE, &[][..]), max_age],
        ),
        (Options::empty(), vec![(OptionNumber::BLOCK2, &more[..])]),
    ] {
        let mut connected = Connected::opened(Config::default(), 1152);
        let request = RequestRef::new(Method::GET, options);
        let path = connected.path();
        connected.endpoint.request(connected.now, &path, request).unwrap();
        let token = parse(&connected.written()[0]).token.to_vec();
        connected.give(&frame(Status::CONTENT, &token, &answer, &[7; 1024]));
        connected.pass(Duration::from_secs(40));
        assert!(!connected.endpoint.stream_output(connected.id).is_empty());
        connected.endpoint.disconnected(connected.now, connected.id);
        connected.poll();
        assert_eq!(failures(&connected), [ExchangeError::Disconnected { sent: true }]);
    }
}

#[test]
fn nothing_remains_of_what_was_asked_for_ahead() {
    let mut connected = Connected::opened(Config::default(), 6000);
    let path = connected.path();
    let request = RequestRef::new(Method::GET, Options::empty());
    connected.endpoint.request(connected.now, &path, request).unwrap();
    let token = parse(&connected.written()[0]).token.to_vec();
    let options = [
        (OptionNumber::BLOCK2, &block(0, true, 7)[..]),
        (OptionNumber::SIZE2, &[0x50, 0]),
    ];
    connected.give(&frame(Status::CONTENT, &token, &options, &[7; 4096]));
    assert!(
        connected.endpoint.stream_output(connected.id).len() > 20,
        "two requests"
    );
    connected.endpoint.disconnected(connected.now, connected.id);
    assert!(connected.endpoint.is_pristine());
}

/// Also where nothing else looks whether the peer is there, and it takes nothing, or answers everything but that.
#[test]
fn requests_and_pings_end_though_nobody_answers() {
    for reads in [false, true] {
        let mut config = Config::default();
        config.connections.ping_after = None;
        let mut connected = Connected::opened(config, 1152);
        let path = connected.path();
        let request = RequestRef::new(Method::GET, Options::empty());
        let (endpoint, now) = (&mut connected.endpoint, connected.now);
        let asked = endpoint.request(now, &path, request).unwrap();
        let ping = endpoint.ping(now, &path).unwrap();
        if reads {
            assert_eq!(codes(&connected.written()), ["0.01", "7.02"]);
        }
        for _ in 0..10 {
            connected.pass(Duration::from_secs(25));
            connected.give(&hex("00 00"));
        }
        let failure = |event: &Event| match event {
            Event::Failed { id, error } => Some((*id, *error)),
            _ => None,
        };
        let failures: Vec<_> = connected.events.iter().filter_map(failure).collect();
        let timeout = ExchangeError::Timeout;
        assert_eq!(failures, [(ping, timeout), (asked, timeout)], "{reads}");
    }
}

/// A body whose first part the application has not given yet.
#[test]
fn what_was_not_begun_had_not_left() {
    let mut connected = Connected::opened(Config::default(), 1152);
    let request = RequestRef::new(Method::PUT, Options::empty());
    let request = request.with_streamed(Some(StreamedBody { total: None }));
    let path = connected.path();
    connected.endpoint.request(connected.now, &path, request).unwrap();
    assert!(connected.written().is_empty());
    connected.endpoint.disconnected(connected.now, connected.id);
    connected.poll();
    assert_eq!(
        failures(&connected),
        [ExchangeError::Disconnected { sent: false }]
    );
}

/// What is said to be unsent does not leave before the Abort, whoever aborts, nor after the peer has closed its side.
#[test]
fn what_is_said_to_be_unsent_is_not_sent_later() {
    for framing in [Framing::Tcp, Framing::WebSocket] {
        for end in [
            Some(frame_in(framing, Signal::ABORT, &[], &[], &[])),
            Some(frame_in(framing, Code::from_byte(0xc0), &[], &[], &[])),
            None,
        ] {
            let mut connected = Connected::framed(Config::default(), framing);
            connected.give(&frame_in(framing, Signal::CSM, &[], &[], &[]));
            connected.written();
            let path = connected.path();
            let ask = RequestRef::new(Method::GET, Options::empty());
            // One has left in part where that is possible, two wait, with an answer between them.
            connected.endpoint.request(connected.now, &path, ask).unwrap();
            if framing == Framing::Tcp {
                connected.endpoint.stream_written(connected.now, connected.id, 3);
            }
            connected.endpoint.request(connected.now, &path, ask).unwrap();
            let asked = frame_in(framing, Method::GET, b"t", &[], &[]);
            let (id, _) = connected.request(&asked);
            connected
                .endpoint
                .respond(connected.now, id, content(b"x"))
                .unwrap();
            connected.endpoint.request(connected.now, &path, ask).unwrap();
            match end {
                Some(end) => drop(connected.give(&end)),
                None => connected.endpoint.peer_ended(connected.now, connected.id),
            }
            connected.poll();
            let sent = |sent| ExchangeError::Disconnected { sent };
            let first = sent(framing == Framing::Tcp);
            assert_eq!(failures(&connected), [first, sent(false), sent(false)]);
            let mut left = Vec::new();
            loop {
                let output = connected.endpoint.stream_output(connected.id);
                if output.is_empty() {
                    break;
                }
                let len = output.len();
                left.push(output.to_vec());
                connected
                    .endpoint
                    .stream_written(connected.now, connected.id, len);
            }
            let left = match framing {
                // Of the rest of the first request nothing is told; it has eight bytes of token.
                Framing::Tcp => left.concat().split_off(2 + 8 - 3),
                Framing::WebSocket => left.concat(),
            };
            let answer = frame_in(framing, Status::CONTENT, b"t", &[], b"x");
            assert!(left.starts_with(&answer), "{}", to_hex(&left));
            let requests = left.windows(2).filter(|bytes| *bytes == [8, 1]).count();
            assert_eq!(requests, 0, "{}", to_hex(&left));
            connected.endpoint.disconnected(connected.now, connected.id);
            assert!(connected.endpoint.is_pristine());
        }
    }
}

/// RFC 8323 §7.4: there is no Reset that would tell it later.
#[test]
fn the_end_of_an_observation_is_always_told() {
    let mut config = Config::default();
    config.connections.queued_bytes = 1200;
    let mut connected = Connected::opened(config, 1152);
    let path = connected.path();
    let mut observe = OptionsBuf::new();
    observe.set_uint(OptionNumber::OBSERVE, 0);
    let request = RequestRef::new(Method::GET, observe.as_options());
    let id = connected.endpoint.request(connected.now, &path, request).unwrap();
    let token = parse(&connected.written()[0]).token.to_vec();
    connected.give(&frame(
        Status::CONTENT,
        &token,
        &[(OptionNumber::OBSERVE, &[])],
        &[],
    ));
    let (other, _) = connected.request(&get("a", b"a"));
    let (endpoint, now) = (&mut connected.endpoint, connected.now);
    endpoint.respond(now, other, content(&[7; 1020])).unwrap();
    while endpoint
        .request(now, &path, RequestRef::new(Method::GET, Options::empty()))
        .is_ok()
    {}
    endpoint.cancel(now, id);
    let written = connected.written();
    let last = parse(written.last().unwrap());
    assert_eq!((last.token, last.options.observe()), (&token[..], Some(1)));
}

#[test]
fn notifications_follow_each_other_as_fast_as_they_are_read() {
    let mut connected = Connected::opened(Config::default(), 1152);
    let observe: &[(OptionNumber, &[u8])] = &[(OptionNumber::OBSERVE, &[]), (OptionNumber::URI_PATH, b"o")];
    let (id, _) = connected.request(&frame(Method::GET, b"o", observe, &[]));
    let response = content(b"0")
        .with_observe(Some(Topic(7)))
        .with_confirmable(Some(false));
    connected.endpoint.respond(connected.now, id, response).unwrap();
    assert_eq!(codes(&connected.written()), ["2.05"]);
    let mut told = Vec::new();
    for state in [&b"1"[..], b"2", b"3"] {
        connected.endpoint.changed(Topic(7));
        connected.poll();
        // The state is asked for when the one before was taken by the transport.
        while let Some(place) = connected
            .events
            .iter()
            .position(|event| matches!(event, Event::Refresh { .. }))
        {
            let Event::Refresh { id, .. } = connected.events.remove(place) else {
                panic!()
            };
            let response = content(state)
                .with_observe(Some(Topic(7)))
                .with_confirmable(Some(false));
            connected.endpoint.respond(connected.now, id, response).unwrap();
        }
        told.extend(connected.written());
    }
    let payloads: Vec<_> = told.iter().map(|frame| parse(frame).payload).collect();
    assert_eq!(payloads, [b"1", b"2", b"3"], "no pause between them");
    // RFC 8323 §7.4.
    let cancel: &[(OptionNumber, &[u8])] = &[(OptionNumber::OBSERVE, &[1]), (OptionNumber::URI_PATH, b"o")];
    connected.give(&frame(Method::GET, b"o", cancel, &[]));
    assert_eq!(connected.endpoint.observers(), 0);
}

/// RFC 8323 §6.1.
#[test]
fn an_answer_that_is_longer_than_the_peer_takes_comes_in_blocks() {
    let body: Vec<u8> = (0..100_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    for (most, szx, blocks) in [(1152, 6, 98), (600, 5, 196), (6000, 7, 20), (200_000, 0, 1)] {
        let mut connected = Connected::opened(Config::default(), most);
        let (id, _) = connected.request(&get("large", b"t"));
        connected
            .endpoint
            .respond(connected.now, id, content(&body))
            .unwrap();
        let mut had = Vec::new();
        let mut count = 0;
        loop {
            let written = connected.written();
            let [frame_of_it] = &written[..] else {
                panic!("{}", written.len())
            };
            assert!(
                frame_of_it.len() <= most as usize,
                "{} of {most}",
                frame_of_it.len()
            );
            let message = parse(frame_of_it);
            had.extend_from_slice(message.payload);
            count += 1;
            let Some(block2) = message.options.block2().map(Result::unwrap) else {
                break;
            };
            assert_eq!(block2.szx(), szx);
            if !block2.more() {
                break;
            }
            let next = block(u32::try_from(had.len() / block2.size()).unwrap(), false, szx);
            let options: &[(OptionNumber, &[u8])] =
                &[(OptionNumber::URI_PATH, b"large"), (OptionNumber::BLOCK2, &next)];
            connected.give(&frame(Method::GET, b"t", options, &[]));
        }
        assert_eq!((had == body, count), (true, blocks), "{most}");
    }
}

/// The peer would take all of it in one message, but only a part is at hand.
#[test]
fn a_part_of_an_answer_is_a_block_though_all_of_it_would_go() {
    let body = vec![7; 10_000];
    for (at_hand, expected) in [(4096, Some("0/1/BERT")), (10_000, None)] {
        let mut connected = Connected::opened(Config::default(), 2_000_000);
        let (id, _) = connected.request(&get("large", b"t"));
        let window = Window {
            offset: 0,
            total: 10_000,
        };
        let answer = content(&body[..at_hand]).with_window(Some(window));
        connected.endpoint.respond(connected.now, id, answer).unwrap();
        let written = connected.written();
        let message = parse(&written[0]);
        let block2 = message.options.block2().map(|block| block.unwrap().to_string());
        assert_eq!(block2.as_deref(), expected, "{at_hand}");
        assert_eq!(message.payload.len(), at_hand);
    }
}

/// RFC 8323 §6.2.
#[test]
fn a_body_in_blocks_of_bert_is_assembled() {
    let mut connected = Connected::opened(Config::default(), 1152);
    let body: Vec<u8> = (0..30_259_u32).map(|number| number.to_le_bytes()[1]).collect();
    let part = |num: u32, from: usize, to: usize, more| {
        let option = block(num, more, 7);
        let options: &[(OptionNumber, &[u8])] = &[
            (OptionNumber::URI_PATH, b"options"),
            (OptionNumber::BLOCK1, &option),
        ];
        frame(Method::PUT, b"t", options, &body[from..to])
    };
    assert!(connected.give(&part(0, 0, 8192, true)).is_empty());
    assert!(connected.give(&part(8, 8192, 24_576, true)).is_empty());
    let written = connected.written();
    assert_eq!(codes(&written), ["2.31", "2.31"]);
    let echoed = parse(&written[1]).options.block1().unwrap().unwrap();
    assert_eq!(echoed.to_string(), "8/1/BERT");
    let (_, request) = connected.request(&part(24, 24_576, 30_259, false));
    assert!(request.payload == body);
}

#[test]
fn a_body_of_ours_goes_as_the_peer_takes_it() {
    let body = vec![7; MIB];
    for (most, messages) in [(2_000_000, 1), (1152, 1024), (10_000, 114), (1_049_088, 1)] {
        let mut connected = Connected::opened(Config::default(), most);
        let path = connected.path();
        let mut options = OptionsBuf::new();
        options.push_str(OptionNumber::URI_PATH, "up").unwrap();
        let request = RequestRef::new(Method::PUT, options.as_options()).with_payload(&body);
        connected.endpoint.request(connected.now, &path, request).unwrap();
        let mut had = 0;
        for count in 1.. {
            let written = connected.written();
            let [sent] = &written[..] else {
                panic!("{} after {count}", written.len())
            };
            assert!(sent.len() <= most as usize);
            let message = parse(sent);
            had += message.payload.len();
            let block1 = message.options.block1().map(Result::unwrap);
            let more = block1.is_some_and(|block| block.more());
            let status = if more { Status::CONTINUE } else { Status::CHANGED };
            let value = block1.map(|block| block.encode().to_vec());
            let options: Vec<_> = value
                .iter()
                .map(|value| (OptionNumber::BLOCK1, &value[..]))
                .collect();
            connected.give(&frame(status, message.token, &options, &[]));
            if !more {
                assert_eq!((had, count), (MIB, messages), "{most}");
                break;
            }
        }
        let done = connected
            .events
            .iter()
            .any(|event| matches!(event, Event::Response { .. }));
        assert!(done);
    }
}

#[test]
fn who_does_not_read_is_not_read() {
    let mut connected = Connected::opened(Config::default(), 10_000_000);
    let mut answered = 0;
    for _ in 0..100 {
        if !connected.endpoint.takes_input(connected.id) {
            break;
        }
        let (id, _) = connected.request(&get("a", b"a"));
        connected
            .endpoint
            .respond(connected.now, id, content(&[0; 10_000]))
            .unwrap();
        answered += 1;
    }
    assert_eq!(answered, 7, "64 KiB wait");
    assert_eq!(connected.written().len(), 7);
    assert!(connected.endpoint.takes_input(connected.id));
}

#[test]
fn what_waits_on_all_connections_is_bounded() {
    let mut config = Config::default();
    config.connections.queued_bytes = 20_000;
    let mut connected = Connected::opened(config, 10_000_000);
    let asked: Vec<_> = (0..3).map(|_| connected.request(&get("a", b"a")).0).collect();
    for id in asked {
        connected
            .endpoint
            .respond(connected.now, id, content(&[0; 9000]))
            .unwrap();
    }
    assert_eq!(codes(&connected.written()), ["2.05", "2.05", "5.03"]);
}

#[test]
fn one_address_does_not_take_all_the_room() {
    let mut config = Config::default();
    config.connections.max_connections = 5;
    config.connections.max_connections_per_address = 3;
    let mut endpoint = coracle_engine::Endpoint::new(config, [1; 32]);
    let now = coracle_engine::Instant::ZERO;
    let connect = |endpoint: &mut coracle_engine::Endpoint, host: u8, port| {
        let path = coracle_engine::Path::to(([192, 0, 2, host], port).into());
        endpoint.connected(now, path, coracle_wire::Framing::Tcp)
    };
    let first = connect(&mut endpoint, 1, 1).unwrap();
    assert!(connect(&mut endpoint, 1, 2).is_some() && connect(&mut endpoint, 1, 3).is_some());
    assert!(connect(&mut endpoint, 1, 4).is_none());
    assert!(connect(&mut endpoint, 2, 1).is_some() && connect(&mut endpoint, 3, 1).is_some());
    assert!(
        connect(&mut endpoint, 4, 1).is_none(),
        "there are as many as may be"
    );
    endpoint.disconnected(now, first);
    assert!(connect(&mut endpoint, 1, 4).is_some());
}

#[test]
fn requests_wait_for_the_csm_and_find_it_by_an_event() {
    let mut connected = Connected::new();
    let path = connected.path();
    let request = RequestRef::new(Method::GET, Options::empty());
    let early = connected.endpoint.request(connected.now, &path, request);
    assert_eq!(early, Err(RequestError::NotConnected));
    connected.give(&csm(1152));
    assert!(matches!(connected.events[..], [Event::Opened { .. }]));
    assert!(connected.endpoint.request(connected.now, &path, request).is_ok());
    assert_eq!(codes(&connected.written()), ["7.01", "0.01"]);
}

#[test]
fn a_later_csm_changes_what_it_names_only() {
    let mut connected = Connected::opened(Config::default(), 100_000);
    connected.give(&frame(
        Signal::CSM,
        &[],
        &[(Csm::MAX_MESSAGE_SIZE, &[0x04, 0x80])],
        &[],
    ));
    let (id, _) = connected.request(&get("a", b"a"));
    connected
        .endpoint
        .respond(connected.now, id, content(&[0; 50_000]))
        .unwrap();
    let written = connected.written();
    let block2 = parse(&written[0]).options.block2().unwrap().unwrap();
    assert_eq!(block2.to_string(), "0/1/1024");
}

#[test]
fn a_ping_of_ours_is_answered_or_fails_with_the_connection() {
    let mut connected = Connected::opened(Config::default(), 1152);
    let path = connected.path();
    let ping = connected.endpoint.ping(connected.now, &path).unwrap();
    let written = connected.written();
    assert_eq!(codes(&written), ["7.02"]);
    let token = parse(&written[0]).token.to_vec();
    connected.give(&frame(Signal::PONG, &token, &[], &[]));
    assert!(matches!(connected.events[..], [Event::Pong { id }] if id == ping));
    let lost = connected.endpoint.ping(connected.now, &path).unwrap();
    connected.endpoint.disconnected(connected.now, connected.id);
    connected.events.clear();
    connected.poll();
    assert!(matches!(connected.events[..], [Event::Failed { id, .. }] if id == lost));
}

/// As that of libcoap 4.3.1 does.
#[test]
fn a_peer_that_forgets_the_token_of_a_ping_has_answered_the_first() {
    let mut connected = Connected::opened(Config::default(), 1152);
    let path = connected.path();
    let first = connected.endpoint.ping(connected.now, &path).unwrap();
    let second = connected.endpoint.ping(connected.now, &path).unwrap();
    for ping in [first, second] {
        connected.events.clear();
        connected.give(&frame(Signal::PONG, &[], &[], &[]));
        assert!(matches!(connected.events[..], [Event::Pong { id }] if id == ping));
    }
}

#[test]
fn a_streamed_body_of_bert_blocks_is_handed_on() {
    use coracle_engine::{Body, BodyPolicy};
    struct Streaming;
    impl BodyPolicy for Streaming {
        fn body(&self, _: Method, _: Options<'_>) -> Body {
            Body::Stream
        }
    }
    let mut config = Config::default();
    config.body_policy = Some(std::sync::Arc::new(Streaming));
    let mut connected = Connected::opened(config, 1152);
    let part = |num, len, more| {
        let option = block(num, more, 7);
        frame(
            Method::PUT,
            b"t",
            &[(OptionNumber::BLOCK1, &option)],
            &vec![1; len],
        )
    };
    let (id, request) = connected.request(&part(0, 4096, true));
    assert_eq!(request.payload.len(), 4096);
    connected.endpoint.continue_body(connected.now, id);
    assert_eq!(codes(&connected.written()), ["2.31"]);
    let given = connected.give(&part(4, 1000, false));
    assert!(matches!(&given[..], [Given::Body(of, bytes, false)] if *of == id && bytes.len() == 1000));
    connected
        .endpoint
        .respond(
            connected.now,
            id,
            ResponseRef::new(Status::CHANGED, Options::empty(), &[]),
        )
        .unwrap();
    assert_eq!(codes(&connected.written()), ["2.04"]);
}

/// Where several endpoints serve, as shards do, a path tells the connection by itself.
#[test]
fn connections_of_several_endpoints_have_different_names() {
    let mut names = std::collections::HashSet::new();
    for seed in 0..50 {
        let mut endpoint = coracle_engine::Endpoint::new(Config::default(), [seed; 32]);
        for _ in 0..20 {
            let connected = endpoint.connected(Instant::ZERO, peer(61616), coracle_wire::Framing::Tcp);
            assert!(names.insert(connected.unwrap()));
        }
    }
}

#[test]
fn tokens_are_those_of_one_connection() {
    let mut connected = Connected::opened(Config::default(), 1152);
    let path = connected.path();
    let request = RequestRef::new(Method::GET, Options::empty());
    connected.endpoint.request(connected.now, &path, request).unwrap();
    let token = parse(&connected.written()[0]).token.to_vec();
    let answer = frame(Status::CONTENT, &token, &[], b"x");
    // The same token on another connection answers nothing.
    let other = connected
        .endpoint
        .connected(connected.now, common::peer(61616), coracle_wire::Framing::Tcp)
        .unwrap();
    let _ = connected
        .endpoint
        .handle_stream(connected.now, other, &mut &csm(1152)[..]);
    let _ = connected
        .endpoint
        .handle_stream(connected.now, other, &mut &answer[..]);
    connected.poll();
    assert!(
        !connected
            .events
            .iter()
            .any(|event| matches!(event, Event::Response { .. }))
    );
    connected.give(&answer);
    assert!(
        connected
            .events
            .iter()
            .any(|event| matches!(event, Event::Response { .. }))
    );
    assert_eq!(Code::from(Status::CONTENT).to_string(), "2.05");
}

/// A server of a body in blocks of BERT, played by the test.
struct Blocks {
    body: Vec<u8>,
    len: usize,
}

impl Blocks {
    fn new(len: usize) -> Blocks {
        let body = (0..100_000_u32).map(|number| number.to_le_bytes()[0] ^ number.to_le_bytes()[1]);
        Blocks {
            body: body.collect(),
            len,
        }
    }

    /// Where the block begins that a request asks for.
    fn asked(request: &[u8]) -> usize {
        let block = parse(request).options.block2();
        block.map_or(0, |block| usize::try_from(block.unwrap().offset()).unwrap())
    }

    fn answer(&self, request: &[u8]) -> Vec<u8> {
        let offset = Blocks::asked(request);
        let end = self.body.len().min(offset + self.len);
        let block = block(u32::try_from(offset / 1024).unwrap(), end < self.body.len(), 7);
        let total = (100_000_u32).to_be_bytes();
        let options: &[(OptionNumber, &[u8])] =
            &[(OptionNumber::BLOCK2, &block), (OptionNumber::SIZE2, &total[1..])];
        frame(
            Status::CONTENT,
            parse(request).token,
            options,
            &self.body[offset..end],
        )
    }
}

fn asks(connected: &mut Connected, in_parts: bool) {
    let path = connected.path();
    let request = RequestRef::new(Method::GET, Options::empty()).with_streamed_answer(in_parts);
    connected.endpoint.request(connected.now, &path, request).unwrap();
}

fn received(connected: &mut Connected) -> Option<Vec<u8>> {
    let mut body = None;
    for event in connected.events.drain(..) {
        if let Event::Response {
            response,
            more: false,
            ..
        } = event
        {
            body = Some(response.payload);
        }
    }
    body
}

#[test]
fn a_block_is_asked_for_before_its_turn() {
    let server = Blocks::new(8192);
    let mut connected = Connected::opened(Config::default(), 1152);
    asks(&mut connected, false);
    let first = connected.written();
    connected.give(&server.answer(&first[0]));
    let mut under_way = connected.written();
    let begins = |requests: &[Vec<u8>]| {
        requests
            .iter()
            .map(|request| Blocks::asked(request))
            .collect::<Vec<_>>()
    };
    assert_eq!(begins(&under_way), [8192, 16_384]);
    let mut asked = 2;
    // In order or not: what comes before its turn waits.
    for turn in 0.. {
        if under_way.is_empty() {
            break;
        }
        let place = if turn % 3 == 0 { under_way.len() - 1 } else { 0 };
        let request = under_way.remove(place);
        connected.give(&server.answer(&request));
        let more = connected.written();
        asked += more.len();
        under_way.extend(more);
        assert!(under_way.len() <= 2);
    }
    assert!(received(&mut connected).unwrap() == server.body);
    assert_eq!(
        asked,
        100_000 / 8192,
        "each block after the first is asked for once"
    );
}

#[test]
fn blocks_of_other_lengths_than_the_one_before_are_put_together_all_the_same() {
    let mut server = Blocks::new(8192);
    let mut connected = Connected::opened(Config::default(), 1152);
    asks(&mut connected, false);
    let mut under_way = connected.written();
    for turn in 0..100 {
        if under_way.is_empty() {
            break;
        }
        server.len = [8192, 4096, 1024, 16_384][turn % 4];
        let request = under_way.remove(0);
        connected.give(&server.answer(&request));
        under_way.extend(connected.written());
    }
    assert!(received(&mut connected).unwrap() == server.body);
}

#[test]
fn an_error_for_what_was_asked_ahead_is_no_end() {
    let server = Blocks::new(8192);
    let mut connected = Connected::opened(Config::default(), 1152);
    asks(&mut connected, false);
    let first = connected.written();
    connected.give(&server.answer(&first[0]));
    let under_way = connected.written();
    connected.give(&frame(
        Status::SERVICE_UNAVAILABLE,
        parse(&under_way[1]).token,
        &[],
        &[],
    ));
    connected.give(&server.answer(&under_way[0]));
    let again = connected.written();
    assert_eq!(
        again
            .iter()
            .map(|request| Blocks::asked(request))
            .collect::<Vec<_>>(),
        [16_384, 24_576]
    );
}

/// However slow the application is: one block waits, and the request does not run out of time.
#[test]
fn one_block_waits_for_the_application() {
    let server = Blocks::new(8192);
    let mut connected = Connected::opened(Config::default(), 1152);
    asks(&mut connected, true);
    let first = connected.written();
    connected.give(&server.answer(&first[0]));
    let mut body = Vec::new();
    let mut exchange = None;
    loop {
        let under_way = connected.written();
        assert!(under_way.len() <= 1);
        for request in under_way {
            connected.give(&server.answer(&request));
        }
        assert!(
            connected.written().is_empty(),
            "nothing more before the application wants it"
        );
        connected.pass(Duration::from_secs(250));
        connected.give(&hex("0000"));
        connected
            .events
            .retain(|event| !matches!(event, Event::Progress { .. }));
        let [event] = &connected.events[..] else {
            panic!("{} events", connected.events.len())
        };
        let (id, payload, more) = match event {
            Event::Response { id, response, more } => (*id, &response.payload, *more),
            Event::Body { id, payload, more } => (*id, payload, *more),
            _ => panic!("neither a response nor a part"),
        };
        body.extend_from_slice(payload);
        exchange.get_or_insert(id);
        connected.events.clear();
        if !more {
            break;
        }
        connected.endpoint.continue_body(connected.now, id);
        connected.poll();
        connected
            .events
            .retain(|event| !matches!(event, Event::Progress { .. }));
    }
    assert!(body == server.body);
}

/// RFC 8323 §6: BERT is for those who say that they have it.
#[test]
fn a_download_goes_on_in_the_largest_blocks_that_the_peer_has() {
    for (most, szx, expected) in [
        (2_000_000, 7, "4/0/BERT"),
        (1152, 7, "4/0/1024"),
        (2_000_000, 6, "4/0/1024"),
        (2_000_000, 2, "64/0/64"),
    ] {
        let mut config = Config::default();
        config.connections.block_szx = szx;
        let mut connected = Connected::opened(config, most);
        let path = connected.path();
        let mut options = OptionsBuf::new();
        options.insert(OptionNumber::BLOCK2, &block(4, false, 7)).unwrap();
        let request = RequestRef::new(Method::GET, options.as_options()).with_streamed_answer(true);
        connected.endpoint.request(connected.now, &path, request).unwrap();
        let asked = parse(&connected.written()[0]).options.block2().unwrap().unwrap();
        assert_eq!(asked.to_string(), expected, "{most} {szx}");
    }
}

/// RFC 7959 §2.2, §2.3: who wants small blocks gets and sends them, though messages may be long.
#[test]
fn a_block_size_is_asked_for_and_offered_on_connections() {
    let body = [7; 100];
    for (szx, asks, offers) in [
        (7, None, None),
        (6, Some("0/0/1024"), None),
        (2, Some("0/0/64"), Some("0/1/64")),
    ] {
        let mut config = Config::default();
        config.connections.block_szx = szx;
        let mut connected = Connected::opened(config, 2_000_000);
        let path = connected.path();
        let get = RequestRef::new(Method::GET, Options::empty());
        let put = RequestRef::new(Method::PUT, Options::empty()).with_payload(&body);
        connected.endpoint.request(connected.now, &path, get).unwrap();
        connected.endpoint.request(connected.now, &path, put).unwrap();
        let written = connected.written();
        let shown = |block: Option<Result<BlockOption, _>>| block.map(|block| block.unwrap().to_string());
        let (get, put) = (parse(&written[0]), parse(&written[1]));
        assert_eq!(shown(get.options.block2()).as_deref(), asks, "{szx}");
        assert_eq!(shown(put.options.block1()).as_deref(), offers, "{szx}");
    }
}

/// As an echo service (RFC 862) does: what we ask is not answered by ourselves.
#[test]
fn a_mirror_is_no_server() {
    let mut connected = Connected::opened(Config::default(), 1152);
    let path = connected.path();
    let request = RequestRef::new(Method::GET, Options::empty());
    connected.endpoint.request(connected.now, &path, request).unwrap();
    let [sent] = &connected.written()[..] else {
        panic!("not one message")
    };
    assert!(connected.give(sent).is_empty());
    let reasons: Vec<String> = connected
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Closing { reason, .. } => Some(reason.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(reasons, ["aborted: the peer sends back what it is sent"]);
    assert_eq!(failures(&connected).len(), 1);
}
