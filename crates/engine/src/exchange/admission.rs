//! What a request must fulfil before anybody looks at what it asks for.

use alloc::string::String;
use core::fmt::Write as _;

use coracle_wire::{BlockError, BlockOption, Method, OptionNumber, OptionRef, Options, Status, check_option};

use crate::block::{CacheKey, NumberSet};
use crate::config::Config;
use crate::exchange::ask::Ask;
use crate::stats::DropReason;

/// Critical options that the engine or its users' framework understands in a request, and that no response is defined
/// to have (RFC 7252 §5.4, §5.4.1).
const OF_REQUESTS: NumberSet = NumberSet::of(&[
    OptionNumber::IF_MATCH,
    OptionNumber::URI_HOST,
    OptionNumber::IF_NONE_MATCH,
    OptionNumber::URI_PORT,
    OptionNumber::URI_PATH,
    OptionNumber::URI_QUERY,
    OptionNumber::ACCEPT,
    OptionNumber::PROXY_URI,
    OptionNumber::PROXY_SCHEME,
]);

/// Critical options that the engine understands in requests and in responses (RFC 7959 §2.1).
const OF_BOTH: NumberSet = NumberSet::of(&[OptionNumber::BLOCK2, OptionNumber::BLOCK1]);

const PROXIES: NumberSet = NumberSet::of(&[OptionNumber::PROXY_URI, OptionNumber::PROXY_SCHEME]);

/// The Block options of a message, checked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Blocks {
    pub(crate) block1: Option<BlockOption>,
    pub(crate) block2: Option<BlockOption>,
    /// The length of the body is asked for, or told (RFC 7959 §4).
    pub(crate) size2: bool,
}

impl Blocks {
    /// Whether they are further blocks of a transfer.
    pub(crate) fn go_on(&self) -> bool {
        let blocks = [self.block1, self.block2];
        blocks.into_iter().flatten().any(|block| block.num() > 0)
    }
}

/// Why a request is refused, and how it is answered.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: Status,
    pub(crate) reason: DropReason,
    pub(crate) diagnostic: String,
    /// The largest body that is taken, in bytes (RFC 7959 §2.9.3).
    pub(crate) size1: Option<usize>,
}

impl Refusal {
    pub(crate) fn new(status: Status, reason: DropReason, diagnostic: &str) -> Refusal {
        Refusal {
            status,
            reason,
            diagnostic: String::from(diagnostic),
            size1: None,
        }
    }

    /// There is no room for what this request needs. Who has not proved the address is asked to, as those who have are
    /// served longer; others are asked to come back later.
    pub(crate) fn no_room(ask: &Ask, diagnostic: &str) -> Refusal {
        let status = if ask.is_proved() || ask.path.multicast {
            Status::SERVICE_UNAVAILABLE
        } else {
            Status::UNAUTHORIZED
        };
        Refusal::new(status, DropReason::Busy, diagnostic)
    }
}

/// What the options of a request say to the engine, read in one walk over them.
#[derive(Debug, Default)]
pub(crate) struct Reading<'o> {
    /// The method; missing where the message is no request, of which nothing else is read.
    pub(crate) method: Option<Method>,
    /// The first Echo option (RFC 9175 §2.2).
    pub(crate) echo: Option<&'o [u8]>,
    block1: Option<BlockOption>,
    block2: Option<BlockOption>,
    size2: bool,
    has_bad_block: bool,
    /// The content of No-Response (RFC 7967 §2.1).
    pub(crate) no_response: Option<u8>,
    /// It has an Observe option.
    pub(crate) observes: bool,
    /// See [`crate::block::cache_key`].
    pub(crate) cache_key: u64,
    misunderstood: Option<OptionNumber>,
    asks_to_proxy: bool,
}

