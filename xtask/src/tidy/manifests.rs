//! Rules for manifests: every crate takes the lints of the workspace, and those limit the length of functions.

use super::Problem;

/// Where clippy keeps the longest function that it allows.
pub(super) const CLIPPY: &str = "clippy.toml";

/// Lines of a function, as clippy counts them: without blank lines and comments.
const FUNCTION_LINES: usize = 70;

/// Checks a `Cargo.toml` or `clippy.toml`.
pub(super) fn check(path: &str, text: &str) -> Vec<Problem> {
    if path == CLIPPY {
        return check_threshold(path, text);
    }
    if path == "Cargo.toml" {
        return check_root(path, text);
    }
    if is_member(path) && value(text, "lints", "workspace") != Some("true") {
        return vec![Problem::new(path, 1, "lacks `[lints] workspace = true`", "lints")];
    }
    Vec::new()
}

/// The probe and the fuzz targets stand outside the workspace and have no lints to take.
fn is_member(path: &str) -> bool {
    path.starts_with("crates/") && path.split('/').count() == 3 || path == "xtask/Cargo.toml"
}

fn check_root(path: &str, text: &str) -> Vec<Problem> {
    match value(text, "workspace.lints.clippy", "too_many_lines") {
        Some("\"warn\"" | "\"deny\"" | "\"forbid\"") => Vec::new(),
        _ => {
            let what = "[workspace.lints.clippy] does not turn too_many_lines on";
            vec![Problem::new(path, 1, what, "functions")]
        }
    }
}

fn check_threshold(path: &str, text: &str) -> Vec<Problem> {
    let lines = value(text, "", "too-many-lines-threshold").and_then(|lines| lines.parse::<usize>().ok());
    if lines.is_some_and(|lines| lines <= FUNCTION_LINES) {
        return Vec::new();
    }
    let what = format!("too-many-lines-threshold is not set, or above {FUNCTION_LINES}");
    vec![Problem::new(path, 1, what, "functions")]
}

/// The value of `key` in `[section]`, or before the first section if `section` is empty. Enough for flat tables.
fn value<'t>(text: &'t str, section: &str, key: &str) -> Option<&'t str> {
    let mut current = "";
    for line in text.lines() {
        let line = line.split(" #").next().unwrap_or(line).trim();
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            current = header.trim();
        } else if current == section {
            let pair = line
                .split_once('=')
                .map(|(known, value)| (known.trim(), value.trim()));
            if let Some((known, value)) = pair
                && known == key
            {
                return Some(value);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(path: &str, text: &str) -> Vec<String> {
        check(path, text).iter().map(Problem::to_string).collect()
    }

    #[test]
    fn a_crate_without_the_lints_is_named() {
        let with = "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n";
        let without = "[package]\nworkspace = true\n\n[lints]\n";
        let expected = "crates/a/Cargo.toml:1: lacks `[lints] workspace = true` (lints)";
        assert_eq!(said("crates/a/Cargo.toml", with), Vec::<String>::new());
        assert_eq!(said("crates/a/Cargo.toml", without), [expected]);
        assert_eq!(said("xtask/Cargo.toml", without).len(), 1);
        assert_eq!(
            said("xtask/no-std-probe/Cargo.toml", without),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_workspace_without_the_limit_of_functions_is_named() {
        assert_eq!(
            said(
                "Cargo.toml",
                "[workspace.lints.clippy]\ntoo_many_lines = \"warn\"\n"
            )
            .len(),
            0
        );
        for bad in [
            "",
            "[workspace.lints.clippy]\ntoo_many_lines = \"allow\"\n",
            "too_many_lines = \"warn\"\n",
        ] {
            assert_eq!(said("Cargo.toml", bad).len(), 1, "{bad:?}");
        }
    }

    #[test]
    fn a_limit_that_is_too_high_is_named() {
        assert_eq!(
            said(CLIPPY, "too-many-lines-threshold = 70 # a screen\n").len(),
            0
        );
        for bad in [
            "",
            "too-many-lines-threshold = 100\n",
            "too-many-lines-threshold = many\n",
        ] {
            assert_eq!(said(CLIPPY, bad).len(), 1, "{bad:?}");
        }
    }
}
