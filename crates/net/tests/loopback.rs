//! Datagrams that go around the loopback interface.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use common::{bind, port_of, receive, receive_one, send, socket};
use coracle_engine::Path;
use coracle_net::{BindOptions, RecvBatch, SLOT_SIZE, SendBatch, UdpSocket};

const LOOPBACK: &str = "127.0.0.1:0";

/// Sends a ping from `client` and a pong back along the way that the ping came. Returns the paths of both.
async fn round_trip(client: &UdpSocket, server: &UdpSocket, to: &Path) -> (Path, Path) {
    send(client, &[(*to, b"ping")]).await;
    let ping = receive_one(server).await;
    assert_eq!(ping.payload, b"ping");
    send(server, &[(ping.path, b"pong")]).await;
    let pong = receive_one(client).await;
    assert_eq!(pong.payload, b"pong");
    (ping.path, pong.path)
}

#[tokio::test]
async fn a_round_trip_over_ipv4() {
    let (client, server) = (bind(LOOPBACK), bind(LOOPBACK));
    let (ping, pong) = round_trip(&client, &server, &Path::to(server.local_addr().unwrap())).await;
    assert_eq!(ping.remote, client.local_addr().unwrap());
    assert_eq!(pong.remote, server.local_addr().unwrap());
    assert_eq!(ping.local, Some(IpAddr::from([127, 0, 0, 1])));
    assert!(!ping.multicast);
}

#[tokio::test]
async fn a_round_trip_over_ipv6() {
    let Some(server) = socket("[::1]:0") else { return };
    let client = bind("[::1]:0");
    let (ping, pong) = round_trip(&client, &server, &Path::to(server.local_addr().unwrap())).await;
    assert_eq!(ping.remote, client.local_addr().unwrap());
    assert_eq!(pong.remote, server.local_addr().unwrap());
    assert_eq!(ping.local, Some("::1".parse().unwrap()));
}

#[tokio::test]
async fn one_socket_serves_both_families_and_shows_each_as_it_is() {
    let Some(server) = socket("[::]:0") else { return };
    let port = port_of(&server);
    for (client, to) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1")] {
        let client = bind(client);
        let to = SocketAddr::new(to.parse().unwrap(), port);
        let (ping, pong) = round_trip(&client, &server, &Path::to(to)).await;
        assert_eq!(ping.remote, client.local_addr().unwrap());
        assert_eq!((ping.local, pong.remote), (Some(to.ip()), to));
    }
}

#[tokio::test]
async fn a_socket_for_ipv6_alone_leaves_ipv4_to_others() {
    let options = BindOptions {
        dual_stack: false,
        ..BindOptions::default()
    };
    // The same port of IPv4 may be somebody else's by chance, but not every time.
    for _ in 0..32 {
        let Ok(v6) = UdpSocket::bind("[::]:0".parse().unwrap(), &options) else {
            println!("skipped: no IPv6 here");
            return;
        };
        let address = format!("0.0.0.0:{}", port_of(&v6)).parse().unwrap();
        let Ok(v4) = UdpSocket::bind(address, &options) else {
            continue;
        };
        let client = bind(LOOPBACK);
        round_trip(&client, &v4, &Path::to(([127, 0, 0, 1], port_of(&v4)).into())).await;
        return;
    }
    panic!("no port of IPv4 was left to others");
}

#[tokio::test]
async fn an_answer_leaves_from_the_address_that_was_asked() {
    // The mapped forms go out over a socket of IPv6.
    for wildcard in ["0.0.0.0:0", "[::]:0"] {
        let Some(server) = socket(wildcard) else { continue };
        let client = bind(LOOPBACK);
        let asked = Ipv4Addr::new(127, 0, 0, 2);
        let to = SocketAddr::from((asked, port_of(&server)));
        let (ping, pong) = round_trip(&client, &server, &Path::to(to)).await;
        assert_eq!(ping.local, Some(asked.into()), "{wildcard}");
        assert_eq!(pong.remote, to, "{wildcard}");

        let mapped = SocketAddr::from((asked.to_ipv6_mapped(), port_of(&server)));
        let (ping, pong) = round_trip(&client, &server, &Path::to(mapped)).await;
        assert_eq!((ping.local, pong.remote), (Some(asked.into()), to), "{wildcard}");
        assert!(ping.interface != 0, "{wildcard}");
    }
}

