//! What came of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::Duration;

use coracle_wire::Status;
use hdrhistogram::Histogram;

/// Latencies up to this are told apart, in nanoseconds; longer ones count as this. Longer than MAX_TRANSMIT_WAIT.
const LONGEST: u64 = 300_000_000_000;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Tally {
    /// How long the run took.
    pub elapsed: Duration,
    /// From the intended moment of sending until the right answer, in nanoseconds; three decimal digits are exact.
    pub latency: Histogram<u64>,
    /// Requests that were begun, or outstanding when the run began.
    pub sent: u64,
    /// Those of them that were outstanding when the run ended.
    pub outstanding: u64,
    /// Right answers, all 2.xx.
    pub answered: u64,
    /// Response codes of all answers that belong to their requests, 2.xx and others. Those that only have a request
    /// sent anew are not among them: they are [`challenges`](Tally::challenges) and [`smaller`](Tally::smaller).
    pub codes: BTreeMap<Status, u64>,
    /// Answers that are not what the request calls for.
    pub wrong: BTreeMap<Wrong, u64>,
    /// What was wrong with the first of them, for people.
    pub first_wrong: Option<String>,
    /// Right answers whose payload is not that of the first, where that is no fault ([`Expect::Noted`]).
    ///
    /// [`Expect::Noted`]: crate::Expect::Noted
    pub changed: u64,
    /// How the first of them differed, for people.
    pub first_changed: Option<String>,
    /// Transmissions of confirmable requests after their first (RFC 7252 §4.2).
    pub retransmissions: u64,
    /// Answers to requests that are answered already.
    pub duplicates: u64,
    /// Answers to requests that were given up.
    pub late: u64,
    /// Datagrams, or messages on connections, that belong to no request.
    pub strays: u64,
    /// Requests that the server rejected with a Reset.
    pub resets: u64,
    /// Requests that were given up.
    pub timeouts: u64,
    /// Requests that went out anew with the Echo option that the server had asked for (RFC 9175 §2).
    pub challenges: u64,
    /// Uploads that began anew in the smaller blocks that the server had asked for (RFC 7959 §2.9.3).
    pub smaller: u64,
    /// Answers in confirmable messages of their own, rather than in Acknowledgements (RFC 7252 §5.2.2).
    pub separate: u64,
    /// Answers that are the first block of a longer body (RFC 7959 §2.4).
    pub partial: u64,
    /// Blocks of bodies that were transferred; a body in one message counts as one.
    pub blocks: u64,
    /// Bytes of these blocks.
    pub body_bytes: u64,
    /// ICMP errors and refusals of this machine.
    pub unreachable: u64,
    /// Connections that were opened.
    pub connections: u64,
    /// Connections that could not be opened, or ended.
    pub losses: BTreeMap<Loss, u64>,
    /// How the first of them ended, for people.
    pub first_loss: Option<String>,
    /// Requests that were outstanding on connections which ended.
    pub disconnected: u64,
    /// In open loop: how much later than intended requests were sent, in nanoseconds.
    pub lag: Histogram<u64>,
    /// In open loop: requests that were due but never sent, because none of those outstanding was answered.
    pub unsent: u64,
    /// Bytes of messages that were sent.
    pub bytes_out: u64,
    /// Bytes of messages that were received.
    pub bytes_in: u64,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally {
            elapsed: Duration::ZERO,
            latency: histogram(3),
            sent: 0,
            outstanding: 0,
            answered: 0,
            codes: BTreeMap::new(),
            wrong: BTreeMap::new(),
            first_wrong: None,
            changed: 0,
            first_changed: None,
            retransmissions: 0,
            duplicates: 0,
            late: 0,
            strays: 0,
            resets: 0,
            timeouts: 0,
            challenges: 0,
            smaller: 0,
            separate: 0,
            partial: 0,
            blocks: 0,
            body_bytes: 0,
            unreachable: 0,
            connections: 0,
            losses: BTreeMap::new(),
            first_loss: None,
            disconnected: 0,
            lag: histogram(2),
            unsent: 0,
            bytes_out: 0,
            bytes_in: 0,
        }
    }
}

