//! Echo and Request-Tag on the client (RFC 9175 §2.3, §3.5.2), by hand: the test is the server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod common;

use common::{Heard, Subject, block, datagram, options_of, peer};
use coracle_engine::{Event, ExchangeError, ExchangeId, Path, RequestRef};
use coracle_wire::{MessageType, Method, OptionNumber, Options, Status};

const ECHO: OptionNumber = OptionNumber::ECHO;

/// A request to /a, and what is sent for it.
fn ask(subject: &mut Subject, to: Path, method: Method, payload: &[u8]) -> (ExchangeId, Heard) {
    let options = options_of(&[(OptionNumber::URI_PATH, b"a")]);
    let request = RequestRef::new(method, options.as_options()).with_payload(payload);
    let id = subject.endpoint.request(subject.now, &to, request).unwrap();
    (id, subject.sent_one())
}

/// The server's answer in the acknowledgement.
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

fn echo(heard: &Heard) -> Option<Vec<u8>> {
    heard.message().options.get(ECHO).map(Vec::from)
}

fn tag(heard: &Heard) -> Option<Vec<u8>> {
    heard
        .message()
        .options
        .get(OptionNumber::REQUEST_TAG)
        .map(Vec::from)
}

fn outcome(subject: &mut Subject) -> (Status, Vec<u8>) {
    let mut events = subject.events().into_iter().filter_map(|event| match event {
        Event::Response { response, .. } => Some((response.status, response.payload)),
        Event::Failed { error, .. } => panic!("{error}"),
        _ => None,
    });
    events.next_back().expect("an answer")
}

#[test]
fn a_challenge_is_answered_with_its_value_under_a_token_of_its_own() {
    let mut subject = Subject::new();
    let (_, first) = ask(&mut subject, peer(1), Method::PUT, b"on");
    assert_eq!(echo(&first), None);
    answer(
        &mut subject,
        &first,
        Status::UNAUTHORIZED,
        &[(ECHO, b"fresh")],
        b"",
    );
    assert!(subject.events().is_empty());
    let second = subject.sent_one();
    assert_eq!(echo(&second).as_deref(), Some(&b"fresh"[..]));
    assert_eq!(second.message().payload, b"on");
    assert_ne!(second.message().token, first.message().token);
    assert_ne!(second.id(), first.id());
    answer(&mut subject, &second, Status::CHANGED, &[], b"");
    assert_eq!(outcome(&mut subject).0, Status::CHANGED);
    assert!(subject.pass(std::time::Duration::from_secs(500)).is_empty());
    assert!(subject.endpoint.is_pristine());
}

#[test]
fn a_server_that_is_not_content_with_its_own_value_is_not_asked_again() {
    let mut subject = Subject::new();
    let (_, first) = ask(&mut subject, peer(1), Method::GET, b"");
    answer(&mut subject, &first, Status::UNAUTHORIZED, &[(ECHO, b"1")], b"");
    let second = subject.sent_one();
    answer(
        &mut subject,
        &second,
        Status::UNAUTHORIZED,
        &[(ECHO, b"2")],
        b"no",
    );
    assert!(subject.sent().is_empty());
    assert_eq!(outcome(&mut subject), (Status::UNAUTHORIZED, b"no".to_vec()));
}

#[test]
fn without_a_value_unauthorized_is_the_answer() {
    let mut subject = Subject::new();
    for value in [None, Some(&[1; 41][..])] {
        let (_, first) = ask(&mut subject, peer(1), Method::GET, b"");
        let options: Vec<_> = value.map(|value| (ECHO, value)).into_iter().collect();
        answer(&mut subject, &first, Status::UNAUTHORIZED, &options, b"");
        assert!(subject.sent().is_empty());
        assert_eq!(outcome(&mut subject).0, Status::UNAUTHORIZED);
    }
}

#[test]
fn an_application_that_brings_the_option_has_to_do_with_challenges_itself() {
    let mut subject = Subject::new();
    let options = options_of(&[(ECHO, b"mine")]);
    let request = RequestRef::new(Method::GET, options.as_options());
    subject.endpoint.request(subject.now, &peer(1), request).unwrap();
    let first = subject.sent_one();
    assert_eq!(echo(&first).as_deref(), Some(&b"mine"[..]));
    answer(&mut subject, &first, Status::UNAUTHORIZED, &[(ECHO, b"x")], b"");
    assert!(subject.sent().is_empty());
    assert_eq!(outcome(&mut subject).0, Status::UNAUTHORIZED);
}

