//! Counts of instructions that are kept in the repository, so that none grows unnoticed.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::instructions;
use crate::micro::Case;

/// By how much a count may differ from the recorded one, as a share of it.
const TOLERANCE: f64 = 0.05;

const HEAD: &str = "\
# Instructions outside of the kernel for a unit of work. `cargo xtask instructions` holds new counts against these and
# fails where one has grown by more than 5 %; `cargo xtask instructions --record` writes this file.
";

/// What a file holds.
#[derive(Debug, PartialEq)]
struct Record {
    /// Whose code was counted.
    compiler: String,
    counts: Vec<(String, f64)>,
}

/// How a count is to the recorded one.
#[derive(Debug, PartialEq)]
enum Verdict {
    Same,
    Grown,
    Shrunk,
    New,
}

/// Counts, and compares or records.
///
/// # Errors
/// If a count has grown too much, was never recorded, or cannot be counted.
pub(crate) fn run(record: bool) -> io::Result<()> {
    if !instructions::can_be_counted() {
        return Err(io::Error::other(
            "valgrind is needed to count instructions, and is not installed",
        ));
    }
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.toml");
    let mut counted = Record {
        compiler: compiler()?,
        counts: Vec::new(),
    };
    for case in Case::ALL {
        eprintln!("counting: {}", case.title());
        counted
            .counts
            .push((case.name(), instructions::of_case(case)?.round()));
    }
    if record {
        std::fs::write(&path, counted.write())?;
        println!("recorded in {}:\n{}", path.display(), counted.write());
        return Ok(());
    }
    let recorded = Record::read(&std::fs::read_to_string(&path)?)?;
    if recorded.compiler != counted.compiler {
        println!(
            "recorded with {}, counted with {}",
            recorded.compiler, counted.compiler
        );
    }
    report(&recorded, &counted)
}

/// Prints a line for each count, and fails if one is not as it should be.
fn report(recorded: &Record, counted: &Record) -> io::Result<()> {
    let mut bad = Vec::new();
    println!("{:16} {:>9} {:>9}", "", "recorded", "counted");
    for (name, now) in &counted.counts {
        let before = recorded.get(name);
        let remark = match judge(before, *now) {
            Verdict::Same => "",
            Verdict::Shrunk => "less: record it, so that it stays so",
            Verdict::Grown => "more than 5 % more",
            Verdict::New => "not recorded",
        };
        let before = before.map_or_else(|| "-".to_owned(), |before| format!("{before:.0}"));
        println!("{name:16} {before:>9} {now:>9.0}  {remark}");
    }
    for (name, now) in &counted.counts {
        if matches!(judge(recorded.get(name), *now), Verdict::Grown | Verdict::New) {
            bad.push(name.as_str());
        }
    }
    if bad.is_empty() {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "too many instructions: {}. If that has to be, record them: cargo xtask instructions --record",
        bad.join(", ")
    )))
}

fn judge(before: Option<f64>, now: f64) -> Verdict {
    match before {
        None => Verdict::New,
        Some(before) if now > before * (1.0 + TOLERANCE) => Verdict::Grown,
        Some(before) if now < before * (1.0 - TOLERANCE) => Verdict::Shrunk,
        Some(_) => Verdict::Same,
    }
}

/// The compiler's name and version, and for which machine this program is.
fn compiler() -> io::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output()?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(format!("{version}, {}", std::env::consts::ARCH))
}

impl Record {
    fn get(&self, name: &str) -> Option<f64> {
        let (_, count) = self.counts.iter().find(|(known, _)| known == name)?;
        Some(*count)
    }

    fn write(&self) -> String {
        let mut text = format!("{HEAD}compiler = \"{}\"\n\n[instructions]\n", self.compiler);
        for (name, count) in &self.counts {
            let _ = writeln!(text, "{name} = {count:.0}");
        }
        text
    }

    /// Reads what [`write`](Self::write) wrote: lines of a name and a value.
    fn read(text: &str) -> io::Result<Record> {
        let mut record = Record {
            compiler: String::new(),
            counts: Vec::new(),
        };
        let is_content = |line: &&str| !line.is_empty() && !line.starts_with(['#', '[']);
        for line in text.lines().filter(is_content) {
            let wrong = || io::Error::other(format!("instructions.toml: {line}"));
            let (name, value) = line.split_once(" = ").ok_or_else(wrong)?;
            if name == "compiler" {
                value.trim_matches('"').clone_into(&mut record.compiler);
            } else {
                let count = value.parse().map_err(|_| wrong())?;
                record.counts.push((name.to_owned(), count));
            }
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(counts: &[(&str, f64)]) -> Record {
        Record {
            compiler: "rustc 1.95.0 (f2d3ce0bd 2026-03-21), x86_64".into(),
            counts: counts
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let record = record(&[("parse", 158.0), ("download-block", 4001.0)]);
        assert_eq!(Record::read(&record.write()).unwrap(), record);
        assert!(Record::read("parse 158").is_err());
        assert!(Record::read("parse = many").is_err());
    }

    #[test]
    fn five_percent_are_tolerated_and_no_more() {
        assert_eq!(judge(Some(1000.0), 1050.0), Verdict::Same);
        assert_eq!(judge(Some(1000.0), 1051.0), Verdict::Grown);
        assert_eq!(judge(Some(1000.0), 950.0), Verdict::Same);
        assert_eq!(judge(Some(1000.0), 949.0), Verdict::Shrunk);
        assert_eq!(judge(None, 1.0), Verdict::New);
    }

    #[test]
    fn growth_and_what_was_never_recorded_fail() {
        let before = record(&[("parse", 100.0), ("route", 100.0)]);
        assert!(report(&before, &record(&[("parse", 105.0), ("route", 20.0)])).is_ok());
        let error = report(&before, &record(&[("parse", 106.0), ("new", 1.0)])).unwrap_err();
        assert!(error.to_string().contains("parse, new"), "{error}");
    }

    #[test]
    fn every_case_is_recorded() {
        let record = Record::read(include_str!("../instructions.toml")).unwrap();
        let recorded: Vec<&str> = record.counts.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(recorded, Case::ALL.map(Case::name));
    }
}
