//! DTLS between a socket and the engine: `coaps`.
//!
//! ```text
//!  datagram ─▶ records, one after another ─▶ plaintext ─▶ engine: the peer is its session, wherever it sends from
//!                    │                                       │
//!                    └─▶ handshakes, alerts                  ▼
//!  datagram ◀──────────────┴───────────────── record ◀─ what the engine sends by the session
//! ```
//!
//! Sessions and their handshakes are those of `coracle_dtls`. To the engine a session is a [`SecurityId`], at the address that
//! it began with: one that moves (RFC 9146) stays the same peer, and exchanges, bodies and observations go on.

mod report;
mod settings;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use coracle_dtls::{Connect, Dtls, Event as DtlsEvent, Failure, Reason, Received, SessionId, limits};
use coracle_engine::{Endpoint, Event, ExchangeId, Instant, Path, SecurityId};
use coracle_net::SLOT_SIZE;
use coracle_router::Identity;
use tokio::sync::{oneshot, watch};

use crate::connections::Line;
use crate::credentials::Book;
use crate::error::Error;
use crate::identity;
use crate::inside::Inside;
pub(crate) use report::Report;
pub use report::SecurityStatistics;
pub(crate) use settings::{KeyLog, Settings};

/// What a record has beside a message, at most: its header with a connection ID, nonce, tag and type.
const OVERHEAD: usize = 13 + limits::CONNECTION_ID_BYTES + 8 + 16 + 1;

/// Where the connection ID of a record begins, and the type of records that have one (RFC 9146 §4).
const CID_AT: usize = 11;
const TLS12_CID: u8 = 25;

/// How long a server has to answer our handshake: as long as for a request (MAX_TRANSMIT_WAIT, RFC 7252 §4.8.2).
const ATTEMPT_WITHIN: Duration = Duration::from_secs(93);

/// Sessions that are closed between two looks at the socket.
const CLOSED_AT_ONCE: usize = limits::LOOSE_DATAGRAMS / 4;

/// The sessions of one driver.
pub(crate) struct Secure {
    dtls: Dtls,
    settings: Settings,
    /// Established ones. By names of ours, which no stranger chooses: a quick hash will do.
    sessions: HashMap<SecurityId, Session, foldhash::fast::RandomState>,
    /// Those that we begin.
    attempts: HashMap<SecurityId, Attempt>,
    /// Those that we have begun, by the address of the server, from where no other address of ours was told.
    servers: HashMap<SocketAddr, Vec<SecurityId>>,
    /// By which credentials we began the last one.
    as_whom: Option<u64>,
    /// Pings that tell whether a peer gets what is sent to its new address.
    proofs: HashMap<ExchangeId, SessionId>,
    /// A message before it is sealed.
    message: Box<[u8]>,
    report: Report,
}

struct Session {
    id: SessionId,
    /// The way as the engine knows it.
    path: Path,
    identity: Option<Identity>,
    /// Who began it and wants to know how it is.
    told: Option<watch::Sender<Line>>,
}

/// The outcome of an attempt to begin a session: it may be used, or those who wait for it may try another address.
pub(crate) type Outcome = Result<(), (watch::Sender<Line>, Error)>;

struct Attempt {
    id: SessionId,
    /// When it is given up.
    until: Instant,
    path: Path,
    told: watch::Sender<Line>,
    done: oneshot::Sender<Outcome>,
}

impl Secure {
    pub(crate) fn new(settings: Settings, seed: [u8; 32]) -> Secure {
        Secure {
            dtls: Dtls::new(settings.dtls(), seed),
            settings,
            sessions: HashMap::default(),
            attempts: HashMap::new(),
            servers: HashMap::new(),
            as_whom: None,
            proofs: HashMap::new(),
            message: vec![0; SLOT_SIZE - OVERHEAD].into_boxed_slice(),
            report: Report::default(),
        }
    }

    /// Whether a datagram is for the sessions. A socket that takes messages without protection, too, tells them by their
    /// first byte: that of a record is its type (RFC 5246 §6.2.1), that of a message has a version (RFC 7252 §3).
    pub(crate) fn takes(&self, datagram: &[u8]) -> bool {
        self.settings.serves || matches!(datagram.first(), Some(20..=63))
    }

    /// The shard that a datagram belongs to, wherever it comes from: it stands in front of our connection IDs.
    pub(crate) fn shard_of(&self, datagram: &[u8]) -> Option<usize> {
        let has_cid = self.settings.cid_len() > 0 && datagram.first() == Some(&TLS12_CID);
        let shard = datagram.get(CID_AT).filter(|_| has_cid)?;
        Some(usize::from(*shard)).filter(|shard| *shard < self.settings.shards)
    }

