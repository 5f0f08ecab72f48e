//! Any sequence of operations on two machines and what is under way between them: the body of a property test of
//! `coracle-dtls`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/dtls/tests/operations/mod.rs"]
mod operations;

fuzz_target!(|bytes: &[u8]| operations::run(bytes));
