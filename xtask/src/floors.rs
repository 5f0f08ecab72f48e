//! `cargo xtask floors`: arrows between our crates go down only.
//!
//! The table is the architecture. Who needs another arrow changes the table and says why in the same commit.

use crate::Outcome;
use crate::workspace::{Package, Workspace};

/// A crate, without the prefix `coracle-`, and the crates of ours that it may use.
struct Row {
    name: &'static str,
    uses: &'static [&'static str],
}

const fn row(name: &'static str, uses: &'static [&'static str]) -> Row {
    Row { name, uses }
}

/// What a service may use: it never knows tokio or sockets.
const BELOW_SERVICES: &[&str] = &["wire", "formats", "oscore", "router", "store"];

/// Each row may use only rows above it.
const TABLE: &[Row] = &[
    // Floor 0: values.
    row("wire", &[]),
    row("formats", &["wire"]),
    // Floor 1: machines.
    row("oscore", &["wire"]),
    row("dtls", &[]),
    row("engine", &["wire", "oscore"]),
    // Floor 2: handlers.
    row("router", &["wire", "formats", "engine"]),
    // Floor 3: sides that do not know each other.
    row("net", &["wire", "engine", "dtls"]),
    row(
        "runtime",
        &["wire", "formats", "oscore", "dtls", "engine", "router", "net"],
    ),
    row("store", &[]),
    row("proxy", BELOW_SERVICES),
    row("rd", BELOW_SERVICES),
    row("pubsub", BELOW_SERVICES),
    row("lwm2m", BELOW_SERVICES),
    row("ace", BELOW_SERVICES),
    // Floor 4: the front door.
    row(
        "coracle",
        &[
            "wire", "formats", "oscore", "dtls", "engine", "router", "net", "runtime", "store", "proxy",
            "rd", "pubsub", "lwm2m", "ace",
        ],
    ),
    // Beside: they judge. Only the program that carries the judge in the box uses it.
    row("sim", &["wire", "engine"]),
    row("conformance", &["wire", "dtls", "sim", "coracle"]),
    row("load", &["wire", "engine", "net"]),
    // Floor 5: programs.
    row("console", &["coracle", "proxy", "rd", "pubsub", "lwm2m", "ace"]),
    row(
        "cli",
        &[
            "coracle",
            "proxy",
            "rd",
            "pubsub",
            "lwm2m",
            "ace",
            "conformance",
            "load",
        ],
    ),
    row("bench", EVERYTHING_BELOW),
    row("fuzz", EVERYTHING_BELOW),
    row("xtask", &[]),
];

/// What may measure or attack any layer uses any of them.
const EVERYTHING_BELOW: &[&str] = &[
    "wire", "formats", "oscore", "dtls", "engine", "router", "net", "runtime", "store", "proxy", "rd",
    "pubsub", "lwm2m", "ace", "coracle", "sim", "load",
];

/// What the tests of every crate may use besides its row.
const FOR_TESTS: &[&str] = &["sim"];

/// Holds the workspace against the table.
pub(crate) fn run() -> Outcome {
    let workspace = Workspace::load().map_err(|error| vec![error])?;
    let problems = check(TABLE, &workspace);
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(format!(
        "floors: {} crates, every arrow goes down",
        workspace.packages.len()
    ))
}

fn check(table: &[Row], workspace: &Workspace) -> Vec<String> {
    workspace
        .packages
        .iter()
        .flat_map(|package| check_package(table, workspace, package))
        .collect()
}

fn check_package(table: &[Row], workspace: &Workspace, package: &Package) -> Vec<String> {
    let manifest = workspace.relative(&package.manifest);
    let Some(row) = find(table, short(&package.name)) else {
        return vec![format!(
            "{manifest}: unknown crate {}: add it to the table (floors)",
            package.name
        )];
    };
    let ours = package
        .dependencies
        .iter()
        .filter(|dependency| is_ours(workspace, &dependency.name));
    let mut problems = Vec::new();
    for dependency in ours {
        let used = short(&dependency.name);
        let for_tests = dependency.dev && (FOR_TESTS.contains(&used) || used == row.name);
        if find(table, used).is_none() {
            problems.push(format!(
                "{manifest}: unknown crate {}: add it to the table (floors)",
                dependency.name
            ));
        } else if !row.uses.contains(&used) && !for_tests {
            let kind = if dependency.dev { "in tests " } else { "" };
            problems.push(format!(
                "{manifest}: the arrow {} -> {used} {kind}runs up: {} (floors)",
                row.name,
                rule(row)
            ));
        }
    }
    problems
}

fn find<'t>(table: &'t [Row], name: &str) -> Option<&'t Row> {
    table.iter().find(|row| row.name == name)
}

