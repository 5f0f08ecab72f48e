//! Valid messages, changed without regard to what their bytes mean.

use super::Generator;
use super::dice::Dice;

/// How many bytes one change inserts, removes or repeats at most.
const SPAN: usize = 16;

/// How often bytes are repeated at most.
const REPEATS: usize = 20;

/// Takes a message and changes it one to eight times.
pub(super) fn mutate(generator: &Generator, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = generator.seed_message(dice).to_vec();
    let changes = dice.pick(&[1, 1, 1, 2, 2, 3, 5, 8]);
    for _ in 0..changes {
        change(&mut bytes, generator, dice);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, generator: &Generator, dice: &mut Dice) {
    let at = dice.within(0..=bytes.len().saturating_sub(1));
    let end = (at + dice.within(1..=SPAN)).min(bytes.len());
    match dice.within(0..=8) {
        0..=2 => {
            let bit = 1 << dice.within(0..=7);
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bit);
        }
        3 => {
            let value = dice.pick(&[0, 1, 0x7f, 0x80, 0xff, 0xf0, 0x0f, 0xdd, 0xee]);
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = value);
        }
        4 => {
            let len = dice.within(1..=SPAN);
            let inserted = dice.bytes(len);
            bytes.splice(at..at, inserted);
        }
        5 => drop(bytes.drain(at..end)),
        6 => {
            let part: Vec<u8> = bytes.get(at..end).unwrap_or_default().to_vec();
            let times = dice.within(1..=REPEATS);
            bytes.splice(at..at, part.repeat(times));
        }
        7 => bytes.truncate(at),
        _ => {
            let other = generator.seed_message(dice);
            let from = dice.within(0..=other.len());
            bytes.truncate(at);
            bytes.extend(other.get(from..).unwrap_or_default());
        }
    }
}
