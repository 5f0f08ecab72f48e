//! A flight: the messages that one side sends together, cut to datagrams, and sent again until the peer answers
//! (RFC 6347 §4.2.3, §4.2.4).
//!
//! ```text
//!   begin, append messages, change_cipher, append Finished, launch
//!     |
//!     v
//!   SENDING  --- write_datagram until nothing is left ---> WAITING
//!     ^                                                      |
//!     +---- a timer, or the peer repeats its flight ---------+----> the peer's next flight: begin
//! ```

use alloc::vec::Vec;
use core::time::Duration;

use crate::limits;
use crate::messages::codec::Reader;
use crate::messages::header::{FragmentHeader, HEADER_LEN};
use crate::record::{ContentType, WriteState};

/// Less of a message than this is not begun at the end of a datagram.
const LEAST_FRAGMENT: usize = 32;

/// ChangeCipherSpec has one byte that says nothing (RFC 5246 §7.1).
const CHANGE_CIPHER_SPEC: &[u8] = &[1];

/// How long after a flight was sent the peer's repetitions say nothing yet: they crossed it.
const REPETITION_PAUSE: Duration = Duration::from_millis(200);

#[derive(Default)]
pub(crate) struct Flight {
    /// Whole messages, one after the other.
    messages: Vec<u8>,
    /// Before which byte of `messages` ChangeCipherSpec goes; what comes after it is sealed.
    change_at: Option<usize>,
    position: Position,
    timeouts: u8,
    repetitions: u8,
    sent_at: Duration,
}

/// What of the flight has been written.
#[derive(Clone, Copy, Default)]
struct Position {
    /// Where the message begins that is next, or half written.
    message: usize,
    /// How much of its body is written.
    body: usize,
    changed: bool,
}

impl Flight {
    /// Forgets the flight before; its messages are where new ones are appended.
    pub(super) fn begin(&mut self) {
        self.messages.clear();
        self.change_at = None;
    }

    pub(super) fn messages(&mut self) -> &mut Vec<u8> {
        &mut self.messages
    }

    /// ChangeCipherSpec goes here.
    pub(super) fn change_cipher(&mut self) {
        self.change_at = Some(self.messages.len());
    }

    /// All has been appended: the flight is to be sent.
    pub(super) fn launch(&mut self, now: Duration) {
        self.position = Position::default();
        self.timeouts = 0;
        self.repetitions = 0;
        self.sent_at = now;
    }

    /// How long to wait for an answer (RFC 6347 §4.2.4.1).
    pub(super) fn timeout(&self) -> Duration {
        let doubled = limits::FIRST_TIMEOUT.saturating_mul(1 << self.timeouts.min(16));
        doubled.min(limits::LONGEST_TIMEOUT)
    }

    /// Sends the flight again, because nothing came in time. False if that was often enough.
    pub(super) fn again_by_timer(&mut self, now: Duration) -> bool {
        if self.timeouts >= limits::TIMEOUTS {
            return false;
        }
        self.timeouts += 1;
        self.position = Position::default();
        self.sent_at = now;
        true
    }

    /// Sends the flight again, because the peer repeats the one before. False if it is too soon, or was often enough.
    pub(crate) fn again_by_peer(&mut self, now: Duration) -> bool {
        let is_soon = now < self.sent_at.saturating_add(REPETITION_PAUSE);
        if is_soon || self.repetitions >= limits::REPETITIONS {
            return false;
        }
        self.repetitions += 1;
        self.position = Position::default();
        self.sent_at = now;
        true
    }

    /// What a datagram may have: less when larger ones seem to get lost (RFC 6347 §4.1.1.1).
    pub(crate) fn datagram_limit(&self, mtu: usize) -> usize {
        if self.timeouts >= limits::SMALLER_AFTER {
            mtu.min(limits::SMALL_DATAGRAM)
        } else {
            mtu
        }
    }

    fn is_written(&self) -> bool {
        let changes = self.change_at.is_none() || self.position.changed;
        changes && self.position.message >= self.messages.len()
    }

    /// Fills `buf` with records of at most `limit` bytes of plaintext. 0 when nothing is left, or nothing fits.
    pub(crate) fn write_datagram(
        &mut self,
        buf: &mut [u8],
        limit: usize,
        plain: &mut WriteState,
        mut sealed: Option<&mut WriteState>,
    ) -> usize {
        let mut written = 0;
        while !self.is_written() {
            let Some(room) = buf.get_mut(written..) else { break };
            let write = match sealed.as_deref_mut() {
                Some(sealed) if self.position.changed => sealed,
                _ => &mut *plain,
            };
            match self.write_record(room, limit, write, written == 0) {
                Some(len) => written += len,
                None => break,
            }
        }
        written
    }

