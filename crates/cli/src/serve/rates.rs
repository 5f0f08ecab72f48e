//! `--stats`: now and then a line of what was done since the last one.

use std::fmt::Write;
use std::time::{Duration, Instant, SystemTime};

use coracle::{DropReason, Statistics, StatisticsReader};
use indicatif::{DecimalBytes, HumanCount};

use crate::console::Console;
use crate::timestamp;

/// Tells it until the runtime ends.
pub(super) async fn tell(reader: StatisticsReader, every: Duration, console: Console) {
    // From its beginning on, whatever has come before this task ran for the first time.
    let (mut before, mut since) = (Statistics::default(), Instant::now());
    let mut quiet = true;
    loop {
        tokio::time::sleep(every).await;
        let now = reader.read().await;
        let line = line(&before, &now, since.elapsed());
        // That nothing happens is told once.
        let was_quiet = std::mem::replace(&mut quiet, is_quiet(&before, &now));
        if !(quiet && was_quiet) {
            console.note(&format!("{} {line}", timestamp::to_the_second(SystemTime::now())));
        }
        (before, since) = (now, Instant::now());
    }
}

/// Nothing came, nothing went, and nobody began or ended to observe or to be connected.
fn is_quiet(before: &Statistics, now: &Statistics) -> bool {
    let traffic = |of: &Statistics| {
        let engine = &of.engine;
        let datagrams = (engine.datagrams_in, engine.datagrams_out);
        let failed: u64 = of.security.failed.values().sum();
        (
            datagrams,
            engine.frames_in,
            engine.frames_out,
            failed,
            of.security.discarded,
        )
    };
    let standing = |of: &Statistics| {
        let sessions = (of.security.sessions, of.security.handshakes);
        (of.observers, of.connections, of.connections_accepted, sessions)
    };
    traffic(before) == traffic(now) && standing(before) == standing(now)
}

/// What was done between two readings: rates, then what there is now, then what went wrong, if anything did.
fn line(before: &Statistics, now: &Statistics, elapsed: Duration) -> String {
    let (old, new) = (&before.engine, &now.engine);
    // Shards that have ended take their counters with them.
    let more = |new: u64, old: u64| new.saturating_sub(old);
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = |new, old| more(new, old).saturating_mul(1000) / millis;
    let mut line = format!(
        "{} requests/s, {}/s in, {}/s out",
        each_second(more(new.requests, old.requests), millis),
        DecimalBytes(rate(new.bytes_in, old.bytes_in)),
        DecimalBytes(rate(new.bytes_out, old.bytes_out)),
    );
    // Writing to a string cannot fail.
    let notifications = more(new.notifications, old.notifications);
    if now.observers > 0 || notifications > 0 {
        let observers = HumanCount(now.observers);
        let _ = write!(
            line,
            ", {} notifications/s to {observers} observers",
            each_second(notifications, millis)
        );
    }
    let came = more(now.connections_accepted, before.connections_accepted);
    if now.connections > 0 || came > 0 {
        let (open, s) = (
            HumanCount(now.connections),
            if now.connections == 1 { "" } else { "s" },
        );
        let _ = write!(line, ", {open} connection{s} ({} new)", HumanCount(came));
    }
    tell_sessions(&mut line, before, now);
    let unproved_in = more(new.unproved_bytes_in, old.unproved_bytes_in);
    if unproved_in > 0 {
        let unproved_out = more(new.unproved_bytes_out, old.unproved_bytes_out);
        #[expect(clippy::cast_precision_loss, reason = "a ratio of counts")]
        let ratio = unproved_out as f64 / unproved_in as f64;
        let _ = write!(line, ", amplification {ratio:.2}");
    }
    let counts = [
        ("refused", more(new.refused, old.refused)),
        (
            "turned away",
            more(now.connections_refused, before.connections_refused),
        ),
        (
            "failed handshakes",
            more(now.handshakes_failed, before.handshakes_failed),
        ),
        ("challenged", more(new.challenges, old.challenges)),
        ("withheld", more(new.withheld, old.withheld)),
        ("sent again", more(new.retransmissions, old.retransmissions)),
        ("given up", more(new.given_up, old.given_up)),
        ("handed over", more(now.handed_over, before.handed_over)),
        (
            "lost between shards",
            more(now.handed_over_lost, before.handed_over_lost),
        ),
    ];
    for (what, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        let _ = write!(line, ", {} {what}", HumanCount(count));
    }
    tell_failed_sessions(&mut line, before, now);
    let dropped =
        DropReason::ALL.map(|reason| (reason.name(), more(new.dropped(reason), old.dropped(reason))));
    for (at, (why, count)) in dropped.into_iter().filter(|(_, count)| *count > 0).enumerate() {
        line.push_str(if at == 0 { "; dropped: " } else { ", " });
        let _ = write!(line, "{} {why}", HumanCount(count));
    }
    line
}

