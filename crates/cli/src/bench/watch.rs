//! How far a run has come, for those who watch.

use std::time::Duration;

use coracle_load::{Course, Sample, Stage, Until};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::BenchArgs;
use super::report::Seconds;
use super::table::time;
use crate::console::Console;

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(200);

/// A bar on terminals; with `-v` also a line each second.
pub(super) struct Watch<'a> {
    console: &'a Console,
    bar: ProgressBar,
    /// How many seconds it takes, or how many answers.
    length: u64,
    by_answers: bool,
    kind: &'static str,
    /// A thread has begun to count.
    counting: bool,
}

impl<'a> Watch<'a> {
    pub(super) fn new(args: &BenchArgs, course: &Course, console: &'a Console) -> Watch<'a> {
        let bar = ProgressBar::hidden();
        if console.err_is_terminal && !console.quiet {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(TICK);
        }
        let (length, by_answers) = match course.until {
            Until::Passed(time) => (time.as_secs(), false),
            Until::Answered(count) => (count, true),
        };
        Watch {
            console,
            bar,
            length,
            by_answers,
            kind: match (args.observe, args.transfer) {
                (true, _) => "notifications",
                (_, true) => "transfers",
                _ => "answers",
            },
            counting: false,
        }
    }

    /// Shows a stage, after it was added to the seconds.
    pub(super) fn tell(&mut self, stage: &Stage, seconds: &mut Seconds) {
        match stage {
            Stage::Preparing => {
                self.style("{spinner} {msg} ({elapsed})");
                self.bar.set_message(match self.kind {
                    "notifications" => "registering observers",
                    _ => "warming up",
                });
            }
            Stage::Counting if !self.counting => {
                self.counting = true;
                self.style("{bar:24} {human_pos}/{human_len}{msg}");
                self.bar.set_length(self.length);
                self.bar.reset_elapsed();
                self.bar.set_message(if self.by_answers { "" } else { " s" });
            }
            Stage::Counting => {}
            Stage::Sample(sample) => {
                if let Some(whole) = seconds.add(sample) {
                    self.second(&whole, seconds.answered());
                }
            }
            Stage::Settling => {
                self.style("{spinner} {msg}");
                self.bar.set_message("waiting for the last answers");
            }
        }
    }

    fn second(&self, sample: &Sample, answered: u64) {
        let mut told = format!(
            "{}  {} {}/s",
            if self.by_answers { "" } else { " s" },
            HumanCount(sample.answered),
            self.kind
        );
        if sample.body_bytes > 0 {
            told.push_str(&format!("  {}/s", HumanBytes(sample.body_bytes)));
        }
        let at = |share| time(sample.latency.value_at_quantile(share));
        if !sample.latency.is_empty() {
            told.push_str(&format!("  median {}  99 % {}", at(0.5), at(0.99)));
        }
        if sample.failed > 0 {
            told.push_str(&format!("  {} failed", HumanCount(sample.failed)));
        }
        self.bar.set_position(match self.by_answers {
            true => answered,
            false => sample.second + 1,
        });
        if self.console.verbose {
            let line = format!(
                "{:>4} s {}",
                sample.second + 1,
                told.trim_start_matches(" s").trim_start()
            );
            self.bar.suspend(|| self.console.detail(&line));
        }
        self.bar.set_message(told);
    }

    fn style(&self, template: &str) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
