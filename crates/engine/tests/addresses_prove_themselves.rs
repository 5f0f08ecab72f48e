//! What an address gets before and after it has proved that it is the sender's own (RFC 7252 §11.3, RFC 9175 §2.4).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use common::{Heard, Subject, datagram, hex, options_of, peer};
use coracle_engine::{Config, Event, Path, RequestRef, ResponseRef, SecurityId, Topic};
use coracle_wire::{Code, MessageType, Method, OptionNumber, Options, Status};

const PATH: (OptionNumber, &[u8]) = (OptionNumber::URI_PATH, b"large");

fn get(id: u16, echo: Option<&[u8]>) -> Vec<u8> {
    let echo = echo.map(|value| (OptionNumber::ECHO, value));
    let options: Vec<_> = [PATH].into_iter().chain(echo).collect();
    datagram(MessageType::Confirmable, Method::GET, id, b"1234", &options, b"")
}

fn echo_of(heard: &Heard) -> Option<Vec<u8>> {
    let value = heard.message().options.get(OptionNumber::ECHO);
    value.map(<[u8]>::to_vec)
}

/// What a GET of 2,000 bytes brings: its block size, and an Echo value.
fn ask(subject: &mut Subject, id: u16, echo: Option<&[u8]>) -> (usize, Option<Vec<u8>>) {
    let request = get(id, echo);
    let heard = subject.serve(&request, &[b'x'; 2000]).remove(0);
    let size = heard.message().options.block2().unwrap().unwrap().size();
    assert!(size == 1024 || heard.bytes.len() <= 3 * request.len());
    (size, echo_of(&heard))
}

#[test]
fn a_short_answer_goes_as_it_is_and_a_long_one_in_small_blocks_with_echo() {
    let mut subject = Subject::new();
    let short = subject.serve(&get(1, None), b"ok").remove(0);
    assert_eq!((short.message().payload, echo_of(&short)), (&b"ok"[..], None));
    let (size, echo) = ask(&mut subject, 2, None);
    assert_eq!((size, echo.as_ref().map(Vec::len)), (16, Some(6)));
    assert_eq!(ask(&mut subject, 3, echo.as_deref()), (1024, None));
    assert_eq!(ask(&mut subject, 4, None), (1024, None), "it is remembered");
    let stats = subject.endpoint.stats();
    assert_eq!((stats.proofs, stats.withheld), (1, 0));
    assert!(stats.amplification() <= 3.0);
}

#[test]
fn a_value_of_another_address_or_of_long_ago_proves_nothing() {
    let mut subject = Subject::new();
    let echo = ask(&mut subject, 1, None).1.unwrap();
    subject.path = peer(2);
    assert!(ask(&mut subject, 1, Some(&echo)).0 < 1024, "of another port");
    subject.path = peer(61616);
    assert!(ask(&mut subject, 2, Some(&echo[..5])).0 < 1024, "in part");
    subject.pass(Duration::from_secs(601));
    assert!(ask(&mut subject, 3, Some(&echo)).0 < 1024, "of ten minutes ago");
    let fresh = ask(&mut subject, 4, None).1.unwrap();
    subject.pass(Duration::from_secs(299));
    assert_eq!(ask(&mut subject, 5, Some(&fresh)).0, 1024);
}

/// Anybody can send requests from a proved address: they do not keep the proof alive.
#[test]
fn a_proof_ends_within_an_hour_however_much_is_asked_for() {
    let mut subject = Subject::new();
    let echo = ask(&mut subject, 1, None).1.unwrap();
    assert_eq!(ask(&mut subject, 2, Some(&echo)), (1024, None));
    let mut sizes = Vec::new();
    for id in 3..9 {
        subject.pass(Duration::from_secs(600));
        sizes.push(ask(&mut subject, id, None).0);
    }
    assert_eq!((&sizes[..3], sizes[5]), (&[1024; 3][..], 16));
}

/// Who shows a value in the second half of the time of its proof has another whole one.
#[test]
fn a_proof_that_is_given_again_is_kept_longer() {
    for again in [true, false] {
        let mut subject = Subject::new();
        subject.pass(Duration::from_secs(1700));
        let echo = ask(&mut subject, 1, None).1.unwrap();
        assert_eq!(ask(&mut subject, 2, Some(&echo)).0, 1024);
        subject.pass(Duration::from_secs(150));
        assert_eq!(ask(&mut subject, 3, Some(&echo[..]).filter(|_| again)).0, 1024);
        subject.pass(Duration::from_secs(2000));
        assert_eq!(ask(&mut subject, 4, None).0, if again { 1024 } else { 16 });
    }
}

