//! One connection: what has come and what waits to be written.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use coracle_net::stream::Link;
use coracle_wire::{Code, Csm, Framing, Message, MessageId, MessageType, OptionsBuf, Signal};

use super::wakers::{Bell, Woken};
use crate::limits::{MAX_MESSAGE, READ_SIZE};

pub(super) struct Connection {
    link: Option<Link>,
    framing: Framing,
    /// What the server has said of itself; nothing before its first message.
    pub(super) csm: Option<Csm>,
    /// The server wants no more requests (RFC 8323 §5.5).
    pub(super) is_released: bool,
    /// Until when its first message has to come.
    greeting_until: Option<Instant>,
    /// A frame that is not whole yet.
    begun: Vec<u8>,
    outbox: Vec<u8>,
    /// Bytes of the outbox that are written.
    written: usize,
    /// Of a WebSocket the lengths of the messages in the outbox that are not written.
    lengths: VecDeque<usize>,
    /// It is among those that have something to write.
    pub(super) to_flush: bool,
    pub(super) bell: Arc<Bell>,
    waker: Waker,
}

/// What reading came to.
pub(super) enum Read {
    /// Nothing is there.
    Nothing,
    Bytes(Vec<u8>),
    /// The server says no more.
    Closed,
    Broken(io::Error),
}

impl Connection {
    pub(super) fn new(number: u32, framing: Framing, woken: &Arc<Woken>) -> Connection {
        let bell = Bell::new(number, woken);
        Connection {
            link: None,
            framing,
            csm: None,
            is_released: false,
            greeting_until: None,
            begun: Vec::new(),
            outbox: Vec::new(),
            written: 0,
            lengths: VecDeque::new(),
            to_flush: false,
            waker: bell.waker(),
            bell,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.csm.is_some() && !self.is_released
    }

    /// It waits for its first message, until then.
    pub(super) fn waits_until(&self, until: Instant) -> bool {
        self.csm.is_none() && self.link.is_some() && self.greeting_until == Some(until)
    }

    /// Begins with our CSM (RFC 8323 §5.3).
    pub(super) fn begin(&mut self, link: Link, until: Instant) {
        self.link = Some(link);
        self.greeting_until = Some(until);
        let csm = Csm {
            max_message_size: u32::try_from(MAX_MESSAGE).ok(),
            block_wise_transfer: true,
            extended_token_length: None,
        };
        self.push_signal(Signal::CSM, &[], &csm.to_options(), &[]);
        self.write();
        // Nothing wakes for what was there before the link was polled.
        self.waker.wake_by_ref();
    }

    /// All that belongs to the link is over.
    pub(super) fn end(&mut self) {
        self.link = None;
        self.csm = None;
        self.is_released = false;
        self.greeting_until = None;
        self.begun = Vec::new();
        self.outbox = Vec::new();
        self.written = 0;
        self.lengths.clear();
    }

    /// Queues a message of which the length is known to be right.
    pub(super) fn push_signal(&mut self, signal: Signal, token: &[u8], options: &OptionsBuf, payload: &[u8]) {
        self.append(&Message {
            message_type: MessageType::NonConfirmable,
            code: Code::from(signal),
            message_id: MessageId(0),
            token,
            options: options.as_options(),
            payload,
        });
    }

    /// Queues a message.
    pub(super) fn push(&mut self, message: &Message<'_>) -> io::Result<usize> {
        let longest = self.csm.and_then(|csm| csm.max_message_size);
        let longest = longest.unwrap_or(Csm::BASE_MAX_MESSAGE_SIZE);
        let len = message.frame_len(self.framing);
        if u32::try_from(len).is_ok_and(|len| len <= longest) {
            return Ok(self.append(message));
        }
        let told = format!("the request has {len} bytes, and the server takes messages of {longest} at most");
        Err(io::Error::new(io::ErrorKind::InvalidInput, told))
    }

    fn append(&mut self, message: &Message<'_>) -> usize {
        let len = message
            .append_frame(self.framing, &mut self.outbox)
            .unwrap_or_default();
        if self.framing == Framing::WebSocket {
            self.lengths.push_back(len);
        }
        len
    }

    /// Writes what is queued, as far as it goes. A broken link shows when it is read.
    pub(super) fn write(&mut self) {
        let Some(link) = &mut self.link else {
            return;
        };
        let mut cx = Context::from_waker(&self.waker);
        while self.written < self.outbox.len() {
            let end = self
                .lengths
                .front()
                .map_or(self.outbox.len(), |len| self.written + len);
            let next = self.outbox.get(self.written..end).unwrap_or_default();
            match link.poll_write(&mut cx, next) {
                Poll::Ready(Ok(len)) => {
                    self.written += len;
                    if let Some(rest) = self.lengths.front_mut() {
                        *rest -= len;
                    }
                    self.lengths.pop_front_if(|rest| *rest == 0);
                }
                Poll::Ready(Err(_)) | Poll::Pending => return,
            }
        }
        self.outbox.clear();
        self.written = 0;
        let _ = link.poll_flush(&mut cx);
    }

    /// Reads once, with `buffer` to be used if it is not at hand already.
    pub(super) fn read(&mut self, buffer: &mut Vec<u8>) -> Read {
        let Some(link) = &mut self.link else {
            return Read::Nothing;
        };
        let mut cx = Context::from_waker(&self.waker);
        let bytes = match self.begun.is_empty() {
            true => buffer,
            false => &mut self.begun,
        };
        match link.poll_read(&mut cx, bytes, READ_SIZE) {
            Poll::Pending => Read::Nothing,
            Poll::Ready(Ok(0)) => Read::Closed,
            Poll::Ready(Ok(_)) => Read::Bytes(std::mem::take(bytes)),
            Poll::Ready(Err(error)) => Read::Broken(error),
        }
    }

    /// Keeps what is left of bytes that were read, and gives a buffer back.
    pub(super) fn keep(&mut self, mut bytes: Vec<u8>, used: usize) -> Option<Vec<u8>> {
        let rest = bytes.get(used..).unwrap_or_default();
        if rest.is_empty() || self.link.is_none() {
            bytes.clear();
            return Some(bytes);
        }
        if used == 0 {
            // A long frame: more is added to it where it is.
            self.begun = bytes;
            return None;
        }
        self.begun = rest.to_vec();
        bytes.clear();
        Some(bytes)
    }

    pub(super) fn framing(&self) -> Framing {
        self.framing
    }
}
