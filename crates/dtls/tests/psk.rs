//! Handshakes with pre-shared keys (RFC 4279), machine against machine.

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use common::{Faults, IDENTITY, World, client_address, psk, psk_world, server_address};
use coracle_dtls::{
    AlertDescription, Config, Connect, Identity, NoticedBy, Path, Reason, ServerConfig, Suite,
};

#[test]
fn a_session_comes_about_and_carries_messages_both_ways() {
    for suite in Suite::ALL.into_iter().filter(|suite| suite.is_psk()) {
        let mut config = Config::psk_server();
        config.suites = vec![suite];
        let mut world = World::new(config, Config::default(), 1);
        let id = world.connect(psk());
        assert!(world.client().dtls.peer(id).is_none());
        world.settle();
        let server_side = world.server().sessions[0];
        let identity = Identity::Psk(IDENTITY.to_vec());
        assert_eq!(**world.server().dtls.peer(server_side).unwrap(), identity);
        assert_eq!(world.client().sessions, [id]);
        assert_eq!(world.client().dtls.path(id), Some(Path::to(server_address())));
        world.talk();
        assert_eq!(world.server().dtls.stats().handshakes_done, 1);
        assert_eq!(world.server().dtls.stats().cookies_sent, 1);
    }
}

#[test]
fn it_takes_two_round_trips_and_a_cookie_of_no_memory() {
    let mut world = psk_world(2);
    world.connect(psk());
    world.run_for(Duration::from_millis(20));
    assert!(
        world.server().dtls.is_empty(),
        "nothing is remembered before the cookie is back"
    );
    world.run_for(Duration::from_millis(100));
    assert_eq!(world.log.len(), 6, "one datagram a flight");
    assert_eq!(world.server().sessions.len(), 1);
}

#[test]
fn wrong_and_unknown_keys_look_the_same_and_both_sides_learn_why() {
    let mut logs = Vec::new();
    for answer in [Some(b"another key".to_vec()), None] {
        let mut world = psk_world(3);
        world.server().key = Some(answer);
        world.connect(psk());
        world.settle();
        let failure = &world.server().failures[0];
        assert_eq!(
            failure.reason,
            Reason::WrongPsk {
                identity: IDENTITY.to_vec()
            }
        );
        assert_eq!(failure.alert, Some(AlertDescription::DECRYPT_ERROR));
        let failure = &world.client().failures[0];
        assert_eq!(failure.noticed_by, NoticedBy::Peer);
        assert_eq!(
            failure.to_string(),
            "the server does not know this PSK identity, or the key is wrong (the peer sent the alert decrypt_error)"
        );
        assert!(world.server().dtls.is_empty() && world.client().dtls.is_empty());
        assert_eq!(world.server().dtls.stats().wrong_psk, 1);
        logs.push(world.log);
    }
    assert_eq!(logs[0], logs[1], "not one byte tells them apart");
}

#[test]
fn a_look_up_may_take_its_time() {
    let mut world = psk_world(4);
    world.server().key = None;
    world.connect(psk());
    world.run_for(Duration::from_secs(8));
    assert_eq!(
        world.server().lookups.len(),
        1,
        "asked once, however often the client repeats itself"
    );
    let now = world.now;
    let (lookup, identity) = world.server().lookups[0].clone();
    assert_eq!(identity, IDENTITY);
    world.server().dtls.provide_psk(now, lookup, Some(common::KEY));
    world.collect();
    world.settle();
    world.talk();
}

#[test]
fn a_look_up_that_is_never_answered_ends() {
    let mut world = psk_world(5);
    world.server().key = None;
    world.connect(psk());
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.server().failures[0].reason, Reason::LookupTimedOut);
    assert!(world.server().dtls.is_empty());
    let now = world.now;
    let (lookup, _) = world.server().lookups[0].clone();
    world.server().dtls.provide_psk(now, lookup, Some(common::KEY));
    world.collect();
    assert!(world.server().sessions.is_empty());
}

#[test]
fn no_common_suite_says_what_there_was() {
    let mut server = Config::psk_server();
    server.suites = vec![Suite::PskCcm];
    let mut client = Config::default();
    client.suites = vec![Suite::PskCcm8];
    let mut world = World::new(server, client, 6);
    world.connect(psk());
    world.settle();
    let words = world.server().failures[0].to_string();
    assert!(
        words.contains("no common cipher suite: offered PSK_WITH_AES_128_CCM_8"),
        "{words}"
    );
    assert!(words.contains("we have PSK_WITH_AES_128_CCM"), "{words}");
    assert_eq!(
        world.client().failures[0].alert,
        Some(AlertDescription::HANDSHAKE_FAILURE)
    );
}

