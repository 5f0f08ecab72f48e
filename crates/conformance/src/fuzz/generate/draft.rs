//! A message that may break every rule of the format.

use coracle_wire::{Message, MessageType, OptionNumber};

/// Marks the begin of a payload (RFC 7252 §3).
pub(super) const PAYLOAD_MARKER: u8 = 0xff;

/// What a message consists of (RFC 7252 §3), each field to be set to anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Draft {
    /// The version; only 1 is valid. The lower two bits are sent.
    pub(super) version: u8,
    /// CON, NON, ACK, RST as 0 to 3.
    pub(super) kind: u8,
    /// What TKL says; by default the length of the token.
    pub(super) token_length: Option<u8>,
    pub(super) code: u8,
    pub(super) message_id: u16,
    pub(super) token: Vec<u8>,
    /// In the order in which they are sent.
    pub(super) options: Vec<DraftOption>,
    /// Whether there is a payload marker; by default if there is a payload.
    pub(super) marker: Option<bool>,
    pub(super) payload: Vec<u8>,
}

/// An option with its number and value, and perhaps with nibbles that lie about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DraftOption {
    pub(super) number: u16,
    pub(super) value: Vec<u8>,
    /// The delta nibble that is sent instead of the right one.
    pub(super) delta: Option<u8>,
    /// The length nibble that is sent instead of the right one.
    pub(super) length: Option<u8>,
}

impl Draft {
    /// A confirmable or non-confirmable message without options.
    pub(super) fn new(kind: MessageType, code: u8, message_id: u16, token: Vec<u8>) -> Draft {
        Draft {
            version: 1,
            kind: type_bits(kind),
            token_length: None,
            code,
            message_id,
            token,
            options: Vec::new(),
            marker: None,
            payload: Vec::new(),
        }
    }

    /// What a valid message consists of; nothing if it is none.
    pub(super) fn parse(datagram: &[u8]) -> Option<Draft> {
        let message = Message::parse(datagram).ok()?;
        let mut draft = Draft::new(
            message.message_type,
            message.code.to_byte(),
            message.message_id.0,
            message.token.to_vec(),
        );
        for option in message.options {
            draft.push(option.number, option.value.to_vec());
        }
        draft.payload = message.payload.to_vec();
        Some(draft)
    }

    /// The message without one of its parts, whole again: without payload, without token, without each option.
    pub(super) fn simpler(&self) -> Vec<Vec<u8>> {
        let mut simpler = Vec::new();
        let mut add = |change: &dyn Fn(&mut Draft)| {
            let mut draft = self.clone();
            change(&mut draft);
            if draft != *self {
                simpler.push(draft.encode());
            }
        };
        add(&|draft| draft.payload.clear());
        add(&|draft| draft.token.clear());
        for at in 0..self.options.len() {
            add(&|draft| drop(draft.options.remove(at)));
        }
        simpler
    }

    /// Adds an option behind the others.
    pub(super) fn push(&mut self, number: OptionNumber, value: Vec<u8>) {
        self.options.push(DraftOption {
            number: number.0,
            value,
            ..DraftOption::default()
        });
    }

    /// Brings the options into the order of their numbers.
    pub(super) fn sort(&mut self) {
        self.options.sort_by_key(|option| option.number);
    }

    /// The bytes. An option with a lower number than the one before it gets a delta that overflows.
    pub(super) fn encode(&self) -> Vec<u8> {
        let [high, low] = self.message_id.to_be_bytes();
        let (token_nibble, token_extension) = nibble(u16::try_from(self.token.len()).unwrap_or(u16::MAX));
        let token_nibble = self.token_length.unwrap_or(token_nibble) & 0x0f;
        let mut out = vec![
            self.version << 6 | (self.kind & 3) << 4 | token_nibble,
            self.code,
            high,
            low,
        ];
        out.extend(token_extension);
        out.extend(&self.token);
        let mut previous = 0;
        for option in &self.options {
            option.encode(previous, &mut out);
            previous = option.number;
        }
        if self.marker.unwrap_or(!self.payload.is_empty()) {
            out.push(PAYLOAD_MARKER);
        }
        out.extend(&self.payload);
        out
    }
}

