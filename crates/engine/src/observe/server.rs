//! Observers of our resources.
//!
//! ```text
//!              changed             polled               respond
//!   ┌─▶ Current ──────▶ queued ──────────▶ Refreshing ──────────▶ Sent ─┐
//!   │                     ▲                                             │
//!   │      changed meanwhile (only the latest state is sent)            │
//!   └──────┴── acknowledged, or the pause after a non-confirmable one ──┘
//!  Reset, the last attempt, an error or Observe 1: gone
//! ```
//!
//! A non-confirmable notification may be lost without anybody noticing. When none follows it for a while, the state is
//! asked for and sent once more, in a confirmable message: an observer that is on the list knows the latest state in
//! the end (RFC 7641 §4.5). How long "a while" is goes by how often there are notifications, so that those that come
//! regularly, not farther apart than the longest such quiet, cost nothing more.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;
use hashbrown::HashMap;

use coracle_wire::{ContentFormat, Status};

use crate::block::bodies::Asked;
use crate::context::Context;
use crate::exchange::server::Serving;
use crate::exchange::server::{Ask, PeerToken};
use crate::limits::{QUIET_AT_LEAST, QUIET_AT_MOST, UNCONFIRMED_NOTIFICATIONS};
use crate::message::Attempt;
use crate::path::{Path, Peer};
use crate::slab::{Key, Slab};
use crate::time::Instant;
use crate::timers::TimerKey;
use crate::values::{Event, ExchangeId, OwnedRequest, ResponseRef, Topic};

/// Where an observer is in the cycle above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing is under way.
    Current,
    /// The application is asked for the new state.
    Refreshing,
    /// A confirmable notification waits for its acknowledgement.
    Sent,
    /// A non-confirmable notification has left; the next waits (RFC 7641 §4.5.1).
    Pausing,
}

pub(crate) struct Observer {
    pub(crate) topic: Topic,
    pub(crate) request: OwnedRequest,
    pub(crate) path: Path,
    pub(crate) token: PeerToken,
    pub(crate) phase: Phase,
    /// The state changed since it was last asked for.
    changed: bool,
    /// The turn among its peer's observers was kept for it.
    has_turn: bool,
    /// The notification that was sent last, as long as the message layer knows it.
    pub(crate) outgoing: Option<Key>,
    /// The retransmission that the next notification takes up.
    pub(crate) resume: Option<Attempt>,
    /// The last confirmable sign of life.
    last_confirmed: Instant,
    /// Non-confirmable notifications since then (RFC 7641 §7).
    unconfirmed: u8,
    /// When the last notification left, and how long after the one before.
    last_sent: Instant,
    last_gap: Duration,
    /// No other followed the last one: it is repeated in a confirmable message.
    repeats: bool,
    confirmable: bool,
    sequence: u32,
    /// The content-format of the representations sent so far; missing until one was sent.
    format: Option<Option<ContentFormat>>,
    /// What the block stage needs to cut a notification.
    pub(crate) asked: Asked,
}

impl Observer {
    /// The next value of the Observe option: 24 bits, going up (RFC 7641 §4.4).
    pub(crate) fn next_sequence(&mut self) -> u32 {
        self.sequence = (self.sequence + 1) & 0x00ff_ffff;
        self.sequence
    }

    /// Notifications keep the content-format of the first representation (RFC 7641 §4.2).
    pub(crate) fn keeps_format(&mut self, response: &ResponseRef<'_>) -> bool {
        let Some(next) = format_of(response) else {
            return true;
        };
        *self.format.get_or_insert(next) == next
    }

    /// Whether the next notification is confirmable.
    pub(crate) fn wants_confirmation(
        &self,
        context: &Context,
        now: Instant,
        response: &ResponseRef<'_>,
    ) -> bool {
        let due = now - self.last_confirmed >= context.config.confirmable_notification_every
            || self.unconfirmed >= UNCONFIRMED_NOTIFICATIONS;
        due || self.repeats || self.resume.is_some() || response.confirmable.unwrap_or(self.confirmable)
    }

    pub(crate) fn confirmed(&mut self, now: Instant) {
        self.last_confirmed = now;
        self.unconfirmed = 0;
        self.repeats = false;
    }

