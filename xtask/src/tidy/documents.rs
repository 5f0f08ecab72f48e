//! Rules for every text file, and for the documents that name paths.

use super::Problem;

/// The map of the code.
pub(super) const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// Documents whose paths have to exist.
pub(super) const NAMES_PATHS: [&str; 3] = [ARCHITECTURE, "README.md", "docs/standards.md"];

const TEXT: [&str; 14] = [
    ".rs", ".toml", ".md", ".yml", ".yaml", ".sh", ".py", ".html", ".css", ".js", ".ts", ".json", ".txt",
    ".lock",
];

/// Whether the file is text of ours. Data of tests may be as odd as it likes.
pub(super) fn is_text(path: &str) -> bool {
    let data =
        path.contains("/tests/data/") || path.contains("/corpus/") || path.ends_with(".proptest-regressions");
    let known = TEXT.iter().any(|extension| path.ends_with(extension));
    known && !data || path.starts_with("LICENSE-")
}

/// LF endings and no blanks at the end of a line.
pub(super) fn check_text(path: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        let number = index + 1;
        if let Some(before) = line.strip_suffix('\r') {
            problems.push(Problem::new(path, number, "ends with CR LF", "endings"));
            if before.ends_with([' ', '\t']) {
                problems.push(Problem::new(path, number, "trailing whitespace", "whitespace"));
            }
        } else if line.ends_with([' ', '\t']) {
            problems.push(Problem::new(path, number, "trailing whitespace", "whitespace"));
        }
    }
    problems
}

/// Every path below `crates/` or `docs/` that stands in backticks is there. Patterns with `*`, `{` or `<` are none.
pub(super) fn check_paths(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for quoted in line.split('`').skip(1).step_by(2) {
            let named = quoted.split('#').next().unwrap_or(quoted);
            let ours = named.starts_with("crates/") || named.starts_with("docs/");
            let pattern = named.contains(['*', '{', '<', ' ']);
            if ours && !pattern && !exists(named) {
                problems.push(Problem::new(
                    path,
                    index + 1,
                    format!("{named} does not exist"),
                    "architecture",
                ));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_returns_at_the_end_of_a_line_are_named() {
        let problems = check_text("docs/a.md", "fine\nblank \ntab\t\nreturn\r\nboth \r\n");
        let said: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(
            said,
            [
                "docs/a.md:2: trailing whitespace (whitespace)",
                "docs/a.md:3: trailing whitespace (whitespace)",
                "docs/a.md:4: ends with CR LF (endings)",
                "docs/a.md:5: ends with CR LF (endings)",
                "docs/a.md:5: trailing whitespace (whitespace)",
            ]
        );
    }

    #[test]
    fn only_text_of_ours_is_looked_at() {
        assert!(is_text("crates/wire/src/lib.rs"));
        assert!(is_text("LICENSE-MIT"));
        assert!(!is_text("crates/wire/tests/data/odd.txt"));
        assert!(!is_text("docs/picture.png"));
    }

    #[test]
    fn paths_that_are_gone_are_named() {
        let text = "See `crates/gone/src/lib.rs` and `crates/here/`.\n`crates/*/src`, `gone/x`, `docs/lost.md#part`\n";
        let problems = check_paths(ARCHITECTURE, text, |path| path == "crates/here/");
        let said: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(
            said,
            [
                "ARCHITECTURE.md:1: crates/gone/src/lib.rs does not exist (architecture)",
                "ARCHITECTURE.md:2: docs/lost.md does not exist (architecture)",
            ]
        );
    }
}
