//! What we observe: the order of notifications and how long they are fresh.

use core::time::Duration;

use coracle_wire::Options;

use crate::time::Instant;

/// After this time any notification is newer (RFC 7641 §3.4).
const REORDER_WINDOW: Duration = Duration::from_secs(128);

/// How fresh the last notification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    Fresh,
    /// Older than its Max-Age; the registration will be renewed.
    Stale,
    /// It was renewed, and the answer has not come yet.
    Renewing,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Observation {
    sequence: u32,
    at: Instant,
    pub(crate) freshness: Freshness,
    /// The application was told that what it has is too old.
    pub(crate) told_stale: bool,
    pub(crate) max_age: Duration,
}

impl Observation {
    /// An observation that begins with this response; `None` when the server does not accept it.
    pub(crate) fn begin(now: Instant, options: Options<'_>) -> Option<Observation> {
        let sequence = options.observe()?;
        let max_age = Duration::from_secs(u64::from(options.max_age()));
        Some(Observation {
            sequence,
            at: now,
            freshness: Freshness::Fresh,
            told_stale: false,
            max_age,
        })
    }

    /// Takes a notification; `false` when it is older than the last one (RFC 7641 §3.4). Those of a connection come in order
    /// and have no number (RFC 8323 §7.1).
    ///
    /// What comes first after a renewal counts whatever its number: a server that started anew may count from elsewhere.
    /// What comes after that is in order again, even if it is the answer to the renewal: a notification overtook it.
    pub(crate) fn advance(&mut self, now: Instant, sequence: Option<u32>, options: Options<'_>) -> bool {
        let renewing = self.freshness == Freshness::Renewing;
        let is_newer = sequence.is_none_or(|sequence| is_newer(self.sequence, sequence));
        if !renewing && !is_newer && now - self.at <= REORDER_WINDOW {
            return false;
        }
        self.sequence = sequence.unwrap_or(self.sequence);
        self.at = now;
        self.freshness = Freshness::Fresh;
        self.max_age = Duration::from_secs(u64::from(options.max_age()));
        true
    }
}

/// Whether `next` comes after `last` in the circle of 24-bit numbers (RFC 7641 §3.4).
fn is_newer(last: u32, next: u32) -> bool {
    (last < next && next - last < 1 << 23) || (last > next && last - next > 1 << 23)
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_wire::{OptionNumber, OptionsBuf};

    #[test]
    fn order_is_that_of_a_circle() {
        assert!(is_newer(1, 2));
        assert!(!is_newer(2, 2));
        assert!(!is_newer(2, 1));
        assert!(is_newer(0x00ff_ffff, 0));
        assert!(!is_newer(0, 0x00ff_ffff));
    }

    #[test]
    fn after_128_seconds_any_notification_is_newer() {
        let mut options = OptionsBuf::new();
        options.set_uint(OptionNumber::OBSERVE, 9);
        let options = options.as_options();
        let mut observation = Observation::begin(Instant::ZERO, options).unwrap();
        assert!(!observation.advance(Instant::ZERO + REORDER_WINDOW, Some(8), options));
        let after = Instant::ZERO + REORDER_WINDOW + Duration::from_micros(1);
        assert!(observation.advance(after, Some(8), options));
    }

    #[test]
    fn what_comes_first_after_a_renewal_counts_whatever_its_number() {
        let mut options = OptionsBuf::new();
        options.set_uint(OptionNumber::OBSERVE, 9);
        let options = options.as_options();
        let mut observation = Observation::begin(Instant::ZERO, options).unwrap();
        assert!(!observation.advance(Instant::ZERO, Some(2), options));
        observation.freshness = Freshness::Renewing;
        assert!(observation.advance(Instant::ZERO, Some(2), options));
        assert_eq!(observation.freshness, Freshness::Fresh);
        assert!(!observation.advance(Instant::ZERO, Some(1), options));
        assert!(observation.advance(Instant::ZERO, Some(3), options));
    }

    #[test]
    fn without_the_option_there_is_no_observation() {
        assert!(Observation::begin(Instant::ZERO, Options::empty()).is_none());
    }
}
