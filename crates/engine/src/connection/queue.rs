//! The bytes that wait until a transport takes them.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use coracle_wire::{Framing, Message};

use crate::limits;
use crate::message::Owner;
use crate::slab::Key;

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
    bytes: Vec<u8>,
    /// How many of these bytes are written.
    start: usize,
    /// How many bytes were written before those.
    before: u64,
    marks: VecDeque<Mark>,
    /// Bytes that wait, of requests of ours.
    own: usize,
    /// On a WebSocket, where each message is a unit: their lengths.
    lengths: Option<VecDeque<usize>>,
}

impl Queue {
    pub(crate) fn new(framing: Framing) -> Queue {
        Queue {
            bytes: Vec::new(),
            start: 0,
            before: 0,
            marks: VecDeque::new(),
            own: 0,
            lengths: (framing == Framing::WebSocket).then(VecDeque::new),
        }
    }

    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of them are of requests of ours. One counts as a whole until all of it is written.
    pub(crate) fn own(&self) -> usize {
        self.own.min(self.len())
    }

    /// Adds a message; its length. `None`: it cannot be encoded.
    pub(crate) fn push(
        &mut self,
        framing: Framing,
        message: &Message<'_>,
        mark: Option<(Key, Owner)>,
        spare: &mut Spare,
    ) -> Option<usize> {
        if self.bytes.capacity() == 0 {
            self.bytes = spare.take();
        }
        // What is written is dropped before the buffer grows beyond what it holds, where that is a large part of it.
        if self.start > self.bytes.len() / 2
            && self.bytes.len() + message.frame_len(framing) > self.bytes.capacity()
        {
            self.bytes.drain(..self.start);
            self.before += self.start as u64;
            self.start = 0;
        }
        let begin = self.before + self.bytes.len() as u64;
        let len = message.append_frame(framing, &mut self.bytes)?;
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
        Some(len)
    }

    /// What is to be written next.
    pub(crate) fn front(&self) -> &[u8] {
        let waiting = self.bytes.get(self.start..).unwrap_or_default();
        match &self.lengths {
            None => waiting,
            Some(lengths) => {
                let first = lengths.front().copied().unwrap_or(0);
                waiting.get(..first).unwrap_or(waiting)
            }
        }
    }

    /// So many bytes of the front are written; as many as there were.
    pub(crate) fn written(&mut self, len: usize, spare: &mut Spare) -> usize {
        let len = len.min(self.front().len());
        self.start += len;
        if let Some(lengths) = &mut self.lengths
            && let Some(first) = lengths.front_mut()
        {
            *first -= len;
            if *first == 0 {
                lengths.pop_front();
            }
        }
        if self.is_empty() {
            self.before += self.start as u64;
            self.start = 0;
            spare.give(core::mem::take(&mut self.bytes));
        }
        len
    }

    /// Drops all that waits.
    pub(crate) fn clear(&mut self, spare: &mut Spare) {
        self.start = 0;
        spare.give(core::mem::take(&mut self.bytes));
        self.lengths = self.lengths.as_ref().map(|_| VecDeque::new());
        self.marks.clear();
        self.own = 0;
    }

    /// Takes the mark of the next message that is written as a whole.
    pub(crate) fn next_arrived(&mut self) -> Option<Key> {
        let written = self.position();
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
        let written = self.position();
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
        let place = |position: u64| usize::try_from(position - self.before).unwrap_or(usize::MAX);
        for (begin, end) in cuts.iter().rev() {
            self.bytes.drain(place(*begin)..place(*end));
        }
        let (mut position, mut cuts) = (self.position(), cuts.iter().peekable());
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
        self.before + self.start as u64
    }
}
