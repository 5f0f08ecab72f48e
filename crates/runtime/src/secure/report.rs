//! What happened to sessions: counts, and a line in the log for what failed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use coracle_dtls::{Failure, ProtectError, Reason, Stats};
use coracle_engine::Path;
use coracle_router::Identity;

/// What the sessions of `coaps` do and did, over all addresses and shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecurityStatistics {
    /// Sessions that are established now.
    pub sessions: u64,
    /// Handshakes that ended with a session.
    pub handshakes: u64,
    /// Of these: those that took a session up again.
    pub resumed: u64,
    /// Handshakes and sessions of peers that failed, by reason in a few words.
    pub failed: BTreeMap<&'static str, u64>,
    /// Sessions whose peer came from another address (RFC 9146 §6).
    pub moved: u64,
    /// Clients that were asked to prove their address (RFC 6347 §4.2.1).
    pub cookies: u64,
    /// Records that were dropped: of no session, replayed, not authentic, or out of place (RFC 6347 §4.1.2.7).
    pub discarded: u64,
    /// Messages of ours that could not be sealed, or whose session had ended.
    pub not_sent: u64,
}

impl SecurityStatistics {
    pub(crate) fn add(&mut self, other: &SecurityStatistics) {
        self.sessions += other.sessions;
        self.handshakes = self.handshakes.wrapping_add(other.handshakes);
        self.resumed = self.resumed.wrapping_add(other.resumed);
        for (reason, count) in &other.failed {
            *self.failed.entry(reason).or_default() += count;
        }
        self.moved = self.moved.wrapping_add(other.moved);
        self.cookies = self.cookies.wrapping_add(other.cookies);
        self.discarded = self.discarded.wrapping_add(other.discarded);
        self.not_sent = self.not_sent.wrapping_add(other.not_sent);
    }
}

/// The counts of one driver.
#[derive(Debug, Default)]
pub(crate) struct Report {
    failed: BTreeMap<&'static str, u64>,
    /// Datagrams beyond the room that there is.
    pub(super) too_long: u64,
    /// Messages whose session had ended.
    pub(super) without_session: u64,
    not_sealed: u64,
}

impl Report {
    /// A handshake of a peer, or its session.
    pub(super) fn failed(&mut self, remote: SocketAddr, failure: &Failure) {
        *self.failed.entry(in_few_words(&failure.reason)).or_default() += 1;
        tracing::info!(peer = %remote, reason = %failure, "DTLS failed");
    }

    /// A message that did not become a record.
    pub(super) fn not_sealed(&mut self, path: &Path, error: ProtectError) {
        self.not_sealed += 1;
        match error {
            // The peer is asked for a sign of life, and what is lost is sent again.
            ProtectError::PathNotProved { .. } => {}
            error => tracing::info!(peer = %path.remote, %error, "a message was not sent"),
        }
    }

    pub(super) fn statistics(&self, sessions: usize, stats: &Stats) -> SecurityStatistics {
        let of = &stats.discards;
        let discarded = [
            of.no_record,
            of.unknown_session,
            of.unknown_connection_id,
            of.connection_id_missing,
            of.replayed,
            of.not_authentic,
            of.other_epoch,
            of.misplaced,
            of.fragment,
            of.early,
            of.crowded,
            of.queue_full,
            of.events_waiting,
            self.too_long,
        ];
        SecurityStatistics {
            sessions: sessions as u64,
            handshakes: stats.handshakes_done,
            resumed: stats.handshakes_resumed,
            failed: self.failed.clone(),
            moved: stats.moved,
            cookies: stats.cookies_sent,
            discarded: discarded.iter().sum(),
            not_sent: self.without_session + self.not_sealed,
        }
    }
}

/// The reason as a name of a counter.
fn in_few_words(reason: &Reason) -> &'static str {
    match reason {
        Reason::WrongPsk { .. } | Reason::PskRefused | Reason::LookupTimedOut => {
            "wrong key or unknown identity"
        }
        Reason::NoCommonSuite { .. }
        | Reason::NoCommonGroup
        | Reason::NoCommonSignatureScheme
        | Reason::NoCommonProtocol
        | Reason::Version(_)
        | Reason::NoExtendedMasterSecret => "nothing in common",
        Reason::Certificate(_) => "certificate not believed",
        Reason::UntrustedKey => "unknown public key",
        Reason::NoClientCertificate => "nothing shown by the client",
        Reason::TimedOut { .. } => "no answer",
        Reason::Alert => "ended by the peer",
        Reason::Crowded | Reason::TooManySessions => "too many",
        _ => "broken protocol",
    }
}

/// Who a peer is, for the log.
pub(super) struct Who<'a>(pub(super) Option<&'a Identity>);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(identity) => identity.fmt(f),
            None => f.write_str("anonymous"),
        }
    }
}
