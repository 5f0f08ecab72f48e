//! Whatever a peer sends, showing it neither fails nor steers the terminal. The fuzz target `shown` does the same.
#![allow(dead_code, reason = "the program's modules are used in part")]

#[path = "../src/console.rs"]
mod console;
#[path = "../src/error.rs"]
mod error;
#[path = "../src/hex.rs"]
mod hex;
#[path = "../src/json.rs"]
mod json;
#[path = "../src/show/mod.rs"]
mod show;
mod shown;

use coracle::{formats, wire};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..200)) {
        shown::run(&bytes);
    }

    #[test]
    fn any_text_in_any_format(format in 0..12_u8, text in "(\\PC|[\\x00-\\x9f\"\\\\]){0,40}") {
        shown::run(&[&[format], text.as_bytes()].concat());
        let quoted = [&[5], serde_json::Value::from(text).to_string().as_bytes()].concat();
        shown::run(&quoted);
    }

    #[test]
    fn bytes_like_cbor(
        bytes in vec(
            prop::sample::select(vec![
                0x00, 0x17, 0x18, 0x1b, 0x20, 0x41, 0x5f, 0x61, 0x7f, 0x81, 0x82, 0x9f, 0xa1, 0xbf, 0xc1, 0xd8, 0xf5,
                0xf8, 0xf9, 0xfb, 0xff, 0x0a, 0x9b,
            ]),
            0..24,
        ),
    ) {
        shown::run(&[&[6], &bytes[..]].concat());
        shown::run(&[&[7], &bytes[..]].concat());
    }
}
