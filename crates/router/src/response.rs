//! Answers to requests, and what can be turned into one.

use std::convert::Infallible;

use bytes::Bytes;
use coracle_engine::Window;
use coracle_wire::{ContentFormat, OptionNumber, OptionsBuf, Status};

use crate::notifier::Observable;

/// The answer to a [`Request`](crate::Request).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Response {
    /// The response code.
    pub status: Status,
    /// The options; Block1, Block2, Size2 and Observe are the engine's.
    pub options: OptionsBuf,
    /// The whole body, or with `window` a part of it.
    pub payload: Bytes,
    /// Accepts an observation if the request asks for one (RFC 7641 §4.1).
    pub observe: Option<Observable>,
    /// What part of the body `payload` is; `None`: all of it.
    pub window: Option<Window>,
    /// Whether notifications are confirmable; `None`: as the registration was.
    pub confirmable: Option<bool>,
    /// It depends on who asks, so that observers do not share it.
    pub personal: bool,
    /// Nobody chose the status: the route puts the method's own in its place.
    implied: bool,
}

impl Response {
    /// An answer without payload.
    #[must_use]
    pub fn new(status: Status) -> Response {
        Response {
            status,
            options: OptionsBuf::new(),
            payload: Bytes::new(),
            observe: None,
            window: None,
            confirmable: None,
            personal: false,
            implied: false,
        }
    }

    /// The success of whatever was asked: 2.05 of GET and FETCH, 2.02 of DELETE, 2.04 of all others
    /// (RFC 7252 §5.8, RFC 8132 §2).
    #[must_use]
    pub fn success(payload: impl Into<Bytes>) -> Response {
        Response {
            payload: payload.into(),
            implied: true,
            ..Response::new(Status::CONTENT)
        }
    }

    /// An error with a text for people (RFC 7252 §5.5.2).
    #[must_use]
    pub fn diagnostic(status: Status, text: impl Into<String>) -> Response {
        Response::new(status).with_payload(text.into())
    }

    /// With this status.
    #[must_use]
    pub fn with_status(mut self, status: Status) -> Self {
        self.status = status;
        self.implied = false;
        self
    }

    /// With this body.
    #[must_use]
    pub fn with_payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.payload = payload.into();
        self
    }

    /// With one more option. A value beyond 65,804 bytes, which no message can hold, is left out.
    #[must_use]
    pub fn with_option(mut self, number: OptionNumber, value: &[u8]) -> Self {
        let _ = self.options.insert(number, value);
        self
    }

    /// With this Content-Format (RFC 7252 §5.10.3).
    #[must_use]
    pub fn with_content_format(mut self, format: ContentFormat) -> Self {
        self.set_content_format(format);
        self
    }

    /// With this ETag, of 1 to 8 bytes (RFC 7252 §5.10.6). The router answers 2.03 in its place where the peer has it.
    #[must_use]
    pub fn with_etag(mut self, etag: &[u8]) -> Self {
        let _ = self.options.set(OptionNumber::ETAG, etag);
        self
    }

    /// With this Max-Age in seconds (RFC 7252 §5.10.5).
    #[must_use]
    pub fn with_max_age(mut self, seconds: u32) -> Self {
        self.options.set_uint(OptionNumber::MAX_AGE, u64::from(seconds));
        self
    }

    /// Whose payload is only this part of the body.
    #[must_use]
    pub fn with_window(mut self, window: Window) -> Self {
        self.window = Some(window);
        self
    }

    /// Accepts an observation: when the state changes, the handler is called again for the observer.
    #[must_use]
    pub fn observed(mut self, state: impl Into<Observable>) -> Self {
        self.observe = Some(state.into());
        self
    }

    /// With notifications that are confirmable, or not (RFC 7641 §4.5).
    #[must_use]
    pub fn with_confirmable(mut self, confirmable: bool) -> Self {
        self.confirmable = Some(confirmable);
        self
    }

    /// Which depends on who asks: each observer is answered by a call of its own. Otherwise all who observe with the
    /// same options and under the same security identity share the answer to one of them.
    ///
    /// The answers of a handler that takes a [`Peer`](coracle_engine::Peer) or the whole [`Request`](crate::Request) are
    /// it by themselves; those of a layer that looks at the peer have to say it.
    #[must_use]
    pub fn personal(mut self) -> Self {
        self.personal = true;
        self
    }

    /// Its Content-Format, if it says one.
    #[must_use]
    pub fn content_format(&self) -> Option<ContentFormat> {
        self.options.as_options().content_format()
    }

    pub(crate) fn set_content_format(&mut self, format: ContentFormat) {
        self.options
            .set_uint(OptionNumber::CONTENT_FORMAT, u64::from(format.0));
    }

    /// Replaces an implied status by one of the method.
    pub(crate) fn settle(&mut self, status: Status) {
        if std::mem::take(&mut self.implied) {
            self.status = status;
        }
    }
}

