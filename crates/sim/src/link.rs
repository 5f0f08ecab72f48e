//! What happens to a datagram on its way in one direction.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

/// How a network treats the datagrams that go one way.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Link {
    /// The share of datagrams that are lost outside of bursts, 0 to 1.
    pub loss: f64,
    /// Bursts of loss.
    pub bursts: Bursts,
    /// The share of datagrams that arrive twice, 0 to 1.
    pub duplication: f64,
    /// How long a datagram travels at least.
    pub latency: Duration,
    /// How much longer it may travel; more than the time between two datagrams reorders them.
    pub jitter: Duration,
    /// The share of datagrams that are held back, so that later ones overtake them, 0 to 1.
    pub reordering: f64,
    /// How long such a datagram is held back.
    pub held_back: Duration,
    /// The share of datagrams of which a copy comes late, 0 to 1.
    pub late_copies: f64,
    /// How late a copy comes at most. RFC 7252 §4.8.2 takes a datagram to be gone after MAX_LATENCY, 100 s.
    pub late_by: Duration,
    /// The longest datagram that passes, in bytes; a longer one is lost.
    pub mtu: usize,
}

/// Loss in bursts: the model of Gilbert and Elliott, a chain of a good and a bad state that takes one step with each
/// datagram. The mean length of a burst is 1 / `end` datagrams.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bursts {
    /// The chance that a burst begins with a datagram, 0 to 1.
    pub begin: f64,
    /// The chance that a burst ends with a datagram, 0 to 1.
    pub end: f64,
    /// The share of datagrams that are lost during a burst, 0 to 1.
    pub loss: f64,
}

impl Bursts {
    /// No bursts.
    pub const NONE: Bursts = Bursts {
        begin: 0.0,
        end: 1.0,
        loss: 0.0,
    };
}

/// What a link does with a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Travel {
    Once(Duration),
    Twice(Duration, Duration),
    Lost,
    TooLong,
}

/// The state of a link in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkState {
    in_burst: bool,
}

impl Link {
    /// Nothing is lost, doubled, reordered or too long; 10 ms from end to end.
    #[must_use]
    pub const fn perfect() -> Link {
        Link {
            loss: 0.0,
            bursts: Bursts::NONE,
            duplication: 0.0,
            latency: Duration::from_millis(10),
            jitter: Duration::ZERO,
            reordering: 0.0,
            held_back: Duration::ZERO,
            late_copies: 0.0,
            late_by: Duration::ZERO,
            mtu: usize::MAX,
        }
    }

    /// Sets [`loss`](Self::loss).
    #[must_use]
    pub const fn with_loss(mut self, loss: f64) -> Link {
        self.loss = loss;
        self
    }

