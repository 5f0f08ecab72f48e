//! One end of the sessions of DTLS in a case, on a socket of the judge.
//!
//! The handshake is that of `coracle-dtls`: the judge offers and takes what the case is about and nothing else, and looks at
//! what comes from outside, records and alerts. What is sealed is written down as it was opened, so that reports show
//! messages.

mod callee;
mod caller;
pub(crate) mod records;

use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use coracle_dtls::{Config, Connect, Dtls, Event, Failure, Path, Secret, SessionId, Suite};

pub(crate) use self::callee::As;
pub use self::callee::Callee;
pub use self::caller::Caller;
pub(crate) use self::caller::raw;
use self::records::Content;
use crate::gateway::Gateway;
use crate::message::{Message, Received};
use crate::talk::Frame;
use crate::transcript::{Fate, Form};
use crate::verdict::{Judged, Stop};

/// How often it is looked whether the run is to end.
const LOOK: Duration = Duration::from_millis(100);

/// More than fits into a datagram.
const MAX_DATAGRAM: usize = 65_536;

/// Datagrams that are taken in one case: more than the longest handshake needs, whatever is lost.
const FLOOD: usize = 2_000;

/// How long a handshake may take where nothing is lost.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long where everything is lost once: the waits of both sides together, each doubled a few times.
const HANDSHAKE_LOSSY: Duration = Duration::from_secs(60);

/// What has happened.
#[derive(Debug)]
enum Heard {
    /// A session can be used.
    Connected(SessionId),
    /// A handshake or a session has ended.
    Failed(Box<Failure>),
    /// A message came by a session.
    Message(SessionId, Opened),
}

/// A message out of a record.
#[derive(Debug)]
struct Opened {
    bytes: Vec<u8>,
    index: usize,
    at: Duration,
    from: SocketAddr,
}

/// Reads a message that came by a session.
fn read(opened: Opened) -> Judged<Received> {
    let message = Message::parse(&opened.bytes).map_err(|error| {
        let what = format!("expected a well-formed message: {error}");
        Stop::fail_at(opened.index, what, "RFC 7252 §3")
    })?;
    Ok(Received {
        message,
        index: opened.index,
        at: opened.at,
        from: opened.from,
    })
}

/// What DTLS came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// There is a session.
    Session(SessionId),
    /// There is none, and why.
    Failure(Box<Failure>),
}

/// A socket with its sessions.
struct Line {
    socket: UdpSocket,
    local: SocketAddr,
    /// The only address that is listened to, if there is one.
    peer: Option<SocketAddr>,
    dtls: Dtls,
    began: Instant,
    frame: Frame,
    gateway: Option<Gateway>,
    /// The identity and key of the only client that a server takes by PSK.
    psk: Option<(Vec<u8>, Secret)>,
    /// Messages that came in one datagram with another.
    opened: Vec<(SessionId, Opened)>,
    taken: usize,
}

/// What all cases of DTLS are about: the suites that RFC 7252 §9.1.3 demands, CCM_8.
fn config() -> Config {
    let mut config = Config::default();
    config.suites = vec![Suite::PskCcm8, Suite::EcdsaCcm8];
    config
}

/// 32 random bytes: the keys of the standard library's maps are random.
fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    for place in seed.chunks_mut(8) {
        place.copy_from_slice(&RandomState::new().hash_one(0).to_be_bytes());
    }
    seed
}

/// A ClientHello, as anybody sends it who knocks.
pub(crate) fn client_hello(server: SocketAddr) -> Vec<u8> {
    let mut dtls = Dtls::new(config(), seed());
    let mut datagram = vec![0; MAX_DATAGRAM];
    let begun = dtls.connect(
        Duration::ZERO,
        Path::to(server),
        Connect::with_psk(b"knock", b"knock"),
    );
    let sent = begun
        .ok()
        .and_then(|_| dtls.poll_transmit(Duration::ZERO, &mut datagram));
    datagram.truncate(sent.map_or(0, |sent| sent.len));
    datagram
}

impl Line {
    /// On a port that the system gives. Behind the lossy gateway everything of handshakes is lost once.
    fn bind(local: SocketAddr, peer: Option<SocketAddr>, frame: &Frame) -> Judged<Line> {
        let broken = |error| Stop::Inconclusive(format!("cannot bind a socket: {error}"));
        let socket = UdpSocket::bind(local).map_err(broken)?;
        let local = socket.local_addr().map_err(broken)?;
        Ok(Line {
            socket,
            local,
            peer,
            dtls: Dtls::new(config(), seed()),
            began: Instant::now(),
            frame: frame.clone(),
            gateway: frame.lossy.then(Gateway::each_once),
            psk: None,
            opened: Vec::new(),
            taken: 0,
        })
    }

