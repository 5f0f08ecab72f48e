//! Sessions that outlive the process: [`crate::state`] has the form, this is when it is written and read.

use alloc::collections::BTreeMap;
use alloc::vec::{IntoIter, Vec};

use super::Dtls;
use crate::path::{Path, SessionId};
use crate::resumption::TicketKeys;
use crate::sessions::{Cid, Established, Stage};
use crate::state::ImportError;
use crate::state::changes::Batch;
use crate::state::reserve::Reserve;
use crate::state::segment::{ItemKind, SegmentReader, SegmentWriter};
use crate::state::session::{SavedSession, SessionToSave, read_id, write_id};

/// Which sessions are saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SavingScope {
    /// All: what is written stands for itself, and takes the place of all before.
    All,
    /// Those that have changed since the last saving: what is written is appended to that.
    Changed,
}

/// A saving that is under way.
#[must_use]
pub struct Saving {
    number: u64,
    writer: Option<SegmentWriter>,
    sessions: IntoIter<SessionId>,
    reserves: Vec<(SessionId, Reserve)>,
}

/// What is not saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsaved {
    /// Sessions that are new, are elsewhere, are over, or have used up half of what they may use before they are saved.
    pub sessions: usize,
    /// Whether one has used up half: it should be saved at once, before it has to stop.
    pub is_urgent: bool,
}

/// What was loaded.
#[derive(Debug)]
pub struct Loaded {
    /// The ID that each session had, and the one that it has now: the same, if the shard is the same.
    pub sessions: BTreeMap<SessionId, SessionId>,
    /// Sessions that were wanted and could not be taken: there is no room, or the connection IDs have another length now.
    pub left_out: usize,
    /// Whether all could be read.
    pub end: Result<(), ImportError>,
}

impl Dtls {
    /// Begins to write sessions down, sealed under `key`, to the end of `out`. Go on with
    /// [`go_on_saving`](Self::go_on_saving), bring what is in `out` to the disk in its order, and then say so by
    /// [`saved`](Self::saved).
    ///
    /// From the first saving on each session that was saved may use some 500,000 sequence numbers and take a few records
    /// more than before, and no others, until it is saved again: see [`unsaved`](Self::unsaved). So no nonce is used twice
    /// and no record taken twice, whenever the process ends. A saving that fails is just given up: the next one makes up
    /// for it. Until one has succeeded, and after [`load`](Self::load) until one has, all are saved, whatever `scope` says;
    /// after `load` that must not be appended to what was loaded.
    pub fn begin_saving(&mut self, key: &[u8; 32], scope: SavingScope, out: &mut Vec<u8>) -> Saving {
        self.write_down(key, scope, false, out)
    }

    fn write_down(
        &mut self,
        key: &[u8; 32],
        scope: SavingScope,
        is_final: bool,
        out: &mut Vec<u8>,
    ) -> Saving {
        let changes = self.sessions.changes.get_or_insert_default();
        let is_first = !changes.has_saved();
        let (number, Batch { changed, ended }) = changes.begin();
        let mut writer = SegmentWriter::new(key, is_final, &mut self.rng, out);
        writer.item(ItemKind::TICKET_KEYS, |w| self.memory.tickets.write(w), out);
        let sessions = if scope == SavingScope::All || is_first {
            self.sessions.all_established().collect()
        } else {
            for id in ended {
                writer.item(ItemKind::ENDED, |w| write_id(id, w), out);
            }
            changed
        };
        Saving {
            number,
            writer: Some(writer),
            reserves: Vec::with_capacity(sessions.len()),
            sessions: sessions.into_iter(),
        }
    }

    /// Writes some more sessions to the end of `out`, some 64 KiB, and tells whether there are more. In between the
    /// sessions can be used as ever.
    pub fn go_on_saving(&mut self, saving: &mut Saving, out: &mut Vec<u8>) -> bool {
        let Some(writer) = &mut saving.writer else {
            return false;
        };
        let before = out.len();
        for id in saving.sessions.by_ref() {
            if let Some(reserve) = self.save_session(id, writer, out) {
                saving.reserves.push((id, reserve));
            }
            if out.len() > before {
                return true;
            }
        }
        if let Some(writer) = saving.writer.take() {
            writer.finish(out);
        }
        false
    }

    fn save_session(
        &mut self,
        id: SessionId,
        writer: &mut SegmentWriter,
        out: &mut Vec<u8>,
    ) -> Option<Reserve> {
        let session = self.sessions.get_mut(id)?;
        let Stage::Established(established) = &mut session.stage else {
            return None;
        };
        let reserve = Reserve::begin(&mut established.write, &mut established.read);
        let unproved = established.unproved.as_ref();
        let item = SessionToSave {
            id,
            // A path that is not proved now would count as proved when it is read.
            path: unproved.map_or(session.path, |unproved| unproved.proved),
            cid: session.cid.as_slice(),
            write: &established.write,
            read: &established.read,
            identity: &established.identity,
            peer_limit: established.peer_limit,
            client_random: established.client_random,
        };
        writer.item(ItemKind::SESSION, |w| item.write(reserve, w), out);
        Some(reserve)
    }

