//! Any sequence of operations on an endpoint that has connections: the body of a property test of the engine.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/engine/tests/connected/mod.rs"]
mod connected;

fuzz_target!(|bytes: &[u8]| connected::run(bytes));
