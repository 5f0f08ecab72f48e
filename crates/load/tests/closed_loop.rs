//! Peers that each keep some requests outstanding, and every answer judged.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::mpsc;
use std::time::Duration;

use coracle_load::{Expect, Load, Plan, Until, Wrong};
use coracle_wire::{Message, MessageId, MessageType, OptionNumber, Status};

mod server;
use server::{empty, response, serve, with_options};

/// Ends a test that hangs; nothing takes so long.
const LONG: Duration = Duration::from_secs(60);

/// Nothing is sent again only because the machine is busy.
fn plan(server: std::net::SocketAddr) -> Plan {
    let mut plan = Plan::get(server, &["temp"]);
    plan.ack_timeout = Duration::from_secs(8);
    plan
}

/// Sent again soon, where the first answers are none.
fn impatient_plan(server: std::net::SocketAddr) -> Plan {
    let mut plan = plan(server);
    plan.ack_timeout = Duration::from_millis(50);
    plan
}

#[tokio::test]
async fn every_peer_has_its_own_address_and_all_are_answered() {
    let (tell, told) = mpsc::channel();
    let server = serve(move |request, from| {
        assert_eq!(request.options.path().collect::<Vec<_>>(), [b"temp"]);
        tell.send((from, request.message_id, request.token.to_vec()))
            .unwrap();
        vec![response(request, Status::CONTENT, b"21.5")]
    });
    let mut plan = plan(server);
    // No more at once than the server's receive buffer holds while its thread does not run.
    (plan.peers, plan.outstanding, plan.window) = (100, 2, 64);
    let mut load = Load::start(plan).unwrap();
    let tally = load.run(Until::Answered(1000)).await.unwrap();
    let rest = load.settle(LONG).await.unwrap();

    assert!(tally.answered >= 1000);
    assert_eq!(tally.answered + rest.answered, tally.sent);
    assert_eq!(tally.codes.get(&Status::CONTENT), Some(&tally.answered));
    assert_eq!(tally.wrong_answers() + tally.strays + tally.errors(), 0);
    assert_eq!(tally.latency.len(), tally.answered);
    assert_eq!(load.sources(), 100);
    let requests: Vec<_> = told.try_iter().collect();
    let sources: HashSet<_> = requests.iter().map(|(from, ..)| *from).collect();
    assert_eq!(sources.len(), 100);
    let identities: HashSet<_> = requests.iter().map(|(from, id, _)| (*from, *id)).collect();
    assert_eq!(identities.len(), requests.len(), "a message ID was used twice");
}

#[tokio::test]
async fn all_peers_have_their_turn_in_a_small_window() {
    let (tell, told) = mpsc::channel();
    let server = serve(move |request, from| {
        tell.send(from).unwrap();
        vec![response(request, Status::CONTENT, b"21.5")]
    });
    let mut plan = plan(server);
    (plan.peers, plan.window) = (50, 2);
    let mut load = Load::start(plan).unwrap();
    let tally = load.run(Until::Answered(200)).await.unwrap();
    let rest = load.settle(LONG).await.unwrap();

    assert!(rest.answered <= 2, "more was outstanding than the window holds");
    assert_eq!(tally.sent, tally.answered + rest.answered);
    let asked: Vec<_> = told.try_iter().collect();
    let first_turns: HashSet<_> = asked.iter().take(50).collect();
    assert_eq!(
        first_turns.len(),
        50,
        "a peer had its turn before others that waited"
    );
}

#[tokio::test]
async fn a_peer_whose_message_ids_are_used_up_goes_on_from_another_address() {
    let (tell, told) = mpsc::channel();
    let server = serve(move |request, from| {
        tell.send((from, request.message_id)).unwrap();
        vec![response(request, Status::CONTENT, b"1")]
    });
    let mut plan = plan(server);
    plan.outstanding = 32;
    let mut load = Load::start(plan).unwrap();
    let tally = load.run(Until::Answered(70_000)).await.unwrap();
    assert_eq!((tally.wrong_answers(), tally.strays), (0, 0));
    assert_eq!(load.sources(), 2);
    let mut seen: HashMap<(std::net::SocketAddr, MessageId), u64> = HashMap::new();
    for key in told.try_iter() {
        *seen.entry(key).or_default() += 1;
    }
    let repeated: u64 = seen.values().map(|count| count - 1).sum();
    assert_eq!(repeated, tally.retransmissions);
}

