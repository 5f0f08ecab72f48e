//! Several messages that belong together.

use coracle_wire::{BlockOption, MessageType, OptionNumber, encode_uint};

use super::Generator;
use super::dice::Dice;
use super::draft::Draft;
use super::generational::bare_request;

const GET: u8 = 1;
const PUT: u8 = 3;

/// An empty ACK and RST whose Message ID is filled in when they are sent; see
/// [`answer_server`](super::answer_server).
const ACK: &[u8] = b"\x60\0\0\0";
const RST: &[u8] = b"\x70\0\0\0";

pub(super) fn script(generator: &Generator, dice: &mut Dice) -> Vec<Vec<u8>> {
    match dice.within(0..=5) {
        0 => upload(generator, dice),
        1 => download(generator, dice),
        2 => observe(generator, dice),
        3 => duplicates(generator, dice),
        4 => reused_token(generator, dice),
        _ => pings(dice),
    }
}

/// A request to a resource with a random token.
fn to_resource(generator: &Generator, code: u8, dice: &mut Dice) -> Draft {
    let mut draft = bare_request(dice);
    draft.code = code;
    generator.add_path(&mut draft, dice);
    draft
}

fn with_block(request: &Draft, option: OptionNumber, num: u32, more: bool, szx: u8) -> Draft {
    let mut draft = request.clone();
    let value = BlockOption::new(
        num.min(BlockOption::MAX_NUM),
        more,
        szx.min(BlockOption::SZX_BERT),
    );
    draft.push(
        option,
        value.map_or_else(|_| Vec::new(), |block| block.encode().to_vec()),
    );
    draft.sort();
    draft
}

/// A body in blocks (RFC 7959 §2.3): some come twice, out of order, with another size, with the wrong number of bytes,
/// or never.
fn upload(generator: &Generator, dice: &mut Dice) -> Vec<Vec<u8>> {
    let method = dice.pick(&[2, PUT, PUT, 5, 6]);
    let mut request = to_resource(generator, method, dice);
    let szx = dice.pick(&[0, 2, 4, 6]);
    let option = dice.pick(&[27, 27, 27, OptionNumber::Q_BLOCK1.0]);
    let first = dice.pick(&[0, 0, 0, 0, 1, 5, BlockOption::MAX_NUM - 2]);
    let count = u32::try_from(dice.within(2..=6)).unwrap_or(2);
    let mut messages = Vec::new();
    for step in 0..count {
        request.message_id = request.message_id.wrapping_add(1);
        let last = step + 1 == count;
        let (num, size, more) = match dice.within(0..=9) {
            0 => (first + step + 1, szx, !last),
            1 => (first, szx, !last),
            2 => (first + step, dice.pick(&[0, 6, 7]), !last),
            3 => (first + step, szx, last),
            _ => (first + step, szx, !last),
        };
        let mut block = with_block(&request, OptionNumber(option), num, more, size);
        let full = 16_usize << size.min(6);
        let len = match dice.percent(85) {
            true if last => dice.within(1..=full),
            true => full,
            false => dice.pick(&[0, 1, full - 1, full + 1]),
        };
        block.payload = dice.bytes(len);
        if step == 0 && dice.percent(30) {
            let size1 = dice.pick(&[0, 1, 0xffff, 0xffff_ffff]);
            block.push(OptionNumber::SIZE1, encode_uint(size1).to_vec());
            block.sort();
        }
        messages.push(block.encode());
    }
    messages
}

/// A body asked for block by block (RFC 7959 §2.4): past its end, backwards, with a growing size.
fn download(generator: &Generator, dice: &mut Dice) -> Vec<Vec<u8>> {
    let method = dice.pick(&[GET, GET, GET, 5]);
    let mut request = to_resource(generator, method, dice);
    let option = dice.pick(&[23, 23, 23, OptionNumber::Q_BLOCK2.0]);
    let szx = dice.pick(&[0, 2, 6]);
    let count = u32::try_from(dice.within(2..=6)).unwrap_or(2);
    let mut messages = Vec::new();
    for step in 0..count {
        request.message_id = request.message_id.wrapping_add(1);
        let num = match dice.within(0..=4) {
            0 => dice.pick(&[0xfff, 0xffff, BlockOption::MAX_NUM]),
            1 => count - step,
            _ => step,
        };
        let size = match dice.percent(80) {
            true => szx,
            false => dice.pick(&[0, 6, 7]),
        };
        messages.push(with_block(&request, OptionNumber(option), num, dice.percent(10), size).encode());
    }
    messages
}

