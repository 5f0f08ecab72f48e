//! Instructions outside of the kernel, counted by valgrind: nearly the same on every machine, and quiet on a busy one.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::micro::{COUNTED_FUNCTION, Case};

/// Whether there is a valgrind to count with.
pub(crate) fn can_be_counted() -> bool {
    let version = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

/// Instructions of a unit of work.
pub(crate) fn of_case(case: Case) -> io::Result<f64> {
    let file = std::env::temp_dir().join(format!("coracle-bench-{}.callgrind", std::process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--toggle-collect={COUNTED_FUNCTION}"))
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe()?)
        .args(["work", &case.name()])
        .output()?;
    let total = read_total(&file);
    let _ = std::fs::remove_file(&file);
    let units: Option<f64> = String::from_utf8_lossy(&output.stdout).trim().parse().ok();
    match units {
        Some(units) if output.status.success() => Ok(total? as f64 / units),
        _ => Err(io::Error::other(format!(
            "valgrind could not run {}: {}",
            case.name(),
            String::from_utf8_lossy(&output.stderr).trim_end()
        ))),
    }
}

/// The line of callgrind's file that holds the sum of all events.
fn read_total(file: &Path) -> io::Result<u64> {
    let text = std::fs::read_to_string(file)?;
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    total
        .filter(|total| *total > 0)
        .ok_or_else(|| io::Error::other("valgrind counted nothing: does the program have its symbols?"))
}
