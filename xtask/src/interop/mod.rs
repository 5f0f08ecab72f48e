//! `cargo xtask interop`: judges this program and other implementations in both roles, and writes the matrix into
//! `docs/interop.md`.
//!
//! What follows the command are patterns of cases, as `coracle plugtest run --only` takes them; then nothing is
//! written. The peers are those that `.ci/peers` installs; one that is missing has an empty column.

mod matrix;
mod peers;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Outcome;
use crate::workspace::{self, Workspace};
use peers::{CLIENTS, SERVERS, Subject};

/// What was judged, and what its cases came to, in the order of the catalogue.
struct Column {
    subject: &'static Subject,
    version: String,
    outcomes: Vec<(String, String)>,
}

/// Where things are.
struct Places {
    root: PathBuf,
    target: PathBuf,
    /// The program `coracle`, as it is released.
    program: PathBuf,
}

/// Runs everything.
pub(crate) fn run(only: &[&str]) -> Outcome {
    let places = build().map_err(|problem| vec![problem])?;
    let servers = columns(SERVERS, &places, only);
    let clients = columns(CLIENTS, &places, only);
    let text = matrix::render(&servers, &clients);
    if !only.is_empty() {
        return Ok(text);
    }
    let document = places.root.join("docs/interop.md");
    let unlooked = matrix::write(&document, &text, &servers, &clients).map_err(|problem| vec![problem])?;
    if unlooked.is_empty() {
        Ok(format!("interop: {} is written", document.display()))
    } else {
        Err(unlooked)
    }
}

fn build() -> Result<Places, String> {
    let workspace = Workspace::load()?;
    let status = Command::new(workspace::cargo())
        .args(["build", "--quiet", "--release", "--package", "coracle-cli"])
        .current_dir(&workspace.root)
        .status()
        .map_err(|error| format!("cargo build: {error}"))?;
    if !status.success() {
        return Err(format!("cargo build: {status}"));
    }
    Ok(Places {
        program: workspace.target.join("release/coracle"),
        root: workspace.root,
        target: workspace.target,
    })
}

fn columns(subjects: &'static [Subject], places: &Places, only: &[&str]) -> Vec<Column> {
    let column = |subject: &'static Subject| match judge(subject, places, only) {
        Ok((version, outcomes)) => Some(Column {
            subject,
            version,
            outcomes,
        }),
        Err(why) => {
            eprintln!("{}: not judged: {why}", subject.name);
            None
        }
    };
    subjects.iter().filter_map(column).collect()
}

/// Judges one peer; its version, and what each case came to. Cases that are judged apart have a server of their own,
/// which they may bring down.
fn judge(
    subject: &Subject,
    places: &Places,
    only: &[&str],
) -> Result<(String, Vec<(String, String)>), String> {
    eprintln!("judging {} as a {}", subject.name, subject.role());
    let version = subject.version(places)?;
    let mut choice: Vec<&str> = only.iter().flat_map(|pattern| ["--only", pattern]).collect();
    choice.extend(subject.apart.iter().flat_map(|id| ["--skip", id]));
    let mut outcomes = run_judge(subject, places, &choice)?;
    for id in subject
        .apart
        .iter()
        .filter(|id| only.is_empty() || only.contains(id))
    {
        outcomes.extend(run_judge(subject, places, &["--only", id])?);
    }
    Ok((version, outcomes))
}

fn run_judge(subject: &Subject, places: &Places, choice: &[&str]) -> Result<Vec<(String, String)>, String> {
    let mut running = subject.start(places)?;
    let name = format!("interop-{}-{}.json", subject.name, subject.role());
    let file = places.target.join(name);
    let mut judge = Command::new(&places.program);
    judge
        .arg("plugtest")
        .args(subject.judge_arguments(&running))
        .args(choice);
    judge.args(["--jobs", "8", "--quiet", "--json"]).arg(&file);
    // The programs of the peers are in folders of their own.
    judge.env("PATH", subject.path(places));
    let status = judge.stdout(Stdio::null()).status();
    running.end();
    let status = status.map_err(|error| format!("cannot run the judge: {error}"))?;
    // 1 says that a case has failed, which the matrix shows.
    if !matches!(status.code(), Some(0 | 1)) {
        return Err(format!("the judge ended with {status}"));
    }
    let broken = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = std::fs::read_to_string(&file).map_err(|error| broken(&error))?;
    let report: Value = serde_json::from_str(&text).map_err(|error| broken(&error))?;
    Ok(outcomes(&report))
}

fn outcomes(report: &Value) -> Vec<(String, String)> {
    let cases = report
        .get("cases")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let text = |case: &Value, name| case.get(name)?.as_str().map(str::to_owned);
    cases
        .filter_map(|case| Some((text(case, "id")?, text(case, "outcome")?)))
        .collect()
}
