//! Sessions outlive the process, whether it ends as planned or by a crash, and nothing is used twice.

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests"
)]

mod common;

use std::collections::BTreeMap;

use common::{Node, World, client_address, psk, psk_world, server_address};
use coracle_dtls::{Config, ConnectionIds, Dtls, ImportError, Loaded, Path, Saving, SavingScope, SessionId};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

const SEAL: [u8; 32] = [9; 32];

fn connected(seed: u64) -> (World, SessionId, SessionId) {
    let mut world = psk_world(seed);
    let client = world.connect(psk());
    world.settle();
    let server = world.server().sessions[0];
    (world, server, client)
}

/// What is written in one go, not yet on the disk.
fn written(dtls: &mut Dtls, scope: SavingScope, out: &mut Vec<u8>) -> Saving {
    let mut saving = dtls.begin_saving(&SEAL, scope, out);
    while dtls.go_on_saving(&mut saving, out) {}
    saving
}

fn save(dtls: &mut Dtls, scope: SavingScope, out: &mut Vec<u8>) {
    let saving = written(dtls, scope, out);
    dtls.saved(saving);
}

/// Another process in place of the server, which has what is on the disk.
fn restart(world: &mut World, config: Config, disk: &[u8], earlier: u32) -> Loaded {
    let seed = 100 + u8::try_from(earlier).unwrap();
    let mut node = Node::new(config, server_address(), seed);
    let loaded = node.dtls.load(&SEAL, earlier, &mut disk.to_vec(), |_, _| true);
    node.sessions = loaded.sessions.values().copied().collect();
    world.nodes[0] = node;
    loaded
}

fn crash(world: &mut World, disk: &[u8], earlier: u32) -> Loaded {
    restart(world, Config::psk_server(), disk, earlier)
}

/// Every sealed record of the server has a nonce of its own.
fn assert_nonces_differ(world: &World) {
    let mut seen = BTreeMap::new();
    for (_, from, bytes) in &world.log {
        if *from == server_address() && bytes[3..5] == [0, 1] {
            let before = seen.insert(bytes[5..11].to_vec(), bytes.clone());
            assert!(
                before.is_none_or(|before| before == *bytes),
                "a nonce was used twice"
            );
        }
    }
}

#[test]
fn after_a_planned_restart_a_session_goes_on_as_if_nothing_were() {
    let (mut world, server, _) = connected(1);
    world.talk();
    let identity = world.server().dtls.peer(server).cloned();
    let mut disk = Vec::new();
    let ended = std::mem::replace(&mut world.server().dtls, Dtls::new(Config::default(), [0; 32]));
    ended.save_and_end(&SEAL, &mut disk);
    let loaded = crash(&mut world, &disk, 0);
    assert_eq!(loaded.end, Ok(()));
    assert_eq!(loaded.sessions, BTreeMap::from([(server, server)]));
    assert_eq!(world.server().dtls.peer(server).cloned(), identity);
    world.talk();
    assert_eq!(world.client().failures.len() + world.client().sessions.len(), 1);
    let records: Vec<_> = world.log.iter().map(|(_, _, bytes)| bytes[10]).collect();
    assert_eq!(records.last(), Some(&2), "no sequence number was left out");
    assert_nonces_differ(&world);
}

#[test]
fn after_a_crash_no_nonce_is_used_and_no_record_taken_twice() {
    let (mut world, server, client) = connected(2);
    world.talk();
    let mut disk = Vec::new();
    save(&mut world.server().dtls, SavingScope::All, &mut disk);
    world.talk();
    world.talk();
    for earlier in 0..3 {
        let loaded = crash(&mut world, &disk, earlier);
        assert_eq!(loaded.sessions.get(&server), Some(&server));
        // All that the device ever sent comes again.
        let log = world.log.clone();
        for (to, from, bytes) in log.into_iter().filter(|(to, ..)| *to == server_address()) {
            world.deliver(to, from, bytes);
        }
        assert!(world.server().received.is_empty(), "a replay was taken");
        // What is behind the reserve is taken: the device is heard again, at the latest after a few messages.
        for _ in 0..8 {
            world.send(1, client, b"again");
            world.settle();
        }
        assert!(!world.server().received.is_empty());
        world.send(0, server, b"from the server");
        world.settle();
        assert_eq!(world.client().received.pop(), Some(b"from the server".to_vec()));
    }
    assert_nonces_differ(&world);
}