    /// From now on everything of handshakes is lost once.
    fn lose_everything_once(&mut self) {
        self.gateway = Some(Gateway::each_once());
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn handshake_time(&self) -> Duration {
        match self.gateway {
            Some(_) => HANDSHAKE_LOSSY,
            None => HANDSHAKE,
        }
    }

    /// Sends a message by a session, once.
    fn send(&mut self, session: SessionId, message: &[u8]) -> Judged {
        let mut record = vec![0; MAX_DATAGRAM];
        let sealed = self.dtls.protect(self.now(), session, message, &mut record);
        let sealed = sealed.map_err(|error| Stop::Inconclusive(format!("cannot send: {error}")))?;
        record.truncate(sealed.len);
        let transcript = &self.frame.transcript;
        transcript.push(true, self.local, sealed.path.remote, message, Fate::Passed);
        // What the system refuses to send is lost; the record shows that it was tried.
        let _ = self.socket.send_to(&record, sealed.path.remote);
        Ok(())
    }

    /// Sends what handshakes have to say.
    fn flush(&mut self) {
        let mut datagram = vec![0; MAX_DATAGRAM];
        while let Some(transmit) = self.dtls.poll_transmit(self.now(), &mut datagram) {
            let bytes = datagram.get(..transmit.len).unwrap_or_default();
            let fate = self.fate(true, bytes);
            let to = transmit.path.remote;
            let transcript = &self.frame.transcript;
            transcript.push_records(true, self.local, to, bytes, fate);
            if fate == Fate::Passed {
                let _ = self.socket.send_to(bytes, to);
            }
        }
    }

    fn fate(&mut self, by_judge: bool, datagram: &[u8]) -> Fate {
        let passes = |gateway: &mut Gateway| gateway.passes(by_judge, datagram);
        match self.gateway.as_mut().is_none_or(passes) {
            true => Fate::Passed,
            false => Fate::Lost,
        }
    }

    /// What happens next until some time, if anything does.
    fn hear(&mut self, until: Instant) -> Judged<Option<Heard>> {
        loop {
            self.flush();
            if let Some(heard) = self.next() {
                self.flush();
                return Ok(Some(heard));
            }
            let now = Instant::now();
            if now >= self.frame.deadline {
                return Err(Stop::Inconclusive("the time of this case was over".to_owned()));
            }
            if self.frame.stop.load(Ordering::Relaxed) {
                return Err(Stop::Inconclusive("interrupted".to_owned()));
            }
            if now >= until {
                return Ok(None);
            }
            let due = self.dtls.poll_deadline().map(|at| self.began + at);
            let wake = due
                .into_iter()
                .chain([until, self.frame.deadline, now + LOOK])
                .min();
            let wait = wake.unwrap_or(now).saturating_duration_since(now);
            self.receive(wait.max(Duration::from_millis(1)))?;
            let now = self.now();
            self.dtls.handle_timeout(now);
        }
    }

    fn next(&mut self) -> Option<Heard> {
        while let Some(event) = self.dtls.poll_event() {
            match event {
                Event::Connected { session, .. } => return Some(Heard::Connected(session)),
                Event::Failed { failure, .. } => return Some(Heard::Failed(failure)),
                Event::PskWanted { lookup, identity, .. } => {
                    let known = self.psk.as_ref().filter(|(name, _)| *name == identity);
                    let key = known.map(|(_, key)| key.to_vec());
                    let now = self.now();
                    self.dtls.provide_psk(now, lookup, key.as_deref());
                    self.flush();
                }
                _ => {}
            }
        }
        let (session, opened) = (!self.opened.is_empty()).then(|| self.opened.remove(0))?;
        Some(Heard::Message(session, opened))
    }

    /// Takes a datagram, if one comes in time.
    fn receive(&mut self, wait: Duration) -> Judged {
        let broken = |error| Stop::Inconclusive(format!("the socket failed: {error}"));
        self.socket.set_read_timeout(Some(wait)).map_err(broken)?;
        let mut datagram = vec![0; MAX_DATAGRAM];
        let (length, from) = match self.socket.recv_from(&mut datagram) {
            Ok(received) => received,
            // A refusal is an ICMP error, which is silence with a reason.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock
                        | ErrorKind::TimedOut
                        | ErrorKind::Interrupted
                        | ErrorKind::ConnectionRefused
                        | ErrorKind::ConnectionReset
                ) =>
            {
                return Ok(());
            }
            Err(error) => return Err(broken(error)),
        };
        self.taken += 1;
        if self.taken > FLOOD {
            return Err(Stop::Inconclusive(format!("a flood: {FLOOD} datagrams came")));
        }
        datagram.truncate(length);
        self.take(datagram, from);
        Ok(())
    }

