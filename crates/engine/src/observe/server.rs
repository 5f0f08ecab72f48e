//! Observers of our resources.
//!
//! Observers whose requests mean the same make a group. The application is asked once for all of them, by the request of
//! one; what it shows is sent to each under the same number, and only header and token differ:
//!
//! ```text
//!                 changed              polled               respond            poll_transmit, one by one
//!   group  Quiet ────────▶ in line for ───────▶ asking ──────────▶ in line for ─────────────────────────▶ Quiet
//!                          its refresh ◀─── too old, or changed ── sending
//!
//!   member  Current ──changed──▶ Due ──told──▶ Away (confirmable)      ──acknowledged──▶ Current
//!                                          └─▶ Pausing (non-confirmable) ──pause over──▶ Quiet ──▶ Due, confirmable
//!   Reset, the last attempt, an error or Observe 1: gone
//! ```
//!
//! A member is Due when the state that it was told last is not the latest, but no sooner than it may be told another:
//! when the one under way is acknowledged or its pause is over. So the slow hold up nobody. What was shown serves whoever
//! becomes due within a second, the unit of Max-Age; whoever comes later, and a newer change, lead to asking again.
//!
//! An answer that is an error, or that depends on who asks, is not spread: each member is asked for alone.
//!
//! A non-confirmable notification may be lost without anybody noticing. When none follows it for a while, the state is
//! asked for and sent once more, in a confirmable message: an observer that is on the list knows the latest state in
//! the end (RFC 7641 §4.5). How long "a while" is goes by how often there are changes, so that notifications that come
//! regularly, not farther apart than the longest such quiet, cost nothing more.

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use hashbrown::{HashMap, HashTable};

use coracle_wire::MessageId;

use crate::context::Context;
use crate::exchange::ask::Ask;
use crate::limits::{MEMBERS_IN_A_ROW, SHARE_OF_UNPROVED, TIMERS_PER_CALL};
use crate::message::Attempt;
use crate::observe::budget::{Budget, Charge};
use crate::observe::groups::{Group, Kept, Line, Shown};
use crate::observe::members::{Confirms, Member, Members, Place};
use crate::observe::refreshing::Asking;
use crate::slab::{Key, Slab};
use crate::tables::{GiveBack, give_back};
use crate::time::Instant;
use crate::timers::TimerKey;
use crate::values::{Event, ResponseRef, Topic};

/// A registration that the application accepted.
pub(crate) struct Registration<'r> {
    pub(crate) exchange: Key,
    pub(crate) ask: &'r Ask,
    pub(crate) topic: Topic,
    pub(crate) kept: Arc<Kept>,
    pub(crate) response: &'r ResponseRef<'r>,
    /// The number of the registration that it renews.
    pub(crate) after: Option<u64>,
}

/// A notification that has left: under which number, under which message ID if it can only be rejected, and what the
/// message layer does about it otherwise.
pub(crate) struct Left {
    pub(crate) number: u64,
    pub(crate) id: Option<MessageId>,
    pub(crate) outgoing: Option<Key>,
}

pub(crate) struct Observers {
    /// The bytes of requests and of states.
    pub(crate) budget: Budget,
    pub(crate) members: Members,
    pub(super) groups: Slab<Group>,
    /// Groups by topic and cache key.
    index: HashTable<Key>,
    hasher: foldhash::fast::FixedState,
    by_topic: BTreeSet<(Topic, Key)>,
    /// Groups in line for their refresh, and those in line for sending.
    pub(super) refresh: VecDeque<Key>,
    pub(super) sending: VecDeque<Key>,
    /// Members that the first group in line may be told in a row.
    pub(super) in_a_row: u32,
    /// What the application was asked for, by the registration that names it.
    pub(super) asking: HashMap<Key, Asking, foldhash::fast::FixedState>,
    /// Those of them, by member, who have no timer yet.
    pub(super) untimed: Vec<Key>,
    /// The retransmissions that the next notifications take up, by member (RFC 7641 §4.5.2).
    pub(super) resumed: HashMap<Key, Attempt, foldhash::fast::FixedState>,
}

