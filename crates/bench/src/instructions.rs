//! Instructions outside of the kernel, counted by valgrind: nearly the same on every machine, and quiet on a busy one.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;

use crate::child::Server;
use crate::load::{self, Load, Until};
use crate::micro::Case;
use crate::options::Subject;

/// Repetitions of two runs, whose difference leaves the preparation out.
const COUNTS: [u32; 2] = [2_000, 10_000];

/// Whether there is a valgrind to count with.
pub(crate) fn can_be_counted() -> bool {
    let version = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

/// Instructions of an operation.
pub(crate) fn of_case(case: Case) -> io::Result<f64> {
    difference(|count, file| {
        let name = case.to_possible_value();
        let name = name.as_ref().map_or("", |name| name.get_name());
        let status = valgrind(file)?
            .args(["work", name, &count.to_string()])
            .status()?;
        if status.success() {
            Ok(count.into())
        } else {
            Err(io::Error::other("valgrind could not run the measurement"))
        }
    })
}

/// Instructions of a server for a request.
pub(crate) fn of_server(subject: Subject, peers: u16) -> io::Result<f64> {
    let runtime = load::runtime()?;
    difference(|count, file| {
        runtime.block_on(async {
            let server = Server::start_by(valgrind(file)?, subject)?;
            let mut load = Load::start(server.address, peers).await?;
            let tally = load.run(Until::Answered(count.into())).await?;
            server.stop()?;
            Ok(tally.answered())
        })
    })
}

/// Counts two runs of different length, which return how often they repeated the operation.
fn difference(mut run: impl FnMut(u32, &Path) -> io::Result<u64>) -> io::Result<f64> {
    let file: PathBuf = std::env::temp_dir().join(format!("coracle-bench-{}.callgrind", std::process::id()));
    let mut counted = |count| {
        let repetitions = run(count, &file)?;
        let total = read_total(&file);
        std::fs::remove_file(&file)?;
        Ok::<_, io::Error>((repetitions as f64, total? as f64))
    };
    let [few, many] = COUNTS;
    let ((few, less), (many, more)) = (counted(few)?, counted(many)?);
    Ok((more - less) / (many - few))
}

/// This program, run by valgrind.
fn valgrind(file: &Path) -> io::Result<Command> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe()?)
        .stderr(Stdio::null());
    Ok(command)
}

/// The line of callgrind's file that holds the sum of all events.
fn read_total(file: &Path) -> io::Result<u64> {
    let text = std::fs::read_to_string(file)?;
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    total.ok_or_else(|| io::Error::other("valgrind wrote no totals"))
}
