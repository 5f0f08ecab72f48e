//! Settings of an endpoint: defaults from the RFCs, and bounds of memory.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU8;
use core::time::Duration;

use coracle_wire::{Method, OptionNumber, Options};

use crate::connection::ConnectionParameters;

/// Transmission parameters (RFC 7252 §4.8).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct TransmissionParameters {
    /// ACK_TIMEOUT: the shortest wait for an acknowledgement; 2 s.
    pub ack_timeout: Duration,
    /// ACK_RANDOM_FACTOR: the first wait is at most this many times `ack_timeout`; 1.5, at least 1.
    pub ack_random_factor: f32,
    /// MAX_RETRANSMIT: how often a confirmable message is sent again; 4, at most 20.
    pub max_retransmit: u8,
    /// NSTART: how many interactions with one peer are outstanding at once (RFC 7252 §4.7); 1.
    pub nstart: u16,
    /// DEFAULT_LEISURE: within this time a multicast request is answered; 5 s.
    pub default_leisure: Duration,
    /// PROBING_RATE: bytes a second that go to a peer that does not answer; 1.
    pub probing_rate: u32,
}

impl Default for TransmissionParameters {
    fn default() -> Self {
        TransmissionParameters {
            ack_timeout: Duration::from_secs(2),
            ack_random_factor: 1.5,
            max_retransmit: 4,
            nstart: 1,
            default_leisure: Duration::from_secs(5),
            probing_rate: 1,
        }
    }
}

/// MAX_LATENCY (RFC 7252 §4.8.2).
const MAX_LATENCY: Duration = Duration::from_secs(100);

impl TransmissionParameters {
    /// Sets [`ack_timeout`](Self::ack_timeout). Below 1 s it congests networks that are slower than expected.
    #[must_use]
    pub fn with_ack_timeout(mut self, ack_timeout: Duration) -> Self {
        self.ack_timeout = ack_timeout.clamp(Duration::from_millis(1), Duration::from_secs(3600));
        self
    }

    /// Sets [`ack_random_factor`](Self::ack_random_factor), raised to 1 and cut to 10.
    #[must_use]
    pub fn with_ack_random_factor(mut self, factor: f32) -> Self {
        self.ack_random_factor = if factor.is_finite() {
            factor.clamp(1.0, 10.0)
        } else {
            1.5
        };
        self
    }

    /// Sets [`max_retransmit`](Self::max_retransmit), cut to 20.
    #[must_use]
    pub fn with_max_retransmit(mut self, max_retransmit: u8) -> Self {
        self.max_retransmit = max_retransmit.min(20);
        self
    }

    /// Sets [`nstart`](Self::nstart), at least 1. More than 1 asks for congestion control of the caller's own
    /// (RFC 7252 §4.7).
    #[must_use]
    pub fn with_nstart(mut self, nstart: u16) -> Self {
        self.nstart = nstart.max(1);
        self
    }

    /// Sets [`probing_rate`](Self::probing_rate), at least 1 byte a second.
    #[must_use]
    pub fn with_probing_rate(mut self, rate: u32) -> Self {
        self.probing_rate = rate.max(1);
        self
    }

    /// Sets [`default_leisure`](Self::default_leisure).
    #[must_use]
    pub fn with_default_leisure(mut self, leisure: Duration) -> Self {
        self.default_leisure = leisure;
        self
    }

    /// The same with every value within the bounds of its setter, for fields that were set past them.
    pub(crate) fn bounded(self) -> Self {
        self.with_ack_timeout(self.ack_timeout)
            .with_ack_random_factor(self.ack_random_factor)
            .with_max_retransmit(self.max_retransmit)
            .with_nstart(self.nstart)
            .with_probing_rate(self.probing_rate)
    }

    /// From the first transmission of a confirmable message to its last (MAX_TRANSMIT_SPAN; 45 s).
    #[must_use]
    pub fn max_transmit_span(&self) -> Duration {
        self.waits(self.max_retransmit)
    }

    /// From the first transmission of a confirmable message to giving up (MAX_TRANSMIT_WAIT; 93 s).
    #[must_use]
    pub fn max_transmit_wait(&self) -> Duration {
        self.waits(self.max_retransmit.saturating_add(1))
    }

