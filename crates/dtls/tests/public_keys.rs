//! Handshakes with raw public keys (RFC 7250) and certificates, in both directions.

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::keys::{Authority, Parties, UNIX_TIME, certified_parties, raw_key, raw_parties, trusting};
use common::{Faults, World};
use coracle_dtls::{
    AlertDescription, ClientAuthentication, ClientCredentials, ConnectError, Identity, NoticedBy, OwnKeys,
    Path, Reason, SignatureScheme, Suite, Trust,
};

fn world(parties: Parties, seed: u64) -> World {
    let mut world = World::new(parties.server, parties.client, seed);
    world.connect(parties.connect);
    world.settle();
    world
}

/// Who the server and the client see.
fn identities(world: &mut World) -> (Identity, Identity) {
    let [server, client] = [0, 1].map(|node: usize| {
        let session = *world.nodes[node].sessions.last().expect("a session");
        Identity::clone(world.nodes[node].dtls.peer(session).unwrap())
    });
    (server, client)
}

/// What the side that noticed a fault says, and what the other makes of its alert.
fn failures(world: &mut World) -> [(NoticedBy, String); 2] {
    [0, 1].map(|node: usize| {
        let failure = &world.nodes[node].failures[0];
        (failure.noticed_by, failure.to_string())
    })
}

#[test]
fn raw_keys_both_ways_with_every_scheme_and_suite() {
    for scheme in SignatureScheme::ALL {
        for suite in Suite::ALL.into_iter().filter(|suite| !suite.is_psk()) {
            let mut parties = raw_parties(scheme);
            parties.server.suites = vec![suite];
            let mut world = world(parties, 1);
            let (client, server) = identities(&mut world);
            assert!(
                matches!(client, Identity::RawPublicKey(_)) && matches!(server, Identity::RawPublicKey(_))
            );
            assert_ne!(client, server);
            world.talk();
        }
    }
}

#[test]
fn certificates_both_ways() {
    for scheme in SignatureScheme::ALL {
        let mut world = world(certified_parties(scheme), 2);
        let (Identity::Certificate(client), Identity::Certificate(server)) = identities(&mut world) else {
            panic!("no certificates");
        };
        assert_eq!(client.common_name.as_deref(), Some("device-7.example.org"));
        assert_eq!(server.names, ["coap.example.org"]);
        world.talk();
    }
}

#[test]
fn each_side_may_show_another_form() {
    let mut parties = certified_parties(SignatureScheme::EcdsaSecp256r1Sha256);
    let key = raw_key(SignatureScheme::Ed25519);
    let server = parties.server.server.as_mut().unwrap();
    server.trust.keys = trusting(&key);
    let ClientCredentials::Keys { own, .. } = &mut parties.connect.credentials else {
        panic!("keys");
    };
    own.raw_key = Some(key.clone());
    let mut world = world(parties, 3);
    let (client, server) = identities(&mut world);
    assert_eq!(client, Identity::RawPublicKey(key.public_key_info().to_vec()));
    assert!(matches!(server, Identity::Certificate(_)));
}

#[test]
fn a_client_that_shows_nothing_stays_anonymous_where_it_may() {
    for (authentication, expected) in [
        (ClientAuthentication::None, true),
        (ClientAuthentication::Optional, true),
        (ClientAuthentication::Required, false),
    ] {
        for mut parties in [
            raw_parties(SignatureScheme::Ed25519),
            certified_parties(SignatureScheme::EcdsaSecp256r1Sha256),
        ] {
            parties.server.server.as_mut().unwrap().client_authentication = authentication;
            if let ClientCredentials::Keys { own, .. } = &mut parties.connect.credentials {
                *own = OwnKeys::default();
            }
            let mut world = world(parties, 4);
            assert_eq!(world.server().sessions.len() == 1, expected, "{authentication:?}");
            if expected {
                assert_eq!(identities(&mut world).0, Identity::Anonymous);
                world.talk();
            } else {
                let [(by, _), (their, _)] = failures(&mut world);
                assert_eq!((by, their), (NoticedBy::Us, NoticedBy::Peer));
            }
        }
    }
}

