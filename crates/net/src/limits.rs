//! Every bound of the crate by name, with its reason.

/// Datagrams in a batch. Beyond some dozens a larger batch saves nothing more, and this many slots fit a
/// second-level cache.
pub const BATCH_SIZE: usize = 64;

/// Bytes in a slot of a batch: a datagram that is not fragmented on an Ethernet, and the longest that the engine
/// sends. A longer one that is received is cut and reported as truncated.
pub const SLOT_SIZE: usize = 2048;

/// Sockets that share an address, at most: more than any machine has cores that CoAP could fill. One where the system
/// does not send each peer's datagrams to the same of them.
pub const MAX_SHARDS: usize = if cfg!(target_os = "linux") { 256 } else { 1 };

/// A batch of fewer datagrams does not keep its receiver so long that more will have come.
#[cfg(target_os = "linux")]
pub(crate) const SMALL_BATCH: usize = 8;

/// Destination errors that wait to be asked for. The oldest is forgotten when one more comes: its request then
/// ends by time.
pub(crate) const PENDING_ERRORS: usize = 4 * BATCH_SIZE;

/// How often an operation is tried again in one call because an ICMP error of some other datagram answered it.
/// Each attempt uses that error up, so more are needed only while new ones arrive as fast as system calls.
#[cfg(target_os = "linux")]
pub(crate) const ATTEMPTS: usize = 4;

#[cfg(target_os = "linux")]
const _: () = assert!(SMALL_BATCH <= BATCH_SIZE);

// A batch of datagrams to dead peers loses none of its errors.
const _: () = assert!(PENDING_ERRORS >= BATCH_SIZE);
