//! Option numbers and what is registered about them (RFC 7252 §5.4, §12.2).

use core::fmt;
use core::str::FromStr;

use crate::uint::decode_uint;

/// The number of an option. Its properties are bits of the number itself (RFC 7252 §5.4.6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OptionNumber(pub u16);

impl OptionNumber {
    /// If-Match (RFC 7252).
    pub const IF_MATCH: OptionNumber = OptionNumber(1);
    /// Uri-Host (RFC 7252).
    pub const URI_HOST: OptionNumber = OptionNumber(3);
    /// ETag (RFC 7252).
    pub const ETAG: OptionNumber = OptionNumber(4);
    /// If-None-Match (RFC 7252).
    pub const IF_NONE_MATCH: OptionNumber = OptionNumber(5);
    /// Observe (RFC 7641).
    pub const OBSERVE: OptionNumber = OptionNumber(6);
    /// Uri-Port (RFC 7252).
    pub const URI_PORT: OptionNumber = OptionNumber(7);
    /// Location-Path (RFC 7252).
    pub const LOCATION_PATH: OptionNumber = OptionNumber(8);
    /// OSCORE (RFC 8613).
    pub const OSCORE: OptionNumber = OptionNumber(9);
    /// Uri-Path (RFC 7252).
    pub const URI_PATH: OptionNumber = OptionNumber(11);
    /// Content-Format (RFC 7252).
    pub const CONTENT_FORMAT: OptionNumber = OptionNumber(12);
    /// Max-Age (RFC 7252).
    pub const MAX_AGE: OptionNumber = OptionNumber(14);
    /// Uri-Query (RFC 7252).
    pub const URI_QUERY: OptionNumber = OptionNumber(15);
    /// Hop-Limit (RFC 8768).
    pub const HOP_LIMIT: OptionNumber = OptionNumber(16);
    /// Accept (RFC 7252).
    pub const ACCEPT: OptionNumber = OptionNumber(17);
    /// Q-Block1 (RFC 9177).
    pub const Q_BLOCK1: OptionNumber = OptionNumber(19);
    /// Location-Query (RFC 7252).
    pub const LOCATION_QUERY: OptionNumber = OptionNumber(20);
    /// EDHOC (RFC 9668).
    pub const EDHOC: OptionNumber = OptionNumber(21);
    /// Block2 (RFC 7959).
    pub const BLOCK2: OptionNumber = OptionNumber(23);
    /// Block1 (RFC 7959).
    pub const BLOCK1: OptionNumber = OptionNumber(27);
    /// Size2 (RFC 7959).
    pub const SIZE2: OptionNumber = OptionNumber(28);
    /// Q-Block2 (RFC 9177).
    pub const Q_BLOCK2: OptionNumber = OptionNumber(31);
    /// Proxy-Uri (RFC 7252).
    pub const PROXY_URI: OptionNumber = OptionNumber(35);
    /// Proxy-Scheme (RFC 7252).
    pub const PROXY_SCHEME: OptionNumber = OptionNumber(39);
    /// Size1 (RFC 7252).
    pub const SIZE1: OptionNumber = OptionNumber(60);
    /// Proxy-Cri (draft-ietf-core-href).
    pub const PROXY_CRI: OptionNumber = OptionNumber(235);
    /// Proxy-Scheme-Number (draft-ietf-core-href).
    pub const PROXY_SCHEME_NUMBER: OptionNumber = OptionNumber(239);
    /// Echo (RFC 9175).
    pub const ECHO: OptionNumber = OptionNumber(252);
    /// No-Response (RFC 7967).
    pub const NO_RESPONSE: OptionNumber = OptionNumber(258);
    /// Request-Tag (RFC 9175).
    pub const REQUEST_TAG: OptionNumber = OptionNumber(292);
    /// OCF-Accept-Content-Format-Version (OCF).
    pub const OCF_ACCEPT_CONTENT_FORMAT_VERSION: OptionNumber = OptionNumber(2049);
    /// OCF-Content-Format-Version (OCF).
    pub const OCF_CONTENT_FORMAT_VERSION: OptionNumber = OptionNumber(2053);
    /// SCP82-Params (GlobalPlatform GPC_SPE_207).
    pub const SCP82_PARAMS: OptionNumber = OptionNumber(2055);
    /// X-Admin-Protocol (GSMA SGP.32 v1.3).
    pub const X_ADMIN_PROTOCOL: OptionNumber = OptionNumber(2056);