#[test]
fn a_machine_that_is_no_server_answers_nothing() {
    let mut world = World::new(Config::default(), Config::default(), 7);
    world.connect(psk());
    world.run_for(Duration::from_secs(400));
    assert!(world.log.iter().all(|(to, _, _)| *to == server_address()));
    assert_eq!(
        world.client().failures[0].reason,
        Reason::TimedOut {
            awaited: "ServerHello"
        }
    );
    assert!(world.client().dtls.is_empty());
    let mut config = Config::default();
    config.server = Some(ServerConfig::default());
    let mut world = World::new(config, Config::default(), 7);
    world.connect(psk());
    world.settle();
    assert!(matches!(
        world.server().failures[0].reason,
        Reason::NoCommonSuite { .. }
    ));
}

#[test]
fn every_handshake_ends_well_over_a_bad_link() {
    let mut unlucky = 0;
    for seed in 0..500 {
        let mut config = Config::psk_server();
        config.mtu = 256;
        let mut client = Config::default();
        client.mtu = 256;
        let mut world = World::new(config, client, seed);
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
        assert!(world.largest <= 256);
    }
    assert!(unlucky <= 5, "{unlucky} of 500");
}

#[test]
fn a_lost_last_flight_is_said_again_until_data_shows_that_it_arrived() {
    let mut world = psk_world(9);
    world.connect(psk());
    world.run_for(Duration::from_millis(81));
    assert_eq!(world.server().sessions.len(), 0);
    world.faults.lost = 100;
    world.run_for(Duration::from_millis(30));
    assert_eq!(world.server().sessions.len(), 1);
    assert!(world.client().sessions.is_empty());
    world.faults.lost = 0;
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.client().sessions.len(), 1);
    assert_eq!(world.server().dtls.stats().flights_by_peer, 1);
    assert!(
        world.server().dtls.poll_deadline().is_some(),
        "the last flight is kept"
    );
    world.talk();
    assert!(world.server().dtls.poll_deadline().is_none(), "and forgotten");
}

#[test]
fn a_closed_session_is_gone_on_both_sides() {
    let mut world = psk_world(10);
    let id = world.connect(psk());
    world.settle();
    let now = world.now;
    world.client().dtls.close(now, id);
    world.collect();
    world.settle();
    assert_eq!(world.nodes[0].closed, world.nodes[0].sessions);
    assert!(world.server().dtls.is_empty() && world.client().dtls.is_empty());
    let mut buf = [0; 64];
    assert_eq!(
        world.client().dtls.protect(now, id, b"late", &mut buf),
        Err(coracle_dtls::ProtectError::UnknownSession)
    );
}

#[test]
fn a_replayed_or_changed_record_is_dropped() {
    let mut world = psk_world(11);
    let id = world.connect(psk());
    world.settle();
    world.send(1, id, b"once");
    world.settle();
    let (to, from, bytes) = world.log.last().unwrap().clone();
    world.deliver(to, from, bytes.clone());
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        world.deliver(to, from, changed);
    }
    assert_eq!(world.server().received, [b"once".to_vec()]);
    let discards = world.server().dtls.stats().discards;
    assert!(discards.replayed >= 1 && discards.not_authentic >= 1);
    assert!(world.server().failures.is_empty());
    world.talk();
}