/// RFC 9175 §2.3: "preemptive" values, and only to the endpoint they came from.
#[test]
fn a_value_in_any_answer_goes_into_the_next_request_to_that_server() {
    let mut subject = Subject::new();
    let (_, first) = ask(&mut subject, peer(1), Method::GET, b"");
    answer(&mut subject, &first, Status::CONTENT, &[(ECHO, b"next")], b"21");
    let (_, elsewhere) = ask(&mut subject, peer(2), Method::GET, b"");
    assert_eq!(echo(&elsewhere), None);
    let (_, second) = ask(&mut subject, peer(1), Method::GET, b"");
    assert_eq!(echo(&second).as_deref(), Some(&b"next"[..]));
    answer(&mut subject, &second, Status::CONTENT, &[], b"21");
    let (_, third) = ask(&mut subject, peer(1), Method::GET, b"");
    assert_eq!(echo(&third), None);
}

/// A value of our own that became too old is challenged, and that challenge is answered.
#[test]
fn a_value_that_is_too_old_is_followed_by_a_fresh_one() {
    let mut subject = Subject::new();
    let (_, first) = ask(&mut subject, peer(1), Method::GET, b"");
    answer(&mut subject, &first, Status::CONTENT, &[(ECHO, b"old")], b"21");
    let (_, second) = ask(&mut subject, peer(1), Method::GET, b"");
    answer(
        &mut subject,
        &second,
        Status::UNAUTHORIZED,
        &[(ECHO, b"new")],
        b"",
    );
    let third = subject.sent_one();
    assert_eq!(echo(&third).as_deref(), Some(&b"new"[..]));
}

#[test]
fn a_body_in_blocks_is_challenged_at_any_block_and_goes_on() {
    let mut subject = Subject::new();
    let (_, first) = ask(&mut subject, peer(1), Method::PUT, &[b'x'; 2500]);
    answer(&mut subject, &first, Status::UNAUTHORIZED, &[(ECHO, b"1")], b"");
    let first = subject.sent_one();
    assert_eq!(
        (echo(&first), first.block1().as_deref()),
        (Some(b"1".to_vec()), Some("0/1/1024"))
    );
    let block0 = block(0, 1, 1024);
    answer(
        &mut subject,
        &first,
        Status::CONTINUE,
        &[(OptionNumber::BLOCK1, &block0)],
        b"",
    );
    let second = subject.sent_one();
    assert_eq!(
        (echo(&second), second.block1().as_deref()),
        (None, Some("1/1/1024"))
    );
    answer(&mut subject, &second, Status::UNAUTHORIZED, &[(ECHO, b"2")], b"");
    let again = subject.sent_one();
    assert_eq!(
        (echo(&again), again.block1().as_deref()),
        (Some(b"2".to_vec()), Some("1/1/1024"))
    );
    // Some servers key the body by the token.
    assert_eq!(again.message().token, second.message().token);
    let block1 = block(1, 1, 1024);
    answer(
        &mut subject,
        &again,
        Status::CONTINUE,
        &[(OptionNumber::BLOCK1, &block1)],
        b"",
    );
    let last = subject.sent_one();
    assert_eq!(last.block1().as_deref(), Some("2/0/1024"));
    let block2 = block(2, 0, 1024);
    answer(
        &mut subject,
        &last,
        Status::CHANGED,
        &[(OptionNumber::BLOCK1, &block2)],
        b"",
    );
    assert_eq!(outcome(&mut subject).0, Status::CHANGED);
}

#[test]
fn a_challenge_to_a_further_block_of_the_answer_is_answered() {
    let mut subject = Subject::new();
    let (_, first) = ask(&mut subject, peer(1), Method::GET, b"");
    let block0 = block(0, 1, 1024);
    answer(
        &mut subject,
        &first,
        Status::CONTENT,
        &[(OptionNumber::BLOCK2, &block0)],
        &[b'x'; 1024],
    );
    let second = subject.sent_one();
    answer(&mut subject, &second, Status::UNAUTHORIZED, &[(ECHO, b"1")], b"");
    let again = subject.sent_one();
    assert_eq!(
        (echo(&again), again.block2().as_deref()),
        (Some(b"1".to_vec()), Some("1/0/1024"))
    );
    let block1 = block(1, 0, 1024);
    answer(
        &mut subject,
        &again,
        Status::CONTENT,
        &[(OptionNumber::BLOCK2, &block1)],
        b"y",
    );
    assert_eq!(outcome(&mut subject).1.len(), 1025);
}

