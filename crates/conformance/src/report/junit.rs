//! JUnit XML, as build servers read it: a suite for each group, a test for each case.
//!
//! A failure is a `failure`, what is inconclusive an `error`, what is skipped or not there yet is `skipped`. Their text
//! has the objective, the references and the ladder.

use std::io::{self, Write};

use super::text::{self, markup};
use super::{CaseReport, Group, Report, ladder};
use crate::case::Role;
use crate::timestamp;
use crate::verdict::Outcome;

/// The width of ladders.
const WIDTH: usize = 160;

/// Writes a run as an XML document.
///
/// # Errors
/// Those of the writer.
pub fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let name = format!("coracle plugtest: {}", text::line(&report.subject));
    let counts = Counts::of(report.cases.iter());
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(
        out,
        "<testsuites name=\"{}\" {}>",
        markup(&name),
        counts.attributes()
    )?;
    for group in report.groups() {
        write_suite(report, &group, out)?;
    }
    writeln!(out, "</testsuites>")
}

fn write_suite(report: &Report, group: &Group<'_>, out: &mut impl Write) -> io::Result<()> {
    let counts = Counts::of(group.cases.iter().copied());
    writeln!(
        out,
        "  <testsuite name=\"{}\" {} timestamp=\"{}\">",
        markup(group.name),
        counts.attributes(),
        timestamp::to_the_second(report.began),
    )?;
    writeln!(out, "    <properties>")?;
    for (name, value) in [
        ("subject", text::line(&report.subject)),
        ("role", role(report.role).to_owned()),
        ("lossy", report.lossy.to_string()),
        ("version", super::VERSION.to_owned()),
    ] {
        writeln!(
            out,
            "      <property name=\"{name}\" value=\"{}\"/>",
            markup(&value)
        )?;
    }
    writeln!(out, "    </properties>")?;
    for case in &group.cases {
        write_case(report.role, case, out)?;
    }
    writeln!(out, "  </testsuite>")
}

const fn role(role: Role) -> &'static str {
    match role {
        Role::Server => "server",
        Role::Client => "client",
    }
}

fn write_case(judged: Role, case: &CaseReport, out: &mut impl Write) -> io::Result<()> {
    let seconds = case.took.as_secs_f64();
    let class = format!("coap.{}.{}", role(judged), case.case.group());
    write!(
        out,
        "    <testcase name=\"{}\" classname=\"{}\" time=\"{seconds:.3}\"",
        markup(case.case.id),
        markup(&class)
    )?;
    let reason = markup(&text::line(&case.reason));
    let element = match case.outcome {
        Outcome::Pass => return writeln!(out, "/>"),
        Outcome::Skipped => return writeln!(out, "><skipped message=\"{reason}\"/></testcase>"),
        Outcome::NotYet => return writeln!(out, "><skipped message=\"not yet: {reason}\"/></testcase>"),
        Outcome::Fail => "failure",
        Outcome::Inconclusive => "error",
    };
    let kind = case.broken().unwrap_or(case.outcome.name());
    write!(
        out,
        ">\n      <{element} message=\"{reason}\" type=\"{}\">",
        markup(kind)
    )?;
    write!(out, "{}", markup(&details(case)?))?;
    writeln!(out, "</{element}>")?;
    if !case.output.is_empty() {
        writeln!(
            out,
            "      <system-out>{}</system-out>",
            markup(&text::lines(&case.output))
        )?;
    }
    writeln!(out, "    </testcase>")
}

/// What one needs to know to understand a failure.
fn details(case: &CaseReport) -> io::Result<String> {
    let mut details = Vec::new();
    writeln!(details, "{}\n{}", case.case.objective, case.case.references)?;
    for command in &case.commands {
        writeln!(details, "$ {}", text::command(command))?;
    }
    ladder::write(case, WIDTH, &mut details)?;
    Ok(String::from_utf8_lossy(&details).into_owned())
}

/// The numbers of a suite.
#[derive(Default)]
struct Counts {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
    seconds: f64,
}

impl Counts {
    fn of<'a>(cases: impl Iterator<Item = &'a CaseReport>) -> Counts {
        cases.fold(Counts::default(), |mut counts, case| {
            counts.tests += 1;
            counts.seconds += case.took.as_secs_f64();
            match case.outcome {
                Outcome::Pass => {}
                Outcome::Fail => counts.failures += 1,
                Outcome::Inconclusive => counts.errors += 1,
                Outcome::Skipped | Outcome::NotYet => counts.skipped += 1,
            }
            counts
        })
    }

    fn attributes(&self) -> String {
        let Counts {
            tests,
            failures,
            errors,
            skipped,
            seconds,
        } = self;
        format!(
            "tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{seconds:.3}\""
        )
    }
}