    /// Takes a datagram in, and hands the messages in it on.
    pub(crate) fn receive(&mut self, inside: &mut Inside<'_>, path: Path, datagram: &mut [u8]) {
        let now = time(inside.now);
        let way = self.way(&path);
        let mut rest = datagram;
        while !rest.is_empty() {
            let (used, received) = self.dtls.handle_datagram(now, way, rest);
            let (record, behind) = rest.split_at_mut(used.min(rest.len()));
            if let Received::Data { session, range } = received {
                // It may be the first after the handshake, whose end is still to be told.
                self.settle(inside.engine, inside.now);
                let message = record.get(range).unwrap_or_default();
                if let Some(session) = self.sessions.get(&security(session)) {
                    inside.identity.clone_from(&session.identity);
                    inside.take_datagram(session.path, message);
                }
            }
            if used == 0 {
                break;
            }
            rest = behind;
        }
        self.settle(inside.engine, inside.now);
    }

    /// A datagram was longer than there is room for: its records cannot be opened.
    pub(crate) fn oversize(&mut self) {
        self.report.too_long += 1;
    }

    /// The way as the sessions know it. Of a server that we called we do not mind by which address of ours it answers.
    fn way(&self, path: &Path) -> coracle_dtls::Path {
        match self.servers.contains_key(&path.remote) {
            true => coracle_dtls::Path::to(path.remote),
            false => coracle_dtls::Path {
                remote: path.remote,
                local: path.local,
                interface: path.interface,
            },
        }
    }

