//! All sessions, and what finds them: by ID, by path, by connection ID, by deadline.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::handshake::Handshake;
use crate::handshake::flight::Flight;
use crate::identity::Identity;
use crate::limits;
use crate::path::{Path, SessionId};
use crate::record::{ReadState, WriteState};
use crate::state::changes::Changes;

/// A connection ID of ours; empty for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Cid {
    bytes: [u8; limits::CONNECTION_ID_BYTES],
    len: u8,
}

impl Cid {
    /// Nothing if it is longer than ours are.
    pub(crate) fn new(cid: &[u8]) -> Option<Cid> {
        let mut bytes = [0; limits::CONNECTION_ID_BYTES];
        bytes.get_mut(..cid.len())?.copy_from_slice(cid);
        let len = u8::try_from(cid.len()).ok()?;
        Some(Cid { bytes, len })
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

pub(crate) struct Session {
    pub(crate) path: Path,
    /// Registered as long as the session lives; empty for none.
    pub(crate) cid: Cid,
    pub(crate) stage: Stage,
    /// It stands in the line of those that have something to send.
    pub(crate) is_queued: bool,
    deadline: Option<Duration>,
    /// It is counted as established.
    is_counted: bool,
    /// Place in the order of handshakes that clients began.
    begun: Option<u64>,
}

pub(crate) enum Stage {
    Handshake(Box<Handshake>),
    Established(Established),
}

pub(crate) struct Established {
    pub(crate) read: ReadState,
    pub(crate) write: WriteState,
    pub(crate) identity: Arc<Identity>,
    /// Bytes of plaintext that the peer takes in a record.
    pub(crate) peer_limit: u16,
    /// The beginning of the client's random, by which late copies of its ClientHello are known.
    pub(crate) client_random: [u8; 8],
    /// In whole seconds of the owner's time.
    pub(crate) last_heard: u32,
    pub(crate) last_flight: Option<Box<LastFlight>>,
    pub(crate) unproved: Option<Box<Unproved>>,
}

/// Our last flight, for a peer that did not get it.
pub(crate) struct LastFlight {
    pub(crate) flight: Flight,
    pub(crate) plain: WriteState,
}

/// The path has changed, and nobody knows yet whether the peer receives what is sent there (RFC 9146 §6).
pub(crate) struct Unproved {
    /// The last path that was proved.
    pub(crate) proved: Path,
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

struct Slot {
    generation: u32,
    session: Option<Box<Session>>,
}

/// What is at a path: a session, and a handshake that may take its place (RFC 6347 §4.2.8).
#[derive(Clone, Copy, Default)]
pub(crate) struct AtPath {
    pub(crate) live: Option<SessionId>,
    pub(crate) pending: Option<SessionId>,
}

pub(crate) struct Sessions {
    shard: u8,
    capacity: usize,
    len: usize,
    established: usize,
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_path: HashMap<Path, AtPath, FixedState>,
    by_cid: HashMap<Cid, SessionId, FixedState>,
    deadlines: BTreeSet<(Duration, SessionId)>,
    /// Handshakes that clients began, oldest first, and how many of them each host has.
    begun: BTreeMap<u64, SessionId>,
    next_begun: u64,
    hosts: HashMap<[u8; 9], usize, FixedState>,
    /// What is to be saved; nothing as long as nobody saves.
    pub(crate) changes: Option<Box<Changes>>,
}

impl Sessions {
    /// `seed` keeps those who choose addresses from choosing where they stand in the tables.
    pub(crate) fn new(shard: u8, capacity: usize, seed: u64) -> Sessions {
        let hasher = FixedState::with_seed(seed);
        Sessions {
            shard,
            capacity: capacity.min(1 << 24),
            len: 0,
            established: 0,
            slots: Vec::new(),
            free: Vec::new(),
            by_path: HashMap::with_hasher(hasher.clone()),
            by_cid: HashMap::with_hasher(hasher.clone()),
            deadlines: BTreeSet::new(),
            begun: BTreeMap::new(),
            next_begun: 0,
            hosts: HashMap::with_hasher(hasher),
            changes: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many are no handshakes.
    pub(crate) fn count_established(&self) -> usize {
        self.established
    }

    /// Of some sessions, from a place of the caller's choice on, the one that was heard from longest ago.
    pub(crate) fn quiet(&self, from: u32, except: SessionId) -> Option<SessionId> {
        let start = usize::try_from(from).ok()?.checked_rem(self.slots.len())?;
        let (before, after) = self.slots.split_at_checked(start)?;
        let places = (u32::try_from(start).ok()?..).zip(after);
        let sample = places.chain((0..).zip(before)).filter_map(|(place, slot)| {
            let id = SessionId::new(self.shard, slot.generation, place)?;
            let established = self.established(id).filter(|_| id != except)?;
            Some((established.last_heard, id))
        });
        let quietest = sample.take(limits::QUIET_SAMPLE).min()?;
        Some(quietest.1)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len >= self.capacity
    }

    /// How many handshakes clients have under way.
    pub(crate) fn handshakes(&self) -> usize {
        self.begun.len()
    }

    pub(crate) fn handshakes_of(&self, host: IpAddr) -> usize {
        self.hosts.get(&host_key(host)).copied().unwrap_or(0)
    }

    pub(crate) fn oldest_handshake(&self) -> Option<SessionId> {
        self.begun.first_key_value().map(|(_, id)| *id)
    }

    /// Adds a handshake, which becomes the one that is pending at its path. Nothing if there is no room.
    pub(crate) fn insert(
        &mut self,
        path: Path,
        cid: Cid,
        handshake: Box<Handshake>,
        of_client: bool,
    ) -> Option<SessionId> {
        if self.is_full() {
            return None;
        }
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.slots.push(Slot {
                    generation: 0,
                    session: None,
                });
                u32::try_from(self.slots.len() - 1).ok()?
            }
        };
        let slot = self.slots.get_mut(place as usize)?;
        slot.generation = slot.generation.checked_add(1).unwrap_or(1);
        let id = SessionId::new(self.shard, slot.generation, place)?;
        let begun = of_client.then_some(self.next_begun);
        slot.session = Some(Box::new(Session {
            path,
            cid,
            stage: Stage::Handshake(handshake),
            is_queued: false,
            deadline: None,
            is_counted: false,
            begun,
        }));
        self.len += 1;
        if let Some(begun) = begun {
            self.next_begun += 1;
            self.begun.insert(begun, id);
            *self.hosts.entry(host_key(path.remote.ip())).or_default() += 1;
        }
        if !cid.as_slice().is_empty() {
            self.by_cid.insert(cid, id);
        }
        self.by_path.entry(path).or_default().pending = Some(id);
        Some(id)
    }

    pub(crate) fn get(&self, id: SessionId) -> Option<&Session> {
        let slot = self.slots.get(id.place() as usize)?;
        let session = slot.session.as_deref();
        session.filter(|_| slot.generation == id.generation() && self.shard == id.shard())
    }

    pub(crate) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        let slot = self.slots.get_mut(id.place() as usize)?;
        let is_it = slot.generation == id.generation() && self.shard == id.shard();
        slot.session.as_deref_mut().filter(|_| is_it)
    }

    pub(crate) fn handshake_mut(&mut self, id: SessionId) -> Option<&mut Handshake> {
        match &mut self.get_mut(id)?.stage {
            Stage::Handshake(handshake) => Some(handshake),
            Stage::Established(_) => None,
        }
    }

    pub(crate) fn established(&self, id: SessionId) -> Option<&Established> {
        match &self.get(id)?.stage {
            Stage::Established(established) => Some(established),
            Stage::Handshake(_) => None,
        }
    }

    pub(crate) fn at(&self, path: &Path) -> AtPath {
        self.by_path.get(path).copied().unwrap_or_default()
    }

    /// A session as if it were found at a path.
    pub(crate) fn by_stage(&self, id: SessionId) -> AtPath {
        let is_live = self.established(id).is_some();
        AtPath {
            live: is_live.then_some(id),
            pending: (!is_live).then_some(id),
        }
    }

    pub(crate) fn with_cid(&self, cid: &[u8]) -> Option<SessionId> {
        self.by_cid.get(&Cid::new(cid)?).copied()
    }

    /// The handshake has become a session. Tells which one was at its path before.
    pub(crate) fn settle(&mut self, id: SessionId) -> Option<SessionId> {
        let session = self.get_mut(id)?;
        let path = session.path;
        let begun = session.begun.take();
        let is_new = !core::mem::replace(&mut session.is_counted, true);
        self.established += usize::from(is_new);
        self.forget_begun(begun, &path);
        self.note_change(id);
        let at = self.by_path.entry(path).or_default();
        at.pending = at.pending.filter(|pending| *pending != id);
        at.live.replace(id)
    }

    /// The session is no longer as it was saved.
    pub(crate) fn note_change(&mut self, id: SessionId) {
        if let Some(changes) = &mut self.changes {
            changes.note(id);
        }
    }

    /// The session has used so much of its reserve that it should be saved soon.
    pub(crate) fn note_low(&mut self, id: SessionId) {
        if let Some(changes) = &mut self.changes {
            changes.note_low(id);
        }
    }

    /// All that are established.
    pub(crate) fn all_established(&self) -> impl Iterator<Item = SessionId> {
        let ids = (0_u32..).zip(&self.slots).filter_map(|(place, slot)| {
            slot.session.as_ref()?;
            SessionId::new(self.shard, slot.generation, place)
        });
        ids.filter(|id| self.established(*id).is_some())
    }

    /// Adds a session that was loaded. It keeps its ID if the shard is the same; what is at its place is older, and gives
    /// way. Nothing if there is no room. [`find_free_places`](Self::find_free_places) has to follow.
    pub(crate) fn restore(
        &mut self,
        was: SessionId,
        path: Path,
        cid: Cid,
        session: Established,
    ) -> Option<SessionId> {
        let place = was.place() as usize;
        let keeps_id = was.shard() == self.shard && was.generation() > 0 && place < self.capacity;
        let id = if keeps_id {
            was
        } else {
            SessionId::new(self.shard, 1, u32::try_from(self.slots.len()).ok()?)?
        };
        let place = id.place() as usize;
        if let Some(slot) = self.slots.get(place)
            && let Some(older) = SessionId::new(self.shard, slot.generation, id.place())
        {
            self.remove(older);
        }
        if self.is_full() {
            return None;
        }
        while self.slots.len() <= place {
            self.slots.push(Slot {
                generation: 0,
                session: None,
            });
        }
        let slot = self.slots.get_mut(place)?;
        slot.generation = id.generation();
        slot.session = Some(Box::new(Session {
            path,
            cid,
            stage: Stage::Established(session),
            is_queued: false,
            deadline: None,
            is_counted: true,
            begun: None,
        }));
        self.len += 1;
        self.established += 1;
        if !cid.as_slice().is_empty() {
            self.by_cid.insert(cid, id);
        }
        self.by_path.entry(path).or_default().live = Some(id);
        Some(id)
    }

    /// Counts again which places are free, after sessions were put to places of their choice.
    pub(crate) fn find_free_places(&mut self) {
        let places = (0..).zip(&self.slots);
        let free = places.filter(|(_, slot)| slot.session.is_none());
        self.free = free.map(|(place, _)| place).collect();
    }

    /// The session, which has a connection ID, is at another path from now on. A session that is found by that path keeps
    /// it: nobody pushes another out by moving to its address.
    pub(crate) fn move_to(&mut self, id: SessionId, to: Path) {
        let Some(session) = self.get_mut(id) else { return };
        let from = core::mem::replace(&mut session.path, to);
        self.leave(&from, id);
        self.by_path.entry(to).or_default().live.get_or_insert(id);
        self.note_change(id);
    }

    pub(crate) fn remove(&mut self, id: SessionId) -> Option<Box<Session>> {
        self.set_deadline(id, None);
        self.get(id)?;
        let slot = self.slots.get_mut(id.place() as usize)?;
        let session = slot.session.take()?;
        self.free.push(id.place());
        self.len -= 1;
        self.established -= usize::from(session.is_counted);
        self.forget_begun(session.begun, &session.path);
        self.leave(&session.path, id);
        if let Entry::Occupied(entry) = self.by_cid.entry(session.cid)
            && *entry.get() == id
        {
            entry.remove();
        }
        if let (Some(changes), Stage::Established(established)) = (&mut self.changes, &session.stage) {
            changes.note_end(id, established.read.ahead() > 0);
        }
        Some(session)
    }

    fn forget_begun(&mut self, begun: Option<u64>, path: &Path) {
        if begun.and_then(|begun| self.begun.remove(&begun)).is_none() {
            return;
        }
        if let Entry::Occupied(mut entry) = self.hosts.entry(host_key(path.remote.ip())) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }

    fn leave(&mut self, path: &Path, id: SessionId) {
        if let Entry::Occupied(mut entry) = self.by_path.entry(*path) {
            let at = entry.get_mut();
            at.live = at.live.filter(|live| *live != id);
            at.pending = at.pending.filter(|pending| *pending != id);
            if at.live.is_none() && at.pending.is_none() {
                entry.remove();
            }
        }
    }

    pub(crate) fn set_deadline(&mut self, id: SessionId, deadline: Option<Duration>) {
        let Some(session) = self.get_mut(id) else { return };
        let before = core::mem::replace(&mut session.deadline, deadline);
        if before == deadline {
            return;
        }
        if let Some(before) = before {
            self.deadlines.remove(&(before, id));
        }
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, id));
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// The session whose deadline has come, which has none after that.
    pub(crate) fn pop_due(&mut self, now: Duration) -> Option<SessionId> {
        let &(deadline, id) = self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        self.set_deadline(id, None);
        Some(id)
    }
}

/// A host as far as bounds are concerned: all of an IPv4 address, 64 bits of an IPv6 address.
fn host_key(host: IpAddr) -> [u8; 9] {
    match host.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            [4, a, b, c, d, 0, 0, 0, 0]
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h, ..] = v6.octets();
            [6, a, b, c, d, e, f, g, h]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Side;
    use crate::handshake::State;
    use crate::handshake::course::Course;

