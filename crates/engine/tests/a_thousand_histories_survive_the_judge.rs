//! A thousand scenarios, drawn from seeds: bad links, new addresses, crashes, skewed clocks, and all that an endpoint
//! does. And a thousand of connections (RFC 8323), which break at any byte, vanish, are released in the middle of things,
//! have slow readers and little room: every request ends, and nothing is executed twice, or against what its client was
//! told. The history of each keeps the promises that `coracle_sim::judge` lists.
//!
//! A seed that fails is made smaller, and printed with its datagrams. `cargo xtask sim` plays more of them.
#![allow(clippy::panic, reason = "helpers of tests")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use coracle_sim::{Flaw, Scenario, Totals, play_safely, shrink};

const SEEDS: u64 = 1_000;

/// Runs to make a failing scenario smaller, at most.
const TRIES: usize = 1_000;

type Draw = fn(u64) -> Scenario;

fn explain(draw: Draw, seed: u64) -> String {
    shrink(&draw(seed), Flaw::None, TRIES).map_or_else(
        || format!("seed {seed} failed once and not again: a run is not deterministic"),
        |shrunk| format!("seed {seed}, made smaller:\n{shrunk}"),
    )
}

/// Plays the seeds on all cores; the totals.
fn play_all(draw: Draw) -> Totals {
    let (next, sum) = (AtomicU64::new(0), Mutex::new((Totals::default(), None)));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let seeds = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
                for seed in seeds.take_while(|seed| *seed < SEEDS) {
                    let run = play_safely(&draw(seed), Flaw::None);
                    let mut sum = sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    sum.0.add(&run.totals);
                    if !run.complaints.is_empty() {
                        sum.1.get_or_insert(seed);
                    }
                }
            });
        }
    });
    let sum = sum.into_inner();
    let (totals, failed) = sum.unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(seed) = failed {
        panic!("{}", explain(draw, seed));
    }
    totals
}

#[test]
fn a_thousand_seeds() {
    let totals = play_all(Scenario::draw);
    // Where nearly nothing arrives, or nearly everything does, little is tried.
    let ended = totals.answered + totals.failed;
    assert!(totals.exchanges > 5 * SEEDS, "{totals}");
    assert!((ended / 2..ended * 9 / 10).contains(&totals.answered), "{totals}");
    assert!(totals.notifications > 10 * SEEDS, "{totals}");
    println!("{totals}");
}

#[test]
fn a_thousand_seeds_of_connections() {
    let totals = play_all(Scenario::draw_connections);
    let ended = totals.answered + totals.failed;
    assert!(totals.exchanges > 5 * SEEDS, "{totals}");
    assert!((ended / 2..ended * 9 / 10).contains(&totals.answered), "{totals}");
    assert!(totals.notifications > 10 * SEEDS, "{totals}");
    assert!(
        totals.unknown > SEEDS && totals.disconnections > 5 * SEEDS,
        "{totals}"
    );
    println!("{totals}");
}
