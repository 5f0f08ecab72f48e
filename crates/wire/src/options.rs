//! Encoded options (RFC 7252 §3.1): a checked view that iterates without failing.

use core::fmt;
use core::iter::FusedIterator;

use crate::block::{BlockError, BlockOption};
use crate::code::Code;
use crate::content_format::ContentFormat;
use crate::cursor::{Extension, Reader, Scratch, extend_nibble};
use crate::number::{OptionDefinition, OptionFormat, OptionNumber};
use crate::uint::decode_uint;

/// The longest value that the option format can express, in bytes (RFC 7252 §3.1).
pub const MAX_OPTION_LEN: usize = 65535 + 269;

/// The payload marker (RFC 7252 §3.1).
pub(crate) const PAYLOAD_MARKER: u8 = 0xff;

/// The value of a 4-bit field that is reserved (RFC 7252 §3.1).
const RESERVED_NIBBLE: u8 = 15;

/// Max-Age of a response that does not say it, in seconds (RFC 7252 §5.10.5).
const DEFAULT_MAX_AGE: u32 = 60;

/// A checked sequence of encoded options, sorted by number.
///
/// The bytes were checked once, by [`Options::parse`] or [`Message::parse`](crate::Message::parse); reading
/// them cannot fail any more. An encoding is unique, so that equal bytes are equal options.
///
/// ```
/// use coracle_wire::{OptionNumber, Options};
///
/// let options = Options::parse(b"\xb4temp\x11\x32")?;
/// assert_eq!(options.get_str(OptionNumber::URI_PATH), Some("temp"));
/// assert_eq!(options.iter().count(), 2);
/// # Ok::<(), coracle_wire::OptionsError>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Options<'a> {
    bytes: &'a [u8],
}

impl<'a> Options<'a> {
    /// No options.
    #[must_use]
    pub const fn empty() -> Self {
        Self { bytes: &[] }
    }

    /// Checks a sequence of encoded options: no reserved nibble, no number above 65535, nothing cut off, and
    /// no payload marker.
    ///
    /// # Errors
    /// See [`OptionsErrorKind`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, OptionsError> {
        let (options, rest) = Self::split(bytes)?;
        if rest.is_empty() {
            return Ok(options);
        }
        let kind = OptionsErrorKind::OptionDelta15;
        Err(OptionsError {
            kind,
            offset: options.bytes.len(),
            ordinal: options.iter().count() + 1,
        })
    }

    /// Checks options up to the payload marker or the end; the second part begins with the marker.
    #[inline]
    pub(crate) fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), OptionsError> {
        let mut reader = Reader::new(bytes);
        let mut number: u16 = 0;
        let mut ordinal = 0;
        loop {
            let rest = reader.rest();
            ordinal += 1;
            let offset = bytes.len() - rest.len();
            match rest.first() {
                None | Some(&PAYLOAD_MARKER) => {
                    let (options, rest) = bytes.split_at_checked(offset).unwrap_or_default();
                    return Ok((Self { bytes: options }, rest));
                }
                Some(_) => match read_option(&mut reader, number) {
                    Ok(option) => number = option.number.0,
                    Err(kind) => {
                        return Err(OptionsError {
                            kind,
                            offset,
                            ordinal,
                        });
                    }
                },
            }
        }
    }

    /// The owned list vouches for bytes that it wrote itself.
    #[cfg(feature = "alloc")]
    pub(crate) const fn from_checked(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The encoding.
    #[inline]
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there are none.
    #[inline]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// The options in the order of their numbers.
    #[inline]
    #[must_use]
    pub const fn iter(self) -> OptionsIter<'a> {
        OptionsIter {
            reader: Reader::new(self.bytes),
            number: 0,
        }
    }

    /// The value of the first option of a number.
    #[inline]
    #[must_use]
    pub fn get(self, number: OptionNumber) -> Option<&'a [u8]> {
        self.get_all(number).next()
    }

    /// The values of all options of a number, in their order.
    #[inline]
    pub fn get_all(self, number: OptionNumber) -> impl Iterator<Item = &'a [u8]> + Clone {
        Values {
            options: self.iter(),
            number,
        }
    }

    /// The first option of a number as a number; `None` if it is absent or has more than 8 significant bytes.
    #[must_use]
    pub fn get_uint(self, number: OptionNumber) -> Option<u64> {
        decode_uint(self.get(number)?)
    }

    /// The first option of a number as text; `None` if it is absent or not UTF-8.
    #[must_use]
    pub fn get_str(self, number: OptionNumber) -> Option<&'a str> {
        core::str::from_utf8(self.get(number)?).ok()
    }

    /// Whether there is an option of this number.
    #[must_use]
    pub fn contains(self, number: OptionNumber) -> bool {
        self.get(number).is_some()
    }

    /// The segments of the path: the values of Uri-Path (RFC 7252 §5.10.1).
    pub fn path(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.get_all(OptionNumber::URI_PATH)
    }

    /// The arguments of the query: the values of Uri-Query (RFC 7252 §5.10.1).
    pub fn queries(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.get_all(OptionNumber::URI_QUERY)
    }

    /// The values of ETag (RFC 7252 §5.10.6).
    pub fn etags(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.get_all(OptionNumber::ETAG)
    }

    /// Content-Format (RFC 7252 §5.10.3); `None` if absent or longer than 2 bytes.
    #[must_use]
    pub fn content_format(self) -> Option<ContentFormat> {
        self.registered_uint(OptionNumber::CONTENT_FORMAT)
            .and_then(|number| u16::try_from(number).ok())
            .map(ContentFormat)
    }

    /// Accept (RFC 7252 §5.10.4); `None` if absent or longer than 2 bytes.
    #[must_use]
    pub fn accept(self) -> Option<ContentFormat> {
        self.registered_uint(OptionNumber::ACCEPT)
            .and_then(|number| u16::try_from(number).ok())
            .map(ContentFormat)
    }

    /// Max-Age in seconds; 60 if absent or longer than 4 bytes (RFC 7252 §5.10.5).
    #[must_use]
    pub fn max_age(self) -> u32 {
        self.registered_uint(OptionNumber::MAX_AGE)
            .and_then(|seconds| u32::try_from(seconds).ok())
            .unwrap_or(DEFAULT_MAX_AGE)
    }

    /// Observe: register, deregister or a 24-bit sequence number (RFC 7641 §2); `None` if absent or longer
    /// than 3 bytes.
    #[must_use]
    pub fn observe(self) -> Option<u32> {
        self.registered_uint(OptionNumber::OBSERVE)
            .and_then(|value| u32::try_from(value).ok())
    }

    /// Block1 (RFC 7959 §2.1).
    #[must_use]
    pub fn block1(self) -> Option<Result<BlockOption, BlockError>> {
        self.get(OptionNumber::BLOCK1).map(BlockOption::decode)
    }

    /// Block2 (RFC 7959 §2.1).
    #[must_use]
    pub fn block2(self) -> Option<Result<BlockOption, BlockError>> {
        self.get(OptionNumber::BLOCK2).map(BlockOption::decode)
    }

    /// A number whose option has a permitted length; others are treated as unrecognized (RFC 7252 §5.4.3).
    fn registered_uint(self, number: OptionNumber) -> Option<u64> {
        let value = self.get(number)?;
        number.definition()?.read_uint(value)
    }
}

