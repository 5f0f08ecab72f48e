//! Connections whose peers are slow, greedy or gone, and what that is to others (RFC 8323).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

use std::time::Duration;

use common::stream::{Connected, codes, content, csm, frame, get, parse};
use common::{hex, options_of, peer};
use coracle_engine::{
    CloseReason, Config, ConnectionId, Endpoint, Event, ExchangeError, Instant, MissingCsm, Received,
    RequestError, RequestRef, ResponseRef, Topic, Window,
};
use coracle_wire::{BlockOption, Framing, Method, OptionNumber, Options, Status};

const OBSERVE: &[(OptionNumber, &[u8])] = &[(OptionNumber::OBSERVE, &[]), (OptionNumber::URI_PATH, b"o")];

fn small_queues(bytes: usize) -> Config {
    let mut config = Config::default();
    config.connections.queued_bytes = bytes;
    config
}

/// Registers an observation, answered with `state`.
fn observe(connected: &mut Connected, token: &[u8], state: &[u8]) {
    let (id, _) = connected.request(&frame(Method::GET, token, OBSERVE, &[]));
    let response = content(state).with_observe(Some(Topic(7)));
    connected.endpoint.respond(connected.now, id, response).unwrap();
}

/// Answers what was asked for since the last change, for as long as anything is asked for.
fn refresh(connected: &mut Connected, state: &[u8]) -> usize {
    let mut asked = 0;
    loop {
        connected.poll();
        let (refreshes, others) = std::mem::take(&mut connected.events)
            .into_iter()
            .partition(|event| matches!(event, Event::Refresh { .. }));
        connected.events = others;
        let refreshes: Vec<Event> = refreshes;
        if refreshes.is_empty() {
            return asked;
        }
        for event in refreshes {
            let Event::Refresh { id, .. } = event else {
                continue;
            };
            asked += 1;
            let response = content(state).with_observe(Some(Topic(7)));
            connected.endpoint.respond(connected.now, id, response).unwrap();
        }
    }
}

/// Takes so many bytes of what waits.
fn read(connected: &mut Connected, len: usize) {
    while connected.endpoint.poll_stream().is_some() {}
    connected
        .endpoint
        .stream_written(connected.now, connected.id, len);
    connected.poll();
}

fn waiting(connected: &Connected) -> usize {
    connected.endpoint.stream_output(connected.id).len()
}

#[test]
fn a_part_of_a_body_is_never_taken_for_the_whole() {
    for (most, total) in [(1152, 1060), (1_049_088, 500_000), (1_049_088, 1_048_800)] {
        let mut connected = Connected::opened(Config::default(), most);
        let (id, request) = connected.request(&get("file", b"t"));
        let part = vec![7; connected.endpoint.part_len(&request.path).min(total)];
        let window = Window {
            offset: 0,
            total: total as u64,
        };
        let response = content(&part).with_window(Some(window));
        connected.endpoint.respond(connected.now, id, response).unwrap();
        let written = connected.written();
        let block = parse(&written[0]).options.block2().unwrap().unwrap();
        assert!(block.more(), "{total} of {most}");
    }
}

/// Only what was read is said to be worth another try; what was done is told in any case, and nothing more is begun then.
#[test]
fn an_answer_that_finds_no_room_tells_what_was_done() {
    let mut connected = Connected::opened(small_queues(5000), 100_000);
    let (fill, _) = connected.request(&get("a", b"f"));
    let (empty, _) = connected.request(&frame(Method::POST, b"e", &[], b"order"));
    let (long, _) = connected.request(&frame(Method::POST, b"l", &[], b"order"));
    let (read, _) = connected.request(&get("a", b"r"));
    let endpoint = &mut connected.endpoint;
    let created = |payload| ResponseRef::new(Status::CREATED, Options::empty(), payload);
    endpoint
        .respond(connected.now, fill, content(&[0; 4990]))
        .unwrap();
    endpoint.respond(connected.now, empty, created(b"")).unwrap();
    endpoint.respond(connected.now, long, created(&[0; 100])).unwrap();
    endpoint.respond(connected.now, read, content(&[0; 100])).unwrap();
    let written = connected.written();
    assert_eq!(codes(&written), ["2.05", "2.01", "2.01", "5.03"]);
    let (fill, _) = connected.request(&get("a", b"f"));
    connected
        .endpoint
        .respond(connected.now, fill, content(&[0; 4990]))
        .unwrap();
    assert!(
        connected
            .give(&frame(Method::POST, b"n", &[], b"order"))
            .is_empty()
    );
    assert_eq!(codes(&connected.written()), ["2.05", "5.03"]);
}