    /// A message with a critical option that the receiver does not know is rejected (RFC 7252 §5.4.1).
    #[inline]
    #[must_use]
    pub const fn is_critical(self) -> bool {
        self.0 & 0x01 != 0
    }

    /// An elective option that the receiver does not know is ignored (RFC 7252 §5.4.1).
    #[inline]
    #[must_use]
    pub const fn is_elective(self) -> bool {
        !self.is_critical()
    }

    /// A proxy that does not know an unsafe option must not forward the message (RFC 7252 §5.4.2).
    #[inline]
    #[must_use]
    pub const fn is_unsafe(self) -> bool {
        self.0 & 0x02 != 0
    }

    /// Safe to forward, and not part of the cache key (RFC 7252 §5.4.2, §5.4.6).
    #[inline]
    #[must_use]
    pub const fn is_no_cache_key(self) -> bool {
        self.0 & 0x1e == 0x1c
    }

    /// Part of the cache key (RFC 7252 §5.4.2, §5.6).
    #[inline]
    #[must_use]
    pub const fn is_cache_key(self) -> bool {
        !self.is_no_cache_key()
    }

    /// What is registered about the option; `None` for unregistered numbers.
    #[inline]
    #[must_use]
    pub fn definition(self) -> Option<&'static OptionDefinition> {
        let index = match LOW_INDICES.get(usize::from(self.0)) {
            Some(index) => usize::from(*index),
            None => DEFINITIONS
                .binary_search_by_key(&self, |definition| definition.number)
                .ok()?,
        };
        DEFINITIONS.get(index)
    }

    /// The registered name, for instance `Uri-Path`.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.definition().map(|definition| definition.name)
    }

    /// The definitions of all registered options, in the order of their numbers.
    #[must_use]
    pub const fn registered() -> &'static [OptionDefinition] {
        &DEFINITIONS
    }
}

impl fmt::Display for OptionNumber {
    /// The name, or the number if it has none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => self.0.fmt(f),
        }
    }
}

impl fmt::Debug for OptionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "OptionNumber({} {name})", self.0),
            None => write!(f, "OptionNumber({})", self.0),
        }
    }
}

impl From<u16> for OptionNumber {
    fn from(number: u16) -> Self {
        OptionNumber(number)
    }
}

impl FromStr for OptionNumber {
    type Err = ParseOptionNumberError;

    /// Reads a registered name in any case (`uri-path`) or a number (`11`).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = |definition: &&OptionDefinition| definition.name.eq_ignore_ascii_case(text);
        match DEFINITIONS.iter().find(named) {
            Some(definition) => Ok(definition.number),
            None => text
                .parse()
                .map(OptionNumber)
                .map_err(|_| ParseOptionNumberError(())),
        }
    }
}

/// The text is neither a registered option's name nor a number up to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseOptionNumberError(());

impl fmt::Display for ParseOptionNumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("neither the name of a registered option nor a number from 0 to 65535")
    }
}

impl core::error::Error for ParseOptionNumberError {}

/// How an option's value is read (RFC 7252 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OptionFormat {
    /// No bytes; the option's presence is its meaning.
    Empty,
    /// Any bytes.
    Opaque,
    /// A number, see [`decode_uint`].
    Uint,
    /// Text in UTF-8.
    String,
}

