//! Bodies in parts on the client: uploads that are asked for and downloads that are given out block by block
//! (RFC 7959 §2.3, §2.4).
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

use common::{Heard, Subject, block, datagram, options_of, peer};
use coracle_engine::{
    Config, Event, ExchangeError, ExchangeId, RequestError, RequestRef, ResponseRef, StreamedBody,
};
use coracle_sim::{Input, Link, Network};
use coracle_wire::{BlockOption, MessageType, Method, OptionNumber, Options, OptionsBuf, Status};

const BLOCK1: OptionNumber = OptionNumber::BLOCK1;
const BLOCK2: OptionNumber = OptionNumber::BLOCK2;

fn body(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 % 253) as u8).collect()
}

fn get(subject: &mut Subject, options: &[(OptionNumber, &[u8])]) -> ExchangeId {
    let options = options_of(options);
    let request = RequestRef::new(Method::GET, options.as_options()).with_streamed_answer(true);
    subject.endpoint.request(subject.now, &peer(1), request).unwrap()
}

fn put(subject: &mut Subject, total: Option<u64>) -> ExchangeId {
    let request = RequestRef::new(Method::PUT, Options::empty()).with_streamed(Some(StreamedBody { total }));
    subject.endpoint.request(subject.now, &peer(1), request).unwrap()
}

fn answer(
    subject: &mut Subject,
    to: &Heard,
    status: Status,
    options: &[(OptionNumber, &[u8])],
    payload: &[u8],
) {
    let asked = to.message();
    let (id, token) = (asked.message_id.0, asked.token);
    let bytes = datagram(MessageType::Acknowledgement, status, id, token, options, payload);
    subject.receive_from(to.path, &bytes);
}

/// The server's block of a body, which is `size` long unless it is the last.
fn give(subject: &mut Subject, to: &Heard, whole: &[u8], size: usize, etag: &[u8]) {
    let num = to
        .message()
        .options
        .block2()
        .map_or(0, |block| block.unwrap().num());
    let start = num as usize * size;
    let end = whole.len().min(start + size);
    let block2 = block(num, u8::from(end < whole.len()), size);
    let options = [(OptionNumber::ETAG, etag), (BLOCK2, &block2)];
    answer(subject, to, Status::CONTENT, &options, &whole[start..end]);
}

/// What the events give of an answer, with whether more follows; progress is left out.
fn parts(subject: &mut Subject) -> Vec<(Vec<u8>, bool)> {
    let given = subject.events().into_iter().filter_map(|event| match event {
        Event::Response { response, more, .. } => Some((response.payload, more)),
        Event::Body { payload, more, .. } => Some((payload, more)),
        Event::Failed { error, .. } => panic!("{error}"),
        _ => None,
    });
    given.collect()
}

fn failure(subject: &mut Subject) -> ExchangeError {
    let failed = subject.events().into_iter().find_map(|event| match event {
        Event::Failed { error, .. } => Some(error),
        _ => None,
    });
    failed.expect("it fails")
}

fn wants(subject: &mut Subject) -> usize {
    let events = subject.events().into_iter();
    events
        .filter(|event| matches!(event, Event::BodyWanted { .. }))
        .count()
}

#[test]
fn a_block_of_the_answer_is_asked_for_when_the_application_wants_it() {
    let (mut subject, whole) = (Subject::new(), body(2500));
    let id = get(&mut subject, &[]);
    let heard = subject.sent_one();
    give(&mut subject, &heard, &whole, 1024, b"1");
    assert_eq!(parts(&mut subject), [(whole[..1024].to_vec(), true)]);
    // However long the application takes, nothing is asked for and nothing fails.
    assert!(subject.pass(Duration::from_secs(5000)).is_empty());
    subject.endpoint.continue_body(subject.now, id);
    let heard = subject.sent_one();
    assert_eq!(heard.block2().as_deref(), Some("1/0/1024"));
    subject.endpoint.continue_body(subject.now, id);
    assert!(subject.sent().is_empty(), "one block is under way");
    give(&mut subject, &heard, &whole, 1024, b"1");
    assert_eq!(parts(&mut subject), [(whole[1024..2048].to_vec(), true)]);
    subject.endpoint.continue_body(subject.now, id);
    let heard = subject.sent_one();
    give(&mut subject, &heard, &whole, 1024, b"1");
    assert_eq!(parts(&mut subject), [(whole[2048..].to_vec(), false)]);
    subject.endpoint.continue_body(subject.now, id);
    assert!(subject.pass(Duration::from_secs(500)).is_empty());
    assert!(subject.endpoint.is_pristine());
}

