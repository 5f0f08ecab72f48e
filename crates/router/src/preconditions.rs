//! If-Match and If-None-Match (RFC 7252 §5.10.8).

use std::convert::Infallible;

use coracle_wire::{OptionNumber, Options, OptionsBuf, Status};

use crate::extract::FromRequest;
use crate::rejection::Rejection;
use crate::request::Request;
use crate::response::Response;

/// The conditions that a request makes: an extractor for routes that say
/// [`conditional`](crate::MethodRouter::conditional) and decide by themselves, within the same lock or transaction as
/// the change.
///
/// ```
/// use coracle_router::{Changed, Preconditions, Rejection, put};
///
/// async fn write(conditions: Preconditions) -> Result<Changed, Rejection> {
///     let current = Some(&b"v1"[..]); // read with the lock held
///     conditions.check(current.is_some(), current)?;
///     Ok(Changed) // write, with the lock still held
/// }
/// # let _ = put::<_, _, ()>(write).conditional();
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// The If-Match and If-None-Match options.
    options: OptionsBuf,
}

impl Preconditions {
    /// The conditions among these options.
    #[must_use]
    pub fn of(options: Options<'_>) -> Preconditions {
        let mut conditions = OptionsBuf::new();
        for option in options.iter().filter(|option| is_condition(option.number)) {
            let _ = conditions.insert(option.number, option.value);
        }
        Preconditions { options: conditions }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.options.is_empty()
    }

    /// Holds them against the resource: whether it exists, and the ETag of its representation if it has one.
    ///
    /// # Errors
    /// [`Rejection::Precondition`], 4.12, if they do not hold.
    pub fn check(&self, exists: bool, etag: Option<&[u8]>) -> Result<(), Rejection> {
        if self.hold(exists, etag) {
            Ok(())
        } else {
            Err(Rejection::Precondition)
        }
    }

    fn hold(&self, exists: bool, etag: Option<&[u8]>) -> bool {
        let options = self.options.as_options();
        if exists && options.contains(OptionNumber::IF_NONE_MATCH) {
            return false;
        }
        let mut wanted = options.get_all(OptionNumber::IF_MATCH).peekable();
        wanted.peek().is_none() || exists && wanted.any(|want| want.is_empty() || Some(want) == etag)
    }

    /// Holds them against what a GET says. A response that tells neither that the resource exists nor that it does
    /// not fails them: nothing is done on a guess.
    pub(crate) fn hold_for(&self, current: &Response) -> bool {
        match current.status {
            Status::CONTENT | Status::VALID => self.hold(true, current.options.get(OptionNumber::ETAG)),
            Status::NOT_FOUND => self.hold(false, None),
            _ => self.is_empty(),
        }
    }
}

fn is_condition(number: OptionNumber) -> bool {
    matches!(number, OptionNumber::IF_MATCH | OptionNumber::IF_NONE_MATCH)
}

impl<S: Sync> FromRequest<S> for Preconditions {
    type Rejection = Infallible;

    fn is_at_hand(_: &Request) -> bool {
        true
    }

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Infallible> {
        Ok(Preconditions::of(request.options.as_options()))
    }
}
