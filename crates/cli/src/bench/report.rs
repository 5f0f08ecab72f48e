//! What a run came to, as numbers for people, scripts and pictures.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use coracle_load::{Fanout, Histogram, Outcome, Sample, Tally};
use serde::Serialize;

use super::args::BenchArgs;
use super::change::Changed;

/// Steps of the distribution that a picture shows: so many nines.
const NINES: u32 = 6;

/// All about a run. Whatever is not in `before` or `after` is of the measured time: an answer counts if it came in it.
/// Times are in microseconds unless their name says otherwise.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) uri: String,
    pub(super) server: String,
    pub(super) what: String,
    pub(super) peers: u32,
    pub(super) outstanding: u16,
    pub(super) threads: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wanted_rate: Option<f64>,
    /// Ctrl-C ended it.
    pub(super) interrupted: bool,
    pub(super) seconds: f64,
    /// Begun in the measured time, or outstanding when it began.
    pub(super) sent: u64,
    /// Right answers; of observers the notifications.
    pub(super) answered: u64,
    pub(super) outstanding_at_end: u64,
    /// Right answers a second.
    pub(super) rate: f64,
    pub(super) bytes_out: u64,
    pub(super) bytes_in: u64,
    pub(super) latency_us: Times,
    pub(super) codes: BTreeMap<String, u64>,
    pub(super) wrong: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_wrong: Option<String>,
    /// Right answers whose payload is not that of the first.
    pub(super) changed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_changed: Option<String>,
    pub(super) counts: Counts,
    /// Where there are connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connections: Option<Connected>,
    /// Before the measured time; of observers their registration.
    pub(super) before: Part,
    /// What became of what was outstanding when the measured time was over; of observers their leaving.
    pub(super) after: Part,
    /// In open loop: how much later than intended requests were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lag_us: Option<Times>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) transfer: Option<Transferred>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) observe: Option<Observed>,
    pub(super) per_second: Vec<Second>,
    /// The latency that this share of the answers did not exceed.
    pub(super) distribution: Vec<(f64, f64)>,
}

/// What came outside of the measured time.
#[derive(Debug, Serialize)]
pub(super) struct Part {
    pub(super) seconds: f64,
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) outstanding_at_end: u64,
    pub(super) latency_us: Times,
    pub(super) codes: BTreeMap<String, u64>,
    pub(super) wrong: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_wrong: Option<String>,
    pub(super) counts: Counts,
}

/// What does not happen on a good day, and how many sources there were in all.
#[derive(Debug, Serialize)]
pub(super) struct Counts {
    pub(super) retransmissions: u64,
    pub(super) timeouts: u64,
    pub(super) resets: u64,
    pub(super) duplicates: u64,
    pub(super) late: u64,
    pub(super) strays: u64,
    pub(super) unreachable: u64,
    /// Requests that were outstanding on connections which ended.
    pub(super) disconnected: u64,
    pub(super) challenges: u64,
    pub(super) smaller: u64,
    pub(super) separate: u64,
    pub(super) partial: u64,
    pub(super) unsent: u64,
    pub(super) sources: u64,
}

/// Connections, in all of the run.
#[derive(Debug, Serialize)]
pub(super) struct Connected {
    /// Before anything was asked, in how much time, and how many that are a second.
    pub(super) opened: u64,
    pub(super) opening_seconds: f64,
    pub(super) opened_per_second: f64,
    /// Later, in the place of others.
    pub(super) opened_again: u64,
    /// Those that could not be opened or came to their end, by how, and the first in words.
    pub(super) lost: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_lost: Option<String>,
    /// Requests that were outstanding on them.
    pub(super) requests_lost: u64,
}

/// A distribution of times.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Times {
    pub(super) min: f64,
    pub(super) mean: f64,
    pub(super) stdev: f64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) p9999: f64,
    pub(super) max: f64,
}

/// Bodies block by block.
#[derive(Debug, Serialize)]
pub(super) struct Transferred {
    pub(super) blocks: u64,
    pub(super) body_bytes: u64,
    /// Bytes of bodies a second.
    pub(super) goodput: f64,
}

/// Observers and changes.
#[derive(Debug, Serialize)]
pub(super) struct Observed {
    pub(super) observers: u64,
    pub(super) wanted: u64,
    pub(super) registration_seconds: f64,
    pub(super) notifications: u64,
    pub(super) confirmable: u64,
    pub(super) repeats: u64,
    pub(super) outdated: u64,
    pub(super) ended: u64,
    pub(super) changes: Vec<Change>,
}

