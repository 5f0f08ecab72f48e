//! What peers send on connections.

use coracle_wire::{
    BlockOption, Code, CodeKind, Csm, Message, MessageId, MessageType, OptionNumber, Options, OptionsBuf,
    Signal, Status,
};

use super::choices::{CODES, Cursor, METHODS, NUMBERS};
use super::{World, pick};

const SIZES: [u32; 10] = [10, 32, 64, 200, 1000, 1152, 1153, 1500, 5000, 1 << 20];

impl World {
    fn place(&self, cursor: &mut Cursor<'_>) -> Option<usize> {
        usize::from(cursor.byte()).checked_rem(self.lines.len())
    }

    /// A message comes as a whole, or its beginning does, and the rest with what follows.
    fn receive_frame(&mut self, place: usize, cursor: &mut Cursor<'_>, message: &Message<'_>) {
        let mut bytes = Vec::new();
        let framing = self.lines[place].framing;
        message.append_frame(framing, &mut bytes).unwrap();
        if cursor.byte().is_multiple_of(16) && framing == coracle_wire::Framing::Tcp {
            let at = usize::from(cursor.byte()) * bytes.len() / 256;
            let rest = bytes.split_off(at);
            self.receive(place, &bytes);
            bytes = rest;
            // Time passes between them, perhaps.
            if cursor.byte().is_multiple_of(4) {
                self.pass(cursor);
                self.settle();
            }
        }
        if place < self.lines.len() {
            self.receive(place, &bytes);
        }
    }

    pub(super) fn receive_message(&mut self, cursor: &mut Cursor<'_>) {
        let Some(place) = self.place(cursor) else {
            return;
        };
        let mut options = OptionsBuf::new();
        for _ in 0..cursor.byte() % 5 {
            let number = OptionNumber(cursor.pick(&NUMBERS));
            let len = usize::from(cursor.byte() % 4);
            options.insert(number, cursor.slice(len)).unwrap();
        }
        let token_len = cursor.pick(&[0, 1, 1, 1, 2, 8, 9, 14, 13, 255, 256, 257]);
        let payload_len = cursor.pick(&[0, 0, 1, 16, 16, 64, 1024, 1100, 1700]);
        let code = cursor.pick(&CODES);
        let (token, payload) = ([cursor.byte() % 4; 257], [cursor.byte(); 1700]);
        let message = message(
            Code::from_byte(code),
            &token[..token_len],
            options.as_options(),
            &payload[..payload_len],
        );
        self.receive_frame(place, cursor, &message);
    }

    /// Any bytes.
    pub(super) fn receive_bytes(&mut self, cursor: &mut Cursor<'_>) {
        if let Some(place) = self.place(cursor) {
            let len = usize::from(cursor.byte() % 48);
            let bytes = cursor.slice(len).to_vec();
            self.receive(place, &bytes);
        }
    }

    pub(super) fn receive_csm(&mut self, place: usize, byte: u8) {
        let csm = Csm {
            max_message_size: (byte & 0x80 == 0).then(|| SIZES[usize::from(byte & 0x0f) % SIZES.len()]),
            block_wise_transfer: byte & 0x10 == 0,
            extended_token_length: (byte & 0x20 == 0).then_some(256),
        };
        let options = csm.to_options();
        let message = message(Code::from(Signal::CSM), &[], options.as_options(), &[]);
        let mut bytes = Vec::new();
        message
            .append_frame(self.lines[place].framing, &mut bytes)
            .unwrap();
        self.receive(place, &bytes);
    }

    /// Signaling, mostly as it should be.
    pub(super) fn receive_signal(&mut self, cursor: &mut Cursor<'_>) {
        let Some(place) = self.place(cursor) else {
            return;
        };
        let what = cursor.byte();
        if what < 0x60 {
            return self.receive_csm(place, cursor.byte());
        }
        let code = match what {
            0x60..0xa0 => Code::from(Signal::PING),
            0xa0..0xd0 => Code::from(Signal::PONG),
            0xd0..0xe0 => Code::from(Signal::RELEASE),
            0xe0..0xf0 => Code::from(Signal::CSM),
            0xf0..0xfc => Code::from_byte(0xe0 | cursor.byte()),
            _ => Code::from(Signal::ABORT),
        };
        let mut options = OptionsBuf::new();
        if cursor.byte().is_multiple_of(2) {
            let number = OptionNumber(cursor.pick(&[2, 2, 4, 6, 1, 9, 400]));
            let len = cursor.pick(&[0, 0, 1, 2, 4, 5]);
            options.insert(number, cursor.slice(len)).unwrap();
        }
        let asked = self.lines[place].asked.len();
        let token = match usize::from(cursor.byte()).checked_rem(asked) {
            Some(which) if code == Code::from(Signal::PONG) => self.lines[place].asked[which].token.clone(),
            _ => vec![cursor.byte() % 4; usize::from(cursor.byte() % 9)],
        };
        let text = &b"words for people"[..usize::from(cursor.byte() % 17)];
        let message = message(code, &token, options.as_options(), text);
        self.receive_frame(place, cursor, &message);
    }

