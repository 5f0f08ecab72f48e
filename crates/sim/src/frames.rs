//! What every node owes to the other side of a connection (RFC 8323), whatever its application does, as the bytes that it
//! writes show.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use coracle_engine::Instant;
use coracle_wire::{
    Code, CodeKind, Csm, Custody, Framing, Message, MessageId, MessageType, Signal, frame_len,
};

use crate::history::Happening;
use crate::ladder::{Fate, Ladder, Record};
use crate::messages::Rule;
use crate::stream::Side;

/// One direction of a connection: what one side writes.
struct Direction {
    framing: Framing,
    node: usize,
    from: SocketAddr,
    to: SocketAddr,
    /// The beginning of a message.
    begun: Vec<u8>,
    /// How many messages it wrote.
    messages: u64,
    aborted: bool,
    /// The longest message that it takes, once it has told.
    takes: Option<usize>,
    /// It has taken something in: the other side's CSM is the first.
    heard: bool,
    /// Its requests without an answer: after how many messages each was written, and its token.
    asked: Vec<(u64, Vec<u8>)>,
    /// The tokens of its requests whose answer said that others follow.
    observes: BTreeSet<Vec<u8>>,
    /// Its Pings with Custody: after how many messages each was written, and its token.
    custody: Vec<(u64, Vec<u8>)>,
}

/// What is written on all connections.
#[derive(Default)]
pub(crate) struct Frames {
    directions: BTreeMap<(usize, Side), Direction>,
    breaches: Vec<(Instant, Happening)>,
    /// How many messages were written.
    pub(crate) written: u64,
    /// How many bytes.
    pub(crate) bytes: u64,
}

impl Frames {
    /// A side has a connection, from its own address to the other side's.
    pub(crate) fn begins(
        &mut self,
        (number, side): (usize, Side),
        node: usize,
        (from, to): (SocketAddr, SocketAddr),
        framing: Framing,
    ) {
        let direction = Direction {
            framing,
            node,
            from,
            to,
            begun: Vec::new(),
            messages: 0,
            aborted: false,
            takes: None,
            heard: false,
            asked: Vec::new(),
            observes: BTreeSet::new(),
            custody: Vec::new(),
        };
        self.directions.insert((number, side), direction);
    }

    /// A side has taken a message in.
    pub(crate) fn took(&mut self, number: usize, side: Side) {
        if let Some(direction) = self.directions.get_mut(&(number, side)) {
            direction.heard = true;
        }
    }

    /// Whether a side is not in the middle of a message.
    pub(crate) fn is_between(&self, number: usize, side: Side) -> bool {
        let direction = self.directions.get(&(number, side));
        direction.is_some_and(|direction| {
            direction.begun.is_empty() && direction.messages > 0 && !direction.aborted
        })
    }

    /// A side writes bytes.
    pub(crate) fn wrote(
        &mut self,
        at: Instant,
        (number, side): (usize, Side),
        bytes: &[u8],
        ladder: &mut Ladder,
    ) {
        self.bytes += bytes.len() as u64;
        let Some(direction) = self.directions.get_mut(&(number, side)) else {
            return;
        };
        direction.begun.extend_from_slice(bytes);
        let (framing, node) = (direction.framing, direction.node);
        let (from, to) = (direction.from, direction.to);
        while let Some(frame) = self.next_frame((number, side)) {
            let broken = self.hold(number, side, &frame).err();
            let breach = broken.map(|rule| (at, Happening::Broke { node, rule }));
            self.breaches.extend(breach);
            self.written += 1;
            ladder.push(Record {
                at,
                from,
                to,
                datagram: frame,
                fate: Fate::Written(framing),
            });
        }
    }

    /// Takes the next whole message out of what a side has written.
    fn next_frame(&mut self, place: (usize, Side)) -> Option<Vec<u8>> {
        let direction = self.directions.get_mut(&place)?;
        let begun = &mut direction.begun;
        let len = match direction.framing {
            Framing::WebSocket => begun.len(),
            // What cannot be a message is one that breaks the rules.
            Framing::Tcp => match frame_len(begun) {
                Ok(len) => usize::try_from(len?).ok()?,
                Err(_) => begun.len(),
            },
        };
        if begun.is_empty() || begun.len() < len {
            return None;
        }
        let rest = begun.split_off(len);
        Some(std::mem::replace(begun, rest))
    }

