//! `--svg`: latencies and rates as a picture, for light and dark pages.

use std::fmt::Write as _;

use indicatif::{DecimalBytes, HumanCount};

use super::report::{Report, Second, errors};
use super::table::{each_second, micros};

/// The picture, in its own units.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 800.0;

/// Where plots begin and end.
const LEFT: f64 = 84.0;
const RIGHT: f64 = WIDTH - 24.0;

/// The plots by their upper edges and heights.
const DISTRIBUTION: (f64, f64) = (118.0, 240.0);
const RATE: (f64, f64) = (436.0, 120.0);
const OVER_TIME: (f64, f64) = (634.0, 120.0);

const STYLE: &str = "\
:root{color-scheme:light dark}\
svg{background:#fff;font:13px system-ui,sans-serif}\
text{fill:#334155}.title{font-size:19px;font-weight:600;fill:#0f172a}.head{font-weight:600;fill:#0f172a}\
.grid{stroke:#e2e8f0}.axis{stroke:#94a3b8}\
.a{stroke:#2563eb}.b{stroke:#d97706}.c{stroke:#dc2626}.fa{fill:#2563eb}.fb{fill:#d97706}.fc{fill:#dc2626}\
.area{fill:#2563eb;fill-opacity:.13}polyline{fill:none;stroke-width:2;stroke-linejoin:round}\
@media(prefers-color-scheme:dark){svg{background:#0f172a}text{fill:#cbd5e1}.title,.head{fill:#f8fafc}\
.grid{stroke:#1e293b}.axis{stroke:#64748b}.a{stroke:#60a5fa}.b{stroke:#fbbf24}.c{stroke:#f87171}\
.fa{fill:#60a5fa}.fb{fill:#fbbf24}.fc{fill:#f87171}.area{fill:#60a5fa}}";

/// Writing to a string cannot fail.
macro_rules! put {
    ($out:expr, $($arguments:tt)*) => {
        let _ = writeln!($out, $($arguments)*);
    };
}

