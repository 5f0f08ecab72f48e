//! One timer for each slot.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Moments at which slots are to be looked at. A slot has one that counts; others are passed over.
#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, u32)>>,
    /// For each slot the moment in the heap that counts.
    armed: Vec<Option<Instant>>,
}

impl Timers {
    /// Looks at the slot at `at`, or earlier where an earlier moment is set: a request that is answered leaves its
    /// moment behind, so that a slot costs nothing here for each of its requests.
    pub(crate) fn arm(&mut self, slot: u32, at: Instant) {
        let index = slot as usize;
        if self.armed.len() <= index {
            self.armed.resize(index + 1, None);
        }
        let Some(armed) = self.armed.get_mut(index) else {
            return;
        };
        if armed.is_none_or(|earlier| at < earlier) {
            *armed = Some(at);
            self.heap.push(Reverse((at, slot)));
        }
    }

    /// A slot whose moment has come. It is no longer armed.
    pub(crate) fn due(&mut self, now: Instant) -> Option<u32> {
        while let Some(&Reverse((at, slot))) = self.heap.peek() {
            if at > now {
                return None;
            }
            self.heap.pop();
            let armed = self.armed.get_mut(slot as usize);
            if let Some(armed) = armed.filter(|armed| **armed == Some(at)) {
                *armed = None;
                return Some(slot);
            }
        }
        None
    }

    /// The next moment, or an earlier one.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_earlier_moment_replaces_a_later_one_and_not_the_reverse() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::default();
        timers.arm(7, at(5));
        timers.arm(7, at(9));
        timers.arm(2, at(4));
        timers.arm(7, at(3));
        assert_eq!(timers.next(), Some(at(3)));
        assert_eq!(timers.due(at(2)), None);
        assert_eq!(timers.due(at(6)), Some(7));
        assert_eq!(timers.due(at(6)), Some(2));
        assert_eq!(timers.due(at(6)), None);
        timers.arm(7, at(8));
        assert_eq!(timers.due(at(20)), Some(7));
        assert_eq!(timers.due(at(20)), None);
    }
}
