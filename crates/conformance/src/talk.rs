//! One socket of the judge: sends, receives, repeats what is confirmable, answers what is repeated.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use coracle_wire::{MessageType, Method};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::gateway::Gateway;
use crate::message::{Message, Received};
use crate::transcript::{Fate, Record, Transcript};
use crate::verdict::{Judged, Stop};

/// ACK_TIMEOUT (RFC 7252 §4.8).
pub(crate) const ACK_TIMEOUT: Duration = Duration::from_secs(2);

/// MAX_RETRANSMIT (RFC 7252 §4.8).
const MAX_RETRANSMIT: u32 = 4;

/// More than fits into a datagram, so that nothing is cut off unseen.
const MAX_DATAGRAM: usize = 65_536;

/// How many datagrams one endpoint takes in, and how many bytes: more than any case needs, a transfer in the smallest
/// blocks too, and little enough to be kept in memory.
const FLOOD: (usize, usize) = (20_000, 16 << 20);

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

/// A confirmable message of ours that nobody has acknowledged yet.
#[derive(Debug)]
struct Outstanding {
    mid: u16,
    to: SocketAddr,
    bytes: Vec<u8>,
    next: Instant,
    timeout: Duration,
    left: u32,
}

/// A message of the subject, and what it was answered with: a copy of it is answered alike (RFC 7252 §4.5).
#[derive(Debug)]
struct Seen {
    bytes: Vec<u8>,
    reply: Option<Vec<u8>>,
}

/// One endpoint of the judge, in one case.
#[derive(Debug)]
pub struct Talk {
    socket: UdpSocket,
    local: SocketAddr,
    /// The only address that is listened to, if there is one; where messages go to otherwise is said each time.
    peer: Option<SocketAddr>,
    frame: Frame,
    gateway: Option<Gateway>,
    outstanding: Vec<Outstanding>,
    seen: HashMap<(SocketAddr, u16), Seen>,
    /// The latest acknowledgement or Reset of each Message ID, until the case itself sends that Message ID again.
    replies: HashMap<(SocketAddr, u16), Vec<u8>>,
    /// How many datagrams came, and how many bytes.
    taken: (usize, usize),
    inbox: VecDeque<Received>,
    stray: Option<(usize, SocketAddr)>,
    raw: bool,
    next_mid: u16,
    random: ChaCha8Rng,
}

impl Talk {
    /// Binds a socket on a port that the system gives.
    pub(crate) fn bind(local: SocketAddr, peer: Option<SocketAddr>, frame: &Frame) -> Judged<Talk> {
        let broken = |error| Stop::Inconclusive(format!("cannot bind a socket: {error}"));
        let socket = UdpSocket::bind(local).map_err(broken)?;
        let local = socket.local_addr().map_err(broken)?;
        // The keys of the standard library's maps are random: two sockets never begin alike.
        let seed = RandomState::new().build_hasher().finish();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        Ok(Talk {
            socket,
            local,
            peer,
            frame: frame.clone(),
            gateway: frame.lossy.then(Gateway::default),
            outstanding: Vec::new(),
            seen: HashMap::new(),
            replies: HashMap::new(),
            taken: (0, 0),
            inbox: VecDeque::new(),
            stray: None,
            raw: false,
            next_mid: fold(random.next_u32()),
            random,
        })
    }

