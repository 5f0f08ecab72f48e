//! What a request must fulfil before anybody looks at what it asks for.

use alloc::string::String;
use core::fmt::Write as _;

use coracle_wire::{BlockError, BlockOption, OptionNumber, Options, Status, check_option};

use crate::config::Config;
use crate::stats::DropReason;

/// Critical options that the engine or its users' framework understands in a request, and that no response is defined
/// to have (RFC 7252 §5.4, §5.4.1).
const OF_REQUESTS: [OptionNumber; 9] = [
    OptionNumber::IF_MATCH,
    OptionNumber::URI_HOST,
    OptionNumber::IF_NONE_MATCH,
    OptionNumber::URI_PORT,
    OptionNumber::URI_PATH,
    OptionNumber::URI_QUERY,
    OptionNumber::ACCEPT,
    OptionNumber::PROXY_URI,
    OptionNumber::PROXY_SCHEME,
];

/// Critical options that the engine understands in requests and in responses (RFC 7959 §2.1).
const OF_BOTH: [OptionNumber; 2] = [OptionNumber::BLOCK2, OptionNumber::BLOCK1];

/// The Block options of a message, checked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Blocks {
    pub(crate) block1: Option<BlockOption>,
    pub(crate) block2: Option<BlockOption>,
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
}

/// Checks the options of a request.
pub(crate) fn admit(config: &Config, options: Options<'_>) -> Result<Blocks, Refusal> {
    if let Some(number) = misunderstood(options, |number| config.known_options.contains(&number)) {
        let mut diagnostic = String::from("critical option ");
        // Writing to a string cannot fail.
        let _ = write!(diagnostic, "{number}");
        return Err(Refusal::new(
            Status::BAD_OPTION,
            DropReason::CriticalOption,
            &diagnostic,
        ));
    }
    let proxies = |number: &OptionNumber| options.contains(*number) && !config.known_options.contains(number);
    if [OptionNumber::PROXY_URI, OptionNumber::PROXY_SCHEME]
        .iter()
        .any(proxies)
    {
        let text = "this is not a proxy";
        return Err(Refusal::new(
            Status::PROXYING_NOT_SUPPORTED,
            DropReason::Proxying,
            text,
        ));
    }
    blocks(options).map_err(|_| {
        Refusal::new(
            Status::BAD_REQUEST,
            DropReason::BlockOption,
            "Block option with a reserved size exponent",
        )
    })
}

fn understood(number: OptionNumber) -> bool {
    OF_REQUESTS.contains(&number) || OF_BOTH.contains(&number)
}

/// The first critical option that a response is not defined to have, and that is not `known` nevertheless (RFC 7252
/// §5.4).
pub(crate) fn of_requests(
    options: Options<'_>,
    known: impl Fn(OptionNumber) -> bool,
) -> Option<OptionNumber> {
    let mut numbers = options.iter().map(|option| option.number);
    numbers.find(|number| OF_REQUESTS.contains(number) && !known(*number))
}

/// The first critical option that has to be treated as unknown: its number is, its value has the wrong length or
/// form, or it stands twice where it may not (RFC 7252 §5.4.1, §5.4.3, §5.4.5).
pub(crate) fn misunderstood(
    options: Options<'_>,
    known: impl Fn(OptionNumber) -> bool,
) -> Option<OptionNumber> {
    let mut before = None;
    for option in options.iter() {
        let number = option.number;
        let again = before.replace(number) == Some(number);
        if !number.is_critical() || known(number) {
            continue;
        }
        let repeats = again
            && number
                .definition()
                .is_none_or(|definition| !definition.repeatable);
        if repeats || !understood(number) || check_option(number, option.value).is_err() {
            return Some(number);
        }
    }
    None
}

/// The Block options, where SZX 7 is not allowed: it is for reliable transports (RFC 7959 §2.2, RFC 8323 §6).
pub(crate) fn blocks(options: Options<'_>) -> Result<Blocks, BlockError> {
    let datagram_block = |block: BlockOption| {
        if block.is_bert() {
            Err(BlockError::SzxTooLarge(block.szx()))
        } else {
            Ok(block)
        }
    };
    let block1 = options.block1().transpose()?.map(datagram_block).transpose()?;
    let block2 = options.block2().transpose()?.map(datagram_block).transpose()?;
    Ok(Blocks { block1, block2 })
}
