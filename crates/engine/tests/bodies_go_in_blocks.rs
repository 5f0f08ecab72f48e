//! Block-wise transfer (RFC 7959) beyond the figures: between two endpoints on bad networks, and by hand where it goes
//! wrong.
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
use std::sync::Arc;
use std::time::Duration;

use common::{Subject, block, closed_network, datagram, options_of};
use coracle_engine::{
    Body, BodyPolicy, Config, DropReason, Endpoint, Event, ExchangeError, Instant, Path, Received,
    RequestRef, ResponseRef, SharedBody, Topic, Window,
};
use coracle_sim::{Input, Link, Network};
use coracle_wire::{Message, MessageType, Method, OptionNumber, Options, OptionsBuf, Status};

fn body(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at * 7 % 253).unwrap()).collect()
}

fn bad() -> Link {
    Link::perfect()
        .with_loss(0.2)
        .with_duplication(0.2)
        .with_latency(Duration::from_millis(20))
        .with_jitter(Duration::from_millis(2500))
}

fn szx(szx: u8) -> Config {
    let mut config = Config::default();
    config.block_szx = szx;
    config
}

/// Both bodies go both ways, whatever block sizes the two prefer, with and without loss; nothing remains.
#[test]
fn bodies_arrive_whole_both_ways() {
    let mut answered = 0;
    for seed in 0..60_u64 {
        let mut network = Network::new(seed);
        if seed % 3 > 0 {
            network.set_link(bad());
        }
        let method = [Method::GET, Method::PUT, Method::POST, Method::FETCH][seed as usize % 4];
        let up = if method == Method::GET {
            0
        } else {
            [0, 16, 1025, 5000][seed as usize / 4 % 4]
        };
        let down = [3000, 64, 0, 1024][seed as usize / 7 % 4];
        let runs = Rc::new(RefCell::new(0));
        let count = Rc::clone(&runs);
        let server = network.add_node(
            szx(6 - (seed % 5) as u8),
            Some(Box::new(move |io, input| {
                if let Input::Request { id, payload, .. } = input {
                    *count.borrow_mut() += 1;
                    assert_eq!(payload, body(up));
                    io.respond(
                        id,
                        ResponseRef::new(Status::CONTENT, Options::empty(), &body(down)),
                    )
                    .unwrap();
                }
            })),
        );
        let client = network.add_node(szx(2 + (seed % 4) as u8), None);
        let options = options_of(&[
            (OptionNumber::URI_PATH, b"a"),
            (OptionNumber::CONTENT_FORMAT, &[50]),
        ]);
        let payload = body(up);
        let request = RequestRef::new(method, options.as_options()).with_payload(&payload);
        network.request(client, server, request).unwrap();
        assert!(network.run_to_silence(Duration::from_secs(20_000)));
        for event in network.take_events(client) {
            match event {
                Event::Response { response, .. } => {
                    assert_eq!(response.payload, body(down));
                    answered += 1;
                }
                Event::Failed { error, .. } => assert!(seed % 3 > 0, "{error}"),
                _ => {}
            }
        }
        // What is safe is read again in larger blocks when the client has proved its address.
        let most = if method.is_safe() { 2 } else { 1 };
        assert!(*runs.borrow() <= most, "seed {seed}: run {} times", runs.borrow());
        assert!(network.endpoint(client).is_pristine() && network.endpoint(server).is_pristine());
    }
    assert!(answered > 40, "{answered} of 60");
}

/// More blocks than a peer may be sent messages within EXCHANGE_LIFETIME (RFC 7252 §4.4), so fast that the rest has to
/// wait for nearly all of it: the server, which keeps what it has for a shorter time (RFC 7959 §2.5), hears from the
/// client all the while, and the application is told what it waits for.
#[test]
fn a_body_that_needs_more_message_ids_than_there_are_arrives() {
    let mut network = Network::new(1);
    network.set_link(Link::perfect().with_latency(Duration::from_micros(20)));
    let whole = body(66_000 * 16);
    let expected = whole.len();
    let mut config = closed_network();
    config.max_body = expected;
    let server = network.add_node(
        config,
        Some(Box::new(move |io, input| {
            if let Input::Request { id, payload, .. } = input {
                assert!(payload == body(expected));
                io.respond(id, ResponseRef::new(Status::CHANGED, Options::empty(), b""))
                    .unwrap();
            }
        })),
    );
    let client = network.add_node(szx(0), None);
    let request = RequestRef::new(Method::PUT, Options::empty()).with_payload(&whole);
    network.request(client, server, request).unwrap();
    assert!(network.run_to_silence(Duration::from_secs(20_000)));
    let (mut told, mut answered) = (Vec::new(), false);
    for event in network.take_events(client) {
        match event {
            Event::Response { response, .. } => answered = response.status == Status::CHANGED,
            Event::HeldBack { until, .. } => told.push(until),
            Event::Failed { error, .. } => panic!("{error}"),
            _ => {}
        }
    }
    assert!(answered);
    // The same time each time: when it goes on.
    assert!((1..=20).contains(&told.len()), "{told:?}");
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:?}");
}

