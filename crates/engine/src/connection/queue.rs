//! The bytes that wait until a transport takes them.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use coracle_wire::{Framing, Message};

use crate::connection::waiting::{Spare, Waiting};
use crate::exchange::payload::SharedBody;
use crate::limits;
use crate::message::Owner;
use crate::slab::Key;

/// A message that somebody wants to know about: where it begins and ends among all bytes of the connection.
struct Mark {
    key: Key,
    begin: u64,
    end: u64,
    is_own: bool,
}

impl Mark {
    /// What it counts among what is ours.
    fn own(&self) -> usize {
        let len = if self.is_own { self.end - self.begin } else { 0 };
        usize::try_from(len).unwrap_or(usize::MAX)
    }
}

/// Messages on their way into the transport.
pub(crate) struct Queue {
    waiting: Waiting,
    /// How many bytes were written before those.
    position: u64,
    marks: VecDeque<Mark>,
    /// Bytes that wait, of requests of ours.
    own: usize,
    /// On a WebSocket, where each message is a unit: their lengths.
    lengths: Option<VecDeque<usize>>,
}

impl Queue {
    pub(crate) fn new(framing: Framing) -> Queue {
        Queue {
            waiting: Waiting::default(),
            position: 0,
            marks: VecDeque::new(),
            own: 0,
            lengths: (framing == Framing::WebSocket).then(VecDeque::new),
        }
    }

    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of them are of requests of ours. One counts as a whole until all of it is written.
    pub(crate) fn own(&self) -> usize {
        self.own.min(self.len())
    }

    /// Adds a message that has this length in frames of this kind. A long payload that is a part of `shared` is not copied.
    pub(crate) fn push(
        &mut self,
        (framing, len): (Framing, usize),
        message: (&Message<'_>, Option<&SharedBody>),
        mark: Option<(Key, Owner)>,
        spare: &mut Spare,
    ) {
        let begin = self.position + self.len() as u64;
        self.waiting.push((framing, len), message, spare);
        if let Some((key, owner)) = mark {
            let end = begin + len as u64;
            let is_own = matches!(owner, Owner::Request(_));
            self.own += if is_own { len } else { 0 };
            self.marks.push_back(Mark {
                key,
                begin,
                end,
                is_own,
            });
        }
        if let Some(lengths) = &mut self.lengths {
            lengths.push_back(len);
        }
    }

    /// What is to be written next, in two pieces.
    #[inline]
    pub(crate) fn front(&self) -> [&[u8]; 2] {
        let [first, second] = self.waiting.front();
        match &self.lengths {
            None => [first, second],
            Some(lengths) => {
                let len = lengths.front().copied().unwrap_or(0);
                [first.get(..len).unwrap_or(first), &[]]
            }
        }
    }

    /// So many bytes are written, on a WebSocket of the first message; as many as there were.
    pub(crate) fn written(&mut self, len: usize, spare: &mut Spare) -> usize {
        let first = self.lengths.as_ref().and_then(VecDeque::front);
        let len = len.min(first.copied().unwrap_or(self.len()));
        self.position += len as u64;
        self.waiting.written(len, spare);
        if let Some(lengths) = &mut self.lengths
            && let Some(first) = lengths.front_mut()
        {
            *first -= len;
            if *first == 0 {
                lengths.pop_front();
            }
        }
        len
    }

    /// Drops all that waits.
    pub(crate) fn clear(&mut self, spare: &mut Spare) {
        self.waiting.clear(spare);
        self.lengths = self.lengths.as_ref().map(|_| VecDeque::new());
        self.marks.clear();
        self.own = 0;
    }

    /// Takes the mark of the next message that is written as a whole.
    pub(crate) fn next_arrived(&mut self) -> Option<Key> {
        let written = self.position;
        let arrived = self.marks.pop_front_if(|mark| mark.end <= written);
        self.own -= arrived.as_ref().map_or(0, Mark::own);
        if self.marks.is_empty() && self.marks.capacity() > limits::MARKS_KEPT {
            self.marks = VecDeque::new();
        }
        arrived.map(|mark| mark.key)
    }

    /// The marks of messages that are not written as a whole.
    pub(crate) fn marks(&self) -> impl Iterator<Item = Key> {
        self.marks.iter().map(|mark| mark.key)
    }

    /// The marks of messages of which nothing is written.
    pub(crate) fn untouched(&self) -> impl Iterator<Item = Key> {
        let written = self.position;
        let untouched = self.marks.iter().filter(move |mark| mark.begin >= written);
        untouched.map(|mark| mark.key)
    }

    /// Takes messages back of which nothing is written, by their marks, in order; how many bytes they had.
    pub(crate) fn withdraw(&mut self, keys: &[Key]) -> usize {
        let (mut keys, mut cuts, mut gone) = (keys.iter().peekable(), Vec::new(), 0);
        self.marks.retain_mut(|mark| {
            if keys.next_if(|key| **key == mark.key).is_some() {
                cuts.push((mark.begin, mark.end));
                gone += mark.end - mark.begin;
                self.own -= mark.own();
                return false;
            }
            mark.begin -= gone;
            mark.end -= gone;
            true
        });
        let place = |position: u64| usize::try_from(position - self.position).unwrap_or(usize::MAX);
        for (begin, end) in cuts.iter().rev() {
            self.waiting.cut(place(*begin)..place(*end));
        }
        let (mut position, mut cuts) = (self.position, cuts.iter().peekable());
        if let Some(lengths) = &mut self.lengths {
            lengths.retain(|len| {
                let at = position;
                position += *len as u64;
                cuts.next_if(|(begin, _)| *begin == at).is_none()
            });
        }
        usize::try_from(gone).unwrap_or(usize::MAX)
    }

    /// How many bytes are written.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }
}
