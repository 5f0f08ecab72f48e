//! What a run came to, in a table.

use std::cmp::Reverse;
use std::fmt::Write;

use coracle_conformance::report::{CaseReport, Group, Report};
use coracle_conformance::verdict::Outcome;

use crate::console::{Painter, Style, harmless_line};

/// The narrowest column of numbers.
const NARROWEST: usize = 5;

/// How the reason begins for which a case is skipped whose resource is missing.
const NOT_OFFERED: &str = "the server does not offer ";

/// A line for each group that waits for something, a table of the others, a sentence, and what is missing.
pub(super) fn text(report: &Report, painter: Painter) -> String {
    let groups = report.groups();
    let mut text = String::new();
    for group in &groups {
        push_waiting(&mut text, group);
    }
    push_table(&mut text, report, &groups, painter);
    push_sentence(&mut text, report, painter);
    push_missing(&mut text, report);
    text
}

fn push_waiting(text: &mut String, group: &Group<'_>) {
    let waiting = group.cases.iter().find(|case| case.outcome == Outcome::NotYet);
    if let Some(case) = waiting {
        let (name, count) = (group.name, group.count(Outcome::NotYet));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:<12}  {name} ({count}): {}",
            Outcome::NotYet.name(),
            case.reason
        );
    }
}