impl<'a> IntoIterator for Options<'a> {
    type Item = OptionRef<'a>;
    type IntoIter = OptionsIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(DebugAsDisplay)).finish()
    }
}

struct DebugAsDisplay<'a>(OptionRef<'a>);

impl fmt::Debug for DebugAsDisplay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// One option of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionRef<'a> {
    /// Which option.
    pub number: OptionNumber,
    /// Its value, 0 to [`MAX_OPTION_LEN`] bytes, in whatever format.
    pub value: &'a [u8],
}

impl<'a> OptionRef<'a> {
    /// Shows the option as one of a message with this code: signaling messages have options of their own
    /// (RFC 8323 §5.2).
    pub fn of(self, code: Code) -> impl fmt::Display + 'a {
        OptionOf { option: self, code }
    }
}

impl fmt::Display for OptionRef<'_> {
    /// Name and value by the registered format: `Uri-Path: "temp"`, `Block2: 3/1/64`,
    /// `Content-Format: 50 (application/json)`. What is opaque, unregistered or malformed: `ETag: 0x0a1b`.
    ///
    /// It is taken for an option of a request or a response; see [`OptionRef::of`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as(self.number.definition(), f)
    }
}

/// An option of a message with this code.
struct OptionOf<'a> {
    option: OptionRef<'a>,
    code: Code,
}

impl fmt::Display for OptionOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let definition = self.option.number.definition_in(self.code);
        self.option.fmt_as(definition, f)
    }
}

impl OptionRef<'_> {
    fn fmt_as(&self, definition: Option<&OptionDefinition>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match definition {
            Some(definition) => f.write_str(definition.name)?,
            None => write!(f, "Option {}", self.number.0)?,
        }
        match definition.filter(|definition| definition.check(self.value).is_ok()) {
            Some(definition) => self.fmt_value(definition.format, f),
            None => self.fmt_hex(f),
        }
    }

    /// The value has a permitted length, and is UTF-8 if it is a string.
    fn fmt_value(&self, format: OptionFormat, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (format, core::str::from_utf8(self.value), decode_uint(self.value)) {
            (OptionFormat::Empty, ..) => Ok(()),
            (OptionFormat::String, Ok(text), _) => write!(f, ": {text:?}"),
            (OptionFormat::Uint, _, Some(value)) => self.fmt_uint(value, f),
            _ => self.fmt_hex(f),
        }
    }

    fn fmt_uint(&self, value: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            OptionNumber::CONTENT_FORMAT | OptionNumber::ACCEPT => match u16::try_from(value) {
                Ok(number) => write!(f, ": {}", ContentFormat(number)),
                Err(_) => write!(f, ": {value}"),
            },
            OptionNumber::BLOCK1 | OptionNumber::BLOCK2 | OptionNumber::Q_BLOCK1 | OptionNumber::Q_BLOCK2 => {
                match BlockOption::decode(self.value) {
                    Ok(block) => write!(f, ": {block}"),
                    Err(_) => self.fmt_hex(f),
                }
            }
            _ => write!(f, ": {value}"),
        }
    }

    fn fmt_hex(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(": 0x")?;
        self.value.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The options of a message in the order of their numbers; made by [`Options::iter`].
#[derive(Clone)]
pub struct OptionsIter<'a> {
    reader: Reader<'a>,
    number: u16,
}

