//! What comes from the server, held against what was asked.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use coracle_engine::Path;
use coracle_wire::{BlockOption, CodeKind, Message, MessageType, OptionNumber, Status};

use crate::datagrams::Source;
use crate::exchanges::Exchanges;
use crate::limits::{MAX_CHALLENGES, REMEMBERED_REQUESTS};
use crate::observe::Phase;
use crate::payloads::{Verdict, difference};
use crate::slot::{Slot, State, read_token};
use crate::tally::Wrong;
use crate::transfer::{Parts, Transfer};
use crate::way::Way;

impl Exchanges {
    /// Takes a datagram in.
    ///
    /// # Errors
    /// If a new source for what is to be sent cannot be had.
    pub(crate) fn handle(
        &mut self,
        now: Instant,
        socket: u32,
        path: &Path,
        datagram: &[u8],
    ) -> io::Result<()> {
        self.tally.bytes_in += datagram.len() as u64;
        let Way::Datagrams(datagrams) = &self.way else {
            return Ok(());
        };
        let source = datagrams.source_of(socket, path);
        let from_server = path.remote == self.plan.server;
        self.heard |= from_server;
        let message = match Message::parse(datagram) {
            Ok(message) => message,
            Err(_) if !from_server => {
                self.tally.strays += 1;
                return Ok(());
            }
            Err(error) => {
                let wrong = || format!("a datagram of {} bytes: {error}", datagram.len());
                self.tally.is_wrong(Wrong::Malformed, wrong);
                return Ok(());
            }
        };
        match message.code.kind() {
            CodeKind::Empty if from_server => self.empty(source, &message),
            CodeKind::Response(status) => return self.response(now, source, path.remote, &message, status),
            _ => self.tally.strays += 1,
        }
        Ok(())
    }

    /// An empty Acknowledgement, a Reset, or a ping.
    fn empty(&mut self, source: Source, message: &Message<'_>) {
        let id = message.message_id;
        let index = self.find(source, id);
        match (message.message_type, index) {
            (MessageType::Acknowledgement, Some(index)) => {
                if let Some(slot) = self.slots.get_mut(index as usize) {
                    slot.state = State::Acknowledged;
                    slot.send_again = None;
                }
            }
            (MessageType::Reset, Some(index)) => {
                self.tally.resets += 1;
                self.sample.lost += 1;
                self.free_slot(index);
            }
            // A confirmable answer that registers may come before the acknowledgement (RFC 7252 §5.2.2).
            (MessageType::Acknowledgement, None) if self.has_registered(source, id) => {}
            // RFC 7252 §4.3: a ping.
            (MessageType::Confirmable, _) => self.send_empty(source, MessageType::Reset, id),
            _ => self.tally.strays += 1,
        }
    }

    /// Takes a response in that came from `remote` to `source`.
    ///
    /// # Errors
    /// If what follows cannot be sent.
    pub(crate) fn response(
        &mut self,
        now: Instant,
        source: Source,
        remote: SocketAddr,
        message: &Message<'_>,
        status: Status,
    ) -> io::Result<()> {
        let found = read_token(message.token).and_then(|(index, sequence)| {
            let slot = self.slots.get(index as usize)?;
            Some((index, slot, slot.sequence.wrapping_sub(sequence)))
        });
        let Some((index, slot, age)) = found.filter(|(.., age)| *age < REMEMBERED_REQUESTS) else {
            self.tally.strays += 1;
            self.reject(source, message);
            return Ok(());
        };
        // What has Observe is a notification, also while the answer to the end of the observation is waited for.
        let leaving = self
            .observers
            .as_ref()
            .is_some_and(|observers| observers.phase == Phase::Leaving);
        let listening =
            age == 0 && (slot.state == State::Listening || (leaving && message.options.observe().is_some()));
        if age > 0 || !(slot.is_outstanding() || listening) {
            self.copy(index, age, source, message);
            return Ok(());
        }
        if let Some((wrong, told)) = self.misplaced(slot, source, remote, message) {
            self.tally.is_wrong(wrong, || told);
            return Ok(());
        }
        if listening {
            self.notified(now, index, source, message, status);
            return Ok(());
        }
        if message.message_type == MessageType::Confirmable {
            self.send_empty(source, MessageType::Acknowledgement, message.message_id);
        }
        self.tally.separate += u64::from(message.message_type == MessageType::Confirmable);
        self.answered(now, index, message, status)
    }

