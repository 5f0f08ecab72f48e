//! A layer that answers 4.29 to peers that ask too often (RFC 8516).

use std::collections::HashMap;
use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use coracle_engine::Peer;
use coracle_router::{Request, Response, Route, ServiceFuture};
use coracle_wire::Status;
use futures_util::future::Either;
use std::future::{Ready, ready};

/// Peers whose requests are counted, in each of two generations. A peer that is forgotten starts with a full allowance.
const MAX_PEERS: usize = 32_768;

/// Lets each peer ask some times a second; more is answered 4.29 (Too Many Requests) with a Max-Age that tells when to
/// come back (RFC 8516 §3). What may come within a second may come at once. Notifications do not count.
///
/// ```
/// use coracle_router::{Router, get};
/// use coracle_runtime::RateLimit;
///
/// let app: Router = Router::new().route("/temp", get(async || "21.5")).layer(RateLimit::per_peer(50));
/// ```
#[derive(Clone, Debug)]
pub struct RateLimit {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Between two requests of a peer, on average.
    interval: Duration,
    /// What a peer may save up.
    burst: Duration,
    due: Mutex<Generations>,
}

/// By peer, when its allowance is full again. The older half is forgotten when the newer half is full.
#[derive(Debug, Default)]
struct Generations {
    newer: HashMap<Peer, Instant>,
    older: HashMap<Peer, Instant>,
}

impl RateLimit {
    /// At most `requests` a second from each peer, at least 1.
    #[must_use]
    pub fn per_peer(requests: u32) -> RateLimit {
        let requests = NonZeroU32::new(requests).unwrap_or(NonZeroU32::MIN);
        let interval = Duration::from_secs(1) / requests.get();
        let shared = Shared {
            interval,
            burst: Duration::from_secs(1),
            due: Mutex::default(),
        };
        RateLimit {
            shared: Arc::new(shared),
        }
    }
}

impl Shared {
    /// `Err` tells how long the peer has to wait.
    fn admit(&self, peer: Peer, now: Instant) -> Result<(), Duration> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let Generations { newer, older } = &mut *due;
        let known = newer.get(&peer).or_else(|| older.get(&peer)).copied();
        let full_at = known.map_or(now, |at| at.max(now)) + self.interval;
        let debt = full_at.duration_since(now);
        if debt > self.burst {
            return Err(debt - self.burst);
        }
        if newer.len() >= MAX_PEERS && !newer.contains_key(&peer) {
            *older = std::mem::take(newer);
        }
        newer.insert(peer, full_at);
        Ok(())
    }
}

impl tower_layer::Layer<Route> for RateLimit {
    type Service = RateLimited;

    fn layer(&self, route: Route) -> RateLimited {
        RateLimited {
            shared: self.shared.clone(),
            route,
        }
    }
}

/// The service that [`RateLimit`] makes.
#[derive(Clone, Debug)]
pub struct RateLimited {
    shared: Arc<Shared>,
    route: Route,
}

impl tower_service::Service<Request> for RateLimited {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, ServiceFuture>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if request.notification {
            // The peer asked once; that its state changes often is not its doing.
            return Either::Right(self.route.call(request));
        }
        match self.shared.admit(request.peer(), Instant::now()) {
            Ok(()) => Either::Right(self.route.call(request)),
            Err(wait) => {
                let seconds = u32::try_from(wait.as_secs())
                    .unwrap_or(u32::MAX)
                    .saturating_add(1);
                Either::Left(ready(Ok(
                    Response::new(Status::TOO_MANY_REQUESTS).with_max_age(seconds)
                )))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn peer(port: u16) -> Peer {
        Peer {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            identity: None,
        }
    }

    #[test]
    fn a_peer_has_its_allowance_and_no_more() {
        let limit = RateLimit::per_peer(10);
        let now = Instant::now();
        for _ in 0..10 {
            assert_eq!(limit.shared.admit(peer(1), now), Ok(()));
        }
        assert_eq!(limit.shared.admit(peer(1), now), Err(Duration::from_millis(100)));
        assert_eq!(limit.shared.admit(peer(2), now), Ok(()));
        assert_eq!(
            limit.shared.admit(peer(1), now + Duration::from_millis(100)),
            Ok(())
        );
        assert!(
            limit
                .shared
                .admit(peer(1), now + Duration::from_millis(100))
                .is_err()
        );
    }

    #[test]
    fn a_flood_of_peers_leaves_the_table_bounded() {
        let limit = RateLimit::per_peer(1);
        let now = Instant::now();
        for host in 0..=2_u8 {
            for port in 0..=u16::MAX {
                let address = SocketAddr::from(([127, 0, 0, host], port));
                let _ = limit.shared.admit(
                    Peer {
                        address,
                        identity: None,
                    },
                    now,
                );
            }
        }
        let due = limit.shared.due.lock().unwrap();
        assert!(due.newer.len() <= MAX_PEERS && due.older.len() <= MAX_PEERS);
    }
}
