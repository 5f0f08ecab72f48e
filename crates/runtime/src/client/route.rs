//! The ways of requests: to an address in datagrams, or on a connection that is kept.

use std::net::SocketAddr;
use std::time::Instant;

use coracle_engine::{ExchangeError, Path, RequestError};
use coracle_wire::{Method, Scheme};

use crate::client::{Client, Target};
use crate::command::{Handle, Outgoing, Underway};
use crate::error::Error;

/// The way of one request: the driver, and the path from there.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    handle: Handle,
    pub(crate) path: Path,
}

impl Route {
    pub(crate) fn new(handle: Handle, path: Path) -> Route {
        Route { handle, path }
    }

    pub(super) fn into_handle(self) -> Handle {
        self.handle
    }

    /// Ends the session that it is, as its peer does not answer.
    fn abandon(&self) {
        if let Some(security) = self.path.security.filter(|_| !self.path.is_reliable()) {
            self.handle.abandon(security);
        }
    }

    pub(crate) fn remote(&self) -> SocketAddr {
        self.path.remote
    }

    /// Sends a request this way.
    pub(crate) fn request(&self, outgoing: &Outgoing) -> Underway {
        let interface = match self.path.is_reliable() || self.path.security.is_some() {
            true => self.path.interface,
            false => outgoing.path.interface,
        };
        self.handle.request(Outgoing {
            path: Path {
                interface,
                ..self.path
            },
            ..outgoing.clone()
        })
    }

    pub(crate) fn ping(&self) -> Underway {
        self.handle.ping(self.path)
    }
}

/// The ways to a host, which are tried one after another.
#[derive(Debug)]
pub(crate) enum Routes {
    /// Its addresses.
    Addresses(std::vec::IntoIter<SocketAddr>),
    /// One connection or session, whichever of its addresses it was made to; a second one if the first turns out to be gone.
    Connection {
        target: Target,
        left: u8,
        tried: Option<Route>,
    },
    /// That of a peer which was heard, and no other.
    Given(Option<Path>),
}

impl Routes {
    pub(crate) async fn to(client: &Client, target: &Target) -> Result<Routes, Error> {
        if let Some(path) = client.over {
            return Ok(Routes::Given(Some(path)));
        }
        if target.scheme != Scheme::Coap {
            let target = target.clone();
            return Ok(Routes::Connection {
                target,
                left: 2,
                tried: None,
            });
        }
        let addresses = target.resolve(client.family).await?;
        Ok(Routes::Addresses(addresses.into_iter()))
    }

    /// The next way; `None` when there is no other.
    pub(crate) async fn next(&mut self, client: &Client) -> Result<Option<Route>, Error> {
        match self {
            Routes::Addresses(addresses) => match addresses.next() {
                Some(remote) => client.way_to(remote).map(Some),
                None => Ok(None),
            },
            Routes::Connection { left: 0, .. } => Ok(None),
            Routes::Connection { target, left, tried } => {
                *left -= 1;
                *tried = Some(client.connection_to(target).await?);
                Ok(tried.clone())
            }
            Routes::Given(path) => match path.take() {
                Some(path) => client.way_back(path).await.map(Some),
                None => Ok(None),
            },
        }
    }

    /// The next way, if there is one before the request's time is over; the request has the rest of it.
    pub(crate) async fn next_for(
        &mut self,
        client: &Client,
        outgoing: &mut Outgoing,
    ) -> Result<Option<Route>, Error> {
        let Some(timeout) = outgoing.timeout else {
            return self.next(client).await;
        };
        let began = Instant::now();
        let found = tokio::time::timeout(timeout, self.next(client)).await;
        let found = found.unwrap_or(Err(ExchangeError::Timeout.into()))?;
        let took_time = |route: &Route| route.path.is_reliable() || route.path.security.is_some();
        if found.as_ref().is_some_and(took_time) {
            outgoing.timeout = Some(timeout.saturating_sub(began.elapsed()));
        }
        Ok(found)
    }

    /// Whether another way is worth a try after this error: nothing was executed, or it does no harm if it was.
    pub(crate) fn go_on_after(&self, client: &Client, error: &Error, method: Method) -> bool {
        match (self, error) {
            (Routes::Addresses(_), error) => {
                matches!(error, Error::Exchange(ExchangeError::Unreachable) | Error::Io(_))
            }
            (Routes::Connection { left, tried, target }, error) => {
                if let (Error::Exchange(ExchangeError::NoAnswer { .. }), Some(tried)) = (error, tried) {
                    // The server may have forgotten the session: the next request begins another.
                    tried.abandon();
                }
                let harmless = match error {
                    Error::Request(RequestError::NotConnected)
                    | Error::Exchange(ExchangeError::Disconnected { sent: false }) => true,
                    Error::Exchange(ExchangeError::Disconnected { sent: true }) => {
                        method.is_safe() && !client.has_refused(target)
                    }
                    _ => false,
                };
                harmless && *left > 0
            }
            (Routes::Given(_), _) => false,
        }
    }
}