#[test]
fn a_security_association_and_an_answer_to_a_request_of_ours_prove_it_too() {
    let mut subject = Subject::new();
    subject.path.security = std::num::NonZeroU64::new(7).map(SecurityId);
    assert_eq!(ask(&mut subject, 1, None), (1024, None));
    subject.path.security = None;
    for id in 2..9 {
        let request = RequestRef::new(Method::GET, Options::empty());
        let path = subject.path;
        subject.endpoint.request(subject.now, &path, request).unwrap();
        let sent = subject.sent_one();
        let answer = datagram(
            MessageType::Acknowledgement,
            Status::CONTENT,
            sent.id(),
            sent.message().token,
            &[],
            b"",
        );
        subject.receive(&answer);
        assert_eq!(ask(&mut subject, id, None), (1024, None));
        subject.pass(Duration::from_secs(1000));
    }
}

#[test]
fn a_copy_pays_for_itself() {
    let mut subject = Subject::new();
    let first = subject.serve(&get(7, None), b"twenty bytes of text").remove(0);
    subject.receive(&get(7, None));
    assert_eq!(subject.sent_one().bytes, first.bytes);
    assert!(subject.receive(&hex("40010007")).is_none());
    assert!(subject.sent().is_empty(), "four bytes do not pay for it");
    assert_eq!(subject.endpoint.stats().withheld, 1);
}

#[test]
fn a_separate_response_is_sent_as_often_as_the_request_pays_for() {
    let mut subject = Subject::new();
    let (id, _) = subject.receive(&get(1, None)).unwrap();
    subject.pass(Duration::from_secs(2));
    let first = subject.respond(id, b"late and long enough").remove(0);
    let again = subject.pass(Duration::from_secs(100));
    assert!(again.is_empty() && echo_of(&first).is_none());
    let (came, went) = (get(1, None).len(), 4 + first.bytes.len());
    assert!(went <= 3 * came && went + first.bytes.len() > 3 * came);
}

/// RFC 9175 §2.4: what asks for a proof is never a confirmable message.
#[test]
fn a_late_challenge_is_not_confirmable() {
    let mut subject = Subject::new();
    let (id, _) = subject.receive(&get(1, None)).unwrap();
    subject.pass(Duration::from_secs(2));
    let etag = options_of(&[(OptionNumber::ETAG, &[1; 8]), (OptionNumber::MAX_AGE, &[1, 2, 3])]);
    let response = ResponseRef::new(Status::CONTENT, etag.as_options(), &[b'x'; 2000]);
    subject.endpoint.respond(subject.now, id, response).unwrap();
    let heard = subject.sent_one();
    assert_eq!(
        (&heard.code()[..], heard.message().message_type),
        ("4.01", MessageType::NonConfirmable)
    );
    assert!(echo_of(&heard).is_some() && subject.pass(Duration::from_secs(100)).is_empty());
    assert_eq!(subject.endpoint.stats().challenges, 1);
}

#[test]
fn what_was_done_is_told_without_what_does_not_fit() {
    let mut subject = Subject::new();
    let heard = subject.serve(&hex("40020001"), &[b'x'; 200]).remove(0);
    assert_eq!(common::to_hex(&heard.bytes), "60450001");
    let refused = subject.serve(&hex("400100026120"), b"").len();
    assert_eq!(refused, 1);
}

/// A confirmable registration under this ID.
fn registration(id: u16, token: &[u8]) -> Vec<u8> {
    let options = [(OptionNumber::OBSERVE, &[][..]), (OptionNumber::URI_PATH, b"t")];
    datagram(MessageType::Confirmable, Method::GET, id, token, &options, b"")
}

fn state(body: &[u8]) -> ResponseRef<'_> {
    ResponseRef::new(Status::CONTENT, Options::empty(), body).with_observe(Some(Topic(1)))
}

fn empty(message_type: MessageType, id: u16) -> Vec<u8> {
    datagram(message_type, Code::EMPTY, id, b"", &[], b"")
}

/// The one message that is sent, as hexadecimal digits.
#[track_caller]
fn digits_sent(subject: &mut Subject) -> String {
    common::to_hex(&subject.sent_one().bytes)
}

