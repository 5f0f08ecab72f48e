//! Any text as a URI, and any options as the parts of one: the body of a property test of `coracle-wire`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/wire/tests/fuzzed/uri.rs"]
mod uri;

fuzz_target!(|bytes: &[u8]| uri::run(bytes));
