//! `cargo xtask no-std`: the lower floors run where there is no operating system.
//!
//! Builds `xtask/no-std-probe`, a static library with a panic handler and an allocator of its own. As soon as one of
//! our crates, or a dependency of theirs, brings std in, there are two panic handlers, and the build fails with
//! E0152. The probe stands outside the workspace, so that no other crate turns features on for it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::workspace::{self, Workspace};

const PROBE: &str = "xtask/no-std-probe";

/// Builds the probe for the host, with the versions of our own lock file, so that nothing new is downloaded.
pub(crate) fn run() -> Outcome {
    let workspace = Workspace::load().map_err(|error| vec![error])?;
    build(&workspace.root, &workspace.target).map_err(|error| vec![error])?;
    Ok("no-std: wire, formats and engine build without std".into())
}

fn build(root: &Path, target: &Path) -> Result<(), String> {
    let probe = root.join(PROBE);
    fs::copy(root.join("Cargo.lock"), probe.join("Cargo.lock"))
        .map_err(|error| format!("{PROBE}/Cargo.lock: {error}"))?;
    let status = Command::new(workspace::cargo())
        .args(["build", "--quiet", "--manifest-path"])
        .arg(probe.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target.join("no-std-probe"))
        .status()
        .map_err(|error| format!("cargo build: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!(
        "{PROBE}: does not build; E0152 above means that a crate brought std in (no-std)"
    ))
}
