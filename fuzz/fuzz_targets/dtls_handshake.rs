//! The messages of handshakes in fragments, changed, repeated, made up: the body of a property test of `coracle-dtls`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/dtls/tests/fuzzed/handshake.rs"]
mod handshake;

fuzz_target!(|bytes: &[u8]| handshake::run(bytes));
