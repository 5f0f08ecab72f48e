//! How many bytes go to addresses that have proved nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::node::NodeId;

/// The bytes between a node and one address.
#[derive(Clone, Copy, Default)]
struct Between {
    received: u64,
    sent: u64,
    /// The node spoke first, or asks for something there itself: what it sends is no answer.
    asked: bool,
    worst: f64,
}

/// The bytes between nodes and the addresses that they hear.
#[derive(Default)]
pub(crate) struct Traffic {
    between: BTreeMap<(NodeId, SocketAddr), Between>,
}

impl Traffic {
    /// The node asks for something there itself.
    pub(crate) fn asked(&mut self, node: NodeId, remote: SocketAddr) {
        self.between.entry((node, remote)).or_default().asked = true;
    }

    pub(crate) fn received(&mut self, node: NodeId, remote: SocketAddr, bytes: usize) {
        self.between.entry((node, remote)).or_default().received += bytes as u64;
    }

    #[allow(clippy::cast_precision_loss, reason = "a ratio of bytes")]
    pub(crate) fn sent(&mut self, node: NodeId, remote: SocketAddr, bytes: usize) {
        let between = self.between.entry((node, remote)).or_default();
        between.asked |= between.received == 0;
        between.sent += bytes as u64;
        if !between.asked {
            let ratio = between.sent as f64 / between.received as f64;
            between.worst = between.worst.max(ratio);
        }
    }

    /// The worst ratio at any time of bytes sent to an address over bytes received from it.
    pub(crate) fn worst(&self) -> f64 {
        let answering = self.between.values().filter(|between| !between.asked);
        answering.map(|between| between.worst).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_moment_of_the_worst_address_counts_where_the_node_answers() {
        let (node, mut traffic) = (NodeId(0), Traffic::default());
        let [first, second, third]: [SocketAddr; 3] = [1, 2, 3].map(|port| ([10, 0, 0, 1], port).into());
        traffic.received(node, first, 10);
        traffic.sent(node, first, 50);
        traffic.received(node, first, 100);
        traffic.received(node, second, 10);
        traffic.sent(node, second, 20);
        traffic.sent(node, third, 1_000);
        traffic.received(node, third, 1);
        assert!((traffic.worst() - 5.0).abs() < 1e-9);
        traffic.asked(node, first);
        assert!((traffic.worst() - 2.0).abs() < 1e-9);
    }
}