/// The memory of a part that was read holds the next one, and nothing of what was in it before.
#[test]
fn memory_that_is_lent_holds_the_next_part() {
    let (mut subject, whole) = (Subject::new(), body(2500));
    let id = get(&mut subject, &[]);
    let heard = subject.sent_one();
    give(&mut subject, &heard, &whole, 1024, b"1");
    parts(&mut subject);
    let memory = vec![9; 2000];
    let place = memory.as_ptr();
    subject.endpoint.lend(id, memory);
    subject.endpoint.continue_body(subject.now, id);
    let heard = subject.sent_one();
    give(&mut subject, &heard, &whole, 1024, b"1");
    let (part, _) = parts(&mut subject).remove(0);
    assert_eq!((part.as_ptr(), &part[..]), (place, &whole[1024..2048]));
}

/// RFC 7959 §4: who goes on with a transfer asks for the length until it is told.
#[test]
fn a_length_that_comes_late_is_known_then() {
    let (mut subject, whole) = (Subject::new(), body(5000));
    let from = block(1, 0, 1024);
    let id = get(&mut subject, &[(BLOCK2, &from), (OptionNumber::SIZE2, b"")]);
    for (num, told) in [(1, false), (2, true), (3, false)] {
        let heard = subject.sent_one();
        let asks = heard.message().options.contains(OptionNumber::SIZE2);
        assert_eq!(asks, num < 3, "block {num}");
        let (start, block2) = (num as usize * 1024, block(num, 1, 1024));
        let mut options = vec![(OptionNumber::ETAG, &b"1"[..]), (BLOCK2, &block2)];
        options.extend(told.then_some((OptionNumber::SIZE2, &b"\x13\x88"[..])));
        answer(
            &mut subject,
            &heard,
            Status::CONTENT,
            &options,
            &whole[start..start + 1024],
        );
        let progress = subject.events().into_iter().find_map(|event| match event {
            Event::Progress { total, .. } => Some(total),
            _ => None,
        });
        assert_eq!(progress, Some((num > 1).then_some(5000)), "block {num}");
        subject.endpoint.continue_body(subject.now, id);
    }
}

#[test]
fn a_short_answer_and_an_error_are_given_as_ever() {
    let mut subject = Subject::new();
    get(&mut subject, &[]);
    let heard = subject.sent_one();
    answer(&mut subject, &heard, Status::CONTENT, &[], b"21");
    assert_eq!(parts(&mut subject), [(b"21".to_vec(), false)]);
    get(&mut subject, &[]);
    let heard = subject.sent_one();
    answer(
        &mut subject,
        &heard,
        Status::NOT_FOUND,
        &[(BLOCK2, &block(0, 1, 16))],
        &[b'x'; 16],
    );
    assert_eq!(parts(&mut subject), [(vec![b'x'; 16], false)]);
}

#[test]
fn parts_of_two_states_are_never_put_together() {
    let (mut subject, whole) = (Subject::new(), body(2500));
    let id = get(&mut subject, &[]);
    let heard = subject.sent_one();
    give(&mut subject, &heard, &whole, 1024, b"1");
    parts(&mut subject);
    subject.endpoint.continue_body(subject.now, id);
    let heard = subject.sent_one();
    give(&mut subject, &heard, &whole, 1024, b"2");
    assert_eq!(failure(&mut subject), ExchangeError::BodyChanged);
    assert!(subject.sent().is_empty());
}

#[test]
fn an_error_in_place_of_a_block_is_told_as_the_end() {
    let (mut subject, whole) = (Subject::new(), body(2500));
    let id = get(&mut subject, &[]);
    let heard = subject.sent_one();
    give(&mut subject, &heard, &whole, 1024, b"1");
    parts(&mut subject);
    subject.endpoint.continue_body(subject.now, id);
    let heard = subject.sent_one();
    answer(&mut subject, &heard, Status::NOT_FOUND, &[], b"gone");
    let status = Status::NOT_FOUND;
    assert_eq!(failure(&mut subject), ExchangeError::BodyEnded { status });
}

