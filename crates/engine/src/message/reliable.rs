//! Messages on connections: nothing is acknowledged, sent again or seen twice (RFC 8323 §3.1). A message has arrived when
//! the transport has taken it; if it has not, the connection ends and tells.

use alloc::boxed::Box;

use coracle_wire::{Code, Message, Options, Status};

use crate::connection::Unsent;
use crate::context::Context;
use crate::exchange::payload::SharedBody;
use crate::message::{Full, MessageLayer, Outgoing, Owner, Response, Sending};
use crate::path::ConnectionId;
use crate::slab::Key;
use crate::stats::DropReason;
use crate::time::Instant;

impl MessageLayer {
    /// Puts a message on a connection. The key lives until the transport has taken it, or the connection is gone.
    pub(super) fn send_on(
        &mut self,
        context: &mut Context,
        now: Instant,
        connection: ConnectionId,
        sending: Sending,
        message: (&Message<'_>, Option<&SharedBody>),
    ) -> Result<Key, Full> {
        if let Err(unsent) = context.connections.admits(connection, message.0, sending.owner) {
            if unsent == Unsent::NoRoom {
                context.lacks_room(now);
            }
            return Err(Full);
        }
        let outgoing = Outgoing {
            sending,
            // No message of datagrams has to do with it.
            peer: Key::LAST,
            datagram: Box::default(),
            id: None,
            attempt: None,
            stands_for: None,
        };
        let key = self.outgoing.insert(outgoing).map_err(|_| Full)?;
        if context.send_on(connection, message, Some((key, sending.owner))) {
            return Ok(key);
        }
        self.outgoing.discard(key);
        Err(Full)
    }

    /// Puts a response on a connection. One that somebody waits for is kept until it has arrived. In place of one that is
    /// too long, or finds no room, goes an error, which nobody waits for.
    pub(super) fn respond_on(
        &mut self,
        context: &mut Context,
        now: Instant,
        connection: ConnectionId,
        response: &Response<'_>,
        (message, shared): (&Message<'_>, Option<&SharedBody>),
    ) -> Result<Option<Key>, Full> {
        let unsent = match response.owner {
            Owner::Response { repeatable } => {
                match context.answer_on(connection, (message, shared), repeatable) {
                    Ok(()) => return Ok(None),
                    Err(unsent) => unsent,
                }
            }
            owner => match context.connections.admits(connection, message, owner) {
                Ok(()) => {
                    let sending = response.sending(context);
                    return self
                        .send_on(context, now, connection, sending, (message, shared))
                        .map(Some);
                }
                Err(unsent) => unsent,
            },
        };
        let (status, reason) = match unsent {
            Unsent::Over => return Ok(None),
            Unsent::TooLong => (Status::INTERNAL_SERVER_ERROR, DropReason::Oversize),
            Unsent::NoRoom => {
                // It was only read, and may be read again.
                context.lacks_room(now);
                (Status::SERVICE_UNAVAILABLE, DropReason::Busy)
            }
        };
        context.stats.drop_for(reason);
        let bare = Message {
            code: Code::from(status),
            options: Options::empty(),
            payload: &[],
            ..*message
        };
        context.transmit(response.path.back(), &bare);
        Ok(None)
    }

    /// The transport has taken a message: whose it is.
    pub(crate) fn arrived(&mut self, key: Key) -> Option<Owner> {
        self.outgoing.remove(key).map(|outgoing| outgoing.sending.owner)
    }
}
