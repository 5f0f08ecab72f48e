//! The deterministic lossy gateway of the plugtests.

use std::collections::HashSet;

use crate::sessions::records::{self, Content};

/// Which datagrams between judge and subject are lost; each direction counts for itself.
#[derive(Debug)]
pub(crate) enum Gateway {
    /// Every third, beginning with the first: so the first request of a case is lost, and so is the first answer. A
    /// message that was lost once passes when it comes again, however regular the traffic around it is.
    EveryThird {
        /// What was lost: its direction, type, code and Message ID.
        lost: HashSet<(bool, Vec<u8>)>,
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
    /// Every datagram of a handshake of DTLS with something in it that was not lost before, so that all of it is lost once.
    EachOnce {
        /// What was lost, and in which direction.
        lost: HashSet<(bool, Content)>,
    },
}

/// One datagram of this many is lost.
const LOST_OF: u64 = 3;

impl Default for Gateway {
    fn default() -> Gateway {
        Gateway::EveryThird {
            lost: HashSet::new(),
            to_subject: 0,
            to_judge: 0,
        }
    }
}

impl Gateway {
    /// One that loses everything of a handshake once.
    pub(crate) fn each_once() -> Gateway {
        Gateway::EachOnce { lost: HashSet::new() }
    }

    /// Whether a datagram passes.
    pub(crate) fn passes(&mut self, by_judge: bool, datagram: &[u8]) -> bool {
        match self {
            Gateway::EveryThird {
                lost,
                to_subject,
                to_judge,
            } => {
                let count = if by_judge { to_subject } else { to_judge };
                let passes = !count.is_multiple_of(LOST_OF);
                *count += 1;
                let header = datagram.get(..4).unwrap_or(datagram).to_vec();
                passes || !lost.insert((by_judge, header))
            }
            Gateway::Next { to_subject, to_judge } => {
                let left = if by_judge { to_subject } else { to_judge };
                let passes = *left == 0;
                *left = left.saturating_sub(1);
                passes
            }
            Gateway::EachOnce { lost } => {
                let contents = records::contents(datagram).into_iter();
                let handshake = contents.filter(|content| content.is_handshake());
                // All of them are counted, not only the first that is new.
                let fresh = handshake.filter(|content| lost.insert((by_judge, *content)));
                fresh.count() == 0
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
        let sent: Vec<bool> = (0..6)
            .map(|mid| gateway.passes(true, &[0x40, 1, 0, mid]))
            .collect();
        assert_eq!(sent, [false, true, true, false, true, true]);
        let other = gateway.passes(false, &[0x60, 0x45, 0, 0]);
        assert!(!other, "the other direction counts for itself");
    }

    #[test]
    fn what_was_lost_once_passes_when_it_comes_again() {
        let mut gateway = Gateway::default();
        let sent: Vec<bool> = (0..6).map(|_| gateway.passes(true, &[0x40, 1, 0, 7])).collect();
        assert_eq!(sent, [false, true, true, true, true, true]);
    }

    #[test]
    fn as_many_are_lost_as_were_asked_for() {
        let mut gateway = Gateway::Next {
            to_subject: 2,
            to_judge: 0,
        };
        let sent: Vec<bool> = (0..4).map(|_| gateway.passes(true, b"")).collect();
        assert_eq!(sent, [false, false, true, true]);
        assert!(
            gateway.passes(false, b""),
            "the other direction counts for itself"
        );
    }

    #[test]
    fn each_part_of_a_handshake_is_lost_once_in_each_direction() {
        let change = b"\x14\xfe\xfd\0\0\0\0\0\0\0\x02\0\x01\x01";
        let finished = b"\x16\xfe\xfd\0\x01\0\0\0\0\0\0\0\x02ab";
        let data = b"\x17\xfe\xfd\0\x01\0\0\0\0\0\x01\0\x02ab";
        let mut gateway = Gateway::each_once();
        assert!(!gateway.passes(true, change));
        assert!(
            !gateway.passes(true, &[&change[..], finished].concat()),
            "one of the two is new"
        );
        assert!(gateway.passes(true, finished) && gateway.passes(true, change));
        assert!(
            !gateway.passes(false, finished),
            "the other direction counts for itself"
        );
        assert!(gateway.passes(true, data) && gateway.passes(true, b"a message"));
    }
}