    /// What was written is on the disk, in place of all before or behind it. Nothing happens if the saving did not come to
    /// its end, or if another one has begun since.
    pub fn saved(&mut self, saving: Saving) {
        let changes = self.sessions.changes.as_mut();
        let is_whole = saving.writer.is_none();
        if !is_whole || !changes.is_some_and(|changes| changes.commit(saving.number)) {
            return;
        }
        for (id, reserve) in saving.reserves {
            if let Some(session) = self.sessions.get_mut(id)
                && let Stage::Established(established) = &mut session.stage
            {
                reserve.commit(&mut established.write, &mut established.read);
            }
        }
    }

    /// Writes all sessions to the end of `out`, for a restart that was planned: nothing is left out by it, because nothing
    /// is used after it. Send what there is to send before.
    pub fn save_and_end(mut self, key: &[u8; 32], out: &mut Vec<u8>) {
        let mut saving = self.write_down(key, SavingScope::All, true, out);
        while self.go_on_saving(&mut saving, out) {}
    }

    /// What is not saved. Always nothing before the first saving.
    #[must_use]
    pub fn unsaved(&self) -> Unsaved {
        let changes = self.sessions.changes.as_deref();
        changes.map_or_else(Unsaved::default, |changes| Unsaved {
            sessions: changes.len(),
            is_urgent: changes.is_urgent(),
        })
    }

    /// Takes sessions that were saved, of those for which `wanted` says so by path and connection ID of ours. `state` is all
    /// that was written since a saving of all, and is destroyed.
    ///
    /// `earlier` says how often the same was loaded before: each of those processes may have used what was in it. Whoever
    /// loads writes down *before* that it is done once more, and forgets that when a saving of all is on the disk. To load
    /// an older copy lets nonces be used again, which betrays what was sent.
    ///
    /// Tickets stay good as well if time has the same origin in all processes, 1970 for example.
    pub fn load(
        &mut self,
        key: &[u8; 32],
        earlier: u32,
        state: &mut [u8],
        mut wanted: impl FnMut(&Path, &[u8]) -> bool,
    ) -> Loaded {
        let mut loaded = Loaded {
            sessions: BTreeMap::new(),
            left_out: 0,
            end: Ok(()),
        };
        self.sessions.changes = None;
        let mut rest = state;
        while !rest.is_empty() && loaded.end.is_ok() {
            let segment = SegmentReader::new(key, core::mem::take(&mut rest));
            let read = segment.and_then(|mut segment| {
                self.load_segment(&mut segment, earlier, &mut wanted, &mut loaded)?;
                Ok(segment.rest())
            });
            match read {
                Ok(behind) => rest = behind,
                Err(error) => loaded.end = Err(error),
            }
        }
        self.sessions.find_free_places();
        loaded
    }

    fn load_segment(
        &mut self,
        segment: &mut SegmentReader<'_>,
        earlier: u32,
        wanted: &mut impl FnMut(&Path, &[u8]) -> bool,
        loaded: &mut Loaded,
    ) -> Result<(), ImportError> {
        let reserves = u64::from(earlier) + u64::from(!segment.is_final());
        while let Some(items) = segment.piece()? {
            for (kind, mut item) in items {
                match kind {
                    ItemKind::SESSION => {
                        let saved = SavedSession::read(item, reserves).ok_or(ImportError::Form)?;
                        self.unload(saved.id, loaded);
                        if wanted(&saved.path, &saved.cid) {
                            self.load_session(saved, loaded);
                        }
                    }
                    ItemKind::ENDED => {
                        let id = read_id(&mut item).ok_or(ImportError::Form)?;
                        self.unload(id, loaded);
                    }
                    ItemKind::TICKET_KEYS => {
                        let lifetime = self.memory.tickets.lifetime();
                        let tickets = TicketKeys::read(lifetime, &mut item);
                        self.memory.tickets = tickets.ok_or(ImportError::Form)?;
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Something newer is known about a session.
    fn unload(&mut self, was: SessionId, loaded: &mut Loaded) {
        if let Some(id) = loaded.sessions.remove(&was) {
            self.sessions.remove(id);
        }
    }

    fn load_session(&mut self, saved: SavedSession, loaded: &mut Loaded) {
        let fits = saved.cid.is_empty() || saved.cid.len() == usize::from(self.config.cid_len());
        let cid = Cid::new(&saved.cid).filter(|_| fits);
        let established = Established {
            read: saved.read,
            write: saved.write,
            identity: saved.identity,
            peer_limit: saved.peer_limit,
            client_random: saved.client_random,
            last_heard: 0,
            last_flight: None,
            unproved: None,
        };
        let id = cid.and_then(|cid| self.sessions.restore(saved.id, saved.path, cid, established));
        match id {
            Some(id) => {
                loaded.sessions.insert(saved.id, id);
            }
            None => loaded.left_out += 1,
        }
    }
}
