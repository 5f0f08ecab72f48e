//! What every node owes to the message layer of others, whatever its application does, as the wire shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
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
    /// A confirmable message is acknowledged or rejected, in time and each time that it comes. For the acknowledgement of
    /// a registration a confirmable response stands until it is acknowledged itself (RFC 7252 §5.2.2).
    Acknowledgement,
    /// What is written on a connection is messages (RFC 8323 §3.2, §4.2).
    Frame,
    /// The first message of a connection is a CSM, no other is one of ours, and an Abort is the last (RFC 8323 §5.3, §5.6).
    Order,
    /// No message is longer than the other side has told that it takes, or 1,152 bytes before (RFC 8323 §5.3.1).
    MessageSize,
    /// A response has the token of a request of the same connection that waits for one (RFC 8323 §3.3).
    Token,
    /// A Pong with Custody follows the answers to all requests that came before its Ping (RFC 8323 §5.4.1).
    Custody,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::Transmissions => "sent a message too often or too early (RFC 7252 §4.2)",
            Rule::MessageId => "used a message ID again (RFC 7252 §4.4)",
            Rule::Acknowledgement => "did not acknowledge a message in time (RFC 7252 §4.2)",
            Rule::Frame => "wrote what is no message (RFC 8323 §3.2)",
            Rule::Order => "wrote a signaling message out of order (RFC 8323 §5)",
            Rule::MessageSize => "wrote a message that is longer than Max-Message-Size (RFC 8323 §5.3.1)",
            Rule::Token => "answered what nobody asked on that connection (RFC 8323 §3.3)",
            Rule::Custody => "took custody of what it had not done (RFC 8323 §5.4.1)",
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
    /// The registrations whose acknowledgement it stands for, as a confirmable response (RFC 7252 §5.2.2): each copy of
    /// them may bring it again.
    stands_for: Vec<Key>,
    /// It stood for one, and was acknowledged or rejected: it is not sent any more.
    ended: bool,
}

/// A confirmable message that is not acknowledged yet.
struct Owed {
    /// When it came; when it came first since a response stands for its acknowledgement.
    came: Instant,
    /// How often it came since then.
    copies: u32,
    /// The token, if it registers an observer.
    registers: Option<Vec<u8>>,
    /// The node need not acknowledge it again.
    excused: bool,
}

impl Owed {
    fn is_overdue(&self, now: Instant) -> bool {
        self.copies > 0 && !self.excused && now - self.came > PROCESSING_DELAY
    }

    /// Whether a response with this token that leaves for the first time may be the one to this registration.
    fn may_be_answered(&self, now: Instant, token: &[u8]) -> bool {
        let in_time = self.copies > 0 || now - self.came <= PROCESSING_DELAY;
        in_time && self.registers.as_deref() == Some(token)
    }
}

type Key = (NodeId, SocketAddr, u16);

/// All messages between a node and a peer.
fn of_peer(node: NodeId, remote: SocketAddr) -> RangeInclusive<Key> {
    (node, remote, 0)..=(node, remote, u16::MAX)
}

fn is_response(message: &Message<'_>) -> bool {
    matches!(message.code.kind(), CodeKind::Response(_))
}