/// A server on whose connections with several addresses `share` bytes wait, which nobody reads; the last is read.
fn crowded(queued: usize, hosts: std::ops::Range<u8>, share: usize) -> (Connected, Vec<ConnectionId>) {
    let mut connected = Connected::opened(small_queues(queued), 10_000_000);
    let ask = get("large", b"l");
    let others: Vec<_> = hosts
        .map(|host| {
            let mut path = peer(700);
            path.remote.set_ip([192, 0, 2, host].into());
            let (endpoint, now) = (&mut connected.endpoint, connected.now);
            let id = endpoint.connected(now, path, Framing::Tcp).unwrap();
            let _ = endpoint.handle_stream(now, id, &mut &csm(10_000_000)[..]);
            let received = endpoint.handle_stream(now, id, &mut &ask[..]);
            let Received::Request(exchange, _) = received else {
                panic!("{received:?}")
            };
            endpoint.respond(now, exchange, content(&vec![0; share])).unwrap();
            // The transport takes the first bytes, and then no more.
            endpoint.stream_written(now, id, 100);
            id
        })
        .collect();
    (connected, others)
}

/// Asks for a body of so many bytes: the code of the answer.
fn ask_for(connected: &mut Connected, len: usize) -> String {
    let (id, _) = connected.request(&get("large", b"h"));
    connected
        .endpoint
        .respond(connected.now, id, content(&vec![0; len]))
        .unwrap();
    let written = connected.endpoint.stream_outputs(connected.id).concat();
    read(connected, written.len());
    codes(&[written]).concat()
}

/// Those who do not read give up their room to others within seconds, and no sooner than others need it.
#[test]
fn who_does_not_read_makes_room_for_others() {
    let (mut connected, slow) = crowded(2 << 20, 10..18, 250_000);
    connected.pass(Duration::from_secs(5));
    assert_eq!(connected.endpoint.connections(), slow.len() + 1);
    assert_eq!(ask_for(&mut connected, 200_000), "5.03");
    connected.pass(Duration::from_secs(6));
    for id in slow {
        connected.endpoint.disconnected(connected.now, id);
    }
    let aborted = |event: &&Event| {
        matches!(
            event,
            Event::Closing {
                reason: CloseReason::GivenUp(_),
                ..
            }
        )
    };
    assert_eq!(connected.events.iter().filter(aborted).count(), 8);
    assert_eq!(ask_for(&mut connected, 200_000), "2.05");
}

/// One address has a quarter of the room on all its connections together.
#[test]
fn one_address_leaves_room_for_others() {
    let (mut connected, _) = crowded(8 << 20, 10..11, 1_000_000);
    let ask = get("large", b"l");
    let mut codes_of_one = Vec::new();
    for port in 701..705 {
        let mut path = peer(port);
        path.remote.set_ip([192, 0, 2, 10].into());
        let (endpoint, now) = (&mut connected.endpoint, connected.now);
        let id = endpoint.connected(now, path, Framing::Tcp).unwrap();
        let _ = endpoint.handle_stream(now, id, &mut &csm(10_000_000)[..]);
        let received = endpoint.handle_stream(now, id, &mut &ask[..]);
        let Received::Request(exchange, _) = received else {
            panic!("{received:?}")
        };
        endpoint
            .respond(now, exchange, content(&vec![0; 1_000_000]))
            .unwrap();
        let waits = endpoint.stream_outputs(id).concat().len();
        codes_of_one.push(waits > 1_000_000);
    }
    assert_eq!(codes_of_one, [true, false, false, false]);
    assert_eq!(ask_for(&mut connected, 1_000_000), "2.05");
}

