//! The one place where the engine's time meets the system's.

use std::pin::Pin;
use std::time::{Duration, Instant as SystemInstant, SystemTime, UNIX_EPOCH};

use coracle_engine::Instant;
use tokio::time::Sleep;

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

/// A timer for one point after another. It is kept, because to begin anew costs more than to find that nothing has
/// changed.
#[derive(Debug)]
pub(crate) struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    pub(crate) fn new() -> Alarm {
        Alarm(Box::pin(tokio::time::sleep(Duration::ZERO)))
    }

    /// Completes at that point; never if there is none.
    pub(crate) async fn at(&mut self, point: Option<tokio::time::Instant>) {
        let Some(point) = point else {
            return std::future::pending().await;
        };
        if self.0.deadline() != point {
            self.0.as_mut().reset(point);
        }
        self.0.as_mut().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_alarm_goes_off_at_its_last_point() {
        let started = tokio::time::Instant::now();
        let (early, late) = (started + Duration::from_secs(1), started + Duration::from_secs(9));
        let mut alarm = Alarm::new();
        for point in [late, early, late, late] {
            tokio::select! {
                biased;
                () = alarm.at(Some(point)) => panic!("too early"),
                () = std::future::ready(()) => {}
            }
        }
        alarm.at(Some(late)).await;
        assert!(started.elapsed() >= Duration::from_secs(9));
        // What is past is told at once.
        alarm.at(Some(late)).await;
        alarm.at(Some(early)).await;
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}