#[test]
fn an_observer_is_told_more_when_it_has_confirmed_that_it_wants_it() {
    let mut subject = Subject::new();
    let sent = subject.serve_with(&registration(1, b"t"), state(b"0"));
    let [first] = &sent[..] else {
        panic!("it stands for the acknowledgement, too: {sent:?}")
    };
    assert_eq!(first.message().message_type, MessageType::Confirmable);
    assert!(first.message().options.observe().is_some());
    subject.endpoint.changed(Topic(1));
    assert!(
        subject.pass(Duration::from_secs(1)).is_empty(),
        "it is not confirmed yet"
    );
    subject.receive(&empty(MessageType::Acknowledgement, first.id()));
    assert_eq!(digits_sent(&mut subject), "60000001");
    assert_eq!(subject.events().len(), 1, "now the state is asked for");
    assert!(subject.endpoint.stats().amplification() <= 3.0);
}

/// RFC 7252 §5.2.2: the response ends the repetition of its request as an acknowledgement does. Where it is lost, the
/// copies of the request bring it again.
#[test]
fn a_first_notification_that_is_lost_is_brought_again_by_copies_of_the_registration() {
    let mut subject = Subject::new();
    let request = registration(1, b"t");
    let first = subject.serve_with(&request, state(b"ten bytes!")).remove(0);
    for _ in 0..3 {
        let by_itself = subject.pass(Duration::from_secs(3));
        assert!(by_itself.is_empty(), "the request does not pay for it");
        assert!(subject.receive(&request).is_none());
        assert_eq!(subject.sent_one().bytes, first.bytes);
    }
    assert!(subject.receive(&hex("40010001")).is_none());
    assert!(subject.sent().is_empty(), "four bytes do not pay for it");
    subject.receive(&empty(MessageType::Acknowledgement, first.id()));
    assert_eq!(digits_sent(&mut subject), "60000001");
    subject.receive(&empty(MessageType::Acknowledgement, first.id()));
    assert!(subject.sent().is_empty(), "it is acknowledged already");
    for _ in 0..3 {
        assert!(subject.receive(&request).is_none());
        assert_eq!(digits_sent(&mut subject), "60000001", "and not the notification");
    }
    let stats = subject.endpoint.stats();
    assert!(stats.requests == 1 && stats.amplification() <= 3.0);
    assert_eq!(subject.endpoint.observers(), 1);
}

#[test]
fn a_first_notification_that_is_rejected_or_given_up_is_not_brought_again() {
    for is_rejected in [true, false] {
        let mut subject = Subject::new();
        let request = registration(1, b"t");
        let first = subject.serve_with(&request, state(b"ten bytes!")).remove(0);
        if is_rejected {
            subject.receive(&empty(MessageType::Reset, first.id()));
            assert_eq!(digits_sent(&mut subject), "60000001");
        } else {
            assert!(subject.pass(Duration::from_secs(100)).is_empty());
        }
        assert_eq!(subject.endpoint.observers(), 0);
        assert!(subject.receive(&request).is_none());
        assert_eq!(digits_sent(&mut subject), "60000001");
        assert!(subject.endpoint.stats().amplification() <= 3.0);
    }
}

/// RFC 7252 §5.2.2: after an empty acknowledgement copies are acknowledged so again.
#[test]
fn a_registration_that_is_answered_late_is_acknowledged_before() {
    let mut subject = Subject::new();
    let request = registration(1, b"t");
    let (id, _) = subject.receive(&request).unwrap();
    let acknowledged = subject.pass(Duration::from_secs(2));
    assert!(matches!(&acknowledged[..], [(_, heard)] if heard.bytes == hex("60000001")));
    subject.endpoint.respond(subject.now, id, state(b"0")).unwrap();
    let first = subject.sent_one();
    assert_eq!(first.message().message_type, MessageType::Confirmable);
    for _ in 0..2 {
        subject.receive(&request);
        assert_eq!(digits_sent(&mut subject), "60000001");
        subject.receive(&empty(MessageType::Acknowledgement, first.id()));
        assert!(subject.sent().is_empty());
    }
    assert_eq!(subject.endpoint.observers(), 1);
}

