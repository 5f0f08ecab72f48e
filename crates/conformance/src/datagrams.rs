//! The datagrams of one endpoint of the judge: repeats what is confirmable, answers what is repeated.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use coracle_wire::MessageType;

use crate::gateway::Gateway;
use crate::message::{Message, Received};
use crate::talk::{ACK_TIMEOUT, Frame, MAX_RETRANSMIT};
use crate::transcript::{Fate, Transcript};
use crate::verdict::{Judged, Stop};

/// More than fits into a datagram, so that nothing is cut off unseen.
const MAX_DATAGRAM: usize = 65_536;

/// How many datagrams one endpoint takes in, and how many bytes: more than any case needs, a transfer in the smallest
/// blocks too, and little enough to be kept in memory.
pub(crate) const FLOOD: (usize, usize) = (20_000, 16 << 20);

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

/// A socket, and what is under way.
#[derive(Debug)]
pub(crate) struct Datagrams {
    socket: UdpSocket,
    local: SocketAddr,
    /// The only address that is listened to, if there is one; where messages go to otherwise is said each time.
    peer: Option<SocketAddr>,
    transcript: Transcript,
    pub(crate) gateway: Option<Gateway>,
    outstanding: Vec<Outstanding>,
    seen: HashMap<(SocketAddr, u16), Seen>,
    /// The latest acknowledgement or Reset of each Message ID, until the case itself sends that Message ID again.
    replies: HashMap<(SocketAddr, u16), Vec<u8>>,
    /// How many datagrams came, and how many bytes.
    taken: (usize, usize),
    stray: Option<(usize, SocketAddr)>,
}

impl Datagrams {
    /// Binds a socket on a port that the system gives.
    pub(crate) fn bind(local: SocketAddr, peer: Option<SocketAddr>, frame: &Frame) -> Judged<Datagrams> {
        let broken = |error| Stop::Inconclusive(format!("cannot bind a socket: {error}"));
        let socket = UdpSocket::bind(local).map_err(broken)?;
        let local = socket.local_addr().map_err(broken)?;
        Ok(Datagrams {
            socket,
            local,
            peer,
            transcript: frame.transcript.clone(),
            gateway: frame.lossy.then(Gateway::default),
            outstanding: Vec::new(),
            seen: HashMap::new(),
            replies: HashMap::new(),
            taken: (0, 0),
            stray: None,
        })
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// What came from an address that nobody was asked at.
    pub(crate) fn stray(&self) -> Option<(usize, SocketAddr)> {
        self.stray
    }

    /// How many datagrams came, and how many of them are remembered.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.taken.0, self.seen.len())
    }

    /// Repeats nothing any more.
    pub(crate) fn give_all_up(&mut self) {
        self.outstanding.clear();
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
        let index = self.transcript.push(true, self.local, to, bytes, fate);
        if passes {
            // What the system refuses to send is lost; the record shows that it was tried.
            let _ = self.socket.send_to(bytes, to);
        }
        index
    }

    /// Sends a confirmable message again and again until it is acknowledged, as RFC 7252 §4.2 has it.
    pub(crate) fn transmit_reliably(&mut self, to: SocketAddr, mid: u16, bytes: &[u8]) {
        self.transmit(to, bytes);
        self.outstanding.push(Outstanding {
            mid,
            to,
            bytes: bytes.to_vec(),
            next: Instant::now() + ACK_TIMEOUT,
            timeout: ACK_TIMEOUT,
            left: MAX_RETRANSMIT,
        });
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

    /// Repeats what is due, and waits for the next message, or until the next repetition.
    pub(crate) fn step(&mut self, wait: Duration, raw: bool) -> Judged<Option<Received>> {
        let now = Instant::now();
        self.repeat(now);
        let due = self.outstanding.iter().map(|outstanding| outstanding.next);
        let wake = due.chain([now + wait]).min().unwrap_or(now);
        let wait = wake.saturating_duration_since(now).max(Duration::from_millis(1));
        match self.receive_datagram(wait)? {
            Some((bytes, from)) => self.take(&bytes, from, raw),
            None => Ok(None),
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
    fn take(&mut self, bytes: &[u8], from: SocketAddr, raw: bool) -> Judged<Option<Received>> {
        let at = self.transcript.elapsed();
        self.count(bytes.len())?;
        if self.peer.is_some_and(|peer| peer != from) {
            let index = self.transcript.push(false, from, self.local, bytes, Fate::Stray);
            self.stray = Some((index, from));
            return Ok(None);
        }
        let passes = self
            .gateway
            .as_mut()
            .is_none_or(|gateway| gateway.passes(false, bytes));
        let fate = if passes { Fate::Passed } else { Fate::Lost };
        let index = self.transcript.push(false, from, self.local, bytes, fate);
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
            if !raw && self.is_reply_again(from, message.mid, bytes) {
                return Ok(None);
            }
        } else if !raw && self.is_copy(from, &message, bytes) {
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
        let before = self.replies.insert((from, mid), bytes.to_vec());
        before.is_some_and(|before| before == bytes)
    }

    /// Answers a copy of a message as the message was answered.
    fn is_copy(&mut self, from: SocketAddr, message: &Message, bytes: &[u8]) -> bool {
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
}

/// The bytes of a header where a Message ID stands (RFC 7252 §3).
pub(crate) fn mid_of(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))
}