    /// A notification has left.
    pub(crate) fn sent(&mut self, now: Instant, confirmable: bool) {
        self.last_gap = now - self.last_sent;
        self.last_sent = now;
        if !confirmable {
            self.unconfirmed = self.unconfirmed.saturating_add(1);
        }
    }

    /// When it has been quiet for so long that the last notification, which nobody acknowledged, is repeated.
    pub(crate) fn quiet_at(&self) -> Option<Instant> {
        let wait = self
            .last_gap
            .saturating_mul(2)
            .clamp(QUIET_AT_LEAST, QUIET_AT_MOST);
        (self.unconfirmed > 0 && !self.changed).then(|| self.last_sent + wait)
    }
}

/// What the observers of one peer share.
struct OfPeer {
    observers: BTreeSet<Key>,
    /// When the next non-confirmable notification may leave: there is one at a time, to whichever of them.
    free_at: Instant,
}

/// The observers by topic and by token, and those whose state has to be asked for.
pub(crate) struct Observers {
    by_topic: BTreeSet<(Topic, Key)>,
    by_token: HashMap<(Peer, PeerToken), Key, foldhash::fast::FixedState>,
    per_peer: HashMap<Peer, OfPeer, foldhash::fast::FixedState>,
    refresh: VecDeque<Key>,
}

impl Observers {
    pub(crate) fn new(context: &mut Context) -> Observers {
        let hasher = foldhash::fast::FixedState::with_seed(context.random_u64());
        Observers {
            by_topic: BTreeSet::new(),
            by_token: HashMap::with_hasher(hasher.clone()),
            per_peer: HashMap::with_hasher(hasher),
            refresh: VecDeque::new(),
        }
    }

    /// How many observers there are.
    pub(crate) fn len(&self) -> usize {
        self.by_token.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_token.is_empty() && self.by_topic.is_empty() && self.per_peer.is_empty()
    }

    /// The observation that a request of this peer with this token renews or cancels (RFC 7641 §4.1).
    pub(crate) fn find(&self, ask: &Ask) -> Option<Key> {
        self.by_token.get(&(ask.path.peer(), ask.token.clone())).copied()
    }

    /// Whether this peer may observe one more thing.
    pub(crate) fn has_room(&self, context: &Context, peer: &Peer) -> bool {
        let most = context.config.max_observers.min(context.config.max_exchanges / 2);
        self.by_token.len() < most
            && self
                .per_peer
                .get(peer)
                .map_or(0, |of_peer| of_peer.observers.len())
                < context.config.max_observers_per_peer
    }

    /// Registers the request of `ask` under `key` and gives the observer back, to be kept with the exchange.
    pub(crate) fn register(
        &mut self,
        now: Instant,
        key: Key,
        ask: &Ask,
        topic: Topic,
        request: OwnedRequest,
        response: &ResponseRef<'_>,
    ) -> Observer {
        let peer = ask.path.peer();
        self.by_topic.insert((topic, key));
        self.by_token.insert((peer, ask.token.clone()), key);
        let of_peer = self.per_peer.entry(peer).or_insert(OfPeer {
            observers: BTreeSet::new(),
            free_at: now,
        });
        of_peer.observers.insert(key);
        Observer {
            topic,
            request,
            path: ask.path.back(),
            token: ask.token.clone(),
            phase: Phase::Current,
            changed: false,
            has_turn: false,
            outgoing: None,
            resume: None,
            last_confirmed: now,
            unconfirmed: 0,
            last_sent: now,
            last_gap: Duration::ZERO,
            repeats: false,
            confirmable: ask.confirmable,
            sequence: first_sequence(now),
            format: format_of(response),
            asked: Asked::of(ask),
        }
    }

    /// Takes an observer off all lists, and tells when it was the last of its topic.
    pub(crate) fn unregister(&mut self, context: &mut Context, key: Key, observer: &Observer) {
        let peer = observer.path.peer();
        self.by_topic.remove(&(observer.topic, key));
        self.by_token.remove(&(peer, observer.token.clone()));
        if let Some(of_peer) = self.per_peer.get_mut(&peer) {
            of_peer.observers.remove(&key);
            if of_peer.observers.is_empty() {
                self.per_peer.remove(&peer);
            }
        }
        context.timers.disarm(TimerKey::Notify(key));
        if !self.is_observed(observer.topic) {
            context.events.push_back(Event::TopicIdle {
                topic: observer.topic,
            });
        }
    }

