//! The judge as a client of `coaps`: what cases of DTLS for servers are written with.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use coracle_dtls::{
    AlertDescription, Connect, ConnectError, Failure, NoticedBy, OwnKeys, Path, SessionId, SigningKey, Trust,
    TrustedKeys,
};
use coracle_wire::{MessageType, Method, OptionNumber};

use super::{Heard, Line, Outcome};
use crate::keys::{self, Keys};
use crate::message::{Message, Received};
use crate::talk::{ACK_TIMEOUT, Frame};
use crate::verdict::{Judged, Stop};

/// How often a confirmable request is sent at most.
const TRIES: u32 = 3;

/// The judge as a client with one socket, and the server that is judged.
#[derive(Debug)]
pub struct Caller {
    line: Line,
    server: SocketAddr,
    keys: Keys,
    /// Which of its resources plays the role of one of the plugtest site.
    map: HashMap<String, String>,
    next_mid: u16,
}

impl Caller {
    pub(crate) fn new(
        server: SocketAddr,
        map: &HashMap<String, String>,
        keys: &Keys,
        frame: &Frame,
    ) -> Judged<Caller> {
        Ok(Caller {
            line: Line::bind(any(server), Some(server), frame)?,
            server,
            keys: keys.clone(),
            map: map.clone(),
            next_mid: 0,
        })
    }

    /// From now on everything of handshakes is lost once.
    pub(crate) fn lose_everything_once(&mut self) {
        self.line.lose_everything_once();
    }

    /// With the pre-shared key of the server, or another one.
    pub(crate) fn psk(&self, wrong: Option<&str>) -> Connect {
        let key = wrong.map_or(&self.keys.key[..], str::as_bytes);
        Connect::with_psk(&self.keys.identity, key)
    }

    /// The judge's own raw key.
    pub(crate) fn own(&self) -> Judged<Arc<SigningKey>> {
        let own = keys::private(&self.keys.own).map_err(|error| unusable("the judge's own key", &error))?;
        Ok(Arc::new(own))
    }

    /// The raw keys of the server.
    pub(crate) fn trusted(&self) -> Judged<TrustedKeys> {
        keys::public(&self.keys.trusted).map_err(|error| unusable("the server's key", &error))
    }

    /// Makes a handshake, and tells what it came to.
    ///
    /// # Errors
    /// [`Stop::Fail`] if nothing comes of it, [`Stop::Inconclusive`] when the case's time is over.
    pub(crate) fn handshake(&mut self, mut connect: Connect) -> Judged<Outcome> {
        connect.resume = false;
        let (now, path) = (self.line.now(), Path::to(self.server));
        let begun = self.line.dtls.connect(now, path, connect);
        begun.map_err(|error: ConnectError| {
            Stop::Inconclusive(format!("cannot begin a handshake: {error}"))
        })?;
        let within = self.line.handshake_time();
        let outcome = self.line.outcome(within)?;
        outcome.ok_or_else(|| {
            let seconds = within.as_secs();
            let what = format!("expected the end of the handshake, but it did not come within {seconds} s");
            Stop::fail(what, "RFC 6347 §4.2")
        })
    }

    /// Makes a handshake, which has to come to a session.
    ///
    /// # Errors
    /// [`Stop::Fail`] if it does not, [`Stop::Skip`] if the server says that it has nothing of what is offered.
    pub(crate) fn session(&mut self, connect: Connect) -> Judged<SessionId> {
        match self.handshake(connect)? {
            Outcome::Session(session) => Ok(session),
            Outcome::Failure(failure) => Err(self.not_established(&failure)),
        }
    }

    /// A server that has nothing of what is offered says so before it chooses anything.
    fn is_offered(&self, failure: &Failure) -> Judged {
        let says_so = [
            AlertDescription::HANDSHAKE_FAILURE,
            AlertDescription::UNSUPPORTED_CERTIFICATE,
        ];
        match failure.alert.filter(|alert| says_so.contains(alert)) {
            Some(alert) if failure.noticed_by == NoticedBy::Peer && !self.line.has_chosen() => {
                let what = format!(
                    "the server takes nothing of what is offered with CCM_8: it sent the alert {alert}"
                );
                Err(Stop::Skip(what))
            }
            _ => Ok(()),
        }
    }

