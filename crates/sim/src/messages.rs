//! What every node owes to the message layer of others, whatever its application does, as the wire shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use coracle_engine::Instant;
use coracle_wire::{CodeKind, Message, MessageType};

use crate::history::Happening;
use crate::node::NodeId;

/// EXCHANGE_LIFETIME (RFC 7252 §4.8.2) by a clock that runs 5 % fast.
const EXCHANGE_LIFETIME: Duration = Duration::from_secs(247 * 20 / 21);

/// EXCHANGE_LIFETIME by a clock that runs 5 % slow: so long a receiver may remember a message.
const REMEMBERED: Duration = Duration::from_secs(247 * 21 / 20);

/// ACK_TIMEOUT (RFC 7252 §4.8) by a clock that runs 5 % fast.
const ACK_TIMEOUT: Duration = Duration::from_millis(2_000 * 20 / 21);

/// Transmissions of a confirmable message: the first, and MAX_RETRANSMIT more (RFC 7252 §4.8).
const TRANSMISSIONS: u32 = 5;

/// Those of a notification that takes the place of one that is acknowledged after all: the count begins anew, once
/// (RFC 7641 §4.5.2).
const TRANSMISSIONS_OF_NOTIFICATION: u32 = 8;

/// PROCESSING_DELAY (RFC 7252 §4.8.2) by a clock that runs 5 % slow: within it a confirmable message is acknowledged.
const PROCESSING_DELAY: Duration = Duration::from_millis(2_100);

/// A rule for messages that can be held against what a node sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// A message is sent again only if it is confirmable, after the waits and as often as retransmission allows.
    Transmissions,
    /// A message ID is that of one message for EXCHANGE_LIFETIME.
    MessageId,
    /// A confirmable message is acknowledged or rejected, in time and each time that it comes.
    Acknowledgement,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::Transmissions => "sent a message too often or too early (RFC 7252 §4.2)",
            Rule::MessageId => "used a message ID again (RFC 7252 §4.4)",
            Rule::Acknowledgement => "did not acknowledge a message in time (RFC 7252 §4.2)",
        })
    }
}

fn broke(node: NodeId, rule: Rule) -> Happening {
    Happening::Broke { node: node.0, rule }
}

/// A message under an ID of its sender's.
struct Sent {
    first: Instant,
    last: Instant,
    times: u32,
    datagram: Vec<u8>,
}

type Key = (NodeId, SocketAddr, u16);

/// The messages between nodes and the addresses that they know.
#[derive(Default)]
pub(crate) struct Messages {
    sent: BTreeMap<Key, Sent>,
    /// Confirmable messages that came and are not acknowledged yet, and when they came first.
    owed: BTreeMap<Key, Instant>,
    acknowledged: BTreeSet<Key>,
    /// What came last under an ID, and when.
    came: BTreeMap<Key, (Instant, Vec<u8>)>,
    /// Two messages came from one address under one ID, and the receiver cannot but take the second for a copy of the
    /// first: a forger guessed the ID, or the sender counts for an address that the receiver has left.
    pub(crate) collided: bool,
    /// Who is short of memory need not acknowledge again what comes again.
    pub(crate) short_of_memory: bool,
    /// What is not as it should be.
    breaches: Vec<(Instant, Happening)>,
}

impl Messages {
    /// A datagram leaves a node.
    pub(crate) fn sent(&mut self, at: Instant, node: NodeId, remote: SocketAddr, datagram: &[u8]) {
        let Ok(message) = Message::parse(datagram) else {
            return;
        };
        let key = (node, remote, message.message_id.0);
        match message.message_type {
            MessageType::Confirmable | MessageType::NonConfirmable => {
                self.sent_own(at, key, &message, datagram);
            }
            MessageType::Acknowledgement | MessageType::Reset => {
                let came = self.owed.remove(&key);
                if came.is_some_and(|came| at - came > PROCESSING_DELAY) {
                    self.breaches.push((at, broke(node, Rule::Acknowledgement)));
                }
                self.acknowledged.insert(key);
            }
        }
    }

