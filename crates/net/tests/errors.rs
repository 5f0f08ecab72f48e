//! Destinations that fail, and the others that do not notice.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::io;
use std::net::SocketAddr;

use common::{assert_quiet, bind, port_of, receive, receive_one, send, socket, within};
use coracle_engine::Path;
use coracle_net::{BindOptions, RecvBatch, SLOT_SIZE, SendBatch, UdpSocket};

/// An address of this machine where nobody listens. The port was free a moment ago and is kept from being given
/// out again by nothing but the size of the range.
fn closed(address: &str) -> SocketAddr {
    std::net::UdpSocket::bind(address).unwrap().local_addr().unwrap()
}

/// Waits for errors until there are `count`.
async fn errors(socket: &UdpSocket, count: usize) -> Vec<(SocketAddr, io::ErrorKind)> {
    let mut all = Vec::new();
    loop {
        while let Some((remote, error)) = socket.try_recv_error() {
            all.push((remote, error.kind()));
        }
        if all.len() >= count {
            return all;
        }
        within(socket.readable()).await.unwrap();
    }
}

#[tokio::test]
async fn a_closed_port_is_reported_and_other_traffic_goes_on() {
    for (client, nobody, somebody) in [
        ("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"),
        ("[::]:0", "127.0.0.1:0", "127.0.0.1:0"),
        ("[::]:0", "[::1]:0", "[::1]:0"),
    ] {
        let Some(client) = socket(client) else { continue };
        let nobody = closed(nobody);
        let server = bind(somebody);
        let to = Path::to(server.local_addr().unwrap());
        send(
            &client,
            &[(to, b"1"), (Path::to(nobody), b"x"), (to, b"2"), (to, b"3")],
        )
        .await;
        let payloads: Vec<_> = receive(&server, 3)
            .await
            .into_iter()
            .map(|one| one.payload)
            .collect();
        assert_eq!(payloads, [b"1", b"2", b"3"]);
        assert_eq!(
            errors(&client, 1).await,
            [(nobody, io::ErrorKind::ConnectionRefused)]
        );

        // The error is behind us: both directions work, without an error of their own.
        send(&client, &[(to, b"again")]).await;
        let request = receive_one(&server).await;
        send(&server, &[(request.path, b"answer")]).await;
        assert_eq!(receive_one(&client).await.payload, b"answer");
        assert!(client.try_recv_error().is_none());
    }
}

#[tokio::test]
async fn an_error_does_not_keep_the_reader_busy() {
    let client = bind("127.0.0.1:0");
    let nobody = closed("127.0.0.1:0");
    send(&client, &[(Path::to(nobody), b"x")]).await;
    assert_eq!(
        errors(&client, 1).await,
        [(nobody, io::ErrorKind::ConnectionRefused)]
    );
    assert_quiet(&client).await;
}

#[tokio::test]
async fn an_error_that_nobody_asks_for_does_not_keep_the_reader_busy() {
    let client = bind("127.0.0.1:0");
    let nobody = closed("127.0.0.1:0");
    send(&client, &[(Path::to(nobody), b"x")]).await;
    within(client.readable()).await.unwrap();
    let error = client.try_recv_batch(&mut RecvBatch::new()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert_quiet(&client).await;
    // It was not lost.
    assert_eq!(client.try_recv_error().unwrap().0, nobody);
}

#[tokio::test]
async fn datagrams_behind_an_error_are_received() {
    let client = bind("127.0.0.1:0");
    let nobody = closed("127.0.0.1:0");
    let server = bind("127.0.0.1:0");
    let to_client = Path::to(client.local_addr().unwrap());
    send(&server, &[(to_client, b"1")]).await;
    send(&client, &[(Path::to(nobody), b"x")]).await;
    send(&server, &[(to_client, b"2")]).await;
    let payloads: Vec<_> = receive(&client, 2)
        .await
        .into_iter()
        .map(|one| one.payload)
        .collect();
    assert_eq!(payloads, [b"1", b"2"]);
    assert_eq!(
        errors(&client, 1).await,
        [(nobody, io::ErrorKind::ConnectionRefused)]
    );
}

#[tokio::test]
async fn every_dead_peer_of_a_batch_is_named() {
    let client = bind("127.0.0.1:0");
    // Held until all are chosen, so that they differ.
    let held: Vec<_> = (0..40)
        .map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap())
        .collect();
    let mut dead: Vec<SocketAddr> = held.iter().map(|socket| socket.local_addr().unwrap()).collect();
    drop(held);
    let server = bind("127.0.0.1:0");
    let mut datagrams: Vec<(Path, &[u8])> =
        dead.iter().map(|remote| (Path::to(*remote), &b"x"[..])).collect();
    datagrams.push((Path::to(server.local_addr().unwrap()), b"alive"));
    send(&client, &datagrams).await;
    assert_eq!(receive_one(&server).await.payload, b"alive");
    let mut named: Vec<SocketAddr> = errors(&client, 40)
        .await
        .into_iter()
        .map(|(remote, _)| remote)
        .collect();
    named.sort_unstable();
    dead.sort_unstable();
    assert_eq!(named, dead);
}

#[tokio::test]
async fn a_datagram_that_cannot_be_sent_is_skipped_and_named() {
    let client = bind("127.0.0.1:0");
    let server = bind("127.0.0.1:0");
    let to = server.local_addr().unwrap();
    let elsewhere = Path {
        local: Some([192, 0, 2, 77].into()),
        ..Path::to(([127, 0, 0, 1], 9).into())
    };
    let no_port = Path::to(([127, 0, 0, 1], 0).into());
    let other_family = Path::to("[::1]:5683".parse().unwrap());
    let no_interface = Path {
        interface: 999_999,
        ..Path::to(([127, 0, 0, 1], 8).into())
    };
    let bad = [elsewhere, no_port, other_family, no_interface];

    let mut batch = SendBatch::new();
    for path in bad.iter().flat_map(|bad| [Path::to(to), *bad]) {
        batch.slot().unwrap()[0] = 1;
        batch.push(&path, 1);
    }
    assert_eq!(client.try_send_batch(&mut batch).unwrap(), 4);
    assert!(batch.is_empty());
    assert_eq!(receive(&server, 4).await.len(), 4);
    let named: Vec<SocketAddr> = std::iter::from_fn(|| client.try_recv_error())
        .map(|(remote, _)| remote)
        .collect();
    assert_eq!(named, bad.map(|path| path.remote));
}

#[tokio::test]
async fn a_batch_that_fails_altogether_is_no_failure_of_the_socket() {
    let options = BindOptions {
        dual_stack: false,
        ..BindOptions::default()
    };
    let Ok(client) = UdpSocket::bind("[::1]:0".parse().unwrap(), &options) else {
        println!("skipped: no IPv6 here");
        return;
    };
    let mut batch = SendBatch::new();
    let ipv4 = SocketAddr::from(([127, 0, 0, 1], port_of(&client)));
    while batch.slot().is_some() {
        batch.push(&Path::to(ipv4), SLOT_SIZE);
    }
    assert_eq!(client.try_send_batch(&mut batch).unwrap(), 0);
    assert!(batch.is_empty());
    assert_eq!(
        std::iter::from_fn(|| client.try_recv_error())
            .filter(|(remote, _)| *remote == ipv4)
            .count(),
        64
    );
}
