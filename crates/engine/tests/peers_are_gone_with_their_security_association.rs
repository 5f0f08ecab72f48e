//! A peer with a security association is another one than the same address without, and is gone with the association.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod common;

use std::num::NonZeroU64;
use std::time::Duration;

use common::{Subject, datagram};
use coracle_engine::{Event, ExchangeError, ExchangeId, Path, RequestRef, ResponseRef, SecurityId, Topic};
use coracle_wire::{MessageType, Method, OptionNumber, Options, Status};

/// The same address, with associations of these numbers and without any.
fn paths(subject: &Subject) -> [Path; 3] {
    let secured = |number| Path {
        security: NonZeroU64::new(number).map(SecurityId),
        ..subject.path
    };
    [secured(1), secured(2), subject.path]
}

fn ask(subject: &mut Subject, path: &Path) -> ExchangeId {
    let request = RequestRef::new(Method::GET, Options::empty());
    subject.endpoint.request(subject.now, path, request).unwrap()
}

fn failures(subject: &mut Subject) -> Vec<(ExchangeId, ExchangeError)> {
    let failed = |event| match event {
        Event::Failed { id, error } => Some((id, error)),
        _ => None,
    };
    subject.events().into_iter().filter_map(failed).collect()
}

#[test]
fn requests_end_with_the_association_and_no_others() {
    let mut subject = Subject::new();
    let [first, second, plain] = paths(&subject);
    let asked: Vec<_> = [first, second, plain]
        .iter()
        .map(|path| ask(&mut subject, path))
        .collect();
    // NSTART is 1: this one waits for its turn.
    let waiting = ask(&mut subject, &first);
    assert_eq!(subject.sent().len(), 3);
    subject.endpoint.peer_gone(subject.now, &first.peer());
    let mut failed = failures(&mut subject);
    failed.sort_by_key(|(id, _)| *id != asked[0]);
    assert!(matches!(failed[0], (id, ExchangeError::Disconnected { sent: true }) if id == asked[0]));
    assert!(matches!(failed[1], (id, ExchangeError::Disconnected { sent: false }) if id == waiting));
    assert_eq!(failed.len(), 2);
    let later = subject.pass(Duration::from_secs(5));
    assert!(
        !later.is_empty()
            && later
                .iter()
                .all(|(_, heard)| heard.path.security != first.security)
    );
}

#[test]
fn what_does_not_arrive_ends_the_requests_of_this_peer_alone() {
    let mut subject = Subject::new();
    let [first, second, plain] = paths(&subject);
    let asked: Vec<_> = [first, second, plain]
        .iter()
        .map(|path| ask(&mut subject, path))
        .collect();
    subject.endpoint.peer_unreachable(subject.now, &second.peer());
    assert_eq!(failures(&mut subject), [(asked[1], ExchangeError::Unreachable)]);
    subject.endpoint.handle_unreachable(subject.now, plain.remote);
    assert_eq!(failures(&mut subject), [(asked[2], ExchangeError::Unreachable)]);
}

#[test]
fn observations_end_with_the_association_and_no_others() {
    let mut subject = Subject::new();
    let state = |body| ResponseRef::new(Status::CONTENT, Options::empty(), body).with_observe(Some(Topic(7)));
    let observe = datagram(
        MessageType::Confirmable,
        Method::GET,
        1,
        b"t",
        &[(OptionNumber::OBSERVE, b"")],
        b"",
    );
    let [first, second, _] = paths(&subject);
    for path in [first, second] {
        let (id, _) = subject.receive_from(path, &observe).unwrap();
        subject.endpoint.respond(subject.now, id, state(b"0")).unwrap();
    }
    subject.sent();
    assert_eq!(subject.endpoint.observers(), 2);
    subject.endpoint.peer_gone(subject.now, &first.peer());
    assert_eq!(subject.endpoint.observers(), 1);
    subject.endpoint.changed(Topic(7));
    for event in subject.events() {
        if let Event::Refresh { id, .. } = event {
            subject.endpoint.respond(subject.now, id, state(b"1")).unwrap();
        }
    }
    let told: Vec<_> = subject.sent().iter().map(|heard| heard.path.security).collect();
    assert_eq!(told, [second.security]);
}