fn put(id: u16, num: u32, more: u8, payload: &[u8]) -> Vec<u8> {
    let block = block(num, more, 16);
    let options = [
        (OptionNumber::URI_PATH, &b"a"[..]),
        (OptionNumber::BLOCK1, &block),
    ];
    datagram(
        MessageType::Confirmable,
        Method::PUT,
        id,
        &id.to_be_bytes(),
        &options,
        payload,
    )
}

/// RFC 7959 §2.9.2.
#[test]
fn a_missing_block_is_told_and_a_block_that_comes_twice_is_taken_once() {
    let mut subject = Subject::new();
    assert_eq!(subject.serve(&put(1, 0, 1, &[b'a'; 16]), b"")[0].code(), "2.31");
    assert_eq!(subject.serve(&put(2, 2, 1, &[b'c'; 16]), b"")[0].code(), "4.08");
    assert_eq!(subject.serve(&put(3, 1, 1, &[b'b'; 16]), b"")[0].code(), "2.31");
    assert_eq!(subject.serve(&put(4, 1, 1, &[b'b'; 16]), b"")[0].code(), "2.31");
    let (id, whole) = subject.receive(&put(5, 2, 0, b"c")).unwrap();
    assert_eq!(whole, [&[b'a'; 16][..], &[b'b'; 16], b"c"].concat());
    assert_eq!(subject.respond(id, b"")[0].block1().as_deref(), Some("2/0/16"));
    assert_eq!(subject.serve(&put(6, 2, 0, b"c"), b"")[0].code(), "4.08");
}

#[test]
fn a_body_that_begins_anew_forgets_the_one_before() {
    let mut subject = Subject::new();
    subject.serve(&put(1, 0, 1, &[b'a'; 16]), b"");
    subject.serve(&put(2, 0, 1, &[b'b'; 16]), b"");
    assert_eq!(
        subject.receive(&put(3, 1, 0, b"c")).unwrap().1,
        [&[b'b'; 16][..], b"c"].concat()
    );
}

#[test]
fn a_body_in_part_is_forgotten_after_its_lifetime() {
    let mut subject = Subject::new();
    subject.serve(&put(1, 0, 1, &[b'a'; 16]), b"");
    subject.pass(Duration::from_secs(93));
    assert_eq!(subject.serve(&put(2, 1, 0, b"c"), b"")[0].code(), "4.08");
}

/// RFC 7959 §2.9.3: too large tells how large it may be, by what is announced and by what has come.
#[test]
fn a_body_that_is_too_large_is_refused_with_the_limit() {
    let mut config = Config::default();
    config.max_body = 20;
    let mut subject = Subject::with(config);
    assert_eq!(subject.serve(&put(1, 0, 1, &[b'a'; 16]), b"")[0].code(), "2.31");
    let refused = subject.serve(&put(2, 1, 0, &[b'b'; 5]), b"").remove(0);
    assert_eq!(refused.code(), "4.13");
    assert_eq!(refused.message().options.get_uint(OptionNumber::SIZE1), Some(20));
    let block = block(0, 1, 16);
    let options = [(OptionNumber::BLOCK1, &block[..]), (OptionNumber::SIZE1, &[21])];
    let announced = datagram(
        MessageType::Confirmable,
        Method::PUT,
        3,
        b"",
        &options,
        &[b'a'; 16],
    );
    assert_eq!(subject.serve(&announced, b"")[0].code(), "4.13");
    assert_eq!(subject.endpoint.stats().dropped(DropReason::BodySize), 2);
}

#[test]
fn bodies_in_part_keep_to_their_quotas() {
    let mut config = closed_network();
    config.assembly_bytes_per_peer = 1000;
    config.assembly_bytes = 2500;
    let mut subject = Subject::with(config);
    let mut codes = Vec::new();
    for port in 1..=4 {
        for path in [b"a", b"b", b"c"] {
            let block = block(0, 1, 16);
            let options = [
                (OptionNumber::URI_PATH, &path[..]),
                (OptionNumber::BLOCK1, &block),
            ];
            let id = u16::from(path[0]);
            let message = datagram(MessageType::Confirmable, Method::PUT, id, b"", &options, &[0; 16]);
            assert!(subject.receive_from(common::peer(port), &message).is_none());
            codes.push(subject.sent_one().code());
        }
    }
    let told = |code: &str| codes.iter().filter(|other| *other == code).count();
    assert_eq!(codes[..3], ["2.31", "2.31", "2.31"]);
    assert!(
        (7..=9).contains(&told("2.31")) && told("2.31") + told("5.03") == 12,
        "{codes:?}"
    );
    subject.pass(Duration::from_secs(400));
    assert!(subject.endpoint.is_pristine());
}

