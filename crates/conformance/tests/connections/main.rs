//! The judge over TCP and WebSocket: our own server is right, and servers that are wrong in one way each are caught.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod faults;
mod relay;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use coracle::{Config, Endpoint};
use coracle_conformance::case::Role;
use coracle_conformance::report::{CaseReport, ladder};
use coracle_conformance::run::{Settings, Subject};
use coracle_conformance::transport::Transport;
use coracle_conformance::verdict::Outcome;
use coracle_conformance::{catalogue, run, site};

use faults::{MUTANTS, Mutant};
use relay::{Faults, Relay};

/// How many mutants are judged at once.
const AT_ONCE: usize = 24;

/// Cases that no mutant is caught by: a server that keeps a silent connection would be judged for a minute.
const UNSEEN: &[&str] = &["RFC8323-3.3-silent-connection"];

/// A plugtest server of ours in a thread, for as long as the process lives.
fn server(transport: Transport) -> SocketAddr {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let settings = site::Settings {
                period: Duration::from_millis(500),
            };
            // It waits for longer than the judge: what that sees is no end for another reason.
            let mut config = Config::default();
            config.connections.open_within = Duration::from_secs(30);
            let endpoint = Endpoint::bind(&format!("{}://127.0.0.1:0", transport.scheme())).unwrap();
            let endpoint = endpoint.with_config(config);
            tell.send(endpoint.bound()[0].address).unwrap();
            endpoint.serve(site::router(&settings)).await.unwrap();
        });
    });
    told.recv().unwrap()
}

fn judge(transport: Transport, address: SocketAddr, only: &[&str]) -> Vec<CaseReport> {
    let only: Vec<String> = only.iter().map(|&pattern| pattern.to_owned()).collect();
    let cases = catalogue::select(Role::Server, &only, &[]).unwrap();
    let cases = catalogue::over(transport, cases);
    let subject = Subject::Server {
        transport,
        address,
        uri: format!("{}://{address}", transport.scheme()),
        map: Vec::new(),
    };
    let settings = Settings {
        jobs: 16,
        ..Settings::default()
    };
    run(&subject, &cases, &settings, &mut |_| {}).cases
}

/// What a case saw, for people.
fn told(case: &CaseReport) -> String {
    let mut rungs = Vec::new();
    ladder::write(case, 120, &mut rungs).unwrap();
    let (id, outcome, rungs) = (
        case.case.id,
        case.outcome.name(),
        String::from_utf8(rungs).unwrap(),
    );
    format!("{id}: {outcome} {}\n{rungs}", case.reason)
}

fn passes(transport: Transport) {
    let reports = judge(transport, server(transport), &[]);
    let failed = reports.iter().filter(|case| case.outcome != Outcome::Pass);
    let failed: Vec<String> = failed.map(told).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn our_server_passes_over_tcp() {
    passes(Transport::Tcp);
}

#[test]
fn our_server_passes_over_websocket() {
    passes(Transport::WebSocket);
}

/// How often a mutant is tried whose cases could not tell, as happens where much else is going on.
const TRIES: usize = 3;

/// Which of its cases miss a mutant.
fn try_out(mutant: &Mutant) -> Vec<String> {
    let mut missed = Vec::new();
    for _ in 0..TRIES {
        missed = misses(mutant);
        let could_tell = |case: &CaseReport| case.outcome != Outcome::Inconclusive;
        if missed.iter().all(could_tell) {
            break;
        }
    }
    let missed = missed.iter();
    missed
        .map(|case| format!("{}: missed by {}", mutant.name, told(case)))
        .collect()
}

fn misses(mutant: &Mutant) -> Vec<CaseReport> {
    let server = server(mutant.transport);
    let broken = Relay::start(mutant.transport, server, mutant.by_read, (mutant.faults)());
    let mut reports = judge(mutant.transport, broken.address, mutant.caught_by);
    reports.retain(|case| case.outcome != mutant.verdict);
    reports
}

#[test]
fn every_mutant_is_caught_by_the_cases_that_are_named() {
    let next = AtomicUsize::new(0);
    let problems = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(mutant) = MUTANTS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = try_out(mutant);
                    problems.lock().unwrap().extend(found);
                }
            });
        }
    });
    let problems = problems.into_inner().unwrap();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Otherwise a mutant might be caught for another reason than its fault.
fn passes_untouched(transport: Transport) {
    let faults: Faults = Arc::new(|_| Box::new(|_, piece| vec![piece]));
    let untouched = Relay::start(transport, server(transport), false, faults);
    let mutants = MUTANTS.iter().filter(|mutant| mutant.transport == transport);
    let cases: BTreeSet<&str> = mutants.flat_map(|mutant| mutant.caught_by).copied().collect();
    let reports = judge(transport, untouched.address, &Vec::from_iter(cases));
    let failed = reports.iter().filter(|case| case.outcome != Outcome::Pass);
    let failed: Vec<String> = failed.map(told).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn the_same_cases_pass_behind_a_relay_of_tcp_that_changes_nothing() {
    passes_untouched(Transport::Tcp);
}

#[test]
fn the_same_cases_pass_behind_a_relay_of_websockets_that_changes_nothing() {
    passes_untouched(Transport::WebSocket);
}

#[test]
fn every_case_about_connections_is_seen_to_fail() {
    let caught: BTreeSet<&str> = MUTANTS
        .iter()
        .flat_map(|mutant| mutant.caught_by)
        .copied()
        .collect();
    let cases = catalogue::select(Role::Server, &[], &[]).unwrap();
    let only_connected = cases
        .iter()
        .filter(|case| case.over.iter().all(|transport| transport.is_connected()));
    let unseen: Vec<&str> = only_connected
        .map(|case| case.id)
        .filter(|id| !caught.contains(id) && !UNSEEN.contains(id))
        .collect();
    assert!(unseen.is_empty(), "{unseen:?}");
}