/// A server that sends the answer to a block once more, under another message ID, does not disturb the wait.
#[test]
fn what_comes_while_a_part_is_with_the_application_is_ignored() {
    let (mut subject, whole) = (Subject::new(), body(2500));
    let id = get(&mut subject, &[]);
    let heard = subject.sent_one();
    give(&mut subject, &heard, &whole, 1024, b"1");
    parts(&mut subject);
    let again = datagram(
        MessageType::NonConfirmable,
        Status::CONTENT,
        9,
        heard.message().token,
        &[(OptionNumber::ETAG, b"1"), (BLOCK2, &block(0, 1, 1024))],
        &whole[..1024],
    );
    subject.receive_from(peer(1), &again);
    assert!(subject.events().is_empty());
    subject.endpoint.continue_body(subject.now, id);
    assert_eq!(subject.sent_one().block2().as_deref(), Some("1/0/1024"));
}

/// The way to resume: the request itself names a later block.
#[test]
fn a_transfer_begins_at_the_block_that_the_request_names() {
    let (mut subject, whole) = (Subject::new(), body(2500));
    let id = get(&mut subject, &[(BLOCK2, &block(1, 0, 1024))]);
    let heard = subject.sent_one();
    assert_eq!(heard.block2().as_deref(), Some("1/0/1024"));
    give(&mut subject, &heard, &whole, 1024, b"1");
    assert_eq!(parts(&mut subject), [(whole[1024..2048].to_vec(), true)]);
    subject.endpoint.continue_body(subject.now, id);
    let heard = subject.sent_one();
    give(&mut subject, &heard, &whole, 1024, b"1");
    assert_eq!(parts(&mut subject), [(whole[2048..].to_vec(), false)]);
    // The last block alone.
    get(&mut subject, &[(BLOCK2, &block(2, 0, 1024))]);
    let heard = subject.sent_one();
    give(&mut subject, &heard, &whole, 1024, b"1");
    assert_eq!(parts(&mut subject), [(whole[2048..].to_vec(), false)]);
    // A server that gives another block than was asked for.
    get(&mut subject, &[(BLOCK2, &block(2, 0, 1024))]);
    let heard = subject.sent_one();
    let options = [(BLOCK2, &block(0, 1, 1024)[..])];
    answer(&mut subject, &heard, Status::CONTENT, &options, &whole[..1024]);
    assert_eq!(failure(&mut subject), ExchangeError::BlockOption);
}

/// A server that has cut the block for lack of a proof of our address gives it again in the size that was asked for, and
/// nothing is given out twice (RFC 9175 §2.3).
#[test]
fn a_block_that_was_cut_is_asked_for_anew_before_anything_is_given_out() {
    for start in [0, 3] {
        let mut subject = Subject::new();
        get(&mut subject, &[(BLOCK2, &block(start, 0, 1024))]);
        let heard = subject.sent_one();
        let cut = block(start * 64, 1, 16);
        let options = [(OptionNumber::ECHO, &b"value"[..]), (BLOCK2, &cut)];
        answer(&mut subject, &heard, Status::CONTENT, &options, &[b'x'; 16]);
        assert!(parts(&mut subject).is_empty());
        let again = subject.sent_one();
        assert_eq!(again.block2(), Some(format!("{start}/0/1024")));
        assert_eq!(
            again.message().options.get(OptionNumber::ECHO),
            Some(&b"value"[..])
        );
        let whole = block(start, 1, 1024);
        answer(
            &mut subject,
            &again,
            Status::CONTENT,
            &[(BLOCK2, &whole)],
            &[b'y'; 1024],
        );
        assert_eq!(parts(&mut subject), [(vec![b'y'; 1024], true)]);
    }
}

#[test]
fn the_bound_holds_for_parts_too() {
    let (mut subject, whole) = (Subject::new(), body(2500));
    let request = RequestRef::new(Method::GET, Options::empty())
        .with_streamed_answer(true)
        .with_max_body(Some(2000));
    let id = subject.endpoint.request(subject.now, &peer(1), request).unwrap();
    let heard = subject.sent_one();
    give(&mut subject, &heard, &whole, 1024, b"1");
    subject.endpoint.continue_body(subject.now, id);
    let heard = subject.sent_one();
    give(&mut subject, &heard, &whole, 1024, b"1");
    assert_eq!(failure(&mut subject), ExchangeError::BodyTooLong { limit: 2000 });
}

#[test]
fn the_deadline_of_the_exchange_holds_while_the_application_takes_its_time() {
    let (mut subject, whole) = (Subject::new(), body(2500));
    let request = RequestRef::new(Method::GET, Options::empty())
        .with_streamed_answer(true)
        .with_timeout(Some(Duration::from_secs(10)));
    subject.endpoint.request(subject.now, &peer(1), request).unwrap();
    let heard = subject.sent_one();
    give(&mut subject, &heard, &whole, 1024, b"1");
    parts(&mut subject);
    subject.pass(Duration::from_secs(11));
    assert_eq!(failure(&mut subject), ExchangeError::Timeout);
}

