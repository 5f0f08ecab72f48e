//! Rules for Rust sources.

use super::Problem;
use super::source::{self, Line, words};

/// Lines of a file, tests included.
const FILE_LINES: usize = 600;

/// Where `unsafe` may stand: sockets, and the probe, which brings an allocator.
const MAY_BE_UNSAFE: [&str; 2] = ["crates/net/", "xtask/no-std-probe/"];

/// Crates to which time is a parameter: floors 0 to 2 and the services.
const WITHOUT_CLOCK: [&str; 11] = [
    "wire", "formats", "oscore", "dtls", "engine", "router", "proxy", "rd", "pubsub", "lwm2m", "ace",
];

/// Holds one file against all rules.
pub(super) fn check(path: &str, text: &str) -> Vec<Problem> {
    let lines = source::lines(path, text);
    let mut problems = Vec::new();
    check_length(path, text, &mut problems);
    check_module_doc(path, text, &mut problems);
    for (index, line) in lines.iter().enumerate() {
        let found = [
            check_unsafe(path, &lines, index),
            check_forbidden(line),
            check_sleep(line),
            check_clock(path, line),
        ];
        let found = found.into_iter().flatten();
        problems.extend(found.map(|(what, rule)| Problem::new(path, index + 1, what, rule)));
    }
    problems
}

/// What is wrong, and the rule that it breaks.
type Finding = Option<(&'static str, &'static str)>;

fn check_length(path: &str, text: &str, problems: &mut Vec<Problem>) {
    let limited = path.starts_with("xtask/") || path.starts_with("crates/") && path.contains("/src/");
    let count = text.lines().count();
    if limited && count > FILE_LINES {
        let what = format!("has {count} lines, more than {FILE_LINES}");
        problems.push(Problem::new(path, FILE_LINES + 1, what, "files"));
    }
}

fn check_module_doc(path: &str, text: &str, problems: &mut Vec<Problem>) {
    let library = path.starts_with("crates/") && path.ends_with("/src/lib.rs");
    let documented = |line: &str| line.starts_with("//! ") || line.starts_with("#![doc = include_str!");
    if library && !text.lines().any(documented) {
        problems.push(Problem::new(path, 1, "the crate has no module doc", "docs"));
    }
}

fn check_unsafe(path: &str, lines: &[Line], index: usize) -> Finding {
    let line = lines.get(index)?;
    // `r#unsafe` is a name like any other.
    let code = line.code.replace("r#unsafe", "name");
    let (_, after) = words(&code, "unsafe").next()?;
    let allowed = MAY_BE_UNSAFE.iter().any(|place| path.starts_with(place));
    if !allowed {
        let excused = line.test && line.excused;
        return (!excused).then_some(("`unsafe` outside of crates/net", "unsafe"));
    }
    let after = after.trim_start();
    let block = after.is_empty() || after.starts_with('{') || after.starts_with("impl");
    (block && !is_justified(lines, index)).then_some(("`unsafe` without a `// SAFETY:` comment", "unsafe"))
}

/// Whether the statement that holds the line has a `SAFETY:` comment on or above it.
fn is_justified(lines: &[Line], index: usize) -> bool {
    let says_why = |line: &Line| line.comment.contains("// SAFETY:");
    let above = lines.get(..index).unwrap_or_default().iter().rev();
    let statement_ends = |line: &Line| line.code.trim_end().ends_with([';', '{', '}']);
    let within = |line: &&Line| line.is_comment() || !line.code.trim().is_empty() && !statement_ends(line);
    lines.get(index).is_some_and(says_why) || above.take_while(within).any(says_why)
}

fn check_forbidden(line: &Line) -> Finding {
    let code = line.code.as_str();
    if code.contains("#[ignore") {
        return Some(("a test is ignored", "ignore"));
    }
    if words(code, "todo").any(|(_, after)| after.starts_with('!')) {
        return Some(("`todo!` is left", "todo"));
    }
    if words(code, "too_many_lines").next().is_some() {
        return Some(("the limit of a function's length is lifted", "functions"));
    }
    None
}

fn check_sleep(line: &Line) -> Finding {
    if !line.test || line.excused {
        return None;
    }
    let mut around = words(&line.code, "sleep").chain(words(&line.code, "sleep_until"));
    let sleeps = around.any(|(before, after)| {
        let by_path = before.ends_with("thread::") || before.ends_with("time::");
        let called = after.starts_with('(') && !before.ends_with('.') && !before.ends_with("fn ");
        by_path || called
    });
    sleeps.then_some(("a test sleeps without a `// tidy:` reason", "sleep"))
}