/// The name of a crate in the table: that of its folder.
fn short(name: &str) -> &str {
    name.strip_prefix("coracle-").unwrap_or(name)
}

fn is_ours(workspace: &Workspace, name: &str) -> bool {
    let prefixed = name == "coracle" || name.starts_with("coracle-");
    prefixed || workspace.packages.iter().any(|package| package.name == name)
}

fn rule(row: &Row) -> String {
    if row.uses.is_empty() {
        format!("{} uses none of our crates", row.name)
    } else {
        format!("{} uses only {}", row.name, row.uses.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace of crates that each use the crates after the colon; `dev` before a name makes it a test's.
    fn workspace(crates: &[(&str, &[&str])]) -> Workspace {
        let packages: Vec<String> = crates
            .iter()
            .map(|(name, uses)| package_json(name, uses))
            .collect();
        let json = format!(
            r#"{{"workspace_root":"/w","target_directory":"/w/target","packages":[{}]}}"#,
            packages.join(",")
        );
        Workspace::parse(json.as_bytes()).unwrap()
    }

    fn package_json(name: &str, uses: &[&str]) -> String {
        let dependency = |used: &&str| match used.split_once(' ') {
            Some((kind, name)) => format!(r#"{{"name":"{name}","kind":"{kind}"}}"#),
            None => format!(r#"{{"name":"{used}","kind":null}}"#),
        };
        let dependencies: Vec<String> = uses.iter().map(dependency).collect();
        format!(
            r#"{{"name":"{name}","manifest_path":"/w/{name}/Cargo.toml","dependencies":[{}]}}"#,
            dependencies.join(",")
        )
    }

    #[test]
    fn each_row_of_the_table_uses_only_rows_above_it() {
        for (index, row) in TABLE.iter().enumerate() {
            for used in row.uses {
                assert!(find(&TABLE[..index], used).is_some(), "{} -> {used}", row.name);
            }
        }
    }

    #[test]
    fn arrows_down_and_foreign_crates_pass() {
        let good = workspace(&[
            ("coracle-wire", &["hashbrown"]),
            (
                "coracle-engine",
                &[
                    "coracle-wire",
                    "dev coracle-sim",
                    "dev coracle-engine",
                    "build cc",
                ],
            ),
            ("coracle-sim", &["coracle-wire", "coracle-engine"]),
        ]);
        assert_eq!(check(TABLE, &good), Vec::<String>::new());
    }

    #[test]
    fn an_arrow_that_runs_up_is_named_with_its_rule() {
        let bad = workspace(&[
            ("coracle-wire", &["coracle-engine"]),
            ("coracle-engine", &["build coracle-net"]),
        ]);
        assert_eq!(
            check(TABLE, &bad),
            [
                "coracle-wire/Cargo.toml: the arrow wire -> engine runs up: wire uses none of our crates (floors)",
                "coracle-engine/Cargo.toml: the arrow engine -> net runs up: engine uses only wire, oscore (floors)",
            ]
        );
    }

    #[test]
    fn only_tests_may_use_the_simulator() {
        let bad = workspace(&[("coracle-router", &["coracle-sim", "dev coracle-net"])]);
        let problems = check(TABLE, &bad);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("router -> sim runs up"), "{problems:?}");
        assert!(
            problems[1].contains("router -> net in tests runs up"),
            "{problems:?}"
        );
    }

    #[test]
    fn a_crate_that_the_table_lacks_is_refused_on_either_end() {
        let bad = workspace(&[
            ("newcomer", &[]),
            ("coracle-cli", &["newcomer", "coracle-mystery"]),
        ]);
        let problems = check(TABLE, &bad);
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(
            problems
                .iter()
                .all(|problem| problem.contains("add it to the table")),
            "{problems:?}"
        );
    }

    #[test]
    fn a_table_without_the_arrow_refuses_it() {
        let table = [row("wire", &[]), row("formats", &[])];
        let used = workspace(&[("coracle-formats", &["coracle-wire"])]);
        assert_eq!(check(&table, &used).len(), 1);
    }
}
