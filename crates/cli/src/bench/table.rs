//! What a run came to, for people.

use std::fmt::Write as _;

use indicatif::{DecimalBytes, HumanCount};

use super::report::{Change, Connected, Counts, Observed, Part, Report, Times, Transferred, errors};
use super::verdict;
use crate::console::{Painter, Style};

/// Writing to a string cannot fail.
macro_rules! put {
    ($out:expr, $($arguments:tt)*) => {
        let _ = writeln!($out, $($arguments)*);
    };
}

/// What the line of all latencies takes; on narrower terminals each has a line.
const LATENCIES: usize = 71;

/// The whole table, for so many columns.
pub(super) fn text(report: &Report, painter: Painter, columns: usize) -> String {
    let mut out = String::new();
    let early = if report.interrupted { ", interrupted" } else { "" };
    put!(
        out,
        "{}: {} for {}{early}\n",
        report.uri,
        report.what,
        match report.seconds >= 0.95 {
            true => format!("{:.1} s", report.seconds),
            false => micros(report.seconds * 1e6),
        }
    );
    if let Some(connected) = &report.connections {
        put_connected(&mut out, connected);
    }
    match (&report.observe, &report.transfer) {
        (Some(observed), _) => put_observed(&mut out, report, observed, painter),
        (None, Some(transfer)) => put_transfer(&mut out, report, transfer, painter),
        (None, None) => put_requests(&mut out, report, painter),
    }
    put_codes(&mut out, report);
    let out_rate = rate_of(report.bytes_out, report.seconds);
    let in_rate = rate_of(report.bytes_in, report.seconds);
    put!(out, "  traffic         {out_rate}/s out, {in_rate}/s in");
    let about = match (&report.observe, &report.transfer, report.wanted_rate) {
        (Some(_), ..) => "after the first notification of the change",
        (None, Some(_), _) => "of whole transfers",
        (None, None, Some(_)) => "from when requests were due until their answers",
        _ => "from request to answer",
    };
    put_times(
        &mut out,
        &format!("latency, {about}"),
        &report.latency_us,
        columns,
    );
    put_counts(&mut out, report);
    put_parts(&mut out, report);
    verdict::put(&mut out, report, painter);
    out
}

fn rate_of(bytes: u64, seconds: f64) -> DecimalBytes {
    DecimalBytes(whole(bytes as f64 / seconds.max(f64::EPSILON)))
}

/// A rate or count without its fraction.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "no rate is negative, and those beyond the range are its end"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

/// A rate for people; a small one with a fraction.
pub(super) fn each_second(rate: f64) -> String {
    match rate < 9.95 && rate > 0.0 {
        true => format!("{rate:.2}/s"),
        false => format!("{}/s", HumanCount(whole(rate))),
    }
}

fn put_connected(out: &mut String, connected: &Connected) {
    put!(
        out,
        "  connections     {} opened in {}, {}",
        HumanCount(connected.opened),
        micros(connected.opening_seconds * 1e6),
        each_second(connected.opened_per_second)
    );
    if connected.opened_again > 0 {
        put!(
            out,
            "  opened again    {} later, in the place of those that ended",
            HumanCount(connected.opened_again)
        );
    }
}

fn put_requests(out: &mut String, report: &Report, painter: Painter) {
    let rate = each_second(report.rate);
    let rate = painter.paint(Style::Strong, &rate);
    let answers = report.codes.values().sum();
    let over = report.sent - report.outstanding_at_end;
    let answered = format!("{} of {}", HumanCount(answers), HumanCount(over));
    match answers == report.answered {
        true => {
            put!(out, "  answered        {answered}, {rate}");
        }
        false => {
            put!(out, "  answered        {answered}");
            put!(out, "  right           {}, {rate}", HumanCount(report.answered));
        }
    }
    put_outstanding(out, report);
    if report.counts.unsent > 0 {
        put!(
            out,
            "  never sent      {} that were due: the server, or this machine, is slower than the rate",
            HumanCount(report.counts.unsent)
        );
    }
    if let Some(lag) = report.lag_us.as_ref().filter(|lag| lag.p99 > 1000.0) {
        put!(
            out,
            "  sent late       1 % by {} or more: no peer was free, or this machine is too slow for the rate",
            micros(lag.p99)
        );
    }
}

