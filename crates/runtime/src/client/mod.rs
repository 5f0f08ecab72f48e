//! The client: requests, observations, discovery and pings.

mod body;
mod observation;
mod request;
mod response;
mod several;
mod streamed;
mod target;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use coracle_engine::{Config, Path};
use coracle_net::{BindOptions, UdpSocket, shard_of};
use coracle_wire::{Method, OptionNumber};

use crate::command::Handle;
use crate::driver::Driver;
use crate::error::Error;
use crate::mailbox::Notice;
use crate::shards::Shard;

pub use body::Body;
pub use observation::{Notification, Observation};
pub use request::{Progress, RequestBuilder, SentRequest};
pub use response::Response;
pub use several::Responses;
pub use streamed::StreamedResponse;
pub use target::Family;
pub(crate) use target::Target;

/// A CoAP client: one socket for all peers, shared by its clones.
///
/// Requests to one peer leave one after another: each waits until the one before is answered or acknowledged, as NSTART
/// of 1 has it (RFC 7252 §4.7); different peers do not wait for each other. Where the network can take more, raise it:
/// `TransmissionParameters::default().with_nstart(16)` in the [`Config`].
///
/// # Panics
/// [`Client::new`] panics outside of a tokio runtime.
///
/// ```no_run
/// # async fn example() -> Result<(), coracle_runtime::Error> {
/// let client = coracle_runtime::Client::new()?;
/// let response = client.get("coap://[::1]/temp").send().await?;
/// println!("{} {}", response.status(), response.text()?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    ways: Vec<Way>,
    groups: Groups,
    family: Family,
    /// Its socket is nobody else's, so that any other will do as well.
    own_port: bool,
}

/// The drivers of an address, one for each shard, and the family of their sockets.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    handles: Arc<[Handle]>,
    pub(crate) local: SocketAddr,
    pub(crate) dual_stack: bool,
}

/// The way to groups where an address has several shards: a client of its own, made for the first request, because
/// the members answer to shards that did not ask.
#[derive(Clone, Debug)]
struct Groups {
    config: Arc<Config>,
    client: Arc<Mutex<Option<Client>>>,
}

impl Groups {
    fn client(&self) -> Result<Client, Error> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        Ok(client
            .insert(Client::with_config(Config::clone(&self.config))?)
            .clone())
    }
}

impl Way {
    pub(crate) fn new(handles: Vec<Handle>, local: SocketAddr, dual_stack: bool) -> Way {
        Way {
            handles: handles.into(),
            local,
            dual_stack,
        }
    }

    /// The drivers, in the order of their shards.
    pub(crate) fn handles(&self) -> impl Iterator<Item = &Handle> {
        self.handles.iter()
    }

    fn leads_to(&self, remote: SocketAddr) -> bool {
        self.local.is_ipv6() == remote.is_ipv6() || self.dual_stack
    }
}

impl Client {
    /// A client on a port of the system's choice, for IPv6 and IPv4. Call it within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Io`] when no socket can be opened.
    pub fn new() -> Result<Client, Error> {
        Client::with_config(Config::default())
    }

