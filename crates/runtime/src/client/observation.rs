//! Observations as clients see them: a stream of states that survives its server's silence.

use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use coracle_engine::RequestError;
use futures_core::Stream;
use tokio::time::Sleep;

use crate::client::request::is_failure;
use crate::client::route::{Route, Routes};
use crate::client::{Client, Response, Target};
use crate::command::{Outgoing, Underway};
use crate::connections::Line;
use crate::error::Error;
use crate::mailbox::Notice;

/// How long a lost observation waits before it is registered anew: at first, and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// The first wait where a connection broke, which shows at once.
const RECONNECT_AFTER: Duration = Duration::from_secs(1);

/// After its Max-Age, how long a state that came without Observe is let be (RFC 7641 §3.3.1).
const RENEW_AFTER: Duration = Duration::from_secs(5);

/// What an observation tells.
#[derive(Clone, Debug)]
pub enum Notification {
    /// A state of the resource, fresh for its Max-Age.
    State(Response),
    /// What came last is no longer known to be true: Max-Age is over, or the server does not answer. It is registered
    /// anew by itself; the next state tells that it is fresh again (RFC 7641 §3.3.1).
    Stale,
}

/// An observation (RFC 7641): a stream of states, until the server ends it.
///
/// States may be left out, but the latest one comes (RFC 7641 §1.3). Dropping it cancels the observation at the
/// server; [`cancel`](Observation::cancel) waits for that.
#[derive(Debug)]
pub struct Observation {
    client: Client,
    outgoing: Outgoing,
    target: Target,
    route: Route,
    phase: Phase,
    first: Option<Response>,
    observed: bool,
    backoff: Duration,
    /// Why it is not registered, in words.
    lost: Option<String>,
}

enum Phase {
    /// The engine keeps the registration.
    Registered(Underway),
    /// It was lost, and this is told next.
    Lost,
    /// The wait before it is registered anew.
    Waiting(Pin<Box<Sleep>>),
    /// A connection is being made, to register there.
    Connecting(Connecting),
    /// The server ended it.
    Ended,
}

impl Observation {
    pub(crate) async fn begin(
        client: &Client,
        target: &Target,
        outgoing: &Outgoing,
        route: Route,
    ) -> Result<Observation, Error> {
        let underway = route.request(outgoing);
        loop {
            match underway.mailbox.next().await {
                Some(Notice::Response { response, more }) => {
                    let phase = if more {
                        Phase::Registered(underway)
                    } else {
                        Phase::Ended
                    };
                    return Ok(Observation {
                        client: client.clone(),
                        outgoing: outgoing.clone(),
                        target: target.clone(),
                        backoff: first_wait(&route),
                        route,
                        phase,
                        first: Some(response.into()),
                        observed: more,
                        lost: None,
                    });
                }
                Some(Notice::Failed(error)) => return Err(error.into()),
                Some(Notice::Refused(error)) => return Err(error.into()),
                Some(_) => {}
                None => return Err(Error::Closed),
            }
        }
    }

