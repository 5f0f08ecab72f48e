//! One of the two machines, with its disk, and what is known of its sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::parts;
use coracle_dtls::{Config, Dtls, Event, LookupId, ProtectError, Saving, SavingScope, SessionId, limits};

pub const MAX_SESSIONS: usize = 3;
pub const MAX_HANDSHAKES: usize = 8;

const SEAL: [u8; 32] = [9; 32];

/// What the next process finds.
#[derive(Default)]
struct Disk {
    state: Vec<u8>,
    /// How often it was loaded.
    loaded: u32,
}

struct UnderWay {
    saving: Saving,
    written: Vec<u8>,
    takes_the_place: bool,
}

pub struct Side {
    pub dtls: Dtls,
    pub address: SocketAddr,
    settings: Config,
    /// Each process has one of its own.
    seed: [u8; 32],
    /// The sessions that are established.
    sessions: BTreeSet<SessionId>,
    /// The least sequence number that was not used, also of sessions that are over: an old state may bring them back.
    unused: BTreeMap<SessionId, u64>,
    /// How many handshakes had begun when there was but one session, and the least sequence number that it did not use
    /// since: what is sealed while nothing changes there has one key.
    only: Option<(u64, u64)>,
    lookups: Vec<LookupId>,
    disk: Disk,
    saving: Option<UnderWay>,
    /// A saving of this process is on the disk, so that changes may be appended.
    has_saved: bool,
}