/// A transport that takes nothing from the beginning is given up like one that stops.
#[test]
fn who_never_begins_to_read_is_given_up() {
    let mut connected = Connected::opened(Config::default(), 10_000_000);
    let (id, _) = connected.request(&get("large", b"l"));
    let body = vec![0; 200_000];
    connected
        .endpoint
        .respond(connected.now, id, content(&body))
        .unwrap();
    connected.endpoint.stream_written(connected.now, connected.id, 0);
    connected.pass(Duration::from_secs(119));
    assert!(connected.events.is_empty(), "{:?}", connected.events);
    connected.pass(Duration::from_secs(2));
    assert!(matches!(connected.events[..], [Event::Closing { .. }]));
}

/// Where both sides have much to answer, neither waits for the other: answers are taken in, what is asked meanwhile is not
/// begun.
#[test]
fn both_sides_may_have_long_answers() {
    let mut connected = Connected::opened(Config::default(), 10_000_000);
    let path = connected.path();
    let ask = RequestRef::new(Method::GET, Options::empty());
    connected.endpoint.request(connected.now, &path, ask).unwrap();
    let sent = connected.written();
    let token = parse(&sent[0]).token.to_vec();
    let (id, _) = connected.request(&get("large", b"l"));
    connected
        .endpoint
        .respond(connected.now, id, content(&vec![0; 100_000]))
        .unwrap();
    assert!(connected.endpoint.takes_input(connected.id));
    assert!(connected.give(&get("large", b"m")).is_empty(), "it is not begun");
    connected.give(&frame(Status::CONTENT, &token, &[], &[1; 50]));
    let answered =
        |event: &Event| matches!(event, Event::Response { response, .. } if response.payload.len() == 50);
    assert!(connected.events.iter().any(answered));
    assert!(
        !connected.endpoint.takes_input(connected.id),
        "it is asked nothing more"
    );
    assert_eq!(codes(&connected.written()), ["2.05", "5.03"]);
}

/// A request that is given up before it left is not sent; one that is on its way is.
#[test]
fn what_is_given_up_before_it_left_is_not_sent() {
    let mut connected = Connected::opened(Config::default(), 10_000_000);
    let (path, body) = (connected.path(), vec![0; 100_000]);
    let put = RequestRef::new(Method::PUT, Options::empty()).with_payload(&body);
    let (endpoint, now) = (&mut connected.endpoint, connected.now);
    let first = endpoint.request(now, &path, put).unwrap();
    let second = endpoint.request(now, &path, put).unwrap();
    let delete = RequestRef::new(Method::DELETE, Options::empty());
    endpoint.request(now, &path, delete).unwrap();
    endpoint.stream_written(now, connected.id, 1000);
    endpoint.cancel(now, first);
    endpoint.cancel(now, second);
    let waits: usize = endpoint
        .stream_outputs(connected.id)
        .iter()
        .map(|piece| piece.len())
        .sum();
    assert!((99_000..100_100).contains(&waits), "{waits}");
}

