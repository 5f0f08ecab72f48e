//! What went over the wire, and what must hold of it whatever was done.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use coracle_engine::{ExchangeId, Instant, Path, limits};
use coracle_wire::{CodeKind, Message, MessageId, MessageType, Options};

/// EXCHANGE_LIFETIME (RFC 7252 §4.8.2).
const EXCHANGE_LIFETIME: Duration = Duration::from_secs(247);

/// What was received and sent so far, as far as later messages depend on it.
#[derive(Default)]
pub struct Ledger {
    /// Message IDs under which peers sent something; whether it was confirmable.
    heard: HashMap<(SocketAddr, MessageId), bool>,
    /// Tokens that peers sent.
    tokens: HashSet<(SocketAddr, Vec<u8>)>,
    /// Messages that were sent under IDs of ours.
    sent: HashMap<(SocketAddr, MessageId), (Instant, Vec<u8>)>,
    /// When requests that are not idempotent were handed over.
    executed: HashMap<(SocketAddr, MessageId), Instant>,
    /// All exchanges that were ever begun by peers.
    exchanges: HashSet<ExchangeId>,
}

impl Ledger {
    /// A datagram is about to be taken in.
    pub fn receives(&mut self, path: &Path, bytes: &[u8]) {
        if let [first, _, high, low, ..] = *bytes {
            let confirmable = first >> 4 & 3 == 0;
            let id = MessageId(u16::from_be_bytes([high, low]));
            *self.heard.entry((path.remote, id)).or_default() |= confirmable;
        }
        if let Ok(message) = Message::parse(bytes) {
            self.tokens.insert((path.remote, message.token.to_vec()));
        }
    }

    /// A datagram led to something for the application: what is not idempotent is run at most once (RFC 7252 §4.5).
    pub fn hands_over(&mut self, now: Instant, path: &Path, bytes: &[u8]) {
        let message = Message::parse(bytes).expect("a malformed datagram is no request");
        let CodeKind::Request(method) = message.code.kind() else {
            panic!("{message} is no request")
        };
        assert!(
            !path.multicast || message.message_type == MessageType::NonConfirmable,
            "{message}"
        );
        if method.is_idempotent() {
            return;
        }
        let before = self.executed.insert((path.remote, message.message_id), now);
        if let Some(before) = before {
            assert!(now - before >= EXCHANGE_LIFETIME, "{message} is run twice");
        }
    }

    /// An exchange of a peer begins: its handle was never used before.
    pub fn begins(&mut self, id: ExchangeId) {
        assert!(self.exchanges.insert(id), "{id:?} again");
    }

    /// Whether an exchange of a peer ever began.
    pub fn knows(&self, id: ExchangeId) -> bool {
        self.exchanges.contains(&id)
    }

    /// A datagram leaves.
    pub fn sends(&mut self, now: Instant, path: &Path, bytes: &[u8]) {
        let message = Message::parse(bytes).expect("what is sent can be parsed");
        assert!(message.payload.len() <= limits::MAX_PAYLOAD);
        let place = (path.remote, message.message_id);
        match message.message_type {
            MessageType::Acknowledgement => {
                assert_eq!(
                    self.heard.get(&place),
                    Some(&true),
                    "{message} acknowledges nothing"
                );
            }
            MessageType::Reset => assert!(self.heard.contains_key(&place), "{message} rejects nothing"),
            MessageType::Confirmable | MessageType::NonConfirmable => self.sends_anew(now, place, bytes),
        }
        if let CodeKind::Response(_) = message.code.kind() {
            let asked = (path.remote, message.token.to_vec());
            assert!(self.tokens.contains(&asked), "{message} answers nobody");
        }
        has_only_meaningful_options(message.options);
    }

    /// An ID of ours names one message only for as long as it lives (RFC 7252 §4.4).
    fn sends_anew(&mut self, now: Instant, place: (SocketAddr, MessageId), bytes: &[u8]) {
        match self.sent.get(&place) {
            Some((at, before)) if now - *at < EXCHANGE_LIFETIME && before != bytes => {
                panic!("ID {} is used again after {:?}", place.1, now - *at)
            }
            Some((_, before)) if before == bytes => {}
            _ => drop(self.sent.insert(place, (now, bytes.to_vec()))),
        }
    }
}

/// The engine's own options are what their definitions say, and stand once.
fn has_only_meaningful_options(options: Options<'_>) {
    for block in [options.block1(), options.block2()].into_iter().flatten() {
        assert!(!block.expect("a Block option of ours").is_bert(), "{options:?}");
    }
}