    /// A client with settings of its own.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_config(config: Config) -> Result<Client, Error> {
        let options = BindOptions::default();
        let any = |text: &str| -> Result<SocketAddr, Error> { text.parse().map_err(|_| Error::Closed) };
        let (socket, dual_stack) = match UdpSocket::bind(any("[::]:0")?, &options) {
            Ok(socket) => (socket, true),
            // A system without IPv6.
            Err(_) => (UdpSocket::bind(any("0.0.0.0:0")?, &options)?, false),
        };
        let local = socket.local_addr()?;
        let (handle, commands) = Handle::new();
        let shard = Shard::all(1).pop().ok_or(Error::Closed)?;
        let driver = Driver::new(socket, config.clone(), None, commands, shard)?;
        tokio::spawn(async move {
            if let Err(error) = driver.run().await {
                tracing::error!(%error, "the client's socket failed");
            }
        });
        let way = Way::new(vec![handle], local, dual_stack);
        Ok(Client {
            own_port: true,
            ..Client::over(vec![way], config)
        })
    }

    /// The same on another port: to its peers it is somebody else, with message IDs of its own. `None` where the port
    /// matters or no socket can be opened.
    pub(crate) fn elsewhere(&self) -> Option<Client> {
        if !self.own_port || tokio::runtime::Handle::try_current().is_err() {
            return None;
        }
        Client::with_config(Config::clone(&self.groups.config)).ok()
    }

    pub(crate) fn over(ways: Vec<Way>, config: Config) -> Client {
        Client {
            ways,
            groups: Groups {
                config: Arc::new(config),
                client: Arc::default(),
            },
            family: Family::Any,
            own_port: false,
        }
    }

    /// Uses only addresses of one family where a host's name has both.
    #[must_use]
    pub fn with_family(mut self, family: Family) -> Client {
        self.family = family;
        self
    }

    /// Begins a request with any method; an error in the URI is told by `send`.
    pub fn request(&self, method: Method, uri: impl AsRef<str>) -> RequestBuilder {
        RequestBuilder::new(self.clone(), method, uri.as_ref())
    }

    /// Begins a GET (RFC 7252 §5.8.1).
    pub fn get(&self, uri: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::GET, uri)
    }

    /// Begins a PUT (RFC 7252 §5.8.3).
    pub fn put(&self, uri: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::PUT, uri)
    }

    /// Begins a POST (RFC 7252 §5.8.2).
    pub fn post(&self, uri: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::POST, uri)
    }

    /// Begins a DELETE (RFC 7252 §5.8.4).
    pub fn delete(&self, uri: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::DELETE, uri)
    }

    /// Begins a FETCH (RFC 8132 §2).
    pub fn fetch(&self, uri: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::FETCH, uri)
    }

    /// Begins a PATCH (RFC 8132 §3).
    pub fn patch(&self, uri: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::PATCH, uri)
    }

    /// Begins an iPATCH (RFC 8132 §3).
    pub fn ipatch(&self, uri: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::IPATCH, uri)
    }

    /// Begins an observation; [`RequestBuilder::observe`] registers it (RFC 7641).
    pub fn observe(&self, uri: impl AsRef<str>) -> RequestBuilder {
        self.get(uri).option_uint(OptionNumber::OBSERVE, 0)
    }

    /// Begins a discovery; a URI without path asks for `/.well-known/core` (RFC 6690 §4). To a group, use
    /// [`RequestBuilder::send_to_all`].
    pub fn discover(&self, uri: impl AsRef<str>) -> RequestBuilder {
        self.get(uri).with_default_path(".well-known/core")
    }

    /// Asks the host of `uri` for a sign of life, and tells how long it took (RFC 7252 §4.3).
    ///
    /// # Errors
    /// As a request.
    pub async fn ping(&self, uri: impl AsRef<str>) -> Result<Duration, Error> {
        let target = Target::parse(uri.as_ref())?;
        let mut last = Error::Closed;
        for remote in target.resolve(self.family).await? {
            match self.ping_address(remote).await {
                Err(error) if request::may_try_another(&error) => last = error,
                outcome => return outcome,
            }
        }
        Err(last)
    }

    async fn ping_address(&self, remote: SocketAddr) -> Result<Duration, Error> {
        let started = Instant::now();
        let underway = self.way_to(remote)?.ping(Path::to(remote));
        loop {
            match underway.mailbox.next().await {
                Some(Notice::Pong) => return Ok(started.elapsed()),
                Some(Notice::Failed(error)) => return Err(error.into()),
                Some(Notice::Refused(error)) => return Err(error.into()),
                Some(_) => {}
                None => return Err(Error::Closed),
            }
        }
    }

    /// Completes when all that was sent is acknowledged, as the cancellation of a dropped observation, or after 5 s.
    pub async fn drain(&self) {
        for handle in self.ways.iter().flat_map(Way::handles) {
            handle.drain().await;
        }
    }

    /// The driver whose socket reaches `remote`, and to which the answers come.
    pub(crate) fn way_to(&self, remote: SocketAddr) -> Result<Handle, Error> {
        let way = self.ways.iter().find(|way| way.leads_to(remote));
        let unsupported = || {
            std::io::Error::new(
                std::io::ErrorKind::AddrNotAvailable,
                "no socket of this address family",
            )
        };
        let way = way.ok_or_else(unsupported)?;
        let shards = way.handles.len();
        if shards > 1 && remote.ip().is_multicast() {
            return self.groups.client()?.way_to(remote);
        }
        let handle = way.handles.get(shard_of(remote, shards)).cloned();
        handle.ok_or(Error::Closed)
    }
}