fn put_transfer(out: &mut String, report: &Report, transfer: &Transferred, painter: Painter) {
    let goodput = format!("{}/s", DecimalBytes(whole(transfer.goodput)));
    put!(
        out,
        "  transfers       {} of {} whole and right",
        HumanCount(report.answered),
        HumanCount(report.sent - report.outstanding_at_end)
    );
    put_outstanding(out, report);
    put!(
        out,
        "  bodies          {} in {} blocks, {}",
        DecimalBytes(transfer.body_bytes),
        HumanCount(transfer.blocks),
        painter.paint(Style::Strong, &goodput)
    );
}

/// What was under way at the end of the measured time.
fn put_outstanding(out: &mut String, report: &Report) {
    let Part {
        outstanding_at_end: left,
        counts,
        latency_us,
        ..
    } = &report.after;
    let all = report.outstanding_at_end;
    if all == 0 {
        return;
    }
    let answered = all.saturating_sub(left + counts.timeouts + counts.resets + counts.disconnected);
    let told = match answered {
        0 => "none answered since".to_owned(),
        _ if answered == all => "all answered since".to_owned(),
        _ => format!("{} answered since", HumanCount(answered)),
    };
    let slowest = match latency_us.max > 0.0 {
        true => format!(", the slowest after {}", micros(latency_us.max)),
        false => String::new(),
    };
    put!(
        out,
        "  outstanding     {} at the end, {told}{slowest}",
        HumanCount(all)
    );
}

fn put_observed(out: &mut String, report: &Report, observed: &Observed, painter: Painter) {
    put!(
        out,
        "  observers       {} of {} registered in {}",
        HumanCount(observed.observers),
        HumanCount(observed.wanted),
        micros(observed.registration_seconds * 1e6)
    );
    let refused: Vec<_> = errors(&report.before.codes).map(named).collect();
    if !refused.is_empty() {
        put!(out, "  refused         {}", refused.join(", "));
    }
    let rate = each_second(report.rate);
    put!(
        out,
        "  notifications   {}, {}; {} confirmable, {} repeated, {} out of order",
        HumanCount(observed.notifications),
        painter.paint(Style::Strong, &rate),
        HumanCount(observed.confirmable),
        HumanCount(observed.repeats),
        HumanCount(observed.outdated)
    );
    if observed.ended > 0 {
        put!(
            out,
            "  ended           {} by the server",
            HumanCount(observed.ended)
        );
    }
    let whole = observed
        .changes
        .iter()
        .filter(|change| change.told >= observed.observers);
    put!(
        out,
        "  changes         {}, of which {} reached all",
        HumanCount(observed.changes.len() as u64),
        HumanCount(whole.count() as u64)
    );
    let spread = |change: &Change| Some(change.spread_us);
    put_spread(out, "first to last", observed, spread);
    put_spread(out, "PUT to first", observed, |change| change.first_us);
    put_spread(out, "PUT to last", observed, |change| change.last_us);
}

fn put_spread(out: &mut String, what: &str, observed: &Observed, of: impl Fn(&Change) -> Option<f64>) {
    let mut times: Vec<f64> = observed.changes.iter().filter_map(of).collect();
    times.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (times.first(), times.last()) else {
        return;
    };
    let median = times.get((times.len() - 1) / 2).copied().unwrap_or_default();
    put!(
        out,
        "    {what:13} median {}, {} to {}",
        micros(median),
        micros(*least),
        micros(*most)
    );
}

fn put_codes(out: &mut String, report: &Report) {
    let codes = report.codes.iter().map(|(code, count)| (code.as_str(), *count));
    let codes: Vec<_> = codes.map(named).collect();
    if !codes.is_empty() {
        put!(out, "  codes           {}", codes.join(", "));
    }
}

/// `2.05 Content 12,345`.
pub(super) fn named((code, count): (&str, u64)) -> String {
    format!("{code} {}", HumanCount(count))
}

fn put_times(out: &mut String, what: &str, times: &Times, columns: usize) {
    if times.max <= 0.0 {
        return;
    }
    put!(out, "\n  {what}");
    let told = [
        ("least", times.min),
        ("50 %", times.p50),
        ("90 %", times.p90),
        ("99 %", times.p99),
        ("99.9 %", times.p999),
        ("99.99 %", times.p9999),
        ("most", times.max),
    ];
    if columns < LATENCIES {
        for (head, value) in told {
            put!(out, "  {head:>9} {:>9}", micros(value));
        }
        return;
    }
    let heads = told.map(|(head, _)| format!("{head:>9}"));
    let values = told.map(|(_, value)| format!("{:>9}", micros(value)));
    put!(out, "  {}\n  {}", heads.join(" "), values.join(" "));
}