/// The time of a request begins when the transport has taken it; a peer that does not answer then is looked for.
#[test]
fn a_request_that_waits_for_its_turn_is_not_late() {
    let mut connected = Connected::opened(Config::default(), 10_000_000);
    let (path, body) = (connected.path(), vec![0; 500_000]);
    let put = RequestRef::new(Method::PUT, Options::empty()).with_payload(&body);
    connected.endpoint.request(connected.now, &path, put).unwrap();
    while waiting(&connected) > 0 {
        read(&mut connected, 1000);
        connected.pass(Duration::from_secs(1));
        connected.give(&hex("00 00"));
    }
    let failed = |event: &Event| matches!(event, Event::Failed { .. });
    connected.pass(Duration::from_secs(240));
    assert!(!connected.events.iter().any(failed), "{:?}", connected.events);
    connected.give(&hex("00 00"));
    connected.pass(Duration::from_secs(10));
    assert!(connected.events.iter().any(failed));
    assert_eq!(codes(&connected.written()), ["7.02"]);
}

/// Who does not read is told the latest state when it does, and others are answered meanwhile.
#[test]
fn one_that_does_not_read_takes_no_room_from_others() {
    let mut connected = Connected::opened(small_queues(1 << 20), 10_000_000);
    let other = connected
        .endpoint
        .connected(connected.now, peer(700), Framing::Tcp)
        .unwrap();
    let _ = connected
        .endpoint
        .handle_stream(connected.now, other, &mut &csm(1152)[..]);
    while let Some(id) = connected.endpoint.poll_stream() {
        let len = connected.endpoint.stream_output(id).len();
        connected.endpoint.stream_written(connected.now, id, len);
    }
    for token in 0..200_u8 {
        observe(&mut connected, &[token], b"1");
    }
    connected.written();
    connected.endpoint.changed(Topic(7));
    let mut buf = [0; coracle_engine::limits::MAX_DATAGRAM];
    for _ in 0..1000 {
        assert!(
            connected
                .endpoint
                .poll_transmit(connected.now, &mut buf)
                .is_none()
        );
        refresh(&mut connected, &[7; 1000]);
    }
    assert!(waiting(&connected) < 128 * 1024, "{}", waiting(&connected));
    let asked = get("x", b"z");
    let received = connected
        .endpoint
        .handle_stream(connected.now, other, &mut &asked[..]);
    let Received::Request(id, _) = received else {
        panic!()
    };
    connected
        .endpoint
        .respond(connected.now, id, content(&[0; 900]))
        .unwrap();
    let out = connected.endpoint.stream_output(other);
    assert!(out.ends_with(&[0; 900]));
}

#[test]
fn a_registration_whose_answer_does_not_fit_is_none() {
    let etag: &[(OptionNumber, &[u8])] = &[(OptionNumber::ETAG, &[1; 8])];
    let options = options_of(etag);
    let mut connected = Connected::opened(Config::default(), 32);
    let (id, _) = connected.request(&frame(Method::GET, &[9; 8], OBSERVE, &[]));
    let response = ResponseRef::new(Status::CONTENT, options.as_options(), &[0; 100]);
    connected
        .endpoint
        .respond(connected.now, id, response.with_observe(Some(Topic(7))))
        .unwrap();
    assert_eq!(codes(&connected.written()), ["5.00"]);
    assert_eq!(connected.endpoint.observers(), 0);
    // The same where there is no room.
    let mut connected = Connected::opened(small_queues(5000), 100_000);
    let (fill, _) = connected.request(&get("a", b"f"));
    connected
        .endpoint
        .respond(connected.now, fill, content(&[0; 4900]))
        .unwrap();
    observe(&mut connected, b"o", &[0; 300]);
    assert_eq!(codes(&connected.written()), ["2.05", "5.03"]);
    assert_eq!(connected.endpoint.observers(), 0);
}

#[test]
fn a_notification_that_never_fits_ends_its_observation() {
    let mut connected = Connected::opened(Config::default(), 1152);
    observe(&mut connected, &[9; 8], b"1");
    connected.written();
    connected.give(&csm(32));
    connected.endpoint.changed(Topic(7));
    connected.poll();
    let Some(Event::Refresh { id, .. }) = connected.events.pop() else {
        panic!()
    };
    let options = options_of(&[(OptionNumber::ETAG, &[1; 8])]);
    let response = ResponseRef::new(Status::CONTENT, options.as_options(), &[0; 100]);
    connected
        .endpoint
        .respond(connected.now, id, response.with_observe(Some(Topic(7))))
        .unwrap();
    connected.pass(Duration::from_secs(60));
    assert_eq!(codes(&connected.written()), ["5.00"]);
    assert_eq!(connected.endpoint.observers(), 0);
}

