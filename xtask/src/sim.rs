//! `cargo xtask sim`: plays many scenarios of the simulator as they are released, for nights.
//!
//! What follows the command goes to the program; `cargo xtask sim --help` tells what it understands.

use std::process::Command;

use crate::Outcome;
use crate::workspace;

const PACKAGE: &str = "coracle-sim";
const EXAMPLE: &str = "seeds";

/// Runs the program in this terminal.
pub(crate) fn run(arguments: &[&str]) -> Outcome {
    let status = Command::new(workspace::cargo())
        .args(["run", "--quiet", "--release", "--package", PACKAGE])
        .args(["--example", EXAMPLE, "--"])
        .args(arguments)
        .status()
        .map_err(|error| vec![format!("cargo run: {error}")])?;
    if status.success() {
        Ok("sim: done".into())
    } else {
        Err(vec![format!("sim: {status}")])
    }
}
