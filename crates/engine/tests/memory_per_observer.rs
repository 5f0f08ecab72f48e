//! What the engine keeps of each of a million observers of one resource, each a peer of its own, in bytes that it took
//! from the system: its entry, the index that finds it by its token, and its peer.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "common/allocator.rs"]
mod allocator;

use std::net::SocketAddr;
use std::time::Duration;

use allocator::held;
use coracle_engine::{Config, Endpoint, Event, Instant, Path, Received, ResponseRef, Topic, limits};
use coracle_wire::{Options, Status};

const OBSERVERS: u32 = 1_000_000;

/// At most this many bytes for an observer, its peer included.
const AT_MOST: usize = 300;

const TOPIC: Topic = Topic(1);

/// An endpoint that remembers next to nothing of messages, so that what it holds is for its observers.
fn endpoint() -> Endpoint {
    let mut config = Config::default();
    config.max_peers = OBSERVERS as usize;
    config.max_observers = OBSERVERS as usize;
    config.max_exchanges = 2 * OBSERVERS as usize;
    config.seen_bytes = 4096;
    config.amplification = None;
    Endpoint::new(config, [7; 32])
}

fn path_of(peer: u32) -> Path {
    let [_, a, b, c] = peer.to_be_bytes();
    Path::to(SocketAddr::from(([10, a, b, c], 5683)))
}

fn showing(body: &[u8]) -> ResponseRef<'_> {
    ResponseRef::new(Status::CONTENT, Options::empty(), body).with_observe(Some(TOPIC))
}

/// How many datagrams there are to send.
fn sent(endpoint: &mut Endpoint, now: Instant) -> usize {
    let mut buf = [0; limits::MAX_DATAGRAM];
    std::iter::from_fn(|| endpoint.poll_transmit(now, &mut buf)).count()
}

/// Registers in a non-confirmable message with a token of eight bytes.
fn register(endpoint: &mut Endpoint, now: Instant, peer: u32) {
    let datagram = b"\x58\x01\x00\x01eightoct\x60\x54temp";
    let Received::Request(id, _) = endpoint.handle_datagram(now, path_of(peer), datagram) else {
        panic!("peer {peer} was not heard");
    };
    endpoint.respond(now, id, showing(b"21.5")).unwrap();
    assert_eq!(sent(endpoint, now), 1);
}

/// A change of which all are told; how many that were.
fn tell(endpoint: &mut Endpoint, now: Instant) -> usize {
    endpoint.changed(TOPIC);
    let mut told = 0;
    while let Some(event) = endpoint.poll_event() {
        let Event::Refresh { id, .. } = event else {
            panic!("{event:?}")
        };
        endpoint.respond(now, id, showing(b"22.5")).unwrap();
        told += sent(endpoint, now);
    }
    told
}

/// Lets time pass, in which nothing is sent.
fn pass(endpoint: &mut Endpoint, until: Instant) {
    while endpoint
        .poll_deadline()
        .is_some_and(|deadline| deadline.at <= until)
    {
        endpoint.handle_timeout(until);
        assert_eq!(sent(endpoint, until), 0);
    }
}

#[test]
fn an_observer_takes_at_most_three_hundred_bytes() {
    let mut endpoint = endpoint();
    let before = held();
    for peer in 0..OBSERVERS {
        register(&mut endpoint, Instant::from_micros(u64::from(peer)), peer);
    }
    assert_eq!(endpoint.observers(), OBSERVERS as usize);
    let registered = (held() - before) / OBSERVERS as usize;
    let mut now = Instant::from_micros(u64::from(OBSERVERS)) + Duration::from_secs(5);
    for _ in 0..3 {
        pass(&mut endpoint, now);
        assert_eq!(tell(&mut endpoint, now), OBSERVERS as usize);
        now = now + Duration::from_secs(5);
    }
    let told = (held() - before) / OBSERVERS as usize;
    println!("{registered} bytes for each of {OBSERVERS} observers, {told} when they were told");
    assert!(registered.max(told) <= AT_MOST, "{registered} and {told} bytes");
    assert!(
        registered >= 100,
        "{registered} bytes: hardly anything is remembered"
    );

    // It is given back when they are gone and their message IDs are old enough.
    endpoint.forget_observers(now, TOPIC);
    while endpoint.poll_event().is_some() {}
    while let Some(deadline) = endpoint.poll_deadline() {
        now = now.max(deadline.at);
        endpoint.handle_timeout(now);
    }
    assert!(endpoint.is_pristine());
    assert!(held() < before + 64 * 1024, "{} bytes, {before} before", held());
}
