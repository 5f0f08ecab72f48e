//! The two ways in which this crate touches buffers: a reader that cannot read past the end and a writer
//! that cannot write past it. Also the 4-bit field with extension that options and token lengths share.

#[cfg(feature = "alloc")]
use alloc::vec::Vec;

/// Reads a slice from its start to its end.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    #[inline]
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(head)
    }

    /// The value of a 4-bit field whose values 13 and 14 announce one and two more bytes (RFC 7252 §3.1,
    /// RFC 8974 §2.1). The caller has refused 15.
    #[inline]
    pub(crate) fn extended(&mut self, nibble: u8) -> Option<u32> {
        match nibble {
            13 => Some(13 + u32::from(self.byte()?)),
            14 => Some(269 + u32::from(u16::from_be_bytes(self.array()?))),
            short => Some(u32::from(short)),
        }
    }
}

/// Fills a slice from its start; refuses what does not fit and then stays refused.
pub(crate) struct Writer<'a> {
    rest: &'a mut [u8],
    written: usize,
    overflowed: bool,
}

impl<'a> Writer<'a> {
    #[inline]
    pub(crate) const fn new(buf: &'a mut [u8]) -> Self {
        Self {
            rest: buf,
            written: 0,
            overflowed: false,
        }
    }

    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        match core::mem::take(&mut self.rest).split_at_mut_checked(bytes.len()) {
            Some((head, rest)) if !self.overflowed => {
                head.copy_from_slice(bytes);
                self.rest = rest;
                self.written += bytes.len();
            }
            _ => self.overflowed = true,
        }
    }

    /// A few bytes whose number the compiler knows, so that they are stored and not copied.
    #[inline]
    pub(crate) fn put_array<const N: usize>(&mut self, bytes: [u8; N]) {
        match core::mem::take(&mut self.rest).split_first_chunk_mut::<N>() {
            Some((head, rest)) if !self.overflowed => {
                *head = bytes;
                self.rest = rest;
                self.written += N;
            }
            _ => self.overflowed = true,
        }
    }

    /// How many bytes were written, or nothing if something did not fit.
    #[inline]
    pub(crate) const fn finish(&self) -> Option<usize> {
        if self.overflowed { None } else { Some(self.written) }
    }
}

/// A few bytes that are built on the stack: an option's header, a message's header.
#[derive(Clone, Copy, Default)]
pub(crate) struct Scratch {
    bytes: [u8; 8],
    len: usize,
}

impl Scratch {
    /// One byte.
    #[inline]
    pub(crate) const fn of(byte: u8) -> Self {
        Self {
            bytes: [byte, 0, 0, 0, 0, 0, 0, 0],
            len: 1,
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        }
    }

    #[inline]
    pub(crate) fn extend(&mut self, extension: Extension) {
        match extension {
            Extension::None => {}
            Extension::One(byte) => self.push(byte),
            Extension::Two([high, low]) => {
                self.push(high);
                self.push(low);
            }
        }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Appends the bytes: all that there is room for, of which the rest is cut off again, because a number of bytes that
    /// the compiler knows is stored and not copied.
    #[cfg(feature = "alloc")]
    #[inline]
    pub(crate) fn append_to(&self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.extend_from_slice(&self.bytes);
        bytes.truncate(start + self.len);
    }
}

/// The bytes that follow a 4-bit field of 13 or 14.
#[derive(Clone, Copy)]
pub(crate) enum Extension {
    None,
    One(u8),
    Two([u8; 2]),
}

/// The 4-bit field and its extension for a value; nothing if the value exceeds 65804.
#[inline]
pub(crate) fn extend_nibble(value: usize) -> Option<(u8, Extension)> {
    if let Ok(nibble @ 0..=12) = u8::try_from(value) {
        return Some((nibble, Extension::None));
    }
    if let Ok(byte) = u8::try_from(value.checked_sub(13)?) {
        return Some((13, Extension::One(byte)));
    }
    let wide = u16::try_from(value.checked_sub(269)?).ok()?;
    Some((14, Extension::Two(wide.to_be_bytes())))
}

/// How many bytes extend the 4-bit field for a value; nothing if the value exceeds 65804.
#[inline]
pub(crate) const fn extension_len(value: usize) -> Option<usize> {
    match value {
        0..=12 => Some(0),
        13..=268 => Some(1),
        269..=65804 => Some(2),
        _ => None,
    }
}
