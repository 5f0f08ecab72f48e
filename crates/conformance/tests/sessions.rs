//! The cases of DTLS against a server of ours as it should be, and against some that are not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::net::SocketAddr;
use std::sync::mpsc;

use coracle::dtls::{SignatureScheme, SigningKey, TrustedKeys};
use coracle::prelude::*;
use coracle::{Credentials, Endpoint};
use coracle_conformance::case::Role;
use coracle_conformance::run::{Settings, Subject};
use coracle_conformance::site;
use coracle_conformance::template::Template;
use coracle_conformance::transcript::{Fate, Form};
use coracle_conformance::transport::Transport;
use coracle_conformance::verdict::Outcome;
use coracle_conformance::{catalogue, keys, report::CaseReport, run};

/// A server, as long as the test process lives.
fn serve(credentials: Credentials, router: Option<Router>) -> SocketAddr {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let endpoint = Endpoint::bind("coaps://127.0.0.1:0").unwrap();
            tell.send(endpoint.local_addrs()[0]).unwrap();
            let router = router.unwrap_or_else(|| site::router(&site::Settings::default()));
            endpoint.with_credentials(credentials).serve(router).await
        })
    });
    told.recv().unwrap()
}

fn judged(address: SocketAddr, only: &[&str]) -> Vec<CaseReport> {
    let only: Vec<String> = only.iter().map(|&id| id.to_owned()).collect();
    let cases = catalogue::select(Role::Server, &only, &[]).unwrap();
    let subject = Subject::Server {
        transport: Transport::Dtls,
        address,
        uri: format!("coaps://{address}"),
        map: Vec::new(),
    };
    run(
        &subject,
        &cases,
        &Settings {
            jobs: 8,
            ..Settings::default()
        },
        &mut |_| {},
    )
    .cases
}

/// What one case comes to, and why.
fn verdict(address: SocketAddr, id: &str) -> (Outcome, String) {
    let mut reports = judged(address, &[id]);
    assert_eq!(reports.len(), 1, "{id}");
    let report = reports.remove(0);
    (report.outcome, report.reason)
}

fn private(pem: &str) -> SigningKey {
    keys::private(pem.as_bytes()).unwrap()
}

fn stranger() -> SigningKey {
    SigningKey::generate(SignatureScheme::EcdsaSecp256r1Sha256).unwrap()
}

fn trusted(key: &SigningKey) -> TrustedKeys {
    let mut keys = TrustedKeys::default();
    keys.add_der(key.public_key_info()).unwrap();
    keys
}

#[test]
fn our_site_passes_and_what_was_lost_is_in_the_ladder() {
    let reports = judged(serve(site::credentials().unwrap(), None), &["DTLS"]);
    assert_eq!(reports.len(), 7);
    for report in &reports {
        assert_eq!(
            report.outcome,
            Outcome::Pass,
            "{}: {}",
            report.case.id,
            report.reason
        );
        let lost = report.records.iter().filter(|record| record.fate == Fate::Lost);
        let directions: Vec<bool> = lost.map(|record| record.by_judge).collect();
        let is_lossy = ["TD_COAP_DTLS_03", "TD_COAP_DTLS_07"].contains(&report.case.id);
        // ClientHello twice, and a flight; HelloVerifyRequest, and two flights.
        let ours = directions.iter().filter(|by_judge| **by_judge).count();
        let expected = if is_lossy { (3, 3) } else { (0, 0) };
        assert_eq!((ours, directions.len() - ours), expected, "{}", report.case.id);
        let first = report.records.first().unwrap();
        assert_eq!(
            (first.form, first.described().as_str()),
            (Form::Records, "DTLS: ClientHello")
        );
    }
}

#[test]
fn a_server_with_another_key_fails() {
    let server = serve(Credentials::new().with_psk(keys::IDENTITY, "another"), None);
    let (outcome, reason) = verdict(server, "DTLS_01");
    assert_eq!(outcome, Outcome::Fail);
    assert!(reason.contains("the alert decrypt_error"), "{reason}");
}