const SERVER: &str = "198.51.100.7:5683";

/// Asks for a body in blocks and answers each request with what `answer` gives for its Block2 number.
fn download(mut answer: impl FnMut(u32) -> Vec<(OptionNumber, Vec<u8>)>) -> Event {
    let mut subject = Subject::new();
    let path = Path::to(SERVER.parse().unwrap());
    let ask = RequestRef::new(Method::GET, Options::empty());
    subject.endpoint.request(subject.now, &path, ask).unwrap();
    for _ in 0..100 {
        let Some(heard) = subject.sent().pop() else { break };
        let asked = heard.message();
        let num = asked.options.block2().map_or(0, |block| block.unwrap().num());
        let options = answer(num);
        let options: Vec<_> = options
            .iter()
            .map(|(number, value)| (*number, &value[..]))
            .collect();
        let whole = !options.iter().any(|(number, _)| *number == OptionNumber::BLOCK2);
        let payload = if whole { &b"whole"[..] } else { &[b'x'; 16] };
        let bytes = datagram(
            MessageType::Acknowledgement,
            Status::CONTENT,
            heard.id(),
            asked.token,
            &options,
            payload,
        );
        subject.receive_from(path, &bytes);
    }
    subject
        .events()
        .into_iter()
        .rfind(|event| !matches!(event, Event::Progress { .. }))
        .expect("the exchange ends")
}

/// RFC 7959 §2.4.
#[test]
fn a_representation_that_changes_under_way_is_fetched_anew() {
    let mut requests = 0;
    let event = download(|num| {
        requests += 1;
        let version = if requests < 3 {
            b"1".to_vec()
        } else {
            b"2".to_vec()
        };
        vec![
            (OptionNumber::ETAG, version),
            (OptionNumber::BLOCK2, block(num, u8::from(num < 3), 16)),
        ]
    });
    let Event::Response { response, .. } = event else {
        panic!("{event:?}")
    };
    assert_eq!(response.payload, [b'x'; 64]);
    assert_eq!(response.options.get(OptionNumber::ETAG), Some(&b"2"[..]));
}

#[test]
fn a_representation_that_keeps_changing_is_given_up() {
    let mut requests = 0_u8;
    let event = download(|num| {
        requests += 1;
        vec![
            (OptionNumber::ETAG, vec![requests]),
            (OptionNumber::BLOCK2, block(num, 1, 16)),
        ]
    });
    assert!(
        matches!(
            event,
            Event::Failed {
                error: ExchangeError::BodyChanged,
                ..
            }
        ),
        "{event:?}"
    );
}

/// The requests of a client whose answers change under the transfer: method, blocks, and the length of each payload.
fn asked_again(method: Method, payload: &[u8]) -> (Vec<String>, Subject) {
    let mut subject = Subject::with(szx(2));
    let request = RequestRef::new(method, Options::empty()).with_payload(payload);
    let path = Path::to(SERVER.parse().unwrap());
    subject.endpoint.request(subject.now, &path, request).unwrap();
    let (mut asked, mut answers) = (Vec::new(), 0_u8);
    while let Some(heard) = subject.sent().pop() {
        let message = heard.message();
        let (block1, block2) = (heard.block1(), heard.block2());
        asked.push(format!("{block1:?} {block2:?} {}", message.payload.len()));
        let goes_on = block1.as_deref().is_some_and(|block| block.contains("/1/"));
        let num = block2.map_or(0, |block| block.as_bytes()[0] - b'0');
        let (status, options) = if goes_on {
            let block1 = message.options.get(OptionNumber::BLOCK1).unwrap().to_vec();
            (Status::CONTINUE, vec![(OptionNumber::BLOCK1, block1)])
        } else {
            answers += 1;
            let etag = (OptionNumber::ETAG, vec![answers.min(2)]);
            let more = u8::from(answers < 4);
            (
                Status::CONTENT,
                vec![etag, (OptionNumber::BLOCK2, block(num.into(), more, 64))],
            )
        };
        let options: Vec<_> = options
            .iter()
            .map(|(number, value)| (*number, &value[..]))
            .collect();
        let answer = datagram(
            MessageType::Acknowledgement,
            status,
            heard.id(),
            message.token,
            &options,
            if goes_on { b"" } else { &[b'x'; 64] },
        );
        subject.receive_from(path, &answer);
    }
    (asked, subject)
}