/// RFC 7252 §4.7: one confirmable message is under way to a peer.
#[test]
fn a_registration_whose_answer_waits_for_its_turn_is_acknowledged_before() {
    let mut subject = Subject::new();
    let first = subject.serve_with(&registration(1, b"t"), state(b"0")).remove(0);
    let sent = subject.serve_with(&registration(2, b"u"), state(b"0"));
    assert!(matches!(&sent[..], [heard] if heard.bytes == hex("60000002")));
    subject.receive(&empty(MessageType::Acknowledgement, first.id()));
    let sent = subject.sent();
    let [second, acknowledgement] = &sent[..] else {
        panic!("{sent:?}")
    };
    assert_eq!(acknowledgement.bytes, hex("60000001"));
    assert_eq!(second.message().token, b"u");
    subject.receive(&registration(2, b"u"));
    assert_eq!(digits_sent(&mut subject), "60000002");
    subject.receive(&empty(MessageType::Acknowledgement, second.id()));
    assert!(subject.sent().is_empty() && subject.endpoint.observers() == 2);
    assert!(subject.endpoint.stats().amplification() <= 3.0);
}

/// RFC 9175 §2.4: what asks for a proof is not separate.
#[test]
fn a_registration_that_does_not_pay_for_its_answer_is_challenged_in_the_acknowledgement() {
    let mut subject = Subject::new();
    for _ in 0..2 {
        let sent = subject.serve_with(&registration(1, b"t"), state(&[b'x'; 2000]));
        let [challenge] = &sent[..] else {
            panic!("{sent:?}")
        };
        let message = challenge.message();
        assert_eq!(message.message_type, MessageType::Acknowledgement);
        assert!(challenge.code() == "4.01" && echo_of(challenge).is_some());
    }
    assert_eq!(subject.endpoint.observers(), 0);
    assert!(subject.endpoint.stats().amplification() <= 3.0);
}

#[test]
fn unproved_peers_have_half_of_the_room_and_are_challenged_beyond_it() {
    let mut config = Config::default();
    config.max_exchanges = 4;
    let mut subject = Subject::with(config);
    let echo = ask(&mut subject, 1, None).1.unwrap();
    ask(&mut subject, 2, Some(&echo));
    let proved: Path = subject.path;
    let open: Vec<_> = (1..=2)
        .map(|port| subject.receive_from(peer(port), &get(1, None)).unwrap())
        .collect();
    assert!(subject.receive_from(peer(3), &get(1, None)).is_none());
    let challenge = subject.sent_one();
    assert_eq!(challenge.code(), "4.01");
    let echo = echo_of(&challenge).unwrap();
    assert!(subject.receive_from(proved, &get(9, None)).is_some());
    assert!(
        subject.receive_from(peer(3), &get(2, Some(&echo))).is_some(),
        "it has proved its address"
    );
    assert!(subject.receive_from(proved, &get(10, None)).is_none());
    assert_eq!(
        subject.sent_one().code(),
        "5.03",
        "a proof does not help where all is full"
    );
    for (id, _) in open {
        subject.respond(id, b"");
    }
    assert!(subject.receive_from(peer(4), &get(1, None)).is_some());
}

/// De-duplication goes by message ID: a response with the ID of a request must not bring the answer to that again.
#[test]
fn a_response_with_the_id_of_a_request_brings_no_answer() {
    let mut subject = Subject::new();
    let padding = [b'p'; 400];
    let options = [PATH, (OptionNumber(65_004), &padding[..])];
    let request = datagram(MessageType::Confirmable, Method::GET, 0x1234, b"", &options, b"");
    let answer = subject.serve(&request, &[b'x'; 1000]).remove(0);
    assert!(answer.bytes.len() > 1000);
    for forged in ["50451234", "40451234", "70001234", "60001234"] {
        assert!(subject.receive(&hex(forged)).is_none());
        let heard = subject.sent();
        assert!(heard.iter().all(|heard| heard.bytes.len() <= 4), "{forged}");
    }
}

/// What is never sent again takes no room while it waits for an acknowledgement that may never come.
#[test]
fn a_separate_response_that_is_paid_for_once_is_not_kept() {
    let mut subject = Subject::new();
    let request = get(1, None);
    let (id, _) = subject.receive(&request).unwrap();
    let acknowledged = subject.pass(Duration::from_secs(1));
    assert!(matches!(&acknowledged[..], [(_, acknowledgement)] if acknowledgement.bytes.len() == 4));
    let heard = subject.respond(id, &[b'x'; 20]).remove(0);
    assert_eq!(heard.message().message_type, MessageType::Confirmable);
    assert!(2 * heard.bytes.len() > 3 * request.len() - 4);
    assert!(subject.endpoint.is_idle());
}

