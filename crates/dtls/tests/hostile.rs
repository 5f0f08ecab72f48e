//! Whatever comes: datagrams that were changed, cut, repeated or made up never cause a panic, endless work or memory without
//! bound, and never end what is established.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use common::keys::{certified_parties, raw_parties};
use common::{Faults, World, client_address, psk, server_address};
use coracle_dtls::{Config, ConnectionIds, Path, Received, SignatureScheme};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// A datagram as somebody on the way might make it.
fn mutate(rng: &mut ChaCha20Rng, bytes: &mut Vec<u8>) {
    for _ in 0..=rng.next_u32() % 3 {
        if bytes.is_empty() {
            return;
        }
        let place = rng.next_u32() as usize % bytes.len();
        match rng.next_u32() % 6 {
            0 => bytes[place] ^= 1 << (rng.next_u32() % 8),
            1 => bytes[place] = rng.next_u32() as u8,
            2 => bytes.truncate(place),
            3 => bytes.insert(place, rng.next_u32() as u8),
            4 => {
                let tail = bytes[place..].to_vec();
                bytes.extend(tail);
            }
            // The fields of the headers are where most can be done.
            _ => {
                let place = rng.next_u32() as usize % 25.min(bytes.len());
                bytes[place] = [0, 1, 0xFE, 0xFF][rng.next_u32() as usize % 4];
            }
        }
    }
    bytes.truncate(2000);
}

fn worlds(seed: u64) -> Vec<World> {
    let raw = raw_parties(SignatureScheme::Ed25519);
    let certified = certified_parties(SignatureScheme::EcdsaSecp256r1Sha256);
    let mut with_ids = Config::psk_server();
    with_ids.connection_ids = ConnectionIds::new(b"s", 6);
    let mut client = Config::default();
    client.connection_ids = ConnectionIds::new(b"c", 6);
    let mut worlds = vec![
        (World::new(with_ids, client, seed), psk()),
        (World::new(raw.server, raw.client, seed), raw.connect),
        (
            World::new(certified.server, certified.client, seed),
            certified.connect,
        ),
    ];
    for (world, connect) in &mut worlds {
        world.connect(connect.clone());
    }
    worlds.into_iter().map(|(world, _)| world).collect()
}

#[test]
fn handshakes_with_changed_datagrams_among_them_keep_to_their_bounds() {
    for seed in 0..60 {
        for mut world in worlds(seed) {
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            world.faults = Faults {
                lost: 10,
                copied: 10,
                held_back: 10,
            };
            let end = Duration::from_secs(900);
            let mut seen = 0;
            while world.step(end) {
                let (to, from, bytes) = world.log[seen % world.log.len()].clone();
                seen += 1;
                if seen < 400 {
                    let mut changed = bytes;
                    mutate(&mut rng, &mut changed);
                    world.deliver(to, from, changed);
                }
                assert!(seen < 20_000, "it comes to an end");
                for node in &world.nodes {
                    assert!(node.dtls.len() <= 4);
                }
            }
            assert!(world.nodes.iter().all(|node| node.dtls.poll_deadline().is_none()));
        }
    }
}

#[test]
fn what_is_established_survives_whatever_comes_from_outside() {
    for seed in 0..30 {
        for mut world in worlds(seed) {
            world.settle();
            world.talk();
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let log = world.log.clone();
            for round in 0..200 {
                let (to, from, bytes) = log[rng.next_u32() as usize % log.len()].clone();
                let mut changed = bytes;
                if round % 4 != 0 {
                    mutate(&mut rng, &mut changed);
                }
                world.deliver(to, from, changed);
            }
            let kept = world.server().sessions[0];
            assert!(world.server().dtls.peer(kept).is_some(), "the server's session");
            world.talk();
        }
    }
}

proptest! {
    #[test]
    fn bytes_of_nobody_are_dropped(bytes in proptest::collection::vec(any::<u8>(), 0..200), seed in any::<u8>()) {
        let mut node = common::Node::new(Config::psk_server(), server_address(), seed);
        let mut datagram = bytes;
        let mut rest = &mut datagram[..];
        while !rest.is_empty() {
            let (used, received) = node.dtls.handle_datagram(Duration::ZERO, Path::to(client_address()), rest);
            prop_assert!(used > 0 && received == Received::Nothing);
            rest = &mut rest[used..];
        }
        prop_assert!(node.dtls.is_empty());
    }
}
