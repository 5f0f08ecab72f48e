//! What the framework does to a handler's response.

use coracle_wire::{ContentFormat, Method, OptionNumber, OptionsBuf, Status};

use crate::preconditions::Preconditions;
use crate::rejection::Rejection;
use crate::response::{IntoResponse, Response};

/// The rest of a request's wishes, kept until the response is there.
#[derive(Debug)]
pub(crate) struct Finish {
    method: Method,
    accept: Option<ContentFormat>,
    /// The one format that the route produces.
    format: Option<ContentFormat>,
    /// The ETag options of a GET.
    validators: OptionsBuf,
    /// Preconditions of a GET: they are held against its own response.
    preconditions: Option<Preconditions>,
}

impl Finish {
    pub(crate) fn new(method: Method, options: &OptionsBuf, format: Option<ContentFormat>) -> Finish {
        let options = options.as_options();
        let mut validators = OptionsBuf::new();
        if method == Method::GET {
            for etag in options.etags() {
                let _ = validators.insert(OptionNumber::ETAG, etag);
            }
        }
        Finish {
            method,
            accept: options.accept(),
            format,
            validators,
            preconditions: None,
        }
    }

    pub(crate) fn with_preconditions(mut self, preconditions: Preconditions) -> Finish {
        self.preconditions = Some(preconditions);
        self
    }

    pub(crate) fn apply(self, mut response: Response) -> Response {
        response.settle(success(self.method));
        if let Some(preconditions) = &self.preconditions
            && response.status.is_success()
            && !preconditions.hold_for(&response)
        {
            return Rejection::Precondition.into_response();
        }
        if response.status != Status::CONTENT {
            return response;
        }
        if let (None, Some(format)) = (response.content_format(), self.format) {
            response = response.with_content_format(format);
        }
        if let Some(accept) = self.accept
            && response.content_format() != Some(accept)
        {
            return Rejection::NotAcceptable { accept }.into_response();
        }
        self.validate(response)
    }

    /// RFC 7252 §5.9.1.3, §5.10.6.2: what the peer has already is not sent again.
    fn validate(&self, mut response: Response) -> Response {
        let known = match response.options.get(OptionNumber::ETAG) {
            Some(etag) => self.validators.as_options().etags().any(|known| known == etag),
            None => false,
        };
        if known {
            response.status = Status::VALID;
            response.payload.clear();
            response.window = None;
            response.options.remove(OptionNumber::CONTENT_FORMAT);
        }
        response
    }
}

/// RFC 7252 §5.8, RFC 8132 §2.
fn success(method: Method) -> Status {
    match method {
        Method::GET | Method::FETCH => Status::CONTENT,
        Method::DELETE => Status::DELETED,
        _ => Status::CHANGED,
    }
}