/// How one change spread.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    /// Since the first notification of all.
    pub(super) at_seconds: f64,
    pub(super) told: u64,
    /// From the first notification to the last.
    pub(super) spread_us: f64,
    /// From the PUT to the first and the last notification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_us: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_us: Option<f64>,
}

/// One second of the run.
#[derive(Debug, Serialize)]
pub(super) struct Second {
    pub(super) second: u64,
    #[serde(skip)]
    complete: bool,
    pub(super) answered: u64,
    /// Errors, wrong answers, and requests that were given up or rejected.
    pub(super) failed: u64,
    pub(super) body_bytes: u64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) max_us: f64,
}

impl Report {
    pub(super) fn new(
        args: &BenchArgs,
        server: SocketAddr,
        outcome: &Outcome,
        per_second: Vec<Second>,
        changed: &Changed,
        interrupted: bool,
    ) -> Report {
        let run = &outcome.tally;
        let before = match args.observe {
            true => &outcome.registered,
            false => &outcome.warm_up,
        };
        Report {
            uri: args.uri.clone(),
            server: server.to_string(),
            what: args.outline(),
            peers: args.peers,
            outstanding: args.outstanding,
            threads: args.threads,
            wanted_rate: args.rate,
            interrupted,
            seconds: run.elapsed.as_secs_f64(),
            sent: run.sent,
            answered: run.answered,
            outstanding_at_end: run.outstanding,
            rate: run.rate(),
            bytes_out: run.bytes_out,
            bytes_in: run.bytes_in,
            latency_us: Times::of(&run.latency),
            codes: counted(&run.codes),
            wrong: counted(&run.wrong),
            first_wrong: run.first_wrong.clone(),
            changed: run.changed,
            first_changed: run.first_changed.clone(),
            counts: Counts::of(run, outcome.sources),
            connections: args.is_on_connections().then(|| Connected::of(outcome)),
            before: Part::of(before, outcome.sources),
            after: Part::of(&outcome.rest, outcome.sources),
            lag_us: args.rate.map(|_| Times::of(&run.lag)),
            transfer: args.transfer.then(|| Transferred {
                blocks: run.blocks,
                body_bytes: run.body_bytes,
                goodput: run.body_bytes as f64 / run.elapsed.as_secs_f64().max(f64::EPSILON),
            }),
            observe: args.observe.then(|| Observed::of(args, outcome, changed)),
            per_second,
            distribution: distribution(&run.latency),
        }
    }
}

impl Part {
    fn of(tally: &Tally, sources: u64) -> Part {
        Part {
            seconds: tally.elapsed.as_secs_f64(),
            sent: tally.sent,
            answered: tally.answered,
            outstanding_at_end: tally.outstanding,
            latency_us: Times::of(&tally.latency),
            codes: counted(&tally.codes),
            wrong: counted(&tally.wrong),
            first_wrong: tally.first_wrong.clone(),
            counts: Counts::of(tally, sources),
        }
    }
}

fn counted<K: ToString>(counts: &BTreeMap<K, u64>) -> BTreeMap<String, u64> {
    counts
        .iter()
        .map(|(key, count)| (key.to_string(), *count))
        .collect()
}

/// The answers with a code of an error, of those by code.
pub(super) fn errors(codes: &BTreeMap<String, u64>) -> impl Iterator<Item = (&str, u64)> {
    let errors = codes.iter().filter(|(code, _)| !code.starts_with("2."));
    errors.map(|(code, count)| (code.as_str(), *count))
}

/// The latency at 0 %, 50 %, 75 %, 90 %, and so on in steps that become finer towards 100 %.
fn distribution(latency: &Histogram<u64>) -> Vec<(f64, f64)> {
    if latency.is_empty() {
        return Vec::new();
    }
    let steps = (0..NINES * 8).map(|step| 1.0 - 10_f64.powf(-f64::from(step) / 8.0));
    // Beyond the last answer there is nothing to show.
    let finest = 1.0 - 1.0 / latency.len() as f64;
    let shares = steps.take_while(|share| *share <= finest).chain([1.0]);
    shares
        .map(|share| (share, micros(latency.value_at_quantile(share))))
        .collect()
}

fn micros(nanos: u64) -> f64 {
    (nanos as f64 / 100.0).round() / 10.0
}

