//! What went over the wire while a case ran.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use coracle_wire::{Framing, Message, MessageError};

use crate::sessions::records;
use crate::websocket::{Head, Opcode, WsFrame};

/// What a record shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The payload of a datagram.
    Datagram,
    /// Bytes of a TCP connection: a frame as a rule (RFC 8323 §3.2).
    Tcp,
    /// Bytes of a TCP connection that carries a WebSocket: a frame of it, or the head of its handshake.
    WebSocket,
    /// The payload of a datagram with records of DTLS that hold no message.
    Records,
    /// The sender closes its side of the connection.
    End,
    /// The sender resets the connection.
    Reset,
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was passed on.
    Passed,
    /// The lossy gateway took it away.
    Lost,
    /// It came from an address that nobody was asked at.
    Stray,
}

/// One datagram, or a piece of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is.
    pub form: Form,
    /// When, since the case began.
    pub at: Duration,
    /// When, by the wall clock.
    pub time: SystemTime,
    /// Whether the judge sent it; otherwise the subject did.
    pub by_judge: bool,
    /// Who sent it.
    pub from: SocketAddr,
    /// Where it went.
    pub to: SocketAddr,
    /// What was sent: one CoAP message as a rule, as its form has it.
    pub bytes: Vec<u8>,
    /// What became of it.
    pub fate: Fate,
}

impl Record {
    /// The bytes of the CoAP message that it shows, if it shows one.
    #[must_use]
    pub fn message_bytes(&self) -> Option<Cow<'_, [u8]>> {
        match self.form {
            Form::Datagram | Form::Tcp => Some(Cow::Borrowed(&self.bytes)),
            Form::WebSocket => match WsFrame::read(&self.bytes) {
                Some((frame, length)) if frame.opcode == Opcode::BINARY && length == self.bytes.len() => {
                    Some(Cow::Owned(frame.payload))
                }
                _ => None,
            },
            Form::Records | Form::End | Form::Reset => None,
        }
    }

    /// Reads the bytes of the message that it shows.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse<'b>(&self, bytes: &'b [u8]) -> Result<Message<'b>, MessageError> {
        match self.form {
            Form::Tcp => Message::parse_frame(Framing::Tcp, bytes),
            Form::WebSocket => Message::parse_frame(Framing::WebSocket, bytes),
            Form::Datagram | Form::Records | Form::End | Form::Reset => Message::parse(bytes),
        }
    }

    /// What it is, in words, if it shows no CoAP message.
    #[must_use]
    pub fn described(&self) -> String {
        match self.form {
            Form::Records => records::described(&self.bytes),
            Form::End => "closes its side of the connection".to_owned(),
            Form::Reset => "resets the connection".to_owned(),
            _ => {
                let frame = || WsFrame::read(&self.bytes).filter(|(_, length)| *length == self.bytes.len());
                match Head::read(&self.bytes) {
                    Some((head, _)) => head.start,
                    None => frame().map_or_else(|| hex(&self.bytes), |(frame, _)| frame.line()),
                }
            }
        }
    }
}

/// How many bytes of a datagram are shown in hexadecimal.
const SHOWN: usize = 48;

/// The first bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text: String = bytes
        .iter()
        .take(SHOWN)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if bytes.len() > SHOWN {
        text.push('…');
    }
    text
}

/// How many datagrams of a case are kept.
const KEPT: usize = 5_000;

/// How many of their bytes: the transcripts of a whole run have to fit into the memory.
const KEPT_BYTES: usize = 1 << 20;

/// The datagrams of one case, shared by all of its sockets.
#[derive(Clone, Debug)]
pub struct Transcript {
    began: Instant,
    records: Arc<Mutex<Vec<Record>>>,
    bytes: Arc<AtomicUsize>,
}

impl Transcript {
    /// Begins now.
    #[must_use]
    pub fn begin() -> Transcript {
        Transcript {
            began: Instant::now(),
            records: Arc::default(),
            bytes: Arc::default(),
        }
    }

    /// How long ago it began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Adds a datagram of now and gives its index. A subject that floods is cut off at 5,000 datagrams or a MiB: what
    /// comes then has an index that nothing is at.
    pub fn push(&self, by_judge: bool, from: SocketAddr, to: SocketAddr, bytes: &[u8], fate: Fate) -> usize {
        self.add(by_judge, from, to, bytes, (Form::Datagram, fate))
    }

    /// As [`push`](Self::push), for a piece of a connection.
    pub fn push_piece(
        &self,
        by_judge: bool,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
        form: Form,
    ) -> usize {
        self.add(by_judge, from, to, bytes, (form, Fate::Passed))
    }

    /// As [`push`](Self::push), for records of DTLS.
    pub fn push_records(
        &self,
        by_judge: bool,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
        fate: Fate,
    ) -> usize {
        self.add(by_judge, from, to, bytes, (Form::Records, fate))
    }

    fn add(
        &self,
        by_judge: bool,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
        (form, fate): (Form, Fate),
    ) -> usize {
        let mut records = self.records();
        let index = records.len();
        let total = bytes.len() + self.bytes.load(Ordering::Relaxed);
        if index < KEPT && total <= KEPT_BYTES {
            self.bytes.store(total, Ordering::Relaxed);
            records.push(Record {
                form,
                at: self.elapsed(),
                time: SystemTime::now(),
                by_judge,
                from,
                to,
                bytes: bytes.to_vec(),
                fate,
            });
        }
        index
    }

    /// All so far.
    #[must_use]
    pub fn take(&self) -> Vec<Record> {
        std::mem::take(&mut self.records())
    }

    /// All so far, to look at.
    pub fn records(&self) -> MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(transcript: &Transcript, length: usize) -> usize {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        transcript.push(false, nowhere, nowhere, &vec![0; length], Fate::Passed)
    }

    #[test]
    fn a_flood_is_cut_off_and_marks_no_record_of_another() {
        let transcript = Transcript::begin();
        let indices: Vec<usize> = (0..=KEPT).map(|_| push(&transcript, 4)).collect();
        assert_eq!(indices, (0..=KEPT).collect::<Vec<_>>());
        assert_eq!(transcript.records().len(), KEPT);
        let transcript = Transcript::begin();
        assert!((0..100).all(|_| push(&transcript, 60_000) <= 17));
        assert_eq!(transcript.take().len(), 17);
    }
}
