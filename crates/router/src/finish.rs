//! What the framework does to a handler's response.

use coracle_wire::{ContentFormat, Method, OptionNumber, OptionsBuf, Status};

use crate::preconditions::Preconditions;
use crate::rejection::Rejection;
use crate::request::Request;
use crate::response::{IntoResponse, Response};
use crate::wishes::Wishes;

/// The rest of a request's wishes, kept until the response is there.
#[derive(Debug)]
pub struct Finish {
    method: Method,
    /// What Accept asks for.
    accept: Option<ContentFormat>,
    /// The one format that the route produces.
    format: Option<ContentFormat>,
    /// The preconditions of a GET are held against its own response.
    preconditions: bool,
    /// The ETag options of a GET, and its preconditions, if it has any.
    conditions: Option<Box<OptionsBuf>>,
}

impl Finish {
    #[inline]
    pub(crate) fn new(request: &Request, wishes: Wishes, format: Option<ContentFormat>) -> Finish {
        let is_conditional = wishes.validators || wishes.preconditions;
        let conditions = (is_conditional && request.method == Method::GET).then(|| conditions_of(request));
        Finish {
            method: request.method,
            accept: wishes.accept,
            format,
            preconditions: wishes.preconditions,
            conditions,
        }
    }

    /// Most requests wish for nothing, and few routes declare a format.
    #[inline]
    pub(crate) fn apply(&self, response: &mut Response) {
        response.settle(success(self.method));
        if let Some(format) = self.format
            && response.status == Status::CONTENT
            && response.content_format().is_none()
        {
            response.set_content_format(format);
        }
        if self.accept.is_some() || self.conditions.is_some() {
            self.grant(response);
        }
    }

    /// Holds the response against what the request wishes for.
    fn grant(&self, response: &mut Response) {
        if let Err(rejection) = self.check(response) {
            *response = rejection.into_response();
        } else if response.status == Status::CONTENT && self.is_known(response) {
            validate(response);
        }
    }

    /// Holds a success against preconditions and Accept.
    fn check(&self, response: &Response) -> Result<(), Rejection> {
        if self.preconditions
            && let Some(conditions) = &self.conditions
            && response.status.is_success()
        {
            let preconditions = Preconditions::of(conditions.as_options());
            if !preconditions.hold_for(response) {
                return Err(Rejection::Precondition);
            }
        }
        if response.status != Status::CONTENT {
            return Ok(());
        }
        match self.accept {
            Some(accept) if response.content_format() != Some(accept) => {
                Err(Rejection::NotAcceptable { accept })
            }
            _ => Ok(()),
        }
    }

    /// Whether the peer has the representation.
    fn is_known(&self, response: &Response) -> bool {
        let Some(conditions) = &self.conditions else {
            return false;
        };
        let etag = response.options.get(OptionNumber::ETAG);
        etag.is_some_and(|etag| conditions.as_options().etags().any(|known| known == etag))
    }
}

fn conditions_of(request: &Request) -> Box<OptionsBuf> {
    let mut conditions = request.options.clone();
    conditions.retain(|option| is_condition(option.number));
    Box::new(conditions)
}

/// RFC 7252 §5.9.1.3, §5.10.6.2: what the peer has already is not sent again.
fn validate(response: &mut Response) {
    response.status = Status::VALID;
    response.payload.clear();
    response.window = None;
    response.options.remove(OptionNumber::CONTENT_FORMAT);
}

fn is_condition(number: OptionNumber) -> bool {
    matches!(
        number,
        OptionNumber::ETAG | OptionNumber::IF_MATCH | OptionNumber::IF_NONE_MATCH
    )
}

/// RFC 7252 §5.8, RFC 8132 §2.
fn success(method: Method) -> Status {
    match method {
        Method::GET | Method::FETCH => Status::CONTENT,
        Method::DELETE => Status::DELETED,
        _ => Status::CHANGED,
    }
}