    /// A confirmable response that we do not know what to do with (RFC 7252 §4.2).
    fn reject(&mut self, source: Source, message: &Message<'_>) {
        if message.message_type == MessageType::Confirmable {
            self.send_empty(source, MessageType::Reset, message.message_id);
        }
    }

    /// An answer to a request that is over: `age` requests of the slot were begun since, or none.
    fn copy(&mut self, index: u32, age: u32, source: Source, message: &Message<'_>) {
        let slot = self.slots.get(index as usize);
        let given_up =
            slot.is_some_and(|slot| slot.gave_up_before && age == u32::from(slot.is_outstanding()));
        if given_up {
            self.tally.late += 1;
        } else {
            self.tally.duplicates += 1;
        }
        // A copy of a confirmable response is acknowledged like the first (RFC 7252 §4.5).
        if message.message_type == MessageType::Confirmable {
            self.send_empty(source, MessageType::Acknowledgement, message.message_id);
        }
    }

    /// Why a response is none to the request that its token names (RFC 7252 §5.3.2).
    fn misplaced(
        &self,
        slot: &Slot,
        source: Source,
        remote: SocketAddr,
        message: &Message<'_>,
    ) -> Option<(Wrong, String)> {
        let server = self.plan.server;
        if remote != server {
            let told = format!("{remote} answered a request to {server}");
            return Some((Wrong::Source, told));
        }
        if source != slot.source {
            let told = match self.way.is_reliable() {
                true => "the answer came on another connection than the request",
                false => "the answer came to another address of ours than that of the request",
            };
            return Some((Wrong::Source, told.into()));
        }
        if message.message_type != MessageType::Acknowledgement {
            return None;
        }
        if !self.plan.request.confirmable {
            let told = "a non-confirmable request was answered in an Acknowledgement";
            return Some((Wrong::Type, told.into()));
        }
        (message.message_id != slot.id).then(|| {
            let told = format!(
                "the token is that of the request with message ID {}, the Acknowledgement has {}",
                slot.id, message.message_id
            );
            (Wrong::MessageId, told)
        })
    }

    /// The request has its answer; or it goes out anew, with the Echo option that the server wants.
    fn answered(
        &mut self,
        now: Instant,
        index: u32,
        message: &Message<'_>,
        status: Status,
    ) -> io::Result<()> {
        let Some(slot) = self.slots.get_mut(index as usize) else {
            return Ok(());
        };
        if let Some(echo) = message.options.get(OptionNumber::ECHO) {
            let number = index % self.plan.peers;
            if let Some(place) = self.echoes.get_mut(number as usize) {
                *place = Some((slot.source, echo.into()));
            }
            let largest = || Parts::LARGEST_BLOCK.szx();
            let szx = self
                .transfers
                .get(index as usize)
                .map_or_else(largest, Transfer::szx);
            let wants_it = status == Status::UNAUTHORIZED || is_cut(message, szx);
            if wants_it && slot.challenges < MAX_CHALLENGES {
                slot.challenges += 1;
                self.tally.challenges += 1;
                return self.ask(now, index);
            }
        }
        let next = self.judge(now, index, message, status);
        match next {
            Next::Smaller => self.tally.smaller += 1,
            _ => *self.tally.codes.entry(status).or_default() += 1,
        }
        let Some(slot) = self.slots.get_mut(index as usize) else {
            return Ok(());
        };
        let intended = slot.intended;
        slot.gave_up_before = false;
        match next {
            Next::Again | Next::Smaller => return self.ask(now, index),
            Next::Listening => self.listen(index),
            _ => self.free_slot(index),
        }
        match next {
            Next::Wrong(wrong, told) => {
                self.tally.is_wrong(wrong, || told);
                self.sample.wrong += 1;
            }
            Next::Failed => *self.sample.errors.entry(status).or_default() += 1,
            Next::Right | Next::Listening | Next::Again | Next::Smaller => {
                let latency = now.saturating_duration_since(intended);
                self.tally.answered += 1;
                self.tally.record(latency);
                self.sample.record(latency);
            }
        }
        Ok(())
    }

