//! Sessions that are taken up again, by ticket (RFC 5077) and by session ID (RFC 5246 §7.3).

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use common::keys::{certified_parties, raw_parties};
use common::{Faults, World, psk};
use coracle_dtls::{Config, Identity, SignatureScheme};

const HOUR: Duration = Duration::from_secs(3600);

fn by_session_id() -> Config {
    let mut config = Config::psk_server();
    config.resumption.tickets = false;
    config
}

#[test]
fn a_session_is_taken_up_with_a_round_trip_less() {
    for server in [Config::psk_server(), by_session_id()] {
        let mut world = World::new(server, Config::default(), 1);
        world.connect(psk());
        world.settle();
        let datagrams = world.log.len();
        assert_eq!(datagrams, 6);
        world.server().key = None;
        world.connect(psk());
        world.settle();
        assert_eq!(world.log.len() - datagrams, 5);
        assert_eq!(world.server().resumed, [false, true]);
        assert_eq!(world.client().resumed, [false, true]);
        assert!(world.server().lookups.is_empty(), "no key is looked up");
        let session = world.server().sessions[1];
        let peer = Identity::clone(world.server().dtls.peer(session).unwrap());
        assert_eq!(peer, Identity::Psk(common::IDENTITY.to_vec()));
        world.talk();
        world.connect(psk());
        world.settle();
        assert_eq!(world.client().resumed, [false, true, true]);
        assert_eq!(world.server().dtls.stats().handshakes_resumed, 2);
    }
}

#[test]
fn who_the_peer_is_survives_with_public_keys() {
    for parties in [
        raw_parties(SignatureScheme::Ed25519),
        certified_parties(SignatureScheme::EcdsaSecp256r1Sha256),
    ] {
        let mut world = World::new(parties.server, parties.client, 2);
        world.connect(parties.connect.clone());
        world.settle();
        world.connect(parties.connect);
        world.settle();
        assert_eq!(world.server().resumed, [false, true]);
        let peers = [0, 1].map(|n: usize| {
            let session = world.nodes[0].sessions[n];
            world.nodes[0].dtls.peer(session).cloned()
        });
        assert!(peers[0].is_none(), "the old one has been replaced");
        assert!(matches!(
            peers[1].as_deref(),
            Some(Identity::RawPublicKey(_) | Identity::Certificate(_))
        ));
        world.talk();
    }
}

#[test]
fn after_its_time_a_session_is_not_taken_up() {
    for server in [Config::psk_server(), by_session_id()] {
        let mut world = World::new(server, Config::default(), 3);
        world.connect(psk());
        world.run_for(23 * HOUR);
        world.connect(psk());
        world.settle();
        world.run_for(2 * HOUR);
        world.connect(psk());
        world.settle();
        assert_eq!(
            world.server().resumed,
            [false, true, false],
            "a session does not become younger"
        );
    }
}

#[test]
fn a_server_that_knows_nothing_any_more_makes_a_new_session() {
    for server in [Config::psk_server(), by_session_id()] {
        let mut world = World::new(server.clone(), Config::default(), 4);
        world.connect(psk());
        world.settle();
        world.nodes[0] = common::Node::new(server, common::server_address(), 77);
        world.connect(psk());
        world.settle();
        assert_eq!(world.client().resumed, [false, false]);
        world.talk();
        world.connect(psk());
        world.settle();
        assert_eq!(world.client().resumed, [false, false, true]);
    }
}

#[test]
fn a_client_that_does_not_want_it_leaves_nothing_behind() {
    let mut world = World::new(Config::psk_server(), Config::default(), 5);
    let mut connect = psk();
    connect.resume = false;
    for _ in 0..2 {
        world.connect(connect.clone());
        world.settle();
    }
    assert_eq!(world.client().resumed, [false, false]);
}

#[test]
fn another_name_or_identity_is_another_session() {
    let mut world = World::new(Config::psk_server(), Config::default(), 6);
    for connect in [
        psk(),
        psk().to("a.example"),
        psk().to("b.example"),
        psk().to("a.example"),
    ] {
        world.connect(connect);
        world.settle();
    }
    assert_eq!(world.client().resumed, [false, false, false, true]);
    world.connect(coracle_dtls::Connect::with_psk(b"device-2", common::KEY));
    world.settle();
    assert_eq!(world.client().resumed.last(), Some(&false));
}

#[test]
fn every_resumption_ends_well_over_a_bad_link() {
    let mut unlucky = 0;
    for seed in 0..200 {
        let mut server = Config::psk_server();
        server.mtu = 256;
        server.resumption.tickets = seed % 2 == 0;
        let mut client = Config::default();
        client.mtu = 256;
        let mut world = World::new(server, client, seed);
        world.connect(psk());
        world.settle();
        world.nodes[0].sessions.clear();
        world.nodes[1].sessions.clear();
        world.faults = Faults {
            lost: 30,
            copied: 20,
            held_back: 20,
        };
        world.connect(psk());
        if world.ends_well() {
            assert_eq!(world.server().resumed, [false, true]);
            world.talk();
        } else {
            unlucky += 1;
        }
        assert!(world.largest <= 256);
    }
    assert!(unlucky <= 2, "{unlucky} of 200");
}

#[test]
fn what_is_forgotten_is_not_taken_up() {
    for node in [0, 1] {
        for server in [Config::psk_server(), by_session_id()] {
            let mut world = World::new(server, Config::default(), 7);
            world.connect(psk());
            world.settle();
            let now = world.now;
            world.nodes[node].dtls.forget_resumable(now);
            world.talk();
            world.connect(psk());
            world.settle();
            assert_eq!(world.client().resumed, [false, false]);
            world.connect(psk());
            world.settle();
            assert_eq!(world.client().resumed, [false, false, true]);
        }
    }
}