    /// How long a message ID of a confirmable message must not be used again (EXCHANGE_LIFETIME; 247 s).
    #[must_use]
    pub fn exchange_lifetime(&self) -> Duration {
        self.max_transmit_span() + 2 * MAX_LATENCY + self.ack_timeout
    }

    /// How long a message ID of a non-confirmable message must not be used again (NON_LIFETIME; 145 s).
    #[must_use]
    pub fn non_lifetime(&self) -> Duration {
        self.max_transmit_span() + MAX_LATENCY
    }

    fn waits(&self, attempts: u8) -> Duration {
        let doublings = (1_u32 << attempts.min(24)) - 1;
        self.ack_timeout
            .mul_f32(self.ack_random_factor)
            .saturating_mul(doublings)
    }
}

/// How the body of a request is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Assembled to a whole of at most `limit` bytes; more is answered 4.13 (RFC 7959 §2.9.3).
    Collect {
        /// Bytes.
        limit: usize,
    },
    /// Handed on block by block; the next block is asked for when the consumer wants it.
    Stream,
}

/// Decides for each request how its body is taken, by what its first block says.
pub trait BodyPolicy: Send + Sync {
    /// The decision. Called once for each body that comes in blocks.
    fn body(&self, method: Method, options: Options<'_>) -> Body;
}

/// Settings of an [`Endpoint`](crate::Endpoint).
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// Transmission parameters towards all peers; a request may bring its own.
    pub transmission: TransmissionParameters,
    /// How long a confirmable request may be worked on before it is acknowledged by itself (RFC 7252 §5.2.2); 1 s.
    /// Longer saves messages, but must stay below the sender's ACK_TIMEOUT or it retransmits in vain.
    pub acknowledge_after: Duration,
    /// Block size exponent that is offered and accepted at most: 0 for 16 bytes to 6 for 1,024 (RFC 7959 §2.2); 6.
    pub block_szx: u8,
    /// The longest body of a request that is assembled where no policy says otherwise, and of a response that is
    /// collected, in bytes; 1 MiB.
    pub max_body: usize,
    /// Bytes of unfinished request bodies of one peer; 4 MiB.
    pub assembly_bytes_per_peer: usize,
    /// Bytes of unfinished request bodies of all peers; 64 MiB.
    pub assembly_bytes: usize,
    /// Bytes of response bodies kept for the blocks that will be asked for; 32 MiB.
    pub response_body_bytes: usize,
    /// How long a body in part is kept after its last block; 93 s (MAX_TRANSMIT_WAIT; RFC 7959 §2.5).
    pub block_lifetime: Duration,
    /// Bytes of remembered message IDs and their answers; 32 MiB, at most 512 MiB. The leave of RFC 7252 §4.5 is taken for
    /// idempotent requests when it is short; others are then answered 5.03. One peer may have an eighth of it in
    /// requests that must not be run twice. A message takes 31 bytes with IPv4 addresses, 59 with IPv6, and its answer 3
    /// beside its own; their index takes another 6 to 12 for each.
    pub seen_bytes: usize,
    /// How many bytes may go to an address that has not proved itself for each byte that came from it; 3 (RFC 9175
    /// §2.4). `None` switches this off, for closed networks. An address proves itself by an Echo value of ours, by the
    /// answer to a request of ours, or by a security association. What does not fit is cut into smaller blocks or asked
    /// to prove the address first: less than 3 leaves no room for that question where a request is short, and its sender
    /// can never prove anything. While addresses are unproved, all of them together may use at most half of each
    /// bounded table.
    pub amplification: Option<NonZeroU8>,
    /// The key of Echo values (RFC 9175 §2.3). `None` takes one from the endpoint's seed; endpoints that serve one
    /// address together are given the same, drawn at random for each start.
    pub echo_key: Option<[u8; 16]>,
    /// Peers whose message IDs are tracked, those that observe among them, and at most as many addresses whose proof is;
    /// 262,144.
    pub max_peers: usize,
    /// Requests of others that are worked on at once; 262,144. More are answered 5.03.
    pub max_exchanges: usize,
    /// The same of one peer; 8,192, so that no peer takes all the room.
    pub max_exchanges_per_peer: usize,
    /// Observers of all peers; 131,072, at most half of `max_exchanges`: of as many notifications, requests and answers
    /// together are messages sent at once.
    /// Beyond it a request is answered without Observe (RFC 7641 §4.1); a peer that has not proved its address is asked to
    /// prove it first.
    pub max_observers: usize,
    /// Observers of one peer; 1,024. Beyond it a request is answered without Observe (RFC 7641 §4.1). A peer that has not
    /// proved its address has 16 at most, and is asked to prove it for more.
    pub max_observers_per_peer: usize,
    /// Bytes of the requests of observers, which are kept to be run again, and of states on their way to them, beyond the
    /// first 128 of each; 32 MiB. Requests have half of it, and those of one peer an eighth of that, 2 MiB; where that is
    /// short, one is answered without Observe (RFC 7641 §4.1), unless it renews an observation by the same request. States
    /// have the other half; one that finds no room is asked for again for each of its observers.
    pub observation_bytes: usize,
    /// Requests of ours that are under way at once, observations included; 65,536.
    pub max_requests: usize,
    /// Messages that wait for their turn towards one peer; 1,024.
    pub max_queue_per_peer: usize,
    /// A notification is confirmable at least this often; 24 h (RFC 7641 §4.5), less finds dead observers sooner.
    pub confirmable_notification_every: Duration,
    /// The shortest time between two non-confirmable notifications to an observer; 3 s (RFC 7641 §4.5.1).
    pub notification_interval: Duration,
    /// Critical options that the application understands beside the engine's own (RFC 7252 §5.4.1).
    pub known_options: Vec<OptionNumber>,
    /// Decides how bodies of requests are taken; `None` collects up to `max_body`.
    pub body_policy: Option<Arc<dyn BodyPolicy>>,
    /// Settings of connections over reliable transports.
    pub connections: ConnectionParameters,
}

