//! What comes from the server, held against what was asked.

use std::io;
use std::time::Instant;

use coracle_engine::Path;
use coracle_wire::{Code, CodeKind, Message, MessageType, OptionNumber, Status};

use crate::exchanges::Exchanges;
use crate::limits::{MAX_CHALLENGES, REMEMBERED_REQUESTS};
use crate::slot::{Slot, State, read_token};
use crate::sources::Source;
use crate::tally::Wrong;

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
        let source = self.sources.of(socket, path);
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
            CodeKind::Response(status) => return self.response(now, source, path, &message, status),
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
                self.sample.failed += 1;
                self.free_slot(index);
            }
            // RFC 7252 §4.3: a ping.
            (MessageType::Confirmable, _) => self.send_empty(source, MessageType::Reset, id),
            _ => self.tally.strays += 1,
        }
    }

    fn response(
        &mut self,
        now: Instant,
        source: Source,
        path: &Path,
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
        if age > 0 || !slot.is_outstanding() {
            self.copy(index, age, source, message);
            return Ok(());
        }
        if let Some((wrong, told)) = self.misplaced(slot, source, path, message) {
            self.tally.is_wrong(wrong, || told);
            return Ok(());
        }
        if message.message_type == MessageType::Confirmable {
            self.send_empty(source, MessageType::Acknowledgement, message.message_id);
        }
        self.tally.separate += u64::from(message.message_type == MessageType::Confirmable);
        *self.tally.codes.entry(status).or_default() += 1;
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
        path: &Path,
        message: &Message<'_>,
    ) -> Option<(Wrong, String)> {
        let server = self.plan.server;
        if path.remote != server {
            let told = format!("{} answered a request to {server}", path.remote);
            return Some((Wrong::Source, told));
        }
        if source != slot.source {
            let told = "the answer came to another address of ours than that of the request";
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
            if let Some(peer) = self.peers.get_mut(number as usize) {
                peer.echo = Some(echo.into());
            }
            let wants_it = status == Status::UNAUTHORIZED || is_cut(message);
            if wants_it && slot.challenges < MAX_CHALLENGES {
                slot.challenges += 1;
                self.tally.challenges += 1;
                return self.ask(now, index);
            }
        }
        let intended = slot.intended;
        slot.gave_up_before = false;
        self.free_slot(index);
        if !status.is_success() {
            self.sample.failed += 1;
            return Ok(());
        }
        if let Some(right) = self.plan.expect.contradicts(message.payload) {
            let told = difference(message.payload, right);
            self.tally.is_wrong(Wrong::Payload, || told);
            self.sample.failed += 1;
            return Ok(());
        }
        let more = |block: coracle_wire::BlockOption| block.more();
        self.tally.partial += u64::from(message.options.block2().and_then(Result::ok).is_some_and(more));
        let latency = now.saturating_duration_since(intended);
        self.tally.answered += 1;
        self.tally.record(latency);
        self.sample.record(latency);
        Ok(())
    }
}

/// A server that does not know our address yet may answer with the first block of a body only, and an Echo option,
/// so as not to amplify (RFC 9175 §2.3, §2.6).
fn is_cut(message: &Message<'_>) -> bool {
    let block = message.options.block2().and_then(Result::ok);
    block.is_some_and(|block| block.num() == 0 && block.more() && block.szx() < 6)
        && message.code != Code::from(Status::UNAUTHORIZED)
}

/// How two payloads differ, for people.
fn difference(got: &[u8], right: &[u8]) -> String {
    let place = got.iter().zip(right).position(|(a, b)| a != b);
    let place = place.unwrap_or_else(|| got.len().min(right.len()));
    let about = |payload: &[u8]| {
        let from = payload.get(place..).unwrap_or_default();
        let shown = from.get(..24).unwrap_or(from);
        format!("{:?}", String::from_utf8_lossy(shown))
    };
    format!(
        "{} bytes instead of {}, different from byte {place} on: {} instead of {}",
        got.len(),
        right.len(),
        about(got),
        about(right)
    )
}
