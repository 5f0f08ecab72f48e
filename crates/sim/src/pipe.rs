//! What happens to the bytes of a connection on their way.

use std::time::Duration;

use coracle_wire::Framing;
use rand_chacha::ChaCha8Rng;

use crate::link::{chance, share};

/// How a network treats the bytes of connections (RFC 8323). What is written arrives, once and in order, until the
/// connection breaks.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Pipe {
    /// How messages lie on it.
    pub framing: Framing,
    /// How long bytes travel at least.
    pub latency: Duration,
    /// How much longer they may travel.
    pub jitter: Duration,
    /// Bytes that may be under way or wait to be read, in one direction. Then the writer waits. The message of a
    /// WebSocket is taken as a whole when there is any room.
    pub capacity: usize,
    /// The longest segment in bytes: what is written is cut into segments of any length up to it.
    pub segment: usize,
    /// The most bytes that are read at once.
    pub reads: usize,
    /// How long a reader pauses after each time.
    pub pause: Duration,
    /// The share of connections that break at some byte, 0 to 1.
    pub breaks: f64,
    /// At which byte of one direction they break at the latest.
    pub breaks_within: u64,
}

impl Pipe {
    /// Nothing breaks, nobody waits; 10 ms from end to end.
    #[must_use]
    pub const fn perfect(framing: Framing) -> Pipe {
        Pipe {
            framing,
            latency: Duration::from_millis(10),
            jitter: Duration::ZERO,
            capacity: 1 << 20,
            segment: 1 << 16,
            reads: 1 << 20,
            pause: Duration::ZERO,
            breaks: 0.0,
            breaks_within: 0,
        }
    }

    /// Sets [`latency`](Self::latency) and [`jitter`](Self::jitter).
    #[must_use]
    pub const fn with_travel(mut self, latency: Duration, jitter: Duration) -> Pipe {
        self.latency = latency;
        self.jitter = jitter;
        self
    }

    /// Sets [`capacity`](Self::capacity) and [`segment`](Self::segment).
    #[must_use]
    pub const fn with_capacity(mut self, capacity: usize, segment: usize) -> Pipe {
        self.capacity = capacity;
        self.segment = segment;
        self
    }

    /// Sets [`reads`](Self::reads) and [`pause`](Self::pause).
    #[must_use]
    pub const fn with_slow_readers(mut self, reads: usize, pause: Duration) -> Pipe {
        self.reads = reads;
        self.pause = pause;
        self
    }

    /// Sets [`breaks`](Self::breaks) and [`breaks_within`](Self::breaks_within).
    #[must_use]
    pub const fn with_breaks(mut self, share: f64, within: u64) -> Pipe {
        self.breaks = share;
        self.breaks_within = within;
        self
    }

    /// How long a segment travels.
    pub(crate) fn travel(&self, random: &mut ChaCha8Rng) -> Duration {
        self.latency + self.jitter.mul_f64(share(random))
    }

    /// How many of the bytes that are to be written go in the next segment.
    pub(crate) fn cut(&self, random: &mut ChaCha8Rng, len: usize) -> usize {
        len.min(1 + below(random, self.segment))
    }

    /// The byte of one direction at which a connection breaks, if it does; the second is true where the direction is
    /// that to who accepted it.
    pub(crate) fn draw_break(&self, random: &mut ChaCha8Rng) -> Option<(u64, bool)> {
        let (breaks, share) = (chance(random, self.breaks), share(random));
        // Early bytes more often: much happens there.
        let at = 1 + scaled(self.breaks_within, share * share);
        breaks.then(|| (at, chance(random, 0.5)))
    }
}

/// A number below a bound, which is at least 1.
pub(crate) fn below(random: &mut ChaCha8Rng, bound: usize) -> usize {
    usize::try_from(scaled(bound as u64, share(random))).unwrap_or(0)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a number of bytes"
)]
fn scaled(bound: u64, share: f64) -> u64 {
    (bound as f64 * share) as u64
}