    /// Writes the next datagram to send: its way and length.
    pub(crate) fn poll_transmit(
        &mut self,
        engine: &mut Endpoint,
        now: Instant,
        slot: &mut [u8],
    ) -> Option<(Path, usize)> {
        if let Some(transmit) = self.dtls.poll_transmit(time(now), slot) {
            return Some((engine_path(&transmit.path), transmit.len));
        }
        loop {
            let transmit = engine.poll_transmit(now, &mut self.message)?;
            let message = self.message.get(..transmit.len).unwrap_or_default();
            let Some(security) = transmit.path.security else {
                slot.get_mut(..transmit.len)?.copy_from_slice(message);
                return Some((transmit.path, transmit.len));
            };
            let Some(session) = self.sessions.get(&security) else {
                // It ended while the engine still had something to say.
                self.report.without_session += 1;
                continue;
            };
            match self.dtls.protect(time(now), session.id, message, slot) {
                Ok(sealed) => return Some((engine_path(&sealed.path), sealed.len)),
                Err(error) => self.report.not_sealed(&session.path, error),
            }
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let sessions = self.dtls.poll_deadline().map(|at| Instant::ZERO + at);
        let attempts = self.attempts.values().map(|attempt| attempt.until);
        attempts.chain(sessions).min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.deadline().is_none_or(|at| at > now) {
            return;
        }
        self.dtls.handle_timeout(time(now));
        let overdue = |(_, attempt): &(&SecurityId, &Attempt)| attempt.until <= now;
        let overdue: Vec<SecurityId> = self.attempts.iter().filter(overdue).map(|(id, _)| *id).collect();
        for security in overdue {
            let text = "no answer: the DTLS handshake did not come to an end in time";
            self.give_up(
                now,
                security,
                std::io::Error::new(std::io::ErrorKind::TimedOut, text).into(),
            );
        }
    }

    /// Begins a session with the server at `path`; `told` learns how it is when it may be used.
    pub(crate) fn connect(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        (connect, as_whom): (Connect, u64),
        (told, done): (watch::Sender<Line>, oneshot::Sender<Outcome>),
    ) {
        if self
            .as_whom
            .replace(as_whom)
            .is_some_and(|before| before != as_whom)
        {
            // A session that is taken up again is that of whoever began it.
            self.dtls.forget_resumable(time(now));
        }
        let begun = self
            .dtls
            .connect(time(now), coracle_dtls::Path::to(remote), connect);
        let id = match begun {
            Ok(id) => id,
            Err(error) => {
                let error = Error::Io(std::io::Error::other(error.to_string()));
                // Who no longer waits need not be told, here as below.
                let _ = done.send(Err((told, error)));
                return;
            }
        };
        let security = security(id);
        self.servers.entry(remote).or_default().push(security);
        let path = Path {
            security: Some(security),
            ..Path::to(remote)
        };
        let attempt = Attempt {
            id,
            until: now + ATTEMPT_WITHIN,
            path,
            told,
            done,
        };
        self.attempts.insert(security, attempt);
    }

    /// Heeds what has happened to sessions.
    pub(crate) fn settle(&mut self, engine: &mut Endpoint, now: Instant) {
        if let Some(before) = self.settings.follow(&mut self.dtls, time(now)) {
            self.expel(engine, now, &before);
        }
        while let Some(event) = self.dtls.poll_event() {
            match event {
                DtlsEvent::Connected { session, .. } => self.connected(session),
                DtlsEvent::PskWanted { lookup, identity, .. } => {
                    let book = self.settings.book();
                    let key = book.as_ref().and_then(|book| book.psk(&identity));
                    self.dtls.provide_psk(time(now), lookup, key);
                }
                DtlsEvent::Failed {
                    session,
                    path,
                    failure,
                } => {
                    self.failed(engine, now, security(session), (path.remote, &failure));
                }
                DtlsEvent::Closed { session } => {
                    self.gone(engine, now, security(session), "the peer closed the session");
                }
                DtlsEvent::Replaced { session, .. } => {
                    let reason = "the peer began another session";
                    self.gone(engine, now, security(session), reason);
                }
                DtlsEvent::Moved { session, from, to } => {
                    tracing::debug!(peer = %to.remote, from = %from.remote, "a session moved");
                    self.prove(engine, now, session);
                }
                _ => {}
            }
        }
    }

    /// Ends the sessions of those whose keys were changed or taken away. Whom an authority vouched for stays.
    fn expel(&mut self, engine: &mut Endpoint, now: Instant, before: &Book) {
        let book = self.settings.book().unwrap_or_default();
        let is_out = |session: &Session| {
            let identity = session.identity.as_ref().filter(|_| session.told.is_none());
            identity.is_some_and(|identity| !book.still_believes(before, identity))
        };
        let out = self.sessions.iter().filter(|(_, session)| is_out(session));
        for security in out.map(|(security, _)| *security).collect::<Vec<_>>() {
            self.close(engine, now, security, "its key was changed or taken away");
        }
    }

    fn connected(&mut self, id: SessionId) {
        let security = security(id);
        let identity = self.dtls.peer(id).and_then(|peer| identity::of_session(peer));
        let (path, told) = match self.attempts.remove(&security) {
            Some(attempt) => {
                let _ = attempt.done.send(Ok(()));
                attempt.told.send_replace(Line::Open(attempt.path));
                (attempt.path, Some(attempt.told))
            }
            None => {
                let Some(path) = self.dtls.path(id) else { return };
                let secured = Path {
                    security: Some(security),
                    ..engine_path(&path)
                };
                (secured, None)
            }
        };
        tracing::debug!(peer = %path.remote, identity = %report::Who(identity.as_ref()), "a session is established");
        let session = Session {
            id,
            path,
            identity,
            told,
        };
        self.sessions.insert(security, session);
    }

    fn failed(
        &mut self,
        engine: &mut Endpoint,
        now: Instant,
        security: SecurityId,
        (remote, failure): (SocketAddr, &Failure),
    ) {
        if let Some(attempt) = self.attempts.remove(&security) {
            self.forget_server(&attempt.path);
            let _ = attempt.done.send(Err((attempt.told, error_of(failure))));
        } else {
            self.report.failed(remote, failure);
            self.gone(engine, now, security, &failure.to_string());
        }
    }

    /// A session is over, and with it what the engine had to do with this peer.
    fn gone(&mut self, engine: &mut Endpoint, now: Instant, security: SecurityId, reason: &str) {
        let Some(session) = self.sessions.remove(&security) else {
            return;
        };
        tracing::debug!(peer = %session.path.remote, reason, "a session ends");
        engine.peer_gone(now, &session.path.peer());
        if let Some(told) = session.told {
            self.forget_server(&session.path);
            told.send_replace(Line::Over {
                reason: reason.into(),
                hold_off: None,
                is_refusal: false,
            });
        }
        if self.sessions.len() * 4 < self.sessions.capacity() {
            self.sessions.shrink_to(self.sessions.len() * 2);
        }
    }

    fn forget_server(&mut self, path: &Path) {
        if let Some(sessions) = self.servers.get_mut(&path.remote) {
            sessions.retain(|security| Some(*security) != path.security);
            if sessions.is_empty() {
                self.servers.remove(&path.remote);
            }
        }
    }

    /// Asks the peer for a sign of life at its new address, by which little is sent before it has shown that it gets
    /// anything there (RFC 9146 §6).
    fn prove(&mut self, engine: &mut Endpoint, now: Instant, id: SessionId) {
        if let Some(session) = self.sessions.get(&security(id))
            && let Ok(ping) = engine.ping(now, &session.path)
        {
            self.proofs.insert(ping, id);
        }
    }

    /// Whether an event of the engine is the end of such a ping.
    pub(crate) fn is_proof(&mut self, event: &Event) -> bool {
        if self.proofs.is_empty() {
            return false;
        }
        match event {
            Event::Pong { id } => match self.proofs.remove(id) {
                Some(session) => {
                    self.dtls.path_is_proved(session);
                    true
                }
                None => false,
            },
            Event::Failed { id, .. } => self.proofs.remove(id).is_some(),
            _ => false,
        }
    }

    /// The network says that nothing reaches this address.
    pub(crate) fn unreachable(&mut self, engine: &mut Endpoint, now: Instant, remote: SocketAddr) {
        for security in self.servers.get(&remote).cloned().unwrap_or_default() {
            let text = "unreachable: nobody listens there, or no way leads there";
            let error = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, text);
            self.give_up(now, security, error.into());
            if let Some(session) = self.sessions.get(&security) {
                engine.peer_unreachable(now, &session.path.peer());
            }
        }
    }