impl<'a> OptionsIter<'a> {
    /// The encoding of the options that are still to come; the first of them counts from the number of
    /// the last option that was returned.
    #[cfg(feature = "alloc")]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.reader.rest()
    }
}

impl<'a> Iterator for OptionsIter<'a> {
    type Item = OptionRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<OptionRef<'a>> {
        let option = read_option(&mut self.reader, self.number).ok()?;
        self.number = option.number.0;
        Some(option)
    }
}

impl FusedIterator for OptionsIter<'_> {}

impl fmt::Debug for OptionsIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// The values of the options of one number.
#[derive(Clone)]
struct Values<'a> {
    options: OptionsIter<'a>,
    number: OptionNumber,
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        // They are sorted: behind an option with a higher number there is none of this one.
        let option = self.options.find(|option| option.number >= self.number)?;
        (option.number == self.number).then_some(option.value)
    }
}

/// Reads one option; `previous` is the number of the one before it (RFC 7252 §3.1).
#[inline]
fn read_option<'a>(reader: &mut Reader<'a>, previous: u16) -> Result<OptionRef<'a>, OptionsErrorKind> {
    use OptionsErrorKind::{OptionDelta15, OptionLength15, OptionNumberOverflow, TruncatedOption};

    let head = reader.byte().ok_or(TruncatedOption)?;
    let (delta, len) = (head >> 4, head & 0x0f);
    if delta == RESERVED_NIBBLE {
        return Err(OptionDelta15);
    }
    if len == RESERVED_NIBBLE {
        return Err(OptionLength15);
    }
    let delta = reader.extended(delta).ok_or(TruncatedOption)?;
    let number = u16::try_from(u32::from(previous) + delta).map_err(|_| OptionNumberOverflow)?;
    let len = reader.extended(len).ok_or(TruncatedOption)?;
    let value = usize::try_from(len)
        .ok()
        .and_then(|len| reader.take(len))
        .ok_or(TruncatedOption)?;
    Ok(OptionRef {
        number: OptionNumber(number),
        value,
    })
}

/// The bytes before an option's value; nothing if the value is longer than [`MAX_OPTION_LEN`].
#[inline]
pub(crate) fn option_header(delta: u16, len: usize) -> Option<Scratch> {
    if let (Ok(delta @ 0..=12), Ok(len @ 0..=12)) = (u8::try_from(delta), u8::try_from(len)) {
        return Some(Scratch::of(delta << 4 | len));
    }
    let (len_nibble, len_extension) = extend_nibble(len)?;
    let (delta_nibble, delta_extension): (u8, Extension) = extend_nibble(usize::from(delta))?;
    let mut header = Scratch::default();
    header.push(delta_nibble << 4 | len_nibble);
    header.extend(delta_extension);
    header.extend(len_extension);
    Some(header)
}

/// Why bytes are not a sequence of options, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionsError {
    /// What is wrong.
    pub kind: OptionsErrorKind,
    /// Where the option begins that is wrong, in bytes.
    pub offset: usize,
    /// Which option it is, counted from 1.
    pub ordinal: usize,
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "option {} (at byte {}): {}",
            self.ordinal, self.offset, self.kind
        )
    }
}

impl core::error::Error for OptionsError {}

/// What can be wrong with an option's encoding (RFC 7252 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OptionsErrorKind {
    /// The bytes end within the option.
    TruncatedOption,
    /// The delta is the reserved value 15, and the byte is not a payload marker (or one is out of place).
    OptionDelta15,
    /// The length is the reserved value 15.
    OptionLength15,
    /// The deltas add up to more than 65535.
    OptionNumberOverflow,
}

impl fmt::Display for OptionsErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TruncatedOption => "the bytes end within it (RFC 7252 §3.1)",
            Self::OptionDelta15 => "delta nibble 15 is reserved (RFC 7252 §3.1)",
            Self::OptionLength15 => "length nibble 15 is reserved (RFC 7252 §3.1)",
            Self::OptionNumberOverflow => "its number is above 65535 (RFC 7252 §3.1)",
        })
    }
}

/// A value has more than [`MAX_OPTION_LEN`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionTooLong {
    /// Its length in bytes.
    pub len: usize,
}

impl fmt::Display for OptionTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "an option value of {} bytes; at most {MAX_OPTION_LEN} can be encoded (RFC 7252 §3.1)",
            self.len
        )
    }
}

impl core::error::Error for OptionTooLong {}
