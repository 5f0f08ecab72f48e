//! The progress bar of long transfers.

use std::pin::pin;
use std::time::{Duration, Instant};

use coracle::client::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console::Console;

/// Transfers that are shorter than this have no bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often the sign of waiting moves.
const TICK: Duration = Duration::from_millis(200);

/// An answer that takes longer than this is waited for visibly.
const SILENCE: Duration = Duration::from_secs(2);

/// Shows how far a transfer has come, or that an answer is waited for; on terminals only, and gone when dropped.
#[derive(Debug)]
pub(crate) struct Transfer {
    bar: ProgressBar,
    waiting: ProgressBar,
}

impl Transfer {
    /// Nothing is shown yet.
    pub(crate) fn new() -> Transfer {
        Transfer {
            bar: ProgressBar::hidden(),
            waiting: ProgressBar::hidden(),
        }
    }

    /// Waits for an answer for as long as `patience` says, and tells so when it takes its time.
    pub(crate) async fn wait<T>(
        &self,
        answer: impl Future<Output = T>,
        patience: &str,
        console: &Console,
    ) -> T {
        let mut answer = pin!(answer);
        if let Ok(answer) = tokio::time::timeout(SILENCE, &mut answer).await {
            return answer;
        }
        if console.err_is_terminal && !console.quiet && self.bar.is_hidden() {
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

    /// What to call with bytes sent, bytes received and the length of the body under way.
    pub(crate) fn reporter(&self, console: &Console) -> impl FnMut(Progress) + Send + 'static {
        self.reporter_from(0, console)
    }

    /// As [`Transfer::reporter`], where the first bytes of the answer's body are there already.
    pub(crate) fn reporter_from(
        &self,
        offset: u64,
        console: &Console,
    ) -> impl FnMut(Progress) + Send + 'static {
        let (bar, waiting) = (self.bar.clone(), self.waiting.clone());
        let wanted = console.err_is_terminal && !console.quiet;
        let started = Instant::now();
        move |Progress {
                  sent,
                  received,
                  total,
                  ..
              }| {
            if !wanted || started.elapsed() < PATIENCE {
                return;
            }
            if bar.is_hidden() {
                waiting.finish_and_clear();
                bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            show(&bar, if received > 0 { offset + received } else { sent }, total);
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.waiting.finish_and_clear();
        self.bar.finish_and_clear();
    }
}

fn show(bar: &ProgressBar, position: u64, total: Option<u64>) {
    if bar.length() != total {
        let template = match total {
            Some(_) => "{wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {eta}",
            None => "{spinner} {bytes}  {bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        match total {
            Some(total) => bar.set_length(total),
            None => bar.unset_length(),
        }
    }
    bar.set_position(position);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_follows_the_transfer() {
        let transfer = Transfer::new();
        show(&transfer.bar, 1024, Some(4096));
        assert_eq!(
            (transfer.bar.position(), transfer.bar.length()),
            (1024, Some(4096))
        );
        show(&transfer.bar, 2048, None);
        assert_eq!((transfer.bar.position(), transfer.bar.length()), (2048, None));
    }
}
