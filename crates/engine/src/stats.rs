//! What happened, as plain counters that others read.

use core::ops::AddAssign;

use coracle_wire::Status;

/// Why a message was dropped, rejected or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DropReason {
    /// A version other than 1 (RFC 7252 §3).
    Version,
    /// A message format error (RFC 7252 §3, §4.2, §4.3).
    Format,
    /// A code of a reserved class (RFC 7252 §4.2).
    ReservedClass,
    /// A message type and a code that do not go together (RFC 7252 §4.3, table 1).
    TypeCode,
    /// A message that was seen before (RFC 7252 §4.5).
    Duplicate,
    /// An acknowledgement or reset of nothing that is outstanding (RFC 7252 §4.2).
    UnmatchedAcknowledgement,
    /// A response to nothing that was asked (RFC 7252 §5.3.2).
    UnmatchedResponse,
    /// A confirmable message to a group (RFC 7252 §8.1).
    ConfirmableMulticast,
    /// A critical option that nobody understands (RFC 7252 §5.4.1).
    CriticalOption,
    /// A request to proxy (RFC 7252 §5.10.2).
    Proxying,
    /// A Block option that breaks its rules (RFC 7959 §2.2).
    BlockOption,
    /// A block without those before it (RFC 7959 §2.9.2).
    BlockOrder,
    /// A body that is too large (RFC 7959 §2.9.3).
    BodySize,
    /// A token longer than is handled (RFC 8974 §2.2.2).
    TokenLength,
    /// A request that a bound left no room for (RFC 7252 §5.9.3.4).
    Busy,
    /// A notification that is older than one before it (RFC 7641 §3.4).
    StaleNotification,
    /// An answer that is not sent: to a group, or not wanted (RFC 7252 §8.2, RFC 7967 §2).
    Suppressed,
    /// A message that is longer than a datagram is taken or sent (RFC 7252 §4.6), or than Max-Message-Size (RFC 8323
    /// §5.3.1).
    Oversize,
    /// A connection that we abort: garbage, no CSM, a peer that does not answer (RFC 8323 §5.6).
    Aborted,
    /// A connection that the peer aborts (RFC 8323 §5.6).
    AbortedByPeer,
}

impl DropReason {
    /// All reasons, in the order of their counters.
    pub const ALL: [DropReason; 20] = [
        DropReason::Version,
        DropReason::Format,
        DropReason::ReservedClass,
        DropReason::TypeCode,
        DropReason::Duplicate,
        DropReason::UnmatchedAcknowledgement,
        DropReason::UnmatchedResponse,
        DropReason::ConfirmableMulticast,
        DropReason::CriticalOption,
        DropReason::Proxying,
        DropReason::BlockOption,
        DropReason::BlockOrder,
        DropReason::BodySize,
        DropReason::TokenLength,
        DropReason::Busy,
        DropReason::StaleNotification,
        DropReason::Suppressed,
        DropReason::Oversize,
        DropReason::Aborted,
        DropReason::AbortedByPeer,
    ];

    /// A short name with the section that asks for it, for people and exporters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            DropReason::Version => "version (RFC 7252 §3)",
            DropReason::Format => "format error (RFC 7252 §3)",
            DropReason::ReservedClass => "reserved class (RFC 7252 §4.2)",
            DropReason::TypeCode => "type and code (RFC 7252 §4.3)",
            DropReason::Duplicate => "duplicate (RFC 7252 §4.5)",
            DropReason::UnmatchedAcknowledgement => "unmatched acknowledgement (RFC 7252 §4.2)",
            DropReason::UnmatchedResponse => "unmatched response (RFC 7252 §5.3.2)",
            DropReason::ConfirmableMulticast => "confirmable multicast (RFC 7252 §8.1)",
            DropReason::CriticalOption => "critical option (RFC 7252 §5.4.1)",
            DropReason::Proxying => "proxying (RFC 7252 §5.10.2)",
            DropReason::BlockOption => "block option (RFC 7959 §2.2)",
            DropReason::BlockOrder => "block order (RFC 7959 §2.9.2)",
            DropReason::BodySize => "body size (RFC 7959 §2.9.3)",
            DropReason::TokenLength => "token length (RFC 8974 §2.2.2)",
            DropReason::Busy => "busy (RFC 7252 §5.9.3.4)",
            DropReason::StaleNotification => "stale notification (RFC 7641 §3.4)",
            DropReason::Suppressed => "suppressed (RFC 7252 §8.2, RFC 7967 §2)",
            DropReason::Oversize => "oversize (RFC 7252 §4.6, RFC 8323 §5.3.1)",
            DropReason::Aborted => "connection aborted (RFC 8323 §5.6)",
            DropReason::AbortedByPeer => "connection aborted by the peer (RFC 8323 §5.6)",
        }
    }
}

