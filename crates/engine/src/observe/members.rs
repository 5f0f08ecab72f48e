//! Observers one by one: small, for there may be many, and linked into lists, so that none is searched for.

use crate::index::Index;
use core::hash::BuildHasher;

use coracle_wire::MessageId;

use crate::context::Context;
use crate::exchange::ask::{Ask, PeerToken};
use crate::limits::UNCONFIRMED_NOTIFICATIONS;
use crate::slab::{Key, Slab};
use crate::time::Instant;

/// One observer: a peer and a token of its choice (RFC 7641 §4.1).
pub(crate) struct Member {
    pub(crate) group: Key,
    pub(crate) peer: Key,
    /// The exchange that it registered by, which names it to the application.
    pub(crate) registration: Key,
    pub(crate) token: PeerToken,
    in_group: Links,
    of_peer: Links,
    /// The number of the state that it was told last (RFC 7641 §4.4).
    pub(crate) number: u64,
    pub(crate) last_sent: Instant,
    /// The last confirmable sign of life.
    last_confirmed: Instant,
    /// The notification that it may still reject: the last one, if that was not confirmable.
    pub(crate) last_id: Option<MessageId>,
    /// The notification that the message layer works on.
    pub(crate) outgoing: Option<Key>,
    /// Non-confirmable notifications since the last sign of life (RFC 7641 §7), or [`NO_SIGN_OF_LIFE`].
    pub(crate) unconfirmed: u8,
    confirms: Confirms,
    /// No other notification followed the last one: it is repeated in a confirmable message.
    pub(crate) repeats: bool,
    /// The turn among its peer's observers was kept for it.
    pub(crate) has_turn: bool,
}

// With its place in the table and in the index it takes 139 bytes, and its peer as much again.
const _: () = assert!(size_of::<Member>() <= 112);

/// Which notifications are confirmable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confirms {
    /// Those that have to be (RFC 7641 §4.5).
    No,
    /// All, unless the application decides otherwise.
    Yes,
    /// All: its connection tells whether it is there. Each arrives, or the observation ends (RFC 8323 §7.2).
    Always,
}

impl Confirms {
    /// As the registration was.
    pub(crate) fn like(ask: &Ask) -> Confirms {
        match (ask.path.manner().delivers, ask.confirmable) {
            (true, _) => Confirms::Always,
            (false, true) => Confirms::Yes,
            (false, false) => Confirms::No,
        }
    }
}

/// In place of a count of notifications: the peer has not proved its address and has acknowledged nothing.
const NO_SIGN_OF_LIFE: u8 = u8::MAX;

/// Neighbours in a list.
#[derive(Clone, Copy, Default)]
struct Links {
    previous: Option<Key>,
    next: Option<Key>,
}

/// The ends of a list of members.
#[derive(Clone, Copy, Default)]
pub(crate) struct List {
    pub(crate) first: Option<Key>,
    last: Option<Key>,
}

/// Where the members of a group are: each in one place.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// To be told.
    Due,
    /// Nothing is under way.
    Current,
    /// Sent a non-confirmable notification less than the pause ago; in the order of that (RFC 7641 §4.5.1).
    Pausing,
    /// The pause is over, but nobody knows whether the notification arrived; in the order of its time.
    Quiet,
    /// A confirmable notification waits for its acknowledgement, the application is asked for this observer alone, or
    /// its peer is told of something else first.
    Away,
}

#[derive(Default)]
pub(crate) struct Places {
    pub(crate) due: List,
    pub(crate) current: List,
    pub(crate) pausing: List,
    pub(crate) quiet: List,
    pub(crate) away: List,
}

impl Places {
    fn list(&mut self, place: Place) -> &mut List {
        match place {
            Place::Due => &mut self.due,
            Place::Current => &mut self.current,
            Place::Pausing => &mut self.pausing,
            Place::Quiet => &mut self.quiet,
            Place::Away => &mut self.away,
        }
    }

