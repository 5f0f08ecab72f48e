//! Handshakes from the first datagram to the session.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use rand_core::RngCore;

use super::Dtls;
use crate::config::ClientAuthentication;
use crate::credentials::{ClientCredentials, Connect};
use crate::crypto::Side;
use crate::event::{Event, LookupId};
use crate::failure::{Failure, Reason};
use crate::handshake::course::{Course, EpochKeys};
use crate::handshake::{Context, Handshake, Outcome, Progress, State, Surroundings, Wanted, client, server};
use crate::identity::Identity;
use crate::limits;
use crate::messages::alert::{Alert, AlertDescription};
use crate::messages::client_hello::ClientHelloStart;
use crate::messages::codec::Reader;
use crate::messages::header::{FragmentHeader, HEADER_LEN, MessageType, write_message};
use crate::messages::hello_verify::HelloVerifyRequest;
use crate::path::{Path, SessionId};
use crate::record::{ContentType, RecordHeader, WriteState};
use crate::resumption::Kept;
use crate::sessions::{Cid, Established, LastFlight, Stage};

/// Why a handshake cannot begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// A handshake with this path is under way, begun by us or by the peer.
    InProgress,
    /// The table of sessions is full.
    TooManySessions,
    /// `Config::suites` has none for these credentials.
    NoSuite,
    /// There is no authority and no key that is trusted.
    NobodyTrusted,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConnectError::InProgress => "a handshake with this peer is under way",
            ConnectError::TooManySessions => "the table of sessions is full",
            ConnectError::NobodyTrusted => "no authority and no key is trusted, so no server can be believed",
            ConnectError::NoSuite => "no cipher suite of the configuration is for these credentials",
        })
    }
}

impl core::error::Error for ConnectError {}

/// Whether a record could be the peer's Finished, by what can be seen of it from outside.
pub(super) fn is_like_finished(header: &RecordHeader, keys: &EpochKeys) -> bool {
    let with_cid = header.content_type == ContentType::TLS12_CID;
    let explicit_nonce = 8;
    let len = explicit_nonce + HEADER_LEN + 12 + usize::from(with_cid) + keys.read.keys().kind().tag_len();
    (with_cid || header.content_type == ContentType::HANDSHAKE) && header.payload().len() == len
}

/// Whether a session was made with these credentials.
fn is_for(kept: &Kept, connect: &Connect) -> bool {
    let is_same = match &connect.credentials {
        ClientCredentials::Psk { identity, .. } => {
            matches!(&*kept.session.identity, Identity::Psk(kept) if kept == identity)
        }
        ClientCredentials::Keys { .. } => !kept.session.suite.is_psk(),
    };
    connect.resume && is_same
}

/// Time in whole seconds, for what need not be more exact.
pub(super) fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

impl Dtls {
    /// Begins a handshake with the server at `path`. Its end is an [`Event::Connected`] or [`Event::Failed`]. A session that
    /// there is with this path is left alone until the new one is established.
    ///
    /// # Errors
    /// See [`ConnectError`]; nothing has happened then.
    pub fn connect(&mut self, now: Duration, path: Path, peer: Connect) -> Result<SessionId, ConnectError> {
        if self.sessions.at(&path).pending.is_some() {
            return Err(ConnectError::InProgress);
        }
        if self.sessions.is_full() {
            return Err(ConnectError::TooManySessions);
        }
        if peer.suites(&self.config).is_empty() {
            return Err(ConnectError::NoSuite);
        }
        if let ClientCredentials::Keys { trust, .. } = &peer.credentials
            && trust.types().is_empty()
        {
            return Err(ConnectError::NobodyTrusted);
        }
        let server = (path.remote, peer.server_name.clone());
        let kept = self
            .kept
            .get(now, &server)
            .filter(|kept| is_for(kept, &peer))
            .cloned();
        // It is kept again if the handshake comes to its end.
        self.kept.remove(&server);
        let mut course = client::hello::course(&peer);
        course.our_cid = self.new_cid();
        let cid = course.our_cid;
        let mut cx = Context {
            config: &self.config,
            rng: &mut self.rng,
            now,
            course: &mut course,
            memory: &mut self.memory,
            wanted: &mut None,
        };
        let state = State::Client(client::State::Hello(client::Hello::begin(&mut cx, peer, kept)));
        let handshake = Box::new(Handshake::new(course, state));
        let id = self.sessions.insert(path, cid, handshake, false);
        let id = id.ok_or(ConnectError::TooManySessions)?;
        self.stats.handshakes_begun += 1;
        self.sync(id);
        Ok(id)
    }