fn check_clock(path: &str, line: &Line) -> Finding {
    let crate_name = path.strip_prefix("crates/")?.split('/').next()?;
    if !WITHOUT_CLOCK.contains(&crate_name) {
        return None;
    }
    let asks = ["Instant", "SystemTime"].iter().any(|clock| {
        let mut around = words(&line.code, clock);
        around.any(|(_, after)| after.starts_with("::now"))
    });
    let excused = line.test && line.excused;
    (asks && !excused).then_some(("asks the clock; time is a parameter here", "clock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The problems of a text, as `line rule`.
    fn broken(path: &str, text: &str) -> Vec<String> {
        check(path, text)
            .iter()
            .map(|problem| format!("{} {}", problem.line, problem.rule))
            .collect()
    }

    const NOTHING: [&str; 0] = [];
    const ENGINE: &str = "crates/engine/src/a.rs";
    const NET: &str = "crates/net/src/a.rs";
    const TEST: &str = "crates/engine/tests/a.rs";

    #[test]
    fn a_file_of_more_than_600_lines_is_too_long() {
        assert_eq!(broken(ENGINE, &"a\n".repeat(600)), NOTHING);
        let problems = check(ENGINE, &"a\n".repeat(601));
        assert_eq!(
            problems[0].to_string(),
            "crates/engine/src/a.rs:601: has 601 lines, more than 600 (files)"
        );
        assert_eq!(broken(TEST, &"a\n".repeat(601)), NOTHING);
        assert_eq!(broken("xtask/src/a.rs", &"a\n".repeat(601)), ["601 files"]);
    }

    #[test]
    fn a_library_needs_a_module_doc() {
        assert_eq!(
            broken("crates/a/src/lib.rs", "#![no_std]\n// not a doc\n"),
            ["1 docs"]
        );
        assert_eq!(broken("crates/a/src/lib.rs", "#![no_std]\n//! A doc.\n"), NOTHING);
        assert_eq!(
            broken("crates/a/src/lib.rs", "#![doc = include_str!(\"../a.md\")]\n"),
            NOTHING
        );
        assert_eq!(broken("crates/a/src/other.rs", ""), NOTHING);
    }

    #[test]
    fn unsafe_stands_only_in_net() {
        assert_eq!(broken(ENGINE, "fn f() { unsafe { g() } }"), ["1 unsafe"]);
        assert!(broken(ENGINE, "let a = option.r#unsafe;").is_empty());
        assert_eq!(
            broken(ENGINE, "// unsafe\n#![forbid(unsafe_code)]\nlet a = \"unsafe\";"),
            NOTHING
        );
        assert_eq!(broken(TEST, "unsafe { g() }"), ["1 unsafe"]);
        assert_eq!(
            broken(TEST, "// tidy: g has no safe form\nunsafe { g() }"),
            NOTHING
        );
        assert_eq!(broken(TEST, "// tidy:\nunsafe { g() }"), ["2 unsafe"]);
        assert_eq!(
            broken(ENGINE, "// tidy: a reason is for tests only\nunsafe { g() }"),
            ["2 unsafe"]
        );
    }

    #[test]
    fn unsafe_in_net_says_why_it_is_sound() {
        assert_eq!(broken(NET, "let a = 1;\nunsafe { g() }"), ["2 unsafe"]);
        assert_eq!(
            broken(NET, "// SAFETY: for another one\nf();\nunsafe { g() }"),
            ["3 unsafe"]
        );
        assert_eq!(broken(NET, "// SAFETY: so\n\nunsafe { g() }"), ["3 unsafe"]);
        assert_eq!(
            broken(NET, "// SAFETY: because\n// of this\nunsafe { g() }"),
            NOTHING
        );
        assert_eq!(
            broken(NET, "// SAFETY: because\nlet a =\n    unsafe { g() };"),
            NOTHING
        );
        assert_eq!(broken(NET, "unsafe { g() } // SAFETY: because"), NOTHING);
        assert_eq!(broken(NET, "unsafe impl Send for A {}"), ["1 unsafe"]);
        assert_eq!(broken(NET, "unsafe fn f() {}"), NOTHING);
    }

    #[test]
    fn nothing_is_left_undone() {
        assert_eq!(
            broken(TEST, "#[test]\n#[ignore = \"slow\"]\nfn f() {}"),
            ["2 ignore"]
        );
        assert_eq!(broken(ENGINE, "fn f() {\n    todo!()\n}"), ["2 todo"]);
        assert_eq!(broken(ENGINE, "let todo = 1; // todo!"), NOTHING);
        assert_eq!(
            broken(ENGINE, "#[allow(clippy::too_many_lines)]"),
            ["1 functions"]
        );
    }

    #[test]
    fn tests_do_not_sleep_without_a_reason() {
        assert_eq!(
            broken(TEST, "std::thread::sleep(x);\ntokio::time::sleep(x).await;"),
            ["1 sleep", "2 sleep"]
        );
        assert_eq!(
            broken(TEST, "use tokio::time::{Duration, sleep};\nsleep(x).await;"),
            ["2 sleep"]
        );
        assert_eq!(broken(TEST, "network.sleep(x);\nfn sleep() {}"), NOTHING);
        assert_eq!(
            broken(TEST, "// tidy: the peer has no other sign\nthread::sleep(x);"),
            NOTHING
        );
        assert_eq!(
            broken(ENGINE, "#[cfg(test)]\nmod tests {\nthread::sleep(x);\n}"),
            ["3 sleep"]
        );
        assert_eq!(
            broken("crates/net/src/b.rs", "tokio::time::sleep(x).await;"),
            NOTHING
        );
    }

    #[test]
    fn lower_floors_and_services_do_not_ask_the_clock() {
        assert_eq!(broken(ENGINE, "let a = Instant::now();"), ["1 clock"]);
        assert_eq!(
            broken("crates/rd/src/a.rs", "std::time::SystemTime::now()"),
            ["1 clock"]
        );
        assert_eq!(broken(NET, "let a = Instant::now();"), NOTHING);
        assert_eq!(broken(ENGINE, "let a = Instant::from_micros(1);"), NOTHING);
        assert_eq!(
            broken(TEST, "let a = Instant::now(); // tidy: a bound on real time"),
            NOTHING
        );
    }
}