    /// Where this endpoint is.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    pub(crate) fn frame(&self) -> &Frame {
        &self.frame
    }

    /// A lossy gateway is between both sides.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        self.gateway.is_some()
    }

    /// From now on the path loses what the case wants, also behind the lossy gateway: the next so many datagrams on
    /// their way to the subject and to the judge, and no more.
    pub fn lose(&mut self, to_subject: u64, to_judge: u64) {
        self.gateway = Some(Gateway::Next { to_subject, to_judge });
    }

    /// From now on nothing is done by itself: no repetition of what is not acknowledged, no second answer to what
    /// is repeated. Every datagram is handed out.
    pub fn set_raw(&mut self, raw: bool) {
        self.raw = raw;
        if raw {
            self.outstanding.clear();
        }
    }

    /// Puts another gateway, or none, in place of the one that is there.
    pub(crate) fn replace_gateway(&mut self, gateway: Option<Gateway>) -> Option<Gateway> {
        std::mem::replace(&mut self.gateway, gateway)
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

    /// A confirmable request with a fresh Message ID and token.
    pub(crate) fn new_request(&mut self, method: Method, path: &str) -> Message {
        let message = Message::new(MessageType::Confirmable, method, self.fresh_mid());
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

    /// Sends bytes, once.
    pub(crate) fn transmit(&mut self, to: SocketAddr, bytes: &[u8]) -> usize {
        if let Some(mid) = mid_of(bytes) {
            // Whoever sends it on purpose wants to see what comes for it, alike or not.
            self.replies.remove(&(to, mid));
        }
        self.put_out(to, bytes)
    }

    fn put_out(&mut self, to: SocketAddr, bytes: &[u8]) -> usize {
        let passes = self
            .gateway
            .as_mut()
            .is_none_or(|gateway| gateway.passes(true, bytes));
        let fate = if passes { Fate::Passed } else { Fate::Lost };
        let index = self.frame.transcript.push(true, self.local, to, bytes, fate);
        if passes {
            // What the system refuses to send is lost; the record shows that it was tried.
            let _ = self.socket.send_to(bytes, to);
        }
        index
    }

    /// Sends a confirmable message again and again until it is acknowledged, as RFC 7252 §4.2 has it.
    pub(crate) fn transmit_reliably(&mut self, to: SocketAddr, message: &Message) {
        self.transmit_bytes_reliably(to, message.mid, &message.to_bytes());
    }

    /// As [`transmit_reliably`](Self::transmit_reliably), for bytes that need not be a message.
    pub(crate) fn transmit_bytes_reliably(&mut self, to: SocketAddr, mid: u16, bytes: &[u8]) {
        self.transmit(to, bytes);
        if !self.raw {
            self.outstanding.push(Outstanding {
                mid,
                to,
                bytes: bytes.to_vec(),
                next: Instant::now() + ACK_TIMEOUT,
                timeout: ACK_TIMEOUT,
                left: MAX_RETRANSMIT,
            });
        }
    }

    /// Stops repeating a message.
    pub(crate) fn give_up(&mut self, mid: u16) {
        self.outstanding.retain(|outstanding| outstanding.mid != mid);
    }

    /// Sends an answer to a message, and keeps it for copies of that message.
    pub(crate) fn transmit_reply(&mut self, to: &Received, bytes: &[u8]) {
        self.transmit(to.from, bytes);
        if let Some(seen) = self.seen.get_mut(&(to.from, to.message.mid)) {
            seen.reply = Some(bytes.to_vec());
        }
    }

    /// Acknowledges a message with an empty acknowledgement.
    pub fn acknowledge(&mut self, message: &Received) {
        let ack = Message::empty(MessageType::Acknowledgement, message.message.mid);
        self.transmit_reply(message, &ack.to_bytes());
    }

    /// Rejects a message with a Reset.
    pub fn reset(&mut self, message: &Received) {
        let reset = Message::empty(MessageType::Reset, message.message.mid);
        self.transmit_reply(message, &reset.to_bytes());
    }

    /// Whether it acknowledges or rejects an earlier message of this endpoint than the one with this Message ID: it is
    /// late, and belongs to what is over.
    pub(crate) fn is_late(&self, message: &Received, mid: u16) -> bool {
        let replies = [MessageType::Acknowledgement, MessageType::Reset].contains(&message.message_type);
        let records = self.frame.transcript.records();
        let sent = |record: &Record| record.by_judge && record.from == self.local;
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
            self.repeat(now);
            let due = self.outstanding.iter().map(|outstanding| outstanding.next);
            let wake = due
                .chain([until, self.frame.deadline, now + LOOK])
                .min()
                .unwrap_or(until);
            let wait = wake.saturating_duration_since(now).max(Duration::from_millis(1));
            if let Some((bytes, from)) = self.receive_datagram(wait)?
                && let Some(message) = self.take(&bytes, from)?
            {
                return Ok(Some(message));
            }
        }
    }

    fn receive_datagram(&mut self, wait: Duration) -> Judged<Option<(Vec<u8>, SocketAddr)>> {
        let broken = |error| Stop::Inconclusive(format!("the socket failed: {error}"));
        self.socket.set_read_timeout(Some(wait)).map_err(broken)?;
        let mut buf = vec![0; MAX_DATAGRAM];
        match self.socket.recv_from(&mut buf) {
            Ok((length, from)) => {
                buf.truncate(length);
                Ok(Some((buf, from)))
            }
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
                Ok(None)
            }
            Err(error) => Err(broken(error)),
        }
    }

    /// A datagram came: writes it down, reads it, and does what is done by itself. Nothing is handed out for what
    /// was lost, came from elsewhere, or is a copy.
    fn take(&mut self, bytes: &[u8], from: SocketAddr) -> Judged<Option<Received>> {
        let at = self.frame.transcript.elapsed();
        self.count(bytes.len())?;
        if self.peer.is_some_and(|peer| peer != from) {
            let index = self
                .frame
                .transcript
                .push(false, from, self.local, bytes, Fate::Stray);
            self.stray = Some((index, from));
            return Ok(None);
        }
        let passes = self
            .gateway
            .as_mut()
            .is_none_or(|gateway| gateway.passes(false, bytes));
        let fate = if passes { Fate::Passed } else { Fate::Lost };
        let index = self.frame.transcript.push(false, from, self.local, bytes, fate);
        if !passes {
            return Ok(None);
        }
        let message = Message::parse(bytes).map_err(|error| {
            Stop::fail_at(
                index,
                format!("expected a well-formed message: {error}"),
                "RFC 7252 §3",
            )
        })?;
        if matches!(
            message.message_type,
            MessageType::Acknowledgement | MessageType::Reset
        ) {
            self.give_up(message.mid);
            if self.is_reply_again(from, message.mid, bytes) {
                return Ok(None);
            }
        } else if self.is_copy(from, &message, bytes) {
            return Ok(None);
        }
        Ok(Some(Received {
            message,
            index,
            at,
            from,
        }))
    }

    /// A subject that floods ends the case before it fills the memory.
    fn count(&mut self, length: usize) -> Judged {
        let (datagrams, bytes) = &mut self.taken;
        *datagrams += 1;
        *bytes += length;
        if *datagrams > FLOOD.0 || *bytes > FLOOD.1 {
            let what = format!("a flood: {datagrams} datagrams with {bytes} bytes came");
            return Err(Stop::Inconclusive(what));
        }
        Ok(())
    }

    /// The reply to a repetition that crossed with the first reply, or that the network doubled.
    fn is_reply_again(&mut self, from: SocketAddr, mid: u16, bytes: &[u8]) -> bool {
        if self.raw {
            return false;
        }
        let before = self.replies.insert((from, mid), bytes.to_vec());
        before.is_some_and(|before| before == bytes)
    }

    /// Answers a copy of a message as the message was answered.
    fn is_copy(&mut self, from: SocketAddr, message: &Message, bytes: &[u8]) -> bool {
        if self.raw {
            return false;
        }
        let key = (from, message.mid);
        if let Some(seen) = self.seen.get(&key)
            && seen.bytes == bytes
        {
            if let Some(reply) = seen.reply.clone() {
                self.transmit(from, &reply);
            }
            return true;
        }
        let seen = Seen {
            bytes: bytes.to_vec(),
            reply: None,
        };
        self.seen.insert(key, seen);
        false
    }

    /// Sends again what is not acknowledged in time.
    fn repeat(&mut self, now: Instant) {
        let mut due = Vec::new();
        for outstanding in &mut self.outstanding {
            if outstanding.next <= now {
                outstanding.timeout *= 2;
                outstanding.next = now + outstanding.timeout;
                outstanding.left = outstanding.left.saturating_sub(1);
                due.push((outstanding.to, outstanding.bytes.clone()));
            }
        }
        self.outstanding.retain(|outstanding| outstanding.left > 0);
        for (to, bytes) in due {
            self.put_out(to, &bytes);
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
        match self.stray {
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

/// The bytes of a header where a Message ID stands (RFC 7252 §3).
pub(crate) fn mid_of(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))
}

fn fold(random: u32) -> u16 {
    let [a, b, _, _] = random.to_be_bytes();
    u16::from_be_bytes([a, b])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

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
        let talk = Talk::bind(loopback, Some(subject.local_addr().unwrap()), &frame).unwrap();
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
        assert!(talk.taken.0 <= FLOOD.0 + 1 && talk.seen.len() <= FLOOD.0);
    }
}
