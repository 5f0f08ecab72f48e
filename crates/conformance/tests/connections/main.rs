//! The judge over TCP and WebSocket: our own server is right, and servers that are wrong in one way each are caught.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use coracle::Endpoint;
use coracle_conformance::case::Role;
use coracle_conformance::report::{CaseReport, ladder};
use coracle_conformance::run::{Settings, Subject};
use coracle_conformance::transport::Transport;
use coracle_conformance::verdict::Outcome;
use coracle_conformance::{catalogue, run, site};

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
            let endpoint = Endpoint::bind(&format!("{}://127.0.0.1:0", transport.scheme())).unwrap();
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