    /// Ends an attempt to begin a session, if it is one.
    fn give_up(&mut self, now: Instant, security: SecurityId, error: Error) {
        if let Some(attempt) = self.attempts.remove(&security) {
            self.dtls.close(time(now), attempt.id);
            self.forget_server(&attempt.path);
            let _ = attempt.done.send(Err((attempt.told, error)));
        }
    }

    /// Whether this is the way of a session that is here.
    pub(crate) fn has(&self, path: &Path) -> bool {
        let session = path.security.and_then(|security| self.sessions.get(&security));
        session.is_some_and(|session| session.path.remote == path.remote)
    }

    /// Who the peer of a session is.
    pub(crate) fn identity(&self, security: SecurityId) -> Option<Identity> {
        self.sessions.get(&security)?.identity.clone()
    }

    /// Ends a session.
    pub(crate) fn close(&mut self, engine: &mut Endpoint, now: Instant, security: SecurityId, reason: &str) {
        if let Some(session) = self.sessions.get(&security) {
            self.dtls.close(time(now), session.id);
            self.gone(engine, now, security, reason);
        }
    }

    /// Those that we have begun.
    pub(crate) fn own(&self) -> usize {
        self.servers.len()
    }

    /// Ends those that we have begun.
    pub(crate) fn close_own(&mut self, engine: &mut Endpoint, now: Instant) {
        let own: Vec<SecurityId> = self.servers.values().flatten().copied().collect();
        for security in own {
            self.give_up(now, security, Error::Closed);
            self.close(engine, now, security, "we closed it");
        }
    }

    /// Ends some of all sessions. Whether there were any.
    pub(crate) fn close_some(&mut self, engine: &mut Endpoint, now: Instant) -> bool {
        let some: Vec<SecurityId> = self.sessions.keys().take(CLOSED_AT_ONCE).copied().collect();
        for security in &some {
            self.close(engine, now, *security, "this side ends");
        }
        !some.is_empty()
    }

    pub(crate) fn statistics(&self) -> SecurityStatistics {
        self.report.statistics(self.sessions.len(), self.dtls.stats())
    }
}

/// What a failed handshake is to those who asked for it.
fn error_of(failure: &Failure) -> Error {
    let kind = match failure.reason {
        Reason::TimedOut { .. } => std::io::ErrorKind::TimedOut,
        _ => std::io::ErrorKind::InvalidData,
    };
    let text = format!("the DTLS handshake failed: {failure}");
    std::io::Error::new(kind, text).into()
}

/// A session as the engine calls it.
fn security(session: SessionId) -> SecurityId {
    SecurityId(NonZeroU64::new(session.get()).unwrap_or(NonZeroU64::MAX))
}

/// The sessions' time is that of the engine.
fn time(now: Instant) -> Duration {
    now.since(Instant::ZERO)
}

fn engine_path(path: &coracle_dtls::Path) -> Path {
    Path {
        local: path.local,
        interface: path.interface,
        ..Path::to(path.remote)
    }
}
