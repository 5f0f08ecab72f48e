//! What comes on connections, frame by frame.

use std::io;
use std::time::Instant;

use coracle_wire::{CodeKind, Framing, Message, OptionsBuf, frame_len};
use tokio::task::unconstrained;

use super::connection::Read;
use crate::connections::Connections;
use crate::datagrams::Source;
use crate::exchanges::Exchanges;
use crate::limits::{MAX_MESSAGE, READS_PER_TURN};
use crate::tally::{Loss, Wrong};
use crate::way::Way;

impl Exchanges {
    /// Takes in what came to connections, and has those opened that are not.
    ///
    /// # Errors
    /// If the server was never heard and a connection fails.
    pub(crate) async fn receive_frames(&mut self, now: Instant) -> io::Result<()> {
        let Some(connections) = self.connections() else {
            return Ok(());
        };
        connections.open(now);
        for (number, made) in std::mem::take(&mut connections.made) {
            match (made, self.connections()) {
                (Ok(link), Some(connections)) => {
                    connections.begin(now, number, link);
                    self.tally.connections += 1;
                }
                (Err(error), _) => {
                    self.failed_to_open(now, number, &error)?;
                }
                (Ok(_), None) => {}
            }
        }
        while let Some(number) = self.connections().and_then(|all| all.silent(now)) {
            self.lose(now, number, Loss::NoCsm, "no CSM came")?;
        }
        let mut woken = Vec::new();
        if let Some(connections) = self.connections() {
            connections.woken.take(&mut woken);
        }
        // As with what is written: it yields when all had their turn.
        unconstrained(async { woken.into_iter().try_for_each(|number| self.take_in(number)) }).await?;
        if let Some(connections) = self.connections() {
            connections.forget_greeted();
        }
        Ok(())
    }

    pub(super) fn connections(&mut self) -> Option<&mut Connections> {
        match &mut self.way {
            Way::Connections(connections) => Some(connections),
            Way::Datagrams(_) => None,
        }
    }

    fn failed_to_open(&mut self, now: Instant, number: u32, error: &io::Error) -> io::Result<()> {
        if !self.heard {
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
        self.lose(now, number, Loss::Unopened, &error.to_string())
    }

    /// One connection has its turn.
    fn take_in(&mut self, number: u32) -> io::Result<()> {
        for turn in 0..READS_PER_TURN {
            let Some(connections) = self.connections() else {
                return Ok(());
            };
            let Some(connection) = connections.connections.get_mut(number as usize) else {
                return Ok(());
            };
            if turn == 0 {
                connection.bell.heard();
                connection.write();
            }
            let read = connection.read(&mut connections.buffer);
            let now = Instant::now();
            match read {
                Read::Nothing => return Ok(()),
                Read::Closed => return self.lose(now, number, Loss::Closed, "the server closed it"),
                Read::Broken(error) => return self.lose(now, number, Loss::Broken, &error.to_string()),
                Read::Bytes(bytes) => {
                    let used = self.frames(now, number, &bytes)?;
                    self.keep(number, bytes, used);
                }
            }
        }
        if let Some(connection) = self.connections().and_then(|all| all.get(number)) {
            connection.bell.waker().wake();
        }
        Ok(())
    }

    fn keep(&mut self, number: u32, bytes: Vec<u8>, used: usize) {
        let Some(connections) = self.connections() else {
            return;
        };
        let connection = connections.connections.get_mut(number as usize);
        if let Some(buffer) = connection.and_then(|connection| connection.keep(bytes, used))
            && buffer.capacity() > connections.buffer.capacity()
        {
            connections.buffer = buffer;
        }
    }

    /// Takes in all whole frames, and returns how many bytes they have.
    fn frames(&mut self, now: Instant, number: u32, bytes: &[u8]) -> io::Result<usize> {
        let mut used = 0;
        while let Some(connection) = self.connections().and_then(|all| all.get(number)) {
            let rest = bytes.get(used..).unwrap_or_default();
            let framing = connection.framing();
            let len = match framing {
                Framing::WebSocket => Ok(Some(rest.len() as u64)),
                Framing::Tcp => frame_len(rest),
            };
            let frame = match len {
                Ok(Some(len)) if len > MAX_MESSAGE as u64 => {
                    let told = format!("a message of {len} bytes, and we said that we take {MAX_MESSAGE}");
                    return self.malformed(now, number, &told).map(|()| used);
                }
                Ok(len) => len
                    .and_then(|len| rest.get(..usize::try_from(len).ok()?))
                    .filter(|frame| !frame.is_empty()),
                Err(error) => return self.malformed(now, number, &error.to_string()).map(|()| used),
            };
            let Some(frame) = frame else {
                break;
            };
            used += frame.len();
            self.tally.bytes_in += frame.len() as u64;
            match Message::parse_frame(framing, frame) {
                Ok(message) => self.frame(now, number, &message)?,
                Err(error) => return self.malformed(now, number, &error.to_string()).map(|()| used),
            }
        }
        Ok(used)
    }

    fn frame(&mut self, now: Instant, number: u32, message: &Message<'_>) -> io::Result<()> {
        match message.code.kind() {
            CodeKind::Signal(signal) => self.signal(now, number, signal, message),
            // RFC 8323 §3.4: ignored.
            CodeKind::Empty => Ok(()),
            // RFC 8323 §5.3: the CSM is the first message.
            _ if !self.has_csm(number) => {
                let told = format!("its first message is no CSM but {}", message.code);
                self.lose(now, number, Loss::NoCsm, &told)
            }
            CodeKind::Response(status) => {
                let source = Source::connection(number);
                self.response(now, source, self.plan.server, message, status)?;
                self.look_at_release(now, number)
            }
            _ => {
                self.tally.strays += 1;
                Ok(())
            }
        }
    }

    /// What comes cannot be read, and so nothing after it can be.
    fn malformed(&mut self, now: Instant, number: u32, told: &str) -> io::Result<()> {
        self.tally.is_wrong(Wrong::Malformed, || told.to_owned());
        self.abort(number, &OptionsBuf::new(), told);
        self.lose(now, number, Loss::Malformed, told)
    }

    /// The connection is over, and with it what was asked on it.
    ///
    /// # Errors
    /// If the server was never heard.
    pub(super) fn lose(&mut self, now: Instant, number: u32, loss: Loss, told: &str) -> io::Result<()> {
        if !self.heard {
            let told = match loss {
                Loss::NoCsm => told.to_owned(),
                _ => format!("{loss}: {told}"),
            };
            return Err(io::Error::new(loss.kind(), told));
        }
        if let Some(connections) = self.connections() {
            connections.end(now, number);
        }
        self.tally.is_lost(loss, told);
        self.forget_requests(number);
        Ok(())
    }
}
