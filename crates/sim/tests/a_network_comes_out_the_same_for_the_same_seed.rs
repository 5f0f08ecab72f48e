//! The network itself: its determinism, groups, addresses that nobody has, and datagrams from outside.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use std::time::Duration;

use coracle_engine::{DropReason, Event, ExchangeError, Path, RequestRef, ResponseRef};
use coracle_sim::{Fate, Input, Io, Link, Network, Verdict};
use coracle_wire::{Method, Options, Status};

fn echo(io: &mut Io<'_>, input: Input) {
    if let Input::Request { id, payload, .. } = input {
        io.respond(id, ResponseRef::new(Status::CONTENT, Options::empty(), &payload))
            .unwrap();
    }
}

fn run(seed: u64) -> Vec<String> {
    let mut network = Network::new(seed);
    let link = Link::perfect()
        .with_loss(0.2)
        .with_duplication(0.2)
        .with_jitter(Duration::from_secs(1));
    network.set_link(link);
    let server = network.add_server(echo);
    let client = network.add_client();
    for _ in 0..20 {
        let ask = RequestRef::new(Method::POST, Options::empty()).with_payload(b"hello");
        network.request(client, server, ask).unwrap();
        network.run_for(Duration::from_secs(1));
    }
    assert!(network.run_to_silence(Duration::from_secs(10_000)));
    network.log().map(coracle_sim::Record::line).collect()
}

#[test]
fn the_same_seed_gives_the_same_log_and_another_another() {
    let log = run(1);
    assert!(log.len() > 40);
    assert_eq!(log, run(1));
    assert_ne!(log, run(2));
}

#[test]
fn a_group_reaches_its_members_and_nobody_else() {
    let mut network = Network::new(3);
    let group: Path = Path::to("224.0.1.187:5683".parse().unwrap());
    let members = [network.add_server(echo), network.add_server(echo)];
    let other = network.add_server(echo);
    let client = network.add_client();
    for member in members {
        network.join(member, group.remote.ip());
    }
    let now = network.now();
    let ask = RequestRef::new(Method::GET, Options::empty()).with_payload(b"who");
    network.endpoint(client).request(now, &group, ask).unwrap();
    network.run_for(Duration::from_secs(60));
    let from: Vec<_> = network
        .take_events(client)
        .into_iter()
        .filter_map(|event| match event {
            Event::Response { response, .. } => Some(response.path.remote),
            _ => None,
        })
        .collect();
    assert_eq!(from.len(), 2);
    assert!(
        members
            .iter()
            .all(|member| from.contains(&network.address(*member)))
    );
    assert_eq!(network.stats(other).datagrams_in, 0);
}

#[test]
fn an_address_that_nobody_has_is_unreachable() {
    let mut network = Network::new(4);
    let client = network.add_client();
    let now = network.now();
    let path = Path::to("10.9.9.9:5683".parse().unwrap());
    let ask = RequestRef::new(Method::GET, Options::empty());
    network.endpoint(client).request(now, &path, ask).unwrap();
    network.run_for(Duration::from_secs(1));
    let events = network.take_events(client);
    assert!(
        matches!(
            events[..],
            [Event::Failed {
                error: ExchangeError::Unreachable,
                ..
            }]
        ),
        "{events:?}"
    );
    assert!(network.log().all(|record| record.fate == Fate::NoSuchAddress));
}

#[test]
fn a_filter_loses_what_it_says_and_datagrams_may_come_from_outside() {
    let mut network = Network::new(5);
    let server = network.add_server(echo);
    let client = network.add_client();
    let mut seen = 0;
    network.set_filter(move |_, message| {
        seen += usize::from(message.is_some());
        if seen == 1 { Verdict::Lose } else { Verdict::Pass }
    });
    network
        .request(client, server, RequestRef::new(Method::GET, Options::empty()))
        .unwrap();
    network.run_for(Duration::from_secs(10));
    assert!(matches!(
        network.take_events(client)[..],
        [Event::Response { .. }]
    ));
    assert_eq!(network.log().next().map(|record| record.fate), Some(Fate::Lost));
    assert_eq!(network.stats(client).retransmissions, 1);
    network.inject("203.0.113.5:1".parse().unwrap(), server, &[0xc0, 0, 0]);
    network.run_for(Duration::from_secs(1));
    assert_eq!(network.stats(server).dropped(DropReason::Version), 1);
}