#[test]
fn a_slow_reader_is_waited_for_as_long_as_it_reads() {
    let mut connected = Connected::opened(Config::default(), 10_000_000);
    let (id, _) = connected.request(&get("big", b"a"));
    let put = frame(Method::PUT, b"b", &[], &[0; 5000]);
    connected.give(&put[..100]);
    connected
        .endpoint
        .respond(connected.now, id, content(&[0; 1_000_000]))
        .unwrap();
    while !connected.endpoint.takes_input(connected.id) {
        connected.pass(Duration::from_secs(1));
        read(&mut connected, 2000);
        assert!(connected.events.is_empty(), "{} left", waiting(&connected));
    }
    connected.pass(Duration::from_secs(29));
    assert_eq!(connected.give(&put[100..]).len(), 1);
}

#[test]
fn who_stops_reading_is_given_up() {
    let mut connected = Connected::opened(Config::default(), 10_000_000);
    let (id, _) = connected.request(&get("big", b"a"));
    connected
        .endpoint
        .respond(connected.now, id, content(&[0; 1_000_000]))
        .unwrap();
    read(&mut connected, 10_000);
    connected.pass(Duration::from_secs(119));
    assert!(connected.events.is_empty());
    connected.pass(Duration::from_secs(2));
    assert!(matches!(connected.events[..], [Event::Closing { .. }]));
}

#[test]
fn a_message_that_the_transport_keeps_has_to_grow_as_well() {
    let mut connected = Connected::framed(Config::default(), Framing::WebSocket);
    connected.give(&hex("00e1"));
    connected.events.clear();
    for len in [1000, 2100, 3200] {
        connected.endpoint.message_begun(connected.now, connected.id, len);
        connected.pass(Duration::from_secs(29));
    }
    connected.poll();
    assert!(connected.events.is_empty());
    connected
        .endpoint
        .message_begun(connected.now, connected.id, 3201);
    connected.pass(Duration::from_secs(2));
    connected.poll();
    assert!(matches!(connected.events[..], [Event::Closing { .. }]));
}

#[test]
fn a_connection_in_use_is_not_idle() {
    let mut config = Config::default();
    config.connections.idle_after = Some(Duration::from_secs(60));
    let mut connected = Connected::opened(config, 1152);
    for _ in 0..20 {
        connected.pass(Duration::from_secs(59));
        let (id, _) = connected.request(&get("a", b"a"));
        connected
            .endpoint
            .respond(connected.now, id, content(b"1"))
            .unwrap();
        assert_eq!(codes(&connected.written()), ["2.05"]);
    }
    // A body on its way is use, too.
    let block = BlockOption::new(0, true, 7).unwrap().encode();
    connected.give(&frame(
        Method::PUT,
        b"t",
        &[(OptionNumber::BLOCK1, &block)],
        &[0; 1024],
    ));
    connected.written();
    connected.pass(Duration::from_secs(80));
    assert!(connected.written().is_empty());
    connected.pass(Duration::from_secs(100));
    assert_eq!(codes(&connected.written()), ["7.04"]);
}