/// RFC 7959 §2.3, and §4 for Size1.
#[test]
fn a_body_is_asked_for_as_it_goes() {
    let (mut subject, whole) = (Subject::new(), body(20_000));
    let id = put(&mut subject, Some(20_000));
    assert!(subject.sent().is_empty());
    assert_eq!(wants(&mut subject), 1);
    assert!(
        subject.pass(Duration::from_secs(5000)).is_empty(),
        "nobody is late"
    );
    subject
        .endpoint
        .supply_body(subject.now, id, &whole[..6000], true);
    assert_eq!(wants(&mut subject), 0);
    let (mut received, mut given) = (Vec::new(), 6000);
    for num in 0..20 {
        let heard = subject.sent_one();
        let last = num == 19;
        assert_eq!(heard.block1(), Some(format!("{num}/{}/1024", u8::from(!last))));
        let size1 = heard.message().options.get_uint(OptionNumber::SIZE1);
        assert_eq!(size1, (num == 0).then_some(20_000));
        received.extend_from_slice(heard.message().payload);
        let status = if last { Status::CHANGED } else { Status::CONTINUE };
        let block1 = block(num, u8::from(!last), 1024);
        answer(&mut subject, &heard, status, &[(BLOCK1, &block1)], b"");
        if !last && wants(&mut subject) > 0 {
            let end = whole.len().min(given + 6000);
            subject
                .endpoint
                .supply_body(subject.now, id, &whole[given..end], end < whole.len());
            given = end;
        }
    }
    assert_eq!(received, whole);
    assert_eq!(parts(&mut subject), [(vec![], false)]);
    assert!(subject.pass(Duration::from_secs(500)).is_empty());
    assert!(subject.endpoint.is_pristine());
}

#[test]
fn a_short_body_in_parts_goes_in_one_message() {
    let mut subject = Subject::new();
    for given in [&[&b"hello"[..]][..], &[b"hel", b"lo"], &[b"hello", b""], &[b""]] {
        let id = put(&mut subject, None);
        for (at, part) in given.iter().enumerate() {
            subject
                .endpoint
                .supply_body(subject.now, id, part, at + 1 < given.len());
        }
        let heard = subject.sent_one();
        assert_eq!(heard.block1(), None);
        assert_eq!(heard.message().payload, given.concat());
        answer(&mut subject, &heard, Status::CHANGED, &[], b"");
        assert_eq!(parts(&mut subject), [(vec![], false)]);
    }
}

#[test]
fn a_final_answer_before_the_end_ends_the_body() {
    let mut subject = Subject::new();
    let id = put(&mut subject, None);
    subject.endpoint.supply_body(subject.now, id, &body(3000), true);
    let heard = subject.sent_one();
    let block0 = block(0, 1, 1024);
    answer(
        &mut subject,
        &heard,
        Status::REQUEST_ENTITY_TOO_LARGE,
        &[(BLOCK1, &block0)],
        b"",
    );
    assert_eq!(parts(&mut subject), [(vec![], false)]);
    subject.endpoint.supply_body(subject.now, id, &body(3000), true);
    assert!(subject.sent().is_empty() && subject.events().is_empty());
}

#[test]
fn a_server_may_choose_smaller_blocks_under_way() {
    let (mut subject, whole) = (Subject::new(), body(3000));
    let id = put(&mut subject, None);
    subject.endpoint.supply_body(subject.now, id, &whole, false);
    let mut received = Vec::new();
    for size in [1024, 256].into_iter().chain([256; 7]) {
        let heard = subject.sent_one();
        let sent = heard.message().options.block1().unwrap().unwrap();
        assert_eq!(sent.size(), size);
        received.extend_from_slice(heard.message().payload);
        let status = if sent.more() {
            Status::CONTINUE
        } else {
            Status::CHANGED
        };
        // The number counts in the size of the block that is answered (RFC 7959 §2.3).
        let smaller = BlockOption::new(sent.num(), sent.more(), 4).unwrap().encode();
        answer(&mut subject, &heard, status, &[(BLOCK1, &smaller)], b"");
    }
    assert_eq!(received, whole);
}

