//! Any datagram: the body of a property test of `coracle-wire`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/wire/tests/fuzzed/message.rs"]
mod message;

fuzz_target!(|datagram: &[u8]| message::run(datagram));