    /// What a peer says to a request of ours: as it should, or not.
    pub(super) fn receive_answer(&mut self, cursor: &mut Cursor<'_>) {
        let Some(place) = self.place(cursor) else {
            return;
        };
        let line = &self.lines[place];
        let Some(asked) = pick(&line.asked.iter().rev().collect::<Vec<_>>(), cursor).cloned() else {
            return;
        };
        let framing = line.framing;
        let asked = Message::parse_frame(framing, &asked.frame).expect("what is written is messages");
        if !matches!(asked.code.kind(), CodeKind::Request(_)) {
            let pong = message(Code::from(Signal::PONG), asked.token, Options::empty(), &[]);
            return self.receive_frame(place, cursor, &pong);
        }
        let flags = cursor.byte();
        let mut options = OptionsBuf::new();
        options.push_uint(OptionNumber::ETAG, 0x7f);
        if asked.options.observe() == Some(0) {
            options.push_uint(OptionNumber::OBSERVE, u64::from(flags >> 5));
        }
        let sends = asked.options.block1().and_then(Result::ok);
        let goes_on = sends.is_some_and(BlockOption::more);
        let mut payload = &[4; 2048][..];
        if let Some(block) = sends {
            options.set(OptionNumber::BLOCK1, &block.encode()).unwrap();
        }
        let asked_for = asked.options.block2().and_then(Result::ok);
        let (num, szx) = asked_for.map_or((0, flags >> 2 & 7), |block| (block.num(), block.szx()));
        match goes_on {
            true => payload = &[],
            false if flags & 3 == 0 => payload = &payload[..usize::from(cursor.byte())],
            false => {
                let block = BlockOption::new(num, flags & 1 == 0, szx).unwrap();
                options.set(OptionNumber::BLOCK2, &block.encode()).unwrap();
                payload = &payload[..block.size().min(1024)];
            }
        }
        let status = match (goes_on, flags) {
            (true, _) => Code::from(Status::CONTINUE),
            (false, 0xe0..) => Code::from_byte(cursor.pick(&CODES[7..])),
            _ => Code::from(Status::CONTENT),
        };
        let answer = message(status, asked.token, options.as_options(), payload);
        self.receive_frame(place, cursor, &answer);
    }

    /// The next block of what a peer transfers, or the first of something new.
    pub(super) fn receive_block(&mut self, cursor: &mut Cursor<'_>) {
        let Some(place) = self.place(cursor) else {
            return;
        };
        let flags = cursor.byte();
        let line = &mut self.lines[place];
        if flags & 0x1c == 0 {
            line.transfer = (cursor.byte(), 0);
        }
        let (kind, num) = line.transfer;
        let method = METHODS[usize::from(kind) % METHODS.len()];
        let (szx, len) = if kind & 0x80 == 0 {
            (7, 1024)
        } else {
            (kind >> 4 & 3, 0)
        };
        let len = if szx == 7 { len } else { 16 << szx };
        line.transfer.1 = num.saturating_add(1).min(BlockOption::MAX_NUM);
        let block = BlockOption::new(num, flags & 0x60 != 0, szx).unwrap().encode();
        let mut options = OptionsBuf::new();
        options.push_uint(OptionNumber::REQUEST_TAG, u64::from(flags & 3));
        let asks = kind & 0x08 == 0;
        let number = if asks {
            OptionNumber::BLOCK2
        } else {
            OptionNumber::BLOCK1
        };
        options.insert(number, &block).unwrap();
        let payload = if asks { &[][..] } else { &[3; 1024][..len] };
        let token = [kind & 3];
        let message = message(Code::from(method), &token, options.as_options(), payload);
        self.receive_frame(place, cursor, &message);
    }
}

fn message<'m>(code: Code, token: &'m [u8], options: Options<'m>, payload: &'m [u8]) -> Message<'m> {
    Message {
        message_type: MessageType::NonConfirmable,
        code,
        message_id: MessageId(0),
        token,
        options,
        payload,
    }
}