impl Observers {
    pub(crate) fn new(context: &mut Context) -> Observers {
        let most = context.config.max_observers;
        let hasher = foldhash::fast::FixedState::with_seed(context.random_u64());
        Observers {
            budget: Budget::new(context.config.observation_bytes, context.random_u64()),
            members: Members::new(most, context.random_u64()),
            groups: Slab::new(most),
            index: HashTable::new(),
            by_topic: BTreeSet::new(),
            refresh: VecDeque::new(),
            sending: VecDeque::new(),
            in_a_row: MEMBERS_IN_A_ROW,
            asking: HashMap::with_hasher(hasher.clone()),
            untimed: Vec::new(),
            resumed: HashMap::with_hasher(hasher.clone()),
            hasher,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
            && self.groups.is_empty()
            && self.index.is_empty()
            && self.by_topic.is_empty()
            && self.asking.is_empty()
            && self.resumed.is_empty()
            && self.budget.is_empty()
    }

    /// Nothing is on its way to members.
    pub(crate) fn is_quiet(&self) -> bool {
        self.sending.is_empty()
    }

    /// Whether there may be one more observer.
    pub(crate) fn has_room(&self, context: &Context, ask: &Ask) -> bool {
        let most = context.config.max_observers.min(context.config.max_exchanges / 2);
        let in_share = ask.is_proved() || self.members.unproved() < most / SHARE_OF_UNPROVED;
        in_share && self.members.len() < most
    }

    /// A member with its group.
    pub(crate) fn get(&self, key: Key) -> Option<(&Member, &Group)> {
        let member = self.members.get(key)?;
        Some((member, self.groups.get(member.group)?))
    }

    pub(crate) fn group_of(&mut self, member: Key) -> Option<&mut Group> {
        self.groups.get_mut(self.members.get(member)?.group)
    }

    /// Registers an observer; its key and the number of the response.
    pub(crate) fn register(
        &mut self,
        context: &mut Context,
        now: Instant,
        (peer, of_peer): (Key, &mut Option<Key>),
        registration: Registration<'_>,
    ) -> Option<(Key, u64)> {
        let Registration {
            exchange, ask, after, ..
        } = registration;
        let group_key = self.join(now, registration)?;
        let group = self.groups.get_mut(group_key)?;
        let number = group.numbers.of_registration(now, after);
        let names = (group_key, peer, exchange);
        let registered = number.and_then(|number| {
            let told = (number, Confirms::like(ask));
            let member = Member::new(now, names, ask.token.clone(), told);
            let member = if ask.is_proved() {
                member
            } else {
                member.unproved()
            };
            let key = self.members.insert(member, of_peer)?;
            Some((key, number))
        });
        let Some((key, number)) = registered else {
            self.leave(context, group_key);
            return None;
        };
        group.len += 1;
        if ask.confirmable {
            self.members.append(&mut group.places, Place::Current, key);
        } else {
            self.members.append(&mut group.places, Place::Pausing, key);
            group.wake_by(context, group_key, now + context.config.notification_interval);
        }
        Some((key, number))
    }

    /// The group of a registration, which is made when there is none.
    fn join(&mut self, now: Instant, registration: Registration<'_>) -> Option<Key> {
        let Registration {
            ask,
            topic,
            kept,
            response,
            ..
        } = registration;
        let hash = self.hasher.hash_one((topic, ask.cache_key));
        let groups = &self.groups;
        let suits = |key: &Key| {
            let group = groups.get(*key);
            group.is_some_and(|group| group.suits(ask, topic, &kept.request, response))
        };
        if let Some(key) = self.index.find(hash, suits) {
            return Some(*key);
        }
        let group = Group::new(now, ask, topic, kept, response);
        let key = self.groups.insert(group).ok()?;
        let (groups, hasher) = (&self.groups, &self.hasher);
        self.index
            .insert_unique(hash, key, |key| rehash(groups, hasher, *key));
        self.by_topic.insert((topic, key));
        Some(key)
    }

    /// Takes a member off all lists, and gives it back.
    pub(crate) fn unregister(&mut self, context: &mut Context, key: Key, of_peer: &mut Option<Key>) {
        let Some(member) = self.members.get(key) else {
            return;
        };
        let (group_key, registration) = (member.group, member.registration);
        context.timers.disarm(TimerKey::Notify(key));
        context.timers.disarm(TimerKey::Refresh(key));
        self.resumed.remove(&key);
        let asked = self.asking.remove(&registration);
        if let Some(group) = self.groups.get_mut(group_key) {
            if asked.is_some_and(|asked| asked.shared) {
                group.asking = None;
            }
            self.members.take_out(&mut group.places, key);
            group.len -= 1;
        }
        self.members.remove(key, of_peer);
        self.asking.give_back();
        self.leave(context, group_key);
    }

    /// A member left its group, or did not come: a group of nobody ends.
    fn leave(&mut self, context: &mut Context, key: Key) {
        let Some(group) = self.groups.get(key) else { return };
        if group.len > 0 {
            return self.stand_in_line(key);
        }
        let topic = group.topic;
        let hash = self.hasher.hash_one((topic, group.cache_key()));
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == key) {
            entry.remove();
        }
        self.groups.remove(key);
        let (groups, hasher) = (&self.groups, &self.hasher);
        give_back(&mut self.index, |key| rehash(groups, hasher, *key));
        self.by_topic.remove(&(topic, key));
        context.timers.disarm(TimerKey::Group(key));
        if !self.is_observed(topic) {
            context.events.push_back(Event::TopicIdle { topic });
        }
    }