    fn handshake() -> Box<Handshake> {
        Box::new(Handshake::new(
            Course::new(Side::Server, 0, 0, false),
            State::Over,
        ))
    }

    fn path(last: u8) -> Path {
        Path::to(([192, 0, 2, last], 1).into())
    }

    #[test]
    fn an_id_is_never_used_again() {
        let mut sessions = Sessions::new(3, 1, 7);
        let first = sessions
            .insert(path(1), Cid::default(), handshake(), true)
            .unwrap();
        assert_eq!(sessions.insert(path(2), Cid::default(), handshake(), true), None);
        assert!(sessions.remove(first).is_some());
        let second = sessions
            .insert(path(2), Cid::default(), handshake(), true)
            .unwrap();
        assert_ne!(first, second);
        assert_eq!((first.place(), first.shard()), (second.place(), second.shard()));
        assert!(sessions.get(first).is_none() && sessions.get(second).is_some());
        assert!(sessions.remove(first).is_none());
    }

    #[test]
    fn nothing_is_left_of_what_is_removed() {
        let mut sessions = Sessions::new(0, 10, 7);
        let cid = Cid::new(b"cid").unwrap();
        let id = sessions.insert(path(1), cid, handshake(), true).unwrap();
        sessions.set_deadline(id, Some(Duration::from_secs(1)));
        assert_eq!(sessions.at(&path(1)).pending, Some(id));
        assert_eq!(sessions.with_cid(b"cid"), Some(id));
        assert_eq!(sessions.handshakes_of(path(1).remote.ip()), 1);
        sessions.remove(id);
        assert!(sessions.by_path.is_empty() && sessions.by_cid.is_empty() && sessions.deadlines.is_empty());
        assert!(sessions.begun.is_empty() && sessions.hosts.is_empty() && sessions.len() == 0);
    }

