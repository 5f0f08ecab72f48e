//! The public value, and a datagram's way through it.
//!
//! ```text
//!  handle_datagram
//!    record      head of the record, or nothing of ours
//!    epoch 0     handshake_record, plain_alert: what is not protected concerns handshakes only
//!    epoch 1     which session: by connection ID, or by path (the session there, or the handshake)
//!                open, in place: authentic and not a replay, or dropped
//!                content type: data | handshake | alert
//! ```
//!
//! `making.rs` has the handshakes from ClientHello to session, `leaving.rs` what goes out, `saving.rs` what outlives the
//! process.

mod leaving;
mod making;
mod rate;
#[cfg(test)]
mod reactions;
mod saving;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use crate::config::{Config, Resumption, ServerConfig};
use crate::cookie::Cookies;
use crate::event::{Event, Received};
use crate::failure::Failure;
use crate::handshake::Memory;
use crate::identity::Identity;
use crate::limits;
use crate::messages::alert::{Alert, AlertDescription};
use crate::messages::codec::Reader;
use crate::messages::header::{FragmentHeader, MessageType};
use crate::path::{Path, SessionId};
use crate::record::{ContentType, Discard, Opened, RecordHeader};
use crate::resumption::{Cache, Kept};
use crate::sessions::{Sessions, Stage, Unproved};
use crate::state::reserve::Reserve;
use crate::stats::Stats;

pub use leaving::ProtectError;
pub use making::ConnectError;
use rate::Rate;
pub use saving::{Loaded, Saving, SavingScope, Unsaved};

/// All DTLS sessions of a socket, clients' and servers'.
///
/// Hand in what comes: [`handle_datagram`](Self::handle_datagram), [`handle_timeout`](Self::handle_timeout) when
/// [`poll_deadline`](Self::poll_deadline) has come, and what the owner wants: [`connect`](Self::connect),
/// [`protect`](Self::protect), [`close`](Self::close). After any of these take what there is of
/// [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event) until both have nothing.
///
/// Time is a duration since an origin of the caller's choice, the same for all calls, and never goes back.
pub struct Dtls {
    config: Arc<Config>,
    rng: ChaCha20Rng,
    cookies: Cookies,
    sessions: Sessions,
    rate: Rate,
    memory: Memory,
    /// What clients of ours keep to take sessions up again, by the server's address and name.
    kept: Cache<(SocketAddr, Option<String>), Kept>,
    /// Sessions that have something to send.
    ready: VecDeque<SessionId>,
    /// Datagrams that belong to no session.
    loose: VecDeque<(Path, Vec<u8>)>,
    events: VecDeque<Event>,
    stats: Stats,
}

/// What clients of ours keep.
fn kept(resumption: Resumption, seed: u64) -> Cache<(SocketAddr, Option<String>), Kept> {
    let lifetime = resumption.lifetime.min(limits::LONGEST_RESUMPTION);
    Cache::new(resumption.sessions, lifetime, seed)
}

