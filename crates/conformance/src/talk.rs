//! One endpoint of the judge, whatever carries its messages: a socket, or connections.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use coracle_wire::{MessageType, Method};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::connections::Connections;
use crate::datagrams::{Datagrams, mid_of};
use crate::gateway::Gateway;
use crate::message::{Message, Received};
use crate::transcript::{Record, Transcript};
use crate::transport::{Opening, Transport};
use crate::verdict::{Judged, Stop};

/// ACK_TIMEOUT (RFC 7252 §4.8).
pub(crate) const ACK_TIMEOUT: Duration = Duration::from_secs(2);

/// MAX_RETRANSMIT (RFC 7252 §4.8).
pub(crate) const MAX_RETRANSMIT: u32 = 4;

/// How often it is looked whether the run is to end.
const LOOK: Duration = Duration::from_millis(200);

/// What every socket of one case shares.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Where everything is written down.
    pub(crate) transcript: Transcript,
    /// When the case has to be over.
    pub(crate) deadline: Instant,
    /// The lossy gateway is between both sides.
    pub(crate) lossy: bool,
    /// The run is to end now.
    pub(crate) stop: Arc<AtomicBool>,
}

/// What carries the messages.
#[derive(Debug)]
enum Carrier {
    Datagrams(Datagrams),
    Connections(Connections),
}

/// One endpoint of the judge, in one case.
#[derive(Debug)]
pub struct Talk {
    carrier: Carrier,
    transport: Transport,
    frame: Frame,
    inbox: VecDeque<Received>,
    raw: bool,
    next_mid: u16,
    random: ChaCha8Rng,
}

impl Talk {
    /// The judge as a client of a server. Datagrams come from `local`, at a port that the system gives.
    pub(crate) fn with_server(
        transport: Transport,
        local: SocketAddr,
        server: SocketAddr,
        opening: Opening,
        frame: &Frame,
    ) -> Judged<Talk> {
        let carrier = if transport.is_connected() {
            Carrier::Connections(Connections::connect(transport, server, opening, frame)?)
        } else {
            Carrier::Datagrams(Datagrams::bind(local, Some(server), frame)?)
        };
        Ok(Talk::new(carrier, transport, frame))
    }

    /// The judge as a server, on a port that the system gives.
    pub(crate) fn with_clients(
        transport: Transport,
        local: SocketAddr,
        opening: Opening,
        frame: &Frame,
    ) -> Judged<Talk> {
        let carrier = if transport.is_connected() {
            Carrier::Connections(Connections::listen(transport, local, opening, frame)?)
        } else {
            Carrier::Datagrams(Datagrams::bind(local, None, frame)?)
        };
        Ok(Talk::new(carrier, transport, frame))
    }

    /// An endpoint of datagrams that listens to everybody.
    pub(crate) fn bind(local: SocketAddr, frame: &Frame) -> Judged<Talk> {
        Talk::with_clients(Transport::Udp, local, Opening::Csm, frame)
    }

    fn new(carrier: Carrier, transport: Transport, frame: &Frame) -> Talk {
        // The keys of the standard library's maps are random: two sockets never begin alike.
        let seed = RandomState::new().build_hasher().finish();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        Talk {
            carrier,
            transport,
            frame: frame.clone(),
            inbox: VecDeque::new(),
            raw: false,
            next_mid: fold(random.next_u32()),
            random,
        }
    }