impl<'o> Reading<'o> {
    /// Reads them. `bert`: blocks of BERT may come (RFC 8323 §6).
    #[inline]
    pub(crate) fn of(
        config: &Config,
        hasher: &foldhash::fast::FixedState,
        (method, bert): (Method, bool),
        options: Options<'o>,
    ) -> Reading<'o> {
        let mut reading = Reading {
            method: Some(method),
            ..Reading::default()
        };
        let mut cache_key = CacheKey::new(hasher, method);
        let known = |number| config.known_options.contains(&number);
        let mut before = None;
        for option in options.iter() {
            let number = option.number;
            let again = before.replace(number) == Some(number);
            cache_key.add(option);
            if reading.misunderstood.is_none() && is_misunderstood(option, again, known) {
                reading.misunderstood = Some(number);
            }
            match number {
                OptionNumber::OBSERVE => reading.observes = true,
                OptionNumber::ECHO if !again => reading.echo = Some(option.value),
                OptionNumber::BLOCK1 if !again => reading.block1 = reading.block(option.value, bert),
                OptionNumber::BLOCK2 if !again => reading.block2 = reading.block(option.value, bert),
                OptionNumber::SIZE2 => reading.size2 = true,
                // A longer value is no No-Response: the option is elective (RFC 7252 §5.4.3, RFC 7967 §2).
                OptionNumber::NO_RESPONSE if !again && option.value.len() <= 1 => {
                    reading.no_response = Some(option.value.first().copied().unwrap_or(0));
                }
                number if PROXIES.contains(number) && !known(number) => reading.asks_to_proxy = true,
                _ => {}
            }
        }
        reading.cache_key = cache_key.finish();
        reading
    }

    fn block(&mut self, value: &[u8], bert: bool) -> Option<BlockOption> {
        let block = BlockOption::decode(value)
            .and_then(|block| checked(block, bert))
            .ok();
        self.has_bad_block |= block.is_none();
        block
    }

    /// Whether a request only goes on with a transfer: a further block of a representation, or a block in the middle of a
    /// body. It comes to the same however often it comes, whatever the method: the block stage knows where it belongs.
    pub(crate) fn goes_on(&self) -> bool {
        let is_safe = self.method.is_some_and(Method::is_safe);
        match (self.block1, self.block2) {
            _ if self.has_bad_block => false,
            (Some(block), _) => block.num() > 0 && block.more(),
            (None, Some(block)) => block.num() > 0 && is_safe,
            (None, None) => false,
        }
    }

    /// Whether the options can be heeded; the Block options.
    pub(crate) fn admit(&self) -> Result<Blocks, Refusal> {
        if let Some(number) = self.misunderstood {
            let mut diagnostic = String::from("critical option ");
            // Writing to a string cannot fail.
            let _ = write!(diagnostic, "{number}");
            return Err(Refusal::new(
                Status::BAD_OPTION,
                DropReason::CriticalOption,
                &diagnostic,
            ));
        }
        if self.asks_to_proxy {
            return Err(Refusal::new(
                Status::PROXYING_NOT_SUPPORTED,
                DropReason::Proxying,
                "this is not a proxy",
            ));
        }
        if self.has_bad_block {
            return Err(Refusal::new(
                Status::BAD_REQUEST,
                DropReason::BlockOption,
                "Block option with a reserved size exponent",
            ));
        }
        Ok(Blocks {
            block1: self.block1,
            block2: self.block2,
            size2: self.size2,
        })
    }
}

fn understood(number: OptionNumber) -> bool {
    OF_REQUESTS.contains(number) || OF_BOTH.contains(number)
}

/// The first critical option that a response is not defined to have, and that is not `known` nevertheless (RFC 7252
/// §5.4).
pub(crate) fn of_requests(
    options: Options<'_>,
    known: impl Fn(OptionNumber) -> bool,
) -> Option<OptionNumber> {
    let mut numbers = options.iter().map(|option| option.number);
    numbers.find(|number| OF_REQUESTS.contains(*number) && !known(*number))
}

/// The first critical option that has to be treated as unknown: its number is, its value has the wrong length or
/// form, or it stands twice where it may not (RFC 7252 §5.4.1, §5.4.3, §5.4.5).
pub(crate) fn misunderstood(
    options: Options<'_>,
    known: impl Fn(OptionNumber) -> bool,
) -> Option<OptionNumber> {
    let mut before = None;
    let mut options = options.iter();
    let first = options.find(|option| {
        let again = before.replace(option.number) == Some(option.number);
        is_misunderstood(*option, again, &known)
    });
    first.map(|option| option.number)
}

/// Whether an option has to be treated as unknown and critical, where `again` tells that it follows one of its number.
fn is_misunderstood(option: OptionRef<'_>, again: bool, known: impl Fn(OptionNumber) -> bool) -> bool {
    let number = option.number;
    if !number.is_critical() {
        return false;
    }
    let repeats = again
        && number
            .definition()
            .is_none_or(|definition| !definition.repeatable);
    (repeats || !understood(number) || check_option(number, option.value).is_err()) && !known(number)
}

/// The Block options; `bert`: SZX 7 is allowed.
pub(crate) fn blocks(options: Options<'_>, bert: bool) -> Result<Blocks, BlockError> {
    let check = |block| checked(block, bert);
    let block1 = options.block1().transpose()?.map(check).transpose()?;
    let block2 = options.block2().transpose()?.map(check).transpose()?;
    let size2 = options.contains(OptionNumber::SIZE2);
    Ok(Blocks {
        block1,
        block2,
        size2,
    })
}

/// SZX 7 is for reliable transports (RFC 7959 §2.2, RFC 8323 §6).
fn checked(block: BlockOption, bert: bool) -> Result<BlockOption, BlockError> {
    if block.is_bert() && !bert {
        Err(BlockError::SzxTooLarge(block.szx()))
    } else {
        Ok(block)
    }
}
