//! When a message may leave: NSTART, PROBING_RATE and the waits between retransmissions (RFC 7252 §4.2, §4.7).

use core::time::Duration;

use coracle_wire::MessageId;

use crate::config::TransmissionParameters;
use crate::context::Context;
use crate::message::peers::PeerState;
use crate::message::{Outgoing, Owner, Sending};
use crate::slab::{Key, Slab};
use crate::time::Instant;

/// How far retransmission has come.
#[derive(Clone, Copy)]
pub(crate) struct Attempt {
    pub(super) retransmissions: u8,
    pub(super) timeout: Duration,
    /// The message in whose place this one is sent, which may still be acknowledged (RFC 7641 §4.5.2).
    pub(super) superseded: Option<MessageId>,
}

impl Attempt {
    /// The next one; `None` after the last (RFC 7252 §4.2). Each wait is twice the one before; where the count began
    /// anew, waits do not grow beyond MAX_TRANSMIT_WAIT.
    pub(super) fn next(self, parameters: &TransmissionParameters) -> Option<Attempt> {
        let longest = parameters.max_transmit_wait();
        (self.retransmissions < parameters.max_retransmit).then(|| Attempt {
            retransmissions: self.retransmissions + 1,
            timeout: self.timeout.saturating_mul(2).min(longest),
            ..self
        })
    }
}

/// Whether a message goes ahead of others: a response that waits for no acknowledgement.
pub(super) fn passes(sending: &Sending) -> bool {
    !sending.confirmable && !matches!(sending.owner, Owner::Request(_))
}

/// The place in the queue of the message that is next, and whether it may leave now: the first one, or while PROBING_RATE
/// holds that back the first confirmable one. That is under the rule of NSTART, and its acknowledgement tells that the
/// peer answers after all.
pub(super) fn next_in_line(
    state: &PeerState,
    outgoing: &Slab<Outgoing>,
    now: Instant,
) -> Option<(usize, Key, Result<(), Option<Instant>>)> {
    let sending = |key: Key| outgoing.get(key).map(|outgoing| &outgoing.sending);
    let front = state.waiting().next()?;
    let first = turn(state, sending(front)?, now);
    if matches!(first, Err(Some(_))) {
        let confirmable = |key: Key| sending(key).filter(|sending| sending.confirmable);
        let mut places = state.waiting().enumerate();
        let other = places.find_map(|(place, key)| Some((place, key, confirmable(key)?)));
        if let Some((place, key, _)) = other.filter(|(.., other)| turn(state, other, now).is_ok()) {
            return Some((place, key, Ok(())));
        }
    }
    Some((0, front, first))
}

/// Whether a message may leave now. `Err` tells when it may, or `None` when another message has to end first.
fn turn(state: &PeerState, sending: &Sending, now: Instant) -> Result<(), Option<Instant>> {
    let nstart = sending.parameters.nstart;
    if sending.confirmable {
        // RFC 7252 §4.7: at most NSTART interactions are outstanding.
        return if state.in_flight < nstart {
            Ok(())
        } else {
            Err(None)
        };
    }
    if !matches!(sending.owner, Owner::Request(_)) || sending.path.multicast {
        return Ok(());
    }
    // RFC 7252 §4.7: a peer that does not answer is sent PROBING_RATE bytes a second.
    if state.unanswered >= nstart && state.probe_at > now {
        return Err(Some(state.probe_at));
    }
    Ok(())
}

/// Counts a message that leaves against NSTART and PROBING_RATE.
pub(super) fn depart(state: &mut PeerState, sending: &Sending, now: Instant, len: usize) {
    if sending.confirmable {
        state.in_flight = state.in_flight.saturating_add(1);
    } else if matches!(sending.owner, Owner::Request(_)) && !sending.path.multicast {
        state.unanswered = state.unanswered.saturating_add(1);
        let rate = u64::from(sending.parameters.probing_rate.max(1));
        let pause = Duration::from_micros((len as u64).saturating_mul(1_000_000) / rate);
        state.probe_at = state.probe_at.max(now) + pause;
    }
}

/// RFC 7252 §4.2: a random wait between ACK_TIMEOUT and ACK_TIMEOUT times ACK_RANDOM_FACTOR.
pub(super) fn first_attempt(context: &mut Context, parameters: &TransmissionParameters) -> Attempt {
    let spread = parameters
        .ack_timeout
        .mul_f32((parameters.ack_random_factor - 1.0).max(0.0));
    let timeout = parameters.ack_timeout + context.random_within(spread);
    Attempt {
        retransmissions: 0,
        timeout,
        superseded: None,
    }
}
