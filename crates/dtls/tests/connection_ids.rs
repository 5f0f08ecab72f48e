//! Connection IDs (RFC 9146): negotiation, and peers whose address changes.

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests"
)]

mod common;

use std::net::SocketAddr;

use common::{Faults, World, client_address, psk, server_address};
use coracle_dtls::{Config, ConnectionIds, Path, ProtectError, limits};

fn ids(prefix: &[u8]) -> Option<ConnectionIds> {
    Some(ConnectionIds::new(prefix, 6).unwrap())
}

fn world_with(server: Option<ConnectionIds>, client: Option<ConnectionIds>, seed: u64) -> World {
    let mut server_config = Config::psk_server();
    server_config.connection_ids = server;
    let mut client_config = Config::default();
    client_config.connection_ids = client;
    let mut world = World::new(server_config, client_config, seed);
    world.connect(psk());
    world.settle();
    world
}

/// A server that wants to see connection IDs, and a client that puts them in.
fn moving_world(seed: u64) -> World {
    world_with(ids(&[0xC0]), Some(ConnectionIds::PEERS_ONLY), seed)
}

fn new_address() -> SocketAddr {
    ([203, 0, 113, 9], 999).into()
}

/// The client sends from another address from now on.
fn rebind(world: &mut World) {
    world.client().address = new_address();
}

/// The type of the last record that was sent.
fn last_type(world: &World) -> u8 {
    world.log.last().unwrap().2[0]
}

#[test]
fn each_side_may_want_them_or_not() {
    let peers_only = Some(ConnectionIds::PEERS_ONLY);
    let cases = [
        (None, None, 23, 23),
        (None, ids(b"c"), 23, 23),
        (ids(b"s"), None, 23, 23),
        (ids(b"s"), peers_only.clone(), 25, 23),
        (peers_only, ids(b"c"), 23, 25),
        (ids(b"s"), ids(b"client"), 25, 25),
    ];
    for (server, client, to_server, to_client) in cases {
        let mut world = world_with(server, client, 1);
        let [server, client] = [0, 1].map(|node: usize| world.nodes[node].sessions[0]);
        world.send(1, client, b"up");
        assert_eq!(last_type(&world), to_server);
        world.send(0, server, b"down");
        assert_eq!(last_type(&world), to_client);
        world.settle();
        world.talk();
    }
}

#[test]
fn an_id_begins_with_what_the_owner_wants() {
    let mut world = moving_world(2);
    let client = world.client().sessions[0];
    world.send(1, client, b"x");
    let (_, _, record) = world.log.last().unwrap();
    assert_eq!(record[11], 0xC0);
    assert_eq!(
        u16::from_be_bytes([record[18], record[19]]) as usize,
        record.len() - 20
    );
}

#[test]
fn ids_that_are_too_short_or_too_long_are_none() {
    assert_eq!(ConnectionIds::new(&[1], 3), None);
    assert_eq!(ConnectionIds::new(&[1; 17], 4), None);
    assert_eq!(
        ConnectionIds::new(&[1; 16], 4).unwrap().len(),
        limits::CONNECTION_ID_BYTES
    );
    assert!(ConnectionIds::PEERS_ONLY.is_empty());
}

#[test]
fn a_session_follows_its_peer_to_another_address() {
    let mut world = moving_world(3);
    world.talk();
    rebind(&mut world);
    world.talk();
    let from = Path::to(client_address());
    let to = Path::to(new_address());
    assert_eq!(world.server().moved, [(from, to)]);
    let session = world.server().sessions[0];
    assert_eq!(world.server().dtls.path(session), Some(to));
    assert_eq!(world.server().dtls.stats().moved, 1);
}

#[test]
fn without_a_connection_id_another_address_is_somebody_else() {
    let mut world = world_with(None, None, 4);
    let client = world.client().sessions[0];
    rebind(&mut world);
    world.send(1, client, b"who?");
    world.settle();
    assert!(world.server().received.is_empty() && world.server().moved.is_empty());
    assert_eq!(world.server().dtls.stats().discards.unknown_session, 1);
}

#[test]
fn only_a_newest_and_authentic_record_moves_a_session() {
    let mut world = moving_world(5);
    let client = world.client().sessions[0];
    world.send(1, client, b"first");
    let first = world.log.last().unwrap().2.clone();
    world.send(1, client, b"second");
    let second = world.log.last().unwrap().2.clone();
    // Both wait on somebody's way; the newer one arrives.
    world.deliver(server_address(), client_address(), second.clone());
    // The older one comes from elsewhere: it is read, and moves nothing.
    world.deliver(server_address(), new_address(), first);
    // A copy of the newer one, and one with another number: nothing.
    world.deliver(server_address(), new_address(), second.clone());
    let mut forged = second;
    forged[10] += 7;
    world.deliver(server_address(), new_address(), forged);
    assert_eq!(world.server().received, [b"second".to_vec(), b"first".to_vec()]);
    assert!(world.server().moved.is_empty());
    let discards = world.server().dtls.stats().discards;
    assert!(discards.replayed >= 1 && discards.not_authentic == 1);
}