    /// A message under an ID of its sender's leaves.
    fn sent_own(&mut self, at: Instant, key: Key, message: &Message<'_>, datagram: &[u8]) {
        let (node, ..) = key;
        let first = Sent {
            first: at,
            last: at,
            times: 1,
            datagram: datagram.to_vec(),
        };
        let Some(before) = self.sent.get_mut(&key) else {
            self.sent.insert(key, first);
            return;
        };
        let over = at - before.last >= EXCHANGE_LIFETIME;
        if over || before.datagram != datagram {
            if !over {
                self.breaches.push((at, broke(node, Rule::MessageId)));
            }
            *before = first;
            return;
        }
        // Each wait is twice the one before (RFC 7252 §4.2).
        let waits = (1_u32 << before.times.min(TRANSMISSIONS)) - 1;
        let notifies =
            message.options.observe().is_some() && !matches!(message.code.kind(), CodeKind::Request(_));
        let most = if notifies {
            TRANSMISSIONS_OF_NOTIFICATION
        } else {
            TRANSMISSIONS
        };
        before.last = at;
        before.times += 1;
        let confirmable = message.message_type == MessageType::Confirmable;
        if !confirmable || before.times > most || (at - before.first) < ACK_TIMEOUT * waits {
            self.breaches.push((at, broke(node, Rule::Transmissions)));
        }
    }

    /// A datagram comes to a node.
    pub(crate) fn came(&mut self, at: Instant, node: NodeId, remote: SocketAddr, datagram: &[u8]) {
        let confirmable = |message: &Message<'_>| message.message_type == MessageType::Confirmable;
        if self.collides(at, node, remote, datagram) {
            self.collided = true;
            return;
        }
        if let Some(message) = Message::parse(datagram).ok().filter(confirmable) {
            let key = (node, remote, message.message_id.0);
            if !(self.short_of_memory && self.acknowledged.contains(&key)) {
                self.owed.entry(key).or_insert(at);
            }
        }
    }

