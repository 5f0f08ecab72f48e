//! What can go wrong, and whose fault it is.

use std::fmt;
use std::io;
use std::time::Duration;

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
    /// The server released the connection and asked that no other be made for so long (RFC 8323 §5.5).
    HeldOff {
        /// How long still.
        wait: Duration,
    },
    /// The endpoint is gone.
    Closed,
}

impl Error {
    /// The same for another who waits for the same connection.
    pub(crate) fn copy(&self) -> Error {
        let copy = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
        match self {
            Error::Uri(text) => Error::Uri(text.clone()),
            Error::Resolve { host, source } => Error::Resolve {
                host: host.clone(),
                source: source.as_ref().map(copy),
            },
            Error::Exchange(error) => Error::Exchange(*error),
            Error::Request(error) => Error::Request(*error),
            Error::Io(error) => Error::Io(copy(error)),
            Error::Body(error) => Error::Body(copy(error)),
            Error::Payload(text) => Error::Payload(text.clone()),
            Error::HeldOff { wait } => Error::HeldOff { wait: *wait },
            Error::Closed => Error::Closed,
        }
    }
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
            Error::HeldOff { wait } => {
                let seconds = wait.as_secs() + 1;
                write!(
                    f,
                    "the server released the connection and asked to be left alone for {seconds} s more (RFC 8323 §5.5)"
                )
            }
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
