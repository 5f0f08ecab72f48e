//! How bytes choose what is done, and from what.

use coracle_wire::{MessageType, Method, Status};

/// Reads numbers from bytes; zeros when they are used up.
pub struct Cursor<'b>(pub &'b [u8]);

impl<'b> Cursor<'b> {
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()]
    }

    pub fn slice(&mut self, len: usize) -> &'b [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

pub const TYPES: [MessageType; 4] = [
    MessageType::Confirmable,
    MessageType::NonConfirmable,
    MessageType::Acknowledgement,
    MessageType::Reset,
];
pub const CODES: [u8; 18] = [
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x41, 0x44, 0x45, 0x43, 0x5f, 0x80, 0x81, 0x8d, 0xa0, 0x88,
    0x9d,
];
pub const NUMBERS: [u16; 21] = [
    1, 3, 4, 5, 6, 6, 11, 12, 14, 15, 17, 23, 23, 27, 27, 28, 35, 60, 252, 258, 292,
];
pub const STATUSES: [Status; 8] = [
    Status::CONTENT,
    Status::CONTENT,
    Status::CONTENT,
    Status::VALID,
    Status::CHANGED,
    Status::NOT_FOUND,
    Status::CONTINUE,
    Status::INTERNAL_SERVER_ERROR,
];
pub const METHODS: [Method; 5] = [
    Method::GET,
    Method::PUT,
    Method::POST,
    Method::FETCH,
    Method::PATCH,
];