#[tokio::test]
async fn wrong_answers_are_told_apart_and_the_request_goes_out_again() {
    let mut answers = 0;
    let server = serve(move |request, _| {
        answers += 1;
        let right = response(request, Status::CONTENT, b"1");
        let mut wrong = right.clone();
        match answers {
            // Another message ID, another token, no message at all, then the right answer.
            1 => wrong[3] ^= 1,
            2 => wrong[6] ^= 0x80,
            3 => wrong[0] = 0x6f,
            _ => return vec![right],
        }
        vec![wrong]
    });
    let mut load = Load::start(impatient_plan(server)).unwrap();
    let tally = load.run(Until::Answered(1)).await.unwrap();
    assert_eq!(tally.wrong.get(&Wrong::MessageId), Some(&1));
    assert_eq!(tally.wrong.get(&Wrong::Malformed), Some(&1));
    assert_eq!(tally.strays, 1);
    assert!(tally.retransmissions >= 3);
    assert!(tally.first_wrong.unwrap().contains("message ID"));
}

#[tokio::test]
async fn a_payload_that_differs_is_wrong_and_not_counted() {
    let mut answers = 0;
    let server = serve(move |request, _| {
        answers += 1;
        let payload: &[u8] = if answers == 2 { b"22.5" } else { b"21.5" };
        vec![response(request, Status::CONTENT, payload)]
    });
    let mut load = Load::start(plan(server)).unwrap();
    let tally = load.run(Until::Answered(3)).await.unwrap();
    assert_eq!(tally.wrong.get(&Wrong::Payload), Some(&1));
    assert_eq!(
        tally.first_wrong.as_deref(),
        Some("from byte 1 on \"2.5\" instead of \"1.5\"")
    );

    let mut plan = plan(server);
    plan.expect = Expect::Payload(b"21.6"[..].into());
    plan.timeout = Duration::from_millis(200);
    let mut load = Load::start(plan.clone()).unwrap();
    let none = load.run(Until::Answered(1)).await.unwrap_err();
    assert_eq!(none.kind(), io::ErrorKind::TimedOut);
    plan.expect = Expect::Anything;
    let mut load = Load::start(plan).unwrap();
    assert_eq!(load.run(Until::Answered(1)).await.unwrap().wrong_answers(), 0);
}

/// RFC 7252 §5.10.6: an ETag is that of one representation.
#[tokio::test]
async fn a_resource_may_change_but_not_under_one_etag() {
    let mut answers = 0;
    let server = serve(move |request, _| {
        answers += 1;
        let (etag, payload): (&[(OptionNumber, &[u8])], &[u8]) = match answers {
            1 => (&[(OptionNumber::ETAG, b"a")], b"1"),
            2 => (&[(OptionNumber::ETAG, b"b")], b"2"),
            3 => (&[(OptionNumber::ETAG, b"b")], b"3"),
            4 => (&[], b"4"),
            _ => (&[(OptionNumber::ETAG, b"a")], b"1"),
        };
        vec![with_options(request, Status::CONTENT, etag, payload)]
    });
    let mut plan = plan(server);
    plan.expect = Expect::noted();
    let mut load = Load::start(plan).unwrap();
    let tally = load.run(Until::Over(5)).await.unwrap();
    assert_eq!((tally.answered, tally.changed), (4, 2));
    assert_eq!(tally.wrong.into_iter().collect::<Vec<_>>(), [(Wrong::Payload, 1)]);
    assert_eq!(
        tally.first_changed.as_deref(),
        Some("from byte 0 on \"2\" instead of \"1\"")
    );
    assert_eq!(
        tally.first_wrong.as_deref(),
        Some("from byte 0 on \"3\" instead of \"2\", under the same ETag")
    );
}

#[tokio::test]
async fn so_many_requests_are_sent_and_no_more_whatever_becomes_of_them() {
    let (tell, told) = mpsc::channel();
    let mut count = 0;
    let server = serve(move |request, _| {
        count += 1;
        tell.send(()).unwrap();
        match count {
            1 => vec![],
            2 => vec![empty(MessageType::Reset, request)],
            3..=5 => vec![response(request, Status::NOT_FOUND, b"")],
            _ => vec![response(request, Status::CONTENT, b"1")],
        }
    });
    let mut plan = plan(server);
    (plan.peers, plan.timeout) = (4, Duration::from_millis(300));
    let mut load = Load::start(plan).unwrap();
    let tally = load.run(Until::Over(20)).await.unwrap();
    assert_eq!((tally.sent, tally.outstanding, tally.unsent), (20, 0, 0));
    assert_eq!((tally.timeouts, tally.resets, tally.errors()), (1, 1, 3));
    assert_eq!(tally.answered, 15);
    assert_eq!(told.try_iter().count(), 20);
}

