//! A plan that several threads carry out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use coracle_load::{Course, Plan, Stage, Until, Work};
use coracle_wire::{OptionNumber, Status};

mod server;
use server::{response, serve, with_options};

fn course(until: Until) -> Course {
    Course {
        threads: 3,
        warm_up: Duration::ZERO,
        until,
    }
}

#[test]
fn threads_share_the_peers_and_their_counts_add_up() {
    let server = serve(|request, _| vec![response(request, Status::CONTENT, b"1")]);
    let mut plan = Plan::get(server, &["temp"]);
    plan.peers = 10;
    let stop = AtomicBool::new(false);
    let (mut counting, mut sampled) = (0, 0);
    let outcome = coracle_load::run(
        &plan,
        &course(Until::Answered(300)),
        &stop,
        &mut |stage| match stage {
            Stage::Counting => counting += 1,
            Stage::Sample(sample) => sampled += sample.answered,
            Stage::Connecting | Stage::Preparing | Stage::Settling => {}
        },
    )
    .unwrap();
    assert!(outcome.tally.answered >= 300);
    assert_eq!((counting, sampled), (3, outcome.tally.answered));
    assert_eq!(outcome.sources, 10);
    assert_eq!(outcome.tally.answered + outcome.rest.answered, outcome.tally.sent);
    assert!(!stop.load(Ordering::Relaxed));
}

/// Each answer belongs to the time in which it came, and to no other.
#[test]
fn warm_up_measured_time_and_what_comes_after_are_told_apart() {
    let (tell, told) = std::sync::mpsc::channel();
    let server = serve(move |request, _| {
        tell.send(()).unwrap();
        vec![response(request, Status::CONTENT, b"1")]
    });
    let mut plan = Plan::get(server, &["temp"]);
    (plan.peers, plan.ack_timeout) = (9, Duration::from_secs(8));
    let course = Course {
        warm_up: Duration::from_millis(100),
        ..course(Until::Passed(Duration::from_millis(100)))
    };
    let mut sampled = 0;
    let outcome = coracle_load::run(&plan, &course, &AtomicBool::new(false), &mut |stage| {
        if let Stage::Sample(sample) = stage {
            sampled += sample.answered;
        }
    })
    .unwrap();
    let (before, run, after) = (&outcome.warm_up, &outcome.tally, &outcome.rest);
    for part in [before, run, after] {
        assert_eq!(part.latency.len(), part.answered);
        assert_eq!(
            part.codes.get(&Status::CONTENT).copied().unwrap_or(0),
            part.answered
        );
    }
    assert_eq!(sampled, run.answered);
    assert_eq!(before.sent, before.answered + before.outstanding);
    assert_eq!(run.sent, run.answered + run.outstanding);
    assert_eq!((after.answered, after.outstanding), (run.outstanding, 0));
    let all = before.answered + run.answered + after.answered;
    assert_eq!(told.try_iter().count() as u64, all);
}

#[test]
fn threads_begin_as_many_requests_as_are_wanted_together() {
    let server = serve(|request, _| vec![response(request, Status::NOT_FOUND, b"")]);
    let mut plan = Plan::get(server, &["temp"]);
    (plan.peers, plan.ack_timeout) = (9, Duration::from_secs(8));
    let stop = AtomicBool::new(false);
    for wanted in [2, 100] {
        let outcome = coracle_load::run(&plan, &course(Until::Over(wanted)), &stop, &mut |_| {}).unwrap();
        assert_eq!((outcome.tally.sent, outcome.tally.errors()), (wanted, wanted));
    }
}

#[test]
fn threads_that_cannot_begin_end_all() {
    let mut plan = Plan::get("127.0.0.1:5683".parse().unwrap(), &["temp"]);
    (plan.peers, plan.outstanding) = (10, 0);
    let refused = coracle_load::run(
        &plan,
        &course(Until::Answered(1)),
        &AtomicBool::new(false),
        &mut |_| {},
    );
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn observers_of_all_threads_are_registered_before_any_listens() {
    let server = serve(|request, _| {
        let observe: &[(OptionNumber, &[u8])] = match request.options.observe() {
            Some(0) => &[(OptionNumber::OBSERVE, &[1])],
            _ => &[],
        };
        vec![with_options(request, Status::CONTENT, observe, b"1")]
    });
    let mut plan = Plan::get(server, &["temp"]);
    (plan.peers, plan.work) = (20, Work::Observe);
    let mut stages = String::new();
    let outcome = coracle_load::run(
        &plan,
        &course(Until::Passed(Duration::from_millis(50))),
        &AtomicBool::new(false),
        &mut |stage| match stage {
            Stage::Preparing => stages.push('p'),
            Stage::Counting => stages.push('c'),
            Stage::Connecting | Stage::Sample(_) | Stage::Settling => {}
        },
    )
    .unwrap();
    assert_eq!(stages, "pppccc");
    assert_eq!((outcome.observers, outcome.registered.answered), (20, 20));
    assert_eq!((outcome.fanout.notifications, outcome.rest.answered), (0, 20));
}
