//! What is told while a run goes on, and its summary.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use coracle_conformance::case::Case;
use coracle_conformance::report::{CaseReport, Report, ladder};
use coracle_conformance::run::{Progress, Subject};
use coracle_conformance::verdict::Outcome;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::cases::not_yet;
use super::summary;
use crate::console::{Console, Painter, Style, harmless, harmless_line};
use crate::error::CliError;

/// How often the bar moves while no case ends.
const TICK: Duration = Duration::from_millis(500);

/// The width of ladders where there is no terminal.
const WIDTH: usize = 120;

/// How much of what a client printed is shown of a failure, in lines.
const PRINTED: usize = 5;

/// How much of a command line is shown, in characters.
const COMMAND: usize = 200;

/// Tells people, on standard output or, if that is taken, on standard error.
pub(super) struct Told {
    console: Console,
    output_taken: bool,
    painter: Painter,
    subject: String,
    /// How many cases are not there yet.
    not_yet: usize,
    /// The length of the longest id of the others.
    ids: usize,
    width: usize,
    bar: ProgressBar,
    running: Vec<&'static str>,
    /// Why the last case in which nothing was sent is inconclusive.
    silence: Option<String>,
    /// The first error of standard output.
    failed: Option<CliError>,
}

impl Told {
    /// Nothing is told yet.
    pub(super) fn new(subject: &Subject, cases: &[Case], output_taken: bool, console: Console) -> Told {
        let painter = if output_taken { console.err } else { console.out };
        let terminal = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        let judged = || cases.iter().filter(|case| not_yet(case).is_none());
        Told {
            console,
            output_taken,
            painter,
            subject: named(subject),
            not_yet: cases.len() - judged().count(),
            ids: judged().map(|case| case.id.len()).max().unwrap_or(0),
            width: terminal.unwrap_or(WIDTH),
            bar: ProgressBar::hidden(),
            running: Vec::new(),
            silence: None,
            failed: None,
        }
    }

    /// Tells a step.
    ///
    /// # Errors
    /// If standard output cannot be written any more; why is said by [`sum_up`](Self::sum_up).
    pub(super) fn tell(&mut self, progress: &Progress<'_>) -> Result<(), ()> {
        match progress {
            Progress::Planned { cases, at_most } => self.begin(*cases, *at_most),
            Progress::Started(case) => {
                self.running.push(case.id);
                self.bar.set_message(self.running.join(", "));
            }
            Progress::Ended { done, report, .. } => {
                self.running.retain(|id| *id != report.case.id);
                self.bar.set_message(self.running.join(", "));
                self.bar.set_position(*done as u64);
                let repeats = self.repeats(report);
                if !self.console.quiet && !repeats && !self.is_summed_up(report) {
                    let text = self.ended(report);
                    self.write(&text);
                }
            }
        }
        if self.failed.is_some() { Err(()) } else { Ok(()) }
    }

    fn begin(&mut self, cases: usize, at_most: Duration) {
        if self.console.quiet {
            return;
        }
        let (subject, time) = (harmless_line(&self.subject), words(at_most));
        let judged = counted(cases.saturating_sub(self.not_yet), "case");
        let others = match self.not_yet {
            0 => String::new(),
            others => format!("; {others} more are not there yet"),
        };
        self.write(&format!("{subject}: {judged}, {time} at most{others}\n"));
        if self.console.err_is_terminal {
            self.bar = ProgressBar::new(cases as u64);
            if let Ok(style) = ProgressStyle::with_template("{bar:20} {pos}/{len} {elapsed} {wide_msg}") {
                self.bar.set_style(style);
            }
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.enable_steady_tick(TICK);
        }
    }

    /// Whether the summary says enough: what is not there yet, and without which resources cases are skipped.
    fn is_summed_up(&self, report: &CaseReport) -> bool {
        let missing = !self.console.verbose && summary::missing(report).is_some();
        report.outcome == Outcome::NotYet || missing
    }

