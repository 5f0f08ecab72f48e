//! Endpoints that serve a router.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::pin::Pin;

use coracle_engine::Config;
use coracle_net::stream::{ListenOptions, Listener, ServerTls};
use coracle_net::{BindOptions, Interface, MAX_SHARDS, UdpSocket};
use coracle_router::Router;
use coracle_wire::{Host, OptionNumber, Scheme, Uri};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use crate::client::{Carries, Client, Way};
use crate::command::{Command, Handle};
use crate::credentials::Credentials;
use crate::driver::Driver;
use crate::error::Error;
use crate::secure::Settings;
use crate::shards::{Shard, Sources, default_shards};
use crate::statistics::StatisticsReader;

/// "All CoAP Nodes" in IPv4 (RFC 7252 §12.8).
const ALL_COAP_NODES_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 1, 187);

/// "All CoAP Nodes" in IPv6, of the link and of the site (RFC 7252 §12.8).
const ALL_COAP_NODES_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfd),
    Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0xfd),
];

/// Sockets that are bound and not served yet. Server and client at once: [`Endpoint::client`] uses the same sockets.
///
/// ```no_run
/// # async fn example(router: coracle_router::Router) -> Result<(), coracle_runtime::Error> {
/// use coracle_runtime::Endpoint;
///
/// let endpoint = Endpoint::bind("coap://[::]")?.and_bind("coap+tcp://[::]")?;
/// endpoint.serve(router).await
/// # }
/// ```
pub struct Endpoint {
    places: Vec<Place>,
    config: Config,
    shards: usize,
    tls: Option<ServerTls>,
    security: Settings,
    allowed_origins: Vec<String>,
}

/// Where an [`Endpoint`] can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// How.
    pub scheme: Scheme,
    /// At which address, with the port that the system chose where it was left to it.
    pub address: SocketAddr,
}

/// `coap+tcp://127.0.0.1:5683`
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.address)
    }
}

/// A bound address.
struct Place {
    scheme: Scheme,
    socket: Socket,
    /// What handles ask of each shard.
    commands: Vec<UnboundedReceiver<Command>>,
    way: Way,
}

/// The first shard's; the others are bound when it serves.
enum Socket {
    Datagrams(UdpSocket),
    Connections(Listener),
}

impl Place {
    fn bind(scheme: Scheme, address: SocketAddr, shards: usize) -> io::Result<Place> {
        let dual_stack = address.ip().is_unspecified();
        let (socket, local) = if matches!(scheme, Scheme::Coap | Scheme::Coaps) {
            let options = BindOptions {
                dual_stack,
                ..BindOptions::default()
            };
            let socket = UdpSocket::bind(address, &options)?;
            let local = socket.local_addr()?;
            (Socket::Datagrams(socket), local)
        } else {
            let options = ListenOptions {
                dual_stack,
                ..ListenOptions::default()
            };
            let listener = Listener::bind(address, &options)?;
            let local = listener.local_addr()?;
            (Socket::Connections(listener), local)
        };
        let (handles, commands): (Vec<_>, _) = (0..shards).map(|_| Handle::new()).unzip();
        Ok(Place {
            way: Way::new(
                handles,
                local,
                dual_stack && local.is_ipv6(),
                match scheme {
                    Scheme::Coap => Carries::Datagrams,
                    Scheme::Coaps => Carries::Sessions,
                    _ => Carries::Connections,
                },
            ),
            scheme,
            socket,
            commands,
        })
    }

    /// The sockets of all shards, in their order.
    fn into_sources(
        self,
        shards: usize,
        options: ListenOptions,
        security: Option<&Settings>,
    ) -> Result<Parts, Error> {
        let sources = match self.socket {
            Socket::Datagrams(socket) => {
                let sockets = socket.into_shards(shards)?;
                let count = sockets.len();
                let security = security.filter(|_| self.scheme == Scheme::Coaps);
                let source = |(shard, socket)| Sources {
                    secure: security.map(|settings| settings.of_shard(shard, count)),
                    ..Sources::datagrams(socket)
                };
                sockets.into_iter().enumerate().map(source).collect()
            }
            Socket::Connections(listener) => {
                let is_secure = matches!(self.scheme, Scheme::CoapsTcp | Scheme::CoapsWs);
                if is_secure && options.tls.is_none() {
                    let text = format!("{}:// needs a certificate: Endpoint::with_tls", self.scheme);
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, text).into());
                }
                let options = ListenOptions {
                    websocket: matches!(self.scheme, Scheme::CoapWs | Scheme::CoapsWs),
                    tls: options.tls.filter(|_| is_secure),
                    ..options
                };
                let listeners = listener.with_options(options)?.into_shards(shards)?;
                listeners.into_iter().map(Sources::connections).collect()
            }
        };
        Ok((sources, self.commands))
    }
}