/// What is not safe is not run again, least of all without its body, because its answer changed under the transfer.
#[test]
fn an_answer_to_a_post_that_changes_under_way_is_given_up() {
    let (asked, mut subject) = asked_again(Method::POST, b"run");
    assert_eq!(asked, ["None None 3", "None Some(\"1/0/64\") 0"]);
    let last = subject.events().pop();
    assert!(
        matches!(
            last,
            Some(Event::Failed {
                error: ExchangeError::BodyChanged,
                ..
            })
        ),
        "{last:?}"
    );
}

/// A FETCH whose body went in blocks goes with all of it once more: a further block is asked for without it.
#[test]
fn a_fetch_in_blocks_whose_answer_changes_under_way_begins_again_with_its_body() {
    let (asked, mut subject) = asked_again(Method::FETCH, &[b'q'; 100]);
    let body = ["Some(\"0/1/64\") None 64", "Some(\"1/0/64\") Some(\"0/0/64\") 36"];
    let next = "None Some(\"1/0/64\") 0";
    assert_eq!(asked, [&body[..], &[next], &body[..], &[next]].concat());
    let last = subject.events().pop();
    let Some(Event::Response { response, .. }) = last else {
        panic!("{last:?}")
    };
    assert_eq!(response.payload, [b'x'; 128]);
}

#[test]
fn a_representation_that_becomes_short_under_way_is_the_answer() {
    let event = download(|num| match num {
        0 => vec![(OptionNumber::BLOCK2, block(0, 1, 16))],
        _ => vec![],
    });
    let Event::Response { response, .. } = event else {
        panic!("{event:?}")
    };
    assert_eq!(response.payload, b"whole");
}

#[test]
fn another_block_than_was_asked_for_ends_the_transfer() {
    let event = download(|num| vec![(OptionNumber::BLOCK2, block(num * 2, 1, 16))]);
    assert!(
        matches!(
            event,
            Event::Failed {
                error: ExchangeError::BlockOption,
                ..
            }
        ),
        "{event:?}"
    );
}

#[test]
fn an_endless_body_is_given_up_at_the_limit() {
    let mut subject = Subject::new();
    let path = Path::to(SERVER.parse().unwrap());
    let ask = RequestRef::new(Method::GET, Options::empty()).with_max_body(Some(40));
    subject.endpoint.request(subject.now, &path, ask).unwrap();
    for num in 0..3 {
        let heard = subject.sent_one();
        let block = block(num, 1, 16);
        let option = [(OptionNumber::BLOCK2, &block[..])];
        let token = heard.message().token;
        subject.receive_from(
            path,
            &datagram(
                MessageType::Acknowledgement,
                Status::CONTENT,
                heard.id(),
                token,
                &option,
                &[0; 16],
            ),
        );
    }
    let events = subject.events();
    assert!(
        matches!(
            events.last(),
            Some(Event::Failed {
                error: ExchangeError::BodyTooLong { limit: 40 },
                ..
            })
        ),
        "{events:?}"
    );
}

fn get_block(method: Method, id: u16, num: u32, payload: &[u8]) -> Vec<u8> {
    let block = block(num, 0, 16);
    let options = [
        (OptionNumber::URI_PATH, &b"a"[..]),
        (OptionNumber::BLOCK2, &block),
    ];
    datagram(MessageType::Confirmable, method, id, b"t", &options, payload)
}

/// RFC 7959 §4: with the first block it is told anyway.
#[test]
fn the_length_of_a_body_is_told_with_any_block_that_asks_for_it() {
    let mut subject = Subject::with(closed_network());
    let mut size2 = |id, num: u32, asks: bool| {
        let block = block(num, 0, 16);
        let mut options = vec![
            (OptionNumber::URI_PATH, &b"a"[..]),
            (OptionNumber::BLOCK2, &block),
        ];
        options.extend(asks.then_some((OptionNumber::SIZE2, &b""[..])));
        let asked = datagram(MessageType::Confirmable, Method::GET, id, b"t", &options, b"");
        let sent = subject.serve(&asked, &body(40)).remove(0);
        assert_eq!(sent.message().payload[0], body(40)[num as usize * 16]);
        sent.message().options.get_uint(OptionNumber::SIZE2)
    };
    assert_eq!(size2(1, 1, false), None);
    // The body is kept by now, for the peer's next block.
    assert_eq!(size2(2, 1, true), Some(40));
    assert_eq!(size2(3, 2, true), Some(40));
    assert_eq!(size2(4, 2, false), None);
    assert_eq!(size2(5, 0, false), Some(40));
}