#[test]
fn a_record_without_its_connection_id_is_dropped() {
    let mut world = moving_world(6);
    let client = world.client().sessions[0];
    world.send(1, client, b"data");
    let record = world.log.last().unwrap().2.clone();
    let mut without = record.clone();
    without.drain(11..18);
    without[0] = 23;
    world.deliver(server_address(), client_address(), without);
    assert_eq!(world.server().dtls.stats().discards.connection_id_missing, 1);
    let mut unknown = record;
    unknown[12] ^= 1;
    world.deliver(server_address(), client_address(), unknown);
    assert_eq!(world.server().dtls.stats().discards.unknown_connection_id, 1);
    assert!(world.server().received.is_empty());
}

#[test]
fn an_address_that_has_not_answered_gets_three_times_what_came_from_it() {
    let mut world = moving_world(7);
    let [server, client] = [0, 1].map(|node: usize| world.nodes[node].sessions[0]);
    rebind(&mut world);
    world.send(1, client, &[7; 80]);
    let came = world.log.last().unwrap().2.len() as u64;
    world.settle();
    let now = world.now;
    let mut buf = [0; 2048];
    let dtls = &mut world.server().dtls;
    // What does not come about does not count.
    for _ in 0..10 {
        let without_room = dtls.protect(now, server, &[1; 60], &mut buf[..20]);
        assert!(matches!(without_room, Err(ProtectError::NoRoom { .. })));
    }
    let mut sent = 0;
    let refused = loop {
        match dtls.protect(now, server, &[1; 60], &mut buf) {
            Ok(sealed) => sent += sealed.len as u64,
            Err(error) => break error,
        }
    };
    assert!(sent <= 3 * came && sent + 100 > 3 * came, "{sent} of {came}");
    assert_eq!(
        refused,
        ProtectError::PathNotProved {
            allowed: 3 * came - sent
        }
    );
    dtls.path_is_proved(server);
    for _ in 0..100 {
        assert!(dtls.protect(now, server, &[1; 60], &mut buf).is_ok());
    }
}

#[test]
fn a_peer_that_comes_back_to_its_proved_address_has_no_limit() {
    let mut world = moving_world(8);
    let [server, client] = [0, 1].map(|node: usize| world.nodes[node].sessions[0]);
    rebind(&mut world);
    world.send(1, client, b"away");
    world.settle();
    world.client().address = client_address();
    world.send(1, client, b"back");
    world.settle();
    assert_eq!(world.server().moved.len(), 2);
    let now = world.now;
    let mut buf = [0; 2048];
    let dtls = &mut world.server().dtls;
    assert!(dtls.protect(now, server, &[0; 1000], &mut buf).is_ok());
}

#[test]
fn another_device_at_the_old_address_does_not_end_the_session() {
    let mut world = moving_world(9);
    let client = world.client().sessions[0];
    // The address goes to another device with another identity.
    let mut other = Config::default();
    other.connection_ids = Some(ConnectionIds::PEERS_ONLY);
    world.nodes.push(common::Node::new(other, client_address(), 55));
    rebind(&mut world);
    let now = world.now;
    let connect = coracle_dtls::Connect::with_psk(b"device-2", common::KEY);
    world.nodes[2]
        .dtls
        .connect(now, Path::to(server_address()), connect)
        .unwrap();
    world.collect();
    world.settle();
    assert_eq!(world.nodes[2].sessions.len(), 1);
    assert!(world.server().replaced.is_empty());
    world.send(1, client, b"I moved");
    world.settle();
    assert_eq!(world.server().received, [b"I moved".to_vec()]);
    assert_eq!(world.server().dtls.len(), 2);
}

#[test]
fn who_moves_to_the_address_of_another_session_does_not_push_it_out() {
    let mut world = moving_world(10);
    let client = world.client().sessions[0];
    world
        .nodes
        .push(common::Node::new(Config::default(), new_address(), 56));
    let now = world.now;
    let connect = coracle_dtls::Connect::with_psk(b"device-2", common::KEY);
    let victim = world.nodes[2]
        .dtls
        .connect(now, Path::to(server_address()), connect)
        .unwrap();
    world.collect();
    world.settle();
    world.send(1, client, b"from elsewhere");
    let (_, _, record) = world.log.last().unwrap().clone();
    world.deliver(server_address(), new_address(), record);
    assert_eq!(world.server().moved.len(), 1);
    world.send(2, victim, b"still here");
    world.settle();
    assert_eq!(world.server().received.last().unwrap(), b"still here");
}

#[test]
fn handshakes_with_connection_ids_end_well_over_a_bad_link() {
    let mut unlucky = 0;
    for seed in 0..100 {
        let mut server = Config::psk_server();
        server.connection_ids = ids(b"s");
        server.mtu = 256;
        let mut client = Config::default();
        client.connection_ids = ids(b"c");
        client.mtu = 256;
        let mut world = World::new(server, client, seed);
        world.faults = Faults {
            lost: 30,
            copied: 20,
            held_back: 20,
        };
        world.connect(psk());
        if world.ends_well() {
            world.talk();
        } else {
            unlucky += 1;
        }
    }
    assert!(unlucky <= 2, "{unlucky} of 100");
}
