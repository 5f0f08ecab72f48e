//! What peers send.

use coracle_wire::{
    BlockOption, Code, CodeKind, Message, MessageId, MessageType, Method, OptionNumber, Options, OptionsBuf,
    Status,
};

use super::choices::{CODES, Cursor, METHODS, NUMBERS, TYPES};
use super::{World, encode, path, pick};

impl World {
    pub(super) fn receive_message(&mut self, cursor: &mut Cursor<'_>) {
        let mut options = OptionsBuf::new();
        for _ in 0..cursor.byte() % 5 {
            let number = OptionNumber(cursor.pick(&NUMBERS));
            let len = usize::from(cursor.byte() % 4);
            options.insert(number, cursor.slice(len)).unwrap();
        }
        let token_len = cursor.pick(&[0, 1, 1, 1, 2, 8, 9, 14]);
        let payload_len = cursor.pick(&[0, 0, 1, 16, 16, 32, 32, 64, 300]);
        let message = Message {
            message_type: cursor.pick(&TYPES),
            code: Code::from_byte(cursor.pick(&CODES)),
            message_id: MessageId(u16::from(cursor.byte())),
            token: &[cursor.byte() % 4; 14][..token_len],
            options: options.as_options(),
            payload: &[cursor.byte(); 300][..payload_len],
        };
        let bytes = encode(&message);
        self.receive(path(cursor.byte()), bytes);
    }

    /// What a peer that knows its RFCs says to something that the endpoint sent.
    pub(super) fn receive_good_answer(&mut self, cursor: &mut Cursor<'_>) {
        let Some((path, bytes)) = pick(&self.sent.iter().rev().collect::<Vec<_>>(), cursor).cloned() else {
            return;
        };
        let asked = Message::parse(&bytes).expect("what is sent can be parsed");
        let flags = cursor.byte();
        if !matches!(asked.code.kind(), CodeKind::Request(_)) {
            let message_type = if flags & 1 == 0 { TYPES[2] } else { TYPES[3] };
            return self.receive(path, encode(&Message::empty(message_type, asked.message_id)));
        }
        let mut options = OptionsBuf::new();
        options.push_uint(OptionNumber::ETAG, 0x7f);
        if asked.options.observe() == Some(0) {
            options.push_uint(OptionNumber::OBSERVE, u64::from(flags >> 5));
        }
        let sends = asked.options.block1().and_then(Result::ok);
        let goes_on = sends.is_some_and(BlockOption::more);
        let mut payload = &[4; 32][..];
        if let Some(block) = sends {
            options.set(OptionNumber::BLOCK1, &block.encode()).unwrap();
        }
        if goes_on {
            payload = &[];
        } else {
            let num = asked
                .options
                .block2()
                .and_then(Result::ok)
                .map_or(0, BlockOption::num);
            let block = BlockOption::new(num, flags & 1 == 0, 1).unwrap();
            options.set(OptionNumber::BLOCK2, &block.encode()).unwrap();
        }
        let piggybacked = asked.message_type == MessageType::Confirmable && flags & 6 != 0;
        self.transfer_id = self.transfer_id.wrapping_add(1);
        let message = Message {
            message_type: if piggybacked {
                TYPES[2]
            } else {
                TYPES[usize::from(flags >> 3 & 1)]
            },
            code: Code::from(if goes_on {
                Status::CONTINUE
            } else {
                Status::CONTENT
            }),
            message_id: if piggybacked {
                asked.message_id
            } else {
                MessageId(self.transfer_id)
            },
            token: asked.token,
            options: options.as_options(),
            payload,
        };
        self.receive(path, encode(&message));
    }