/// The whole picture.
pub(super) fn draw(report: &Report) -> String {
    let mut out = String::new();
    put!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">"#
    );
    let title = escaped(&report.uri);
    put!(out, "<title>Load on {title}</title>\n<style>{STYLE}</style>");
    put!(out, r#"<text class="title" x="24" y="38">{title}</text>"#);
    put!(out, r#"<text x="24" y="62">{}</text>"#, escaped(&summary(report)));
    distribution(&mut out, report);
    rate(&mut out, report);
    over_time(&mut out, report);
    out.push_str("</svg>\n");
    out
}

fn summary(report: &Report) -> String {
    let what = match (&report.observe, &report.transfer) {
        (Some(observed), _) => format!(
            "notifications {} to {} observers",
            each_second(report.rate),
            HumanCount(observed.observers)
        ),
        (None, Some(transfer)) => format!("{}/s", DecimalBytes(whole(transfer.goodput))),
        (None, None) => format!("right answers {}", each_second(report.rate)),
    };
    let wrong: u64 = report.wrong.values().sum();
    let mut wrong = match wrong {
        0 => String::new(),
        count => format!(", {} wrong", HumanCount(count)),
    };
    for (code, count) in errors(&report.codes) {
        wrong.push_str(&format!(", {} {code}", HumanCount(count)));
    }
    let again = HumanCount(report.counts.retransmissions);
    format!(
        "{}, {:.1} s: {what}, {again} sent again{wrong}",
        report.what, report.seconds
    )
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "no rate is negative, and those beyond the range are its end"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

/// Latency over the share of answers, which is stretched towards 100 %: each nine takes as much room.
fn distribution(out: &mut String, report: &Report) {
    let (top, height) = DISTRIBUTION;
    let about = match report.observe {
        Some(_) => "after the first notification of the change",
        None => "by share of the answers",
    };
    head(out, top, &format!("Latency {about}"));
    let (Some(first), Some(last)) = (report.distribution.first(), report.distribution.last()) else {
        nothing(out, top, height);
        return;
    };
    // One answer that is much faster than all others takes no room from them.
    let least = first.1.max(report.latency_us.p50 / 1e3);
    let scale = Decades::of(least, last.1, top, height);
    scale.grid(out);
    // The last point stands for the slowest answer, at the right edge.
    let nines = |share: f64| -(1.0 - share).max(1e-12).log10();
    let before_last = report
        .distribution
        .iter()
        .rev()
        .nth(1)
        .map_or(0.0, |point| nines(point.0));
    let end = (before_last + 0.15).max(0.5);
    let x = |share: f64| LEFT + (RIGHT - LEFT) * (nines(share).min(end) / end);
    for (share, name) in [
        (0.0, "0 %"),
        (0.5, "50 %"),
        (0.9, "90 %"),
        (0.99, "99 %"),
        (0.999, "99.9 %"),
        (0.9999, "99.99 %"),
        (0.99999, "99.999 %"),
        (0.999_999, "99.9999 %"),
    ] {
        if nines(share) <= end {
            vertical(out, x(share), top, height, name);
        }
    }
    let points: Vec<_> = report
        .distribution
        .iter()
        .map(|(share, latency)| (x(*share), scale.y(*latency)))
        .collect();
    area(out, &points, top + height);
    line(out, "a", &points);
    for (share, latency) in [(0.5, report.latency_us.p50), (0.99, report.latency_us.p99)] {
        if nines(share) < end {
            dot(out, x(share), scale.y(latency), &escaped(&micros(latency)));
        }
    }
}

/// What was done each second.
fn rate(out: &mut String, report: &Report) {
    let (top, height) = RATE;
    let (name, of): (_, fn(&Second) -> f64) = match (&report.observe, &report.transfer) {
        (Some(_), _) => ("Notifications each second", |second| second.answered as f64),
        (None, Some(_)) => ("Bytes of bodies each second", |second| second.body_bytes as f64),
        _ => ("Answers each second", |second| second.answered as f64),
    };
    head(out, top, name);
    let most = report.per_second.iter().map(of).fold(0.0, f64::max);
    let steps = nice(most);
    let y = |value: f64| top + height * (1.0 - value / (steps * 4.0));
    for step in 0..=4 {
        let value = steps * f64::from(step);
        horizontal(out, y(value), &short(value));
    }
    let x = seconds(out, report, top, height);
    let points: Vec<_> = report
        .per_second
        .iter()
        .map(|second| (x(second.second), y(of(second))))
        .collect();
    area(out, &points, top + height);
    line(out, "a", &points);
    let failed = |second: &Second| second.failed as f64;
    if report.per_second.iter().any(|second| second.failed > 0) {
        let points: Vec<_> = report
            .per_second
            .iter()
            .map(|second| (x(second.second), y(failed(second))))
            .collect();
        line(out, "c", &points);
        legend(out, top, &[("a", "right"), ("c", "failed")]);
    }
}

/// Latencies each second.
fn over_time(out: &mut String, report: &Report) {
    let (top, height) = OVER_TIME;
    head(out, top, "Latency each second");
    let told: Vec<_> = report
        .per_second
        .iter()
        .filter(|second| second.max_us > 0.0)
        .collect();
    let least = told.iter().map(|second| second.p50_us).fold(f64::MAX, f64::min);
    let most = told.iter().map(|second| second.max_us).fold(0.0, f64::max);
    if told.is_empty() {
        nothing(out, top, height);
        return;
    }
    let scale = Decades::of(least, most, top, height);
    scale.grid(out);
    let x = seconds(out, report, top, height);
    let mut curve = |class, of: fn(&Second) -> f64| {
        let points: Vec<_> = told
            .iter()
            .map(|second| (x(second.second), scale.y(of(second))))
            .collect();
        line(out, class, &points);
    };
    curve("a", |second| second.p50_us);
    curve("b", |second| second.p99_us);
    curve("c", |second| second.max_us);
    legend(out, top, &[("a", "median"), ("b", "99 %"), ("c", "slowest")]);
}

/// A logarithmic axis of times.
struct Decades {
    low: f64,
    high: f64,
    top: f64,
    height: f64,
}

impl Decades {
    /// Whole decades around these microseconds.
    fn of(least: f64, most: f64, top: f64, height: f64) -> Decades {
        let low = least.max(0.1).log10().floor();
        Decades {
            low,
            high: most.max(0.2).log10().ceil().max(low + 1.0),
            top,
            height,
        }
    }

    fn y(&self, micros: f64) -> f64 {
        let share = (micros.max(0.1).log10() - self.low) / (self.high - self.low);
        self.top + self.height * (1.0 - share.clamp(0.0, 1.0))
    }

    fn grid(&self, out: &mut String) {
        let mut decade = self.low;
        while decade <= self.high {
            let value = 10_f64.powf(decade);
            horizontal(out, self.y(value), &round_time(value));
            decade += 1.0;
        }
    }
}

/// The axis of seconds; returns where the middle of each is.
fn seconds(out: &mut String, report: &Report, top: f64, height: f64) -> impl Fn(u64) -> f64 + use<> {
    let count = report.per_second.len().max(1) as f64;
    let step = nice(count / 2.0).max(1.0);
    let mut at = 0.0;
    while at <= count {
        let x = LEFT + (RIGHT - LEFT) * at / count;
        vertical(out, x, top, height, &format!("{at:.0} s"));
        at += step;
    }
    move |second| LEFT + (RIGHT - LEFT) * (second as f64 + 0.5) / count
}

/// A quarter of `most` or a little more, as 1, 2, 2.5 or 5 times a power of ten.
fn nice(most: f64) -> f64 {
    let quarter = (most / 4.0).max(f64::MIN_POSITIVE);
    let decade = 10_f64.powf(quarter.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    let step = steps.into_iter().find(|step| step * decade >= quarter * 0.999);
    if most > 0.0 {
        step.unwrap_or(10.0) * decade
    } else {
        1.0
    }
}

/// `1.5M`, `20k`, `300`.
fn short(value: f64) -> String {
    let (value, unit) = match value {
        _ if value >= 1e9 => (value / 1e9, "G"),
        _ if value >= 1e6 => (value / 1e6, "M"),
        _ if value >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    format!("{}{unit}", (value * 100.0).round() / 100.0)
}

/// A power of ten of microseconds.
fn round_time(micros: f64) -> String {
    match micros {
        _ if micros < 0.999 => format!("{micros:.1} µs"),
        _ if micros < 999.0 => format!("{micros:.0} µs"),
        _ if micros < 999_000.0 => format!("{:.0} ms", micros / 1e3),
        _ => format!("{:.0} s", micros / 1e6),
    }
}

fn head(out: &mut String, top: f64, text: &str) {
    let y = top - 16.0;
    put!(out, r#"<text class="head" x="24" y="{y}">{text}</text>"#);
}

fn nothing(out: &mut String, top: f64, height: f64) {
    let y = top + height / 2.0;
    put!(out, r#"<text x="{LEFT}" y="{y}">nothing was answered</text>"#);
}

fn horizontal(out: &mut String, y: f64, name: &str) {
    let (x, below) = (LEFT - 8.0, y + 4.0);
    put!(
        out,
        r#"<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1}" y2="{y:.1}"/>"#
    );
    put!(
        out,
        r#"<text x="{x}" y="{below:.1}" text-anchor="end">{name}</text>"#
    );
}

fn vertical(out: &mut String, x: f64, top: f64, height: f64, name: &str) {
    let (bottom, below) = (top + height, top + height + 20.0);
    put!(
        out,
        r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{top}" y2="{bottom}"/>"#
    );
    put!(
        out,
        r#"<text x="{x:.1}" y="{below}" text-anchor="middle">{name}</text>"#
    );
}

fn coordinates(points: &[(f64, f64)]) -> String {
    let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    points.join(" ")
}

fn line(out: &mut String, class: &str, points: &[(f64, f64)]) {
    // One point is no line.
    if let [(x, y)] = points {
        put!(out, r#"<circle class="f{class}" cx="{x:.1}" cy="{y:.1}" r="3"/>"#);
        return;
    }
    put!(
        out,
        r#"<polyline class="{class}" points="{}"/>"#,
        coordinates(points)
    );
}

fn area(out: &mut String, points: &[(f64, f64)], bottom: f64) {
    if let ([(first, _), ..], [.., (last, _)]) = (points, points) {
        let points = coordinates(points);
        put!(
            out,
            r#"<polygon class="area" points="{first:.1},{bottom} {points} {last:.1},{bottom}"/>"#
        );
    }
}

fn dot(out: &mut String, x: f64, y: f64, name: &str) {
    let (beside, above) = (x - 8.0, y - 8.0);
    put!(out, r#"<circle class="fa" cx="{x:.1}" cy="{y:.1}" r="4"/>"#);
    put!(
        out,
        r#"<text class="head" x="{beside:.1}" y="{above:.1}" text-anchor="end">{name}</text>"#
    );
}

fn legend(out: &mut String, top: f64, names: &[(&str, &str)]) {
    let y = top - 20.0;
    let mut x = RIGHT - 90.0 * names.len() as f64 + 20.0;
    for (class, name) in names {
        let after = x + 16.0;
        put!(out, r#"<circle class="f{class}" cx="{x}" cy="{y}" r="5"/>"#);
        put!(out, r#"<text x="{after}" y="{}">{name}</text>"#, y + 4.0);
        x += 90.0;
    }
}

/// Text as XML has it.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ if character.is_control() => out.extend(character.escape_default()),
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_numbers() {
        let steps = [10.0, 13.0, 7.0, 183_000.0, 0.0].map(nice);
        assert_eq!(steps, [2.5, 5.0, 2.0, 50_000.0, 1.0]);
        let names = [0.0, 250.0, 1500.0, 2_500_000.0].map(short);
        assert_eq!(names, ["0", "250", "1.5k", "2.5M"]);
        let names = [1.0, 100.0, 1000.0, 1e6].map(round_time);
        assert_eq!(names, ["1 µs", "100 µs", "1 ms", "1 s"]);
    }

    #[test]
    fn text_from_elsewhere_is_no_markup() {
        assert_eq!(escaped("a<b>&\"\u{1b}"), "a&lt;b&gt;&amp;&quot;\\u{1b}");
    }
}
