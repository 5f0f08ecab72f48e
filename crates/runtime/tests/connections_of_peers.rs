//! What a server does with peers that are played byte by byte: well-behaved, slow, silent and hostile ones (RFC 8323).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod connected;

use std::sync::Arc;
use std::time::Duration;

use connected::raw::{Raw, frame, get as get_frame};
use connected::{Server, affordable, bounded, pattern};
use coracle_router::{Router, get};
use coracle_runtime::{Client, Config, Endpoint};
use coracle_wire::Signal;
use futures_util::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Notify};

/// Held by tests with many connections, so that each has the descriptors of the process for itself.
static CROWD: Mutex<()> = Mutex::const_new(());

fn router() -> Router {
    Router::new()
        .route("/hello", get(|| async { "world" }))
        .route("/large", get(|| async { pattern(60_000) }))
}

async fn asks(raw: &mut Raw) {
    raw.send(&get_frame("hello", b"t")).await;
    let answer = raw.next().await.unwrap();
    assert_eq!(
        (answer.code.as_str(), &answer.payload[..]),
        ("2.05", &b"world"[..])
    );
}

async fn is_well(server: &Server) {
    let client = Client::new().unwrap();
    let answer = bounded(client.get(server.uri("/hello")).send()).await.unwrap();
    assert_eq!(answer.text().unwrap(), "world");
}

