//! Servers that are wrong in one way each are caught: by the cases that are named, and only because of the fault.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod faults;
mod relay;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use coracle::Endpoint;
use coracle_conformance::case::Role;
use coracle_conformance::report::CaseReport;
use coracle_conformance::run::{Settings, Subject};
use coracle_conformance::transport::Transport;
use coracle_conformance::verdict::Outcome;
use coracle_conformance::{catalogue, run, site};

use faults::{MUTANTS, Mutant};
use relay::{Relay, Way};

/// How many mutants are judged at once.
const AT_ONCE: usize = 8;

/// A plugtest server of ours in a thread, for as long as the process lives.
fn server() -> SocketAddr {
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
            let endpoint = Endpoint::bind("coap://127.0.0.1:0").unwrap();
            tell.send(endpoint.local_addrs()[0]).unwrap();
            endpoint.serve(site::router(&settings)).await.unwrap();
        });
    });
    told.recv().unwrap()
}

fn judge(address: SocketAddr, only: &[&str]) -> Vec<CaseReport> {
    let only: Vec<String> = only.iter().map(|&pattern| pattern.to_owned()).collect();
    let cases = catalogue::select(Role::Server, &only, &[]).unwrap();
    let subject = Subject::Server {
        transport: Transport::Udp,
        address,
        uri: format!("coap://{address}"),
        map: Vec::new(),
    };
    let settings = Settings {
        jobs: 8,
        ..Settings::default()
    };
    run(&subject, &cases, &settings, &mut |_| {}).cases
}

/// Which of its cases miss a mutant.
fn try_out(mutant: &Mutant) -> Vec<String> {
    let broken = Relay::start(server(), (mutant.fault)());
    let reports = judge(broken.address, mutant.caught_by);
    let missed = reports.iter().filter(|case| case.outcome != Outcome::Fail);
    missed
        .map(|case| {
            let (id, outcome) = (case.case.id, case.outcome.name());
            format!("{}: {id} misses it: {outcome} {}", mutant.name, case.reason)
        })
        .collect()
}

#[test]
fn every_mutant_is_caught_by_the_cases_that_are_named() {
    assert!(MUTANTS.len() >= 20);
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
#[test]
fn the_same_cases_pass_behind_a_relay_that_changes_nothing() {
    let untouched = Relay::start(server(), Box::new(|_, bytes| vec![bytes.to_vec()]));
    let mut cases: Vec<&str> = MUTANTS
        .iter()
        .flat_map(|mutant| mutant.caught_by)
        .copied()
        .collect();
    cases.sort_unstable();
    cases.dedup();
    let reports = judge(untouched.address, &cases);
    let failed = reports.iter().filter(|case| case.outcome != Outcome::Pass);
    let failed: Vec<_> = failed
        .map(|case| (case.case.id, case.outcome, &case.reason))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn a_relay_lets_through_what_it_is_not_to_change() {
    let relay = Relay::start(
        server(),
        relay::change(Way::ToServer, |message| message.payload.clear()),
    );
    let reports = judge(relay.address, &["core_01", "core_31"]);
    assert!(reports.iter().all(|case| case.outcome == Outcome::Pass));
}
