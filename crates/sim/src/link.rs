//! What happens to a datagram on its way.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

/// How a network treats datagrams.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Link {
    /// The share of datagrams that are lost, 0 to 1.
    pub loss: f64,
    /// The share of datagrams that arrive twice, 0 to 1.
    pub duplication: f64,
    /// How long a datagram travels at least.
    pub latency: Duration,
    /// How much longer it may travel; more than the time between two datagrams reorders them.
    pub jitter: Duration,
}

impl Link {
    /// Nothing is lost, doubled or reordered; 10 ms from end to end.
    #[must_use]
    pub const fn perfect() -> Link {
        Link {
            loss: 0.0,
            duplication: 0.0,
            latency: Duration::from_millis(10),
            jitter: Duration::ZERO,
        }
    }

    /// Sets [`loss`](Self::loss).
    #[must_use]
    pub const fn with_loss(mut self, loss: f64) -> Link {
        self.loss = loss;
        self
    }

    /// Sets [`duplication`](Self::duplication).
    #[must_use]
    pub const fn with_duplication(mut self, duplication: f64) -> Link {
        self.duplication = duplication;
        self
    }

    /// Sets [`latency`](Self::latency).
    #[must_use]
    pub const fn with_latency(mut self, latency: Duration) -> Link {
        self.latency = latency;
        self
    }

    /// Sets [`jitter`](Self::jitter).
    #[must_use]
    pub const fn with_jitter(mut self, jitter: Duration) -> Link {
        self.jitter = jitter;
        self
    }

    /// How long each copy of a datagram that arrives travels; none when it is lost.
    pub(crate) fn travel(&self, random: &mut ChaCha8Rng) -> [Option<Duration>; 2] {
        // The same number of draws for each datagram, so that a change of one share leaves the others' draws alone.
        let (lost, doubled) = (chance(random, self.loss), chance(random, self.duplication));
        let (first, second) = (self.delay(random), self.delay(random));
        match (lost, doubled) {
            (true, _) => [None, None],
            (false, false) => [Some(first), None],
            (false, true) => [Some(first), Some(second)],
        }
    }

    fn delay(&self, random: &mut ChaCha8Rng) -> Duration {
        self.latency + self.jitter.mul_f64(share(random))
    }
}

fn chance(random: &mut ChaCha8Rng, probability: f64) -> bool {
    share(random) < probability
}

/// A number from 0 to below 1.
fn share(random: &mut ChaCha8Rng) -> f64 {
    f64::from(random.next_u32()) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn a_perfect_link_delivers_each_datagram_once_after_its_latency() {
        let mut random = ChaCha8Rng::from_seed([1; 32]);
        for _ in 0..100 {
            let travel = Link::perfect().travel(&mut random);
            assert_eq!(travel, [Some(Duration::from_millis(10)), None]);
        }
    }

    #[test]
    fn shares_come_out_as_set() {
        let mut random = ChaCha8Rng::from_seed([2; 32]);
        let link = Link::perfect().with_loss(0.3).with_duplication(0.1);
        let (mut lost, mut doubled) = (0, 0);
        for _ in 0..10_000 {
            match link.travel(&mut random) {
                [None, _] => lost += 1,
                [_, Some(_)] => doubled += 1,
                _ => {}
            }
        }
        assert!((2_800..3_200).contains(&lost), "{lost} of 10,000 lost");
        assert!((600..800).contains(&doubled), "{doubled} of 10,000 doubled");
    }
}
