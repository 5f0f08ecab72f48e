//! One page for people: a matrix, what went wrong with its ladders, and every case.
//!
//! The page needs nothing but itself, no script either, and says with signs all that it says with colours.

mod ladder;

use std::io::{self, Write};
use std::time::Duration;

use super::text::{self, markup};
use super::{CaseReport, Group, Report};
use crate::case::Role;
use crate::timestamp;
use crate::verdict::Outcome;

const STYLE: &str = include_str!("style.css");

/// Writes a run as an HTML document.
///
/// # Errors
/// Those of the writer.
pub fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let subject = shown(&report.subject);
    writeln!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">"
    )?;
    writeln!(
        out,
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
    )?;
    writeln!(
        out,
        "<title>CoAP plugtest of {subject}</title>\n<style>\n{STYLE}</style>"
    )?;
    writeln!(out, "</head>\n<body>\n<main>")?;
    write_header(report, &subject, out)?;
    let groups = report.groups();
    write_matrix(report, &groups, out)?;
    write_troubles(report, out)?;
    write_all(&groups, out)?;
    writeln!(
        out,
        "<footer>Made by Coracle {}. Times of messages are seconds since the case began.</footer>",
        super::VERSION
    )?;
    writeln!(out, "</main>\n</body>\n</html>")
}

/// What somebody else wrote, on one line, as content or as an attribute.
fn shown(text: &str) -> String {
    markup(&text::line(text))
}

/// The class of an outcome in the style sheet.
const fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail => "fail",
        Outcome::Inconclusive => "inconclusive",
        Outcome::Skipped => "skipped",
        Outcome::NotYet => "not-yet",
    }
}

/// What stands for an outcome besides its colour.
const fn sign(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "✓",
        Outcome::Fail => "✗",
        Outcome::Inconclusive => "?",
        Outcome::Skipped => "–",
        Outcome::NotYet => "·",
    }
}

fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        short @ ..10.0 => format!("{short:.3} s"),
        long => format!("{long:.1} s"),
    }
}

fn write_header(report: &Report, subject: &str, out: &mut impl Write) -> io::Result<()> {
    let role = match report.role {
        Role::Server => "CoAP server",
        Role::Client => "CoAP client",
    };
    writeln!(
        out,
        "<p class=\"above\">CoAP plugtest · {role}</p>\n<h1>{subject}</h1>"
    )?;
    writeln!(
        out,
        "<p class=\"facts\"><span>{}</span><span>took {}</span><span>{} cases</span><span>{}</span></p>",
        timestamp::to_the_second(report.began)
            .replace('T', " ")
            .replace('Z', " UTC"),
        seconds(report.took),
        report.cases.len(),
        if report.lossy {
            "through the lossy gateway"
        } else {
            "directly"
        },
    )?;
    let (failed, unclear) = (report.count(Outcome::Fail), report.count(Outcome::Inconclusive));
    let verdict = match (failed, unclear) {
        (0, 0) if report.count(Outcome::Pass) == 0 => "Nothing was judged.".to_owned(),
        (0, 0) => "Nothing failed.".to_owned(),
        (failed, 0) => format!("{failed} failed."),
        (0, unclear) => format!("Nothing failed, but {unclear} could not be judged."),
        (failed, unclear) => format!("{failed} failed, and {unclear} could not be judged."),
    };
    writeln!(out, "<p class=\"verdict\">{verdict}</p>\n<ul class=\"tiles\">")?;
    for outcome in Outcome::ALL {
        let count = report.count(outcome);
        let none = if count == 0 { " none" } else { "" };
        let (class, sign, name) = (class(outcome), sign(outcome), outcome.name());
        writeln!(
            out,
            "<li class=\"{class}{none}\"><b>{count}</b>{sign} {name}</li>"
        )?;
    }
    writeln!(out, "</ul>")
}

/// Groups and outcomes, and a cell for each case that leads to it.
fn write_matrix(report: &Report, groups: &[Group<'_>], out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "<h2>Matrix</h2>\n<div class=\"scroll\"><table class=\"matrix\">"
    )?;
    write!(out, "<thead><tr><th>Group</th>")?;
    for outcome in Outcome::ALL {
        write!(out, "<th class=\"number\">{}</th>", outcome.name())?;
    }
    writeln!(out, "<th>Cases</th></tr></thead>\n<tbody>")?;
    for group in groups {
        let name = shown(group.name);
        write!(out, "<tr><th><a href=\"#group-{name}\">{name}</a></th>")?;
        write_numbers(|outcome| group.count(outcome), out)?;
        writeln!(out, "<td><div class=\"cells\">")?;
        for case in &group.cases {
            write_cell(case, out)?;
        }
        writeln!(out, "</div></td></tr>")?;
    }
    write!(out, "</tbody>\n<tfoot><tr><th>All</th>")?;
    write_numbers(|outcome| report.count(outcome), out)?;
    writeln!(out, "<td>{}</td></tr></tfoot></table></div>", report.cases.len())
}

fn write_numbers(count: impl Fn(Outcome) -> usize, out: &mut impl Write) -> io::Result<()> {
    for outcome in Outcome::ALL {
        let count = count(outcome);
        let shade = if count == 0 { "zero" } else { "some" };
        write!(
            out,
            "<td class=\"number {shade} {}\">{count}</td>",
            class(outcome)
        )?;
    }
    Ok(())
}