    /// What follows an answer that belongs to its request.
    fn judge(&mut self, now: Instant, index: u32, message: &Message<'_>, status: Status) -> Next {
        let transfer = self.transfers.get_mut(index as usize);
        if !status.is_success() {
            let too_large = status == Status::REQUEST_ENTITY_TOO_LARGE;
            let smaller = too_large && transfer.is_some_and(|transfer| transfer.shrinks(message));
            return if smaller { Next::Smaller } else { Next::Failed };
        }
        if let Some(transfer) = transfer {
            let before = self.tally.body_bytes;
            let next = transfer.answered(message, status, &self.plan, &mut self.payloads, &mut self.tally);
            self.sample.body_bytes += self.tally.body_bytes - before;
            return next;
        }
        if let Some(observers) = &mut self.observers {
            return observers.answered(now, index, message);
        }
        match self.payloads.judge(&self.plan.expect, message, message.payload) {
            Verdict::Right => {}
            Verdict::Changed(first) => self.tally.has_changed(|| difference(message.payload, first)),
            Verdict::Wrong(right) => {
                let told = difference(message.payload, right);
                return Next::Wrong(Wrong::Payload, self.plan.expect.explained(told));
            }
        }
        let block = message.options.block2().and_then(Result::ok);
        self.tally.partial += u64::from(block.is_some_and(BlockOption::more));
        Next::Right
    }

    /// What comes under the token of an observation.
    fn notified(&mut self, now: Instant, index: u32, source: Source, message: &Message<'_>, status: Status) {
        let id = message.message_id;
        if message.message_type == MessageType::Confirmable {
            self.send_empty(source, MessageType::Acknowledgement, id);
        }
        let Some(observers) = self.observers.as_mut() else {
            return;
        };
        if message.message_type == MessageType::Acknowledgement || observers.is_copy(index, id) {
            self.tally.duplicates += 1;
            return;
        }
        *self.tally.codes.entry(status).or_default() += 1;
        let told = observers
            .notified(now, index, message)
            .filter(|_| status.is_success());
        let Some(told) = told else {
            observers.fanout.ended += 1;
            match status.is_success() {
                true => self.sample.wrong += 1,
                false => *self.sample.errors.entry(status).or_default() += 1,
            }
            self.free_slot(index);
            return;
        };
        if observers.phase != Phase::Listening {
            return;
        }
        self.tally.answered += 1;
        match told {
            Some(since_first) => {
                self.tally.record(since_first);
                self.sample.record(since_first);
            }
            None => self.sample.answered += 1,
        }
    }
}

/// What follows an answer.
pub(crate) enum Next {
    /// The request is answered as it should be.
    Right,
    /// It is answered, but not as it should be.
    Wrong(Wrong, String),
    /// It is answered by an error, which is counted by its code.
    Failed,
    /// Another message follows.
    Again,
    /// The whole follows anew, in smaller blocks.
    Smaller,
    /// Notifications follow.
    Listening,
}

/// A server that does not know our address yet may answer with the first block of a body only, and an Echo option,
/// so as not to amplify (RFC 9175 §2.3, §2.6).
fn is_cut(message: &Message<'_>, asked: u8) -> bool {
    let block = message.options.block2().and_then(Result::ok);
    block.is_some_and(|block| block.num() == 0 && block.more() && block.szx() < asked)
}
