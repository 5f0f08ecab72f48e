//! A plan carried out by several threads.

use std::io;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use crate::load::Load;
use crate::plan::{Plan, Transport, Until, Work};
use crate::tally::{Sample, Tally};
use crate::{Fanout, limits};

/// How a plan is carried out.
#[derive(Clone, Debug)]
pub struct Course {
    /// How many threads share the peers.
    pub threads: u32,
    /// Asked before, and not counted.
    pub warm_up: Duration,
    /// When it is over. For observers a time.
    pub until: Until,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What came of opening connections, where there are any: how many in how much time, and those that failed.
    pub connected: Tally,
    /// What came in the warm-up.
    pub warm_up: Tally,
    /// What came in the measured time, from the end of the warm-up until that of the run; or what the observers heard.
    /// An answer belongs to the time in which it came.
    pub tally: Tally,
    /// What came afterwards to the requests that were outstanding at the end.
    pub rest: Tally,
    /// Of observers, what came of their registrations.
    pub registered: Tally,
    /// Of observers, how many were registered.
    pub observers: u64,
    /// Of observers, how changes spread.
    pub fanout: Fanout,
    /// How many different source addresses and ports, or connections, were used.
    pub sources: u64,
}

/// What a thread does at present, for those who watch.
#[derive(Clone, Debug)]
pub enum Stage {
    /// The connections are opened.
    Connecting,
    /// The warm-up, or the registration of observers, begins.
    Preparing,
    /// What is counted begins.
    Counting,
    /// A second of it.
    Sample(Sample),
    /// It is over; answers to the outstanding requests are waited for, or observers leave.
    Settling,
}

/// Carries a plan out in threads of its own, and tells what they do. It ends early when `stop` becomes true.
///
/// # Errors
/// As [`Load::run`]; the first error of any thread ends all.
pub fn run(
    plan: &Plan,
    course: &Course,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Stage),
) -> io::Result<Outcome> {
    let shares: Vec<_> = (0..course.threads)
        .filter_map(|index| plan.share(index, course.threads))
        .collect();
    let threads = shares.len().max(1) as u64;
    let barrier = Barrier::new(shares.len());
    let failed = AtomicBool::new(false);
    let (to_teller, told) = mpsc::channel();
    thread::scope(|scope| {
        let threads: Vec<_> = shares
            .into_iter()
            .zip(0..)
            .map(|(share, index)| {
                let (barrier, failed, to_teller) = (&barrier, &failed, to_teller.clone());
                let course = Course {
                    until: match course.until {
                        Until::Answered(all) => Until::Answered(part(all, index, threads)),
                        Until::Over(all) => Until::Over(part(all, index, threads)),
                        passed @ Until::Passed(_) => passed,
                    },
                    ..course.clone()
                };
                scope.spawn(move || one(share, &course, stop, failed, barrier, &to_teller))
            })
            .collect();
        drop(to_teller);
        for stage in told {
            tell(stage);
        }
        let mut outcome = Outcome::default();
        for thread in threads {
            let part = thread.join().map_err(|_| io::Error::other("a thread failed"))??;
            outcome.connected.join(&part.connected);
            outcome.warm_up.join(&part.warm_up);
            outcome.tally.join(&part.tally);
            outcome.rest.join(&part.rest);
            outcome.registered.join(&part.registered);
            outcome.observers += part.observers;
            outcome.fanout.join(part.fanout);
            outcome.sources += part.sources;
        }
        Ok(outcome)
    })
}

/// The part of thread `index` of so many requests.
fn part(all: u64, index: u64, threads: u64) -> u64 {
    all / threads + u64::from(index < all % threads)
}

/// The part of one thread.
fn one(
    plan: Plan,
    course: &Course,
    stop: &AtomicBool,
    failed: &AtomicBool,
    barrier: &Barrier,
    to_teller: &Sender<Stage>,
) -> io::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let started = runtime.and_then(|runtime| {
        let guard = runtime.enter();
        let load = Load::start(plan.clone())?;
        drop(guard);
        Ok((runtime, load))
    });
    if started.is_err() {
        failed.store(true, Ordering::Relaxed);
    }
    // All begin together, or none does.
    barrier.wait();
    let (runtime, mut load) = started?;
    if failed.load(Ordering::Relaxed) {
        return Ok(Outcome::default());
    }
    let outcome = runtime.block_on(carry_out(&mut load, &plan, course, stop, barrier, to_teller));
    if outcome.is_err() {
        stop.store(true, Ordering::Relaxed);
    }
    outcome
}

async fn carry_out(
    load: &mut Load,
    plan: &Plan,
    course: &Course,
    stop: &AtomicBool,
    barrier: &Barrier,
    to_teller: &Sender<Stage>,
) -> io::Result<Outcome> {
    // Whoever watched may have gone.
    let tell = |stage| drop(to_teller.send(stage));
    let patience = |longest: Duration| match stop.load(Ordering::Relaxed) {
        true => longest.min(limits::HURRY),
        false => longest,
    };
    let mut outcome = Outcome::default();
    if matches!(plan.transport, Transport::Connections(_)) {
        tell(Stage::Connecting);
        let connected = load.connect(stop).await;
        // No thread asks while another one connects; one that failed waits too, so that the others need not.
        barrier.wait();
        outcome.connected = connected?;
    }
    if plan.work == Work::Observe {
        let Until::Passed(time) = course.until else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "observers listen for a time",
            ));
        };
        tell(Stage::Preparing);
        let registered = load.register(stop).await;
        // No thread listens while another one registers; one that failed waits too, so that the others need not.
        barrier.wait();
        outcome.registered = registered?;
        outcome.observers = load.observers() as u64;
        tell(Stage::Counting);
        (outcome.tally, outcome.fanout) = load
            .listen(time, stop, &mut |sample| tell(Stage::Sample(sample)))
            .await?;
        tell(Stage::Settling);
        outcome.rest = load.leave(patience(limits::LEAVING)).await?;
    } else {
        if course.warm_up > Duration::ZERO {
            tell(Stage::Preparing);
            outcome.warm_up = load
                .watch(Until::Passed(course.warm_up), stop, &mut |_| {})
                .await?;
        }
        tell(Stage::Counting);
        outcome.tally = load
            .watch(course.until, stop, &mut |sample| tell(Stage::Sample(sample)))
            .await?;
        tell(Stage::Settling);
        outcome.rest = load.settle(patience(limits::SETTLING)).await?;
    }
    outcome.sources = load.sources();
    Ok(outcome)
}