#[test]
fn an_observation_is_registered_in_spite_of_a_challenge_and_kept_in_spite_of_another() {
    let mut subject = Subject::new();
    let options = options_of(&[(OptionNumber::OBSERVE, b""), (OptionNumber::URI_PATH, b"a")]);
    let request = RequestRef::new(Method::GET, options.as_options());
    subject.endpoint.request(subject.now, &peer(1), request).unwrap();
    let first = subject.sent_one();
    answer(&mut subject, &first, Status::UNAUTHORIZED, &[(ECHO, b"1")], b"");
    let second = subject.sent_one();
    assert_eq!(second.message().options.observe(), Some(0));
    assert_eq!(echo(&second).as_deref(), Some(&b"1"[..]));
    let observe = [7];
    answer(
        &mut subject,
        &second,
        Status::CONTENT,
        &[(OptionNumber::OBSERVE, &observe)],
        b"21",
    );
    assert_eq!(outcome(&mut subject).0, Status::CONTENT);
    // A notification that is a challenge: the registration is renewed with the value, under its token.
    let token = second.message().token.to_vec();
    let notification = datagram(
        MessageType::NonConfirmable,
        Status::UNAUTHORIZED,
        77,
        &token,
        &[(ECHO, b"2")],
        b"",
    );
    subject.receive_from(peer(1), &notification);
    let renewal = subject.sent_one();
    assert_eq!(renewal.message().token, token);
    assert_eq!(renewal.message().options.observe(), Some(0));
    assert_eq!(echo(&renewal).as_deref(), Some(&b"2"[..]));
    answer(
        &mut subject,
        &renewal,
        Status::CONTENT,
        &[(OptionNumber::OBSERVE, &observe)],
        b"22",
    );
    assert_eq!(outcome(&mut subject), (Status::CONTENT, b"22".to_vec()));
}

/// A server cuts what it sends to an address that has not been proved; once it is, larger blocks are to be had.
#[test]
fn a_body_that_was_cut_smaller_for_lack_of_a_proof_is_asked_for_anew() {
    let mut subject = Subject::new();
    let (_, first) = ask(&mut subject, peer(1), Method::GET, b"");
    let block0 = block(0, 1, 16);
    let cut = [(ECHO, &b"1"[..]), (OptionNumber::BLOCK2, &block0)];
    answer(&mut subject, &first, Status::CONTENT, &cut, &[b'x'; 16]);
    let second = subject.sent_one();
    assert_eq!(
        (echo(&second), second.block2().as_deref()),
        (Some(b"1".to_vec()), Some("0/0/1024"))
    );
    assert_ne!(second.message().token, first.message().token);
    let large = block(0, 1, 1024);
    answer(
        &mut subject,
        &second,
        Status::CONTENT,
        &[(OptionNumber::BLOCK2, &large)],
        &[b'y'; 1024],
    );
    let third = subject.sent_one();
    assert_eq!(third.block2().as_deref(), Some("1/0/1024"));
    let last = block(1, 0, 1024);
    answer(
        &mut subject,
        &third,
        Status::CONTENT,
        &[(OptionNumber::BLOCK2, &last)],
        b"z",
    );
    let (_, body) = outcome(&mut subject);
    assert_eq!((body.len(), body.first()), (1025, Some(&b'y')));
}

#[test]
fn a_server_that_wants_small_blocks_all_the_same_gets_them() {
    let mut subject = Subject::new();
    let (_, first) = ask(&mut subject, peer(1), Method::GET, b"");
    let block0 = block(0, 1, 16);
    let cut = [(ECHO, &b"1"[..]), (OptionNumber::BLOCK2, &block0)];
    answer(&mut subject, &first, Status::CONTENT, &cut, &[b'x'; 16]);
    let second = subject.sent_one();
    assert_eq!(second.block2().as_deref(), Some("0/0/1024"));
    answer(&mut subject, &second, Status::CONTENT, &cut, &[b'x'; 16]);
    let third = subject.sent_one();
    assert_eq!(third.block2().as_deref(), Some("1/0/16"));
}

