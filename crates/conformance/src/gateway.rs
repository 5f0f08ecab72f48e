//! The deterministic lossy gateway of the plugtests.

/// Loses every third datagram of each direction, beginning with the first: so the first request of a case is lost,
/// and so is the first answer, and no two copies of a message that is repeated in silence are lost in a row.
#[derive(Debug, Default)]
pub(crate) struct Gateway {
    to_subject: u64,
    to_judge: u64,
}

/// One datagram of this many is lost.
const LOST_OF: u64 = 3;

impl Gateway {
    /// Whether a datagram passes.
    pub(crate) fn passes(&mut self, by_judge: bool) -> bool {
        let count = if by_judge {
            &mut self.to_subject
        } else {
            &mut self.to_judge
        };
        let passes = !count.is_multiple_of(LOST_OF);
        *count += 1;
        passes
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
}
