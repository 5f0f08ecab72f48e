//! Payloads as values.

use bytes::Bytes;
use coracle_wire::{ContentFormat, Status};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::FromRequest;
use crate::rejection::Rejection;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// A payload in JSON, Content-Format 50, or a response in it.
///
/// Another Content-Format is 4.15; none at all is taken for JSON. What does not read as a `T` is 4.00.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// A payload in CBOR, Content-Format 60, or a response in it.
///
/// Another Content-Format is 4.15; none at all is taken for CBOR. What does not read as a `T` is 4.00, as are values
/// nested more than 128 deep and bytes after the value. Numbers are read in any width and written in the shortest
/// (RFC 8949 §4.1): what one side sends as half a float the other may take as a double.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cbor<T>(pub T);

/// How deep CBOR may nest: as deep as serde_json takes JSON. Each level is a stack frame or two.
const MAX_DEPTH: usize = 128;

/// The payload, which says of itself that it is `format` or says nothing.
async fn payload(request: &mut Request, format: ContentFormat) -> Result<Bytes, Rejection> {
    match request.options.as_options().content_format() {
        Some(found) if found != format => Err(Rejection::ContentFormat { found }),
        _ => request.whole_body().await,
    }
}

/// What a handler returned cannot be written; the peer learns no more than that.
fn unwritable() -> Response {
    Response::diagnostic(Status::INTERNAL_SERVER_ERROR, "the response cannot be expressed")
}

/// Text in UTF-8: text/plain, or without a Content-Format.
impl<S: Sync> FromRequest<S> for String {
    type Rejection = Rejection;

    fn is_at_hand(request: &Request) -> bool {
        request.is_whole()
    }

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Rejection> {
        let payload = payload(request, ContentFormat::TEXT).await?;
        let text = std::str::from_utf8(&payload).map_err(|error| Rejection::Payload(error.to_string()))?;
        Ok(text.into())
    }
}

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Rejection;

    fn is_at_hand(request: &Request) -> bool {
        request.is_whole()
    }

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Rejection> {
        let payload = payload(request, ContentFormat::JSON).await?;
        serde_json::from_slice(&payload)
            .map(Json)
            .map_err(|error| Rejection::Payload(error.to_string()))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(payload) => Response::success(payload).with_content_format(ContentFormat::JSON),
            Err(_) => unwritable(),
        }
    }
}

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Cbor<T> {
    type Rejection = Rejection;

    fn is_at_hand(request: &Request) -> bool {
        request.is_whole()
    }

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Rejection> {
        let payload = payload(request, ContentFormat::CBOR).await?;
        let mut unread = &payload[..];
        let value = ciborium::de::from_reader_with_recursion_limit(&mut unread, MAX_DEPTH)
            .map_err(|error| Rejection::Payload(explain(&error)))?;
        if !unread.is_empty() {
            return Err(Rejection::Payload("bytes follow the value".into()));
        }
        Ok(Cbor(value))
    }
}

impl<T: Serialize> IntoResponse for Cbor<T> {
    fn into_response(self) -> Response {
        let mut payload = Vec::new();
        match ciborium::into_writer(&self.0, &mut payload) {
            Ok(()) => Response::success(payload).with_content_format(ContentFormat::CBOR),
            Err(_) => unwritable(),
        }
    }
}

fn explain<E>(error: &ciborium::de::Error<E>) -> String {
    use ciborium::de::Error;
    match error {
        Error::Io(_) => "it ends within the value".into(),
        Error::Syntax(offset) => format!("malformed at byte {offset}"),
        Error::Semantic(_, reason) => reason.clone(),
        Error::RecursionLimitExceeded => format!("nested more than {MAX_DEPTH} deep"),
    }
}
