//! What is kept of messages that have not come to their end is bounded, and who keeps most waits first (RFC 8323 §3.2).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod connected;

use std::net::SocketAddr;

use connected::raw::{Raw, frame};
use connected::{Server, bounded, pattern};
use coracle_router::{Router, get};
use coracle_wire::{Method, OptionNumber};
use futures_util::future::join_all;
use tokio::net::TcpSocket;
use tokio::sync::Mutex;

/// Bytes of the body of one message.
const EACH: usize = 1_000_000;

/// Messages that are more together than may be kept.
const MANY: usize = 80;

/// Held by each test, so that it has the memory of the system for sockets for itself.
static CROWD: Mutex<()> = Mutex::const_new(());

fn server() -> Server {
    Server::start(Router::new().route("/hello", get(|| async { "world" })))
}

/// A message, all but its last bytes, and these.
fn halves() -> (Vec<u8>, Vec<u8>) {
    let options: &[(OptionNumber, &[u8])] = &[(OptionNumber::URI_PATH, b"hello")];
    let mut begin = frame(Method::POST, b"t", options, &pattern(EACH));
    let end = begin.split_off(EACH - 10);
    (begin, end)
}

/// A peer with this address.
async fn open_from(local: &str, server: &Server) -> Raw {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(local.parse().unwrap(), 0)).unwrap();
    let mut raw = Raw::new(bounded(socket.connect(server.address())).await.unwrap());
    raw.greet().await;
    raw
}

/// So many messages are begun there. What the server does not read the system keeps.
async fn begin_from(local: &str, server: &Server, begin: &[u8], many: usize) -> Vec<Raw> {
    join_all((0..many).map(|_| async {
        let mut raw = open_from(local, server).await;
        raw.send(begin).await;
        raw
    }))
    .await
}

async fn ends(raw: &mut Raw, end: &[u8]) {
    raw.send(end).await;
    assert_eq!(raw.next().await.unwrap().code, "4.05");
}

#[tokio::test]
async fn messages_that_have_no_room_wait_until_others_are_whole() {
    let _crowd = CROWD.lock().await;
    let (server, (begin, end)) = (server(), halves());
    let mut begun = begin_from("127.0.0.1", &server, &begin, MANY).await;
    join_all(begun.iter_mut().map(|raw| ends(raw, &end))).await;
    let done = server.statistics.read().await;
    assert_eq!((done.connections_refused, done.connections), (0, MANY as u64));
    drop(begun);
    server.shut_down().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_slow_upload_survives_a_host_that_begins_and_never_ends() {
    let _crowd = CROWD.lock().await;
    let (server, (begin, end)) = (server(), halves());
    let mut slow = open_from("127.0.0.2", &server).await;
    let (first, rest) = begin.split_at(EACH / 2);
    slow.send(first).await;
    let begun = begin_from("127.0.0.1", &server, &begin, MANY).await;
    slow.send(rest).await;
    ends(&mut slow, &end).await;
    let mut other = begin_from("127.0.0.3", &server, &begin, 1).await;
    ends(&mut other[0], &end).await;
    assert_eq!(server.statistics.read().await.connections_refused, 0);
    drop((slow, other, begun));
    server.shut_down().await;
}

/// Where hosts together keep too much, one of them loses what it began last, and is told.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_is_too_much_is_given_up_with_a_word() {
    let _crowd = CROWD.lock().await;
    let (server, (begin, end)) = (server(), halves());
    let mut begun = Vec::new();
    for local in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
        begun.extend(begin_from(local, &server, &begin, 27).await);
    }
    bounded(async {
        while server.statistics.read().await.connections_refused == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let all = join_all(begun.iter_mut().map(|raw| async {
        // One that was given up reads no more, which may show while it is written.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut raw.stream, &end).await;
        raw.next().await.unwrap()
    }));
    let mut refused = 0;
    for came in all.await.into_iter().filter(|came| came.code != "4.05") {
        let text = String::from_utf8(came.payload).unwrap();
        let expected = text.starts_with("too many messages are on their way");
        assert!(came.code == "7.05" && expected, "{} {text}", came.code);
        refused += 1;
    }
    assert_eq!(server.statistics.read().await.connections_refused, refused);
    drop(begun);
    server.shut_down().await;
}