#[test]
fn what_is_kept_of_a_post_serves_its_further_blocks_and_then_it_is_not_run_again() {
    let mut subject = Subject::with(closed_network());
    let first = subject.serve(&get_block(Method::POST, 1, 0, b"run"), &body(40));
    assert_eq!(first[0].block2().as_deref(), Some("0/1/16"));
    assert_eq!(first[0].message().options.get_uint(OptionNumber::SIZE2), Some(40));
    assert!(subject.receive(&get_block(Method::POST, 2, 1, b"")).is_none());
    assert_eq!(subject.sent_one().message().payload, &body(40)[16..32]);
    subject.pass(Duration::from_secs(94));
    assert!(
        subject.receive(&get_block(Method::POST, 3, 2, b"")).is_none(),
        "it was run again"
    );
    assert_eq!(subject.sent_one().code(), "4.08");
    // A GET is simply run again.
    assert!(subject.receive(&get_block(Method::GET, 4, 2, b"")).is_some());
}

/// A further block of the answer to a FETCH is asked for without the body that came in blocks (RFC 7959 §2.7): such a
/// request is not run as if it had none. One that comes with its body is.
#[test]
fn a_fetch_is_not_run_again_without_its_body() {
    let mut subject = Subject::new();
    assert!(subject.receive(&get_block(Method::FETCH, 1, 2, b"")).is_none());
    assert_eq!(subject.sent_one().code(), "4.08");
    assert!(subject.receive(&get_block(Method::FETCH, 2, 2, b"q")).is_some());
}

/// RFC 8132 §2.3.2: the payload of a FETCH is part of its cache key.
#[test]
fn two_fetches_with_other_payloads_do_not_share_a_body() {
    let mut subject = Subject::new();
    subject.serve(&get_block(Method::FETCH, 1, 0, b"one"), &body(40));
    assert!(subject.receive(&get_block(Method::FETCH, 2, 1, b"one")).is_none());
    assert_eq!(subject.sent_one().message().payload, &body(40)[16..32]);
    assert!(
        subject.receive(&get_block(Method::FETCH, 3, 1, b"two")).is_some(),
        "served from the other's body"
    );
    // Who does not repeat the payload gets what was kept.
    assert!(subject.receive(&get_block(Method::FETCH, 4, 2, b"")).is_none());
    assert_eq!(subject.sent_one().message().payload, &body(40)[32..]);
}

#[test]
fn a_new_and_shorter_answer_takes_the_place_of_the_kept_one() {
    let mut subject = Subject::new();
    subject.serve(&get_block(Method::GET, 1, 0, b""), &body(40));
    let short = subject.serve(&get_block(Method::GET, 2, 0, b""), &body(5));
    assert_eq!(short[0].block2().as_deref(), Some("0/0/16"));
    assert!(
        subject.receive(&get_block(Method::GET, 3, 1, b"")).is_some(),
        "a block of the old answer"
    );
}

#[test]
fn kept_answers_keep_to_their_budget_the_oldest_goes_first() {
    let mut config = closed_network();
    config.response_body_bytes = 2000;
    let mut subject = Subject::with(config);
    for port in 1..=5 {
        let path = common::peer(port);
        let (id, _) = subject
            .receive_from(path, &get_block(Method::POST, 1, 0, b""))
            .unwrap();
        subject.respond(id, &body(400));
    }
    let codes: Vec<_> = (1..=5)
        .map(|port| {
            assert!(
                subject
                    .receive_from(common::peer(port), &get_block(Method::POST, 2, 1, b""))
                    .is_none()
            );
            subject.sent_one().code()
        })
        .collect();
    assert_eq!(codes, ["4.08", "4.08", "2.05", "2.05", "2.05"]);
}

#[test]
fn a_windowed_answer_is_asked_for_block_by_block() {
    let mut subject = Subject::with(closed_network());
    let whole = body(100);
    let mut collected = Vec::new();
    for num in 0..7_u16 {
        let (id, _) = subject
            .receive(&get_block(Method::GET, num + 1, u32::from(num), b""))
            .unwrap();
        let offset = usize::from(num) * 16;
        let part = &whole[offset..whole.len().min(offset + 20)];
        let window = Window {
            offset: offset as u64,
            total: 100,
        };
        let response = ResponseRef::new(Status::CONTENT, Options::empty(), part).with_window(Some(window));
        subject.endpoint.respond(subject.now, id, response).unwrap();
        let heard = subject.sent_one();
        let more = u8::from(num < 6);
        assert_eq!(heard.block2(), Some(format!("{num}/{more}/16")));
        collected.extend_from_slice(heard.message().payload);
    }
    assert_eq!(collected, whole);
    // What was not given is a fault of the application, past the end one of the client.
    let (id, _) = subject.receive(&get_block(Method::GET, 9, 2, b"")).unwrap();
    let response =
        ResponseRef::new(Status::CONTENT, Options::empty(), &whole[..20]).with_window(Some(Window {
            offset: 0,
            total: 100,
        }));
    subject.endpoint.respond(subject.now, id, response).unwrap();
    assert_eq!(subject.sent_one().code(), "5.00");
    let (id, _) = subject.receive(&get_block(Method::GET, 10, 9, b"")).unwrap();
    subject.endpoint.respond(subject.now, id, response).unwrap();
    assert_eq!(subject.sent_one().code(), "4.00");
}

