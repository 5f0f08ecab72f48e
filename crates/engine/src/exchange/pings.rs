//! Signs of life of peers (RFC 7252 §4.3).

use coracle_wire::{Message, MessageId, MessageType};

use crate::amplification::Allowance;
use crate::connection::signaling;
use crate::context::Context;
use crate::exchange::client::Client;
use crate::message::{MessageLayer, Owner, Sending};
use crate::path::{ConnectionId, Path};
use crate::slab::Key;
use crate::time::Instant;
use crate::values::{Event, ExchangeError, ExchangeId, RequestError};

/// How a ping goes.
pub(super) enum PingWay {
    /// In a message, once there is one.
    Message(Option<Key>),
    /// As a signaling message.
    Connection(ConnectionId),
}

impl Client {
    /// Sends an empty confirmable message, which the peer rejects if it lives (RFC 7252 §4.3), or on a connection a Ping
    /// (RFC 8323 §5.4).
    pub(crate) fn ping(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        path: &Path,
    ) -> Result<Key, RequestError> {
        let way = path
            .connection
            .map_or(PingWay::Message(None), PingWay::Connection);
        let key = self.pings.insert(way).map_err(|_| RequestError::TooMany)?;
        if let Some(connection) = path.connection {
            let sent = signaling::ping(context, now, connection, key);
            return sent.map(|()| key).inspect_err(|_| {
                self.pings.remove(key);
            });
        }
        let sending = Sending {
            path: *path,
            confirmable: true,
            owner: Owner::Ping(key),
            parameters: context.config.transmission,
            resume: None,
            allowance: Allowance::UNLIMITED,
        };
        let ping = Message::empty(MessageType::Confirmable, MessageId(0));
        match messages.send(context, now, sending, &ping) {
            Ok(outgoing) => {
                if let Some(place) = self.pings.get_mut(key) {
                    *place = PingWay::Message(Some(outgoing));
                }
                Ok(key)
            }
            Err(_) => {
                self.pings.remove(key);
                Err(RequestError::TooMany)
            }
        }
    }

    /// Forgets a ping.
    pub(crate) fn cancel_ping(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        key: Key,
    ) {
        match self.pings.remove(key) {
            Some(PingWay::Message(Some(outgoing))) => messages.cancel(context, now, outgoing),
            Some(PingWay::Connection(connection)) => context.connections.forget_ping(connection, key),
            Some(PingWay::Message(None)) | None => {}
        }
    }

    /// A ping ended.
    pub(crate) fn ping_ended(&mut self, context: &mut Context, key: Key, error: Option<ExchangeError>) {
        if self.pings.remove(key).is_some() {
            let id = ExchangeId::ping(key);
            context.events.push_back(match error {
                None => Event::Pong { id },
                Some(error) => Event::Failed { id, error },
            });
        }
    }
}