/// The sessions of `coaps`, if there are any or were.
fn tell_sessions(line: &mut String, before: &Statistics, now: &Statistics) {
    let (was, is) = (&before.security, &now.security);
    let handshakes = is.handshakes.saturating_sub(was.handshakes);
    if is.sessions == 0 && handshakes == 0 {
        return;
    }
    let s = if is.sessions == 1 { "" } else { "s" };
    // Writing to a string cannot fail.
    let _ = write!(
        line,
        ", {} session{s} ({} new)",
        HumanCount(is.sessions),
        HumanCount(handshakes)
    );
}

/// What went wrong with sessions: counts, then those that failed by the reason.
fn tell_failed_sessions(line: &mut String, before: &Statistics, now: &Statistics) {
    let (was, is) = (&before.security, &now.security);
    let counts = [
        ("moved sessions", is.moved.saturating_sub(was.moved)),
        ("records discarded", is.discarded.saturating_sub(was.discarded)),
        ("messages not sealed", is.not_sent.saturating_sub(was.not_sent)),
    ];
    for (what, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        // Writing to a string cannot fail, here as below.
        let _ = write!(line, ", {} {what}", HumanCount(count));
    }
    let more = |why, count: u64| count.saturating_sub(was.failed.get(why).copied().unwrap_or(0));
    let failed = is.failed.iter().map(|(why, count)| (*why, more(*why, *count)));
    for (at, (why, count)) in failed.filter(|(_, count)| *count > 0).enumerate() {
        line.push_str(if at == 0 { "; failed sessions: " } else { ", " });
        let _ = write!(line, "{} {why}", HumanCount(count));
    }
}

/// So many in so many milliseconds as a rate, whose tenths count when it is small.
fn each_second(count: u64, millis: u64) -> String {
    let tenths = (count.saturating_mul(10_000) + millis / 2) / millis;
    if tenths == 0 && count > 0 {
        return "under 0.1".to_owned();
    }
    match (tenths / 10, tenths % 10) {
        (whole @ 0..10, tenth @ 1..) => format!("{whole}.{tenth}"),
        (whole, tenth) => HumanCount(whole + u64::from(tenth >= 5)).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_server_says_little() {
        let none = Statistics::default();
        assert_eq!(
            line(&none, &none, Duration::from_secs(5)),
            "0 requests/s, 0 B/s in, 0 B/s out"
        );
    }

    #[test]
    fn a_small_rate_is_not_none() {
        let told = [
            (0, 10_000),
            (1, 60_000),
            (8, 10_000),
            (99, 10_000),
            (1_234_567, 1_000),
        ]
        .map(|(count, millis)| each_second(count, millis));
        assert_eq!(told, ["0", "under 0.1", "0.8", "9.9", "1,234,567"]);
    }

    #[test]
    fn what_came_or_went_is_news() {
        let (before, mut now) = (Statistics::default(), Statistics::default());
        assert!(is_quiet(&before, &now));
        now.engine.datagrams_in = 1;
        assert!(!is_quiet(&before, &now));
        (now.engine.datagrams_in, now.observers) = (0, 1);
        assert!(!is_quiet(&before, &now));
        (now.observers, now.engine.frames_in) = (0, 1);
        assert!(!is_quiet(&before, &now));
        (now.engine.frames_in, now.connections) = (0, 1);
        assert!(!is_quiet(&before, &now));
    }

    #[test]
    fn rates_are_those_since_the_last_line() {
        let (mut before, mut now) = (Statistics::default(), Statistics::default());
        before.engine.requests = 1_000_000;
        now.engine.requests = 1_012_346;
        now.engine.bytes_in = 3000;
        now.engine.unproved_bytes_in = 100;
        now.engine.unproved_bytes_out = 250;
        now.engine.refused = 7;
        now.observers = 12;
        now.engine.notifications = 24;
        assert_eq!(
            line(&before, &now, Duration::from_secs(2)),
            "6,173 requests/s, 1.50 kB/s in, 0 B/s out, 12 notifications/s to 12 observers, amplification 2.50, 7 refused"
        );
        (now.connections, now.connections_accepted, now.connections_refused) = (4, 1200, 3);
        let told = line(&before, &now, Duration::from_secs(2));
        assert!(
            told.contains(" observers, 4 connections (1,200 new), amplification"),
            "{told}"
        );
        assert!(told.ends_with("7 refused, 3 turned away"), "{told}");
        now.security.sessions = 2;
        now.security.handshakes = 5;
        now.security.moved = 1;
        now.security.failed.insert("wrong key or unknown identity", 3);
        now.security.failed.insert("no answer", 1);
        let told = line(&before, &now, Duration::from_secs(2));
        assert!(told.contains(", 2 sessions (5 new), amplification"), "{told}");
        let failed = ", 1 moved sessions; failed sessions: 1 no answer, 3 wrong key or unknown identity";
        assert!(told.ends_with(failed), "{told}");
        // A shard ended.
        assert!(line(&now, &before, Duration::from_secs(2)).starts_with("0 requests/s"));
    }
}