    /// Sets [`bursts`](Self::bursts).
    #[must_use]
    pub const fn with_bursts(mut self, bursts: Bursts) -> Link {
        self.bursts = bursts;
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

    /// Sets [`reordering`](Self::reordering) and [`held_back`](Self::held_back).
    #[must_use]
    pub const fn with_reordering(mut self, share: f64, held_back: Duration) -> Link {
        self.reordering = share;
        self.held_back = held_back;
        self
    }

    /// Sets [`late_copies`](Self::late_copies) and [`late_by`](Self::late_by).
    #[must_use]
    pub const fn with_late_copies(mut self, share: f64, late_by: Duration) -> Link {
        self.late_copies = share;
        self.late_by = late_by;
        self
    }

    /// Whether it may lose datagrams that are not too long for it.
    pub(crate) fn loses(&self) -> bool {
        self.loss > 0.0 || self.bursts != Bursts::NONE
    }

    /// How long a datagram travels at most.
    pub(crate) fn longest_travel(&self) -> Duration {
        self.latency + self.jitter + self.held_back + self.late_by
    }

    /// Sets [`mtu`](Self::mtu).
    #[must_use]
    pub const fn with_mtu(mut self, mtu: usize) -> Link {
        self.mtu = mtu;
        self
    }

    /// What becomes of a datagram of `len` bytes.
    pub(crate) fn travel(&self, state: &mut LinkState, random: &mut ChaCha8Rng, len: usize) -> Travel {
        // The same number of draws for each datagram, so that a change of one share leaves the others' draws alone.
        let turns = if state.in_burst {
            self.bursts.end
        } else {
            self.bursts.begin
        };
        state.in_burst ^= chance(random, turns);
        let loss = if state.in_burst {
            self.bursts.loss.max(self.loss)
        } else {
            self.loss
        };
        let (lost, doubled) = (chance(random, loss), chance(random, self.duplication));
        let (first, second) = (self.delay(random), self.delay(random));
        let late = chance(random, self.late_copies);
        let later = first + self.late_by.mul_f64(share(random));
        match (lost, doubled) {
            _ if len > self.mtu => Travel::TooLong,
            (true, _) => Travel::Lost,
            (false, _) if late => Travel::Twice(first, later),
            (false, false) => Travel::Once(first),
            (false, true) => Travel::Twice(first, second),
        }
    }

    fn delay(&self, random: &mut ChaCha8Rng) -> Duration {
        let travel = self.latency + self.jitter.mul_f64(share(random));
        if chance(random, self.reordering) {
            travel + self.held_back
        } else {
            travel
        }
    }
}

pub(crate) fn chance(random: &mut ChaCha8Rng, probability: f64) -> bool {
    share(random) < probability
}

/// A number from 0 to below 1.
pub(crate) fn share(random: &mut ChaCha8Rng) -> f64 {
    f64::from(random.next_u32()) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    fn travels(link: Link, len: usize, count: usize) -> Vec<Travel> {
        let (mut random, mut state) = (ChaCha8Rng::from_seed([2; 32]), LinkState::default());
        std::iter::repeat_with(|| link.travel(&mut state, &mut random, len))
            .take(count)
            .collect()
    }

    fn count(travels: &[Travel], which: impl Fn(&Travel) -> bool) -> usize {
        travels.iter().filter(|travel| which(travel)).count()
    }

    #[test]
    fn a_perfect_link_delivers_each_datagram_once_after_its_latency() {
        let travels = travels(Link::perfect(), 65_535, 100);
        assert_eq!(travels, [Travel::Once(Duration::from_millis(10)); 100]);
    }

    #[test]
    fn shares_come_out_as_set() {
        let link = Link::perfect().with_loss(0.3).with_duplication(0.1);
        let link = link.with_reordering(0.2, Duration::from_secs(1));
        let travels = travels(link, 100, 10_000);
        let lost = count(&travels, |travel| *travel == Travel::Lost);
        let doubled = count(&travels, |travel| matches!(travel, Travel::Twice(..)));
        let late = Duration::from_millis(1010);
        let held_back = count(&travels, |travel| *travel == Travel::Once(late));
        assert!((2_800..3_200).contains(&lost), "{lost} of 10,000 lost");
        assert!((600..800).contains(&doubled), "{doubled} of 10,000 doubled");
        // 0.7 arrive, 0.9 of these once, 0.2 of these late.
        assert!((1_160..1_360).contains(&held_back), "{held_back} of 10,000 late");
    }

    /// In bursts of mean length 10 that begin once in 90 datagrams, one datagram in ten is lost, and nine of ten lost
    /// ones follow another lost one.
    #[test]
    fn losses_come_in_bursts() {
        let link = Link::perfect().with_bursts(Bursts {
            begin: 1.0 / 90.0,
            end: 0.1,
            loss: 1.0,
        });
        let travels = travels(link, 100, 100_000);
        let lost = count(&travels, |travel| *travel == Travel::Lost);
        let pairs = travels
            .windows(2)
            .filter(|pair| **pair == [Travel::Lost; 2])
            .count();
        assert!((9_000..11_000).contains(&lost), "{lost} of 100,000 lost");
        assert!(
            (lost * 88 / 100..lost * 92 / 100).contains(&pairs),
            "{pairs} of {lost} in a row"
        );
    }

    #[test]
    fn copies_come_late() {
        let most = Duration::from_secs(100);
        let travels = travels(Link::perfect().with_late_copies(0.2, most), 100, 10_000);
        let late = |least: u64| {
            let least = Duration::from_secs(least);
            count(
                &travels,
                |travel| matches!(travel, Travel::Twice(first, second) if *second >= *first + least),
            )
        };
        assert!((1_800..2_200).contains(&late(0)), "{} copies", late(0));
        assert!((900..1_100).contains(&late(50)), "{} copies after 50 s", late(50));
        assert_eq!(late(100), 0);
    }

    #[test]
    fn what_is_longer_than_the_mtu_is_lost_and_nothing_else() {
        let link = Link::perfect().with_mtu(128);
        assert_eq!(travels(link, 129, 10), [Travel::TooLong; 10]);
        assert!(
            travels(link, 128, 10)
                .iter()
                .all(|travel| matches!(travel, Travel::Once(_)))
        );
    }
}
