//! How far a run has come, for those who watch.

use std::time::Duration;

use coracle_load::{Course, Sample, Stage, Until};
use indicatif::{DecimalBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::BenchArgs;
use super::line::{Line, columns};
use super::report::Seconds;
use super::table::time;
use crate::console::Console;

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(200);

/// How often it is drawn at most.
const HERTZ: u8 = 20;

/// Before and after what counts, and while it counts. What does not fit the line is cut off.
const WAITING: &str = "{spinner} {elapsed} {wide_msg}";
const COUNTING: &str = "{bar:16} {human_pos}/{human_len}{wide_msg}";
/// On narrow terminals.
const COUNTING_NARROW: &str = "{human_pos}/{human_len}{wide_msg}";

/// How many columns the first form of [`COUNTING`] wants, and how many its bar takes.
const WIDE: usize = 60;
const BAR: usize = 17;

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
    /// A thread has ceased to.
    settling: bool,
}

impl<'a> Watch<'a> {
    pub(super) fn new(args: &BenchArgs, course: &Course, console: &'a Console) -> Watch<'a> {
        let bar = ProgressBar::hidden().with_message("starting");
        bar.set_style(style(WAITING));
        if console.err_is_terminal && !console.quiet {
            bar.set_draw_target(ProgressDrawTarget::term_like_with_hz(Box::new(Line), HERTZ));
            bar.enable_steady_tick(TICK);
        }
        let (length, by_answers) = match course.until {
            Until::Passed(time) => (time.as_secs(), false),
            Until::Answered(count) | Until::Over(count) => (count, true),
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
            settling: false,
        }
    }

    /// Shows a stage, after it was added to the seconds.
    pub(super) fn tell(&mut self, stage: &Stage, seconds: &mut Seconds) {
        match stage {
            Stage::Connecting => self.bar.set_message("opening connections"),
            Stage::Preparing => {
                self.bar.set_message(match self.kind {
                    "notifications" => "registering observers",
                    _ => "warming up",
                });
            }
            Stage::Counting if !self.counting => {
                self.counting = true;
                self.bar.set_length(self.length);
                self.bar.reset_elapsed();
                self.show(if is_narrow() { COUNTING_NARROW } else { COUNTING }, self.unit());
            }
            Stage::Counting => {}
            Stage::Sample(sample) => {
                if let Some(whole) = seconds.add(sample) {
                    self.second(&whole, seconds.over());
                }
            }
            Stage::Settling if !self.settling => {
                self.settling = true;
                self.show(
                    WAITING,
                    match self.kind {
                        "notifications" => "ending the observations",
                        _ => "waiting for the last answers",
                    },
                );
            }
            Stage::Settling => {}
        }
    }

    fn second(&self, sample: &Sample, over: u64) {
        let told = told(sample, self.kind);
        let position = match self.by_answers {
            true => over,
            false => sample.second + 1,
        };
        if self.console.verbose {
            let line = format!("{:>4} s  {told}", sample.second + 1);
            self.bar.suspend(|| self.console.detail(&line));
        }
        if !self.settling {
            self.bar.set_position(position);
            let message = format!("{}  {told}", self.unit());
            self.bar.set_message(fitting(&message, self.room(position)));
        }
    }

    /// Changes the line without a moment at which it has the one's form and the other's words.
    fn show(&self, template: &str, message: &'static str) {
        self.bar.set_message("");
        self.bar.set_style(style(template));
        self.bar.set_message(message);
    }

    /// How much of a message the line has room for.
    fn room(&self, position: u64) -> usize {
        let digits = |number| HumanCount(number).to_string().len();
        let bar = if is_narrow() { 0 } else { BAR };
        usize::from(columns()).saturating_sub(bar + digits(position) + 1 + digits(self.length))
    }

    /// Of the position of the bar.
    fn unit(&self) -> &'static str {
        if self.by_answers { "" } else { " s" }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn is_narrow() -> bool {
    usize::from(columns()) < WIDE
}

/// What came in a second: first of all how much, then what was no success, then how long it took. The end of it does
/// not fit narrow terminals.
fn told(sample: &Sample, kind: &str) -> String {
    let errors: u64 = sample.errors.values().sum();
    let all = sample.answered + errors + sample.wrong;
    let kind = if all == 1 {
        kind.trim_end_matches('s')
    } else {
        kind
    };
    let mut told = format!("{} {kind}/s", HumanCount(all));
    let mut add = |part: String| {
        told.push_str("  ");
        told.push_str(&part);
    };
    for (status, count) in &sample.errors {
        add(match *count == all {
            true => format!("all {status}"),
            false => format!("{} {status}", HumanCount(*count)),
        });
    }
    if sample.wrong > 0 {
        add(format!("{} wrong", HumanCount(sample.wrong)));
    }
    if sample.lost > 0 {
        add(format!("{} given up or rejected", HumanCount(sample.lost)));
    }
    if sample.body_bytes > 0 {
        add(format!("{}/s", DecimalBytes(sample.body_bytes)));
    }
    if !sample.latency.is_empty() {
        let at = |share| time(sample.latency.value_at_quantile(share));
        add(format!("median {}  99 % {}", at(0.5), at(0.99)));
    }
    told
}

/// The parts of a message, which two spaces keep apart, of which there is room for all or a beginning.
fn fitting(message: &str, room: usize) -> String {
    let ends = message
        .match_indices("  ")
        .map(|(at, _)| at)
        .chain([message.len()]);
    let fits = |end: &usize| {
        message
            .get(..*end)
            .is_some_and(|part| part.chars().count() <= room)
    };
    let end = ends.take_while(fits).last().unwrap_or_default();
    message.get(..end).unwrap_or_default().to_owned()
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use coracle_load::Histogram;

    use super::*;
    use crate::wire::Status;

    fn sample(answered: u64, errors: &[(Status, u64)]) -> Sample {
        Sample {
            second: 0,
            complete: true,
            answered,
            body_bytes: 0,
            errors: errors.iter().copied().collect(),
            wrong: 0,
            lost: 0,
            latency: Histogram::new(3).unwrap(),
        }
    }

    #[test]
    fn errors_are_answers_and_are_named() {
        let all = sample(0, &[(Status::NOT_FOUND, 84_213)]);
        assert_eq!(told(&all, "answers"), "84,213 answers/s  all 4.04 Not Found");
        let mut some = sample(1000, &[(Status::NOT_FOUND, 1), (Status::TOO_MANY_REQUESTS, 20)]);
        (some.wrong, some.lost) = (3, 4);
        assert_eq!(
            told(&some, "answers"),
            "1,024 answers/s  1 4.04 Not Found  20 4.29 Too Many Requests  3 wrong  4 given up or rejected"
        );
        assert_eq!(told(&sample(0, &[]), "answers"), "0 answers/s");
        assert_eq!(told(&sample(1, &[]), "answers"), "1 answer/s");
    }

    #[test]
    fn a_message_is_cut_between_its_parts() {
        let message = " s  10 answers/s  median 5 µs";
        let cut = [100, 29, 28, 16, 15, 1].map(|room| fitting(message, room));
        assert_eq!(
            cut,
            [message, message, " s  10 answers/s", " s  10 answers/s", " s", ""]
        );
    }
}