/// The messages between nodes and the addresses that they know.
#[derive(Default)]
pub(crate) struct Messages {
    sent: BTreeMap<Key, Sent>,
    /// Confirmable messages that came and are not acknowledged yet.
    owed: BTreeMap<Key, Owed>,
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
                self.answers(at, key);
                self.owed.remove(&key);
                self.acknowledged.insert(key);
                for (_, sent) in self.sent.range_mut(of_peer(node, remote)) {
                    sent.stands_for.retain(|request| *request != key);
                }
            }
        }
    }

    /// What was owed is done, in time or too late.
    fn answers(&mut self, at: Instant, key: Key) {
        if let Some(owed) = self.owed.get_mut(&key) {
            if owed.is_overdue(at) {
                self.breaches.push((at, broke(key.0, Rule::Acknowledgement)));
            }
            owed.copies = 0;
        }
    }

    /// The registrations that a confirmable response may answer which leaves for the first time: those that came with its
    /// token and are not acknowledged yet. Of two responses only the server knows which is a notification of before.
    fn answered(&self, at: Instant, (node, remote, _): Key, response: &Message<'_>) -> Vec<Key> {
        let confirmable = response.message_type == MessageType::Confirmable;
        if !confirmable || !is_response(response) || response.options.observe().is_none() {
            return Vec::new();
        }
        let owed = self.owed.range(of_peer(node, remote));
        let answered = owed.filter(|(_, owed)| owed.may_be_answered(at, response.token));
        answered.map(|(request, _)| *request).collect()
    }

    /// A message under an ID of its sender's leaves.
    fn sent_own(&mut self, at: Instant, key: Key, message: &Message<'_>, datagram: &[u8]) {
        let (node, ..) = key;
        let is_again = |before: &Sent| at - before.last < EXCHANGE_LIFETIME && before.datagram == datagram;
        let answered = if self.sent.get(&key).is_some_and(is_again) {
            Vec::new()
        } else {
            self.answered(at, key, message)
        };
        for request in &answered {
            self.answers(at, *request);
        }
        let first = Sent {
            first: at,
            last: at,
            times: 1,
            datagram: datagram.to_vec(),
            stands_for: answered,
            ended: false,
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
        before.last = at;
        let came_again = |request: &&Key| self.owed.get(request).is_some_and(|owed| owed.copies > 0);
        if let Some(request) = before.stands_for.iter().find(came_again).copied() {
            // A copy of the request brings it again.
            return self.brought_by_copy(at, request);
        }
        // Each wait is twice the one before (RFC 7252 §4.2).
        let waits = (1_u32 << before.times.min(TRANSMISSIONS)) - 1;
        let notifies = message.options.observe().is_some() && is_response(message);
        let most = if notifies {
            TRANSMISSIONS_OF_NOTIFICATION
        } else {
            TRANSMISSIONS
        };
        before.times += 1;
        let may_repeat = message.message_type == MessageType::Confirmable && !before.ended;
        if !may_repeat || before.times > most || (at - before.first) < ACK_TIMEOUT * waits {
            self.breaches.push((at, broke(node, Rule::Transmissions)));
        }
    }

    /// What stands for the acknowledgement of this request leaves once more for one of its copies.
    fn brought_by_copy(&mut self, at: Instant, request: Key) {
        let Some(owed) = self.owed.get_mut(&request) else {
            return;
        };
        match owed.copies {
            0 | 1 => self.answers(at, request),
            _ => owed.copies -= 1,
        }
    }

    /// A datagram comes to a node.
    pub(crate) fn came(&mut self, at: Instant, node: NodeId, remote: SocketAddr, datagram: &[u8]) {
        if self.collides(at, node, remote, datagram) {
            self.collided = true;
            return;
        }
        let Ok(message) = Message::parse(datagram) else {
            return;
        };
        let key = (node, remote, message.message_id.0);
        match message.message_type {
            MessageType::Confirmable => {
                let registers = message.options.observe() == Some(0) && !is_response(&message);
                let new = Owed {
                    came: at,
                    copies: 1,
                    registers: registers.then(|| message.token.to_vec()),
                    excused: self.short_of_memory && self.acknowledged.contains(&key),
                };
                match self.owed.get_mut(&key).filter(|owed| owed.copies > 0) {
                    Some(owed) => owed.copies += 1,
                    None => _ = self.owed.insert(key, new),
                }
            }
            MessageType::NonConfirmable => {}
            MessageType::Acknowledgement | MessageType::Reset => {
                let sent = self.sent.get_mut(&key);
                if let Some(sent) = sent.filter(|sent| !sent.stands_for.is_empty()) {
                    sent.stands_for.clear();
                    sent.ended = true;
                }
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
        let owed = self.owed.iter().filter(|(_, owed)| owed.is_overdue(now));
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

    /// A registration, a confirmable notification with its token, and what acknowledges them.
    const REGISTER: &[u8] = b"\x41\x01\x00\x01t\x60";
    const NOTIFIES: &[u8] = b"\x41\x45\x00\x07t\x60";
    const ACK_OF_REGISTER: &[u8] = b"\x60\x00\x00\x01";
    const ACK_OF_NOTIFICATION: &[u8] = b"\x60\x00\x00\x07";

    /// What comes to the node and what it sends, second by second; what was wrong about it.
    fn exchanged(datagrams: &[(u64, bool, &[u8])]) -> Vec<Happening> {
        let mut messages = Messages::default();
        for (seconds, comes, datagram) in datagrams {
            if *comes {
                messages.came(at(*seconds), NODE, remote(), datagram);
            } else {
                messages.sent(at(*seconds), NODE, remote(), datagram);
            }
        }
        let breaches = messages.breaches(at(10_000));
        breaches.into_iter().map(|(_, happening)| happening).collect()
    }

    #[test]
    fn a_confirmable_response_stands_for_the_acknowledgement_until_it_is_acknowledged() {
        let answered = [(0, true, REGISTER), (0, false, NOTIFIES)];
        let copied = [(1, true, REGISTER), (1, false, NOTIFIES)];
        let acknowledged = [(2, true, ACK_OF_NOTIFICATION), (2, false, ACK_OF_REGISTER)];
        let again = [(9, true, REGISTER), (9, false, ACK_OF_REGISTER)];
        assert_eq!(exchanged(&[answered, copied, acknowledged, again].concat()), []);
        let late = broke(NODE, Rule::Acknowledgement);
        assert_eq!(exchanged(&[(0, true, REGISTER), (9, false, NOTIFIES)]), [late]);
        assert_eq!(exchanged(&[&answered[..], &copied[..1]].concat()), [late]);
        assert_eq!(exchanged(&[&answered[..], &again[..1]].concat()), [late]);
    }

    #[test]
    fn a_copy_of_the_request_brings_the_response_again_once_and_not_after_its_end() {
        let too_often = broke(NODE, Rule::Transmissions);
        let answered = [(0, true, REGISTER), (0, false, NOTIFIES)];
        let copied = [(1, true, REGISTER), (1, false, NOTIFIES)];
        let twice = [&answered[..], &copied[..], &copied[1..]].concat();
        assert_eq!(exchanged(&twice), [too_often]);
        for end in [ACK_OF_NOTIFICATION, b"\x70\x00\x00\x07"] {
            let ended = [(2, true, end), (9, false, NOTIFIES)];
            assert_eq!(exchanged(&[answered, ended].concat()), [too_often]);
        }
        let acknowledged = [(1, false, ACK_OF_REGISTER)];
        let more = [&answered[..], &acknowledged[..], &copied[..]].concat();
        let late = broke(NODE, Rule::Acknowledgement);
        assert_eq!(exchanged(&more), [too_often, late]);
    }

    /// A notification of the observation that is renewed may leave between the renewal and the answer to it.
    #[test]
    fn the_answer_may_leave_after_another_notification() {
        const ANSWERS: &[u8] = b"\x41\x45\x00\x08t\x60";
        let answered = [(0, true, REGISTER), (0, false, NOTIFIES), (1, false, ANSWERS)];
        let copied = [(1, true, REGISTER), (1, false, ANSWERS)];
        let acknowledged = [(1, true, ACK_OF_NOTIFICATION)];
        assert_eq!(
            exchanged(&[&answered[..], &acknowledged, &copied, &copied].concat()),
            []
        );
        let too_often = broke(NODE, Rule::Transmissions);
        let twice = [&answered[..], &copied, &answered[1..2]].concat();
        assert_eq!(exchanged(&twice), [too_often]);
        let late = [
            &answered[..2],
            &[(5, false, ANSWERS), (5, true, REGISTER), (5, false, ANSWERS)],
        ]
        .concat();
        let unanswered = broke(NODE, Rule::Acknowledgement);
        assert_eq!(exchanged(&late), [too_often, unanswered]);
    }

    #[test]
    fn nothing_else_stands_for_an_acknowledgement() {
        let late = broke(NODE, Rule::Acknowledgement);
        let others: [&[u8]; 4] = [
            b"\x51\x45\x00\x07t\x60",
            b"\x41\x45\x00\x07u\x60",
            b"\x41\x45\x00\x07t",
            b"\x41\x01\x00\x07t\x60",
        ];
        for other in others {
            assert_eq!(exchanged(&[(0, true, REGISTER), (0, false, other)]), [late]);
        }
        // A response that left before the request came.
        assert_eq!(
            exchanged(&[(0, false, NOTIFIES), (2, true, REGISTER), (2, false, NOTIFIES)]),
            [late]
        );
        // The request registers nobody.
        assert_eq!(
            exchanged(&[(0, true, b"\x41\x01\x00\x01t"), (0, false, NOTIFIES)]),
            [late]
        );
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
