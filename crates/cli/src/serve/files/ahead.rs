//! Parts of files that were read with the block that was asked for: the next blocks of a transfer come from here without
//! a way to the disk, as long as they are asked for soon.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use coracle::prelude::{Bytes, ContentFormat};

use super::folder::{Part, Print};
use super::name::Name;
use crate::serve::window::{Asked, LARGEST_BLOCK};

/// How much of a file is read at once, in bytes: a few blocks, so that several hundred transfers take little memory.
pub(super) const AHEAD: u64 = 8 * LARGEST_BLOCK;

/// How long what was read is good: for the blocks that follow at once. After that the file is looked at again.
const GOOD_FOR: Duration = Duration::from_millis(100);

/// How many parts are kept.
const MAX_PARTS: usize = 512;

/// What was read last.
#[derive(Debug, Default)]
pub(super) struct Ahead(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    files: HashMap<Name, Read>,
    parts: usize,
}

/// The parts of one state of a file.
#[derive(Debug)]
struct Read {
    print: Print,
    total: u64,
    format: ContentFormat,
    /// By where they begin.
    parts: HashMap<u64, (Bytes, Instant)>,
}

impl Ahead {
    /// The block that is asked for, if it was read a moment ago.
    pub(super) fn get(&self, name: &Name, asked: Asked) -> Option<Part> {
        if asked.part > LARGEST_BLOCK {
            return None;
        }
        let kept = self.lock();
        let read = kept.files.get(name)?;
        let start = begin(asked.offset);
        let (bytes, at) = read.parts.get(&start)?;
        if at.elapsed() >= GOOD_FOR || asked.offset >= read.total {
            return None;
        }
        Some(Part {
            payload: block(bytes, start, asked),
            offset: asked.offset,
            total: read.total,
            format: read.format,
            print: read.print,
        })
    }

    /// Keeps what was read, from its beginning on, and gives the part that was asked for. What is kept of another state
    /// of the file is dropped: blocks of two states are never mixed.
    pub(super) fn keep(&self, name: &Name, asked: Asked, read: Part) -> Part {
        if asked.part > AHEAD {
            return read;
        }
        let start = begin(asked.offset);
        let part = Part {
            payload: block(&read.payload, start, asked),
            offset: asked.offset,
            ..read
        };
        let mut kept = self.lock();
        if kept
            .files
            .get(name)
            .is_some_and(|known| known.print != read.print)
        {
            kept.forget(name);
        }
        if read.payload.len() as u64 <= LARGEST_BLOCK {
            // No block follows it here.
            return part;
        }
        if kept.parts >= MAX_PARTS {
            kept.forget_old();
        }
        if kept.parts < MAX_PARTS {
            let file = kept.files.entry(name.clone()).or_insert_with(|| Read {
                print: read.print,
                total: read.total,
                format: read.format,
                parts: HashMap::new(),
            });
            let new = file.parts.insert(start, (read.payload, Instant::now())).is_none();
            kept.parts += usize::from(new);
        }
        part
    }

    /// The file is another one now.
    pub(super) fn forget(&self, name: &Name) {
        self.lock().forget(name);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn forget(&mut self, name: &Name) {
        if let Some(read) = self.files.remove(name) {
            self.parts -= read.parts.len();
        }
    }

    fn forget_old(&mut self) {
        for read in self.files.values_mut() {
            read.parts.retain(|_, (_, at)| at.elapsed() < GOOD_FOR);
        }
        self.files.retain(|_, read| !read.parts.is_empty());
        self.parts = self.files.values().map(|read| read.parts.len()).sum();
    }
}

/// Where the part begins that holds a byte.
pub(super) fn begin(offset: u64) -> u64 {
    offset / AHEAD * AHEAD
}

/// What is asked for in a part that begins at `start`, as far as it is there.
fn block(part: &Bytes, start: u64, asked: Asked) -> Bytes {
    let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(part.len());
    let offset = asked.offset - start;
    part.slice(within(offset)..within(offset + asked.part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(offset: u64) -> Asked {
        Asked {
            offset,
            size: 1024,
            part: 1024,
        }
    }

    fn read(print: u64, offset: u64, total: u64) -> Part {
        let length = usize::try_from(AHEAD.min(total - begin(offset))).unwrap();
        Part {
            payload: vec![u8::try_from(print).unwrap(); length].into(),
            offset,
            total,
            format: ContentFormat::TEXT,
            print: Print(print),
        }
    }

    #[test]
    fn the_blocks_behind_the_one_that_was_asked_for_are_there() {
        let (ahead, name) = (Ahead::default(), Name::of(&["a".into()], false).unwrap());
        assert!(ahead.get(&name, asked(1024)).is_none());
        let part = ahead.keep(&name, asked(AHEAD + 1024), read(1, AHEAD + 1024, 2 * AHEAD - 5));
        assert_eq!((part.offset, part.payload.len()), (AHEAD + 1024, 1024));
        let last = ahead.get(&name, asked(2 * AHEAD - 1024)).unwrap();
        assert_eq!((last.payload.len(), last.total), (1019, 2 * AHEAD - 5));
        assert!(ahead.get(&name, asked(2 * AHEAD)).is_none());
        assert!(ahead.get(&name, asked(0)).is_none());
        ahead.forget(&name);
        assert!(ahead.get(&name, asked(AHEAD)).is_none());
        assert_eq!(ahead.lock().parts, 0);
    }

    #[test]
    fn blocks_of_two_states_are_not_mixed() {
        let (ahead, name) = (Ahead::default(), Name::of(&["a".into()], false).unwrap());
        ahead.keep(&name, asked(0), read(1, 0, 100_000));
        ahead.keep(&name, asked(AHEAD), read(1, AHEAD, 100_000));
        ahead.keep(&name, asked(0), read(2, 0, 100_000));
        assert_eq!(ahead.get(&name, asked(1024)).unwrap().print, Print(2));
        assert!(ahead.get(&name, asked(AHEAD)).is_none());
        // One that is too short to be kept is another state too.
        ahead.keep(&name, asked(0), read(3, 0, 5));
        assert!(ahead.get(&name, asked(1024)).is_none());
        assert_eq!(ahead.lock().parts, 0);
    }

    #[test]
    fn what_is_kept_has_an_end() {
        let ahead = Ahead::default();
        for number in 0..2 * MAX_PARTS {
            let name = Name::of(&[number.to_string()], false).unwrap();
            ahead.keep(&name, asked(0), read(1, 0, AHEAD));
        }
        let kept = ahead.lock();
        assert!(kept.parts <= MAX_PARTS && kept.files.len() <= MAX_PARTS);
    }
}
