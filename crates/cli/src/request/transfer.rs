//! The progress bar of long transfers, and how far they have come.

use std::collections::VecDeque;
use std::fmt::Write;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use coracle::client::Progress;
use indicatif::{BinaryBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::console::Console;

/// Transfers that are shorter than this have no bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often what is shown moves.
const TICK: Duration = Duration::from_millis(200);

/// An answer that takes longer than this is waited for visibly.
const SILENCE: Duration = Duration::from_secs(2);

/// The time whose rate is told, and how often it is looked at.
const WINDOW: Duration = Duration::from_secs(8);
const LOOK: Duration = Duration::from_millis(500);

/// Shows how far a transfer has come, or that an answer is waited for; on terminals only, and gone when dropped.
#[derive(Debug)]
pub(crate) struct Transfer {
    bar: ProgressBar,
    waiting: ProgressBar,
    reached: Arc<Mutex<Reached>>,
    /// Bytes of the answer's body that are there already.
    offset: u64,
    console: Console,
}

/// How far it has come.
#[derive(Debug, Default)]
struct Reached {
    /// The bytes of the body under way that were sent or received, and whether it is that of the answer.
    position: u64,
    receives: bool,
    total: Option<u64>,
    /// When it had come how far, lately.
    lately: VecDeque<(Instant, u64)>,
    /// It waits for message IDs until then.
    held_back: Option<Instant>,
}

impl Transfer {
    /// Nothing is shown yet. `offset` bytes of the answer's body are there already.
    pub(crate) fn new(offset: u64, console: &Console) -> Transfer {
        Transfer {
            bar: ProgressBar::hidden(),
            waiting: ProgressBar::hidden(),
            reached: Arc::default(),
            offset,
            console: *console,
        }
    }

    /// Waits for an answer for as long as `patience` says, and tells so when it takes its time.
    pub(crate) async fn wait<T>(&self, answer: impl Future<Output = T>, patience: &str) -> T {
        let mut answer = pin!(answer);
        if let Ok(answer) = tokio::time::timeout(SILENCE, &mut answer).await {
            return answer;
        }
        if self.shows() && self.bar.is_hidden() {
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                self.waiting.set_style(style);
            }
            self.waiting
                .set_message(format!("no answer yet, waiting {patience}"));
            self.waiting.set_draw_target(ProgressDrawTarget::stderr());
            self.waiting.enable_steady_tick(TICK);
        }
        let answer = answer.await;
        self.waiting.finish_and_clear();
        answer
    }

    fn shows(&self) -> bool {
        self.console.err_is_terminal && !self.console.quiet
    }

    /// What to call with bytes sent, bytes received and the length of the body under way.
    pub(crate) fn reporter(&self) -> impl FnMut(Progress) + Send + use<> {
        let (bar, waiting, reached) = (self.bar.clone(), self.waiting.clone(), self.reached.clone());
        let (shows, offset, console) = (self.shows(), self.offset, self.console);
        let started = Instant::now();
        let mut shown = None;
        move |progress| {
            let now = Instant::now();
            let mut reached = lock(&reached);
            if let Some(until) = reached.take(progress, offset, now)
                && !shows
            {
                let seconds = (until - now).as_secs();
                console.note(&format!("{}, {HELD_BACK}, {seconds} s", reached.done()));
            }
            let is_soon = shown.is_some_and(|shown| now - shown < TICK);
            if !shows || now - started < PATIENCE || is_soon && progress.held_back.is_none() {
                return;
            }
            shown = Some(now);
            show(&bar, &reached);
            if bar.is_hidden() {
                waiting.finish_and_clear();
                bar.set_draw_target(ProgressDrawTarget::stderr());
                bar.enable_steady_tick(TICK);
            }
        }
    }

    /// Whether anything of a body went or came.
    pub(crate) fn is_under_way(&self) -> bool {
        lock(&self.reached).position > 0
    }

    /// How far it has come, in words.
    pub(crate) fn done(&self) -> String {
        lock(&self.reached).done()
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.waiting.finish_and_clear();
        self.bar.finish_and_clear();
    }
}

fn lock(reached: &Mutex<Reached>) -> MutexGuard<'_, Reached> {
    reached.lock().unwrap_or_else(PoisonError::into_inner)
}

const HELD_BACK: &str = "waiting for message IDs (RFC 7252 §4.4)";

impl Reached {
    /// Takes a report in. If message IDs are waited for, and that is news: until when.
    fn take(&mut self, progress: Progress, offset: u64, now: Instant) -> Option<Instant> {
        let receives = progress.received > 0;
        if receives != self.receives {
            self.lately.clear();
        }
        self.receives = receives;
        self.position = match receives {
            true => offset + progress.received,
            false => progress.sent,
        };
        self.total = progress.total;
        if self.lately.back().is_none_or(|(at, _)| now - *at >= LOOK) {
            self.lately.push_back((now, self.position));
            let old = self
                .lately
                .iter()
                .take_while(|(at, _)| now - *at > WINDOW)
                .count();
            self.lately.drain(..old.saturating_sub(1));
        }
        let known = self.held_back.filter(|until| *until > now);
        let until = progress.held_back.map(|wait| now + wait);
        self.held_back = until.or(known);
        // The same wait is told of again and again.
        until.filter(|until| known.is_none_or(|known| *until > known + LOOK) && *until > now + PATIENCE)
    }

