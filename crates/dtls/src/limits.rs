//! Every bound by name, with its reason.

use core::time::Duration;

/// Bytes of the messages of one handshake that are collected out of fragments or ahead of their turn: a chain of a few
/// certificates.
pub const REASSEMBLY_BYTES: usize = 16 * 1024;

/// How many messages ahead of its turn one is kept: the longest flight has five (RFC 5246 §7.3).
pub const MESSAGES_AHEAD: u16 = 8;

/// Stretches of a message that are remembered as received; beyond that what does not touch one is not kept.
pub const STRETCHES: usize = 64;

/// Records that are kept of those that come before the keys to them, and the bytes of each: a Finished and its
/// retransmissions.
pub const EARLY_RECORDS: usize = 4;
/// See [`EARLY_RECORDS`].
pub const EARLY_RECORD_BYTES: usize = 256;

/// The wait before a flight is sent again (RFC 6347 §4.2.4.1), doubled each time.
pub const FIRST_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest such wait.
pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a timer sends a flight again: with the waits above that is five minutes. Where 30 of 100 datagrams get lost
/// one handshake in a thousand fails then.
pub const TIMEOUTS: u8 = 9;
/// How often a flight is sent again because the peer repeats its own. It may not have been the peer.
pub const REPETITIONS: u8 = 12;

/// How many sessions are looked at for one that has been quiet for long. The quietest of so many is quieter than 19 of 20.
pub const QUIET_SAMPLE: usize = 64;

/// How long the last flight is kept for a peer that repeats its own: twice the lifetime of a datagram in the network
/// (RFC 6347 §4.2.4). It is forgotten sooner when application data shows that it has arrived.
pub const LAST_FLIGHT_KEPT: Duration = Duration::from_secs(240);

/// How long the owner has to look up a PSK.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(15);

/// Bytes of a PSK identity. RFC 4279 §5.3 wants at least 128.
pub const PSK_IDENTITY_BYTES: usize = 512;

/// HelloVerifyRequests that a client follows in one handshake, lest two servers play with it.
pub const HELLO_VERIFY_REQUESTS: u8 = 4;

/// Bytes of a connection ID of ours.
pub const CONNECTION_ID_BYTES: usize = 20;

/// Datagrams that belong to no session (cookies, last alerts) and wait to be sent. What comes beyond is dropped: each
/// answers something that will be repeated.
pub const LOOSE_DATAGRAMS: usize = 256;

/// Events that wait. Beyond that what comes in is dropped until the owner has taken them.
pub const EVENTS: usize = 1024;

/// How old a cookie may become before it is refused is once to twice this time.
pub const COOKIE_PERIOD: Duration = Duration::from_secs(60);

/// What is sent to a path that has not answered yet, as a multiple of what came from it (RFC 9146 §6).
pub const UNPROVED_FACTOR: u64 = 3;

/// The share of the handshakes under way that one host may have: an IPv4 address, or 64 bits of an IPv6 address.
pub const HOST_SHARE: usize = 8;

/// Bytes of a datagram of a flight after [`SMALLER_AFTER`] sendings got no answer: it may have been too large for the
/// path (RFC 6347 §4.1.1.1).
pub const SMALL_DATAGRAM: usize = 548;
/// See [`SMALL_DATAGRAM`].
pub const SMALLER_AFTER: u8 = 2;

/// The largest plaintext of a record (RFC 5246 §6.2.1).
pub const PLAINTEXT: usize = 1 << 14;

/// How many records that look like a client's Finished must not open before its key is said to be wrong, where they may be
/// late copies from the session before.
pub const DOUBTFUL_RECORDS: u8 = 3;

/// The longest ticket that is given or taken, in bytes. It comes back in a ClientHello, which has to fit into one datagram
/// as long as its sender's address is not proved (RFC 6347 §4.2.1).
pub const TICKET_BYTES: usize = 768;

/// Bytes of saved state that are sealed at once: so few that nobody is kept waiting by it.
pub const SAVED_PIECE: usize = 64 * 1024;

/// Sequence numbers that a session may use after it was saved, before it is saved again. Of 2^48 there are enough to leave
/// out as many at each crash.
pub const WRITE_AHEAD: u64 = 1 << 20;

/// Sequence numbers of the peer that are taken after a session was saved. After a crash those of them that did not come are
/// refused, so the least is small: what a device loses then is a message or two, and it repeats them.
pub const READ_AHEAD_AT_LEAST: u32 = 8;
/// The most: of peers that send so much that the reserve would be used up before it is saved.
pub const READ_AHEAD_AT_MOST: u32 = 1 << 16;

const _: () = assert!(READ_AHEAD_AT_LEAST < READ_AHEAD_AT_MOST);

/// How long a session may be taken up again, whatever `Config` says (RFC 5246 §F.1.4 has a day in mind).
pub const LONGEST_RESUMPTION: Duration = Duration::from_secs(7 * 24 * 3600);
