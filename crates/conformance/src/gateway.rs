//! The deterministic lossy gateway of the plugtests.

/// Which datagrams between judge and subject are lost; each direction counts for itself.
#[derive(Debug)]
pub(crate) enum Gateway {
    /// Every third, beginning with the first: so the first request of a case is lost, and so is the first answer,
    /// and no two copies of a message that is repeated in silence are lost in a row.
    EveryThird {
        /// How many came by on their way to the subject.
        to_subject: u64,
        /// And to the judge.
        to_judge: u64,
    },
    /// As many as the case says, and no more.
    Next {
        /// How many are still lost on their way to the subject.
        to_subject: u64,
        /// And to the judge.
        to_judge: u64,
    },
}

/// One datagram of this many is lost.
const LOST_OF: u64 = 3;

impl Default for Gateway {
    fn default() -> Gateway {
        Gateway::EveryThird {
            to_subject: 0,
            to_judge: 0,
        }
    }
}

impl Gateway {
    /// Whether a datagram passes.
    pub(crate) fn passes(&mut self, by_judge: bool) -> bool {
        match self {
            Gateway::EveryThird { to_subject, to_judge } => {
                let count = if by_judge { to_subject } else { to_judge };
                let passes = !count.is_multiple_of(LOST_OF);
                *count += 1;
                passes
            }
            Gateway::Next { to_subject, to_judge } => {
                let left = if by_judge { to_subject } else { to_judge };
                let passes = *left == 0;
                *left = left.saturating_sub(1);
                passes
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_lose_their_first_and_then_every_third() {
        let mut gateway = Gateway::default();
        let sent: Vec<bool> = (0..6).map(|_| gateway.passes(true)).collect();
        assert_eq!(sent, [false, true, true, false, true, true]);
        assert!(!gateway.passes(false), "the other direction counts for itself");
    }
    #[test]
    fn as_many_are_lost_as_were_asked_for() {
        let mut gateway = Gateway::Next {
            to_subject: 2,
            to_judge: 0,
        };
        let sent: Vec<bool> = (0..4).map(|_| gateway.passes(true)).collect();
        assert_eq!(sent, [false, false, true, true]);
        assert!(gateway.passes(false), "the other direction counts for itself");
    }
}
