//! Room for one outstanding request.

use std::time::{Duration, Instant};

use coracle_wire::MessageId;

use crate::datagrams::Source;

/// What became of a slot's request so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// None is outstanding.
    Idle,
    /// Sent; a confirmable one is sent again.
    Sent,
    /// Acknowledged; the response comes in a message of its own (RFC 7252 §5.2.2).
    Acknowledged,
    /// None is outstanding, and none can be sent before the peer has a connection again.
    Parked,
    /// An observation that is registered (RFC 7641 §3.1).
    Listening,
}

pub(crate) struct Slot {
    pub(crate) state: State,
    /// Goes into the token, and up with each request.
    pub(crate) sequence: u32,
    pub(crate) id: MessageId,
    pub(crate) source: Source,
    /// When it was to be sent. Latency counts from here.
    pub(crate) intended: Instant,
    pub(crate) send_again: Option<Instant>,
    pub(crate) give_up: Instant,
    /// Until the next transmission but one (RFC 7252 §4.2).
    pub(crate) wait: Duration,
    pub(crate) retransmissions: u8,
    pub(crate) challenges: u8,
    /// The Echo option of this request.
    pub(crate) echo: Option<Box<[u8]>>,
    /// The request before was given up: its answer may come late.
    pub(crate) gave_up_before: bool,
}

impl Slot {
    pub(crate) fn new(now: Instant, sequence: u32) -> Slot {
        Slot {
            state: State::Parked,
            sequence,
            id: MessageId(0),
            source: Source::connection(0),
            intended: now,
            send_again: None,
            give_up: now,
            wait: Duration::ZERO,
            retransmissions: 0,
            challenges: 0,
            echo: None,
            gave_up_before: false,
        }
    }

    /// A request waits for its answer.
    pub(crate) fn is_outstanding(&self) -> bool {
        matches!(self.state, State::Sent | State::Acknowledged)
    }

    /// When there is something to do.
    pub(crate) fn deadline(&self) -> Instant {
        self.send_again
            .map_or(self.give_up, |again| again.min(self.give_up))
    }

    pub(crate) fn token(&self, index: u32) -> [u8; 8] {
        let mut token = [0; 8];
        let (to_index, to_sequence) = token.split_at_mut(4);
        to_index.copy_from_slice(&index.to_be_bytes());
        to_sequence.copy_from_slice(&self.sequence.to_be_bytes());
        token
    }
}

/// The slot and the sequence number that a token names.
pub(crate) fn read_token(token: &[u8]) -> Option<(u32, u32)> {
    let (index, sequence) = token.split_first_chunk::<4>()?;
    let sequence = <[u8; 4]>::try_from(sequence).ok()?;
    Some((u32::from_be_bytes(*index), u32::from_be_bytes(sequence)))
}