/// What does not happen on a good day; nothing on a good day.
fn put_counts(out: &mut String, report: &Report) {
    put_told(out, "", &report.counts);
    let peers = u64::from(report.peers);
    if report.connections.is_none() && report.counts.sources > peers {
        let more = HumanCount(report.counts.sources - peers).to_string();
        put!(
            out,
            "  {more:>9}  more addresses or ports, because message IDs were used up"
        );
    }
}

/// What happened outside of the measured time, where it is worth telling.
fn put_parts(out: &mut String, report: &Report) {
    if report.observe.is_some() {
        put_told(out, "at registration:", &report.before.counts);
    }
    let after = Counts {
        // These are told where the outstanding requests are, or of the measured time.
        timeouts: 0,
        resets: 0,
        disconnected: 0,
        separate: 0,
        ..report.after.counts
    };
    put_told(out, "after the end:", &after);
}

/// A table of what was counted, below its head; nothing of what was not.
fn put_told(out: &mut String, head: &str, counts: &Counts) {
    let told = [
        (
            counts.retransmissions,
            "requests sent again for want of an acknowledgement",
        ),
        (counts.timeouts, "requests given up"),
        (counts.resets, "requests rejected with a Reset"),
        (counts.unreachable, "errors of the network"),
        (
            counts.disconnected,
            "requests whose connections ended before the answer",
        ),
        (counts.duplicates, "answers that came before"),
        (counts.late, "answers to requests that had been given up"),
        (counts.strays, "messages that belong to no request"),
        (
            counts.challenges,
            "requests sent anew with the Echo option that the server wanted",
        ),
        (
            counts.smaller,
            "uploads begun anew in the smaller blocks that the server wanted",
        ),
        (
            counts.separate,
            "answers in confirmable messages of their own, not in Acknowledgements",
        ),
        (
            counts.partial,
            "answers with the first block of a longer body (--transfer gets all)",
        ),
    ];
    let mut first = true;
    for (count, what) in told.into_iter().filter(|(count, _)| *count > 0) {
        if std::mem::take(&mut first) {
            put!(out, "");
            if !head.is_empty() {
                put!(out, "  {head}");
            }
        }
        put!(out, "  {:>9}  {what}", HumanCount(count).to_string());
    }
}

/// A time for people, from nanoseconds.
pub(super) fn time(nanos: u64) -> String {
    micros(nanos as f64 / 1000.0)
}

/// A time for people, from microseconds.
pub(super) fn micros(micros: f64) -> String {
    match micros {
        // What comes from the socket in one go has one time, which some of these are the distance from.
        _ if micros < 0.95 => "< 1 µs".to_owned(),
        _ if micros < 99.95 => format!("{micros:.1} µs"),
        _ if micros < 999.5 => format!("{micros:.0} µs"),
        _ if micros < 99_950.0 => format!("{:.2} ms", micros / 1e3),
        _ if micros < 999_500.0 => format!("{:.0} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_fit_narrow_terminals() {
        let times = Times {
            min: 5.0,
            max: 1234.0,
            ..Times::default()
        };
        let (mut wide, mut narrow) = (String::new(), String::new());
        put_times(&mut wide, "latency", &times, LATENCIES);
        put_times(&mut narrow, "latency", &times, LATENCIES - 1);
        let longest = |text: &str| text.lines().map(|line| line.chars().count()).max();
        assert_eq!((longest(&wide), wide.lines().count()), (Some(LATENCIES), 4));
        assert_eq!(narrow.lines().count(), 9);
        assert!(
            narrow.starts_with("\n  latency\n      least    5.0 µs\n"),
            "{narrow}"
        );
    }

    #[test]
    fn small_rates_have_a_fraction() {
        let rates = [0.0, 0.25, 9.0, 10.2, 12_345.6].map(each_second);
        assert_eq!(rates, ["0/s", "0.25/s", "9.00/s", "10/s", "12,346/s"]);
    }

    #[test]
    fn times_have_two_to_four_digits() {
        let shown = [0.0, 1.0, 5.04, 99.96, 999.6, 12_345.0, 123_456.0, 2_500_000.0].map(micros);
        assert_eq!(
            shown,
            [
                "< 1 µs", "1.0 µs", "5.0 µs", "100 µs", "1.00 ms", "12.35 ms", "123 ms", "2.50 s"
            ]
        );
    }
}
