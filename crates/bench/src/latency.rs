//! Times of answers, counted in buckets that are never more than a 64th wide.

use std::time::Duration;

/// Buckets of each power of two, as a power of two.
const PRECISION: u32 = 6;

/// Buckets for all of 64 bits.
const BUCKETS: usize = (65 - PRECISION as usize) << PRECISION;

/// A histogram.
#[derive(Clone)]
pub(crate) struct Latency {
    buckets: Vec<u32>,
    count: u64,
}

impl Latency {
    pub(crate) fn new() -> Latency {
        Latency {
            buckets: vec![0; BUCKETS],
            count: 0,
        }
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get_mut(bucket_of(nanos)) {
            *bucket += 1;
            self.count += 1;
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// In how much time `share` (0 to 1) of the answers came: the upper end of the bucket.
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        let mut below = 0.0;
        let wanted = share * self.count as f64;
        let bucket = self.buckets.iter().position(|count| {
            below += f64::from(*count);
            below >= wanted
        });
        Duration::from_nanos(upper_end(bucket.unwrap_or_default()))
    }
}

fn bucket_of(nanos: u64) -> usize {
    let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(PRECISION + 1);
    ((shift as usize) << PRECISION) + usize::try_from(nanos >> shift).unwrap_or(usize::MAX)
}

fn upper_end(bucket: usize) -> u64 {
    let shift = (bucket >> PRECISION).saturating_sub(1);
    let within = (bucket - (shift << PRECISION)) as u64;
    ((within + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_at_most_a_64th_wide() {
        for nanos in (0..100_000).chain([u64::from(u32::MAX), 1 << 40, (1 << 40) - 1]) {
            let upper = upper_end(bucket_of(nanos));
            assert!(upper >= nanos && upper - nanos <= nanos / 64, "{nanos}: {upper}");
            assert_eq!(bucket_of(upper), bucket_of(nanos), "{nanos}");
        }
        assert!(bucket_of(u64::MAX) < BUCKETS);
    }

    #[test]
    fn percentiles_are_those_of_the_values() {
        let mut latency = Latency::new();
        (1..=60).for_each(|nanos| latency.record(Duration::from_nanos(nanos)));
        assert_eq!(latency.count(), 60);
        assert_eq!(latency.percentile(0.5), Duration::from_nanos(30));
        assert_eq!(latency.percentile(0.9), Duration::from_nanos(54));
        assert_eq!(latency.percentile(1.0), Duration::from_nanos(60));
    }
}
