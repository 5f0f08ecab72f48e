//! The clock of a node, which need not run as the network's does.

use std::time::Duration;

use coracle_engine::Instant;

/// A clock that begins anywhere and runs too fast or too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Clock {
    /// What it shows when its node begins.
    pub start: Instant,
    /// How much faster it runs than the network's, in parts per million; from -500,000 to 500,000.
    pub drift_ppm: i32,
}

/// Parts per million.
const MILLION: u128 = 1_000_000;

impl Clock {
    /// A clock that shows `start` when its node begins and runs faster than the network's by `drift_ppm`, which is
    /// brought within its bounds.
    #[must_use]
    pub fn new(start: Instant, drift_ppm: i32) -> Clock {
        Clock {
            start,
            drift_ppm: drift_ppm.clamp(-500_000, 500_000),
        }
    }

    /// Microseconds of this clock in a second of the network.
    fn rate(self) -> u128 {
        MILLION
            .checked_add_signed(i128::from(self.drift_ppm.clamp(-500_000, 500_000)))
            .unwrap_or(MILLION)
    }

    /// What this clock shows so long after its node began.
    pub(crate) fn shows(self, age: Duration) -> Instant {
        self.start + micros(age.as_micros() * self.rate() / MILLION)
    }

    /// How old its node is at least when this clock shows `at`.
    pub(crate) fn age_at(self, at: Instant) -> Duration {
        micros(((at - self.start).as_micros() * MILLION).div_ceil(self.rate()))
    }
}

fn micros(micros: u128) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_clock_is_ahead_after_a_while() {
        let clock = Clock::new(Instant::from_micros(7_000_000), 50_000);
        let after = clock.shows(Duration::from_secs(100));
        assert_eq!(after, Instant::from_micros(112_000_000));
    }

    /// A timer of the node is due when its clock shows the time, and not before.
    #[test]
    fn a_time_comes_when_it_should() {
        for drift in [-50_000, -1, 0, 1, 333, 50_000] {
            let clock = Clock::new(Instant::from_micros(5), drift);
            for micros in (5..3_000).chain(77_777_777..77_777_900) {
                let at = Instant::from_micros(micros);
                let age = clock.age_at(at);
                assert!(clock.shows(age) >= at, "{drift} {micros}");
                let before = age.saturating_sub(Duration::from_micros(1));
                assert!(age.is_zero() || clock.shows(before) < at, "{drift} {micros}");
            }
        }
    }
}
