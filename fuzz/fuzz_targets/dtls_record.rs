//! Records of an established session, changed, repeated, made up: the body of a property test of `coracle-dtls`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/dtls/tests/fuzzed/record.rs"]
mod record;

fuzz_target!(|bytes: &[u8]| record::run(bytes));
