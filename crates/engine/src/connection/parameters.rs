//! Settings of connections.

use core::time::Duration;

use coracle_wire::{BlockOption, Csm};

/// What becomes of a connection whose peer does not begin with a CSM, as it has to (RFC 8323 §3.3, §5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingCsm {
    /// It is aborted, at once when another message comes first, and otherwise after
    /// [`open_within`](ConnectionParameters::open_within).
    Refuse,
    /// Its messages are taken, and ours go out after this time, with the base values: Max-Message-Size 1,152.
    WaitFor(Duration),
    /// It is not waited for at all: what is to go out before it comes, goes with the base values.
    Tolerate,
}

/// Settings of connections over reliable transports (RFC 8323).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionParameters {
    /// Connections at once; 65,536. Each takes some 300 bytes while it is idle.
    pub max_connections: usize,
    /// The same with one address, whatever its ports; 16,384, so that no host takes all the room. Devices behind one NAT have
    /// one address together.
    pub max_connections_per_address: usize,
    /// The longest message that is taken, told in our CSM as Max-Message-Size (RFC 8323 §5.3.1), and the longest that is
    /// sent, in bytes; 1 MiB and 512 bytes: a body of 1 MiB with its options. At least 1,152. Longer bodies go in BERT
    /// blocks of at most 256 KiB, those of requests that are at hand as a whole of at most
    /// 512 KiB.
    pub max_message_size: u32,
    /// The largest block size that is offered and asked for, as its exponent (RFC 7959 §2.2); 7, which is BERT
    /// (RFC 8323 §6). With less, longer bodies go in blocks of that size although a message has room for them.
    pub block_szx: u8,
    /// What becomes of peers that do not begin with a CSM; [`MissingCsm::Refuse`].
    pub missing_csm: MissingCsm,
    /// How long a peer may take to send its CSM; 10 s.
    pub open_within: Duration,
    /// A peer that is silent for so long is sent a Ping (RFC 8323 §5.4); 5 min. `None`: never.
    pub ping_after: Option<Duration>,
    /// How long it may take to answer; 60 s. Then the connection is aborted.
    pub pong_within: Duration,
    /// A connection on which nothing is under way and nothing is observed is released after so long (RFC 8323 §5.5);
    /// `None`, the default: never.
    pub idle_after: Option<Duration>,
    /// How long a connection that is released may take to finish what runs; 30 s.
    pub release_within: Duration,
    /// Bytes that wait to be written, of all connections together; 128 MiB, an eighth of it on one, a quarter with one
    /// address, and 4 KiB on each in any case. Beyond it answers with a body that was only read are replaced by 5.03, as it
    /// may be asked for again, what is not safe to repeat is refused before it begins, notifications wait, requests of ours
    /// are refused, and who has not read for 10 s is given up.
    pub queued_bytes: usize,
}

impl Default for ConnectionParameters {
    fn default() -> Self {
        ConnectionParameters {
            max_connections: 65_536,
            max_connections_per_address: 16_384,
            max_message_size: (1 << 20) + 512,
            block_szx: BlockOption::SZX_BERT,
            missing_csm: MissingCsm::Refuse,
            open_within: Duration::from_secs(10),
            ping_after: Some(Duration::from_secs(300)),
            pong_within: Duration::from_secs(60),
            idle_after: None,
            release_within: Duration::from_secs(30),
            queued_bytes: 128 << 20,
        }
    }
}

impl ConnectionParameters {
    /// For a microcontroller: few connections, short messages.
    pub(crate) fn constrained() -> ConnectionParameters {
        ConnectionParameters {
            max_connections: 4,
            max_message_size: 1152,
            queued_bytes: 8192,
            ..ConnectionParameters::default()
        }
    }

    /// The part of one of so many endpoints.
    pub(crate) fn share_of(&self, shards: usize) -> ConnectionParameters {
        let least = self.queued_bytes.min(8 * self.max_message_size as usize);
        let of_address = self.max_connections_per_address.div_ceil(shards);
        ConnectionParameters {
            max_connections: self.max_connections.div_ceil(shards),
            // The system spreads those of one address over the endpoints, more or less: seldom by more than four deviations.
            max_connections_per_address: match shards {
                0 | 1 => self.max_connections_per_address,
                _ => of_address + 4 * of_address.isqrt() + 1,
            },
            queued_bytes: self.queued_bytes.div_ceil(shards).max(least),
            ..*self
        }
    }

    /// The same with values that mean something.
    pub(crate) fn bounded(self) -> ConnectionParameters {
        ConnectionParameters {
            max_message_size: self.max_message_size.max(Csm::BASE_MAX_MESSAGE_SIZE),
            block_szx: self.block_szx.min(BlockOption::SZX_BERT),
            ..self
        }
    }
}
