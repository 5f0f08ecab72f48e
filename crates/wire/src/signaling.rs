//! What signaling messages say in their options (RFC 8323 §5, RFC 8974 §2.2.1).
//!
//! Signaling options have numbers of their own, for each code (RFC 8323 §5.2): 4 is Block-Wise-Transfer in a CSM and
//! Hold-Off in a Release. All that are registered are elective but for OSCORE, which nobody here understands.

use core::fmt;

use crate::code::{Code, CodeKind, Signal};
use crate::number::OptionFormat::{Empty, Opaque, String, Uint};
use crate::number::{ONCE, OptionDefinition, OptionNumber, OptionValueError, REPEATABLE, define};
use crate::options::{OptionRef, Options};
#[cfg(feature = "alloc")]
use crate::options_buf::OptionsBuf;
use crate::token::MAX_EXTENDED_TOKEN_LEN;

/// OSCORE has one number in all signaling messages (RFC 8613 §13.3).
static OSCORE: OptionDefinition = define(OptionNumber::OSCORE, "OSCORE", Opaque, 0, 255, ONCE, None);

#[rustfmt::skip]
static CSM: [OptionDefinition; 3] = [
    define(Csm::MAX_MESSAGE_SIZE, "Max-Message-Size", Uint, 0, 4, ONCE, None),
    define(Csm::BLOCK_WISE_TRANSFER, "Block-Wise-Transfer", Empty, 0, 0, ONCE, None),
    define(Csm::EXTENDED_TOKEN_LENGTH, "Extended-Token-Length", Uint, 0, 3, ONCE, None),
];

/// Of Ping and of Pong.
static PING: [OptionDefinition; 1] = [define(Custody::CUSTODY, "Custody", Empty, 0, 0, ONCE, None)];

#[rustfmt::skip]
static RELEASE: [OptionDefinition; 2] = [
    define(Release::ALTERNATIVE_ADDRESS, "Alternative-Address", String, 1, 255, REPEATABLE, None),
    define(Release::HOLD_OFF, "Hold-Off", Uint, 0, 3, ONCE, None),
];

static ABORT: [OptionDefinition; 1] = [define(
    Abort::BAD_CSM_OPTION,
    "Bad-CSM-Option",
    Uint,
    0,
    2,
    ONCE,
    None,
)];

impl Signal {
    /// What is registered about an option of this signaling message (RFC 8323 §11.2); `None` for unregistered
    /// numbers.
    #[must_use]
    pub fn option(self, number: OptionNumber) -> Option<&'static OptionDefinition> {
        let definitions: &[OptionDefinition] = match self {
            Signal::CSM => &CSM,
            Signal::PING | Signal::PONG => &PING,
            Signal::RELEASE => &RELEASE,
            Signal::ABORT => &ABORT,
            _ => &[],
        };
        let mut known = definitions.iter().chain([&OSCORE]);
        known.find(|definition| definition.number == number)
    }

    /// Checks an option of this signaling message; elective ones that are unregistered pass.
    ///
    /// # Errors
    /// If the option is critical, as none of those is that Coracle understands, or its value has a length or form
    /// other than the registered one.
    pub fn check_option(self, option: OptionRef<'_>) -> Result<(), SignalOptionError> {
        let failed = |kind| SignalOptionError {
            signal: self,
            number: option.number.0,
            kind,
        };
        if option.number.is_critical() {
            return Err(failed(SignalOptionErrorKind::Critical));
        }
        let Some(definition) = self.option(option.number) else {
            return Ok(());
        };
        definition.check(option.value).map_err(|error| match error {
            OptionValueError::Length { len, min, max, .. } => {
                failed(SignalOptionErrorKind::Length { len, min, max })
            }
            OptionValueError::NotUtf8 { .. } => failed(SignalOptionErrorKind::NotUtf8),
        })
    }

    /// Checks that no option is critical. Values that are wrong make their options unrecognized, and elective ones are
    /// ignored then (RFC 7252 §5.4.1, §5.4.3).
    fn check_critical(self, options: Options<'_>) -> Result<(), SignalOptionError> {
        let critical = options.iter().find(|option| option.number.is_critical());
        critical.map_or(Ok(()), |option| self.check_option(option))
    }

    /// The first option of a number, if its value is right.
    fn value(self, options: Options<'_>, number: OptionNumber) -> Option<&[u8]> {
        let value = options.get(number)?;
        self.option(number)?.check(value).ok().map(|()| value)
    }

    /// The first option of a number as a number, if its value has a permitted length.
    fn uint(self, options: Options<'_>, number: OptionNumber) -> Option<u32> {
        let value = self.option(number)?.read_uint(options.get(number)?)?;
        u32::try_from(value).ok()
    }
}

impl OptionNumber {
    /// What is registered about the option in messages of a code: signaling messages have options of their own
    /// (RFC 8323 §5.2), all others share one registry (RFC 7252 §12.2).
    #[must_use]
    pub fn definition_in(self, code: Code) -> Option<&'static OptionDefinition> {
        match code.kind() {
            CodeKind::Signal(signal) => signal.option(self),
            _ => self.definition(),
        }
    }
}

