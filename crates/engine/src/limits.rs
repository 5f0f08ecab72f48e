//! Every bound of the engine by name, with its reason. Sizes that depend on the machine are in
//! [`Config`](crate::Config); these do not.

use core::time::Duration;

/// The longest datagram that the engine sends, in bytes: a block of 1,024 with its header, and the space for
/// options that RFC 7252 §4.6 leaves (1,152), or a message without blocks whose options are longer than usual.
pub const MAX_DATAGRAM: usize = 2048;

/// Bytes of datagrams on their way out for which room is kept in any case when they are gone: those of a batch.
pub(crate) const OUTBOX_BYTES: usize = 4 * MAX_DATAGRAM;

/// The longest body that is sent without block-wise transfer, in bytes: the largest block (RFC 7252 §4.6).
pub const MAX_PAYLOAD: usize = 1024;

/// The longest token that a request may carry, in bytes. A longer one is answered 4.00 (RFC 8974 §2.2.2).
pub const MAX_TOKEN: usize = 256;

/// Message IDs are tracked in runs of this many (see `message/ids.rs`).
pub(crate) const MESSAGE_ID_RUN: u16 = 1024;

/// When the message IDs towards a peer are used up, this many are left to be given one by one until there are new ones:
/// with the default parameters one each 15 s, while peers keep what they have of a transfer for 93 s or more.
pub(crate) const MESSAGE_IDS_SPREAD: u16 = 16;

/// How many timers one call of `handle_timeout` runs, so that a call has an end; the rest is due at once.
pub(crate) const TIMERS_PER_CALL: usize = 256;

/// How many timers that were disarmed or brought forward the queue of timers may hold beside one for each armed timer.
pub(crate) const PASSED_TIMERS: usize = 64;

/// How many peers one call of `handle_timeout` looks at to forget those that were not used for long.
pub(crate) const PEERS_PER_SWEEP: usize = 256;

/// Remembered messages and their answers lie in segments of at most this many bytes, which are taken and forgotten as
/// a whole: more would make one call forget too many at once, fewer cost more than they hold.
pub(crate) const SEEN_SEGMENT: usize = 16 * 1024;

/// A small memory is cut into this many segments at least, so that it is not forgotten by large parts,
pub(crate) const SEEN_SEGMENTS_AT_LEAST: usize = 64;

/// but into none shorter than this.
pub(crate) const SEEN_SEGMENT_AT_LEAST: usize = 256;

/// The largest memory of messages, in bytes: as many segments as the index can tell apart.
pub(crate) const MAX_SEEN_BYTES: usize = 1 << 29;

/// One peer may take one part in this many of the memory for what must not be run twice,
pub(crate) const SEEN_SHARE_OF_PEER: usize = 8;

/// and all peers that have not proved their address together one in this many.
pub(crate) const SEEN_SHARE_OF_UNPROVED: usize = 2;

/// Blocks in the middle of transfers are remembered in one part in this many,
pub(crate) const SEEN_SHARE_OF_TRANSFERS: usize = 32;

/// Peers' shares are counted at one place for this many bytes of the memory,
pub(crate) const SEEN_BYTES_PER_PLACE: usize = 8 * 1024;

/// at this many places at least
pub(crate) const SEEN_PLACES_AT_LEAST: usize = 16;

/// and at most: many times as many as can be full at once.
pub(crate) const SEEN_PLACES_AT_MOST: usize = 1024;

/// What the bookkeeping of a stored body costs beside its bytes.
pub(crate) const BODY_OVERHEAD: usize = 256;

/// How often a download starts anew because the representation changed under it (RFC 7959 §2.4).
pub(crate) const MAX_RESTARTS: u8 = 4;

/// Non-confirmable notifications to an observer between two that it acknowledges, at most, so that nobody can be made
/// the target of notifications without end (RFC 7641 §7).
pub(crate) const UNCONFIRMED_NOTIFICATIONS: u8 = 10;

/// The last non-confirmable notification is repeated in a confirmable message when no other followed for twice the time
/// between the last two (RFC 7641 §4.5), but not before this time, in which one usually does,
pub(crate) const QUIET_AT_LEAST: Duration = Duration::from_secs(30);

/// and not after this time, in which a lost one leaves its observer behind.
pub(crate) const QUIET_AT_MOST: Duration = Duration::from_secs(300);

