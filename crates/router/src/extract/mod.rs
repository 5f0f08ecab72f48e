//! Extractors: what handlers may ask for.

mod content;
mod path;
mod query;

use std::convert::Infallible;
use std::future::Future;

use bytes::Bytes;
use coracle_engine::Peer;
use coracle_wire::{Method, OptionsBuf};

pub use content::{Cbor, Json};
pub use path::{FromPath, FromSegment, Path, PathCaptures};
pub use query::Query;

use crate::body::BodyStream;
use crate::identity::Identity;
use crate::rejection::Rejection;
use crate::request::Request;
use crate::response::IntoResponse;

/// What a handler takes as an argument: made of the request and of the router's state.
///
/// Arguments stand in any order; the payload is cheap to hand out more than once. Only a [`BodyStream`] can be taken
/// but once: a second one, or a whole body after it, is empty.
///
/// | argument | gives |
/// |---|---|
/// | [`Path<T>`] | captures of the path |
/// | [`Query<T>`] | the arguments of the query |
/// | [`Bytes`], `String`, [`Json<T>`], [`Cbor<T>`] | the payload |
/// | [`BodyStream`] | the payload part by part |
/// | [`State<T>`] | the state, or a part of it ([`FromRef`]) |
/// | [`Peer`], [`Method`], [`OptionsBuf`] | who asks, how, with which options |
/// | [`Identity`](crate::Identity) | who the peer has proved to be, else 4.01 |
/// | [`Preconditions`](crate::Preconditions) | If-Match and If-None-Match |
/// | [`Extension<T>`] | what a layer attached |
/// | [`Request`] | all of it |
/// | `Option<T>`, `Result<T, T::Rejection>` | `T`, refused or not |
///
/// An own one, for instance for who may do what:
///
/// ```
/// use coracle_router::{FromRequest, Identity, Request};
/// use coracle_wire::Status;
///
/// struct Device(String);
///
/// impl<S: Sync> FromRequest<S> for Device {
///     const PERSONAL: bool = true;
///     type Rejection = Status;
///
///     async fn from_request(request: &mut Request, _: &S) -> Result<Self, Status> {
///         match &request.identity {
///             Some(Identity::Psk(name)) => Ok(Device(String::from_utf8_lossy(name).into_owned())),
///             Some(_) => Err(Status::FORBIDDEN),
///             None => Err(Status::UNAUTHORIZED),
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a CoAP handler whose router has the state `{S}`",
    label = "not an extractor",
    note = "extractors are `Path`, `Query`, `Bytes`, `String`, `Json`, `Cbor`, `BodyStream`, `State`, `Peer`, `Identity`, \
            `Method`, `OptionsBuf`, `Preconditions`, `Extension`, `Request` and what implements `FromRequest<S>`"
)]
pub trait FromRequest<S>: Sized {
    /// Takes the body part by part: bodies for a handler with such an argument are not assembled.
    const STREAMS_BODY: bool = false;

    /// Tells who asks: the answer of a handler with such an argument is [`personal`](crate::Response::personal).
    const PERSONAL: bool = false;

    /// What is answered instead of calling the handler.
    type Rejection: IntoResponse;

    /// Whether it can be taken of this request without waiting: the future of [`from_request`](Self::from_request) is
    /// ready when it is first polled.
    ///
    /// If that is so of all arguments of a handler, they are taken on the spot, and the request need not be kept while
    /// the handler runs. One that has to wait all the same is answered 5.00.
    #[must_use]
    fn is_at_hand(request: &Request) -> bool {
        let _ = request;
        false
    }

    /// Takes it out of the request.
    fn from_request(
        request: &mut Request,
        state: &S,
    ) -> impl Future<Output = Result<Self, Self::Rejection>> + Send;
}

/// The state of the router, or a part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State<T>(pub T);

/// How a part is had of the state: `impl FromRef<App> for Notifier<f32>` lets handlers ask for
/// `State<Notifier<f32>>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not part of the state `{T}`",
    note = "the whole state must be `Clone`; for a part of it implement `FromRef<{T}>`"
)]
pub trait FromRef<T> {
    /// The part, most often a clone.
    fn from_ref(state: &T) -> Self;
}