/// What the drivers of an address move and what they are asked, in the order of their shards.
type Parts = (Vec<Sources>, Vec<UnboundedReceiver<Command>>);

impl Endpoint {
    /// Binds the address of a URI such as `coap://[::]`, `coap+tcp://127.0.0.1:0` (a port of the system's choice) or
    /// `coap+ws://localhost`. Call it within a tokio runtime.
    ///
    /// The scheme says how peers come: `coap` in datagrams (RFC 7252), `coaps` in datagrams that DTLS protects, which needs
    /// [`with_credentials`](Endpoint::with_credentials), `coap+tcp` and `coap+ws` on connections of TCP and
    /// WebSocket, `coaps+tcp` and `coaps+ws` on such with TLS (RFC 8323), which needs [`with_tls`](Endpoint::with_tls).
    ///
    /// # Errors
    /// [`Error::Uri`], [`Error::Resolve`], or [`Error::Io`] when the address cannot be bound.
    pub fn bind(uri: &str) -> Result<Endpoint, Error> {
        Endpoint {
            places: Vec::new(),
            config: Config::default(),
            shards: default_shards(),
            tls: None,
            security: Settings::of_server(),
            allowed_origins: Vec::new(),
        }
        .and_bind(uri)
    }

    /// Binds one more address.
    ///
    /// # Errors
    /// As [`Endpoint::bind`].
    pub fn and_bind(mut self, uri: &str) -> Result<Endpoint, Error> {
        let (scheme, addresses) = addresses(uri)?;
        for address in addresses {
            self.places.push(Place::bind(scheme, address, self.shards)?);
        }
        Ok(self)
    }

    /// The certificate and key for `coaps+tcp` and `coaps+ws`, and whose certificates peers have to show, if any.
    #[must_use]
    pub fn with_tls(mut self, tls: ServerTls) -> Endpoint {
        self.tls = Some(tls);
        self
    }