#[test]
fn what_has_changed_is_appended() {
    let mut config = Config::psk_server();
    config.connection_ids = ConnectionIds::new(b"", 8);
    let mut client_config = Config::default();
    client_config.connection_ids = Some(ConnectionIds::PEERS_ONLY);
    let mut world = World::new(config.clone(), client_config, 3);
    let first = world.connect(psk());
    world.settle();
    let mut disk = Vec::new();
    save(&mut world.server().dtls, SavingScope::Changed, &mut disk);
    assert_eq!(world.server().dtls.unsaved().sessions, 0);

    // The device moves, another one comes, and a third that leaves again.
    let elsewhere = ([203, 0, 113, 9], 7).into();
    world.client().address = elsewhere;
    world.send(1, first, b"moved");
    world.settle();
    let moved = world.server().sessions[0];
    world.server().dtls.path_is_proved(moved);
    world
        .nodes
        .push(Node::new(Config::default(), client_address(), 77));
    let to = Path::to(server_address());
    let now = world.now;
    world.nodes[2].dtls.connect(now, to, psk()).unwrap();
    world.collect();
    world.settle();
    let new = world.server().sessions[1];
    assert_eq!(world.server().dtls.unsaved().sessions, 2);
    save(&mut world.server().dtls, SavingScope::Changed, &mut disk);

    let loaded = restart(&mut world, config.clone(), &disk, 0);
    assert_eq!(loaded.sessions.keys().copied().collect::<Vec<_>>(), [moved, new]);
    assert_eq!(world.server().dtls.path(moved), Some(Path::to(elsewhere)));

    // Saved anew, as one has to after a load; then one ends.
    let mut disk = Vec::new();
    save(&mut world.server().dtls, SavingScope::Changed, &mut disk);
    let now = world.now;
    world.server().dtls.close(now, moved);
    assert_eq!(world.server().dtls.unsaved().sessions, 1);
    save(&mut world.server().dtls, SavingScope::Changed, &mut disk);
    let loaded = restart(&mut world, config, &disk, 0);
    assert_eq!(loaded.sessions.keys().copied().collect::<Vec<_>>(), [new]);
    assert_eq!(world.server().dtls.len(), 1);
    assert_nonces_differ(&world);
}

#[test]
fn a_session_stops_before_it_goes_beyond_what_was_saved() {
    let (mut world, _, client) = connected(4);
    let mut disk = Vec::new();
    save(&mut world.server().dtls, SavingScope::All, &mut disk);
    assert!(!world.server().dtls.unsaved().is_urgent);
    for _ in 0..12 {
        world.send(1, client, b"x");
        world.settle();
    }
    let node = world.server();
    assert_eq!(node.received.len(), 8);
    assert_eq!(node.dtls.stats().discards.not_saved, 4);
    assert!(node.dtls.unsaved().is_urgent);
    // Writing alone does not help: it may not have come to the disk.
    let saving = written(&mut node.dtls, SavingScope::Changed, &mut disk);
    world.send(1, client, b"x");
    world.settle();
    assert_eq!(world.server().received.len(), 8);
    world.server().dtls.saved(saving);
    world.send(1, client, b"x");
    world.settle();
    assert_eq!(world.server().received.len(), 9);
}