    /// The finding that there is no session.
    pub(crate) fn not_established(&self, failure: &Failure) -> Stop {
        match self.is_offered(failure) {
            Err(skip) => skip,
            Ok(()) => Stop::fail(format!("expected a session, but: {failure}"), "RFC 7252 §9.1.3"),
        }
    }

    /// Makes a handshake, which the server has to refuse with an alert.
    ///
    /// # Errors
    /// [`Stop::Fail`] if it does not, or with another one.
    pub(crate) fn refusal(&mut self, connect: Connect, alert: AlertDescription) -> Judged {
        let failure = match self.handshake(connect)? {
            Outcome::Failure(failure) => failure,
            Outcome::Session(_) => {
                let what = format!("expected the alert {alert}, but there is a session");
                return Err(Stop::fail(what, None));
            }
        };
        self.is_offered(&failure)?;
        match (failure.noticed_by, failure.alert) {
            (NoticedBy::Peer, Some(came)) if came == alert => Ok(()),
            _ => Err(Stop::fail(
                format!("expected the alert {alert}, but: {failure}"),
                None,
            )),
        }
    }

    /// GET of a resource by a session, confirmable, and its response.
    ///
    /// # Errors
    /// [`Stop::Fail`] if none comes, or something else.
    pub(crate) fn get(&mut self, session: SessionId, path: &str) -> Judged<Received> {
        self.next_mid += 1;
        let get = Message::new(MessageType::Confirmable, Method::GET, self.next_mid).token(b"dtls");
        let path = self.map.get(path).map_or(path, String::as_str);
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        let get = segments.fold(get, |get, segment| {
            get.option(OptionNumber::URI_PATH, segment.as_bytes())
        });
        for attempt in 0..TRIES {
            self.line.send(session, &get.to_bytes())?;
            if let Some(response) = self.response(session, &get, ACK_TIMEOUT * 2_u32.pow(attempt))? {
                return Ok(response);
            }
        }
        let what = format!("expected a response to {get}, but nothing came");
        Err(Stop::fail(what, None))
    }

    fn response(&mut self, session: SessionId, get: &Message, within: Duration) -> Judged<Option<Received>> {
        let until = Instant::now() + within;
        loop {
            match self.line.hear(until)? {
                Some(Heard::Message(by, opened)) if by == session => {
                    let received = super::read(opened)?;
                    if received.is_con() {
                        let ack = Message::empty(MessageType::Acknowledgement, received.mid);
                        self.line.send(session, &ack.to_bytes())?;
                    }
                    if received.status().is_some() && received.token == get.token {
                        return Ok(Some(received));
                    }
                }
                Some(Heard::Failed(failure)) => {
                    return Err(Stop::fail(format!("the session ended: {failure}"), None));
                }
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// Everything of the server's handshake that was lost came again.
    ///
    /// # Errors
    /// [`Stop::Fail`] if something did not.
    pub(crate) fn everything_came_again(&self) -> Judged {
        self.line.everything_came_again()
    }
}

/// With raw keys.
pub(crate) fn raw(own: Arc<SigningKey>, trusted: TrustedKeys) -> Connect {
    let own = OwnKeys {
        certificate: None,
        raw_key: Some(own),
    };
    let trust = Trust {
        keys: trusted,
        ..Trust::default()
    };
    Connect::with_keys(own, Arc::new(trust))
}

fn unusable(what: &str, error: &dyn std::fmt::Display) -> Stop {
    Stop::Inconclusive(format!("{what} cannot be used: {error}"))
}

/// All addresses of this machine from where the server can be reached.
fn any(server: SocketAddr) -> SocketAddr {
    let any: IpAddr = match server.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => ip.into(),
        IpAddr::V6(ip) if ip.is_loopback() => ip.into(),
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(any, 0)
}