    pub(crate) fn lists(&self) -> [List; 5] {
        [self.due, self.current, self.pausing, self.quiet, self.away]
    }

    fn all(&mut self) -> [&mut List; 5] {
        [
            &mut self.due,
            &mut self.current,
            &mut self.pausing,
            &mut self.quiet,
            &mut self.away,
        ]
    }
}

impl Member {
    pub(crate) fn new(
        now: Instant,
        (group, peer, registration): (Key, Key, Key),
        token: PeerToken,
        (number, confirms): (u64, Confirms),
    ) -> Member {
        Member {
            group,
            peer,
            registration,
            token,
            in_group: Links::default(),
            of_peer: Links::default(),
            number,
            last_sent: now,
            last_confirmed: now,
            last_id: None,
            outgoing: None,
            unconfirmed: 0,
            confirms,
            repeats: false,
            has_turn: false,
        }
    }

    /// Whether the next notification is confirmable, where the application decides so or leaves it open.
    pub(crate) fn wants_confirmation(&self, context: &Context, now: Instant, decided: Option<bool>) -> bool {
        let quiet = u128::from(now.as_micros().saturating_sub(self.last_confirmed.as_micros()));
        let due = quiet >= context.config.confirmable_notification_every.as_micros()
            || self.unconfirmed >= UNCONFIRMED_NOTIFICATIONS;
        let always = self.confirms == Confirms::Always;
        due || self.repeats || always || decided.unwrap_or(self.confirms == Confirms::Yes)
    }

    /// The same of a peer that has not proved its address: it has to show first that it is there.
    pub(crate) fn unproved(self) -> Member {
        Member {
            unconfirmed: NO_SIGN_OF_LIFE,
            ..self
        }
    }

    /// The peer has not proved its address and has acknowledged nothing yet.
    pub(crate) fn is_unproved(&self) -> bool {
        self.unconfirmed == NO_SIGN_OF_LIFE
    }

    fn confirmed(&mut self, now: Instant) {
        self.last_confirmed = now;
        self.unconfirmed = 0;
        self.repeats = false;
    }
}

/// All members, and by whose token each is found.
pub(crate) struct Members {
    table: Slab<Member>,
    by_token: Index<Key>,
    hasher: foldhash::fast::FixedState,
    /// How many of them have not proved their address and have acknowledged nothing yet.
    unproved: usize,
}

impl Members {
    pub(crate) fn new(capacity: usize, seed: u64) -> Members {
        Members {
            table: Slab::new(capacity),
            by_token: Index::new(),
            hasher: foldhash::fast::FixedState::with_seed(seed),
            unproved: 0,
        }
    }

    /// How many of them have not proved their address and have acknowledged nothing yet.
    pub(crate) fn unproved(&self) -> usize {
        self.unproved
    }

