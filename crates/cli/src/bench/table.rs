//! What a run came to, for people.

use std::fmt::Write as _;

use coracle_load::Wrong;
use indicatif::{DecimalBytes, HumanCount};

use super::report::{Change, Observed, Report, Times, Transferred};
use crate::console::{Painter, Style, harmless_line};

/// Writing to a string cannot fail.
macro_rules! put {
    ($out:expr, $($arguments:tt)*) => {
        let _ = writeln!($out, $($arguments)*);
    };
}

/// The whole table.
pub(super) fn text(report: &Report, painter: Painter) -> String {
    let mut out = String::new();
    let early = if report.interrupted { ", interrupted" } else { "" };
    put!(
        out,
        "{}: {} for {:.1} s{early}\n",
        report.uri,
        report.what,
        report.seconds
    );
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
    put_times(&mut out, &format!("latency, {about}"), &report.latency_us);
    put_counts(&mut out, report);
    put_verdict(&mut out, report, painter);
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

fn put_requests(out: &mut String, report: &Report, painter: Painter) {
    let rate = format!("{}/s", HumanCount(whole(report.rate)));
    put!(
        out,
        "  answered        {} of {}, {}",
        HumanCount(report.answered),
        HumanCount(report.sent),
        painter.paint(Style::Strong, &rate)
    );
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
        "  transfers       {} whole, {} begun",
        HumanCount(report.answered),
        HumanCount(report.sent)
    );
    put!(
        out,
        "  bodies          {} in {} blocks, {}",
        DecimalBytes(transfer.body_bytes),
        HumanCount(transfer.blocks),
        painter.paint(Style::Strong, &goodput)
    );
}

fn put_observed(out: &mut String, report: &Report, observed: &Observed, painter: Painter) {
    put!(
        out,
        "  observers       {} of {} registered in {:.2} s",
        HumanCount(observed.observers),
        HumanCount(observed.wanted),
        observed.registration_seconds
    );
    let rate = format!("{}/s", HumanCount(whole(report.rate)));
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
    let codes = report.codes.iter();
    let codes: Vec<_> = codes
        .map(|(code, count)| format!("{code} {}", HumanCount(*count)))
        .collect();
    if !codes.is_empty() {
        put!(out, "  codes           {}", codes.join(", "));
    }
}

fn put_times(out: &mut String, what: &str, times: &Times) {
    if times.max <= 0.0 {
        return;
    }
    put!(out, "\n  {what}");
    let columns = [
        ("least", times.min),
        ("50 %", times.p50),
        ("90 %", times.p90),
        ("99 %", times.p99),
        ("99.9 %", times.p999),
        ("99.99 %", times.p9999),
        ("most", times.max),
    ];
    let heads = columns.map(|(head, _)| format!("{head:>9}"));
    let values = columns.map(|(_, value)| format!("{:>9}", micros(value)));
    put!(out, "  {}\n  {}", heads.join(" "), values.join(" "));
}

/// What does not happen on a good day; nothing on a good day.
fn put_counts(out: &mut String, report: &Report) {
    let counts = &report.counts;
    let told = [
        (
            counts.retransmissions,
            "requests sent again for want of an acknowledgement",
        ),
        (counts.timeouts, "requests given up"),
        (counts.resets, "requests rejected with a Reset"),
        (counts.unreachable, "errors of the network"),
        (counts.duplicates, "answers that came before"),
        (counts.late, "answers to requests that had been given up"),
        (counts.strays, "datagrams that belong to no request"),
        (
            counts.challenges,
            "requests sent anew with the Echo option that the server wanted",
        ),
        (counts.separate, "responses in messages of their own"),
        (
            counts.partial,
            "answers with the first block of a longer body (--transfer gets all)",
        ),
    ];
    let mut first = true;
    for (count, what) in told.into_iter().filter(|(count, _)| *count > 0) {
        if std::mem::take(&mut first) {
            put!(out, "");
        }
        put!(out, "  {:>9}  {what}", HumanCount(count).to_string());
    }
    let peers = u64::from(report.peers);
    if counts.sources > peers {
        let more = HumanCount(counts.sources - peers).to_string();
        put!(
            out,
            "  {more:>9}  more addresses or ports, because message IDs were used up"
        );
    }
}

fn put_verdict(out: &mut String, report: &Report, painter: Painter) {
    let wrong: u64 = report.wrong.values().sum();
    if wrong > 0 {
        let kinds = report.wrong.iter();
        let kinds: Vec<_> = kinds
            .map(|(kind, count)| format!("{} {kind}", HumanCount(*count)))
            .collect();
        let plural = if wrong == 1 { "" } else { "s" };
        let told = format!("{} wrong answer{plural}", HumanCount(wrong));
        put!(
            out,
            "\n  {}: {}",
            painter.paint(Style::Bad, &told),
            kinds.join(", ")
        );
        if let Some(first) = &report.first_wrong {
            put!(out, "  the first: {}", harmless_line(first));
        }
        if report.wrong.contains_key(&Wrong::Payload.to_string()) && report.transfer.is_none() {
            put!(out, "  (a resource that changes by itself wants --any-payload)");
        }
    } else if report.codes.is_empty() {
        put!(out, "\n  {}", painter.paint(Style::Bad, "nothing was answered"));
    } else if report.answered == 0 && report.observe.is_none() {
        put!(
            out,
            "\n  {}",
            painter.paint(Style::Bad, "every answer was an error")
        );
    } else {
        put!(out, "\n  {}", painter.paint(Style::Good, "no answer was wrong"));
    }
}

/// A time for people, from nanoseconds.
pub(super) fn time(nanos: u64) -> String {
    micros(nanos as f64 / 1000.0)
}

/// A time for people, from microseconds.
pub(super) fn micros(micros: f64) -> String {
    match micros {
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
    fn times_have_two_to_four_digits() {
        let shown = [5.04, 99.96, 999.6, 12_345.0, 123_456.0, 2_500_000.0].map(micros);
        assert_eq!(
            shown,
            ["5.0 µs", "100 µs", "1.00 ms", "12.35 ms", "123 ms", "2.50 s"]
        );
    }
}
