//! What the engine keeps of each of a million idle peers, in bytes that it took from the system: their states, the index
//! that finds them and the order in which they were used.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "common/allocator.rs"]
mod allocator;

use std::net::SocketAddr;
use std::time::Duration;

use allocator::held;
use coracle_engine::{Config, Endpoint, Instant, Path, Received, ResponseRef, limits};
use coracle_wire::{Options, Status};

const PEERS: u32 = 1_000_000;

/// At most this many bytes for a peer that is idle.
const AT_MOST: usize = 200;

/// An endpoint that remembers next to nothing of messages, so that what it holds is for its peers.
fn endpoint() -> Endpoint {
    let mut config = Config::default();
    config.max_peers = PEERS as usize;
    config.seen_bytes = 4096;
    Endpoint::new(config, [7; 32])
}

fn path_of(peer: u32) -> Path {
    let [_, a, b, c] = peer.to_be_bytes();
    Path::to(SocketAddr::from(([10, a, b, c], 5683)))
}

/// Asks in a non-confirmable message, and is answered in one: under a message ID of the endpoint's.
fn ask(endpoint: &mut Endpoint, now: Instant, peer: u32) {
    let datagram = b"\x50\x01\x00\x01\xb4temp";
    let Received::Request(id, _) = endpoint.handle_datagram(now, path_of(peer), datagram) else {
        panic!("peer {peer} was not heard");
    };
    let response = ResponseRef::new(Status::CONTENT, Options::empty(), b"21.5");
    endpoint.respond(now, id, response).unwrap();
    let mut buf = [0; limits::MAX_DATAGRAM];
    let sent = endpoint.poll_transmit(now, &mut buf).unwrap();
    assert_eq!((sent.path, sent.len), (path_of(peer), 9));
    assert!(endpoint.poll_transmit(now, &mut buf).is_none());
}

#[test]
fn an_idle_peer_takes_at_most_two_hundred_bytes() {
    let mut endpoint = endpoint();
    ask(&mut endpoint, Instant::ZERO, PEERS);
    let before = held();
    for peer in 0..PEERS - 1 {
        ask(&mut endpoint, Instant::from_micros(u64::from(peer)), peer);
    }
    let per_peer = (held() - before) / PEERS as usize;
    println!("{per_peer} bytes for each of {PEERS} peers");
    assert!(per_peer <= AT_MOST, "{per_peer} bytes");
    assert!(per_peer >= 50, "{per_peer} bytes: hardly anything is remembered");

    // When their lifetimes are over it is given back, but for a chunk of each table.
    let mut now = Instant::from_micros(u64::from(PEERS)) + Duration::from_secs(1000);
    while let Some(deadline) = endpoint.poll_deadline() {
        now = now.max(deadline.at);
        endpoint.handle_timeout(now);
    }
    assert!(endpoint.is_pristine());
    assert!(held() < before + 16 * 1024, "{} bytes, {before} before", held());
}
