//! Addresses that change, crashes, clocks and links of single directions.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use coracle_engine::{Config, Event, ExchangeError, Instant, Path, RequestRef, ResponseRef};
use coracle_sim::{Clock, Fate, Input, Io, Link, Network, NodeId};
use coracle_wire::{Method, Options, Status};

/// Answers with the address from which it was asked.
fn mirror(io: &mut Io<'_>, input: Input) {
    if let Input::Request { id, path, .. } = input {
        let remote = path.remote.to_string();
        let response = ResponseRef::new(Status::CONTENT, Options::empty(), remote.as_bytes());
        io.respond(id, response).unwrap();
    }
}

fn get(network: &mut Network, from: NodeId, to: NodeId) {
    let ask = RequestRef::new(Method::GET, Options::empty());
    network.request(from, to, ask).unwrap();
}

/// What a request came to: the payload of its answer, or why there is none.
fn outcome(network: &mut Network, node: NodeId) -> Result<String, ExchangeError> {
    network.run_for(Duration::from_secs(300));
    match network.take_events(node).pop() {
        Some(Event::Response { response, .. }) => Ok(String::from_utf8(response.payload).unwrap()),
        Some(Event::Failed { error, .. }) => Err(error),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_node_behind_a_nat_is_seen_elsewhere_and_what_goes_to_its_old_address_is_lost() {
    let mut network = Network::new(1);
    let server = network.add_server(mirror);
    let client = network.add_client();
    let before = network.address(client);
    get(&mut network, client, server);
    assert_eq!(outcome(&mut network, client), Ok(before.to_string()));
    let after = network.rebind(client);
    assert_ne!(before, after);
    assert_eq!(network.address(client), after);
    get(&mut network, client, server);
    assert_eq!(outcome(&mut network, client), Ok(after.to_string()));
    // Nobody tells who still sends to the old address.
    let (now, old) = (network.now(), Path::to(before));
    let ask = RequestRef::new(Method::GET, Options::empty());
    network.endpoint(server).request(now, &old, ask).unwrap();
    network.run_for(Duration::from_secs(60));
    let last = network.log().next_back().unwrap();
    assert_eq!((last.to, last.fate), (before, Fate::FormerAddress));
    assert!(!network.endpoint(server).is_idle(), "it still tries");
    assert!(network.ladder().contains(&format!("{before} is seen as {after}")));
}

/// An answer that was under way to the old address is lost, and a retransmission brings it to the new one.
#[test]
fn what_is_under_way_to_an_old_address_is_lost() {
    let mut network = Network::new(2);
    let (server, client) = (network.add_server(mirror), network.add_client());
    get(&mut network, client, server);
    network.run_for(Duration::from_millis(15));
    let after = network.rebind(client);
    assert_eq!(outcome(&mut network, client), Ok(after.to_string()));
    assert_eq!(network.stats(client).retransmissions, 1);
}

#[test]
fn a_crashed_node_takes_nothing_and_starts_without_its_past() {
    let restarts = Rc::new(RefCell::new(0));
    let seen = Rc::clone(&restarts);
    let mut network = Network::new(3);
    let server = network.add_server(move |io, input| match input {
        Input::Restarted => {
            *seen.borrow_mut() += 1;
            assert!(io.endpoint.is_pristine());
        }
        Input::Wake(_) => panic!("a wake survived the crash"),
        input => {
            io.wake_after(Duration::from_secs(30), 1);
            mirror(io, input);
        }
    });
    let client = network.add_client();
    get(&mut network, client, server);
    network.run_for(Duration::from_secs(1));
    assert_eq!(network.take_events(client).len(), 1);
    assert_eq!(network.stats(server).requests, 1);
    network.crash(server);
    get(&mut network, client, server);
    let error = ExchangeError::NoAnswer { retransmissions: 4 };
    assert_eq!(outcome(&mut network, client), Err(error));
    assert_eq!(network.stats(server).datagrams_in, 0);
    network.restart(server);
    assert_eq!(*restarts.borrow(), 1);
    get(&mut network, client, server);
    let (now, until) = (network.now(), network.now() + Duration::from_secs(10));
    assert!(now < until);
    network.run_until(until);
    assert_eq!(network.take_events(client).len(), 1);
    network.crash(server);
}

/// A node whose clock is slow waits longer for its retransmission, by the network's clock.
#[test]
fn timers_run_by_the_clock_of_their_node() {
    let first_wait = |drift_ppm| {
        let mut network = Network::new(4);
        network.set_link(Link::perfect().with_loss(1.0));
        let (server, client) = (network.add_server(mirror), network.add_client());
        network.set_clock(client, Clock::new(Instant::from_micros(77), drift_ppm));
        assert_eq!(network.time_of(client), Instant::from_micros(77));
        get(&mut network, client, server);
        network.run_for(Duration::from_secs(10));
        let times: Vec<Instant> = network.log().map(|record| record.at).collect();
        (times[1] - times[0]).as_micros()
    };
    let (slow, right, fast) = (first_wait(-50_000), first_wait(0), first_wait(50_000));
    assert!(slow.abs_diff(right * 100 / 95) <= 1, "{slow} {right}");
    assert!(fast.abs_diff(right * 100 / 105) <= 1, "{fast} {right}");
}

#[test]
fn a_link_of_one_direction_leaves_the_other_alone() {
    let mut network = Network::new(5);
    let (server, client) = (network.add_server(mirror), network.add_client());
    network.set_link_between(server, client, Link::perfect().with_mtu(10));
    get(&mut network, client, server);
    assert!(outcome(&mut network, client).is_err());
    let fates = |from| {
        network
            .log()
            .filter(move |record| record.from == from)
            .map(|record| record.fate)
    };
    assert!(fates(network.address(client)).all(|fate| matches!(fate, Fate::Arrives(_))));
    assert!(fates(network.address(server)).all(|fate| fate == Fate::TooLong));
    assert_eq!(network.stats(server).datagrams_out, 5);
}

/// A request of some bytes, and an answer of many.
#[test]
fn amplification_is_what_an_answer_is_longer_than_its_question() {
    let mut network = Network::new(6);
    let mut config = Config::default();
    config.amplification = None;
    let application = |io: &mut Io<'_>, input| {
        if let Input::Request { id, .. } = input {
            let response = ResponseRef::new(Status::CONTENT, Options::empty(), &[b'x'; 107]);
            io.respond(id, response).unwrap();
        }
    };
    let server = network.add_node(config, Some(Box::new(application)));
    let client = network.add_client();
    get(&mut network, client, server);
    network.run_for(Duration::from_secs(1));
    // 4 bytes of header and a token of 8; the answer has a marker of its payload besides.
    let expected = f64::from(4 + 8 + 1 + 107) / f64::from(4 + 8);
    assert!((network.worst_amplification() - expected).abs() < 1e-9);
}
