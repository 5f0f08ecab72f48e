//! Every bound of the crate by name, with its reason.

use std::time::Duration;

/// Peers of a plan. Beyond a million their own state fills the memory of small machines.
pub(crate) const MAX_PEERS: u32 = 1 << 20;

/// Requests outstanding in all, which is also how many observers there may be.
pub(crate) const MAX_OUTSTANDING: u64 = 1 << 20;

/// Requests under one source address and port, fewer than there are message IDs. The peer then goes on from a source
/// that was not used within [`EXCHANGE_LIFETIME`].
pub(crate) const IDS_PER_SOURCE: u16 = 60_000;

/// From the first transmission of a message until its message ID may be used again (RFC 7252 §4.8.2).
pub(crate) const EXCHANGE_LIFETIME: Duration = Duration::from_secs(247);

/// ACK_TIMEOUT (RFC 7252 §4.8).
pub(crate) const ACK_TIMEOUT: Duration = Duration::from_secs(2);

/// MAX_RETRANSMIT (RFC 7252 §4.8).
pub(crate) const MAX_RETRANSMIT: u8 = 4;

/// A request without an answer is given up. Shorter than MAX_TRANSMIT_WAIT (RFC 7252 §4.8.2), so that runs of some
/// seconds see requests fail; two retransmissions fit.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// A run for a number of answers fails when none came for so many time-outs of requests.
pub(crate) const HOPELESS: u32 = 3;

/// How often one request is sent anew because the server asks for an Echo option. One suffices for a server that works
/// (RFC 9175 §2.4); the second is for a value that became too old on its way.
pub(crate) const MAX_CHALLENGES: u8 = 2;

/// Changes of an observed resource that are told apart in one run. Each holds a payload, and is held until the end.
pub(crate) const MAX_WAVES: usize = 1 << 16;

/// How long the answers to the last requests are waited for: one retransmission (RFC 7252 §4.2) and its answer.
pub(crate) const SETTLING: Duration = Duration::from_secs(4);

/// How long that, or the leaving of observers, takes at most after a wish to stop.
pub(crate) const HURRY: Duration = Duration::from_secs(1);

/// How long observers may take to leave.
pub(crate) const LEAVING: Duration = Duration::from_secs(10);

/// Registrations of observers that are under way at once: what a server's receive buffer takes.
pub(crate) const REGISTERING: usize = 256;

/// The longest body of an upload: 2^20 blocks of 1,024 bytes are all that RFC 7959 can transfer.
pub(crate) const MAX_BODY: usize = 1 << 30;

/// The payload of one message that is no block: what fits the datagrams of the Internet (RFC 7252 §4.6).
pub(crate) const MAX_PAYLOAD: usize = 1024;

/// The longest options of a request, so that it fits a slot of a batch with payload, token and header.
pub(crate) const MAX_OPTIONS: usize = 900;

/// Requests that are begun before the socket is looked at again, so that answers need not wait while thousands of
/// peers start.
pub(crate) const BEGUN_PER_TURN: usize = coracle_net::BATCH_SIZE;

/// The same on connections, where those of one connection are written at once.
pub(crate) const BEGUN_ON_CONNECTIONS: usize = 1024;

/// The longest sleep, after which the end of a run and the wish to stop are looked at.
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_millis(50);

/// An answer counts as a copy of one that came before if its request was one of so many last ones of its slot.
pub(crate) const REMEMBERED_REQUESTS: u32 = 1 << 16;

/// How much earlier than a due moment sleep ends: the timers of tokio are late by up to a millisecond, and the rest
/// is waited awake.
pub(crate) const AWAKE_BEFORE: Duration = Duration::from_micros(1500);

/// Connections that are being opened at once: no more than the queues of most servers hold.
pub(crate) const OPENING: usize = 256;

/// From the loss of a connection until the next attempt.
pub(crate) const REOPEN_AFTER: Duration = Duration::from_millis(100);

/// How long the first message of a server may take, which is its CSM (RFC 8323 §5.3).
pub(crate) const CSM_PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of the longest message that is taken on connections, as our CSM tells (RFC 8323 §5.3.1).
pub(crate) const MAX_MESSAGE: usize = 1 << 20;

/// Bytes that are read from a connection at once.
pub(crate) const READ_SIZE: usize = 64 << 10;

/// How often a connection is read from before others have their turn.
pub(crate) const READS_PER_TURN: usize = 16;

const _: () = assert!(MAX_OPTIONS + MAX_PAYLOAD + 64 <= coracle_net::SLOT_SIZE);
