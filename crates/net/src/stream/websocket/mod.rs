//! CoAP over WebSocket (RFC 8323 §4): one binary message for each frame of CoAP.

mod client;
mod frame;
mod head;
mod messages;
mod origin;
mod server;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use self::frame::{MAX_CONTROL, Opcode};
use self::messages::{CloseCode, Messages, Received};
use super::limits::{LINGER_BYTES, OUTBOX_SIZE, READ_SIZE, READS_AT_ONCE};
use super::transport::Transport;

pub(super) use client::connect;
pub(super) use origin::host_of;
pub(super) use server::{Rules, accept};

/// Who of the two we are: the client masks (RFC 6455 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Client,
    Server,
}

/// How far the connection is (RFC 6455 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The peer has said that no more comes from it. What it asked for is still answered.
    HeardOut,
    /// We have said that no more comes from us.
    Closing,
    /// Nothing more comes from the peer either, or nothing that could be understood.
    Closed,
}

/// A message of ours that has begun to be taken.
#[derive(Clone, Copy, Debug)]
struct Begun {
    /// Bytes that are still to be taken.
    rest: usize,
    /// What the next of them and those after it are mixed with.
    mask: [u8; 4],
}

/// A WebSocket after its handshake. At rest it holds no buffers.
#[derive(Debug)]
pub(super) struct WebSocket {
    transport: Transport,
    role: Role,
    state: State,
    messages: Messages,
    /// Frames to be written, the first `sent` bytes of which have been.
    outbox: Vec<u8>,
    sent: usize,
    /// Nothing may stand between the parts of this one.
    begun: Option<Begun>,
    /// A flush has begun and not ended.
    flushing: bool,
    /// What the latest ping carried, which is answered when there is room: a pong answers all pings before it
    /// (RFC 6455 §5.5.3).
    pong: Option<Vec<u8>>,
    /// The code that our close frame will have.
    close_code: Option<u16>,
    /// Bytes of messages that were thrown away while closing.
    discarded: usize,
}

impl WebSocket {
    /// `inbox` is what has come after the handshake.
    fn new(transport: Transport, role: Role, max_message: usize, inbox: Vec<u8>) -> WebSocket {
        WebSocket {
            transport,
            role,
            state: State::Open,
            messages: Messages::new(role == Role::Server, max_message, inbox),
            outbox: Vec::new(),
            sent: 0,
            begun: None,
            flushing: false,
            pong: None,
            close_code: Some(CloseCode::Normal as u16),
            discarded: 0,
        }
    }

    pub(super) fn transport(&self) -> &Transport {
        &self.transport
    }

    pub(super) fn transport_mut(&mut self) -> &mut Transport {
        &mut self.transport
    }

    /// Bytes that have come of a message that is not whole.
    pub(super) fn begun(&self) -> usize {
        self.messages.begun()
    }

    /// Appends the next message. `Ok(0)`: the peer says no more.
    ///
    /// # Errors
    /// The connection is broken, or the peer breaks the protocol: then it is told by a close frame.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        let mut reads = READS_AT_ONCE;
        while matches!(self.state, State::Open | State::Closing) {
            match self.messages.next(buf) {
                Ok(Received::Message(len)) => return Poll::Ready(Ok(len)),
                Ok(Received::Ping(payload)) => {
                    self.pong = Some(payload);
                    continue;
                }
                Ok(Received::Close(reason)) => {
                    self.peer_closes(&reason);
                    return Poll::Ready(Ok(0));
                }
                Err(violation) => {
                    let text = format!("the peer breaks the WebSocket protocol: {}", violation.reason);
                    self.fail(cx, violation.code, &violation.reason)?;
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
                }
                Ok(Received::Nothing) => {}
            }
            // Whoever reads has nothing to write, so that what is still on its way is looked after here.
            if (self.pong.is_some() || self.flushing)
                && let Poll::Ready(Err(error)) = self.poll_flush(cx)
            {
                return Poll::Ready(Err(error));
            }
            if reads == 0 {
                // Frames without end that give no message are no reason for others to wait.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            reads -= 1;
            match self.transport.poll_append(cx, self.messages.inbox(), READ_SIZE) {
                Poll::Pending => {
                    self.messages.rest();
                    return Poll::Pending;
                }
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(end) => {
                    self.state = State::Closed;
                    return Poll::Ready(end);
                }
            }
        }
        Poll::Ready(Ok(0))
    }

    /// Takes a message, or a part of it: then the rest is to be given next. What was taken has left but for a little, so
    /// that who does not read is noticed. Small ones wait for others, until [`WebSocket::poll_flush`].
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<io::Result<usize>> {
        if !matches!(self.state, State::Open | State::HeardOut) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if self.is_full() {
            ready!(self.poll_drain(cx))?;
        }
        let taken = self.push_part(message)?;
        if self.is_full()
            && let Poll::Ready(Err(error)) = self.poll_drain(cx)
        {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(taken))
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushing = true;
        ready!(self.poll_drain(cx))?;
        ready!(Pin::new(&mut self.transport).poll_flush(cx))?;
        self.flushing = false;
        Poll::Ready(Ok(()))
    }