    /// Where this endpoint is.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        match &self.carrier {
            Carrier::Datagrams(datagrams) => datagrams.local(),
            Carrier::Connections(connections) => connections.local(),
        }
    }

    /// What carries its messages.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    pub(crate) fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Its connections.
    ///
    /// # Errors
    /// [`Stop::Inconclusive`] if it has none: a case runs over a transport that it is not for.
    pub(crate) fn connections(&mut self) -> Judged<&mut Connections> {
        match &mut self.carrier {
            Carrier::Connections(connections) => Ok(connections),
            Carrier::Datagrams(_) => Err(Stop::Inconclusive("the case is for connections".to_owned())),
        }
    }

    fn datagrams(&mut self) -> Option<&mut Datagrams> {
        match &mut self.carrier {
            Carrier::Datagrams(datagrams) => Some(datagrams),
            Carrier::Connections(_) => None,
        }
    }

    /// A lossy gateway is between both sides.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        match &self.carrier {
            Carrier::Datagrams(datagrams) => datagrams.gateway.is_some(),
            Carrier::Connections(_) => false,
        }
    }

    /// From now on the path loses what the case wants, also behind the lossy gateway: the next so many datagrams on
    /// their way to the subject and to the judge, and no more.
    pub fn lose(&mut self, to_subject: u64, to_judge: u64) {
        self.replace_gateway(Some(Gateway::Next { to_subject, to_judge }));
    }

    /// From now on nothing is done by itself: no repetition of what is not acknowledged, no second answer to what
    /// is repeated, no answer to a Ping. Every message is handed out.
    pub fn set_raw(&mut self, raw: bool) {
        self.raw = raw;
        if raw && let Some(datagrams) = self.datagrams() {
            datagrams.give_all_up();
        }
    }

    /// Puts another gateway, or none, in place of the one that is there.
    pub(crate) fn replace_gateway(&mut self, gateway: Option<Gateway>) -> Option<Gateway> {
        std::mem::replace(&mut self.datagrams()?.gateway, gateway)
    }

    /// A Message ID that was not used before.
    pub fn fresh_mid(&mut self) -> u16 {
        self.next_mid = self.next_mid.wrapping_add(1);
        self.next_mid
    }

    /// A token of four bytes that was not used before.
    pub fn fresh_token(&mut self) -> Vec<u8> {
        self.random.next_u32().to_be_bytes().to_vec()
    }

    /// A confirmable request with a fresh Message ID and token; in a connection there is neither type nor Message ID.
    pub(crate) fn new_request(&mut self, method: Method, path: &str) -> Message {
        let message = if self.transport.is_connected() {
            Message::new(MessageType::NonConfirmable, method, 0)
        } else {
            Message::new(MessageType::Confirmable, method, self.fresh_mid())
        };
        let message = message.token(&self.fresh_token());
        let (path, query) = path
            .split_once('?')
            .map_or((path, None), |(path, query)| (path, Some(query)));
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        let message = segments.fold(message, |message, segment| {
            message.option(coracle_wire::OptionNumber::URI_PATH, segment.as_bytes())
        });
        query
            .into_iter()
            .flat_map(|query| query.split('&'))
            .fold(message, Message::query)
    }

    /// The bytes of a message as this transport carries them.
    #[must_use]
    pub fn encoded(&self, message: &Message) -> Vec<u8> {
        match self.transport.framing() {
            Some(framing) => message.to_frame(framing),
            None => message.to_bytes(),
        }
    }

    /// Sends bytes, once: in a datagram, in a binary message of a WebSocket, or as they are in a TCP connection.
    pub(crate) fn transmit(&mut self, to: SocketAddr, bytes: &[u8]) -> usize {
        match &mut self.carrier {
            Carrier::Datagrams(datagrams) => datagrams.transmit(to, bytes),
            Carrier::Connections(connections) => connections.send(to, bytes),
        }
    }

    /// Sends a message, once.
    pub(crate) fn transmit_message(&mut self, to: SocketAddr, message: &Message) {
        let bytes = self.encoded(message);
        self.transmit(to, &bytes);
    }

    /// Sends a confirmable message again and again until it is acknowledged, as RFC 7252 §4.2 has it. A connection
    /// does that itself.
    pub(crate) fn transmit_reliably(&mut self, to: SocketAddr, message: &Message) {
        let bytes = self.encoded(message);
        self.transmit_bytes_reliably(to, message.mid, &bytes);
    }

    /// As [`transmit_reliably`](Self::transmit_reliably), for bytes that need not be a message.
    pub(crate) fn transmit_bytes_reliably(&mut self, to: SocketAddr, mid: u16, bytes: &[u8]) {
        match &mut self.carrier {
            Carrier::Datagrams(datagrams) if !self.raw => datagrams.transmit_reliably(to, mid, bytes),
            Carrier::Datagrams(_) | Carrier::Connections(_) => drop(self.transmit(to, bytes)),
        }
    }

    /// Stops repeating a message.
    pub(crate) fn give_up(&mut self, mid: u16) {
        if let Some(datagrams) = self.datagrams() {
            datagrams.give_up(mid);
        }
    }

    /// Sends an answer to a message, and keeps it for copies of that message.
    pub(crate) fn transmit_reply(&mut self, to: &Received, answer: &Message) {
        let bytes = self.encoded(answer);
        match &mut self.carrier {
            Carrier::Datagrams(datagrams) => datagrams.transmit_reply(to, &bytes),
            Carrier::Connections(connections) => drop(connections.send(to.from, &bytes)),
        }
    }

    /// Acknowledges a message with an empty acknowledgement.
    pub fn acknowledge(&mut self, message: &Received) {
        let ack = Message::empty(MessageType::Acknowledgement, message.message.mid);
        self.transmit_reply(message, &ack);
    }

    /// Rejects a message with a Reset.
    pub fn reset(&mut self, message: &Received) {
        let reset = Message::empty(MessageType::Reset, message.message.mid);
        self.transmit_reply(message, &reset);
    }

    /// Whether it acknowledges or rejects an earlier message of this endpoint than the one with this Message ID: it is
    /// late, and belongs to what is over.
    pub(crate) fn is_late(&self, message: &Received, mid: u16) -> bool {
        let replies = [MessageType::Acknowledgement, MessageType::Reset].contains(&message.message_type);
        let records = self.frame.transcript.records();
        let sent = |record: &Record| record.by_judge && record.from == self.local();
        replies
            && message.mid != mid
            && records
                .iter()
                .any(|record| sent(record) && mid_of(&record.bytes) == Some(message.mid))
    }

    /// Puts a message back, to be received later.
    pub(crate) fn keep(&mut self, message: Received) {
        self.inbox.push_back(message);
    }

    /// The next message, or nothing when the time is over.
    ///
    /// # Errors
    /// [`Stop::Fail`] if it is malformed, [`Stop::Inconclusive`] when the case's time is over.
    pub fn receive(&mut self, within: Duration) -> Judged<Option<Received>> {
        if let Some(message) = self.inbox.pop_front() {
            return Ok(Some(message));
        }
        self.receive_new(within)
    }

    /// As [`receive`](Self::receive), but what was put back waits on.
    pub(crate) fn receive_new(&mut self, within: Duration) -> Judged<Option<Received>> {
        let until = Instant::now() + within;
        loop {
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
            let wake = until.min(self.frame.deadline).min(now + LOOK);
            let wait = wake.saturating_duration_since(now).max(Duration::from_millis(1));
            let message = match &mut self.carrier {
                Carrier::Datagrams(datagrams) => datagrams.step(wait, self.raw)?,
                Carrier::Connections(connections) => connections.step(wait, self.raw)?,
            };
            if message.is_some() {
                return Ok(message);
            }
        }
    }

    /// The next message, which has to come.
    ///
    /// # Errors
    /// As [`receive`](Self::receive), and [`Stop::Fail`] if none comes.
    pub fn expect_message(&mut self, within: Duration, what: &str) -> Judged<Received> {
        match self.receive(within)? {
            Some(message) => Ok(message),
            None => Err(self.nothing_came(within, what)),
        }
    }

    /// The finding that something is missing.
    pub(crate) fn nothing_came(&self, within: Duration, what: &str) -> Stop {
        let stray = match &self.carrier {
            Carrier::Datagrams(datagrams) => datagrams.stray(),
            Carrier::Connections(_) => None,
        };
        match stray {
            Some((index, from)) => Stop::fail_at(
                index,
                format!("expected {what}, but it came from {from}, which nobody asked"),
                "RFC 7252 §5.3.2",
            ),
            None => Stop::fail(
                format!(
                    "expected {what}, but nothing came within {:.1} s",
                    within.as_secs_f64()
                ),
                None,
            ),
        }
    }

    /// Nothing may come for some time.
    ///
    /// # Errors
    /// [`Stop::Fail`] with the message that came.
    pub fn expect_silence(&mut self, within: Duration, section: impl Into<Option<&'static str>>) -> Judged {
        match self.receive(within)? {
            None => Ok(()),
            Some(message) => {
                message.expect(false, "silence", section)?;
                Ok(())
            }
        }
    }
}