impl Default for Config {
    fn default() -> Self {
        let transmission = TransmissionParameters::default();
        Config {
            transmission,
            acknowledge_after: Duration::from_secs(1),
            block_szx: 6,
            max_body: 1 << 20,
            assembly_bytes_per_peer: 4 << 20,
            assembly_bytes: 64 << 20,
            response_body_bytes: 32 << 20,
            block_lifetime: transmission.max_transmit_wait(),
            seen_bytes: 32 << 20,
            amplification: NonZeroU8::new(3),
            echo_key: None,
            max_peers: 262_144,
            max_exchanges: 262_144,
            max_exchanges_per_peer: 8192,
            max_observers: 131_072,
            max_observers_per_peer: 1024,
            observation_bytes: 32 << 20,
            max_requests: 65_536,
            max_queue_per_peer: 1024,
            confirmable_notification_every: Duration::from_secs(24 * 3600),
            notification_interval: Duration::from_secs(3),
            known_options: Vec::new(),
            body_policy: None,
            connections: ConnectionParameters::default(),
        }
    }
}

impl Config {
    /// Bounds for a microcontroller: some ten kilobytes of state, blocks of 256 bytes.
    #[must_use]
    pub fn constrained() -> Config {
        Config {
            block_szx: 4,
            max_body: 4096,
            assembly_bytes_per_peer: 4096,
            assembly_bytes: 4096,
            response_body_bytes: 4096,
            seen_bytes: 8192,
            max_peers: 8,
            max_exchanges: 16,
            max_exchanges_per_peer: 8,
            max_observers: 8,
            max_observers_per_peer: 2,
            observation_bytes: 4096,
            max_requests: 4,
            max_queue_per_peer: 4,
            connections: ConnectionParameters::constrained(),
            ..Config::default()
        }
    }
}