#[test]
fn bodies_in_part_go_with_their_connection() {
    let mut connected = Connected::opened(Config::default(), 100_000);
    let block = BlockOption::new(0, true, 7).unwrap().encode();
    let options: &[(OptionNumber, &[u8])] =
        &[(OptionNumber::URI_PATH, b"abc"), (OptionNumber::BLOCK1, &block)];
    let part = frame(Method::PUT, b"t", options, &vec![0; 1 << 20]);
    for port in 2000..2080 {
        let id = connected
            .endpoint
            .connected(connected.now, peer(port), Framing::Tcp)
            .unwrap();
        let _ = connected
            .endpoint
            .handle_stream(connected.now, id, &mut &csm(1152)[..]);
        let _ = connected
            .endpoint
            .handle_stream(connected.now, id, &mut &part[..]);
        connected.endpoint.disconnected(connected.now, id);
    }
    connected.give(&part);
    assert_eq!(codes(&connected.written()), ["2.31"]);
}

#[test]
fn who_need_not_send_a_csm_still_has_to_answer() {
    for policy in [MissingCsm::Tolerate, MissingCsm::WaitFor(Duration::from_secs(2))] {
        let mut config = Config::default();
        config.connections.missing_csm = policy;
        let mut connected = Connected::with(config);
        connected.pass(Duration::from_secs(400));
        assert_eq!(
            codes(&connected.written()),
            ["7.01", "7.02", "7.05"],
            "{policy:?}"
        );
    }
}

#[test]
fn a_release_is_no_csm() {
    let mut connected = Connected::new();
    let mut bytes = hex("00e4");
    bytes.extend(get("a", b"t"));
    assert!(connected.give(&bytes).is_empty());
    assert_eq!(codes(&connected.written()), ["7.01", "7.05"]);
}

/// RFC 8974 §2.2.1: 256 bytes are told.
#[test]
fn a_token_that_is_longer_than_told_ends_the_connection() {
    let mut connected = Connected::opened(Config::default(), 1152);
    assert_eq!(connected.give(&get("a", &[1; 256])).len(), 1);
    assert!(connected.give(&get("a", &[1; 257])).is_empty());
    assert_eq!(codes(&connected.written()), ["7.05"]);
}

#[test]
fn an_observation_of_ours_does_not_hold_a_release() {
    let mut connected = Connected::opened(Config::default(), 1152);
    let options = options_of(&[(OptionNumber::OBSERVE, &[])]);
    let path = connected.path();
    let request = RequestRef::new(Method::GET, options.as_options());
    connected.endpoint.request(connected.now, &path, request).unwrap();
    let token = parse(&connected.written()[0]).token.to_vec();
    connected.give(&frame(
        Status::CONTENT,
        &token,
        &[(OptionNumber::OBSERVE, &[1])],
        b"x",
    ));
    connected.events.clear();
    connected.give(&hex("00e4"));
    let closing = |event: &Event| matches!(event, Event::Closing { .. });
    assert!(connected.events.iter().any(closing));
    let lost = ExchangeError::Disconnected { sent: true };
    let failed = |event: &Event| matches!(event, Event::Failed { error, .. } if *error == lost);
    assert!(connected.events.iter().any(failed));
}

/// RFC 8323 §7.4: there is no Reset that would tell the server later.
#[test]
fn an_observation_is_deregistered_though_it_was_not_answered_yet() {
    let mut connected = Connected::opened(Config::default(), 1152);
    let options = options_of(&[(OptionNumber::OBSERVE, &[])]);
    let path = connected.path();
    let request = RequestRef::new(Method::GET, options.as_options());
    let id = connected.endpoint.request(connected.now, &path, request).unwrap();
    let token = parse(&connected.written()[0]).token.to_vec();
    connected.endpoint.cancel(connected.now, id);
    let written = connected.written();
    assert_eq!(codes(&written), ["0.01"]);
    let cancel = parse(&written[0]);
    assert_eq!((cancel.token, cancel.options.observe()), (&token[..], Some(1)));
}

