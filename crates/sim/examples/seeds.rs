//! Plays many scenarios, each drawn from a seed, and shrinks those that fail: what `cargo xtask sim` starts.
#![allow(clippy::print_stdout, reason = "a program that answers on stdout")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use coracle_sim::{Flaw, Scenario, Totals, play_safely, shrink};

const USAGE: &str = "usage: cargo xtask sim [--seeds N] [--from SEED] [--threads N] [--over KIND]

  --seeds N     how many scenarios are played; 1000
  --from SEED   the seed of the first; 0
  --threads N   how many are played at once; as many as there are cores
  --over KIND   what the nodes talk over: datagrams, connections (RFC 8323), or both, each seed once over each; both
";

/// Runs of one shrinking, at most.
const TRIES: usize = 2_000;

/// Failing scenarios that are shrunk and shown; more are only counted.
const SHOWN: u64 = 5;

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(10);

struct Arguments {
    seeds: u64,
    from: u64,
    threads: u64,
    over: &'static [Draw],
}

/// How scenarios are drawn.
type Draw = fn(u64) -> Scenario;

const OVER: [(&str, &[Draw]); 3] = [
    ("both", &[Scenario::draw, Scenario::draw_connections]),
    ("datagrams", &[Scenario::draw]),
    ("connections", &[Scenario::draw_connections]),
];

fn arguments() -> Option<Arguments> {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let mut arguments = Arguments {
        seeds: 1_000,
        from: 0,
        threads,
        over: OVER[0].1,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--seeds" => arguments.seeds = value.parse().ok()?,
            "--from" => arguments.from = value.parse().ok()?,
            "--threads" => arguments.threads = value.parse().ok()?,
            "--over" => arguments.over = OVER.iter().find(|(kind, _)| *kind == value)?.1,
            _ => return None,
        }
    }
    Some(arguments)
}

/// What all threads share.
struct Night {
    arguments: Arguments,
    begun: Instant,
    next: AtomicU64,
    failures: AtomicU64,
    sum: Mutex<(u64, Totals, Instant)>,
}

impl Night {
    /// Plays seeds until none is left.
    fn play(&self) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.arguments.seeds {
                return;
            }
            let seed = self.arguments.from.wrapping_add(number);
            let mut totals = Totals::default();
            for draw in self.arguments.over {
                let run = play_safely(&draw(seed), Flaw::None);
                if !run.complaints.is_empty() {
                    self.fail(*draw, seed);
                }
                totals.add(&run.totals);
            }
            self.add(&totals);
        }
    }

    fn add(&self, totals: &Totals) {
        let Ok(mut sum) = self.sum.lock() else { return };
        let (played, all, told) = &mut *sum;
        *played += 1;
        all.add(totals);
        if told.elapsed() >= TELL_EVERY {
            *told = Instant::now();
            println!("{}", self.progress(*played));
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    fn progress(&self, played: u64) -> String {
        let seconds = self.begun.elapsed().as_secs_f64();
        let (of, failures) = (self.arguments.seeds, self.failures.load(Ordering::Relaxed));
        let rate = played as f64 / seconds;
        format!("{played} of {of} seeds in {seconds:.0} s, {rate:.0} a second, {failures} failed")
    }

    /// Shows why a seed failed.
    fn fail(&self, draw: Draw, seed: u64) {
        if self.failures.fetch_add(1, Ordering::Relaxed) >= SHOWN {
            return println!("seed {seed} failed too");
        }
        let Some(shrunk) = shrink(&draw(seed), Flaw::None, TRIES) else {
            return println!("seed {seed} failed once and not again: a run is not deterministic");
        };
        println!(
            "seed {seed} failed; the smallest of {} tries:\n{shrunk}",
            shrunk.tries
        );
    }
}

fn main() -> ExitCode {
    if std::env::args().any(|word| word == "--help" || word == "-h") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let Some(arguments) = arguments() else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let begun = Instant::now();
    let night = Night {
        arguments,
        begun,
        next: AtomicU64::new(0),
        failures: AtomicU64::new(0),
        sum: Mutex::new((0, Totals::default(), begun)),
    };
    std::thread::scope(|scope| {
        for _ in 0..night.arguments.threads.max(1) {
            scope.spawn(|| night.play());
        }
    });
    let Ok(sum) = night.sum.lock() else {
        return ExitCode::FAILURE;
    };
    let (played, totals, _) = &*sum;
    println!("{}\n{totals}", night.progress(*played));
    if night.failures.load(Ordering::Relaxed) == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
