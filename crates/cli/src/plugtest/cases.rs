//! Which cases, and what they are.

use std::fmt::Write;

use clap::Args;
use coracle_conformance::case::{Case, Judge, Role};
use coracle_conformance::catalogue;
use coracle_conformance::report::json;
use coracle_conformance::transport::Transport;

use super::reports::{Destination, ReportArgs};
use crate::console::{Console, Painter, Style};
use crate::error::{CliError, Exit};

/// Which cases are meant.
#[derive(Args, Debug)]
#[command(next_help_heading = "Cases")]
pub(super) struct CaseArgs {
    /// Judge only these: an id, its beginning, or a group, in any case; `*` stands for anything
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    only: Vec<String>,

    /// Leave these out
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    skip: Vec<String>,

    /// List the cases and judge nothing
    #[arg(long)]
    pub(super) list: bool,

    /// Tell all of a case and judge nothing
    #[arg(long, value_name = "ID", conflicts_with = "list")]
    pub(super) explain: Option<String>,
}

impl CaseArgs {
    /// The cases for a role: those about a transport, or about any.
    pub(super) fn select(&self, role: Role, transport: Option<Transport>) -> Result<Vec<Case>, CliError> {
        let mut cases = chosen(role, &self.only, &self.skip)?;
        if cases.is_empty() {
            return Err(CliError::usage(
                "no case is left: --skip takes away all that --only names",
            ));
        }
        if let Some(transport) = transport {
            cases = catalogue::over(transport, cases);
            if cases.is_empty() {
                let fault = format!("no case is left: none of these is about {transport}");
                return Err(CliError::usage(fault));
            }
        }
        Ok(cases)
    }

    /// Does what is asked instead of judging, if it is.
    pub(super) fn tell(
        &self,
        role: Role,
        reports: &ReportArgs,
        console: &Console,
    ) -> Option<Result<Exit, CliError>> {
        let told = if self.list {
            self.select(role, None)
                .and_then(|cases| list(&cases, reports, console))
        } else {
            let id = std::slice::from_ref(self.explain.as_ref()?);
            chosen(role, id, &[]).and_then(|cases| console.write(explain(&cases, console.out).as_bytes()))
        };
        Some(told.map(|()| Exit::Success))
    }
}

fn chosen(role: Role, only: &[String], skip: &[String]) -> Result<Vec<Case>, CliError> {
    catalogue::select(role, only, skip)
        .map_err(|error| CliError::usage(error).with_hint("--list shows the cases"))
}

fn list(cases: &[Case], reports: &ReportArgs, console: &Console) -> Result<(), CliError> {
    match &reports.json {
        Some(destination) => {
            let mut written = Vec::new();
            json::write_list(cases, &mut written).map_err(|error| CliError::io("cannot list", &error))?;
            match destination {
                Destination::Output => console.write(&written),
                Destination::File(path) => std::fs::write(path, written)
                    .map_err(|error| CliError::io(format_args!("cannot write {}", path.display()), &error)),
            }
        }
        None => console.write(table(cases, console.out).as_bytes()),
    }
}

/// A line for each case: id, objective, references.
fn table(cases: &[Case], painter: Painter) -> String {
    let ids = cases.iter().map(|case| case.id.len()).max().unwrap_or(0);
    let mut out = String::new();
    for case in cases {
        let id = painter.paint(Style::Name, &format!("{:ids$}", case.id));
        let mut after = String::new();
        // Writing to a string cannot fail.
        if !case.references.is_empty() {
            let _ = write!(after, " ({})", case.references);
        }
        if let Some(why) = not_yet(case) {
            let _ = write!(after, " not yet: waits for {why}");
        }
        let _ = writeln!(
            out,
            "{id}  {}{}",
            case.objective,
            painter.paint(Style::Dim, &after)
        );
    }
    out
}

/// What a case that cannot be judged yet waits for.
pub(super) fn not_yet(case: &Case) -> Option<&'static str> {
    match case.judge {
        Judge::NotYet(_, why) => Some(why),
        Judge::Server(_) | Judge::Client(_) | Judge::Caller(_) | Judge::Callee(_) => None,
    }
}

/// All about each case.
fn explain(cases: &[Case], painter: Painter) -> String {
    let told: Vec<String> = cases.iter().map(|case| explain_one(case, painter)).collect();
    told.join("\n")
}

fn explain_one(case: &Case, painter: Painter) -> String {
    let mut out = format!(
        "{}\n  {}\n",
        painter.paint(Style::Strong, case.id),
        case.objective
    );
    let mut field = |name: &str, value: &str| {
        if !value.is_empty() {
            let name = painter.paint(Style::Dim, &format!("{name:<12}"));
            let _ = writeln!(out, "  {name}{value}");
        }
    };
    field("References", case.references);
    field("Needs", &case.needs.join(", "));
    field("Changes", &case.locks.join(", "));
    let over: Vec<String> = case.over.iter().map(ToString::to_string).collect();
    field("Over", &over.join(", "));
    field("Takes", &format!("up to {} s", case.limit.as_secs()));
    if case.no_gateway {
        field("Note", "makes its own loss, and is skipped with --lossy");
    }
    if let Some(why) = not_yet(case) {
        field("Not yet", &format!("waits for {why}"));
    }
    for (index, step) in case.steps.iter().enumerate() {
        field(
            if index == 0 { "Steps" } else { "" },
            &format!("{}. {step}", index + 1),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASE: Case = Case::new(
        "RFC7252-4.3-ping",
        "RFC 7252 §4.3",
        "A ping is answered with a Reset",
        Judge::NotYet(Role::Server, "nothing"),
    )
    .steps(&["An Empty Confirmable message is sent.", "A Reset comes."])
    .needs(&["/test"])
    .locks(&["/obs"])
    .within(5)
    .without_gateway();

    #[test]
    fn all_of_a_case_is_told() {
        let expected = "\
RFC7252-4.3-ping
  A ping is answered with a Reset
  References  RFC 7252 §4.3
  Needs       /test
  Changes     /obs
  Over        UDP
  Takes       up to 5 s
  Note        makes its own loss, and is skipped with --lossy
  Not yet     waits for nothing
  Steps       1. An Empty Confirmable message is sent.
              2. A Reset comes.
";
        assert_eq!(explain(&[CASE], Painter::PLAIN), expected);
    }

    #[test]
    fn a_list_has_columns() {
        let other = Case::new("A", "", "It is", Judge::NotYet(Role::Server, "DTLS"));
        let expected = "\
RFC7252-4.3-ping  A ping is answered with a Reset (RFC 7252 §4.3) not yet: waits for nothing
A                 It is not yet: waits for DTLS
";
        assert_eq!(table(&[CASE, other], Painter::PLAIN), expected);
    }
}
