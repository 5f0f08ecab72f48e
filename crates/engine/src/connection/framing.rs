//! Messages out of the bytes of a connection (RFC 8323 §3.2, §4.2).

use alloc::format;

use coracle_wire::{Framing, Message, frame_len};

use crate::connection::signaling::Fault;
use crate::context::Context;
use crate::limits;
use crate::path::ConnectionId;
use crate::stats::DropReason;
use crate::time::Instant;

/// What there is at the start of some bytes.
pub(crate) enum Taken<'d> {
    /// A message, of so many bytes.
    Message(usize, Message<'d>),
    /// Nothing more to do with so many bytes.
    Nothing(usize),
    /// What the connection does not survive.
    Malformed(Fault),
}

/// Takes the first message out of `bytes`.
pub(crate) fn next_message<'d>(
    context: &mut Context,
    now: Instant,
    id: ConnectionId,
    bytes: &'d [u8],
) -> Taken<'d> {
    let Some(connection) = context.connections.get_mut(id) else {
        return Taken::Nothing(bytes.len());
    };
    if connection.is_over() || bytes.is_empty() {
        return Taken::Nothing(bytes.len());
    }
    let framing = connection.framing;
    let most = u64::from(context.config.connections.max_message_size);
    let len = match framing {
        Framing::WebSocket => Ok(Some(bytes.len() as u64)),
        Framing::Tcp => frame_len(bytes),
    };
    let len = match len {
        Ok(Some(len)) if len > most => {
            context.stats.drop_for(DropReason::Oversize);
            let text =
                format!("a message of {len} bytes is longer than Max-Message-Size, {most} (RFC 8323 §5.3.1)");
            return Taken::Malformed(Fault::new(text));
        }
        Ok(len) => len,
        Err(error) => return malformed(context, &error),
    };
    let frame = len
        .and_then(|len| usize::try_from(len).ok())
        .and_then(|len| bytes.get(..len));
    let Some(frame) = frame else {
        connection.begins_message(now, bytes.len());
        context.watch(id);
        return Taken::Nothing(0);
    };
    context.stats.frames_in += 1;
    context.stats.bytes_in += frame.len() as u64;
    match Message::parse_frame(framing, frame) {
        Ok(message) => Taken::Message(frame.len(), message),
        Err(error) => malformed(context, &error),
    }
}

/// RFC 8323 §5.6: a message with a syntax violation is answered by an Abort, and not processed.
fn malformed<'d>(context: &mut Context, error: &coracle_wire::MessageError) -> Taken<'d> {
    context.stats.drop_for(DropReason::Format);
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

impl super::Connection {
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
