//! Messages out of fragments, in their order (RFC 6347 §4.2.2, §4.2.3). A message that comes whole and in its turn is not
//! copied.

use alloc::vec::Vec;
use core::ops::Range;

use crate::limits;
use crate::messages::header::FragmentHeader;

pub(crate) struct Inbox {
    /// `message_seq` of the message whose turn it is.
    next: u16,
    waiting: Vec<Partial>,
    /// Of the bodies in `waiting`.
    bytes: usize,
}

/// A message that came out of turn, or of which something is missing.
struct Partial {
    header: FragmentHeader,
    body: Vec<u8>,
    /// What of the body has come: sorted, not touching each other.
    got: Vec<Range<usize>>,
}

/// What became of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is the whole message whose turn it was.
    Whole,
    /// It is kept; [`Inbox::pop`] tells whether the next message is complete now.
    Kept,
    /// Of a message that was there already: the peer repeats its flight. `is_last`: this is the end of its last message.
    Repeated { is_last: bool },
    /// It contradicts other fragments, or there is no room.
    Refused,
    /// The message is longer than any that is collected.
    TooLarge,
}

impl Inbox {
    pub(crate) const fn new(next: u16) -> Inbox {
        Inbox {
            next,
            waiting: Vec::new(),
            bytes: 0,
        }
    }

    /// `message_seq` of the message whose turn it is.
    #[cfg(test)]
    pub(crate) const fn next(&self) -> u16 {
        self.next
    }

    pub(crate) fn take(&mut self, header: &FragmentHeader, fragment: &[u8]) -> Taken {
        let (Ok(length), Ok(offset)) = (usize::try_from(header.length), usize::try_from(header.offset))
        else {
            return Taken::TooLarge;
        };
        let range = offset..offset + fragment.len();
        if header.sequence < self.next {
            let is_last = header.sequence + 1 == self.next && range.end == length;
            return Taken::Repeated { is_last };
        }
        if header.sequence - self.next >= limits::MESSAGES_AHEAD {
            return Taken::Refused;
        }
        if length > limits::REASSEMBLY_BYTES {
            return Taken::TooLarge;
        }
        if header.sequence == self.next && fragment.len() == length {
            self.forget(header.sequence);
            self.next = self.next.saturating_add(1);
            return Taken::Whole;
        }
        let kept = self
            .partial(header, length)
            .is_some_and(|partial| partial.add(range, fragment));
        if kept { Taken::Kept } else { Taken::Refused }
    }

    /// The message whose turn it is, if it is complete.
    pub(crate) fn pop(&mut self) -> Option<(FragmentHeader, Vec<u8>)> {
        let is_next = |partial: &Partial| partial.header.sequence == self.next && partial.is_complete();
        let place = self.waiting.iter().position(is_next)?;
        let partial = self.waiting.swap_remove(place);
        self.bytes -= partial.body.len();
        self.next = self.next.saturating_add(1);
        Some((partial.header, partial.body))
    }

    fn forget(&mut self, sequence: u16) {
        self.waiting.retain(|partial| partial.header.sequence != sequence);
        self.bytes = self.waiting.iter().map(|partial| partial.body.len()).sum();
    }

    /// The message that the fragment is of, begun if need be and if there is room.
    fn partial(&mut self, header: &FragmentHeader, length: usize) -> Option<&mut Partial> {
        let known = |partial: &Partial| partial.header.sequence == header.sequence;
        if let Some(place) = self.waiting.iter().position(known) {
            let is_same = |partial: &&mut Partial| {
                partial.header.kind == header.kind && partial.header.length == header.length
            };
            return self.waiting.get_mut(place).filter(is_same);
        }
        if self.bytes + length > limits::REASSEMBLY_BYTES {
            return None;
        }
        self.bytes += length;
        self.waiting.push(Partial {
            header: FragmentHeader { offset: 0, ..*header },
            body: alloc::vec![0; length],
            got: Vec::new(),
        });
        self.waiting.last_mut()
    }
}

impl Partial {
    fn add(&mut self, range: Range<usize>, fragment: &[u8]) -> bool {
        let Some(place) = self.body.get_mut(range.clone()) else {
            return false;
        };
        let before = self.got.partition_point(|stretch| stretch.end < range.start);
        let touching = self
            .got
            .iter()
            .skip(before)
            .take_while(|stretch| stretch.start <= range.end)
            .count();
        if touching == 0 && self.got.len() >= limits::STRETCHES {
            return false;
        }
        place.copy_from_slice(fragment);
        let joined = self
            .got
            .drain(before..before + touching)
            .fold(range, |all, stretch| {
                all.start.min(stretch.start)..all.end.max(stretch.end)
            });
        self.got.insert(before, joined);
        true
    }