/// RFC 8323 §5.4.1, RFC 7967: an answer that is not sent ends a request as well.
#[test]
fn custody_does_not_wait_for_an_answer_that_is_not_wanted() {
    let mut connected = Connected::opened(Config::default(), 1152);
    let silent: &[(OptionNumber, &[u8])] = &[(OptionNumber::NO_RESPONSE, &[26])];
    let (id, _) = connected.request(&frame(Method::POST, b"a", silent, b"x"));
    connected.give(&hex("10e220"));
    let response = ResponseRef::new(Status::CHANGED, Options::empty(), b"");
    connected.endpoint.respond(connected.now, id, response).unwrap();
    let written = connected.written();
    assert_eq!(written, [hex("10e320")]);
}

#[test]
fn nothing_follows_the_end_of_a_connection() {
    for end in ["00e5", "0f"] {
        let mut connected = Connected::opened(Config::default(), 1152);
        connected.request(&get("slow", b"a"));
        connected.give(&hex("10e220"));
        connected.give(&hex(end));
        let expected: &[&str] = if end == "0f" { &["7.05"] } else { &[] };
        assert_eq!(codes(&connected.written()), expected);
    }
}

#[test]
fn pings_that_are_given_up_make_room_for_others() {
    let mut connected = Connected::opened(Config::default(), 1152);
    let path = connected.path();
    for _ in 0..100 {
        let ping = connected.endpoint.ping(connected.now, &path).unwrap();
        connected.endpoint.cancel(connected.now, ping);
    }
    // One that is not answered fails, whatever else the peer says.
    let lost = connected.endpoint.ping(connected.now, &path).unwrap();
    connected.written();
    for _ in 0..7 {
        connected.pass(Duration::from_secs(10));
        connected.give(&hex("0000"));
    }
    assert!(matches!(
        connected.events[..],
        [Event::Failed { id, error: ExchangeError::Timeout }] if id == lost
    ));
}

#[test]
fn an_upload_goes_on_in_what_the_peer_takes_now() {
    for szx in [6, 7] {
        let mut connected = Connected::opened(Config::default(), 10_000);
        let path = connected.path();
        let request = RequestRef::new(Method::PUT, Options::empty()).with_payload(&[0; 50_000]);
        connected.endpoint.request(connected.now, &path, request).unwrap();
        let first = connected.written();
        assert_eq!(parse(&first[0]).payload.len(), 9216);
        let token = parse(&first[0]).token.to_vec();
        connected.give(&csm(1152));
        let block = BlockOption::new(0, true, szx).unwrap().encode();
        connected.give(&frame(
            Status::CONTINUE,
            &token,
            &[(OptionNumber::BLOCK1, &block)],
            &[],
        ));
        let next = connected.written();
        let block = parse(&next[0]).options.block1().unwrap().unwrap();
        assert_eq!((block.offset(), parse(&next[0]).payload.len()), (9216, 1024));
    }
}

/// The longest blocks that are taken, from the first to the last.
#[test]
fn an_upload_goes_in_few_long_blocks() {
    let mut connected = Connected::opened(Config::default(), 1_049_088);
    let path = connected.path();
    let body = vec![0; 4 << 20];
    let request = RequestRef::new(Method::PUT, Options::empty()).with_payload(&body);
    connected.endpoint.request(connected.now, &path, request).unwrap();
    let mut lengths = Vec::new();
    while let [part] = &connected.written()[..] {
        let message = parse(part);
        lengths.push(message.payload.len());
        let block = message.options.block1().unwrap().unwrap();
        let status = if block.more() {
            Status::CONTINUE
        } else {
            Status::CHANGED
        };
        let options: &[(OptionNumber, &[u8])] = &[(OptionNumber::BLOCK1, &block.encode())];
        connected.give(&frame(status, message.token, options, &[]));
    }
    assert_eq!(lengths, [512 << 10; 8]);
}

