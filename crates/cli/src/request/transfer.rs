//! The progress bar of long transfers.

use std::time::{Duration, Instant};

use coracle::client::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console::Console;

/// Transfers that are shorter than this have no bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// Shows how far a transfer has come; on terminals only, and gone when dropped.
#[derive(Debug)]
pub(crate) struct Transfer {
    bar: ProgressBar,
}

impl Transfer {
    /// Nothing is shown yet.
    pub(crate) fn new() -> Transfer {
        Transfer {
            bar: ProgressBar::hidden(),
        }
    }

    /// What to call with bytes sent, bytes received and the length of the body under way.
    pub(crate) fn reporter(&self, console: &Console) -> impl FnMut(Progress) + Send + 'static {
        let bar = self.bar.clone();
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
                bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            show(&bar, if received > 0 { received } else { sent }, total);
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
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
