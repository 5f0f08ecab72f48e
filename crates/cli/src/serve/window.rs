//! Parts of bodies: only the block that is asked for is given to the engine (RFC 7959 §2.4).

use coracle::engine::Window;
use coracle::prelude::{Bytes, OptionsBuf, PartLen, Response};

/// The largest block (RFC 7959 §2.2), in bytes: a part of this length holds the block that is asked for, whatever
/// its size.
pub(super) const LARGEST_BLOCK: u64 = 1024;

/// The block of a body that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Where it begins in the body, in bytes.
    pub(super) offset: u64,
    /// Its size in bytes; with BERT that of the blocks that are counted.
    pub(super) size: u64,
    /// How many bytes from there on may go in one message: as many are to be at hand.
    pub(super) part: u64,
}

impl Asked {
    /// What Block2 asks for; without it, the beginning. The engine has refused malformed ones.
    pub(super) fn of(options: &OptionsBuf, PartLen(part): PartLen) -> Asked {
        let part = LARGEST_BLOCK.max(part as u64);
        match options.as_options().block2() {
            Some(Ok(block)) => Asked {
                offset: block.offset(),
                size: block.size() as u64,
                part: if block.is_bert() { part } else { LARGEST_BLOCK },
            },
            _ => Asked {
                offset: 0,
                size: LARGEST_BLOCK,
                part,
            },
        }
    }
}

/// Answers with the part of a body that is asked for. Nothing is copied, and nothing kept for the other parts.
pub(super) fn part(body: &Bytes, asked: Asked) -> Response {
    let total = body.len() as u64;
    let start = asked.offset.min(total);
    let end = total.min(start + asked.part);
    let within = |offset: u64| usize::try_from(offset).unwrap_or(body.len());
    Response::success(body.slice(within(start)..within(end))).with_window(Window { offset: start, total })
}

#[cfg(test)]
mod tests {
    use coracle::wire::{BlockOption, OptionNumber};

    use super::*;

    fn asked(num: u32, szx: u8) -> Asked {
        let mut options = OptionsBuf::new();
        let block = BlockOption::new(num, false, szx).unwrap();
        options.set(OptionNumber::BLOCK2, &block.encode()).unwrap();
        Asked::of(&options, PartLen(1024))
    }

    #[test]
    fn a_part_holds_the_block_that_is_asked_for() {
        let body = Bytes::from((0..5000_u32).map(|i| (i % 251) as u8).collect::<Vec<_>>());
        for (num, szx) in [(0, 6), (4, 6), (3, 2), (312, 0)] {
            let asked = asked(num, szx);
            let response = part(&body, asked);
            let window = response.window.unwrap();
            assert_eq!((window.offset, window.total), (asked.offset, 5000));
            let start = usize::try_from(asked.offset).unwrap();
            let end = (start + usize::try_from(asked.size).unwrap()).min(body.len());
            assert_eq!(response.payload[..end - start], body[start..end]);
        }
    }

    #[test]
    fn past_the_end_there_is_nothing() {
        let response = part(&Bytes::from_static(b"hello"), asked(1 << 19, 6));
        assert_eq!(response.window, Some(Window { offset: 5, total: 5 }));
        assert!(response.payload.is_empty());
        assert_eq!(
            Asked::of(&OptionsBuf::new(), PartLen(1024)),
            Asked {
                offset: 0,
                size: 1024,
                part: 1024
            }
        );
    }

    #[test]
    fn on_a_connection_a_part_holds_more_unless_a_block_of_a_size_is_asked_for() {
        let asked = |szx| {
            let mut options = OptionsBuf::new();
            let block = BlockOption::new(3, false, szx).unwrap();
            options.set(OptionNumber::BLOCK2, &block.encode()).unwrap();
            let asked = Asked::of(&options, PartLen(1 << 20));
            (asked.offset, asked.part)
        };
        assert_eq!(asked(7), (3072, 1 << 20));
        assert_eq!(asked(6), (3072, 1024));
        assert_eq!(Asked::of(&OptionsBuf::new(), PartLen(1 << 20)).part, 1 << 20);
    }
}