/// Counters since the endpoint was made. They wrap after 2^64.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that began.
    pub connections: u64,
    /// Messages taken in on connections.
    pub frames_in: u64,
    /// Messages put on connections.
    pub frames_out: u64,
    /// Datagrams taken in.
    pub datagrams_in: u64,
    /// Datagrams given out.
    pub datagrams_out: u64,
    /// Bytes taken in.
    pub bytes_in: u64,
    /// Bytes given out.
    pub bytes_out: u64,
    /// Requests handed to the application.
    pub requests: u64,
    /// Responses handed to the application.
    pub responses: u64,
    /// Confirmable messages that were sent again.
    pub retransmissions: u64,
    /// Confirmable messages that were given up.
    pub given_up: u64,
    /// Requests answered 4.xx and 5.xx by the engine itself.
    pub refused: u64,
    /// Notifications sent.
    pub notifications: u64,
    /// Bytes of requests from addresses that have not proved themselves.
    pub unproved_bytes_in: u64,
    /// Bytes that went out on their behalf.
    pub unproved_bytes_out: u64,
    /// Responses that asked for a proof of the address with an Echo option (RFC 9175 §2.4).
    pub challenges: u64,
    /// Addresses that proved themselves.
    pub proofs: u64,
    /// Datagrams that were not sent because the request did not pay for them.
    pub withheld: u64,
    dropped: [u64; DropReason::ALL.len()],
}

impl Stats {
    /// How many messages were dropped for `reason`.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }

    /// Bytes out for each byte in, as to addresses that have not proved themselves (RFC 9175 §2.4); 0 before the first.
    #[must_use]
    pub fn amplification(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a ratio of counts")]
        let ratio = self.unproved_bytes_out as f64 / self.unproved_bytes_in.max(1) as f64;
        ratio
    }

    pub(crate) fn drop_for(&mut self, reason: DropReason) {
        if let Some(counter) = self.dropped.get_mut(reason as usize) {
            *counter = counter.wrapping_add(1);
        }
    }

    pub(crate) fn refuse(&mut self, status: Status) {
        if !status.is_success() {
            self.refused = self.refused.wrapping_add(1);
        }
    }
}

/// Counters of several endpoints become those of all.
impl AddAssign<&Stats> for Stats {
    fn add_assign(&mut self, other: &Stats) {
        // No counter is left out: this names them all.
        let Stats {
            connections,
            frames_in,
            frames_out,
            datagrams_in,
            datagrams_out,
            bytes_in,
            bytes_out,
            requests,
            responses,
            retransmissions,
            given_up,
            refused,
            notifications,
            unproved_bytes_in,
            unproved_bytes_out,
            challenges,
            proofs,
            withheld,
            dropped,
        } = self;
        let plain = [
            (connections, other.connections),
            (frames_in, other.frames_in),
            (frames_out, other.frames_out),
            (datagrams_in, other.datagrams_in),
            (datagrams_out, other.datagrams_out),
            (bytes_in, other.bytes_in),
            (bytes_out, other.bytes_out),
            (requests, other.requests),
            (responses, other.responses),
            (retransmissions, other.retransmissions),
            (given_up, other.given_up),
            (refused, other.refused),
            (notifications, other.notifications),
            (unproved_bytes_in, other.unproved_bytes_in),
            (unproved_bytes_out, other.unproved_bytes_out),
            (challenges, other.challenges),
            (proofs, other.proofs),
            (withheld, other.withheld),
        ];
        for (sum, counter) in plain.into_iter().chain(dropped.iter_mut().zip(other.dropped)) {
            *sum = sum.wrapping_add(counter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_several_endpoints_add_up() {
        let mut one = Stats {
            requests: u64::MAX,
            ..Stats::default()
        };
        one.drop_for(DropReason::Busy);
        let mut sum = Stats {
            requests: 3,
            bytes_out: 7,
            ..Stats::default()
        };
        sum += &one;
        sum += &one;
        assert_eq!((sum.requests, sum.bytes_out), (1, 7));
        assert_eq!(sum.dropped(DropReason::Busy), 2);
        assert_eq!(sum.dropped(DropReason::Format), 0);
    }

    #[test]
    fn each_reason_has_its_own_counter() {
        let mut stats = Stats::default();
        for (times, reason) in DropReason::ALL.into_iter().enumerate() {
            for _ in 0..times {
                stats.drop_for(reason);
            }
        }
        for (times, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(stats.dropped(reason), times as u64, "{}", reason.name());
        }
    }
}