/// Waits until so many connections are open.
async fn are_open(server: &Server, expected: u64) {
    bounded(async {
        while server.statistics.read().await.connections != expected {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn garbage_is_answered_with_an_abort_and_the_end() {
    let server = Server::start(router());
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        // A token length of 15.
        &[0x0f, 0x01],
        // A message of four gigabytes.
        &[0xf0, 0xff, 0xff, 0xff, 0xff, 0x01],
        // A request before the CSM.
        &[0x00, 0x01],
    ] {
        let mut raw = Raw::new(TcpStream::connect(server.address()).await.unwrap());
        raw.send(garbage).await;
        assert_eq!(raw.next().await.unwrap().code, "7.01");
        let abort = raw.next().await.unwrap();
        assert_eq!(abort.code, "7.05");
        assert!(!abort.payload.is_empty(), "a diagnostic");
        assert_eq!(raw.next().await, None);
    }
    is_well(&server).await;
    server.shut_down().await;
}

#[tokio::test]
async fn a_peer_that_closes_its_side_gets_its_answers() {
    let server = Server::start(router());
    let mut raw = Raw::open(server.address()).await;
    let asked = [get_frame("hello", b"1"), get_frame("large", b"2")].concat();
    raw.send(&asked).await;
    raw.stream.shutdown().await.unwrap();
    let first = raw.next().await.unwrap();
    assert_eq!((first.token, first.payload), (b"1".to_vec(), b"world".to_vec()));
    assert_eq!(raw.next().await.unwrap().payload, pattern(60_000));
    assert_eq!(raw.next().await, None);
    are_open(&server, 0).await;
    server.shut_down().await;
}

#[tokio::test]
async fn bytes_that_come_one_by_one_are_messages_all_the_same() {
    let server = Server::start(router());
    let mut raw = Raw::open(server.address()).await;
    raw.stream.set_nodelay(true).unwrap();
    for byte in get_frame("hello", b"t") {
        raw.send(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(raw.next().await.unwrap().payload, b"world");
    drop(raw);
    server.shut_down().await;
}

/// Many small requests at once, so that they lie across the ends of what is read.
#[tokio::test]
async fn requests_that_follow_each_other_closely_are_all_answered() {
    let server = Server::start(router());
    let raw = Raw::open(server.address()).await;
    let numbers = 0..30_000_u32;
    let asked: Vec<u8> = numbers
        .clone()
        .flat_map(|number| get_frame("hello", &number.to_be_bytes()))
        .collect();
    let (mut reading, mut writing) = {
        let stream = raw.stream.into_std().unwrap();
        let other = stream.try_clone().unwrap();
        (
            Raw::new(TcpStream::from_std(stream).unwrap()),
            TcpStream::from_std(other).unwrap(),
        )
    };
    let written = async { bounded(writing.write_all(&asked)).await.unwrap() };
    let read = async {
        for number in numbers {
            let came = reading.next().await.unwrap();
            assert_eq!(came.token, number.to_be_bytes());
            assert_eq!(came.payload, b"world");
        }
    };
    tokio::join!(written, read);
    drop((reading, writing));
    server.shut_down().await;
}

#[tokio::test]
async fn who_does_not_read_holds_up_nobody_else() {
    let server = Server::start(router());
    let mut slow = Raw::open(server.address()).await;
    // Answers of 300 MB; they are not read, so that at some point the requests are not either.
    let asked = get_frame("large", b"t").repeat(5_000);
    let sent = tokio::time::timeout(Duration::from_secs(1), slow.stream.write_all(&asked)).await;
    let before = server.statistics.read().await.engine.requests;
    assert!(before < 5_000, "{before} were taken in, sent: {sent:?}");
    for _ in 0..20 {
        is_well(&server).await;
    }
    // What waits is there when it reads.
    for _ in 0..200 {
        assert_eq!(slow.next().await.unwrap().payload.len(), 60_000);
    }
    drop(slow);
    server.shut_down().await;
}

#[tokio::test]
async fn a_thousand_connections_at_rest_cost_no_attention() {
    let _crowd = CROWD.lock().await;
    let server = Server::start(router());
    let many = affordable(1000);
    let mut all = join_all((0..many).map(|_| Raw::open(server.address()))).await;
    assert_eq!(server.statistics.read().await.connections, many as u64);
    for raw in all.iter_mut().step_by(100) {
        asks(raw).await;
    }
    let done = server.statistics.read().await.engine;
    let asked = many.div_ceil(100) as u64;
    assert_eq!((done.requests, done.frames_in), (asked, many as u64 + asked));
    join_all(all.iter_mut().map(asks)).await;
    drop(all);
    are_open(&server, 0).await;
    server.shut_down().await;
}

#[tokio::test]
async fn beyond_the_bound_connections_are_closed_at_once_and_counted() {
    let mut config = Config::default();
    config.connections.max_connections = 2;
    let server = Server::with(router(), config);
    let mut kept = [
        Raw::open(server.address()).await,
        Raw::open(server.address()).await,
    ];
    for _ in 0..3 {
        let mut raw = Raw::new(TcpStream::connect(server.address()).await.unwrap());
        // RFC 8323 §5.6: an Abort says why, after the CSM that has to come first.
        assert_eq!(raw.next().await.unwrap().code, "7.01");
        let abort = raw.next().await.unwrap();
        assert_eq!(
            (&*abort.code, &*abort.payload),
            ("7.05", &b"as many connections as may be are open"[..])
        );
        assert_eq!(raw.next().await, None);
    }
    let done = server.statistics.read().await;
    assert_eq!(
        (
            done.connections,
            done.connections_accepted,
            done.connections_refused
        ),
        (2, 5, 3)
    );
    for raw in &mut kept {
        asks(raw).await;
    }
    let [gone, mut left] = kept;
    drop(gone);
    are_open(&server, 1).await;
    asks(&mut Raw::open(server.address()).await).await;
    asks(&mut left).await;
    drop(left);
    server.shut_down().await;
}

#[tokio::test]
async fn who_shuts_down_answers_what_it_took_and_says_goodbye() {
    let go_on = Arc::new(Notify::new());
    let waits = go_on.clone();
    let router = router().route(
        "/slow",
        get(move || {
            let waits = waits.clone();
            async move {
                waits.notified().await;
                "done"
            }
        }),
    );
    let server = Server::start(router);
    let (address, statistics) = (server.address(), server.statistics.clone());
    let (mut busy, mut idle) = (Raw::open(address).await, Raw::open(address).await);
    busy.send(&get_frame("slow", b"s")).await;
    bounded(async {
        while statistics.read().await.pending == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let ended = server.stop();
    assert_eq!(idle.next().await.unwrap().code, "7.04");
    assert_eq!(idle.next().await, None);
    assert_eq!(busy.next().await.unwrap().code, "7.04");
    assert!(TcpStream::connect(address).await.is_err(), "nobody is taken on");
    go_on.notify_one();
    let answer = busy.next().await.unwrap();
    assert_eq!(
        (answer.code.as_str(), &answer.payload[..]),
        ("2.05", &b"done"[..])
    );
    assert_eq!(busy.next().await, None);
    drop((busy, idle));
    bounded(ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_peer_that_releases_is_answered_and_closed() {
    let server = Server::start(router());
    let mut raw = Raw::open(server.address()).await;
    let last = [get_frame("hello", b"t"), frame(Signal::RELEASE, &[], &[], &[])].concat();
    raw.send(&last).await;
    assert_eq!(raw.next().await.unwrap().payload, b"world");
    assert_eq!(raw.next().await, None);
    drop(raw);
    server.shut_down().await;
}

#[tokio::test]
async fn who_says_nothing_is_given_up() {
    let mut config = Config::default();
    config.connections.open_within = Duration::from_millis(50);
    let server = Server::with(router(), config);
    let mut raw = Raw::new(TcpStream::connect(server.address()).await.unwrap());
    assert_eq!(raw.next().await.unwrap().code, "7.01");
    assert_eq!(raw.next().await.unwrap().code, "7.05");
    assert_eq!(raw.next().await, None);
    drop(raw);
    server.shut_down().await;
}

/// Each shard takes connections of its own; who is quick, slow, rude or gone, all others get what they asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_shards_serve_many_who_come_and_go() {
    let _crowd = CROWD.lock().await;
    let endpoint = Endpoint::bind("coap+tcp://127.0.0.1:0").unwrap().with_shards(4);
    let server = Server::serve(endpoint, router());
    let address = server.address();
    let peers = (0..affordable(200)).map(|number| {
        tokio::spawn(async move {
            for round in 0..5 {
                let mut raw = Raw::open(address).await;
                if number % 7 == round {
                    // Gone in the middle of its requests and their answers.
                    raw.send(&get_frame("large", b"t").repeat(10)).await;
                    continue;
                }
                for _ in 0..5 {
                    raw.send(&get_frame("hello", b"t").repeat(10)).await;
                    for _ in 0..10 {
                        assert_eq!(raw.next().await.unwrap().payload, b"world");
                    }
                }
            }
        })
    });
    for peer in bounded(join_all(peers)).await {
        peer.unwrap();
    }
    are_open(&server, 0).await;
    is_well(&server).await;
    let done = server.statistics.read().await;
    assert_eq!((done.shards, done.connections_refused), (4, 0));
    server.shut_down().await;
}

#[tokio::test]
async fn many_who_come_at_once_are_all_taken_on() {
    let _crowd = CROWD.lock().await;
    let many = affordable(5_000);
    let server = Server::start(router());
    let all = join_all((0..many).map(|_| Raw::open(server.address()))).await;
    assert_eq!(server.statistics.read().await.connections, many as u64);
    drop(all);
    server.shut_down().await;
}
