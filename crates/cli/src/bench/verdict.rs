//! Whether all went well, as the last lines of the table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use indicatif::HumanCount;

use super::report::{Connected, Report, errors};
use super::table::named;
use crate::console::{Painter, Style, harmless_line};

/// Writing to a string cannot fail.
macro_rules! put {
    ($out:expr, $($arguments:tt)*) => {
        let _ = writeln!($out, $($arguments)*);
    };
}

pub(super) fn put(out: &mut String, report: &Report, painter: Painter) {
    put!(out, "");
    let before = match report.observe {
        Some(_) => "at registration",
        None => "in the warm-up",
    };
    let mut well = true;
    let mut bad = |told: &str| {
        well = false;
        put!(out, "  {}", painter.paint(Style::Bad, told));
    };
    for (wrong, first, when) in [
        (&report.before.wrong, &report.before.first_wrong, before),
        (&report.wrong, &report.first_wrong, ""),
        (&report.after.wrong, &report.after.first_wrong, "after the end"),
    ] {
        if let Some(told) = of_wrong(wrong, when) {
            bad(&told);
            if let Some(first) = first {
                bad(&format!("the first: {}", harmless_line(first)));
            }
        }
    }
    let what = match report.observe {
        Some(_) => {
            if let Some(told) = of_errors(&report.before.codes, "answers to registrations") {
                bad(&told);
            }
            "notifications"
        }
        None => "answers",
    };
    if let Some(told) = of_errors(&report.codes, what) {
        bad(&told);
    }
    if let Some(told) = of_silence(report) {
        bad(&told);
    }
    if let Some(told) = report.connections.as_ref().and_then(of_losses) {
        bad(&told);
    }
    let (counts, over) = match report.observe {
        Some(_) => (&report.before.counts, report.before.sent),
        None => (&report.counts, report.sent - report.outstanding_at_end),
    };
    let lost = counts.timeouts + counts.resets + counts.disconnected;
    if well && lost > 0 {
        let told = format!(
            "no answer was wrong, but {} of {} requests had none",
            HumanCount(lost),
            HumanCount(over)
        );
        put!(out, "  {}", painter.paint(Style::Strong, &told));
    } else if well {
        put!(out, "  {}", painter.paint(Style::Good, "no answer was wrong"));
    }
    let observed = report.observe.as_ref();
    if observed.is_some_and(|observed| observed.observers > 0 && observed.notifications == 0) {
        put!(
            out,
            "  no notification came, as the resource did not change (--change has it changed)"
        );
    }
    put_changed(out, report);
}

fn of_wrong(wrong: &BTreeMap<String, u64>, when: &str) -> Option<String> {
    let all: u64 = wrong.values().sum();
    let kinds = wrong.iter();
    let kinds: Vec<_> = kinds
        .map(|(kind, count)| format!("{} {kind}", HumanCount(*count)))
        .collect();
    let plural = if all == 1 { "" } else { "s" };
    let space = if when.is_empty() { "" } else { " " };
    (all > 0).then(|| {
        format!(
            "{} wrong answer{plural}{space}{when}: {}",
            HumanCount(all),
            kinds.join(", ")
        )
    })
}

fn of_errors(codes: &BTreeMap<String, u64>, what: &str) -> Option<String> {
    let told: Vec<_> = errors(codes).collect();
    let bad: u64 = told.iter().map(|(_, count)| count).sum();
    let all = codes.values().sum::<u64>();
    let by_code = || told.iter().copied().map(named).collect::<Vec<_>>().join(", ");
    match told.as_slice() {
        [] => None,
        [(code, 1)] if all == 1 => Some(format!("the only answer was {code}")),
        [(code, count)] if *count == all => Some(format!("all {} {what} were {code}", HumanCount(all))),
        _ if bad == all => Some(format!(
            "all {} {what} were errors: {}",
            HumanCount(all),
            by_code()
        )),
        _ => Some(format!(
            "{} of {} {what} were errors: {}",
            HumanCount(bad),
            HumanCount(all),
            by_code()
        )),
    }
}

/// Connections that ended, and why the first did.
fn of_losses(connected: &Connected) -> Option<String> {
    let kinds = connected.lost.iter();
    let kinds: Vec<_> = kinds
        .map(|(kind, count)| format!("{} {kind}", HumanCount(*count)))
        .collect();
    let first = connected.first_lost.as_deref().unwrap_or_default();
    (!kinds.is_empty()).then(|| {
        format!(
            "connections lost: {} (the first: {})",
            kinds.join(", "),
            harmless_line(first)
        )
    })
}

/// That there is nothing to measure.
fn of_silence(report: &Report) -> Option<String> {
    let registered = report.observe.is_some() && !report.before.codes.is_empty();
    if !report.codes.is_empty() || registered || !report.wrong.is_empty() {
        return None;
    }
    let late = report.after.codes.values().sum::<u64>();
    Some(match late {
        0 => "nothing was answered".to_owned(),
        _ => format!(
            "nothing was answered in the measured time, {} after it: a longer one tells more",
            HumanCount(late)
        ),
    })
}

/// Payloads that may be right or not: only the user knows.
fn put_changed(out: &mut String, report: &Report) {
    if report.changed == 0 {
        return;
    }
    let what = if report.transfer.is_some() {
        "bodies"
    } else {
        "payloads"
    };
    put!(
        out,
        "  {} of {} {what} differ from the first, as those of a resource do that changes",
        HumanCount(report.changed),
        HumanCount(report.answered)
    );
    if let Some(first) = &report.first_changed {
        put!(out, "  for example {}", harmless_line(first));
    }
    put!(
        out,
        "  (--same-payload calls that wrong, --any-payload does not look)"
    );
}
