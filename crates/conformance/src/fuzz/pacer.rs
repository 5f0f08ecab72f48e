//! How many messages may have been sent by now.

use std::time::Duration;

/// Keeps a rate by counting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pacer {
    per_second: u32,
    batch: u32,
}

impl Pacer {
    pub(super) fn new(per_second: u32) -> Pacer {
        Pacer {
            per_second: per_second.max(1),
            batch: (per_second / 10).clamp(10, 1_000),
        }
    }

    /// The same batches at five times the rate, for a server on this machine whose messages were taken before.
    pub(super) fn hurried(self) -> Pacer {
        Pacer {
            per_second: self.per_second.saturating_mul(5),
            ..self
        }
    }

    /// How long after the begin the message may be sent that follows `sent` others.
    pub(super) fn due(self, sent: u64) -> Duration {
        let nanoseconds = u128::from(sent) * 1_000_000_000 / u128::from(self.per_second);
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// How many messages go between two questions whether the server lives: those of a tenth of a second, so that
    /// probes are few beside them and a reproducer begins short.
    pub(super) fn batch(self) -> u64 {
        u64::from(self.batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_spread_over_time() {
        let pacer = Pacer::new(1_000);
        assert_eq!(pacer.due(0), Duration::ZERO);
        assert_eq!(pacer.due(1), Duration::from_millis(1));
        assert_eq!(pacer.due(90_000), Duration::from_secs(90));
        assert_eq!(Pacer::new(1).due(u64::MAX), Duration::from_nanos(u64::MAX));
        assert_eq!(Pacer::new(0).due(3), Duration::from_secs(3));
    }

    #[test]
    fn a_hurried_one_keeps_its_batches() {
        let hurried = Pacer::new(1_000).hurried();
        assert_eq!((hurried.batch(), hurried.due(5)), (100, Duration::from_millis(1)));
    }

    #[test]
    fn batches_follow_the_rate_within_bounds() {
        let batches = [1, 1_000, 5_000, 1_000_000].map(|rate| Pacer::new(rate).batch());
        assert_eq!(batches, [10, 100, 500, 1_000]);
    }
}