    /// Holds a message that a side writes against the rules.
    fn hold(&mut self, number: usize, side: Side, frame: &[u8]) -> Result<(), Rule> {
        let other = self.directions.get(&(number, side.other()));
        let takes = other.and_then(|other| other.takes);
        let direction = self.directions.get_mut(&(number, side)).ok_or(Rule::Frame)?;
        let message = Message::parse_frame(direction.framing, frame).map_err(|_| Rule::Frame)?;
        let kind = message.code.kind();
        let is_first = direction.messages == 0;
        direction.messages += 1;
        let first = kind == CodeKind::Signal(Signal::CSM);
        if direction.aborted || is_first != first {
            return Err(Rule::Order);
        }
        // RFC 8323 §5.3.1: the base value until the other side has told another.
        let told = takes.filter(|_| direction.heard);
        if frame.len() > told.unwrap_or(Csm::BASE_MAX_MESSAGE_SIZE as usize) {
            return Err(Rule::MessageSize);
        }
        match kind {
            CodeKind::Signal(Signal::CSM) => {
                let csm = Csm::read(message.options).map_err(|_| Rule::Frame)?;
                let size = csm.max_message_size.unwrap_or(Csm::BASE_MAX_MESSAGE_SIZE);
                direction.takes = usize::try_from(size).ok();
            }
            CodeKind::Signal(Signal::ABORT) => direction.aborted = true,
            CodeKind::Request(_) => {
                let asked = (direction.messages, message.token.to_vec());
                direction.asked.push(asked);
            }
            CodeKind::Signal(Signal::PING) if Custody::read(message.options) == Ok(Custody(true)) => {
                let ping = (direction.messages, message.token.to_vec());
                direction.custody.push(ping);
            }
            CodeKind::Response(_) | CodeKind::Signal(Signal::PONG) => {
                let other = self.directions.get_mut(&(number, side.other()));
                return other.map_or(Err(Rule::Token), |other| other.is_answered(&message));
            }
            _ => {}
        }
        Ok(())
    }

    /// A Ping with Custody (RFC 8323 §5.4.1).
    pub(crate) fn custody_ping(framing: Framing, token: u8) -> Vec<u8> {
        let options = Custody(true).to_options();
        let ping = Message {
            message_type: MessageType::NonConfirmable,
            code: Code::from(Signal::PING),
            message_id: MessageId(0),
            token: &[token],
            options: options.as_options(),
            payload: &[],
        };
        let mut bytes = Vec::new();
        let encoded = ping.append_frame(framing, &mut bytes);
        debug_assert!(encoded.is_some(), "a short message");
        bytes
    }

    /// The rules that were not kept, and when.
    pub(crate) fn breaches(&self) -> impl Iterator<Item = (Instant, Happening)> {
        self.breaches.iter().copied()
    }
}

impl Direction {
    /// The other side answers something that this one wrote.
    fn is_answered(&mut self, message: &Message<'_>) -> Result<(), Rule> {
        let token = message.token;
        if message.code.kind() == CodeKind::Signal(Signal::PONG) {
            let custody = Custody::read(message.options) == Ok(Custody(true));
            let place = self.custody.iter().position(|(_, ping)| ping == token);
            let Some((when, _)) = place.map(|place| self.custody.remove(place)) else {
                // Of Pings of the engine's own nothing is kept.
                return if custody { Err(Rule::Custody) } else { Ok(()) };
            };
            let before = |(asked, _): &(u64, Vec<u8>)| *asked < when;
            let waits = self.asked.iter().any(before);
            return if custody && waits {
                Err(Rule::Custody)
            } else {
                Ok(())
            };
        }
        let place = self.asked.iter().position(|(_, asked)| asked == token);
        let answered = place.map(|place| self.asked.remove(place)).is_some();
        // A notification may come between a renewal and its answer: which of them is which cannot be told.
        let known = answered || self.observes.contains(token);
        if message.options.observe().is_some() {
            self.observes.insert(token.to_vec());
        }
        if known { Ok(()) } else { Err(Rule::Token) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "helpers of tests")]
mod tests {
    use super::*;
    use coracle_wire::{Method, OptionNumber, OptionsBuf, Status};

    fn message(code: impl Into<Code>, token: u8, option: Option<(OptionNumber, u64)>, len: usize) -> Vec<u8> {
        let mut options = OptionsBuf::new();
        if let Some((number, value)) = option {
            options.set_uint(number, value);
        }
        let payload = vec![7; len];
        let message = Message {
            message_type: MessageType::NonConfirmable,
            code: code.into(),
            message_id: MessageId(0),
            token: &[token],
            options: options.as_options(),
            payload: &payload,
        };
        let mut bytes = Vec::new();
        message.append_frame(Framing::Tcp, &mut bytes).unwrap();
        bytes
    }

