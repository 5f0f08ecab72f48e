//! A run: how it goes, how it is ended, and what it comes to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use coracle_conformance::case::Case;
use coracle_conformance::keys::Keys;
use coracle_conformance::report::{CaseReport, Report};
use coracle_conformance::run::{self, Settings, Subject};
use coracle_conformance::verdict::Outcome;

use super::reports::ReportArgs;
use super::told::Told;
use crate::client;
use crate::console::Console;
use crate::error::{CliError, Exit};
use crate::hangup::Hangup;
use crate::serve::Signals;

/// How cases are judged.
#[derive(Args, Debug)]
#[command(next_help_heading = "Judging")]
pub(super) struct JudgingArgs {
    /// Put the lossy gateway of the plugtests between both sides
    #[arg(long)]
    lossy: bool,

    /// How many cases run at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,

    /// Judge no longer than this; cases without a verdict are inconclusive [default: what the cases take at most]
    #[arg(long, value_name = "SECS", value_parser = client::parse_seconds)]
    time_limit: Option<Duration>,
}

/// Judges, tells how it goes, and writes the reports.
pub(super) fn judge(
    subject: &Subject,
    (cases, keys): (&[Case], Keys),
    args: &JudgingArgs,
    reports: &ReportArgs,
    console: &Console,
) -> Result<Exit, CliError> {
    if args.lossy && subject.transport().is_connected() {
        return Err(CliError::usage("--lossy is for UDP: connections lose nothing"));
    }
    let files = reports.open()?;
    let settings = Settings {
        lossy: args.lossy,
        jobs: args.jobs.into(),
        keys,
        time_limit: args.time_limit,
        stop: Arc::default(),
    };
    stop_on_signals(Arc::clone(&settings.stop), *console)?;
    let mut told = Told::new(subject, cases, reports.takes_output(), *console);
    let report = run::run(subject, cases, &settings, &mut |progress| {
        if told.tell(&progress).is_err() {
            // Nobody reads on.
            settings.stop.store(true, Ordering::Relaxed);
        }
    });
    let summed_up = told.sum_up(&report);
    files.write(&report, console)?;
    summed_up?;
    Ok(exit(&report, settings.stop.load(Ordering::Relaxed)))
}

/// Sets the flag with the first signal to end.
fn stop_on_signals(stop: Arc<AtomicBool>, console: Console) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::io("cannot start", &error))?;
    let signals = {
        let _within = runtime.enter();
        Signals::new().and_then(|signals| Ok((signals, Hangup::new()?)))
    };
    let (mut signals, mut hangup) = signals.map_err(|error| CliError::io("cannot take signals", &error))?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = signals.next() => {}
                () = hangup.next() => {}
            }
        });
        stop.store(true, Ordering::Relaxed);
        console.note("interrupted: what is under way is ended");
    });
    Ok(())
}

fn exit(report: &Report, interrupted: bool) -> Exit {
    let count = |outcome| report.count(outcome);
    let unclear = || {
        let inconclusive = |case: &&CaseReport| case.outcome == Outcome::Inconclusive;
        report.cases.iter().filter(inconclusive)
    };
    let silent = unclear().all(|case| case.records.iter().all(|record| record.by_judge));
    match (
        count(Outcome::Pass),
        count(Outcome::Fail),
        count(Outcome::Inconclusive),
    ) {
        (1.., 0, 0) => Exit::Success,
        (0, 0, 1..) if silent && !interrupted => Exit::NoAnswer,
        // Nothing failed either if there was nothing to be judged, but whoever asked expects a verdict.
        _ => Exit::Failure,
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use coracle_conformance::case::{Judge, Role};
    use coracle_conformance::transcript::{Fate, Form, Record};

    use super::*;

    fn case(outcome: Outcome, answered: bool) -> CaseReport {
        let address = "127.0.0.1:1".parse().unwrap();
        let record = |by_judge| Record {
            form: Form::Datagram,
            at: Duration::ZERO,
            time: SystemTime::UNIX_EPOCH,
            by_judge,
            from: address,
            to: address,
            bytes: Vec::new(),
            fate: Fate::Passed,
        };
        let mut records = vec![record(true)];
        if answered {
            records.push(record(false));
        }
        CaseReport {
            case: Case::new("A-1", "", "", Judge::NotYet(Role::Server, "")),
            outcome,
            reason: String::new(),
            section: "",
            offending: None,
            records,
            took: Duration::ZERO,
            commands: Vec::new(),
            output: String::new(),
        }
    }

    fn exit_of(cases: &[(Outcome, bool)], interrupted: bool) -> Exit {
        let report = Report {
            role: Role::Server,
            subject: String::new(),
            lossy: false,
            began: SystemTime::UNIX_EPOCH,
            took: Duration::ZERO,
            cases: cases
                .iter()
                .map(|&(outcome, answered)| case(outcome, answered))
                .collect(),
        };
        exit(&report, interrupted)
    }

    #[test]
    fn the_exit_status_says_whether_all_was_well_or_nobody_there() {
        use Outcome::{Fail, Inconclusive, NotYet, Pass, Skipped};
        assert_eq!(
            exit_of(&[(Pass, true), (Skipped, true), (NotYet, false)], false),
            Exit::Success
        );
        assert_eq!(exit_of(&[(Pass, true), (Fail, true)], false), Exit::Failure);
        assert_eq!(
            exit_of(&[(Pass, true), (Inconclusive, false)], false),
            Exit::Failure
        );
        assert_eq!(exit_of(&[(Inconclusive, true)], false), Exit::Failure);
        assert_eq!(exit_of(&[(Fail, false)], false), Exit::Failure);
        assert_eq!(
            exit_of(&[(Inconclusive, false), (Skipped, false)], false),
            Exit::NoAnswer
        );
        assert_eq!(exit_of(&[(Inconclusive, false)], true), Exit::Failure);
        assert_eq!(
            exit_of(&[(Skipped, false), (NotYet, false)], false),
            Exit::Failure
        );
    }
}