#[test]
fn what_cannot_be_sent_is_refused_at_once() {
    let mut connected = Connected::opened(Config::default(), 100);
    let path = connected.path();
    // In blocks of 16 bytes there are 16 MiB at most.
    let long = vec![0; 40 << 20];
    let request = RequestRef::new(Method::PUT, Options::empty()).with_payload(&long);
    let refused = connected.endpoint.request(connected.now, &path, request);
    assert_eq!(refused, Err(RequestError::TooLong));
    let options = options_of(&[(OptionNumber::URI_PATH, &[b'a'; 200])]);
    let request = RequestRef::new(Method::GET, options.as_options());
    let refused = connected.endpoint.request(connected.now, &path, request);
    assert_eq!(refused, Err(RequestError::TooLong));
}

#[test]
fn an_abort_fits_into_what_the_peer_takes() {
    let mut connected = Connected::opened(Config::default(), 32);
    connected.give(&hex("0f"));
    assert_eq!(connected.written(), [hex("00e5")]);
}

/// The host at the other end is not known to be where its address says, for datagrams.
#[test]
fn an_answer_on_a_connection_proves_no_address_of_datagrams() {
    let mut connected = Connected::opened(Config::default(), 1152);
    let path = connected.path();
    let request = RequestRef::new(Method::GET, Options::empty());
    connected.endpoint.request(connected.now, &path, request).unwrap();
    let token = parse(&connected.written()[0]).token.to_vec();
    connected.give(&frame(Status::CONTENT, &token, &[], b"x"));
    assert_eq!(connected.endpoint.stats().proofs, 0);
}

/// One side of a connection through pipes that hold a bounded number of bytes.
struct Side {
    endpoint: Endpoint,
    id: ConnectionId,
    inbox: Vec<u8>,
    answered: usize,
}

impl Side {
    fn new(seed: u8, now: Instant) -> Side {
        let mut endpoint = Endpoint::new(Config::default(), [seed; 32]);
        let id = endpoint.connected(now, peer(seed.into()), Framing::Tcp).unwrap();
        Side {
            endpoint,
            id,
            inbox: Vec::new(),
            answered: 0,
        }
    }

    fn write(&mut self, now: Instant, pipe: &mut Vec<u8>) {
        while self.endpoint.poll_stream().is_some() {}
        let output = self.endpoint.stream_output(self.id);
        let len = output.len().min(256 * 1024 - pipe.len());
        pipe.extend_from_slice(&output[..len]);
        self.endpoint.stream_written(now, self.id, len);
    }

    /// Takes in what may be taken in, and echoes requests.
    fn read(&mut self, now: Instant, pipe: &mut Vec<u8>) {
        if self.endpoint.takes_input(self.id) {
            self.inbox.append(pipe);
        }
        while self.endpoint.takes_input(self.id) {
            let mut rest = &self.inbox[..];
            let received = self.endpoint.handle_stream(now, self.id, &mut rest);
            let used = self.inbox.len() - rest.len();
            if let Received::Request(id, request) = received {
                let payload = request.payload.to_vec();
                self.endpoint.respond(now, id, content(&payload)).unwrap();
            }
            self.inbox.drain(..used);
            if used == 0 {
                return;
            }
        }
    }
}

/// Each side waits for the other to read only as long as it has answers to read itself.
#[test]
fn long_requests_do_not_keep_their_answers_from_being_read() {
    let now = Instant::from_micros(5_000_000);
    let (mut client, mut server) = (Side::new(1, now), Side::new(2, now));
    let (mut there, mut back) = (Vec::new(), Vec::new());
    let body = vec![0; 200_000];
    for _ in 0..2000 {
        client.write(now, &mut there);
        server.write(now, &mut back);
        server.read(now, &mut there);
        client.read(now, &mut back);
        while let Some(event) = client.endpoint.poll_event() {
            match event {
                Event::Opened { connection } => {
                    let path = client.endpoint.connection_path(connection).unwrap();
                    for _ in 0..20 {
                        let request = RequestRef::new(Method::POST, Options::empty()).with_payload(&body);
                        client.endpoint.request(now, &path, request).unwrap();
                    }
                }
                Event::Response { .. } => client.answered += 1,
                _ => {}
            }
        }
    }
    assert_eq!(client.answered, 20);
}
