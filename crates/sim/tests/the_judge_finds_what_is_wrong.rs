//! Histories made by hand: each promise of the judge is broken once, and kept once where it is close.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use std::net::SocketAddr;
use std::time::Duration;

use coracle_engine::Instant;
use coracle_sim::{Complaint, Happening, History, Rule, Says, judge};
use coracle_wire::Method;

/// The nodes: one that asks and one that is asked.
const CLIENT: usize = 0;
const SERVER: usize = 1;
const TOPIC: u64 = 5;

/// The longest that a datagram travels.
const TRAVEL: Duration = Duration::from_secs(10);

/// How long what an observer is told is fresh.
const MAX_AGE: Duration = Duration::from_secs(600);

fn asked(request: u32, method: Method) -> Happening {
    Happening::Asked {
        request,
        by: CLIENT,
        of: SERVER,
        method,
        confirmable: true,
        observes: None,
        max_age: Duration::ZERO,
    }
}

fn observing(request: u32) -> Happening {
    Happening::Asked {
        request,
        by: CLIENT,
        of: SERVER,
        method: Method::GET,
        confirmable: true,
        observes: Some(TOPIC),
        max_age: MAX_AGE,
    }
}

fn executed(request: u32, execution: u32) -> Happening {
    executed_from(request, execution, 1)
}

fn executed_from(request: u32, execution: u32, port: u16) -> Happening {
    Happening::Executed {
        request,
        execution,
        by: SERVER,
        from: SocketAddr::from(([10, 0, 0, 1], port)),
        intact: true,
    }
}

fn answered(request: u32, execution: u32) -> Happening {
    told(request, execution, 0, false)
}

/// A notification.
fn notified(request: u32, execution: u32, state: u64) -> Happening {
    told(request, execution, state, true)
}

fn told(request: u32, execution: u32, state: u64, more: bool) -> Happening {
    let says = Says {
        request,
        execution,
        state,
        intact: true,
    };
    Happening::Answered {
        request,
        says: Some(says),
        more,
    }
}

fn registered(request: u32, execution: u32) -> Happening {
    Happening::Registered {
        request,
        execution,
        by: SERVER,
    }
}

fn changed(state: u64) -> Happening {
    Happening::Changed {
        node: SERVER,
        topic: TOPIC,
        state,
    }
}

fn failed(request: u32) -> Happening {
    let unsent = false;
    Happening::Failed { request, unsent }
}

fn cancelled(request: u32) -> Happening {
    Happening::Cancelled { request }
}

/// The complaints about what happened second by second.
fn complaints(happenings: &[Happening]) -> Vec<Complaint> {
    complaints_of(&history(happenings))
}

fn history(happenings: &[Happening]) -> History {
    let seconds = (0..).map(|second| Instant::from_micros(second * 1_000_000));
    History {
        longest_travel: TRAVEL,
        entries: seconds.zip(happenings.iter().copied()).collect(),
        ..History::default()
    }
}

fn complaints_of(history: &History) -> Vec<Complaint> {
    judge(history)
        .into_iter()
        .map(|(_, complaint)| complaint)
        .collect()
}

#[test]
fn what_is_as_it_should_be_gives_no_complaint() {
    let good = [
        asked(1, Method::POST),
        executed(1, 1),
        answered(1, 1),
        asked(2, Method::PUT),
        failed(2),
        observing(3),
        executed(3, 2),
        registered(3, 2),
        notified(3, 2, 0),
        changed(1),
        notified(3, 2, 1),
        Happening::Settled,
        Happening::Renewed,
        cancelled(3),
        // The end of an observation is told by a request.
        executed(3, 3),
    ];
    assert_eq!(complaints(&good), []);
    // A refusal is an answer without an execution.
    let refused = Happening::Answered {
        request: 1,
        says: None,
        more: false,
    };
    assert_eq!(complaints(&[asked(1, Method::POST), refused]), []);
}