fn micros_of(time: Duration) -> f64 {
    micros(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

impl Times {
    fn of(times: &Histogram<u64>) -> Times {
        let at = |share| micros(times.value_at_quantile(share));
        if times.is_empty() {
            return Times::default();
        }
        Times {
            min: micros(times.min()),
            mean: (times.mean() / 100.0).round() / 10.0,
            stdev: (times.stdev() / 100.0).round() / 10.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: micros(times.max()),
        }
    }
}

impl Connected {
    fn of(outcome: &Outcome) -> Connected {
        let mut all = outcome.connected.clone();
        for part in [
            &outcome.warm_up,
            &outcome.registered,
            &outcome.tally,
            &outcome.rest,
        ] {
            all.join(part);
        }
        let (opened, time) = (outcome.connected.connections, outcome.connected.elapsed);
        Connected {
            opened,
            opening_seconds: time.as_secs_f64(),
            opened_per_second: opened as f64 / time.as_secs_f64().max(f64::EPSILON),
            opened_again: all.connections - opened,
            lost: counted(&all.losses),
            first_lost: all.first_loss,
            requests_lost: all.disconnected,
        }
    }
}

impl Counts {
    fn of(all: &Tally, sources: u64) -> Counts {
        Counts {
            retransmissions: all.retransmissions,
            timeouts: all.timeouts,
            resets: all.resets,
            duplicates: all.duplicates,
            late: all.late,
            strays: all.strays,
            unreachable: all.unreachable,
            disconnected: all.disconnected,
            challenges: all.challenges,
            smaller: all.smaller,
            separate: all.separate,
            partial: all.partial,
            unsent: all.unsent,
            sources,
        }
    }
}

impl Observed {
    fn of(args: &BenchArgs, outcome: &Outcome, changed: &Changed) -> Observed {
        let Fanout {
            notifications,
            confirmable,
            repeats,
            outdated,
            ended,
            waves,
            ..
        } = &outcome.fanout;
        let begin = waves.first().map(|wave| wave.first);
        let since = |from: Option<&Instant>, to: Instant| {
            from.and_then(|from| to.checked_duration_since(*from))
                .map(micros_of)
        };
        let changes = waves.iter().map(|wave| {
            let put = changed.get(&wave.payload);
            Change {
                at_seconds: since(begin.as_ref(), wave.first).unwrap_or_default() / 1e6,
                told: wave.told,
                spread_us: micros_of(wave.spread()),
                first_us: since(put, wave.first),
                last_us: since(put, wave.last),
            }
        });
        Observed {
            observers: outcome.observers,
            wanted: u64::from(args.peers) * u64::from(args.outstanding),
            registration_seconds: outcome.registered.elapsed.as_secs_f64(),
            notifications: *notifications,
            confirmable: *confirmable,
            repeats: *repeats,
            outdated: *outdated,
            ended: *ended,
            changes: changes.collect(),
        }
    }
}

/// The seconds of a run as its threads tell them.
pub(super) struct Seconds {
    threads: u32,
    /// Those that not all threads have told yet, and how many have.
    open: BTreeMap<u64, (Sample, u32)>,
    whole: Vec<Second>,
    over: u64,
}

impl Seconds {
    pub(super) fn new(threads: u32) -> Seconds {
        Seconds {
            threads,
            open: BTreeMap::new(),
            whole: Vec::new(),
            over: 0,
        }
    }

    /// Adds what a thread tells. Returns a second that is complete if this is the last thread to tell of it.
    pub(super) fn add(&mut self, sample: &Sample) -> Option<Sample> {
        self.over += sample.answered + sample.failed();
        let second = sample.second;
        match self.open.get_mut(&second) {
            Some((sum, threads)) => {
                sum.join(sample);
                *threads += 1;
            }
            None => drop(self.open.insert(second, (sample.clone(), 1))),
        }
        let complete = |(_, threads): &(Sample, u32)| *threads >= self.threads;
        if !self.open.get(&second).is_some_and(complete) {
            return None;
        }
        let (whole, _) = self.open.remove(&second)?;
        self.whole.push(Second::of(&whole));
        whole.complete.then_some(whole)
    }

    /// How many requests are over.
    pub(super) fn over(&self) -> u64 {
        self.over
    }

    /// All seconds in order. The second within which the run ended is among them only if there is no other: it would
    /// look like a fall.
    pub(super) fn end(mut self) -> Vec<Second> {
        self.whole.sort_by_key(|second| second.second);
        if self.whole.iter().any(|second| second.complete) {
            self.whole.retain(|second| second.complete);
        }
        self.whole
    }
}

impl Second {
    fn of(sample: &Sample) -> Second {
        Second {
            second: sample.second,
            complete: sample.complete,
            answered: sample.answered,
            failed: sample.failed(),
            body_bytes: sample.body_bytes,
            p50_us: micros(sample.latency.value_at_quantile(0.5)),
            p99_us: micros(sample.latency.value_at_quantile(0.99)),
            max_us: micros(sample.latency.max()),
        }
    }
}