    fn write_record(
        &mut self,
        room: &mut [u8],
        limit: usize,
        write: &mut WriteState,
        is_first: bool,
    ) -> Option<usize> {
        if self.change_at == Some(self.position.message) && !self.position.changed {
            let len = write
                .seal(ContentType::CHANGE_CIPHER_SPEC, CHANGE_CIPHER_SPEC, room)
                .ok()?;
            self.position.changed = true;
            return Some(len);
        }
        let fits = room.len().checked_sub(write.overhead())?.min(limit);
        let message = self.messages.get(self.position.message..)?;
        let (header, _) = FragmentHeader::read(&mut Reader::new(message))?;
        let length = usize::try_from(header.length).ok()?;
        let message = message.get(..HEADER_LEN + length)?;
        let left = length.checked_sub(self.position.body)?;
        let now = left.min(fits.checked_sub(HEADER_LEN)?);
        if now < left && now < LEAST_FRAGMENT && !is_first {
            return None;
        }
        let len = if now == length {
            write.seal(ContentType::HANDSHAKE, message, room).ok()?
        } else {
            let fragment = fragment(header, message, self.position.body, now)?;
            write.seal(ContentType::HANDSHAKE, &fragment, room).ok()?
        };
        if now == left {
            self.position.message += message.len();
            self.position.body = 0;
        } else {
            self.position.body += now;
        }
        Some(len)
    }
}

/// `len` bytes of a message's body from `offset` on, with the header of a fragment (RFC 6347 §4.2.3).
fn fragment(header: FragmentHeader, message: &[u8], offset: usize, len: usize) -> Option<Vec<u8>> {
    let start = HEADER_LEN + offset;
    let body = message.get(start..start + len).filter(|body| !body.is_empty())?;
    let header = FragmentHeader {
        offset: u32::try_from(offset).ok()?,
        ..header
    };
    let mut fragment = Vec::with_capacity(HEADER_LEN + len);
    fragment.extend_from_slice(&header.to_bytes(u32::try_from(len).ok()?));
    fragment.extend_from_slice(body);
    Some(fragment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::header::{MessageType, write_message};
    use crate::record::RecordHeader;

    fn flight(lens: &[usize]) -> Flight {
        let mut flight = Flight::default();
        flight.begin();
        for (sequence, &len) in (0_u16..).zip(lens) {
            write_message(flight.messages(), MessageType::CERTIFICATE, sequence, |w| {
                w.put(&alloc::vec![7; len]);
            });
        }
        flight
    }

    /// The records of all datagrams: content type and payload.
    fn send(flight: &mut Flight, mtu: usize) -> Vec<Vec<(ContentType, Vec<u8>)>> {
        let mut plain = WriteState::plain();
        let mut datagrams = Vec::new();
        loop {
            let mut buf = alloc::vec![0; mtu];
            let len = flight.write_datagram(&mut buf, limits::PLAINTEXT, &mut plain, None);
            if len == 0 {
                return datagrams;
            }
            let mut rest = &buf[..len];
            let mut records = Vec::new();
            while let Some(header) = RecordHeader::parse(rest, 0) {
                records.push((header.content_type, rest[header.payload()].to_vec()));
                rest = &rest[header.record_len()..];
            }
            datagrams.push(records);
        }
    }

    #[test]
    fn messages_share_a_datagram() {
        let mut flight = flight(&[10, 0, 20]);
        flight.launch(Duration::ZERO);
        let datagrams = send(&mut flight, 256);
        assert_eq!(datagrams.len(), 1);
        let lens: Vec<_> = datagrams[0].iter().map(|(_, payload)| payload.len()).collect();
        assert_eq!(lens, [22, 12, 32]);
    }

    #[test]
    fn a_message_that_does_not_fit_is_cut() {
        let mut flight = flight(&[300, 5]);
        flight.change_cipher();
        flight.launch(Duration::ZERO);
        let datagrams = send(&mut flight, 256);
        let fragments: Vec<_> = datagrams
            .iter()
            .flatten()
            .filter(|(kind, _)| *kind == ContentType::HANDSHAKE)
            .map(|(_, payload)| {
                let (header, body) = FragmentHeader::read(&mut Reader::new(payload)).unwrap();
                (header.sequence, header.offset, body.len())
            })
            .collect();
        assert_eq!(fragments, [(0, 0, 231), (0, 231, 69), (1, 0, 5)]);
        let (last, _) = datagrams.last().unwrap().last().unwrap();
        assert_eq!(*last, ContentType::CHANGE_CIPHER_SPEC);
    }

    #[test]
    fn a_buffer_without_room_gets_nothing() {
        let mut flight = flight(&[300]);
        flight.launch(Duration::ZERO);
        for len in 0..26 {
            let mut buf = alloc::vec![0; len];
            assert_eq!(
                flight.write_datagram(&mut buf, 1000, &mut WriteState::plain(), None),
                0
            );
        }
    }

    #[test]
    fn waits_double_and_come_to_an_end() {
        let mut flight = flight(&[1]);
        flight.launch(Duration::ZERO);
        let mut waits = Vec::new();
        loop {
            waits.push(flight.timeout().as_secs());
            if !flight.again_by_timer(Duration::ZERO) {
                break;
            }
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
    }

    #[test]
    fn a_peer_has_only_so_many_repetitions() {
        let mut flight = flight(&[1]);
        flight.launch(Duration::ZERO);
        assert!(
            !flight.again_by_peer(Duration::from_millis(100)),
            "it crossed the flight"
        );
        let again = (1..100).filter(|&second| flight.again_by_peer(Duration::from_secs(second)));
        assert_eq!(again.count(), usize::from(limits::REPETITIONS));
    }
}
