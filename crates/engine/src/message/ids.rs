//! Message IDs that are never used twice towards a peer within EXCHANGE_LIFETIME (RFC 7252 §4.4).
//!
//! IDs are given in order from a random start. The 65,536 numbers are cut into runs of 1,024; a run may be entered
//! again when all its numbers are old enough. This keeps 64 times per peer instead of 65,536, and only for a peer
//! that was sent more than a run in 247 s; it gives up to 63 runs in 247 s, about 261 messages a second towards one peer,
//! where the limit of the numbers themselves is 265. Beyond that messages are held back, never sent with a used ID.
//!
//! The last IDs before a run that is still in use are given one by one until it may be entered, so that a peer hears
//! from us all the while: what it keeps for a transfer that goes on later (RFC 7959 §2.5) it would otherwise give up.

use alloc::boxed::Box;
use core::time::Duration;

use coracle_wire::MessageId;

use crate::limits::{MESSAGE_ID_RUN, MESSAGE_IDS_SPREAD};
use crate::time::Instant;

const RUNS: usize = 65_536 / MESSAGE_ID_RUN as usize;

/// There is no ID to give now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldBack {
    /// When the next one may be given.
    pub(crate) until: Instant,
    /// When there is a whole run again.
    pub(crate) refilled: Instant,
}

pub(crate) struct MessageIds {
    next: u16,
    /// When the run before this one was left, in seconds rounded up; 0 for never. Without a table no other is in use.
    left_at: u32,
    /// When each run may be entered again, where more than one was left in a lifetime.
    free_at: Option<Box<[Instant; RUNS]>>,
}

impl MessageIds {
    pub(crate) fn new(start: u16) -> MessageIds {
        MessageIds {
            next: start,
            left_at: 0,
            free_at: None,
        }
    }

    /// The next ID, unless it is not time for it. IDs that are still in use are passed over: a notification
    /// may wait for its rejection longer than an ID usually lives.
    pub(crate) fn allocate(
        &mut self,
        now: Instant,
        lifetime: Duration,
        in_use: impl Fn(MessageId) -> bool,
    ) -> Result<MessageId, HeldBack> {
        loop {
            let id = self.next_id(now, lifetime)?;
            if !in_use(id) {
                return Ok(id);
            }
        }
    }

    fn next_id(&mut self, now: Instant, lifetime: Duration) -> Result<MessageId, HeldBack> {
        let run = usize::from(self.next / MESSAGE_ID_RUN);
        if self.next.is_multiple_of(MESSAGE_ID_RUN) {
            self.enter(now, lifetime, run).map_err(|at| HeldBack {
                until: at,
                refilled: at,
            })?;
        }
        self.spread(now, lifetime, run)?;
        if let Some(at) = self.free_at.as_mut().and_then(|free_at| free_at.get_mut(run)) {
            *at = now + lifetime;
        }
        let id = MessageId(self.next);
        self.next = self.next.wrapping_add(1);
        Ok(id)
    }

    /// Gives the last IDs of a run one by one where the next run is in use: that with so many left waits as many parts
    /// of a lifetime before the end of the wait.
    fn spread(&self, now: Instant, lifetime: Duration, run: usize) -> Result<(), HeldBack> {
        let left = MESSAGE_ID_RUN - self.next % MESSAGE_ID_RUN;
        if left > MESSAGE_IDS_SPREAD {
            return Ok(());
        }
        let free_at = self.free_at.as_ref();
        let refilled = free_at.and_then(|free_at| free_at.get((run + 1) % RUNS).copied());
        let refilled = refilled.unwrap_or(Instant::ZERO);
        let wait =
            (refilled - now).saturating_sub(lifetime * u32::from(left) / u32::from(MESSAGE_IDS_SPREAD));
        match wait.is_zero() {
            true => Ok(()),
            false => Err(HeldBack {
                until: now + wait,
                refilled,
            }),
        }
    }

