//! How many bytes observations may keep: of the requests that are run again, and of states on their way to many.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::limits;

/// The bytes in use, beyond those of each that are free of charge.
pub(crate) struct Budget {
    used: Arc<AtomicUsize>,
    most: usize,
}

/// A part of the budget, which is given back when what it was taken for goes.
pub(crate) struct Charge {
    bytes: usize,
    used: Arc<AtomicUsize>,
}

impl Budget {
    pub(crate) fn new(most: usize) -> Budget {
        Budget {
            used: Arc::new(AtomicUsize::new(0)),
            most,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.used.load(Ordering::Relaxed) == 0
    }

    /// For the request of an observer. Half of the budget is left for what observers are shown; who has not proved the
    /// address shares the other half with those who have.
    pub(crate) fn for_request(&self, bytes: usize, is_proved: bool) -> Option<Charge> {
        let share = if is_proved { 1 } else { limits::SHARE_OF_UNPROVED };
        self.charge(bytes, self.most / 2 / share)
    }

    /// For a state that is shown.
    pub(crate) fn for_state(&self, bytes: usize) -> Option<Charge> {
        self.charge(bytes, self.most)
    }

    fn charge(&self, bytes: usize, most: usize) -> Option<Charge> {
        let bytes = bytes.saturating_sub(limits::OBSERVED_FREE);
        let used = self.used.load(Ordering::Relaxed).saturating_add(bytes);
        if bytes > 0 && used > most {
            return None;
        }
        self.used.store(used, Ordering::Relaxed);
        Some(Charge {
            bytes,
            used: Arc::clone(&self.used),
        })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_share_and_gives_it_back() {
        let free = limits::OBSERVED_FREE;
        let budget = Budget::new(1000);
        let unproved = budget.for_request(free + 250, false).unwrap();
        assert!(budget.for_request(free + 1, false).is_none());
        assert!(budget.for_request(free, false).is_some(), "what is short is free");
        let proved = budget.for_request(free + 250, true).unwrap();
        assert!(budget.for_request(free + 1, true).is_none());
        let state = budget.for_state(free + 500).unwrap();
        assert!(budget.for_state(free + 1).is_none());
        drop(unproved);
        assert!(
            budget.for_request(free + 1, false).is_none(),
            "the proved have the share"
        );
        drop((proved, state));
        assert!(budget.is_empty());
    }
}
