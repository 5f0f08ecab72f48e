//! Choices that a seed makes.

use std::ops::RangeInclusive;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::Family;

/// The choices for one script: the same seed, family and index give the same ones on every machine.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(seed: u64, family: Family, index: u64) -> Dice {
        let mut key = [0; 32];
        let parts = [seed, family as u64, index];
        let bytes = parts.into_iter().flat_map(u64::to_be_bytes);
        key.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        Dice(ChaCha8Rng::from_seed(key))
    }

    pub(super) fn byte(&mut self) -> u8 {
        let [byte, ..] = self.0.next_u32().to_be_bytes();
        byte
    }

    pub(super) fn short(&mut self) -> u16 {
        let [high, low, ..] = self.0.next_u32().to_be_bytes();
        u16::from_be_bytes([high, low])
    }

    pub(super) fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// One of the numbers. The bias of the remainder is far below what anybody could notice here.
    pub(super) fn within(&mut self, range: RangeInclusive<usize>) -> usize {
        let span = range.end().saturating_sub(*range.start()) as u64 + 1;
        let offset = usize::try_from(self.number() % span).unwrap_or_default();
        range.start().saturating_add(offset)
    }

    /// True so many times of a hundred.
    pub(super) fn percent(&mut self, percent: usize) -> bool {
        self.within(0..=99) < percent
    }

    /// One of them; the default if there is none.
    pub(super) fn pick<T: Copy + Default>(&mut self, of: &[T]) -> T {
        let last = of.len().saturating_sub(1);
        of.get(self.within(0..=last)).copied().unwrap_or_default()
    }

    /// A length: mostly small, sometimes that of a full datagram, rarely the largest that UDP carries everywhere.
    pub(super) fn length(&mut self) -> usize {
        match self.within(0..=999) {
            0..=799 => self.within(0..=64),
            800..=969 => self.within(65..=1152),
            970..=994 => self.within(1153..=1472),
            _ => self.within(1473..=MAX_LENGTH),
        }
    }
}

/// The longest part of a message, in bytes, so that there is room for others.
const MAX_LENGTH: usize = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_family_and_index_decide() {
        let roll = |seed, family, index| Dice::new(seed, family, index).bytes(16);
        let first = roll(1, Family::Random, 0);
        assert_eq!(first, roll(1, Family::Random, 0));
        assert_ne!(first, roll(2, Family::Random, 0));
        assert_ne!(first, roll(1, Family::Mutational, 0));
        assert_ne!(first, roll(1, Family::Random, 1));
    }

    #[test]
    fn numbers_stay_in_their_range() {
        let mut dice = Dice::new(7, Family::Random, 0);
        for _ in 0..1_000 {
            assert!((3..=5).contains(&dice.within(3..=5)));
            assert!(dice.length() <= MAX_LENGTH);
        }
        assert_eq!(dice.within(9..=9), 9);
        assert_eq!(dice.pick::<u8>(&[]), 0);
        assert!(!dice.percent(0) && dice.percent(100));
    }
}