    /// All observers of a peer.
    pub(crate) fn of_peer(&self, peer: &Peer) -> Vec<Key> {
        let of_peer = self.per_peer.get(peer);
        of_peer.map_or_else(Vec::new, |of_peer| of_peer.observers.iter().copied().collect())
    }

    /// All observers of a topic.
    pub(crate) fn of_topic(&self, topic: Topic) -> Vec<Key> {
        let of_topic = self.by_topic.range((topic, Key::FIRST)..=(topic, Key::LAST));
        of_topic.map(|(_, key)| *key).collect()
    }

    pub(crate) fn is_observed(&self, topic: Topic) -> bool {
        self.by_topic
            .range((topic, Key::FIRST)..=(topic, Key::LAST))
            .next()
            .is_some()
    }

    /// The state of a topic changed: each of its observers is due, now or when its turn comes.
    pub(crate) fn changed(&mut self, exchanges: &mut Slab<Serving>, topic: Topic) {
        for (_, key) in self.by_topic.range((topic, Key::FIRST)..=(topic, Key::LAST)) {
            let Some(observer) = exchanges
                .get_mut(*key)
                .and_then(|serving| serving.observer.as_mut())
            else {
                continue;
            };
            if !observer.changed {
                observer.changed = true;
                if observer.phase == Phase::Current {
                    self.refresh.push_back(*key);
                }
            }
        }
    }

    /// The turn of a non-confirmable notification: now, or at a time that is kept for it, so that each peer is sent one
    /// in `interval` only, however many observers it has (RFC 7641 §4.5.1).
    pub(crate) fn turn(
        &mut self,
        now: Instant,
        interval: Duration,
        observer: &mut Observer,
    ) -> Result<(), Instant> {
        if core::mem::take(&mut observer.has_turn) {
            return Ok(());
        }
        let Some(of_peer) = self.per_peer.get_mut(&observer.path.peer()) else {
            return Ok(());
        };
        let at = of_peer.free_at.max(now);
        of_peer.free_at = at + interval;
        if at <= now {
            return Ok(());
        }
        observer.has_turn = true;
        observer.changed = true;
        observer.phase = Phase::Pausing;
        Err(at)
    }

    /// An observer may be notified again.
    pub(crate) fn released(&mut self, key: Key, observer: &mut Observer) {
        observer.phase = Phase::Current;
        if observer.changed {
            self.refresh.push_back(key);
        }
    }

    /// The last notification to an observer is repeated, so that it is sure to know the latest state (RFC 7641 §4.5).
    pub(crate) fn repeat(&mut self, key: Key, observer: &mut Observer) {
        observer.repeats = true;
        observer.changed = true;
        self.refresh.push_back(key);
    }

    /// The next observer whose state has to be asked for.
    pub(crate) fn next_refresh(&mut self, exchanges: &mut Slab<Serving>) -> Option<Event> {
        while let Some(key) = self.refresh.pop_front() {
            let Some(observer) = exchanges
                .get_mut(key)
                .and_then(|serving| serving.observer.as_mut())
            else {
                continue;
            };
            if observer.changed && observer.phase == Phase::Current {
                observer.changed = false;
                observer.phase = Phase::Refreshing;
                return Some(Event::Refresh {
                    id: ExchangeId::server(key),
                    request: observer.request.clone(),
                });
            }
        }
        None
    }
}

/// The content-format of a representation; a 2.03 carries none (RFC 7252 §5.9.1.3).
fn format_of(response: &ResponseRef<'_>) -> Option<Option<ContentFormat>> {
    (response.status == Status::CONTENT).then(|| response.options.content_format())
}

/// Numbers start at the time in units of 16 ms, so that they go on after a restart or a renewed registration
/// (RFC 7641 §4.4) as long as an observer gets fewer than 60 notifications a second.
fn first_sequence(now: Instant) -> u32 {
    u32::try_from((now.as_micros() >> 14) & 0x00ff_ffff).unwrap_or(0)
}

impl Observer {
    /// A renewed registration goes on with the numbers of the one before.
    pub(crate) fn continue_after(&mut self, sequence: u32) {
        self.sequence = sequence;
    }

    pub(crate) fn sequence(&self) -> u32 {
        self.sequence
    }

    /// The state changed since the notification under way was made.
    pub(crate) fn is_outdated(&self) -> bool {
        self.changed
    }
}
