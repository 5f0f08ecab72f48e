//! Observers, and how changes spread among them (RFC 7641).

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use coracle_wire::{Message, MessageId, MessageType};

use crate::answers::Next;
use crate::limits::MAX_WAVES;
use crate::tally::Wrong;

/// What came of listening.
#[derive(Clone, Debug, Default)]
pub struct Fanout {
    /// Notifications, the first answers aside.
    pub notifications: u64,
    /// Those of them that were confirmable.
    pub confirmable: u64,
    /// Confirmable ones that repeat what the observer was told last (RFC 7641 §4.5).
    pub repeats: u64,
    /// Those that are older than what the observer was told before (RFC 7641 §3.4).
    pub outdated: u64,
    /// Observations that the server ended.
    pub ended: u64,
    /// The changes, each as it spread among the observers; at most 2^16 of them.
    pub waves: Vec<Wave>,
}

/// One change, as it spread among the observers.
#[derive(Clone, Debug)]
pub struct Wave {
    /// The payload of its notifications.
    pub payload: Vec<u8>,
    /// When the first observer was told.
    pub first: Instant,
    /// When the last one was.
    pub last: Instant,
    /// How many were told. One that was told a later state instead is not among them.
    pub told: u64,
}

impl Wave {
    /// From the first notification to the last.
    #[must_use]
    pub fn spread(&self) -> Duration {
        self.last - self.first
    }
}

impl Fanout {
    /// Adds what another thread heard of the same changes meanwhile.
    pub fn join(&mut self, other: Fanout) {
        self.notifications += other.notifications;
        self.confirmable += other.confirmable;
        self.repeats += other.repeats;
        self.outdated += other.outdated;
        self.ended += other.ended;
        for theirs in other.waves {
            // The same change came to all at about the same time.
            let near = |wave: &&mut Wave| {
                let apart = wave.first.max(theirs.first) - wave.first.min(theirs.first);
                wave.payload == theirs.payload && apart < Duration::from_secs(1)
            };
            match self.waves.iter_mut().rev().find(near) {
                Some(wave) => {
                    wave.first = wave.first.min(theirs.first);
                    wave.last = wave.last.max(theirs.last);
                    wave.told += theirs.told;
                }
                None => self.waves.push(theirs),
            }
        }
        self.waves.sort_by_key(|wave| wave.first);
    }
}

/// What observers do at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Registering,
    Listening,
    Leaving,
}

/// All observers.
pub(crate) struct Observers {
    pub(crate) phase: Phase,
    pub(crate) fanout: Fanout,
    observers: Vec<Observer>,
    /// The newest wave of each payload, by its hash.
    newest: HashMap<u64, usize>,
    hashing: RandomState,
    /// How many waves were there in all.
    count: usize,
    /// Notifications come once and in order, and have neither numbers nor IDs (RFC 8323 §7).
    in_order: bool,
}

#[derive(Clone, Copy, Default)]
struct Observer {
    /// Number and arrival of the newest state.
    newest: Option<(u32, Instant)>,
    /// The message ID of the newest notification.
    id: Option<MessageId>,
    /// The number of the wave that it was told last, and one.
    wave: usize,
}

impl Observers {
    pub(crate) fn new(count: usize, in_order: bool) -> Observers {
        Observers {
            phase: Phase::Registering,
            fanout: Fanout::default(),
            observers: vec![Observer::default(); count],
            newest: HashMap::new(),
            hashing: RandomState::new(),
            count: 0,
            in_order,
        }
    }

    /// What was heard since the last call.
    pub(crate) fn take(&mut self) -> Fanout {
        self.newest.clear();
        self.count = 0;
        for observer in &mut self.observers {
            observer.wave = 0;
        }
        std::mem::take(&mut self.fanout)
    }