    /// Whether the case before said the same: nothing was sent, for the same reason. The summary counts them.
    fn repeats(&mut self, report: &CaseReport) -> bool {
        if report.outcome != Outcome::Inconclusive || !report.records.is_empty() {
            return false;
        }
        let said = self.silence.replace(report.reason.clone());
        said.as_ref() == Some(&report.reason)
    }

    /// A line about a case, and for a failure why.
    fn ended(&self, report: &CaseReport) -> String {
        let outcome = outcome(report.outcome, self.painter);
        let (ids, id, seconds) = (self.ids, report.case.id, report.took.as_secs_f64());
        let mut text = format!("{outcome}  {id:ids$} {seconds:>8.3} s");
        let reason = harmless_line(&report.reason);
        match report.outcome {
            Outcome::Pass | Outcome::NotYet => text.push('\n'),
            Outcome::Skipped => {
                let _ = writeln!(text, "  {}", self.painter.paint(Style::Dim, &reason));
            }
            // Nothing more is to be told, for instance of what was interrupted.
            Outcome::Inconclusive if report.records.is_empty() && report.commands.is_empty() => {
                let _ = writeln!(text, "  {reason}");
            }
            Outcome::Fail | Outcome::Inconclusive => {
                let section = report.broken().map(|section| format!(" ({section})"));
                let _ = writeln!(text, "\n      {reason}{}", section.unwrap_or_default());
            }
        }
        let troubled = matches!(report.outcome, Outcome::Fail | Outcome::Inconclusive);
        if troubled || self.console.verbose {
            self.push_details(&mut text, report, troubled);
        }
        text
    }

    /// Commands, ladder, and what the commands printed.
    fn push_details(&self, text: &mut String, report: &CaseReport, troubled: bool) {
        for command in &report.commands {
            let shown: String = harmless_line(command).chars().take(COMMAND).collect();
            let rest = if command.chars().nth(COMMAND).is_some() {
                "…"
            } else {
                ""
            };
            let _ = writeln!(text, "      $ {shown}{rest}");
        }
        let mut rungs = Vec::new();
        // Writing to memory cannot fail.
        let _ = ladder::write(report, self.width, &mut rungs);
        for line in String::from_utf8_lossy(&rungs).lines() {
            let marked = line.starts_with(">>");
            let line = if marked {
                self.painter.paint(Style::Bad, line)
            } else {
                line.to_owned()
            };
            text.push_str(&line);
            text.push('\n');
        }
        if troubled {
            push_printed(text, &report.output);
        }
    }