/// What is registered about an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionDefinition {
    /// Its number.
    pub number: OptionNumber,
    /// Its name as registered.
    pub name: &'static str,
    /// How its value is read.
    pub format: OptionFormat,
    /// The shortest value in bytes.
    pub min: u16,
    /// The longest value in bytes.
    pub max: u16,
    /// Whether it may occur more than once. Some may so only in requests (ETag, Q-Block2).
    pub repeatable: bool,
    /// The value that its absence stands for, if that is a number.
    pub default: Option<u32>,
}

impl OptionDefinition {
    /// Checks a value against format and length.
    ///
    /// # Errors
    /// See [`OptionValueError`].
    #[inline]
    pub fn check(&self, value: &[u8]) -> Result<(), OptionValueError> {
        let len = value.len();
        if len < usize::from(self.min) || len > usize::from(self.max) {
            return Err(self.wrong_length(len));
        }
        if self.format == OptionFormat::String && !is_utf8(value) {
            return Err(OptionValueError::NotUtf8 { number: self.number });
        }
        Ok(())
    }

    #[cold]
    fn wrong_length(&self, len: usize) -> OptionValueError {
        OptionValueError::Length {
            number: self.number,
            len,
            min: self.min,
            max: self.max,
        }
    }

    /// Reads a value as a number if the option is one and the value has a permitted length.
    pub(crate) fn read_uint(&self, value: &[u8]) -> Option<u64> {
        let is_uint = self.format == OptionFormat::Uint && self.check(value).is_ok();
        if is_uint { decode_uint(value) } else { None }
    }
}

/// Nearly all text is short and ASCII, for which this takes a third of the time.
#[inline]
fn is_utf8(value: &[u8]) -> bool {
    value.is_ascii() || core::str::from_utf8(value).is_ok()
}

/// Checks an option's value against its registered format and length; unregistered options pass.
///
/// # Errors
/// A value that fails is to be treated like an option that the receiver does not recognize: ignored if
/// elective, rejected if critical (RFC 7252 §5.4.3).
#[inline]
pub fn check_option(number: OptionNumber, value: &[u8]) -> Result<(), OptionValueError> {
    match number.definition() {
        Some(definition) => definition.check(value),
        None => Ok(()),
    }
}

/// Why a value does not suit its option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionValueError {
    /// The length is outside of the registered range (RFC 7252 §5.4.3).
    Length {
        /// The option.
        number: OptionNumber,
        /// The length of the value in bytes.
        len: usize,
        /// The shortest permitted.
        min: u16,
        /// The longest permitted.
        max: u16,
    },
    /// The value of a string option is not UTF-8 (RFC 7252 §3.2).
    NotUtf8 {
        /// The option.
        number: OptionNumber,
    },
}

impl OptionValueError {
    /// The option whose value is wrong.
    #[must_use]
    pub const fn number(&self) -> OptionNumber {
        match self {
            Self::Length { number, .. } | Self::NotUtf8 { number } => *number,
        }
    }
}

impl fmt::Display for OptionValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length {
                number,
                len,
                min,
                max,
            } if min == max => {
                write!(f, "{number} has {max} bytes, not {len} (RFC 7252 §5.4.3)")
            }
            Self::Length {
                number,
                len,
                min,
                max,
            } => {
                write!(
                    f,
                    "{number} has {min} to {max} bytes, not {len} (RFC 7252 §5.4.3)"
                )
            }
            Self::NotUtf8 { number } => write!(f, "{number} is not UTF-8 (RFC 7252 §3.2)"),
        }
    }
}

impl core::error::Error for OptionValueError {}

pub(crate) const ONCE: bool = false;
pub(crate) const REPEATABLE: bool = true;

pub(crate) const fn define(
    number: OptionNumber,
    name: &'static str,
    format: OptionFormat,
    min: u16,
    max: u16,
    repeatable: bool,
    default: Option<u32>,
) -> OptionDefinition {
    OptionDefinition {
        number,
        name,
        format,
        min,
        max,
        repeatable,
        default,
    }
}