    fn take(&mut self, mut datagram: Vec<u8>, from: SocketAddr) {
        let transcript = self.frame.transcript.clone();
        if self.peer.is_some_and(|peer| peer != from) {
            transcript.push_records(false, from, self.local, &datagram, Fate::Stray);
            return;
        }
        let fate = self.fate(false, &datagram);
        let sealed = datagram.clone();
        let mut is_message = false;
        let mut rest = match fate {
            Fate::Passed => datagram.as_mut_slice(),
            _ => &mut [],
        };
        while !rest.is_empty() {
            let now = self.began.elapsed();
            let (used, received) = self.dtls.handle_datagram(now, Path::to(from), rest);
            let (record, behind) = rest.split_at_mut(used.min(rest.len()));
            if let coracle_dtls::Received::Data { session, range } = received {
                let bytes = record.get(range).unwrap_or_default().to_vec();
                let index = transcript.push(false, from, self.local, &bytes, Fate::Passed);
                let at = transcript.elapsed();
                let opened = Opened {
                    bytes,
                    index,
                    at,
                    from,
                };
                self.opened.push((session, opened));
                is_message = true;
            }
            if used == 0 {
                break;
            }
            rest = behind;
        }
        if !is_message {
            transcript.push_records(false, from, self.local, &sealed, fate);
        }
    }

    /// The end of the handshake that is under way, or of the next that somebody begins.
    fn outcome(&mut self, within: Duration) -> Judged<Option<Outcome>> {
        let until = Instant::now() + within;
        loop {
            match self.hear(until)? {
                Some(Heard::Connected(session)) => return Ok(Some(Outcome::Session(session))),
                Some(Heard::Failed(failure)) => return Ok(Some(Outcome::Failure(failure))),
                Some(Heard::Message(..)) => {}
                None => return Ok(None),
            }
        }
    }

    /// Whether the subject has chosen something of what was offered to it.
    fn has_chosen(&self) -> bool {
        let records = self.frame.transcript.records();
        let of_subject = records
            .iter()
            .filter(|record| !record.by_judge && record.form == Form::Records);
        let mut contents = of_subject.flat_map(|record| records::contents(&record.bytes));
        contents.any(Content::is_server_hello)
    }

    /// Everything of the subject's handshake that the gateway took away came again.
    fn everything_came_again(&self) -> Judged {
        let records = self.frame.transcript.records();
        let of_subject = |fate| {
            let those = records.iter().enumerate();
            those.filter(move |(_, record)| {
                !record.by_judge && record.form == Form::Records && record.fate == fate
            })
        };
        let mut lost = 0;
        for (index, record) in of_subject(Fate::Lost) {
            for content in records::contents(&record.bytes) {
                lost += 1;
                let again = of_subject(Fate::Passed)
                    .filter(|(later, _)| *later > index)
                    .any(|(_, later)| {
                        let contents = records::contents(&later.bytes);
                        contents.iter().any(|other| other.whole() == content.whole())
                    });
                if !again && content.is_handshake() {
                    let what = format!("expected {content} again after it was lost");
                    return Err(Stop::fail_at(index, what, "RFC 6347 §4.2.4"));
                }
            }
        }
        match lost {
            0 => Err(Stop::Inconclusive("nothing was lost".to_owned())),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::Transcript;

    const CHANGE: &[u8] = b"\x14\xfe\xfd\0\0\0\0\0\0\0\x02\0\x01\x01";
    const FINISHED: &[u8] = b"\x16\xfe\xfd\0\x01\0\0\0\0\0\0\0\x02ab";

    /// What is said of a subject that sent these datagrams.
    fn judged(sent: &[(&[u8], Fate)]) -> Judged {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let frame = Frame {
            transcript: Transcript::begin(),
            deadline: Instant::now(),
            lossy: false,
            stop: std::sync::Arc::default(),
        };
        for (bytes, fate) in sent {
            frame
                .transcript
                .push_records(false, nowhere, nowhere, bytes, *fate);
        }
        Line::bind(nowhere, None, &frame)?.everything_came_again()
    }

    #[test]
    fn what_was_lost_has_to_come_again() {
        let both = [CHANGE, FINISHED].concat();
        let (lost, passed) = (Fate::Lost, Fate::Passed);
        assert_eq!(
            judged(&[(&both, lost), (CHANGE, passed), (FINISHED, passed)]),
            Ok(())
        );
        let missing = judged(&[(FINISHED, passed), (&both, lost), (CHANGE, passed)]);
        let Err(Stop::Fail(finding)) = missing else {
            panic!("{missing:?}");
        };
        assert_eq!(finding.what, "expected Finished (sealed) again after it was lost");
        assert_eq!(finding.at, Some(1));
        assert!(matches!(judged(&[(CHANGE, passed)]), Err(Stop::Inconclusive(_))));
    }
}