    /// The first answer to a registration, or that to its end.
    pub(crate) fn answered(&mut self, now: Instant, index: u32, message: &Message<'_>) -> Next {
        let Some(observer) = self.observers.get_mut(index as usize) else {
            return Next::Failed;
        };
        match (self.phase, message.options.observe()) {
            (Phase::Leaving, _) => Next::Right,
            (_, Some(number)) => {
                observer.newest = Some((number, now));
                // An Acknowledgement has a message ID of ours, notifications have the server's.
                let own = message.message_type != MessageType::Acknowledgement;
                observer.id = own.then_some(message.message_id);
                Next::Listening
            }
            (_, None) => Next::Wrong(
                Wrong::Observe,
                "the answer to a registration has no Observe".into(),
            ),
        }
    }

    /// Whether a message is a copy of the observer's newest one.
    pub(crate) fn is_copy(&self, index: u32, id: MessageId) -> bool {
        let observer = self.observers.get(index as usize);
        !self.in_order && observer.is_some_and(|observer| observer.id == Some(id))
    }

    /// A notification. `None` if it ends the observation; otherwise how long after the first of its wave it came, for
    /// those that belong to one and are not its first.
    pub(crate) fn notified(
        &mut self,
        now: Instant,
        index: u32,
        message: &Message<'_>,
    ) -> Option<Option<Duration>> {
        let number = message.options.observe()?;
        let observer = self.observers.get_mut(index as usize)?;
        observer.id = Some(message.message_id);
        self.fanout.notifications += 1;
        let confirmable = message.message_type == MessageType::Confirmable;
        self.fanout.confirmable += u64::from(confirmable);
        if !self.in_order
            && observer
                .newest
                .is_some_and(|(before, at)| !is_fresh(before, number, now - at))
        {
            self.fanout.outdated += 1;
            return Some(None);
        }
        observer.newest = Some((number, now));
        let hash = self.hashing.hash_one(message.payload);
        let newest = self.newest.get(&hash).copied();
        if newest.is_some_and(|wave| wave + 1 == observer.wave) && confirmable {
            self.fanout.repeats += 1;
            return Some(None);
        }
        let wave = match newest.filter(|wave| wave + 1 != observer.wave) {
            Some(wave) => wave,
            None => {
                let wave = self.count;
                self.count += 1;
                if self.fanout.waves.len() < MAX_WAVES {
                    self.newest.insert(hash, wave);
                    self.fanout.waves.push(Wave {
                        payload: message.payload.to_vec(),
                        first: now,
                        last: now,
                        told: 0,
                    });
                }
                wave
            }
        };
        observer.wave = wave + 1;
        let Some(wave) = self.fanout.waves.get_mut(wave) else {
            return Some(None);
        };
        wave.last = now;
        wave.told += 1;
        // The first one is what the others are measured by.
        Some((wave.told > 1).then(|| now - wave.first))
    }
}

/// RFC 7641 §3.4: numbers go up modulo 2^24, and after 128 s any is newer.
fn is_fresh(before: u32, number: u32, apart: Duration) -> bool {
    let ahead = number.wrapping_sub(before) & 0x00ff_ffff;
    (1..1 << 23).contains(&ahead) || apart > Duration::from_secs(128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_notifications_have_higher_numbers_or_come_much_later() {
        let soon = Duration::from_secs(1);
        assert!(is_fresh(5, 6, soon));
        assert!(!is_fresh(6, 5, soon));
        assert!(!is_fresh(6, 6, soon));
        assert!(is_fresh(0x00ff_ffff, 0, soon));
        assert!(!is_fresh(0, 1 << 23, soon));
        assert!(is_fresh(6, 5, Duration::from_secs(129)));
    }

    #[test]
    fn waves_of_several_threads_are_one_if_they_are_of_one_change() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let wave = |payload: &[u8], first, last| Wave {
            payload: payload.to_vec(),
            first: at(first),
            last: at(last),
            told: 10,
        };
        let fanout = |waves| Fanout {
            waves,
            ..Fanout::default()
        };
        let mut mine = fanout(vec![wave(b"1", 0, 5), wave(b"1", 5000, 5005)]);
        mine.join(fanout(vec![wave(b"1", 4998, 5002), wave(b"2", 3000, 3000)]));
        let seen: Vec<_> = mine
            .waves
            .iter()
            .map(|wave| (wave.told, wave.spread().as_millis()))
            .collect();
        assert_eq!(seen, [(10, 5), (10, 0), (20, 7)]);
    }
}
