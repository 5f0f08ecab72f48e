//! What can go wrong, and whose fault it is.

use std::fmt;
use std::io;

use coracle_engine::{ExchangeError, RequestError};

/// Why a request, an observation or an endpoint failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The URI cannot be used: what is wrong with it.
    Uri(String),
    /// The host's name leads to no address.
    Resolve {
        /// The name.
        host: String,
        /// What the system says; `None` when it knows no address.
        source: Option<io::Error>,
    },
    /// The peer did not answer, or not as the RFCs ask.
    Exchange(ExchangeError),
    /// The request could not be sent.
    Request(RequestError),
    /// A socket could not be opened or used.
    Io(io::Error),
    /// The body of a request could not be read, or that of an answer not written.
    Body(io::Error),
    /// The payload is not what was asked for: what is wrong with it.
    Payload(String),
    /// The endpoint is gone.
    Closed,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Uri(what) => write!(f, "cannot use this URI: {what}"),
            Error::Resolve {
                host,
                source: Some(error),
            } => write!(f, "cannot find {host}: {error}"),
            Error::Resolve { host, source: None } => write!(f, "cannot find {host}: no address"),
            Error::Exchange(error) => error.fmt(f),
            Error::Request(error) => error.fmt(f),
            Error::Io(error) | Error::Body(error) => error.fmt(f),
            Error::Payload(what) => write!(f, "the payload is not what was expected: {what}"),
            Error::Closed => f.write_str("the endpoint is closed"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Resolve {
                source: Some(error), ..
            }
            | Error::Io(error)
            | Error::Body(error) => Some(error),
            Error::Exchange(error) => Some(error),
            Error::Request(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ExchangeError> for Error {
    fn from(error: ExchangeError) -> Error {
        Error::Exchange(error)
    }
}

impl From<RequestError> for Error {
    fn from(error: RequestError) -> Error {
        match error {
            RequestError::Closed => Error::Closed,
            error => Error::Request(error),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Io(error)
    }
}