#[tokio::test]
async fn a_second_is_told_as_exactly_as_the_whole_and_with_every_code() {
    let mut count = 0;
    let server = serve(move |request, _| {
        count += 1;
        match count % 3 {
            0 => vec![response(request, Status::NOT_FOUND, b"")],
            1 => vec![response(request, Status::CONTENT, b"2")],
            _ => vec![response(request, Status::CONTENT, b"1")],
        }
    });
    let mut plan = plan(server);
    plan.expect = Expect::Payload(b"1"[..].into());
    let mut load = Load::start(plan).unwrap();
    let mut samples = Vec::new();
    let tally = load
        .watch(Until::Over(30), &Default::default(), &mut |sample| {
            samples.push(sample)
        })
        .await
        .unwrap();
    let mut all = samples.remove(0);
    samples.iter().for_each(|sample| all.join(sample));
    assert_eq!((all.answered, all.wrong, all.lost, all.failed()), (10, 10, 0, 20));
    assert_eq!(
        all.errors.into_iter().collect::<Vec<_>>(),
        [(Status::NOT_FOUND, 10)]
    );
    assert_eq!(all.latency, tally.latency);
    assert_eq!(all.latency.max(), tally.latency.max());
}

#[tokio::test]
async fn copies_and_late_answers_are_no_answers() {
    let mut before: Option<Vec<u8>> = None;
    let mut count = 0;
    let server = serve(move |request, _| {
        count += 1;
        let right = response(request, Status::CONTENT, b"1");
        match count {
            // Twice; then nothing until it is given up; then both.
            1 => vec![right.clone(), right],
            2 => {
                before = Some(right);
                vec![]
            }
            _ => before.take().into_iter().chain([right]).collect(),
        }
    });
    let mut plan = plan(server);
    plan.request.confirmable = false;
    plan.timeout = Duration::from_millis(500);
    let mut load = Load::start(plan).unwrap();
    let tally = load.run(Until::Answered(2)).await.unwrap();
    assert_eq!((tally.duplicates, tally.timeouts, tally.late), (1, 1, 1));
    assert_eq!((tally.sent, tally.retransmissions, tally.strays), (3, 0, 0));
}

#[tokio::test]
async fn separate_responses_are_acknowledged_and_their_requests_not_repeated() {
    let (tell, told) = mpsc::channel();
    let server = serve(move |request, _| {
        tell.send((request.message_type, request.message_id)).unwrap();
        if !matches!(request.code.class(), 0) || request.code.is_empty() {
            return vec![];
        }
        let mut separate = response(request, Status::CONTENT, b"1");
        // A confirmable message of the server's own.
        (separate[0], separate[2], separate[3]) = (0x48, 0xbe, 0xef);
        vec![empty(MessageType::Acknowledgement, request), separate]
    });
    let mut load = Load::start(plan(server)).unwrap();
    let tally = load.run(Until::Answered(1)).await.unwrap();
    load.settle(Duration::from_millis(1)).await.unwrap();
    assert_eq!((tally.separate, tally.retransmissions), (1, 0));
    let mut told = std::iter::from_fn(|| told.recv_timeout(Duration::from_secs(5)).ok());
    let acknowledged = told.find(|(kind, _)| *kind == MessageType::Acknowledgement);
    assert_eq!(acknowledged.unwrap().1, MessageId(0xbeef));
}

#[tokio::test]
async fn resets_and_errors_are_counted_by_kind() {
    let mut count = 0;
    let server = serve(move |request, _| {
        count += 1;
        vec![match count {
            1 => empty(MessageType::Reset, request),
            2 => response(request, Status::NOT_FOUND, b""),
            3 => response(request, Status::SERVICE_UNAVAILABLE, b""),
            _ => response(request, Status::CONTENT, b"1"),
        }]
    });
    let mut load = Load::start(plan(server)).unwrap();
    let tally = load.run(Until::Answered(1)).await.unwrap();
    assert_eq!((tally.resets, tally.errors(), tally.sent), (1, 2, 4));
    assert_eq!(tally.codes.get(&Status::NOT_FOUND), Some(&1));
    assert_eq!(tally.codes.get(&Status::SERVICE_UNAVAILABLE), Some(&1));
}

