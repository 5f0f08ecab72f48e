//! Whatever a peer sends, shown by the program: the body of a property test of `coracle-cli`.
#![no_main]
#![allow(dead_code, reason = "the program's modules are used in part")]

#[path = "../../crates/cli/src/console.rs"]
mod console;
#[path = "../../crates/cli/src/error.rs"]
mod error;
#[path = "../../crates/cli/src/hex.rs"]
mod hex;
#[path = "../../crates/cli/src/json.rs"]
mod json;
#[path = "../../crates/cli/src/show/mod.rs"]
mod show;
#[path = "../../crates/cli/tests/shown/mod.rs"]
mod shown;

use coracle_formats as formats;
use coracle_wire as wire;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| shown::run(bytes));
