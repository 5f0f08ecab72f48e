//! Why a request did not reach its handler, as the response that says so.

use std::fmt;

use coracle_wire::{ContentFormat, OptionNumber, Status};

use crate::response::{IntoResponse, Response};

/// A request that the router or an extractor refuses, and why. As a response it carries the reason as a diagnostic
/// message (RFC 7252 §5.5.2).
///
/// A handler that would rather decide by itself takes `Result<Json<T>, Rejection>` instead of `Json<T>`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// No route has this path, or a part of the path is not what the handler asks for. 4.04.
    NotFound,
    /// A part of the path does not read as the type that the handler asks for. 4.04: nothing has such a name.
    Path {
        /// The name of the capture.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The handler asks who the peer is, and it has not proved to be anybody (RFC 7252 §5.9.2.2). 4.01.
    Anonymous,
    /// The handler asks for other captures than its route has: the fault is the program's. 5.00.
    Captures {
        /// How many the handler asks for.
        wanted: usize,
        /// How many the route has.
        found: usize,
    },
    /// The route has no handler for the method (RFC 7252 §5.8). 4.05.
    Method {
        /// The methods that it has a handler for, for people.
        allowed: String,
    },
    /// A critical option that neither the stack nor the route knows, or in a form that it cannot have
    /// (RFC 7252 §5.4.1, §5.4.3, §5.4.5). 4.02; 5.05 of the options that
    /// ask for a proxy.
    Option(OptionNumber),
    /// The representation that is asked for is not to be had (RFC 7252 §5.10.4). 4.06.
    NotAcceptable {
        /// What Accept asks for.
        accept: ContentFormat,
    },
    /// The payload has a format that is not understood (RFC 7252 §5.9.2.10). 4.15.
    ContentFormat {
        /// What the request says it is.
        found: ContentFormat,
    },
    /// If-Match or If-None-Match does not hold, or nobody can tell (RFC 7252 §5.10.8). 4.12.
    Precondition,
    /// The query does not read as the type that the handler asks for. 4.00.
    Query(String),
    /// The payload does not read as the type that the handler asks for. 4.00.
    Payload(String),
    /// The body is longer than the route takes (RFC 7252 §5.9.2.9). 4.13 with Size1.
    BodyTooLong {
        /// What it takes, in bytes.
        limit: usize,
    },
    /// A streamed body broke off (RFC 7959 §2.9.2). 4.08.
    BodyInterrupted,
    /// No layer attached what the handler asks for: the fault is the program's. 5.00.
    Extension {
        /// The type that is missing.
        name: &'static str,
    },
    /// An extractor has to wait though it said that it is [at hand](crate::FromRequest::is_at_hand): the fault is the
    /// program's. 5.00.
    NotAtHand {
        /// The extractor.
        name: &'static str,
    },
}

impl Rejection {
    /// The response code.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Rejection::NotFound | Rejection::Path { .. } => Status::NOT_FOUND,
            Rejection::Anonymous => Status::UNAUTHORIZED,
            Rejection::Method { .. } => Status::METHOD_NOT_ALLOWED,
            // RFC 7252 §5.7.2.
            Rejection::Option(OptionNumber::PROXY_URI | OptionNumber::PROXY_SCHEME) => {
                Status::PROXYING_NOT_SUPPORTED
            }
            Rejection::Option(_) => Status::BAD_OPTION,
            Rejection::NotAcceptable { .. } => Status::NOT_ACCEPTABLE,
            Rejection::ContentFormat { .. } => Status::UNSUPPORTED_CONTENT_FORMAT,
            Rejection::Precondition => Status::PRECONDITION_FAILED,
            Rejection::Query(_) | Rejection::Payload(_) => Status::BAD_REQUEST,
            Rejection::BodyTooLong { .. } => Status::REQUEST_ENTITY_TOO_LARGE,
            Rejection::BodyInterrupted => Status::REQUEST_ENTITY_INCOMPLETE,
            Rejection::Captures { .. } | Rejection::Extension { .. } | Rejection::NotAtHand { .. } => {
                Status::INTERNAL_SERVER_ERROR
            }
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejection::NotFound => f.write_str("no such resource"),
            Rejection::Path { name, reason } => write!(f, "no such resource: {name}: {reason}"),
            Rejection::Anonymous => f.write_str(
                "this is only for peers that prove who they are, by coaps:// with a key or a certificate",
            ),
            Rejection::Captures { wanted, found } => {
                write!(
                    f,
                    "the handler asks for {wanted} parts of the path, its route captures {found}"
                )
            }
            Rejection::Method { allowed } if allowed.is_empty() => f.write_str("no such method"),
            Rejection::Method { allowed } => write!(f, "allowed: {allowed}"),
            Rejection::Option(number) => match number.name() {
                Some(name) => write!(f, "option {} ({name}) is not supported here", number.0),
                None => write!(f, "option {} is not supported here", number.0),
            },
            Rejection::NotAcceptable { accept } => write!(f, "not available as {accept}"),
            Rejection::ContentFormat { found } => write!(f, "{found} is not understood here"),
            Rejection::Precondition => f.write_str("If-Match or If-None-Match does not hold"),
            Rejection::Query(reason) => write!(f, "query: {reason}"),
            Rejection::Payload(reason) => write!(f, "payload: {reason}"),
            Rejection::BodyTooLong { limit } => write!(f, "at most {limit} bytes"),
            Rejection::BodyInterrupted => f.write_str("the body broke off before its end"),
            Rejection::Extension { name } => write!(f, "no layer attached a {name}"),
            Rejection::NotAtHand { name } => write!(f, "{name} is not at hand"),
        }
    }
}

impl std::error::Error for Rejection {}

impl IntoResponse for Rejection {
    /// What a fault of the program is about is logged, and not told to the peer.
    fn into_response(self) -> Response {
        let status = self.status();
        let response = Response::new(status);
        match self {
            Rejection::NotFound | Rejection::Precondition => response,
            Rejection::Captures { .. } | Rejection::Extension { .. } | Rejection::NotAtHand { .. } => {
                tracing::error!(error = %self, "a handler asks for what its route does not have");
                response.with_payload("the request cannot be handled")
            }
            Rejection::BodyTooLong { limit } => {
                let mut response = response.with_payload(self.to_string());
                response.options.set_uint(OptionNumber::SIZE1, limit as u64);
                response
            }
            told => response.with_payload(told.to_string()),
        }
    }
}
