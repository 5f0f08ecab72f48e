//! How an attack goes and what it came to, for people and as JSON.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use coracle_conformance::fuzz::{Crash, Event, Failure, Notice, NoticeKind, Outcome, Plan, Tally};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::args::FuzzArgs;
use crate::console::{Console, Painter, Style, harmless_line};
use crate::hex;
use crate::show::message;
use crate::wire::Message;

/// How many bytes of an example are shown.
const SHOWN: usize = 32;

/// Shows how far it is: a bar on terminals, and what happens on all.
pub(super) struct Watch<'a> {
    console: &'a Console,
    bar: ProgressBar,
}

impl<'a> Watch<'a> {
    pub(super) fn new(plan: &Plan, console: &'a Console) -> Watch<'a> {
        let bar = ProgressBar::hidden();
        if console.err_is_terminal && !console.quiet {
            let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}  {per_sec}  {eta}  {msg}");
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar.set_length(plan.count);
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        Watch { console, bar }
    }

    pub(super) fn tell(&mut self, event: &Event<'_>) {
        match event {
            Event::Begun(paths) => {
                self.console.detail(&match paths {
                    [] => "the server lists nothing; using paths that servers often have".to_owned(),
                    _ => format!("paths: {}", harmless_line(&paths.join(" "))),
                });
            }
            Event::Progress(tally) => self.bar.set_position(tally.messages()),
            Event::Failed(failure, after) => {
                let (bar, console) = (&self.bar, self.console);
                bar.suspend(|| {
                    console.note(&format!(
                        "after {after} messages: {failure}; looking for the cause"
                    ))
                });
            }
            Event::Minimising(messages) => self.bar.set_message(format!("trying {messages}")),
            Event::Found(_) => self.bar.set_message(""),
            _ => {}
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// What an attack came to.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    uri: &'a str,
    grave: bool,
    seconds: f64,
    reproducers: Vec<PathBuf>,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

impl<'a> Report<'a> {
    pub(super) fn new(
        args: &'a FuzzArgs,
        outcome: &'a Outcome,
        reproducers: Vec<PathBuf>,
        took: Duration,
    ) -> Report<'a> {
        Report {
            uri: &args.uri,
            grave: outcome.is_grave(),
            seconds: (took.as_secs_f64() * 1e3).round() / 1e3,
            reproducers,
            outcome,
        }
    }

    pub(super) fn text(&self, painter: Painter) -> String {
        let Outcome {
            seed,
            ending,
            tally,
            crashes,
            ..
        } = self.outcome;
        let mut out = format!(
            "{}: seed {seed}, {} after {:.1} s\n",
            self.uri,
            ending.name(),
            self.seconds
        );
        put_counts(&mut out, tally);
        for (index, crash) in crashes.iter().enumerate() {
            let file = self.reproducers.get(index).map(|file| file.display().to_string());
            put_crash(&mut out, crash, &file.unwrap_or_default(), painter);
        }
        put_notices(&mut out, tally, painter);
        let verdict = match (self.grave, crashes.is_empty()) {
            (true, false) => painter.paint(Style::Bad, "the server did not survive"),
            (true, true) => painter.paint(
                Style::Bad,
                "the server survived, but what it sends is not always CoAP",
            ),
            (false, _) => painter.paint(Style::Good, "the server survived"),
        };
        let _ = writeln!(out, "\n{verdict}");
        out
    }
}

/// Messages by family and replies by code.
fn put_counts(out: &mut String, tally: &Tally) {
    let _ = writeln!(
        out,
        "\n{:>9} messages, {} bytes",
        tally.messages(),
        tally.bytes_sent
    );
    for (family, count) in &tally.sent {
        let _ = writeln!(out, "{count:>9}   {family}");
    }
    if tally.unsent > 0 {
        let _ = writeln!(out, "{:>9}   not sent: the system refused", tally.unsent);
    }
    let _ = writeln!(
        out,
        "{:>9} replies, {} bytes",
        tally.answers(),
        tally.bytes_received
    );
    for (code, count) in &tally.replies {
        let _ = writeln!(out, "{count:>9}   {code}");
    }
}

fn put_crash(out: &mut String, crash: &Crash, file: &str, painter: Painter) {
    let known = match (crash.reproduced, crash.minimal) {
        (true, true) => "reproduced",
        (true, false) => "reproduced, not all smaller ones were tried",
        (false, _) => "not seen again",
    };
    let (failure, count) = (crash.failure.to_string(), crash.messages.len());
    let plural = if count == 1 { "" } else { "s" };
    let _ = writeln!(
        out,
        "\n{} after {} messages\n  {file}: {count} message{plural}, {known}",
        painter.paint(Style::Bad, &failure),
        crash.after
    );
    if let ([only], true) = (crash.messages.as_slice(), crash.reproduced) {
        let _ = writeln!(out, "  {}", shown(only));
    }
    if let Some(last) = crash.output.lines().rev().find(|line| !line.trim().is_empty()) {
        let _ = writeln!(out, "  printed last: {}", harmless_line(last));
    }
}

fn put_notices(out: &mut String, tally: &Tally, painter: Painter) {
    for (kind, notice) in &tally.notices {
        let style = if kind.is_grave() {
            Style::Bad
        } else {
            Style::Strong
        };
        let told = painter.paint(style, &format!("{} {}", notice.count, kind.name()));
        let _ = writeln!(out, "\n{told}{}", about(*kind, notice));
        if let Some(sent) = &notice.sent {
            let _ = writeln!(out, "  sent      {}", shown(sent));
        }
        if let Some(reply) = &notice.reply {
            let _ = writeln!(out, "  received  {}", shown(reply));
        }
    }
}

fn about(kind: NoticeKind, notice: &Notice) -> String {
    let detail = harmless_line(&notice.detail);
    match (kind, notice.worst) {
        (NoticeKind::Amplification, Some(worst)) => format!("; the worst is {worst:.0} times: {detail}"),
        _ if detail.is_empty() => ", for example".to_owned(),
        _ => format!(", for example: {detail}"),
    }
}

/// A message on one line: what it says, or its first bytes.
fn shown(bytes: &[u8]) -> String {
    let digits = hex::digits(bytes.get(..SHOWN).unwrap_or(bytes));
    let cut = if bytes.len() > SHOWN { "…" } else { "" };
    match Message::parse(bytes) {
        Ok(parsed) => {
            let code = message::code(parsed.code);
            format!(
                "{} {code}, {} bytes: {digits}{cut}",
                parsed.message_type,
                bytes.len()
            )
        }
        Err(error) => format!("malformed, {} bytes: {digits}{cut} ({error})", bytes.len()),
    }
}

/// What a reproducer came to.
#[derive(Serialize)]
pub(super) struct Replayed {
    messages: usize,
    /// Whether the server still answers.
    pub(super) survives: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    replies: std::collections::BTreeMap<String, u64>,
}

impl Replayed {
    pub(super) fn new(messages: usize, failure: Option<Failure>, tally: Tally) -> Replayed {
        Replayed {
            messages,
            survives: failure.is_none(),
            failure,
            replies: tally.replies,
        }
    }

    pub(super) fn text(&self, painter: Painter) -> String {
        match &self.failure {
            Some(failure) => format!("{}\n", painter.paint(Style::Bad, &failure.to_string())),
            None => {
                let told = painter.paint(Style::Good, "the server survives");
                format!("{told}: {} messages sent\n", self.messages)
            }
        }
    }
}