    /// Whether the server took the registration and has not ended it. If not, there is one more answer at most.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.observed && !matches!(self.phase, Phase::Ended)
    }

    /// Why the registration was lost, or could not be made anew the last time, in words for people. `None` while there is
    /// one.
    #[must_use]
    pub fn lost_because(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    /// The server's address.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        self.route.remote()
    }

    /// The next state or its absence; `None` after the server ended the observation.
    ///
    /// # Errors
    /// [`Error::Closed`] when the client is gone. Everything else is healed by registering anew.
    pub async fn next(&mut self) -> Option<Result<Notification, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Cancels the observation at the server (RFC 7641 §3.6), and waits until that has arrived, for up to 5 s.
    pub async fn cancel(self) {
        let client = self.client.clone();
        drop(self);
        client.drain().await;
    }

    /// Takes a notice of the engine; `None` when there is nothing to tell about it.
    fn take(&mut self, notice: Option<Notice>) -> Option<Result<Notification, Error>> {
        match notice {
            Some(Notice::Response { response, more }) => {
                let response = Response::from(response);
                self.lost = None;
                if more {
                    self.backoff = first_wait(&self.route);
                } else if is_failure(response.status()) || !self.observed {
                    // RFC 7641 §4.2: with an error no more notifications follow.
                    self.phase = Phase::Ended;
                } else {
                    // A state without Observe: it is good for its Max-Age, and then asked for anew (RFC 7641 §3.3.1).
                    let fresh = Duration::from_secs(u64::from(response.options().as_options().max_age()));
                    self.phase = Phase::Waiting(Box::pin(tokio::time::sleep(fresh + RENEW_AFTER)));
                }
                Some(Ok(Notification::State(response)))
            }
            Some(Notice::Stale) => Some(Ok(Notification::Stale)),
            Some(Notice::Failed(error)) => {
                self.lose(&error);
                None
            }
            // The connection broke before the registration reached the engine.
            Some(Notice::Refused(error @ RequestError::NotConnected)) => {
                self.lose(&error);
                None
            }
            Some(Notice::Refused(error)) => {
                self.phase = Phase::Ended;
                Some(Err(error.into()))
            }
            Some(
                Notice::Progress { .. }
                | Notice::HeldBack(_)
                | Notice::Pong
                | Notice::Body { .. }
                | Notice::BodyWanted,
            ) => None,
            None => {
                self.phase = Phase::Ended;
                Some(Err(Error::Closed))
            }
        }
    }

    /// The registration is gone; of a connection it is told why that is over.
    fn lose(&mut self, error: &dyn fmt::Display) {
        self.phase = Phase::Lost;
        let over = match self.route.path.is_reliable() {
            true => self.client.line_to(&self.target),
            false => None,
        };
        self.lost = Some(match over {
            Some(Line::Over { reason, .. }) => format!("the connection ended: {reason}"),
            _ => error.to_string(),
        });
    }

    fn register_anew(&mut self) {
        self.phase = match self.route.path.is_reliable() {
            false => Phase::Registered(self.route.request(&self.outgoing)),
            true => {
                let (client, target) = (self.client.clone(), self.target.clone());
                Phase::Connecting(Box::pin(async move {
                    let mut routes = Routes::to(&client, &target).await?;
                    routes.next(&client).await?.ok_or(Error::Closed)
                }))
            }
        };
    }

    /// Goes on with a new connection, or waits for the next attempt.
    fn reconnected(&mut self, outcome: Result<Route, Error>) -> Option<Error> {
        self.phase = match outcome {
            Ok(route) => {
                self.route = route;
                Phase::Registered(self.route.request(&self.outgoing))
            }
            Err(error @ Error::HeldOff { wait }) => {
                self.lost = Some(error.to_string());
                Phase::Waiting(Box::pin(tokio::time::sleep(wait)))
            }
            Err(error @ Error::Closed) => {
                self.phase = Phase::Ended;
                return Some(error);
            }
            // A connection that others made is not ours to make again.
            Err(error @ Error::Request(RequestError::NotConnected)) => {
                self.phase = Phase::Ended;
                return Some(error);
            }
            Err(error) => {
                tracing::debug!(%error, "an observation waits for a connection");
                self.lost = Some(error.to_string());
                Phase::Lost
            }
        };
        None
    }
}

/// The way to a connection.
type Connecting = Pin<Box<dyn Future<Output = Result<Route, Error>> + Send>>;

impl fmt::Debug for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Registered(_) => "Registered",
            Phase::Lost => "Lost",
            Phase::Waiting(_) => "Waiting",
            Phase::Connecting(_) => "Connecting",
            Phase::Ended => "Ended",
        })
    }
}

/// How long a lost observation waits at first.
fn first_wait(route: &Route) -> Duration {
    if route.path.is_reliable() {
        RECONNECT_AFTER
    } else {
        BACKOFF.0
    }
}

/// Up to a quarter more than `wait`: those who lost the same server do not come back all at once.
fn spread(wait: Duration) -> Duration {
    let mut random = [0];
    // Without randomness they come back at once.
    let _ = getrandom::fill(&mut random);
    wait + wait * u32::from(random[0]) / 1024
}

impl Stream for Observation {
    type Item = Result<Notification, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Notification::State(first))));
        }
        loop {
            match &mut self.phase {
                Phase::Ended => return Poll::Ready(None),
                Phase::Lost => {
                    let wait = self.backoff;
                    self.backoff = (wait * 2).min(BACKOFF.1);
                    self.phase = Phase::Waiting(Box::pin(tokio::time::sleep(spread(wait))));
                    return Poll::Ready(Some(Ok(Notification::Stale)));
                }
                Phase::Waiting(sleep) => {
                    std::task::ready!(sleep.as_mut().poll(cx));
                    self.register_anew();
                }
                Phase::Connecting(connecting) => {
                    let outcome = std::task::ready!(connecting.as_mut().poll(cx));
                    if let Some(error) = self.reconnected(outcome) {
                        return Poll::Ready(Some(Err(error)));
                    }
                }
                Phase::Registered(underway) => {
                    let notice = std::task::ready!(underway.mailbox.poll_next(cx));
                    if let Some(told) = self.take(notice) {
                        return Poll::Ready(Some(told));
                    }
                }
            }
        }
    }
}
