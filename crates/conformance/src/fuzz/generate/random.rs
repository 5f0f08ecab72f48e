//! What needs no or little knowledge of CoAP.

use coracle_wire::MessageType;

use super::Generator;
use super::dice::Dice;
use super::draft::{Draft, PAYLOAD_MARKER};

/// The types that a request has, and for good measure the others.
const TYPES: [MessageType; 6] = [
    MessageType::Confirmable,
    MessageType::Confirmable,
    MessageType::NonConfirmable,
    MessageType::NonConfirmable,
    MessageType::Acknowledgement,
    MessageType::Reset,
];

/// Random bytes of random length, also none.
pub(super) fn random(dice: &mut Dice) -> Vec<u8> {
    let len = dice.length();
    dice.bytes(len)
}

/// A header that makes sense, mostly a resource, then nothing, random bytes, or a random payload.
pub(super) fn informed(generator: &Generator, dice: &mut Dice) -> Vec<u8> {
    let at = dice.within(0..=TYPES.len() - 1);
    let kind = TYPES.get(at).copied().unwrap_or(MessageType::Confirmable);
    let code = match dice.within(0..=9) {
        0..=6 => dice.pick(&[1, 2, 3, 4, 5, 6, 7]),
        _ => dice.byte(),
    };
    let token_len = dice.within(0..=8);
    let token = dice.bytes(token_len);
    let mut draft = Draft::new(kind, code, dice.short(), token);
    if dice.percent(85) {
        generator.add_path(&mut draft, dice);
    }
    let mut bytes = draft.encode();
    match dice.within(0..=2) {
        0 => {}
        1 => {
            let len = dice.length().min(1_152);
            bytes.extend(dice.bytes(len));
        }
        _ => {
            bytes.push(PAYLOAD_MARKER);
            let len = dice.length();
            bytes.extend(dice.bytes(len));
        }
    }
    bytes
}