    /// Bytes a second lately, as soon as that can be told.
    fn rate(&self, now: Instant) -> Option<u64> {
        let (since, position) = *self.lately.front()?;
        let millis = u64::try_from((now - since).as_millis()).ok()?;
        let came = self.position.checked_sub(position).filter(|came| *came > 0)?;
        (millis >= 500).then(|| came.saturating_mul(1000) / millis)
    }

    /// What stands behind the bar: the rate and the time that is left, where they are known.
    fn pace(&self, now: Instant) -> String {
        let Some(rate) = self.rate(now) else {
            return String::new();
        };
        let mut pace = format!("{}/s", BinaryBytes(rate));
        if let Some(left) = self.total.and_then(|total| total.checked_sub(self.position)) {
            let left = HumanDuration(Duration::from_secs(left / rate.max(1)));
            // Writing to a string cannot fail.
            let _ = write!(pace, "  {left:#}");
        }
        pace
    }

    fn done(&self) -> String {
        let verb = if self.receives { "received" } else { "sent" };
        match (self.position, self.total) {
            (0, _) => "no answer has come".to_owned(),
            (position, Some(total)) => format!("{position} of {total} bytes {verb}"),
            (position, None) => format!("{position} bytes {verb}"),
        }
    }
}

fn show(bar: &ProgressBar, reached: &Reached) {
    let now = Instant::now();
    let held_back = reached.held_back.filter(|until| *until > now + PATIENCE);
    let template = match (reached.total, held_back) {
        (Some(_), None) => "{wide_bar} {bytes}/{total_bytes}  {msg}",
        (None, None) => "{spinner} {bytes}  {msg}",
        (Some(_), Some(_)) => "{wide_bar} {bytes}/{total_bytes}  {held_back}",
        (None, Some(_)) => "{spinner} {bytes}  {held_back}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        let until = held_back.unwrap_or(now);
        bar.set_style(
            style.with_key("held_back", move |_: &ProgressState, out: &mut dyn Write| {
                let seconds = until.saturating_duration_since(Instant::now()).as_secs();
                let _ = write!(out, "{HELD_BACK}, {seconds} s");
            }),
        );
    }
    match reached.total {
        Some(total) => bar.set_length(total),
        None => bar.unset_length(),
    }
    bar.set_position(reached.position);
    bar.set_message(reached.pace(now));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::ColorChoice;

    fn progress(sent: u64, received: u64, total: Option<u64>) -> Progress {
        let mut progress = Progress::default();
        (progress.sent, progress.received, progress.total) = (sent, received, total);
        progress
    }

    #[test]
    fn the_bar_follows_the_transfer() {
        let transfer = Transfer::new(0, &Console::new(false, true, ColorChoice::Never));
        let shown = |progress| {
            let mut reached = lock(&transfer.reached);
            reached.take(progress, 0, Instant::now());
            show(&transfer.bar, &reached);
            (transfer.bar.position(), transfer.bar.length())
        };
        assert_eq!(shown(progress(1024, 0, Some(4096))), (1024, Some(4096)));
        assert_eq!(shown(progress(1024, 2048, None)), (2048, None));
    }

    #[test]
    fn a_rate_is_told_when_there_is_one_and_is_that_of_what_came() {
        let (start, mut reached) = (Instant::now(), Reached::default());
        // What an earlier transfer has left came at no rate.
        let after = |millis| start + Duration::from_millis(millis);
        reached.take(progress(0, 1024, Some(4 << 20)), 1 << 20, start);
        assert_eq!(reached.pace(start), "");
        assert_eq!(reached.pace(after(2000)), "", "nothing came since");
        reached.take(progress(0, (1 << 20) + 1024, Some(4 << 20)), 1 << 20, after(2000));
        assert_eq!(reached.pace(after(2000)), "512.00 KiB/s  3s");
        assert_eq!(reached.done(), "2098176 of 4194304 bytes received");
        reached.take(progress(0, (1 << 20) + 1024, None), 1 << 20, after(2000));
        assert_eq!(reached.pace(after(2000)), "512.00 KiB/s");
        // Only what came lately counts.
        for second in 3..60 {
            reached.take(progress(0, (2 << 20) + 1024, None), 0, after(second * 1000));
        }
        assert_eq!(reached.rate(after(60_000)), None);
        assert!(reached.lately.len() < 20);
    }

    #[test]
    fn a_wait_for_message_ids_is_news_once() {
        let (start, mut reached) = (Instant::now(), Reached::default());
        let held_back = |seconds| {
            let mut progress = progress(4096, 0, None);
            progress.held_back = Some(Duration::from_secs(seconds));
            progress
        };
        assert!(reached.take(held_back(240), 0, start).is_some());
        let later = start + Duration::from_secs(15);
        // A block goes now and then.
        assert_eq!(reached.take(progress(5120, 0, None), 0, later), None);
        assert_eq!(reached.take(held_back(225), 0, later), None);
        assert!(reached.held_back.is_some());
        let over = start + Duration::from_secs(241);
        assert_eq!(reached.take(progress(5120, 0, None), 0, over), None);
        assert_eq!(reached.held_back, None);
        assert!(reached.take(held_back(200), 0, over).is_some());
    }

    #[test]
    fn what_was_done_is_told_in_bytes() {
        let mut reached = Reached::default();
        assert_eq!(reached.done(), "no answer has come");
        reached.take(progress(2048, 0, Some(4096)), 0, Instant::now());
        assert_eq!(reached.done(), "2048 of 4096 bytes sent");
    }
}
