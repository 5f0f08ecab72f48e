//! An append-only log of records in segments: written in order of time, read at any place, forgotten from its front.
//!
//! A record never crosses from a segment into the next. Segments are numbered without end, so that a [`Spot`] is never
//! mistaken for a later one.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::time::Instant;

/// Where a record begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) segment: u32,
    pub(super) offset: u16,
}

struct Segment {
    bytes: Vec<u8>,
    /// When the last of its records is forgotten.
    until: Instant,
}

#[derive(Default)]
pub(super) struct Log {
    /// The number of the segment in front.
    first: u32,
    segments: VecDeque<Segment>,
}

impl Log {
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    pub(super) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Whether the segment at the end has room for `len` more bytes.
    pub(super) fn fits(&self, len: usize) -> bool {
        let room = |segment: &Segment| segment.bytes.capacity() - segment.bytes.len();
        self.segments.back().is_some_and(|segment| room(segment) >= len)
    }

    /// Adds a segment, whose room is that of `buffer`.
    pub(super) fn extend(&mut self, buffer: Vec<u8>) {
        self.segments.push_back(Segment {
            bytes: buffer,
            until: Instant::ZERO,
        });
    }

    /// Where the next record begins that fits into the segment at the end.
    fn next(&self) -> Option<Spot> {
        let last = u32::try_from(self.segments.len()).ok()?.checked_sub(1)?;
        let offset = u16::try_from(self.segments.back()?.bytes.len()).ok()?;
        let segment = self.first.wrapping_add(last);
        Some(Spot { segment, offset })
    }

    /// Appends a record to the segment at the end, which keeps it until `until` at least; where it begins.
    pub(super) fn append(&mut self, parts: &[&[u8]], until: Instant) -> Option<Spot> {
        let last = u32::try_from(self.segments.len()).ok()?.checked_sub(1)?;
        let segment = self.segments.back_mut()?;
        let offset = u16::try_from(segment.bytes.len()).ok()?;
        for part in parts {
            segment.bytes.extend_from_slice(part);
        }
        segment.until = segment.until.max(until);
        let segment = self.first.wrapping_add(last);
        Some(Spot { segment, offset })
    }

    /// Takes the record at `spot` back; `false` when others follow it.
    pub(super) fn retract(&mut self, spot: Spot, len: usize) -> bool {
        let end = self.next();
        let start = usize::from(spot.offset);
        let is_last =
            end.is_some_and(|end| end.segment == spot.segment && usize::from(end.offset) == start + len);
        if is_last && let Some(segment) = self.segments.back_mut() {
            segment.bytes.truncate(start);
        }
        is_last
    }

    /// The number without end of a live segment, of which only the bits of `mask` are known.
    pub(super) fn widen(&self, segment: u32, mask: u32) -> u32 {
        self.first.wrapping_add(segment.wrapping_sub(self.first) & mask)
    }

    fn place(&self, spot: Spot) -> (usize, usize) {
        let segment = spot.segment.wrapping_sub(self.first);
        (segment as usize, usize::from(spot.offset))
    }

    /// The bytes from `spot` to the end of its segment; `None` when they are forgotten.
    pub(super) fn get(&self, spot: Spot) -> Option<&[u8]> {
        let (segment, offset) = self.place(spot);
        self.segments.get(segment)?.bytes.get(offset..)
    }

    pub(super) fn get_mut(&mut self, spot: Spot) -> Option<&mut [u8]> {
        let (segment, offset) = self.place(spot);
        self.segments.get_mut(segment)?.bytes.get_mut(offset..)
    }

    /// When the segment in front may be forgotten.
    pub(super) fn until(&self) -> Option<Instant> {
        self.segments.front().map(|segment| segment.until)
    }

    /// The segment in front, with its number.
    pub(super) fn front(&self) -> Option<(u32, &[u8])> {
        let segment = self.segments.front()?;
        Some((self.first, &segment.bytes))
    }

    /// Takes the segment in front away.
    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        let segment = self.segments.pop_front()?;
        self.first = self.first.wrapping_add(1);
        if self.segments.len() * 4 < self.segments.capacity() {
            self.segments.shrink_to(self.segments.len() * 2);
        }
        Some(segment.bytes)
    }
}
