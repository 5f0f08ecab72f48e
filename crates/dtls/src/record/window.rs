//! The replay window (RFC 6347 §4.1.2.6): which sequence numbers of an epoch have been received.

/// How many sequence numbers back from the newest a record may come late.
pub(crate) const WIDTH: u64 = 64;

/// The newest 64 sequence numbers, each received or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    /// One more than the newest that was received; 0 before the first.
    end: u64,
    /// Bit `n` is for the sequence number `end - 1 - n`.
    received: u64,
}

/// Where a sequence number stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Newer than all that were received.
    Newest,
    /// Late, but not received yet.
    Late,
    /// Received before.
    Replayed,
    /// So old that nobody knows.
    TooOld,
}

impl Window {
    /// A window to which all below `end` counts as received.
    pub(crate) fn beginning_at(end: u64) -> Window {
        Window {
            end,
            received: u64::MAX,
        }
    }

    /// The window that has this [`end`](Self::end) and these bits.
    pub(crate) fn from_parts(end: u64, received: u64) -> Window {
        Window { end, received }
    }

    /// One more than the newest that was received.
    pub(crate) fn end(self) -> u64 {
        self.end
    }

    pub(crate) fn received(self) -> u64 {
        self.received
    }

    /// Where `sequence` stands. It changes nothing: what is not authentic must not move the window.
    pub(crate) fn place(self, sequence: u64) -> Place {
        match self.end.checked_sub(sequence) {
            None | Some(0) => Place::Newest,
            Some(back) if back > WIDTH => Place::TooOld,
            Some(back) if self.received & 1 << (back - 1) != 0 => Place::Replayed,
            Some(_) => Place::Late,
        }
    }

    /// Notes that an authentic record was received.
    pub(crate) fn note(&mut self, sequence: u64) {
        let Some(back) = self.end.checked_sub(sequence).filter(|back| *back > 0) else {
            let forward = sequence - self.end + 1;
            let moved = u32::try_from(forward)
                .ok()
                .and_then(|forward| self.received.checked_shl(forward));
            self.received = moved.unwrap_or(0) | 1;
            self.end = sequence + 1;
            return;
        };
        if back <= WIDTH {
            self.received |= 1 << (back - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn after(received: &[u64]) -> Window {
        let mut window = Window::default();
        received.iter().for_each(|sequence| window.note(*sequence));
        window
    }

    #[test]
    fn the_first_may_have_any_number() {
        for first in [0, 1, 63, 64, 65, (1 << 48) - 1] {
            assert_eq!(Window::default().place(first), Place::Newest);
            assert_eq!(after(&[first]).place(first), Place::Replayed);
        }
        assert_eq!(after(&[5]).place(4), Place::Late);
    }

    #[test]
    fn the_window_is_64_wide() {
        let window = after(&[100]);
        assert_eq!(window.place(100), Place::Replayed);
        assert_eq!(window.place(99), Place::Late);
        assert_eq!(window.place(37), Place::Late);
        assert_eq!(window.place(36), Place::TooOld);
        assert_eq!(window.place(101), Place::Newest);
    }

    #[test]
    fn what_moves_out_of_the_window_stays_out() {
        let window = after(&[0, 1, 64]);
        assert_eq!(window.place(1), Place::Replayed);
        assert_eq!(window.place(0), Place::TooOld);
        assert_eq!(window.place(2), Place::Late);
        let window = after(&[0, 1, 1000]);
        assert_eq!(window.place(1), Place::TooOld);
        assert_eq!(window.place(999), Place::Late);
    }

    #[test]
    fn a_window_that_begins_later_takes_nothing_from_before() {
        let window = Window::beginning_at(10);
        assert_eq!(window.place(10), Place::Newest);
        for before in 0..10 {
            assert_eq!(window.place(before), Place::Replayed);
        }
        let far = Window::beginning_at(1000);
        assert_eq!(far.place(936), Place::Replayed);
        assert_eq!(far.place(935), Place::TooOld);
    }

    proptest! {
        /// Against a window that remembers everything.
        #[test]
        fn nothing_is_taken_twice(order in proptest::collection::vec(0_u64..200, 1..300)) {
            let mut window = Window::default();
            let mut seen = BTreeSet::new();
            for sequence in order {
                let newest = seen.last().copied();
                let expected = match newest {
                    None => Place::Newest,
                    Some(newest) if sequence > newest => Place::Newest,
                    Some(newest) if newest - sequence >= WIDTH => Place::TooOld,
                    Some(_) if seen.contains(&sequence) => Place::Replayed,
                    Some(_) => Place::Late,
                };
                prop_assert_eq!(window.place(sequence), expected);
                if matches!(expected, Place::Newest | Place::Late) {
                    window.note(sequence);
                    seen.insert(sequence);
                }
                let parts = Window::from_parts(window.end(), window.received());
                prop_assert_eq!(parts, window);
            }
        }
    }
}
