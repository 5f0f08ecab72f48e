//! Options that own their bytes.

use core::fmt;
use core::hash::{Hash, Hasher};

use crate::number::OptionNumber;
use crate::options::{OptionRef, OptionTooLong, Options, OptionsIter, option_header};
use crate::short_bytes::ShortBytes;
use crate::uint::encode_uint;

/// An owned sequence of options, always encoded and always sorted; equal numbers keep their order.
///
/// Options may come in any order. Adding one at the end, the usual case, copies nothing else. Up to 38 encoded bytes
/// lie within the value itself and allocate nothing: the options of most requests and responses.
///
/// ```
/// use coracle_wire::{OptionNumber, OptionsBuf};
///
/// let mut options = OptionsBuf::new();
/// options.push_uint(OptionNumber::ACCEPT, 50);
/// options.push_str(OptionNumber::URI_PATH, "temp")?;
/// assert_eq!(options.as_options().as_bytes(), b"\xb4temp\x61\x32");
/// # Ok::<(), coracle_wire::OptionTooLong>(())
/// ```
#[derive(Clone, Default)]
pub struct OptionsBuf {
    bytes: ShortBytes,
    /// The number of the last option, 0 if there is none; `None` if nobody has looked, as most lists are only read.
    last: Option<u16>,
}

impl OptionsBuf {
    /// No options; allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: ShortBytes::new(),
            last: Some(0),
        }
    }

    /// The options as everything else reads them.
    #[inline]
    #[must_use]
    pub fn as_options(&self) -> Options<'_> {
        Options::from_checked(self.bytes.as_slice())
    }

    /// Adds an option after others of the same number.
    ///
    /// # Errors
    /// If the value has more than [`MAX_OPTION_LEN`](crate::MAX_OPTION_LEN) bytes; nothing is added then.
    pub fn insert(&mut self, number: OptionNumber, value: &[u8]) -> Result<(), OptionTooLong> {
        let too_long = OptionTooLong { len: value.len() };
        match number.0.checked_sub(self.last()) {
            Some(delta) => {
                let header = option_header(delta, value.len()).ok_or(too_long)?;
                self.bytes.extend(header.as_slice());
                self.bytes.extend(value);
                self.last = Some(number.0);
                Ok(())
            }
            None => self.insert_within(number, value).ok_or(too_long),
        }
    }

    /// Adds a number in its shortest encoding (RFC 7252 §3.2).
    #[inline]
    pub fn push_uint(&mut self, number: OptionNumber, value: u64) {
        // A number has at most 8 bytes, so that it is never too long.
        let _ = self.insert(number, &encode_uint(value));
    }

    /// Adds text.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn push_str(&mut self, number: OptionNumber, value: &str) -> Result<(), OptionTooLong> {
        self.insert(number, value.as_bytes())
    }

    /// Replaces all options of a number by one.
    ///
    /// # Errors
    /// As [`insert`](Self::insert); the options stay as they were then.
    pub fn set(&mut self, number: OptionNumber, value: &[u8]) -> Result<(), OptionTooLong> {
        if option_header(0, value.len()).is_none() {
            return Err(OptionTooLong { len: value.len() });
        }
        self.remove(number);
        self.insert(number, value)
    }

    /// Replaces all options of a number by one that holds a number.
    #[inline]
    pub fn set_uint(&mut self, number: OptionNumber, value: u64) {
        self.remove(number);
        self.push_uint(number, value);
    }

    /// Removes all options of a number.
    #[inline]
    pub fn remove(&mut self, number: OptionNumber) {
        if number.0 <= self.last() {
            self.retain(|option| option.number != number);
        }
    }

    /// Keeps the options for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&OptionRef<'_>) -> bool) {
        if self.as_options().iter().all(|option| keep(&option)) {
            return;
        }
        let mut kept = Self::new();
        for option in self.as_options().iter().filter(|option| keep(option)) {
            // The value was encoded before, so that it is not too long.
            let _ = kept.insert(option.number, option.value);
        }
        *self = kept;
    }

    /// Removes all options and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.last = Some(0);
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.as_slice().is_empty()
    }

    /// See [`Options::iter`].
    #[must_use]
    pub fn iter(&self) -> OptionsIter<'_> {
        self.as_options().iter()
    }

    /// See [`Options::get`].
    #[must_use]
    pub fn get(&self, number: OptionNumber) -> Option<&[u8]> {
        self.as_options().get(number)
    }

    /// See [`Options::get_uint`].
    #[must_use]
    pub fn get_uint(&self, number: OptionNumber) -> Option<u64> {
        self.as_options().get_uint(number)
    }

    /// See [`Options::get_str`].
    #[must_use]
    pub fn get_str(&self, number: OptionNumber) -> Option<&str> {
        self.as_options().get_str(number)
    }

    /// See [`Options::contains`].
    #[must_use]
    pub fn contains(&self, number: OptionNumber) -> bool {
        self.as_options().contains(number)
    }

    #[inline]
    fn last(&self) -> u16 {
        self.last.unwrap_or_else(|| self.look_for_last())
    }

    fn look_for_last(&self) -> u16 {
        self.iter().last().map_or(0, |option| option.number.0)
    }

    /// Inserts before the first option with a higher number, and writes that one's header anew, because its
    /// delta shrinks. Nothing if the value is too long.
    fn insert_within(&mut self, number: OptionNumber, value: &[u8]) -> Option<()> {
        let mut iter = self.iter();
        let mut previous = 0;
        let (tail, next) = loop {
            let tail = iter.rest();
            let next = iter.next()?;
            if next.number > number {
                break (tail, next);
            }
            previous = next.number.0;
        };
        let bytes = self.bytes.as_slice();
        let before = bytes.get(..bytes.len() - tail.len())?;
        let after = iter.rest();
        let header = option_header(number.0.checked_sub(previous)?, value.len())?;
        let next_header = option_header(next.number.0.checked_sub(number.0)?, next.value.len())?;
        let mut bytes = ShortBytes::from(before);
        for part in [
            header.as_slice(),
            value,
            next_header.as_slice(),
            next.value,
            after,
        ] {
            bytes.extend(part);
        }
        self.bytes = bytes;
        Some(())
    }
}

/// An encoding is unique, so that equal bytes are equal options, wherever they lie.
impl PartialEq for OptionsBuf {
    fn eq(&self, other: &Self) -> bool {
        self.as_options() == other.as_options()
    }
}

impl Eq for OptionsBuf {}

impl Hash for OptionsBuf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_options().hash(state);
    }
}

impl From<Options<'_>> for OptionsBuf {
    fn from(options: Options<'_>) -> Self {
        Self {
            bytes: options.as_bytes().into(),
            last: None,
        }
    }
}

impl<'a> From<&'a OptionsBuf> for Options<'a> {
    fn from(options: &'a OptionsBuf) -> Self {
        options.as_options()
    }
}

impl<'a> IntoIterator for &'a OptionsBuf {
    type Item = OptionRef<'a>;
    type IntoIter = OptionsIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for OptionsBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_options().fmt(f)
    }
}
