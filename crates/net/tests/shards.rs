//! Several sockets of one address, among which the kernel spreads the peers as it is told.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use common::{assert_quiet, bind, port_of, receive, receive_one, send, socket};
use coracle_engine::Path;
use coracle_net::{BindOptions, RecvBatch, UdpSocket, interfaces, shard_of};

const SHARDS: usize = 4;

fn shards(address: &str) -> Option<Vec<UdpSocket>> {
    socket(address).map(|socket| socket.into_shards(SHARDS).unwrap())
}

/// Each datagram holds the address it left from, and lies in the socket where that is to come.
async fn assert_in_place(shards: &[UdpSocket], senders: &BTreeSet<SocketAddr>) {
    let mut seen = BTreeSet::new();
    for (place, shard) in shards.iter().enumerate() {
        let expected = senders.iter().filter(|from| shard_of(**from, SHARDS) == place);
        for one in receive(shard, expected.count()).await {
            assert_eq!(shard_of(one.path.remote, SHARDS), place, "{}", one.path.remote);
            seen.insert(one.path.remote);
        }
        let more = shard.try_recv_batch(&mut RecvBatch::new());
        assert_eq!(more.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        assert_quiet(shard).await;
    }
    assert_eq!(&seen, senders);
}

#[tokio::test]
async fn peers_of_ipv4_come_to_their_socket_by_address_and_port() {
    for wildcard in ["0.0.0.0:0", "[::]:0", "127.0.0.1:0"] {
        let Some(shards) = shards(wildcard) else { continue };
        let to = SocketAddr::from(([127, 0, 0, 1], port_of(&shards[0])));
        let mut senders = BTreeSet::new();
        let client = bind("0.0.0.0:0");
        for last in 1..=100 {
            let local = IpAddr::from([127, 3, 2, last]);
            let path = Path {
                local: Some(local),
                ..Path::to(to)
            };
            send(&client, &[(path, b"by address")]).await;
            senders.insert(SocketAddr::new(local, port_of(&client)));
        }
        // All at once, so that each has a port of its own.
        let clients: Vec<UdpSocket> = (0..60).map(|_| bind("127.0.0.1:0")).collect();
        for client in &clients {
            send(client, &[(Path::to(to), b"by port")]).await;
            senders.insert(client.local_addr().unwrap());
        }
        assert_in_place(&shards, &senders).await;
    }
}

#[tokio::test]
async fn peers_of_ipv6_come_to_their_socket_by_address_and_port() {
    // Addresses of this machine make the words of the address differ.
    let own: Vec<IpAddr> = interfaces()
        .unwrap()
        .into_iter()
        .flat_map(|one| one.addresses)
        .collect();
    let own = own.into_iter().filter(|ip| match ip {
        IpAddr::V6(ip) => !ip.is_unicast_link_local(),
        IpAddr::V4(_) => false,
    });
    for wildcard in ["[::]:0", "[::1]:0"] {
        let Some(shards) = shards(wildcard) else { continue };
        let mut senders = BTreeSet::new();
        for ip in own.clone().filter(|ip| wildcard == "[::]:0" || ip.is_loopback()) {
            let to = SocketAddr::new(ip, port_of(&shards[0]));
            // All at once, so that each has a port of its own.
            let from = SocketAddr::new(ip, 0).to_string();
            let clients: Vec<UdpSocket> = (0..40).map(|_| bind(&from)).collect();
            for client in &clients {
                send(client, &[(Path::to(to), b"by port")]).await;
                senders.insert(client.local_addr().unwrap());
            }
        }
        assert_in_place(&shards, &senders).await;
    }
}

#[tokio::test]
async fn an_answer_leaves_from_any_of_them() {
    let shards = shards("127.0.0.1:0").unwrap();
    let client = bind("0.0.0.0:0");
    let to = Path::to(([127, 0, 0, 1], port_of(&client)).into());
    for shard in &shards {
        send(shard, &[(to, b"pong")]).await;
        let pong = receive_one(&client).await;
        assert_eq!(pong.path.remote, shards[0].local_addr().unwrap());
    }
}

#[tokio::test]
async fn the_port_is_taken_for_others() {
    let shards = shards("127.0.0.1:0").unwrap();
    assert_eq!(shards.len(), SHARDS);
    let address = shards[0].local_addr().unwrap();
    for shard in &shards {
        assert_eq!(shard.local_addr().unwrap(), address);
    }
    let error = UdpSocket::bind(address, &BindOptions::default()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}
