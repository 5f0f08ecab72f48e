//! Attacks on servers that die of what is known, as processes and within the test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests"
)]

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use coracle_conformance::fuzz::{
    self, Ending, Event, Failure, Family, FuzzError, NoticeKind, Outcome, Plan, reproducer,
};
use coracle_wire::{Code, Message, MessageType, MessageWriter, Method, Status};

/// What a server does with a datagram.
enum Act {
    Nothing,
    Send(Vec<u8>),
    Die,
}

/// A server as it should be: a Reset for a ping, 4.04 for a request.
fn answer(datagram: &[u8]) -> Act {
    let Ok(message) = Message::parse(datagram) else {
        return Act::Nothing;
    };
    if message.message_type != MessageType::Confirmable {
        return Act::Nothing;
    }
    let mut buf = [0; 600];
    let id = message.message_id;
    let len = match message.code {
        Code::EMPTY => Message::empty(MessageType::Reset, id).encode(&mut buf).unwrap(),
        _ => {
            let acknowledgement = MessageType::Acknowledgement;
            MessageWriter::new(&mut buf, acknowledgement, Status::NOT_FOUND, id, message.token)
                .finish()
                .unwrap()
        }
    };
    Act::Send(buf[..len].to_vec())
}

fn is(datagram: &[u8], method: Method) -> bool {
    Message::parse(datagram).is_ok_and(|message| {
        message.code == Code::from(method) && message.options.path().any(|segment| segment == b"boom")
    })
}

/// Dies of a DELETE of `/boom`.
fn dies_of_delete(datagram: &[u8], _seen: &mut bool) -> Act {
    if is(datagram, Method::DELETE) {
        Act::Die
    } else {
        answer(datagram)
    }
}

/// Dies of a DELETE of `/boom` after a PUT to it.
fn dies_of_pair(datagram: &[u8], put: &mut bool) -> Act {
    *put |= is(datagram, Method::PUT);
    if *put && is(datagram, Method::DELETE) {
        Act::Die
    } else {
        answer(datagram)
    }
}

/// Serves until it has to die; a datagram of one byte `q` ends it in peace.
fn serve(socket: &UdpSocket, act: &mut dyn FnMut(&[u8], &mut bool) -> Act) -> bool {
    let (mut buf, mut state) = ([0; 65_535], false);
    loop {
        let Ok((len, from)) = socket.recv_from(&mut buf) else {
            continue;
        };
        if buf[..len] == *b"q" {
            return false;
        }
        match act(&buf[..len], &mut state) {
            Act::Nothing => {}
            Act::Send(reply) => drop(socket.send_to(&reply, from)),
            Act::Die => return true,
        }
    }
}

/// The server that other tests start: this program itself, told by its environment what to die of.
/// Without that it is nothing but an entry of the list of tests.
#[test]
fn server_process() {
    let Ok(address) = std::env::var("FUZZED_ADDRESS") else {
        return;
    };
    let socket = UdpSocket::bind(address).unwrap();
    let mut act = match std::env::var("FUZZED_DIES_OF").as_deref() {
        Ok("pair") => dies_of_pair,
        _ => dies_of_delete,
    };
    if serve(&socket, &mut act) {
        eprintln!("index out of bounds");
        std::process::abort();
    }
}

fn free_address() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A plan that gets to `/boom`, and the command for the server above.
fn plan(address: SocketAddr, dies_of: &str) -> Plan {
    let this = std::env::current_exe().unwrap();
    let this = this.display();
    Plan {
        rate: 20_000,
        paths: vec!["/boom".into()],
        exec: Some(format!(
            "FUZZED_ADDRESS={address} FUZZED_DIES_OF={dies_of} exec {this} --exact server_process --nocapture"
        )),
        ..Plan::new(1)
    }
}

fn run(address: SocketAddr, plan: &Plan) -> Outcome {
    fuzz::run(address, plan, &AtomicBool::new(false), &mut |_| {}).unwrap()
}

#[test]
fn a_message_that_kills_is_found_and_made_short() {
    let address = free_address();
    let outcome = run(
        address,
        &Plan {
            count: 2_000,
            ..plan(address, "delete")
        },
    );
    assert!(outcome.is_grave());
    let crash = &outcome.crashes[0];
    assert_eq!(crash.failure, Failure::Ended("killed by signal 6".into()));
    assert!(crash.output.contains("index out of bounds"), "{}", crash.output);
    assert!(crash.reproduced && crash.minimal);
    let [message] = crash.messages.as_slice() else {
        panic!("{:02x?}", crash.messages)
    };
    assert!(
        message.len() <= 10 && is(message, Method::DELETE),
        "{message:02x?}"
    );
}