    /// Another message came under the same ID, and may still be remembered.
    fn collides(&mut self, at: Instant, node: NodeId, remote: SocketAddr, datagram: &[u8]) -> bool {
        let own = |message: &Message<'_>| {
            matches!(
                message.message_type,
                MessageType::Confirmable | MessageType::NonConfirmable
            )
        };
        let Some(message) = Message::parse(datagram).ok().filter(own) else {
            return false;
        };
        let key = (node, remote, message.message_id.0);
        let other = |(since, before): &(Instant, Vec<u8>)| at - *since < REMEMBERED && before != datagram;
        if self.came.get(&key).is_some_and(other) {
            return true;
        }
        self.came.insert(key, (at, datagram.to_vec()));
        false
    }

    /// A node crashes: it owes nothing to anybody, and counts its messages anew.
    pub(crate) fn crashed(&mut self, node: NodeId) {
        self.sent.retain(|(of, ..), _| *of != node);
        self.owed.retain(|(of, ..), _| *of != node);
        self.acknowledged.retain(|(of, ..)| *of != node);
        self.came.retain(|(of, ..), _| *of != node);
    }

    /// All that was not as it should be, up to the end of the run.
    pub(crate) fn breaches(&self, now: Instant) -> Vec<(Instant, Happening)> {
        let owed = self
            .owed
            .iter()
            .filter(|(_, came)| now - **came > PROCESSING_DELAY);
        let owed = owed.map(|((node, ..), _)| (now, broke(*node, Rule::Acknowledgement)));
        self.breaches.iter().copied().chain(owed).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "helpers of tests")]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(3);

    fn remote() -> SocketAddr {
        ([10, 0, 0, 9], 5683).into()
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn sent(times: &[(u64, &[u8])]) -> Vec<Happening> {
        let mut messages = Messages::default();
        for (seconds, datagram) in times {
            messages.sent(at(*seconds), NODE, remote(), datagram);
        }
        let breaches = messages.breaches(at(10_000));
        breaches.into_iter().map(|(_, happening)| happening).collect()
    }

    /// A confirmable and a non-confirmable GET, and another of the same ID.
    const CON: &[u8] = b"\x40\x01\x00\x01";
    const NON: &[u8] = b"\x50\x01\x00\x01";
    const OTHER: &[u8] = b"\x40\x01\x00\x01\xb1a";

    #[test]
    fn five_transmissions_with_growing_waits_are_as_they_should_be() {
        assert_eq!(sent(&[(0, CON), (2, CON), (6, CON), (14, CON), (30, CON)]), []);
        assert_eq!(sent(&[(0, CON), (240, OTHER)]), []);
        assert_eq!(sent(&[(0, NON), (240, NON)]), [], "a renewal may look alike");
    }

    #[test]
    fn more_or_earlier_transmissions_are_found_out() {
        let too_often = broke(NODE, Rule::Transmissions);
        let six = [(0, CON), (2, CON), (6, CON), (14, CON), (30, CON), (62, CON)];
        assert_eq!(sent(&six), [too_often]);
        assert_eq!(sent(&[(0, CON), (2, CON), (4, CON)]), [too_often]);
        assert_eq!(sent(&[(0, NON), (9, NON)]), [too_often]);
    }

    #[test]
    fn an_id_that_is_used_again_is_found_out() {
        let again = broke(NODE, Rule::MessageId);
        assert_eq!(sent(&[(0, CON), (230, OTHER)]), [again]);
    }

    #[test]
    fn a_confirmable_message_that_is_not_acknowledged_in_time_is_found_out() {
        let late = broke(NODE, Rule::Acknowledgement);
        for (acknowledged, breaches) in [(Some(1), &[][..]), (Some(9), &[late]), (None, &[late])] {
            let mut messages = Messages::default();
            messages.came(at(0), NODE, remote(), CON);
            if let Some(seconds) = acknowledged {
                messages.sent(at(seconds), NODE, remote(), b"\x60\x00\x00\x01");
            }
            let found = messages.breaches(at(100));
            let found: Vec<Happening> = found.into_iter().map(|(_, happening)| happening).collect();
            assert_eq!(found, breaches, "{acknowledged:?}");
        }
    }

    #[test]
    fn what_comes_again_is_acknowledged_again_where_there_is_memory() {
        for short_of_memory in [false, true] {
            let mut messages = Messages {
                short_of_memory,
                ..Messages::default()
            };
            messages.came(at(0), NODE, remote(), CON);
            messages.sent(at(1), NODE, remote(), b"\x60\x00\x00\x01");
            messages.came(at(2), NODE, remote(), CON);
            assert_eq!(messages.breaches(at(100)).is_empty(), short_of_memory);
        }
    }

    #[test]
    fn what_has_the_id_of_another_message_cannot_be_told_from_its_copy() {
        let mut messages = Messages::default();
        messages.came(at(0), NODE, remote(), NON);
        messages.came(at(200), NODE, remote(), CON);
        assert_eq!(messages.breaches(at(300)), []);
        assert!(messages.collided);
        messages.came(at(600), NODE, remote(), OTHER);
        let late = broke(NODE, Rule::Acknowledgement);
        assert_eq!(messages.breaches(at(700)), [(at(700), late)], "forgotten by then");
    }

    #[test]
    fn a_crash_excuses() {
        let mut messages = Messages::default();
        messages.came(at(0), NODE, remote(), CON);
        messages.sent(at(0), NODE, remote(), CON);
        messages.crashed(NODE);
        messages.sent(at(1), NODE, remote(), OTHER);
        assert_eq!(messages.breaches(at(100)), []);
    }
}
