//! `cargo xtask bench` and `cargo xtask instructions`: build the measurements as they are released, and run them.
//!
//! What follows the command goes to the program; `cargo xtask bench --help` tells what it understands.

use std::process::Command;

use crate::Outcome;
use crate::workspace;

const PACKAGE: &str = "coracle-bench";

/// Runs the program in this terminal.
pub(crate) fn run(arguments: &[&str]) -> Outcome {
    let status = Command::new(workspace::cargo())
        .args([
            "run",
            "--quiet",
            "--release",
            "--locked",
            "--package",
            PACKAGE,
            "--",
        ])
        .args(arguments)
        .status()
        .map_err(|error| vec![format!("cargo run: {error}")])?;
    if status.success() {
        Ok("bench: done".into())
    } else {
        Err(vec![format!("bench: {status}")])
    }
}
