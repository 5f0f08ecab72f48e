//! Observers that count what they are told, and when.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::mpsc;
use std::time::Duration;

use coracle_load::{Load, Plan, Work, Wrong};
use coracle_wire::{Message, MessageId, MessageType, MessageWriter, OptionNumber, Status};

mod server;
use server::{empty, response, serve, with_options};

fn notification(id: u16, token: &[u8], number: u64, confirmable: bool, payload: &[u8]) -> Vec<u8> {
    let message_type = match confirmable {
        true => MessageType::Confirmable,
        false => MessageType::NonConfirmable,
    };
    let mut buf = [0; 64];
    let len = MessageWriter::new(&mut buf, message_type, Status::CONTENT, MessageId(id), token)
        .option_uint(OptionNumber::OBSERVE, number)
        .payload(payload)
        .finish()
        .unwrap();
    buf[..len].to_vec()
}

/// A server of observers. A ping has it notify all of two changes; then one of them gets a copy, an older one, a
/// repetition, and the end. It tells of the acknowledgements that it gets.
fn observed() -> (std::net::SocketAddr, mpsc::Receiver<(MessageType, MessageId)>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let server = socket.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut buf, mut observers) = ([0; 2048], Vec::new());
        while let Ok((len, from)) = socket.recv_from(&mut buf) {
            let request = Message::parse(&buf[..len]).unwrap();
            let trigger = request.code.is_empty() && request.message_type == MessageType::Confirmable;
            match request.options.observe() {
                Some(0) => observers.push((from, request.token.to_vec())),
                Some(1) => observers.retain(|known| *known != (from, request.token.to_vec())),
                _ => tell.send((request.message_type, request.message_id)).unwrap(),
            }
            if request.options.observe() == Some(1) {
                // The state changes once more just before the server hears of the end.
                let last = notification(20, request.token, 9, false, b"3");
                socket.send_to(&last, from).unwrap();
            }
            let option: &[(OptionNumber, &[u8])] = match request.options.observe() {
                Some(0) => &[(OptionNumber::OBSERVE, &[5])],
                _ => &[],
            };
            if !request.code.is_empty() {
                socket
                    .send_to(&with_options(&request, Status::CONTENT, option, b"0"), from)
                    .unwrap();
            }
            if trigger {
                for (id, payload) in [(1, b"1"), (2, b"2")] {
                    for (to, token) in &observers {
                        let number = 5 + u64::from(id);
                        socket
                            .send_to(&notification(id, token, number, id == 2, payload), to)
                            .unwrap();
                    }
                }
                let (to, token) = observers.pop().unwrap();
                let mut end = notification(10, &token, 0, false, b"");
                end.truncate(12);
                (end[1], end[2]) = (0x84, 0xee);
                for datagram in [
                    notification(2, &token, 7, true, b"2"),
                    notification(8, &token, 6, false, b"1"),
                    notification(9, &token, 8, true, b"2"),
                    end,
                ] {
                    socket.send_to(&datagram, to).unwrap();
                }
            }
        }
    });
    (server, told)
}

#[tokio::test]
async fn changes_are_waves_and_observers_leave_under_their_token() {
    let (server, told) = observed();
    let mut plan = Plan::get(server, &["temp"]);
    (plan.peers, plan.outstanding, plan.work) = (3, 2, Work::Observe);
    let mut load = Load::start(plan).unwrap();
    let registered = load.register(&Default::default()).await.unwrap();
    assert_eq!((registered.answered, registered.wrong_answers()), (6, 0));
    assert_eq!(load.observers(), 6);
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .send_to(b"\x40\0\0\0", server)
        .unwrap();
    let (tally, fanout) = load
        .listen(Duration::from_secs(1), &Default::default(), &mut |_| {})
        .await
        .unwrap();
    let left = load.leave(Duration::from_secs(5)).await.unwrap();

    assert_eq!(fanout.notifications, 14, "{fanout:?}");
    assert_eq!((fanout.repeats, fanout.outdated, fanout.ended), (1, 1, 1));
    let waves: Vec<_> = fanout
        .waves
        .iter()
        .map(|wave| (&wave.payload[..], wave.told))
        .collect();
    assert_eq!(waves, [(&b"1"[..], 6), (b"2", 6)]);
    assert_eq!((tally.duplicates, tally.strays, tally.wrong_answers()), (1, 0, 0));
    // The first of each wave is what the other ten are measured by; all but the end are right.
    assert_eq!((tally.latency.len(), tally.answered), (10, 14));
    assert_eq!((left.answered, left.errors(), left.duplicates), (5, 0, 0));
    // Six confirmable notifications, one copy, one repetition: all acknowledged.
    let acknowledged = told
        .try_iter()
        .filter(|(kind, _)| *kind == MessageType::Acknowledgement);
    assert_eq!(acknowledged.count(), 8);
}

#[tokio::test]
async fn a_server_that_does_not_observe_is_found_out() {
    let server = serve(|request, _| vec![response(request, Status::CONTENT, b"1")]);
    let mut plan = Plan::get(server, &["temp"]);
    (plan.peers, plan.work) = (3, Work::Observe);
    let mut load = Load::start(plan).unwrap();
    let tally = load.register(&Default::default()).await.unwrap();
    assert_eq!((tally.answered, tally.wrong.get(&Wrong::Observe)), (0, Some(&3)));
}

/// The answer to a registration may be confirmable and come before the acknowledgement (RFC 7252 §5.2.2).
#[tokio::test]
async fn a_registration_may_be_acknowledged_after_its_answer() {
    let mut registers = None;
    let server = serve(move |message, _| match message.message_type {
        MessageType::Acknowledgement => registers.take().into_iter().collect(),
        _ => {
            registers = Some(empty(MessageType::Acknowledgement, message));
            vec![notification(7, message.token, 5, true, b"1")]
        }
    });
    let mut plan = Plan::get(server, &["temp"]);
    (plan.peers, plan.work) = (1, Work::Observe);
    let mut load = Load::start(plan).unwrap();
    let registered = load.register(&Default::default()).await.unwrap();
    assert_eq!((registered.answered, registered.separate), (1, 1));
    let (listened, _) = load
        .listen(Duration::from_millis(200), &Default::default(), &mut |_| {})
        .await
        .unwrap();
    assert_eq!((load.observers(), listened.strays, registered.strays), (1, 0, 0));
}
