//! Connections of one shard share its time, whatever one of them sends (RFC 8323).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod connected;

use std::io::{self, Write};
use std::net::TcpStream as Socket;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use connected::raw::{Raw, frame, get as get_frame};
use connected::{Server, bounded};
use coracle_router::{Router, get};
use coracle_wire::{Method, OptionNumber};

/// A request that wants no answer (RFC 7967), so that none holds its sender back.
fn unanswered(path: &str) -> Vec<u8> {
    let options: &[(OptionNumber, &[u8])] = &[
        (OptionNumber::URI_PATH, path.as_bytes()),
        (OptionNumber::NO_RESPONSE, &[26]),
    ];
    frame(Method::GET, &[], options, &[])
}

/// Writes as much as the system takes at once; how much.
fn fill(socket: &mut Socket, mut bytes: &[u8]) -> usize {
    let before = bytes.len();
    while !bytes.is_empty() {
        match socket.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    before - bytes.len()
}

/// All runs on one thread: the flood lies in the system before the server looks, and the other asks while the first
/// message of it is handled.
#[tokio::test]
async fn who_asks_while_another_floods_is_answered_before_the_flood_is() {
    let (flooded, seen) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(usize::MAX)),
    );
    let other: Arc<Mutex<Option<Socket>>> = Arc::default();
    let (count, asker) = (flooded.clone(), other.clone());
    let (counted, noted) = (flooded.clone(), seen.clone());
    let router = Router::new()
        .route(
            "/flood",
            get(move || {
                if count.fetch_add(1, Ordering::Relaxed) == 0
                    && let Some(socket) = &mut *asker.lock().unwrap()
                {
                    socket.write_all(&get_frame("hello", b"t")).unwrap();
                }
                async { "" }
            }),
        )
        .route(
            "/hello",
            get(move || {
                noted.store(counted.load(Ordering::Relaxed), Ordering::Relaxed);
                async { "world" }
            }),
        );
    let server = Server::start(router);
    let mut quiet = Raw::open(server.address()).await;
    let flooding = Raw::open(server.address()).await;
    let socket = quiet.stream.into_std().unwrap();
    *other.lock().unwrap() = Some(socket.try_clone().unwrap());
    quiet = Raw::new(tokio::net::TcpStream::from_std(socket).unwrap());

    let mut flooding = flooding.stream.into_std().unwrap();
    let one = unanswered("flood");
    let sent = fill(&mut flooding, &one.repeat(200_000)) / one.len();
    assert!(sent > 20_000, "the system takes no flood: {sent}");
    assert_eq!(bounded(quiet.next()).await.unwrap().payload, b"world");
    let before = seen.load(Ordering::Relaxed);
    assert!(before < 4_000, "{before} of {sent} came first");
    drop((quiet, flooding, other.lock().unwrap().take()));
    server.shut_down().await;
}
