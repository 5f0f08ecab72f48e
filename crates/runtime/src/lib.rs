//! Drives CoAP endpoints over sockets with tokio: [`Endpoint`] serves, [`Client`] asks.
//!
//! Everything here runs inside the caller's tokio runtime; nothing makes one of its own.

mod asking;
mod changes;
mod client;
mod clock;
mod command;
mod connections;
mod credentials;
mod driver;
mod endpoint;
mod error;
mod identity;
mod inside;
mod mailbox;
mod rate_limit;
mod secure;
mod serving;
mod shards;
mod statistics;

pub use client::{
    Body, Client, Family, Notification, Observation, Progress, RequestBuilder, Response, Responses,
    SentRequest, StreamedResponse,
};
pub use coracle_engine::{
    Config, ConnectionParameters, DropReason, ExchangeError, MissingCsm, RequestError, Stats,
    TransmissionParameters,
};
pub use coracle_net::Interface;
pub use coracle_net::stream::{Authorities, ClientCertificates, ClientTls, Identity, ServerTls, TlsError};
pub use credentials::{Authorization, Authorized, Credentials, CredentialsError, Watching};
pub use endpoint::{Bound, Endpoint, Serve};
pub use error::Error;
pub use rate_limit::{RateLimit, RateLimited};
pub use secure::SecurityStatistics;
pub use statistics::{Statistics, StatisticsReader};
