//! A large body whose every block can be told from the others: its number, and then always the same.

/// Bytes of a block.
pub(crate) const BLOCK: usize = 1024;

pub(crate) const ETAG: &[u8] = b"body";

const FILLING: u8 = b'.';

/// The block of this number.
pub(crate) fn block(number: u32) -> [u8; BLOCK] {
    let mut block = [FILLING; BLOCK];
    if let Some((place, _)) = block.split_first_chunk_mut() {
        *place = number.to_be_bytes();
    }
    block
}

/// What follows an offset, to the end of the block that it lies in.
pub(crate) fn rest_of_block(offset: u64) -> Vec<u8> {
    let number = u32::try_from(offset / BLOCK as u64).unwrap_or(u32::MAX);
    let within = usize::try_from(offset % BLOCK as u64).unwrap_or_default();
    block(number).get(within..).unwrap_or_default().to_vec()
}

/// Takes a body in parts and compares it.
#[derive(Default)]
pub(crate) struct Expected {
    bytes: u64,
}

impl Expected {
    /// Whether the next part is as it should be.
    pub(crate) fn take(&mut self, mut part: &[u8]) -> bool {
        while !part.is_empty() {
            let expected = rest_of_block(self.bytes);
            let len = part.len().min(expected.len());
            let (now, rest) = part.split_at(len);
            if expected.get(..len) != Some(now) {
                return false;
            }
            self.bytes += len as u64;
            part = rest;
        }
        true
    }

    /// How many blocks came, if they were whole.
    pub(crate) fn blocks(&self) -> Option<u32> {
        let whole = self.bytes.is_multiple_of(BLOCK as u64);
        whole.then(|| u32::try_from(self.bytes / BLOCK as u64).ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_recognised_in_any_parts() {
        let body = [block(0), block(1), block(2)].concat();
        for size in [16, 100, 1024, 3000] {
            let mut expected = Expected::default();
            assert!(body.chunks(size).all(|part| expected.take(part)));
            assert_eq!(expected.blocks(), Some(3));
        }
        let mut expected = Expected::default();
        assert!(expected.take(&block(0)));
        assert!(!expected.take(&block(0)));
        assert!(expected.take(&[]));
        assert!(expected.take(&block(1)[..7]));
        assert_eq!(expected.blocks(), None);
    }
}
