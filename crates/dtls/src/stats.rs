//! Plain counters; each discard by its reason.

/// What happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Handshakes that a client's cookie began, or that `connect` began.
    pub handshakes_begun: u64,
    /// Handshakes that ended with a session.
    pub handshakes_done: u64,
    /// Of these: abbreviated ones.
    pub handshakes_resumed: u64,
    /// Handshakes that failed for whatever reason.
    pub handshakes_failed: u64,
    /// Of these: a PSK that is wrong or unknown.
    pub wrong_psk: u64,
    /// HelloVerifyRequests that were written (RFC 6347 §4.2.1).
    pub cookies_sent: u64,
    /// Flights that a timer sent again (RFC 6347 §4.2.4).
    pub flights_by_timer: u64,
    /// Flights that were sent again because the peer repeated its own.
    pub flights_by_peer: u64,
    /// Records of application data that were opened.
    pub records_opened: u64,
    /// Records of application data that were sealed.
    pub records_sealed: u64,
    /// Sessions whose address changed (RFC 9146 §6).
    pub moved: u64,
    /// Sessions that gave way to new ones, because there were too many.
    pub made_room: u64,
    /// What was dropped.
    pub discards: Discards,
}

/// What was dropped, by reason. Invalid records are dropped in silence (RFC 6347 §4.1.2.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Discards {
    /// No record, or another version (RFC 6347 §4.1).
    pub no_record: u64,
    /// A sealed record for which there is no session (RFC 6347 §4.1).
    pub unknown_session: u64,
    /// A connection ID that is not ours (RFC 9146 §6).
    pub unknown_connection_id: u64,
    /// Without the connection ID that was agreed on (RFC 9146 §4).
    pub connection_id_missing: u64,
    /// Seen before, or older than the window (RFC 6347 §4.1.2.6).
    pub replayed: u64,
    /// Newer than what may be taken before the session is saved: after a crash it could be taken again.
    pub not_saved: u64,
    /// Does not open (RFC 6347 §4.1.2.7).
    pub not_authentic: u64,
    /// Another epoch than the session's (RFC 6347 §4.1).
    pub other_epoch: u64,
    /// Content that has no place there: application data before the end of the handshake, unsealed alerts for an established
    /// session (RFC 6347 §4.1.2.7), unknown types.
    pub misplaced: u64,
    /// A handshake message, or fragment, that is malformed, for no handshake, or too far ahead (RFC 6347 §4.2.2).
    pub fragment: u64,
    /// Came before the keys, and there was no room to keep it.
    pub early: u64,
    /// ClientHellos that were valid but more than the bounds allow.
    pub crowded: u64,
    /// Answers without a session for which the queue had no room.
    pub queue_full: u64,
    /// What came while too many events waited.
    pub events_waiting: u64,
}
