//! Peers on connections (RFC 8323): the same requests and judgements, with signaling instead of acknowledgements.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::time::Duration;

use coracle_load::{ConnectOptions, Load, Loss, Plan, Transport, Until, Work, Wrong};
use coracle_wire::{
    BlockOption, Code, CodeKind, Csm, Framing, Message, MessageId, MessageType, OptionNumber, Options,
    OptionsBuf, Signal, Status,
};

mod server;
use server::stream::{BERT_CSM, EMPTY_CSM, frame, serve_stream};

/// Ends a test that hangs; nothing takes so long.
const LONG: Duration = Duration::from_secs(60);

fn plan(server: SocketAddr) -> Plan {
    let mut plan = Plan::get(server, &["temp"]);
    plan.transport = Transport::Connections(ConnectOptions::default());
    plan
}

fn is_request(message: &Message<'_>) -> bool {
    matches!(message.code.kind(), CodeKind::Request(_))
}

/// A signaling message of the server.
fn signal(signal: Signal, options: &OptionsBuf, payload: &[u8]) -> Vec<u8> {
    let message = Message {
        message_type: MessageType::NonConfirmable,
        code: Code::from(signal),
        message_id: MessageId(0),
        token: b"s",
        options: options.as_options(),
        payload,
    };
    let mut bytes = Vec::new();
    message.append_frame(Framing::Tcp, &mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn each_peer_is_a_connection_that_begins_with_a_csm_and_answers_may_come_in_any_order() {
    let (tell, told) = mpsc::channel();
    let mut waiting = Vec::new();
    let server = serve_stream(EMPTY_CSM, move |message, number| {
        let csm = Csm::read(message.options).ok().filter(|_| !is_request(message));
        tell.send((number, csm)).unwrap();
        if is_request(message) {
            waiting.push(frame(message, Status::CONTENT, &[], b"21.5"));
        }
        // Four are outstanding on each connection; they are answered in the reverse order.
        Some(match waiting.len() {
            4 => waiting.drain(..).rev().collect(),
            _ => Vec::new(),
        })
    });
    let mut plan = plan(server);
    (plan.peers, plan.outstanding) = (5, 4);
    let mut load = Load::start(plan).unwrap();
    let connected = load.connect(&AtomicBool::new(false)).await.unwrap();
    let tally = load.run(Until::Over(400)).await.unwrap();

    assert_eq!((connected.connections, load.sources()), (5, 5));
    assert_eq!((tally.answered, tally.sent), (400, 400));
    assert_eq!(tally.wrong_answers() + tally.strays + tally.duplicates, 0);
    assert_eq!(tally.lost_connections(), 0);
    let told: Vec<_> = told.try_iter().collect();
    for number in 0..5 {
        let mut of_connection = told.iter().filter(|(of, _)| *of == number);
        let first = of_connection.next().unwrap().1.unwrap();
        assert!(first.block_wise_transfer && first.max_message_size > Some(1152));
        assert!(of_connection.all(|(_, csm)| csm.is_none()));
    }
}

#[tokio::test]
async fn a_server_that_sends_no_csm_first_is_told_apart_from_one_that_is_not_there() {
    let answers_at_once = serve_stream(&[], |message, _| {
        Some(vec![frame(message, Status::CONTENT, &[], b"")])
    });
    let error = Load::start(plan(answers_at_once))
        .unwrap()
        .run(Until::Over(1))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no CSM but 2.05"), "{error}");

    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = Load::start(plan(gone))
        .unwrap()
        .run(Until::Over(1))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn an_abort_is_told_in_the_words_of_the_server_and_the_connection_is_opened_anew() {
    let mut asked = 0;
    let server = serve_stream(EMPTY_CSM, move |message, number| {
        asked += usize::from(is_request(message));
        match is_request(message) {
            true if number == 0 && asked == 3 => {
                Some(vec![signal(Signal::ABORT, &OptionsBuf::new(), b"too much")])
            }
            true => Some(vec![frame(message, Status::CONTENT, &[], b"")]),
            false => Some(Vec::new()),
        }
    });
    let tally = Load::start(plan(server))
        .unwrap()
        .run(Until::Over(10))
        .await
        .unwrap();
    assert_eq!((tally.answered, tally.disconnected), (9, 1));
    assert_eq!(tally.losses, [(Loss::Aborted, 1)].into());
    assert_eq!(tally.first_loss.as_deref(), Some("\"too much\""));
}

#[tokio::test]
async fn closed_released_and_unreadable_connections_are_told_apart() {
    let server = serve_stream(EMPTY_CSM, |message, number| {
        let answer = || frame(message, Status::CONTENT, &[], b"");
        match (is_request(message), number) {
            (false, _) => Some(Vec::new()),
            (true, 0) => None,
            // The answer to what was asked before a Release counts.
            (true, 1) => Some(vec![signal(Signal::RELEASE, &OptionsBuf::new(), b""), answer()]),
            // A token length of 15 is reserved.
            (true, 2) => Some(vec![vec![0x0f, 0x45]]),
            (true, _) => Some(vec![answer()]),
        }
    });
    let tally = Load::start(plan(server))
        .unwrap()
        .run(Until::Over(4))
        .await
        .unwrap();
    let expected = [(Loss::Malformed, 1), (Loss::Released, 1), (Loss::Closed, 1)];
    assert_eq!(tally.losses, expected.into());
    assert_eq!((tally.answered, tally.disconnected), (2, 2));
    assert_eq!(tally.wrong, [(Wrong::Malformed, 1)].into());
}

#[tokio::test]
async fn pings_are_answered_and_messages_without_a_code_ignored() {
    let (tell, told) = mpsc::channel();
    let server = serve_stream(EMPTY_CSM, move |message, _| {
        if message.code == Code::from(Signal::PONG) {
            tell.send(message.token.to_vec()).unwrap();
        }
        let empty = vec![0x00, 0x00];
        let ping = signal(Signal::PING, &OptionsBuf::new(), b"");
        let answer = frame(message, Status::CONTENT, &[], b"");
        Some(match is_request(message) {
            true => vec![empty, ping, answer],
            false => Vec::new(),
        })
    });
    let tally = Load::start(plan(server))
        .unwrap()
        .run(Until::Over(2))
        .await
        .unwrap();
    assert_eq!(
        (tally.answered, tally.strays, tally.lost_connections()),
        (2, 0, 0)
    );
    assert_eq!(told.recv_timeout(LONG).unwrap(), b"s");
}

/// Takes bodies, and tells the Block1 and the length of each part.
fn upload_to(csm: &'static [u8]) -> (SocketAddr, mpsc::Receiver<(Option<BlockOption>, usize)>) {
    let (tell, told) = mpsc::channel();
    let block_of = |options: Options<'_>| options.block1().map(Result::unwrap);
    let server = serve_stream(csm, move |message, _| {
        if !is_request(message) {
            return Some(Vec::new());
        }
        let block = block_of(message.options);
        tell.send((block, message.payload.len())).unwrap();
        let status = match block.is_some_and(BlockOption::more) {
            true => Status::CONTINUE,
            false => Status::CHANGED,
        };
        let value = block.map(BlockOption::encode);
        let option: Vec<_> = value
            .iter()
            .map(|value| (OptionNumber::BLOCK1, value.as_ref()))
            .collect();
        Some(vec![frame(message, status, &option, b"")])
    });
    (server, told)
}

#[tokio::test]
async fn parts_of_bodies_are_as_long_as_the_server_takes() {
    let upload = |server| {
        let mut plan = plan(server);
        plan.work = Work::Upload;
        plan.request.payload = (0..=255).cycle().take(10_000).collect();
        plan
    };
    let part = |num, more, szx| BlockOption::new(num, more, szx).ok();

    // RFC 8323 §6: seven blocks of 1,024 bytes fit 8,192 bytes with what is beside them.
    let (server, told) = upload_to(BERT_CSM);
    let tally = Load::start(upload(server))
        .unwrap()
        .run(Until::Over(1))
        .await
        .unwrap();
    assert_eq!((tally.answered, tally.body_bytes), (1, 10_000));
    let parts: Vec<_> = told.try_iter().collect();
    assert_eq!(
        parts,
        [
            (part(0, true, 7), 7 * 1024),
            (part(7, false, 7), 10_000 - 7 * 1024)
        ]
    );

    // RFC 8323 §5.3.1: 1,152 bytes are what a server takes that does not say.
    let (server, told) = upload_to(EMPTY_CSM);
    let tally = Load::start(upload(server))
        .unwrap()
        .run(Until::Over(1))
        .await
        .unwrap();
    assert_eq!((tally.answered, tally.blocks), (1, 10));
    assert_eq!(told.try_iter().next(), Some((part(0, true, 6), 1024)));
    let mut too_long = upload(server);
    too_long.work = Work::Requests;
    let error = Load::start(too_long)
        .unwrap()
        .run(Until::Over(1))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("1152"), "{error}");
}

#[tokio::test]
async fn bodies_come_down_in_bert_of_any_number_of_blocks() {
    let body: Vec<u8> = (0..=255).cycle().take(5_500).collect();
    let server = serve_stream(BERT_CSM, move |message, _| {
        let Some(asked) = message.options.block2().map(Result::unwrap) else {
            return Some(Vec::new());
        };
        // Two blocks, then three, and then the rest.
        let offset = usize::try_from(asked.offset()).unwrap();
        let len = if offset == 0 { 2048 } else { 3072 };
        let end = body.len().min(offset + len);
        let block = BlockOption::new(asked.num(), end < body.len(), 7)
            .unwrap()
            .encode();
        let part = &body[offset..end];
        let option = (OptionNumber::BLOCK2, block.as_ref());
        Some(vec![frame(message, Status::CONTENT, &[option], part)])
    });
    let mut plan = plan(server);
    plan.work = Work::Download;
    let tally = Load::start(plan).unwrap().run(Until::Over(2)).await.unwrap();
    assert_eq!((tally.answered, tally.wrong_answers()), (2, 0));
    assert_eq!((tally.blocks, tally.body_bytes), (6, 11_000));
}

/// RFC 8323 §7: notifications come in order, and their Observe is empty.
#[tokio::test]
async fn notifications_need_no_numbers() {
    let server = serve_stream(EMPTY_CSM, |message, _| {
        let notification =
            |payload: &[u8]| frame(message, Status::CONTENT, &[(OptionNumber::OBSERVE, b"")], payload);
        Some(match message.options.observe() {
            Some(0) => vec![notification(b"0"), notification(b"1"), notification(b"2")],
            Some(_) => vec![frame(message, Status::CONTENT, &[], b"2")],
            None => Vec::new(),
        })
    });
    let mut plan = plan(server);
    (plan.work, plan.peers) = (Work::Observe, 3);
    let mut load = Load::start(plan).unwrap();
    let stop = AtomicBool::new(false);
    load.register(&stop).await.unwrap();
    assert_eq!(load.observers(), 3);
    let (_, fanout) = load
        .listen(Duration::from_millis(100), &stop, &mut |_| {})
        .await
        .unwrap();
    assert_eq!((fanout.outdated, fanout.ended), (0, 0));
    let left = load.leave(LONG).await.unwrap();
    assert_eq!((left.answered, left.wrong_answers()), (3, 0));
}
