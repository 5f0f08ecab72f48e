//! How fast clients may begin handshakes.

use core::time::Duration;

/// How many handshakes clients may begin: a bucket that fills by the second.
pub(super) struct Rate {
    per_second: u32,
    /// In millionths of a handshake.
    left: u64,
    filled_at: Duration,
}

impl Rate {
    const WHOLE: u64 = 1_000_000;

    pub(super) fn new(per_second: u32) -> Rate {
        Rate {
            per_second,
            left: u64::from(per_second) * Rate::WHOLE,
            filled_at: Duration::ZERO,
        }
    }

    pub(super) fn take(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.filled_at).min(Duration::from_secs(1));
        let micros = u64::try_from(passed.as_micros()).unwrap_or(Rate::WHOLE);
        let most = u64::from(self.per_second) * Rate::WHOLE;
        self.left = most.min(self.left + micros * u64::from(self.per_second));
        self.filled_at = now;
        match self.left.checked_sub(Rate::WHOLE) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_lets_a_second_of_it_through_at_once() {
        let mut rate = Rate::new(3);
        let taken = |rate: &mut Rate, now| (0..10).filter(|_| rate.take(now)).count();
        assert_eq!(taken(&mut rate, Duration::ZERO), 3);
        assert_eq!(taken(&mut rate, Duration::from_millis(334)), 1);
        assert_eq!(taken(&mut rate, Duration::from_secs(100)), 3);
    }
}
