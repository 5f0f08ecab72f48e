//! Valid messages, changed field by field.

use coracle_wire::OptionNumber;

use super::Generator;
use super::dice::Dice;
use super::draft::{Draft, DraftOption};
use super::{mutational, values};

/// Takes a message, leads it to a resource of the server and changes some of its fields; sometimes it is sent twice,
/// with its Message ID or its token used again for something else.
pub(super) fn mutate(generator: &Generator, dice: &mut Dice) -> Vec<Vec<u8>> {
    // What the user put into the corpus may be no valid message.
    let Some(mut draft) = Draft::parse(generator.seed_message(dice)) else {
        return vec![mutational::mutate(generator, dice)];
    };
    let original = draft.clone();
    draft.message_id = dice.short();
    if draft.options.iter().any(is_path) && dice.percent(60) {
        draft.options.retain(|option| !is_path(option));
        generator.add_path(&mut draft, dice);
        draft.sort();
    }
    let changes = dice.pick(&[1, 1, 1, 2, 2, 3]);
    for _ in 0..changes {
        match dice.within(0..=9) {
            0..=2 => change_header(&mut draft, dice),
            3..=4 => change_encoding(&mut draft, dice),
            5..=7 => change_value(&mut draft, dice),
            8 => change_options(&mut draft, dice),
            _ => change_payload(&mut draft, dice),
        }
    }
    let mut messages = vec![draft.encode()];
    if dice.percent(10) {
        // Another message under the same Message ID, or under the same token.
        let mut again = original;
        again.message_id = draft.message_id.wrapping_add(u16::from(dice.percent(50)));
        again.token = draft.token;
        messages.push(again.encode());
    }
    messages
}

fn is_path(option: &DraftOption) -> bool {
    option.number == OptionNumber::URI_PATH.0
}

fn change_header(draft: &mut Draft, dice: &mut Dice) {
    match dice.within(0..=6) {
        0 => draft.version = dice.pick(&[0, 2, 3]),
        1 => draft.kind = dice.byte() & 3,
        // Token and TKL apart: more and less than there is, and what is reserved (RFC 7252 §3, RFC 8974 §2.1).
        2 => draft.token_length = Some(dice.pick(&[0, 1, 7, 8, 9, 12, 13, 14, 15])),
        3 => {
            let len = dice.pick(&[0, 1, 4, 8, 9, 12, 13, 14, 268, 269, 270]);
            draft.token = dice.bytes(len);
        }
        4 => draft.code = dice.byte(),
        5 => {
            draft.code = dice.pick(&[
                0, 1, 2, 3, 4, 5, 6, 7, 0x1f, 0x20, 0x45, 0x5f, 0x80, 0xa0, 0xc0, 0xe1,
            ])
        }
        // IDs that others use as well.
        _ => draft.message_id = dice.pick(&[0, 1, 0x7fff, 0x8000, 0xffff]),
    }
}

/// Makes the nibbles of an option lie.
fn change_encoding(draft: &mut Draft, dice: &mut Dice) {
    let at = dice.within(0..=draft.options.len().saturating_sub(1));
    let Some(option) = draft.options.get_mut(at) else {
        return change_header(draft, dice);
    };
    let nibble = dice.pick(&[0, 1, 11, 12, 13, 14, 15]);
    match dice.within(0..=2) {
        0 => option.delta = Some(nibble),
        1 => option.length = Some(nibble),
        _ => (option.delta, option.length) = (Some(nibble), Some(nibble)),
    }
}

fn change_value(draft: &mut Draft, dice: &mut Dice) {
    let at = dice.within(0..=draft.options.len().saturating_sub(1));
    if let Some(option) = draft.options.get_mut(at) {
        option.value = values::awkward(OptionNumber(option.number), dice);
    }
}

/// Repeats, removes, adds and reorders options.
fn change_options(draft: &mut Draft, dice: &mut Dice) {
    let at = dice.within(0..=draft.options.len().saturating_sub(1));
    match (dice.within(0..=4), draft.options.get(at).cloned()) {
        (0, Some(option)) => {
            // Also those that must not be repeated (RFC 7252 §5.4.5).
            let times = dice.pick(&[1, 1, 2, 10, 100]);
            let copies = std::iter::repeat_n(option, times);
            draft.options.splice(at..at, copies);
        }
        (1, Some(_)) => drop(draft.options.remove(at)),
        (2, Some(_)) => draft.options.reverse(),
        (3, _) => {
            // Numbers that nobody has registered, critical and elective, up to the highest.
            let number = dice.pick(&[0, 2, 9998, 9999, 65_000, 65_001, 65_534, 65_535]);
            let len = dice.pick(&[0, 1, 12, 13, 300]);
            draft.push(OptionNumber(number), vec![b'x'; len]);
            draft.sort();
        }
        _ => {
            let registered = OptionNumber::registered();
            let chosen = registered.get(dice.within(0..=registered.len().saturating_sub(1)));
            if let Some(definition) = chosen {
                draft.push(definition.number, values::awkward(definition.number, dice));
                draft.sort();
            }
        }
    }
}

fn change_payload(draft: &mut Draft, dice: &mut Dice) {
    match dice.within(0..=3) {
        // A marker without payload, a payload without marker (RFC 7252 §3).
        0 => (draft.marker, draft.payload) = (Some(true), Vec::new()),
        1 => {
            draft.marker = Some(false);
            draft.payload.insert(0, 0);
        }
        2 => {
            let len = dice.length();
            draft.payload = dice.bytes(len);
        }
        _ => {
            let again = draft.payload.clone();
            draft.payload.push(super::draft::PAYLOAD_MARKER);
            draft.payload.extend(again);
        }
    }
}
