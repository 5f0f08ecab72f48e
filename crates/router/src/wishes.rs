//! What the options of a request ask of the router itself, found in one walk.

use coracle_wire::{ContentFormat, OptionNumber, Options, check_option};

/// The wishes of a request whose critical options are all understood.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wishes {
    /// Accept (RFC 7252 §5.10.4).
    pub(crate) accept: Option<ContentFormat>,
    /// Content-Format (RFC 7252 §5.10.3).
    pub(crate) content_format: Option<ContentFormat>,
    /// There is an If-Match or If-None-Match (RFC 7252 §5.10.8).
    pub(crate) preconditions: bool,
    /// There is an ETag (RFC 7252 §5.10.6.2).
    pub(crate) validators: bool,
}

impl Wishes {
    /// RFC 7252 §5.4.1: critical options must be understood, by the stack or as `known` to the route; §5.4.3, §5.4.5:
    /// a value of a wrong form and one too many of a kind count as not understood. The error is the first of these.
    pub(crate) fn of(options: Options<'_>, known: &[OptionNumber]) -> Result<Wishes, OptionNumber> {
        let mut wishes = Wishes::default();
        let mut previous = None;
        for option in options {
            let number = option.number;
            if number == OptionNumber::URI_PATH {
                // Most options are segments of the path, of which nothing but the form can be wrong.
                if check_option(OptionNumber::URI_PATH, option.value).is_err() {
                    return Err(number);
                }
                continue;
            }
            let repeated = previous.replace(number) == Some(number);
            if number.is_critical() {
                let known = is_of_the_stack(number) || known.contains(&number);
                if !known || check_option(number, option.value).is_err() || repeated && !is_repeatable(number)
                {
                    return Err(number);
                }
            }
            match number {
                OptionNumber::ACCEPT => wishes.accept = options.accept(),
                OptionNumber::CONTENT_FORMAT => wishes.content_format = options.content_format(),
                OptionNumber::IF_MATCH | OptionNumber::IF_NONE_MATCH => wishes.preconditions = true,
                OptionNumber::ETAG => wishes.validators = true,
                _ => {}
            }
        }
        Ok(wishes)
    }
}

/// Critical options that the engine or the router understands for every route.
fn is_of_the_stack(number: OptionNumber) -> bool {
    matches!(
        number,
        OptionNumber::IF_MATCH
            | OptionNumber::URI_HOST
            | OptionNumber::IF_NONE_MATCH
            | OptionNumber::URI_PORT
            | OptionNumber::URI_PATH
            | OptionNumber::URI_QUERY
            | OptionNumber::ACCEPT
            | OptionNumber::BLOCK2
            | OptionNumber::BLOCK1
    )
}

/// Unregistered options say nothing of how often they may occur: that is the route's to judge.
fn is_repeatable(number: OptionNumber) -> bool {
    number.definition().is_none_or(|definition| definition.repeatable)
}
