//! Instructions of an operation, counted by valgrind: the same on every machine, and quiet on a busy one.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::ValueEnum;

use crate::micro::Case;

/// Repetitions of two runs, whose difference leaves the preparation out.
const COUNTS: [u32; 2] = [2_000, 10_000];

/// Instructions of an operation; `None` where valgrind is not installed.
pub(crate) fn count(case: Case) -> io::Result<Option<f64>> {
    let [few, many] = COUNTS;
    let (Some(less), Some(more)) = (run(case, few)?, run(case, many)?) else {
        return Ok(None);
    };
    Ok(Some((more - less) as f64 / f64::from(many - few)))
}

fn run(case: Case, count: u32) -> io::Result<Option<u64>> {
    let file = std::env::temp_dir().join(format!("coracle-bench-{}.callgrind", std::process::id()));
    let name = case.to_possible_value();
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe()?)
        .args([
            "work",
            name.as_ref().map_or("", |name| name.get_name()),
            &count.to_string(),
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match status {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        status => match status?.success() {
            true => {}
            false => return Err(io::Error::other("valgrind could not run the measurement")),
        },
    }
    let total = read_total(&file);
    std::fs::remove_file(&file)?;
    total.map(Some)
}

/// The line of callgrind's file that holds the sum of all events.
fn read_total(file: &Path) -> io::Result<u64> {
    let text = std::fs::read_to_string(file)?;
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    total.ok_or_else(|| io::Error::other("valgrind wrote no totals"))
}
