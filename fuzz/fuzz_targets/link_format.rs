//! Any payload as link-format, with any query and any base: the body of a property test of `coracle-formats`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/formats/tests/fuzzed/mod.rs"]
mod fuzzed;

fuzz_target!(|bytes: &[u8]| fuzzed::run(bytes));
