//! All that waits for a time, with the reason why.

use alloc::collections::BinaryHeap;
use alloc::collections::binary_heap::PeekMut;
use core::cmp::Reverse;
use hashbrown::HashMap;

use crate::limits;
use crate::slab::Key;
use crate::tables::GiveBack;
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
    /// An observer of ours may be notified (RFC 7641 §4.5.1), or is told the last state once more (§4.5), or the
    /// application has not shown a state for long.
    Notification,
    /// A body that came or went in part is forgotten (RFC 7959 §2.5).
    Blockwise,
    /// A message ID is forgotten (RFC 7252 §4.8.2).
    Deduplication,
    /// A connection is looked after: its CSM is awaited, it is pinged, or it ends (RFC 8323 §5).
    Connection,
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
    Group(Key),
    Refresh(Key),
    Assembly(Key),
    Body(Key),
    Connection(Key),
}

impl TimerKey {
    const fn reason(self) -> Reason {
        match self {
            TimerKey::Outgoing(_) => Reason::Retransmission,
            TimerKey::Leisure(_) => Reason::Leisure,
            TimerKey::Peer(_) => Reason::Pacing,
            TimerKey::Request(_) => Reason::Request,
            TimerKey::Stale(_) => Reason::Staleness,
            TimerKey::Notify(_) | TimerKey::Group(_) | TimerKey::Refresh(_) => Reason::Notification,
            TimerKey::Assembly(_) | TimerKey::Body(_) => Reason::Blockwise,
            TimerKey::Connection(_) => Reason::Connection,
        }
    }
}

/// A timer that is armed.
struct Timer {
    at: Instant,
    /// The time under which it stands in the queue: never later.
    queued: Instant,
}

/// One time for each key; bounded by the tables that own the keys.
///
/// Most timers never fire: they are put off again and again, or disarmed. So a timer that is put off stays where it is in
/// the queue and moves when it comes to the front, and one that is disarmed is passed over there. What is in front is
/// always true.
#[derive(Default)]
pub(crate) struct Timers {
    queue: BinaryHeap<Reverse<(Instant, TimerKey)>>,
    armed: HashMap<TimerKey, Timer, foldhash::fast::FixedState>,
}

impl Timers {
    /// Sets the time of `key`, in place of the one it had.
    pub(crate) fn arm(&mut self, key: TimerKey, at: Instant) {
        let mut queued = at;
        if let Some(before) = self.armed.get_mut(&key) {
            before.at = at;
            queued = before.queued.min(at);
            let stays = queued == before.queued;
            before.queued = queued;
            if stays {
                return self.settle();
            }
        } else {
            self.armed.insert(key, Timer { at, queued });
        }
        self.queue.push(Reverse((queued, key)));
        self.settle();
    }

    pub(crate) fn disarm(&mut self, key: TimerKey) {
        if self.armed.remove(&key).is_some() {
            self.settle();
        }
    }

    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<TimerKey> {
        let &Reverse((at, key)) = self.queue.peek()?;
        if at > now {
            return None;
        }
        self.armed.remove(&key);
        self.settle();
        Some(key)
    }

    pub(crate) fn next(&self) -> Option<Deadline> {
        self.queue.peek().map(|&Reverse((at, key))| Deadline {
            at,
            reason: key.reason(),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.armed.is_empty()
    }

    /// Sees to it that what is in front is armed for this time, and that the queue is not full of what is not.
    fn settle(&mut self) {
        while let Some(mut front) = self.queue.peek_mut() {
            let Reverse((queued, key)) = *front;
            match self.armed.get_mut(&key) {
                Some(timer) if timer.queued == queued && timer.at == queued => break,
                Some(timer) if timer.queued == queued => {
                    timer.queued = timer.at;
                    *front = Reverse((timer.at, key));
                }
                _ => {
                    PeekMut::pop(front);
                }
            }
        }
        if self.queue.len() > 2 * self.armed.len() + limits::PASSED_TIMERS {
            let anew = self.armed.iter_mut().map(|(key, timer)| {
                timer.queued = timer.at;
                Reverse((timer.at, *key))
            });
            self.queue = anew.collect();
        }
        if self.queue.capacity() > limits::PASSED_TIMERS && self.queue.len() < self.queue.capacity() / 8 {
            self.queue.shrink_to(2 * self.queue.len());
        }
        self.armed.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Slab;
    use alloc::vec::Vec;

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

    fn keys(count: usize) -> Vec<TimerKey> {
        let mut slab = Slab::new(count);
        let keys = (0..count).map(|_| TimerKey::Body(slab.insert(()).unwrap()));
        keys.collect()
    }

    /// The same as a list that is sorted anew each time, whatever is armed, put off, brought forward and disarmed.
    #[test]
    fn timers_fire_in_order_whatever_became_of_the_others() {
        let keys = keys(40);
        let (mut timers, mut model) = (Timers::default(), Vec::<(Instant, TimerKey)>::new());
        let (mut now, mut random) = (0, 1_u64);
        for _ in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let key = keys[(random >> 33) as usize % keys.len()];
            match (random >> 60) % 8 {
                0..5 => {
                    let at = Instant::from_micros(now + (random >> 40) % 100);
                    timers.arm(key, at);
                    model.retain(|(_, other)| *other != key);
                    model.push((at, key));
                }
                5 => {
                    timers.disarm(key);
                    model.retain(|(_, other)| *other != key);
                }
                _ => now += (random >> 40) % 8,
            }
            model.sort();
            while model.first().is_some_and(|(at, _)| at.as_micros() <= now) {
                let (_, due) = model.remove(0);
                assert_eq!(timers.pop_due(Instant::from_micros(now)), Some(due));
            }
            assert_eq!(timers.pop_due(Instant::from_micros(now)), None);
            let next = timers.next().map(|deadline| deadline.at);
            assert_eq!(next, model.first().map(|(at, _)| *at));
            assert!(timers.queue.len() <= 2 * model.len() + limits::PASSED_TIMERS);
        }
    }

    #[test]
    fn what_is_put_off_does_not_move_until_it_is_in_front() {
        let keys = keys(2);
        let mut timers = Timers::default();
        timers.arm(keys[0], Instant::from_micros(1));
        for at in 2..10_000 {
            timers.arm(keys[1], Instant::from_micros(at));
        }
        assert_eq!(timers.queue.len(), 2);
        assert_eq!(timers.pop_due(Instant::from_micros(5)), Some(keys[0]));
        assert_eq!(timers.next().map(|deadline| deadline.at.as_micros()), Some(9_999));
    }
}
