//! A layer that answers 4.29 to peers that ask too often (RFC 8516).

use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use coracle_engine::Peer;
use coracle_router::{Request, Response, Route, ServiceFuture};
use coracle_wire::Status;
use futures_util::future::Either;
use std::future::{Ready, ready};

/// Peers and prefixes whose requests are counted, in each of two generations of all stripes together. Who is forgotten
/// starts with a full allowance.
const MAX_COUNTED: usize = 32_768;

/// The counts are under so many locks: a peer stays with its shard, so that shards seldom meet at one.
const STRIPES: usize = 16;

/// Lets each peer, each network, or both ask some times a second; more is answered 4.29 (Too Many Requests) with a
/// Max-Age that tells when to come back (RFC 8516 §3). Notifications do not count.
///
/// The limit is one on average: what may come within a second may come at once, so that up to twice as many requests pass
/// in the first second after a quiet one. A peer is an address with its port; who changes ports is held by the limit for
/// its network.
///
/// ```
/// use coracle_router::{Router, get};
/// use coracle_runtime::RateLimit;
///
/// let limit = RateLimit::per_peer(50).and_per_prefix(1000);
/// let app: Router = Router::new().route("/temp", get(async || "21.5")).layer(limit);
/// ```
#[derive(Clone, Debug)]
pub struct RateLimit {
    /// Between two requests of a peer, on average.
    per_peer: Option<Duration>,
    /// The same of all addresses with the same prefix.
    per_prefix: Option<Duration>,
    /// The lengths of prefixes in bits, of IPv4 and of IPv6 addresses.
    prefix: (u8, u8),
    counts: Arc<Counts>,
}

/// What may be saved up: what may come within this time may come at once.
const BURST: Duration = Duration::from_secs(1);

/// Who is counted: a peer, or all with a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Counted {
    Peer(Peer),
    Prefix(IpAddr),
}

#[derive(Debug, Default)]
struct Counts {
    stripes: [Mutex<Generations>; STRIPES],
    hasher: RandomState,
}

/// When the allowance of each is full again. The older half is forgotten when the newer half is full.
#[derive(Debug, Default)]
struct Generations {
    newer: HashMap<Counted, Instant>,
    older: HashMap<Counted, Instant>,
}

impl RateLimit {
    /// At most `requests` a second from each peer, at least 1.
    #[must_use]
    pub fn per_peer(requests: u32) -> RateLimit {
        RateLimit {
            per_peer: Some(interval(requests)),
            per_prefix: None,
            prefix: (24, 56),
            counts: Arc::default(),
        }
    }

    /// At most `requests` a second from all addresses of a network together, at least 1: those that agree in their first
    /// 24 bits, with IPv6 in their first 56, which is what one customer may have.
    #[must_use]
    pub fn per_prefix(requests: u32) -> RateLimit {
        RateLimit {
            per_peer: None,
            ..RateLimit::per_peer(1)
        }
        .and_per_prefix(requests)
    }

    /// The same beside the limit for each peer.
    #[must_use]
    pub fn and_per_prefix(mut self, requests: u32) -> RateLimit {
        self.per_prefix = Some(interval(requests));
        self
    }

    /// Other lengths of prefixes, in bits: at most 32 of IPv4 addresses and 128 of IPv6 addresses.
    #[must_use]
    pub fn with_prefix_lengths(mut self, v4: u8, v6: u8) -> RateLimit {
        self.prefix = (v4.min(32), v6.min(128));
        self
    }

    /// `Err` tells how long the peer has to wait. A request that one limit refuses does not count for the other. The
    /// prefix comes first, so that what it refuses leaves no trace of its peer.
    fn admit(&self, peer: Peer, now: Instant) -> Result<(), Duration> {
        let of_prefix = self.per_prefix.map(|interval| {
            let prefix = prefix(peer.address.ip().to_canonical(), self.prefix);
            (Counted::Prefix(prefix), interval)
        });
        if let Some((prefix, interval)) = of_prefix {
            self.counts.admit(prefix, interval, now)?;
        }
        let Some(interval) = self.per_peer else {
            return Ok(());
        };
        let admitted = self.counts.admit(Counted::Peer(peer), interval, now);
        if let (Err(_), Some((prefix, interval))) = (admitted, of_prefix) {
            self.counts.give_back(prefix, interval);
        }
        admitted
    }
}

fn interval(requests: u32) -> Duration {
    Duration::from_secs(1) / requests.max(1)
}

/// An address without what comes after its prefix.
fn prefix(address: IpAddr, (v4, v6): (u8, u8)) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(v4)).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(v6)).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