/// The sequence number of the first sealed record of a datagram.
fn sealed_number(datagram: &[u8]) -> Option<u64> {
    let mut rest = datagram;
    while rest.get(3..5)? == [0, 0] {
        let len = usize::from(rest[11]) << 8 | usize::from(rest[12]);
        rest = rest.get(13 + len..)?;
    }
    let number = rest[5..11].iter();
    Some(number.fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

impl Side {
    pub fn new(settings: Config, address: SocketAddr, seed: [u8; 32]) -> Side {
        Side {
            dtls: Dtls::new(settings.clone(), seed),
            address,
            settings,
            seed,
            sessions: BTreeSet::new(),
            unused: BTreeMap::new(),
            only: None,
            lookups: Vec::new(),
            disk: Disk::default(),
            saving: None,
            has_saved: false,
        }
    }

    pub fn is_within_bounds(&self) {
        assert!(self.dtls.len() <= MAX_SESSIONS + MAX_HANDSHAKES);
        for session in &self.sessions {
            assert!(
                self.dtls.peer(*session).is_some(),
                "no event told that it is gone"
            );
        }
        let stats = self.dtls.stats();
        assert!(stats.handshakes_done + stats.handshakes_failed <= stats.handshakes_begun);
        assert_eq!(stats.discards.queue_full + stats.discards.events_waiting, 0);
    }

    /// Nothing waits for time any more: there are only sessions.
    pub fn only_sessions_remain(&mut self) {
        assert_eq!(
            self.dtls.len(),
            self.sessions.len(),
            "something remains of a handshake"
        );
        let sessions: Vec<_> = self.sessions.iter().copied().collect();
        for session in sessions {
            self.dtls.close(Duration::MAX, session);
        }
        assert!(self.dtls.is_empty());
    }

    pub fn note_events(&mut self) {
        while let Some(event) = self.dtls.poll_event() {
            match event {
                Event::Connected { session, .. } => {
                    // The Finished had number 0.
                    self.unused.insert(session, 1);
                    assert!(self.sessions.insert(session));
                }
                Event::PskWanted { lookup, identity, .. } => {
                    assert!(identity.len() <= limits::PSK_IDENTITY_BYTES);
                    self.lookups.push(lookup);
                }
                Event::Failed { session, .. } => {
                    self.sessions.remove(&session);
                    assert!(self.dtls.path(session).is_none());
                }
                Event::Closed { session } => {
                    assert!(self.sessions.remove(&session), "it was not established");
                }
                Event::Replaced { session, by } => {
                    assert!(self.sessions.remove(&session) && session != by);
                }
                Event::Moved { from, to, .. } => assert_ne!(from, to),
                other => panic!("an event that no test knows: {other:?}"),
            }
        }
    }

    /// Whether there is, and was at the last call, but one session: then what is sealed has one key.
    pub fn watches_one(&mut self) -> bool {
        let (begun, count) = (self.dtls.stats().handshakes_begun, self.dtls.len());
        let is_same = count <= 1 && self.only.is_some_and(|(before, _)| before == begun);
        if !is_same {
            self.only = (count == 1).then_some((begun, 0));
        }
        is_same
    }

    /// What is sealed with one key has ever newer numbers.
    pub fn note_sealed(&mut self, datagram: &[u8]) {
        if let (Some(number), Some((_, least))) = (sealed_number(datagram), &mut self.only) {
            assert!(*least <= number, "a sequence number is used twice");
            *least = number + 1;
            if let (1, Some(session)) = (self.sessions.len(), self.sessions.first()) {
                self.unused.insert(*session, number + 1);
            }
        }
    }

    fn choose(&self, choice: u8) -> Option<SessionId> {
        let place = usize::from(choice) % self.sessions.len().max(1);
        self.sessions.iter().nth(place).copied()
    }

    /// A message as a record.
    pub fn protect(&mut self, now: Duration, message: &[u8], choice: u8) -> Option<Vec<u8>> {
        let session = self.choose(choice)?;
        let mut buf = [0; 300];
        let room = if choice & 0x80 == 0 { 300 } else { 50 };
        match self.dtls.protect(now, session, message, &mut buf[..room]) {
            Ok(sealed) => {
                let record = &buf[..sealed.len];
                assert_eq!(record[3..5], [0, 1]);
                let number = record[5..11]
                    .iter()
                    .fold(0, |number, byte| number << 8 | u64::from(*byte));
                let least = self.unused.entry(session).or_default();
                assert!(*least <= number, "a sequence number is used twice");
                *least = number + 1;
                let record = record.to_vec();
                self.note_sealed(&record);
                Some(record)
            }
            Err(ProtectError::NoRoom { .. } | ProtectError::PathNotProved { .. }) => None,
            Err(other) => panic!("{other}"),
        }
    }

    pub fn answer_lookups(&mut self, now: Duration, key: Option<&[u8]>, forget: bool) {
        // An answer may come twice.
        for lookup in &self.lookups {
            self.dtls.provide_psk(now, *lookup, key);
        }
        if forget {
            self.lookups.clear();
        }
    }

    pub fn close_one(&mut self, now: Duration, choice: u8) {
        if let Some(session) = self.choose(choice) {
            self.dtls.close(now, session);
            self.sessions.remove(&session);
            assert!(self.dtls.path(session).is_none());
        }
    }

    pub fn prove_path(&mut self, choice: u8) {
        if let Some(session) = self.choose(choice) {
            self.dtls.path_is_proved(session);
        }
    }

    /// One that was under way is given up.
    pub fn begin_saving(&mut self, scope: SavingScope) {
        let mut written = Vec::new();
        let saving = self.dtls.begin_saving(&SEAL, scope, &mut written);
        self.saving = Some(UnderWay {
            saving,
            written,
            takes_the_place: scope == SavingScope::All || !self.has_saved,
        });
    }

    /// The saving under way comes to the disk; the machine may not get to know.
    pub fn finish_saving(&mut self, is_told: bool) {
        let Some(mut under_way) = self.saving.take() else {
            return;
        };
        while self
            .dtls
            .go_on_saving(&mut under_way.saving, &mut under_way.written)
        {}
        if under_way.takes_the_place {
            self.disk = Disk::default();
        }
        self.disk.state.extend(under_way.written);
        if is_told {
            self.dtls.saved(under_way.saving);
            self.has_saved = true;
        } else {
            self.crash(self.settings.clone(), 1);
        }
    }

    /// The process ends, and the next one loads what there is; the end of it may be lost.
    pub fn crash(&mut self, settings: Config, choice: usize) {
        if choice == 0 {
            let len = self.disk.state.len();
            self.disk.state.truncate(len - len.min(7));
        }
        self.start(settings);
    }

    /// The process writes all down and ends.
    pub fn end_as_planned(&mut self) {
        let ended = std::mem::replace(&mut self.dtls, Dtls::new(Config::default(), [0; 32]));
        self.disk = Disk::default();
        ended.save_and_end(&SEAL, &mut self.disk.state);
        let before = self.sessions.clone();
        self.start(self.settings.clone());
        assert_eq!(self.sessions, before);
    }

    fn start(&mut self, settings: Config) {
        self.seed = parts::seed(&self.seed, self.seed[31]);
        self.dtls = Dtls::new(settings.clone(), self.seed);
        self.settings = settings;
        self.saving = None;
        self.has_saved = false;
        self.only = None;
        self.lookups.clear();
        let mut state = self.disk.state.clone();
        let loaded = self.dtls.load(&SEAL, self.disk.loaded, &mut state, |_, _| true);
        self.disk.loaded += 1;
        self.sessions = loaded.sessions.into_values().collect();
    }
}