/// A Capabilities and Settings Message (7.01, RFC 8323 §5.3). What it does not say stays as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Csm {
    /// The longest message that the sender takes, in bytes from the first byte of its header to the last of its
    /// payload.
    pub max_message_size: Option<u32>,
    /// Whether the sender takes part in block-wise transfers; and in such of BERT if it takes messages of more than
    /// 1152 bytes (RFC 8323 §5.3.2).
    pub block_wise_transfer: bool,
    /// The longest token that the sender takes in requests, 8 to 65804 bytes (RFC 8974 §2.2.1).
    pub extended_token_length: Option<u32>,
}

impl Csm {
    /// Max-Message-Size (RFC 8323 §5.3.1).
    pub const MAX_MESSAGE_SIZE: OptionNumber = OptionNumber(2);
    /// Block-Wise-Transfer (RFC 8323 §5.3.2).
    pub const BLOCK_WISE_TRANSFER: OptionNumber = OptionNumber(4);
    /// Extended-Token-Length (RFC 8974 §2.2.1).
    pub const EXTENDED_TOKEN_LENGTH: OptionNumber = OptionNumber(6);

    /// The longest message that a peer takes which has not told it, in bytes (RFC 8323 §5.3.1).
    pub const BASE_MAX_MESSAGE_SIZE: u32 = 1152;
    /// The longest token that a peer takes which has not told it, in bytes (RFC 8974 §2.2.1).
    pub const BASE_TOKEN_LENGTH: u32 = 8;

    /// Reads the options of a CSM. Of an option that is there more than once the first counts (RFC 7252 §5.4.5).
    ///
    /// # Errors
    /// If an option is critical, or a value has a wrong length: the connection is aborted (RFC 8323 §3.3), and
    /// [`Abort::bad_csm_option`] tells the number (RFC 8323 §5.6).
    pub fn read(options: Options<'_>) -> Result<Csm, SignalOptionError> {
        let signal = Signal::CSM;
        options
            .iter()
            .try_for_each(|option| signal.check_option(option))?;
        let longest = u32::try_from(MAX_EXTENDED_TOKEN_LEN).unwrap_or(u32::MAX);
        let token_length = signal.uint(options, Self::EXTENDED_TOKEN_LENGTH);
        Ok(Csm {
            max_message_size: signal.uint(options, Self::MAX_MESSAGE_SIZE),
            block_wise_transfer: options.contains(Self::BLOCK_WISE_TRANSFER),
            // RFC 8974 §2.2.1: shorter ones are ignored, longer ones are cut.
            extended_token_length: token_length
                .filter(|len| *len >= Self::BASE_TOKEN_LENGTH)
                .map(|len| len.min(longest)),
        })
    }

    /// The options that say it.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn to_options(&self) -> OptionsBuf {
        let mut options = OptionsBuf::new();
        push_uint(&mut options, Self::MAX_MESSAGE_SIZE, self.max_message_size);
        if self.block_wise_transfer {
            push(&mut options, Self::BLOCK_WISE_TRANSFER, &[]);
        }
        push_uint(
            &mut options,
            Self::EXTENDED_TOKEN_LENGTH,
            self.extended_token_length,
        );
        options
    }
}

/// Whether a Ping asks for custody, or a Pong takes it: all that came before the Ping has been processed
/// (7.02 and 7.03, RFC 8323 §5.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Custody(pub bool);

impl Custody {
    /// Custody (RFC 8323 §5.4.1).
    pub const CUSTODY: OptionNumber = OptionNumber(2);

    /// Reads the options of a Ping or a Pong.
    ///
    /// # Errors
    /// If an option is critical: the connection is aborted (RFC 8323 §5.2).
    pub fn read(options: Options<'_>) -> Result<Custody, SignalOptionError> {
        Signal::PING.check_critical(options)?;
        Ok(Custody(Signal::PING.value(options, Self::CUSTODY).is_some()))
    }

    /// The options that say it.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn to_options(&self) -> OptionsBuf {
        let mut options = OptionsBuf::new();
        if self.0 {
            push(&mut options, Self::CUSTODY, &[]);
        }
        options
    }
}

/// A Release: the sender wants the peer to close the connection in its time (7.04, RFC 8323 §5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Release<'a> {
    /// For how long the peer should not connect again, in seconds; [`MAX_HOLD_OFF`](Self::MAX_HOLD_OFF) is written for
    /// what is longer.
    pub hold_off: Option<u32>,
    /// All options that it was read from.
    options: Options<'a>,
}

impl<'a> Release<'a> {
    /// Alternative-Address (RFC 8323 §5.5).
    pub const ALTERNATIVE_ADDRESS: OptionNumber = OptionNumber(2);
    /// Hold-Off (RFC 8323 §5.5).
    pub const HOLD_OFF: OptionNumber = OptionNumber(4);

