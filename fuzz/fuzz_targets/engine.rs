//! Any sequence of operations on an endpoint: the body of the engine's property test.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/engine/tests/operations/mod.rs"]
mod operations;

fuzz_target!(|bytes: &[u8]| operations::run(bytes));