    /// Tells what all came to, as a table of groups.
    pub(super) fn sum_up(mut self, report: &Report) -> Result<(), CliError> {
        self.bar.finish_and_clear();
        // Who wants quiet and JSON wants nothing else.
        if !(self.console.quiet && self.output_taken) {
            let text = summary::text(report, self.painter);
            self.write(&text);
        }
        match self.failed {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Writes above the bar.
    fn write(&mut self, text: &str) {
        if self.failed.is_some() {
            return;
        }
        let written = self.bar.suspend(|| {
            if self.output_taken {
                // Nobody can be told that standard error fails.
                let _ = std::io::stderr().write_all(text.as_bytes());
                Ok(())
            } else {
                self.console.write(text.as_bytes())
            }
        });
        self.failed = written.err();
    }
}

/// The last lines of what a command printed.
fn push_printed(text: &mut String, output: &str) {
    let printed = harmless(output);
    let lines: Vec<&str> = printed.lines().collect();
    let left_out = lines.len().saturating_sub(PRINTED);
    if left_out > 0 {
        let _ = writeln!(text, "      | … {} before", counted(left_out, "line"));
    }
    for line in lines.iter().skip(left_out) {
        let _ = writeln!(text, "      | {line}");
    }
}

/// Who is judged, in words.
fn named(subject: &Subject) -> String {
    match subject {
        Subject::Server { address, uri, .. } if uri.contains(&address.to_string()) => uri.clone(),
        Subject::Server { address, uri, .. } => format!("{uri} at {address}"),
        Subject::Client { template, .. } => template.source().to_owned(),
    }
}

fn outcome(outcome: Outcome, painter: Painter) -> String {
    let style = match outcome {
        Outcome::Pass => Style::Good,
        Outcome::Fail => Style::Bad,
        Outcome::Inconclusive => Style::Strong,
        Outcome::Skipped | Outcome::NotYet => Style::Dim,
    };
    painter.paint(style, &format!("{:<12}", outcome.name()))
}

fn counted(count: usize, name: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {name}{plural}")
}

/// A time in words, rounded up.
fn words(time: Duration) -> String {
    match time.as_secs_f64().ceil() {
        seconds @ ..120.0 => format!("{seconds:.0} s"),
        seconds => format!("{:.0} min", (seconds / 60.0).ceil()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::report;
    use super::*;
    use crate::console::ColorChoice;
    use coracle_conformance::transport::Transport;

    fn told() -> Told {
        let address = "127.0.0.1:5683".parse().unwrap();
        let subject = Subject::Server {
            transport: Transport::Udp,
            address,
            uri: "coap://localhost".to_owned(),
            map: Vec::new(),
        };
        Told {
            ids: 10,
            width: 80,
            ..Told::new(
                &subject,
                &[],
                false,
                Console::new(false, false, ColorChoice::Never),
            )
        }
    }

    #[test]
    fn a_case_is_a_line_and_a_failure_tells_why() {
        let lines: Vec<String> = report().cases.iter().map(|case| told().ended(case)).collect();
        let expected = [
            "pass          CORE-1        0.001 s\n",
            "fail          CORE-2        0.001 s\n      2.05 is not\\u{1b}[2J 2.04 (RFC 7252 §5.8)\n      \
             $ client\n                 127.0.0.1:1 | 127.0.0.1:2\n>>    0.001  <-- RST 0.00 mid=0x0001  \
             << RFC 7252 §5.8\n      | first\n      | second\n",
            "inconclusive  OBS-1         0.001 s  no answer\n",
            "skipped       OBS-2         0.001 s  no /obs\n",
        ];
        assert_eq!(lines[..4], expected);
    }

    #[test]
    fn what_the_summary_says_has_no_line_of_its_own() {
        let mut told = told();
        let mut cases = report().cases;
        let again = cases[2].clone();
        assert!(!told.repeats(&again) && told.repeats(&again) && !told.repeats(&cases[0]));
        assert!(!told.is_summed_up(&cases[3]) && told.is_summed_up(&cases[4]));
        cases[3].reason = "the server does not offer /obs".to_owned();
        assert!(told.is_summed_up(&cases[3]));
        told.console.verbose = true;
        assert!(!told.is_summed_up(&cases[3]));
    }

    #[test]
    fn the_subject_is_told_with_its_address() {
        assert_eq!(told().subject, "coap://localhost at 127.0.0.1:5683");
    }

    #[test]
    fn long_commands_and_outputs_are_cut() {
        let mut failed = report().cases.swap_remove(1);
        failed.commands = vec!["x".repeat(201)];
        failed.output = "1\n2\n3\n4\n5\n6\n".to_owned();
        let text = told().ended(&failed);
        assert!(text.contains(&format!("$ {}…\n", "x".repeat(200))), "{text}");
        assert!(text.ends_with("| … 1 line before\n      | 2\n      | 3\n      | 4\n      | 5\n      | 6\n"));
    }

    #[test]
    fn a_failure_without_a_section_has_no_parentheses() {
        let mut failed = report().cases.swap_remove(1);
        failed.section = "";
        let text = told().ended(&failed);
        assert!(text.contains("2.04\n") && !text.contains('('), "{text}");
    }

    #[test]
    fn times_are_rounded_up() {
        let told = [0.2, 119.0, 121.0, 3600.0].map(|seconds| words(Duration::from_secs_f64(seconds)));
        assert_eq!(told, ["1 s", "119 s", "3 min", "60 min"]);
    }
}
