//! Any bytes on a connection, as a stream and as a message of a WebSocket: the body of a property test of
//! `coracle-wire`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/wire/tests/fuzzed/frame.rs"]
mod frame;

fuzz_target!(|bytes: &[u8]| frame::run(bytes));
