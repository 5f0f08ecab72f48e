//! Requests as bytes.

use std::hint::black_box;

use coracle_wire::{Message, Method, OptionsBuf};

use crate::datagrams::{path, request};

/// The options of the request that all cases make.
pub(super) fn options() -> OptionsBuf {
    path("temp")
}

pub(super) fn parse() -> impl FnMut() {
    let mut datagram = [0; 64];
    let len = request(
        Method::GET,
        7,
        *b"toke",
        options().as_options(),
        &[],
        &mut datagram,
    );
    move || {
        let message = Message::parse(black_box(&datagram).get(..len).unwrap_or_default());
        let options = message.map(|message| {
            message
                .options
                .iter()
                .map(|option| option.value.len())
                .sum::<usize>()
        });
        let _ = black_box(options);
    }
}

pub(super) fn encode() -> impl FnMut() {
    let options = options();
    let mut datagram = [0; 64];
    move || {
        black_box(request(
            Method::GET,
            black_box(7),
            *b"toke",
            black_box(&options).as_options(),
            &[],
            &mut datagram,
        ));
    }
}