    fn is_complete(&self) -> bool {
        matches!(self.got.as_slice(), [all] if *all == (0..self.body.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::header::MessageType;
    use proptest::prelude::*;

    fn header(sequence: u16, length: u32, offset: u32) -> FragmentHeader {
        FragmentHeader {
            kind: MessageType::CERTIFICATE,
            length,
            sequence,
            offset,
        }
    }

    #[test]
    fn a_whole_message_in_its_turn_is_not_kept() {
        let mut inbox = Inbox::new(1);
        assert_eq!(inbox.take(&header(1, 3, 0), b"abc"), Taken::Whole);
        assert_eq!(
            inbox.take(&header(1, 3, 0), b"abc"),
            Taken::Repeated { is_last: true }
        );
        assert_eq!(
            inbox.take(&header(1, 3, 0), b"ab"),
            Taken::Repeated { is_last: false }
        );
        assert_eq!(
            inbox.take(&header(0, 3, 0), b"abc"),
            Taken::Repeated { is_last: false }
        );
        assert_eq!(inbox.pop(), None);
    }

    #[test]
    fn messages_ahead_wait_for_their_turn() {
        let mut inbox = Inbox::new(0);
        assert_eq!(inbox.take(&header(1, 2, 0), b"de"), Taken::Kept);
        assert_eq!(inbox.pop(), None);
        assert_eq!(inbox.take(&header(0, 3, 0), b"abc"), Taken::Whole);
        assert_eq!(inbox.pop(), Some((header(1, 2, 0), b"de".to_vec())));
        assert_eq!(inbox.pop(), None);
        let far = 2 + limits::MESSAGES_AHEAD;
        assert_eq!(inbox.take(&header(far, 2, 0), b"de"), Taken::Refused);
        assert_eq!(inbox.take(&header(far - 1, 0, 0), b""), Taken::Kept);
    }

    #[test]
    fn what_contradicts_or_is_too_much_is_refused() {
        let mut inbox = Inbox::new(0);
        let most = u32::try_from(limits::REASSEMBLY_BYTES).unwrap();
        assert_eq!(inbox.take(&header(0, most + 1, 0), b"a"), Taken::TooLarge);
        assert_eq!(inbox.take(&header(0, most, 0), b"a"), Taken::Kept);
        assert_eq!(inbox.take(&header(0, most - 1, 0), b"a"), Taken::Refused);
        assert_eq!(
            inbox.take(&header(1, 2, 0), b"a"),
            Taken::Refused,
            "no room is left"
        );
        for stretch in 1..u32::try_from(limits::STRETCHES).unwrap() {
            assert_eq!(inbox.take(&header(0, most, stretch * 2), b"a"), Taken::Kept);
        }
        assert_eq!(inbox.take(&header(0, most, most - 1), b"a"), Taken::Refused);
        assert_eq!(
            inbox.take(&header(0, most, 1), b"a"),
            Taken::Kept,
            "it joins two stretches"
        );
    }

    proptest! {
        /// Fragments in any order, overlapping and repeated, give the message once all of it has come.
        #[test]
        fn any_fragments_give_the_message(
            body in proptest::collection::vec(any::<u8>(), 1..200),
            cuts in proptest::collection::vec((0_usize..200, 1_usize..80), 0..40),
        ) {
            let mut inbox = Inbox::new(7);
            let mut has = alloc::vec![false; body.len()];
            for (start, len) in cuts {
                let start = start % body.len();
                let end = (start + len).min(body.len());
                let whole = end - start == body.len();
                let taken = inbox.take(&header(7, u32::try_from(body.len()).unwrap(), u32::try_from(start).unwrap()), &body[start..end]);
                has[start..end].fill(true);
                if whole {
                    prop_assert_eq!(taken, Taken::Whole);
                    return Ok(());
                }
                prop_assert_eq!(taken, Taken::Kept);
                if has.iter().all(|has| *has) {
                    let (_, found) = inbox.pop().unwrap();
                    prop_assert_eq!(found, body);
                    return Ok(());
                }
                prop_assert!(inbox.pop().is_none());
            }
        }
    }
}
