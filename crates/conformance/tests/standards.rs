//! The tables of requirements in `docs/standards` and the cases name each other.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use coracle_conformance::catalogue;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The tables by the names of their files, `rfc7252`.
fn tables() -> BTreeMap<String, String> {
    let folder = std::fs::read_dir(root().join("docs/standards")).expect("docs/standards is there");
    folder
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// The words of a table that look like names of cases or paths.
fn words(table: &str) -> impl Iterator<Item = &str> {
    let part_of_a_name = |c: char| c.is_ascii_alphanumeric() || "-_./*".contains(c);
    table
        .split(move |c| !part_of_a_name(c))
        .map(|word| word.trim_end_matches('.'))
}

fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| section"));
    rows.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
}

#[test]
fn cases_that_tables_name_are_there() {
    let ids: BTreeSet<&str> = catalogue::all().iter().map(|case| case.id).collect();
    for (name, table) in tables() {
        for word in words(&table) {
            let ours = word
                .strip_prefix("RFC")
                .is_some_and(|rest| rest.get(4..5) == Some("-"));
            let is_name = ours || word.starts_with("TD_COAP_");
            assert!(
                !is_name || ids.contains(word),
                "{name}.md names {word}, which is no case"
            );
        }
    }
}

#[test]
fn paths_that_tables_name_are_there() {
    for (name, table) in tables() {
        for word in words(&table).filter(|word| word.starts_with("crates/")) {
            assert!(
                root().join(word).exists(),
                "{name}.md names {word}, which is not there"
            );
        }
    }
}

#[test]
fn every_case_of_ours_stands_in_the_table_of_its_rfc() {
    let tables = tables();
    for case in catalogue::all().iter().filter(|case| case.id.starts_with("RFC")) {
        let table = tables
            .get(&case.group().to_lowercase())
            .expect("a table for each RFC");
        assert!(
            words(table).any(|word| word == case.id),
            "{} is in no table",
            case.id
        );
    }
}

#[test]
fn no_requirement_is_left_blank() {
    for (name, table) in tables() {
        let mut count = 0;
        for row in rows(&table).filter(|row| row.first().is_some_and(|cell| cell.starts_with('§'))) {
            count += 1;
            let last = row.last().copied().unwrap_or_default();
            assert!(row.len() == 4 && !last.is_empty(), "{name}.md: {row:?}");
            assert!(!last.contains("to be written"), "{name}.md: {row:?}");
        }
        assert!(count > 0, "{name}.md has no requirement");
    }
}
