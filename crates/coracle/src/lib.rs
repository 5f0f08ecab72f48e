//! CoAP for Rust: server, client and router, over UDP, DTLS, TCP, TLS and WebSocket.
//!
//! This crate is the front door: it has no code of its own, it re-exports the crates of Coracle under one name.
//! [`prelude`] holds what nearly every program uses.
//!
//! # A server
//! ```no_run
//! use coracle::prelude::*;
//!
//! #[tokio::main]
//! async fn main() -> coracle::Result<()> {
//!     let temperature = Notifier::new(21.5_f32); // set() notifies everybody who observes it
//!     let app = Router::new()
//!         .route("/temp", get(read).put(write).rt("temperature").observable())
//!         .with_state(temperature);
//!     coracle::Endpoint::bind("coap://localhost")?.serve(app).await
//! }
//!
//! async fn read(State(temperature): State<Notifier<f32>>) -> Response {
//!     temperature.observed(|celsius| celsius.to_string())
//! }
//!
//! async fn write(State(temperature): State<Notifier<f32>>, Json(celsius): Json<f32>) -> Changed {
//!     temperature.set(celsius);
//!     Changed
//! }
//! ```
//! Retransmission, de-duplication, block-wise transfer, observation, `/.well-known/core` and the refusal of critical
//! options that nobody knows are below the handlers. What the router answers by itself is listed in [`router`]. On Linux
//! the peers of a port are shared among as many engines as the runtime has threads ([`Endpoint::with_shards`]).
//!
//! The scheme says how peers come, and an endpoint has as many addresses as it likes:
//! ```no_run
//! # async fn example(app: coracle::Router) -> coracle::Result<(), Box<dyn std::error::Error>> {
//! use coracle::tls::{ClientCertificates, Identity, ServerTls};
//!
//! let own = Identity::from_files("chain.pem".as_ref(), "key.pem".as_ref())?;
//! let endpoint = coracle::Endpoint::bind("coap://[::]")?
//!     .and_bind("coap+tcp://[::]")?
//!     .and_bind("coaps+tcp://[::]")?
//!     .and_bind("coap+ws://[::]:8080")?
//!     .with_tls(ServerTls::new(own, ClientCertificates::NotAsked)?);
//! endpoint.serve(app).await?;
//! # Ok(())
//! # }
//! ```
//! `coaps` (DTLS) takes what it proves itself by, whom it believes and who may do what from a file:
//! ```no_run
//! # async fn example(app: coracle::Router) -> Result<(), Box<dyn std::error::Error>> {
//! let credentials = coracle::Credentials::from_file("credentials.toml")?; // changes are heeded while it runs
//! let endpoint = coracle::Endpoint::bind("coaps://[::]")?.with_credentials(credentials);
//! endpoint.serve(app).await?;
//! # Ok(())
//! # }
//! ```
//! Handlers ask for an [`Identity`](router::Identity) to learn who it is. A client has credentials, too:
//! `Client::new()?.with_credentials(Credentials::new().with_client_psk("meter-7", key))`.
//!
//! A handler may ask back over the connection that a request came on (RFC 8323 §3.3), as for devices behind a firewall: with
//! `endpoint.client().over(&request.path).get("/led")`. On the device, a client from [`Endpoint::client`] makes the
//! connection, so that the router of that endpoint answers.
//!
//! # A client
//! ```no_run
//! # async fn example() -> coracle::Result<()> {
//! use coracle::client::{Client, Notification};
//!
//! let client = Client::new()?; // one socket for all peers, one connection to each that wants one
//! let answer = client.get("coap+tcp://localhost/temp").send().await?; // the scheme chooses
//! println!("{} {}", answer.status(), answer.text()?);
//!
//! let mut states = client.observe("coap://localhost/temp").observe().await?;
//! while let Some(state) = states.next().await {
//!     match state? {
//!         Notification::State(answer) => println!("{}", answer.text()?),
//!         Notification::Stale => println!("no longer known"),
//!     }
//! }
//! client.close().await; // releases connections in good order
//! # Ok(())
//! # }
//! ```
//! Both run inside the caller's tokio runtime. Without std, or without tokio, use [`engine`]: the same protocol as a
//! machine that is driven by hand.
//!
//! # Where things are
//! | module | holds |
//! |---|---|
//! | [`router`] | paths to handlers, extractors, responses, layers, notifiers |
//! | [`client`] | requests, observations and what comes back |
//! | [`Credentials`] | keys, certificates and rights for `coaps` |
//! | [`tls`] | certificates and keys of connections |
//! | [`dtls`] | the sessions of `coaps` without sockets or clock, their keys and certificates |
//! | [`wire`] | methods, codes, options, messages and URIs as bytes |
//! | [`formats`] | link-format |
//! | [`engine`] | the endpoint without sockets or clock, its settings and bounds |

pub use coracle_dtls as dtls;
pub use coracle_engine as engine;
pub use coracle_formats as formats;
pub use coracle_router as router;
pub use coracle_wire as wire;

pub use client::Client;
pub use coracle_runtime::{
    Bound, Config, ConnectionParameters, Credentials, CredentialsError, DropReason, Endpoint, Error,
    ExchangeError, Interface, MissingCsm, RateLimit, RequestError, SecurityStatistics, Serve, Statistics,
    StatisticsReader, Stats, TransmissionParameters,
};
pub use router::{Notifier, Router};

/// Requests to other endpoints, and what comes back.
pub mod client {
    pub use coracle_runtime::{
        Body, Client, Family, Notification, Observation, Progress, RequestBuilder, Response, Responses,
        SentRequest, StreamedResponse,
    };
}

/// Certificates and keys for `coaps+tcp` and `coaps+ws`, of servers and clients.
pub mod tls {
    pub use coracle_runtime::{Authorities, ClientCertificates, ClientTls, Identity, ServerTls, TlsError};
}

/// What nearly every server uses, and the registered numbers: `use coracle::prelude::*`.
///
/// `Request` and `Response` are the server's; those of the client are in [`client`].
pub mod prelude {
    pub use coracle_router::{
        BodyStream, Bytes, Cbor, Changed, Created, Deleted, Extension, FromRef, Identity, IntoResponse, Json,
        Notifier, PartLen, Path, Preconditions, Query, Rejection, Request, Response, Router, State, any,
        delete, fetch, get, ipatch, patch, post, put,
    };
    pub use coracle_runtime::{Client, Endpoint, RateLimit};
    pub use coracle_wire::{ContentFormat, Method, OptionNumber, OptionsBuf, Status};
}

/// What a program of its own `main` returns.
pub type Result<T, E = Error> = core::result::Result<T, E>;
