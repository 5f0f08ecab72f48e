//! One port of ours: sends messages at their pace and collects what comes back.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use coracle_wire::{Message, MessageType};

use super::pacer::Pacer;
use super::tally::{Batch, Tally};
use super::{Event, Family, answer_server};
use crate::transcript::{Fate, Form, Record};

/// The longest sleep between two looks at what came.
const NAP: Duration = Duration::from_millis(1);

/// How many datagrams are taken at once, so that a server that floods does not hold up the run.
const MAX_TAKEN: usize = 4_096;

/// After so many messages what came is taken, however fast they go out.
const TAKE_EVERY: u64 = 16;

/// How long a full send buffer is waited for.
const FULL: Duration = Duration::from_secs(1);

/// A port and what went over it.
pub(super) struct Sender {
    socket: UdpSocket,
    here: SocketAddr,
    there: SocketAddr,
    began: Instant,
    pacer: Pacer,
    record: bool,
    /// The Message ID of the last confirmable or non-confirmable message of the server.
    last_id: Option<[u8; 2]>,
    /// The port of the server was closed: it is time to see whether it lives.
    pub(super) refused: bool,
    batch: Batch,
    /// What was to be sent, without the server's Message IDs, for whoever sends it again.
    pub(super) scripted: Vec<Vec<u8>>,
}

impl Sender {
    pub(super) fn new(socket: UdpSocket, pacer: Pacer, record: bool) -> std::io::Result<Sender> {
        socket.set_nonblocking(true)?;
        Ok(Sender {
            here: socket.local_addr()?,
            there: socket.peer_addr()?,
            socket,
            began: Instant::now(),
            pacer,
            record,
            last_id: None,
            refused: false,
            batch: Batch::default(),
            scripted: Vec::new(),
        })
    }

    /// Whether the next message may be sent; otherwise takes what came and naps a little.
    pub(super) fn is_due(&mut self, tally: &mut Tally, events: &mut dyn FnMut(Event<'_>)) -> bool {
        let due = self.pacer.due(self.batch.len());
        let Some(left) = due
            .checked_sub(self.began.elapsed())
            .filter(|left| !left.is_zero())
        else {
            return true;
        };
        self.receive(tally, events);
        thread::sleep(left.min(NAP));
        false
    }

    /// Sends a message.
    pub(super) fn send(
        &mut self,
        message: &[u8],
        family: Option<Family>,
        tally: &mut Tally,
        events: &mut dyn FnMut(Event<'_>),
    ) {
        // An answer to the server needs its Message ID; and its answers must not fill the socket.
        if message.len() == 4 || self.batch.len().is_multiple_of(TAKE_EVERY) {
            self.receive(tally, events);
        }
        let bytes = answer_server(message, self.last_id);
        if !self.put(&bytes) {
            tally.unsent += 1;
            return;
        }
        if let Some(family) = family {
            tally.count_sent(family, &bytes);
        }
        self.tell(true, &bytes, family.map_or("again", Family::name), events);
        self.batch.push(bytes);
        self.scripted.push(message.to_vec());
    }

    /// Waits for room. That the port was closed when an earlier message came is told instead of sending.
    fn put(&mut self, bytes: &[u8]) -> bool {
        let began = Instant::now();
        loop {
            match self.socket.send(bytes).map_err(|error| error.kind()) {
                Ok(_) => return true,
                Err(ErrorKind::ConnectionRefused) if !self.refused => self.refused = true,
                Err(ErrorKind::WouldBlock | ErrorKind::Interrupted) if began.elapsed() < FULL => {
                    thread::sleep(NAP)
                }
                Err(_) => return false,
            }
        }
    }

    /// Takes what came.
    pub(super) fn receive(&mut self, tally: &mut Tally, events: &mut dyn FnMut(Event<'_>)) {
        let mut buf = [0; 65_535];
        for _ in 0..MAX_TAKEN {
            let len = match self.socket.recv(&mut buf) {
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => {
                    self.refused |= error.kind() == ErrorKind::ConnectionRefused;
                    continue;
                }
            };
            let reply = buf.get(..len).unwrap_or_default();
            tally.count_reply(reply, &self.batch);
            let comment = match Message::parse(reply) {
                Ok(message) => {
                    if matches!(
                        message.message_type,
                        MessageType::Confirmable | MessageType::NonConfirmable
                    ) {
                        self.last_id = Some(message.message_id.0.to_be_bytes());
                    }
                    String::new()
                }
                Err(error) => format!("malformed: {error}"),
            };
            self.tell(false, reply, &comment, events);
        }
    }

    fn tell(&self, by_judge: bool, bytes: &[u8], comment: &str, events: &mut dyn FnMut(Event<'_>)) {
        if self.record {
            let (from, to) = match by_judge {
                true => (self.here, self.there),
                false => (self.there, self.here),
            };
            let record = Record {
                form: Form::Datagram,
                at: self.began.elapsed(),
                time: SystemTime::now(),
                by_judge,
                from,
                to,
                bytes: bytes.to_vec(),
                fate: Fate::Passed,
            };
            events(Event::Datagram(&record, comment));
        }
    }
}
