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
