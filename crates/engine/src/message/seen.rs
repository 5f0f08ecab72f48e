//! Message IDs that were seen, and what was answered (RFC 7252 §4.5).
//!
//! Three logs in order of time. The lenient one holds what may be forgotten early: responses and idempotent requests,
//! which the leave of RFC 7252 §4.5 allows to be run again. The strict one holds requests that must not be run twice;
//! these stay for EXCHANGE_LIFETIME. A short one holds what only goes on with a transfer: one long body would fill the
//! others, and of it no more than the last blocks can come again. An index finds their records. A byte budget bounds them
//! all: when it is used up the lenient log gives way, oldest first, and when nothing is left of it there is no room for
//! more.
//!
//! Memory is taken and forgotten in segments of many messages, so that a message costs no allocation, and its bytes are
//! written one after the other.

use alloc::vec::Vec;
use core::hash::{BuildHasher, Hasher};
use core::time::Duration;

use coracle_wire::MessageId;

use crate::index::Index;
use crate::limits;
use crate::message::log::{Log, Spot};
use crate::message::record::{ANSWER_HEAD, Answer, LONGEST, Record, View, set_answer};
use crate::message::shares::Shares;
use crate::path::Path;
use crate::time::Instant;

/// A message that is remembered, for as long as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    kind: Kind,
    spot: Spot,
}

/// The logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Lenient,
    Strict,
    Passing,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Lenient, Kind::Strict, Kind::Passing];
}

/// How well a message has to be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// It may be forgotten early.
    Lenient,
    /// It goes on with a transfer, and may be run again: it is remembered until some others of its kind have come.
    Passing,
    /// It must not be run twice. `proved`: its source is known to be where it says it is.
    Strict { proved: bool },
}

impl Care {
    /// RFC 7252 §4.5: idempotent requests may be run again when the memory of them is needed.
    pub(crate) fn of(goes_on: bool, is_idempotent: bool, proved: bool) -> Care {
        match (goes_on, is_idempotent) {
            (true, _) => Care::Passing,
            (false, true) => Care::Lenient,
            (false, false) => Care::Strict { proved },
        }
    }
}

/// What is known of a message.
pub(crate) enum Sight<'a> {
    /// It is new, and remembered from now on.
    New(Note),
    /// It was seen before; the answer, if one went out already.
    Again(Option<&'a [u8]>),
    /// It is new, but there is no room to remember it.
    NoRoom,
}

/// The flag of a strict record whose source has not proved its address.
const UNPROVED: u8 = 1;

/// The bits of a segment's number in the index.
const SEGMENT_BITS: u32 = 16;
const SEGMENT_MASK: u32 = (1 << SEGMENT_BITS) - 1;
const OFFSET_BITS: u32 = 14;
const OFFSET_MASK: u32 = (1 << OFFSET_BITS) - 1;

const KIND_SHIFT: u32 = SEGMENT_BITS + OFFSET_BITS;

const _: () = assert!(2 + KIND_SHIFT == u32::BITS);
const _: () = assert!(limits::SEEN_SEGMENT <= 1 << OFFSET_BITS);
const _: () = assert!(limits::MAX_DATAGRAM + ANSWER_HEAD as usize <= 1 << OFFSET_BITS);
const _: () = assert!(limits::MAX_SEEN_BYTES / limits::SEEN_SEGMENT < 1 << SEGMENT_BITS);
const _: () = assert!(LONGEST <= limits::SEEN_SEGMENT_AT_LEAST);

/// Where a message is remembered, as short as the index keeps it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place(u32);

impl Place {
    fn of(note: Note) -> Place {
        let segment = (note.spot.segment & SEGMENT_MASK) << OFFSET_BITS;
        Place((note.kind as u32) << KIND_SHIFT | segment | u32::from(note.spot.offset))
    }
}

#[derive(Default)]
struct Logs {
    lenient: Log,
    strict: Log,
    passing: Log,
}

