//! CoAP handlers as Rust functions: paths to handlers, extractors, responses, layers and notifiers.
//!
//! Floor 2 of Coracle: requests and responses as values, async without a runtime, no sockets. Those who know axum
//! know this; what is CoAP's own is listed below.
//!
//! ```
//! use coracle_router::{get, Cbor, Changed, Notifier, Path, Rejection, Request, Response, Router, State};
//! use coracle_wire::{ContentFormat, Status};
//!
//! #[derive(Clone)]
//! struct App {
//!     temperature: Notifier<f32>,
//! }
//!
//! async fn read_temp(State(app): State<App>) -> Response {
//!     app.temperature.observed(|celsius| celsius.to_string()) // peers may observe it
//! }
//!
//! async fn write_led(Path(n): Path<u8>, Cbor(on): Cbor<bool>) -> Result<Changed, (Status, &'static str)> {
//!     if n > 3 { Err((Status::NOT_FOUND, "there are four LEDs")) } else { Ok(Changed) }
//! }
//!
//! # async fn read_led(Path(n): Path<u8>) -> Cbor<bool> { Cbor(n == 0) }
//! let temperature = Notifier::new(21.5);
//! let app = Router::new()
//!     .route("/temp", get(read_temp).rt("temperature").content_format(ContentFormat::TEXT).observable())
//!     .route("/led/{n}", get(read_led).put(write_led))
//!     .with_state(App { temperature: temperature.clone() });
//!
//! // No socket is needed to try it.
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let response = app.oneshot(Request::get("/temp")).await;
//! assert_eq!(response.status, Status::CONTENT);
//! assert_eq!(response.payload, "21.5");
//!
//! let links = app.oneshot(Request::get("/.well-known/core?rt=temp*")).await;
//! assert_eq!(links.payload, r#"</temp>;rt="temperature";ct=0;obs"#);
//!
//! let unread = app.oneshot(Request::put("/led/1").with_payload("on")).await;
//! assert_eq!(unread.status, Status::BAD_REQUEST);
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What the router answers by itself
//! In this order, the first that applies:
//!
//! | code | when | source |
//! |---|---|---|
//! | 4.02 | a critical option that neither the stack nor the route ([`MethodRouter::option`]) knows, is malformed (a path that is not UTF-8 too) or comes too often | RFC 7252 §5.4 |
//! | 4.04 | no route has the path | RFC 7252 §5.9.2.5 |
//! | 4.05 | the route has no handler for the method | RFC 7252 §5.8 |
//! | 4.06 | Accept is none of the formats that the route declares ([`MethodRouter::content_format`]) | RFC 7252 §5.10.4 |
//! | 4.15 | Content-Format is none of those that the route [`consumes`](MethodRouter::consumes) | RFC 7252 §5.9.2.10 |
//! | 4.12 | If-Match or If-None-Match does not hold ([`MethodRouter::conditional`]) | RFC 7252 §5.10.8 |
//! | 4.00 and others | an extractor refuses ([`Rejection`]) | |
//! | 4.06 | a 2.05 has another Content-Format than Accept | RFC 7252 §5.10.4 |
//! | 2.03 | the ETag of a 2.05 is among those of a GET | RFC 7252 §5.10.6.2 |
//! | 5.00 | a handler or layer panics | |
//!
//! # Drivers
//! A driver turns what the engine hands out into a [`Request`] (`Request::from`, [`Request::refill`]), has the router
//! [`begin`](Router::begin) to answer it, polls the [`RouteFuture`] until it is ready if it was not at once, and gives the
//! [`Response`] back to the engine. It passes [`Router::declared_options`] to
//! the engine as known options and the router itself as its body policy; feeds a [`BodyStream`] through its
//! [`BodySender`]; and subscribes its [`ChangeSink`] to the [`Observable`] of a response that accepts an observation.

mod body;
mod discovery;
mod extensions;
mod extract;
mod finish;
mod handler;
mod identity;
mod meta;
mod method_router;
mod middleware;
mod notifier;
mod pattern;
mod preconditions;
mod rejection;
mod request;
mod resource;
mod response;
mod route;
mod router;
mod table;
mod trie;
mod wishes;

pub use bytes::Bytes;

pub use body::{BodyInterrupted, BodySender, BodyStream, Demand};
pub use extensions::Extensions;
pub use extract::{
    Cbor, Extension, FromPath, FromRef, FromRequest, FromSegment, Json, PartLen, Path, PathCaptures, Query,
    State,
};
pub use handler::Handler;
pub use identity::{Certificate, Identity};
pub use method_router::{MethodRouter, any, delete, fetch, get, ipatch, on, patch, post, put};
pub use middleware::{FromFn, FromFnService, Next, from_fn};
pub use notifier::{ChangeSink, Notifier, Observable, Observed};
pub use preconditions::Preconditions;
pub use rejection::Rejection;
pub use request::{DEFAULT_BODY_LIMIT, Request};
pub use response::{Changed, Created, Deleted, IntoResponse, Response};
pub use route::{Route, RouteFuture, ServiceFuture};
pub use router::Router;