impl Tally {
    /// Right answers a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 {
            self.answered as f64 / seconds
        } else {
            0.0
        }
    }

    /// Answers that are not what their requests call for.
    #[must_use]
    pub fn wrong_answers(&self) -> u64 {
        self.wrong.values().sum()
    }

    /// Answers with a code of an error.
    #[must_use]
    pub fn errors(&self) -> u64 {
        let errors = self.codes.iter().filter(|(status, _)| !status.is_success());
        errors.map(|(_, count)| count).sum()
    }

    /// In how much time `share` (0 to 1) of the right answers came.
    #[must_use]
    pub fn percentile(&self, share: f64) -> Duration {
        Duration::from_nanos(self.latency.value_at_quantile(share))
    }

    /// Adds what another thread counted meanwhile: the longer time counts.
    pub fn join(&mut self, other: &Tally) {
        self.elapsed = self.elapsed.max(other.elapsed);
        add(&mut self.latency, &other.latency);
        add(&mut self.lag, &other.lag);
        for (status, count) in &other.codes {
            *self.codes.entry(*status).or_default() += count;
        }
        for (wrong, count) in &other.wrong {
            *self.wrong.entry(*wrong).or_default() += count;
        }
        for (loss, count) in &other.losses {
            *self.losses.entry(*loss).or_default() += count;
        }
        if self.first_wrong.is_none() {
            self.first_wrong.clone_from(&other.first_wrong);
        }
        if self.first_loss.is_none() {
            self.first_loss.clone_from(&other.first_loss);
        }
        if self.first_changed.is_none() {
            self.first_changed.clone_from(&other.first_changed);
        }
        for (mine, theirs) in [
            (&mut self.sent, other.sent),
            (&mut self.outstanding, other.outstanding),
            (&mut self.changed, other.changed),
            (&mut self.smaller, other.smaller),
            (&mut self.answered, other.answered),
            (&mut self.retransmissions, other.retransmissions),
            (&mut self.duplicates, other.duplicates),
            (&mut self.late, other.late),
            (&mut self.strays, other.strays),
            (&mut self.resets, other.resets),
            (&mut self.timeouts, other.timeouts),
            (&mut self.challenges, other.challenges),
            (&mut self.separate, other.separate),
            (&mut self.partial, other.partial),
            (&mut self.blocks, other.blocks),
            (&mut self.body_bytes, other.body_bytes),
            (&mut self.unreachable, other.unreachable),
            (&mut self.connections, other.connections),
            (&mut self.disconnected, other.disconnected),
            (&mut self.unsent, other.unsent),
            (&mut self.bytes_out, other.bytes_out),
            (&mut self.bytes_in, other.bytes_in),
        ] {
            *mine += theirs;
        }
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        record(&mut self.latency, latency);
    }

    pub(crate) fn record_lag(&mut self, lag: Duration) {
        record(&mut self.lag, lag);
    }

    /// A right answer whose payload is another than that of the first.
    pub(crate) fn has_changed(&mut self, example: impl FnOnce() -> String) {
        self.changed += 1;
        if self.first_changed.is_none() {
            self.first_changed = Some(example());
        }
    }

    pub(crate) fn is_wrong(&mut self, wrong: Wrong, example: impl FnOnce() -> String) {
        *self.wrong.entry(wrong).or_default() += 1;
        if self.first_wrong.is_none() {
            self.first_wrong = Some(example());
        }
    }

    /// Connections that could not be opened, or ended.
    #[must_use]
    pub fn lost_connections(&self) -> u64 {
        self.losses.values().sum()
    }

    pub(crate) fn is_lost(&mut self, loss: Loss, told: &str) {
        *self.losses.entry(loss).or_default() += 1;
        if self.first_loss.is_none() {
            self.first_loss = Some(told.to_owned());
        }
    }
}

/// How a connection came to its end, or none came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Loss {
    /// It could not be opened: refused, or not answered, or the handshake of TLS or WebSocket failed.
    Unopened,
    /// The server sent no CSM, or something else first (RFC 8323 §5.3).
    NoCsm,
    /// What the server sent cannot be read, and it was told so in an Abort.
    Malformed,
    /// The server sent an Abort (RFC 8323 §5.6).
    Aborted,
    /// The server sent a Release (RFC 8323 §5.5), and all answers came.
    Released,
    /// The server closed it without a word of CoAP.
    Closed,
    /// It broke: reset, or the network failed.
    Broken,
}