/// How long a state that was asked for is shown to observers who may be told it only now: the unit of Max-Age, which
/// counts from when it was asked for (RFC 7252 §5.10.5).
pub(crate) const SHOWN_FOR: Duration = Duration::from_secs(1);

/// Bytes of an observer's request, and of a state that is shown, that are not counted: what most need is bounded by the
/// number of observers, and is there however much others have taken.
pub(crate) const OBSERVED_FREE: usize = 128;

/// One peer may take one part in this many of what there is for requests of observers.
pub(crate) const OBSERVED_SHARE_OF_PEER: usize = 8;

/// Peers' shares are counted at one place for this many bytes of the budget of observations,
pub(crate) const OBSERVED_BYTES_PER_PLACE: usize = 8 * 1024;

/// at this many places at least
pub(crate) const OBSERVED_PLACES_AT_LEAST: usize = 16;

/// and at most.
pub(crate) const OBSERVED_PLACES_AT_MOST: usize = 1024;

/// How long the application may take to show a state before it is asked for it again.
pub(crate) const REFRESH_WITHIN: Duration = Duration::from_secs(300);

/// How many observers of one state are told in a row before those of another are.
pub(crate) const MEMBERS_IN_A_ROW: u32 = 64;

/// How many observers one call of `poll_transmit` looks at to find one that can be told at once.
pub(crate) const MEMBERS_PER_CALL: usize = 256;

/// Room for this many events is kept.
pub(crate) const EVENTS_KEPT: usize = 64;

/// When there is no room for a confirmable notification, it is tried again after this time.
pub(crate) const ROOM_AFTER: Duration = Duration::from_secs(1);

/// How many servers' wishes to be left alone are remembered at once (RFC 8516 §4).
pub(crate) const MAX_RESTRAINTS: usize = 256;

/// The application is asked for the next part of a body that it gives in parts when fewer bytes than these wait to be
/// sent, so that it has the time of some blocks to bring it.
pub(crate) const BODY_WANTED_BELOW: usize = 4 * MAX_PAYLOAD;

/// The longest diagnostic payload of ours, in bytes.
pub(crate) const MAX_DIAGNOSTIC: usize = 128;

/// Seconds that a client is asked to stay away when a bound is reached (RFC 7252 §5.9.3.4).
pub(crate) const BUSY_MAX_AGE: u32 = 5;

/// The length of an Echo value of ours, in bytes: as long as it can be for a challenge to fit into three times the
/// shortest request, which is four bytes long (RFC 9175 §2.4). Who guesses blindly needs 2^47 attempts for one address.
pub(crate) const ECHO: usize = 6;

/// Peers that have not proved their address together use at most one part in this many of each bounded table. Those that
/// have are still served when a flood from forged addresses has taken that part.
pub(crate) const SHARE_OF_UNPROVED: usize = 2;

/// Observers of one peer that has not proved its address. An acknowledgement does not: who forges one for each message ID
/// there is has the answers to all registrations acknowledged, as their IDs follow each other (RFC 7641 §7). Of so many
/// it gets less than three times what it sent.
pub(crate) const OBSERVERS_OF_UNPROVED: usize = 16;

/// A proof of an address is remembered for one to two times this long after it was given last.
pub(crate) const PROOF_GENERATION: Duration = Duration::from_secs(1800);

/// The longest Echo value (RFC 9175 §2.2.1), in bytes.
pub(crate) const MAX_ECHO: usize = 40;

/// How many servers' Echo values wait at once for the next request to them (RFC 9175 §2.3).
pub(crate) const MAX_ECHOES: usize = 1024;

/// The start of a frame, without token, in bytes: length, its extension, the code, and the extension of the token's length
/// (RFC 8323 §3.2), and the payload marker.
pub(crate) const FRAME_OVERHEAD: usize = 1 + 4 + 1 + 2 + 1;

/// Options of one message that the engine adds itself on a connection, in bytes: Observe, Block1, Block2, Size, a short ETag
/// and Request-Tag. With those that most messages have beside them, 1,024 bytes of body fit into the 1,152 of a base
/// message (RFC 8323 §5.3.1).
pub(crate) const ADDED_ON_CONNECTION: usize = 4 + 5 + 5 + 7 + 6 + 7;