    /// What `coaps` proves itself by, whom it believes, and what each may do: the router is asked only for what their entries
    /// allow, by whatever way they come. A file is read again when it changes. It needs a pre-shared key, a certificate or a raw key to serve `coaps`.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Endpoint {
        self.security.credentials = Some(credentials);
        self
    }

    /// Wants peers of `coaps` to put a connection ID of so many bytes into what they send (RFC 9146), 5 to 20, so that they
    /// are known by it wherever they send from; 8 if nothing is said. 0 for none.
    #[must_use]
    pub fn with_connection_ids(mut self, len: usize) -> Endpoint {
        self.security.connection_ids = Some(len);
        self
    }

    /// Gives `log` a line for each session of `coaps`, as for a file that `SSLKEYLOGFILE` names: whoever reads it can read all
    /// that is said.
    #[must_use]
    pub fn with_key_log(mut self, log: impl Fn(&str) + Send + Sync + 'static) -> Endpoint {
        self.security.key_log = Some(std::sync::Arc::new(log));
        self
    }

    /// Lets pages of these origins (`https://example.org`; `*` for all) connect by WebSocket, beside those of the same
    /// host and programs that are no browsers.
    #[must_use]
    pub fn with_allowed_origins(mut self, origins: impl IntoIterator<Item = impl Into<String>>) -> Endpoint {
        self.allowed_origins = origins.into_iter().map(Into::into).collect();
        self
    }

    /// Serves each address with this many engines, each with its own peers and socket, so that as many processors
    /// work at once; 1 to 256. By default there are as many as the runtime has threads, at most one for each
    /// processor. Elsewhere than on Linux there is always one.
    ///
    /// They share the bounds of the [`Config`] out among themselves ([`Config::share_of`]), so that a peer, which is
    /// with one of them, may have its part of a smaller whole: where few peers send much, use fewer shards or raise
    /// [`Config::seen_bytes`].
    ///
    /// Clients and readers that were made before are closed by it.
    #[must_use]
    pub fn with_shards(mut self, shards: usize) -> Endpoint {
        self.shards = shards.clamp(1, MAX_SHARDS);
        for place in &mut self.places {
            let (handles, commands): (Vec<_>, _) = (0..self.shards).map(|_| Handle::new()).unzip();
            place.commands = commands;
            place.way = place.way.with_handles(handles);
        }
        self
    }

    /// Uses settings of its own. Its body policy is the router's in any case. The bounds are those of each address
    /// that is bound, whose shards share them ([`Config::share_of`]).
    #[must_use]
    pub fn with_config(mut self, config: Config) -> Endpoint {
        self.config = config;
        self
    }

    /// Joins "All CoAP Nodes" on an interface (RFC 7252 §8.1, §12.8), on all sockets that are bound to no single
    /// address. Call it for each interface.
    ///
    /// # Errors
    /// [`Error::Io`] when no socket could join on this interface.
    pub fn join_all_coap_nodes(&self, interface: &Interface) -> Result<(), Error> {
        let mut outcome =
            Err(io::Error::other("only a socket bound to [::] or 0.0.0.0 can join a group").into());
        for place in &self.places {
            let Socket::Datagrams(socket) = &place.socket else {
                continue;
            };
            if !place.way.local.ip().is_unspecified() {
                continue;
            }
            let is_v6 = place.way.local.is_ipv6();
            let groups_v6 = ALL_COAP_NODES_V6.into_iter().filter(|_| is_v6).map(IpAddr::V6);
            let groups_v4 = (!is_v6 || place.way.dual_stack).then_some(IpAddr::V4(ALL_COAP_NODES_V4));
            for group in groups_v6.chain(groups_v4) {
                match socket.join(group, interface) {
                    Ok(()) => outcome = Ok(()),
                    Err(error) if outcome.is_err() => outcome = Err(error.into()),
                    // An interface without this family.
                    Err(error) => tracing::debug!(%group, %error, "not joined"),
                }
            }
        }
        outcome
    }

    /// The addresses that are bound.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.places.iter().map(|place| place.way.local).collect()
    }

    /// The addresses that are bound, each with its scheme, in the order in which they were.
    #[must_use]
    pub fn bound(&self) -> Vec<Bound> {
        let bound = |place: &Place| Bound {
            scheme: place.scheme,
            address: place.way.local,
        };
        self.places.iter().map(bound).collect()
    }

    /// A client that sends from these sockets. Its requests go out once the endpoint serves. To groups it sends from
    /// a socket of its own where there is more than one shard, because members answer to the shard that is theirs.
    #[must_use]
    pub fn client(&self) -> Client {
        let ways = self.places.iter().map(|place| place.way.clone()).collect();
        Client::by(ways, self.config.clone())
    }

    /// Tells what this endpoint does, while it serves.
    #[must_use]
    pub fn statistics(&self) -> StatisticsReader {
        let handles = self.places.iter().flat_map(|place| place.way.handles()).cloned();
        StatisticsReader::new(handles.collect())
    }

    /// Serves `router` on all sockets, in this tokio runtime.
    pub fn serve(self, router: Router) -> Serve {
        Serve {
            endpoint: self,
            router,
            shutdown: None,
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("bound", &self.bound())
            .finish_non_exhaustive()
    }
}

/// The scheme and the addresses to bind: all of a name, so that `localhost` means IPv4 and IPv6.
fn addresses(uri: &str) -> Result<(Scheme, Vec<SocketAddr>), Error> {
    let uri = Uri::parse(uri).map_err(|error| Error::Uri(error.to_string()))?;
    let asks = uri.to_options().map_err(|error| Error::Uri(error.to_string()))?;
    if asks.contains(OptionNumber::URI_PATH) || asks.contains(OptionNumber::URI_QUERY) {
        let text = "to listen takes an address alone, without path and query";
        return Err(Error::Uri(text.to_owned()));
    }
    let port = uri.port_or_default();
    let addresses = match uri.host {
        Host::Ipv4(address) => vec![(address, port).into()],
        Host::Ipv6 { addr, zone } => {
            let scope = zone.map(|zone| Interface::from(zone).index()).transpose()?;
            vec![SocketAddrV6::new(addr, port, 0, scope.unwrap_or(0)).into()]
        }
        Host::Name(name) => {
            let found = (name, port).to_socket_addrs();
            let found = found.map_err(|error| Error::Resolve {
                host: name.to_owned(),
                source: Some(error),
            })?;
            found.collect()
        }
    };
    Ok((uri.scheme, addresses))
}

/// Whether a server can prove itself to anybody.
fn check_credentials(places: &[Place], security: &Settings) -> Result<(), Error> {
    let serves = |credentials: &Credentials| credentials.book().serves();
    let place = places.iter().find(|place| place.scheme == Scheme::Coaps);
    if place.is_none() || security.credentials.as_ref().is_some_and(serves) {
        return Ok(());
    }
    let text = "coaps:// needs a pre-shared key, a certificate or a raw key: Endpoint::with_credentials";
    Err(io::Error::new(io::ErrorKind::InvalidInput, text).into())
}