/// RFC 7641 §7: acknowledgements may be forged where message IDs can be guessed, and here all of them are. Blindly going
/// through all IDs is not worth the while.
#[test]
fn forged_acknowledgements_of_all_message_ids_amplify_nothing() {
    let mut subject = Subject::new();
    let (mut came, mut went) = (0, 0);
    let options = [(OptionNumber::OBSERVE, &[][..]), (OptionNumber::URI_PATH, b"t")];
    for id in 0..300_u16 {
        let token = id.to_be_bytes();
        let register = datagram(
            MessageType::NonConfirmable,
            Method::GET,
            id,
            &token,
            &options,
            b"",
        );
        came += register.len();
        let sent = subject.serve_with(&register, state(b"0"));
        went += sent.iter().map(|heard| heard.bytes.len()).sum::<usize>();
        let observes = sent
            .iter()
            .any(|heard| heard.message().options.observe().is_some());
        assert_eq!(
            observes,
            id == 0,
            "the others wait for its acknowledgement, or are challenged"
        );
        assert_eq!(
            sent.iter().any(|heard| echo_of(heard).is_some()),
            id >= 16,
            "{id}"
        );
    }
    for id in 0..=u16::MAX {
        let acknowledgement = datagram(MessageType::Acknowledgement, Code::EMPTY, id, b"", &[], b"");
        came += acknowledgement.len();
        subject.receive(&acknowledgement);
        went += subject
            .sent()
            .iter()
            .map(|heard| heard.bytes.len())
            .sum::<usize>();
    }
    assert!(subject.endpoint.observers() > 0, "they were taken for genuine");
    for _ in 0..2000 {
        subject.endpoint.changed(Topic(1));
        for event in subject.events() {
            if let Event::Refresh { id, .. } = event {
                subject
                    .endpoint
                    .respond(subject.now, id, state(&[b'x'; 1000]))
                    .unwrap();
            }
        }
        let sent = subject.pass(Duration::from_secs(5));
        went += sent.iter().map(|(_, heard)| heard.bytes.len()).sum::<usize>();
    }
    assert!(went > 100_000 && went <= 3 * came, "{went} bytes for {came}");
    assert_eq!(subject.endpoint.observers(), 0);
}

/// Who observes much proves its address first, and then observes as much as it likes.
#[test]
fn who_observes_much_is_asked_to_prove_its_address() {
    let mut subject = Subject::new();
    let register = |subject: &mut Subject, id: u16, token: u16, echo: Option<&[u8]>| {
        let mut options = vec![(OptionNumber::OBSERVE, &[][..]), (OptionNumber::URI_PATH, b"t")];
        options.extend(echo.map(|echo| (OptionNumber::ECHO, echo)));
        let token = token.to_be_bytes();
        let register = datagram(MessageType::Confirmable, Method::GET, id, &token, &options, b"");
        let response = ResponseRef::new(Status::CONTENT, Options::empty(), b"0").with_observe(Some(Topic(1)));
        let sent = subject.serve_with(&register, response).pop().unwrap();
        if sent.message().message_type == MessageType::Confirmable {
            let id = sent.id();
            subject.receive(&datagram(
                MessageType::Acknowledgement,
                Code::EMPTY,
                id,
                b"",
                &[],
                b"",
            ));
        }
        sent
    };
    for id in 1..=16 {
        assert_eq!(register(&mut subject, id, id, None).code(), "2.05");
    }
    assert_eq!(
        register(&mut subject, 17, 1, None).code(),
        "2.05",
        "it renews one"
    );
    let challenge = register(&mut subject, 18, 18, None);
    assert_eq!(challenge.code(), "4.01");
    let echo = echo_of(&challenge).unwrap();
    for id in 19..60 {
        let sent = register(&mut subject, id, id, Some(&echo));
        assert!(sent.message().options.observe().is_some());
    }
    assert_eq!(subject.endpoint.observers(), 16 + 41);
}