#[test]
fn a_saving_that_was_given_up_is_made_up_for() {
    let (mut world, server, _) = connected(5);
    let node = world.server();
    let mut disk = Vec::new();
    save(&mut node.dtls, SavingScope::All, &mut disk);
    let now = world.now;
    let node = world.server();
    node.dtls.close(now, server);
    let given_up = written(&mut node.dtls, SavingScope::Changed, &mut Vec::new());
    save(&mut node.dtls, SavingScope::Changed, &mut disk);
    node.dtls.saved(given_up);
    assert!(crash(&mut world, &disk, 0).sessions.is_empty());
    // Until a first one has succeeded, all are saved.
    let (mut world, server, _) = connected(6);
    let node = world.server();
    let _given_up = written(&mut node.dtls, SavingScope::Changed, &mut Vec::new());
    let mut disk = Vec::new();
    save(&mut node.dtls, SavingScope::Changed, &mut disk);
    assert!(crash(&mut world, &disk, 0).sessions.contains_key(&server));
    // One that was not brought to its end says nothing.
    let (mut world, server, _) = connected(6);
    let node = world.server();
    let mut out = Vec::new();
    let unfinished = node.dtls.begin_saving(&SEAL, SavingScope::All, &mut out);
    node.dtls.saved(unfinished);
    let loaded = crash(&mut world, &out, 0);
    assert_eq!(loaded.end, Err(ImportError::CutOff));
    assert!(!loaded.sessions.contains_key(&server));
}

#[test]
fn what_cannot_be_read_is_told() {
    let (mut world, ..) = connected(7);
    let mut disk = Vec::new();
    save(&mut world.server().dtls, SavingScope::All, &mut disk);
    let mut dtls = Dtls::new(Config::psk_server(), [1; 32]);
    let mut end = |key: [u8; 32], mut bytes: Vec<u8>| {
        let loaded = dtls.load(&key, 0, &mut bytes, |_, _| true);
        assert!(loaded.sessions.is_empty());
        loaded.end.unwrap_err().to_string()
    };
    assert_eq!(
        end([8; 32], disk.clone()),
        "it was sealed under another key, or has been changed"
    );
    assert_eq!(end(SEAL, disk[..disk.len() - 1].to_vec()), "it is cut off");
    assert_eq!(
        end(SEAL, b"something else, long enough".to_vec()),
        "it is no saved state, or of another version"
    );
    assert!(dtls.is_empty());
}

#[test]
fn sessions_can_be_loaded_by_another_shard_or_left_to_others() {
    let (mut world, server, _) = connected(8);
    let mut disk = Vec::new();
    save(&mut world.server().dtls, SavingScope::All, &mut disk);
    let mut others = Dtls::new(Config::psk_server(), [1; 32]);
    let loaded = others.load(&SEAL, 0, &mut disk.clone(), |path, cid| {
        assert_eq!((path.remote, cid), (client_address(), &b""[..]));
        false
    });
    assert!(loaded.sessions.is_empty() && others.is_empty() && loaded.left_out == 0);

    let mut config = Config::psk_server();
    config.shard = 5;
    let loaded = restart(&mut world, config, &disk, 0);
    let now = loaded.sessions[&server];
    assert_ne!(now, server);
    assert_eq!(now.shard(), 5);
    assert_eq!(world.server().dtls.path(now), Some(Path::to(client_address())));
    world.send(0, now, b"hello");
    world.settle();
    assert_eq!(world.client().received, [b"hello".to_vec()]);
}

#[test]
fn places_that_are_free_after_loading_are_used() {
    let (mut world, ..) = connected(9);
    let mut disk = Vec::new();
    save(&mut world.server().dtls, SavingScope::All, &mut disk);
    crash(&mut world, &disk, 0);
    let before = world.server().sessions[0];
    // The client begins anew from the same address.
    world.connect(psk());
    world.settle();
    assert_eq!(world.server().replaced, [before]);
    world.talk();
    assert_eq!(world.server().dtls.len(), 1);
}