    /// Leaves a run for the next one.
    fn enter(&mut self, now: Instant, lifetime: Duration, run: usize) -> Result<(), Instant> {
        let before = (run + RUNS - 1) % RUNS;
        let was_left = Instant::from_micros(u64::from(self.left_at) * 1_000_000);
        if self.free_at.is_none() && self.left_at > 0 && was_left + lifetime > now {
            let mut free_at = Box::new([Instant::ZERO; RUNS]);
            if let Some(at) = free_at.get_mut((before + RUNS - 1) % RUNS) {
                *at = was_left + lifetime;
            }
            self.free_at = Some(free_at);
        }
        if let Some(free_at) = self.free_at.as_mut() {
            if let Some(at) = free_at.get(run)
                && *at > now
            {
                return Err(*at);
            }
            if let Some(at) = free_at.get_mut(before) {
                *at = (*at).max(now + lifetime);
            }
            let in_use = free_at.iter().filter(|at| **at > now).count();
            if in_use == 1 {
                self.free_at = None;
            }
        }
        let seconds = now.as_micros().div_ceil(1_000_000).max(1);
        self.left_at = u32::try_from(seconds).unwrap_or(u32::MAX);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    const LIFETIME: Duration = Duration::from_secs(247);

    /// A fat peer: as fast as it goes for half an hour, no ID twice within its lifetime, close to the limit, and never
    /// silence for long.
    #[test]
    fn no_id_twice_within_its_lifetime() {
        for start in [0, 1, 1023, 1024, 40_000, 65_535] {
            let mut ids = MessageIds::new(start);
            let mut used: vec::Vec<Option<Instant>> = vec![None; 65_536];
            let mut now = Instant::from_micros(1);
            let (mut given, mut last) = (0_u32, now);
            let end = now + Duration::from_secs(1800);
            while now < end {
                match ids.allocate(now, LIFETIME, |_| false) {
                    Ok(MessageId(id)) => {
                        if let Some(last) = used[usize::from(id)] {
                            assert!(now - last >= LIFETIME, "ID {id} again after {:?}", now - last);
                        }
                        used[usize::from(id)] = Some(now);
                        assert!(
                            now - last <= LIFETIME / 15,
                            "nothing was sent for {:?}",
                            now - last
                        );
                        (given, last) = (given + 1, now);
                        now = now + Duration::from_micros(500);
                    }
                    Err(HeldBack { until, refilled }) => {
                        assert!(until > now, "held back until a time that has passed");
                        assert!(refilled >= until);
                        now = until;
                    }
                }
            }
            assert!(given / 1800 >= 255, "{given} IDs in 1800 s");
        }
    }

    #[test]
    fn a_peer_that_is_sent_little_costs_no_table() {
        let mut ids = MessageIds::new(2000);
        for _ in 2000..2048 {
            ids.allocate(Instant::ZERO, LIFETIME, |_| false).unwrap();
        }
        assert!(ids.free_at.is_none());
    }

    /// One notification in three seconds for a day: no table, which a hundred thousand observers would have each. One
    /// that a burst needed is given back.
    #[test]
    fn a_peer_that_is_sent_something_now_and_then_costs_no_table() {
        let mut ids = MessageIds::new(65_000);
        let mut now = Instant::from_micros(1);
        let mut used: vec::Vec<Option<Instant>> = vec![None; 65_536];
        for number in 0..40_000 {
            let burst = (10_000..14_000).contains(&number);
            let MessageId(id) = ids.allocate(now, LIFETIME, |_| false).unwrap();
            if let Some(last) = used[usize::from(id)].replace(now) {
                assert!(now - last >= LIFETIME);
            }
            let expected = match number {
                13_999 => Some(true),
                0..10_000 | 16_000.. => Some(false),
                _ => None,
            };
            assert!(
                expected.is_none_or(|has| ids.free_at.is_some() == has),
                "{number}"
            );
            now = now + Duration::from_millis(if burst { 10 } else { 3000 });
        }
    }

    #[test]
    fn an_id_in_use_is_passed_over() {
        let mut ids = MessageIds::new(65_535);
        let in_use = |id: MessageId| id.0 == 65_535 || id.0 < 3;
        let given = ids.allocate(Instant::from_micros(1), LIFETIME, in_use);
        assert_eq!(given, Ok(MessageId(3)));
    }
}