fn write_cell(case: &CaseReport, out: &mut impl Write) -> io::Result<()> {
    let id = shown(case.case.id);
    let (outcome, objective) = (case.outcome.name(), shown(case.case.objective));
    writeln!(
        out,
        "<a class=\"cell {}\" href=\"#{id}\" title=\"{id}: {outcome}. {objective}\" aria-label=\"{id}: {outcome}\">{}</a>",
        class(case.outcome),
        sign(case.outcome),
    )
}

/// Whether there is more to tell of a case than its reason.
fn has_story(case: &CaseReport) -> bool {
    match case.outcome {
        Outcome::Fail => true,
        Outcome::Inconclusive => !case.records.is_empty() || !case.commands.is_empty(),
        Outcome::Pass | Outcome::Skipped | Outcome::NotYet => false,
    }
}

/// What failed and what could not be judged, with all that is known of it.
fn write_troubles(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for (outcome, title) in [(Outcome::Fail, "Failed"), (Outcome::Inconclusive, "Inconclusive")] {
        if report.count(outcome) == 0 {
            continue;
        }
        writeln!(out, "<h2>{title}</h2>")?;
        let cases = report.cases.iter().filter(|case| case.outcome == outcome);
        let (stories, others): (Vec<_>, Vec<_>) = cases.partition(|case| has_story(case));
        for case in stories {
            write_trouble(case, out)?;
        }
        if !others.is_empty() {
            let others = others.len();
            writeln!(out, "<p>{others} without any message; see below.</p>")?;
        }
    }
    Ok(())
}

fn write_trouble(case: &CaseReport, out: &mut impl Write) -> io::Result<()> {
    let (id, class) = (shown(case.case.id), class(case.outcome));
    writeln!(
        out,
        "<article class=\"case {class}\" id=\"{id}\">\n<header><h3>{id}</h3>"
    )?;
    writeln!(out, "{}", badge(case.outcome))?;
    writeln!(out, "<span class=\"took\">{}</span></header>", seconds(case.took))?;
    writeln!(out, "<p>{}</p>", shown(case.case.objective))?;
    writeln!(out, "<p class=\"references\">{}</p>", shown(case.case.references))?;
    let section = case.broken().map(|section| format!("<b>{}</b> ", shown(section)));
    let section = section.unwrap_or_default();
    writeln!(out, "<p class=\"reason\">{section}{}</p>", shown(&case.reason))?;
    write_details(case, out)?;
    writeln!(out, "</article>")
}

fn badge(outcome: Outcome) -> String {
    let (class, sign, name) = (class(outcome), sign(outcome), outcome.name());
    format!("<span class=\"badge {class}\">{sign} {name}</span>")
}

/// Commands, ladder, what was printed.
fn write_details(case: &CaseReport, out: &mut impl Write) -> io::Result<()> {
    for command in &case.commands {
        let command = markup(&text::command(command));
        writeln!(out, "<p><code>$ {command}</code></p>")?;
    }
    if case.records.is_empty() {
        writeln!(
            out,
            "<p class=\"references\">No message was sent or received.</p>"
        )?;
    } else {
        ladder::write(case, out)?;
    }
    if !case.output.is_empty() {
        let output = markup(&text::lines(&case.output));
        writeln!(
            out,
            "<p class=\"references\">The command printed:</p>\n<pre>{output}</pre>"
        )?;
    }
    Ok(())
}

/// Every case by groups; those with troubles lead to what is said above.
fn write_all(groups: &[Group<'_>], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "<h2>All cases</h2>")?;
    for group in groups {
        let name = shown(group.name);
        writeln!(
            out,
            "<h3 class=\"list-title\" id=\"group-{name}\">{name}</h3>\n<div class=\"list\">"
        )?;
        for case in &group.cases {
            write_row(case, out)?;
        }
        writeln!(out, "</div>")?;
    }
    Ok(())
}

fn write_row(case: &CaseReport, out: &mut impl Write) -> io::Result<()> {
    let id = shown(case.case.id);
    match case.outcome {
        Outcome::Pass => {
            writeln!(out, "<details class=\"row pass\" id=\"{id}\"><summary>")?;
            write_head(case, &id, out)?;
            writeln!(out, "</summary>")?;
            write_details(case, out)?;
            writeln!(out, "</details>")
        }
        Outcome::Fail | Outcome::Inconclusive if has_story(case) => {
            writeln!(out, "<div class=\"row {}\">", class(case.outcome))?;
            write_head(case, &format!("<a href=\"#{id}\">{id}</a>"), out)?;
            writeln!(out, "</div>")
        }
        Outcome::Fail | Outcome::Inconclusive | Outcome::Skipped | Outcome::NotYet => {
            writeln!(out, "<div class=\"row {}\" id=\"{id}\">", class(case.outcome))?;
            write_head(case, &id, out)?;
            writeln!(out, "</div>")
        }
    }
}

/// A line about a case; `id` is markup.
fn write_head(case: &CaseReport, id: &str, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "<span class=\"head\"><span>{}</span>", badge(case.outcome))?;
    writeln!(out, "<span class=\"id\">{id}</span>")?;
    writeln!(
        out,
        "<span class=\"objective\">{}</span>",
        shown(case.case.objective)
    )?;
    let took = match case.outcome {
        Outcome::Skipped | Outcome::NotYet => String::new(),
        _ => seconds(case.took),
    };
    writeln!(out, "<span class=\"took\">{took}</span>")?;
    writeln!(
        out,
        "<span class=\"references\">{}</span>",
        shown(case.case.references)
    )?;
    if !case.reason.is_empty() {
        writeln!(out, "<span class=\"why\">{}</span>", shown(&case.reason))?;
    }
    writeln!(out, "</span>")
}