#[test]
fn tickets_stay_good() {
    let (mut world, ..) = connected(10);
    let mut disk = Vec::new();
    save(&mut world.server().dtls, SavingScope::All, &mut disk);
    crash(&mut world, &disk, 0);
    world.server().key = None;
    world.connect(psk());
    world.settle();
    assert_eq!(world.server().resumed, [true]);
    assert!(world.server().lookups.is_empty());
    world.talk();
}

/// The server's disk: what the next process finds there, and how often it was loaded.
struct Disk {
    bytes: Vec<u8>,
    loaded: u32,
}

/// Something happens to the server or on the way, drawn from the seed.
fn something(world: &mut World, rng: &mut ChaCha20Rng, disk: &mut Disk, sent: &mut u32) {
    let server = world.server().sessions.last().copied();
    match rng.next_u32() % 24 {
        0..12 => {
            let client = world.client().sessions[0];
            *sent += 1;
            let number = sent.to_be_bytes();
            world.send(1, client, &number);
        }
        12..15 => {
            if let Some(server) = server {
                world.send(0, server, b"from the server");
            }
        }
        15..17 => {
            // What the device sent last comes again.
            let log = world.log.clone();
            let again = log.into_iter().filter(|(to, ..)| *to == server_address());
            for (to, from, bytes) in again.rev().take(30) {
                world.deliver(to, from, bytes);
            }
        }
        17..19 => world.settle(),
        19..21 => {
            // Everything is written anew; perhaps the process ends before it knows that.
            let mut bytes = Vec::new();
            let saving = written(&mut world.server().dtls, SavingScope::All, &mut bytes);
            *disk = Disk { bytes, loaded: 0 };
            if rng.next_u32().is_multiple_of(2) {
                world.server().dtls.saved(saving);
            } else {
                end_of_process(world, rng, disk);
            }
        }
        21..23 if world.server().dtls.unsaved().sessions > 0 && disk.loaded == 0 => {
            let mut bytes = Vec::new();
            let saving = written(&mut world.server().dtls, SavingScope::Changed, &mut bytes);
            // A crash in the middle leaves a part of it behind.
            let whole = rng.next_u32().is_multiple_of(2);
            let part = if whole {
                bytes.len()
            } else {
                rng.next_u32() as usize % bytes.len()
            };
            disk.bytes.extend_from_slice(&bytes[..part]);
            if whole {
                world.server().dtls.saved(saving);
            } else {
                end_of_process(world, rng, disk);
            }
        }
        23 => end_of_process(world, rng, disk),
        _ => {}
    }
}

/// The process ends, as planned or not, and another one loads what is there.
fn end_of_process(world: &mut World, rng: &mut ChaCha20Rng, disk: &mut Disk) {
    let received = std::mem::take(&mut world.server().received);
    if rng.next_u32().is_multiple_of(3) {
        let ended = std::mem::replace(&mut world.server().dtls, Dtls::new(Config::default(), [0; 32]));
        disk.bytes.clear();
        disk.loaded = 0;
        ended.save_and_end(&SEAL, &mut disk.bytes);
    }
    crash(world, &disk.bytes, disk.loaded);
    disk.loaded += 1;
    world.server().received = received;
}

#[test]
fn whenever_the_process_ends_no_nonce_is_used_and_no_message_taken_twice() {
    let mut heard = 0;
    for seed in 0..300 {
        let (mut world, ..) = connected(seed);
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut disk = Disk {
            bytes: Vec::new(),
            loaded: 0,
        };
        save(&mut world.server().dtls, SavingScope::All, &mut disk.bytes);
        let mut sent = 0;
        for _ in 0..60 {
            something(&mut world, &mut rng, &mut disk, &mut sent);
        }
        world.settle();
        assert_nonces_differ(&world);
        let mut received = world.server().received.clone();
        received.sort();
        let count = received.len();
        received.dedup();
        assert_eq!(received.len(), count, "a message was taken twice");
        heard += count;
    }
    // Were nothing taken, nothing would be taken twice.
    assert!(heard > 1000, "{heard} messages were heard");
}