    /// All observers of a topic.
    pub(crate) fn of_topic(&self, topic: Topic) -> Vec<Key> {
        let of_topic = self.by_topic.range((topic, Key::FIRST)..=(topic, Key::LAST));
        let groups = of_topic.filter_map(|(_, key)| self.groups.get(*key));
        let lists = groups.flat_map(|group| group.places.lists());
        let members = lists.flat_map(|list| self.members.of_list(list));
        members.map(|(key, _)| key).collect()
    }

    pub(crate) fn is_observed(&self, topic: Topic) -> bool {
        let mut groups = self.by_topic.range((topic, Key::FIRST)..=(topic, Key::LAST));
        groups.next().is_some()
    }

    /// The state of a topic changed: each of its observers is due, now or when it may be told.
    pub(crate) fn changed(&mut self, topic: Topic) {
        let of_topic = self.by_topic.range((topic, Key::FIRST)..=(topic, Key::LAST));
        for key in of_topic.map(|(_, key)| *key).collect::<Vec<_>>() {
            let Some(group) = self.groups.get_mut(key) else {
                continue;
            };
            group.numbers.changed();
            group.shown = None;
            self.members
                .move_all(&mut group.places, Place::Current, Place::Due);
            self.members.move_all(&mut group.places, Place::Quiet, Place::Due);
            self.stand_in_line(key);
        }
    }

    /// Where there is somebody to be told, sees to it that the state is asked for or sent.
    pub(super) fn stand_in_line(&mut self, key: Key) {
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        let first = group.places.due.first;
        let Some(first) = first.and_then(|first| self.members.get(first)) else {
            group.alone = group.personal;
            return;
        };
        let shown = group.shown.as_ref().map_or(0, |shown| shown.number);
        let line = if shown > first.number {
            Line::Sending
        } else if group.asking.is_none() {
            Line::Refresh
        } else {
            return;
        };
        if group.line != line {
            group.line = line;
            match line {
                Line::Sending => self.sending.push_back(key),
                _ => self.refresh.push_back(key),
            }
        }
    }

