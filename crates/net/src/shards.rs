//! Which of the sockets of one address a peer belongs to.

use std::net::{IpAddr, SocketAddr};

/// An odd number whose multiples lie far apart: 2^32 divided by the golden ratio.
pub(crate) const SPREAD: u32 = 0x9E37_79B1;

/// The place of the socket, among `shards` of [`UdpSocket::into_shards`](crate::UdpSocket::into_shards), that
/// datagrams of `remote` come to: always the same, and whole at each place.
///
/// The kernel is told the same function, so that it is arithmetic that both can do. It is no secret: who may choose
/// source addresses can load one shard more than others, as one peer can in any case.
#[must_use]
pub fn shard_of(remote: SocketAddr, shards: usize) -> usize {
    let address = match remote.ip().to_canonical() {
        IpAddr::V4(ip) => spread(0, ip.to_bits()),
        IpAddr::V6(ip) => {
            let octets = ip.octets();
            let (words, _) = octets.as_chunks::<4>();
            words
                .iter()
                .fold(0, |hash, word| spread(hash, u32::from_be_bytes(*word)))
        }
    };
    let hash = spread(address, remote.port().into());
    // The upper half is the better mixed one, and fits any usize.
    (hash >> 16) as usize % shards.max(1)
}

fn spread(hash: u32, word: u32) -> u32 {
    hash.wrapping_add(word).wrapping_mul(SPREAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_one_place_however_it_is_written() {
        for port in 0..1000 {
            let v4: SocketAddr = ([192, 0, 2, 1], port).into();
            let mapped: SocketAddr = ("::ffff:192.0.2.1".parse::<IpAddr>().unwrap(), port).into();
            assert_eq!(shard_of(v4, 7), shard_of(mapped, 7));
            assert_eq!(shard_of(v4, 1), 0);
            assert_eq!(shard_of(v4, 0), 0);
        }
    }

    /// Peers as they come: many ports of one address, many addresses with one port, networks of IPv6.
    #[test]
    fn peers_are_spread_evenly() {
        let kinds: [fn(u16) -> SocketAddr; 5] = [
            |n| ([127, 0, 0, 1], 32_768 + n).into(),
            // Linux gives even ports to those that connect.
            |n| ([127, 0, 0, 1], 32_768 + 2 * n).into(),
            |n| {
                let [high, low] = n.to_be_bytes();
                ([127, 1, high, low], 5683).into()
            },
            |n| ([0x2001, 0xdb8, 0, 0, 0, 0, 0, n], 5683).into(),
            |n| ([0x2001, 0xdb8, 0, n, 0, 0, 0, 1], 5683).into(),
        ];
        for shards in [2, 3, 4, 8, 12] {
            for (kind, address) in kinds.iter().enumerate() {
                let mut counts = vec![0; shards];
                for n in 0..12_000 {
                    counts[shard_of(address(n), shards)] += 1;
                }
                let fair = 12_000 / shards;
                for count in counts {
                    assert!(
                        count > fair * 8 / 10 && count < fair * 12 / 10,
                        "{kind} {shards}: {count}"
                    );
                }
            }
        }
    }
}