impl Dtls {
    /// Without sessions. The seed is the source of all randoms and keys: never use one twice, and draw it from the system.
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32]) -> Dtls {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let places = config.max_sessions.saturating_add(config.max_handshakes);
        Dtls {
            memory: Memory::new(Duration::ZERO, config.resumption, &mut rng),
            kept: kept(config.resumption, rng.next_u64()),
            cookies: Cookies::new(&mut rng),
            sessions: Sessions::new(config.shard, places, rng.next_u64()),
            rate: Rate::new(config.handshakes_per_second),
            config: Arc::new(config),
            rng,
            ready: VecDeque::new(),
            loose: VecDeque::new(),
            events: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// Forgets what could be taken up again: all tickets that were given, all sessions that a server or a client remembers.
    /// Who changes keys, or whom it believes, wants this, because a session is taken up without looking at either. Sessions
    /// that are established stay.
    pub fn forget_resumable(&mut self, now: Duration) {
        self.memory = Memory::new(now, self.config.resumption, &mut self.rng);
        self.kept = kept(self.config.resumption, self.rng.next_u64());
    }

    /// Lets a server do something else from the next handshake on: other keys, other clients. Sessions stay.
    pub fn set_server(&mut self, server: Option<ServerConfig>) {
        Arc::make_mut(&mut self.config).server = server;
    }

    /// Takes the first record of a datagram, and tells how many bytes it has: call again with the rest as long as there is
    /// one. What it opens it opens in place.
    pub fn handle_datagram(&mut self, now: Duration, path: Path, datagram: &mut [u8]) -> (usize, Received) {
        if self.events.len() >= limits::EVENTS {
            self.stats.discards.events_waiting += 1;
            return (datagram.len(), Received::Nothing);
        }
        let header = RecordHeader::parse(datagram, self.config.cid_len());
        // Any minor version will do before one is negotiated (RFC 6347 §4.2.1).
        let Some(header) = header.filter(|header| header.version >> 8 == 0xFE) else {
            self.stats.discards.no_record += 1;
            return (datagram.len(), Received::Nothing);
        };
        let len = header.record_len();
        let record = datagram.get_mut(..len).unwrap_or_default();
        let received = if header.epoch == 0 {
            self.plain_record(now, path, &header, record);
            Received::Nothing
        } else {
            self.sealed_record(now, path, &header, record)
        };
        (len, received)
    }

    fn plain_record(&mut self, now: Duration, path: Path, header: &RecordHeader, record: &[u8]) {
        let payload = record.get(header.payload()).unwrap_or_default();
        match header.content_type {
            ContentType::HANDSHAKE => self.handshake_record(now, path, header, payload),
            ContentType::ALERT => self.plain_alert(path, payload),
            // The epoch of a record says all that ChangeCipherSpec could, and cannot be taken out of its order.
            ContentType::CHANGE_CIPHER_SPEC => {}
            _ => self.stats.discards.misplaced += 1,
        }
    }

    /// A ClientHello may begin a handshake; all else has to belong to one.
    fn handshake_record(&mut self, now: Duration, path: Path, header: &RecordHeader, payload: &[u8]) {
        let pending = self.sessions.at(&path).pending;
        match FragmentHeader::read(&mut Reader::new(payload)) {
            Some((message, fragment)) if message.kind == MessageType::CLIENT_HELLO => {
                self.client_hello(now, path, header, &message, fragment, payload);
            }
            Some(_) if pending.is_some() => {
                if let Some(id) = pending {
                    self.feed(now, id, payload, false);
                }
            }
            _ => self.stats.discards.fragment += 1,
        }
    }

    /// Anybody could have sent it: it ends a handshake, as it would have to, and never a session (RFC 6347 §4.1.2.7).
    fn plain_alert(&mut self, path: Path, payload: &[u8]) {
        let pending = self.sessions.at(&path).pending;
        let (Some(id), Ok(alert)) = (pending, Alert::read(payload)) else {
            self.stats.discards.misplaced += 1;
            return;
        };
        if alert.is_fatal || alert.description == AlertDescription::CLOSE_NOTIFY {
            self.alerted(id, alert.description);
        }
    }

    fn sealed_record(
        &mut self,
        now: Duration,
        path: Path,
        header: &RecordHeader,
        record: &mut [u8],
    ) -> Received {
        let at = if header.content_type == ContentType::TLS12_CID {
            let cid = record.get(header.cid()).unwrap_or_default();
            self.sessions.with_cid(cid).map(|id| self.sessions.by_stage(id))
        } else {
            Some(self.sessions.at(&path))
        };
        let found = at.unwrap_or_default();
        match (found.live, found.pending) {
            (Some(live), None) => match self.open_live(now, path, live, header, record) {
                Ok(received) => received,
                Err(discard) => self.discard(discard),
            },
            (Some(live), Some(pending)) => {
                // What does not open is destroyed, and the handshake wants to see it too.
                let copy = record.to_vec();
                self.open_live(now, path, live, header, record)
                    .unwrap_or_else(|_| {
                        record.copy_from_slice(&copy);
                        self.open_pending(now, pending, header, record, true)
                    })
            }
            (None, Some(pending)) => self.open_pending(now, pending, header, record, false),
            (None, None) if header.content_type == ContentType::TLS12_CID => {
                self.stats.discards.unknown_connection_id += 1;
                Received::Nothing
            }
            (None, None) => {
                self.stats.discards.unknown_session += 1;
                Received::Nothing
            }
        }
    }

    fn discard(&mut self, discard: Discard) -> Received {
        let discards = &mut self.stats.discards;
        let counter = match discard {
            Discard::Epoch => &mut discards.other_epoch,
            Discard::Version => &mut discards.no_record,
            Discard::ConnectionId => &mut discards.connection_id_missing,
            Discard::Replayed | Discard::TooOld => &mut discards.replayed,
            Discard::BeyondReserve => &mut discards.not_saved,
            Discard::Authentication => &mut discards.not_authentic,
            Discard::Malformed => &mut discards.misplaced,
        };
        *counter += 1;
        Received::Nothing
    }

    /// Opens a record of an established session.
    fn open_live(
        &mut self,
        now: Duration,
        path: Path,
        id: SessionId,
        header: &RecordHeader,
        record: &mut [u8],
    ) -> Result<Received, Discard> {
        let Some(session) = self.sessions.get_mut(id) else {
            return Err(Discard::Epoch);
        };
        let Stage::Established(established) = &mut session.stage else {
            return Err(Discard::Epoch);
        };
        let opened = established.read.open(header, record);
        if opened.is_ok() {
            established.last_heard = making::seconds(now);
        }
        if Reserve::is_low(&established.write, &established.read) {
            self.sessions.note_low(id);
        }
        let opened = opened?;
        if self.sessions.get(id).is_some_and(|session| session.path != path) {
            let has_cid = header.content_type == ContentType::TLS12_CID;
            if has_cid && opened.newest {
                self.moved(id, path);
            }
        }
        self.count_received(id, path, record.len());
        Ok(self.dispatch(now, id, &opened, record))
    }

    /// What an authentic record of an established session holds.
    fn dispatch(&mut self, now: Duration, id: SessionId, opened: &Opened, record: &[u8]) -> Received {
        let plaintext = record.get(opened.plaintext.clone()).unwrap_or_default();
        match opened.content_type {
            ContentType::APPLICATION_DATA => {
                self.stats.records_opened += 1;
                self.forget_last_flight(id);
                return Received::Data {
                    session: id,
                    range: opened.plaintext.clone(),
                };
            }
            ContentType::HANDSHAKE => self.handshake_after_the_end(now, id, plaintext),
            ContentType::ALERT => self.sealed_alert(id, plaintext),
            ContentType::CHANGE_CIPHER_SPEC => {}
            _ => self.stats.discards.misplaced += 1,
        }
        Received::Nothing
    }

    /// Opens a record that only a handshake can be meant by: a Finished, mostly. `may_be_old`: it could also be a late copy
    /// from the session before.
    fn open_pending(
        &mut self,
        now: Duration,
        id: SessionId,
        header: &RecordHeader,
        record: &mut [u8],
        may_be_old: bool,
    ) -> Received {
        let Some(handshake) = self.sessions.handshake_mut(id) else {
            return Received::Nothing;
        };
        let Some(keys) = &mut handshake.course.keys else {
            if !handshake.course.keep_early(record) {
                self.stats.discards.early += 1;
            }
            return Received::Nothing;
        };
        match keys.read.open(header, record) {
            Ok(opened) => self.handshake_content(now, id, &opened, record),
            Err(Discard::Authentication) if making::is_like_finished(header, keys) => {
                self.stats.discards.not_authentic += 1;
                if let Some(failure) = handshake.finished_does_not_open(may_be_old) {
                    self.fail(id, failure);
                }
            }
            Err(discard) => return self.discard(discard),
        }
        Received::Nothing
    }

    fn handshake_content(&mut self, now: Duration, id: SessionId, opened: &Opened, record: &[u8]) {
        let plaintext = record.get(opened.plaintext.clone()).unwrap_or_default();
        match opened.content_type {
            ContentType::HANDSHAKE => self.feed(now, id, plaintext, true),
            ContentType::ALERT => {
                if let Ok(Alert { description, .. }) = Alert::read(plaintext) {
                    self.alerted(id, description);
                }
            }
            // Application data waits for the end of the handshake: it is not kept (RFC 5246 §7.4.9).
            _ => self.stats.discards.misplaced += 1,
        }
    }

    /// An authentic alert: a warning changes nothing but for close_notify (RFC 5246 §7.2).
    fn sealed_alert(&mut self, id: SessionId, plaintext: &[u8]) {
        match Alert::read(plaintext) {
            Ok(alert) if alert.description == AlertDescription::CLOSE_NOTIFY => {
                self.send_alert(id, Alert::warning(AlertDescription::CLOSE_NOTIFY));
                self.sessions.remove(id);
                self.events.push_back(Event::Closed { session: id });
            }
            Ok(alert) if alert.is_fatal => {
                self.fail_without_alert(id, Failure::theirs(alert.description, false));
            }
            Ok(_) => {}
            Err(_) => self.stats.discards.misplaced += 1,
        }
    }

    /// An authentic and newest record came from elsewhere (RFC 9146 §6).
    fn moved(&mut self, id: SessionId, to: Path) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let from = session.path;
        let Stage::Established(established) = &mut session.stage else {
            return;
        };
        let proved = established
            .unproved
            .take()
            .map_or(from, |unproved| unproved.proved);
        if proved != to {
            established.unproved = Some(alloc::boxed::Box::new(Unproved {
                proved,
                received: 0,
                sent: 0,
            }));
        }
        self.sessions.move_to(id, to);
        self.stats.moved += 1;
        self.events.push_back(Event::Moved {
            session: id,
            from,
            to,
        });
    }

    /// What came from a path that is not proved allows to send there.
    fn count_received(&mut self, id: SessionId, path: Path, len: usize) {
        if let Some(session) = self.sessions.get_mut(id)
            && session.path == path
            && let Stage::Established(established) = &mut session.stage
            && let Some(unproved) = &mut established.unproved
        {
            unproved.received = unproved.received.saturating_add(len as u64);
        }
    }

    /// The owner knows that the peer receives what is sent to its path: it answered something that nobody else could know,
    /// an Echo value or a message that was sent there (RFC 9146 §6). From then on there is no limit on what is sent.
    pub fn path_is_proved(&mut self, session: SessionId) {
        if let Some(found) = self.sessions.get_mut(session)
            && let Stage::Established(established) = &mut found.stage
        {
            established.unproved = None;
        }
    }

    /// Who the peer is; nothing before the session is established.
    #[must_use]
    pub fn peer(&self, session: SessionId) -> Option<&Arc<Identity>> {
        self.sessions
            .established(session)
            .map(|established| &established.identity)
    }

    /// Where the peer was last heard from.
    #[must_use]
    pub fn path(&self, session: SessionId) -> Option<Path> {
        self.sessions.get(session).map(|session| session.path)
    }

    /// How many sessions there are, handshakes under way among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is no session at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.len() == 0
    }

    /// What happened since the start.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// What has happened, in its order.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called, if nothing happens before.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Duration> {
        self.sessions.next_deadline()
    }

    /// Time has passed: flights go again, what took too long is over.
    pub fn handle_timeout(&mut self, now: Duration) {
        while self.events.len() < limits::EVENTS
            && let Some(id) = self.sessions.pop_due(now)
        {
            let Some(session) = self.sessions.get_mut(id) else {
                continue;
            };
            match &mut session.stage {
                Stage::Handshake(handshake) => match handshake.handle_timeout(now) {
                    Ok(()) => {
                        self.stats.flights_by_timer += 1;
                        self.sync(id);
                    }
                    Err(failure) => self.fail(id, failure),
                },
                Stage::Established(established) => established.last_flight = None,
            }
        }
    }
}
