//! Messages out of the bytes of a connection (RFC 8323 §3.2, §4.2).

use alloc::format;

use coracle_wire::{Framing, Message, frame_len};

use crate::config::Config;
use crate::connection::Connection;
use crate::connection::signaling::Fault;
use crate::context::Context;
use crate::limits;
use crate::path::ConnectionId;
use crate::stats::{DropReason, Stats};
use crate::time::Instant;

/// What there is at the start of some bytes.
pub(crate) enum Taken<'d> {
    /// A message, of so many bytes.
    Message(usize, Message<'d>),
    /// A part of a message.
    Begun,
    /// Nothing that anybody waits for.
    Nothing,
    /// What the connection does not survive.
    Malformed(Fault),
}

impl Connection {
    /// Takes the first message out of `bytes`.
    #[inline]
    pub(crate) fn next_message<'d>(
        &mut self,
        config: &Config,
        stats: &mut Stats,
        now: Instant,
        bytes: &'d [u8],
    ) -> Taken<'d> {
        if self.is_over() || bytes.is_empty() {
            return Taken::Nothing;
        }
        let most = u64::from(config.connections.max_message_size);
        let len = match self.framing {
            Framing::WebSocket => Ok(Some(bytes.len() as u64)),
            Framing::Tcp => frame_len(bytes),
        };
        let len = match len {
            Ok(Some(len)) if len > most => {
                stats.drop_for(DropReason::Oversize);
                let text = format!(
                    "a message of {len} bytes is longer than Max-Message-Size, {most} (RFC 8323 §5.3.1)"
                );
                return Taken::Malformed(Fault::new(text));
            }
            Ok(len) => len,
            Err(error) => return malformed(stats, &error),
        };
        let frame = len
            .and_then(|len| usize::try_from(len).ok())
            .and_then(|len| bytes.get(..len));
        let Some(frame) = frame else {
            self.begins_message(now, bytes.len());
            return Taken::Begun;
        };
        stats.frames_in += 1;
        stats.bytes_in += frame.len() as u64;
        match Message::parse_frame(self.framing, frame) {
            Ok(message) => Taken::Message(frame.len(), message),
            Err(error) => malformed(stats, &error),
        }
    }
}

/// RFC 8323 §5.6: a message with a syntax violation is answered by an Abort, and not processed.
#[cold]
fn malformed<'d>(stats: &mut Stats, error: &coracle_wire::MessageError) -> Taken<'d> {
    stats.drop_for(DropReason::Format);
    Taken::Malformed(Fault::new(format!("{error}")))
}

impl Context {
    pub(crate) fn message_begun(&mut self, now: Instant, id: ConnectionId, len: usize) {
        if len > 0
            && let Some(connection) = self.connections.get_mut(id)
        {
            connection.begins_message(now, len);
            self.watch(id);
        }
    }
}

impl Connection {
    /// A part of a message is there. It has to grow; as long as it does, its peer is heard.
    fn begins_message(&mut self, now: Instant, len: usize) {
        match &mut self.begun {
            Some((since, before)) if len >= *before + limits::FRAME_PROGRESS => {
                (*since, *before) = (now, len);
                (self.heard, self.pinged) = (now, None);
            }
            Some(_) => {}
            begun @ None => *begun = Some((now, len)),
        }
    }

    /// When a message that has begun to come is too slow.
    pub(super) fn too_slow_at(&self) -> Option<Instant> {
        self.begun.map(|(since, _)| since + limits::FRAME_PROGRESS_WITHIN)
    }
}