/// A driver for each of the shards of one address.
fn drivers_of((sources, commands): Parts, config: &Config, router: &Router) -> io::Result<Vec<Driver>> {
    let shards = Shard::all(sources.len());
    let parts = sources.into_iter().zip(commands).zip(shards);
    parts
        .map(|((sources, commands), shard)| {
            Driver::new(sources, config.clone(), Some(router.for_shard()), commands, shard)
        })
        .collect()
}

/// An endpoint about to serve: await it.
#[must_use = "it serves only when it is awaited"]
pub struct Serve {
    endpoint: Endpoint,
    router: Router,
    shutdown: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Serve {
    /// Ends when `signal` completes: new requests get 5.03, what was accepted is answered, and acknowledgements are
    /// awaited for up to 5 s. Connections are released (RFC 8323 §5.5), and closed when that is done. Bodies that come in parts are waited for as long as parts come, also for up to 5 s.
    pub fn with_graceful_shutdown(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Serve {
        self.shutdown = Some(Box::pin(signal));
        self
    }

    async fn run(self) -> Result<(), Error> {
        let Endpoint {
            places,
            config,
            shards,
            tls,
            security,
            allowed_origins,
        } = self.endpoint;
        check_credentials(&places, &security)?;
        let _watching = security.credentials.as_ref().map(Credentials::watch);
        let router = match &security.credentials {
            Some(credentials) => self.router.layer(credentials.authorization()),
            None => self.router,
        };
        let ways: Vec<Way> = places.iter().map(|place| place.way.clone()).collect();
        let mut config = config.share_of(shards);
        if config.echo_key.is_none() {
            // One for all shards, so that a peer which proved itself to one address or shard has done so to all.
            let mut key = [0; 16];
            getrandom::fill(&mut key).map_err(io::Error::other)?;
            config.echo_key = Some(key);
        }
        let options = ListenOptions {
            tls,
            allowed_origins,
            max_message: config.connections.max_message_size as usize,
            ..ListenOptions::default()
        };
        let mut drivers = JoinSet::new();
        for place in places {
            let parts = place.into_sources(shards, options.clone(), Some(&security))?;
            for driver in drivers_of(parts, &config, &router)? {
                drivers.spawn(driver.run());
            }
        }
        let mut shutdown = self.shutdown;
        loop {
            let signal = async {
                match &mut shutdown {
                    Some(signal) => signal.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = signal => {
                    shutdown = None;
                    let handles = ways.iter().flat_map(Way::handles);
                    futures_util::future::join_all(handles.map(Handle::close)).await;
                }
                ended = drivers.join_next() => match ended {
                    None => return Ok(()),
                    Some(Ok(outcome)) => outcome?,
                    Some(Err(error)) => return Err(io::Error::other(error).into()),
                },
            }
        }
    }
}

impl IntoFuture for Serve {
    type Output = Result<(), Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

#[cfg(test)]
mod tests {
    use coracle_router::post;

    use super::*;

    /// Sockets in another order than the kernel knows, so that it brings every datagram to a wrong shard.
    #[tokio::test]
    async fn what_comes_to_a_wrong_shard_is_handed_over() {
        let socket = UdpSocket::bind(([127, 0, 0, 1], 0).into(), &BindOptions::default()).unwrap();
        let address = socket.local_addr().unwrap();
        let mut sockets = socket.into_shards(MAX_SHARDS.min(3)).unwrap();
        let shards = sockets.len();
        sockets.rotate_left(1);
        let (handles, commands): (Vec<_>, Vec<_>) = (0..shards).map(|_| Handle::new()).unzip();
        let router = Router::new().route("/echo", post(|body: bytes::Bytes| async move { body }));
        let sources = sockets.into_iter().map(Sources::datagrams).collect();
        for driver in drivers_of((sources, commands), &Config::default(), &router).unwrap() {
            tokio::spawn(driver.run());
        }
        for number in 0..20 {
            let client = Client::new().unwrap();
            let body = vec![number; 3000];
            let asked = client
                .post(format!("coap://{address}/echo"))
                .payload(body.clone());
            assert_eq!(asked.send().await.unwrap().payload(), &body);
        }
        let done = StatisticsReader::new(handles).read().await;
        assert_eq!(done.engine.requests, 20);
        let expected = if shards > 1 { done.engine.datagrams_in } else { 0 };
        assert_eq!((done.handed_over, done.handed_over_lost), (expected, 0));
    }
}