#[test]
fn a_server_that_takes_the_wrong_key_fails() {
    let server = serve(Credentials::new().with_psk(keys::IDENTITY, "wrong"), None);
    let (outcome, reason) = verdict(server, "DTLS_02");
    assert_eq!(outcome, Outcome::Fail);
    assert_eq!(reason, "expected the alert decrypt_error, but there is a session");
}

#[test]
fn a_server_that_takes_any_client_fails() {
    // Nobody is trusted, so nobody is asked.
    let server = serve(Credentials::new().with_raw_key(private(keys::SERVER_KEY)), None);
    let (outcome, reason) = verdict(server, "DTLS_06");
    assert_eq!(outcome, Outcome::Fail);
    assert_eq!(
        reason,
        "expected the alert certificate_unknown, but there is a session"
    );
}

#[test]
fn a_server_that_is_somebody_else_fails() {
    let other = Credentials::new()
        .with_raw_key(stranger())
        .with_trusted_keys(keys::public(keys::CLIENT.as_bytes()).unwrap());
    let server = serve(other, None);
    for id in ["DTLS_04", "DTLS_05"] {
        let (outcome, reason) = verdict(server, id);
        assert_eq!(outcome, Outcome::Fail, "{id}");
        assert!(reason.contains("not among the trusted ones"), "{id}: {reason}");
    }
}

#[test]
fn a_server_that_knows_another_client_fails() {
    let other = Credentials::new()
        .with_raw_key(private(keys::SERVER_KEY))
        .with_trusted_keys(trusted(&stranger()));
    let (outcome, reason) = verdict(serve(other, None), "DTLS_04");
    assert_eq!(outcome, Outcome::Fail);
    assert!(
        reason.contains("the peer sent the alert certificate_unknown"),
        "{reason}"
    );
}

#[test]
fn what_a_server_does_not_offer_is_skipped() {
    let only_psk = || Credentials::new().with_psk(keys::IDENTITY, keys::KEY);
    let (nothing, no_resource) = (
        "the server takes nothing of what is offered",
        "the server does not offer /secure",
    );
    for (router, id, why) in [
        (None, "DTLS_04", nothing),
        (Some(Router::new()), "DTLS_01", no_resource),
    ] {
        let (outcome, reason) = verdict(serve(only_psk(), router), id);
        assert_eq!(outcome, Outcome::Skipped, "{id}: {reason}");
        assert!(reason.contains(why), "{id}: {reason}");
    }
}

#[test]
fn a_secret_without_words_fails() {
    let router = Router::new().route("/secure", get(async || ""));
    let credentials = Credentials::new().with_psk(keys::IDENTITY, keys::KEY);
    let (outcome, reason) = verdict(serve(credentials, Some(router)), "DTLS_01");
    assert_eq!(outcome, Outcome::Fail, "{reason}");
}

/// What a case for clients comes to for a command, and why.
#[cfg(unix)]
fn verdict_of_client(command: &str, id: &str) -> (Outcome, String) {
    let cases = catalogue::select(Role::Client, &[id.to_owned()], &[]).unwrap();
    let subject = Subject::Client {
        transport: Transport::Dtls,
        template: Template::parse(command).unwrap(),
    };
    let mut reports = run(&subject, &cases, &Settings::default(), &mut |_| {}).cases;
    assert_eq!(reports.len(), 1, "{id}");
    let report = reports.remove(0);
    (report.outcome, report.reason)
}

#[cfg(unix)]
#[test]
fn a_client_that_cannot_be_told_its_key_is_skipped_and_one_that_does_nothing_is_not_judged() {
    let (outcome, reason) = verdict_of_client("true {uri}", "DTLS_01");
    assert_eq!(outcome, Outcome::Skipped);
    assert_eq!(reason, "the command cannot be told to: it has no {psk:…}");
    let (outcome, reason) = verdict_of_client("true {uri} {psk:%}", "DTLS_01");
    assert_eq!(outcome, Outcome::Inconclusive);
    assert!(reason.starts_with("the command ended"), "{reason}");
}

#[test]
fn a_server_that_is_silent_is_nobody() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (outcome, reason) = verdict(silent.local_addr().unwrap(), "DTLS_01");
    assert_eq!(outcome, Outcome::Inconclusive);
    assert!(reason.starts_with("nobody answers at"), "{reason}");
}
