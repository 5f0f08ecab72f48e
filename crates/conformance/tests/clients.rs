//! What a run makes of a client's command that cannot be judged.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::{Duration, Instant};

use coracle_conformance::case::Role;
use coracle_conformance::report::CaseReport;
use coracle_conformance::run::{Settings, Subject};
use coracle_conformance::template::Template;
use coracle_conformance::transport::Transport;
use coracle_conformance::verdict::Outcome;
use coracle_conformance::{catalogue, run};

/// Judges a command by one case, within some seconds.
fn judged(command: &str, seconds: u64) -> CaseReport {
    let template = Template::parse(command).unwrap();
    let cases = catalogue::select(Role::Client, &["TD_COAP_CORE_01".to_owned()], &[]).unwrap();
    let settings = Settings {
        time_limit: Some(Duration::from_secs(seconds)),
        ..Settings::default()
    };
    let mut report = run(
        &Subject::Client {
            transport: Transport::Udp,
            template,
        },
        &cases,
        &settings,
        &mut |_| {},
    );
    assert_eq!(report.cases.len(), 1);
    report.cases.remove(0)
}

/// Whether a process is gone, or is soon: it may be busy with its end.
fn dies(pid: &str) -> bool {
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if state.is_empty() || state.contains(") Z ") {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

#[test]
fn a_command_that_is_missing_is_named() {
    let report = judged("/no/such/client {uri}", 20);
    assert_eq!(report.outcome, Outcome::Inconclusive);
    assert!(
        report.reason.starts_with("cannot start \"/no/such/client\": "),
        "{}",
        report.reason
    );
}

#[test]
fn a_command_that_dies_is_quoted() {
    let report = judged("sh -c 'echo error: no idea; echo usage; exit 3' {uri}", 20);
    assert_eq!(report.outcome, Outcome::Inconclusive);
    assert_eq!(
        report.reason,
        "the command ended (exit status 3) before a request; it said: error: no idea"
    );
    assert_eq!(report.output, "error: no idea\nusage\n");
}

#[test]
fn a_command_that_crashes_fails() {
    let report = judged("sh -c 'kill -SEGV $$' {uri}", 20);
    assert_eq!(report.outcome, Outcome::Fail);
    assert!(report.reason.contains("killed by signal 11"), "{}", report.reason);
}

#[test]
fn a_command_that_hangs_is_ended_with_its_children() {
    let began = Instant::now();
    let report = judged("sh -c 'sleep 1000 & echo $!; wait' {uri}", 2);
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(report.outcome, Outcome::Inconclusive);
    assert_eq!(report.reason, "the time of this case was over");
    assert!(dies(report.output.trim()), "still there: {}", report.output);
}

#[test]
fn a_command_that_sends_nothing_is_told_so() {
    let report = judged("sh -c 'sleep 1000' {uri}", 60);
    assert_eq!(report.outcome, Outcome::Inconclusive);
    assert_eq!(
        report.reason,
        "the command sent nothing within 10.0 s and was ended"
    );
}
