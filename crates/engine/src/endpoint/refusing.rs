//! Requests and messages that the engine does not take.

use alloc::boxed::Box;

use coracle_wire::{CodeKind, Message, MessageError, MessageErrorKind, MessageType, Reaction, Status};

use crate::endpoint::Endpoint;
use crate::endpoint::observing::asks_to_observe;
use crate::exchange::admission::{Reading, Refusal};
use crate::exchange::ask::{Ask, refuse};
use crate::limits;
use crate::path::Path;
use crate::stats::DropReason;
use crate::time::Instant;
use crate::values::{Received, ResponseRef};

impl Endpoint {
    /// Reads the options of a request; of another message nothing.
    #[inline]
    pub(super) fn read<'d>(&self, path: &Path, message: &Message<'d>) -> Reading<'d> {
        match message.code.kind() {
            CodeKind::Request(method) => {
                let method = (method, path.is_reliable());
                Reading::of(&self.context.config, &self.cache_hasher, method, message.options)
            }
            _ => Reading::default(),
        }
    }

    /// What a request must fulfil before anybody looks at what it asks for.
    pub(super) fn check(
        &mut self,
        now: Instant,
        ask: &mut Ask,
        message: &Message<'_>,
        reading: &Reading<'_>,
        room: bool,
    ) -> Result<(), Refusal> {
        if message.token.len() > limits::MAX_TOKEN {
            let text = "the token is too long";
            return Err(Refusal::new(Status::BAD_REQUEST, DropReason::TokenLength, text));
        }
        ask.blocks = reading.admit()?;
        let closed = self.closing && !ask.blocks.go_on();
        let text = "busy, try again later";
        if closed || self.server.is_peer_full(&self.context, &ask.path.peer()) {
            return Err(Refusal::new(Status::SERVICE_UNAVAILABLE, DropReason::Busy, text));
        }
        let repeatable = ask.method.is_safe();
        if let Some(connection) = ask.path.connection
            && !self.context.connections.may_begin(connection, repeatable)
        {
            self.context.lacks_room(now);
            return Err(Refusal::new(Status::SERVICE_UNAVAILABLE, DropReason::Busy, ""));
        }
        let observes = !ask.is_proved() && asks_to_observe(ask, message.options);
        if !room || !self.server.has_room(&self.context, ask) || (observes && !self.may_observe(ask)) {
            return Err(Refusal::no_room(ask, text));
        }
        Ok(())
    }

    pub(super) fn refuse<'d>(&mut self, now: Instant, mut ask: Box<Ask>, refusal: &Refusal) -> Received<'d> {
        refuse(&mut self.context, &mut self.messages, now, &mut ask, refusal);
        self.server.recycle(ask);
        Received::Nothing
    }

    /// A malformed message: silence or a reset (RFC 7252 §3, §4.2, §4.3).
    pub(super) fn reject<'d>(&mut self, path: &Path, error: &MessageError) -> Received<'d> {
        self.context.stats.drop_for(match error.kind {
            MessageErrorKind::Version(_) => DropReason::Version,
            MessageErrorKind::ReservedClass(_) => DropReason::ReservedClass,
            MessageErrorKind::TypeCodeMismatch => DropReason::TypeCode,
            _ => DropReason::Format,
        });
        if let Reaction::Reset(id) = error.reaction()
            && !path.multicast
        {
            self.context.transmit_empty(path.back(), MessageType::Reset, id);
        }
        Received::Nothing
    }
}

/// What a peer is told when the application's answer cannot be sent.
pub(super) fn failure() -> ResponseRef<'static> {
    ResponseRef::new(
        Status::INTERNAL_SERVER_ERROR,
        coracle_wire::Options::empty(),
        b"the answer is too long",
    )
}
