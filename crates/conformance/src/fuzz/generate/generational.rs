//! Messages made from the table of registered options and from the codes.

use coracle_wire::{MessageType, OptionNumber};

use super::Generator;
use super::dice::Dice;
use super::draft::Draft;
use super::{sequence, values};

/// A request, a response, or several messages that belong together.
pub(super) fn script(generator: &Generator, index: u64, dice: &mut Dice) -> Vec<Vec<u8>> {
    match dice.within(0..=99) {
        0..=54 => vec![request(generator, index, dice).encode()],
        55..=64 => vec![response(dice).encode()],
        _ => sequence::script(generator, dice),
    }
}

/// A request to a resource with one option of the table, in turn, and a few more.
fn request(generator: &Generator, index: u64, dice: &mut Dice) -> Draft {
    let mut draft = bare_request(dice);
    if dice.percent(90) {
        generator.add_path(&mut draft, dice);
    }
    let registered = OptionNumber::registered();
    let count = registered.len() as u64;
    let in_turn = usize::try_from(index % count.max(1)).unwrap_or_default();
    push(&mut draft, in_turn, dice);
    let more = dice.pick(&[0, 0, 1, 1, 2, 4]);
    for _ in 0..more {
        let any = dice.within(0..=registered.len().saturating_sub(1));
        push(&mut draft, any, dice);
    }
    draft.sort();
    if dice.percent(50) {
        let len = dice.length();
        draft.payload = dice.bytes(len);
    }
    draft
}

/// A request without options: mostly of a registered method.
pub(super) fn bare_request(dice: &mut Dice) -> Draft {
    let kind = match dice.percent(70) {
        true => MessageType::Confirmable,
        false => MessageType::NonConfirmable,
    };
    let code = match dice.percent(92) {
        true => dice.pick(&[1, 1, 1, 2, 3, 3, 4, 5, 6, 7]),
        false => 8 + dice.byte() % 24,
    };
    let len = dice.pick(&[0, 1, 2, 4, 8]);
    let token = dice.bytes(len);
    Draft::new(kind, code, dice.short(), token)
}

/// Adds an option of the table: twice of three times as it should be.
fn push(draft: &mut Draft, at: usize, dice: &mut Dice) {
    if let Some(definition) = OptionNumber::registered().get(at) {
        let value = match dice.percent(67) {
            true => values::valid(definition, dice),
            false => values::awkward(definition.number, dice),
        };
        draft.push(definition.number, value);
    }
}

/// A response that nobody asked for.
fn response(dice: &mut Dice) -> Draft {
    let at = dice.within(0..=2);
    let kinds = [
        MessageType::Confirmable,
        MessageType::NonConfirmable,
        MessageType::Acknowledgement,
    ];
    let kind = kinds.get(at).copied().unwrap_or(MessageType::Confirmable);
    let class = dice.pick(&[2, 2, 3, 4, 5]);
    let code = class << 5 | dice.pick(&[0, 1, 2, 3, 4, 5, 8, 13, 31]);
    let len = dice.within(0..=8);
    let token = dice.bytes(len);
    let mut draft = Draft::new(kind, code, dice.short(), token);
    for _ in 0..dice.within(0..=3) {
        let any = dice.within(0..=OptionNumber::registered().len().saturating_sub(1));
        push(&mut draft, any, dice);
    }
    draft.sort();
    let len = dice.length().min(1_024);
    draft.payload = dice.bytes(len);
    draft
}
