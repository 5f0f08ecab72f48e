//! `--change`: the one that changes what is observed.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use coracle_load::{Load, Plan, Stage, Tally, Until};

/// When each payload was sent.
pub(super) type Changed = HashMap<Vec<u8>, Instant>;

/// A thread that changes the resource, from when all observers are registered until it is over.
pub(super) struct Changes {
    thread: JoinHandle<Changed>,
    stages: Sender<bool>,
    /// Ends a change that is not answered.
    over: Arc<AtomicBool>,
}

impl Changes {
    /// Makes sure that there is a resource. Each change has a payload of its own, of at least `size` bytes.
    ///
    /// # Errors
    /// If the first change fails, unless `stop` is set meanwhile.
    pub(super) fn begin(plan: Plan, every: Duration, size: usize, stop: &AtomicBool) -> io::Result<Changes> {
        let (stages, heeded) = mpsc::channel();
        let over = Arc::new(AtomicBool::new(false));
        let mut changer = Changer {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
            plan,
            size,
            number: 0,
            changed: Changed::new(),
        };
        let first = changer.change(stop)?;
        if first.answered == 0 && !stop.load(Ordering::Relaxed) {
            return Err(refused(&first));
        }
        let thread_is_over = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            // All that matters is the last thing that was told.
            while let Ok(false) = heeded.recv() {}
            loop {
                match heeded.recv_timeout(every) {
                    Ok(true) => {}
                    // A change that fails shows by its absence.
                    Err(RecvTimeoutError::Timeout) => drop(changer.change(&thread_is_over)),
                    Ok(false) | Err(RecvTimeoutError::Disconnected) => return changer.changed,
                }
            }
        });
        Ok(Changes { thread, stages, over })
    }

    /// Begins and ends with the observers' listening.
    pub(super) fn heed(&self, stage: &Stage) {
        let counting = match stage {
            Stage::Counting => true,
            Stage::Settling => false,
            Stage::Connecting | Stage::Preparing | Stage::Sample(_) => return,
        };
        // The thread may have ended.
        let _ = self.stages.send(counting);
    }

    /// What was changed, and when.
    pub(super) fn end(self) -> Changed {
        self.over.store(true, Ordering::Relaxed);
        drop(self.stages);
        self.thread.join().unwrap_or_default()
    }
}

struct Changer {
    runtime: tokio::runtime::Runtime,
    plan: Plan,
    size: usize,
    number: u64,
    changed: Changed,
}

impl Changer {
    fn change(&mut self, stop: &AtomicBool) -> io::Result<Tally> {
        self.number += 1;
        let payload = format!("{:0>width$}", self.number, width = self.size);
        let mut plan = self.plan.clone();
        plan.request.payload = payload.as_bytes().into();
        self.changed.insert(payload.into_bytes(), Instant::now());
        self.runtime.block_on(async {
            let mut load = Load::start(plan)?;
            load.watch(Until::Over(1), stop, &mut |_| {}).await
        })
    }
}

/// Why there is no resource to observe.
fn refused(tally: &Tally) -> io::Error {
    match tally.codes.keys().next() {
        Some(status) => io::Error::other(format!("the PUT that changes the resource was answered {status}")),
        None => io::Error::new(
            io::ErrorKind::TimedOut,
            "the PUT that changes the resource was not answered",
        ),
    }
}
