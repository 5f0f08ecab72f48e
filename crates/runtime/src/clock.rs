//! The one place where the engine's time meets the system's.

use std::time::{Duration, Instant as SystemInstant, SystemTime, UNIX_EPOCH};

use coracle_engine::Instant;

/// Turns the monotonic clock into engine time, which starts at the date: what is derived from it, as the numbers of
/// notifications are, goes on after a restart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: SystemInstant,
    epoch: Instant,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        let date = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Clock {
            started: SystemInstant::now(),
            epoch: Instant::ZERO + date,
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.epoch + self.started.elapsed()
    }

    /// The same point for tokio's timers.
    pub(crate) fn to_tokio(self, at: Instant) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.started + (at - self.epoch))
    }
}