impl Logs {
    fn of(&self, kind: Kind) -> &Log {
        match kind {
            Kind::Lenient => &self.lenient,
            Kind::Strict => &self.strict,
            Kind::Passing => &self.passing,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut Log {
        match kind {
            Kind::Lenient => &mut self.lenient,
            Kind::Strict => &mut self.strict,
            Kind::Passing => &mut self.passing,
        }
    }

    fn note(&self, Place(place): Place) -> Note {
        let kind = match place >> KIND_SHIFT {
            0 => Kind::Lenient,
            1 => Kind::Strict,
            _ => Kind::Passing,
        };
        let offset = u16::try_from(place & OFFSET_MASK).unwrap_or(0);
        let segment = self
            .of(kind)
            .widen(place >> OFFSET_BITS & SEGMENT_MASK, SEGMENT_MASK);
        Note {
            kind,
            spot: Spot { segment, offset },
        }
    }

    fn view(&self, note: Note) -> Option<View<'_>> {
        self.of(note.kind).get(note.spot).map(View)
    }

    fn identity(&self, place: Place) -> &[u8] {
        self.view(self.note(place)).map_or(&[], View::identity)
    }

    fn is_empty(&self) -> bool {
        Kind::ALL.iter().all(|kind| self.of(*kind).is_empty())
    }
}

pub(crate) struct Seen {
    logs: Logs,
    index: Index<Place>,
    hasher: foldhash::fast::FixedState,
    shares: Shares,
    /// A segment that was forgotten, for the next one.
    spare: Option<Vec<u8>>,
    /// Of all segments, the spare one too.
    segment_bytes: usize,
    /// What a segment holds, unless one answer takes more.
    segment: usize,
    budget: usize,
    lifetime: Duration,
}

impl Seen {
    pub(crate) fn new(budget: usize, lifetime: Duration, seed: u64) -> Seen {
        let budget = budget.min(limits::MAX_SEEN_BYTES);
        Seen {
            logs: Logs::default(),
            index: Index::new(),
            hasher: foldhash::fast::FixedState::with_seed(seed),
            shares: Shares::new(budget),
            spare: None,
            segment_bytes: 0,
            segment: (budget / limits::SEEN_SEGMENTS_AT_LEAST)
                .clamp(limits::SEEN_SEGMENT_AT_LEAST, limits::SEEN_SEGMENT),
            budget,
            lifetime,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.logs.is_empty() && self.index.is_empty() && self.segment_bytes == 0
    }

    /// The bytes that are taken from the system.
    fn bytes(&self) -> usize {
        self.segment_bytes + self.index.bytes()
    }

    fn hash(&self, bytes: &[u8]) -> u64 {
        hash_of(&self.hasher, bytes)
    }

    /// Looks a message up and remembers it.
    pub(crate) fn note(&mut self, now: Instant, path: &Path, id: MessageId, care: Care) -> Sight<'_> {
        self.forget(now);
        let mut record = Record::of(path, id);
        let hash = self.hash(record.view().identity());
        let logs = &self.logs;
        let same = |place: &Place| logs.identity(*place) == record.view().identity();
        if let Some(place) = self.index.find(hash, same) {
            let note = self.logs.note(place);
            if self.logs.view(note).is_some_and(|known| known.expires() > now) {
                return Sight::Again(self.answered(note));
            }
            // Its lifetime is over, but not that of others in its segment.
            self.unlist(hash, place);
        }
        let kind = match care {
            Care::Lenient => Kind::Lenient,
            Care::Passing => Kind::Passing,
            Care::Strict { .. } => Kind::Strict,
        };
        let proved = care != Care::Strict { proved: false };
        record.remember(if proved { 0 } else { UNPROVED }, now + self.lifetime);
        if kind == Kind::Strict {
            let peer = self.hash(record.view().peer());
            if !self.shares.admit(peer, proved) {
                return Sight::NoRoom;
            }
        }
        match self.insert(kind, hash, &record) {
            Some(note) => Sight::New(note),
            None => Sight::NoRoom,
        }
    }