struct Streams;

impl BodyPolicy for Streams {
    fn body(&self, _method: Method, _options: Options<'_>) -> Body {
        Body::Stream
    }
}

fn streaming() -> Config {
    let mut config = Config::default();
    config.body_policy = Some(Arc::new(Streams));
    config
}

/// What has come is answered when it is the peer's turn to send the next block, though the body is not whole.
#[test]
fn a_streamed_body_is_answered_as_far_as_it_has_come() {
    let mut subject = Subject::with(streaming());
    let (id, _) = subject.receive(&put(1, 0, 1, &[b'a'; 16])).unwrap();
    let state = |subject: &Subject| (subject.endpoint.is_answered(), subject.endpoint.is_idle());
    assert_eq!(state(&subject), (false, false));
    subject.endpoint.continue_body(subject.now, id);
    assert_eq!(subject.sent_one().code(), "2.31");
    assert_eq!(state(&subject), (true, false));
    subject.receive(&put(2, 1, 0, b"b")).unwrap();
    assert_eq!(state(&subject), (false, false));
    subject.respond(id, b"done");
    assert_eq!(state(&subject), (true, true));
}

#[test]
fn a_streamed_body_is_asked_for_part_by_part() {
    let mut subject = Subject::with(streaming());
    let first = put(1, 0, 1, &[b'a'; 16]);
    let received = subject
        .endpoint
        .handle_datagram(subject.now, subject.path, &first);
    let Received::Request(id, request) = received else {
        panic!("{received:?}")
    };
    assert!(request.more);
    // The consumer takes its time: the peer is acknowledged, and may not send more before it is asked.
    assert_eq!(subject.pass(Duration::from_secs(2)).len(), 1);
    assert!(subject.receive(&put(2, 1, 1, &[b'b'; 16])).is_none());
    assert_eq!(subject.sent_one().code(), "5.03");
    subject.endpoint.continue_body(subject.now, id);
    assert_eq!(
        (subject.sent_one().code(), subject.endpoint.is_idle()),
        ("2.31".to_owned(), false)
    );
    assert_eq!(
        subject.receive(&put(3, 1, 1, &[b'b'; 16])),
        Some((id, vec![b'b'; 16]))
    );
    // The same part under another message ID: one answer serves both.
    assert!(subject.receive(&put(4, 1, 1, &[b'b'; 16])).is_none());
    assert_eq!(subject.sent_one().code(), "0.00");
    subject.endpoint.continue_body(subject.now, id);
    let continued = subject.sent_one();
    assert_eq!((continued.code(), continued.id()), ("2.31".to_owned(), 4));
    assert_eq!(subject.receive(&put(5, 2, 0, b"c")), Some((id, b"c".to_vec())));
    let sent = subject.respond(id, b"done");
    assert_eq!(
        (sent[0].code(), sent[0].block1().as_deref()),
        ("2.05".to_owned(), Some("2/0/16"))
    );
    subject.pass(Duration::from_secs(400));
    assert!(subject.endpoint.is_pristine());
}

#[test]
fn a_streamed_body_that_stops_is_ended_but_a_slow_consumer_is_waited_for() {
    let mut subject = Subject::with(streaming());
    let (id, _) = subject.receive(&put(1, 0, 1, &[b'a'; 16])).unwrap();
    subject.pass(Duration::from_secs(500));
    assert!(subject.events().is_empty(), "the consumer still works");
    subject.endpoint.continue_body(subject.now, id);
    subject.pass(Duration::from_secs(500));
    assert!(matches!(subject.events()[..], [Event::Ended { id: of }] if of == id));
    subject.pass(Duration::from_secs(500));
    assert!(subject.endpoint.is_pristine());
}

#[test]
fn an_answer_before_the_end_of_a_streamed_body_ends_it() {
    let mut subject = Subject::with(streaming());
    let (id, _) = subject.receive(&put(1, 0, 1, &[b'a'; 16])).unwrap();
    subject
        .endpoint
        .respond(
            subject.now,
            id,
            ResponseRef::new(Status::FORBIDDEN, Options::empty(), b""),
        )
        .unwrap();
    assert_eq!(subject.sent_one().code(), "4.03");
    assert_eq!(subject.serve(&put(2, 1, 0, b"c"), b"")[0].code(), "4.08");
    subject.pass(Duration::from_secs(400));
    assert!(subject.endpoint.is_pristine());
}

