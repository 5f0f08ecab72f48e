//! Endpoints that serve a router.

use std::future::{Future, IntoFuture};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::pin::Pin;

use coracle_engine::Config;
use coracle_net::{BindOptions, Interface, UdpSocket};
use coracle_router::Router;
use coracle_wire::{Host, Scheme, Uri};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use crate::client::{Client, Way};
use crate::command::{Command, Handle};
use crate::driver::Driver;
use crate::error::Error;

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
/// coracle_runtime::Endpoint::bind("coap://[::]")?.serve(router).await
/// # }
/// ```
pub struct Endpoint {
    bound: Vec<Bound>,
    config: Config,
}

struct Bound {
    socket: UdpSocket,
    commands: UnboundedReceiver<Command>,
    way: Way,
}

impl Endpoint {
    /// Binds the address of a URI such as `coap://[::]`, `coap://127.0.0.1:0` (a port of the system's choice) or
    /// `coap://localhost`. Call it within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Uri`], [`Error::Resolve`], or [`Error::Io`] when the address cannot be bound.
    pub fn bind(uri: &str) -> Result<Endpoint, Error> {
        Endpoint {
            bound: Vec::new(),
            config: Config::default(),
        }
        .and_bind(uri)
    }

    /// Binds one more address.
    ///
    /// # Errors
    /// As [`Endpoint::bind`].
    pub fn and_bind(mut self, uri: &str) -> Result<Endpoint, Error> {
        for address in addresses(uri)? {
            let options = BindOptions {
                dual_stack: address.ip().is_unspecified(),
                ..BindOptions::default()
            };
            let socket = UdpSocket::bind(address, &options)?;
            let local = socket.local_addr()?;
            let (handle, commands) = Handle::new();
            let dual_stack = options.dual_stack && local.is_ipv6();
            self.bound.push(Bound {
                socket,
                commands,
                way: Way {
                    handle,
                    local,
                    dual_stack,
                },
            });
        }
        Ok(self)
    }

    /// Uses settings of its own. Its body policy is the router's in any case.
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
        for bound in self
            .bound
            .iter()
            .filter(|bound| bound.way.local.ip().is_unspecified())
        {
            let is_v6 = bound.way.local.is_ipv6();
            let groups_v6 = ALL_COAP_NODES_V6.into_iter().filter(|_| is_v6).map(IpAddr::V6);
            let groups_v4 = (!is_v6 || bound.way.dual_stack).then_some(IpAddr::V4(ALL_COAP_NODES_V4));
            for group in groups_v6.chain(groups_v4) {
                match bound.socket.join(group, interface) {
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
        self.bound.iter().map(|bound| bound.way.local).collect()
    }

    /// A client that sends from these sockets. Its requests go out once the endpoint serves.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::over(self.bound.iter().map(|bound| bound.way.clone()).collect())
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

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("bound", &self.local_addrs())
            .finish_non_exhaustive()
    }
}

/// The addresses to bind: all of a name, so that `localhost` means IPv4 and IPv6.
fn addresses(uri: &str) -> Result<Vec<SocketAddr>, Error> {
    let uri = Uri::parse(uri).map_err(|error| Error::Uri(error.to_string()))?;
    if uri.scheme != Scheme::Coap {
        return Err(Error::Uri(format!(
            "{}:// is not supported yet, only coap://",
            uri.scheme.as_str()
        )));
    }
    let port = uri.port_or_default();
    match uri.host {
        Host::Ipv4(address) => Ok(vec![(address, port).into()]),
        Host::Ipv6 { addr, zone } => {
            let scope = zone.map(|zone| Interface::from(zone).index()).transpose()?;
            Ok(vec![SocketAddrV6::new(addr, port, 0, scope.unwrap_or(0)).into()])
        }
        Host::Name(name) => {
            let found = (name, port).to_socket_addrs();
            let found = found.map_err(|error| Error::Resolve {
                host: name.to_owned(),
                source: Some(error),
            })?;
            Ok(found.collect())
        }
    }
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
    /// awaited for up to 5 s.
    pub fn with_graceful_shutdown(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Serve {
        self.shutdown = Some(Box::pin(signal));
        self
    }

    async fn run(self) -> Result<(), Error> {
        let Endpoint { bound, config } = self.endpoint;
        let ways: Vec<Way> = bound.iter().map(|bound| bound.way.clone()).collect();
        let mut drivers = JoinSet::new();
        for Bound { socket, commands, .. } in bound {
            let driver = Driver::new(socket, config.clone(), Some(self.router.clone()), commands)?;
            drivers.spawn(driver.run());
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
                    futures_util::future::join_all(ways.iter().map(|way| way.handle.close())).await;
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