/// A row for each group that has something to judge, and one for all.
fn push_table(text: &mut String, report: &Report, groups: &[Group<'_>], painter: Painter) {
    let judged = |group: &&Group<'_>| group.count(Outcome::NotYet) < group.cases.len();
    let groups: Vec<&Group<'_>> = groups.iter().filter(judged).collect();
    let names = groups.iter().map(|group| group.name).chain(["all"]);
    let width = names.map(str::len).max().unwrap_or(0);
    let head: String = Outcome::ALL
        .iter()
        .map(|outcome| format!("  {:>NARROWEST$}", outcome.name()))
        .collect();
    let _ = writeln!(text, "\n{:width$}{}", "", painter.paint(Style::Dim, &head));
    for group in groups {
        let _ = writeln!(
            text,
            "{:width$}{}",
            group.name,
            numbers(|outcome| group.count(outcome), painter)
        );
    }
    let _ = writeln!(
        text,
        "{:width$}{}",
        "all",
        numbers(|outcome| report.count(outcome), painter)
    );
}

fn numbers(count: impl Fn(Outcome) -> usize, painter: Painter) -> String {
    let cell = |outcome: Outcome| {
        let (count, width) = (count(outcome), outcome.name().len().max(NARROWEST));
        let cell = format!("  {count:>width$}");
        match (count, outcome) {
            (0, _) => painter.paint(Style::Dim, &cell),
            (_, Outcome::Fail) => painter.paint(Style::Bad, &cell),
            _ => cell,
        }
    };
    Outcome::ALL.map(cell).concat()
}

fn push_sentence(text: &mut String, report: &Report, painter: Painter) {
    let (passed, failed) = (report.count(Outcome::Pass), report.count(Outcome::Fail));
    let (judged, seconds) = (passed + failed, report.took.as_secs_f64());
    let (style, result) = match (judged, failed) {
        (0, _) => (
            Style::Strong,
            format!("nothing could be judged{}", left_out(report)),
        ),
        (_, 0) => (Style::Good, "nothing failed".to_owned()),
        (_, failed) => (Style::Bad, format!("{failed} failed")),
    };
    let (result, unclear) = (painter.paint(style, &result), inconclusive(report));
    let _ = writeln!(text, "\n{judged} judged in {seconds:.1} s: {result}{unclear}");
}

/// How many cases were not begun, and why.
fn left_out(report: &Report) -> String {
    let counted = [Outcome::Skipped, Outcome::NotYet].map(|outcome| (report.count(outcome), outcome.name()));
    let told = counted.iter().filter(|(count, _)| *count > 0);
    told.map(|(count, name)| format!(", {count} {name}")).collect()
}

/// How many cases are inconclusive, and the commonest reason.
fn inconclusive(report: &Report) -> String {
    let cases = report
        .cases
        .iter()
        .filter(|case| case.outcome == Outcome::Inconclusive);
    let reasons = counted(cases.map(|case| case.reason.as_str()));
    let all: usize = reasons.iter().map(|(_, count)| count).sum();
    match reasons.first() {
        None => String::new(),
        Some((reason, count)) if *count == all => format!("; {all} inconclusive: {}", harmless_line(reason)),
        Some((reason, count)) => format!("; {all} inconclusive, {count} of them: {}", harmless_line(reason)),
    }
}

/// Each text once, with how often it is there, the commonest first.
fn counted<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<(&'a str, usize)> {
    let mut counted: Vec<(&str, usize)> = Vec::new();
    for text in texts {
        match counted.iter_mut().find(|(known, _)| *known == text) {
            Some((_, count)) => *count += 1,
            None => counted.push((text, 1)),
        }
    }
    counted.sort_by_key(|(_, count)| Reverse(*count));
    counted
}

/// The resource without which a case was skipped.
pub(super) fn missing(case: &CaseReport) -> Option<&str> {
    let skipped = case.outcome == Outcome::Skipped;
    case.reason.strip_prefix(NOT_OFFERED).filter(|_| skipped)
}

/// Which resources a server lacks, and what can be done about it.
fn push_missing(text: &mut String, report: &Report) {
    let missing = counted(report.cases.iter().filter_map(missing));
    let Some((commonest, _)) = missing.first() else {
        return;
    };
    let cases = |count| if count == 1 { "case" } else { "cases" };
    let told: Vec<String> = missing
        .iter()
        .map(|&(path, count)| format!("{path} ({count} {})", cases(count)))
        .collect();
    let _ = writeln!(
        text,
        "not offered: {}; --map {commonest}=/PATH lends a resource of the server, to which cases then write",
        told.join(", ")
    );
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::{Duration, SystemTime};

    use coracle_conformance::case::{Case, Judge, Role};
    use coracle_conformance::report::CaseReport;
    use coracle_conformance::transcript::{Fate, Form, Record};

    use super::*;

    fn case(id: &'static str, outcome: Outcome, reason: &str) -> CaseReport {
        CaseReport {
            case: Case::new(id, "RFC 7252", "It works", Judge::NotYet(Role::Server, "a test")),
            outcome,
            reason: reason.to_owned(),
            section: "RFC 7252 §5.8",
            offending: None,
            records: Vec::new(),
            took: Duration::from_millis(1),
            commands: Vec::new(),
            output: String::new(),
        }
    }

    /// One case of each outcome, and a second of those that are not there yet.
    pub(in crate::plugtest) fn report() -> Report {
        let mut failed = case("CORE-2", Outcome::Fail, "2.05 is not\x1b[2J 2.04");
        failed.records.push(Record {
            form: Form::Datagram,
            at: Duration::from_millis(1),
            time: SystemTime::UNIX_EPOCH,
            by_judge: false,
            from: "127.0.0.1:2".parse().unwrap(),
            to: "127.0.0.1:1".parse().unwrap(),
            bytes: b"\x70\x00\x00\x01".to_vec(),
            fate: Fate::Passed,
        });
        failed.offending = Some(0);
        failed.commands.push("client".to_owned());
        failed.output = "first\nsecond\n".to_owned();
        Report {
            role: Role::Server,
            subject: "coap://localhost".to_owned(),
            lossy: false,
            began: SystemTime::UNIX_EPOCH,
            took: Duration::from_millis(1234),
            cases: vec![
                case("CORE-1", Outcome::Pass, ""),
                failed,
                case("OBS-1", Outcome::Inconclusive, "no answer"),
                case("OBS-2", Outcome::Skipped, "no /obs"),
                case("DTLS-1", Outcome::NotYet, "waits for DTLS"),
                case("DTLS-2", Outcome::NotYet, "waits for DTLS"),
            ],
        }
    }

    #[test]
    fn groups_are_counted_and_what_is_not_there_yet_is_a_line() {
        let expected = "\
not yet       DTLS (2): waits for DTLS

       pass   fail  inconclusive  skipped  not yet
CORE      1      1             0        0        0
OBS       0      0             1        1        0
all       1      1             1        1        2

2 judged in 1.2 s: 1 failed; 1 inconclusive: no answer
";
        assert_eq!(text(&report(), Painter::PLAIN), expected);
    }

    #[test]
    fn the_sentence_says_how_it_went() {
        let of = |outcomes: &[Outcome]| {
            let mut report = report();
            report.cases.retain(|case| outcomes.contains(&case.outcome));
            let text = text(&report, Painter::PLAIN);
            text.lines().last().unwrap().to_owned()
        };
        assert_eq!(of(&[Outcome::Pass]), "1 judged in 1.2 s: nothing failed");
        assert_eq!(of(&[Outcome::Fail]), "1 judged in 1.2 s: 1 failed");
        assert_eq!(
            of(&[Outcome::Inconclusive]),
            "0 judged in 1.2 s: nothing could be judged; 1 inconclusive: no answer"
        );
        assert_eq!(
            of(&[Outcome::NotYet]),
            "0 judged in 1.2 s: nothing could be judged, 2 not yet"
        );
    }

    #[test]
    fn the_commonest_reason_stands_for_the_others() {
        let mut report = report();
        for reason in ["silent", "silent", "no answer"] {
            let last = case("OBS-3", Outcome::Inconclusive, reason);
            report.cases.push(last);
        }
        assert_eq!(inconclusive(&report), "; 4 inconclusive, 2 of them: no answer");
        report.cases.pop();
        assert_eq!(inconclusive(&report), "; 3 inconclusive, 2 of them: silent");
    }

    #[test]
    fn what_a_server_lacks_is_counted_and_the_way_out_told() {
        let mut report = report();
        report.cases.clear();
        for path in ["/large", "/obs", "/obs"] {
            let reason = format!("{NOT_OFFERED}{path}");
            report.cases.push(case("OBS-1", Outcome::Skipped, &reason));
        }
        let expected = "\n0 judged in 1.2 s: nothing could be judged, 3 skipped\n\
             not offered: /obs (2 cases), /large (1 case); --map /obs=/PATH lends a resource of the server, \
             to which cases then write\n";
        let text = text(&report, Painter::PLAIN);
        assert!(text.ends_with(expected), "{text}");
    }
}
