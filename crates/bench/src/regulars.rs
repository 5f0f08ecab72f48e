//! Peers that behave well: they prove their addresses, have one request outstanding, and repeat it as RFC 7252 §4.2
//! says.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use coracle_wire::{CodeKind, Message, MessageId, Method, OptionNumber};

use crate::crowd::Crowd;
use crate::datagrams::{LONGEST, path, request};
use crate::subjects::site;

/// The address of the first of them.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 16, 0, 1);

/// From one request of a peer to its next.
const EVERY: Duration = Duration::from_millis(100);

/// ACK_TIMEOUT (RFC 7252 §4.8); it doubles each time.
const ACK_TIMEOUT: Duration = Duration::from_secs(2);

/// An answer that comes later is none.
const GIVE_UP_AFTER: Duration = Duration::from_secs(20);

/// How long proving may take.
const PROVING: Duration = Duration::from_secs(5);

/// What they ask for, in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Large,
    Unsafe,
    /// Changes the observed state; asked for by hand.
    Change,
}

struct Outstanding {
    kind: Kind,
    begun: Instant,
    /// When it is sent again, and how long after the last time that is.
    again_at: Instant,
    timeout: Duration,
}

struct Regular {
    address: Ipv4Addr,
    id: u16,
    echo: Vec<u8>,
    outstanding: Option<Outstanding>,
    next_at: Instant,
    /// Of the next request.
    kind: Kind,
}

/// All of them, behind one socket.
pub(crate) struct Regulars {
    crowd: Crowd,
    peers: Vec<Regular>,
    pub(crate) asked: u64,
    pub(crate) answered: u64,
    /// How often a request was repeated.
    pub(crate) again: u64,
}

impl Regulars {
    pub(crate) const COUNT: u32 = 16;

    /// To be called within a tokio runtime.
    pub(crate) fn new(server: SocketAddr) -> io::Result<Regulars> {
        let peer = |place| Regular {
            address: Ipv4Addr::from_bits(FIRST.to_bits() + place),
            id: 0,
            echo: Vec::new(),
            outstanding: None,
            next_at: Instant::now(),
            kind: Kind::Large,
        };
        Ok(Regulars {
            crowd: Crowd::new(server)?,
            peers: (0..Self::COUNT).map(peer).collect(),
            asked: 0,
            answered: 0,
            again: 0,
        })
    }

    /// Has all of them answered something large, for which they have to prove their addresses if the server wants it.
    pub(crate) async fn prove(&mut self) -> io::Result<()> {
        let started = Instant::now();
        while self.answered < u64::from(Self::COUNT) {
            let is_first = self.asked < u64::from(Self::COUNT);
            self.work(is_first).await?;
            if started.elapsed() >= PROVING {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "peers cannot prove their addresses",
                ));
            }
            tokio::task::yield_now().await;
        }
        (self.asked, self.answered, self.again) = (0, 0, 0);
        Ok(())
    }

    /// Whether nothing is outstanding.
    pub(crate) fn is_idle(&self) -> bool {
        self.peers.iter().all(|peer| peer.outstanding.is_none())
    }

    /// The next request of the first peer changes the observed state.
    pub(crate) fn change_state(&mut self) {
        if let Some(peer) = self.peers.first_mut() {
            peer.kind = Kind::Change;
        }
    }

    /// Does what is due; with `goes_on` new requests, too.
    pub(crate) async fn work(&mut self, goes_on: bool) -> io::Result<()> {
        self.receive()?;
        let now = Instant::now();
        for place in 0..self.peers.len() {
            let Some(peer) = self.peers.get_mut(place) else {
                continue;
            };
            match &mut peer.outstanding {
                Some(outstanding) if now.duration_since(outstanding.begun) >= GIVE_UP_AFTER => {
                    peer.outstanding = None;
                }
                Some(outstanding) if now >= outstanding.again_at => {
                    outstanding.timeout *= 2;
                    outstanding.again_at = now + outstanding.timeout;
                    self.again += 1;
                    self.send(place).await?;
                }
                None if goes_on && now >= peer.next_at => {
                    peer.begin(now);
                    self.asked += 1;
                    self.send(place).await?;
                }
                Some(_) | None => {}
            }
        }
        self.crowd.flush().await
    }

    async fn send(&mut self, place: usize) -> io::Result<()> {
        let Some(peer) = self.peers.get(place) else {
            return Ok(());
        };
        let Some(outstanding) = &peer.outstanding else {
            return Ok(());
        };
        let (method, segment, payload): (Method, &str, &[u8]) = match outstanding.kind {
            Kind::Large => (Method::GET, "large", &[]),
            Kind::Unsafe => (Method::POST, "log", b"once"),
            Kind::Change => (Method::POST, "state", &[]),
        };
        let mut options = path(segment);
        if !peer.echo.is_empty() {
            options
                .insert(OptionNumber::ECHO, &peer.echo)
                .map_err(io::Error::other)?;
        }
        let mut datagram = [0; LONGEST];
        let len = request(
            method,
            peer.id,
            *b"regu",
            options.as_options(),
            payload,
            &mut datagram,
        );
        let address = peer.address;
        self.crowd
            .send(address, datagram.get(..len).unwrap_or_default())
            .await
    }

    fn receive(&mut self) -> io::Result<()> {
        let (peers, answered) = (&mut self.peers, &mut self.answered);
        self.crowd.receive(|local, datagram| {
            let place = local.to_bits().wrapping_sub(FIRST.to_bits());
            if let (Some(peer), Ok(answer)) = (peers.get_mut(place as usize), Message::parse(datagram)) {
                *answered += u64::from(peer.takes(&answer));
            }
        })?;
        Ok(())
    }
}

