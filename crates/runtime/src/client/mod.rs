//! The client: requests, observations, discovery and pings.

mod body;
mod observation;
mod pool;
mod request;
mod response;
mod route;
mod session;
mod several;
mod streamed;
mod target;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use coracle_engine::{Config, Path};
use coracle_net::stream::ClientTls;
use coracle_net::{BindOptions, UdpSocket, shard_of};
use coracle_wire::{Method, OptionNumber};
use futures_util::future::join_all;

use crate::command::Handle;
use crate::credentials::Credentials;
use crate::driver::Driver;
use crate::error::Error;
use crate::mailbox::Notice;
use crate::shards::{Shard, Sources};

pub use body::Body;
pub use observation::{Notification, Observation};
use pool::Pool;
pub use request::{Progress, RequestBuilder, SentRequest};
pub use response::Response;
use route::{Route, Routes};
pub use several::Responses;
pub use streamed::StreamedResponse;
pub use target::Family;
pub(crate) use target::Target;

/// A connection of a client on which nothing is under way and nothing is observed is released after so long, unless the
/// [`Config`] says otherwise.
const IDLE_AFTER: Duration = Duration::from_secs(60);

/// A CoAP client: one socket for all peers, a session with each that is reached by `coaps` (DTLS), and a connection to each
/// that is reached by `coap+tcp`, `coaps+tcp`, `coap+ws` or `coaps+ws` (RFC 8323); shared by its clones. The scheme of a URI
/// chooses.
///
/// Requests to one peer leave one after another: each waits until the one before is answered or acknowledged, as NSTART
/// of 1 has it (RFC 7252 §4.7); different peers do not wait for each other. Where the network can take more, raise it:
/// `TransmissionParameters::default().with_nstart(16)` in the [`Config`]. On a connection they do not wait for each other.
///
/// A connection is made for the first request and kept for further ones; after 60 s without any, and without an
/// observation, it is released ([`idle_after`](coracle_engine::ConnectionParameters::idle_after) tells another time; that
/// of an [`Endpoint`](crate::Endpoint) is its own). One that broke is replaced for the next request. A request that broke with it goes again,
/// once, if nothing of it had left or it is safe (GET, FETCH). [`close`](Client::close) releases all.
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
    /// Connections, shared by clones.
    pool: Arc<Pool>,
    /// All goes this way.
    over: Option<Path>,
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
    /// What their sockets carry.
    carries: Carries,
}

