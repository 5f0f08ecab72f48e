//! Requests of ours that are under way in a driver, and those who wait for their answers.

use std::collections::HashMap;

use coracle_engine::{Endpoint, Event, ExchangeId, Instant, Path, RequestError, RequestRef, SharedBody};

use crate::command::{Outgoing, Ticket};
use crate::mailbox::{Notice, Sender};

/// A body up to this length, in bytes, is copied: to share it takes an allocation, too.
pub(crate) const COPIED: usize = 4 << 10;

/// The side of a driver that asks.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    waiting: HashMap<ExchangeId, (Ticket, Sender)>,
    tickets: HashMap<Ticket, ExchangeId>,
}

impl Asking {
    pub(crate) fn request(
        &mut self,
        engine: &mut Endpoint,
        now: Instant,
        (ticket, sender): (Ticket, Sender),
        outgoing: &Outgoing,
    ) {
        let shared = (outgoing.payload.len() > COPIED).then(|| SharedBody::new(outgoing.payload.clone()));
        let request = RequestRef::new(outgoing.method, outgoing.options.as_options());
        let request = match &shared {
            Some(shared) => request.with_shared(shared),
            None => request.with_payload(&outgoing.payload),
        };
        let request = request
            .with_streamed(outgoing.streamed)
            .with_streamed_answer(outgoing.streams_answer)
            .with_confirmable(outgoing.confirmable)
            .with_parameters(outgoing.parameters)
            .with_timeout(outgoing.timeout)
            .with_max_body(outgoing.max_body);
        self.begun((ticket, sender), engine.request(now, &outgoing.path, request));
    }

    pub(crate) fn ping(
        &mut self,
        engine: &mut Endpoint,
        now: Instant,
        (ticket, sender): (Ticket, Sender),
        path: &Path,
    ) {
        self.begun((ticket, sender), engine.ping(now, path));
    }

    fn begun(&mut self, (ticket, sender): (Ticket, Sender), outcome: Result<ExchangeId, RequestError>) {
        match outcome {
            Ok(id) => {
                self.tickets.insert(ticket, id);
                self.waiting.insert(id, (ticket, sender));
            }
            Err(error) => sender.send(Notice::Refused(error)),
        }
    }

    pub(crate) fn cancel(&mut self, engine: &mut Endpoint, now: Instant, ticket: Ticket) {
        if let Some(id) = self.tickets.remove(&ticket) {
            self.waiting.remove(&id);
            engine.cancel(now, id);
        }
    }

    pub(crate) fn supply(
        &self,
        engine: &mut Endpoint,
        now: Instant,
        ticket: Ticket,
        (part, more): (&[u8], bool),
    ) {
        if let Some(id) = self.tickets.get(&ticket) {
            engine.supply_body(now, *id, part, more);
        }
    }

    pub(crate) fn resume(&self, engine: &mut Endpoint, now: Instant, ticket: Ticket) {
        if let Some(id) = self.tickets.get(&ticket) {
            engine.continue_body(now, *id);
        }
    }

    /// Tells of an event to whom it concerns; gives it back if it is about no request of ours.
    pub(crate) fn event(&mut self, engine: &mut Endpoint, now: Instant, event: Event) -> Option<Event> {
        match event {
            Event::Response { id, response, more } => {
                self.tell(id, Notice::Response { response, more }, !more);
                self.go_on(engine, now, id, more);
            }
            Event::Body { id, payload, more } => {
                self.tell(id, Notice::Body { payload, more }, !more);
                self.go_on(engine, now, id, more);
            }
            Event::BodyWanted { id } => self.tell(id, Notice::BodyWanted, false),
            Event::Pong { id } => self.tell(id, Notice::Pong, true),
            Event::Progress {
                id,
                sent,
                received,
                total,
            } => {
                let notice = Notice::Progress {
                    sent,
                    received,
                    total,
                };
                self.tell(id, notice, false);
            }
            Event::HeldBack { id, until } => self.tell(id, Notice::HeldBack(until - now), false),
            Event::Stale { id } => self.tell(id, Notice::Stale, false),
            Event::Failed { id, error } => self.tell(id, Notice::Failed(error), true),
            event => return Some(event),
        }
        None
    }

    /// Asks for the next part of an answer's body unless its reader has fallen behind. Of other answers there is none.
    fn go_on(&self, engine: &mut Endpoint, now: Instant, id: ExchangeId, more: bool) {
        if more
            && let Some((_, sender)) = self.waiting.get(&id)
            && sender.takes_more()
        {
            if let Some(memory) = sender.take_spare() {
                engine.lend(id, memory);
            }
            engine.continue_body(now, id);
        }
    }

    fn tell(&mut self, id: ExchangeId, notice: Notice, last: bool) {
        if last {
            if let Some((ticket, sender)) = self.waiting.remove(&id) {
                self.tickets.remove(&ticket);
                sender.send(notice);
            }
        } else if let Some((_, sender)) = self.waiting.get(&id) {
            sender.send(notice);
        }
    }
}
