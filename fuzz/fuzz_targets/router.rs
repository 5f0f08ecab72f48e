//! Any request to a router: the body of a property test of `coracle-router`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/router/tests/fuzzed/mod.rs"]
mod fuzzed;

fuzz_target!(|bytes: &[u8]| fuzzed::run(bytes));