#[test]
fn a_second_execution_is_found_out() {
    for method in [Method::POST, Method::PATCH, Method::PUT, Method::DELETE] {
        let twice = [asked(1, method), executed(1, 1), executed(1, 2), answered(1, 2)];
        let complaint = [Complaint::ExecutedAgain { request: 1 }];
        assert_eq!(complaints(&twice), complaint, "{method}");
        // RFC 7252 §4.5: only idempotent requests may be run again for lack of memory.
        let mut short = history(&twice);
        short.short_of_memory = true;
        let found = complaints_of(&short);
        assert_eq!(found.is_empty(), method.is_idempotent(), "{method}");
    }
    let safe = [
        asked(1, Method::GET),
        executed(1, 1),
        executed(1, 2),
        answered(1, 2),
    ];
    assert_eq!(complaints(&safe), []);
}

/// Once by each life of the server and for each address of the client, and no more than that.
#[test]
fn a_crash_and_a_new_address_excuse_one_more_execution_each() {
    let crash = Happening::Crashed { node: SERVER };
    let excused = [
        asked(1, Method::POST),
        executed(1, 1),
        crash,
        executed(1, 2),
        executed_from(1, 3, 2),
        answered(1, 3),
    ];
    assert_eq!(complaints(&excused), []);
    let again = [&excused[..4], &[executed(1, 4), answered(1, 4)]].concat();
    assert_eq!(complaints(&again), [Complaint::ExecutedAgain { request: 1 }]);
    // The crash of another node excuses nothing.
    let other = Happening::Crashed { node: 7 };
    let again = [
        asked(1, Method::POST),
        executed(1, 1),
        other,
        executed(1, 2),
        answered(1, 2),
    ];
    assert_eq!(complaints(&again), [Complaint::ExecutedAgain { request: 1 }]);
}

#[test]
fn an_execution_that_nobody_asked_for_is_found_out() {
    let unasked = [Complaint::ExecutedUnasked { request: 1 }];
    assert_eq!(complaints(&[executed(1, 1)]), unasked);
    let mut late = history(&[asked(1, Method::POST), failed(1), executed(1, 1)]);
    assert_eq!(complaints_of(&late), [], "it was under way");
    late.entries[2].0 = late.entries[1].0 + TRAVEL + Duration::from_micros(1);
    assert_eq!(complaints_of(&late), unasked);
    let elsewhere = Happening::Asked {
        request: 1,
        by: CLIENT,
        of: 7,
        method: Method::POST,
        confirmable: true,
        observes: None,
        max_age: Duration::ZERO,
    };
    assert_eq!(complaints(&[elsewhere, executed(1, 1), failed(1)]), unasked);
}

#[test]
fn a_broken_body_is_found_out() {
    let broken = Happening::Executed {
        request: 1,
        execution: 1,
        by: SERVER,
        from: SocketAddr::from(([10, 0, 0, 1], 1)),
        intact: false,
    };
    let request = [asked(1, Method::POST), broken, answered(1, 1)];
    assert_eq!(complaints(&request), [Complaint::RequestBroken { request: 1 }]);
    let says = Some(Says {
        request: 1,
        execution: 1,
        state: 0,
        intact: false,
    });
    let broken = Happening::Answered {
        request: 1,
        says,
        more: false,
    };
    // RFC 7252 §5.10.6.1: only what a GET or FETCH is answered has an ETag that tells two executions apart.
    for method in [Method::GET, Method::PUT, Method::POST] {
        let answer = [asked(1, method), executed(1, 1), broken];
        assert_eq!(complaints(&answer), [Complaint::AnswerBroken { request: 1 }]);
        let mut short = history(&answer);
        short.short_of_memory = true;
        assert_eq!(
            complaints_of(&short).is_empty(),
            method == Method::PUT,
            "{method}"
        );
        let crash = Happening::Crashed { node: SERVER };
        let mixed = [asked(1, method), executed(1, 1), crash, executed(1, 2), broken];
        assert_eq!(
            complaints(&mixed).is_empty(),
            method == Method::PUT || method == Method::POST,
            "{method}"
        );
    }
}

