//! How requests of ours end without an answer: they fail, they are given up, their connection is gone.

use alloc::vec::Vec;

use coracle_wire::{Code, Message, MessageId, MessageType, Method, OptionNumber};

use crate::amplification::Allowance;
use crate::context::Context;
use crate::exchange::asking::Asking;
use crate::exchange::client::Client;
use crate::message::{MessageLayer, Owner, Sending};
use crate::path::{ConnectionId, Peer};
use crate::slab::Key;
use crate::time::Instant;
use crate::values::{Event, ExchangeError, ExchangeId};

impl Client {
    /// Ends a request with an error.
    pub(crate) fn fail(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        key: Key,
        error: ExchangeError,
    ) {
        if let Some(asking) = self.remove(context, messages, now, key) {
            if !asking.path.manner().rejects {
                self.deregister(context, messages, now, asking);
            }
            context.events.push_back(Event::Failed {
                id: ExchangeId::client(key),
                error,
            });
        }
    }

    /// Forgets a request; an observation is cancelled at the server too (RFC 7641 §3.6).
    pub(crate) fn cancel(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        key: Key,
    ) {
        if let Some(asking) = self.remove(context, messages, now, key) {
            self.deregister(context, messages, now, asking);
        }
    }

    /// Tells the server that an observation is over. Where there is no Reset that would tell it later, it is told as well if
    /// it has not answered yet (RFC 8323 §7.4).
    fn deregister(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        asking: Asking,
    ) {
        let asks = || asking.options.as_options().observe() == Some(0) && asking.messages > 0;
        if asking.observation.is_none() && (asking.path.manner().rejects || !asks()) {
            return;
        }
        let mut options = asking.options;
        options.set_uint(OptionNumber::OBSERVE, 1);
        let beside = asking.token.as_bytes().len() + options.as_options().as_bytes().len();
        let whole = context.sizes(asking.path.connection, beside).whole;
        let (mut method, mut payload) = (asking.method, &asking.payload[..]);
        if payload.len() > whole {
            if asking.path.manner().rejects {
                // A body that went in blocks does not go once more for this.
                return;
            }
            // It is the token that counts (RFC 8323 §7.4).
            options.remove(OptionNumber::CONTENT_FORMAT);
            (method, payload) = (Method::GET, &[]);
        }
        let message = Message {
            message_type: MessageType::Confirmable,
            code: Code::from(method),
            message_id: MessageId(0),
            token: asking.token.as_bytes(),
            options: options.as_options(),
            payload,
        };
        let sending = Sending {
            path: asking.path,
            confirmable: true,
            owner: Owner::Response { repeatable: true },
            parameters: asking.parameters,
            resume: None,
            allowance: Allowance::UNLIMITED,
        };
        // Where there is no room for it the server learns it from the Reset of its next notification.
        let _ = messages.send(context, now, sending, &message);
    }

    /// A connection is gone, and with it the requests that are under way on it; `untouched` are the messages of which
    /// nothing had left, sorted.
    pub(crate) fn disconnected(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        (connection, untouched): (ConnectionId, &[Key]),
    ) {
        for key in self.on_connections.of(connection) {
            self.disconnect(context, messages, now, (key, untouched));
        }
    }

    fn disconnect(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        (key, untouched): (Key, &[Key]),
    ) {
        let sent = |asking: &Asking| {
            let is_untouched = |outgoing: &Key| untouched.binary_search(outgoing).is_ok();
            match asking.messages {
                0 => false,
                1 => !asking.outgoing.as_ref().is_some_and(is_untouched),
                // That the last has not left tells nothing about those before.
                _ => true,
            }
        };
        let sent = self.table.get(key).is_some_and(sent);
        self.fail(context, messages, now, key, ExchangeError::Disconnected { sent });
    }

    /// The security association with a peer is gone, and with it all requests to it; `untouched` as above.
    pub(crate) fn peer_gone(
        &mut self,
        context: &mut Context,
        messages: &mut MessageLayer,
        now: Instant,
        (peer, untouched): (&Peer, &[Key]),
    ) {
        let asked = self
            .table
            .iter()
            .filter(|(_, asking)| asking.path.peer() == *peer);
        for key in asked.map(|(key, _)| key).collect::<Vec<_>>() {
            self.disconnect(context, messages, now, (key, untouched));
        }
    }
}