fn fold(random: u32) -> u16 {
    let [a, b, _, _] = random.to_be_bytes();
    u16::from_be_bytes([a, b])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::datagrams::FLOOD;
    use std::net::UdpSocket;

    /// An endpoint of the judge, and the subject it talks to.
    fn pair() -> (Talk, UdpSocket) {
        let frame = Frame {
            transcript: Transcript::begin(),
            deadline: Instant::now() + Duration::from_secs(60),
            lossy: false,
            stop: Arc::default(),
        };
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let subject = UdpSocket::bind(loopback).unwrap();
        let server = subject.local_addr().unwrap();
        let talk = Talk::with_server(Transport::Udp, loopback, server, Opening::Csm, &frame).unwrap();
        (talk, subject)
    }

    /// What comes next has this Message ID.
    fn next_mid(talk: &mut Talk) -> u16 {
        talk.receive(Duration::from_secs(10)).unwrap().unwrap().mid
    }

    const GET: &[u8] = b"\x40\x01\x00\x07";
    const ACK: &[u8] = b"\x60\x45\x00\x07";
    const OTHER: &[u8] = b"\x60\x45\x00\x08";

    #[test]
    fn a_reply_that_comes_twice_is_handed_out_once_per_request_of_the_case() {
        let (mut talk, subject) = pair();
        let (judge, to) = (talk.local(), subject.local_addr().unwrap());
        talk.transmit(to, GET);
        for reply in [ACK, ACK, OTHER] {
            subject.send_to(reply, judge).unwrap();
        }
        assert_eq!([next_mid(&mut talk), next_mid(&mut talk)], [7, 8]);
        talk.transmit(to, GET);
        subject.send_to(ACK, judge).unwrap();
        assert_eq!(next_mid(&mut talk), 7, "the copy was sent on purpose");
        talk.set_raw(true);
        subject.send_to(ACK, judge).unwrap();
        assert_eq!(next_mid(&mut talk), 7, "in raw nothing is done by itself");
    }

    #[test]
    fn a_reply_to_what_is_over_is_late() {
        let (mut talk, subject) = pair();
        let (judge, to) = (talk.local(), subject.local_addr().unwrap());
        talk.transmit(to, GET);
        for reply in [ACK, OTHER] {
            subject.send_to(reply, judge).unwrap();
        }
        let [seven, eight] = [0, 1].map(|_| talk.receive(Duration::from_secs(10)).unwrap().unwrap());
        assert!(talk.is_late(&seven, 9) && !talk.is_late(&seven, 7));
        assert!(!talk.is_late(&eight, 9), "no such message was ever sent");
    }

    #[test]
    fn a_flood_ends_the_case() {
        let (mut talk, subject) = pair();
        let judge = talk.local();
        let ended = (0_u16..=u16::MAX).find_map(|mid| {
            let [high, low] = mid.to_be_bytes();
            let mut non = vec![0x50, 0x45, high, low, 0xff];
            non.resize(1_000, 1);
            subject.send_to(&non, judge).unwrap();
            talk.receive_new(Duration::from_secs(10)).err()
        });
        assert!(matches!(ended, Some(Stop::Inconclusive(why)) if why.contains("flood")));
        let (taken, seen) = talk.datagrams().unwrap().held();
        assert!(taken <= FLOOD.0 + 1 && seen <= FLOOD.0);
    }
}