#[tokio::test]
async fn a_socket_of_one_address_sends_from_another_that_is_asked_for() {
    let (client, server) = (bind(LOOPBACK), bind("0.0.0.0:0"));
    let path = Path {
        local: Some(IpAddr::from([127, 0, 0, 3])),
        ..Path::to(([127, 0, 0, 1], port_of(&server)).into())
    };
    send(&client, &[(path, b"ping")]).await;
    let ping = receive_one(&server).await;
    assert_eq!(
        ping.path.remote,
        SocketAddr::from(([127, 0, 0, 3], port_of(&client)))
    );
}

#[tokio::test]
async fn two_hundred_datagrams_arrive_in_order() {
    let (client, server) = (bind(LOOPBACK), bind(LOOPBACK));
    let to = Path::to(server.local_addr().unwrap());
    let payloads: Vec<Vec<u8>> = (0..200_u8).map(|n| vec![n; n.into()]).collect();
    let outgoing: Vec<(Path, &[u8])> = payloads.iter().map(|payload| (to, payload.as_slice())).collect();
    send(&client, &outgoing).await;
    let received = receive(&server, 200).await;
    assert!(received.iter().map(|one| &one.payload).eq(&payloads));
    assert!(
        received
            .iter()
            .all(|one| one.path.remote == client.local_addr().unwrap() && !one.truncated)
    );
}

#[tokio::test]
async fn a_batch_leaves_in_one_call_and_comes_in_one_call() {
    let (client, server) = (bind(LOOPBACK), bind(LOOPBACK));
    let mut batch = SendBatch::new();
    while batch.slot().is_some() {
        batch.push(&Path::to(server.local_addr().unwrap()), 10);
    }
    assert_eq!(client.try_send_batch(&mut batch).unwrap(), 64);
    assert!(batch.is_empty());

    let mut received = RecvBatch::new();
    common::within(server.readable()).await.unwrap();
    assert_eq!(server.try_recv_batch(&mut received).unwrap(), 64);
    assert_eq!((received.len(), received.datagrams().count()), (64, 64));
    // A full batch does not tell that nothing is left; the next call does, and empties the batch.
    let error = server.try_recv_batch(&mut received).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    assert!(received.is_empty());
}

#[tokio::test]
async fn a_burst_after_a_lone_datagram_comes_in_two_calls() {
    let (client, server) = (bind(LOOPBACK), bind(LOOPBACK));
    let to = Path::to(server.local_addr().unwrap());
    send(&client, &[(to, b"lone")]).await;
    let mut received = RecvBatch::new();
    common::within(server.readable()).await.unwrap();
    assert_eq!(server.try_recv_batch(&mut received).unwrap(), 1);

    let payloads: Vec<[u8; 1]> = (0..64).map(|n| [n]).collect();
    let burst: Vec<(Path, &[u8])> = payloads.iter().map(|payload| (to, payload.as_slice())).collect();
    send(&client, &burst).await;
    common::within(server.readable()).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..2 {
        server.try_recv_batch(&mut received).unwrap();
        all.extend(received.datagrams().map(|datagram| [datagram.payload[0]]));
    }
    assert_eq!(all, payloads);
}

#[tokio::test]
async fn a_datagram_longer_than_a_slot_is_cut_and_says_so() {
    let server = bind(LOOPBACK);
    let client = std::net::UdpSocket::bind(LOOPBACK).unwrap();
    for (length, truncated) in [
        (SLOT_SIZE, false),
        (SLOT_SIZE + 1, true),
        (60_000, true),
        (3, false),
    ] {
        client
            .send_to(&vec![7; length], server.local_addr().unwrap())
            .unwrap();
        let one = receive_one(&server).await;
        assert_eq!(
            (one.payload.len(), one.truncated),
            (length.min(SLOT_SIZE), truncated),
            "{length}"
        );
        assert_eq!(one.path.remote, client.local_addr().unwrap());
    }
}

#[tokio::test]
async fn a_datagram_without_bytes_is_a_datagram() {
    let (client, server) = (bind(LOOPBACK), bind(LOOPBACK));
    let to = Path::to(server.local_addr().unwrap());
    send(&client, &[(to, b""), (to, b"after")]).await;
    let received = receive(&server, 2).await;
    assert_eq!(received[0].payload, b"");
    assert_eq!(received[1].payload, b"after");
}

#[tokio::test]
async fn an_idle_socket_is_writable_and_not_readable() {
    let socket = bind(LOOPBACK);
    common::within(socket.writable()).await.unwrap();
    common::assert_quiet(&socket).await;
}