/// Token and options of an answer beside those, in bytes, of most.
pub(crate) const USUAL_OPTIONS: usize = 64;

/// A connection on which so many bytes wait to be written is not read from, so that who does not read its answers is
/// not given more of them.
pub(crate) const QUEUED_BEFORE_READING: usize = 64 * 1024;

/// The longest block of BERT of ours, in bytes: some of them stay in a processor's cache on their way, and other messages of
/// the connection have their turn between two.
pub(crate) const MAX_BERT: usize = 256 * 1024;

/// The same of a request's body that is at hand as a whole. Each is answered before the next goes (RFC 7959 §2.5), so that few
/// long ones wait less; those of 1 MiB leave the cache on their way, and are slower where nothing else is.
pub(crate) const MAX_BERT_UPLOAD: usize = 512 * 1024;

/// One connection may have one part in this many of the bytes that wait to be written,
pub(crate) const QUEUED_SHARE_OF_ONE: usize = 8;

/// those with one address together one part in this many,
pub(crate) const QUEUED_SHARE_OF_ADDRESS: usize = 4;

/// counted in parts of so many bytes,
pub(crate) const QUEUED_PART: usize = 64 * 1024;

/// and each so many bytes however much others have taken.
pub(crate) const QUEUED_FREE: usize = 4 * 1024;

/// A connection on which bytes wait, and the transport takes less than [`STALL_PROGRESS`] of them in so long, is aborted;
pub(crate) const STALLED_WITHIN: Duration = Duration::from_secs(120);

/// in so long where others find no room because of it.
pub(crate) const STALLED_WHEN_FULL: Duration = Duration::from_secs(10);

/// In bytes.
pub(crate) const STALL_PROGRESS: u64 = 4 * 1024;

/// How often those are looked for whom [`STALLED_WHEN_FULL`] concerns.
pub(crate) const PRESSED_EVERY: Duration = Duration::from_secs(1);

/// A payload that the application shares is written from where it lies if it has so many bytes, in bytes; a shorter one
/// is sooner copied.
pub(crate) const LENT_AT_LEAST: usize = 16 * 1024;

/// Buffers that wait for the next connection that has something to write,
pub(crate) const SPARE_BUFFERS: usize = 4;

/// none of them larger than this, in bytes.
pub(crate) const SPARE_BUFFER: usize = MAX_BERT_UPLOAD + 64 * 1024;

/// A queue that has no mark any more keeps room for this many.
pub(crate) const MARKS_KEPT: usize = 16;

/// Of a message that has begun to come, this many bytes have to come within [`FRAME_PROGRESS_WITHIN`]: who sends a byte a
/// minute holds a connection and a buffer for nothing.
pub(crate) const FRAME_PROGRESS: usize = 1024;

/// See [`FRAME_PROGRESS`].
pub(crate) const FRAME_PROGRESS_WITHIN: Duration = Duration::from_secs(30);

/// Pings of one peer that wait for what came before them (RFC 8323 §5.4.1); others are answered at once, without Custody.
pub(crate) const CUSTODY_PINGS: usize = 4;

/// How long they wait at most.
pub(crate) const CUSTODY_WITHIN: Duration = Duration::from_secs(30);

/// Pings of the application on one connection that wait for their Pong.
pub(crate) const PINGS_PER_CONNECTION: usize = 64;

/// Options of one message that the engine adds itself, in bytes: Observe, Block1, Block2, Size, ETag, and of requests
/// Echo and Request-Tag.
pub(crate) const ADDED_OPTIONS: usize = 96;

const _: () = assert!(MAX_PAYLOAD + MAX_TOKEN + ADDED_OPTIONS + 64 < MAX_DATAGRAM);
const _: () = assert!(65_536 % MESSAGE_ID_RUN as usize == 0);
const _: () = assert!(MESSAGE_IDS_SPREAD < MESSAGE_ID_RUN);
const _: () = assert!(MAX_DIAGNOSTIC < MAX_PAYLOAD);
const _: () =
    assert!(SEEN_SHARE_OF_UNPROVED < SEEN_SHARE_OF_PEER && SEEN_SHARE_OF_PEER < SEEN_PLACES_AT_LEAST);
// A header of four bytes, and two before the value of an option with a number below 269 (RFC 7252 §3.1).
const _: () = assert!(4 + 2 + ECHO <= 3 * 4);
