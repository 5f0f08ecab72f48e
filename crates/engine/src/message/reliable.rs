//! Messages on connections: nothing is acknowledged, sent again or seen twice (RFC 8323 §3.1). A message has arrived when
//! the transport has taken it; if it has not, the connection ends and tells.

use alloc::boxed::Box;

use coracle_wire::{Code, Message, Options, Status};

use crate::context::Context;
use crate::message::{Full, MessageLayer, Outgoing, Owner, Sending};
use crate::path::ConnectionId;
use crate::slab::Key;
use crate::stats::DropReason;

impl MessageLayer {
    /// Puts a message on a connection. The key lives until the transport has taken it, or the connection is gone.
    pub(super) fn send_on(
        &mut self,
        context: &mut Context,
        connection: ConnectionId,
        sending: Sending,
        message: &Message<'_>,
    ) -> Result<Key, Full> {
        if !context.connections.has_room(message.encoded_len()) {
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
        if context.send_on(connection, message, Some(key)) {
            return Ok(key);
        }
        self.outgoing.discard(key);
        Err(Full)
    }

    /// Puts a response on a connection. One that somebody waits for is kept until it has arrived; for one that is too
    /// long, or finds no room, there is another without a body.
    pub(super) fn respond_on(
        &mut self,
        context: &mut Context,
        connection: ConnectionId,
        sending: Sending,
        message: &Message<'_>,
    ) -> Result<Option<Key>, Full> {
        let instead = |status| Message {
            code: Code::from(status),
            options: Options::empty(),
            payload: &[],
            ..*message
        };
        if !context.connections.has_room(message.encoded_len()) {
            context.stats.drop_for(DropReason::Busy);
            context.transmit(sending.path, &instead(Status::SERVICE_UNAVAILABLE));
            return Ok(None);
        }
        if sending.owner != Owner::Response {
            return self.send_on(context, connection, sending, message).map(Some);
        }
        if !context.transmit(sending.path, message) {
            context.transmit(sending.path, &instead(Status::INTERNAL_SERVER_ERROR));
        }
        Ok(None)
    }

    /// The transport has taken a message: whose it is.
    pub(crate) fn arrived(&mut self, key: Key) -> Option<Owner> {
        self.outgoing.remove(key).map(|outgoing| outgoing.sending.owner)
    }
}