#[test]
fn a_pair_that_kills_is_found_and_replayed() {
    let address = free_address();
    let plan = Plan {
        count: 4_000,
        families: vec![Family::Generational],
        ..plan(address, "pair")
    };
    let outcome = run(address, &plan);
    let crash = &outcome.crashes[0];
    assert!(crash.reproduced);
    let [first, second] = crash.messages.as_slice() else {
        panic!("{:02x?}", crash.messages)
    };
    assert!(is(first, Method::PUT) && is(second, Method::DELETE));

    let text = reproducer::write("a pair", &crash.messages);
    let messages = reproducer::parse(&text).unwrap();
    let stop = AtomicBool::new(false);
    let (failure, tally) = fuzz::replay(address, &plan, &messages, &stop, &mut |_| {}).unwrap();
    assert_eq!(failure, Some(Failure::Ended("killed by signal 6".into())));
    assert_eq!(tally.unsent, 0);
    let (failure, _) = fuzz::replay(address, &plan, &messages[1..], &stop, &mut |_| {}).unwrap();
    assert_eq!(failure, None);
}

#[test]
fn a_server_that_always_dies_ends_the_run() {
    let address = free_address();
    let plan = Plan {
        families: vec![Family::SmartMutational],
        count: 1_000_000,
        ..plan(address, "delete")
    };
    let outcome = run(address, &plan);
    assert_eq!(outcome.ending, Ending::TooManyFailures);
    assert_eq!(outcome.crashes.len(), fuzz::MAX_FAILURES);
}

#[test]
fn a_command_that_starts_no_server_is_told() {
    let address = free_address();
    let failed = |command: &str| {
        let plan = Plan {
            exec: Some(command.into()),
            ..Plan::new(1)
        };
        fuzz::run(address, &plan, &AtomicBool::new(false), &mut |_| {}).unwrap_err()
    };
    match failed("echo no such option; exit 7") {
        FuzzError::CommandEnded { status, output } => {
            assert_eq!(
                (status.as_str(), output.trim()),
                ("exit status 7", "no such option")
            );
        }
        other => panic!("{other}"),
    }
    assert!(matches!(
        failed("/no/such/program"),
        FuzzError::CommandEnded { .. }
    ));
}

#[test]
fn another_server_is_not_taken_for_that_of_the_command() {
    let server = Inside::start(|datagram, _| answer(datagram));
    let plan = plan(server.address, "delete");
    let failed = fuzz::run(server.address, &plan, &AtomicBool::new(false), &mut |_| {});
    assert!(matches!(failed, Err(FuzzError::SomebodyThere(_))));
}

/// A server within the test that comes to life again when it is told to.
struct Inside {
    address: SocketAddr,
    revive: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Inside {
    fn start(mut act: impl FnMut(&[u8], &mut bool) -> Act + Send + 'static) -> Inside {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let (revive, revived) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut socket = Some(socket);
            while let Some(alive) = socket.take().filter(|socket| serve(socket, &mut act)) {
                socket = again(alive, address, &revived);
            }
        });
        Inside {
            address,
            revive,
            thread: Some(thread),
        }
    }

    fn run(&self, plan: &Plan) -> Outcome {
        let mut revive = |event: Event<'_>| {
            if matches!(event, Event::Failed(..) | Event::Minimising(_)) {
                self.revive.send(()).unwrap();
            }
        };
        fuzz::run(self.address, plan, &AtomicBool::new(false), &mut revive).unwrap()
    }
}

/// Closes the port, forgets calls from before, and opens it again when one comes; never if none can come any more.
fn again(alive: UdpSocket, address: SocketAddr, revived: &Receiver<()>) -> Option<UdpSocket> {
    while revived.try_recv().is_ok() {}
    drop(alive);
    revived.recv().ok()?;
    UdpSocket::bind(address).ok()
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .send_to(b"q", self.address);
        self.revive = mpsc::channel().0;
        self.thread.take().unwrap().join().unwrap();
    }
}

fn to_boom() -> Plan {
    Plan {
        rate: 20_000,
        paths: vec!["/boom".into()],
        ..Plan::new(3)
    }
}

#[test]
fn a_server_of_others_is_waited_for() {
    let server = Inside::start(dies_of_delete);
    let outcome = server.run(&Plan {
        count: 2_000,
        ..to_boom()
    });
    let crash = &outcome.crashes[0];
    assert_eq!(crash.failure, Failure::Refused);
    assert!(crash.reproduced);
    assert!(crash.messages.len() == 1 && is(&crash.messages[0], Method::DELETE));
}