impl DraftOption {
    fn encode(&self, previous: u16, out: &mut Vec<u8>) {
        let (delta, delta_extension) = nibble(self.number.wrapping_sub(previous));
        let (length, length_extension) = nibble(u16::try_from(self.value.len()).unwrap_or(u16::MAX));
        let (delta, length) = (self.delta.unwrap_or(delta), self.length.unwrap_or(length));
        out.push(delta << 4 | length & 0x0f);
        out.extend(delta_extension);
        out.extend(length_extension);
        out.extend(&self.value);
    }
}

/// The nibble for a number and the bytes that extend it (RFC 7252 §3.1).
fn nibble(number: u16) -> (u8, Vec<u8>) {
    match u8::try_from(number) {
        Ok(small @ 0..=12) => (small, Vec::new()),
        Ok(byte) => (13, vec![byte - 13]),
        Err(_) if number < 269 => (13, vec![(number - 13).to_be_bytes()[1]]),
        Err(_) => (14, (number - 269).to_be_bytes().to_vec()),
    }
}

fn type_bits(kind: MessageType) -> u8 {
    match kind {
        MessageType::Confirmable => 0,
        MessageType::NonConfirmable => 1,
        MessageType::Acknowledgement => 2,
        MessageType::Reset => 3,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "helpers of tests")]

    use super::*;

    /// CON GET, token 71, Uri-Path `a`, an option 2061 of 300 bytes, a payload.
    fn message() -> Vec<u8> {
        let mut bytes = b"\x41\x01\x12\x34\x71\xb1a\xee\x06\xf5\x00\x1f".to_vec();
        bytes.extend([7; 300]);
        bytes.extend(b"\xffhello");
        bytes
    }

    #[test]
    fn what_is_read_is_written_again() {
        let draft = Draft::parse(&message()).unwrap();
        assert_eq!(draft.options.len(), 2);
        assert_eq!(draft.encode(), message());
        assert_eq!(Draft::parse(b"\x80"), None);
    }

    #[test]
    fn parts_can_be_left_out() {
        let draft = Draft::parse(b"\x41\x01\0\x01t\xb1a\x41q\xffx").unwrap();
        let expected: [&[u8]; 4] = [
            b"\x41\x01\0\x01t\xb1a\x41q",
            b"\x40\x01\0\x01\xb1a\x41q\xffx",
            b"\x41\x01\0\x01t\xd1\x02q\xffx",
            b"\x41\x01\0\x01t\xb1a\xffx",
        ];
        assert_eq!(draft.simpler(), expected);
    }

    #[test]
    fn lengths_of_every_nibble_are_read_back() {
        for len in [0, 12, 13, 255, 256, 268, 269, 270, 2_000] {
            let mut draft = Draft::new(MessageType::NonConfirmable, 2, 1, vec![9; len]);
            draft.push(OptionNumber(u16::try_from(len).unwrap()), vec![1; len]);
            assert_eq!(Draft::parse(&draft.encode()), Some(draft), "{len}");
        }
    }

    #[test]
    fn nibbles_can_lie_and_order_can_be_broken() {
        let mut draft = Draft::parse(b"\x40\x01\x00\x01\xb1a").unwrap();
        draft.options[0].delta = Some(15);
        draft.token_length = Some(9);
        draft.marker = Some(true);
        assert_eq!(draft.encode(), b"\x49\x01\x00\x01\xf1a\xff");
        let mut draft = Draft::parse(b"\x40\x01\x00\x01\xb1a\x41q").unwrap();
        draft.options.reverse();
        // Uri-Query, then a delta of 65,532 to Uri-Path.
        assert_eq!(draft.encode(), b"\x40\x01\x00\x01\xd1\x02q\xe1\xfe\xefa");
    }
}