impl Regular {
    fn begin(&mut self, now: Instant) {
        self.id += 1;
        self.outstanding = Some(Outstanding {
            kind: self.kind,
            begun: now,
            again_at: now + ACK_TIMEOUT,
            timeout: ACK_TIMEOUT,
        });
        self.next_at = now + EVERY;
        self.kind = match self.kind {
            Kind::Large => Kind::Unsafe,
            Kind::Unsafe | Kind::Change => Kind::Large,
        };
    }

    /// Whether a message answers the outstanding request as it should. Asks again at once where the server wants to see
    /// an Echo option first, or has cut its answer for want of it (RFC 9175 §2.3).
    fn takes(&mut self, answer: &Message<'_>) -> bool {
        let is_mine = answer.message_id == MessageId(self.id) && answer.token == b"regu";
        let Some(outstanding) = self.outstanding.as_mut().filter(|_| is_mine) else {
            return false;
        };
        let is_success = matches!(answer.code.kind(), CodeKind::Response(status) if status.is_success());
        let is_whole = outstanding.kind != Kind::Large || answer.payload.len() == site::LARGE;
        let echo = answer.options.get(OptionNumber::ECHO);
        if let Some(echo) = echo {
            self.echo = echo.to_vec();
        }
        if is_success && is_whole {
            self.outstanding = None;
            return true;
        }
        if echo.is_some() {
            self.id += 1;
            outstanding.again_at = Instant::now();
            outstanding.timeout = ACK_TIMEOUT / 2;
        } else {
            self.outstanding = None;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> Regular {
        Regular {
            address: FIRST,
            id: 0,
            echo: Vec::new(),
            outstanding: None,
            next_at: Instant::now(),
            kind: Kind::Large,
        }
    }

    fn takes(peer: &mut Regular, datagram: &[u8]) -> bool {
        peer.takes(&Message::parse(datagram).unwrap())
    }

    #[test]
    fn a_challenge_is_answered_with_its_echo() {
        let mut peer = peer();
        peer.begin(Instant::now());
        // 4.01 with an Echo option of two bytes.
        assert!(!takes(&mut peer, b"\x64\x81\x00\x01regu\xd2\xefab"));
        assert_eq!((peer.echo.as_slice(), peer.id), (&b"ab"[..], 2));
        assert!(peer.outstanding.as_ref().unwrap().again_at <= Instant::now());
        let whole = [b"\x64\x45\x00\x02regu\xff".to_vec(), vec![b'x'; site::LARGE]].concat();
        assert!(takes(&mut peer, &whole));
        assert!(peer.outstanding.is_none());
    }

    #[test]
    fn errors_and_answers_to_others_do_not_count() {
        let mut peer = peer();
        peer.begin(Instant::now());
        assert!(!takes(&mut peer, b"\x64\x45\x00\x07regu"));
        assert!(peer.outstanding.is_some());
        assert!(!takes(&mut peer, b"\x64\xa3\x00\x01regu"));
        assert!(peer.outstanding.is_none());
    }
}