    /// A connection ID that no session has; empty if we want none.
    fn new_cid(&mut self) -> Cid {
        let Some(ids) = &self.config.connection_ids else {
            return Cid::default();
        };
        let mut bytes: Vec<u8> = ids.prefix().into();
        let prefix = bytes.len();
        bytes.resize(ids.len(), 0);
        loop {
            if let Some(random) = bytes.get_mut(prefix..) {
                self.rng.fill_bytes(random);
            }
            let is_free = bytes.is_empty() || self.sessions.with_cid(&bytes).is_none();
            if is_free {
                return Cid::new(&bytes).unwrap_or_default();
            }
        }
    }

    /// The answer to [`Event::PskWanted`]: the key, or that there is none for this identity. What came too late changes
    /// nothing.
    pub fn provide_psk(&mut self, now: Duration, lookup: LookupId, key: Option<&[u8]>) {
        let LookupId(id) = lookup;
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let Stage::Handshake(handshake) = &mut session.stage else {
            return;
        };
        let mut around = Surroundings {
            config: &self.config,
            rng: &mut self.rng,
            now,
            memory: &mut self.memory,
            wanted: None,
            repeated: false,
        };
        if handshake.provide_psk(&mut around, key) {
            self.sync(id);
            self.open_early(now, id);
        }
    }

    /// A ClientHello, or the first fragment of one: of the handshake that is under way, or to begin one.
    pub(super) fn client_hello(
        &mut self,
        now: Duration,
        path: Path,
        record: &RecordHeader,
        message: &FragmentHeader,
        fragment: &[u8],
        payload: &[u8],
    ) {
        let pending = self.sessions.at(&path).pending;
        if message.offset != 0 {
            match pending {
                Some(id) => self.feed(now, id, payload, false),
                None => self.stats.discards.fragment += 1,
            }
            return;
        }
        let start = ClientHelloStart::read(&mut Reader::new(fragment));
        let (Ok(start), Some(_)) = (start, &self.config.server) else {
            self.stats.discards.fragment += 1;
            return;
        };
        self.cookies.rotate(now, &mut self.rng);
        if !self.cookies.is_valid(&path, &start) {
            self.request_cookie(path, record, message, &start);
            return;
        }
        if self.is_hello_of_session(&path, &start) {
            self.stats.discards.fragment += 1;
            return;
        }
        let known = pending.filter(|id| self.is_hello_of(*id, &start));
        match known.or_else(|| self.begin(now, path, record, message, &start)) {
            Some(id) => self.feed(now, id, payload, false),
            None => self.stats.discards.crowded += 1,
        }
    }

    /// Whether a ClientHello repeats the one that began a handshake.
    fn is_hello_of(&mut self, id: SessionId, start: &ClientHelloStart<'_>) -> bool {
        let handshake = self.sessions.handshake_mut(id);
        handshake.is_some_and(|handshake| {
            handshake.course.side == Side::Server && handshake.course.client_random == *start.random
        })
    }

    /// Whether a ClientHello is a late copy of the one that began the session at this path.
    fn is_hello_of_session(&self, path: &Path, start: &ClientHelloStart<'_>) -> bool {
        let live = self
            .sessions
            .at(path)
            .live
            .and_then(|id| self.sessions.established(id));
        live.is_some_and(|live| start.random.starts_with(&live.client_random))
    }

    /// Answers without remembering anything (RFC 6347 §4.2.1). The record has the sequence number of the one that it
    /// answers, and so has the message.
    fn request_cookie(
        &mut self,
        path: Path,
        record: &RecordHeader,
        message: &FragmentHeader,
        start: &ClientHelloStart<'_>,
    ) {
        if self.loose.len() >= limits::LOOSE_DATAGRAMS {
            self.stats.discards.queue_full += 1;
            return;
        }
        let cookie = self.cookies.make(&path, start);
        let mut request = Vec::with_capacity(32);
        write_message(
            &mut request,
            MessageType::HELLO_VERIFY_REQUEST,
            message.sequence,
            |w| {
                HelloVerifyRequest { cookie: &cookie }.write(w);
            },
        );
        let mut plain = WriteState::plain();
        plain.continue_at(record.sequence);
        let mut datagram = alloc::vec![0; request.len() + plain.overhead()];
        if plain
            .seal(ContentType::HANDSHAKE, &request, &mut datagram)
            .is_ok()
        {
            self.stats.cookies_sent += 1;
            self.loose.push_back((path, datagram));
        }
    }