#[test]
fn what_does_not_kill_again_is_kept_as_it_was() {
    let mut once = true;
    let server = Inside::start(move |datagram, _| match is(datagram, Method::DELETE) && once {
        true => {
            once = false;
            Act::Die
        }
        false => answer(datagram),
    });
    let outcome = server.run(&Plan {
        count: 2_000,
        ..to_boom()
    });
    assert_eq!((outcome.ending, outcome.crashes.len()), (Ending::Done, 1));
    let crash = &outcome.crashes[0];
    assert!(!crash.reproduced && !crash.minimal);
    assert!(crash.messages.iter().any(|message| is(message, Method::DELETE)));
}

#[test]
fn a_server_that_stays_away_ends_the_run() {
    let server = Inside::start(dies_of_delete);
    let plan = Plan {
        recovery: Duration::ZERO,
        ..to_boom()
    };
    let outcome = fuzz::run(server.address, &plan, &AtomicBool::new(false), &mut |_| {}).unwrap();
    assert_eq!((outcome.ending, outcome.crashes.len()), (Ending::Gone, 1));
    assert!(!outcome.crashes[0].reproduced && !outcome.crashes[0].messages.is_empty());
}

#[test]
fn nobody_there_is_told_at_once() {
    let failed = fuzz::run(
        free_address(),
        &Plan::new(1),
        &AtomicBool::new(false),
        &mut |_| {},
    );
    assert!(matches!(failed, Err(FuzzError::NobodyThere(_))));
}

/// The messages that a run sends, or replies, as its events tell them.
fn datagrams(server: &Inside, plan: &Plan) -> Vec<Vec<u8>> {
    let mut sent = Vec::new();
    let mut keep = |event: Event<'_>| {
        if let Event::Datagram(record, _) = event
            && record.by_judge
        {
            sent.push(record.bytes.clone());
        }
    };
    fuzz::run(server.address, plan, &AtomicBool::new(false), &mut keep).unwrap();
    sent
}

#[test]
fn a_seed_sends_the_same_bytes_again() {
    let server = Inside::start(|datagram, _| answer(datagram));
    let plan = Plan {
        count: 1_000,
        record: true,
        ..to_boom()
    };
    let sent = datagrams(&server, &plan);
    assert_eq!(sent.len(), 1_000);
    assert_eq!(sent, datagrams(&server, &plan));
    assert_ne!(sent, datagrams(&server, &Plan { seed: 4, ..plan }));
}

#[test]
fn families_take_turns_and_all_is_counted() {
    let server = Inside::start(|datagram, _| answer(datagram));
    let outcome = server.run(&Plan {
        count: 1_234,
        ..to_boom()
    });
    assert_eq!((outcome.ending, outcome.tally.messages()), (Ending::Done, 1_234));
    assert_eq!(outcome.tally.sent.len(), 5);
    assert!(
        outcome.tally.sent.values().all(|&count| count > 100),
        "{:?}",
        outcome.tally.sent
    );
    assert!(outcome.tally.replies["4.04"] > 100 && outcome.tally.replies["RST"] > 0);
    assert!(!outcome.is_grave());
}

#[test]
fn a_server_that_answers_few_pings_is_no_dead_one() {
    let mut pings = 0;
    let server = Inside::start(move |datagram, _| {
        pings += u32::from(matches!(datagram, [0x40, 0, _, _]));
        match datagram {
            [0x40, 0, _, _] if pings > 1 => Act::Nothing,
            _ => answer(datagram),
        }
    });
    let outcome = server.run(&Plan {
        count: 500,
        ..to_boom()
    });
    assert_eq!((outcome.ending, outcome.crashes.len()), (Ending::Done, 0));
}

#[test]
fn malformed_replies_are_grave() {
    let server = Inside::start(
        |datagram, _| match (is(datagram, Method::POST), answer(datagram)) {
            (true, Act::Send(mut reply)) => {
                reply.push(0xff);
                Act::Send(reply)
            }
            (_, act) => act,
        },
    );
    let outcome = server.run(&Plan {
        count: 500,
        ..to_boom()
    });
    assert!(outcome.crashes.is_empty() && outcome.is_grave());
    assert!(outcome.tally.notices[&NoticeKind::MalformedReply].count > 0);
}

#[test]
fn a_run_can_be_ended_and_its_time_is_bounded() {
    let server = Inside::start(|datagram, _| answer(datagram));
    let stop = Arc::new(AtomicBool::new(false));
    let mut end = |event: Event<'_>| {
        if let Event::Progress(_) = event {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let outcome = fuzz::run(server.address, &to_boom(), &stop, &mut end).unwrap();
    assert_eq!(outcome.ending, Ending::Interrupted);
    assert!(outcome.tally.messages() < fuzz::DEFAULT_COUNT);
    let plan = Plan {
        duration: Some(Duration::ZERO),
        ..to_boom()
    };
    assert_eq!(server.run(&plan).ending, Ending::TimeOver);
}
