//! What an endpoint did, over all its shards.

use coracle_engine::Stats;
use futures_util::future::join_all;

use crate::command::Handle;
use crate::secure::SecurityStatistics;

/// What an endpoint did since it serves, as sums over its addresses and shards.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Statistics {
    /// The counters of the engines.
    pub engine: Stats,
    /// Observers that are registered now.
    pub observers: u64,
    /// Requests whose handlers have not answered now,
    pub pending: u64,
    /// and of these so many wait for more of a body that comes in parts.
    pub uploads: u64,
    /// Shards that run.
    pub shards: u64,
    /// Datagrams and errors of the network that came to another shard than the peer's, and were handed over.
    pub handed_over: u64,
    /// The same, but lost because too much waited there already.
    pub handed_over_lost: u64,
    /// Connections that are open now.
    pub connections: u64,
    /// Connections that were taken from peers.
    pub connections_accepted: u64,
    /// Connections that were closed because there were too many
    /// ([`max_connections`](coracle_engine::ConnectionParameters::max_connections)), or because too much was kept of
    /// messages that were not whole.
    pub connections_refused: u64,
    /// Handshakes of TLS or WebSocket that failed, took too long, or gave way to newer ones.
    pub handshakes_failed: u64,
    /// The sessions of `coaps`.
    pub security: SecurityStatistics,
}

impl Statistics {
    fn add(&mut self, other: &Statistics) {
        self.engine += &other.engine;
        self.observers += other.observers;
        self.pending += other.pending;
        self.uploads += other.uploads;
        self.shards += other.shards;
        self.handed_over = self.handed_over.wrapping_add(other.handed_over);
        self.handed_over_lost = self.handed_over_lost.wrapping_add(other.handed_over_lost);
        self.connections += other.connections;
        self.connections_accepted += other.connections_accepted;
        self.connections_refused += other.connections_refused;
        self.handshakes_failed += other.handshakes_failed;
        self.security.add(&other.security);
    }
}

/// Reads the [`Statistics`] of an endpoint while it serves; from
/// [`Endpoint::statistics`](crate::Endpoint::statistics).
#[derive(Clone, Debug)]
pub struct StatisticsReader(Vec<Handle>);

impl StatisticsReader {
    pub(crate) fn new(shards: Vec<Handle>) -> StatisticsReader {
        StatisticsReader(shards)
    }

    /// Asks all shards, which go on meanwhile. It costs them nothing else; before the endpoint serves it waits.
    /// Shards that have ended are not in the sums.
    pub async fn read(&self) -> Statistics {
        let mut sum = Statistics::default();
        for of_shard in join_all(self.0.iter().map(Handle::statistics))
            .await
            .iter()
            .flatten()
        {
            sum.add(of_shard);
        }
        sum
    }
}