    /// A client has proved its address: a handshake begins, if there is room for it.
    fn begin(
        &mut self,
        now: Duration,
        path: Path,
        record: &RecordHeader,
        message: &FragmentHeader,
        start: &ClientHelloStart<'_>,
    ) -> Option<SessionId> {
        // A client's messages are few: who counts so high wants to see numbers go round.
        if message.sequence > 255 {
            return None;
        }
        if let Some(id) = self.sessions.at(&path).pending {
            if self.sessions.handshake_mut(id)?.course.side == Side::Client {
                return None;
            }
            self.fail_without_alert(id, Failure::ours(Reason::BegunAnew));
        }
        let host_share = (self.config.max_handshakes / limits::HOST_SHARE).max(1);
        if self.sessions.handshakes_of(path.remote.ip()) >= host_share || !self.rate.take(now) {
            return None;
        }
        if self.sessions.handshakes() >= self.config.max_handshakes {
            let oldest = self.sessions.oldest_handshake()?;
            self.fail_without_alert(oldest, Failure::ours(Reason::Crowded));
        }
        let server = self.config.server.as_ref()?;
        // The signature of CertificateVerify is over all messages.
        let keeps_bytes = server.client_authentication != ClientAuthentication::None;
        let mut course = Course::new(Side::Server, message.sequence, message.sequence, keeps_bytes);
        course.client_random = *start.random;
        course.our_cid = self.new_cid();
        course.plain.continue_at(record.sequence);
        course.rearm(now);
        let cid = course.our_cid;
        let state = State::Server(server::State::Hello(server::Hello));
        let handshake = Box::new(Handshake::new(course, state));
        let id = self.sessions.insert(path, cid, handshake, true)?;
        self.stats.handshakes_begun += 1;
        Some(id)
    }

    /// Gives a handshake the messages and fragments that a record holds.
    pub(super) fn feed(&mut self, now: Duration, id: SessionId, payload: &[u8], is_sealed: bool) {
        let mut reader = Reader::new(payload);
        while !reader.is_empty() {
            let Some((header, fragment)) = FragmentHeader::read(&mut reader) else {
                self.stats.discards.fragment += 1;
                break;
            };
            let Some(session) = self.sessions.get_mut(id) else {
                return;
            };
            let Stage::Handshake(handshake) = &mut session.stage else {
                return;
            };
            let mut around = Surroundings {
                config: &self.config,
                rng: &mut self.rng,
                now,
                memory: &mut self.memory,
                wanted: None,
                repeated: false,
            };
            let progress = handshake.take(&mut around, &header, fragment, is_sealed);
            let wanted = around.wanted;
            self.stats.flights_by_peer += u64::from(around.repeated);
            match progress {
                Ok(Progress::Waiting) => {}
                Ok(Progress::Refused) => self.stats.discards.fragment += 1,
                Ok(Progress::Done(outcome)) => return self.establish(now, id, outcome),
                Err(failure) => return self.fail(id, failure),
            }
            if let Some(wanted) = wanted {
                self.want_psk(id, wanted);
            }
        }
        self.sync(id);
        self.open_early(now, id);
    }

    fn want_psk(&mut self, id: SessionId, wanted: Wanted) {
        self.events.push_back(Event::PskWanted {
            lookup: LookupId(id),
            identity: wanted.identity,
            server_name: wanted.server_name,
        });
    }

    /// Opens the records that came before the keys to them, if there are keys now.
    fn open_early(&mut self, now: Duration, id: SessionId) {
        let Some(handshake) = self.sessions.handshake_mut(id) else {
            return;
        };
        if handshake.course.keys.is_none() || handshake.course.early.is_empty() {
            return;
        }
        for mut record in core::mem::take(&mut handshake.course.early) {
            if let Some(header) = RecordHeader::parse(&record, self.config.cid_len()) {
                let _ = self.open_pending(now, id, &header, &mut record, false);
            }
        }
    }

    /// After a handshake has taken something: its deadline, and its place in the line of those that have to send.
    pub(super) fn sync(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let Stage::Handshake(handshake) = &mut session.stage else {
            return;
        };
        let deadline = handshake.course.deadline;
        if handshake.course.wants_to_send && !session.is_queued {
            session.is_queued = true;
            self.ready.push_back(id);
        }
        self.sessions.set_deadline(id, deadline);
    }