    /// The longest Hold-Off that can be expressed, in seconds: 194 days.
    pub const MAX_HOLD_OFF: u32 = (1 << 24) - 1;

    /// A Release that names no other addresses.
    #[must_use]
    pub const fn new(hold_off: Option<u32>) -> Release<'static> {
        Release {
            hold_off,
            options: Options::empty(),
        }
    }

    /// Reads the options of a Release.
    ///
    /// # Errors
    /// If an option is critical: the connection is aborted (RFC 8323 §5.2).
    pub fn read(options: Options<'a>) -> Result<Release<'a>, SignalOptionError> {
        Signal::RELEASE.check_critical(options)?;
        Ok(Release {
            hold_off: Signal::RELEASE.uint(options, Self::HOLD_OFF),
            options,
        })
    }

    /// Where the peer may connect instead, by the same scheme: each an `authority` (RFC 3986 §3.2) that nobody has
    /// checked.
    pub fn alternative_addresses(&self) -> impl Iterator<Item = &'a str> + Clone {
        let values = self.options.get_all(Self::ALTERNATIVE_ADDRESS);
        let right = |value: &&[u8]| (1..=255).contains(&value.len());
        values
            .filter(right)
            .filter_map(|value| core::str::from_utf8(value).ok())
    }

    /// The options that say it.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn to_options(&self) -> OptionsBuf {
        let mut options = OptionsBuf::new();
        for address in self.alternative_addresses() {
            push(&mut options, Self::ALTERNATIVE_ADDRESS, address.as_bytes());
        }
        let hold_off = self.hold_off.map(|seconds| seconds.min(Self::MAX_HOLD_OFF));
        push_uint(&mut options, Self::HOLD_OFF, hold_off);
        options
    }
}

/// An Abort: the sender ends the connection at once (7.05, RFC 8323 §5.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Abort {
    /// The option of a CSM that the sender cannot process.
    pub bad_csm_option: Option<u16>,
}

impl Abort {
    /// Bad-CSM-Option (RFC 8323 §5.6).
    pub const BAD_CSM_OPTION: OptionNumber = OptionNumber(2);

    /// Reads the options of an Abort. Critical ones change nothing: the connection ends all the same.
    #[must_use]
    pub fn read(options: Options<'_>) -> Abort {
        let number = Signal::ABORT.uint(options, Self::BAD_CSM_OPTION);
        Abort {
            bad_csm_option: number.and_then(|number| u16::try_from(number).ok()),
        }
    }

    /// The options that say it.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn to_options(&self) -> OptionsBuf {
        let mut options = OptionsBuf::new();
        push_uint(
            &mut options,
            Self::BAD_CSM_OPTION,
            self.bad_csm_option.map(u32::from),
        );
        options
    }
}

#[cfg(feature = "alloc")]
fn push(options: &mut OptionsBuf, number: OptionNumber, value: &[u8]) {
    // Nothing here is near the longest value.
    let _ = options.insert(number, value);
}

#[cfg(feature = "alloc")]
fn push_uint(options: &mut OptionsBuf, number: OptionNumber, value: Option<u32>) {
    if let Some(value) = value {
        options.push_uint(number, u64::from(value));
    }
}

/// A signaling option that its receiver cannot process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalOptionError {
    /// The message that has it.
    pub signal: Signal,
    /// Its number, which means something in messages of this code only: the value of Bad-CSM-Option if that is a CSM.
    pub number: u16,
    /// What is wrong.
    pub kind: SignalOptionErrorKind,
}

/// What can be wrong with a signaling option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignalOptionErrorKind {
    /// It is critical and not understood (RFC 8323 §5.2).
    Critical,
    /// The length of its value is outside of the registered range (RFC 7252 §5.4.3).
    Length {
        /// The length of the value in bytes.
        len: usize,
        /// The shortest permitted.
        min: u16,
        /// The longest permitted.
        max: u16,
    },
    /// Its value should be text and is not UTF-8 (RFC 7252 §3.2).
    NotUtf8,
}

impl fmt::Display for SignalOptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.number;
        match self.signal.option(OptionNumber(number)) {
            Some(definition) => write!(f, "{} (option {number} of {})", definition.name, self.signal)?,
            None => write!(f, "option {number} of {}", self.signal)?,
        }
        match self.kind {
            SignalOptionErrorKind::Critical => f.write_str(" is critical and not understood (RFC 8323 §5.2)"),
            SignalOptionErrorKind::Length { len, min, max } if min == max => {
                write!(f, " has {max} bytes, not {len} (RFC 7252 §5.4.3)")
            }
            SignalOptionErrorKind::Length { len, min, max } => {
                write!(f, " has {min} to {max} bytes, not {len} (RFC 7252 §5.4.3)")
            }
            SignalOptionErrorKind::NotUtf8 => f.write_str(" is not UTF-8 (RFC 7252 §3.2)"),
        }
    }
}

impl core::error::Error for SignalOptionError {}