/// What a socket carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// Datagrams without protection, and with it to servers that we call.
    Datagrams,
    /// Datagrams with protection only.
    Sessions,
    /// Nothing of the kind; connections can be made from any.
    Connections,
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
    pub(crate) fn new(handles: Vec<Handle>, local: SocketAddr, dual_stack: bool, carries: Carries) -> Way {
        Way {
            handles: handles.into(),
            local,
            dual_stack,
            carries,
        }
    }

    pub(crate) fn with_handles(&self, handles: Vec<Handle>) -> Way {
        Way {
            handles: handles.into(),
            ..self.clone()
        }
    }

    /// The drivers, in the order of their shards.
    pub(crate) fn handles(&self) -> impl Iterator<Item = &Handle> {
        self.handles.iter()
    }

    fn is_secure(&self) -> bool {
        self.carries == Carries::Sessions
    }

    /// The driver of the shard to which what comes from `remote` goes.
    fn driver_of(&self, remote: SocketAddr) -> Option<Handle> {
        self.handles.get(shard_of(remote, self.handles.len())).cloned()
    }

    fn leads_to(&self, remote: SocketAddr) -> bool {
        self.carries != Carries::Connections && (self.local.is_ipv6() == remote.is_ipv6() || self.dual_stack)
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
    pub fn with_config(mut config: Config) -> Result<Client, Error> {
        config.connections.idle_after.get_or_insert(IDLE_AFTER);
        let (socket, dual_stack) = any_port()?;
        let local = socket.local_addr()?;
        let (handle, commands) = Handle::new();
        let shard = Shard::all(1).pop().ok_or(Error::Closed)?;
        let driver = Driver::new(Sources::datagrams(socket), config.clone(), None, commands, shard)?;
        tokio::spawn(async move {
            if let Err(error) = driver.run().await {
                tracing::error!(%error, "the client's socket failed");
            }
        });
        let way = Way::new(vec![handle], local, dual_stack, Carries::Datagrams);
        Ok(Client {
            own_port: true,
            ..Client::by(vec![way], config)
        })
    }

    /// Goes on from another port, as if a NAT on the way had forgotten us. Sessions of `coaps` with a connection ID go on (RFC 9146
    /// §6); for everybody else this is somebody else, and what is under way is lost.
    ///
    /// # Errors
    /// [`Error::Io`] when no socket can be opened, or the port is that of an [`Endpoint`](crate::Endpoint).
    pub fn hop(&self) -> Result<(), Error> {
        if !self.own_port {
            let text = "the port of an endpoint that serves does not change";
            return Err(std::io::Error::new(std::io::ErrorKind::Unsupported, text).into());
        }
        for handle in self.ways.iter().flat_map(Way::handles) {
            handle.hop(any_port()?.0);
        }
        Ok(())
    }

    /// The same on another port: to its peers it is somebody else, with message IDs of its own. `None` where the port
    /// matters or no socket can be opened.
    pub(crate) fn elsewhere(&self) -> Option<Client> {
        if !self.own_port || tokio::runtime::Handle::try_current().is_err() {
            return None;
        }
        Client::with_config(Config::clone(&self.groups.config)).ok()
    }

    pub(crate) fn by(ways: Vec<Way>, config: Config) -> Client {
        Client {
            ways,
            groups: Groups {
                config: Arc::new(config),
                client: Arc::default(),
            },
            pool: Arc::default(),
            over: None,
            family: Family::Any,
            own_port: false,
        }
    }

    /// Uses only addresses of one family where a host's name has both.
    #[must_use]
    pub fn with_family(mut self, family: Family) -> Client {
        self.family = family;
        // Connections that are kept may be of the other.
        self.pool = Arc::new(self.pool.anew());
        self
    }

    /// How servers of `coaps+tcp` and `coaps+ws` prove themselves, and how we do where they ask for it. If nothing is
    /// said, servers need a certificate of an authority that the system trusts.
    #[must_use]
    pub fn with_tls(mut self, tls: ClientTls) -> Self {
        self.pool = Arc::new(self.pool.with_tls(tls));
        self
    }

    /// What servers of `coaps` prove themselves by, and we do: a pre-shared key, or keys and certificates.
    #[must_use]
    pub fn with_credentials(self, credentials: Credentials) -> Self {
        self.with_security(|security| security.credentials = Some(credentials))
    }

    /// Wants servers of `coaps` to put a connection ID of so many bytes into what they send (RFC 9146), 5 to 20, so that they
    /// are known by it if they move; 0, as if nothing is said, for none. What servers want is put into what we send in any
    /// case, so that they know us after our address has changed.
    #[must_use]
    pub fn with_connection_ids(self, len: usize) -> Self {
        self.with_security(|security| security.connection_ids = len)
    }

    /// Gives `log` a line for each session of `coaps`, as for a file that `SSLKEYLOGFILE` names: whoever reads it can read all
    /// that is said.
    #[must_use]
    pub fn with_key_log(self, log: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.with_security(|security| security.key_log = Some(Arc::new(log)))
    }

    fn with_security(mut self, change: impl FnOnce(&mut session::Security)) -> Self {
        self.pool = Arc::new(self.pool.with_security(change));
        self
    }

    /// The same for requests to a peer that has asked something itself, by the `path` of its request: over its connection,
    /// if it came on one, whoever made that (RFC 8323 §3.3). A client of the [`Endpoint`](crate::Endpoint) that serves it
    /// knows the connection. URIs may begin with their path then, as in `client.over(&path).get("/led")`; if they name a
    /// host, they mean this peer all the same. When the connection is gone,
    /// [`RequestError::NotConnected`](crate::RequestError::NotConnected) is told.
    #[must_use]
    pub fn over(&self, path: &Path) -> Client {
        Client {
            over: Some(*path),
            ..self.clone()
        }
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
        let target = self.target(uri.as_ref())?;
        let mut routes = Routes::to(self, &target).await?;
        let mut last = Error::Closed;
        while let Some(route) = routes.next(self).await? {
            // A ping does no harm, wherever it ends.
            match ping_by(&route).await {
                Err(error) if routes.go_on_after(self, &error, Method::GET) => last = error,
                outcome => return outcome,
            }
        }
        Err(last)
    }

    /// Takes a URI apart. Where all goes to one peer, its path is enough.
    fn target(&self, uri: &str) -> Result<Target, Error> {
        match self.over {
            Some(path) if uri.starts_with('/') => Target::parse(&format!("coap://{}{uri}", path.remote)),
            _ => Target::parse(uri),
        }
    }

    /// Ends the connections of this client and its clones in good order (RFC 8323 §5.5): nothing new begins on them, what
    /// runs is finished, and they are closed. Completes then, or after 5 s. Further requests make new connections.
    pub async fn close(&self) {
        let handles = self.ways.iter().flat_map(Way::handles);
        join_all(handles.map(Handle::release)).await;
    }

    /// Completes when all that was sent is acknowledged, as the cancellation of a dropped observation, or after 5 s.
    pub async fn drain(&self) {
        for handle in self.ways.iter().flat_map(Way::handles) {
            handle.drain().await;
        }
    }

    /// By the driver whose socket reaches `remote`, and to which the answers come.
    pub(crate) fn way_to(&self, remote: SocketAddr) -> Result<Route, Error> {
        let way = self
            .ways
            .iter()
            .find(|way| !way.is_secure() && way.leads_to(remote));
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
        Ok(Route::new(
            way.driver_of(remote).ok_or(Error::Closed)?,
            Path::to(remote),
        ))
    }
}

/// A socket on a port of the system's choice, and whether it is for both IPv6 and IPv4.
fn any_port() -> Result<(UdpSocket, bool), Error> {
    let options = BindOptions::default();
    let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    match UdpSocket::bind(v6, &options) {
        Ok(socket) => Ok((socket, true)),
        // A system without IPv6.
        Err(_) => Ok((
            UdpSocket::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), &options)?,
            false,
        )),
    }
}

async fn ping_by(route: &Route) -> Result<Duration, Error> {
    let started = Instant::now();
    let underway = route.ping();
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
