//! A thousand scenarios, drawn from seeds: bad links, new addresses, crashes, skewed clocks, and all that an endpoint
//! does. The history of each keeps the promises that `coracle_sim::judge` lists.
//!
//! A seed that fails is made smaller, and printed with its datagrams. `cargo xtask sim` plays more of them.
#![allow(clippy::panic, reason = "helpers of tests")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use coracle_sim::{Flaw, Scenario, Totals, play_safely, shrink};

const SEEDS: u64 = 1_000;

/// Runs to make a failing scenario smaller, at most.
const TRIES: usize = 1_000;

fn explain(seed: u64) -> String {
    shrink(&Scenario::draw(seed), Flaw::None, TRIES).map_or_else(
        || format!("seed {seed} failed once and not again: a run is not deterministic"),
        |shrunk| format!("seed {seed}, made smaller:\n{shrunk}"),
    )
}

/// Plays the seeds on all cores; the totals, and the first seed that failed.
fn play_all() -> (Totals, Option<u64>) {
    let (next, sum) = (AtomicU64::new(0), Mutex::new((Totals::default(), None)));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let seeds = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
                for seed in seeds.take_while(|seed| *seed < SEEDS) {
                    let run = play_safely(&Scenario::draw(seed), Flaw::None);
                    let mut sum = sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    sum.0.add(&run.totals);
                    if !run.complaints.is_empty() {
                        sum.1.get_or_insert(seed);
                    }
                }
            });
        }
    });
    sum.into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[test]
fn a_thousand_seeds() {
    let (totals, failed) = play_all();
    if let Some(seed) = failed {
        panic!("{}", explain(seed));
    }
    // Where nearly nothing arrives, or nearly everything does, little is tried.
    let ended = totals.answered + totals.failed;
    assert!(totals.exchanges > 5 * SEEDS, "{totals}");
    assert!((ended / 2..ended * 9 / 10).contains(&totals.answered), "{totals}");
    assert!(totals.notifications > 10 * SEEDS, "{totals}");
    println!("{totals}");
}