impl Loss {
    /// What it is for a program that never heard the server.
    pub(crate) fn kind(self) -> io::ErrorKind {
        match self {
            Loss::NoCsm => io::ErrorKind::TimedOut,
            Loss::Unopened | Loss::Malformed => io::ErrorKind::InvalidData,
            Loss::Aborted | Loss::Released | Loss::Closed => io::ErrorKind::ConnectionAborted,
            Loss::Broken => io::ErrorKind::ConnectionReset,
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Loss::Unopened => "not opened",
            Loss::NoCsm => "without a CSM",
            Loss::Malformed => "malformed",
            Loss::Aborted => "aborted",
            Loss::Released => "released",
            Loss::Closed => "closed",
            Loss::Broken => "broken",
        })
    }
}

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Wrong {
    /// It is no CoAP message (RFC 7252 §3).
    Malformed,
    /// It came from another address than that of the server, or to another one than that of the request
    /// (RFC 7252 §5.3.2).
    Source,
    /// An Acknowledgement of a non-confirmable request (RFC 7252 §4.3).
    Type,
    /// A piggybacked response with another message ID (RFC 7252 §5.3.2).
    MessageId,
    /// The payload is not what it should be.
    Payload,
    /// Not the block that was asked for, or not an answer to the one that was sent (RFC 7959 §2.3).
    Block,
    /// A registration was answered without Observe (RFC 7641 §3.1).
    Observe,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Wrong::Malformed => "malformed",
            Wrong::Source => "from another address",
            Wrong::Type => "of another type",
            Wrong::MessageId => "with another message ID",
            Wrong::Payload => "with another payload",
            Wrong::Block => "with another block",
            Wrong::Observe => "without Observe",
        })
    }
}

/// A part of a run, for those who watch.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Which second of the run, from 0.
    pub second: u64,
    /// The run went on beyond it; otherwise it ended within this second.
    pub complete: bool,
    /// Right answers; of observers the notifications.
    pub answered: u64,
    /// Bytes of blocks that were transferred.
    pub body_bytes: u64,
    /// Answers with a code of an error.
    pub errors: BTreeMap<Status, u64>,
    /// Answers that end their requests and are wrong; of observers also registrations that the server ended.
    pub wrong: u64,
    /// Requests that were rejected or given up.
    pub lost: u64,
    /// Latencies of the right answers, in nanoseconds, as exact as those of the [`Tally`].
    pub latency: Histogram<u64>,
}

impl Sample {
    pub(crate) fn new(second: u64) -> Sample {
        Sample {
            second,
            complete: false,
            answered: 0,
            body_bytes: 0,
            errors: BTreeMap::new(),
            wrong: 0,
            lost: 0,
            latency: histogram(3),
        }
    }

    /// What came to an end otherwise than by a right answer.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.errors.values().sum::<u64>() + self.wrong + self.lost
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        self.answered += 1;
        record(&mut self.latency, latency);
    }

    /// Adds what another thread counted in the same second.
    pub fn join(&mut self, other: &Sample) {
        self.answered += other.answered;
        for (status, count) in &other.errors {
            *self.errors.entry(*status).or_default() += count;
        }
        self.wrong += other.wrong;
        self.lost += other.lost;
        self.body_bytes += other.body_bytes;
        add(&mut self.latency, &other.latency);
    }
}

/// From a nanosecond to [`LONGEST`].
fn histogram(digits: u8) -> Histogram<u64> {
    match Histogram::new_with_bounds(1, LONGEST, digits) {
        Ok(histogram) => histogram,
        Err(_) => unreachable!("the bounds are constant and sound"),
    }
}

fn record(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(LONGEST));
}

/// Both have the same bounds, so that there is nothing that does not fit.
fn add(to: &mut Histogram<u64>, from: &Histogram<u64>) {
    let _ = to.add(from);
}