impl<T: Clone> FromRef<T> for T {
    fn from_ref(state: &T) -> T {
        state.clone()
    }
}

impl<S: Sync, T: FromRef<S>> FromRequest<S> for State<T> {
    type Rejection = Infallible;

    fn is_at_hand(_: &Request) -> bool {
        true
    }

    async fn from_request(_: &mut Request, state: &S) -> Result<Self, Infallible> {
        Ok(State(T::from_ref(state)))
    }
}

/// A value that a layer attached to the request; without it 5.00.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extension<T>(pub T);

impl<S: Sync, T: Clone + Send + Sync + 'static> FromRequest<S> for Extension<T> {
    type Rejection = Rejection;

    fn is_at_hand(_: &Request) -> bool {
        true
    }

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Rejection> {
        let missing = || Rejection::Extension {
            name: std::any::type_name::<T>(),
        };
        request
            .extensions
            .get::<T>()
            .cloned()
            .map(Extension)
            .ok_or_else(missing)
    }
}

impl<S: Sync> FromRequest<S> for Peer {
    const PERSONAL: bool = true;

    type Rejection = Infallible;

    fn is_at_hand(_: &Request) -> bool {
        true
    }

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Infallible> {
        Ok(request.peer())
    }
}

impl<S: Sync> FromRequest<S> for Identity {
    const PERSONAL: bool = true;

    type Rejection = Rejection;

    fn is_at_hand(_: &Request) -> bool {
        true
    }

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Rejection> {
        request.identity.clone().ok_or(Rejection::Anonymous)
    }
}

/// How many bytes of a body one message of the answer may hold ([`Request::part_len`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartLen(pub usize);

impl<S: Sync> FromRequest<S> for PartLen {
    type Rejection = Infallible;

    fn is_at_hand(_: &Request) -> bool {
        true
    }

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Self::Rejection> {
        Ok(PartLen(request.part_len))
    }
}

impl<S: Sync> FromRequest<S> for Method {
    type Rejection = Infallible;

    fn is_at_hand(_: &Request) -> bool {
        true
    }

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Infallible> {
        Ok(request.method)
    }
}

impl<S: Sync> FromRequest<S> for OptionsBuf {
    type Rejection = Infallible;

    fn is_at_hand(_: &Request) -> bool {
        true
    }

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Infallible> {
        Ok(request.options.clone())
    }
}

impl<S: Sync> FromRequest<S> for Bytes {
    type Rejection = Rejection;

    fn is_at_hand(request: &Request) -> bool {
        request.is_whole()
    }

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Rejection> {
        request.whole_body().await
    }
}

impl<S: Sync> FromRequest<S> for BodyStream {
    const STREAMS_BODY: bool = true;

    type Rejection = Infallible;

    fn is_at_hand(_: &Request) -> bool {
        true
    }

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Infallible> {
        Ok(request.take_stream())
    }
}

/// A copy of the request. A body that comes as a stream goes with it, though routes stream only for handlers that
/// take a [`BodyStream`].
impl<S: Sync> FromRequest<S> for Request {
    const PERSONAL: bool = true;

    type Rejection = Infallible;

    fn is_at_hand(_: &Request) -> bool {
        true
    }

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Infallible> {
        Ok(request.split_off())
    }
}

impl<S: Sync, T: FromRequest<S>> FromRequest<S> for Option<T> {
    const STREAMS_BODY: bool = T::STREAMS_BODY;
    const PERSONAL: bool = T::PERSONAL;

    type Rejection = Infallible;

    fn is_at_hand(request: &Request) -> bool {
        T::is_at_hand(request)
    }

    async fn from_request(request: &mut Request, state: &S) -> Result<Self, Infallible> {
        Ok(T::from_request(request, state).await.ok())
    }
}

impl<S: Sync, T: FromRequest<S>> FromRequest<S> for Result<T, T::Rejection> {
    const STREAMS_BODY: bool = T::STREAMS_BODY;
    const PERSONAL: bool = T::PERSONAL;

    type Rejection = Infallible;

    fn is_at_hand(request: &Request) -> bool {
        T::is_at_hand(request)
    }

    async fn from_request(request: &mut Request, state: &S) -> Result<Self, Infallible> {
        Ok(T::from_request(request, state).await)
    }
}