    /// The part of the budget that a state takes which is kept for a member's group.
    pub(crate) fn charge(&self, context: &Context, member: Key, shown: &Shown) -> Option<Charge> {
        let (_, group) = self.get(member)?;
        self.budget
            .for_state(shown.cost(group.takes_whole(context, shown)))
    }

    /// A state is there for all members that are due.
    pub(crate) fn show(&mut self, context: &mut Context, member: Key, mut shown: Box<Shown>) {
        let Some(member) = self.members.get(member) else {
            return;
        };
        let key = member.group;
        if let Some(group) = self.groups.get_mut(key) {
            if group.takes_whole(context, &shown) {
                shown.join();
            }
            group.wake_by(context, key, shown.until);
            group.shown = Some(shown);
        }
        self.stand_in_line(key);
    }

    /// The application is asked for each member alone, until nobody is due; `personal`: from now on.
    pub(crate) fn ask_alone(&mut self, member: Key, personal: bool) {
        let Some(member) = self.members.get(member) else {
            return;
        };
        let key = member.group;
        if let Some(group) = self.groups.get_mut(key) {
            group.alone = true;
            group.personal |= personal;
            group.shown = None;
        }
        self.stand_in_line(key);
    }

    /// The member that is told next, and its group.
    pub(crate) fn next_due(&mut self, now: Instant) -> Option<(Key, Key)> {
        while let Some(&key) = self.sending.front() {
            let group = self.groups.get_mut(key);
            let Some(group) = group.filter(|group| group.line == Line::Sending) else {
                self.sending.pop_front();
                continue;
            };
            group.shown.take_if(|shown| shown.is_over(now));
            let due = group.places.due.first;
            let known = due.and_then(|due| self.members.get(due)).map(|due| due.number);
            let shown = group.shown.as_ref().map_or(0, |shown| shown.number);
            let Some(due) = due.filter(|_| known.is_some_and(|known| shown > known)) else {
                group.line = Line::No;
                self.sending.pop_front();
                self.stand_in_line(key);
                continue;
            };
            if self.in_a_row == 0 {
                self.in_a_row = MEMBERS_IN_A_ROW;
                self.sending.rotate_left(1);
                continue;
            }
            self.in_a_row = self.in_a_row.saturating_sub(1);
            return Some((key, due));
        }
        None
    }

    /// What a group shows, while its members are told.
    pub(crate) fn take_shown(&mut self, group: Key) -> Option<Box<Shown>> {
        self.groups.get_mut(group)?.shown.take()
    }

    pub(crate) fn keep_shown(&mut self, group: Key, shown: Box<Shown>) {
        if let Some(group) = self.groups.get_mut(group) {
            group.shown = Some(shown);
        }
    }

    /// A notification is on its way: the next one waits for its acknowledgement, or pauses.
    pub(crate) fn told(&mut self, context: &mut Context, now: Instant, key: Key, left: Left) {
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        member.number = left.number;
        member.last_sent = now;
        member.has_turn = false;
        if !self.resumed.is_empty() {
            self.resumed.remove(&key);
        }
        let group_key = member.group;
        let place = match left.id {
            None => Place::Away,
            Some(_) => {
                member.unconfirmed = member.unconfirmed.saturating_add(1);
                Place::Pausing
            }
        };
        (member.last_id, member.outgoing) = (left.id, left.outgoing);
        let Some(group) = self.groups.get_mut(group_key) else {
            return;
        };
        group.tells(now);
        self.members.move_to(&mut group.places, place, key);
        if left.id.is_some() {
            group.wake_by(context, group_key, now + context.config.notification_interval);
        }
    }

    /// A member cannot be told before this time.
    pub(crate) fn wait(&mut self, context: &mut Context, key: Key, until: Instant) {
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        member.has_turn = true;
        if let Some(group) = self.groups.get_mut(member.group) {
            self.members.move_to(&mut group.places, Place::Away, key);
        }
        context.timers.arm(TimerKey::Notify(key), until);
    }