    /// The next block of what a peer transfers, or the first of something new.
    pub(super) fn receive_block(&mut self, cursor: &mut Cursor<'_>) {
        let who = cursor.byte();
        let flags = cursor.byte();
        self.transfer_id = self.transfer_id.wrapping_add(1);
        let place = &mut self.transfers[usize::from(who & 3)];
        if flags & 0x1c == 0 {
            *place = (cursor.pick(&METHODS), 0);
        }
        let (method, num) = *place;
        place.1 = num.saturating_add(1).min(BlockOption::MAX_NUM);
        let more = flags & 0x60 != 0;
        let block = BlockOption::new(num, more, 1).unwrap().encode();
        let mut options = OptionsBuf::new();
        options.push_uint(OptionNumber::REQUEST_TAG, u64::from(flags & 3));
        let asks = matches!(method, Method::GET | Method::FETCH);
        let number = if asks {
            OptionNumber::BLOCK2
        } else {
            OptionNumber::BLOCK1
        };
        options.insert(number, &block).unwrap();
        let message = Message {
            message_type: if flags & 0x80 == 0 { TYPES[0] } else { TYPES[1] },
            code: Code::from(method),
            message_id: MessageId(self.transfer_id),
            token: &[who & 3],
            options: options.as_options(),
            payload: if asks { &[] } else { &[3; 32] },
        };
        let bytes = encode(&message);
        self.receive(path(who), bytes);
    }

    /// What a peer would say to something that the endpoint sent.
    pub(super) fn receive_answer(&mut self, cursor: &mut Cursor<'_>) {
        if self.sent.is_empty() {
            return;
        }
        let (mut way, bytes) =
            self.sent[self.sent.len() - 1 - usize::from(cursor.byte()) % self.sent.len()].clone();
        if cursor.byte().is_multiple_of(8) {
            // Somebody else says it.
            way = path(cursor.byte());
        }
        let asked = Message::parse(&bytes).expect("what is sent can be parsed");
        let mut options = OptionsBuf::new();
        for _ in 0..cursor.byte() % 4 {
            let number = OptionNumber(cursor.pick(&NUMBERS));
            let len = usize::from(cursor.byte() % 4);
            options.insert(number, cursor.slice(len)).unwrap();
        }
        let payload_len = cursor.pick(&[0, 1, 16, 32]);
        if cursor.byte().is_multiple_of(2) {
            carry_on(&mut options, asked.options, cursor);
        }
        let message_type = cursor.pick(&TYPES);
        let empty = message_type == MessageType::Reset || cursor.byte().is_multiple_of(4);
        let own_id = matches!(
            message_type,
            MessageType::Confirmable | MessageType::NonConfirmable
        );
        let message = Message {
            message_type,
            code: if empty {
                Code::EMPTY
            } else {
                Code::from_byte(cursor.pick(&CODES[7..]))
            },
            message_id: if own_id {
                MessageId(u16::from(cursor.byte()))
            } else {
                asked.message_id
            },
            token: if empty { &[] } else { asked.token },
            options: if empty {
                Options::empty()
            } else {
                options.as_options()
            },
            payload: if empty { &[] } else { &[1; 32][..payload_len] },
        };
        self.receive(way, encode(&message));
    }

    /// Something that was received before comes again, perhaps with a byte changed.
    pub(super) fn receive_again(&mut self, cursor: &mut Cursor<'_>) {
        if self.received.is_empty() {
            return;
        }
        let (path, mut bytes) = self.received[usize::from(cursor.byte()) % self.received.len()].clone();
        let at = usize::from(cursor.byte());
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= cursor.byte();
        }
        self.receive(path, bytes);
    }
}

/// What goes on with the block-wise transfer that `asked` belongs to: the block that it asks for, the echo of the one
/// that it carries.
fn carry_on(options: &mut OptionsBuf, asked: Options<'_>, cursor: &mut Cursor<'_>) {
    let more = cursor.byte().is_multiple_of(2);
    if let Some(Ok(block)) = asked.block1() {
        options.set(OptionNumber::BLOCK1, &block.encode()).unwrap();
    } else {
        let asked = asked.block2().and_then(Result::ok);
        let (num, szx) = asked.map_or((0, 1), |block| (block.num(), block.szx()));
        let block = BlockOption::new(num, more, szx).unwrap();
        options.set(OptionNumber::BLOCK2, &block.encode()).unwrap();
    }
}
