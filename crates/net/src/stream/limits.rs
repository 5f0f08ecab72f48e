//! Every bound of the connections by name, with its reason.

use std::time::Duration;

/// How long an attempt to connect has before the next address is tried beside it (RFC 8305 §5).
pub(super) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Failures of single addresses that an error names; a name seldom has more addresses.
pub(super) const NAMED_FAILURES: usize = 4;

/// How long no connection is taken after the system refused one, above all because the process has no file
/// descriptors left: the one that waits would be refused again at once.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bytes of a peer that are thrown away at the end, so that the system does not reset a connection on which our last
/// words are still under way. A peer that has more to say than this loses them.
pub(super) const LINGER_BYTES: usize = 1 << 20;

/// Bytes asked of the system at once on a WebSocket: a record of TLS.
pub(super) const READ_SIZE: usize = 16 << 10;

/// How often the system is asked for bytes of a WebSocket before it waits for its next turn: a peer may send frames that
/// give no message for ever.
pub(super) const READS_AT_ONCE: usize = 8;

/// Bytes of frames that are gathered for one write on a WebSocket; no message is taken while as many wait.
pub(super) const OUTBOX_SIZE: usize = 16 << 10;

/// Bytes of the head of a request or response with which a WebSocket begins. Browsers send cookies of some kilobytes.
pub(super) const MAX_HEAD: usize = 8 << 10;

/// Fields of such a head.
pub(super) const MAX_FIELDS: usize = 64;

/// Bytes of the longest message of a WebSocket, if nothing else is said.
pub(super) const MAX_MESSAGE: usize = (1 << 20) + 512;

/// How long a peer has for its handshakes, if nothing else is said: some round trips of a slow network.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Handshakes at the same time, if nothing else is said. Each holds a file descriptor and some tens of kilobytes.
pub(super) const MAX_HANDSHAKES: usize = 1024;