/// Registers, changes the resource, answers notifications with ACK or RST, registers again under the same or another
/// token, deregisters (RFC 7641 §3).
fn observe(generator: &Generator, dice: &mut Dice) -> Vec<Vec<u8>> {
    let request = to_resource(generator, dice.pick(&[GET, GET, GET, 5]), dice);
    let mut id = request.message_id;
    let mut messages = Vec::new();
    let steps = dice.within(2..=6);
    for step in 0..steps {
        id = id.wrapping_add(1);
        let mut message = request.clone();
        message.message_id = id;
        match if step == 0 { 0 } else { dice.within(0..=5) } {
            which @ (0 | 1) => {
                if which == 1 && dice.percent(50) {
                    message.token.push(b'o');
                }
                let observe: &[u8] =
                    dice.pick(&[b"" as &[u8], b"", b"", b"\x02", b"\xff\xff\xff", b"\0\0\0\0"]);
                message.push(OptionNumber::OBSERVE, observe.to_vec());
                message.sort();
                messages.push(message.encode());
            }
            2 => {
                message.push(OptionNumber::OBSERVE, vec![1]);
                message.sort();
                messages.push(message.encode());
            }
            3 => {
                message.code = PUT;
                message.payload = dice.bytes(4);
                messages.push(message.encode());
            }
            4 => messages.push(ACK.to_vec()),
            _ => messages.push(RST.to_vec()),
        }
    }
    messages
}

/// The same message twice, then another one under its Message ID (RFC 7252 §4.5).
fn duplicates(generator: &Generator, dice: &mut Dice) -> Vec<Vec<u8>> {
    let method = dice.pick(&[GET, 2, PUT, 4]);
    let mut request = to_resource(generator, method, dice);
    let len = dice.within(0..=32);
    request.payload = dice.bytes(len);
    let mut messages = vec![request.encode(); dice.within(2..=4)];
    if dice.percent(50) {
        request.code = dice.pick(&[GET, 2, PUT, 4]);
        request.kind ^= u8::from(dice.percent(50));
        messages.push(request.encode());
    }
    messages
}

/// Several requests at once under one token (RFC 7252 §5.3.1), answered with ACK or RST.
fn reused_token(generator: &Generator, dice: &mut Dice) -> Vec<Vec<u8>> {
    let first = bare_request(dice);
    let mut messages = Vec::new();
    for step in 0..u16::try_from(dice.within(2..=5)).unwrap_or(2) {
        let mut request = to_resource(generator, dice.pick(&[GET, GET, 2, PUT, 4]), dice);
        request.token.clone_from(&first.token);
        request.message_id = first.message_id.wrapping_add(step);
        messages.push(request.encode());
    }
    messages.push(dice.pick(&[ACK, RST]).to_vec());
    messages
}

/// Pings, and Empty messages of the types that have nothing to answer (RFC 7252 §4.3).
fn pings(dice: &mut Dice) -> Vec<Vec<u8>> {
    let id = dice.short();
    let count = u16::try_from(dice.within(1..=4)).unwrap_or(1);
    let ping = |step| Draft::new(MessageType::Confirmable, 0, id.wrapping_add(step), Vec::new()).encode();
    let mut messages: Vec<Vec<u8>> = (0..count).map(ping).collect();
    let at = dice.within(0..=1);
    let kinds = [MessageType::Acknowledgement, MessageType::Reset];
    let kind = kinds.get(at).copied().unwrap_or(MessageType::Reset);
    messages.push(Draft::new(kind, 0, id, Vec::new()).encode());
    messages
}