/// Many separate responses that are not paid for twice wait behind one that is: they leave one after the other, not one
/// within the other.
#[test]
fn any_number_of_responses_leaves_at_once_on_a_small_stack() {
    const RESPONSES: u16 = 1_000;
    let leave = || {
        let mut subject = Subject::new();
        let ids: Vec<_> = (1..=RESPONSES)
            .map(|id| subject.receive(&get(id, None)).unwrap().0)
            .collect();
        subject.pass(Duration::from_secs(2));
        let mut ids = ids.into_iter();
        let first = ids.next().unwrap();
        assert_eq!(subject.respond(first, b"").len(), 1);
        for id in ids {
            assert!(subject.respond(id, &[b'x'; 20]).is_empty());
        }
        let sent = subject.pass(Duration::from_secs(200));
        assert!(sent.len() >= usize::from(RESPONSES) - 1, "{}", sent.len());
    };
    let small = std::thread::Builder::new().stack_size(256 * 1024);
    small.spawn(leave).unwrap().join().unwrap();
}

/// The smallest configuration remembers what it was asked for.
#[test]
fn a_constrained_endpoint_runs_nothing_twice() {
    let mut config = Config::constrained();
    config.amplification = None;
    let mut subject = Subject::with(config);
    for id in 0..20 {
        let post = datagram(MessageType::Confirmable, Method::POST, id, b"t", &[PATH], b"x");
        assert_eq!(subject.serve(&post, b"")[0].code(), "2.05", "{id}");
        assert!(subject.receive(&post).is_none(), "{id}");
        assert_eq!(subject.sent_one().code(), "2.05");
    }
}

/// A subject with room for four observers, of which two may be unproved.
fn with_few_observers() -> Subject {
    let mut config = Config::default();
    config.max_observers = 4;
    Subject::with(config)
}

/// Registers an observer, whose first notification is acknowledged or not; the last message that it was sent.
fn register(subject: &mut Subject, port: u16, id: u16, echo: &[u8], confirms: bool) -> Heard {
    let mut options = vec![(OptionNumber::OBSERVE, &[][..]), (OptionNumber::URI_PATH, b"t")];
    if !echo.is_empty() {
        options.push((OptionNumber::ECHO, echo));
    }
    subject.path = peer(port);
    let request = datagram(MessageType::Confirmable, Method::GET, id, b"t", &options, b"");
    let response = ResponseRef::new(Status::CONTENT, Options::empty(), b"0").with_observe(Some(Topic(1)));
    let last = subject.serve_with(&request, response).pop().unwrap();
    if confirms && last.message().message_type == MessageType::Confirmable {
        let ack = MessageType::Acknowledgement;
        subject.receive(&datagram(ack, Code::EMPTY, last.id(), b"", &[], b""));
    }
    last
}

fn observes(heard: &Heard) -> bool {
    heard.message().options.observe().is_some()
}

/// While forged registrations take all that is there for unproved addresses, who is where it says still observes.
#[test]
fn who_would_observe_beyond_the_share_of_the_unproved_is_asked_to_prove_its_address() {
    let mut subject = with_few_observers();
    assert!((1..=2).all(|port| observes(&register(&mut subject, port, 1, b"", false))));
    let challenge = register(&mut subject, 3, 1, b"", false);
    assert_eq!(challenge.code(), "4.01");
    let echo = echo_of(&challenge).unwrap();
    assert!(observes(&register(&mut subject, 3, 2, &echo, true)));
    assert_eq!(subject.endpoint.observers(), 3);

    // What cannot be observed needs no such room (RFC 7641 §2).
    subject.path = peer(4);
    let options = [(OptionNumber::OBSERVE, &[][..]), (OptionNumber::URI_PATH, b"t")];
    let post = datagram(MessageType::Confirmable, Method::POST, 1, b"t", &options, b"");
    assert!(subject.receive(&post).is_some());
}

#[test]
fn an_observer_that_renews_its_observation_keeps_its_place_in_a_flood() {
    let mut subject = with_few_observers();
    assert!(observes(&register(&mut subject, 1, 1, b"", true)));
    for port in 2..=5 {
        register(&mut subject, port, 1, b"", false);
    }
    assert_eq!(
        subject.endpoint.observers(),
        3,
        "one has confirmed, and two are unproved"
    );
    assert!(observes(&register(&mut subject, 1, 2, b"", true)));
    assert!(observes(&register(&mut subject, 2, 2, b"", false)));
    assert_eq!(subject.endpoint.observers(), 3);
}