    /// A member may be told again.
    pub(crate) fn released(&mut self, context: &mut Context, key: Key) {
        let Some(member) = self.members.get(key) else {
            return;
        };
        let group_key = member.group;
        let Some(group) = self.groups.get_mut(group_key) else {
            return;
        };
        let place = if member.number <= group.numbers.outdated || member.repeats || member.has_turn {
            Place::Due
        } else if member.unconfirmed > 0 {
            group.wake_by(context, group_key, member.last_sent + group.quiet());
            Place::Quiet
        } else {
            Place::Current
        };
        self.members.move_to(&mut group.places, place, key);
        self.stand_in_line(group_key);
    }

    /// The first notification is a message of its own: it comes before all others.
    pub(crate) fn first_left(
        &mut self,
        key: Key,
        id: Option<MessageId>,
        outgoing: Option<Key>,
        confirmable: bool,
    ) {
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        (member.last_id, member.outgoing) = (id, outgoing);
        if confirmable && let Some(group) = self.groups.get_mut(member.group) {
            self.members.move_to(&mut group.places, Place::Away, key);
        }
    }

    /// Whether a member was told what is not the latest state.
    pub(crate) fn is_outdated(&self, key: Key) -> bool {
        self.get(key)
            .is_some_and(|(member, group)| member.number <= group.numbers.outdated)
    }

    /// The next notification to a member takes up this retransmission.
    pub(crate) fn resume(&mut self, key: Key, attempt: Attempt) {
        if let Some(member) = self.members.get_mut(key) {
            member.outgoing = None;
            self.resumed.insert(key, attempt);
        }
    }

    pub(crate) fn resumed(&self, key: Key) -> Option<Attempt> {
        if self.resumed.is_empty() {
            return None;
        }
        self.resumed.get(&key).copied()
    }

    /// A group's time has come: pauses are over (RFC 7641 §4.5.1), it has been quiet for so long that notifications are
    /// repeated (§4.5), what was shown is too old. Bounded: what is left is due at once.
    pub(crate) fn group_due(&mut self, context: &mut Context, now: Instant, key: Key) {
        let interval = context.config.notification_interval;
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        group.woken();
        group.shown.take_if(|shown| shown.is_over(now));
        for _ in 0..TIMERS_PER_CALL {
            let Some(group) = self.groups.get(key) else { return };
            let quiet = group.quiet();
            let sent = |member: Key| self.members.get(member).map(|member| member.last_sent);
            let over = |list: Option<Key>, wait| {
                list.filter(|first| sent(*first).is_some_and(|at| at + wait <= now))
            };
            if let Some(first) = over(group.places.pausing.first, interval) {
                self.released(context, first);
            } else if let Some(first) = over(group.places.quiet.first, quiet) {
                if let Some(member) = self.members.get_mut(first) {
                    member.repeats = true;
                }
                self.released(context, first);
            } else {
                break;
            }
        }
        self.wake_later(context, key);
    }

    /// Sets a group's timer to what is due next.
    fn wake_later(&mut self, context: &mut Context, key: Key) {
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        let sent = |first: Option<Key>| Some(self.members.get(first?)?.last_sent);
        let times = [
            sent(group.places.pausing.first).map(|at| at + context.config.notification_interval),
            sent(group.places.quiet.first).map(|at| at + group.quiet()),
            group.shown.as_ref().map(|shown| shown.until),
        ];
        if let Some(at) = times.into_iter().flatten().min() {
            group.wake_by(context, key, at);
        }
    }
}

fn rehash(groups: &Slab<Group>, hasher: &foldhash::fast::FixedState, key: Key) -> u64 {
    let group = groups.get(key);
    group.map_or(0, |group| hasher.hash_one((group.topic, group.cache_key())))
}
