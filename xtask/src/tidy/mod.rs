//! `cargo xtask tidy`: rules of this code that neither the compiler nor clippy knows.
//!
//! A rule that has exceptions takes a comment `// tidy: <reason>` above or in the statement or item that it excuses.

mod documents;
mod manifests;
mod rules;
mod source;

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::workspace::Workspace;

/// A broken rule, and where.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    path: String,
    /// Counted from 1.
    line: usize,
    what: String,
    rule: &'static str,
}

impl Problem {
    fn new(path: &str, line: usize, what: impl Into<String>, rule: &'static str) -> Self {
        Problem {
            path: path.into(),
            line,
            what: what.into(),
            rule,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {} ({})", self.path, self.line, self.what, self.rule)
    }
}

/// Holds every file that git knows, or would take, against the rules.
pub(crate) fn run() -> Outcome {
    let workspace = Workspace::load().map_err(|error| vec![error])?;
    let root = &workspace.root;
    let paths = files(root).map_err(|error| vec![error])?;
    let mut problems = Vec::new();
    for path in &paths {
        match fs::read(root.join(path)) {
            Ok(bytes) => problems.extend(check_file(root, path, &bytes)),
            Err(error) => problems.push(Problem::new(path, 1, error.to_string(), "readable")),
        }
    }
    if !paths.iter().any(|path| path == documents::ARCHITECTURE) {
        problems.push(Problem::new(
            documents::ARCHITECTURE,
            1,
            "is missing",
            "architecture",
        ));
    }
    if problems.is_empty() {
        return Ok(format!("tidy: {} files hold the rules", paths.len()));
    }
    Err(problems.iter().map(Problem::to_string).collect())
}

/// All that can be said of one file. `path` is counted from `root`.
fn check_file(root: &Path, path: &str, bytes: &[u8]) -> Vec<Problem> {
    if !documents::is_text(path) {
        return Vec::new();
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return vec![Problem::new(path, 1, "is not UTF-8", "text")];
    };
    let mut problems = documents::check_text(path, text);
    if path.ends_with(".rs") {
        problems.extend(rules::check(path, text));
    } else if path.ends_with("Cargo.toml") || path == manifests::CLIPPY {
        problems.extend(manifests::check(path, text));
    } else if documents::NAMES_PATHS.contains(&path) {
        problems.extend(documents::check_paths(path, text, |named| {
            root.join(named).exists()
        }));
    }
    problems
}

/// The files of the tree: what is committed and what is about to be.
fn files(root: &Path) -> Result<Vec<String>, String> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("git ls-files: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    let named = list.split('\0').filter(|path| !path.is_empty());
    Ok(named
        .filter(|path| root.join(path).is_file())
        .map(str::to_owned)
        .collect())
}