/// RFC 9175 §2.3: the request goes out again with the Echo option, as a new message.
#[tokio::test]
async fn a_challenge_is_met_once_for_each_peer() {
    let server = serve(move |request: &Message<'_>, _| {
        let known = request.options.get(OptionNumber::ECHO) == Some(b"proof!");
        vec![match known {
            true => with_options(request, Status::CONTENT, &[(OptionNumber::ECHO, b"proof!")], b"1"),
            false => with_options(
                request,
                Status::UNAUTHORIZED,
                &[(OptionNumber::ECHO, b"proof!")],
                b"",
            ),
        }]
    });
    let mut plan = plan(server);
    plan.peers = 3;
    let mut load = Load::start(plan).unwrap();
    let tally = load.run(Until::Answered(30)).await.unwrap();
    assert_eq!(
        (tally.challenges, tally.timeouts, tally.wrong_answers()),
        (3, 0, 0)
    );
    // They are no answers.
    assert_eq!(
        (tally.codes.get(&Status::UNAUTHORIZED), tally.errors()),
        (None, 0)
    );
    assert_eq!(tally.codes.get(&Status::CONTENT), Some(&tally.answered));
}

/// A server that does not answer more than three times what it got sends a small first block with Echo.
#[tokio::test]
async fn an_answer_that_was_cut_for_want_of_proof_is_asked_for_again() {
    let body = [b'x'; 600];
    let server = serve(move |request: &Message<'_>, _| {
        vec![match request.options.get(OptionNumber::ECHO) {
            Some(b"proof!") => response(request, Status::CONTENT, &body),
            _ => with_options(
                request,
                Status::CONTENT,
                &[(OptionNumber::BLOCK2, &[0x08]), (OptionNumber::ECHO, b"proof!")],
                &body[..16],
            ),
        }]
    });
    let mut load = Load::start(plan(server)).unwrap();
    let tally = load.run(Until::Answered(1)).await.unwrap();
    assert_eq!((tally.challenges, tally.answered, tally.partial), (1, 1, 0));
    assert!(tally.bytes_in > 600);
}

#[tokio::test]
async fn a_run_against_nobody_ends_at_once() {
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let mut load = Load::start(plan(address)).unwrap();
    let refused = load
        .run(Until::Passed(Duration::from_secs(60)))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn peers_of_other_servers_have_ports_of_their_own() {
    let socket = std::net::UdpSocket::bind("[::1]:0").unwrap();
    let server = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buf = [0; 2048];
        while let Ok((len, from)) = socket.recv_from(&mut buf) {
            let request = Message::parse(&buf[..len]).unwrap();
            let payload = from.port().to_string();
            socket
                .send_to(&response(&request, Status::CONTENT, payload.as_bytes()), from)
                .unwrap();
        }
    });
    let mut plan = plan(server);
    (plan.peers, plan.expect) = (5, Expect::Anything);
    let mut load = Load::start(plan).unwrap();
    let tally = load.run(Until::Answered(100)).await.unwrap();
    assert_eq!((tally.wrong_answers(), tally.strays, load.sources()), (0, 0, 5));
}

/// RFC 7252 §5.3.2: the source of an answer has to be where the request went.
#[tokio::test]
async fn an_answer_from_another_port_is_no_answer() {
    let other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut count = 0;
    let server = serve(move |request, from| {
        count += 1;
        let right = response(request, Status::CONTENT, b"1");
        if count == 1 {
            other.send_to(&right, from).unwrap();
            return vec![];
        }
        vec![right]
    });
    let mut load = Load::start(impatient_plan(server)).unwrap();
    let tally = load.run(Until::Answered(1)).await.unwrap();
    assert_eq!(tally.wrong.get(&Wrong::Source), Some(&1));
    assert!(tally.answered == 1 && tally.retransmissions >= 1);
    assert!(tally.first_wrong.unwrap().contains("answered a request to"));
}

/// RFC 7252 §4.3: a non-confirmable request is not acknowledged.
#[tokio::test]
async fn an_acknowledgement_of_a_non_confirmable_request_is_wrong() {
    let mut count = 0;
    let server = serve(move |request, _| {
        count += 1;
        let mut answer = response(request, Status::CONTENT, b"1");
        if count == 1 {
            answer[0] = 0x68;
        }
        vec![answer]
    });
    let mut plan = plan(server);
    (plan.request.confirmable, plan.timeout) = (false, Duration::from_millis(500));
    let mut load = Load::start(plan).unwrap();
    let tally = load.run(Until::Answered(1)).await.unwrap();
    assert_eq!((tally.wrong.get(&Wrong::Type), tally.timeouts), (Some(&1), 1));
}
