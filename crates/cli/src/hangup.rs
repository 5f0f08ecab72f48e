//! The end of the terminal or connection from which this program was started, and other wishes that it end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::client;

/// Takes SIGHUP from when it is made on, but not if whoever started this program has it ignored, as `nohup` does.
#[derive(Debug)]
pub(crate) struct Hangup {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangup {
    /// Call it within a tokio runtime.
    ///
    /// # Errors
    /// If the system does not hand the signal over.
    pub(crate) fn new() -> io::Result<Hangup> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let signal = (!is_ignored())
                .then(|| signal(SignalKind::hangup()))
                .transpose()?;
            Ok(Hangup { signal })
        }
        #[cfg(not(unix))]
        Ok(Hangup {})
    }

    /// Completes with the signal; never where there is none.
    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal {
            signal.recv().await;
            return;
        }
        std::future::pending().await
    }
}

/// What a signal sets, for commands without a runtime, so that they end in order and tell what they came to.
pub(crate) fn stopped_by_signals() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&stop);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            runtime.block_on(async {
                let hung_up = async {
                    match Hangup::new() {
                        Ok(mut hangup) => hangup.next().await,
                        // Then the system ends the program by itself.
                        Err(_) => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = client::interrupted() => {}
                    () = hung_up => {}
                }
            });
            set.store(true, Ordering::Relaxed);
        }
    });
    stop
}

/// Whether the signal was ignored when the program started; told by Linux only.
#[cfg(unix)]
fn is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // The lowest bit is that of signal 1, SIGHUP.
    mask.unwrap_or(0) & 1 == 1
}