/// What is not safe is not run a second time for larger blocks.
#[test]
fn the_small_blocks_of_an_answer_to_a_post_are_taken() {
    let mut subject = Subject::new();
    let (_, first) = ask(&mut subject, peer(1), Method::POST, b"");
    let block0 = block(0, 1, 16);
    let cut = [(ECHO, &b"1"[..]), (OptionNumber::BLOCK2, &block0)];
    answer(&mut subject, &first, Status::CHANGED, &cut, &[b'x'; 16]);
    let second = subject.sent_one();
    assert_eq!(
        (echo(&second), second.block2().as_deref()),
        (Some(b"1".to_vec()), Some("1/0/16"))
    );
}

#[test]
fn bodies_that_go_at_once_to_one_resource_are_told_apart() {
    let mut subject = Subject::with({
        let mut config = coracle_engine::Config::default();
        config.transmission.nstart = 8;
        config
    });
    let long = [b'x'; 2048];
    let (first_id, first) = ask(&mut subject, peer(1), Method::PUT, &long);
    let (_, second) = ask(&mut subject, peer(1), Method::PUT, &long);
    let (_, short) = ask(&mut subject, peer(1), Method::PUT, b"short");
    let (_, elsewhere) = ask(&mut subject, peer(2), Method::PUT, &long);
    assert_eq!(
        [tag(&first), tag(&second), tag(&short), tag(&elsewhere)],
        [None, Some(vec![1]), None, None]
    );
    let block0 = block(0, 1, 1024);
    answer(
        &mut subject,
        &second,
        Status::CONTINUE,
        &[(OptionNumber::BLOCK1, &block0)],
        b"",
    );
    assert_eq!(
        tag(&subject.sent_one()),
        Some(vec![1]),
        "the same in all blocks of the body"
    );
    // Once the first is over, the absent option is free.
    subject.endpoint.cancel(subject.now, first_id);
    let (_, next) = ask(&mut subject, peer(1), Method::PUT, &long);
    assert_eq!(tag(&next), None);
}

/// RFC 9175 §3.4: the tag of the request's body stands in the requests for the blocks of the answer too.
#[test]
fn the_tag_stays_when_the_blocks_of_the_answer_are_asked_for() {
    let mut subject = Subject::with({
        let mut config = coracle_engine::Config::default();
        config.transmission.nstart = 8;
        config
    });
    let long = [b'x'; 1025];
    ask(&mut subject, peer(1), Method::POST, &long);
    let (_, heard) = ask(&mut subject, peer(1), Method::POST, &long);
    let (sent, last, got) = (block(0, 1, 1024), block(1, 0, 1024), block(0, 1, 64));
    answer(
        &mut subject,
        &heard,
        Status::CONTINUE,
        &[(OptionNumber::BLOCK1, &sent)],
        b"",
    );
    let heard = subject.sent_one();
    let both = [(OptionNumber::BLOCK1, &last[..]), (OptionNumber::BLOCK2, &got)];
    answer(&mut subject, &heard, Status::CHANGED, &both, &[b'y'; 64]);
    let fetch = subject.sent_one();
    assert_eq!(
        (tag(&fetch), fetch.block2().as_deref()),
        (Some(vec![1]), Some("1/0/64"))
    );
}

/// RFC 9175 §4.2: tokens are eight random bytes each and none comes twice, so that no response is bound to another request.
#[test]
fn no_token_is_used_twice() {
    let mut subject = Subject::new();
    let mut tokens = std::collections::HashSet::new();
    for _ in 0..10_000 {
        let request = RequestRef::new(Method::GET, Options::empty());
        let id = subject.endpoint.request(subject.now, &peer(1), request).unwrap();
        let heard = subject.sent_one();
        assert_eq!(heard.message().token.len(), 8);
        assert!(tokens.insert(heard.message().token.to_vec()));
        answer(&mut subject, &heard, Status::CONTENT, &[], b"");
        assert!(matches!(
            subject.events()[..],
            [Event::Response { id: answered, .. }] if answered == id
        ));
        subject.now = subject.now + std::time::Duration::from_secs(1);
        subject.endpoint.handle_timeout(subject.now);
    }
}