/// RFC 7959 §2.6, figures 12 and 13: the notification carries the first block, and the rest is fetched without Observe.
#[test]
fn an_observed_body_in_blocks_is_whole_in_each_notification() {
    for (seed, link) in [
        (1, Link::perfect()),
        (2, bad()),
        (3, bad()),
        (4, bad()),
        (5, bad()),
        (6, bad()),
    ] {
        let mut network = Network::new(seed);
        network.set_link(link);
        let state = Rc::new(RefCell::new(0_u8));
        let current = Rc::clone(&state);
        let server = network.add_server(move |io, input| {
            let (Input::Request { id, .. } | Input::Event(Event::Refresh { id, .. })) = input else {
                return;
            };
            let body = vec![*current.borrow(); 2500];
            let max_age = options_of(&[(OptionNumber::MAX_AGE, &[20])]);
            let response = ResponseRef::new(Status::CONTENT, max_age.as_options(), &body);
            let _ = io.respond(id, response.with_observe(Some(Topic(1))));
        });
        let client = network.add_client();
        let mut options = OptionsBuf::new();
        options.set_uint(OptionNumber::OBSERVE, 0);
        let ask = RequestRef::new(Method::GET, options.as_options());
        let id = network.request(client, server, ask).unwrap();
        let mut last = None;
        let mut failed = false;
        for version in 1..=10 {
            network.run_for(Duration::from_secs(7));
            *state.borrow_mut() = version;
            network.endpoint(server).changed(Topic(1));
        }
        network.run_for(Duration::from_secs(400));
        for event in network.take_events(client) {
            match event {
                Event::Response { response, .. } => {
                    assert_eq!(response.payload.len(), 2500);
                    let first = response.payload[0];
                    assert!(
                        response.payload.iter().all(|byte| *byte == first),
                        "two states in one body"
                    );
                    last = Some(first);
                }
                Event::Failed { .. } => failed = true,
                _ => {}
            }
        }
        assert!(
            failed || last == Some(10),
            "seed {seed}: the last state is {last:?}"
        );
        let now = network.now();
        network.endpoint(client).cancel(now, id);
        let further = |record: &&coracle_sim::Record| {
            let message = coracle_wire::Message::parse(&record.datagram).unwrap();
            let block2 = message.options.block2().and_then(Result::ok);
            block2.is_some_and(|block| block.num() > 0) && message.options.contains(OptionNumber::OBSERVE)
        };
        assert_eq!(network.log().find(further).map(coracle_sim::Record::line), None);
    }
}

/// One block that was answered separately leaves no time behind that would cut the rest off.
#[test]
fn a_transfer_may_take_longer_than_one_exchange() {
    let mut subject = Subject::with(szx(0));
    subject.path = Path::to(SERVER.parse().unwrap());
    let payload = body(16 * 12);
    let ask = RequestRef::new(Method::PUT, Options::empty()).with_payload(&payload);
    subject.endpoint.request(subject.now, &subject.path, ask).unwrap();
    for num in 0..12_u32 {
        let heard = subject.sent_one();
        assert_eq!(heard.block1(), Some(format!("{num}/{}/16", u8::from(num < 11))));
        subject.pass(Duration::from_secs(40));
        let block = block(num, u8::from(num < 11), 16);
        let option = [(OptionNumber::BLOCK1, &block[..])];
        let status = if num < 11 {
            Status::CONTINUE
        } else {
            Status::CHANGED
        };
        let token = heard.message().token;
        if num == 0 {
            let empty = coracle_wire::Code::EMPTY;
            subject.receive(&datagram(
                MessageType::Acknowledgement,
                empty,
                heard.id(),
                b"",
                &[],
                b"",
            ));
            subject.receive(&datagram(
                MessageType::NonConfirmable,
                status,
                1,
                token,
                &option,
                b"",
            ));
        } else {
            subject.receive(&datagram(
                MessageType::Acknowledgement,
                status,
                heard.id(),
                token,
                &option,
                b"",
            ));
        }
    }
    let events = subject.events();
    assert!(
        matches!(events.last(), Some(Event::Response { .. })),
        "{events:?}"
    );
}