use OptionFormat::{Empty, Opaque, String, Uint};

/// Sorted by number. The formats of SCP82-Params and X-Admin-Protocol are not public: any value passes.
#[rustfmt::skip]
static DEFINITIONS: [OptionDefinition; 33] = [
    define(OptionNumber::IF_MATCH, "If-Match", Opaque, 0, 8, REPEATABLE, None),
    define(OptionNumber::URI_HOST, "Uri-Host", String, 1, 255, ONCE, None),
    define(OptionNumber::ETAG, "ETag", Opaque, 1, 8, REPEATABLE, None),
    define(OptionNumber::IF_NONE_MATCH, "If-None-Match", Empty, 0, 0, ONCE, None),
    define(OptionNumber::OBSERVE, "Observe", Uint, 0, 3, ONCE, None),
    define(OptionNumber::URI_PORT, "Uri-Port", Uint, 0, 2, ONCE, None),
    define(OptionNumber::LOCATION_PATH, "Location-Path", String, 0, 255, REPEATABLE, None),
    define(OptionNumber::OSCORE, "OSCORE", Opaque, 0, 255, ONCE, None),
    define(OptionNumber::URI_PATH, "Uri-Path", String, 0, 255, REPEATABLE, None),
    define(OptionNumber::CONTENT_FORMAT, "Content-Format", Uint, 0, 2, ONCE, None),
    define(OptionNumber::MAX_AGE, "Max-Age", Uint, 0, 4, ONCE, Some(60)),
    define(OptionNumber::URI_QUERY, "Uri-Query", String, 0, 255, REPEATABLE, None),
    define(OptionNumber::HOP_LIMIT, "Hop-Limit", Uint, 1, 1, ONCE, Some(16)),
    define(OptionNumber::ACCEPT, "Accept", Uint, 0, 2, ONCE, None),
    define(OptionNumber::Q_BLOCK1, "Q-Block1", Uint, 0, 3, ONCE, None),
    define(OptionNumber::LOCATION_QUERY, "Location-Query", String, 0, 255, REPEATABLE, None),
    define(OptionNumber::EDHOC, "EDHOC", Empty, 0, 0, ONCE, None),
    define(OptionNumber::BLOCK2, "Block2", Uint, 0, 3, ONCE, None),
    define(OptionNumber::BLOCK1, "Block1", Uint, 0, 3, ONCE, None),
    define(OptionNumber::SIZE2, "Size2", Uint, 0, 4, ONCE, None),
    define(OptionNumber::Q_BLOCK2, "Q-Block2", Uint, 0, 3, REPEATABLE, None),
    define(OptionNumber::PROXY_URI, "Proxy-Uri", String, 1, 1034, ONCE, None),
    define(OptionNumber::PROXY_SCHEME, "Proxy-Scheme", String, 1, 255, ONCE, None),
    define(OptionNumber::SIZE1, "Size1", Uint, 0, 4, ONCE, None),
    define(OptionNumber::PROXY_CRI, "Proxy-Cri", Opaque, 1, 1023, ONCE, None),
    define(OptionNumber::PROXY_SCHEME_NUMBER, "Proxy-Scheme-Number", Uint, 0, 3, ONCE, None),
    define(OptionNumber::ECHO, "Echo", Opaque, 1, 40, ONCE, None),
    define(OptionNumber::NO_RESPONSE, "No-Response", Uint, 0, 1, ONCE, Some(0)),
    define(OptionNumber::REQUEST_TAG, "Request-Tag", Opaque, 0, 8, REPEATABLE, None),
    define(OptionNumber::OCF_ACCEPT_CONTENT_FORMAT_VERSION, "OCF-Accept-Content-Format-Version", Uint, 2, 2, ONCE, None),
    define(OptionNumber::OCF_CONTENT_FORMAT_VERSION, "OCF-Content-Format-Version", Uint, 2, 2, ONCE, None),
    define(OptionNumber::SCP82_PARAMS, "SCP82-Params", Opaque, 0, 65535, REPEATABLE, None),
    define(OptionNumber::X_ADMIN_PROTOCOL, "X-Admin-Protocol", Opaque, 0, 65535, REPEATABLE, None),
];