impl Counts {
    fn generations(&self, counted: Counted) -> Option<MutexGuard<'_, Generations>> {
        let stripe = usize::try_from(self.hasher.hash_one(counted) % STRIPES as u64).unwrap_or(0);
        let stripe = self.stripes.get(stripe)?;
        Some(stripe.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn admit(&self, counted: Counted, interval: Duration, now: Instant) -> Result<(), Duration> {
        let Some(mut generations) = self.generations(counted) else {
            return Ok(());
        };
        let Generations { newer, older } = &mut *generations;
        let known = newer.get(&counted).or_else(|| older.get(&counted)).copied();
        let full_at = known.map_or(now, |at| at.max(now)) + interval;
        let debt = full_at.duration_since(now);
        if debt > BURST {
            return Err(debt - BURST);
        }
        if newer.len() >= MAX_COUNTED / STRIPES && !newer.contains_key(&counted) {
            *older = std::mem::take(newer);
        }
        newer.insert(counted, full_at);
        Ok(())
    }

    /// Takes back what was admitted last.
    fn give_back(&self, counted: Counted, interval: Duration) {
        if let Some(mut generations) = self.generations(counted)
            && let Some(full_at) = generations.newer.get_mut(&counted)
        {
            *full_at -= interval;
        }
    }
}

impl tower_layer::Layer<Route> for RateLimit {
    type Service = RateLimited;

    fn layer(&self, route: Route) -> RateLimited {
        RateLimited {
            limit: self.clone(),
            route,
        }
    }
}

/// The service that [`RateLimit`] makes.
#[derive(Clone, Debug)]
pub struct RateLimited {
    limit: RateLimit,
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
        match self.limit.admit(request.peer(), Instant::now()) {
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
        Peer::at(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    #[test]
    fn a_peer_has_its_allowance_and_no_more() {
        let limit = RateLimit::per_peer(10);
        let now = Instant::now();
        for _ in 0..10 {
            assert_eq!(limit.admit(peer(1), now), Ok(()));
        }
        assert_eq!(limit.admit(peer(1), now), Err(Duration::from_millis(100)));
        assert_eq!(limit.admit(peer(2), now), Ok(()));
        assert_eq!(limit.admit(peer(1), now + Duration::from_millis(100)), Ok(()));
        assert!(limit.admit(peer(1), now + Duration::from_millis(100)).is_err());
    }

    #[test]
    fn a_flood_of_peers_leaves_the_table_bounded() {
        let limit = RateLimit::per_peer(1);
        let now = Instant::now();
        for host in 0..=2_u8 {
            for port in 0..=u16::MAX {
                let address = SocketAddr::from(([127, 0, 0, host], port));
                let _ = limit.admit(Peer::at(address), now);
            }
        }
        for stripe in &limit.counts.stripes {
            let generations = stripe.lock().unwrap();
            let most = MAX_COUNTED / STRIPES;
            assert!(generations.newer.len() <= most && generations.older.len() <= most);
        }
    }

    fn at(address: &str) -> Peer {
        Peer::at(address.parse().unwrap())
    }

    #[test]
    fn a_network_has_its_allowance_whatever_addresses_it_uses() {
        let limit = RateLimit::per_prefix(2);
        let now = Instant::now();
        for address in [
            "192.0.2.1:1",
            "[::ffff:192.0.2.77]:2",
            "[2001:db8::1]:1",
            "[2001:db8:0:ff::1]:1",
        ] {
            assert_eq!(limit.admit(at(address), now), Ok(()), "{address}");
        }
        for address in ["192.0.2.200:9", "[2001:db8:0:1::9]:9"] {
            assert!(limit.admit(at(address), now).is_err(), "{address}");
        }
        for address in ["192.0.3.1:1", "[2001:db8:0:100::1]:1"] {
            assert_eq!(limit.admit(at(address), now), Ok(()), "{address}");
        }
        let whole = RateLimit::per_prefix(1).with_prefix_lengths(0, 255);
        assert_eq!(whole.admit(at("192.0.2.1:1"), now), Ok(()));
        assert!(whole.admit(at("203.0.113.1:1"), now).is_err());
        assert_eq!(whole.admit(at("[2001:db8::1]:1"), now), Ok(()));
        assert_eq!(whole.admit(at("[2001:db8::2]:1"), now), Ok(()));
    }

    #[test]
    fn a_peer_within_its_own_limit_is_held_to_that_of_its_network() {
        let limit = RateLimit::per_peer(2).and_per_prefix(3);
        let now = Instant::now();
        let admitted = [1, 1, 1, 2, 2, 3].map(|port| limit.admit(peer(port), now).is_ok());
        assert_eq!(admitted, [true, true, false, true, false, false]);
    }

    /// What is refused by one limit is not counted by the other.
    #[test]
    fn a_refused_request_counts_nowhere() {
        let limit = RateLimit::per_peer(2).and_per_prefix(3);
        let now = Instant::now();
        let admitted = |ports: &[u16], at| -> Vec<bool> {
            let admit = |port: &u16| limit.admit(peer(*port), at).is_ok();
            ports.iter().map(admit).collect()
        };
        assert_eq!(
            admitted(&[1, 1, 1, 1, 1, 2], now),
            [true, true, false, false, false, true]
        );
        assert_eq!(
            admitted(&[2, 2, 2, 2], now),
            [false; 4],
            "the network has had its allowance"
        );
        let later = now + Duration::from_millis(334);
        assert_eq!(admitted(&[2], later), [true], "the peer has half of its own left");
    }
}