/// What a handler may return.
///
/// | type | becomes |
/// |---|---|
/// | `()`, [`Bytes`], `Vec<u8>`, `&'static [u8]` | the method's success: 2.05, 2.02 or 2.04 ([`Response::success`]) |
/// | `&'static str`, `String` | the same, as text/plain |
/// | [`Json`](crate::Json), [`Cbor`](crate::Cbor) | the same, as JSON or CBOR |
/// | [`Created`], [`Changed`], [`Deleted`] | 2.01 with its location, 2.04, 2.02 |
/// | [`Status`] | that status without payload |
/// | `(Status, T)` | `T` with that status; of an error a text is a diagnostic message |
/// | `(ContentFormat, T)`, `(OptionsBuf, T)`, `(Status, OptionsBuf, T)` | `T` with that format, with these options added |
/// | `Result<T, E>` | whichever it is |
/// | [`Observed<T>`](crate::Observed) | `T`, and the observation is accepted |
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the answer of a CoAP handler",
    label = "not a response",
    note = "return text, bytes, `Status`, `(Status, T)`, `Json<T>`, `Cbor<T>`, `Created`, `Changed`, `Deleted`, `Response` \
            or a `Result` of two of them; or implement `IntoResponse`"
)]
pub trait IntoResponse {
    /// Makes it a response.
    fn into_response(self) -> Response;
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl IntoResponse for Infallible {
    fn into_response(self) -> Response {
        match self {}
    }
}

impl IntoResponse for () {
    fn into_response(self) -> Response {
        Response::success(Bytes::new())
    }
}

impl IntoResponse for Status {
    fn into_response(self) -> Response {
        Response::new(self)
    }
}

macro_rules! bodies {
    ($($body:ty),*) => {$(
        impl IntoResponse for $body {
            fn into_response(self) -> Response {
                Response::success(self)
            }
        }
    )*};
}

bodies!(Bytes, Vec<u8>, &'static [u8]);

macro_rules! texts {
    ($($text:ty),*) => {$(
        impl IntoResponse for $text {
            fn into_response(self) -> Response {
                // In its place: what was just written in small pieces is dear to move.
                let mut response = Response::success(self);
                response.set_content_format(ContentFormat::TEXT);
                response
            }
        }
    )*};
}

texts!(&'static str, String);

impl<T: IntoResponse, E: IntoResponse> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(value) => value.into_response(),
            Err(error) => error.into_response(),
        }
    }
}

impl<T: IntoResponse> IntoResponse for (Status, T) {
    /// The text of an error is a diagnostic message, which has no Content-Format (RFC 7252 §5.5.2).
    fn into_response(self) -> Response {
        let (status, body) = self;
        let mut response = body.into_response().with_status(status);
        if !status.is_success() && response.content_format() == Some(ContentFormat::TEXT) {
            response.options.remove(OptionNumber::CONTENT_FORMAT);
        }
        response
    }
}

impl<T: IntoResponse> IntoResponse for (ContentFormat, T) {
    fn into_response(self) -> Response {
        self.1.into_response().with_content_format(self.0)
    }
}

impl<T: IntoResponse> IntoResponse for (OptionsBuf, T) {
    fn into_response(self) -> Response {
        let (options, body) = self;
        options.iter().fold(body.into_response(), |response, option| {
            response.with_option(option.number, option.value)
        })
    }
}

impl<T: IntoResponse> IntoResponse for (Status, OptionsBuf, T) {
    fn into_response(self) -> Response {
        let (status, options, body) = self;
        (options, (status, body)).into_response()
    }
}

/// 2.01: a resource was made (RFC 7252 §5.9.1.1).
#[derive(Clone, Debug, Default)]
pub struct Created {
    options: OptionsBuf,
}

impl Created {
    /// Made where the request said.
    #[must_use]
    pub fn new() -> Created {
        Created::default()
    }

    /// Made at `location`, a decoded path with a query if need be: `/store/3`, `/rd?id=7` (RFC 7252 §5.10.7).
    ///
    /// A segment or argument beyond 65,804 bytes, which no message can hold, is left out.
    #[must_use]
    pub fn at(location: &str) -> Created {
        let mut options = OptionsBuf::new();
        crate::request::push_location(
            &mut options,
            location,
            OptionNumber::LOCATION_PATH,
            OptionNumber::LOCATION_QUERY,
        );
        Created { options }
    }

    /// With the ETag of what was made, of 1 to 8 bytes.
    #[must_use]
    pub fn with_etag(mut self, etag: &[u8]) -> Created {
        let _ = self.options.set(OptionNumber::ETAG, etag);
        self
    }
}

impl IntoResponse for Created {
    fn into_response(self) -> Response {
        let mut response = Response::new(Status::CREATED);
        response.options = self.options;
        response
    }
}

/// 2.04: the resource was changed (RFC 7252 §5.9.1.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed;

impl IntoResponse for Changed {
    fn into_response(self) -> Response {
        Response::new(Status::CHANGED)
    }
}

/// 2.02: the resource is gone (RFC 7252 §5.9.1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted;

impl IntoResponse for Deleted {
    fn into_response(self) -> Response {
        Response::new(Status::DELETED)
    }
}
