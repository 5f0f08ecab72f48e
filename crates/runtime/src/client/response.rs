//! Answers as clients see them.

use std::net::SocketAddr;

use bytes::Bytes;
use coracle_formats::link_format::Links;
use coracle_wire::{ContentFormat, OptionsBuf, Status};
use serde::de::DeserializeOwned;

use crate::error::Error;

/// How deep CBOR may nest, so that a body of brackets cannot use up the stack.
const MAX_CBOR_DEPTH: usize = 128;

/// The answer to a request, with its whole body.
#[derive(Clone, Debug)]
pub struct Response {
    status: Status,
    options: OptionsBuf,
    payload: Bytes,
    from: SocketAddr,
}

impl Response {
    /// The response code.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// The options, without those of block-wise transfer.
    #[must_use]
    pub fn options(&self) -> &OptionsBuf {
        &self.options
    }

    /// The body.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Who answered.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        self.from
    }

    /// What the body is, if the answer says so.
    #[must_use]
    pub fn content_format(&self) -> Option<ContentFormat> {
        self.options.as_options().content_format()
    }

    /// The body as text.
    ///
    /// # Errors
    /// [`Error::Payload`] when it is not UTF-8.
    pub fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.payload).map_err(|error| Error::Payload(error.to_string()))
    }

    /// The body read as JSON.
    ///
    /// # Errors
    /// [`Error::Payload`] when it is not JSON, or not of this shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.payload).map_err(|error| Error::Payload(error.to_string()))
    }

    /// The body read as CBOR.
    ///
    /// # Errors
    /// [`Error::Payload`] when it is not CBOR, or not of this shape.
    pub fn cbor<T: DeserializeOwned>(&self) -> Result<T, Error> {
        ciborium::de::from_reader_with_recursion_limit(&self.payload[..], MAX_CBOR_DEPTH)
            .map_err(|error| Error::Payload(error.to_string()))
    }

    /// The body read as link-format (RFC 6690).
    ///
    /// # Errors
    /// [`Error::Payload`] when it is not link-format.
    pub fn links(&self) -> Result<Links<'_>, Error> {
        Links::from_bytes(&self.payload).map_err(|error| Error::Payload(error.to_string()))
    }
}

impl Response {
    pub(crate) fn new(status: Status, options: OptionsBuf, payload: Bytes, from: SocketAddr) -> Response {
        Response {
            status,
            options,
            payload,
            from,
        }
    }
}

impl From<coracle_engine::Response> for Response {
    fn from(response: coracle_engine::Response) -> Response {
        Response::new(
            response.status,
            response.options,
            response.payload.into(),
            response.path.remote,
        )
    }
}