    /// The answer to a message, if one went out.
    fn answered(&self, note: Note) -> Option<&[u8]> {
        let answer = self.logs.view(note)?.answer();
        let len = Some(usize::from(answer.len)).filter(|len| *len > 0)?;
        self.logs.of(note.kind).get(answer.spot)?.get(..len)
    }

    fn insert(&mut self, kind: Kind, hash: u64, record: &Record) -> Option<Note> {
        let bytes = record.as_bytes();
        if !self.make_room(kind, bytes.len()) || !self.make_room_in_index(hash) {
            return None;
        }
        let view = record.view();
        let spot = self.logs.of_mut(kind).append(&[bytes], view.expires())?;
        let note = Note { kind, spot };
        let (logs, hasher) = (&self.logs, &self.hasher);
        self.index.insert(hash, Place::of(note), |place| {
            hash_of(hasher, logs.identity(*place))
        });
        if kind == Kind::Strict {
            let peer = self.hash(view.peer());
            self.shares.take(peer, is_proved(view), bytes.len());
        }
        Some(note)
    }

    /// Remembers what was answered, for duplicates to come.
    pub(crate) fn answer(&mut self, note: Note, reply: &[u8]) {
        let Ok(len) = u16::try_from(reply.len()) else {
            return;
        };
        // An answer that there is no room for is not kept: its duplicates meet silence, but run nothing twice. The room
        // may have been that of the message itself.
        let Some(expires) = self.logs.view(note).map(View::expires) else {
            return;
        };
        if !self.make_room(note.kind, usize::from(ANSWER_HEAD) + reply.len()) {
            return;
        }
        if note.kind == Kind::Strict {
            self.charge_answer(note, reply.len());
        }
        let log = self.logs.of_mut(note.kind);
        let [low, high] = len.to_le_bytes();
        let start = log.append(&[&[0, low, high], reply], expires);
        if let Some((start, message)) = start.zip(log.get_mut(note.spot)) {
            let spot = Spot {
                offset: start.offset + ANSWER_HEAD,
                ..start
            };
            set_answer(message, Answer { spot, len });
        }
    }

    /// An answer takes the place of the one before in its peer's share.
    fn charge_answer(&mut self, note: Note, len: usize) {
        if let Some(message) = self.logs.view(note) {
            let (peer, proved) = (self.hash(message.peer()), is_proved(message));
            self.shares.give_back(peer, proved, answer_len(message));
            self.shares.take(peer, proved, usize::from(ANSWER_HEAD) + len);
        }
    }

    /// The message noted last led to nothing: it may be forgotten early, whatever it was. What it is known by from now
    /// on.
    pub(crate) fn relax(&mut self, note: Note) -> Option<Note> {
        let record = self.logs.view(note).and_then(|view| Record::copy_of(view.0))?;
        let view = record.view();
        if note.kind != Kind::Strict || !self.logs.strict.retract(note.spot, view.len()) {
            return Some(note);
        }
        let (hash, peer) = (self.hash(view.identity()), self.hash(view.peer()));
        self.unlist(hash, Place::of(note));
        self.shares.give_back(peer, is_proved(view), view.len());
        self.insert(Kind::Lenient, hash, &record)
    }

    /// Makes room for `len` bytes at the end of a log, by forgetting what may be forgotten; `false` when that is not
    /// enough.
    fn make_room(&mut self, kind: Kind, len: usize) -> bool {
        self.logs.of(kind).fits(len) || self.extend(kind, len)
    }

