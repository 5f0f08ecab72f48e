//! Groups, on the loopback interface where it carries them.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests"
)]

mod common;

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use common::{assert_quiet, bind, port_of, receive_one, send, socket};
use coracle_engine::Path;
use coracle_net::{Interface, UdpSocket, interfaces};

/// The index of the loopback interface.
fn loopback() -> u32 {
    interfaces()
        .unwrap()
        .into_iter()
        .find(|interface| interface.loopback)
        .expect("a loopback interface")
        .index
}

/// Joins, or says why not.
fn joined(server: &UdpSocket, group: IpAddr, interface: u32) -> bool {
    let result = server.join(group, &Interface::Index(interface));
    if let Err(error) = &result {
        println!("skipped: {group} cannot be joined on interface {interface}: {error}");
    }
    result.is_ok()
}

fn to_group(group: IpAddr, port: u16, interface: u32) -> Path {
    let path = Path::to(SocketAddr::new(group, port));
    assert!(path.multicast);
    Path { interface, ..path }
}

/// Asks the group and answers along the way that the request came.
async fn ask(client: &UdpSocket, server: &UdpSocket, group: IpAddr, interface: u32) {
    send(client, &[(to_group(group, port_of(server), interface), b"who?")]).await;
    if let Some((remote, error)) = client.try_recv_error() {
        panic!("{remote}: {error}");
    }
    let request = receive_one(server).await;
    assert_eq!(request.payload, b"who?");
    assert!(request.path.multicast);
    assert_eq!(request.path.local, Some(group));
    assert_eq!(request.path.interface, interface);
    assert!(!request.path.remote.ip().is_multicast());

    send(server, &[(request.path, b"me")]).await;
    let answer = receive_one(client).await;
    assert_eq!(answer.payload, b"me");
    assert!(!answer.path.multicast);
    assert!(!answer.path.remote.ip().is_multicast(), "a group is no source");
    assert_eq!(answer.path.remote.port(), port_of(server));
}

/// A server in an IPv6 group, and the first interface by which the group can be reached. The loopback interface often
/// has no route for groups of IPv6.
async fn server_in(group: IpAddr) -> Option<(UdpSocket, u32)> {
    let mut all = interfaces().unwrap();
    all.sort_by_key(|interface| !interface.loopback);
    let client = socket("[::]:0")?;
    for index in all.iter().map(|interface| interface.index) {
        let server = bind("[::]:0");
        // Port 9 discards.
        send(&client, &[(to_group(group, 9, index), b"")]).await;
        match client.try_recv_error() {
            Some((_, error)) => println!("interface {index} has no way to {group}: {error}"),
            None if joined(&server, group, index) => return Some((server, index)),
            None => {}
        }
    }
    println!("skipped: no interface carries {group}");
    None
}

#[tokio::test]
async fn a_group_of_ipv4_is_joined_flagged_and_left() {
    let (group, interface) = (IpAddr::from([224, 0, 1, 187]), loopback());
    for wildcard in ["0.0.0.0:0", "[::]:0"] {
        let Some(server) = socket(wildcard) else { continue };
        if !joined(&server, group, interface) {
            return;
        }
        let client = bind("0.0.0.0:0");
        ask(&client, &server, group, interface).await;

        server
            .join(group, &interface.into())
            .expect("joining twice is no error");
        ask(&client, &server, group, interface).await;

        server.leave(group, &interface.into()).unwrap();
        assert!(server.leave(group, &interface.into()).is_err());
        send(
            &client,
            &[(to_group(group, port_of(&server), interface), b"who?")],
        )
        .await;
        assert_quiet(&server).await;
    }
}

#[tokio::test]
async fn groups_of_ipv6_are_joined_and_flagged() {
    for group in ["ff02::fd", "ff01::fd"] {
        let group: IpAddr = group.parse().unwrap();
        let Some((server, interface)) = server_in(group).await else {
            continue;
        };
        ask(&bind("[::]:0"), &server, group, interface).await;
    }
}

#[tokio::test]
async fn a_scope_in_the_groups_address_chooses_the_interface() {
    let group = "ff01::fd".parse().unwrap();
    let Some((server, scope)) = server_in(IpAddr::V6(group)).await else {
        return;
    };
    let to = Path::to(SocketAddrV6::new(group, port_of(&server), 0, scope).into());
    // The interface of the path yields to the scope.
    send(
        &bind("[::]:0"),
        &[(
            Path {
                interface: 9999,
                ..to
            },
            b"hello",
        )],
    )
    .await;
    assert_eq!(receive_one(&server).await.payload, b"hello");
}

#[tokio::test]
async fn link_local_peers_have_the_scope_in_their_address() {
    let all = interfaces().unwrap();
    let own = all.iter().find_map(|interface| {
        let link_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        interface
            .addresses
            .iter()
            .find(|ip| link_local(ip))
            .map(|ip| (*ip, interface.index))
    });
    let Some((IpAddr::V6(ip), scope)) = own else {
        println!("skipped: no interface has a link-local address");
        return;
    };
    let (client, server) = (bind("[::]:0"), bind("[::]:0"));
    let address = |socket| SocketAddr::from(SocketAddrV6::new(ip, port_of(socket), 0, scope));
    send(&client, &[(Path::to(address(&server)), b"ping")]).await;
    let ping = receive_one(&server).await;
    assert_eq!(ping.path.remote, address(&client));
    assert_eq!((ping.path.local, ping.path.interface), (Some(ip.into()), scope));
    send(&server, &[(ping.path, b"pong")]).await;
    assert_eq!(receive_one(&client).await.path.remote, address(&server));
}

#[tokio::test]
async fn a_group_that_only_others_joined_is_not_delivered() {
    let (group, interface) = (IpAddr::from([224, 0, 1, 187]), loopback());
    let (member, other) = (bind("0.0.0.0:0"), bind("0.0.0.0:0"));
    if !joined(&member, group, interface) {
        return;
    }
    let client = bind("0.0.0.0:0");
    send(&client, &[(to_group(group, port_of(&other), interface), b"who?")]).await;
    ask(&client, &member, group, interface).await;
    assert_quiet(&other).await;
}

#[tokio::test]
async fn joining_reports_what_cannot_be_joined() {
    let server = bind("0.0.0.0:0");
    assert!(
        server
            .join(IpAddr::from([192, 0, 2, 1]), &Interface::Any)
            .is_err()
    );
    assert!(
        server
            .join(
                IpAddr::from([224, 0, 1, 187]),
                &Interface::from("nosuchinterface")
            )
            .is_err()
    );
}