/// RFC 8132 §2.4: an observed FETCH whose body goes in blocks is renewed with its whole body.
#[test]
fn an_observed_fetch_with_a_long_body_is_renewed() {
    for seed in 0..10 {
        let mut network = Network::new(seed);
        if seed > 0 {
            network.set_link(Link::perfect().with_loss(0.1).with_jitter(Duration::from_secs(1)));
        }
        let runs = Rc::new(RefCell::new(0));
        let count = Rc::clone(&runs);
        let server = network.add_server(move |io, input| {
            if let Input::Request { id, payload, .. } = input {
                assert_eq!(payload, body(3000));
                *count.borrow_mut() += 1;
                let max_age = options_of(&[(OptionNumber::MAX_AGE, &[20])]);
                let response = ResponseRef::new(Status::CONTENT, max_age.as_options(), b"state");
                io.respond(id, response.with_observe(Some(Topic(1)))).unwrap();
            }
        });
        let client = network.add_client();
        let options = options_of(&[(OptionNumber::OBSERVE, &[])]);
        let payload = body(3000);
        let ask = RequestRef::new(Method::FETCH, options.as_options()).with_payload(&payload);
        let id = network.request(client, server, ask).unwrap();
        network.run_for(Duration::from_secs(300));
        let events = network.take_events(client);
        let failed = events.iter().any(|event| matches!(event, Event::Failed { .. }));
        let answers = events
            .iter()
            .filter(|event| matches!(event, Event::Response { more: true, .. }))
            .count();
        assert!(
            !failed && answers > 4 && *runs.borrow() >= answers,
            "seed {seed}: {answers} answers"
        );
        let now = network.now();
        network.endpoint(client).cancel(now, id);
    }
}

/// RFC 7959 §2.4: who wants smaller blocks says so with the first request.
#[test]
fn a_client_with_small_blocks_asks_for_them_from_the_start() {
    let mut config = Config::default();
    config.block_szx = 2;
    let mut subject = Subject::with(config);
    let path = subject.path;
    let get = RequestRef::new(Method::GET, Options::empty());
    subject.endpoint.request(subject.now, &path, get).unwrap();
    assert_eq!(subject.sent_one().block2().as_deref(), Some("0/0/64"));
    let mut usual = Subject::new();
    usual.endpoint.request(usual.now, &path, get).unwrap();
    assert_eq!(usual.sent_one().block2(), None);
}

/// RFC 7959 §2.3: blocks of different Content-Formats are not assembled.
#[test]
fn a_block_of_another_content_format_does_not_belong() {
    let mut subject = Subject::new();
    let put = |id, format: u8, num, more| {
        let block = block(num, more, 16);
        let options = [
            (OptionNumber::CONTENT_FORMAT, &[format][..]),
            (OptionNumber::BLOCK1, &block),
        ];
        datagram(MessageType::Confirmable, Method::PUT, id, b"", &options, &[7; 16])
    };
    assert!(subject.receive(&put(1, 50, 0, 1)).is_none());
    assert_eq!(subject.sent_one().code(), "2.31");
    assert!(subject.receive(&put(2, 60, 1, 0)).is_none());
    assert_eq!(subject.sent_one().code(), "4.08");
    assert!(subject.receive(&put(3, 50, 1, 0)).is_some());
}

/// RFC 7959 §2.3: only 2.31 says that more blocks are wanted.
#[test]
fn a_final_answer_to_a_block_asks_for_no_more() {
    let mut subject = Subject::new();
    let block = block(5, 1, 16);
    let options = [(OptionNumber::BLOCK1, &block[..])];
    let put = datagram(MessageType::Confirmable, Method::PUT, 1, b"", &options, &[7; 16]);
    assert!(subject.receive(&put).is_none());
    let answer = subject.sent_one();
    assert_eq!(answer.code(), "4.08");
    assert_eq!(answer.block1().as_deref(), Some("5/0/16"));
}

/// What the application shares goes out as a copy of it would.
#[test]
fn a_shared_body_goes_like_one_that_is_copied() {
    let whole = body(3000);
    let blocks = |shared: Option<&SharedBody>| {
        let mut endpoint = Endpoint::new(Config::default(), [7; 32]);
        let (now, path) = (Instant::ZERO, Path::to("192.0.2.1:5683".parse().unwrap()));
        let request = RequestRef::new(Method::PUT, Options::empty()).with_payload(&whole);
        let request = shared.map_or(request, |shared| request.with_shared(shared));
        endpoint.request(now, &path, request).unwrap();
        let (mut sent, mut out) = (Vec::new(), [0; 1500]);
        while let Some(transmit) = endpoint.poll_transmit(now, &mut out) {
            let bytes = out[..transmit.len].to_vec();
            let message = Message::parse(&bytes).unwrap();
            let block = message.options.block1().unwrap().unwrap();
            let status = if block.more() {
                Status::CONTINUE
            } else {
                Status::CHANGED
            };
            let mut options = OptionsBuf::new();
            options.insert(OptionNumber::BLOCK1, &block.encode()).unwrap();
            let answer = Message {
                message_type: MessageType::Acknowledgement,
                code: status.into(),
                options: options.as_options(),
                payload: &[],
                ..message
            };
            let mut datagram = [0; 64];
            let len = answer.encode(&mut datagram).unwrap();
            let _ = endpoint.handle_datagram(now, path, &datagram[..len]);
            sent.push(bytes);
        }
        sent
    };
    let shared = SharedBody::new(whole.clone());
    assert_eq!(blocks(Some(&shared)).len(), 3);
    assert_eq!(blocks(Some(&shared)), blocks(None));
}