    /// Says that no more comes, and waits for the peer to say so, too; what it says before is thrown away
    /// (RFC 6455 §7.1.2).
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.state, State::Open | State::HeardOut) {
            let code = self.close_code.map(u16::to_be_bytes);
            self.push_close(code.as_ref().map_or(&[], |code| code))?;
            self.state = match self.state {
                State::Open => State::Closing,
                _ => State::Closed,
            };
        }
        ready!(self.poll_flush(cx))?;
        let mut scratch = Vec::new();
        while self.state == State::Closing && self.discarded < LINGER_BYTES {
            scratch.clear();
            match ready!(self.poll_read(cx, &mut scratch)) {
                Ok(len) => self.discarded += len,
                Err(_) => self.state = State::Closed,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// A close frame will be answered with its own code (RFC 6455 §5.5.1), behind what it is to come behind.
    fn peer_closes(&mut self, reason: &[u8]) {
        self.close_code = match reason
            .split_first_chunk()
            .map(|(code, _)| u16::from_be_bytes(*code))
        {
            None if reason.is_empty() => None,
            Some(code @ (1000..=1003 | 1007..=1014 | 3000..=4999)) => Some(code),
            _ => Some(CloseCode::Protocol as u16),
        };
        self.state = match self.state {
            State::Open => State::HeardOut,
            _ => State::Closed,
        };
    }

    /// Ends the connection for what the peer did (RFC 6455 §7.1.7).
    fn fail(&mut self, cx: &mut Context<'_>, code: CloseCode, reason: &str) -> io::Result<()> {
        if self.state == State::Open {
            let told = [&(code as u16).to_be_bytes(), reason.as_bytes()].concat();
            self.push_close(told.get(..MAX_CONTROL).unwrap_or(&told))?;
        }
        self.state = State::Closed;
        // What cannot be written now is written by `poll_close`.
        let _ = self.poll_drain(cx);
        Ok(())
    }

    /// No more is taken until something has been written.
    fn is_full(&self) -> bool {
        self.outbox.len() - self.sent >= OUTBOX_SIZE
    }

    /// A message that is cut off cannot be followed by a close frame: the end of the connection says it all.
    fn push_close(&mut self, payload: &[u8]) -> io::Result<()> {
        self.pong = None;
        match self.begun {
            Some(_) => Ok(()),
            None => self.push(Opcode::Close, payload),
        }
    }

    fn push(&mut self, opcode: Opcode, payload: &[u8]) -> io::Result<()> {
        let mask = self.mask()?;
        self.drop_sent();
        frame::append(&mut self.outbox, opcode, mask, payload);
        Ok(())
    }

    /// Takes as much of a message as the outbox is meant to hold; how much.
    fn push_part(&mut self, message: &[u8]) -> io::Result<usize> {
        self.drop_sent();
        let begun = match self.begun {
            Some(begun) => begun,
            None => {
                let mask = self.mask()?;
                frame::append_header(&mut self.outbox, Opcode::Binary, mask, message.len());
                Begun {
                    rest: message.len(),
                    mask: mask.unwrap_or_default(),
                }
            }
        };
        let len = message.len().min(begun.rest).min(OUTBOX_SIZE);
        frame::append_mixed(
            &mut self.outbox,
            message.get(..len).unwrap_or(message),
            begun.mask,
        );
        let mut mask = begun.mask;
        mask.rotate_left(len % 4);
        let rest = begun.rest - len;
        self.begun = (rest > 0).then_some(Begun { rest, mask });
        Ok(len)
    }

    fn mask(&self) -> io::Result<Option<[u8; 4]>> {
        match self.role {
            Role::Client => random().map(Some),
            Role::Server => Ok(None),
        }
    }

    /// What has been written makes room, so that a peer that never quite catches up does not fill the memory.
    fn drop_sent(&mut self) {
        self.outbox.drain(..self.sent);
        self.sent = 0;
    }

    /// Writes all frames, and the answer to a ping behind them.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.is_full()
                && self.begun.is_none()
                && let Some(pong) = self.pong.take()
            {
                self.push(Opcode::Pong, &pong)?;
            }
            let waiting = self.outbox.get(self.sent..).unwrap_or_default();
            if waiting.is_empty() {
                self.outbox = Vec::new();
                self.sent = 0;
                if self.pong.is_none() || self.begun.is_some() {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            match ready!(Pin::new(&mut self.transport).poll_write(cx, waiting))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.sent += written,
            }
        }
    }
}

/// Bytes that nobody can foretell (RFC 6455 §5.3, §4.1), from the system: the library of TLS takes a tenth of a second to
/// make its own ready.
fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}