    #[test]
    fn deadlines_come_in_their_order() {
        let mut sessions = Sessions::new(0, 10, 7);
        let [a, b] = [1, 2].map(|last| {
            sessions
                .insert(path(last), Cid::default(), handshake(), false)
                .unwrap()
        });
        sessions.set_deadline(a, Some(Duration::from_secs(2)));
        sessions.set_deadline(b, Some(Duration::from_secs(1)));
        assert_eq!(sessions.next_deadline(), Some(Duration::from_secs(1)));
        assert_eq!(sessions.pop_due(Duration::from_millis(999)), None);
        assert_eq!(sessions.pop_due(Duration::from_secs(2)), Some(b));
        assert_eq!(sessions.pop_due(Duration::from_secs(2)), Some(a));
        assert_eq!(sessions.pop_due(Duration::from_secs(9)), None);
    }

    #[test]
    fn a_handshake_takes_the_place_of_the_session_at_its_path() {
        let mut sessions = Sessions::new(0, 10, 7);
        let first = sessions
            .insert(path(1), Cid::default(), handshake(), true)
            .unwrap();
        assert_eq!(sessions.settle(first), None);
        let second = sessions
            .insert(path(1), Cid::default(), handshake(), true)
            .unwrap();
        assert_eq!(
            sessions.at(&path(1)).live,
            Some(first),
            "the old one is left alone"
        );
        assert_eq!(sessions.settle(second), Some(first));
        sessions.remove(first);
        assert_eq!(sessions.at(&path(1)).live, Some(second));
        sessions.move_to(second, path(2));
        assert_eq!(sessions.at(&path(2)).live, Some(second));
        assert!(sessions.at(&path(1)).live.is_none());
    }
}