#[test]
fn what_goes_once_goes_neither_to_groups_nor_with_observations() {
    let mut subject = Subject::new();
    let streamed = Some(StreamedBody { total: None });
    let mut group = peer(1);
    group.multicast = true;
    let request = RequestRef::new(Method::PUT, Options::empty()).with_streamed(streamed);
    let refused = subject.endpoint.request(subject.now, &group, request);
    assert_eq!(refused.unwrap_err(), RequestError::StreamedBody);
    let mut options = OptionsBuf::new();
    options.set_uint(OptionNumber::OBSERVE, 0);
    let request = RequestRef::new(Method::FETCH, options.as_options()).with_streamed(streamed);
    let refused = subject.endpoint.request(subject.now, &peer(1), request);
    assert_eq!(refused.unwrap_err(), RequestError::StreamedBody);
}

/// What came of a body, and how it ended.
type Got = (Vec<u8>, Option<Result<(), ExchangeError>>);

/// What a client does that sends one body from parts and collects the other.
struct Client {
    up: Vec<u8>,
    given: usize,
    step: usize,
    got: Rc<RefCell<Got>>,
}

impl Client {
    fn hear(&mut self, io: &mut coracle_sim::Io<'_>, event: Event) {
        let mut got = self.got.borrow_mut();
        match event {
            Event::BodyWanted { id } => {
                let end = self.up.len().min(self.given + self.step);
                io.endpoint
                    .supply_body(io.now, id, &self.up[self.given..end], end < self.up.len());
                self.given = end;
            }
            Event::Response { id, response, more } => {
                got.0.extend_from_slice(&response.payload);
                if more {
                    io.endpoint.continue_body(io.now, id);
                } else {
                    got.1 = Some(Ok(()));
                }
            }
            Event::Body { id, payload, more } => {
                got.0.extend_from_slice(&payload);
                if more {
                    io.endpoint.continue_body(io.now, id);
                } else {
                    got.1 = Some(Ok(()));
                }
            }
            Event::Failed { error, .. } => got.1 = Some(Err(error)),
            _ => {}
        }
    }
}

/// On good and bad networks, whatever block sizes the two prefer and whatever the parts are: what arrives is whole, and
/// in the end nothing remains.
#[test]
fn streamed_bodies_arrive_whole_both_ways() {
    let mut whole = 0;
    for seed in 0..60_u64 {
        let mut network = Network::new(seed);
        if seed % 3 > 0 {
            let bad = Link::perfect()
                .with_loss(0.2)
                .with_duplication(0.2)
                .with_latency(Duration::from_millis(20))
                .with_jitter(Duration::from_millis(2500));
            network.set_link(bad);
        }
        let up = [0, 16, 1025, 5000, 1024][seed as usize / 4 % 5];
        let down = [3000, 64, 0, 1024][seed as usize / 7 % 4];
        let szx = |szx: u8| {
            let mut config = Config::default();
            config.block_szx = szx;
            config
        };
        let server = network.add_node(
            szx(6 - (seed % 5) as u8),
            Some(Box::new(move |io, input| {
                if let Input::Request { id, payload, .. } = input {
                    assert_eq!(payload, body(up));
                    let answer = body(down);
                    io.respond(id, ResponseRef::new(Status::CONTENT, Options::empty(), &answer))
                        .unwrap();
                }
            })),
        );
        let got = Rc::default();
        let mut client = Client {
            up: body(up),
            given: 0,
            step: [1, 100, 1024, 8192][seed as usize % 4],
            got: Rc::clone(&got),
        };
        let node = network.add_node(
            szx(2 + (seed % 4) as u8),
            Some(Box::new(move |io, input| {
                if let Input::Event(event) = input {
                    client.hear(io, event);
                }
            })),
        );
        let request = RequestRef::new(Method::FETCH, Options::empty())
            .with_streamed(Some(StreamedBody {
                total: Some(up as u64),
            }))
            .with_streamed_answer(true);
        network.request(node, server, request).unwrap();
        assert!(network.run_to_silence(Duration::from_secs(20_000)), "seed {seed}");
        let got = got.borrow();
        match got.1 {
            Some(Ok(())) => {
                assert_eq!(got.0, body(down), "seed {seed}");
                whole += 1;
            }
            Some(Err(error)) => assert!(seed % 3 > 0, "seed {seed}: {error}"),
            None => panic!("seed {seed}: no end"),
        }
        assert!(network.endpoint(node).is_pristine() && network.endpoint(server).is_pristine());
    }
    assert!(whole > 40, "{whole} of 60");
}