    /// Adds a segment for at least `len` bytes to a log.
    #[cold]
    fn extend(&mut self, kind: Kind, len: usize) -> bool {
        let size = self.segment.max(len);
        let passing = (self.budget / limits::SEEN_SHARE_OF_TRANSFERS / self.segment).max(2);
        if kind == Kind::Passing && self.logs.passing.segments() >= passing {
            self.forget_segment(Kind::Passing);
        }
        while self.spare.as_ref().is_none_or(|spare| spare.capacity() < size) {
            self.drop_spare();
            if self.bytes() + size <= self.budget {
                self.segment_bytes += size;
                self.spare = Some(Vec::with_capacity(size));
            } else if !self.forget_segment(Kind::Lenient) {
                return false;
            }
        }
        if let Some(buffer) = self.spare.take() {
            self.logs.of_mut(kind).extend(buffer);
        }
        true
    }

    /// The same for one more message in the index.
    fn make_room_in_index(&mut self, hash: u64) -> bool {
        self.index.growth(hash) == 0 || self.grow_index(hash)
    }

    #[cold]
    fn grow_index(&mut self, hash: u64) -> bool {
        while self.bytes() + self.index.growth(hash) > self.budget {
            if !self.forget_segment(Kind::Lenient) {
                return false;
            }
            self.drop_spare();
        }
        true
    }

    fn drop_spare(&mut self) {
        if let Some(spare) = self.spare.take() {
            self.segment_bytes -= spare.capacity();
        }
    }

    /// Forgets the oldest segment of a log; `false` when there is none.
    fn forget_segment(&mut self, kind: Kind) -> bool {
        self.unlist_segment(kind);
        let Some(mut bytes) = self.logs.of_mut(kind).pop() else {
            return false;
        };
        self.drop_spare();
        bytes.clear();
        self.spare = Some(bytes);
        self.shrink();
        true
    }

    /// Takes the messages of the oldest segment of a log out of the index and out of their peers' shares.
    fn unlist_segment(&mut self, kind: Kind) {
        let Some((segment, bytes)) = self.logs.of(kind).front() else {
            return;
        };
        let (logs, hasher) = (&self.logs, &self.hasher);
        let mut offset = 0;
        while let Some(view) = bytes.get(offset..).map(View).filter(|view| view.len() > 0) {
            if !view.is_answer() {
                let spot = Spot {
                    segment,
                    offset: u16::try_from(offset).unwrap_or(0),
                };
                let (hash, place) = (hash_of(hasher, view.identity()), Place::of(Note { kind, spot }));
                self.index
                    .remove(hash, place, |place| hash_of(hasher, logs.identity(*place)));
            }
            if kind == Kind::Strict && !view.is_answer() {
                let peer = hash_of(hasher, view.peer());
                self.shares
                    .give_back(peer, is_proved(view), view.len() + answer_len(view));
            }
            offset += view.len();
        }
    }

    /// Gives everything back when nothing is remembered.
    fn shrink(&mut self) {
        if self.logs.is_empty() {
            self.drop_spare();
            self.index.give_all_back();
        }
    }

    fn unlist(&mut self, hash: u64, place: Place) {
        let (logs, hasher) = (&self.logs, &self.hasher);
        self.index
            .remove(hash, place, |place| hash_of(hasher, logs.identity(*place)));
    }

    /// Forgets what is older than its lifetime, a segment of each log at most.
    pub(crate) fn forget(&mut self, now: Instant) {
        for kind in Kind::ALL {
            if self.logs.of(kind).until().is_some_and(|until| until <= now) {
                self.forget_segment(kind);
            }
        }
    }

    /// When there will be something to forget.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let logs = Kind::ALL.into_iter().map(|kind| self.logs.of(kind).until());
        logs.flatten().min()
    }
}

fn hash_of(hasher: &foldhash::fast::FixedState, bytes: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(bytes);
    state.finish()
}

fn is_proved(message: View<'_>) -> bool {
    message.flags() & UNPROVED == 0
}

/// The bytes of the record of a message's answer.
fn answer_len(message: View<'_>) -> usize {
    match usize::from(message.answer().len) {
        0 => 0,
        len => usize::from(ANSWER_HEAD) + len,
    }
}

#[cfg(test)]
mod tests;