#[test]
fn an_answer_without_an_execution_is_found_out() {
    let complaint = [Complaint::AnsweredUnexecuted { request: 1 }];
    assert_eq!(complaints(&[asked(1, Method::POST), answered(1, 1)]), complaint);
    let after = [asked(1, Method::POST), answered(1, 1), executed(1, 1)];
    assert_eq!(complaints(&after), complaint);
    // That of another request does not count.
    let other = [
        asked(1, Method::POST),
        asked(2, Method::POST),
        executed(2, 1),
        answered(1, 1),
        answered(2, 1),
    ];
    assert_eq!(complaints(&other), complaint);
}

#[test]
fn the_answer_of_another_request_is_found_out() {
    let says = Some(Says {
        request: 2,
        execution: 2,
        state: 0,
        intact: true,
    });
    let mistaken = Happening::Answered {
        request: 1,
        says,
        more: false,
    };
    let history = [
        asked(1, Method::GET),
        asked(2, Method::GET),
        executed(1, 1),
        executed(2, 2),
        mistaken,
        answered(2, 2),
    ];
    assert_eq!(
        complaints(&history),
        [Complaint::AnswerOfAnother { request: 1, of: 2 }]
    );
}

#[test]
fn anything_after_the_end_is_found_out() {
    let stale = Happening::Stale { request: 1 };
    for end in [answered(1, 1), failed(1), cancelled(1)] {
        for after in [answered(1, 1), notified(1, 1, 0), failed(1), stale] {
            let history = [asked(1, Method::GET), executed(1, 1), end, after];
            assert_eq!(complaints(&history), [Complaint::AfterTheEnd { request: 1 }]);
        }
    }
    // A client that crashed hears nothing more.
    let crash = Happening::Crashed { node: CLIENT };
    let history = [asked(1, Method::GET), executed(1, 1), crash, answered(1, 1)];
    assert_eq!(complaints(&history), [Complaint::AfterTheEnd { request: 1 }]);
}

#[test]
fn a_request_without_an_end_is_found_out() {
    let never = [Complaint::NeverEnded { request: 1 }];
    assert_eq!(complaints(&[asked(1, Method::GET), executed(1, 1)]), never);
    let server = Happening::Crashed { node: SERVER };
    assert_eq!(complaints(&[asked(1, Method::GET), server]), never);
    let client = Happening::Crashed { node: CLIENT };
    assert_eq!(complaints(&[asked(1, Method::GET), client]), []);
    let observer = [observing(1), executed(1, 1), notified(1, 1, 0)];
    assert_eq!(complaints(&observer), never);
}

/// An observer on the list, which was told state 1 of 2; then what happens, and whether that is a fault.
fn outdated(then: &[Happening]) -> Vec<Complaint> {
    let before = [
        observing(1),
        executed(1, 1),
        changed(1),
        registered(1, 1),
        notified(1, 1, 1),
        changed(2),
    ];
    let mut found = complaints(&[&before, then, &[cancelled(1)]].concat());
    found.retain(|complaint| matches!(complaint, Complaint::Outdated { .. }));
    found
}