#[test]
fn a_key_that_is_not_known_is_refused_on_either_side() {
    let other = raw_key(SignatureScheme::Ed25519);
    let mut parties = raw_parties(SignatureScheme::Ed25519);
    parties.server.server.as_mut().unwrap().trust.keys = trusting(&other);
    let [(by, words), _] = failures(&mut world(parties, 5));
    assert_eq!(by, NoticedBy::Us);
    assert_eq!(
        words,
        "the peer's public key is not among the trusted ones (we sent the alert certificate_unknown)"
    );
    let mut parties = raw_parties(SignatureScheme::Ed25519);
    if let ClientCredentials::Keys { trust, .. } = &mut parties.connect.credentials {
        Arc::make_mut(trust).keys = trusting(&other);
    }
    let [_, (by, words)] = failures(&mut world(parties, 5));
    assert_eq!(by, NoticedBy::Us);
    assert!(words.contains("not among the trusted ones"), "{words}");
}

#[test]
fn a_certificate_that_is_not_believed_says_why() {
    let parties = || certified_parties(SignatureScheme::EcdsaSecp256r1Sha256);
    let mut wrong_name = parties();
    wrong_name.connect = wrong_name.connect.to("other.example.org");
    let [(_, theirs), (_, words)] = failures(&mut world(wrong_name, 6));
    assert!(
        words.contains("not for other.example.org, but for coap.example.org"),
        "{words}"
    );
    assert_eq!(
        theirs,
        "the peer ended it (the peer sent the alert bad_certificate)"
    );

    let mut late = parties();
    late.client.unix_time = Some(UNIX_TIME + Duration::from_secs(20 * 365 * 86_400));
    let [_, (_, words)] = failures(&mut world(late, 6));
    assert!(words.contains("expired on 2040-01-01"), "{words}");

    let mut stranger = parties();
    if let ClientCredentials::Keys { own, .. } = &mut stranger.connect.credentials {
        let elsewhere = Authority::new("elsewhere");
        let issued = elsewhere.issue("device", SignatureScheme::Ed25519, 2040);
        own.certificate = Some(issued.certified());
    }
    let [(_, words), _] = failures(&mut world(stranger, 6));
    assert!(words.contains("from no authority that is trusted"), "{words}");

    let mut timeless = parties();
    timeless.client.unix_time = None;
    let [_, (_, words)] = failures(&mut world(timeless, 6));
    assert!(words.contains("certificates need Config::unix_time"), "{words}");
}

#[test]
fn forms_that_do_not_meet_say_so() {
    let mut parties = raw_parties(SignatureScheme::Ed25519);
    let certified = certified_parties(SignatureScheme::Ed25519);
    parties.connect = certified.connect;
    let mut world = world(parties, 7);
    let failure = &world.server().failures[0];
    assert_eq!(failure.reason, Reason::NoCommonCertificateType);
    assert_eq!(failure.alert, Some(AlertDescription::UNSUPPORTED_CERTIFICATE));
}

#[test]
fn who_believes_nobody_does_not_begin() {
    let mut parties = raw_parties(SignatureScheme::Ed25519);
    if let ClientCredentials::Keys { trust, .. } = &mut parties.connect.credentials {
        *trust = Arc::new(Trust::default());
    }
    let mut world = World::new(parties.server, parties.client, 8);
    let path = Path::to(common::server_address());
    let begun = world.client().dtls.connect(Duration::ZERO, path, parties.connect);
    assert_eq!(begun, Err(ConnectError::NobodyTrusted));
}

#[test]
fn every_handshake_ends_well_over_a_bad_link() {
    let mut unlucky = 0;
    for seed in 0..60 {
        for mut parties in [
            raw_parties(SignatureScheme::Ed25519),
            certified_parties(SignatureScheme::EcdsaSecp256r1Sha256),
        ] {
            parties.server.mtu = 256;
            parties.client.mtu = 256;
            let mut world = World::new(parties.server, parties.client, seed);
            world.faults = Faults {
                lost: 30,
                copied: 20,
                held_back: 20,
            };
            world.connect(parties.connect);
            if world.ends_well() {
                world.talk();
            } else {
                unlucky += 1;
            }
            assert!(world.largest <= 256);
        }
    }
    assert!(unlucky <= 2, "{unlucky} of 120");
}

#[test]
fn a_server_of_both_kinds_serves_both() {
    let Parties {
        mut server,
        client,
        connect,
    } = raw_parties(SignatureScheme::Ed25519);
    server.server.as_mut().unwrap().psk = true;
    let mut world = World::new(server, client, 10);
    world.connect(connect);
    world.settle();
    assert!(matches!(identities(&mut world).0, Identity::RawPublicKey(_)));
    world.connect(common::psk());
    world.settle();
    assert_eq!(identities(&mut world).0, Identity::Psk(common::IDENTITY.to_vec()));
    assert_eq!(
        world.server().dtls.len(),
        1,
        "the second took the place of the first"
    );
}