/// Where the low numbers are defined, so that those of nearly every message are found without a search;
/// `UNREGISTERED` where they are not.
static LOW_INDICES: [u8; 64] = low_indices();

const UNREGISTERED: u8 = u8::MAX;

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "computed by the compiler, which refuses what is out of bounds; there are fewer than 255 definitions"
)]
const fn low_indices() -> [u8; 64] {
    let mut indices = [UNREGISTERED; 64];
    let mut index = 0;
    while (DEFINITIONS[index].number.0 as usize) < indices.len() {
        indices[DEFINITIONS[index].number.0 as usize] = index as u8;
        index += 1;
    }
    indices
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn the_table_is_sorted_and_names_are_unique() {
        for pair in DEFINITIONS.windows(2) {
            assert!(pair[0].number < pair[1].number, "{:?}", pair[1]);
        }
        for definition in &DEFINITIONS {
            assert_eq!(definition.name.parse(), Ok(definition.number));
            assert_eq!(definition.number.definition(), Some(definition));
            assert!(definition.min <= definition.max);
        }
        let found = (0..=u16::MAX).filter(|number| OptionNumber(*number).definition().is_some());
        assert_eq!(found.count(), DEFINITIONS.len());
    }

    #[test]
    fn properties_are_bits_of_the_number() {
        // RFC 7252 §5.10 table 4, RFC 7959 §2.1 table 1.
        let critical = |n: OptionNumber| (n.is_critical(), n.is_unsafe(), n.is_no_cache_key());
        assert_eq!(critical(OptionNumber::IF_MATCH), (true, false, false));
        assert_eq!(critical(OptionNumber::URI_HOST), (true, true, false));
        assert_eq!(critical(OptionNumber::ETAG), (false, false, false));
        assert_eq!(critical(OptionNumber::MAX_AGE), (false, true, false));
        assert_eq!(critical(OptionNumber::SIZE1), (false, false, true));
        assert_eq!(critical(OptionNumber::SIZE2), (false, false, true));
        assert_eq!(critical(OptionNumber::BLOCK2), (true, true, false));
        assert_eq!(critical(OptionNumber::ECHO), (false, false, true));
        assert_eq!(critical(OptionNumber::REQUEST_TAG), (false, false, false));
    }

    #[test]
    fn names_read_in_any_case_and_numbers_too() {
        assert_eq!("uri-path".parse(), Ok(OptionNumber::URI_PATH));
        assert_eq!("65001".parse(), Ok(OptionNumber(65001)));
        assert!("65536".parse::<OptionNumber>().is_err());
        assert!("uri path".parse::<OptionNumber>().is_err());
        assert_eq!(OptionNumber(65001).to_string(), "65001");
    }

    #[test]
    fn values_are_checked_for_length_and_utf8() {
        assert_eq!(check_option(OptionNumber::URI_PATH, &[b'a'; 255]), Ok(()));
        let too_long = check_option(OptionNumber::URI_PATH, &[b'a'; 256]).unwrap_err();
        assert_eq!(
            too_long.to_string(),
            "Uri-Path has 0 to 255 bytes, not 256 (RFC 7252 §5.4.3)"
        );
        let not_text = check_option(OptionNumber::URI_PATH, b"\xff").unwrap_err();
        assert_eq!(
            not_text,
            OptionValueError::NotUtf8 {
                number: OptionNumber::URI_PATH
            }
        );
        assert!(check_option(OptionNumber::IF_NONE_MATCH, b"x").is_err());
        assert!(check_option(OptionNumber::ETAG, b"").is_err());
        assert_eq!(check_option(OptionNumber(65001), &[0; 1000]), Ok(()));
    }
}