#[test]
fn an_observer_with_an_old_state_is_found_out() {
    let complaint = |listed| Complaint::Outdated {
        request: 1,
        knows: 1,
        latest: 2,
        listed,
    };
    assert_eq!(outdated(&[Happening::Settled]), [complaint(true)]);
    assert_eq!(outdated(&[Happening::Renewed]), [complaint(true)]);
    assert_eq!(outdated(&[notified(1, 1, 2), Happening::Settled]), []);
    // Who was taken off the list knows it when Max-Age is over, not before.
    let excuses = [
        Happening::Deregistered {
            request: 1,
            execution: 1,
        },
        Happening::Crashed { node: SERVER },
        Happening::Rebound { node: CLIENT },
        Happening::Rebound { node: SERVER },
    ];
    for excuse in excuses {
        assert_eq!(outdated(&[excuse, Happening::Settled]), []);
        assert_eq!(outdated(&[excuse, Happening::Renewed]), [complaint(false)]);
    }
    // It knows that what it has is stale, or was told the end.
    let stale = Happening::Stale { request: 1 };
    assert_eq!(outdated(&[stale, Happening::Settled, Happening::Renewed]), []);
    assert_eq!(outdated(&[failed(1), Happening::Settled, Happening::Renewed]), []);
    // Another node's state is none of its business.
    let other = Happening::Changed {
        node: CLIENT,
        topic: TOPIC,
        state: 3,
    };
    assert_eq!(outdated(&[notified(1, 1, 2), other, Happening::Settled]), []);
}

/// A server that crashed takes a late copy of a registration for a new one: the observer hears nothing of that.
#[test]
fn an_observer_knows_that_it_is_on_the_list_again_when_it_is_told_something() {
    let again = [
        observing(1),
        executed(1, 1),
        registered(1, 1),
        notified(1, 1, 0),
        Happening::Crashed { node: SERVER },
        executed(1, 2),
        registered(1, 2),
        notified(1, 2, 0),
        changed(1),
        Happening::Settled,
        cancelled(1),
    ];
    assert!(matches!(complaints(&again)[..], [Complaint::Outdated { .. }]));
    let unheard = [&again[..7], &again[8..]].concat();
    assert_eq!(complaints(&unheard), []);
}

#[test]
fn an_observer_that_stays_stale_is_found_out() {
    let stale = Happening::Stale { request: 1 };
    let mut history = history(&[
        observing(1),
        executed(1, 1),
        notified(1, 1, 0),
        stale,
        Happening::Renewed,
        failed(1),
    ]);
    assert_eq!(complaints_of(&history), [], "it has just become stale");
    for (at, _) in &mut history.entries[4..] {
        *at = *at + Duration::from_secs(120);
    }
    assert_eq!(complaints_of(&history), [Complaint::NotRenewed { request: 1 }]);
    // Told something or ended meanwhile.
    history.entries[3].1 = notified(1, 1, 0);
    assert_eq!(complaints_of(&history), []);
    history.entries[2].1 = stale;
    assert_eq!(complaints_of(&history), []);
}

#[test]
fn an_observer_that_does_not_know_that_max_age_is_over_is_found_out() {
    let stale = Happening::Stale { request: 1 };
    for (then, found) in [
        (stale, &[Complaint::Unaware { request: 1 }][..]),
        (notified(1, 1, 0), &[Complaint::Unaware { request: 1 }]),
        (Happening::Renewed, &[Complaint::Unaware { request: 1 }]),
        (cancelled(1), &[]),
    ] {
        let mut history = history(&[observing(1), executed(1, 1), notified(1, 1, 0), then]);
        history.entries[3].0 = history.entries[2].0 + MAX_AGE;
        history.entries.push((history.entries[3].0, cancelled(1)));
        let ends_twice = then == cancelled(1);
        let entries = history.entries.len() - usize::from(ends_twice);
        history.entries.truncate(entries);
        assert_eq!(complaints_of(&history), [], "{then:?}");
        for (at, _) in &mut history.entries[3..] {
            *at = *at + MAX_AGE / 10;
        }
        assert_eq!(complaints_of(&history), found, "{then:?}");
    }
}

#[test]
fn an_observer_that_goes_back_is_found_out() {
    let back = [
        observing(1),
        executed(1, 1),
        changed(2),
        notified(1, 1, 2),
        notified(1, 1, 1),
        notified(1, 1, 2),
        cancelled(1),
    ];
    let complaint = Complaint::WentBack {
        request: 1,
        knew: 2,
        told: 1,
    };
    assert_eq!(complaints(&back), [complaint]);
    let mut excused = back.to_vec();
    excused.insert(3, Happening::Crashed { node: SERVER });
    assert_eq!(complaints(&excused), []);
    // What was sent before the crash has arrived by now.
    let mut late = history(&excused);
    for (at, _) in &mut late.entries[5..] {
        *at = *at + TRAVEL;
    }
    assert_eq!(
        complaints_of(&late)[..],
        [Complaint::WentBack {
            request: 1,
            knew: 2,
            told: 1
        }]
    );
}