    /// The handshake has come to its end: what it needed is given back, what it came to is kept.
    fn establish(&mut self, now: Duration, id: SessionId, outcome: Outcome) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let Stage::Handshake(handshake) = &mut session.stage else {
            return;
        };
        let course = &mut handshake.course;
        let Some(keys) = course.keys.take() else {
            return self.fail(
                id,
                Failure::ours(Reason::Internal("a handshake ended without keys")),
            );
        };
        let last_flight = outcome.keeps_flight.then(|| {
            Box::new(LastFlight {
                flight: core::mem::take(&mut course.flight),
                plain: core::mem::replace(&mut course.plain, WriteState::plain()),
            })
        });
        let deadline = last_flight
            .is_some()
            .then(|| now.saturating_add(limits::LAST_FLIGHT_KEPT));
        let peer_limit = course.terms.peer_limit;
        let client_random = course.client_random.first_chunk().copied().unwrap_or_default();
        if !session.is_queued && last_flight.is_some() {
            session.is_queued = true;
            self.ready.push_back(id);
        }
        session.stage = Stage::Established(Established {
            read: keys.read,
            write: keys.write,
            identity: outcome.identity,
            peer_limit,
            client_random,
            last_heard: seconds(now),
            last_flight,
            unproved: None,
        });
        let remote = session.path.remote;
        if let Some(kept) = outcome.kept {
            let server = (remote, kept.session.server_name.clone());
            let until = kept
                .session
                .created
                .saturating_add(self.config.resumption.lifetime);
            self.kept.insert_until(now, until, server, kept);
        }
        self.sessions.set_deadline(id, deadline);
        self.stats.handshakes_done += 1;
        self.stats.handshakes_resumed += u64::from(outcome.resumed);
        self.replace_old(id);
        self.make_room(id);
        self.events.push_back(Event::Connected {
            session: id,
            resumed: outcome.resumed,
        });
    }

    /// Beyond the bound a session that has been quiet for long gives way to the new one, whose peer has proved itself. It is
    /// told, so that it connects again when it needs to.
    fn make_room(&mut self, new: SessionId) {
        if self.sessions.count_established() <= self.config.max_sessions {
            return;
        }
        if let Some(quiet) = self.sessions.quiet(self.rng.next_u32(), new) {
            self.send_alert(quiet, Alert::warning(AlertDescription::CLOSE_NOTIFY));
            self.fail_without_alert(quiet, Failure::ours(Reason::TooManySessions));
            self.stats.made_room += 1;
        }
    }

    /// The session that was at the path before is over (RFC 6347 §4.2.8), unless it is somebody else's and has a connection
    /// ID: then the other peer got its address, and it may come back from elsewhere.
    fn replace_old(&mut self, id: SessionId) {
        let Some(old) = self.sessions.settle(id) else {
            return;
        };
        let is_same_peer = self.peer(old) == self.peer(id);
        let has_cid = self
            .sessions
            .established(old)
            .is_some_and(|old| old.read.with_cid());
        if is_same_peer || !has_cid {
            self.sessions.remove(old);
            self.events.push_back(Event::Replaced { session: old, by: id });
        }
    }

    /// Ends a handshake or a session for a fault that we found, and tells the peer if an alert is for it.
    pub(super) fn fail(&mut self, id: SessionId, failure: Failure) {
        if let Some(description) = failure.alert {
            self.send_alert(id, Alert::fatal(description));
        }
        self.fail_without_alert(id, failure);
    }

    pub(super) fn fail_without_alert(&mut self, id: SessionId, failure: Failure) {
        let Some(session) = self.sessions.remove(id) else {
            return;
        };
        if let Stage::Handshake(_) = session.stage {
            self.stats.handshakes_failed += 1;
        }
        self.stats.wrong_psk += u64::from(matches!(failure.reason, Reason::WrongPsk { .. }));
        self.events.push_back(Event::Failed {
            session: id,
            path: session.path,
            failure: Box::new(failure),
        });
    }

    /// The peer of a handshake gave it up.
    pub(super) fn alerted(&mut self, id: SessionId, alert: AlertDescription) {
        if let Some(handshake) = self.sessions.handshake_mut(id) {
            let failure = handshake.alerted(alert);
            self.fail_without_alert(id, failure);
        }
    }

    /// A handshake message within a session: the peer repeats its last flight, because ours got lost, or wants to
    /// renegotiate, which is refused (RFC 5246 §7.2.2).
    pub(super) fn handshake_after_the_end(&mut self, now: Duration, id: SessionId, payload: &[u8]) {
        let Some((header, _)) = FragmentHeader::read(&mut Reader::new(payload)) else {
            self.stats.discards.fragment += 1;
            return;
        };
        match header.kind {
            MessageType::FINISHED => self.repeat_last_flight(now, id),
            MessageType::HELLO_REQUEST | MessageType::CLIENT_HELLO => {
                self.send_alert(id, Alert::warning(AlertDescription::NO_RENEGOTIATION));
            }
            _ => self.stats.discards.misplaced += 1,
        }
    }

    fn repeat_last_flight(&mut self, now: Duration, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if let Stage::Established(established) = &mut session.stage
            && let Some(last) = &mut established.last_flight
            && last.flight.again_by_peer(now)
        {
            self.stats.flights_by_peer += 1;
            if !session.is_queued {
                session.is_queued = true;
                self.ready.push_back(id);
            }
        }
    }

    /// The peer has what we said last.
    pub(super) fn forget_last_flight(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if let Stage::Established(established) = &mut session.stage
            && established.last_flight.take().is_some()
        {
            self.sessions.set_deadline(id, None);
        }
    }
}
