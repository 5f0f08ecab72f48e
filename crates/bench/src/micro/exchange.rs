//! A request and its response, through the engine.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use coracle_engine::{Config, Endpoint, Instant, Path, Received, ResponseRef, limits};
use coracle_wire::{Method, OptionNumber, OptionsBuf, Status};

use super::codec::options;
use crate::datagrams::request;

/// Peers that ask in turn, as in the rounds.
const PEERS: u32 = 64;

/// Requests from one address, fewer than there are message IDs.
const REQUESTS_PER_ADDRESS: u16 = 60_000;

/// Between two requests.
const STEP: Duration = Duration::from_micros(5);

/// An endpoint and peers that each ask in turn, with a new message ID each time.
pub(super) struct Exchanges {
    endpoint: Endpoint,
    now: Instant,
    options: OptionsBuf,
    answer_options: OptionsBuf,
    turn: u32,
    id: u16,
    first_peer: u32,
    datagram: [u8; 64],
    out: [u8; limits::MAX_DATAGRAM],
}

impl Exchanges {
    pub(super) fn new(seen_bytes: usize) -> Exchanges {
        let mut config = Config::default();
        config.seen_bytes = seen_bytes;
        let mut answer_options = OptionsBuf::new();
        answer_options.push_uint(OptionNumber::CONTENT_FORMAT, 0);
        Exchanges {
            endpoint: Endpoint::new(config, [7; 32]),
            now: Instant::ZERO,
            options: options(),
            answer_options,
            turn: 0,
            id: 0,
            first_peer: Ipv4Addr::new(127, 1, 0, 1).to_bits(),
            datagram: [0; 64],
            out: [0; limits::MAX_DATAGRAM],
        }
    }

    pub(super) fn one(&mut self) {
        self.now = self.now + STEP;
        let path = self.next_path();
        let len = request(
            Method::GET,
            self.id,
            self.turn.to_be_bytes(),
            self.options.as_options(),
            &[],
            &mut self.datagram,
        );
        let datagram = self.datagram.get(..len).unwrap_or_default();
        let received = self.endpoint.handle_datagram(self.now, path, datagram);
        let Received::Request(id, _) = black_box(received) else {
            return;
        };
        let response = ResponseRef::new(Status::CONTENT, self.answer_options.as_options(), b"21.5");
        let answered = self.endpoint.respond(self.now, id, response);
        let transmit = self.endpoint.poll_transmit(self.now, &mut self.out);
        assert!(answered.is_ok() && transmit.is_some());
    }

    /// The peer whose turn it is, and the message ID of its request.
    fn next_path(&mut self) -> Path {
        self.turn = (self.turn + 1) % PEERS;
        if self.turn == 0 {
            self.id += 1;
        }
        if self.id == REQUESTS_PER_ADDRESS {
            self.id = 0;
            self.first_peer += PEERS;
        }
        let address = Ipv4Addr::from_bits(self.first_peer + self.turn);
        Path {
            local: Some(Ipv4Addr::LOCALHOST.into()),
            ..Path::to(SocketAddr::from((address, 5683)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exchange_is_new_to_the_engine() {
        let mut exchanges = Exchanges::new(1 << 20);
        (0..10_000).for_each(|_| exchanges.one());
        let stats = exchanges.endpoint.stats();
        assert_eq!((stats.requests, stats.datagrams_out), (10_000, 10_000));
    }

    #[test]
    fn peers_change_before_their_message_ids_repeat() {
        let mut exchanges = Exchanges::new(1 << 20);
        let mut last = Vec::new();
        for _ in 0..PEERS * u32::from(REQUESTS_PER_ADDRESS) {
            let path = exchanges.next_path();
            last.push((path.remote, exchanges.id));
        }
        let count = last.len();
        last.sort_unstable();
        last.dedup();
        assert_eq!(last.len(), count);
    }
}