#[test]
fn an_unsealed_alert_never_ends_a_session() {
    let mut world = psk_world(12);
    world.connect(psk());
    world.settle();
    let alert = [21, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
    world.deliver(server_address(), client_address(), alert.to_vec());
    world.deliver(client_address(), server_address(), alert.to_vec());
    world.talk();
}

#[test]
fn a_new_handshake_leaves_the_old_session_alone_until_it_has_proved_itself() {
    let mut world = psk_world(13);
    let old = world.connect(psk());
    world.settle();
    let old_of_server = world.server().sessions[0];
    // Somebody without the key tries from the same address: the session goes on.
    world.connect(Connect::with_psk(b"somebody", b"guess"));
    world.run_for(Duration::from_secs(9));
    assert!(matches!(
        world.server().failures[0].reason,
        Reason::WrongPsk { .. }
    ));
    world.send(1, old, b"still here");
    world.settle();
    assert_eq!(world.server().received, [b"still here".to_vec()]);
    // The device begins anew, and while it does so the old session can be used.
    let new = world.connect(psk());
    world.run_for(Duration::from_millis(70));
    world.send(1, old, b"meanwhile");
    world.settle();
    assert_eq!(world.server().received.last().unwrap(), b"meanwhile");
    assert_eq!(world.server().replaced, [old_of_server]);
    assert_eq!(world.client().replaced, [old]);
    assert_eq!(*world.client().sessions.last().unwrap(), new);
    assert_eq!((world.server().dtls.len(), world.client().dtls.len()), (1, 1));
    world.talk();
}

#[test]
fn a_device_that_lost_everything_comes_back_from_its_address() {
    let mut world = psk_world(14);
    world.connect(psk());
    world.settle();
    world.nodes[1] = common::Node::new(Config::default(), client_address(), 99);
    world.connect(psk());
    world.settle();
    assert_eq!(world.server().sessions.len(), 2);
    assert_eq!(world.server().dtls.len(), 1);
    world.talk();
}

#[test]
fn handshakes_that_never_end_are_bounded_and_time_out() {
    let mut config = Config::psk_server();
    config.max_handshakes = 16;
    let mut world = World::new(config, Config::default(), 15);
    world.server().key = None;
    for port in 0..40_u16 {
        let address = (([10, 0, (port / 4) as u8, 1]), 1000 + port).into();
        let mut node = common::Node::new(Config::default(), address, port as u8);
        node.dtls
            .connect(Duration::ZERO, Path::to(server_address()), psk())
            .unwrap();
        world.nodes.push(node);
    }
    world.collect();
    world.run_for(Duration::from_millis(500));
    assert!(world.server().dtls.len() <= 16);
    assert!(
        world.server().dtls.stats().discards.crowded > 0,
        "one host has a share only"
    );
    world.run_for(Duration::from_secs(400));
    assert!(world.server().dtls.is_empty());
    assert!(world.server().dtls.poll_deadline().is_none());
}

#[test]
fn the_largest_message_is_told_before_it_is_sent() {
    let mut server = Config::psk_server();
    server.record_size_limit = Some(100);
    let mut client = Config::default();
    client.record_size_limit = Some(16384);
    let mut world = World::new(server, client, 16);
    let id = world.connect(psk());
    world.settle();
    let now = world.now;
    let client = &mut world.client().dtls;
    assert_eq!(client.max_plaintext(id, 1200), Some(100));
    assert_eq!(client.max_plaintext(id, 64), Some(64 - 29));
    let mut buf = [0; 256];
    let too_long = client.protect(now, id, &[0; 101], &mut buf);
    assert_eq!(too_long, Err(coracle_dtls::ProtectError::TooLong { limit: 100 }));
    assert_eq!(client.protect(now, id, &[0; 100], &mut buf).unwrap().len, 129);
    let no_room = client.protect(now, id, &[0; 100], &mut buf[..128]);
    assert_eq!(no_room, Err(coracle_dtls::ProtectError::NoRoom { needed: 129 }));
}

#[test]
fn beyond_the_bound_the_quietest_session_gives_way_and_is_told() {
    let mut config = Config::psk_server();
    config.max_sessions = 3;
    let mut world = World::new(config, Config::default(), 17);
    for last in 0..4 {
        let address = ([10, 0, 0, last], 1000).into();
        let mut node = common::Node::new(Config::default(), address, last);
        node.dtls
            .connect(world.now, Path::to(server_address()), psk())
            .unwrap();
        world.nodes.push(node);
        world.collect();
        world.run_for(Duration::from_secs(10));
        if last == 2 {
            let oldest = world.nodes[2].sessions[0];
            world.send(2, oldest, b"I am here");
            world.settle();
        }
    }
    assert_eq!(world.server().dtls.len(), 3);
    assert_eq!(world.server().failures[0].reason, Reason::TooManySessions);
    assert_eq!(world.server().dtls.stats().made_room, 1);
    let closed: Vec<usize> = world.nodes[2..].iter().map(|node| node.closed.len()).collect();
    assert_eq!(closed, [0, 1, 0, 0]);
}
