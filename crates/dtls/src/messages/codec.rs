//! How this crate reads and writes handshake messages: a reader that cannot read past the end, and a writer of vectors with
//! their lengths in front (RFC 5246 §4.3).

use alloc::vec::Vec;

/// Reads a slice from its start to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What has not been read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(head)
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|&[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(|&bytes| u16::from_be_bytes(bytes))
    }

    pub(crate) fn u24(&mut self) -> Option<u32> {
        self.array()
            .map(|&[high, middle, low]| u32::from_be_bytes([0, high, middle, low]))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(|&bytes| u32::from_be_bytes(bytes))
    }

    /// A vector whose length stands in one byte.
    pub(crate) fn vec8(&mut self) -> Option<&'a [u8]> {
        let len = self.u8()?;
        self.take(usize::from(len))
    }

    /// A vector whose length stands in two bytes.
    pub(crate) fn vec16(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// A vector whose length stands in three bytes.
    pub(crate) fn vec24(&mut self) -> Option<&'a [u8]> {
        let len = self.u24()?;
        self.take(usize::try_from(len).ok()?)
    }

    /// Nothing must be left.
    pub(crate) const fn end(&self) -> Option<()> {
        if self.rest.is_empty() { Some(()) } else { None }
    }
}

/// Appends to a vector. What is written is ours and bounded by `Config`, so that every length fits its field.
pub(crate) struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    pub(crate) const fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    /// What `content` writes, with its length in `N` bytes before it.
    fn prefixed<const N: usize>(&mut self, content: impl FnOnce(&mut Writer<'_>)) {
        let at = self.out.len();
        self.put(&[0; N]);
        let start = self.out.len();
        content(self);
        let len = (self.out.len() - start).to_be_bytes();
        let (Some(field), Some(low)) = (self.out.get_mut(at..start), len.last_chunk::<N>()) else {
            return;
        };
        field.copy_from_slice(low);
    }

    pub(crate) fn prefixed8(&mut self, content: impl FnOnce(&mut Writer<'_>)) {
        self.prefixed::<1>(content);
    }

    pub(crate) fn prefixed16(&mut self, content: impl FnOnce(&mut Writer<'_>)) {
        self.prefixed::<2>(content);
    }

    pub(crate) fn prefixed24(&mut self, content: impl FnOnce(&mut Writer<'_>)) {
        self.prefixed::<3>(content);
    }

    pub(crate) fn vec8(&mut self, bytes: &[u8]) {
        self.prefixed8(|w| w.put(bytes));
    }

    pub(crate) fn vec16(&mut self, bytes: &[u8]) {
        self.prefixed16(|w| w.put(bytes));
    }

    pub(crate) fn vec24(&mut self, bytes: &[u8]) {
        self.prefixed24(|w| w.put(bytes));
    }
}

/// A list of 16-bit numbers as it stands on the wire: cipher suites, groups, signature schemes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Codes<'a>(&'a [u8]);

impl<'a> Codes<'a> {
    /// Lists of an odd number of bytes, and empty ones, are none.
    pub(crate) const fn new(bytes: &'a [u8]) -> Option<Self> {
        if bytes.is_empty() || !bytes.len().is_multiple_of(2) {
            return None;
        }
        Some(Self(bytes))
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = u16> + 'a {
        let (pairs, _) = self.0.as_chunks::<2>();
        pairs.iter().map(|&pair| u16::from_be_bytes(pair))
    }

    pub(crate) fn contains(self, code: u16) -> bool {
        self.iter().any(|c| c == code)
    }

    pub(crate) const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn vectors_carry_their_lengths() {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out);
        writer.vec8(&[1, 2]);
        writer.prefixed16(|w| w.vec24(&[3]));
        writer.u32(0x0102_0304);
        assert_eq!(out, [2, 1, 2, 0, 4, 0, 0, 1, 3, 1, 2, 3, 4]);
    }

    #[test]
    fn nothing_is_read_past_the_end() {
        let bytes = [3, 1, 2];
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.vec8(), None);
        assert_eq!(reader.rest(), [1, 2], "the length was there, its bytes were not");
        assert_eq!(reader.u24(), None);
        assert_eq!(reader.u16(), Some(0x0102));
        assert!(reader.is_empty());
        assert_eq!(reader.end(), Some(()));
        assert_eq!(reader.u8(), None);
    }

    #[test]
    fn codes_come_in_pairs() {
        assert_eq!(Codes::new(&[0xC0, 0xA8, 0x00]), None);
        assert_eq!(Codes::new(&[]), None);
        let codes = Codes::new(&[0xC0, 0xA8, 0x00, 0xFF]).unwrap();
        assert_eq!(codes.iter().collect::<Vec<_>>(), vec![0xC0A8, 0x00FF]);
        assert!(codes.contains(0xFF) && !codes.contains(0xA8));
    }
}