/// An answer to the request before the challenge, when it comes late, is not taken for the answer to the one after.
#[test]
fn a_late_answer_from_before_the_challenge_is_not_taken() {
    let mut subject = Subject::new();
    let (_, first) = ask(&mut subject, peer(1), Method::GET, b"");
    answer(&mut subject, &first, Status::UNAUTHORIZED, &[(ECHO, b"1")], b"");
    subject.sent_one();
    let token = first.message().token.to_vec();
    let late = datagram(
        MessageType::NonConfirmable,
        Status::UNAUTHORIZED,
        9,
        &token,
        &[(ECHO, b"1")],
        b"",
    );
    subject.receive_from(peer(1), &late);
    assert!(subject.events().is_empty());
}

#[test]
fn a_challenge_does_not_change_what_becomes_of_silence() {
    let mut subject = Subject::new();
    let (_, first) = ask(&mut subject, peer(1), Method::GET, b"");
    answer(&mut subject, &first, Status::UNAUTHORIZED, &[(ECHO, b"1")], b"");
    let sent = subject.pass(std::time::Duration::from_secs(100));
    assert_eq!(sent.len(), 5, "the request and four retransmissions");
    assert!(sent.iter().all(|(_, heard)| echo(heard).is_some()));
    assert!(matches!(
        subject.events()[..],
        [Event::Failed {
            error: ExchangeError::NoAnswer { retransmissions: 4 },
            ..
        }]
    ));
}

/// A proof of our address ends in the middle of a transfer: the server sends a block of 32 bytes with an Echo value. The
/// client shows it, and goes on in blocks of the size that it had.
#[test]
fn a_proof_that_ends_under_a_download_does_not_make_its_blocks_small() {
    const BLOCK2: OptionNumber = OptionNumber::BLOCK2;
    let mut subject = Subject::new();
    let (_, first) = ask(&mut subject, peer(7), Method::GET, b"");
    let etag = (OptionNumber::ETAG, &b"e"[..]);
    answer(
        &mut subject,
        &first,
        Status::CONTENT,
        &[etag, (BLOCK2, &block(0, 1, 1024))],
        &[1; 1024],
    );
    let second = subject.sent_one();
    let small = [etag, (BLOCK2, &block(32, 1, 32)[..]), (ECHO, b"value")];
    answer(&mut subject, &second, Status::CONTENT, &small, &[2; 32]);
    let again = subject.sent_one();
    let asked = again.message().options.block2().unwrap().unwrap();
    assert_eq!((asked.num(), asked.size()), (1, 1024));
    assert_eq!(echo(&again).unwrap(), b"value");
    answer(
        &mut subject,
        &again,
        Status::CONTENT,
        &[etag, (BLOCK2, &block(1, 0, 1024))],
        &[2; 500],
    );
    let (status, body) = outcome(&mut subject);
    assert_eq!((status, body.len()), (Status::CONTENT, 1524));
    assert!(body[1024..].iter().all(|byte| *byte == 2));
}

/// A server that sends small blocks with Echo values all the same is taken as it is.
#[test]
fn small_blocks_are_taken_when_asking_for_larger_ones_does_not_help() {
    const BODY: usize = 640;
    let mut subject = Subject::new();
    let (_, mut next) = ask(&mut subject, peer(7), Method::GET, b"");
    for request in 1.. {
        assert!(request <= 2 * BODY / 32, "no end");
        let asked = next.message().options.block2().map(Result::unwrap);
        let offset = asked.map_or(0, |block| block.num() as usize * block.size());
        let size = if offset == 0 { 64 } else { 32 };
        let more = offset + size < BODY;
        let part = block(u32::try_from(offset / size).unwrap(), u8::from(more), size);
        let options = [(OptionNumber::BLOCK2, &part[..]), (ECHO, b"value")];
        answer(&mut subject, &next, Status::CONTENT, &options, &[7; 64][..size]);
        if !more {
            break;
        }
        next = subject.sent_one();
    }
    assert_eq!(outcome(&mut subject), (Status::CONTENT, vec![7; BODY]));
}