    /// A member acknowledged a notification.
    pub(crate) fn confirmed(&mut self, now: Instant, key: Key) {
        if let Some(member) = self.table.get_mut(key) {
            self.unproved -= usize::from(member.is_unproved());
            member.confirmed(now);
            member.outgoing = None;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty() && self.by_token.is_empty()
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Member> {
        self.table.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Member> {
        self.table.get_mut(key)
    }

    /// The member that this peer and this token name.
    pub(crate) fn find(&self, peer: Key, token: &PeerToken) -> Option<Key> {
        let named = |key: &Key| {
            let member = self.table.get(*key);
            member.is_some_and(|member| member.peer == peer && member.token == *token)
        };
        let hash = self.hasher.hash_one((peer, token));
        self.by_token.find(hash, named)
    }

    /// Takes a member in, first among those of its peer. `None`: as many as there may be are here.
    pub(crate) fn insert(&mut self, mut member: Member, of_peer: &mut Option<Key>) -> Option<Key> {
        member.of_peer.next = *of_peer;
        let hash = self.hasher.hash_one((member.peer, &member.token));
        let unproved = member.is_unproved();
        let key = self.table.insert(member).ok()?;
        self.unproved += usize::from(unproved);
        if let Some(next) = of_peer.replace(key)
            && let Some(next) = self.table.get_mut(next)
        {
            next.of_peer.previous = Some(key);
        }
        let (table, hasher) = (&self.table, &self.hasher);
        self.by_token.insert(hash, key, |key| rehash(table, hasher, *key));
        Some(key)
    }

    /// Forgets a member, which is in no list of a group any more.
    pub(crate) fn remove(&mut self, key: Key, of_peer: &mut Option<Key>) {
        let Some(member) = self.table.remove(key) else {
            return;
        };
        self.unproved -= usize::from(member.is_unproved());
        let hash = self.hasher.hash_one((member.peer, &member.token));
        let (table, hasher) = (&self.table, &self.hasher);
        self.by_token.remove(hash, key, |key| rehash(table, hasher, *key));
        let Links { previous, next } = member.of_peer;
        match previous.and_then(|previous| self.table.get_mut(previous)) {
            Some(previous) => previous.of_peer.next = next,
            None => *of_peer = next,
        }
        if let Some(next) = next.and_then(|next| self.table.get_mut(next)) {
            next.of_peer.previous = previous;
        }
    }

    /// The members of a peer, from the first one on.
    pub(crate) fn of_peer(&self, first: Option<Key>) -> impl Iterator<Item = (Key, &Member)> {
        self.chain(first, |member| member.of_peer.next)
    }

    /// The members of a list, from the first one on.
    pub(crate) fn of_list(&self, list: List) -> impl Iterator<Item = (Key, &Member)> {
        self.chain(list.first, |member| member.in_group.next)
    }

    fn chain(
        &self,
        first: Option<Key>,
        next: impl Fn(&Member) -> Option<Key>,
    ) -> impl Iterator<Item = (Key, &Member)> {
        let with_key = |key: Option<Key>| key.and_then(|key| Some((key, self.table.get(key)?)));
        core::iter::successors(with_key(first), move |(_, member)| with_key(next(member)))
    }

    /// Puts a member at the end of a list; it was in none.
    pub(crate) fn append(&mut self, places: &mut Places, place: Place, key: Key) {
        let list = places.list(place);
        let previous = list.last.replace(key);
        match previous.and_then(|previous| self.table.get_mut(previous)) {
            Some(previous) => previous.in_group.next = Some(key),
            None => list.first = Some(key),
        }
        if let Some(member) = self.table.get_mut(key) {
            member.in_group = Links { previous, next: None };
        }
    }

    /// Takes a member out of the list that it is in.
    pub(crate) fn take_out(&mut self, places: &mut Places, key: Key) {
        let Some(member) = self.table.get_mut(key) else {
            return;
        };
        let Links { previous, next } = core::mem::take(&mut member.in_group);
        match previous.and_then(|previous| self.table.get_mut(previous)) {
            Some(previous) => previous.in_group.next = next,
            None => {
                if let Some(list) = places.all().into_iter().find(|list| list.first == Some(key)) {
                    list.first = next;
                }
            }
        }
        match next.and_then(|next| self.table.get_mut(next)) {
            Some(next) => next.in_group.previous = previous,
            None => {
                if let Some(list) = places.all().into_iter().find(|list| list.last == Some(key)) {
                    list.last = previous;
                }
            }
        }
    }

    /// Moves a member to the end of a list.
    pub(crate) fn move_to(&mut self, places: &mut Places, place: Place, key: Key) {
        self.take_out(places, key);
        self.append(places, place, key);
    }

    /// Moves the first member of a list to the end of another.
    pub(crate) fn shift(&mut self, places: &mut Places, from: Place, to: Place) {
        let list = places.list(from);
        let Some(key) = list.first else { return };
        let previous = places.list(to).last;
        let Some(member) = self.table.get_mut(key) else {
            return;
        };
        let links = Links { previous, next: None };
        let next = core::mem::replace(&mut member.in_group, links).next;
        match next.and_then(|next| self.table.get_mut(next)) {
            Some(next) => next.in_group.previous = None,
            None => places.list(from).last = None,
        }
        places.list(from).first = next;
        let list = places.list(to);
        list.last = Some(key);
        match previous.and_then(|previous| self.table.get_mut(previous)) {
            Some(previous) => previous.in_group.next = Some(key),
            None => list.first = Some(key),
        }
    }

    /// Moves all members of a list to the end of another at once.
    pub(crate) fn move_all(&mut self, places: &mut Places, from: Place, to: Place) {
        let moved = core::mem::take(places.list(from));
        let Some(first) = moved.first else { return };
        let list = places.list(to);
        let previous = list.last;
        list.last = moved.last;
        match previous.and_then(|previous| self.table.get_mut(previous)) {
            Some(previous) => previous.in_group.next = Some(first),
            None => list.first = Some(first),
        }
        if let Some(first) = self.table.get_mut(first) {
            first.in_group.previous = previous;
        }
    }
}

fn rehash(table: &Slab<Member>, hasher: &foldhash::fast::FixedState, key: Key) -> u64 {
    let member = table.get(key);
    member.map_or(0, |member| hasher.hash_one((member.peer, &member.token)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn keys() -> (Members, Vec<Key>, Option<Key>) {
        let mut members = Members::new(8, 1);
        let mut slab = Slab::new(1);
        let other = slab.insert(()).unwrap();
        let mut of_peer = None;
        let keys = (0..4_u8).map(|number| {
            let names = (other, other, other);
            let member = Member::new(
                Instant::ZERO,
                names,
                PeerToken::new(&[number]),
                (0, Confirms::Yes),
            );
            members.insert(member, &mut of_peer).unwrap()
        });
        let keys = keys.collect();
        (members, keys, of_peer)
    }

    fn listed(members: &Members, list: List) -> Vec<Key> {
        members.of_list(list).map(|(key, _)| key).collect()
    }

    #[test]
    fn lists_hold_what_was_put_into_them_in_order() {
        let (mut members, keys, mut of_peer) = keys();
        let [a, b, c, d] = keys[..] else { panic!() };
        let mut places = Places::default();
        for key in [a, b, c] {
            members.append(&mut places, Place::Current, key);
        }
        members.append(&mut places, Place::Due, d);
        members.move_to(&mut places, Place::Quiet, b);
        assert_eq!(listed(&members, places.current), [a, c]);
        members.move_all(&mut places, Place::Current, Place::Due);
        members.move_all(&mut places, Place::Quiet, Place::Due);
        members.move_all(&mut places, Place::Quiet, Place::Due);
        assert_eq!(listed(&members, places.due), [d, a, c, b]);
        members.shift(&mut places, Place::Due, Place::Pausing);
        assert_eq!(listed(&members, places.due), [a, c, b]);
        members.shift(&mut places, Place::Pausing, Place::Quiet);
        members.move_all(&mut places, Place::Due, Place::Quiet);
        members.move_all(&mut places, Place::Quiet, Place::Due);
        assert_eq!(listed(&members, places.due), [d, a, c, b]);
        assert!(listed(&members, places.current).is_empty());
        for (gone, left) in [(c, &[d, a, b][..]), (b, &[d, a]), (d, &[a]), (a, &[])] {
            members.take_out(&mut places, gone);
            members.remove(gone, &mut of_peer);
            assert_eq!(listed(&members, places.due), left);
            assert_eq!(members.of_peer(of_peer).count(), left.len());
        }
        assert!(members.is_empty() && of_peer.is_none());
        assert!(places.due.first.is_none() && places.due.last.is_none());
    }

    #[test]
    fn a_member_is_found_by_its_token() {
        let (members, keys, of_peer) = keys();
        let [.., last] = keys[..] else { panic!() };
        let peer = members.get(last).unwrap().peer;
        assert_eq!(members.find(peer, &PeerToken::new(&[3])), Some(last));
        assert_eq!(members.find(peer, &PeerToken::new(&[4])), None);
        assert_eq!(members.of_peer(of_peer).count(), 4);
    }
}