    fn csm(takes: u64) -> Vec<u8> {
        message(Signal::CSM, 0, Some((Csm::MAX_MESSAGE_SIZE, takes)), 0)
    }

    fn get(token: u8) -> Vec<u8> {
        message(Method::GET, token, None, 0)
    }

    fn content(token: u8) -> Vec<u8> {
        message(Status::CONTENT, token, None, 0)
    }

    /// The rules that are broken when both sides write this in turn, the server the first; each hears the other at once.
    fn broken(written: &[(Side, Vec<u8>)]) -> Vec<Rule> {
        let (mut frames, mut ladder) = (Frames::default(), Ladder::default());
        let address = SocketAddr::from(([10, 0, 0, 1], 5683));
        for side in [Side::Client, Side::Server] {
            frames.begins((0, side), 0, (address, address), Framing::Tcp);
        }
        for (side, bytes) in written {
            // In two pieces, as a transport may take them.
            let (head, tail) = bytes.split_at(bytes.len() / 2);
            for piece in [head, tail] {
                frames.wrote(Instant::ZERO, (0, *side), piece, &mut ladder);
            }
            frames.took(0, side.other());
        }
        let rule = |(_, happening)| match happening {
            Happening::Broke { rule, .. } => Some(rule),
            _ => None,
        };
        frames.breaches().filter_map(rule).collect()
    }

    fn between(more: &[(Side, Vec<u8>)]) -> Vec<Rule> {
        let begin = [(Side::Server, csm(1_200)), (Side::Client, csm(1_152))];
        broken(&[&begin, more].concat())
    }

    const CLIENT: Side = Side::Client;
    const SERVER: Side = Side::Server;

    #[test]
    fn what_is_as_it_should_be_breaks_no_rule() {
        let observes = Some((OptionNumber::OBSERVE, 0));
        let notification = message(Status::CONTENT, 2, observes, 0);
        let good = [
            (CLIENT, get(1)),
            (SERVER, get(1)),
            (SERVER, content(1)),
            (CLIENT, content(1)),
            (CLIENT, message(Method::GET, 2, observes, 0)),
            (SERVER, notification.clone()),
            (SERVER, notification),
            (SERVER, message(Status::NOT_FOUND, 2, None, 0)),
            (CLIENT, Frames::custody_ping(Framing::Tcp, 9)),
            (SERVER, message(Signal::PONG, 9, Some((Custody::CUSTODY, 0)), 0)),
            (CLIENT, message(Method::PUT, 1, None, 1_180)),
            (CLIENT, message(Signal::ABORT, 0, None, 10)),
        ];
        assert_eq!(between(&good), []);
    }

    #[test]
    fn what_breaks_a_rule_is_found_out() {
        let pong = message(Signal::PONG, 9, Some((Custody::CUSTODY, 0)), 0);
        let abort = message(Signal::ABORT, 0, None, 0);
        for (bad, rule) in [
            (vec![(CLIENT, vec![0x0f])], Rule::Frame),
            (vec![(CLIENT, csm(1_152))], Rule::Order),
            (vec![(CLIENT, abort), (CLIENT, get(1))], Rule::Order),
            (vec![(SERVER, content(1))], Rule::Token),
            (vec![(SERVER, get(1)), (SERVER, content(1))], Rule::Token),
            (
                vec![(CLIENT, get(1)), (SERVER, content(1)), (SERVER, content(1))],
                Rule::Token,
            ),
            (
                vec![(SERVER, message(Method::PUT, 1, None, 1_180))],
                Rule::MessageSize,
            ),
            (
                vec![
                    (CLIENT, get(1)),
                    (CLIENT, Frames::custody_ping(Framing::Tcp, 9)),
                    (SERVER, pong.clone()),
                ],
                Rule::Custody,
            ),
            (vec![(SERVER, pong)], Rule::Custody),
        ] {
            assert_eq!(between(&bad), [rule], "{bad:02x?}");
        }
        assert_eq!(broken(&[(CLIENT, get(1))]), [Rule::Order], "the CSM is the first");
        let early = [
            (CLIENT, csm(9_000)),
            (CLIENT, message(Method::PUT, 1, None, 1_180)),
        ];
        assert_eq!(
            broken(&early),
            [Rule::MessageSize],
            "the other side has told nothing"
        );
    }
}
