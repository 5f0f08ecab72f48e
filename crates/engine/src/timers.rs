//! All that waits for a time, with the reason why.

use alloc::collections::BTreeSet;
use hashbrown::HashMap;

use crate::slab::Key;
use crate::time::Instant;

/// What the engine waits for, told with each deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// A confirmable message is sent again or given up (RFC 7252 §4.2).
    Retransmission,
    /// A response to a multicast request leaves after its leisure (RFC 7252 §8.2).
    Leisure,
    /// A request that is still worked on is acknowledged (RFC 7252 §5.2.2).
    Acknowledgement,
    /// A peer may be sent to again: a message ID comes free, or PROBING_RATE allows it (RFC 7252 §4.4, §4.7).
    Pacing,
    /// A request of ours ends without an answer.
    Request,
    /// An observation of ours is older than its Max-Age (RFC 7641 §3.3.1).
    Staleness,
    /// An observer of ours may be notified again (RFC 7641 §4.5.1), or is told the last state once more (§4.5).
    Notification,
    /// A body that came or went in part is forgotten (RFC 7959 §2.5).
    Blockwise,
    /// A message ID is forgotten (RFC 7252 §4.8.2).
    Deduplication,
}

/// When [`Endpoint::handle_timeout`](crate::Endpoint::handle_timeout) wants to be called, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// The time.
    pub at: Instant,
    /// What is due then.
    pub reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum TimerKey {
    Outgoing(Key),
    Leisure(Key),
    Peer(Key),
    Request(Key),
    Stale(Key),
    Notify(Key),
    Assembly(Key),
    Body(Key),
}

impl TimerKey {
    const fn reason(self) -> Reason {
        match self {
            TimerKey::Outgoing(_) => Reason::Retransmission,
            TimerKey::Leisure(_) => Reason::Leisure,
            TimerKey::Peer(_) => Reason::Pacing,
            TimerKey::Request(_) => Reason::Request,
            TimerKey::Stale(_) => Reason::Staleness,
            TimerKey::Notify(_) => Reason::Notification,
            TimerKey::Assembly(_) | TimerKey::Body(_) => Reason::Blockwise,
        }
    }
}

/// One time for each key; bounded by the tables that own the keys.
#[derive(Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Instant, TimerKey)>,
    by_key: HashMap<TimerKey, Instant, foldhash::fast::FixedState>,
}

impl Timers {
    /// Sets the time of `key`, in place of the one it had.
    pub(crate) fn arm(&mut self, key: TimerKey, at: Instant) {
        if let Some(before) = self.by_key.insert(key, at) {
            self.by_time.remove(&(before, key));
        }
        self.by_time.insert((at, key));
    }

    pub(crate) fn disarm(&mut self, key: TimerKey) {
        if let Some(at) = self.by_key.remove(&key) {
            self.by_time.remove(&(at, key));
        }
    }

    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<TimerKey> {
        let &(at, key) = self.by_time.first()?;
        if at > now {
            return None;
        }
        self.by_time.pop_first();
        self.by_key.remove(&key);
        Some(key)
    }

    pub(crate) fn next(&self) -> Option<Deadline> {
        self.by_time.first().map(|&(at, key)| Deadline {
            at,
            reason: key.reason(),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_time.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Slab;

    #[test]
    fn a_key_has_one_time() {
        let key = TimerKey::Outgoing(Slab::new(1).insert(()).unwrap());
        let mut timers = Timers::default();
        timers.arm(key, Instant::from_micros(10));
        timers.arm(key, Instant::from_micros(20));
        assert_eq!(timers.pop_due(Instant::from_micros(15)), None);
        assert_eq!(
            timers.next().map(|deadline| deadline.reason),
            Some(Reason::Retransmission)
        );
        assert_eq!(timers.pop_due(Instant::from_micros(20)), Some(key));
        assert!(timers.is_empty());
        timers.arm(key, Instant::from_micros(30));
        timers.disarm(key);
        assert!(timers.next().is_none());
    }
}
