//! Requests that are due at fixed moments, whatever the server does.

use std::time::{Duration, Instant};

use coracle_load::{Load, Pace, Plan, Until};
use coracle_wire::Status;

mod server;
use server::{response, serve};

/// The server sleeps once for 300 ms. The requests that could not be sent meanwhile were due every 5 ms, and their
/// latencies say so: about sixty of them waited, half of these longer than 150 ms.
#[tokio::test]
async fn a_server_that_stops_does_not_hide_what_it_kept_from_being_sent() {
    let mut count = 0;
    let server = serve(move |request, _| {
        count += 1;
        if count == 20 {
            // tidy: the server under test is slow, which is what the test is about
            std::thread::sleep(Duration::from_millis(300));
        }
        vec![response(request, Status::CONTENT, b"1")]
    });
    let mut plan = Plan::get(server, &["temp"]);
    plan.pace = Pace::Open(200.0);
    let mut load = Load::start(plan).unwrap();
    let tally = load.run(Until::Answered(200)).await.unwrap();
    let slow = tally.latency.len() - tally.latency.count_between(1, 100_000_000);
    assert!(slow >= 30, "{slow} requests waited, {tally:?}");
    // With one request outstanding the others were sent late, which is told.
    assert!(tally.lag.max() >= 100_000_000);
    assert_eq!((tally.wrong_answers(), tally.retransmissions), (0, 0));
}

#[tokio::test]
async fn requests_go_out_at_the_rate_that_was_asked_for() {
    let server = serve(|request, _| vec![response(request, Status::CONTENT, b"1")]);
    let mut plan = Plan::get(server, &["temp"]);
    (plan.peers, plan.pace) = (4, Pace::Open(500.0));
    let mut load = Load::start(plan).unwrap();
    let began = Instant::now();
    let tally = load.run(Until::Answered(250)).await.unwrap();
    // The first is due at once, the 250th after 249 intervals of 2 ms.
    assert!(began.elapsed() >= Duration::from_millis(498));
    assert_eq!(load.sources(), 4);
    assert!(tally.sent >= 250);
}

#[tokio::test]
async fn what_was_due_but_never_sent_is_counted() {
    let server = serve(|_, _| vec![]);
    let mut plan = Plan::get(server, &["temp"]);
    plan.pace = Pace::Open(1000.0);
    let mut load = Load::start(plan).unwrap();
    let tally = load.run(Until::Passed(Duration::from_millis(200))).await.unwrap();
    assert_eq!((tally.sent, tally.answered, tally.unsent), (1, 0, 199));
}
