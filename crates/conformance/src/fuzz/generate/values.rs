//! Values of options: valid ones, and those at and past the bounds.

use coracle_wire::{BlockOption, ContentFormat, OptionDefinition, OptionFormat, OptionNumber, encode_uint};

use super::dice::Dice;

/// Lengths at which the nibble of an option's length changes (RFC 7252 §3.1), and their neighbours.
const NIBBLE_LENGTHS: [usize; 8] = [12, 13, 14, 255, 256, 268, 269, 270];

/// Texts that stacks have stumbled over: terminators, formats, separators, paths, encodings.
const TEXTS: [&[u8]; 14] = [
    b"%n%s%x",
    b"\0",
    b"a\0b",
    b"..",
    b".",
    b"/",
    b"../../../../etc/passwd",
    b"%2e%2e%2f",
    b"=",
    b"&a=&&=b",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x9b\xb6",
    b"\n\r\t",
];

/// What a value of options that hold URIs may be.
const URIS: [&[u8]; 6] = [
    b"coap://localhost/",
    b"coap://[::1]:99999/a",
    b"coap://",
    b"http://localhost/",
    b"coap://a/%zz?%",
    b":",
];

/// A value that passes every check of the table.
pub(super) fn valid(definition: &OptionDefinition, dice: &mut Dice) -> Vec<u8> {
    let (min, max) = (usize::from(definition.min), usize::from(definition.max));
    match definition.format {
        OptionFormat::Empty => Vec::new(),
        OptionFormat::Uint => number(definition, dice),
        OptionFormat::Opaque => {
            let len = dice.within(min..=max.min(64));
            dice.bytes(len)
        }
        OptionFormat::String => {
            let len = dice.within(min..=max.min(24));
            text(definition.number, len, dice)
        }
    }
}

/// A number that fits the option, as it would occur.
fn number(definition: &OptionDefinition, dice: &mut Dice) -> Vec<u8> {
    let value = match definition.number {
        OptionNumber::CONTENT_FORMAT | OptionNumber::ACCEPT => {
            let formats: Vec<u16> = ContentFormat::registered().map(|format| format.0).collect();
            u64::from(dice.pick(&formats))
        }
        OptionNumber::OBSERVE => dice.pick(&[0, 0, 1, 2, 0x00ff_ffff]),
        OptionNumber::BLOCK1 | OptionNumber::BLOCK2 | OptionNumber::Q_BLOCK1 | OptionNumber::Q_BLOCK2 => {
            return block(dice);
        }
        _ => {
            let bits = 8 * u32::from(definition.max.min(8));
            let mask = u64::MAX.checked_shr(64 - bits).unwrap_or_default();
            dice.number() & mask
        }
    };
    let mut bytes = encode_uint(value).to_vec();
    let missing = usize::from(definition.min).saturating_sub(bytes.len());
    bytes.splice(0..0, std::iter::repeat_n(0, missing));
    bytes
}

/// A block option, mostly of the begin of a body.
pub(super) fn block(dice: &mut Dice) -> Vec<u8> {
    let num = dice.pick(&[0, 0, 0, 1, 2, 5, 15, 16, 4095, 4096, BlockOption::MAX_NUM]);
    let szx = dice.pick(&[0, 2, 4, 6, 6, 7]);
    let more = dice.percent(50);
    BlockOption::new(num, more, szx).map_or_else(|_| Vec::new(), |block| block.encode().to_vec())
}

fn text(number: OptionNumber, len: usize, dice: &mut Dice) -> Vec<u8> {
    match number {
        OptionNumber::PROXY_URI => return b"coap://localhost/a".to_vec(),
        OptionNumber::PROXY_SCHEME => return b"coap".to_vec(),
        OptionNumber::URI_HOST => return b"localhost".to_vec(),
        OptionNumber::URI_QUERY => return dice.pick::<&[u8]>(&[b"rt=a", b"a=1", b"href=/*", b"b"]).to_vec(),
        _ => {}
    }
    (0..len).map(|_| b'a' + dice.byte() % 26).collect()
}

/// A value at a bound, next to one, or of the kind that stacks stumble over.
pub(super) fn awkward(number: OptionNumber, dice: &mut Dice) -> Vec<u8> {
    match number.definition() {
        None => {
            let len = dice.length().min(2_000);
            dice.bytes(len)
        }
        Some(definition) => match definition.format {
            OptionFormat::Uint => awkward_number(definition, dice),
            OptionFormat::String if dice.percent(50) => awkward_text(number, dice),
            _ => {
                let len = awkward_length(definition, dice);
                let byte = dice.pick(&[b'a', b'%', 0, 0xff, b'/']);
                vec![byte; len]
            }
        },
    }
}

fn awkward_length(definition: &OptionDefinition, dice: &mut Dice) -> usize {
    let (min, max) = (
        usize::from(definition.min),
        usize::from(definition.max).min(2_000),
    );
    let near = [
        min.saturating_sub(1),
        min,
        min + 1,
        max.saturating_sub(1),
        max,
        max + 1,
    ];
    if dice.percent(70) {
        dice.pick(&near)
    } else {
        dice.pick(&NIBBLE_LENGTHS)
    }
}

fn awkward_number(definition: &OptionDefinition, dice: &mut Dice) -> Vec<u8> {
    let max = usize::from(definition.max).min(8);
    match dice.within(0..=5) {
        // All ones of every length up to one too long.
        0 => vec![0xff; dice.within(0..=max + 1)],
        // The highest bit alone.
        1 => {
            let mut bytes = vec![0; dice.within(1..=max + 1)];
            bytes.iter_mut().take(1).for_each(|first| *first = 0x80);
            bytes
        }
        // Not minimal: leading zeros (RFC 7252 §3.2).
        2 => vec![0; dice.within(1..=max + 1)],
        3 => vec![1],
        4 => {
            let len = dice.within(0..=max + 1);
            dice.bytes(len)
        }
        _ => vec![0xff; dice.pick(&[4, 5, 8, 9, 12, 13, 269])],
    }
}

fn awkward_text(number: OptionNumber, dice: &mut Dice) -> Vec<u8> {
    match number {
        OptionNumber::PROXY_URI | OptionNumber::URI_HOST | OptionNumber::PROXY_SCHEME if dice.percent(60) => {
            dice.pick(&URIS).to_vec()
        }
        _ => dice.pick(&TEXTS).to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::Family;

    #[test]
    fn valid_values_pass_the_table() {
        let mut dice = Dice::new(3, Family::Generational, 0);
        for definition in OptionNumber::registered() {
            for _ in 0..200 {
                let value = valid(definition, &mut dice);
                assert_eq!(
                    definition.check(&value),
                    Ok(()),
                    "{} {value:02x?}",
                    definition.name
                );
            }
        }
    }

    #[test]
    fn awkward_values_reach_both_sides_of_the_bounds() {
        let mut dice = Dice::new(4, Family::SmartMutational, 0);
        for definition in OptionNumber::registered() {
            let values: Vec<Vec<u8>> = (0..500).map(|_| awkward(definition.number, &mut dice)).collect();
            let fails = |value: &Vec<u8>| definition.check(value).is_err();
            assert!(!values.iter().all(fails), "{}", definition.name);
            let any_value_passes = definition.max == u16::MAX;
            assert!(
                any_value_passes || values.iter().any(fails),
                "{}",
                definition.name
            );
        }
    }
}
