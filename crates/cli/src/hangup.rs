//! The end of the terminal or connection from which this program was started.

use std::io;

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

/// Whether the signal was ignored when the program started; told by Linux only.
#[cfg(unix)]
fn is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // The lowest bit is that of signal 1, SIGHUP.
    mask.unwrap_or(0) & 1 == 1
}