impl Config {
    /// The settings of one of `shards` endpoints that share what these bounds allow: each has its part of the bounds
    /// of all peers together. The bounds of one peer stay, as a peer is with one of them, but are at most half of what
    /// the share has room for; and the share has room for one peer's bodies, and for a state of
    /// [`max_body`](Self::max_body) that is shown to observers. The eighths of [`seen_bytes`](Self::seen_bytes) and of the
    /// requests' half of [`observation_bytes`](Self::observation_bytes) that one peer may have are eighths of the share:
    /// with 8 shards a 64th of the whole, by default 512 KiB and 256 KiB.
    #[must_use]
    pub fn share_of(&self, shards: usize) -> Config {
        if shards <= 1 {
            return self.clone();
        }
        let part = |whole: usize| whole.div_ceil(shards);
        let max_exchanges = part(self.max_exchanges);
        let max_observers = part(self.max_observers);
        Config {
            assembly_bytes: part(self.assembly_bytes)
                .max(self.assembly_bytes_per_peer.min(self.assembly_bytes)),
            response_body_bytes: part(self.response_body_bytes),
            seen_bytes: part(self.seen_bytes),
            max_peers: part(self.max_peers),
            max_exchanges,
            max_exchanges_per_peer: self.max_exchanges_per_peer.min(max_exchanges.div_ceil(2)),
            max_observers,
            max_observers_per_peer: self.max_observers_per_peer.min(max_observers.div_ceil(2)),
            observation_bytes: part(self.observation_bytes)
                .max(self.max_body.saturating_mul(2).min(self.observation_bytes)),
            max_requests: part(self.max_requests),
            connections: self.connections.share_of(shards),
            ..self.clone()
        }
    }

    /// The same with values that mean something.
    pub(crate) fn bounded(mut self) -> Config {
        self.transmission = self.transmission.bounded();
        // RFC 7959 §2.2: 7 is reserved on datagrams.
        self.block_szx = self.block_szx.min(6);
        self.connections = self.connections.bounded();
        self
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("transmission", &self.transmission)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7252 §4.8.2, table 3.
    #[test]
    fn derived_times_are_those_of_the_rfc() {
        let parameters = TransmissionParameters::default();
        assert_eq!(parameters.max_transmit_span(), Duration::from_secs(45));
        assert_eq!(parameters.max_transmit_wait(), Duration::from_secs(93));
        assert_eq!(parameters.exchange_lifetime(), Duration::from_secs(247));
        assert_eq!(parameters.non_lifetime(), Duration::from_secs(145));
    }

    #[test]
    fn shares_are_what_all_have_together() {
        let whole = Config::default();
        let share = whole.share_of(64);
        assert_eq!(share.seen_bytes, whole.seen_bytes / 64);
        assert_eq!(share.max_exchanges, whole.max_exchanges / 64);
        assert_eq!(share.max_exchanges_per_peer, share.max_exchanges / 2);
        assert_eq!(share.max_observers_per_peer, share.max_observers / 2);
        assert_eq!(share.assembly_bytes, whole.assembly_bytes_per_peer);
        assert_eq!(share.max_body, whole.max_body);
        assert_eq!(whole.share_of(8).observation_bytes, whole.observation_bytes / 8);
        assert_eq!(share.observation_bytes, 2 * whole.max_body);

        for alone in [whole.share_of(1), whole.share_of(0)] {
            assert_eq!(alone.seen_bytes, whole.seen_bytes);
            assert_eq!(alone.assembly_bytes, whole.assembly_bytes);
            assert_eq!(alone.max_exchanges_per_peer, whole.max_exchanges_per_peer);
        }
    }

    #[test]
    fn fields_that_were_set_past_their_bounds_are_brought_back() {
        let config = Config {
            block_szx: 9,
            transmission: TransmissionParameters {
                ack_random_factor: f32::NAN,
                ack_timeout: Duration::ZERO,
                max_retransmit: 255,
                nstart: 0,
                ..TransmissionParameters::default()
            },
            ..Config::default()
        };
        let config = config.bounded();
        assert_eq!((config.block_szx, config.transmission.nstart), (6, 1));
        assert!(config.transmission.exchange_lifetime() > Duration::from_secs(200));
    }

    #[test]
    fn setters_keep_their_bounds() {
        let parameters = TransmissionParameters::default()
            .with_ack_random_factor(f32::NAN)
            .with_max_retransmit(200)
            .with_nstart(0)
            .with_probing_rate(0);
        assert_eq!(parameters.max_retransmit, 20);
        assert_eq!(parameters.nstart, 1);
        assert_eq!(parameters.probing_rate, 1);
        assert!(parameters.max_transmit_wait() < Duration::from_secs(u64::from(u32::MAX)));
    }
}