#[test]
fn a_failure_without_a_reason_is_found_out() {
    let mut history = history(&[asked(1, Method::GET), failed(1)]);
    assert_eq!(complaints_of(&history), []);
    history.nothing_lost = true;
    assert_eq!(
        complaints_of(&history),
        [Complaint::FailedWithoutReason { request: 1 }]
    );
    history.short_of_memory = true;
    assert_eq!(complaints_of(&history), []);
}

#[test]
fn messages_against_the_rules_are_found_out() {
    let (node, rules) = (
        SERVER,
        [Rule::Transmissions, Rule::MessageId, Rule::Acknowledgement],
    );
    let against = rules.map(|rule| Happening::Broke { node, rule });
    let found = rules.map(|rule| Complaint::Broke { node, rule });
    assert_eq!(complaints(&against), found);
}

#[test]
fn what_remains_is_found_out() {
    let remains = [Happening::Remains { node: 1 }];
    assert_eq!(complaints(&remains), [Complaint::Remains { node: 1 }]);
}

fn unsent(request: u32) -> Happening {
    let unsent = true;
    Happening::Failed { request, unsent }
}

#[test]
fn what_was_executed_though_it_had_not_left_is_found_out() {
    let complaint = [Complaint::ExecutedThoughUnsent { request: 1 }];
    let before = [asked(1, Method::POST), executed(1, 1), unsent(1)];
    assert_eq!(complaints(&before), complaint);
    let after = [asked(1, Method::GET), unsent(1), executed(1, 1)];
    assert_eq!(complaints(&after), complaint);
    let unknown = [asked(1, Method::POST), executed(1, 1), failed(1)];
    assert_eq!(complaints(&unknown), []);
}

/// On a connection nothing comes twice, whoever crashed.
#[test]
fn what_a_connection_brings_twice_is_found_out() {
    let twice = [
        asked(1, Method::PUT),
        executed_from(1, 1, 50_000),
        Happening::Crashed { node: SERVER },
        executed_from(1, 2, 50_001),
        failed(1),
    ];
    assert_eq!(complaints(&twice), [], "datagrams may");
    let mut history = history(&twice);
    history.connections = true;
    assert_eq!(complaints_of(&history), [Complaint::ExecutedAgain { request: 1 }]);
}

#[test]
fn what_outlives_its_connection_is_found_out() {
    let went = Happening::Went {
        request: 1,
        connection: 7,
    };
    let gone = |node, connection| Happening::Disconnected { node, connection };
    let outlives = [asked(1, Method::GET), went, gone(CLIENT, 7), failed(1)];
    assert_eq!(
        complaints(&outlives),
        [Complaint::OutlivesConnection { request: 1 }]
    );
    let others = [
        asked(1, Method::GET),
        went,
        gone(CLIENT, 6),
        gone(SERVER, 7),
        failed(1),
        gone(CLIENT, 7),
    ];
    assert_eq!(complaints(&others), []);
    let orphaned = [Happening::Orphaned { node: SERVER }];
    assert_eq!(complaints(&orphaned), [Complaint::Orphaned { node: SERVER }]);
}

/// A complaint tells when it came up, so that a ladder can end there.
#[test]
fn complaints_have_their_time() {
    let found = judge(&history(&[
        asked(1, Method::POST),
        executed(1, 1),
        executed(1, 2),
        failed(1),
    ]));
    let at = found.iter().map(|(at, _)| at.as_micros()).collect::<Vec<_>>();
    assert_eq!(at, [2_000_000]);
}
