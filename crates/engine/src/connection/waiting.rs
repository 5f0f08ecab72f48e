//! The bytes of messages that wait, in order: our own, and between them payloads that lie with the application.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;
use core::ops::Range;

use coracle_wire::{Framing, Message};

use crate::exchange::payload::SharedBody;
use crate::limits;

/// Buffers that are in no use: those who have nothing to write own none, and those who write use warm memory.
#[derive(Default)]
pub(crate) struct Spare(Vec<Vec<u8>>);

impl Spare {
    fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    fn give(&mut self, mut buffer: Vec<u8>) {
        let is_small = (1..=limits::SPARE_BUFFER).contains(&buffer.capacity());
        if self.0.len() < limits::SPARE_BUFFERS && is_small {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

/// A payload that was not copied.
struct Lent {
    /// How many bytes of our own stand before it, those that are written among them.
    at: usize,
    body: SharedBody,
    /// What is left of it to write.
    part: Range<usize>,
}

impl Lent {
    fn bytes(&self) -> &[u8] {
        self.body.get(self.part.clone()).unwrap_or_default()
    }
}

#[derive(Default)]
pub(super) struct Waiting {
    own: Vec<u8>,
    /// How many of these bytes are written.
    start: usize,
    lent: VecDeque<Lent>,
    /// Bytes of all that is lent.
    lent_len: usize,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.own.len() - self.start + self.lent_len
    }

    /// Adds a message that has this length in frames of this kind, so that it can be encoded. A long payload that is a part
    /// of `shared` is not copied.
    pub(super) fn push(
        &mut self,
        (framing, len): (Framing, usize),
        (message, shared): (&Message<'_>, Option<&SharedBody>),
        spare: &mut Spare,
    ) {
        // The content of a WebSocket message is one piece.
        let is_lent = framing == Framing::Tcp && message.payload.len() >= limits::LENT_AT_LEAST;
        let shared = shared.filter(|_| is_lent);
        let lent = shared.and_then(|body| Some((body, body.range_of(message.payload)?)));
        let payload_len = lent.as_ref().map_or(0, |(_, part)| part.len());
        if self.own.capacity() == 0 {
            self.own = spare.take();
        }
        // What is written is dropped before the buffer grows beyond what it holds, where that is a large part of it.
        let wanted = len.saturating_sub(payload_len);
        if self.start > self.own.len() / 2 && self.own.len() + wanted > self.own.capacity() {
            self.own.drain(..self.start);
            for lent in &mut self.lent {
                lent.at -= self.start;
            }
            self.start = 0;
        }
        let Some((body, part)) = lent else {
            message.append_frame(framing, &mut self.own);
            return;
        };
        message.append_frame_start(framing, &mut self.own);
        self.lent_len += part.len();
        self.lent.push_back(Lent {
            at: self.own.len(),
            body: body.clone(),
            part,
        });
    }

    /// What is to be written next, in two pieces.
    #[inline]
    pub(super) fn front(&self) -> [&[u8]; 2] {
        match self.lent.front() {
            None => [self.own.get(self.start..).unwrap_or_default(), &[]],
            Some(first) => self.front_of_both(first),
        }
    }

    fn front_of_both<'w>(&'w self, first: &'w Lent) -> [&'w [u8]; 2] {
        let own = |end: usize| self.own.get(self.start..end).unwrap_or_default();
        if first.at > self.start {
            return [own(first.at), first.bytes()];
        }
        let next = self.lent.get(1);
        [first.bytes(), own(next.map_or(self.own.len(), |next| next.at))]
    }

    /// So many bytes are written.
    pub(super) fn written(&mut self, len: usize, spare: &mut Spare) {
        let own = match self.lent.is_empty() {
            true => len,
            false => self.written_of_both(len),
        };
        self.start += own;
        if self.len() == 0 {
            self.clear(spare);
        }
    }

    /// The same with something lent in front; how many bytes follow that are our own.
    fn written_of_both(&mut self, mut len: usize) -> usize {
        while let Some(lent) = self.lent.front_mut()
            && len > 0
        {
            let own = len.min(lent.at - self.start);
            self.start += own;
            len -= own;
            let of_lent = len.min(lent.part.len());
            lent.part.start += of_lent;
            self.lent_len -= of_lent;
            len -= of_lent;
            if lent.part.is_empty() {
                self.lent.pop_front();
            }
        }
        len
    }

    /// Takes a whole message back of which nothing is written: the bytes in this range, counted from the first that waits.
    pub(super) fn cut(&mut self, range: Range<usize>) {
        let (mut before, mut inside) = (0, 0);
        for lent in &self.lent {
            let place = lent.at - self.start + before + inside;
            if place <= range.start {
                before += lent.part.len();
            } else if place < range.end {
                inside += lent.part.len();
            }
        }
        let (start, len) = (self.start + range.start - before, range.len() - inside);
        self.own.drain(start..start + len);
        self.lent_len -= inside;
        // A payload stands behind the start of its message.
        self.lent.retain_mut(|lent| {
            let is_inside = (start + 1..=start + len).contains(&lent.at);
            if lent.at > start {
                lent.at = lent.at.saturating_sub(len);
            }
            !is_inside
        });
    }

    /// Drops all that waits.
    pub(super) fn clear(&mut self, spare: &mut Spare) {
        spare.give(mem::take(&mut self.own));
        self.start = 0;
        if self.lent.capacity() > 0 {
            self.lent = VecDeque::new();
            self.lent_len = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use coracle_wire::{Code, Method};

    use super::*;

    const LONG: usize = limits::LENT_AT_LEAST;

    /// A queue, what it must give, and the messages in it of which nothing is written: where they begin and end.
    #[derive(Default)]
    struct Twins {
        waiting: Waiting,
        plain: Vec<u8>,
        whole: VecDeque<Range<usize>>,
        spare: Spare,
    }

    impl Twins {
        fn push(&mut self, len: usize) {
            let body = SharedBody::new((0..=255).cycle().take(len + 7).collect::<Vec<u8>>());
            let message = Message {
                code: Code::from(Method::PUT),
                payload: &body[7..],
                ..Message::empty(
                    coracle_wire::MessageType::NonConfirmable,
                    coracle_wire::MessageId(0),
                )
            };
            let begin = self.plain.len();
            let waited = self.waiting.len();
            let len = message.append_frame(Framing::Tcp, &mut self.plain).unwrap();
            self.waiting
                .push((Framing::Tcp, len), (&message, Some(&body)), &mut self.spare);
            assert_eq!(self.waiting.len(), waited + len);
            self.whole.push_back(begin..self.plain.len());
        }

        fn write(&mut self, len: usize) {
            let [first, second] = self.waiting.front();
            let front = [first, second].concat();
            assert!(self.plain.starts_with(&front) && (!front.is_empty() || self.plain.is_empty()));
            let len = len.min(front.len());
            self.waiting.written(len, &mut self.spare);
            self.plain.drain(..len);
            let moved = self.whole.drain(..).filter(|message| message.start >= len);
            self.whole = moved
                .map(|message| message.start - len..message.end - len)
                .collect();
        }

        fn cut(&mut self, number: usize) {
            let Some(range) = self.whole.remove(number) else {
                return;
            };
            self.waiting.cut(range.clone());
            self.plain.drain(range.clone());
            for later in self.whole.range_mut(number..) {
                *later = later.start - range.len()..later.end - range.len();
            }
        }
    }

    #[test]
    fn what_is_lent_is_written_in_its_place() {
        let mut twins = Twins::default();
        for step in 0..2000_usize {
            // Steps in an order that repeats late: their numbers have no common divisor.
            match step % 7 {
                0 | 3 => twins.push(step % 5),
                1 | 5 => twins.push(LONG + step % 11),
                2 => twins.cut(step % 3),
                _ => twins.write(step * 7919 % (2 * LONG)),
            }
            assert_eq!(twins.waiting.len(), twins.plain.len());
        }
        while !twins.plain.is_empty() {
            twins.write(LONG / 3);
        }
        assert_eq!(twins.waiting.len(), 0);
        assert!(twins.waiting.lent.is_empty());
    }

    #[test]
    fn a_long_payload_is_no_copy_and_a_short_one_is() {
        let mut twins = Twins::default();
        twins.push(LONG - 1);
        twins.push(LONG);
        let lent: Vec<usize> = twins.waiting.lent.iter().map(|lent| lent.part.len()).collect();
        assert_eq!(lent, [LONG]);
    }
}
